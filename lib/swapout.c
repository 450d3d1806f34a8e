/* SPDX-License-Identifier: MIT */
/* Swapping out: taking pages out, and giving them back (swapout.h) */
#include <sys/mman.h>
#include <sys/uio.h>

#include "copies.h"
#include "fill.h"
#include "leaving.h"
#include "ledger.h"
#include "pagemap.h"
#include "share.h"
#include "swap.h"
#include "swapout.h"
#include "sys.h"

int swapout_init(struct pager *pager)
{
	struct swapout *swapout = &pager->swapout;

	list_init(&swapout->cooling);
	list_init(&swapout->retiring);
	swapaway_init(pager);
	swapout->swap = swap_create();
	return swapout->swap ? 0 : -ENOMEM;
}

void swapout_destroy(struct pager *pager)
{
	swap_destroy(pager->swapout.swap);
}

void swapout_retry(struct pager *pager)
{
	pager->swapout.retry = 0;
	pager->budget.stuck = false;
	evict_kick(pager);
}

void swapout_failed(struct swapout *swapout, const char *what, int error)
{
	swapout->retry = time_now() + SWAPOUT_RETRY;
	if (!swapout->told)
		log_line("swap: %s (errno %d): pages stay, and the budget may "
			 "be exceeded",
			 what, -error);
	swapout->told = true;
}

bool swapout_ready(struct pager *pager)
{
	struct swapout *swapout = &pager->swapout;

	if (swapout->forbidden || swapout->retry > time_now())
		return false;
	if (!swap_ready(swapout->swap))
		return true;
	swapout->retry = time_now() + SWAPOUT_RETRY;
	return false;
}

bool swapout_writable(const struct object *object)
{
	if (object->store)
		return object->store->writable;
	return object->swap && !object->pager->swapout.forbidden &&
	       object->unwritable < time_now();
}

/* Of a piece that is cut off the mapping is not known yet. */
static bool has_agent(const struct object *object)
{
	const struct mapping *mapping = object_mapping(object);

	return !mapping || mapping->space->away.agent;
}

bool swapout_can(const struct object *object)
{
	return !object->store && (!swapaway_is(object) || has_agent(object));
}

/* ---- Taking out ----------------------------------------------------------------- */

/* With memory for @count pages. */
static struct leaving *create(struct object *object, uint64_t first,
			      uint64_t count)
{
	struct leaving *leaving = leaving_create(object, first, count);

	if (leaving && leaving_map(leaving)) {
		leaving_destroy(leaving);
		return NULL;
	}
	/* A child must not have it twice. */
	if (leaving)
		sys_call(SYS_madvise, leaving->memory, count << PAGE_SHIFT,
			 MADV_DONTFORK);
	return leaving;
}

/*
 * The pages themselves. The memory is registered while they come and no longer:
 * a page that is given back leaves a hole there, and who looks at it must find
 * zeros, and not wait for itself.
 */
static uint64_t take_by_move(const struct mapping *mapping,
			     const struct leaving *leaving)
{
	int uffd = mapping->space->uffd;
	uint64_t to = (uint64_t)leaving->memory, done = 0;
	uint64_t size = leaving->count << PAGE_SHIFT;

	if (!(mapping->space->features & WMAP_FEATURE_MOVE) ||
	    leaving->object->owner ||
	    mapping->prot != (PROT_READ | PROT_WRITE) ||
	    uffd_register(uffd, to, size, UFFDIO_REGISTER_MODE_MISSING))
		return 0;
	uffd_move(uffd, to, mapping_address(mapping, leaving->first), size,
		  &done);
	uffd_unregister(uffd, to, size);
	return done >> PAGE_SHIFT;
}

/* How many pages from the first on are in memory: who would read another one
   would wait for itself. (What is said to be in swap may be the mark of a page
   that was protected, where there is a file behind it.) */
static uint64_t count_there(const struct mapping *mapping, uint64_t first,
			    uint64_t count)
{
	uint64_t entries[LEAVING_PAGES], n = 0;
	uint64_t there = PAGEMAP_PRESENT |
			 (mapping->copies ? 0 : PAGEMAP_SWAPPED);
	uint64_t got = pagemap_read(mapping->space->pagemap,
				    mapping_address(mapping, first), count,
				    entries);

	while (n < got && entries[n] & there)
		n++;
	return n;
}

static bool copy_out(uint64_t from, char *to, uint64_t size)
{
	struct iovec local = { to, size }, remote = { (void *)from, size };

	return sys_call(SYS_process_vm_readv, sys_call(SYS_getpid), &local, 1,
			&remote, 1) == (long)size;
}

