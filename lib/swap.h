/* SPDX-License-Identifier: MIT */
/*
 * Swap: the bytes of anonymous pages that are not in memory
 *
 *   object ── its swap store: page ──► record ── at, size ──► blocks of one file
 *
 * A pager has one file, which has no name, so that it goes with its last
 * descriptor. It is cut into blocks of 4 KiB, each with a count of the pages that
 * have bytes in it, and of the transfers that use it: a block that counts none is
 * free, and is written again. What is written together lies together, one behind
 * the other; compressed pages are as long as they are.
 *
 * Each object has a store of its own, which is a store like any other: what is
 * written to it is there when it is read again, what never was is zeros. A page
 * costs 24 bytes at most while it is there: a word of a table as that of an
 * object's pages, with the number of its record, and the record.
 *
 * The file is opened when the first page is to go, in the directory that was
 * said, else $WMAP_SWAP's, else in /var/tmp, as /tmp is often memory itself. A
 * directory that lies in memory (tmpfs) is refused.
 *
 * Invariant: of a page that has a record the file has the bytes that were
 * written last; who changes them in memory drops the record, or writes again.
 */
#ifndef WMAP_SWAP_H
#define WMAP_SWAP_H

#include "compress.h"
#include "internal.h"
#include "io.h"

struct swap;

#define SWAP_PAGES \
	((1u << 24) - 1) /* at most: 64 GiB that are not compressed */

/* Not open yet, and told nothing. NULL: no memory. */
struct swap *swap_create(void);
void swap_destroy(struct swap *swap);

/*
 * Say where, and how: "DIRECTORY", "DIRECTORY:lz4", "DIRECTORY:zstd". The file
 * is opened now, and an error changes nothing: -EINVAL (no such compression),
 * -ENAMETOOLONG, -EBUSY (pages are in another one), -EOPNOTSUPP (it lies in
 * memory), and what open(2) says.
 */
int swap_set(struct swap *swap, const char *where);

/* Set by a test while no file is open: makes of the file's store the one that is
   used, for example a slow one around it; takes its reference over. */
extern struct wmap_store *(*swap_hook)(struct wmap_store *file);

/* 0 if pages may be written: opens the file at the first call, and tells the log
   if that fails. -EINVAL, untold: $WMAP_SWAP is empty. */
int swap_ready(struct swap *swap);

/* Does it compress? */
bool swap_packs(const struct swap *swap);

/* Bytes of buffers that it has now; of those that are being written. */
uint64_t swap_buffers(const struct swap *swap);
uint64_t swap_packing(const struct swap *swap);

/* Such a page is not kept; one that is read has been lost: -EIO. */
bool swap_is_zeros(const char *page);

/* The store of one object; @object: what a successor knows it by, or 0. @zeros: it
   has pages of zeros, too, if they were written; else that is what it does not
   have. */
int swap_store_create(struct swap *swap, uint64_t object, bool zeros,
		      struct wmap_store **store);

/*
 * What is written from now on a successor finds, by two descriptors, which stay
 * swap's (false: it is not so). The file is open, and nothing is in it.
 */
int swap_keep(struct swap *swap);
bool swap_descriptors(const struct swap *swap, int *slots, int *file);

/*
 * The successor: what a predecessor wrote is there again, in stores that wait to be
 * asked for by their objects' numbers; then forget the others. The descriptors stay
 * the caller's, and may be for reading alone. -EINVAL: they are no such.
 */
int swap_adopt(struct swap *swap, int slots, int file);
int swap_store_adopt(struct swap *swap, uint64_t object,
		     struct wmap_store **store);
void swap_forget_found(struct swap *swap);

/* Has it the page's bytes? @store may be NULL. */
bool swap_has(const struct wmap_store *store, uint64_t index);

/* How many pages it has. @store may be NULL. */
uint64_t swap_count(const struct wmap_store *store);

/* Pages that it has of [first, end): their indexes, as pages_collect. */
int swap_collect(const struct wmap_store *store, uint64_t first, uint64_t end,
		 uint64_t **indexes, size_t *n);

/* They are needed no more, nor what is being written of them. @store may be
   NULL. */
void swap_drop(struct wmap_store *store, uint64_t first, uint64_t end);

/* What it has of [first, end) another object's store, which has nothing there, has
   too, without a byte being copied. -ENOMEM, and nothing has changed. */
int swap_copy(const struct wmap_store *store, struct wmap_store *other,
	      uint64_t first, uint64_t end);

/* Give [first, end) to another object's store. -ENOMEM, and nothing has
   changed. (A successor does not hear of it.) */
int swap_split(struct wmap_store *store, struct wmap_store *other,
	       uint64_t first, uint64_t end);

#endif
