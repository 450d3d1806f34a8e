/* SPDX-License-Identifier: MIT */
/*
 * Copies: the changed pages of a private mapping of a file
 *
 *   mapping ─┬─ object   the file's bytes, in a memfd: shown protected
 *            └─ copies   an object of its own, plain: what was stored to
 *
 * The kernel copies a page of a private mapping at the first store to it. Where
 * memory is bounded the pager has to know: such a mapping is registered for minor
 * and write-protect faults too, and a first store is a message. From then on its
 * page is one of the copies, which are counted, go to swap and come back as
 * private anonymous pages do (swapout.h), but for zeros: what is ABSENT, and not
 * in swap, is the object's, so those are kept.
 *
 *   ABSENT    the object's page, protected wherever it is in the page table
 *   CLEAN     the mapping's own page, which may be stored to
 *   else      nothing is in the page table: a touch is a message, whatever the
 *             object has
 *
 * A page may be CLEAN a moment before the kernel copies it, or never be copied,
 * if it left the page table meanwhile: then its next touch tells.
 *
 * Only in the pager's own process, as swapping is. Without a bound nothing of
 * this is done: stores cost no message.
 */
#ifndef WMAP_COPIES_H
#define WMAP_COPIES_H

#include "space.h"

/* Has the mapping changed the page, wherever its bytes are now? */
bool copies_have(const struct mapping *mapping, uint64_t index);

/* Where the bytes are that a mapping shows: its copies, or its object. */
static inline struct object *mapping_source(const struct mapping *mapping,
					    uint64_t index)
{
	return mapping->copies && copies_have(mapping, index) ?
		       mapping->copies :
		       mapping->object;
}

/* The one mapping of plain memory, or of copies; of a memfd one of many; or
   NULL. */
struct mapping *object_mapping(const struct object *object);

/* For a mapping whose memory is not there yet: it is registered by who places it.
   -ENOMEM. */
int copies_create(struct mapping *mapping);

/* For one that is there: what it has changed before is found. What cannot be done
   now, for want of memory, is not: its copies are not counted. */
void copies_begin(struct mapping *mapping);

/* Pages [first, end) are the object's again; who drops them from the mapping is
   the caller. */
void copies_forget(struct mapping *mapping, uint64_t first, uint64_t end);

/* The mapping goes. */
void copies_end(struct mapping *mapping);

/* Pages [first, first + count) were shown unprotected, or may have been: protect
   what is the object's, and note what is not. */
void copies_look(struct mapping *mapping, uint64_t first, uint64_t count);

/* A store to a protected page is allowed from now on: it is a copy. */
void copies_allow(struct mapping *mapping, uint64_t index);

/* Take a page of the object's out of the page table, where copies_put is to put
   its copy. -EINVAL: it is locked there. */
int copies_hide(const struct mapping *mapping, uint64_t index);

/* Put a copy in place, and wake its sleeper. -EEXIST: something is there. */
int copies_put(struct mapping *mapping, uint64_t index, const void *bytes);

/* One that is CLEAN, and touched: is it there? If not it never was. */
bool copies_check(struct mapping *mapping, uint64_t index);

/* Pages in memory that it shows, and those that it has touched. */
void copies_count(const struct mapping *mapping, size_t *resident,
		  size_t *loaded);

#endif
