/* SPDX-License-Identifier: MIT */
/* Syncing, and advice: what waits for several write-backs */
#include "books.h"
#include "copies.h"
#include "mem.h"

/* ---- Syncing, advising ---------------------------------------------------------------*/

struct syncing {
	struct join join;
	struct pager *pager;
	struct message *message; /* NULL: it waits no longer */
	uint64_t start, end;
};

/* A failed write is told once: to the first who waits. */
static int take_errors(struct space *space, uint64_t start, uint64_t end)
{
	struct mapping *mapping;
	int error = 0;

	for_each_in(mapping, space, start, end) {
		if (!error)
			error = mapping->object->error;
		mapping->object->error = 0;
		if (mapping->copies && !error)
			error = mapping->copies->error;
		if (mapping->copies)
			mapping->copies->error = 0;
	}
	return error;
}

static void sync_finish(struct join *join)
{
	struct syncing *syncing = container_of(join, struct syncing, join);
	struct message *message = syncing->message;
	int error = join->error, earlier;

	if (message) {
		earlier = take_errors(message->space, syncing->start,
				      syncing->end);
		message_answer(message, error ? error : earlier);
	}
	mem_free(syncing, sizeof(*syncing));
}

static struct syncing *syncing_create(struct pager *pager,
				      struct message *message)
{
	struct syncing *syncing = mem_alloc(sizeof(*syncing));
	bool all = message->sync.all;

	if (!syncing)
		return NULL;
	syncing->pager = pager;
	syncing->start = all ? 0 : message->address;
	syncing->end = all ? UINT64_MAX : message_end(message);
	syncing->message = message->sync.wait ? message : NULL;
	syncing->join.pending = 1;
	syncing->join.alone = !message->sync.wait;
	syncing->join.done = sync_finish;
	return syncing;
}

static void sync_mapping(struct syncing *syncing, struct mapping *mapping,
			 bool flush)
{
	struct object *object = mapping->object;

	object_retry(syncing->pager, object, SIZE_MAX, &syncing->join);
	if (mapping->copies)
		object_retry(syncing->pager, mapping->copies, SIZE_MAX,
			     &syncing->join);
	if (!(mapping->flags & WMAP_SHARED) || !object->store ||
	    !object->store->writable)
		return;
	if (!object->n_dirty && !(flush && object->unflushed))
		return;
	books_write(syncing->pager, mapping, syncing->start, syncing->end,
		    flush, &syncing->join);
}

void books_sync(struct message *message)
{
	struct pager *pager = message->pager;
	struct space *space = message->space;
	bool wait = message->sync.wait, flush = message->sync.flush;
	struct syncing *syncing;
	struct mapping *mapping;

	if (!message->sync.all &&
	    !space_covers(space, message->address, message_end(message))) {
		message_answer(message, -ENOMEM);
		return;
	}
	syncing = syncing_create(pager, message);
	if (!syncing) {
		message_answer(message, -ENOMEM);
		return;
	}
	for_each_in(mapping, space, syncing->start, syncing->end)
		sync_mapping(syncing, mapping, flush);
	if (!wait)
		message_answer(message, 0);
	join_end(&syncing->join, 0);
}

/* What a mapping has in common with [start, end), in pages. */
static uint64_t first_in(const struct mapping *mapping, uint64_t start)
{
	return mapping_page(mapping, max_u64(start, mapping->start));
}

static uint64_t end_in(const struct mapping *mapping, uint64_t end)
{
	return mapping_page(mapping, min_u64(end, mapping->end));
}

static void drop_clean(struct message *message)
{
	struct space *space = message->space;
	uint64_t start = message->address, end = message_end(message);
	struct mapping *mapping;

	for_each_in(mapping, space, start, end)
		if (mapping->object->store)
			object_drop(mapping->object, first_in(mapping, start),
				    end_in(mapping, end));
}

/* A private page that is dropped has its object's bytes again: zeros. */
static void drop_plain(struct message *message)
{
	struct space *space = message->space;
	uint64_t start = message->address, end = message_end(message);
	struct mapping *mapping;

	for_each_in(mapping, space, start, end) {
		message->advise.drop |= mapping->flags & WMAP_PRIVATE;
		if (mapping->object->memfd < 0)
			object_forget(mapping->object, first_in(mapping, start),
				      end_in(mapping, end));
		copies_forget(mapping, first_in(mapping, start),
			      end_in(mapping, end));
	}
}

static void drop_finish(struct join *join)
{
	struct syncing *syncing = container_of(join, struct syncing, join);
	struct message *message = syncing->message;
	int error = join->error;

	if (books_must_wait(message->space, message->address,
			    message_end(message))) {
		mem_free(syncing, sizeof(*syncing));
		books_put_off(message);
		return;
	}
	/* What was stored to meanwhile, or could not be written, stays. */
	drop_clean(message);
	if (message->advise.advice == WMAP_ADVICE_DONTNEED)
		drop_plain(message);
	mem_free(syncing, sizeof(*syncing));
	message_answer(message, error);
}

static void drop(struct message *message)
{
	struct pager *pager = message->pager;
	struct space *space = message->space;
	struct syncing *syncing = mem_alloc(sizeof(*syncing));
	uint64_t start = message->address, end = message_end(message);
	struct mapping *mapping;

	if (!syncing) {
		message_answer(message, -ENOMEM);
		return;
	}
	syncing->pager = pager;
	syncing->message = message;
	syncing->join.pending = 1;
	syncing->join.done = drop_finish;
	for_each_in(mapping, space, start, end)
		if (mapping->tracked && mapping->object->store &&
		    mapping->object->n_dirty)
			books_write(pager, mapping, start, end, false,
				    &syncing->join);
	join_end(&syncing->join, 0);
}

/* They go first when memory is short. */
static void cool(struct space *space, uint64_t start, uint64_t end,
		 bool anonymous)
{
	struct mapping *mapping;

	for_each_in(mapping, space, start, end) {
		uint64_t first = first_in(mapping, start);
		uint64_t last = end_in(mapping, end);

		if (!anonymous || !mapping->object->store)
			evict_soon(mapping->object, first, last);
		if (mapping->copies)
			evict_soon(mapping->copies, first, last);
	}
}

static int bring(struct space *space, uint64_t start, uint64_t end)
{
	struct wmap_range *range = mem_alloc(sizeof(*range));
	uint64_t id;
	int error;

	if (!range)
		return -ENOMEM;
	range->addr = (void *)start;
	range->length = end - start;
	error = prefetch_start(space, range, 1, true, &id);
	if (error)
		mem_free(range, sizeof(*range));
	return error;
}

void books_advise(struct message *message)
{
	struct space *space = message->space;
	uint64_t start = message->address, end = message_end(message);
	struct mapping *mapping;
	int error = 0;

	if (!space_covers(space, start, end)) {
		message_answer(message, -ENOMEM);
		return;
	}
	if (books_must_wait(space, start, end)) {
		books_put_off(message);
		return;
	}
	switch (message->advise.advice) {
	case WMAP_ADVICE_COLD:
		cool(space, start, end, false);
		break;
	case WMAP_ADVICE_PAGEOUT:
		cool(space, start, end, true);
		drop(message);
		return;
	case WMAP_ADVICE_DONTNEED:
		drop(message);
		return;
	case WMAP_ADVICE_WILLNEED:
		error = bring(space, start, end);
		break;
	default:
		for_each_in(mapping, space, start, end)
			mapping->advice = message->advise.advice;
	}
	message_answer(message, error);
}
