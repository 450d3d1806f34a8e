/* SPDX-License-Identifier: MIT */
/* Mappings by address: a sorted array */
#include <string.h>
#include <sys/mman.h>

#include "account.h"
#include "ahead.h"
#include "copies.h"
#include "pin.h"
#include "presume.h"
#include "budget.h"
#include "ledger.h"
#include "mem.h"
#include "pager.h"
#include "space.h"
#include "swap.h"
#include "swapout.h"
#include "sys.h"

void space_create(struct space *space, int uffd, unsigned features)
{
	memset(space, 0, sizeof(*space));
	space->uffd = uffd;
	space->features = features;
	space->sigbus = space->pagemap = -1;
	space->hidden = UINT64_MAX;
	space->stats.size = sizeof(space->stats);
	list_init(&space->link);
	list_init(&space->made);
	share_init(&space->share, NULL);
	swapaway_open(space);
}

void space_destroy(struct space *space)
{
	assert(!space->n);
	if (space->sigbus >= 0)
		sys_call(SYS_close, space->sigbus);
	if (space->pagemap >= 0)
		sys_call(SYS_close, space->pagemap);
	if (space->uffd >= 0)
		sys_call(SYS_close, space->uffd);
	list_for_each(object, &space->made, struct object, of_maker) {
		list_del(&object->of_maker);
		object->made = NULL;
	}
	account_put(space->account);
	mem_free(space->entries, space->room * sizeof(*space->entries));
}

/* ---- Looking up ------------------------------------------------------------*/

static size_t lower(const struct space_entry *entries, size_t n,
		    uint64_t address)
{
	size_t low = 0;

	while (low < n) {
		size_t middle = (low + n) / 2;

		if (entries[middle].end <= address)
			low = middle + 1;
		else
			n = middle;
	}
	return low;
}

size_t space_lower(const struct space *space, uint64_t address)
{
	return lower(space->entries, space->n, address);
}

struct mapping *space_find(const struct space *space, uint64_t address)
{
	size_t i = space_lower(space, address);
	struct mapping *mapping;

	if (i < space->n && space->entries[i].start <= address)
		return space->entries[i].mapping;
	if (!i)
		return NULL;
	mapping = space->entries[i - 1].mapping;
	return mapping->growing && mapping->end == address ? mapping : NULL;
}

bool space_covers(const struct space *space, uint64_t start, uint64_t end)
{
	size_t i = space_lower(space, start);

	while (start < end) {
		if (i == space->n || space->entries[i].start > start)
			return false;
		start = space->entries[i++].end;
	}
	return true;
}

/* ---- Changing --------------------------------------------------------------*/

static bool is_full(const struct space *space)
{
	const struct account *account = space->account;

	return (space->n_max && space->n >= space->n_max) ||
	       (account && account->n_mappings >= account->mappings_max);
}

/* Room for one entry more. */
static int reserve(struct space *space)
{
	size_t room = space->room ? 2 * space->room : 64;
	struct space_entry *entries;

	if (is_full(space))
		return -ENOMEM;
	if (space->n < space->room)
		return 0;
	entries = mem_resize(space->entries, space->room * sizeof(*entries),
			     room * sizeof(*entries));
	if (!entries)
		return -ENOMEM;
	space->entries = entries;
	space->room = room;
	return 0;
}

static void insert(struct space *space, struct mapping *mapping)
{
	size_t at = space_lower(space, mapping->start);
	struct space_entry *entry = &space->entries[at];

	memmove(entry + 1, entry, (space->n - at) * sizeof(*entry));
	*entry = (struct space_entry){ mapping->start, mapping->end, mapping };
	space->n++;
	if (space->account)
		space->account->n_mappings++;
}

static void take_out(struct space *space, const struct mapping *mapping)
{
	size_t at = space_lower(space, mapping->start);
	struct space_entry *entry = &space->entries[at];

	assert(at < space->n && entry->mapping == mapping);
	space->n--;
	if (space->account)
		space->account->n_mappings--;
	memmove(entry, entry + 1, (space->n - at) * sizeof(*entry));
}

static void show(const struct mapping *mapping, int by)
{
	struct space *space = mapping->space;

	if (space->shows)
		space->shows(space, mapping, by);
}

