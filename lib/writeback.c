/* SPDX-License-Identifier: MIT */
/*
 * Writing back: dirty pages to their store, in file order
 *
 * Of one object one write-back runs at a time, the others wait in its list. It
 * takes the pages that are dirty when it begins, run by run:
 *
 *   protect the run in every mapping        DIRTY -> WRITING
 *   copy it from the memfd, write the copy
 *   the store has it                        WRITING -> CLEAN, REDIRTIED -> DIRTY
 *   the store failed                        both -> DIRTY
 *
 * A store before the protection is in the copy; one after it faults, and makes
 * the page REDIRTIED before it happens: so none is lost, whatever the timing.
 *
 * A write that passes its deadline has failed for those who wait, but its pages
 * stay WRITING until the store answers: a second write could be overtaken by it.
 * A write-back that finds such a write is parked until it is settled, or until
 * its own deadline has passed; also if its pages went meanwhile, and came again.
 * So it is while somebody is in write(2) to the file, whose bytes it could
 * overtake too (books_file.c). A page is in one write at most.
 */
#include <string.h>

#include "mem.h"
#include "pager.h"
#include "presume.h"
#include "sys.h"

#define RUN_PAGES 256 /* of one write */
#define WRITES	  32  /* under way at a time */

struct write {
	struct io io;
	struct list link; /* object.writes */
	struct pager *pager;
	struct object *object;
	struct writeback *writeback; /* NULL: it waits no longer */
	uint64_t first, count;
	uint64_t bytes; /* up to the end of the store */
};

static void step(struct writeback *writeback);
static void go_on(struct writeback *writeback);

/* ---- One run -------------------------------------------------------------------*/

static void settle_run(struct write *write, bool written)
{
	struct object *object = write->object;

	for (uint64_t i = write->first; i < write->first + write->count; i++) {
		struct page page = pages_get(&object->pages, i);
		bool clean = written && page.state == PAGE_WRITING;

		if (page.state == PAGE_WRITING || page.state == PAGE_REDIRTIED)
			object_set(object, page,
				   clean ? PAGE_CLEAN : PAGE_DIRTY, page.views);
	}
}

static void account(struct write *write)
{
	struct wmap_stats *stats = pager_stats(write->pager, write->object);

	stats->bytes_written += write->bytes;
	stats->writebacks += write->count;
	write->object->writebacks_done += write->count;
	write->object->unflushed = true;
}

static int write_error(const struct write *write)
{
	int64_t result = write->io.result;

	if (result < 0)
		return (int)result;
	return (uint64_t)result < write->bytes ? -EIO : 0;
}

static void run_failed(struct write *write, int error)
{
	struct writeback *writeback = write->writeback;

	pager_stats(write->pager, write->object)->errors++;
	write->object->write_errors++;
	if (writeback && !writeback->error)
		writeback->error = error;
}

/* Who is about to write(2) to the file waits until no older bytes of ours are on
   their way to it. */
static void count_down(struct object *object)
{
	struct post *post, *next;

	if (--object->writing)
		return;
	post = object->stalled;
	object->stalled = NULL;
	for (; post; post = next) {
		next = post->next;
		message_answer(container_of(post, struct message, post), 0);
	}
}

static void write_done(struct io *io)
{
	struct write *write = container_of(io, struct write, io);
	struct writeback *writeback = write->writeback;

	if (!io->late)
		return; /* write_release follows at once */
	run_failed(write, -ETIMEDOUT);
	write->writeback = NULL;
	writeback->in_flight--;
	count_down(write->object);
	step(writeback);
}

/* There is room for writing again. */
static void wet(struct post *post)
{
	struct pager *pager = container_of(post, struct pager, wet);
	struct list dry;

	pager->wetting = false;
	list_init(&dry);
	list_move(&dry, &pager->dry);
	while (!list_empty(&dry))
		go_on(list_first(&dry, struct writeback, dry));
}

/* The run is over, well or not. */
static void end_run(struct write *write, int error)
{
	struct pager *pager = write->pager;

	if (error)
		run_failed(write, error);
	else
		account(write);
	settle_run(write, !error);
	if (write->writeback) {
		write->writeback->in_flight--;
		count_down(write->object);
	}
	budget_write_end(write->object, write->io.pub.buffer,
			 write->count << PAGE_SHIFT);
	if (!list_empty(&pager->dry) && !pager->wetting) {
		pager->wetting = true;
		pager->wet.run = wet;
		loop_post(pager->loop, &pager->wet);
	}
	list_del(&write->link);
	object_put(write->object);
	mem_free(write, sizeof(*write));
	fills_feed(pager);
}

