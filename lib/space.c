/* SPDX-License-Identifier: MIT */
/* Mappings by address: a sorted array, read by others under a sequence count */
#include <string.h>
#include <sys/mman.h>

#include "mem.h"
#include "space.h"
#include "sys.h"

/*
 * The count is odd while the entries change. It is global, as the array it
 * guards is never freed but to be replaced by a larger one: a reader that still
 * looks at the old one reads stale numbers, and then sees that the count moved.
 * (Old arrays stay: together they are no larger than the one in use.)
 *
 * The reader's loads of the entries are acquire, so that its second load of the
 * count comes after them; the writer's stores are release, so that they come
 * after the count became odd.
 */
static _Atomic unsigned sequence;

static void change_begin(void)
{
	unsigned now = atomic_load_explicit(&sequence, memory_order_relaxed);

	atomic_store_explicit(&sequence, now + 1, memory_order_relaxed);
}

static void change_end(void)
{
	unsigned now = atomic_load_explicit(&sequence, memory_order_relaxed);

	atomic_store_explicit(&sequence, now + 1, memory_order_release);
}

void space_child(void)
{
	atomic_store_explicit(&sequence, 0, memory_order_relaxed);
}

static void entry_set(struct space_entry *entry, uint64_t start, uint64_t end)
{
	atomic_store_explicit(&entry->start, start, memory_order_release);
	atomic_store_explicit(&entry->end, end, memory_order_release);
}

static uint64_t entry_start(const struct space_entry *entry)
{
	return atomic_load_explicit(&entry->start, memory_order_acquire);
}

static uint64_t entry_end(const struct space_entry *entry)
{
	return atomic_load_explicit(&entry->end, memory_order_acquire);
}

static void entry_copy(struct space_entry *to, const struct space_entry *from)
{
	entry_set(to, entry_start(from), entry_end(from));
	to->mapping = from->mapping;
}

void space_create(struct space *space, int uffd, unsigned features)
{
	memset(space, 0, sizeof(*space));
	space->uffd = uffd;
	space->features = features;
	space->sigbus = -1;
}

void space_destroy(struct space *space)
{
	assert(!space->n);
	if (space->sigbus >= 0)
		sys_call(SYS_close, space->sigbus);
	sys_call(SYS_close, space->uffd);
}

/* ---- Looking up ------------------------------------------------------------*/

static size_t lower(const struct space_entry *entries, size_t n,
		    uint64_t address)
{
	size_t low = 0;

	while (low < n) {
		size_t middle = (low + n) / 2;

		if (entry_end(&entries[middle]) <= address)
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

	if (i < space->n && entry_start(&space->entries[i]) <= address)
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
		if (i == space->n || entry_start(&space->entries[i]) > start)
			return false;
		start = entry_end(&space->entries[i++]);
	}
	return true;
}

bool space_ours(const struct space *space, uint64_t *start, uint64_t *end)
{
	for (;;) {
		unsigned before =
			atomic_load_explicit(&sequence, memory_order_acquire);
		const struct space_entry *entries =
			__atomic_load_n(&space->entries, __ATOMIC_ACQUIRE);
		size_t n = __atomic_load_n(&space->n, __ATOMIC_ACQUIRE);
		uint64_t from = 0, to = 0;
		size_t i;

		if (before & 1) {
			sys_call(SYS_sched_yield);
			continue;
		}
		i = lower(entries, n, *start);
		if (i < n) {
			from = entry_start(&entries[i]);
			to = entry_end(&entries[i]);
		}
		if (atomic_load_explicit(&sequence, memory_order_acquire) !=
		    before)
			continue;
		if (i == n || from >= *end)
			return false;
		*start = max_u64(*start, from);
		*end = min_u64(*end, to);
		return true;
	}
}

/* ---- Changing --------------------------------------------------------------*/

/* Room for one entry more. */
static int reserve(struct space *space)
{
	size_t room = space->room ? 2 * space->room : 64;
	struct space_entry *entries;

	if (space->n < space->room)
		return 0;
	entries = mem_alloc(room * sizeof(*entries));
	if (!entries)
		return -ENOMEM;
	for (size_t i = 0; i < space->n; i++)
		entry_copy(&entries[i], &space->entries[i]);
	change_begin();
	__atomic_store_n(&space->entries, entries, __ATOMIC_RELEASE);
	space->room = room;
	change_end();
	return 0;
}

static void insert(struct space *space, struct mapping *mapping)
{
	size_t at = space_lower(space, mapping->start);

	change_begin();
	for (size_t i = space->n; i > at; i--)
		entry_copy(&space->entries[i], &space->entries[i - 1]);
	entry_set(&space->entries[at], mapping->start, mapping->end);
	space->entries[at].mapping = mapping;
	__atomic_store_n(&space->n, space->n + 1, __ATOMIC_RELEASE);
	change_end();
}

static void take_out(struct space *space, const struct mapping *mapping)
{
	size_t at = space_lower(space, mapping->start);

	assert(at < space->n && space->entries[at].mapping == mapping);
	change_begin();
	for (size_t i = at; i + 1 < space->n; i++)
		entry_copy(&space->entries[i], &space->entries[i + 1]);
	__atomic_store_n(&space->n, space->n - 1, __ATOMIC_RELEASE);
	change_end();
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
	list_init(&mapping->held);
	list_add(&mapping->object->mappings, &mapping->of_object);
	insert(space, mapping);
	return 0;
}

static void free_mapping(struct mapping *mapping)
{
	struct object *object = mapping->object;

	list_del(&mapping->of_object);
	view_put(mapping->view);
	object_put(object);
	mem_free(mapping, sizeof(*mapping));
}

void space_remove(struct mapping *mapping)
{
	assert(list_empty(&mapping->held));
	take_out(mapping->space, mapping);
	free_mapping(mapping);
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

/* A plain object has one mapping: the upper part gets an object of its own. */
static int split_plain(struct mapping *lower_part, struct mapping *upper)
{
	struct object *object;
	int error = object_create(NULL, true, &object);

	if (error)
		return error;
	error = view_create(object, upper->first, mapping_end_page(upper),
			    &upper->view);
	if (error)
		goto err_object;
	error = object_split(lower_part->object, object, upper->first,
			     mapping_end_page(upper));
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
	upper->start = address;
	upper->first = mapping_page(mapping, address);
	upper->length = mapping->length - (address - mapping->start);
	upper->faults = upper->fills = upper->errors = 0;
	if (mapping->object->memfd < 0)
		error = split_plain(mapping, upper);
	if (error) {
		mem_free(upper, sizeof(*upper));
		return error;
	}
	if (mapping->object->memfd >= 0) {
		object_get(upper->object);
		view_get(upper->view);
	}
	take_out(mapping->space, mapping);
	mapping->end = address;
	mapping->length = address - mapping->start;
	mapping->growing = false;
	insert(mapping->space, mapping);
	insert(mapping->space, upper);
	list_add(&upper->object->mappings, &upper->of_object);
	upper->n_loaded = count_loaded(upper);
	mapping->n_loaded -= upper->n_loaded;
	return 0;
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
	    mapping->view->references > 1)
		error = own_view(mapping);
	if (error)
		return error;
	take_out(mapping->space, mapping);
	mapping->start = start;
	mapping->end = end;
	mapping->length = length;
	mapping->view->end = max_u64(mapping->view->end, end_page);
	insert(mapping->space, mapping);
	return 0;
}
