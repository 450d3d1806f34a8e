/* SPDX-License-Identifier: MIT */
/*
 * Bringing what will be needed: lists of ranges, in the order of need
 *
 * Many reads are under way at a time, in the order of the list. With a budget at
 * most a quarter of it is brought ahead of the reader: every so often the first
 * page of a read is held back until it is touched (ahead.h has the same), and the
 * list goes on when it is. So a list may be longer than memory. (A hint, WILLNEED,
 * ends there.)
 *
 *   RUNNING -> PAUSED     two marks are out
 *   PAUSED -> RUNNING     prefetch_reached(): the reader came to one
 *   RUNNING -> ENDED      all was asked for; or cancelled
 *
 * Who waits for one waits until nothing that was asked for is on its way any
 * more, and it is not RUNNING.
 */
#include "fill.h"
#include "mem.h"

struct prefetch {
	struct list link; /* pager.prefetches */
	struct pager *pager;
	struct space *space; /* NULL: it went */
	uint64_t id;
	struct wmap_range *ranges; /* ours */
	size_t n, i;
	uint64_t next;	  /* address in the range i; 0: its start */
	uint64_t pending; /* reads under way */
	uint64_t since;	  /* pages since the last mark */
	unsigned marks;	  /* out */
	bool hint;	  /* not a list in the order of need: no marks */
	bool ended;
	struct post *waiters; /* of messages */
};

#define PREFETCHES 48 /* reads under way at a time */
#define TOGETHER   64 /* pages of one read, at most */

static uint64_t between_marks(const struct mapping *mapping)
{
	uint64_t most =
		share_most(mapping->space->pager, mapping_share(mapping));

	if (most == BUDGET_NONE)
		return UINT64_MAX;
	return max_u64(most >> PAGE_SHIFT >> 3, 4);
}

static bool is_paused(const struct prefetch *prefetch)
{
	return prefetch->marks == 2;
}

static void answer_waiters(struct prefetch *prefetch)
{
	struct post *post = prefetch->waiters, *next;

	prefetch->waiters = NULL;
	for (; post; post = next) {
		next = post->next;
		message_answer(container_of(post, struct message, post), 0);
	}
}

/* Is it over, or has it come as far as it can? It may be gone then. */
static void look_after(struct prefetch *prefetch)
{
	if (prefetch->pending || !(prefetch->ended || is_paused(prefetch)))
		return;
	answer_waiters(prefetch);
	if (!prefetch->ended || prefetch->marks)
		return;
	list_del(&prefetch->link);
	mem_free(prefetch->ranges, prefetch->n * sizeof(*prefetch->ranges));
	mem_free(prefetch, sizeof(*prefetch));
}

int prefetch_start(struct space *space, struct wmap_range *ranges, size_t n,
		   bool hint, uint64_t *id)
{
	static uint64_t last_id;
	struct prefetch *prefetch = mem_alloc(sizeof(*prefetch));

	if (!prefetch)
		return -ENOMEM;
	prefetch->pager = space->pager;
	prefetch->space = space;
	prefetch->ranges = ranges;
	prefetch->n = n;
	prefetch->hint = hint;
	prefetch->id = ++last_id;
	*id = prefetch->id;
	list_add(&space->pager->prefetches, &prefetch->link);
	prefetch_pump(space->pager);
	return 0;
}

/* ---- Reading ----------------------------------------------------------------*/

/* What goes in the background is to make room for so much. */
static void want(struct pager *pager, uint64_t count)
{
	uint64_t most = pager->budget.limit / 16;

	pager->ahead_wants = max_u64(pager->ahead_wants,
				     min_u64(most, 2 * count << PAGE_SHIFT));
	evict_kick(pager);
}

/* False: there is no memory for it now. */
static bool read_run(struct prefetch *prefetch, struct mapping *mapping,
		     uint64_t first, uint64_t count, bool held)
{
	struct pager *pager = prefetch->pager;
	struct fill *fill;

	if (!fill_room(pager, mapping_share(mapping), count, true)) {
		want(pager, count);
		return false;
	}
	fill = fill_create(mapping, first, count);
	if (!fill)
		return false;
	/* Where every touch counts, bringing is not touching. */
	if (!(mapping->flags & MAPPING_COURSE))
		fill->via = mapping;
	fill->prefetch = prefetch;
	fill->held = held;
	fill->deadline = mapping->deadline;
	pager->prefetching++;
	prefetch->pending++;
	prefetch->marks += held;
	return fill_try(fill);
}

/* The next run of absent pages at or after *@index, below @end. False: there is
   none. */
static bool next_absent(const struct object *object, uint64_t *index,
			uint64_t end, uint64_t *count)
{
	uint64_t n = 0;

	while (*index < end && !object_readable(object, *index))
		++*index;
	while (*index + n < end && n < TOGETHER &&
	       object_readable(object, *index + n))
		n++;
	*count = n;
	return n;
}

/* The mapping at the place that the list has come to; NULL: at its end. */
static struct mapping *find_next(struct prefetch *prefetch, uint64_t *end)
{
	const struct space *space = prefetch->space;

