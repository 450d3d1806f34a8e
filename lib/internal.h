/* SPDX-License-Identifier: MIT */
/*
 * The map of the library
 *
 *   program ── load/store ──► MMU ──► kernel ── uffd message ──► PAGER ──► STORE
 *      ▲                                                          │  ▲
 *      └────────────── page in place, sleeper awake ◄─────────────┘  │
 *   library call ───────────── message ──────────────────────────────┘
 *
 * One thread, the pager, owns every object, mapping and page state; nobody else
 * changes them, so nothing is locked. (While it sleeps in the kernel, one thread
 * at a time may stand in for it: loop.h, loop_borrow.) It turns one loop around one io_uring, in
 * which it waits for faults, messages, answers of stores and timers at once.
 * The library's calls are clients: they send messages and wait.
 *
 * To be read in this order; each uses only those before it:
 *
 *   list, mem        lists; memory that is not malloc's (the pager must not wait
 *                    for a lock that a faulting thread may hold)
 *   sys, fds         the kernel: every system call, features, uffd ioctls; which
 *                    descriptors are ours
 *   pages, hashes    the sparse tables of page states, of hashes; histogram
 *   loop             posts from any thread, timers, watches, transfers
 *   elsewhere        what may wait for the server of a file
 *   box              a file in others' hands, until it is taken out
 *   io, store/       one transfer of a store, with its deadline; the stores
 *   object           the bytes in memory (a memfd) and the state of each page
 *   space            mappings by address, the uffd, what is done to their pages
 *   presume              stores that are not seen, but found
 *   share, window        who pays for which pages, by 512 neighbours
 *   budget, evict, pin   how much may be in memory, and what goes
 *   follow           on which CPU the pager runs
 *   copies               what private mappings of files have changed
 *   huge                 2 MiB of zeros as one page
 *   put, fill, fault     fault → read → page in place
 *   ahead, prefetch      what will be needed, before it is
 *   recording, journal   which pages were touched: in a file, while it is noted
 *   record, replay       noting it, and bringing it the next time
 *   writeback        dirty pages → store
 *   books            messages: what is mapped, and what is known of it
 *   ledger, slots    what its successor must know if it dies
 *   pager            what it owns; the reading of faults
 *   wire             messages between processes
 *   states           what another pager is told of pages
 *   thread, remote   a call to the pager, here or in wmapd
 *   ours             which addresses of this process are ours
 *   gate             no fork in the middle of a call that changes them
 *   client           a call becomes a message; reservations; exit
 *   fork             what a child inherits
 *   recall           what of it this process has its pager do
 *   guard            what is needed if wmapd and its keeper die
 *   keep, moveout    a wmapd of one's own; the thread's pager moves there
 *   api, course, …   the public calls
 *   trace            a hook that hears of faults and loads (for teaching)
 *   xv6/             the course's programs on these calls (its own map: layer.h)
 *
 * Inside, functions return 0 or a negative errno; a result goes through an
 * out-parameter that failure leaves untouched.
 */
#ifndef WMAP_INTERNAL_H
#define WMAP_INTERNAL_H

#include <assert.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wmap/store.h"
#include "wmap/wmap.h"

#define PAGE	   ((uint64_t)WMAP_PAGE_SIZE)
#define PAGE_SHIFT 12
#define GRAIN_MAX  (2u << 20)

#define container_of(pointer, type, member) \
	((type *)(void *)((char *)(pointer)-offsetof(type, member)))

#define lengthof(array) (sizeof(array) / sizeof((array)[0]))

static inline uint64_t page_down(uint64_t bytes)
{
	return bytes & ~(PAGE - 1);
}

static inline uint64_t page_up(uint64_t bytes)
{
	return page_down(bytes + PAGE - 1);
}

static inline uint64_t min_u64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static inline uint64_t max_u64(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/* log.c: one line to the program's log callback, or nowhere. */
void log_line(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
