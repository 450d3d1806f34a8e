/* SPDX-License-Identifier: MIT */
/* Swapping out another process's private anonymous memory (swapaway.h) */
#include "awayrun.h"
#include "books.h"
#include "budget.h"
#include "copies.h"
#include "fill.h"
#include "ledger.h"
#include "swap.h"
#include "swapaway.h"
#include "swapout.h"
#include "sys.h"
#include "window.h"

#define RUNS 32 /* of a process, at most */

bool swapaway_is(const struct object *object)
{
	return object->memfd < 0 && !object->owner && !object->pager->home;
}

/* ---- Agents -------------------------------------------------------------------- */

/* But what is being taken. */
static void stay_where_possible(struct space *space)
{
	struct list *retiring = &space->pager->swapout.retiring;

	list_for_each(leaving, &space->away.runs, struct leaving, link)
		if (leaving->stage != LEAVING_TAKING)
			awayrun_stay_all(leaving);
	list_for_each(leaving, retiring, struct leaving, link)
		if (leaving->away && leaving->space == space)
			awayrun_stay_all(leaving);
}

/* Nobody hopes for it any more. */
static void count_out(struct space *space)
{
	list_for_each(leaving, &space->away.runs, struct leaving, link)
		awayrun_count(leaving, 0);
}

void swapaway_late(struct space *space)
{
	space->away.late = true;
	stay_where_possible(space);
	count_out(space);
	swapout_tell(space->pager);
}

/* Its pages may go from now on. */
static void let_go(struct object *object)
{
	list_for_each(window, &object->windows, struct window, of_object)
		if (window->place == WINDOW_KEPT)
			window_move_to(window, WINDOW_RESTING);
}

void swapaway_begin(struct space *space, const struct away_agent *agent)
{
	struct away *away = &space->away;

	away->agent = agent;
	away->in_doubt = false;
	swapaway_taken_all(space, ~UINT64_C(0));
	for (size_t i = 0; i < space->n; i++) {
		struct mapping *mapping = space->entries[i].mapping;

		faults_release(mapping);
		if (swapaway_is(mapping->object))
			let_go(mapping->object);
	}
	swapout_tell(space->pager);
}

void swapaway_end(struct space *space)
{
	struct away *away = &space->away;

	loop_timer_stop(&away->look);
	away->agent = NULL;
	away->asked = away->late = false;
	stay_where_possible(space);
	count_out(space);
	swapout_tell(space->pager);
}

/* ---- Forks --------------------------------------------------------------------- */

void swapaway_fork(struct space *space)
{
	space->away.forks++;
	stay_where_possible(space);
	evict_kick(space->pager);
}

void swapaway_forked(struct space *space)
{
	space->away.forks--;
	swapaway_pump(space);
	swapout_tell(space->pager);
}

/* ---- Faults and calls ------------------------------------------------------------ */

bool swapaway_in_doubt(const struct mapping *mapping)
{
	return mapping->space->away.in_doubt && mapping->object->memfd < 0 &&
	       mapping->object->swap;
}

bool swapaway_must_wait(const struct object *object)
{
	if (!swapaway_is(object))
		return false;
	list_for_each(leaving, &object->leavings, const struct leaving,
		      of_object)
		if (leaving->stage == LEAVING_TAKING)
			return true;
	return swapaway_in_doubt(object_mapping(object));
}

void swapaway_rescue(struct leaving *leaving, uint64_t index,
		     const struct fault *fault)
{
	struct space *space = leaving->space;

	if (leaving->stage == LEAVING_TAKING) {
		fault_set_aside(&object_mapping(leaving->object)->held, fault);
		return;
	}
	awayrun_stay(leaving, index, index + 1);
	awayrun_settle(leaving);
	pager_answered(space->pager, fault);
	swapaway_pump(space);
	evict_kick(space->pager);
}

int swapaway_return(struct object *object)
{
	int error = 0;

	list_for_each(leaving, &object->leavings, struct leaving, of_object)
		if (leaving->stage == LEAVING_TAKING)
			error = -EAGAIN;
		else
			awayrun_stay_all(leaving);
	evict_kick(object->pager);
	return error;
}

void swapaway_forget(struct leaving *leaving, uint64_t first, uint64_t end)
{
	for (uint64_t i = first; i < end; i++)
		if (leaving_has(leaving, i))
			awayrun_part(leaving, i);
	awayrun_settle(leaving);
}

/* ---- Protecting ------------------------------------------------------------------ */

/* From now on a successor looks for it in swap, too. */
static int begin_swap(struct object *object, struct mapping *mapping)
{
	struct pager *pager = object->pager;
	int error;

	if (object->swap)
		return 0;
	if (!swapout_keep(pager))
		return -EAGAIN;
	object->id = ledger_number(pager->ledger);
	error = swap_store_create(pager->swapout.swap, object->id, false,
				  &object->swap);
	if (!error)
		error = ledger_mapping(mapping);
	if (error && object->swap) {
		wmap_store_put(object->swap);
		object->swap = NULL;
	}
	return error;
}

static bool may_begin(const struct mapping *mapping)
{
	const struct away *away = &mapping->space->away;

	return away->agent && !away->late && !away->forks && away->n < RUNS &&
	       away->retry < time_now() && mapping->prot & PROT_READ &&
	       !mapping->refused && budget_may_write(mapping->space->pager);
}

uint64_t swapaway_take(struct object *object, struct mapping *mapping,
		       uint64_t first, uint64_t count)
{
	struct space *space = mapping->space;
	struct leaving *leaving;

	if (!may_begin(mapping) || begin_swap(object, mapping))
		return 0;
	leaving = leaving_create(object, first, count);
	if (!leaving)
		return 0;
	if (uffd_protect(space->uffd, mapping_address(mapping, first),
			 count << PAGE_SHIFT)) {
		leaving_destroy(leaving);
		return 0;
	}
	leaving->away = true;
	leaving->space = space;
	leaving_begin(leaving, count, &space->away.runs);
	space->away.n++;
	awayrun_count(leaving, count);
	swapaway_pump(space);
	return count;
}

/* ---- Beginning ------------------------------------------------------------------- */

void swapaway_init(struct pager *pager)
{
	timer_init(&pager->swapout.again, swapaway_pump_all);
}

void swapaway_open(struct space *space)
{
	list_init(&space->away.runs);
	timer_init(&space->away.look, swapaway_look_on);
}