	for (; prefetch->i < prefetch->n; prefetch->i++, prefetch->next = 0) {
		const struct wmap_range *range = &prefetch->ranges[prefetch->i];
		uint64_t start = page_down((uint64_t)range->addr);
		size_t i;

		*end = page_up((uint64_t)range->addr + range->length);
		prefetch->next = max_u64(prefetch->next, start);
		i = space_lower(space, prefetch->next);
		if (prefetch->next >= *end || i == space->n ||
		    space->entries[i].start >= *end)
			continue;
		prefetch->next =
			max_u64(prefetch->next, space->entries[i].start);
		return space->entries[i].mapping;
	}
	return NULL;
}

static uint64_t end_of(const struct mapping *mapping, uint64_t end)
{
	struct wmap_store *store = object_source(mapping->object);
	int64_t length = store ? store_length(store) : 0;

	return min_u64(mapping_page(mapping, min_u64(end, mapping->end)),
		       length > 0 ? page_up(length) >> PAGE_SHIFT : 0);
}

/* One read more; false: not now, or at the end. */
static bool step(struct prefetch *prefetch)
{
	uint64_t end = 0, index, count, most;
	struct mapping *mapping = find_next(prefetch, &end);
	bool held;

	most = mapping ? between_marks(mapping) : 0;
	held = prefetch->since >= most;
	if (!mapping || (held && (prefetch->hint || !fill_may_hold(mapping)))) {
		prefetch->ended = true;
		return false;
	}
	index = mapping_page(mapping, prefetch->next);
	if (!next_absent(mapping->object, &index, end_of(mapping, end),
			 &count)) {
		prefetch->next = min_u64(end, mapping->end);
		return true;
	}
	count = held ? 1 : min_u64(count, max_u64(most / 4, 1));
	if (!read_run(prefetch, mapping, index, count, held))
		return false;
	prefetch->since = held ? 0 : prefetch->since + count;
	prefetch->next = mapping_address(mapping, index + count);
	return true;
}

/* Nothing of it could go. */
static bool is_stuck(const struct share *share)
{
	return !share->n_resting && !share->n_watched && !share_hopes(share);
}

/* Is there nothing that could make room for what it asks for next? */
static bool is_hopeless(struct prefetch *prefetch)
{
	const struct pager *pager = prefetch->pager;
	uint64_t end;
	const struct mapping *mapping = find_next(prefetch, &end);
	const struct share *full;

	if (!mapping)
		return true;
	full = share_full(mapping_share(mapping), 1);
	if (full)
		return is_stuck(full);
	return budget_is_set(&pager->budget) && !budget_hopes(pager) &&
	       is_stuck(mapping_share(mapping)->whole) &&
	       budget_load(pager) + PAGE > budget_limit(pager);
}

void prefetch_pump(struct pager *pager)
{
	list_for_each(prefetch, &pager->prefetches, struct prefetch, link) {
		while (!prefetch->ended && !is_paused(prefetch) &&
		       pager->prefetching < PREFETCHES)
			if (!step(prefetch))
				break;
		prefetch->ended |= !prefetch->ended && !prefetch->pending &&
				   is_hopeless(prefetch);
		look_after(prefetch);
	}
}

/* ---- What becomes of its reads --------------------------------------------------*/

void prefetch_read(struct prefetch *prefetch, bool was_held)
{
	prefetch->pager->prefetching--;
	prefetch->pending--;
	prefetch->marks -= was_held;
	look_after(prefetch);
}

void prefetch_unmark(struct prefetch *prefetch)
{
	prefetch->marks--;
}

/* A page that is held back is read: it waits for its reader, not for the store. */
void prefetch_parked(struct prefetch *prefetch)
{
	prefetch->pager->prefetching--;
	prefetch->pending--;
	look_after(prefetch);
}

void prefetch_unparked(struct prefetch *prefetch)
{
	prefetch->pager->prefetching++;
	prefetch->pending++;
}

/* ---- Waiting, cancelling -----------------------------------------------------*/

static struct prefetch *find(const struct space *space, uint64_t id)
{
	list_for_each(prefetch, &space->pager->prefetches, struct prefetch,
		      link)
		if (prefetch->id == id && prefetch->space == space)
			return prefetch;
	return NULL;
}

static void end(struct prefetch *prefetch)
{
	prefetch->ended = true;
	prefetch->i = prefetch->n;
	look_after(prefetch);
}

void prefetch_wait(struct message *message)
{
	struct prefetch *prefetch = find(message->space, message->prefetch.id);

	if (!prefetch) {
		message_answer(message, 0);
		return;
	}
	message->post.next = prefetch->waiters;
	prefetch->waiters = &message->post;
	if (message->prefetch.cancel)
		end(prefetch);
	else
		look_after(prefetch);
}

void prefetch_forget(struct space *space)
{
	list_for_each(prefetch, &space->pager->prefetches, struct prefetch,
		      link)
		if (prefetch->space == space) {
			prefetch->space = NULL;
			end(prefetch);
		}
}
