/* SPDX-License-Identifier: MIT */
/*
 * The client: a call becomes messages to the pager, and work on addresses
 *
 * The pager decides and keeps the books; what has to be done to this process's
 * addresses the calling thread does itself:
 *
 *   map       reserve PROT_NONE · MAP · place the memory and register it
 *   unmap     UNMAP (writes back, forgets) · unmap
 *   grow      MOVE looks · reserve above · MOVE books · place
 *   move      MOVE looks · reserve · PROT_NONE the old · MOVE books · mremap ·
 *             register · PROTECT · give the protection back
 *   protect   PROTECT (from now on stores are seen) · mprotect
 *
 * At no moment is memory accessible that is not registered: what a thread
 * touches at the wrong time is SIGSEGV, never zeros.
 *
 * Functions return 0 or a negative errno.
 */
#ifndef WMAP_CLIENT_H
#define WMAP_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wmap/wmap.h"

struct message;
struct pager;

/* Where it is to run: wmap_pager_set. */
int client_choose(const char *where);

/* Start the pager if it is not running yet. */
int client_start(void);

/* End it; -EBUSY. Does nothing where none runs. */
int client_stop(void);

/* WMAP_FEATURE_* of the running pager. */
unsigned client_features(void);

/* This process's uffd, while a pager runs. */
int client_uffd(void);

/* What the pager lets its clients look at; the wmapd's, also if this process has
   not mapped anything; NULL: none runs. */
struct hints;
const struct hints *client_hints(void);

/* Somebody has to be told: become a client, if this process is none yet. */
bool client_can_tell(void);

/* Does a pager run? */
bool client_runs(void);

/* Is the pager in another process? */
bool client_is_remote(void);

/* The memfd of an answer was used: the pager's, or a copy of our own. */
void client_memfd_done(int memfd);

/* ---- For fork.c, in its handlers ------------------------------------------ */

/* From now on nobody starts or stops a pager, and no call changes what is mapped
   where. Is the pager in another process? */
bool client_before_fork(void);
void client_in_parent(void);

/* The pager's thread was not inherited: it is forgotten. */
void client_in_child(void);

/* A new uffd for this process; 0 or a negative errno. */
int client_new_uffd(void);

/* There is no pager any more. */
void client_lost(void);

/*
 * Send @message and wait for its answer. Async-signal-safe once the pager runs.
 * -ESRCH: no pager runs in this process. -EDEADLK: the caller is the pager.
 */
int client_call(struct message *message);

/* This thread is the pager's: it must not wait for who waits for it. */
void client_inside(void);

struct client_map {
	uint64_t address, length, offset;
	int prot, flags; /* WMAP_*, MAPPING_* */
	int fd;		 /* the caller's, or -1 */
	uint64_t grain;	 /* pages */
	uint64_t deadline;
	uint64_t memory; /* bytes; 0: no budget of its own */
	struct wmap_store *store;
};

/* ---- For the guard ---------------------------------------------------------- */

/* As client_before_fork has it: no call changes what is mapped where, nor is there
   a fork, until client_let_go. False: it cannot be had for @patience ns. */
bool client_hold(uint64_t patience);
void client_let_go(void);

/* ---- Mapping ----------------------------------------------------------------- */

/* Arguments are checked by the caller but for the descriptor's. */
int client_map(const struct client_map *map, uint64_t *address);

/* The whole mapping that starts there. */
int client_unmap_exact(uint64_t address);

/* Whatever is ours of [start, end). */
int client_unmap(uint64_t start, uint64_t end);

/* Likewise, but the addresses stay reserved (PROT_NONE) for what the caller puts
   there next: nothing else can land in between. */
int client_vacate(uint64_t start, uint64_t end);

/* Whole pages, all of them ours. */
int client_protect(uint64_t address, uint64_t length, int prot);

/* @exact: as wremap, else as mremap. @flags: WMAP_MAYMOVE, WMAP_FIXED. */
int client_remap(uint64_t address, uint64_t length, uint64_t new_length,
		 int flags, bool exact, uint64_t *new_address);

/* @buffer to the caller's memory @to, which may be anything: -EFAULT. */
int client_copy_out(void *to, const void *buffer, size_t size);
int client_copy_in(void *buffer, const void *from, size_t size);

/* ---- For the preload library ---------------------------------------------- */

/* Does a mapping of ours lie in the range, also partly? Async-signal-safe. */
WMAP_API bool wmap_range_ours(const void *addr, size_t length);

/* The first piece of the range that is ours, clipped to it. */
WMAP_API bool wmap_range_next(const void *addr, size_t length, void **start,
			      size_t *piece_length);

/* wmap_unmap of whatever is ours, but the addresses stay reserved: for what is
   to be mapped there with MAP_FIXED. */
WMAP_API int wmap_range_vacate(void *addr, size_t length);

/*
 * Whoever reads, writes or truncates a file by system calls says so, where a
 * mapping of ours may show it; else memory and file disagree. Cheap for files
 * that none shows. @fd may be anything.
 *
 * before_read: what was stored to [offset, offset + length) is in the file.
 * before_write, after_write: around a write, which after_write gets the bytes
 *              of (0 if it failed) and what before_write returned; what was
 *              written is seen in memory, and no write-back overtakes it.
 * before_length, after_length: around a change of the file's length.
 */
WMAP_API void wmap_file_before_read(int fd, uint64_t offset, uint64_t length);
WMAP_API void *wmap_file_before_write(int fd);
WMAP_API void wmap_file_after_write(int fd, void *before, uint64_t offset,
				    uint64_t length);
WMAP_API void wmap_file_before_length(int fd);
WMAP_API void wmap_file_after_length(int fd);

/* Is any file mapped at all? */
WMAP_API bool wmap_file_any(void);

/*
 * Descriptors that the library needs, which a program that closes all it finds
 * must not close: without them its missing pages would be zeros.
 *
 * next: the lowest from @from on, or -1.
 * yield: @fd is about to be replaced by the caller's: it gets another number.
 *        False: it cannot, and must not be replaced.
 */
WMAP_API int wmap_fd_next(int from);
WMAP_API bool wmap_fd_yield(int fd);

/* Write every shared page back, as exit does; 0 or -1 and the first errno. */
WMAP_API int wmap_sync_all(void);

#endif
