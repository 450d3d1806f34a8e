/* SPDX-License-Identifier: MIT */
/*
 * What another process has touched, and of its private memory what is there, after
 * a takeover: by its page map, some at a time (swapaway.h)
 */
#include "budget.h"
#include "copies.h"
#include "pagemap.h"
#include "pager.h"
#include "swapaway.h"

#define PAGES_ONCE 512 /* of the page map, at a time */
#define TIMES	   128 /* at one go */

/* Private memory has its pages in the process alone. */
static void note_there(struct mapping *mapping, uint64_t index)
{
	struct object *object = mapping->object;
	struct page page = pages_get(&object->pages, index);

	if (page.state == PAGE_ABSENT && object->memfd < 0 &&
	    !object_set(object, page, PAGE_CLEAN, 0))
		page = pages_get(&object->pages, index);
	if (page_is(page, STATES_PRESENT))
		mapping_loaded(mapping, page);
}

/* False: that was all. */
static bool look_on(struct space *space)
{
	struct away *away = &space->away;
	size_t i = space_lower(space, away->looked);
	uint64_t entries[PAGES_ONCE], address, n, got;
	struct mapping *mapping;

	if (i == space->n)
		return false;
	mapping = space->entries[i].mapping;
	address = max_u64(away->looked, mapping->start);
	n = min_u64((mapping->end - address) >> PAGE_SHIFT, PAGES_ONCE);
	got = pagemap_read(space->pagemap, address, n, entries);
	for (uint64_t k = 0; k < got; k++)
		if (entries[k] & PAGEMAP_PRESENT)
			note_there(mapping, mapping_page(mapping, address) + k);
	away->looked = address + (n << PAGE_SHIFT);
	return true;
}

void swapaway_look_on(struct timer *timer)
{
	struct space *space = container_of(timer, struct space, away.look);
	unsigned times = 0;

	while (times < TIMES && look_on(space))
		times++;
	if (times == TIMES)
		loop_timer_start(space->pager->loop, timer, time_now());
	else
		space->away.unknown = false;
	evict_kick(space->pager);
}

void swapaway_look(struct space *space)
{
	space->away.looked = 0;
	loop_timer_start(space->pager->loop, &space->away.look, time_now());
}
