/* SPDX-License-Identifier: MIT */
/*
 * Faults and fills: from a sleeper to the page in its place
 *
 * A fill is a run of pages of one object that are read together. Its pages are
 * FILLING; faults on them are set aside in its list of waiters. When the store
 * has answered the pages are put into the object: by UFFDIO_COPY through the
 * mapping that faulted, if it shows the object's own memory, which wakes its
 * sleepers too; else by a write to the memfd. Then every waiter that the copy
 * did not wake is resolved again.
 */
#include <string.h>

#include "mem.h"
#include "pager.h"
#include "sys.h"

struct fill {
	struct io io;
	struct list link;    /* object.fills */
	struct list waiting; /* pager.hungry */
	struct list waiters; /* fault.link */
	struct pager *pager;
	struct object *object;
	struct mapping *via; /* NULL: none, or it went */
	uint64_t first, count;
	uint64_t deadline;
	bool write;   /* one page, and its thread stores to it */
	bool woken;   /* all that slept on it through via are awake */
	bool zeros;   /* past the end of the store are zeros */
	bool healing; /* the page was in ERROR */
	bool prefetch;
	bool repeat;	   /* the store was changed while this read it */
	struct join *join; /* is told when it is settled, or NULL */
};

/* What an anonymous page is filled with. */
static const char nothing[GRAIN_MAX] __attribute__((aligned(4096)));

/* ---- Setting aside -----------------------------------------------------------*/

static void set_aside(struct list *list, const struct fault *fault)
{
	struct fault *copy = mem_alloc(sizeof(*copy));

	if (!copy) {
		fault_wake(fault); /* it comes back */
		return;
	}
	*copy = *fault;
	list_add(list, &copy->link);
}

static struct fault take_back(struct fault *aside)
{
	struct fault fault = *aside;

	list_del(&aside->link);
	mem_free(aside, sizeof(*aside));
	return fault;
}

void faults_release(struct mapping *mapping)
{
	list_for_each(aside, &mapping->held, struct fault, link) {
		struct fault fault = take_back(aside);

		fault_wake(&fault);
	}
}

/* ---- Putting pages in place --------------------------------------------------*/

/* The page is in memory, and @via (or NULL) shows it. */
static void landed(struct object *object, struct mapping *via, uint64_t index,
		   bool dirty)
{
	struct page page = pages_get(&object->pages, index);
	uint32_t views = page.views;
	bool had = via && page_is(page, STATES_PRESENT) &&
		   view_has(via->view, page);

	if (via) {
		views |= view_bit(via->view);
		view_note(via->view, index, true);
	}
	if (!object_set(object, page, dirty ? PAGE_DIRTY : PAGE_CLEAN, views) &&
	    via && !had)
		via->n_loaded++;
}

/* A page that is there already stays as it is. */
static void found(struct object *object, uint64_t index)
{
	struct page page = pages_get(&object->pages, index);

	if (!page_is(page, STATES_PRESENT))
		object_set(object, page, PAGE_CLEAN, page.views);
}

static int put_one_run(struct mapping *via, uint64_t first, uint64_t count,
		       const char *buffer, bool write, uint64_t *done)
{
	uint64_t address = mapping_address(via, first), bytes;
	int uffd = via->space->uffd, error;
	bool zero_page = via->object->memfd < 0 && !write &&
			 !(via->flags & MAPPING_COURSE);

	if (zero_page)
		error = uffd_zeropage(uffd, address, count << PAGE_SHIFT,
				      &bytes);
	else
		error = uffd_copy(uffd, address, buffer, count << PAGE_SHIFT,
				  via->tracked && !write ? UFFDIO_COPY_MODE_WP :
							   0,
				  &bytes);
	*done = bytes >> PAGE_SHIFT;
	return error;
}

/*
 * Copy pages in through a mapping; *@done of them are there, also those that
 * were before: then not every sleeper is awake. -ENOENT: the mapping is not in
 * place.
 */
static int put_through(struct mapping *via, uint64_t first, uint64_t count,
		       const char *buffer, bool write, uint64_t *done,
		       bool *woken)
{
	struct object *object = via->object;
	uint64_t at = 0, n;
	int error = 0;

	while (at < count) {
		error = put_one_run(via, first + at, count - at,
				    buffer + (at << PAGE_SHIFT), write, &n);
		for (uint64_t i = at; i < at + n; i++)
			landed(object, via, first + i, write && via->tracked);
		at += n;
		if (error == -EEXIST) {
			found(object, first + at++);
			*woken = false;
		} else if (error && error != -EAGAIN)
			break;
	}
	*woken &= at == count;
	*done = at;
	return at < count ? error : 0;
}

