/* SPDX-License-Identifier: MIT */
/*
 * Swapping out of another process: what its agent is asked, one question after the
 * other, and what is written in between (swapaway.h)
 */
#include <fcntl.h>
#include <sys/mman.h>

#include "awayrun.h"
#include "budget.h"
#include "copies.h"
#include "fill.h"
#include "pagemap.h"
#include "swap.h"
#include "swapaway.h"
#include "swapout.h"
#include "sys.h"
#include "window.h"
#include "wire.h"

#define AGAIN_AFTER 1000000ull /* ns, where there is no room to write */
#define TRIES	    8 /* of which nothing could be copied, or dropped, in a row: */
#define PAUSE	    100000000ull  /* ns */
#define PAUSE_MOST  6400000000ull /* twice as long each time, up to that */

/* ---- One after the other --------------------------------------------------------- */

void swapaway_pump_all(struct timer *timer)
{
	struct pager *pager = container_of(timer, struct pager, swapout.again);

	list_for_each(space, &pager->spaces, struct space, link)
		swapaway_pump(space);
}

/* The first pages that are here, side by side; the others stay. */
static void choose(struct leaving *leaving)
{
	uint64_t end = leaving->first + leaving->count;

	leaving_choose(leaving);
	if (leaving->from + leaving->n < end)
		awayrun_stay(leaving, leaving->from + leaving->n, end);
}

/* Room for it. False: not now, or (then it stays) not at all. */
static bool prepare(struct leaving *leaving)
{
	struct pager *pager = leaving->pager;

	if (!budget_write_fits(pager, awayrun_buffer_bytes(leaving))) {
		loop_timer_start(pager->loop, &pager->swapout.again,
				 time_now() + AGAIN_AFTER);
		return false;
	}
	if (!awayrun_take_buffer(leaving))
		return true;
	awayrun_stay_all(leaving);
	return false;
}

static void ask_to_leave(struct space *space)
{
	struct wire_range ranges[AWAY_RANGES];
	uint64_t pages = 0;
	unsigned n = 0;

	list_for_each(leaving, &space->away.runs, struct leaving, link) {
		const struct mapping *mapping = object_mapping(leaving->object);

		if (leaving->stage != LEAVING_QUEUED)
			continue;
		choose(leaving);
		if (n + 2 > AWAY_RANGES || pages + leaving->n > LEAVING_PAGES ||
		    !prepare(leaving))
			break;
		leaving->stage = LEAVING_COPYING;
		leaving->at = pages;
		pages += leaving->n;
		ranges[n++] = (struct wire_range){
			mapping_address(mapping, leaving->from),
			leaving->n << PAGE_SHIFT,
		};
		ranges[n++] =
			(struct wire_range){ mapping->start,
					     mapping->end - mapping->start };
	}
	space->away.asked = n;
	if (n)
		space->away.agent->leave(space, ranges, n);
}

/* What of it is still to go, piece by piece. */
static unsigned ranges_of(const struct leaving *leaving,
			  struct wire_range ranges[LEAVING_PAGES])
{
	const struct mapping *mapping = object_mapping(leaving->object);
	uint64_t end = leaving->first + leaving->count;
	unsigned n = 0;

	for (uint64_t i = leaving->first, run; i < end; i += run + 1) {
		run = 0;
		while (leaving_has(leaving, i + run))
			run++;
		if (run)
			ranges[n++] = (struct wire_range){
				mapping_address(mapping, i), run << PAGE_SHIFT
			};
	}
	return n;
}

static void ask_to_take(struct space *space)
{
	struct wire_range ranges[AWAY_RANGES + LEAVING_PAGES];
	unsigned n = 0, more;

	list_for_each(leaving, &space->away.runs, struct leaving, link) {
		if (leaving->stage != LEAVING_WRITTEN)
			continue;
		more = ranges_of(leaving, &ranges[n]);
		if (n + more > AWAY_RANGES)
			break;
		leaving->stage = LEAVING_TAKING;
		leaving->at = n;
		leaving->ranges = more;
		n += more;
	}
	space->away.asked = n;
	if (n)
		space->away.agent->take(space, ranges, n);
}

void swapaway_pump(struct space *space)
{
	struct away *away = &space->away;

	if (away->agent && !away->asked && !away->forks)
		ask_to_take(space);
	if (away->agent && !away->asked && !away->forks)
		ask_to_leave(space);
}

/* ---- Written ----------------------------------------------------------------- */

static void write_done(struct io *io)
{
	struct leaving *leaving = container_of(io, struct leaving, io);
	struct pager *pager = leaving->pager;
	struct space *space = leaving->space;

	if (!io->late)
		return; /* write_release follows at once */
	leaving_failed(leaving, -ETIMEDOUT);
	awayrun_stay_all(leaving);
	if (space)
		swapaway_pump(space);
	swapout_tell(pager);
}

static void write_release(struct io *io)
{
	struct leaving *leaving = container_of(io, struct leaving, io);
	struct pager *pager = leaving->pager;
	struct space *space = leaving->space;

	awayrun_drop_buffer(leaving);
	leaving->stage = LEAVING_WRITTEN;
	list_del(&leaving->link);
	if (space)
		list_add(space->away.runs.next, &leaving->link);
	if (io->result < 0 && leaving->alive)
		leaving_failed(leaving, (int)io->result);
	if (io->result < 0)
		awayrun_stay_all(leaving);
	else
		awayrun_settle(leaving);
	if (space)
		swapaway_pump(space);
	swapout_tell(pager);
}

