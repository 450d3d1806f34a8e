/* SPDX-License-Identifier: MIT */
/*
 * Leaving: the pager of a thread comes to rest, to be handed over (moveout.c)
 *
 * Its client makes no calls meanwhile. Faults are not read any more: who faults
 * sleeps, and is woken by the successor, or read after all (STAY, or LEAVE itself
 * if it fails). What is being read or written ends; what would only begin does
 * not.
 */
#include "books.h"
#include "presume.h"

#define LOOK_EVERY 200000ull /* ns */

/* Reads and writes of this space's objects, and who waits for them. */
static bool is_busy(const struct pager *pager)
{
	const struct space *space = pager->home;

	for (size_t i = 0; i < space->n; i++) {
		const struct mapping *mapping = space->entries[i].mapping;

		if (!list_empty(&mapping->object->fills) ||
		    !list_empty(&mapping->object->writebacks) ||
		    !list_empty(&mapping->held))
			return true;
	}
	return pager->staging.out || loop_busy(pager->loop);
}

/*
 * What is held back for a touch that will not be seen goes. From another process
 * no page can be taken out of a page table, and a child will show the same
 * objects: mappings that were alone must see first touches from now on. All are
 * in place, as no call is under way.
 */
static int settle_down(struct pager *pager)
{
	const struct space *space = pager->home;
	int error = 0;

	for (size_t i = 0; i < space->n; i++) {
		struct object *object = space->entries[i].mapping->object;

		fills_unhold(object, 0, UINT64_MAX);
		if (!error)
			error = object_company(object);
	}
	return error;
}

/* A successor is told what has changed. */
static int judge(const struct pager *pager)
{
	const struct space *space = pager->home;
	int error = 0;

	for (size_t i = 0; i < space->n && !error; i++)
		error = presume_judge(space->entries[i].mapping->object, 0,
				      UINT64_MAX);
	return error;
}

/* Who sleeps must not sleep on: tried until it succeeds, and answered then. */
static void read_again(struct timer *timer)
{
	struct pager *pager = container_of(timer, struct pager, leaving);
	struct message *message = pager->leaver;

	if (loop_watch(pager->loop, &pager->home->faults)) {
		loop_timer_start(pager->loop, timer, time_now() + LOOK_EVERY);
		return;
	}
	if (!list_empty(&pager->sick))
		loop_timer_start(pager->loop, &pager->heal, time_now());
	pager->leaver = NULL;
	message_answer(message, message->result);
}

static void stay(struct pager *pager, struct message *message, int result)
{
	pager->leaver = message;
	message->result = result;
	timer_init(&pager->leaving, read_again);
	read_again(&pager->leaving);
}

static void look(struct timer *timer)
{
	struct pager *pager = container_of(timer, struct pager, leaving);
	struct message *message = pager->leaver;
	int error = settle_down(pager);

	if (!error && is_busy(pager)) {
		loop_timer_start(pager->loop, timer, time_now() + LOOK_EVERY);
		return;
	}
	if (!error)
		error = judge(pager);
	if (error) {
		stay(pager, message, error);
		return;
	}
	loop_timer_stop(&pager->heal);
	pager->leaver = NULL;
	message_answer(message, 0);
}

static void unwatched(struct watch *watch)
{
	struct space *space = container_of(watch, struct space, faults);

	look(&space->pager->leaving);
}

void books_leave(struct message *message)
{
	struct pager *pager = message->pager;

	pager->leaver = message;
	timer_init(&pager->leaving, look);
	prefetch_forget(pager->home);
	loop_unwatch(pager->loop, &pager->home->faults, unwatched);
}

void books_stay(struct message *message)
{
	stay(message->pager, message, 0);
}

/* The memory stays where it is: it is mapped, and another's. */
void books_abandon(struct message *message)
{
	struct pager *pager = message->pager;
	struct space *space = pager->home;

	while (space->n)
		space_remove(space->entries[0].mapping);
	pager->stopping = true;
	message_answer(message, 0);
}
