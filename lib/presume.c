/* SPDX-License-Identifier: MIT */
/* Presumed stores (presume.h has the model) */
#include <sys/mman.h>

#include "mem.h"
#include "presume.h"
#include "sys.h"

#define FEWEST	   4  /* one in so many */
#define SAMPLES	   16 /* of the last loads */
#define ENOUGH	   8  /* of them have to be known */
#define EVERY	   4  /* of so many loads one is a sample */
#define ROWS	   8  /* of stores in order, at a time */
#define NEAR	   8  /* pages: farther stores are of different rows */
#define WINDOW_MAX 64 /* pages presumed at one store: its thread waits */
#define WINDOW_MIN 2
#define TOGETHER   64 /* pages: nearer ones are protected together */

/* Stores in order to pages that were protected; dir 0: one was seen. */
struct row {
	uint64_t last;	      /* page */
	uint64_t first, edge; /* what was presumed, and where that ended */
	int64_t dir;
	uint64_t length; /* stores that were seen */
	uint64_t window;
	uint64_t used; /* stores.clock; 0: none */
};

struct stores {
	uint64_t sampled[SAMPLES]; /* pages that were loaded, in turns */
	uint64_t loads;
	uint32_t known, stored; /* bits: of those that they took the place of */
	uint64_t clock;
	struct row rows[ROWS];
};

static struct stores *stores_of(struct mapping *mapping)
{
	if (!mapping->stores)
		mapping->stores = mem_alloc(sizeof(*mapping->stores));
	return mapping->stores;
}

void presume_forget(struct mapping *mapping)
{
	mem_free(mapping->stores, sizeof(*mapping->stores));
	mapping->stores = NULL;
}

/* Are its pages tracked, of a store, and read ahead? */
static bool can_presume(const struct mapping *mapping)
{
	return mapping->tracked && mapping->shared && !mapping->exact &&
	       mapping->object->store && mapping->prot & PROT_WRITE &&
	       !mapping->closing && !mapping->refused;
}

/* Room for @n more hashes; and the key, which only who presumes has. */
static bool reserve(struct object *object, uint64_t n)
{
	struct pager *pager = object->pager;

	if (!pager->has_key)
		pager->has_key = !hash_key_draw(&pager->key);
	return pager->has_key && !hashes_reserve(&object->presumed, n);
}

bool presume_begin(struct mapping *mapping, uint64_t count)
{
	return can_presume(mapping) && reserve(mapping->object, count);
}

/* ---- Judging ----------------------------------------------------------------*/

static int hash_of(struct object *object, uint64_t index, struct hash *hash)
{
	_Alignas(8) char bytes[PAGE];
	int error = object_read(object, index, 1, bytes);

	if (!error)
		*hash = hash_page(bytes, &object->pager->key);
	return error;
}

/* Has it other bytes than it had? */
static int compare(struct object *object, uint64_t index, bool *changed)
{
	struct hash hash;
	int error = hash_of(object, index, &hash);

	if (!error)
		*changed =
			!hash_equal(hash, hashes_get(&object->presumed, index));
	return error;
}

/* Nobody can store to it. */
static int judge_page(struct object *object, uint64_t index)
{
	bool changed;
	int error = compare(object, index, &changed);
	struct page page = pages_get(&object->pages, index);

	if (!error)
		object_set(object, page, changed ? PAGE_DIRTY : PAGE_CLEAN,
			   page.views);
	return error;
}

/* @indexes of pages that are PRESUMED, near to each other. What is between them
   may be protected as well: its next store is seen. */
static int judge_group(struct object *object, const uint64_t *indexes, size_t n)
{
	int error = object_protect(object, indexes[0],
				   indexes[n - 1] - indexes[0] + 1);

	for (size_t i = 0; i < n && !error; i++)
		error = judge_page(object, indexes[i]);
	return error;
}

