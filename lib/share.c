/* SPDX-License-Identifier: MIT */
/* Who pays for which pages, and may have how many (share.h) */
#include "account.h"
#include "copies.h"
#include "fill.h"
#include "ledger.h"
#include "mem.h"
#include "pin.h"
#include "share.h"
#include "window.h"

void share_init(struct share *share, struct share *whole)
{
	*share = (struct share){ .limit = BUDGET_NONE };
	share->whole = whole ? whole : share;
	share->references = 1;
	list_init(&share->link);
	list_init(&share->scarce);
	list_init(&share->hungry);
	list_init(&share->parts);
	list_init(&share->resting);
	list_init(&share->watched);
	if (whole)
		list_add(&whole->parts, &share->link);
}

/* ---- Who pays --------------------------------------------------------------*/

struct share *mapping_share(const struct mapping *mapping)
{
	return mapping->part ? mapping->part : &mapping->space->share;
}

/* One that shows @object, of @space if there is one. */
static struct share *share_of(const struct object *object,
			      const struct space *space)
{
	struct share *first = NULL;

	if (object->owner)
		return mapping_share(object->owner);
	list_for_each(mapping, &object->mappings, struct mapping, of_object) {
		if (mapping->space == space)
			return mapping_share(mapping);
		if (!first)
			first = mapping_share(mapping);
	}
	return first ? first : &object->pager->budget.rest;
}

struct share *share_of_page(const struct object *object, uint64_t index)
{
	struct share *pins = pin_share(object, index);

	if (pins)
		return pins;
	return object->payer ? object->payer : share_of(object, NULL);
}

/* Is there something to be paid for? */
static bool is_charged(const struct object *object)
{
	return object->pager &&
	       (!list_empty(&object->windows) || !list_empty(&object->fills));
}

static bool has_its_share(struct list *link, const struct mapping *mapping)
{
	return link != &mapping->object->mappings &&
	       mapping_share(list_entry(link, struct mapping, of_object)) ==
		       mapping_share(mapping);
}

/* Does another mapping of the object have the share of this one? Those of one
   process often are neighbours. */
static bool pays_on(const struct mapping *mapping)
{
	if (has_its_share(mapping->of_object.next, mapping) ||
	    has_its_share(mapping->of_object.prev, mapping))
		return true;
	list_for_each(other, &mapping->object->mappings, struct mapping,
		      of_object)
		if (other != mapping &&
		    has_its_share(&other->of_object, mapping))
			return true;
	return false;
}

/* ---- What is due -----------------------------------------------------------*/

void share_join(struct space *space)
{
	struct share *share = &space->share;
	struct budget *budget = &space->pager->budget;

	share->joined = true;
	share->account = space->account;
	list_add(&budget->shares, &share->link);
	if (!share->account || !share->account->n_sharing++)
		budget->n_users++;
}

void share_leave(struct space *space)
{
	struct share *share = &space->share;
	struct budget *budget = &space->pager->budget;

	share->joined = false;
	list_del(&share->link);
	list_del(&share->scarce);
	if (!share->account || !--share->account->n_sharing)
		budget->n_users--;
}

uint64_t share_part_of(const struct pager *pager, const struct share *whole,
		       uint64_t bytes)
{
	if (bytes == BUDGET_NONE || !whole->joined)
		return bytes == BUDGET_NONE ? bytes : 0;
	bytes /= pager->budget.n_users;
	return whole->account ? bytes / whole->account->n_sharing : bytes;
}

uint64_t share_due(const struct pager *pager, const struct share *whole)
{
	return share_part_of(pager, whole, budget_shared(&pager->budget));
}

uint64_t share_most(const struct pager *pager, const struct share *share)
{
	uint64_t most = share_part_of(pager, share->whole, pager->budget.limit);

	return min_u64(most, min_u64(share->limit, share->whole->limit));
}

