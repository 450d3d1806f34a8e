/* SPDX-License-Identifier: MIT */
/*
 * Ours: which addresses of this process are ours
 *
 * The pager keeps the books, perhaps in another process; what lies where in
 * this one the client must know by itself, at once and from anywhere: every
 * munmap(2) of a preloaded program asks. So the calls that place memory and
 * take it away note it here: added before anything is placed, taken out after it
 * has gone. A fork's child inherits them.
 *
 * Any thread may change and look; looking is async-signal-safe, changing
 * blocks signals for some instructions.
 */
#ifndef WMAP_OURS_H
#define WMAP_OURS_H

#include "internal.h"

/* [start, end) is ours from now on; what of it was so stays so. -ENOMEM. */
int ours_add(uint64_t start, uint64_t end);

/* No longer. */
void ours_remove(uint64_t start, uint64_t end);

/* The first piece of [*start, *end) that is ours; false: none. */
bool ours_next(uint64_t *start, uint64_t *end);

/* Around a fork: nobody is changing them meanwhile. */
void ours_before_fork(void);
void ours_after_fork(void);

/* A child that ran no handlers: nothing is ours. */
void ours_forget(void);

#endif
