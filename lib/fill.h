/* SPDX-License-Identifier: MIT */
/*
 * A fill: a run of pages of one object that are read together
 *
 * Its pages are FILLING; faults on them are set aside in its list of waiters.
 */
#ifndef WMAP_FILL_H
#define WMAP_FILL_H

#include "pager.h"

struct fill {
	struct io io;
	struct list link;    /* object.fills */
	struct list waiting; /* pager.hungry */
	struct list waiters; /* fault.link */
	struct pager *pager;
	struct object *object;
	struct share *share; /* that pays for it */
	struct mapping *via; /* NULL: none, or it went */
	bool behind; /* into the object, and not into via's page table */
	uint64_t first, count;
	uint64_t coming; /* of these, counted in the budget */
	uint64_t deadline;
	bool write;	/* one page, and its thread stores to it */
	bool presume;	/* it will be stored to, though that is not seen yet */
	bool woken;	/* all that slept on it through via are awake */
	bool zeros;	/* past the end of the store are zeros */
	bool healing;	/* the page was in ERROR */
	bool abandoned; /* nobody wants it any more */
	struct prefetch *prefetch; /* that asked for it, or NULL */
	bool ahead;		   /* nobody has asked for it yet */
	bool held;   /* when it was read it waits here to be touched */
	bool parked; /* it does; of the bytes that it has: */
	int64_t bytes;
	bool repeat;	   /* the store was changed while this read it */
	struct join *join; /* is told when it is settled, or NULL */
};

/* A fault for later; the list owns the copy. */
void fault_set_aside(struct list *list, const struct fault *fault);
struct fault fault_take_back(struct fault *aside);

/* This fault ends in SIGBUS. */
void fault_refuse(struct pager *pager, const struct fault *fault);

bool object_absent(const struct object *object, uint64_t index);

/* Is it absent, and more than zeros? */
bool object_readable(const struct object *object, uint64_t index);

/* Where what a mapping shows there is read from; NULL: it is not absent. */
struct object *mapping_reads(const struct mapping *mapping, uint64_t index);

/*
 * put.c: put a run of pages in place, through @via if it shows the object's own
 * memory. *@woken: every thread that slept on one of them through @via is awake.
 * @write: of one page, whose thread stores to it. @buffer NULL: zeros. -ENOENT,
 * -ESRCH: of plain memory, which is not there (any more).
 */
int fill_put(struct object *object, struct mapping *via, uint64_t first,
	     uint64_t count, const char *buffer, bool write, bool *woken);

/*
 * The run of absent pages around @index that one fault there brings: its grain,
 * or what follows it for a sequential reader. All have the same source.
 */
void fill_choose_run(const struct mapping *mapping, uint64_t index,
		     uint64_t *first, uint64_t *count);

/* May one page more be held back for @mapping? It takes its memory twice, and
   cannot be evicted. */
bool fill_may_hold(const struct mapping *mapping);

/* Is there memory for a run that is read for @share? */
bool fill_room(struct pager *pager, struct share *share, uint64_t count,
	       bool ahead);

/* Claim a run of an object, or of copies, which @mapping pays for; NULL without
   memory. The caller sets deadline, via … and lets it go: it begins now, or when
   there is a buffer. */
struct fill *fill_create(struct object *object, struct mapping *mapping,
			 uint64_t first, uint64_t count);
void fill_go(struct fill *fill);

/* prefetch.c: a read of its list is over; one that is held back has been read,
   and is about to be put in place. */
void prefetch_read(struct prefetch *prefetch, bool was_held);
void prefetch_parked(struct prefetch *prefetch);
void prefetch_unmark(struct prefetch *prefetch);
void prefetch_unparked(struct prefetch *prefetch);

/* Begin now, or not at all: false, and the fill is gone. */
bool fill_try(struct fill *fill);

/* A page that is held back goes into place: it was touched, or nobody waits for
   that any more. */
void fill_release(struct object *object, uint64_t index);

/* Bring the page of a fault, whose state is ABSENT or ERROR. */
void fill_start(struct pager *pager, struct mapping *mapping, uint64_t index,
		const struct fault *fault);

#endif