uint64_t share_used(const struct share *whole)
{
	return ((whole->present + whole->coming) << PAGE_SHIFT) +
	       whole->buffers;
}

bool share_is_counted(const struct pager *pager, const struct share *share)
{
	return budget_is_set(&pager->budget) || share->limit != BUDGET_NONE ||
	       share->whole->limit != BUDGET_NONE;
}

/* ---- Limits of its own -----------------------------------------------------*/

/* Pages above its limit, if it had @pages more. */
static uint64_t above(const struct share *share, uint64_t pages, bool ahead)
{
	uint64_t limit = share->limit >> PAGE_SHIFT;
	uint64_t used = share->present + share->coming + pages;

	if (share->limit == BUDGET_NONE)
		return 0;
	if (ahead)
		limit -= limit / 64;
	return used > limit ? used - limit : 0;
}

struct share *share_full(struct share *share, uint64_t pages, bool ahead)
{
	if (above(share, pages, ahead))
		return share;
	return above(share->whole, pages, ahead) ? share->whole : NULL;
}

uint64_t share_missing(const struct pager *pager, const struct share *share,
		       unsigned times)
{
	uint64_t limit = share->limit >> PAGE_SHIFT;
	uint64_t used = share->present + share->coming;

	if (share->limit == BUDGET_NONE)
		return 0;
	used += times * max_u64(limit / 64, 8);
	used += min_u64(limit / 16, pager->ahead_wants >> PAGE_SHIFT);
	return used > limit ? used - limit : 0;
}

/* Eviction looks after those that it is told of. */
static void note_scarcity(struct pager *pager, struct share *share)
{
	if (!share_missing(pager, share, 1))
		return;
	if (list_empty(&share->scarce))
		list_add(&pager->budget.scarce, &share->scarce);
	evict_kick(pager);
}

/* False: it has no room for them. */
static bool take(struct pager *pager, struct share *share, uint64_t pages,
		 bool ahead)
{
	uint64_t missing = above(share, pages, ahead);

	if (missing && !ahead)
		evict_of(pager, share, missing);
	note_scarcity(pager, share);
	return !above(share, pages, ahead);
}

struct share *share_take(struct pager *pager, struct share *share,
			 uint64_t pages, bool ahead)
{
	if (!take(pager, share, pages, ahead))
		return share;
	return take(pager, share->whole, pages, ahead) ? NULL : share->whole;
}

bool share_hopes(const struct share *share)
{
	return share->coming > share->parked || window_hopes(share);
}

void share_coming(struct share *share, int64_t by, int64_t bytes)
{
	share->coming += by;
	share->buffers += bytes;
	if (share->whole != share)
		share_coming(share->whole, by, bytes);
}

void share_parked(struct share *share, int64_t by)
{
	share->parked += by;
	if (share->whole != share)
		share_parked(share->whole, by);
}

void share_pinned(struct share *share, int64_t by)
{
	share->pinned += by;
	if (share->whole != share)
		share_pinned(share->whole, by);
}

/* ---- Bounding --------------------------------------------------------------*/

static int bound(struct share *share, uint64_t limit)
{
	if (limit < BUDGET_MIN)
		return -EINVAL;
	if (limit != BUDGET_NONE &&
	    share->pinned > (limit >> PAGE_SHIFT) / 4 * 3)
		return -ENOMEM;
	share->limit = limit;
	return 0;
}

/* It pays for the pages that it touched and nobody does, or the whole did. */
static void charge_touched(struct mapping *mapping)
{
	struct object *object = mapping->object;
	struct share *share = mapping_share(mapping);
	struct page page;
	uint64_t cursor = 0;

	while (pages_next(&object->pages, mapping->first,
			  mapping_end_page(mapping), &cursor, &page)) {
		struct window *window = window_of(object, page.index);

		if (!page_is(page, STATES_PRESENT) ||
		    !view_has(mapping->view, page) ||
		    (window && window->share != share->whole))
			continue;
		window_remove(object, page.index);
		window_add(object, page.index, share);
	}
}

