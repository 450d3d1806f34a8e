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
#include "account.h"
#include "copies.h"
#include "fill.h"
#include "mem.h"
#include "replay.h"

struct prefetch {
	struct list link; /* pager.prefetches */
	struct pager *pager;
	struct space *space;	 /* NULL: it went */
	struct account *account; /* its user's, or NULL */
	uint64_t id;
	struct wmap_range *ranges; /* ours */
	size_t n, i;
	uint64_t next;	  /* address in the range i; 0: its start */
	uint64_t pending; /* reads under way */
	uint64_t since;	  /* pages since the last mark */
	uint64_t waits;	  /* since when for memory alone; 0: it does not */
	unsigned marks;	  /* out */
	bool hint;	  /* not a list in the order of need: no marks */
	/* Of a replay (replay.h), else NULL, 0, without limit: */
	struct mapping *only; /* whose ranges they are; NULL, too: it went */
	uint32_t file;	      /* in the recording */
	uint64_t window;      /* pages between marks, at most */
	size_t sorted;	      /* of its entries */
	unsigned hits;	      /* faults on what it has still to bring */
	bool ended;
	struct post *waiters; /* of messages */
};

#define PREFETCHES 48	/* reads under way at a time */
#define STEPS	   256	/* of one list, until others have their turn */
#define LOOKED_AT  4096 /* pages in one of them */
#define RANGES_MAX ((size_t)1 << 20) /* of one user's processes */
#define TOGETHER   64		     /* pages of one read, at most */
#define WINDOW_MIN 128		     /* pages between a replay's marks … */
#define WINDOW_MAX 16384
#define PART_MAX   1024 /* entries that are sorted together */
#define HITS	   4	/* more than other faults: it goes past a mark */

static uint64_t between_marks(const struct prefetch *prefetch,
			      const struct mapping *mapping)
{
	uint64_t most =
		share_most(mapping->space->pager, mapping_share(mapping));

	if (most == BUDGET_NONE)
		return prefetch->window;
	return min_u64(max_u64(most >> PAGE_SHIFT >> 3, 4), prefetch->window);
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
	if (prefetch->account)
		prefetch->account->n_ranges -= prefetch->n;
	account_put(prefetch->account);
	mem_free(prefetch->ranges, prefetch->n * sizeof(*prefetch->ranges));
	mem_free(prefetch, sizeof(*prefetch));
}

/* Not begun yet; NULL: no memory. */
static struct prefetch *create(struct space *space, struct wmap_range *ranges,
			       size_t n)
{
	static uint64_t last_id;
	struct prefetch *prefetch = mem_alloc(sizeof(*prefetch));

	if (!prefetch)
		return NULL;
	if (!last_id) /* a predecessor that was killed had smaller ones */
		last_id = time_now();
	prefetch->pager = space->pager;
	prefetch->space = space;
	prefetch->ranges = ranges;
	prefetch->n = n;
	prefetch->window = UINT64_MAX;
	prefetch->id = ++last_id;
	list_add(&space->pager->prefetches, &prefetch->link);
	return prefetch;
}

int prefetch_start(struct space *space, struct wmap_range *ranges, size_t n,
		   bool hint, uint64_t *id)
{
	struct account *account = space->account;
	struct prefetch *prefetch = NULL;

	if (!account || account->n_ranges + n <= RANGES_MAX)
		prefetch = create(space, ranges, n);
	if (!prefetch)
		return -ENOMEM;
	prefetch->account = account_get(account);
	if (account)
		account->n_ranges += n;
	prefetch->hint = hint;
	*id = prefetch->id;
	prefetch_pump(space->pager);
	return 0;
}

/* ---- Sorting ----------------------------------------------------------------*/

/* The entries at the front of what is left that have so many pages together. */
static size_t count_part(const struct prefetch *prefetch, uint64_t pages)
{
	size_t left = min_u64(prefetch->n - prefetch->i, PART_MAX), n = 0;

	for (uint64_t sum = 0; n < left && sum < pages; n++)
		sum += prefetch->ranges[prefetch->i + n].length >> PAGE_SHIFT;
	return n;
}

