/* SPDX-License-Identifier: MIT */
/* A run of pages that leaves another process (awayrun.h) */
#include "awayrun.h"
#include "copies.h"
#include "swap.h"
#include "swapout.h"
#include "sys.h"

/* They are being written as far as others are concerned, who wait for them. */
void awayrun_count(struct leaving *leaving, uint64_t pages)
{
	struct pager *pager = leaving->pager;

	pager->budget.n_writing += pages - leaving->counted;
	pager->swapout.n_writing += pages - leaving->counted;
	pager->budget.stuck = false;
	leaving->counted = pages;
}

/* The bytes are here, and where the agent copies them to. */
uint64_t awayrun_buffer_bytes(const struct leaving *leaving)
{
	return 2 * leaving->count << PAGE_SHIFT;
}

int awayrun_take_buffer(struct leaving *leaving)
{
	int error = leaving_map(leaving);

	if (error)
		return error;
	leaving->pager->swapout.held += awayrun_buffer_bytes(leaving);
	leaving->pager->budget.writing += awayrun_buffer_bytes(leaving);
	return 0;
}

void awayrun_drop_buffer(struct leaving *leaving)
{
	if (!leaving->memory)
		return;
	leaving_unmap(leaving);
	leaving->pager->swapout.held -= awayrun_buffer_bytes(leaving);
	leaving->pager->budget.writing -= awayrun_buffer_bytes(leaving);
}

/* Its process has nothing to do with it any more. */
static void detach(struct leaving *leaving)
{
	struct space *space = leaving->space;

	if (!space)
		return;
	space->away.n--;
	leaving->space = NULL;
	awayrun_count(leaving, 0);
}

void awayrun_destroy(struct leaving *leaving)
{
	assert(!leaving->alive);
	detach(leaving);
	awayrun_drop_buffer(leaving);
	leaving_destroy(leaving);
}

/* Nothing is left of it: it goes, but for one that the store has just now. */
void awayrun_settle(struct leaving *leaving)
{
	if (leaving->alive)
		return;
	if (leaving->stage == LEAVING_WRITING)
		detach(leaving);
	else
		awayrun_destroy(leaving);
}

/* A page is not there any more. */
void awayrun_part(struct leaving *leaving, uint64_t index)
{
	struct object *object = leaving->object;

	leaving->alive &= ~leaving_bit(leaving, index);
	leaving_unhold(leaving, leaving_bit(leaving, index));
	object_set(object, pages_get(&object->pages, index), PAGE_ABSENT, 0);
}

/*
 * Those of [first, end) that are alive stay. What was copied was there, and needs
 * no slot; else it may not be there, but where its slot says.
 */
void awayrun_stay(struct leaving *leaving, uint64_t first, uint64_t end)
{
	struct object *object = leaving->object;
	struct mapping *mapping = object_mapping(object);
	bool was_there = leaving->stage == LEAVING_WRITING ||
			 leaving->stage == LEAVING_WRITTEN;

	for (uint64_t i = first; i < end; i++) {
		if (!leaving_has(leaving, i))
			continue;
		leaving->alive &= ~leaving_bit(leaving, i);
		leaving_unhold(leaving, leaving_bit(leaving, i));
		if (was_there)
			swap_drop(object->swap, i, i + 1);
		object_set(object, pages_get(&object->pages, i), PAGE_CLEAN, 0);
		mapping_loaded(mapping, pages_get(&object->pages, i));
	}
	if (leaving->counted)
		awayrun_count(leaving, leaving_count(leaving));
	if (uffd_unprotect(mapping->space->uffd,
			   mapping_address(mapping, first),
			   (end - first) << PAGE_SHIFT))
		uffd_wake(mapping->space->uffd, mapping_address(mapping, first),
			  (end - first) << PAGE_SHIFT);
}

void awayrun_stay_all(struct leaving *leaving)
{
	if (leaving->alive)
		awayrun_stay(leaving, leaving->first,
			     leaving->first + leaving->count);
	awayrun_settle(leaving);
}
