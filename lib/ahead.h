/* SPDX-License-Identifier: MIT */
/*
 * Reading ahead: what each stream of accesses will need next
 *
 * Of each mapping the last faults are remembered as streams. Three faults with
 * the same distance between them establish one: pages one after another, upwards
 * or downwards, or every nth. What does not fit into a stream is a random access,
 * which brings its page and no other; unless such accesses have mostly been the
 * first of a few pages upwards (a record, a block). Then one brings as many at
 * once, twice as many if most runs still go on behind them, half as many if those
 * of every eighth, which are let come page by page, turn out to be shorter.
 *
 *              mark                        edge
 *   ──read────►│x│ brought, or on its way  │ absent
 *
 * An established stream has a batch brought ahead of its reader. The first page
 * of the batch is its mark: read, and held back in its buffer until somebody
 * touches it (the pages behind it are in place, and their touches are not seen).
 * Then the next batch is asked for, so that the store works while the reader
 * does; it is twice as large, up to a bound and to what the stream has come by so
 * far: a run of a few pages brings a few too many. Batches that nobody reaches are
 * not followed by others.
 */
#ifndef WMAP_AHEAD_H
#define WMAP_AHEAD_H

#include "pager.h"

/* Pages from an absent one on that a fault there brings at once. */
uint64_t ahead_run(const struct mapping *mapping, uint64_t index);

/* A fault on an absent page, which is being brought with others: what else will be
   needed? */
struct run {
	uint64_t first, count;
};
void ahead_missed(struct pager *pager, struct mapping *mapping, uint64_t index,
		  const struct run *run);

/* A fault on a page that was on its way, or held back. */
void ahead_reached(struct pager *pager, struct mapping *mapping,
		   uint64_t index);

/* The mapping goes, or is told to forget. */
void ahead_forget(struct mapping *mapping);

#endif
