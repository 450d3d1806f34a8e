/* SPDX-License-Identifier: MIT */
/*
 * Leaving: the pager of a thread comes to rest, to be handed over (moveout.c)
 *
 * Its client makes no calls meanwhile. Faults are not read any more: who faults
 * sleeps, and is woken by the successor, or read after all (STAY). What is being
 * read or written ends; what would only begin does not.
 */
#include "books.h"

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

static void look(struct timer *timer)
{
	struct pager *pager = container_of(timer, struct pager, leaving);
	struct message *message = pager->leaver;

	if (is_busy(pager)) {
		loop_timer_start(pager->loop, timer, time_now() + LOOK_EVERY);
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
	struct pager *pager = message->pager;

	if (!list_empty(&pager->sick))
		loop_timer_start(pager->loop, &pager->heal, time_now());
	message_answer(message, loop_watch(pager->loop, &pager->home->faults));
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
