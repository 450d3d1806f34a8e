/* SPDX-License-Identifier: MIT */
/*
 * Fills: from an absent page to its bytes
 *
 * When the store has answered, the pages are put in place (put.c); then every
 * waiter that was not woken by that is resolved again from the start.
 */
#include <string.h>

#include "ahead.h"
#include "copies.h"
#include "fill.h"
#include "mem.h"
#include "presume.h"
#include "swap.h"
#include "window.h"

/* ---- Setting aside -----------------------------------------------------------*/

static struct fault *copy_of(const struct fault *fault)
{
	struct fault *copy = mem_alloc(sizeof(*copy));

	if (copy)
		*copy = *fault;
	return copy;
}

void fault_set_aside(struct list *list, const struct fault *fault)
{
	struct fault *copy = copy_of(fault);

	if (copy)
		list_add(list, &copy->link);
	else
		fault_wake(fault); /* it comes back */
}

struct fault fault_take_back(struct fault *aside)
{
	struct fault fault = *aside;

	list_del(&aside->link);
	mem_free(aside, sizeof(*aside));
	return fault;
}

/* ---- Runs ----------------------------------------------------------------------*/

bool object_absent(const struct object *object, uint64_t index)
{
	return pages_get(&object->pages, index).state == PAGE_ABSENT;
}

bool object_readable(const struct object *object, uint64_t index)
{
	return object_absent(object, index) &&
	       (object->store || swap_has(object->swap, index));
}

struct object *mapping_reads(const struct mapping *mapping, uint64_t index)
{
	struct object *source = mapping_source(mapping, index);

	return object_readable(source, index) ? source : NULL;
}

/* Like the page of a fault: of the same source, and in swap, or not. */
static bool is_alike(const struct mapping *mapping, const struct object *source,
		     uint64_t index, bool swapped)
{
	return mapping_source(mapping, index) == source &&
	       object_absent(source, index) &&
	       swap_has(source->swap, index) == swapped;
}

/* A run takes its memory twice while it is read. */
static uint64_t run_most(const struct mapping *mapping)
{
	uint64_t limit =
		share_most(mapping->space->pager, mapping_share(mapping)) >>
		PAGE_SHIFT;

	return max_u64(min_u64(GRAIN_MAX >> PAGE_SHIFT, limit / 16), 1);
}

void fill_choose_run(const struct mapping *mapping, uint64_t index,
		     uint64_t *first, uint64_t *count)
{
	uint64_t grain = mapping->grain;
	uint64_t low = index & ~(grain - 1), high = low + grain;
	uint64_t from = index, to = index + 1;
	const struct object *source = mapping_source(mapping, index);
	bool swapped = swap_has(source->swap, index);

	if (mapping->advice == WMAP_ADVICE_SEQUENTIAL)
		high = max_u64(high, index + AHEAD);
	high = max_u64(high, index + ahead_run(mapping, index));
	low = max_u64(low, mapping->first);
	high = min_u64(high, mapping_end_page(mapping));
	while (from > low && is_alike(mapping, source, from - 1, swapped))
		from--;
	while (to < high && is_alike(mapping, source, to, swapped))
		to++;
	*first = from;
	*count = min_u64(to - from, run_most(mapping));
	if (*first + *count <= index)
		*first = index;
	*count = min_u64(*count, to - *first);
}

/* ---- Fills ---------------------------------------------------------------------*/

void object_sicken(struct pager *pager, struct object *object)
{
	if (!object->n_errors || !list_empty(&object->sick))
		return;
	if (list_empty(&pager->sick))
		loop_timer_start(pager->loop, &pager->heal,
				 time_now() + HEAL_EVERY);
	list_add(&pager->sick, &object->sick);
}

void fault_refuse(struct pager *pager, const struct fault *fault)
{
	struct mapping *mapping = space_find(fault->space, fault->address);
	struct object *object;
	uint64_t index;

	if (!mapping) {
		fault_wake(fault);
		return;
	}
	index = mapping_page(mapping, fault->address);
	fault->space->stats.errors++;
	object = mapping_source(mapping, index);
	mapping_poison(mapping, object, pages_get(&object->pages, index));
	object_sicken(pager, object);
	pager_answered(pager, fault);
}