static void write_release(struct io *io)
{
	struct write *write = container_of(io, struct write, io);
	struct writeback *writeback = write->writeback;

	struct object *object = object_get(write->object);

	end_run(write, write_error(write));
	if (writeback)
		step(writeback);
	else
		writeback_resume(object);
	object_put(object);
}

static int protect_run(struct object *object, uint64_t first, uint64_t count)
{
	int error = object_protect(object, first, count);

	if (error)
		return error;
	for (uint64_t i = first; i < first + count; i++) {
		struct page page = pages_get(&object->pages, i);

		object_set(object, page, PAGE_WRITING, page.views);
	}
	return 0;
}

static struct write *write_create(struct writeback *writeback, uint64_t first,
				  uint64_t count)
{
	struct write *write = mem_alloc(sizeof(*write));
	void *buffer;

	if (!write)
		return NULL;
	buffer = budget_write_begin(writeback->object, count << PAGE_SHIFT);
	if (!buffer) {
		mem_free(write, sizeof(*write));
		return NULL;
	}
	write->io.pub.buffer = buffer;
	write->io.operation = IO_WRITE;
	write->io.done = write_done;
	write->io.release = write_release;
	write->pager = writeback->pager;
	write->writeback = writeback;
	write->object = object_get(writeback->object);
	write->first = first;
	write->count = count;
	list_add(&write->object->writes, &write->link);
	return write;
}

/* False: no memory for it now. */
static bool write_run(struct writeback *writeback, uint64_t first,
		      uint64_t count)
{
	struct write *write = write_create(writeback, first, count);
	uint64_t offset = first << PAGE_SHIFT;
	int error;

	if (!write)
		return false;
	error = protect_run(write->object, first, count);
	write->bytes = min_u64(count << PAGE_SHIFT, writeback->limit - offset);
	write->io.pub.offset = offset;
	write->io.pub.length = write->bytes;
	writeback->in_flight++;
	write->object->writing++;
	if (!error)
		error = object_read(write->object, first, count,
				    write->io.pub.buffer);
	if (error)
		end_run(write, error);
	else
		io_start(&write->io, writeback->pager->loop,
			 object_source(write->object), writeback->deadline);
	return true;
}

/* ---- Beyond the end ------------------------------------------------------------*/

/* What was stored past the end of the store is lost, as with mmap(2), and the
   page is no longer there. */
static void forget_page(struct object *object, uint64_t index)
{
	struct page page = pages_get(&object->pages, index);

	if (!object_punch(object, index, 1))
		object_unload(object, page);
}

static bool course_only(const struct object *object)
{
	list_for_each(mapping, &object->mappings, struct mapping, of_object)
		if (!(mapping->flags & MAPPING_COURSE))
			return false;
	return true;
}

int64_t object_measure(struct object *object)
{
	int64_t length = store_length(object->store);

	if (length < 0)
		return length;
	if ((uint64_t)length < object->length && !course_only(object))
		object_drop(object, page_up((uint64_t)length) >> PAGE_SHIFT,
			    UINT64_MAX);
	object->length = (uint64_t)length;
	return length;
}

/* Where writing through this mapping ends. */
static uint64_t end_of(const struct mapping *mapping, uint64_t length)
{
	if (mapping->flags & MAPPING_COURSE)
		return (mapping->first << PAGE_SHIFT) + mapping->length;
	return length;
}

/*
 * Where writing ends: for the course's mappings where they do, which may make a
 * file longer; for others at the end of the store.
 */
static int find_limit(struct object *object, uint64_t *limit)
{
	int64_t length;

	/* Swap has room for all that there is of anonymous memory. */
	*limit = object->n_pages << PAGE_SHIFT;
	if (!object->store)
		return 0;
	length = object_measure(object);
	if (length < 0)
		return (int)length;
	*limit = 0;
	list_for_each(mapping, &object->mappings, struct mapping, of_object)
		if (mapping->tracked)
			*limit = max_u64(*limit, end_of(mapping, length));
	return 0;
}

/* ---- All of it -------------------------------------------------------------------*/

static uint64_t run_length(const struct writeback *writeback)
{
	const uint64_t *from = writeback->indexes + writeback->next;
	uint64_t left = writeback->n - writeback->next, n = 1;

	uint64_t most = min_u64(RUN_PAGES, budget_write_most(writeback->pager));

	while (n < left && n < most && from[n] == from[0] + n &&
	       from[n] << PAGE_SHIFT < writeback->limit &&
	       pages_get(&writeback->object->pages, from[n]).state ==
		       PAGE_DIRTY)
		n++;
	return n;
}

