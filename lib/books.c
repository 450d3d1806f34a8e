/* SPDX-License-Identifier: MIT */
/* Which message does what, and the answer (books.h) */
#include <linux/futex.h>

#include "books.h"
#include "pin.h"
#include "record.h"
#include "replay.h"
#include "swap.h"
#include "sys.h"

void message_answer(struct message *message, int result)
{
	uint32_t before;

	message->result = result;
	if (message->answered) {
		message->answered(message);
		return;
	}
	before = atomic_exchange_explicit(&message->state, MESSAGE_ANSWERED,
					  memory_order_acq_rel);
	/* The message may be gone already: then this wakes nobody, or somebody
	   who looks again. */
	if (before == MESSAGE_SLEPT_ON)
		sys_call(SYS_futex, &message->state, FUTEX_WAKE_PRIVATE, 1);
}

static bool objects_left(const struct pager *pager)
{
	for (size_t i = 0; i < OBJECT_HASHES; i++)
		if (!list_empty(&pager->objects[i]))
			return true;
	return loop_busy(pager->loop);
}

static void stop(struct message *message)
{
	struct pager *pager = message->pager;
	if (message->space->n || objects_left(pager)) {
		message_answer(message, -EBUSY);
		return;
	}
	pager->stopping = true;
	message_answer(message, 0);
}

/* Another process bounds itself, and not the pager. */
static void memory(struct message *message)
{
	struct space *space = message->space;
	struct mapping *mapping = space_find(space, message->address);
	uint64_t limit = message->memory.limit;
	int error = -ENOENT;

	if (!message->memory.mapping && space->home)
		error = budget_set(message->pager, limit);
	else if (!message->memory.mapping)
		error = share_bound_process(space, limit);
	else if (mapping)
		error = share_bound_mapping(mapping, limit);
	message_answer(message, error);
}

static void swap(struct message *message)
{
	struct pager *pager = message->pager;
	int error = swap_set(pager->swapout.swap, message->swap.where);

	if (!error)
		swapout_retry(pager);
	message_answer(message, error);
}

int message_check_ranges(const struct wmap_range *ranges, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (ranges[i].length > PTRDIFF_MAX ||
		    (uint64_t)ranges[i].addr > UINT64_MAX / 2)
			return -EINVAL;
	return 0;
}

static void prefetch(struct message *message)
{
	message_answer(message,
		       prefetch_start(message->space, message->prefetch.ranges,
				      message->prefetch.n, false,
				      &message->prefetch.id));
}

static void record(struct message *message)
{
	int error = 0;

	if (message->record.fd < 0)
		record_stop(message->pager);
	else
		error = record_start(message->pager, message->record.fd);
	message_answer(message, error);
}

static void replay(struct message *message)
{
	replay_set(message->pager, message->replay.replay);
	message_answer(message, 0);
}

/* ---- Which is which ------------------------------------------------------ */

static void (*const handlers[MESSAGE_KINDS])(struct message *) = {
	[MESSAGE_MAP] = books_map,
	[MESSAGE_UNMAP] = books_unmap,
	[MESSAGE_MOVE] = books_move,
	[MESSAGE_PROTECT] = books_protect,
	[MESSAGE_SYNC] = books_sync,
	[MESSAGE_ADVISE] = books_advise,
	[MESSAGE_RESIDENCY] = books_residency,
	[MESSAGE_LIST] = books_list,
	[MESSAGE_STATS] = books_stats,
	[MESSAGE_MEMORY] = memory,
	[MESSAGE_SWAP] = swap,
	[MESSAGE_PIN] = pin_change,
	[MESSAGE_PREFETCH] = prefetch,
	[MESSAGE_PREFETCH_WAIT] = prefetch_wait,
	[MESSAGE_RECORD] = record,
	[MESSAGE_REPLAY] = replay,
	[MESSAGE_FRAME] = books_frame,
	[MESSAGE_YIELD] = books_yield,
	[MESSAGE_REGROW] = books_regrow,
	[MESSAGE_GROW] = books_grow,
	[MESSAGE_FILE_SYNC] = books_file_sync,
	[MESSAGE_FILE_WRITING] = books_file_writing,
	[MESSAGE_FILE_WRITTEN] = books_file_written,
	[MESSAGE_FILE_LENGTH] = books_file_length,
	[MESSAGE_UNDO] = swapout_undo,
	[MESSAGE_REDO] = swapout_redo,
	[MESSAGE_LEAVE] = books_leave,
	[MESSAGE_STAY] = books_stay,
	[MESSAGE_ABANDON] = books_abandon,
	[MESSAGE_STOP] = stop,
};

void message_handle(struct message *message)
{
	handlers[message->kind](message);
}

void message_run(struct post *post)
{
	message_handle(container_of(post, struct message, post));
}