/* Take back the claim on pages that do not come. */
static void unclaim(struct fill *fill, uint64_t first)
{
	for (uint64_t i = first; i < fill->first + fill->count; i++) {
		struct page page = pages_get(&fill->object->pages, i);

		if (page.state != PAGE_FILLING)
			continue;
		object_set(fill->object, page,
			   fill->healing ? PAGE_ERROR : PAGE_ABSENT,
			   fill->healing ? page.views : 0);
	}
}

/* Did UFFDIO_COPY through fill->via wake this thread for good? */
static bool was_woken(const struct fill *fill, uint64_t valid,
		      const struct fault *fault)
{
	const struct mapping *via = fill->via;
	uint64_t index;

	/* Another process may have a mapping at the same address. */
	if (!fill->woken || fault->space != via->space ||
	    fault->address < via->start || fault->address >= via->end)
		return false;
	index = mapping_page(via, fault->address);
	return index >= fill->first && index < fill->first + valid &&
	       !(fault->write && !fill->write);
}

static void resolve_waiters(struct fill *fill, uint64_t valid, bool refused)
{
	struct pager *pager = fill->pager;

	list_for_each(aside, &fill->waiters, struct fault, link) {
		struct fault fault = fault_take_back(aside);
		struct mapping *mapping =
			space_find(fault.space, fault.address);
		bool beyond;

		if (was_woken(fill, valid, &fault)) {
			pager_answered(pager, &fault);
			continue;
		}
		beyond = mapping &&
			 mapping_page(mapping, fault.address) >=
				 fill->first + valid &&
			 !(mapping->flags & MAPPING_COURSE && !fill->zeros);
		fault.alone = true;
		if (refused && beyond)
			fault_refuse(pager, &fault);
		else
			fault_resolve(pager, fault);
	}
}

/* Their thread looks again, wherever its memory is now. */
static void wake_all(struct fill *fill)
{
	list_for_each(aside, &fill->waiters, struct fault, link) {
		struct fault fault = fault_take_back(aside);

		fault_wake(&fault);
	}
}

/* The store failed. Which page of several it was, single reads will tell. */
static void fail(struct fill *fill, int error)
{
	unclaim(fill, fill->first);
	if (error == -ENOENT || error == -ESRCH)
		wake_all(fill);
	resolve_waiters(fill, 0, fill->count == 1 || error == -ETIMEDOUT);
	object_sicken(fill->pager, fill->object);
}

/* @bytes of the run exist; the rest lies past the end of the store. */
static void land(struct fill *fill, uint64_t bytes)
{
	char *buffer = fill->io.pub.buffer;
	uint64_t size = fill->count << PAGE_SHIFT;
	uint64_t valid = fill->zeros ? fill->count :
				       page_up(bytes) >> PAGE_SHIFT;
	int error = 0;

	memset(buffer + bytes, 0, size - bytes);
	/* Its store would come after what was changed has been written. */
	if (fill->via && fill->via->closing)
		fill->write = false;
	fill->object->payer = fill->share;
	fill->object->streaming = fill->ahead;
	fill->object->presuming = fill->presume && !fill->behind && fill->via &&
				  presume_begin(fill->via, valid);
	if (valid)
		error = fill_put(fill->object, fill->behind ? NULL : fill->via,
				 fill->first, valid, buffer, fill->write,
				 &fill->woken);
	fill->object->payer = NULL;
	fill->object->streaming = false;
	fill->object->presuming = false;
	if (!error && valid && !fill->ahead)
		window_asked(fill->object, fill->first, valid);
	if (error) {
		fill->woken = false;
		fail(fill, error);
		return;
	}
	if (!fill->object->store)
		fill->pager->swapout.in += valid;
	pager_stats(fill->pager, fill->object)->fills += valid;
	if (fill->via)
		fill->via->fills += valid;
	unclaim(fill, fill->first + valid);
	if (fill->healing && valid && fill->object->memfd >= 0)
		object_heal(fill->object,
			    pages_get(&fill->object->pages, fill->first));
	resolve_waiters(fill, valid, true);
	object_sicken(fill->pager, fill->object);
}