/* What touches becomes one; how many are left. */
static size_t join_part(struct recording_run *part, size_t n)
{
	size_t to = 0;

	for (size_t i = 0; i < n; i++)
		if (i &&
		    part[to - 1].first + part[to - 1].count == part[i].first)
			part[to - 1].count += part[i].count;
		else
			part[to++] = part[i];
	return to;
}

/* Of a replay: sort the next entries, with @pages or so, by address, that what lies
   together is read together. */
static void sort_part(struct prefetch *prefetch, uint64_t pages)
{
	static struct recording_run part[PART_MAX]; /* the pager's only */
	size_t n = count_part(prefetch, pages), left;
	struct wmap_range *ranges = &prefetch->ranges[prefetch->i];

	for (size_t i = 0; i < n; i++)
		part[i] = (struct recording_run){
			.first = (uint64_t)ranges[i].addr,
			.count = ranges[i].length,
		};
	recording_sort(part, n);
	left = join_part(part, n);
	prefetch->sorted = prefetch->i + n;
	prefetch->i = prefetch->sorted - left;
	for (size_t i = 0; i < left; i++)
		prefetch->ranges[prefetch->i + i] = (struct wmap_range){
			.addr = (void *)part[i].first,
			.length = part[i].count,
		};
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
	fill = fill_create(mapping_source(mapping, first), mapping, first,
			   count);
	if (!fill)
		return false;
	/* Where every touch counts, bringing is not touching. */
	fill->via = mapping;
	fill->behind = mapping->exact;
	fill->prefetch = prefetch;
	fill->held = held;
	fill->deadline = mapping->deadline;
	pager->prefetching++;
	prefetch->pending++;
	prefetch->marks += held;
	return fill_try(fill);
}

/* The next run of absent pages of one source at or after *@index, below @end.
   False: there is none so far. */
static bool next_absent(const struct mapping *mapping, uint64_t *index,
			uint64_t end, uint64_t *count)
{
	const struct object *source = NULL;
	uint64_t n = 0, last = *index + LOOKED_AT;

	while (*index < end && *index < last &&
	       !(source = mapping_reads(mapping, *index)))
		++*index;
	if (*index == last)
		return false;
	while (*index + n < end && n < TOGETHER &&
	       mapping_reads(mapping, *index + n) == source)
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
		/* Something else is there by now. */
		if (prefetch->only &&
		    space->entries[i].mapping != prefetch->only)
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
	uint64_t end = 0, index, last, count, most;
	struct mapping *mapping;
	bool held;

	if (prefetch->only && prefetch->i >= prefetch->sorted)
		sort_part(prefetch,
			  between_marks(prefetch, prefetch->only) / 2);
	mapping = find_next(prefetch, &end);
	most = mapping ? between_marks(prefetch, mapping) : 0;
	held = prefetch->since >= most;
	if (!mapping || (held && (prefetch->hint || !fill_may_hold(mapping)))) {
		prefetch->ended = true;
		return false;
	}
	index = mapping_page(mapping, prefetch->next);
	last = end_of(mapping, end);
	if (!next_absent(mapping, &index, last, &count)) {
		prefetch->next = index < last ?
					 mapping_address(mapping, index) :
					 min_u64(end, mapping->end);
		return true;
	}
	count = held ? 1 : min_u64(count, max_u64(most / 4, 1));
	if (!read_run(prefetch, mapping, index, count, held)) {
		/* Where nobody is above its due nothing goes for many pages. */
		if (count == 1 || prefetch->pending ||
		    !read_run(prefetch, mapping, index, 1, held))
			return false;
		count = 1;
	}
	prefetch->since = held ? 0 : prefetch->since + count;
	prefetch->next = mapping_address(mapping, index + count);
	return true;
}

/* Where memory is to come from: who has more than is due to him. */
static bool could_go(const struct pager *pager, const struct share *full)
{
	return full ? full->n_resting + full->n_watched : evict_gives(pager);
}

/*
 * It found no memory for the next page. Is there nothing that could make room? Then
 * the background has just found nothing that goes; or it need not look, as nobody
 * has more than is due to him: that may be so much that there is no room for what
 * is ahead, and for that alone. What a store has failed to take for as long as it
 * may be silent counts for nothing, though it is tried again.
 */