/* Write pages to the memfd; whoever waits for them is shown them then. */
static int put_behind(struct object *object, uint64_t first, uint64_t count,
		      const char *buffer)
{
	int error = object_write(object, first, count, buffer);

	for (uint64_t i = 0; i < count && !error; i++)
		landed(object, NULL, first + i, false);
	return error;
}

/* Show a run that was written to the memfd through a private mapping. */
static bool show_run(struct mapping *via, uint64_t first, uint64_t count)
{
	uint64_t done;

	uffd_continue(via->space->uffd, mapping_address(via, first),
		      count << PAGE_SHIFT, 0, &done);
	done >>= PAGE_SHIFT;
	for (uint64_t i = first; i < first + done; i++)
		mapping_loaded(via, pages_get(&via->object->pages, i));
	return done == count;
}

/* A mapping may have been cut since the run was chosen, and something else be
   where its upper part was. */
static bool shows_run(const struct mapping *mapping, uint64_t first,
		      uint64_t count)
{
	return first >= mapping->first &&
	       first + count <= mapping_end_page(mapping);
}

/* *@woken: every thread that slept on one of them through @via is awake. */
static int put(struct object *object, struct mapping *via, uint64_t first,
	       uint64_t count, const char *buffer, bool write, bool *woken)
{
	uint64_t done = 0;
	int error;

	if (via && !shows_run(via, first, count))
		via = NULL;
	*woken = via && (object->memfd < 0 || via->flags & WMAP_SHARED);
	if (*woken) {
		error = put_through(via, first, count, buffer, write, &done,
				    woken);
		if (!error || object->memfd < 0)
			return error;
	}
	error = put_behind(object, first + done, count - done,
			   buffer + (done << PAGE_SHIFT));
	if (!error && via && !(via->flags & WMAP_SHARED))
		*woken = show_run(via, first, count);
	return error;
}

/* ---- Runs ----------------------------------------------------------------------*/

static bool is_absent(const struct object *object, uint64_t index)
{
	return pages_get(&object->pages, index).state == PAGE_ABSENT;
}

/*
 * The run of absent pages around @index that one fault there brings: its grain,
 * or what follows it for a sequential reader.
 */
static void choose_run(const struct mapping *mapping, uint64_t index,
		       uint64_t *first, uint64_t *count)
{
	uint64_t grain = mapping->grain;
	uint64_t low = index & ~(grain - 1), high = low + grain;
	uint64_t from = index, to = index + 1;

	if (mapping->advice == WMAP_ADVICE_SEQUENTIAL)
		high = max_u64(high, index + AHEAD);
	low = max_u64(low, mapping->first);
	high = min_u64(high, mapping_end_page(mapping));
	while (from > low && is_absent(mapping->object, from - 1))
		from--;
	while (to < high && is_absent(mapping->object, to))
		to++;
	*first = from;
	*count = min_u64(to - from, GRAIN_MAX >> PAGE_SHIFT);
	if (*first + *count <= index)
		*first = index;
}

/* ---- Fills ---------------------------------------------------------------------*/

static void sicken(struct pager *pager, struct object *object)
{
	if (!object->n_errors || !list_empty(&object->sick))
		return;
	if (list_empty(&pager->sick))
		loop_timer_start(pager->loop, &pager->heal,
				 time_now() + HEAL_EVERY);
	list_add(&pager->sick, &object->sick);
}

/* This fault ends in SIGBUS. */
static void refuse(struct pager *pager, const struct fault *fault)
{
	struct mapping *mapping = space_find(fault->space, fault->address);
	uint64_t index;

	if (!mapping) {
		fault_wake(fault);
		return;
	}
	index = mapping_page(mapping, fault->address);
	pager->stats.errors++;
	mapping_poison(mapping, pages_get(&mapping->object->pages, index));
	sicken(pager, mapping->object);
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

	if (!fill->woken || fault->address < via->start ||
	    fault->address >= via->end)
		return false;
	index = mapping_page(via, fault->address);
	return index >= fill->first && index < fill->first + valid &&
	       !(fault->write && !fill->write);
}

static void resolve_waiters(struct fill *fill, uint64_t valid, bool refused)
{
	struct pager *pager = fill->pager;

	list_for_each(aside, &fill->waiters, struct fault, link) {
		struct fault fault = take_back(aside);
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
			refuse(pager, &fault);
		else
			fault_resolve(pager, fault);
	}
}