/* It takes memory from now on, or (@by < 0) no more. */
static void count_coming(struct fill *fill, int by)
{
	int64_t buffer = (int64_t)staging_size(fill->io.pub.length) * by;
	int64_t pages = (int64_t)fill->coming * by;

	fill->pager->budget.coming += pages;
	share_coming(fill->share, pages, buffer);
}

static void put_buffer(struct fill *fill)
{
	budget_read_end(fill->object, fill->io.pub.buffer,
			fill->count << PAGE_SHIFT);
}

static void fill_destroy(struct fill *fill)
{
	if (fill->prefetch)
		prefetch_read(fill->prefetch, fill->held);
	object_put(fill->object);
	mem_free(fill, sizeof(*fill));
}

/* ---- Holding back ----------------------------------------------------------------*/

/* Nobody shall wait for its touch any more. */
static void drop_mark(struct fill *fill)
{
	if (fill->held && fill->prefetch)
		prefetch_unmark(fill->prefetch);
	fill->held = false;
}

/* It is over: what it has goes into place, or (@bytes < 0) is forgotten. */
static void unpark(struct fill *fill, int64_t bytes)
{
	struct pager *pager = fill->pager;

	assert(fill->parked);
	if (fill->prefetch)
		prefetch_unparked(fill->prefetch);
	list_del(&fill->link);
	pager->n_parked--;
	share_parked(fill->share, -1);
	count_coming(fill, -1);
	if (bytes < 0)
		unclaim(fill, fill->first);
	else
		land(fill, (uint64_t)bytes);
	put_buffer(fill);
	fill_destroy(fill);
}

void fills_unhold(struct object *object, uint64_t first, uint64_t end)
{
	list_for_each(fill, &object->fills, struct fill, link) {
		if (fill->first >= end || fill->first + fill->count <= first)
			continue;
		drop_mark(fill);
		if (fill->parked)
			unpark(fill, -1);
	}
	if (object->pager)
		prefetch_pump_soon(object->pager);
}

void fill_release(struct object *object, uint64_t index)
{
	list_for_each(fill, &object->fills, struct fill, link)
		if (fill->held && fill->first == index) {
			struct pager *pager = fill->pager;

			drop_mark(fill);
			if (fill->parked)
				unpark(fill, fill->bytes);
			prefetch_pump(pager);
			return;
		}
}

void fills_repeat(struct object *object, uint64_t first, uint64_t end)
{
	fills_unhold(object, first, end);
	list_for_each(fill, &object->fills, struct fill, link)
		if (fill->first < end && fill->first + fill->count > first)
			fill->repeat = true;
}

/* Of @bytes that were read, those that lie before the end of the store. */
static int64_t up_to_end(const struct fill *fill, int64_t bytes)
{
	int64_t length, from = (int64_t)fill->io.pub.offset;

	if (object_source(fill->object)->ends_reads)
		return bytes;
	length = store_length(object_source(fill->object));
	if (length < 0)
		return length;
	return length <= from ? 0 : (int64_t)min_u64(bytes, length - from);
}

static void settle(struct io *io)
{
	struct fill *fill = container_of(io, struct fill, io);

	int64_t bytes = io->result;

	if (fill->abandoned || (fill->repeat && bytes >= 0))
		return; /* let_go begins it again, or ends it */
	if (fill->held && bytes > 0 && list_empty(&fill->waiters)) {
		fill->parked = true;
		fill->pager->n_parked++;
		share_parked(fill->share, 1);
		fill->bytes = up_to_end(fill, bytes);
		if (fill->prefetch)
			prefetch_parked(fill->prefetch);
		return;
	}
	list_del(&fill->link);
	count_coming(fill, -1);
	fill->coming = 0;
	if (bytes >= 0) {
		pager_stats(fill->pager, fill->object)->bytes_read +=
			(uint64_t)bytes;
		bytes = up_to_end(fill, bytes);
	}
	if (bytes < 0)
		fail(fill, (int)bytes);
	else
		land(fill, (uint64_t)bytes);
	if (fill->join)
		join_end(fill->join, 0);
}