int space_add(struct space *space, struct mapping *mapping)
{
	int error = reserve(space);

	if (error)
		return error;
	error = view_create(mapping->object, mapping->first,
			    mapping_end_page(mapping), &mapping->view);
	if (error)
		return error;
	mapping->space = space;
	mapping->exact = mapping_is_exact(mapping);
	if (!mapping->slot) /* a predecessor's is there already */
		error = ledger_mapping(mapping);
	if (error) {
		view_put(mapping->view);
		return error;
	}
	list_init(&mapping->held);
	list_init(&mapping->wanting);
	list_add(&mapping->object->mappings, &mapping->of_object);
	insert(space, mapping);
	if (space->n == 1)
		share_join(space);
	if (!mapping->object->pager)
		budget_adopt(space->pager, mapping->object,
			     mapping_share(mapping));
	show(mapping, 1);
	return 0;
}

/* What it shows may be shown by another one. */
static void drop_mapping(struct mapping *mapping)
{
	struct object *object = mapping->object;

	show(mapping, -1);
	list_del(&mapping->wanting);
	ahead_forget(mapping);
	presume_forget(mapping);
	share_part(mapping);
	object_put(object); /* first: else the view would not be the last */
	view_put(mapping->view);
	mem_free(mapping, sizeof(*mapping));
}

static void free_mapping(struct mapping *mapping)
{
	if (mapping->object->memfd < 0)
		swapout_forget(mapping->object, 0, UINT64_MAX);
	copies_end(mapping);
	pin_forget(mapping, mapping->first, mapping_end_page(mapping));
	drop_mapping(mapping);
}

void space_remove(struct mapping *mapping)
{
	struct space *space = mapping->space;

	assert(list_empty(&mapping->held));
	ledger_mapping_gone(mapping);
	take_out(space, mapping);
	free_mapping(mapping);
	if (!space->n)
		share_leave(space);
}

/* Pages of the mapping that its view has and that are present. */
static uint64_t count_loaded(const struct mapping *mapping)
{
	struct page page;
	uint64_t cursor = 0, n = 0;

	while (pages_next(&mapping->object->pages, mapping->first,
			  mapping_end_page(mapping), &cursor, &page))
		n += page_is(page, STATES_PRESENT) &&
		     view_has(mapping->view, page);
	return n;
}

/* What @upper shows of @lower, plain memory or copies, is @object's. */
static int split_pages(struct object *lower, struct object *object,
		       const struct mapping *upper)
{
	uint64_t first = upper->first, end = mapping_end_page(upper);
	int error;

	object->payer = mapping_share(upper);
	error = object_split(lower, object, first, end);
	object->payer = NULL;
	if (!error)
		error = swapout_split(lower, object, first, end);
	else
		return error;
	/* What finds no room in the books stays in memory. */
	if (error)
		object_split(object, lower, first, end);
	return error;
}

/* One for the upper part, and nothing of the lower one is on its way. */
static int split_begin(struct object *lower, struct object **object)
{
	int error = swapout_return(lower);

	if (!error)
		error = object_create(NULL, true, object);
	if (error)
		return error;
	fills_abandon(lower);
	budget_adopt(lower->pager, *object, NULL);
	return 0;
}

/* A plain object has one mapping: the upper part gets an object of its own. */
static int split_plain(struct mapping *lower_part, struct mapping *upper)
{
	struct object *lower = lower_part->object, *object;
	int error = split_begin(lower, &object);

	if (error)
		return error;
	error = view_create(object, upper->first, mapping_end_page(upper),
			    &upper->view);
	if (error)
		goto err_object;
	error = split_pages(lower, object, upper);
	if (error)
		goto err_view;
	upper->object = object;
	return 0;

err_view:
	view_put(upper->view);
err_object:
	object_put(object);
	return error;
}

static int split_copies(struct mapping *lower_part, struct mapping *upper)
{
	struct object *object;
	int error;

	upper->copies = NULL;
	if (!lower_part->copies)
		return 0;
	error = split_begin(lower_part->copies, &object);
	if (error)
		return error;
	object->owner = upper;
	error = split_pages(lower_part->copies, object, upper);
	if (error)
		object_put(object);
	else
		upper->copies = object;
	return error;
}