static void charge_copies(struct object *copies, struct share *share)
{
	struct page page;
	uint64_t cursor = 0;

	while (pages_next(&copies->pages, 0, UINT64_MAX, &cursor, &page))
		if (page_is(page, STATES_PRESENT)) {
			window_remove(copies, page.index);
			window_add(copies, page.index, share);
		}
}

static void forget_windows(struct object *object)
{
	list_for_each(window, &object->windows, struct window, of_object)
		if (!share_is_counted(object->pager, window->share))
			window_forget(window);
}

/* What bounds it has changed. */
static void count_anew(struct mapping *mapping)
{
	struct share *share = mapping_share(mapping);
	bool counted = share_is_counted(mapping->space->pager, share);

	if (counted) {
		charge_touched(mapping);
		copies_begin(mapping);
	} else {
		forget_windows(mapping->object);
	}
	if (counted && mapping->copies)
		charge_copies(mapping->copies, share);
	else if (mapping->copies)
		forget_windows(mapping->copies);
}

static void begin_anew(struct pager *pager, struct share *share)
{
	note_scarcity(pager, share);
	fills_feed(pager);
}

/* Of another process, against who would have all of them looked at. */
#define PARTS_MAX 1024

static int make_part(struct mapping *mapping)
{
	struct space *space = mapping->space;
	struct share *part = NULL;

	if (space->home || space->share.n_parts < PARTS_MAX)
		part = mem_alloc(sizeof(*part));
	if (!part)
		return -ENOMEM;
	space->share.n_parts++;
	share_init(part, &mapping->space->share);
	mapping->part = part;
	pin_charge(mapping);
	fills_charge(mapping->object, mapping, part->whole, part);
	if (mapping->copies)
		fills_charge(mapping->copies, mapping, part->whole, part);
	return 0;
}

int share_bound_mapping(struct mapping *mapping, uint64_t limit)
{
	struct pager *pager = mapping->space->pager;
	int error = 0;

	if (!mapping->part && limit == BUDGET_NONE)
		return 0;
	if (limit < BUDGET_MIN)
		return -EINVAL;
	if (!mapping->part)
		error = make_part(mapping);
	if (!error)
		error = bound(mapping->part, limit);
	if (error)
		return error;
	count_anew(mapping);
	begin_anew(pager, mapping->part);
	return ledger_mapping(mapping);
}

int share_bound_process(struct space *space, uint64_t limit)
{
	int error = bound(&space->share, limit);

	for (size_t i = 0; i < space->n && !error; i++)
		count_anew(space->entries[i].mapping);
	if (error)
		return error;
	begin_anew(space->pager, &space->share);
	ledger_space_memory(space->ledger, space->slot, limit);
	return 0;
}

/* ---- Coming and going ------------------------------------------------------*/

void share_get(struct share *part)
{
	if (part)
		part->references++;
}

static void put(struct share *part)
{
	if (!part || --part->references)
		return;
	assert(!part->present && !part->coming && !part->pinned);
	part->whole->n_parts--;
	list_del(&part->link);
	list_del(&part->scarce);
	mem_free(part, sizeof(*part));
}

int share_copy(const struct mapping *from, struct mapping *to)
{
	return share_bound_mapping(to, from->part ? from->part->limit :
						    BUDGET_NONE);
}

void share_part(struct mapping *mapping)
{
	struct object *object = mapping->object;
	struct share *share = mapping_share(mapping), *heir;
	bool over = is_charged(object) && !pays_on(mapping);

	list_del(&mapping->of_object);
	if (over) {
		heir = share_of(object, mapping->space);
		list_for_each(window, &object->windows, struct window,
			      of_object)
			if (window->share == share)
				window_charge(window, heir);
		fills_charge(object, NULL, share, heir);
	}
	put(mapping->part);
}
