/* SPDX-License-Identifier: MIT */
/*
 * An object: the bytes that mappings show, in memory, and each page's state
 *
 *              key          memory   store
 *   file       device,inode memfd    the file
 *   store      the store    memfd    it
 *   anonymous, shared  -    memfd    none: zeros
 *   anonymous, private -    plain    none: zeros; always exactly one mapping
 *   copies     -            plain    none: a mapping has them beside its object
 *
 * A page is put into a memfd whole (UFFDIO_COPY or pwrite), so that no mapping
 * ever sees half of one. An object lives as long as a mapping, a fill or a
 * write-back needs it.
 *
 * A view is what "this mapping has touched the page" is kept by: a bit in the
 * page's word for the first 24 mappings of an object, a table of its own for
 * later ones. The pieces of a split mapping share one, as they show different
 * pages. On a page in PAGE_ERROR it says that the mapping shows SIGBUS there.
 *
 * Invariant: n_present counts the pages in CLEAN, DIRTY, WRITING, REDIRTIED and
 * PRESUMED, n_dirty the last four, n_errors those in ERROR.
 */
#ifndef WMAP_OBJECT_H
#define WMAP_OBJECT_H

#include "internal.h"
#include "hashes.h"
#include "io.h"
#include "list.h"
#include "pages.h"

#define STATES_DIRTY \
	((1u << PAGE_DIRTY) | (1u << PAGE_WRITING) | (1u << PAGE_REDIRTIED) | \
	 (1u << PAGE_PRESUMED))
#define STATES_UNWRITTEN ((1u << PAGE_DIRTY) | (1u << PAGE_PRESUMED))
#define STATES_PRESENT	 (STATES_DIRTY | 1u << PAGE_CLEAN)

static inline bool page_is(struct page page, unsigned states)
{
	return states >> page.state & 1;
}

struct mapping;
struct pager;

struct object {
	struct list link;     /* objects of one hash of the key */
	struct pager *pager;  /* whose budget it counts in */
	struct list of_pager; /* pager.all */
	struct list pins;     /* pin.link */
	struct list windows;  /* window.of_object (budget.h) */
	struct share
		*payer; /* of pages that are just being put in place, or NULL */
	bool streaming; /* these were brought ahead of a stream */
	bool presuming; /* these become PRESUMED, if they can be stored to */
	uint64_t unwritable;  /* until then no page is evicted by writing it */
	struct list mappings; /* mapping.of_object */
	struct list fills;    /* fill.link: reads under way */
	struct list writebacks; /* writeback.link: the first one is running */
	struct list writes;	/* write.link: what its store has of ours */
	unsigned references;
	uint64_t dev, ino;	     /* of a file, else 0 */
	_Atomic unsigned *counts[2]; /* of files, that it is counted in */
	struct wmap_store *store;    /* NULL: zeros */
	struct wmap_store *swap;     /* where pages of it are, that has none; or
				    NULL: of zeros (swap.h) */
	struct list leavings;	     /* leaving.of_object (swapout.h) */
	struct mapping *owner; /* whose copies it has (copies.h), or NULL */
	int memfd;	       /* -1: plain memory */
	uint64_t n_pages;      /* the memfd's size */
	uint64_t length;       /* of the store in bytes, when last asked */
	struct pages pages;
	struct hashes presumed; /* of the pages in PRESUMED */
	size_t n_present, n_dirty, n_errors;
	struct pages errors; /* ledger.c: by ERRORS_PAGES neighbours, the slot
				of their record as views */
	uint32_t views;	     /* numbers taken */
	bool locked;	     /* no other pager writes back to this file */
	bool unflushed;	     /* written since the last flush */
	unsigned writing; /* runs being written back, within their deadline */
	unsigned writers; /* in write(2) to the file: no run is begun */
	struct account *account;   /* charged with it, or NULL */
	struct list of_maker;	   /* space.made, while that one lives */
	size_t *made;		   /* its n_made, or NULL */
	struct recorded *recorded; /* what is noted of its file, or NULL */
	struct post *stalled; /* their messages, until no run is on its way */
	struct list sick;     /* pager.sick, if it has pages in ERROR */
	size_t retries;	      /* tries to read such pages again */
	int error;	      /* of a write that nobody was told of yet, or 0 */
	uint64_t writebacks_done; /* pages */
	uint64_t write_errors;	  /* writes that failed */
	struct ledger *ledger;	  /* that it is recorded in, or NULL */
	uint64_t id, opened; /* its number there; times its file was opened */
	int box; /* its file's, if it is written to (box.h), or -1 */
	uint32_t slot;
};

