/* SPDX-License-Identifier: MIT */
/*
 * Replaying: bringing what was touched the last time
 *
 * A mapping of a file that is in the recording, unchanged, has what was recorded
 * of it brought by a prefetch list (prefetch.c), which begins behind its first
 * fault: what is mapped and not touched costs nothing, and demand is first.
 *
 *   recorded   9 1 4 2 | 7 30 5 8 6 31 29 …     in order of first touch
 *   brought    1+2 4 9 | 5+4 29+3 …             sorted by parts, half a window each
 *
 * So what is needed at first comes first, and what lies together is read together.
 *
 * Nobody knows whether the program does again what it did. So the list goes only
 * so far ahead of it as it has proved right: a page of it is held back until it
 * is touched (a mark), at first every 128, twice as far apart with each that is
 * reached. A list whose marks nobody reaches has brought 1 MiB, and rests. It goes
 * on, past a mark, if faults come mostly on pages that it had still to bring.
 */
#ifndef WMAP_REPLAY_H
#define WMAP_REPLAY_H

#include "recording.h"

struct mapping;
struct pager;
struct replay;

/* Prepare a recording, taken over also on failure; NULL: no memory. On any thread,
   as it may take long. */
struct replay *replay_create(struct recording *recording);
void replay_destroy(struct replay *replay);

/* Replay this from now on, taken over, instead of another; NULL: nothing. */
void replay_set(struct pager *pager, struct replay *replay);

/* A mapping is touched for the first time. */
void replay_begin(struct mapping *mapping);

/* Where a page of the file with this number is among its runs; REPLAY_NOWHERE: it
   was not touched. */
#define REPLAY_NOWHERE SIZE_MAX
size_t replay_place(const struct replay *replay, uint32_t file, uint64_t page);

#endif