int space_split(struct mapping *mapping, uint64_t address)
{
	struct mapping *upper;
	int error = reserve(mapping->space);

	if (error)
		return error;
	upper = mem_alloc(sizeof(*upper));
	if (!upper)
		return -ENOMEM;
	*upper = *mapping;
	list_init(&upper->held);
	list_init(&upper->wanting);
	upper->start = address;
	upper->first = mapping_page(mapping, address);
	upper->length = mapping->length - (address - mapping->start);
	upper->faults = upper->fills = upper->errors = 0;
	upper->slot = 0;
	upper->ahead = NULL;
	upper->stores = NULL;
	error = split_copies(mapping, upper);
	if (!error && mapping->object->memfd < 0)
		error = split_plain(mapping, upper);
	if (!error && mapping->object->memfd >= 0) {
		object_get(upper->object);
		view_get(upper->view);
	}
	if (!error)
		error = ledger_mapping(upper);
	if (error) {
		mem_free(upper, sizeof(*upper));
		return error;
	}
	take_out(mapping->space, mapping);
	mapping->end = address;
	mapping->length = address - mapping->start;
	mapping->growing = false;
	list_del(&mapping->wanting);
	faults_release(mapping); /* of the upper one's growth page, perhaps */
	ledger_mapping(mapping); /* at worst upper counts where both are */
	if (mapping->object->memfd < 0) /* a successor finds it with upper */
		swap_drop(mapping->object->swap, upper->first,
			  mapping_end_page(upper));
	insert(mapping->space, mapping);
	insert(mapping->space, upper);
	list_add(&upper->object->mappings, &upper->of_object);
	share_get(upper->part);
	show(upper, 1);
	upper->n_loaded = count_loaded(upper);
	mapping->n_loaded -= upper->n_loaded;
	return 0;
}

/* Those of one view were one mapping once. */
static bool are_alike(const struct mapping *a, const struct mapping *b)
{
	return a->object == b->object && a->view == b->view &&
	       a->part == b->part && a->prot == b->prot &&
	       a->flags == b->flags && a->advice == b->advice &&
	       a->grain == b->grain && a->deadline == b->deadline &&
	       a->may_write == b->may_write && a->tracked == b->tracked &&
	       a->exact == b->exact && a->replayed == b->replayed &&
	       a->refused == b->refused;
}

static bool can_be_joined(const struct mapping *mapping)
{
	return mapping->object->memfd >= 0 && !mapping->copies &&
	       !mapping->closing && !mapping->moving && !mapping->unforked &&
	       list_empty(&mapping->wanting);
}

static void set_end(struct mapping *mapping, uint64_t end, uint64_t length)
{
	struct space *space = mapping->space;

	take_out(space, mapping);
	mapping->end = end;
	mapping->length = length;
	insert(space, mapping);
}

bool space_join(struct mapping *lower, struct mapping *upper)
{
	uint64_t end = lower->end, length = lower->length;

	if (lower->end != upper->start || !are_alike(lower, upper) ||
	    mapping_end_page(lower) != upper->first || !can_be_joined(lower) ||
	    !can_be_joined(upper))
		return false;
	take_out(upper->space, upper);
	set_end(lower, upper->end, end - lower->start + upper->length);
	if (ledger_mapping(lower)) { /* until it is gone upper counts */
		set_end(lower, end, length);
		insert(upper->space, upper);
		return false;
	}
	ledger_mapping_gone(upper);
	fills_forget(upper);
	faults_release(upper); /* they look again, for lower */
	lower->growing = upper->growing;
	lower->n_loaded += upper->n_loaded;
	lower->faults += upper->faults;
	lower->fills += upper->fills;
	lower->errors += upper->errors;
	drop_mapping(upper);
	return true;
}

/*
 * A piece that grows shows pages that others of its view may show, too: from
 * then on it needs a view of its own, with what it has touched so far.
 */
static int own_view(struct mapping *mapping)
{
	struct object *object = mapping->object;
	struct view *old = mapping->view, *view;
	uint64_t end = mapping_end_page(mapping), cursor = 0;
	struct page page;
	int error = view_create(object, mapping->first, end, &view);

	if (error)
		return error;
	while (pages_next(&object->pages, mapping->first, end, &cursor, &page))
		if (view_has(old, page) && !view_note(view, page.index, true)) {
			view_note(old, page.index, false);
			object_set(object, page, page.state,
				   (page.views & ~view_bit(old)) |
					   view_bit(view));
		}
	mapping->view = view;
	view_put(old);
	mapping->n_loaded = count_loaded(mapping);
	return 0;
}