/*
 * Protect, copy, drop. A store before the protection is in the copy. One after it
 * faults; when its message is read the page is LEAVING, its thread is woken, and
 * faults again for a missing page.
 */
static uint64_t take_by_copy(const struct mapping *mapping,
			     const struct leaving *leaving)
{
	uint64_t n = count_there(mapping, leaving->first, leaving->count);
	uint64_t address = mapping_address(mapping, leaving->first);
	uint64_t size = n << PAGE_SHIFT;
	int uffd = mapping->space->uffd;

	if (!n || uffd_protect(uffd, address, size))
		return 0;
	if (copy_out(address, leaving->memory, size) &&
	    !sys_call(SYS_madvise, address, size, MADV_DONTNEED))
		return n;
	uffd_unprotect(uffd, address, size);
	return 0;
}

/* From now on what is missing there is not zeros. */
static bool keep_from_forks(struct mapping *mapping)
{
	if (!mapping->unforked)
		mapping->unforked = !sys_call(SYS_madvise, mapping->start,
					      mapping->end - mapping->start,
					      MADV_DONTFORK);
	return mapping->unforked;
}

/* The first page is not where it should be: dropped behind our back. */
static void notice_gone(struct object *object, struct mapping *mapping,
			uint64_t index)
{
	if (object->owner)
		copies_check(mapping, index);
	else if (mapping->space->pagemap >= 0 &&
		 !count_there(mapping, index, 1))
		object_unload(object, pages_get(&object->pages, index));
}

static bool may_take(const struct object *object, const struct mapping *mapping)
{
	return mapping && !mapping->moving && swapout_ready(object->pager) &&
	       !swapout_is_silent(object->pager);
}

uint64_t swapout_take(struct object *object, uint64_t first, uint64_t count)
{
	struct swapout *swapout = &object->pager->swapout;
	struct mapping *mapping = object_mapping(object);
	struct leaving *leaving;
	uint64_t n;

	if (!may_take(object, mapping))
		return 0;
	count = min_u64(count, LEAVING_PAGES);
	count = min_u64(count, budget_write_most(object->pager));
	if (swapaway_is(object))
		return swapaway_take(object, mapping, first, count);
	if (!(object->owner || keep_from_forks(mapping)))
		return 0;
	leaving = create(object, first, count);
	if (!leaving)
		return 0;
	n = take_by_move(mapping, leaving);
	leaving->moved = n;
	if (!n)
		n = take_by_copy(mapping, leaving);
	if (!n) {
		leaving_destroy(leaving);
		notice_gone(object, mapping, first);
		return 0;
	}
	leaving_begin(leaving, n, &swapout->cooling);
	swapout->n_cooling += n;
	return n;
}

/* ---- Coming back ------------------------------------------------------------------ */

static struct leaving *find(const struct object *object, uint64_t index)
{
	list_for_each(leaving, &object->leavings, struct leaving, of_object)
		if (leaving_has(leaving, index))
			return leaving;
	return NULL;
}

void leaving_settle(struct leaving *leaving)
{
	if (!leaving->alive && !leaving->writing)
		leaving_destroy(leaving);
}

void leaving_part(struct leaving *leaving, uint64_t index)
{
	leaving->alive &= ~leaving_bit(leaving, index);
	swap_drop(leaving->object->swap, index, index + 1);
	if (!leaving->writing)
		leaving->pager->swapout.n_cooling--;
}

/* Does a page of it come back as a copy? What is being written must stay. */
static bool is_copied(const struct leaving *leaving)
{
	return leaving->writing || !leaving->moved;
}

/* Into the mapping again, whose sleepers are woken. */
static int put_back(struct leaving *leaving, struct mapping *mapping,
		    uint64_t index)
{
	struct object *object = leaving->object;
	uint64_t address = mapping_address(mapping, index), done = 0;
	char *bytes = leaving_bytes(leaving, index);
	int uffd = mapping->space->uffd, error = -EINVAL;

	if (!is_copied(leaving))
		error = uffd_move(uffd, address, (uint64_t)bytes, PAGE, &done);
	if (error && error != -EEXIST && error != -ENOENT) {
		error = uffd_copy(uffd, address, bytes, PAGE, 0, &done);
		if (!error && !leaving->writing)
			sys_call(SYS_madvise, bytes, PAGE, MADV_DONTNEED);
	}
	if (error)
		return error;
	if (!leaving->writing)
		leaving_unhold(leaving, leaving_bit(leaving, index));
	leaving_part(leaving, index);
	object_set(object, pages_get(&object->pages, index), PAGE_CLEAN, 0);
	if (!object->owner)
		mapping_loaded(mapping, pages_get(&object->pages, index));
	return 0;
}

