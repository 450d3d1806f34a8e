/* SPDX-License-Identifier: MIT */
/*
 * Reading ahead: what each stream of accesses will need next
 *
 * Of each mapping the last faults are remembered as streams. Three faults with
 * the same distance between them establish one: pages one after another, upwards
 * or downwards, or every nth. What does not fit into a stream is a random access,
 * which brings its page and no other.
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

/* A fault on an absent page, which is being brought: what else will be needed? */
void ahead_missed(struct pager *pager, struct mapping *mapping, uint64_t index);

/* A fault on a page that was on its way, or held back. */
void ahead_reached(struct pager *pager, struct mapping *mapping,
		   uint64_t index);

/* The mapping goes, or is told to forget. */
void ahead_forget(struct mapping *mapping);

#endif