/* The store failed. Which page of several it was, single reads will tell. */
static void fail(struct fill *fill, int error)
{
	unclaim(fill, fill->first);
	resolve_waiters(fill, 0, fill->count == 1 || error == -ETIMEDOUT);
	sicken(fill->pager, fill->object);
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
	if (valid)
		error = put(fill->object, fill->via, fill->first, valid, buffer,
			    fill->write, &fill->woken);
	if (error) {
		fill->woken = false;
		fail(fill, error);
		return;
	}
	fill->pager->stats.fills += valid;
	if (fill->via)
		fill->via->fills += valid;
	unclaim(fill, fill->first + valid);
	if (fill->healing && valid)
		object_heal(fill->object,
			    pages_get(&fill->object->pages, fill->first));
	resolve_waiters(fill, valid, true);
	sicken(fill->pager, fill->object);
}

void fills_repeat(struct object *object, uint64_t first, uint64_t end)
{
	list_for_each(fill, &object->fills, struct fill, link)
		if (fill->first < end && fill->first + fill->count > first)
			fill->repeat = true;
}

static void pump_prefetches(struct pager *pager);

/* Of @bytes that were read, those that lie before the end of the store. */
static int64_t up_to_end(const struct fill *fill, int64_t bytes)
{
	int64_t length, from = (int64_t)fill->io.pub.offset;

	if (fill->object->store->ends_reads)
		return bytes;
	length = store_length(fill->object->store);
	if (length < 0)
		return length;
	return length <= from ? 0 : (int64_t)min_u64(bytes, length - from);
}

static void settle(struct io *io)
{
	struct fill *fill = container_of(io, struct fill, io);

	int64_t bytes = io->result;

	if (fill->repeat && bytes >= 0)
		return; /* let_go begins it again */
	list_del(&fill->link);
	if (bytes >= 0) {
		fill->pager->stats.bytes_read += (uint64_t)bytes;
		bytes = up_to_end(fill, bytes);
	}
	if (bytes < 0)
		fail(fill, (int)bytes);
	else
		land(fill, (uint64_t)bytes);
	if (fill->join)
		join_end(fill->join, 0);
}

static void fill_destroy(struct fill *fill)
{
	fill->pager->prefetching -= fill->prefetch;
	object_put(fill->object);
	mem_free(fill, sizeof(*fill));
}

static void let_go(struct io *io)
{
	struct fill *fill = container_of(io, struct fill, io);
	struct pager *pager = fill->pager;

	if (fill->repeat && !io->late && io->result >= 0) {
		fill->repeat = false;
		io_start(io, pager->loop, io->store, fill->deadline);
		return;
	}
	staging_put(&pager->staging, io->pub.buffer, fill->count << PAGE_SHIFT);
	fill_destroy(fill);
	fills_feed(pager);
	pump_prefetches(pager);
}

/* False: there is no buffer for it now. */
static bool begin(struct fill *fill)
{
	struct pager *pager = fill->pager;
	size_t size = fill->count << PAGE_SHIFT;
	void *buffer = staging_get(&pager->staging, size);

	if (!buffer)
		return false;
	loop_timer_stop(&fill->io.deadline);
	fill->io.pub.buffer = buffer;
	fill->io.pub.length = size;
	fill->io.pub.offset = fill->first << PAGE_SHIFT;
	fill->io.operation = IO_READ;
	fill->io.done = settle;
	fill->io.release = let_go;
	io_start(&fill->io, pager->loop, fill->object->store, fill->deadline);
	return true;
}