static void let_go(struct io *io)
{
	struct fill *fill = container_of(io, struct fill, io);
	struct pager *pager = fill->pager;

	if (fill->parked) {
		if (fill->bytes <= 0)
			unpark(fill, -1);
		return;
	}
	if (fill->repeat && !fill->abandoned && !io->late && io->result >= 0) {
		fill->repeat = false;
		io_start(io, pager->loop, io->store, fill->deadline);
		return;
	}
	put_buffer(fill);
	fill_destroy(fill);
	fills_feed(pager);
	prefetch_pump(pager);
}

bool fill_may_hold(const struct mapping *mapping)
{
	const struct pager *pager = mapping->space->pager;
	uint64_t most = share_most(pager, mapping_share(mapping));

	return 2 * pager->n_parked < most >> PAGE_SHIFT >> 5;
}

bool fill_room(struct pager *pager, struct share *share, uint64_t count,
	       bool ahead)
{
	size_t size = count << PAGE_SHIFT;

	return !share_take(pager, share, count, ahead) &&
	       budget_take(pager, share, size, size, ahead);
}

/* With whom it waits for memory; NULL: none will come back by itself. */
static struct list *find_hope(const struct fill *fill)
{
	struct share *full = share_full(fill->share, fill->count, false);

	return budget_hungry(fill->pager, full);
}

/* There is room for it. False: there is no buffer, now. */
static bool begin(struct fill *fill)
{
	struct pager *pager = fill->pager;
	size_t size = fill->count << PAGE_SHIFT;
	void *buffer = budget_read_begin(fill->object, size);

	if (!buffer)
		return false;
	fill->coming = fill->count;
	loop_timer_stop(&fill->io.deadline);
	fill->io.pub.buffer = buffer;
	fill->io.pub.length = size;
	fill->io.pub.offset = fill->first << PAGE_SHIFT;
	fill->io.operation = IO_READ;
	fill->io.done = settle;
	fill->io.release = let_go;
	count_coming(fill, 1);
	io_start(&fill->io, pager->loop, object_source(fill->object),
		 fill->deadline);
	return true;
}

/* The same for what somebody waits for; or there is no room, but will be. If none
   will it takes its memory in any case. */
static bool begin_waited_for(struct fill *fill)
{
	uint64_t size = fill->count << PAGE_SHIFT;

	return budget_room(fill->pager, fill->share, fill->count, size, size) !=
		       ROOM_LATER &&
	       begin(fill);
}

/* Zeros need no reading: their faults begin again. */
static void feed_thirsty(struct pager *pager)
{
	struct list now;

	list_init(&now);
	list_move(&now, &pager->thirsty);
	list_for_each(aside, &now, struct fault, link)
		fault_resolve(pager, fault_take_back(aside));
}

/* Its store has all the buffers that it may. */
static bool is_greedy(const struct fill *fill)
{
	return !staging_is_fair(&fill->pager->staging,
				fill->count << PAGE_SHIFT,
				object_source(fill->object)->staged);
}

static void feed(struct list *hungry)
{
	list_for_each(fill, hungry, struct fill, waiting) {
		if (is_greedy(fill))
			continue;
		if (!begin_waited_for(fill))
			return;
		list_del(&fill->waiting);
	}
}

/* Does any wait that is to come first? */
static bool is_waited_for(const struct list *hungry)
{
	list_for_each(fill, hungry, const struct fill, waiting)
		if (!is_greedy(fill))
			return true;
	return false;
}

void fills_feed(struct pager *pager)
{
	list_for_each(share, &pager->budget.scarce, struct share, scarce)
		feed(&share->hungry);
	feed(&pager->hungry);
	feed_thirsty(pager);
}

