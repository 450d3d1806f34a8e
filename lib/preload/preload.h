/* SPDX-License-Identifier: MIT */
/*
 * The map of the preload library
 *
 * It stands between a program and the C library, which it calls nowhere on the
 * way of an ordinary mmap: what is not ours goes to the kernel by a raw system
 * call, unread. In the order to read them:
 *
 *   rules     which files are ours ($WMAP_MAP, $WMAP_GRAIN)
 *   process   what is known of this process, forgotten in a fork's child;
 *             whether a pager can be had in it
 *   names     files by device and inode, for the report
 *   report    the mappings that are gone, and the report at the end
 *   ranges    a range of addresses, split into wmap's pieces and the kernel's
 *   map       mmap, munmap, mremap
 *   advice    msync, mprotect, madvise, mincore
 *   agree     read, write, truncate of files that are mapped
 *   direct    reads past the page cache, into what is mapped
 *   numbers   close, dup2: the library's descriptors are left alone
 *   exits     _exit and exec: write back and report first
 *   signals   a program's own SIGSEGV handler, behind wmap's report
 *
 * The hooks may be called before any constructor has run, and between fork and
 * exec: they allocate with mmap or not at all. They leave errno as it was when
 * they succeed. libwmap makes its own system calls raw, so that nothing here
 * ever runs inside of it.
 */
#ifndef WMAP_PRELOAD_H
#define WMAP_PRELOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

#include "wmap/wmap.h"

#define HOOK __attribute__((visibility("default")))

/* ---- rules -------------------------------------------------------------- */

struct rules_file {
	uint64_t dev, ino;
	char path[4096]; /* "" if it could not be had */
};

/* Shall a mapping of this descriptor be ours? Fills *@file if so. */
bool rules_take(int fd, struct rules_file *file);

/* Bytes one fault brings; 0 is the default. */
size_t rules_grain(void);

/* ---- process ------------------------------------------------------------ */

/*
 * True if the caller runs in a process that may report and write back: false
 * in a vfork's child, whose memory is its parent's.
 */
bool process_is_mine(void);

/* Can this process have a pager? Starts it; says once if it cannot. */
bool process_page(void);

/* Has it got one? */
bool process_paged(void);

/* When it was first seen, in ns; with its pid this names it. */
uint64_t process_born(void);

/* The lock of what names and report keep. */
void process_lock(void);
bool process_lock_soon(void); /* within a second, or not: for a crash */
void process_unlock(void);

/* One line on standard error, "wmap: " before it. */
void process_say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/*
 * The struct of a static object that is zeros again in a fork's child: whole
 * pages, which process_wipe is told of before their first use.
 */
#define PROCESS_WIPED __attribute__((aligned(4096)))
void process_wipe(void *object, size_t size);

/* ---- names -------------------------------------------------------------- */

/* Under process_lock. names_find: NULL if it is not known. */
void names_note(const struct rules_file *file);
const char *names_find(uint64_t dev, uint64_t ino);

/* ---- report ------------------------------------------------------------- */

/* A part of a mapping that is gone now, which had @length bytes. */
void report_gone(const struct wmap_mapping_info *gone);

/* Tell `wmap run` all that happened so far, if it asked to. */
void report_file(void);

/* ---- ranges ------------------------------------------------------------- */

struct ranges_call {
	int (*ours)(void *addr, size_t length, const struct ranges_call *call);
	int (*kernel)(void *addr, size_t length,
		      const struct ranges_call *call);
	bool go_on;   /* past ENOMEM, which is then the result at the end */
	bool keep;    /* unmapping: the addresses stay reserved */
	int argument; /* prot, flags, advice: theirs */
	unsigned char *vector; /* theirs */
	const void *start;     /* of the whole range */
};

/* Is any of the range ours? False if it is no range, for the kernel to say. */
bool ranges_ours(const void *addr, size_t length);

/* Each piece in ascending order, until one fails: -1 and its errno, or 0. */
int ranges_each(void *addr, size_t length, struct ranges_call *call);

/* Remove our mappings of the range, and nothing else; they are reported. */
int ranges_unmap_ours(void *addr, size_t length);

/* Likewise, but their addresses stay reserved, for what comes there next. */
int ranges_vacate_ours(void *addr, size_t length);

/* The same for one piece: for ranges_call.ours. */
int ranges_unmap_piece(void *addr, size_t length,
		       const struct ranges_call *call);

/* ---- direct ------------------------------------------------------------- */

/* Is this a read past the page cache, into memory of ours? */
bool direct_concerns(int fd, const struct iovec *vector, int n);

/* Then it is done so. @at: where, or -1 for the descriptor's own offset. */
ssize_t direct_read(int fd, const struct iovec *vector, int n, off_t at);

/* ---- exits, signals ----------------------------------------------------- */

/* Write everything back and report, if this process has a pager. */
void exits_prepare(void);

/* SIGSEGV gets wmap's line from now on, if `wmap run` started the program. */
void signals_report_segv(void);

#endif
