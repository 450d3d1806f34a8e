/* SPDX-License-Identifier: MIT */
/*
 * Slots: what a pager's successor must know of its swap
 *
 *   number ──► object · page · where in the file its bytes are (swap.c)
 *
 * Number for number the records of swap, in memory that outlives the pager. What
 * a slot says is written before where, and where is 0 in one that says nothing:
 * whenever the pager is killed each slot is whole, or says nothing. A record's is
 * emptied before its blocks are free.
 *
 * A page that is in memory may have one that is out of date, or two for a moment:
 * its memory is right. It goes from memory when its slot is right, and alone. So
 * of a page that is not in memory a slot has the bytes that were stored last; if
 * there is none it is zeros.
 */
#ifndef WMAP_SLOTS_H
#define WMAP_SLOTS_H

#include "internal.h"

struct slots;

struct slot {
	_Atomic uint64_t where; /* released when the rest is there; 0: empty */
	uint64_t object;	/* its number in the ledger */
	uint64_t page;
};

/*
 * Empty ones, of swap that compresses in this @way; or a predecessor's, by a
 * descriptor of its memory that stays the caller's: -EINVAL, it is no such.
 */
int slots_create(uint32_t way, struct slots **slots);
int slots_open(int memfd, struct slots **slots);
void slots_close(struct slots *slots);

/* Is it memory that can be such, and stays so? */
bool slots_are(int memfd);

/* Its memory; its own. */
int slots_descriptor(const struct slots *slots);

uint32_t slots_way(const struct slots *slots);

/* How many pagers have had them before. */
uint32_t slots_turn(const struct slots *slots);

/* So many blocks of the file may have been written, by any of them: 1 TiB at most,
   as it takes memory to know which. */
#define SLOTS_REACH (1u << 28)
uint32_t slots_reach(const struct slots *slots);
void slots_reached(struct slots *slots, uint32_t blocks);

/* All that are not empty have lower numbers; number 0 is none. */
uint32_t slots_end(const struct slots *slots);

const struct slot *slots_get(const struct slots *slots, uint32_t number);
void slots_put(struct slots *slots, uint32_t number, uint64_t object,
	       uint64_t page, uint64_t where);
void slots_drop(struct slots *slots, uint32_t number);

#endif
