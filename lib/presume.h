/* SPDX-License-Identifier: MIT */
/*
 * Presumed stores: pages that may be stored to without a message
 *
 * The first store to a clean page is a write-protect fault: one message a page,
 * for who goes through a file and stores. Where pages are mostly stored to, the next
 * ones are PRESUMED instead: not protected, with a hash of their bytes. Whether
 * they were stored to is found when it matters:
 *
 *   FILLING -> PRESUMED    put in place for such a reader (put.c)
 *   CLEAN -> PRESUMED      presume_stored(): hashed while it is protected
 *   PRESUMED -> CLEAN      presume_judge(): protected, it has the same bytes still
 *   PRESUMED -> DIRTY      presume_judge(), presume_passed(): it has others; or a
 *                          store was seen (object_dirtied), where it was protected
 *
 * It is protected first, and hashed then: what is stored later is seen. A store
 * that brings back the bytes that were there before has changed nothing. So nothing
 * is written that was not stored: what another program has written to the file
 * meanwhile is not overwritten by what was read before. Who asks whether a page has
 * changed has it judged: write-back, and with it sync and unmapping, evicting,
 * dropping, write(2) to its file, handing over. Who counts changed pages has it
 * looked at, but counts them all as changed where they are many. A pager that is killed takes the hashes with
 * it; its successor takes any page of an object that could be stored to as changed
 * (ledger.h).
 *
 * Who stores is learnt from what he has done: from the pages that the reader of a
 * stream has passed, from samples of what other accesses loaded, and from
 * write-protect faults in order, where pages are in memory already. Below
 * PRESUME_AFTER stores nothing is presumed, nor any more where fewer than one page
 * in four was stored to. A mapping that is only read pays for looks at states.
 *
 * Invariant: a page is PRESUMED exactly if it has a hash: that of the bytes that
 * it had when it could last not be stored to, which are those of its store. It may
 * be unprotected in any mapping.
 */
#ifndef WMAP_PRESUME_H
#define WMAP_PRESUME_H

#include "pager.h"

#define PRESUME_AFTER 8
#define PRESUME_LOOKS 8192 /* pages: a few milliseconds */

/* @count pages are about to be put in place through @mapping, to be PRESUMED:
   can they, and is there memory for their hashes? */
bool presume_begin(struct mapping *mapping, uint64_t count);

/* PRESUMED pages of [first, end) become CLEAN or DIRTY. After an error some are
   not judged. */
int presume_judge(struct object *object, uint64_t first, uint64_t end);

/* The same of @indexes, ascending, all of them of PRESUMED pages. */
int presume_judge_of(struct object *object, const uint64_t *indexes, size_t n);

/* The same for one page, which is returned as it is then: not PRESUMED. */
struct page presume_settle(struct object *object, struct page page);

/* How many PRESUMED pages of [first, end) have not been stored to so far; the others
   are DIRTY then. 0: the object has more than *@most, of which those that are
   looked at are taken off. */
size_t presume_unchanged(struct object *object, uint64_t first, uint64_t end,
			 size_t *most);

/* A reader has passed @n pages from @first on, every @stride-th. Of those before it
   has stored to @before, if not to too few. Returns how many it are now. */
uint64_t presume_passed(struct mapping *mapping, uint64_t first, int64_t stride,
			uint64_t n, uint64_t before);

/* A load brings this page: will it, and what comes with it, be stored to? */
bool presume_loaded(struct mapping *mapping, uint64_t index);

/* A store to a page that was protected: those that follow may be presumed. */
void presume_stored(struct mapping *mapping, uint64_t index);

/* The mapping goes. */
void presume_forget(struct mapping *mapping);

#endif