/* Is there no room for one that comes back, but will be? Its memory counts already,
   unless it is copied; but not as its payer's. */
static bool must_wait(struct pager *pager, struct share *share, bool copies)
{
	return budget_room(pager, share, 1, copies ? PAGE : 0, 0) == ROOM_LATER;
}

void swapout_rescue(struct pager *pager, struct object *object, uint64_t index,
		    const struct fault *fault)
{
	struct mapping *mapping = object_mapping(object);
	struct leaving *leaving = find(object, index);
	bool copies;
	int error;

	if (leaving->away) {
		swapaway_rescue(leaving, index, fault);
		return;
	}
	do {
		copies = is_copied(leaving);
		if (must_wait(pager, mapping_share(mapping), copies) &&
		    time_now() - fault->since < mapping->deadline) {
			fault_set_aside(&pager->thirsty, fault);
			return;
		}
		/* Making room may have written it, or begun to. */
		leaving = find(object, index);
		if (!leaving) {
			fault_wake(fault);
			return;
		}
	} while (!copies && is_copied(leaving));
	error = put_back(leaving, mapping, index);
	if (error)
		fault_wake(fault); /* it looks again, wherever it is now */
	else
		leaving_settle(leaving);
	pager_answered(pager, fault);
}

/* Pages of it that would come back as copies beside what is being written. */
static uint64_t count_written(const struct object *object)
{
	uint64_t n = 0;

	list_for_each(leaving, &object->leavings, const struct leaving,
		      of_object)
		n += leaving->writing ? leaving_count(leaving) : 0;
	return n;
}

/* Making room may begin to write more of it. */
static bool make_room(struct object *object, const struct mapping *mapping)
{
	uint64_t n = 0;

	while (count_written(object) > n) {
		n = count_written(object);
		if (!budget_take(object->pager, mapping_share(mapping),
				 n << PAGE_SHIFT, 0, false))
			return false;
	}
	return true;
}

/* Is a write of it on its way whose deadline has not passed? */
static bool is_being_written(const struct object *object)
{
	list_for_each(leaving, &object->leavings, const struct leaving,
		      of_object)
		if (leaving->writing && !leaving->io.late)
			return true;
	return false;
}

bool swapout_must_stay(struct object *object)
{
	const struct mapping *mapping = object_mapping(object);

	if (swapaway_is(object))
		return swapaway_must_wait(object);
	return mapping && !make_room(object, mapping) &&
	       is_being_written(object);
}

int swapout_return(struct object *object)
{
	struct mapping *mapping = object_mapping(object);
	int error = 0;

	if (swapaway_is(object))
		return swapaway_return(object);
	make_room(object, mapping);
	list_for_each(leaving, &object->leavings, struct leaving, of_object) {
		for (uint64_t i = leaving->first;
		     i < leaving->first + leaving->count && !error; i++)
			if (leaving_has(leaving, i))
				error = put_back(leaving, mapping, i);
		leaving_settle(leaving);
	}
	return error;
}

void swapout_forget(struct object *object, uint64_t first, uint64_t end)
{
	list_for_each(leaving, &object->leavings, struct leaving, of_object) {
		uint64_t from = max_u64(first, leaving->first);
		uint64_t to = min_u64(end, leaving->first + leaving->count);

		if (leaving->away) {
			swapaway_forget(leaving, from, to);
			continue;
		}
		for (uint64_t i = from; i < to; i++) {
			if (!leaving_has(leaving, i))
				continue;
			leaving_part(leaving, i);
			object_set(object, pages_get(&object->pages, i),
				   PAGE_ABSENT, 0);
		}
		leaving_settle(leaving);
	}
	swap_drop(object->swap, first, end);
}

int swapout_copy(const struct object *from, struct object *to, uint64_t first,
		 uint64_t end)
{
	struct pager *pager = from->pager;
	int error;

	if (!from->swap)
		return 0;
	to->id = ledger_number(pager->ledger);
	error = swap_store_create(pager->swapout.swap, to->id, false,
				  &to->swap);
	return error ? error : swap_copy(from->swap, to->swap, first, end);
}

int swapout_split(struct object *object, struct object *upper, uint64_t first,
		  uint64_t end)
{
	int error = 0;

	if (!object->swap)
		return 0;
	if (swapaway_is(object))
		return swapout_copy(object, upper, first, end);
	error = swap_store_create(object->pager->swapout.swap, 0, upper->owner,
				  &upper->swap);
	if (!error)
		error = swap_split(object->swap, upper->swap, first, end);
	return error;
}