static void judged(struct post *post)
{
	struct writeback *writeback =
		container_of(post, struct writeback, judged);

	writeback->judging = false;
	step(writeback);
}

/* Those PRESUMED among the next ones. */
static int judge_next(struct writeback *writeback)
{
	struct object *object = writeback->object;
	uint64_t presumed[RUN_PAGES];
	size_t n = 0;

	for (size_t i = writeback->next;
	     i < min_u64(writeback->n, writeback->next + RUN_PAGES); i++) {
		uint64_t index = writeback->indexes[i];

		if (pages_get(&object->pages, index).state == PAGE_PRESUMED)
			presumed[n++] = index;
	}
	return presume_judge_of(object, presumed, n);
}

/* Whether they were stored to shows now. Others have their turn before it goes on. */
static void judge_run(struct writeback *writeback)
{
	int error = judge_next(writeback);

	if (error) {
		if (!writeback->error)
			writeback->error = error;
		writeback->next = writeback->n;
		return;
	}
	writeback->judging = true;
	writeback->judged.run = judged;
	loop_post(writeback->pager->loop, &writeback->judged);
}

/* The next run of what was dirty; false if it must wait for memory. */
static bool next_run(struct writeback *writeback)
{
	struct object *object = writeback->object;
	uint64_t first = writeback->indexes[writeback->next], count = 1;
	struct page page = pages_get(&object->pages, first);

	if (page.state == PAGE_PRESUMED) {
		judge_run(writeback);
		return true;
	}
	if (page.state != PAGE_DIRTY) {
		writeback->next++;
		return true;
	}
	if (first << PAGE_SHIFT >= writeback->limit) {
		forget_page(object, first);
	} else {
		count = run_length(writeback);
		if (!write_run(writeback, first, count))
			return false;
	}
	writeback->next += count;
	return true;
}

static void begin(struct writeback *writeback);

static void finish(struct writeback *writeback)
{
	struct object *object = writeback->object;

	mem_free(writeback->indexes,
		 (writeback->chosen ? writeback->room : writeback->n) *
			 sizeof(uint64_t));
	list_del(&writeback->link);
	/* The next one first: done may start another, which must wait for it. */
	if (!list_empty(&object->writebacks))
		begin(list_first(&object->writebacks, struct writeback, link));
	writeback->done(writeback);
	object_put(object);
}

struct flush {
	struct io io;
	struct object *object; /* a reference: while a store has an io of ours
				  the pager must not be stopped */
	struct writeback *writeback; /* NULL: it waits no longer */
};

static void flush_done(struct io *io)
{
	struct flush *flush = container_of(io, struct flush, io);
	struct writeback *writeback = flush->writeback;

	flush->writeback = NULL;
	if (io->result < 0)
		writeback->error = (int)io->result;
	else
		writeback->object->unflushed = false;
	finish(writeback);
}

static void flush_release(struct io *io)
{
	struct flush *flush = container_of(io, struct flush, io);

	object_put(flush->object);
	mem_free(flush, sizeof(*flush));
}

static void flush_start(struct writeback *writeback)
{
	struct flush *flush = mem_alloc(sizeof(*flush));

	if (!flush) {
		writeback->error = -ENOMEM;
		finish(writeback);
		return;
	}
	flush->writeback = writeback;
	flush->object = object_get(writeback->object);
	flush->io.operation = IO_FLUSH;
	flush->io.done = flush_done;
	flush->io.release = flush_release;
	io_start(&flush->io, writeback->pager->loop, writeback->object->store,
		 writeback->deadline);
}

static bool may_write(const struct writeback *writeback)
{
	return writeback->next < writeback->n && !writeback->judging &&
	       writeback->in_flight < WRITES &&
	       (!writeback->object->writers || writeback->waited);
}

static void park(struct writeback *writeback)
{
	writeback->parked = true;
	loop_timer_start(writeback->pager->loop, &writeback->patience,
			 time_now() + writeback->deadline);
}