#define VIEW_OWN PAGES_VIEWS

struct view {
	struct object *object;
	unsigned references;
	unsigned number;     /* 0 to 23, or VIEW_OWN */
	uint64_t first, end; /* pages that its mappings have ever shown */
	uint64_t low, high;  /* all that it ever touched lies in [low, high) */
	struct pages own;    /* of VIEW_OWN: the pages touched, as PAGE_CLEAN */
};

/* Where its pages are read from, and written to; NULL: nowhere, what is absent is
   zeros. */
static inline struct wmap_store *object_source(const struct object *object)
{
	return object->store ? object->store : object->swap;
}

/* -ENOMEM, -EMFILE …  @store is referenced; NULL for zeros. */
int object_create(struct wmap_store *store, bool plain, struct object **object);

/* One whose memory was another pager's: takes @memfd over, also on failure. No page
   of it is known yet. */
int object_adopt(struct wmap_store *store, int memfd, struct object **object);

/* What that memory has beside the pages that are known to be present is @state:
   CLEAN, or DIRTY if it may have been stored to. Takes long only if there is any. */
int object_find(struct object *object, enum page_state state);

struct object *object_get(struct object *object);
void object_put(struct object *object);

/* Room for @n_pages pages; -ENOMEM (also: more than PAGES_LIMIT), -EFBIG. */
int object_reach(struct object *object, uint64_t n_pages);

/*
 * Change a page's state and views, keeping the counts. -ENOMEM only if it was
 * ABSENT.
 */
int object_set(struct object *object, struct page page, enum page_state state,
	       uint32_t views);

/* @n neighbours, all of them ABSENT till now, are in @state, which is CLEAN or DIRTY.
   -ENOMEM, and none is. */
int object_come(struct object *object, uint64_t first, size_t n,
		enum page_state state);

/* What may be stored to from now on, unseen, had this hash. The caller has room
   for it reserved, and the page is not ABSENT. */
void object_presume(struct object *object, struct page page, uint32_t views,
		    struct hash hash);

/* Give [@first, @end) of a plain object's pages to @other, an empty one. */
int object_split(struct object *object, struct object *other, uint64_t first,
		 uint64_t end);

/* The bytes of pages, from or to the memfd; 0 or a negative errno. */
int object_read(struct object *object, uint64_t first, uint64_t count,
		void *buffer);
int object_write(struct object *object, uint64_t first, uint64_t count,
		 const void *buffer);

/* Bytes inside one present page. */
int object_patch(struct object *object, uint64_t offset, const void *bytes,
		 uint64_t length);

/* Take the memory of [first, first + count) back; states are the caller's. */
int object_punch(struct object *object, uint64_t first, uint64_t count);

int view_create(struct object *object, uint64_t first, uint64_t end,
		struct view **view);
struct view *view_get(struct view *view);
void view_put(struct view *view);

/* The bit of a page's views that stands for @view; 0 if it has its own table. */
static inline uint32_t view_bit(const struct view *view)
{
	return view->number < VIEW_OWN ? 1u << view->number : 0;
}

/* Has @view touched @page? @page as pages_get gave it. */
bool view_has(const struct view *view, struct page page);

/* It may have touched any page: a predecessor's, whose notes are lost. */
static inline void view_touched_any(struct view *view)
{
	view->low = view->first;
	view->high = view->end;
}

/* Note that @view has touched, or lost, a page: how far its touches reach and, if
   it has one, in its table. Comes with every bit that is set. */
int view_note(struct view *view, uint64_t index, bool touched);

#endif