static bool is_hopeless(struct prefetch *prefetch)
{
	const struct pager *pager = prefetch->pager;
	uint64_t end, now = time_now();
	const struct mapping *mapping = find_next(prefetch, &end);
	const struct share *full;

	if (!mapping)
		return true;
	if (!prefetch->waits)
		prefetch->waits = now;
	if (now - prefetch->waits > mapping->deadline)
		return true;
	full = share_full(mapping_share(mapping), 1, true);
	if (full ? share_hopes(full) : budget_hopes(pager))
		return false;
	return pager->budget.stuck || !could_go(pager, full);
}

void prefetch_pump(struct pager *pager)
{
	list_for_each(prefetch, &pager->prefetches, struct prefetch, link) {
		unsigned steps = 0;
		bool more = true;

		while (!prefetch->ended && !is_paused(prefetch) &&
		       pager->prefetching < PREFETCHES && steps < STEPS &&
		       (more = step(prefetch)))
			steps++;
		if (steps == STEPS)
			prefetch_pump_soon(pager);
		if (more || prefetch->pending)
			prefetch->waits = 0;
		else
			prefetch->ended |= is_hopeless(prefetch);
		look_after(prefetch);
	}
}

static void pump(struct post *post)
{
	struct pager *pager = container_of(post, struct pager, pump);

	pager->pumping = false;
	prefetch_pump(pager);
}

void prefetch_pump_soon(struct pager *pager)
{
	if (pager->pumping || list_empty(&pager->prefetches))
		return;
	pager->pumping = true;
	pager->pump.run = pump;
	loop_post(pager->loop, &pager->pump);
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
	if (prefetch->only)
		prefetch->window = min_u64(2 * prefetch->window, WINDOW_MAX);
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

/* ---- Replays ------------------------------------------------------------------*/

int prefetch_replay(struct mapping *mapping, uint32_t file,
		    struct wmap_range *ranges, size_t n)
{
	struct prefetch *prefetch = create(mapping->space, ranges, n);

	if (!prefetch)
		return -ENOMEM;
	prefetch->only = mapping;
	prefetch->file = file;
	prefetch->window = WINDOW_MIN;
	prefetch_pump(mapping->space->pager);
	return 0;
}

/* A page that is held back of what it brings; NULL: none is. */
static struct fill *find_mark(const struct prefetch *prefetch)
{
	list_for_each(fill, &prefetch->only->object->fills, struct fill, link)
		if (fill->prefetch == prefetch && fill->held)
			return fill;
	return NULL;
}

/* Its order is another one than the program's, or a mark is of no use: not so far
   ahead, but on. */
static void go_past_mark(struct prefetch *prefetch)
{
	struct fill *mark = find_mark(prefetch);

	prefetch->hits = 0;
	prefetch->window = max_u64(prefetch->window / 4, WINDOW_MIN / 2);
	if (mark)
		fill_release(mark->object, mark->first);
}

void prefetch_missed(struct pager *pager, const struct mapping *mapping,
		     uint64_t index)
{
	list_for_each(prefetch, &pager->prefetches, struct prefetch, link) {
		size_t place;

		if (prefetch->only != mapping || !is_paused(prefetch))
			continue;
		place = replay_place(pager->replay, prefetch->file, index);
		if (place == REPLAY_NOWHERE)
			prefetch->hits -= prefetch->hits > 0;
		else if (place >= prefetch->sorted)
			prefetch->hits++;
		if (prefetch->hits == HITS) {
			go_past_mark(prefetch);
			return;
		}
	}
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
	prefetch->only = NULL;
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

void prefetch_leave(const struct mapping *mapping)
{
	list_for_each(prefetch, &mapping->space->pager->prefetches,
		      struct prefetch, link)
		if (prefetch->only == mapping)
			end(prefetch);
}

void prefetch_end_replays(struct pager *pager)
{
	list_for_each(prefetch, &pager->prefetches, struct prefetch, link)
		if (prefetch->only)
			end(prefetch);
}