int presume_judge_of(struct object *object, const uint64_t *indexes, size_t n)
{
	size_t group;
	int error = 0;

	for (size_t i = 0; i < n && !error; i += group) {
		for (group = 1; i + group < n; group++)
			if (indexes[i + group] - indexes[i + group - 1] >
			    TOGETHER)
				break;
		error = judge_group(object, indexes + i, group);
	}
	return error;
}

int presume_judge(struct object *object, uint64_t first, uint64_t end)
{
	uint64_t *indexes;
	size_t n;
	int error;

	if (!hashes_count(&object->presumed))
		return 0;
	error = pages_collect(&object->pages, first, end, 1u << PAGE_PRESUMED,
			      &indexes, &n);
	if (error)
		return error;
	error = presume_judge_of(object, indexes, n);
	mem_free(indexes, n * sizeof(*indexes));
	return error;
}

struct page presume_settle(struct object *object, struct page page)
{
	if (page.state != PAGE_PRESUMED)
		return page;
	if (judge_group(object, &page.index, 1))
		object_dirtied(object, page);
	return pages_get(&object->pages, page.index);
}

/* ---- Looking ----------------------------------------------------------------*/

/* Has the page been stored to? False: that is not known. What has is DIRTY then;
   what has not may be, at once. */
static bool look_at(struct object *object, struct page page, bool *stored)
{
	if (!page_is(page, STATES_PRESENT))
		return false;
	*stored = page_is(page, STATES_DIRTY);
	if (page.state != PAGE_PRESUMED)
		return true;
	if (compare(object, page.index, stored))
		return false;
	if (*stored)
		object_dirtied(object, page);
	return true;
}

size_t presume_unchanged(struct object *object, uint64_t first, uint64_t end,
			 size_t *most)
{
	size_t looks = hashes_count(&object->presumed), n = 0;
	uint64_t cursor = 0;
	struct page page;
	bool stored;

	if (!looks || looks > *most)
		return 0;
	*most -= looks;
	while (pages_next(&object->pages, first, end, &cursor, &page))
		n += page.state == PAGE_PRESUMED &&
		     look_at(object, page, &stored) && !stored;
	return n;
}

/* ---- Learning ---------------------------------------------------------------*/

static bool is_enough(uint64_t stored, uint64_t known)
{
	return stored * FEWEST >= known;
}

uint64_t presume_passed(struct mapping *mapping, uint64_t first, int64_t stride,
			uint64_t n, uint64_t before)
{
	struct object *object = mapping->object;
	uint64_t known = 0, n_stored = 0;
	bool stored;

	if (!can_presume(mapping))
		return 0;
	for (uint64_t i = 0; i < n; i++) {
		uint64_t index = first + (uint64_t)stride * i;

		if (!look_at(object, pages_get(&object->pages, index), &stored))
			continue;
		known++;
		n_stored += stored;
	}
	return is_enough(n_stored, known) ? before + n_stored : 0;
}

/* One of the samples takes the place of another, of which it is known by now
   whether it was stored to. */
static void sample(const struct mapping *mapping, struct stores *stores,
		   uint64_t index)
{
	struct object *object = mapping->object;
	unsigned i = stores->loads / EVERY % SAMPLES;
	bool stored;

	stores->known &= ~(1u << i);
	stores->stored &= ~(1u << i);
	if (stores->loads >= EVERY * SAMPLES &&
	    look_at(object, pages_get(&object->pages, stores->sampled[i]),
		    &stored)) {
		stores->known |= 1u << i;
		stores->stored |= (unsigned)stored << i;
	}
	stores->sampled[i] = index;
}

bool presume_loaded(struct mapping *mapping, uint64_t index)
{
	struct stores *stores;
	unsigned known;

	if (!can_presume(mapping) || !(stores = stores_of(mapping)))
		return false;
	if (stores->loads % EVERY == 0)
		sample(mapping, stores, index);
	stores->loads++;
	known = (unsigned)__builtin_popcount(stores->known);
	return known >= ENOUGH &&
	       is_enough((unsigned)__builtin_popcount(stores->stored), known);
}

