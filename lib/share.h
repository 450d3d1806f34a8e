/* SPDX-License-Identifier: MIT */
/*
 * Shares: who pays for which pages
 *
 *   budget ─┬─ share of a process ─┬─ what its mappings brought
 *           │                      ├─ part: what one brought that has a budget
 *           │                      └─ part …                  of its own
 *           ├─ share of another process …
 *           └─ rest: what nobody brought that is there still
 *
 * Each page in memory is charged once: to the mapping through which it was
 * brought (by a fault, ahead of one, by a list), or pinned. So a page that several
 * processes show is paid by the first that needed it; when that one no longer
 * shows the object it is another's that does.
 *
 * A process is due an equal part of what can be kept (share_due): of that for
 * its user, who has an equal part of all. What it does not use others may have,
 * and must give back first: when memory is short pages go of who is farthest
 * above its due, and of nobody who is not, but of who asks. (There always is one
 * above: what is due to all together is less than what eviction begins at.)
 *
 * Beside that a share may have a limit of its own, and gives pages then whoever
 * has none.
 *
 * A share is counted if there is anything to bound it; else nothing is known of
 * it.
 */
#ifndef WMAP_SHARE_H
#define WMAP_SHARE_H

#include "internal.h"
#include "list.h"

struct account;
struct mapping;
struct object;
struct pager;
struct space;

#define BUDGET_NONE UINT64_MAX

struct share {
	struct list link;    /* budget.shares; of a part: whole->parts */
	struct list scarce;  /* budget.scarce, while it has little room left */
	struct list hungry;  /* fill.waiting: until it has room */
	struct share *whole; /* the process's; itself if it is that */
	struct list parts;
	unsigned n_parts;
	unsigned references;	 /* of a part: the pieces of its mapping */
	struct account *account; /* its user's, or NULL */
	bool joined;		 /* its process has mappings */
	uint64_t limit;		 /* bytes, or BUDGET_NONE */
	uint64_t asked;		 /* the last time it was asked in vain */
	/* Pages, and with those of its parts: */
	uint64_t present; /* in memory */
	uint64_t coming;  /* that reads under way will bring */
	uint64_t parked;  /* of these, held back */
	uint64_t pinned;
	uint64_t buffers; /* bytes, of those reads */
	/* window.c */
	struct list resting, watched; /* window.link, without its parts' */
	/* With those of its parts: pages in them, and being written; windows. */
	uint64_t n_resting, n_watched, n_writing;
	uint64_t n_windows; /* that can be evicted */
};

void share_init(struct share *share, struct share *whole);

/* What pays for a mapping's pages. */
struct share *mapping_share(const struct mapping *mapping);

/* Who pays for a page that comes now, unless somebody is about to say so by
   object.payer. */
struct share *share_of_page(const struct object *object, uint64_t index);

/* A process has its first mapping, or none any more. */
void share_join(struct space *space);
void share_leave(struct space *space);

/* Bytes that it may count on; BUDGET_NONE without a budget. */
uint64_t share_due(const struct pager *pager, const struct share *whole);

/* Of @bytes that all have together those of a process; BUDGET_NONE stays. */
uint64_t share_part_of(const struct pager *pager, const struct share *whole,
		       uint64_t bytes);

/* Bytes that it may have at most, whatever bounds it. */
uint64_t share_most(const struct pager *pager, const struct share *share);

/* Bytes of the budget that a process uses. */
uint64_t share_used(const struct share *whole);

/* Is anything to be known of it? */
bool share_is_counted(const struct pager *pager, const struct share *share);

/*
 * May it have @pages more? Evicts what can go at once of what is its own; what is
 * only a guess (@ahead) evicts nothing. NULL: yes; else who has no room, it or
 * the whole.
 */
struct share *share_take(struct pager *pager, struct share *share,
			 uint64_t pages, bool ahead);

/* The same without evicting. */
struct share *share_full(struct share *share, uint64_t pages, bool ahead);

/* Will it have room again by itself? */
bool share_hopes(const struct share *share);

/* Pages of its limit to be made free in the background, @times what is kept free
   for who comes next. */
uint64_t share_missing(const struct pager *pager, const struct share *share,
		       unsigned times);

/* Reads under way for it: @by pages, of whose @bytes of buffers; either sign. */
void share_coming(struct share *share, int64_t by, int64_t bytes);
void share_parked(struct share *share, int64_t by);
void share_pinned(struct share *share, int64_t by);

/* Bound what a mapping's pages, or a process's, may have; BUDGET_NONE: no more.
   -EINVAL: too small; -ENOMEM. */
int share_bound_mapping(struct mapping *mapping, uint64_t limit);
int share_bound_process(struct space *space, uint64_t limit);

/* A piece, or a copy, of a mapping has a budget as it has. */
void share_get(struct share *part);
int share_copy(const struct mapping *from, struct mapping *to);

/* @mapping shows its object no longer, and leaves its list: what it paid for
   others pay for from now on. */
void share_part(struct mapping *mapping);

#endif
