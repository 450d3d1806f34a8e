/* SPDX-License-Identifier: MIT */
/*
 * Windows: the pages in memory, by 512 neighbours of one object and one payer
 *
 *          first page       evict.c: watch()           judge()
 *   ABSENT ──────────► RESTING ──────────► WATCHED ──┬──────────► gone
 *                         ▲                          │ what was used stays
 *                         └──────────────────────────┤
 *                            WRITING ◄───────────────┘ what was changed is
 *                               └──► WATCHED               written back first
 *
 * Those of an object that can go nowhere stay where they are (KEPT): they are there
 * to be counted.
 *
 * Invariant: a page is in one window at most; one that is RESTING has pages; the
 * sums of a share are those of its windows.
 */
#ifndef WMAP_WINDOW_H
#define WMAP_WINDOW_H

#include "pager.h"
#include "share.h"

#define WINDOW_SHIFT 9
#define WINDOW_PAGES (1u << WINDOW_SHIFT)

enum window_place {
	WINDOW_RESTING,
	WINDOW_WATCHED,
	WINDOW_WRITING,
	WINDOW_KEPT,
};

struct window {
	struct list link;      /* of the share's queue; in none else */
	struct list hash;      /* budget.hashes */
	struct list of_object; /* object.windows */
	struct object *object; /* a reference only while it is written */
	struct share *share;   /* who pays */
	uint64_t number;
	uint64_t since;	 /* budget.clock: when it came to its place */
	uint64_t hidden; /* likewise: when it last left the page tables */
	uint64_t bits[WINDOW_PAGES / 64]; /* its pages */
	unsigned present;		  /* how many these are */
	bool asked; /* some were asked for; else all were brought by streams */
	unsigned next; /* to be judged */
	enum window_place place;
	/* in WINDOW_WRITING */
	struct writeback writeback;
	unsigned n_writing;
};

static inline bool window_has(const struct window *window, unsigned i)
{
	return window->bits[i / 64] >> i % 64 & 1;
}

/* The window that has a page, or NULL. */
struct window *window_of(struct object *object, uint64_t index);

/* A page of @object came, and @share pays for it. Without memory for a window it
   is not counted, and stays. */
void window_add(struct object *object, uint64_t index, struct share *share);

/* Pages that are there were not brought by a stream alone. */
void window_asked(struct object *object, uint64_t first, uint64_t count);

/* It went, if one had it. */
void window_remove(struct object *object, uint64_t index);

/* Out of its queue, or into one at its end. */
void window_move_to(struct window *window, enum window_place place);

/* To be judged before all others. */
void window_first(struct window *window);

/* Another pays for all its pages. */
void window_charge(struct window *window, struct share *share);

/* The newest that a stream brought and has passed: a quarter of what @share has is
   newer. NULL: there is none. */
struct window *window_passed(const struct share *share);

/* It is empty, or not to be counted any more. */
void window_destroy(struct window *window);
void window_forget(struct window *window);

/* Of @share and its parts: what has been at @place for longest, or NULL. */
struct window *window_oldest(const struct share *share,
			     enum window_place place);

/* Is one of them being written, or may it be? */
bool window_hopes(const struct share *share);

#endif
