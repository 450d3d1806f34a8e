/* SPDX-License-Identifier: MIT */
/*
 * Swapping out: what has left is written, the oldest run first (swapout.h)
 *
 * Of a run the first pages that are here, side by side, are written together; what
 * else the file may have of its range is younger. A page may be back, stored to
 * and gone again before its first write has ended: then its second one waits, or
 * older bytes could overtake younger ones.
 */
#include <sys/mman.h>

#include "books.h"
#include "copies.h"
#include "leaving.h"
#include "swap.h"
#include "swapout.h"
#include "sys.h"

#define COOLING 16384 /* pages, at most */

/* What is zeros need not be written. */
static void let_zeros_go(struct leaving *leaving)
{
	struct object *object = leaving->object;

	for (uint64_t i = leaving->first; i < leaving->first + leaving->count;
	     i++) {
		if (object->owner || !leaving_has(leaving, i) ||
		    !swap_is_zeros(leaving_bytes(leaving, i)))
			continue;
		leaving_part(leaving, i);
		object_set(object, pages_get(&object->pages, i), PAGE_ABSENT,
			   0);
		leaving->pager->budget.evicted++;
	}
}

void swapout_tell(struct pager *pager)
{
	evict_kick(pager);
	fills_feed(pager);
	prefetch_pump(pager);
	books_take_up(pager);
}

/* They have left, and the file has them; but not those that came back. */
static void gone(struct leaving *leaving)
{
	struct object *object = leaving->object;
	struct pager *pager = leaving->pager;
	uint64_t end = leaving->from + leaving->n;

	for (uint64_t i = leaving->from; i < end; i++) {
		if (!leaving_has(leaving, i))
			continue;
		leaving->alive &= ~leaving_bit(leaving, i);
		object_set(object, pages_get(&object->pages, i), PAGE_ABSENT,
			   0);
		pager->budget.evicted++;
		pager->swapout.out++;
	}
	sys_call(SYS_madvise, leaving_bytes(leaving, leaving->from),
		 leaving->n << PAGE_SHIFT, MADV_DONTNEED);
	for (uint64_t i = leaving->from; i < end; i++)
		leaving_unhold(leaving, leaving_bit(leaving, i));
	pager->swapout.told = false;
}

void leaving_failed(struct leaving *leaving, int error)
{
	struct swapout *swapout = &leaving->pager->swapout;

	leaving->object->error = error;
	leaving->object->write_errors++;
	swapout->errors++;
	swapout_failed(swapout, "a write failed", error);
}

/* The first to be tried again. */
static void cool_again(struct leaving *leaving)
{
	struct swapout *swapout = &leaving->pager->swapout;

	list_del(&leaving->link);
	list_add(swapout->cooling.next, &leaving->link);
	leaving->writing = false;
	swapout->n_cooling += leaving_count(leaving);
}

static void begun_is_over(struct leaving *leaving)
{
	struct pager *pager = leaving->pager;

	pager->budget.n_writing -= leaving->n;
	pager->swapout.n_writing -= leaving->n;
	pager->budget.stuck = false;
}

static void write_done(struct io *io)
{
	struct leaving *leaving = container_of(io, struct leaving, io);

	if (!io->late)
		return; /* write_release follows at once */
	leaving_failed(leaving, -ETIMEDOUT);
	begun_is_over(leaving);
	fills_feed(leaving->pager);
	books_take_up(leaving->pager);
}

static void write_release(struct io *io)
{
	struct leaving *leaving = container_of(io, struct leaving, io);
	struct pager *pager = leaving->pager;

	if (!io->late)
		begun_is_over(leaving);
	if (io->result >= 0)
		gone(leaving);
	else if (!io->late)
		leaving_failed(leaving, (int)io->result);
	cool_again(leaving);
	leaving_settle(leaving);
	swapout_tell(pager);
}

/* Older bytes of one of its pages may be on their way. */
static bool must_wait(const struct leaving *leaving)
{
	list_for_each(other, &leaving->object->leavings, struct leaving,
		      of_object)
		if (other->writing &&
		    other->from < leaving->first + leaving->count &&
		    leaving->first < other->from + other->n)
			return true;
	return false;
}

/* False: no memory for it. */
static bool write_start(struct leaving *leaving)
{
	struct pager *pager = leaving->pager;
	struct swapout *swapout = &pager->swapout;
	struct object *object = leaving->object;

	let_zeros_go(leaving);
	if (!leaving->alive) {
		leaving_destroy(leaving);
		return true;
	}
	if (!object->swap &&
	    swap_store_create(swapout->swap, 0, object->owner, &object->swap))
		return false;
	swapout->n_cooling -= leaving_count(leaving);
	leaving->writing = true;
	/* What else the file has of its range is younger. */
	leaving_choose(leaving);
	pager->budget.n_writing += leaving->n;
	swapout->n_writing += leaving->n;
	leaving_write(leaving, leaving_bytes(leaving, leaving->from),
		      write_done, write_release);
	return true;
}

/* Where a mapping alone has a budget they take memory that nobody counts. */
static uint64_t may_cool(const struct pager *pager)
{
	return min_u64(pager->budget.limit >> PAGE_SHIFT >> 4, COOLING);
}

#define SILENT 200000000ull /* ns */

bool swapout_is_silent(const struct pager *pager)
{
	const struct list *retiring = &pager->swapout.retiring;

	return !list_empty(retiring) &&
	       list_first(retiring, const struct leaving, link)->begun +
			       SILENT <
		       time_now();
}

uint64_t swapout_due(const struct pager *pager)
{
	const struct swapout *swapout = &pager->swapout;
	uint64_t due = swapout->n_cooling + swapout->n_writing;

	if (swapout_is_silent(pager))
		return 0;
	return due > may_cool(pager) ? due - may_cool(pager) : 0;
}

void swapout_write(struct pager *pager, uint64_t want)
{
	struct swapout *swapout = &pager->swapout;
	struct budget *budget = &pager->budget;
	uint64_t evicted = budget->evicted;

	if (swapout->forbidden || swapout->retry > time_now())
		return;
	list_for_each(leaving, &swapout->cooling, struct leaving, link) {
		bool enough = budget->n_writing + budget->evicted - evicted >=
			      want;

		if ((enough && swapout->n_cooling <= may_cool(pager)) ||
		    !budget_may_write(pager) ||
		    (swap_packs(swapout->swap) &&
		     !budget_write_fits(pager, leaving->count << PAGE_SHIFT)))
			return;
		if (!must_wait(leaving) && !write_start(leaving))
			return;
	}
}
