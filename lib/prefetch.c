/* SPDX-License-Identifier: MIT */
/* Bringing what will be needed: WILLNEED, some reads at a time */
#include "fill.h"
#include "mem.h"

struct prefetch {
	struct list link;
	struct space *space;
	uint64_t next, end; /* addresses */
};

#define PREFETCHES 8 /* reads under way at a time */

int prefetch_start(struct space *space, uint64_t start, uint64_t end)
{
	struct prefetch *prefetch = mem_alloc(sizeof(*prefetch));

	if (!prefetch)
		return -ENOMEM;
	prefetch->space = space;
	prefetch->next = start;
	prefetch->end = end;
	list_add(&space->pager->prefetches, &prefetch->link);
	prefetch_pump(space->pager);
	return 0;
}

/* False: there is no memory for it now. */
static bool prefetch_run(struct pager *pager, struct mapping *mapping,
			 uint64_t first, uint64_t count)
{
	struct fill *fill;

	if (!fill_room(pager, count, true))
		return false;
	fill = fill_create(pager, mapping->object, first, count);
	if (!fill)
		return false;
	/* Where every touch counts, bringing is not touching. */
	if (!(mapping->flags & MAPPING_COURSE))
		fill->via = mapping;
	fill->prefetch = true;
	fill->deadline = mapping->deadline;
	pager->prefetching++;
	fill_go(fill);
	return true;
}

/* The next run of absent pages at or after *@index, below @end; at most AHEAD
   long. False: there is none. */
static bool next_absent(const struct object *object, uint64_t *index,
			uint64_t end, uint64_t *count)
{
	uint64_t n = 0;

	while (*index < end && !object_absent(object, *index))
		++*index;
	while (*index + n < end && n < AHEAD &&
	       object_absent(object, *index + n))
		n++;
	*count = n;
	return n;
}

/* One read more; false when all is done or asked for. */
static bool prefetch_step(struct pager *pager, struct prefetch *prefetch)
{
	const struct space *space = prefetch->space;
	size_t i = space_lower(space, prefetch->next);
	struct mapping *mapping;
	uint64_t index, end, count;
	int64_t length;

	if (i == space->n)
		return false;
	mapping = space->entries[i].mapping;
	prefetch->next = max_u64(prefetch->next, mapping->start);
	if (prefetch->next >= prefetch->end)
		return false;
	index = mapping_page(mapping, prefetch->next);
	end = mapping_page(mapping, min_u64(prefetch->end, mapping->end));
	length = mapping->object->store ? store_length(mapping->object->store) :
					  0;
	end = min_u64(end, length > 0 ? page_up(length) >> PAGE_SHIFT : 0);
	if (!next_absent(mapping->object, &index, end, &count)) {
		prefetch->next = mapping->end;
		return true;
	}
	if (!prefetch_run(pager, mapping, index, count))
		return false; /* it was only a hint */
	prefetch->next = mapping_address(mapping, index + count);
	return true;
}

static void prefetch_end(struct prefetch *prefetch)
{
	list_del(&prefetch->link);
	mem_free(prefetch, sizeof(*prefetch));
}

void prefetch_forget(struct space *space)
{
	list_for_each(prefetch, &space->pager->prefetches, struct prefetch,
		      link)
		if (prefetch->space == space)
			prefetch_end(prefetch);
}

void prefetch_pump(struct pager *pager)
{
	list_for_each(prefetch, &pager->prefetches, struct prefetch, link) {
		while (pager->prefetching < PREFETCHES)
			if (!prefetch_step(pager, prefetch)) {
				prefetch_end(prefetch);
				break;
			}
		if (pager->prefetching >= PREFETCHES)
			return;
	}
}
