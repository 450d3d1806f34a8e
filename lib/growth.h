/* SPDX-License-Identifier: MIT */
/*
 * Growth: what this process does for WMAP_GROWSUP where its pager is wmapd
 *
 * The page above a mapping that grows, its growth page, is in place and registered
 * (space.h). A touch there is held by wmapd, which can place nothing here, until
 * the guard's thread has placed the next one:
 *
 *      wmapd                            guard, by its connection
 *   1  the growth page G is touched
 *      GROW(G)                     ──►
 *   2                                   closes the gate: no call changes what is
 *                                       mapped where, nor does a fork copy it
 *   3                              ◄──  GROW looks at G + 1
 *      how to place it; -ENOENT:   ──►  opens the gate: nobody wants it any more
 *   4                                   places G + 1, if nothing is there;
 *                                       else unmaps G
 *   5                              ◄──  GROW: G + 1 is placed; else G has gone
 *      the mapping has G, its
 *      growth page is G + 1; who
 *      waits goes on               ──►
 *   6                                   opens the gate
 *
 *   the gate cannot be closed soon  the guard has other things to do: wmapd says 1
 *                                   again in a while
 *   wmapd is killed                 what it has not done at 5 is said to the next
 *                                   one, and before that the gate stays closed:
 *                                   what is booked and what is there agree
 *   there will be no other          the gate is opened
 *   5 is refused                    both pages go, which cannot be refused
 */
#ifndef WMAP_GROWTH_H
#define WMAP_GROWTH_H

#include "internal.h"

struct message;

/* As the answer to GROW or REGROW tells; -EEXIST: something is there. */
int growth_place(const struct message *message, int uffd);

/* ---- The guard's --------------------------------------------------------------- */

/*
 * GROW came. @ask: sends a message and has its answer, after which *@uffd may be
 * another; -ENOTCONN: wmapd is gone, and growth_settle is for when there is
 * another. 0 or that.
 */
int growth_grow(uint64_t page, const int *uffd,
		int (*ask)(struct message *message));

/* Say what the last one was not told. */
int growth_settle(int (*ask)(struct message *message));

/* Nobody is to be told. */
void growth_end(void);

/* In a fork's child. */
void growth_child(void);

#endif