void fills_charge(struct object *object, const struct mapping *via,
		  const struct share *from, struct share *to)
{
	bool waits = false;

	list_for_each(fill, &object->fills, struct fill, link) {
		if (fill->share != from || (via && fill->via != via))
			continue;
		if (fill->coming)
			count_coming(fill, -1);
		share_parked(fill->share, -(int64_t)fill->parked);
		fill->share = to;
		share_parked(fill->share, fill->parked);
		if (fill->coming)
			count_coming(fill, 1);
		if (list_empty(&fill->waiting))
			continue;
		waits = true;
		list_del(&fill->waiting);
		list_add(&object->pager->hungry, &fill->waiting);
	}
	if (waits)
		fills_feed(object->pager);
}

static bool claim(struct object *object, uint64_t first, uint64_t count)
{
	for (uint64_t i = first; i < first + count; i++) {
		struct page page = pages_get(&object->pages, i);

		if (object_set(object, page, PAGE_FILLING, page.views)) {
			while (i-- > first)
				object_set(object, pages_get(&object->pages, i),
					   PAGE_ABSENT, 0);
			return false;
		}
	}
	return true;
}

bool fill_try(struct fill *fill)
{
	if (fill_room(fill->pager, fill->share, fill->count, true) &&
	    begin(fill)) {
		follow_ahead(&fill->pager->follow, fill->count);
		return true;
	}
	list_del(&fill->link);
	unclaim(fill, fill->first);
	fill_destroy(fill);
	return false;
}

/* It will not be read after all. */
static void give_up(struct fill *fill, int error)
{
	list_del(&fill->waiting);
	list_del(&fill->link);
	fail(fill, error);
	if (fill->join)
		join_end(fill->join, 0);
	fill_destroy(fill);
}

/* A store that answers nothing may have all buffers: that is not to be a hang
   of others. */
static void starved(struct timer *timer)
{
	give_up(container_of(timer, struct fill, io.deadline), -ETIMEDOUT);
}

struct fill *fill_create(struct object *object, struct mapping *mapping,
			 uint64_t first, uint64_t count)
{
	struct fill *fill = mem_alloc(sizeof(*fill));
	bool healing = !object_absent(object, first);

	if (!fill)
		return NULL;
	if (!claim(object, first, count)) {
		mem_free(fill, sizeof(*fill));
		return NULL;
	}
	fill->pager = object->pager;
	fill->share = mapping_share(mapping);
	fill->healing = healing;
	fill->object = object_get(object);
	fill->first = first;
	fill->count = count;
	timer_init(&fill->io.deadline, starved);
	list_init(&fill->waiting);
	list_init(&fill->waiters);
	list_init(&fill->link);
	list_add(&object->fills, &fill->link);
	return fill;
}

/* Is it behind another? Where nobody waits, as a rule, it is not asked what may come
   back: that may take a look at all objects. */
static bool is_behind(const struct fill *fill)
{
	struct share *full = share_full(fill->share, fill->count, false);
	struct list *hungry;

	if (!is_waited_for(&fill->pager->hungry) &&
	    !(full && is_waited_for(&full->hungry)))
		return false;
	hungry = find_hope(fill);
	return hungry && is_waited_for(hungry);
}

/* Begin, or wait for a buffer; if none is out, none will come back. */
void fill_go(struct fill *fill)
{
	struct pager *pager = fill->pager;
	struct list *hungry;

	if (!is_behind(fill) && begin_waited_for(fill))
		return;
	hungry = find_hope(fill);
	if (!hungry) {
		give_up(fill, -ENOMEM);
		return;
	}
	list_add(hungry, &fill->waiting);
	loop_timer_start(pager->loop, &fill->io.deadline,
			 time_now() + fill->deadline);
}