int space_move(struct mapping *mapping, uint64_t start, uint64_t length)
{
	uint64_t end = start + page_up(length);
	uint64_t end_page = mapping->first + ((end - start) >> PAGE_SHIFT);
	int error = object_reach(mapping->object, end_page);

	if (!error && end_page > mapping_end_page(mapping) &&
	    mapping->object->mappings.next->next != &mapping->object->mappings)
		error = object_company(mapping->object);
	if (!error && end_page > mapping_end_page(mapping) &&
	    mapping->view->references > 1)
		error = own_view(mapping);
	if (error)
		return error;
	if (end_page < mapping_end_page(mapping))
		pin_forget(mapping, end_page, mapping_end_page(mapping));
	take_out(mapping->space, mapping);
	mapping->start = start;
	mapping->end = end;
	mapping->length = length;
	mapping->view->end = max_u64(mapping->view->end, end_page);
	insert(mapping->space, mapping);
	return ledger_mapping(mapping);
}

/* ---- Copying ----------------------------------------------------------------- */

/*
 * What the child has in its page tables, too: what the parent had loaded, where each
 * touch counts and in plain memory; and where a touch is SIGBUS in what it inherits.
 */
static uint32_t states_copied(const struct mapping *from)
{
	uint32_t states = from->shared ? 0 : 1u << PAGE_ERROR;

	if (from->flags & MAPPING_COURSE || from->object->memfd < 0)
		states |= STATES_PRESENT;
	return states;
}

static int copy_touched(const struct mapping *from, struct mapping *to)
{
	uint64_t end = mapping_end_page(from), cursor = 0;
	uint32_t states = states_copied(from);
	struct page page;
	int error = 0;

	while (!error && states &&
	       pages_next(&from->object->pages, from->first, end, &cursor,
			  &page)) {
		bool present = page_is(page, STATES_PRESENT);
		enum page_state state = page.state;

		if (!page_is(page, states) || !view_has(from->view, page))
			continue;
		if (to->object != from->object) {
			page.state = PAGE_ABSENT, page.views = 0;
			state = present ? PAGE_CLEAN : PAGE_ERROR;
		}
		error = view_note(to->view, page.index, true);
		if (!error)
			error = object_set(to->object, page, state,
					   page.views | view_bit(to->view));
		to->n_loaded += !error && present;
	}
	return error;
}

static int copy_object(const struct mapping *from, struct object **object)
{
	int error;

	if (from->object->memfd >= 0) {
		*object = object_get(from->object);
		return 0;
	}
	error = object_create(NULL, true, object);
	if (error)
		return error;
	(*object)->n_pages = from->object->n_pages;
	error = swapout_copy(from->object, *object, 0, UINT64_MAX);
	if (error)
		object_put(*object);
	return error;
}

static int copy_mapping(const struct mapping *from, struct space *to)
{
	struct mapping *mapping = mem_alloc(sizeof(*mapping));
	int error;

	if (!mapping)
		return -ENOMEM;
	*mapping = *from;
	mapping->slot = 0;
	list_init(&mapping->of_object);
	mapping->closing = mapping->alone = false;
	mapping->moving = mapping->unforked = false;
	mapping->ahead = NULL;
	mapping->stores = NULL;
	mapping->copies = NULL;
	mapping->n_loaded = 0;
	mapping->faults = mapping->fills = mapping->errors = 0;
	error = copy_object(from, &mapping->object);
	if (error)
		goto err_mapping;
	mapping->part = NULL;
	error = space_add(to, mapping);
	if (error)
		goto err_object;
	error = share_copy(from, mapping);
	if (!error)
		error = copy_touched(from, mapping);
	return error;

err_object:
	object_put(mapping->object);
err_mapping:
	mem_free(mapping, sizeof(*mapping));
	return error;
}

int space_copy(const struct space *from, struct space *to)
{
	int error = 0;

	for (size_t i = 0; i < from->n && !error; i++)
		error = copy_mapping(from->entries[i].mapping, to);
	return error;
}