/* ---- Stores in order --------------------------------------------------------*/

/* It is clean, so no mapping can change it. */
static bool presume_page(struct object *object, struct page page)
{
	struct hash hash;

	if (hash_of(object, page.index, &hash))
		return false;
	object_presume(object, page, page.views, hash);
	return true;
}

static void unprotect(const struct mapping *mapping, uint64_t first,
		      uint64_t end)
{
	if (first < end)
		uffd_unprotect(mapping->space->uffd,
			       mapping_address(mapping, first),
			       (end - first) << PAGE_SHIFT);
}

/* The clean ones of [first, end); what cannot be unprotected now raises a fault,
   as before. */
static void presume_range(struct mapping *mapping, uint64_t first, uint64_t end)
{
	struct object *object = mapping->object;
	uint64_t from = first;

	if (!reserve(object, end - first))
		return;
	for (uint64_t i = first; i < end; i++) {
		struct page page = pages_get(&object->pages, i);

		if (page.state == PAGE_CLEAN && presume_page(object, page))
			continue;
		unprotect(mapping, from, i);
		from = i + 1;
	}
	unprotect(mapping, from, end);
}

static bool is_there(const struct mapping *mapping, uint64_t index)
{
	return index >= mapping->first && index < mapping_end_page(mapping) &&
	       page_is(pages_get(&mapping->object->pages, index),
		       STATES_PRESENT);
}

static void presume_next(struct mapping *mapping, struct row *row)
{
	uint64_t n = 0;

	row->first = row->last + (uint64_t)row->dir;
	while (n < row->window &&
	       is_there(mapping, row->first + (uint64_t)row->dir * n))
		n++;
	row->edge = row->first + (uint64_t)row->dir * n;
	if (!n)
		return;
	if (row->dir > 0)
		presume_range(mapping, row->first, row->edge);
	else
		presume_range(mapping, row->edge + 1, row->first + 1);
}

/* Is @index the next store of the row, or the second? */
static bool is_next(const struct row *row, uint64_t index)
{
	int64_t ahead = (int64_t)(index - row->edge) * row->dir;
	int64_t distance = (int64_t)(index - row->last);

	if (!row->used)
		return false;
	if (row->dir)
		return ahead >= 0 && ahead < NEAR;
	return distance && distance <= NEAR && distance >= -NEAR;
}

static struct row *find_row(struct stores *stores, uint64_t index)
{
	struct row *oldest = stores->rows;

	for (unsigned i = 0; i < ROWS; i++) {
		if (is_next(&stores->rows[i], index))
			return &stores->rows[i];
		if (stores->rows[i].used < oldest->used)
			oldest = &stores->rows[i];
	}
	*oldest = (struct row){ .last = index, .used = ++stores->clock };
	return NULL;
}

/* Twice as far, if it was right. If not, it has to be as long again. */
static void learn(struct mapping *mapping, struct row *row, uint64_t index)
{
	uint64_t n = (uint64_t)((int64_t)(row->edge - row->first) * row->dir);

	if (!row->dir)
		row->dir = index > row->last ? 1 : -1;
	row->length++;
	if (!n)
		row->window = row->length < PRESUME_AFTER ? 0 : WINDOW_MIN;
	else if (presume_passed(mapping, row->first, row->dir, n, 0))
		row->window = min_u64(2 * row->window, WINDOW_MAX);
	else
		row->length = row->window = 0;
}

void presume_stored(struct mapping *mapping, uint64_t index)
{
	struct stores *stores;
	struct row *row;

	if (!can_presume(mapping) || !(stores = stores_of(mapping)))
		return;
	row = find_row(stores, index);
	if (!row)
		return;
	learn(mapping, row, index);
	row->last = index;
	row->used = ++stores->clock;
	presume_next(mapping, row);
}
