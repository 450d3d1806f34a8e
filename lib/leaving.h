/* SPDX-License-Identifier: MIT */
/*
 * A run of pages that have left their mapping (swapout.h)
 *
 * Its memory is the pager's own. A page of it is alive until it is back, written,
 * or not needed any more; the run goes with its last one.
 *
 * Invariant: a LEAVING page is alive in one run; what is alive has memory there;
 * of two runs with a page in common one at most is being written.
 */
#ifndef WMAP_LEAVING_H
#define WMAP_LEAVING_H

#include "io.h"
#include "pager.h"

#define LEAVING_PAGES 64 /* of a run: one word has a bit for each */

/* Of a run that is in another process's memory (swapaway.h). */
enum leaving_stage {
	LEAVING_QUEUED,
	LEAVING_COPYING,
	LEAVING_WRITING,
	LEAVING_WRITTEN,
	LEAVING_TAKING
};

struct leaving {
	struct io io;
	struct list link;      /* swapout.cooling or .retiring */
	struct list of_object; /* object.leavings */
	struct pager *pager;
	struct object *object; /* a reference */
	uint64_t first, count;
	uint64_t alive; /* bit i: page first + i is LEAVING, and here */
	uint64_t held;	/* bit i: it takes memory here */
	char *memory; /* of count pages; of one that is away: while it is copied,
			 and written */
	bool moved;   /* the pages themselves; else copies */
	bool writing; /* these: */
	uint64_t from, n;
	uint64_t begun; /* then */
	/* of one that is away: */
	bool away;
	enum leaving_stage stage;
	struct space *space; /* while any of it is alive */
	uint64_t counted;    /* pages, as being written */
	uint64_t at;	     /* page of what is copied; or first range of what
				is taken */
	uint64_t ranges;     /* as many */
};

static inline uint64_t leaving_bit(const struct leaving *leaving,
				   uint64_t index)
{
	return UINT64_C(1) << (index - leaving->first);
}

static inline bool leaving_has(const struct leaving *leaving, uint64_t index)
{
	return index - leaving->first < leaving->count &&
	       leaving->alive & leaving_bit(leaving, index);
}

static inline unsigned leaving_count(const struct leaving *leaving)
{
	return (unsigned)__builtin_popcountll(leaving->alive);
}

/* They take no memory here any more. */
static inline void leaving_unhold(struct leaving *leaving, uint64_t pages)
{
	pages &= leaving->held;
	leaving->held &= ~pages;
	leaving->pager->swapout.held -= (uint64_t)__builtin_popcountll(pages)
					<< PAGE_SHIFT;
}

static inline char *leaving_bytes(const struct leaving *leaving, uint64_t index)
{
	return leaving->memory + ((index - leaving->first) << PAGE_SHIFT);
}

/* Of [first, first + count), of which nothing has left yet. NULL: no memory. */
struct leaving *leaving_create(struct object *object, uint64_t first,
			       uint64_t count);
void leaving_destroy(struct leaving *leaving);

/* It gets its memory, or -ENOMEM; and has none any more. */
int leaving_map(struct leaving *leaving);
void leaving_unmap(struct leaving *leaving);

/* Its first @n pages are LEAVING; it is in @list. */
void leaving_begin(struct leaving *leaving, uint64_t n, struct list *list);

/* What is written: the first pages that are here, side by side. */
void leaving_choose(struct leaving *leaving);

/* Write their @bytes to its object's swap: it is retiring until @release, which
   is io.h's, as @done is. */
void leaving_write(struct leaving *leaving, char *bytes,
		   void (*done)(struct io *io), void (*release)(struct io *io));

/* One is not here any more: it came back, was written, or is not needed. */
void leaving_part(struct leaving *leaving, uint64_t index);

/* A write has failed, for the log and the next wmap_sync. */
void leaving_failed(struct leaving *leaving, int error);

/* A run that nothing is left of goes, unless the store has it just now. */
void leaving_settle(struct leaving *leaving);

#endif
