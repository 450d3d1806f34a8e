/* SPDX-License-Identifier: MIT */
/*
 * The state of each page of an object, sparsely
 *
 * An open-addressed table of one 64-bit word a page that is not ABSENT:
 *
 *   63            28 27    24 23            0
 *   index (36 bits)  state    views
 *
 * At most 16 bytes a page: the table is at least half full, whatever the
 * pattern of touches (it grows by a third at three quarters, and shrinks). A
 * page never touched costs nothing.
 *
 *   ABSENT -> FILLING            page claimed: fill_start(), first fault
 *   FILLING -> CLEAN             page settled: fill_settle(), the store answered
 *   FILLING -> ERROR             page settled: the store failed, SIGBUS
 *   ERROR -> FILLING             heal: tried again, a second later or at sync
 *   CLEAN -> DIRTY               object_dirtied(): write-protect fault
 *   FILLING, CLEAN -> PRESUMED   may be stored to unseen: presume.h
 *   PRESUMED -> CLEAN, DIRTY     presume_judge(), or a store that is seen
 *   DIRTY -> WRITING             writeback: protected, its bytes are on the way
 *   WRITING -> CLEAN             writeback: the store has them
 *   WRITING -> REDIRTIED         stored to while on the way
 *   WRITING, REDIRTIED -> DIRTY  writeback: failed, or stored to meanwhile
 *   CLEAN -> ABSENT              object_drop()
 *   CLEAN -> LEAVING -> ABSENT   private anonymous pages, to swap: swapout.h
 *
 * Beside its state a page has 24 view bits: bit v says that the mappings with
 * view v have touched it (object.h).
 */
#ifndef WMAP_PAGES_H
#define WMAP_PAGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum page_state {
	PAGE_ABSENT,
	PAGE_FILLING,
	PAGE_CLEAN,
	PAGE_DIRTY,
	PAGE_WRITING,
	PAGE_REDIRTIED,
	PAGE_ERROR,
	PAGE_LEAVING,
	PAGE_PRESUMED,
};

#define PAGES_VIEWS 24
#define PAGES_LIMIT (UINT64_C(1) << 36) /* every index is below */

struct pages {
	uint64_t *slots; /* NULL while empty */
	size_t n_slots, n_used;
};

/* One page as it is handed in and out. */
struct page {
	uint64_t index;
	enum page_state state;
	uint32_t views;
};

void pages_init(struct pages *pages);
void pages_destroy(struct pages *pages);

/* The page @index; state PAGE_ABSENT and no views if it is not in the table. */
struct page pages_get(const struct pages *pages, uint64_t index);

/* Room for @n pages more, which are about to come: the table is not made larger
   for them many times. -ENOMEM. */
int pages_reserve(struct pages *pages, size_t n);

/*
 * Write @page: inserts, changes, or (PAGE_ABSENT, whatever its views) removes
 * it. Only an insertion can fail: -ENOMEM, and nothing has changed.
 */
int pages_put(struct pages *pages, struct page page);

/* All of @n neighbours from @first on, none of which is in the table, without
   views. -ENOMEM, and none is. */
int pages_put_new(struct pages *pages, uint64_t first, size_t n,
		  enum page_state state);

/* Of @n neighbours those whose state is in the mask @states have the view @view
   from now on: how many did not. */
size_t pages_view(struct pages *pages, uint64_t first, size_t n,
		  unsigned states, uint32_t view);

/*
 * The next page at or after *@cursor, which starts at 0, that lies in
 * [first, end): in ascending order if the range is smaller than the table,
 * else in the table's own. False at the end. Changing the state or the views of
 * the page just handed out is allowed, inserting or removing is not.
 */
bool pages_next(const struct pages *pages, uint64_t first, uint64_t end,
		uint64_t *cursor, struct page *page);

/*
 * The indexes in [first, end) of all pages whose state is in the mask
 * @states (1u << PAGE_DIRTY | …), ascending; *@n of them, in memory of
 * mem_alloc(*@n * sizeof **indexes), NULL if none. -ENOMEM.
 */
int pages_collect(const struct pages *pages, uint64_t first, uint64_t end,
		  unsigned states, uint64_t **indexes, size_t *n);

/* How many in [first, end) have a state of the mask and a view of @views;
   @views 0: with or without views. */
size_t pages_count(const struct pages *pages, uint64_t first, uint64_t end,
		   unsigned states, uint32_t views);

/* Of each in [first, end) that has a view of @views (0: with or without views) the
   byte of its state: bytes[index - first] = by_state[state]. Others stay. */
void pages_spell(const struct pages *pages, uint64_t first, uint64_t end,
		 uint32_t views, const unsigned char *by_state,
		 unsigned char *bytes);

/* Bytes held. */
size_t pages_bytes(const struct pages *pages);

#endif