void fills_feed(struct pager *pager)
{
	list_for_each(fill, &pager->hungry, struct fill, waiting) {
		if (!begin(fill))
			return;
		list_del(&fill->waiting);
	}
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

static struct fill *fill_create(struct pager *pager, struct object *object,
				uint64_t first, uint64_t count)
{
	struct fill *fill = mem_alloc(sizeof(*fill));
	bool healing = !is_absent(object, first);

	if (!fill)
		return NULL;
	if (!claim(object, first, count)) {
		mem_free(fill, sizeof(*fill));
		return NULL;
	}
	fill->pager = pager;
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

/* Begin, or wait for a buffer; if none is out, none will come back. */
static void fill_go(struct fill *fill)
{
	struct pager *pager = fill->pager;

	if (list_empty(&pager->hungry) && begin(fill))
		return;
	if (pager->staging.out) {
		list_add(&pager->hungry, &fill->waiting);
		loop_timer_start(pager->loop, &fill->io.deadline,
				 time_now() + fill->deadline);
		return;
	}
	give_up(fill, -ENOMEM);
}

static void fill_start(struct pager *pager, struct mapping *mapping,
		       uint64_t index, const struct fault *fault)
{
	uint64_t first = index, count = 1;
	struct fill *fill;

	if (!fault->alone && is_absent(mapping->object, index))
		choose_run(mapping, index, &first, &count);
	fill = fill_create(pager, mapping->object, first, count);
	if (!fill) {
		refuse(pager, fault);
		return;
	}
	fill->via = fill->healing ? NULL : mapping;
	fill->deadline = mapping->deadline;
	fill->write = fault->write && count == 1;
	fill->zeros = mapping->flags & MAPPING_COURSE;
	set_aside(&fill->waiters, fault);
	fill_go(fill);
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
		fault = take_back(aside);
		fault_wake(&fault);
	}
}

void fills_forget(struct mapping *mapping)
{
	list_for_each(fill, &mapping->object->fills, struct fill, link) {
		if (fill->via == mapping)
			fill->via = NULL;
		wake_waiters(fill, mapping);
	}
}

/* ---- Zeros ---------------------------------------------------------------------*/

/* A page of an object without a store: nothing to wait for. */
static void fill_zeros(struct pager *pager, struct mapping *mapping,
		       uint64_t index, const struct fault *fault)
{
	struct object *object = mapping->object;
	uint64_t first = index, count = 1, before = mapping->n_loaded;
	bool woken;
	int error;

	if (mapping->grain > 1)
		choose_run(mapping, index, &first, &count);
	error = put(object, mapping, first, count, nothing, fault->write,
		    &woken);
	if (error && error != -ENOENT && error != -ESRCH) {
		refuse(pager, fault);
		return;
	}
	mapping->fills += mapping->n_loaded - before;
	pager->stats.fills += mapping->n_loaded - before;
	if (!woken)
		fault_wake(fault);
	pager_answered(pager, fault);
}

/* ---- Faults --------------------------------------------------------------------*/

static struct fill *find_fill(const struct object *object, uint64_t index)
{
	list_for_each(fill, &object->fills, struct fill, link)
		if (index - fill->first < fill->count)
			return fill;
	return NULL;
}

/* A store to a page that is shown, but was protected. */
static void allow_store(struct mapping *mapping, struct page page,
			const struct fault *fault)
{
	object_dirtied(mapping->object, page);
	if (uffd_unprotect(fault->space->uffd, fault->address, PAGE))
		fault_wake(fault);
}

static void resolve_present(struct pager *pager, struct mapping *mapping,
			    struct page page, const struct fault *fault)
{
	if (fault->protected) {
		allow_store(mapping, page, fault);
	} else if (!mapping_show(mapping, page, fault)) {
		/* Somebody punched our memfd (MADV_REMOVE behind our back). */
		object_unload(mapping->object, page);
		fault_wake(fault);
	}
	pager_answered(pager, fault);
}

static void resolve_in(struct pager *pager, struct mapping *mapping,
		       const struct fault *fault)
{
	struct object *object = mapping->object;
	uint64_t index = mapping_page(mapping, fault->address);
	struct page page = pages_get(&object->pages, index);

	if (page_is(page, STATES_PRESENT) && object->memfd >= 0)
		resolve_present(pager, mapping, page, fault);
	else if (fault->protected)
		fault_wake(fault); /* it went meanwhile: a missing page now */
	else if (page.state == PAGE_FILLING)
		set_aside(&find_fill(object, index)->waiters, fault);
	else if (page.state == PAGE_ERROR && !(mapping->flags & MAPPING_COURSE))
		refuse(pager, fault);
	else if (!object->store)
		fill_zeros(pager, mapping, index, fault);
	else
		fill_start(pager, mapping, index, fault);
}

/* The page above a GROWSUP mapping was touched; false if it stays outside. */
static bool grow_into(struct mapping *mapping, struct fault *fault)
{
	if (fault->address < mapping->end)
		return true;
	mapping_grow(mapping);
	/* The file becomes as long as what was grown into. */
	fault->write |= mapping->tracked;
	return fault->address < mapping->end;
}

/* Nothing changes, nor grows, while what was changed is written for the last
   time. Where CONTINUE cannot protect, a page that is shown may be stored to. */
static bool must_hold(const struct mapping *mapping, const struct fault *fault)
{
	bool blind = !(fault->space->features & WMAP_FEATURE_CONTINUE_WP);

	return mapping->closing && mapping->tracked &&
	       (fault->write || fault->protected || blind ||
		fault->address >= mapping->end);
}

void fault_resolve(struct pager *pager, struct fault fault)
{
	struct mapping *mapping = space_find(fault.space, fault.address);

	if (mapping && must_hold(mapping, &fault)) {
		set_aside(&mapping->held, &fault);
		return;
	}
	if (!mapping || !grow_into(mapping, &fault)) {
		fault_wake(&fault);
		return;
	}
	mapping->faults += !fault.again;
	fault.again = true;
	resolve_in(pager, mapping, &fault);
}

/* ---- Trying again --------------------------------------------------------------*/

static void retry_page(struct pager *pager, struct object *object,
		       uint64_t index, struct join *join)
{
	struct mapping *mapping =
		list_first(&object->mappings, struct mapping, of_object);
	struct fill *fill;

	/* Zeros need no reading: the next touch tries again. */
	if (!object->store) {
		object_expose(object, index);
		return;
	}
	fill = fill_create(pager, object, index, 1);
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

	if (!object->n_errors || list_empty(&object->mappings))
		return;
	if (pages_collect(&object->pages, 0, UINT64_MAX, 1u << PAGE_ERROR,
			  &indexes, &n))
		return;
	for (size_t i = 0; i < n && i < most; i++)
		retry_page(pager, object, indexes[object->retries++ % n], join);
	mem_free(indexes, n * sizeof(*indexes));
}

/* ---- Prefetching ---------------------------------------------------------------*/

struct prefetch {
	struct list link;
	uint64_t next, end; /* addresses */
};

#define PREFETCHES 8 /* reads under way at a time */

int prefetch_start(struct pager *pager, uint64_t start, uint64_t end)
{
	struct prefetch *prefetch = mem_alloc(sizeof(*prefetch));

	if (!prefetch)
		return -ENOMEM;
	prefetch->next = start;
	prefetch->end = end;
	list_add(&pager->prefetches, &prefetch->link);
	pump_prefetches(pager);
	return 0;
}

static void prefetch_run(struct pager *pager, struct mapping *mapping,
			 uint64_t first, uint64_t count)
{
	struct fill *fill = fill_create(pager, mapping->object, first, count);

	if (!fill)
		return;
	/* Where every touch counts, bringing is not touching. */
	if (!(mapping->flags & MAPPING_COURSE))
		fill->via = mapping;
	fill->prefetch = true;
	fill->deadline = mapping->deadline;
	pager->prefetching++;
	fill_go(fill);
}

/* The next run of absent pages at or after *@index, below @end; at most AHEAD
   long. False: there is none. */
static bool next_absent(const struct object *object, uint64_t *index,
			uint64_t end, uint64_t *count)
{
	uint64_t n = 0;

	while (*index < end && !is_absent(object, *index))
		++*index;
	while (*index + n < end && n < AHEAD && is_absent(object, *index + n))
		n++;
	*count = n;
	return n;
}

/* One read more; false when all is done or asked for. */
static bool prefetch_step(struct pager *pager, struct prefetch *prefetch)
{
	size_t i = space_lower(&pager->space, prefetch->next);
	struct mapping *mapping;
	uint64_t index, end, count;
	int64_t length;

	if (i == pager->space.n)
		return false;
	mapping = pager->space.entries[i].mapping;
	prefetch->next = max_u64(prefetch->next, mapping->start);
	if (prefetch->next >= prefetch->end)
		return false;
	index = mapping_page(mapping, prefetch->next);
	end = mapping_page(mapping, min_u64(prefetch->end, mapping->end));
	length = mapping->object->store ? store_length(mapping->object->store) :
					  0;
	end = min_u64(end, length > 0 ? page_up(length) >> PAGE_SHIFT : 0);
	if (!next_absent(mapping->object, &index, end, &count)) {
		prefetch->next = mapping->end;
		return true;
	}
	prefetch_run(pager, mapping, index, count);
	prefetch->next = mapping_address(mapping, index + count);
	return true;
}

static void pump_prefetches(struct pager *pager)
{
	list_for_each(prefetch, &pager->prefetches, struct prefetch, link) {
		while (pager->prefetching < PREFETCHES)
			if (!prefetch_step(pager, prefetch)) {
				list_del(&prefetch->link);
				mem_free(prefetch, sizeof(*prefetch));
				break;
			}
		if (pager->prefetching >= PREFETCHES)
			return;
	}
}