static void step(struct writeback *writeback)
{
	while (may_write(writeback))
		if (!next_run(writeback)) {
			if (writeback->in_flight)
				return;
			if (writeback->pager->budget.writing &&
			    !writeback->waited) {
				list_add(&writeback->pager->dry,
					 &writeback->dry);
				break;
			}
			writeback->error = writeback->waited ? -ETIMEDOUT :
							       -ENOMEM;
			writeback->next = writeback->n;
		}
	if (writeback->judging)
		return;
	if (writeback->next < writeback->n && !writeback->in_flight)
		park(writeback);
	if (writeback->next < writeback->n || writeback->in_flight)
		return;
	if (writeback->flush && !writeback->error &&
	    writeback->object->unflushed)
		flush_start(writeback);
	else
		finish(writeback);
}

/* A write from before this write-back that has not been answered yet; perhaps of a
   pager that was killed. */
static bool still_writing(const struct writeback *writeback)
{
	if (writeback->pager->haunted && writeback->object->store)
		return true;
	list_for_each(write, &writeback->object->writes, struct write, link)
		if (write->first < writeback->end &&
		    write->first + write->count > writeback->first)
			return true;
	return false;
}

static int collect(struct writeback *writeback)
{
	int error = 0;

	if (!writeback->chosen)
		error = pages_collect(&writeback->object->pages,
				      writeback->first, writeback->end,
				      STATES_UNWRITTEN, &writeback->indexes,
				      &writeback->n);

	return !error && still_writing(writeback) ? -ETIMEDOUT : error;
}

static void begin(struct writeback *writeback)
{
	struct object *object = writeback->object;

	if (!writeback->waited && still_writing(writeback)) {
		park(writeback);
		return;
	}
	writeback->begun = true;
	writeback->error = find_limit(object, &writeback->limit);
	if (!writeback->error && object->n_dirty)
		writeback->error = collect(writeback);
	if (writeback->error)
		writeback->next = writeback->n;
	step(writeback);
}

static void go_on(struct writeback *writeback)
{
	writeback->parked = false;
	list_del(&writeback->dry);
	loop_timer_stop(&writeback->patience);
	if (writeback->begun)
		step(writeback);
	else
		begin(writeback);
}

static void proceed(struct timer *timer)
{
	struct writeback *writeback =
		container_of(timer, struct writeback, patience);

	writeback->waited = true;
	go_on(writeback);
}

void writeback_resume(struct object *object)
{
	struct writeback *first;

	if (list_empty(&object->writebacks))
		return;
	first = list_first(&object->writebacks, struct writeback, link);
	if (first->parked && !object->writers &&
	    (first->begun || !still_writing(first)))
		go_on(first);
}

void writeback_start(struct pager *pager, struct writeback *writeback)
{
	struct object *object = object_get(writeback->object);
	bool idle = list_empty(&object->writebacks);

	writeback->pager = pager;
	writeback->indexes = writeback->chosen;
	writeback->n = writeback->chosen ? writeback->n_chosen : 0;
	writeback->next = 0;
	writeback->in_flight = 0;
	writeback->error = 0;
	writeback->begun = writeback->judging = writeback->parked =
		writeback->waited = false;
	list_init(&writeback->dry);
	timer_init(&writeback->patience, proceed);
	list_add(&object->writebacks, &writeback->link);
	if (idle)
		begin(writeback);
}

/* ---- Dropping ----------------------------------------------------------------*/

/* Drop the pages in one of @states. What cannot be punched stays as it is. */
static void drop(struct object *object, uint64_t first, uint64_t end,
		 unsigned states)
{
	uint64_t *indexes;
	size_t n, run;

	if (pages_collect(&object->pages, first, end, states, &indexes, &n))
		return;
	for (size_t i = 0; i < n; i += run) {
		for (run = 1; i + run < n; run++)
			if (indexes[i + run] != indexes[i] + run)
				break;
		if (object_punch(object, indexes[i], run))
			continue;
		for (size_t k = i; k < i + run; k++)
			object_unload(object,
				      pages_get(&object->pages, indexes[k]));
	}
	mem_free(indexes, n * sizeof(*indexes));
}

/*
 * A clean page is protected wherever it could be stored to. A thread that
 * stores now gets a write-protect fault; by the time it is resolved the page
 * is ABSENT, its thread is woken, and faults again for a missing page.
 */
void object_drop(struct object *object, uint64_t first, uint64_t end)
{
	fills_unhold(object, first, end);
	presume_judge(object, first, end);
	if (object->memfd >= 0)
		drop(object, first, end, 1u << PAGE_CLEAN);
}

void object_forget(struct object *object, uint64_t first, uint64_t end)
{
	if (object->swap || !list_empty(&object->leavings)) {
		swapout_forget(object, first, end);
		fills_repeat(object, first, end);
	}
	drop(object, first, end, STATES_PRESENT);
}
