/* SPDX-License-Identifier: MIT */
/*
 * A run of pages that leaves another process (swapaway.h has its stages)
 *
 * Its memory is its process's own, protected; while it is written it has as much
 * here, and where the agent has copied it to. It goes with its last page.
 *
 * Invariant: while any of it is alive its object has a mapping, in its space.
 */
#ifndef WMAP_AWAYRUN_H
#define WMAP_AWAYRUN_H

#include "leaving.h"

/* So many of its pages are being written as far as others are concerned, who wait
   for them. */
void awayrun_count(struct leaving *leaving, uint64_t pages);

/* Bytes that it takes while it is written; take them, -ENOMEM; let them go, if it
   has them. */
uint64_t awayrun_buffer_bytes(const struct leaving *leaving);
int awayrun_take_buffer(struct leaving *leaving);
void awayrun_drop_buffer(struct leaving *leaving);

/* A page is not there any more. */
void awayrun_part(struct leaving *leaving, uint64_t index);

/* Those of [first, end) that are alive stay; or all of it, and it goes. */
void awayrun_stay(struct leaving *leaving, uint64_t first, uint64_t end);
void awayrun_stay_all(struct leaving *leaving);

/* If nothing is left of it: it goes, but for one that the store has just now. */
void awayrun_settle(struct leaving *leaving);
void awayrun_destroy(struct leaving *leaving);

#endif
