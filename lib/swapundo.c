/* SPDX-License-Identifier: MIT */
/*
 * Swapping out, undone: before a fork all comes back (swapout.h)
 *
 * Run by run, whatever the budget; nothing leaves until the fork is over. Then its
 * mappings are let into the fork. What cannot be had back (-EIO), or has no room
 * (-ENOMEM), keeps its mapping out of it.
 */
#include <sys/mman.h>

#include "copies.h"
#include "fill.h"
#include "leaving.h"
#include "mem.h"
#include "swap.h"
#include "swapout.h"
#include "sys.h"

#define AT_ONCE	   1024	     /* pages */
#define LOOK_EVERY 200000ull /* ns */

/* What is shared has its copy there still: it goes, and its page is changed. */
static void drop_copies(struct object *object, const uint64_t *indexes,
			size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct page page = pages_get(&object->pages, indexes[i]);

		if (!page_is(page, STATES_PRESENT))
			continue;
		object_dirtied(object, page);
		swap_drop(object->swap, indexes[i], indexes[i] + 1);
	}
}

static void read_run(struct object *object, struct mapping *mapping,
		     uint64_t first, uint64_t count)
{
	struct fill *fill = fill_create(object, mapping, first, count);

	if (!fill)
		return;
	fill->via = mapping;
	fill->deadline = mapping->deadline;
	fill_go(fill);
}

/* Begin to read runs of what is in swap. */
static int bring(struct object *object)
{
	struct mapping *mapping = object_mapping(object);
	uint64_t *indexes, run, reads = 0;
	size_t n;
	int error = swap_collect(object->swap, 0, UINT64_MAX, &indexes, &n);

	if (error)
		return error;
	if (object->memfd >= 0)
		drop_copies(object, indexes, n);
	for (size_t i = 0; mapping && i < n && reads < AT_ONCE; i += run) {
		run = 0;
		while (i + run < n && run < LEAVING_PAGES &&
		       indexes[i + run] == indexes[i] + run &&
		       object_readable(object, indexes[i + run]))
			run++;
		if (run)
			read_run(object, mapping, indexes[i], run);
		reads += run;
		run = max_u64(run, 1);
	}
	mem_free(indexes, n * sizeof(*indexes));
	return 0;
}

static bool is_busy(const struct pager *pager)
{
	list_for_each(object, &pager->all, const struct object, of_pager)
		if (!list_empty(&object->fills) ||
		    !list_empty(&object->leavings) ||
		    (!object->store && !list_empty(&object->writebacks)))
			return true;
	return false;
}

/* Nothing of it is missing: a child may have it. */
static void let_into_forks(const struct space *space)
{
	for (size_t i = 0; i < space->n; i++) {
		struct mapping *mapping = space->entries[i].mapping;

		if (mapping->unforked && !swap_count(mapping->object->swap))
			mapping->unforked = sys_call(
				SYS_madvise, mapping->start,
				mapping->end - mapping->start, MADV_DOFORK);
	}
}

/* What is in no file yet, or is held back for a touch. */
static int return_all(struct pager *pager)
{
	int error = 0;

	list_for_each(object, &pager->all, struct object, of_pager) {
		fills_unhold(object, 0, UINT64_MAX);
		if (!error)
			error = swapout_return(object);
	}
	return error;
}

static int bring_all(struct pager *pager)
{
	struct swapout *swapout = &pager->swapout;
	uint64_t before = swapout->left;
	int error = 0;

	swapout->left = 0;
	list_for_each(object, &pager->all, struct object, of_pager) {
		if (!error && swap_count(object->swap))
			error = bring(object);
		swapout->left += swap_count(object->swap);
	}
	/* Nothing came the last time. */
	return !error && swapout->left && swapout->left == before ? -EIO :
								    error;
}

static void undo(struct timer *timer)
{
	struct pager *pager = container_of(timer, struct pager, swapout.look);
	struct swapout *swapout = &pager->swapout;
	struct message *message = swapout->undoer;
	int error = return_all(pager);

	if (!error && !is_busy(pager))
		error = bring_all(pager);
	if (!error && (swapout->left || is_busy(pager))) {
		loop_timer_start(pager->loop, timer, time_now() + LOOK_EVERY);
		return;
	}
	let_into_forks(pager->home);
	message_answer(message, error);
}

void swapout_undo(struct message *message)
{
	struct pager *pager = message->pager;
	struct swapout *swapout = &pager->swapout;

	swapout->forbidden = true;
	swapout->undoer = message;
	swapout->left = UINT64_MAX;
	timer_init(&swapout->look, undo);
	undo(&swapout->look);
}

void swapout_redo(struct message *message)
{
	message->pager->swapout.forbidden = false;
	evict_kick(message->pager);
	message_answer(message, 0);
}