static bool is_zeros(const struct leaving *leaving)
{
	for (uint64_t i = 0; i < leaving->n; i++)
		if (!swap_is_zeros(leaving->memory + (i << PAGE_SHIFT)))
			return false;
	return true;
}

static void write_run(struct leaving *leaving)
{
	struct object *object = leaving->object;

	if (is_zeros(leaving)) { /* what is nowhere */
		swap_drop(object->swap, leaving->from,
			  leaving->from + leaving->n);
		awayrun_drop_buffer(leaving);
		leaving->stage = LEAVING_WRITTEN;
		return;
	}
	leaving->stage = LEAVING_WRITING;
	leaving_write(leaving, leaving->memory, write_done, write_release);
	/* What was stored to meanwhile is written for nothing. */
	for (uint64_t i = leaving->from; i < leaving->from + leaving->n; i++)
		if (!leaving_has(leaving, i))
			swap_drop(object->swap, i, i + 1);
}

/* Others may go, which are tried first; if they do not, in a while, or that would go
   on for ever. */
static void note_failure(struct space *space)
{
	struct away *away = &space->away;

	if (++away->failed < TRIES)
		return;
	away->failed = 0;
	away->pause = min_u64(max_u64(2 * away->pause, PAUSE), PAUSE_MOST);
	away->retry = time_now() + away->pause;
}

/* Is a page that could not be copied not there? It was dropped behind our back, or
   taken by who has not said so. */
static bool is_gone(const struct leaving *leaving, uint64_t index)
{
	const struct mapping *mapping = object_mapping(leaving->object);
	uint64_t entry = PAGEMAP_PRESENT;

	if (mapping->space->pagemap >= 0)
		pagemap_read(mapping->space->pagemap,
			     mapping_address(mapping, index), 1, &entry);
	return !(entry & (PAGEMAP_PRESENT | PAGEMAP_SWAPPED));
}

/* What could not be copied stays. */
static void keep_rest(struct leaving *leaving, uint64_t copied)
{
	uint64_t first = leaving->from + copied;
	struct object *object = leaving->object;
	struct page page;

	if (!copied)
		note_failure(leaving->space);
	awayrun_stay(leaving, first, leaving->from + leaving->n);
	page = pages_get(&object->pages, first);
	if (page.state == PAGE_CLEAN && is_gone(leaving, first))
		object_unload(object, page);
	leaving->n = copied;
}

/* Of what the agent has copied these bytes are its, if they are there. */
static void copied(struct leaving *leaving, int memfd, uint64_t pages)
{
	uint64_t n = pages > leaving->at ? pages - leaving->at : 0, size;

	n = min_u64(n, leaving->n);
	size = n << PAGE_SHIFT;
	if (sys_call(SYS_pread64, memfd, leaving->memory, size,
		     leaving->at << PAGE_SHIFT) != (long)size)
		n = 0;
	if (n < leaving->n)
		keep_rest(leaving, n);
	if (leaving->alive)
		write_run(leaving);
	else
		awayrun_destroy(leaving);
}

void swapaway_left(struct space *space, int memfd, uint64_t pages)
{
	list_for_each(leaving, &space->away.runs, struct leaving, link)
		if (leaving->stage == LEAVING_COPYING)
			copied(leaving, memfd, pages);
	/* It counts no more. */
	sys_call(SYS_fallocate, memfd,
		 FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
		 LEAVING_PAGES * PAGE);
	space->away.asked = space->away.late = false;
	swapaway_pump(space);
	swapout_tell(space->pager);
}

/* ---- Taken ------------------------------------------------------------------- */

static void gone(struct leaving *leaving)
{
	struct object *object = leaving->object;
	struct pager *pager = leaving->pager;

	for (uint64_t i = leaving->from; i < leaving->from + leaving->n; i++) {
		if (!leaving_has(leaving, i))
			continue;
		awayrun_part(leaving, i);
		pager->budget.evicted++;
		pager->swapout.out += swap_has(object->swap, i);
	}
	pager->swapout.told = false;
	leaving->space->away.failed = 0;
	leaving->space->away.pause = 0;
}

/* Others go before it is tried again. */
static void put_behind(struct object *object, uint64_t index)
{
	struct window *window = window_of(object, index);

	if (window && (window->place == WINDOW_WATCHED ||
		       window->place == WINDOW_RESTING))
		window_move_to(window, WINDOW_RESTING);
}

/* Who touched them meanwhile touches them again. False: they stay. */
static bool taken(struct leaving *leaving, uint64_t failed)
{
	struct mapping *mapping = object_mapping(leaving->object);
	uint64_t its = ~UINT64_C(0) >> (64 - leaving->ranges) << leaving->at;
	bool went = !(failed & its);

	if (went) {
		gone(leaving);
	} else {
		awayrun_stay(leaving, leaving->from,
			     leaving->from + leaving->n);
		put_behind(leaving->object, leaving->from);
	}
	awayrun_destroy(leaving);
	faults_release(mapping);
	return went;
}

void swapaway_taken_all(struct space *space, uint64_t failed)
{
	unsigned n = 0, stayed = 0;

	list_for_each(leaving, &space->away.runs, struct leaving, link)
		if (leaving->stage == LEAVING_TAKING) {
			n++;
			stayed += !taken(leaving, failed);
		}
	if (n && stayed == n)
		note_failure(space);
}

void swapaway_taken(struct space *space, uint64_t failed)
{
	space->away.asked = space->away.late = false;
	swapaway_taken_all(space, failed);
	swapaway_pump(space);
	swapout_tell(space->pager);
}