void fill_start(struct pager *pager, struct mapping *mapping, uint64_t index,
		const struct fault *fault)
{
	/* Who is only woken comes back, and finds no memory again: for ever. */
	struct fault *waiter = copy_of(fault);
	struct object *object = mapping_source(mapping, index);
	struct run run = { index, 1 };
	struct fill *fill;

	if (!fault->alone && object_absent(object, index))
		fill_choose_run(mapping, index, &run.first, &run.count);
	/* Who sleeps waits for his own page's memory, and no other. */
	if (run.count > mapping->grain &&
	    (!list_empty(&pager->hungry) ||
	     !fill_room(pager, mapping_share(mapping), run.count, false)))
		run = (struct run){ index, 1 };
	fill = waiter ? fill_create(object, mapping, run.first, run.count) :
			NULL;
	if (!fill) {
		mem_free(waiter, sizeof(*waiter));
		fault_refuse(pager, fault);
		return;
	}
	/* Plain memory is its mapping's. */
	fill->via = fill->healing && object->memfd >= 0 ? NULL : mapping;
	fill->behind = mapping->exact && run.count > 1;
	fill->deadline = mapping->deadline;
	fill->write = fault->write && run.count == 1;
	if (!fill->write)
		fill->presume = presume_loaded(mapping, index);
	fill->zeros = mapping->flags & MAPPING_COURSE;
	list_add(&fill->waiters, &waiter->link);
	fill_go(fill);
	ahead_missed(pager, mapping, index, &run);
	prefetch_missed(pager, mapping, index);
}

/* The store may never answer: who sleeps here must not wait for it, but fault
   again, where nothing is mapped any more. */
static void wake_waiters(struct fill *fill, const struct mapping *mapping)
{
	list_for_each(aside, &fill->waiters, struct fault, link) {
		struct fault fault;

		if (aside->space != mapping->space ||
		    aside->address < mapping->start ||
		    aside->address >= mapping->end)
			continue;
		fault = fault_take_back(aside);
		fault_wake(&fault);
	}
}

void fills_abandon(struct object *object)
{
	fills_unhold(object, 0, UINT64_MAX);
	list_for_each(fill, &object->fills, struct fill, link) {
		unclaim(fill, fill->first);
		wake_all(fill);
		list_del(&fill->link);
		fill->abandoned = true;
		if (list_empty(&fill->waiting)) {
			count_coming(fill, -1);
			continue;
		}
		list_del(&fill->waiting);
		loop_timer_stop(&fill->io.deadline);
		fill_destroy(fill);
	}
	prefetch_pump_soon(object->pager);
}

static void forget_of(struct object *object, struct mapping *mapping)
{
	fills_unhold(object, mapping->first, mapping_end_page(mapping));
	list_for_each(fill, &object->fills, struct fill, link) {
		if (fill->via == mapping)
			fill->via = NULL;
		wake_waiters(fill, mapping);
	}
}

void fills_forget(struct mapping *mapping)
{
	prefetch_leave(mapping);
	forget_of(mapping->object, mapping);
	if (mapping->copies)
		forget_of(mapping->copies, mapping);
}

/* ---- Trying again --------------------------------------------------------------*/

static void retry_page(struct object *object, uint64_t index, struct join *join)
{
	struct mapping *mapping = object_mapping(object);
	struct fill *fill;

	/* Zeros need no reading: the next touch tries again. */
	if (!object->store &&
	    (object->memfd < 0 || !swap_has(object->swap, index))) {
		object_expose(object, index);
		return;
	}
	fill = fill_create(object, mapping, index, 1);
	if (!fill)
		return;
	fill->deadline = mapping->deadline;
	fill->join = join;
	if (join)
		join->pending++;
	fill_go(fill);
}

void object_retry(struct pager *pager, struct object *object, size_t most,
		  struct join *join)
{
	uint64_t *indexes;
	size_t n;

	if (!object->n_errors || !object_mapping(object) || pager->refusing)
		return;
	if (pages_collect(&object->pages, 0, UINT64_MAX, 1u << PAGE_ERROR,
			  &indexes, &n))
		return;
	for (size_t i = 0; i < n && i < most; i++)
		retry_page(object, indexes[object->retries++ % n], join);
	mem_free(indexes, n * sizeof(*indexes));
}
