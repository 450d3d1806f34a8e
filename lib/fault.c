/* SPDX-License-Identifier: MIT */
/*
 * Faults: what each message of the kernel gets for an answer
 *
 *   nothing is mapped there       woken: it looks again, and gets SIGSEGV
 *   a page to grow into           the mapping grows; or held, until it has in
 *                                 another process
 *   a page of zeros               put in place at once
 *   ABSENT                        a fill begins; its first waiter
 *   LEAVING                       taken back, as long as it is not written
 *   FILLING                       set aside, in the fill's waiters
 *   in memory                     shown, or its protection lifted: it is dirty
 *   ERROR                         SIGBUS
 *
 * What a private mapping has changed is in the same states, as one of its copies
 * (copies.h).
 */
#include "ahead.h"
#include "copies.h"
#include "fill.h"
#include "presume.h"
#include "record.h"
#include "replay.h"
#include "swap.h"
#include "sys.h"
#include "trace.h"

void faults_release(struct mapping *mapping)
{
	list_for_each(aside, &mapping->held, struct fault, link) {
		struct fault fault = fault_take_back(aside);

		fault_wake(&fault);
	}
}

/* ---- Zeros ---------------------------------------------------------------------*/

/* Is there room? If not now, it waits. */
static bool must_wait(struct pager *pager, struct mapping *mapping,
		      uint64_t count, const struct fault *fault,
		      enum room *room)
{
	*room = budget_room(pager, mapping_share(mapping), count,
			    count << PAGE_SHIFT, 0);
	if (*room != ROOM_LATER ||
	    time_now() - fault->since >= mapping->deadline)
		return false;
	fault_set_aside(&pager->thirsty, fault);
	return true;
}

/*
 * A page of an object without a store: nothing to wait for. Plain memory's may be
 * there already, by a message that came late. To make room for it would be wrong:
 * it might be that very page that leaves, and zeros that come in its place.
 */
static void fill_zeros(struct pager *pager, struct mapping *mapping,
		       uint64_t index, const struct fault *fault)
{
	struct object *object = mapping->object;
	uint64_t first = index, count = 1, before = mapping->n_loaded;
	bool there = page_is(pages_get(&object->pages, index), STATES_PRESENT);
	enum room room = ROOM;
	bool woken;
	int error;

	if (mapping->grain > 1 && !there)
		fill_choose_run(mapping, index, &first, &count);
	if (!there && must_wait(pager, mapping, count, fault, &room))
		return;
	if (room == NO_ROOM && mapping->flags & MAPPING_BOUND) {
		fault_refuse(pager, fault);
		return;
	}
	object->payer = mapping_share(mapping);
	error = fill_put(object, mapping, first, count, NULL, fault->write,
			 &woken);
	object->payer = NULL;
	if (error && error != -ENOENT && error != -ESRCH) {
		fault_refuse(pager, fault);
		return;
	}
	mapping->fills += mapping->n_loaded - before;
	fault->space->stats.fills += mapping->n_loaded - before;
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
	if (mapping->tracked) {
		object_dirtied(mapping->object, page);
		presume_stored(mapping, page.index);
	}
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

/* ---- Copies --------------------------------------------------------------------*/

static bool is_shown_by_others(const struct object *object)
{
	return object->mappings.next->next != &object->mappings;
}

static void make_copy(struct pager *pager, struct mapping *mapping,
		      uint64_t index, const struct fault *fault)
{
	struct object *object = mapping->object;
	char bytes[PAGE];

	if (object_read(object, index, 1, bytes))
		fault_refuse(pager, fault);
	else if (copies_put(mapping, index, bytes))
		fault_wake(fault);
	else if (!is_shown_by_others(object))
		object_drop(object, index, index + 1);
}

/* A first store through a private mapping, to a page that is in memory; unless it
   had to go to make room for the copy. What nobody else shows is not to stay
   beside its copy, as it would if the kernel made that. */
static void copy_page(struct pager *pager, struct mapping *mapping,
		      uint64_t index, const struct fault *fault)
{
	struct object *object = mapping->object;
	enum room room;

	if (must_wait(pager, mapping, 1, fault, &room))
		return;
	if (!page_is(pages_get(&object->pages, index), STATES_PRESENT))
		fault_wake(fault);
	else if (fault->protected &&
		 (is_shown_by_others(object) || copies_hide(mapping, index)))
		copies_allow(mapping, index);
	else
		make_copy(pager, mapping, index, fault);
	pager_answered(pager, fault);
}

/* A message that came late; or the page left the page table before it was
   copied. */
static bool is_copy(struct mapping *mapping, struct page page,
		    const struct fault *fault)
{
	if (!fault->protected && !copies_check(mapping, page.index))
		return false;
	if (!fault->protected ||
	    uffd_unprotect(fault->space->uffd, fault->address, PAGE))
		fault_wake(fault);
	return true;
}

/* The page is on its way, or held back until it is touched: now. */
static void join_fill(struct pager *pager, struct mapping *mapping,
		      uint64_t index, const struct fault *fault)
{
	struct object *source = mapping_source(mapping, index);
	struct fill *fill = find_fill(source, index);

	fault_set_aside(&fill->waiters, fault);
	if (fill->parked)
		fill->write = fault->write && fill->via == mapping;
	if (fill->held)
		fill_release(source, index);
	ahead_reached(pager, mapping, index);
}

/* What is in memory all the same may be stored to. */
static void refuse(struct pager *pager, const struct fault *fault)
{
	if (fault->protected)
		uffd_unprotect(fault->space->uffd, fault->address, PAGE);
	else
		fault_refuse(pager, fault);
}

static void resolve_in(struct pager *pager, struct mapping *mapping,
		       const struct fault *fault)
{
	uint64_t index = mapping_page(mapping, fault->address);
	struct object *object = mapping_source(mapping, index);
	struct page page = pages_get(&object->pages, index);

	if (object->owner && page_is(page, STATES_PRESENT)) {
		if (is_copy(mapping, page, fault))
			return;
		object = mapping->object;
		page = pages_get(&object->pages, index);
	}
	if (swapaway_is(object) && !fault->protected &&
	    page_is(page, STATES_PRESENT) && swap_has(object->swap, index)) {
		object_unload(object, page); /* it has gone after all */
		page = pages_get(&object->pages, index);
	}
	if (mapping->refused)
		refuse(pager, fault);
	else if (page_is(page, STATES_PRESENT) && mapping->copies &&
		 (fault->write || fault->protected))
		copy_page(pager, mapping, index, fault);
	else if (page_is(page, STATES_PRESENT) && object->memfd >= 0)
		resolve_present(pager, mapping, page, fault);
	else if (fault->protected && !swapaway_is(object))
		fault_wake(fault); /* it went meanwhile: a missing page now */
	else if (page.state == PAGE_LEAVING)
		swapout_rescue(pager, object, index, fault);
	else if (fault->protected) /* it stays */
		resolve_present(pager, mapping, page, fault);
	else if (page.state == PAGE_FILLING)
		join_fill(pager, mapping, index, fault);
	else if (pager->refusing || (page.state == PAGE_ERROR &&
				     !(mapping->flags & MAPPING_COURSE)))
		fault_refuse(pager, fault);
	else if (!object->store && !swap_has(object->swap, index))
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

void faults_resolve(struct mapping *mapping)
{
	uint64_t grown = mapping->end - PAGE;

	list_for_each(aside, &mapping->held, struct fault, link) {
		struct fault fault = fault_take_back(aside);

		/* As above. */
		fault.write |= mapping->tracked && fault.address == grown;
		fault_resolve(mapping->space->pager, fault);
	}
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

	if (mapping &&
	    (must_hold(mapping, &fault) || swapaway_in_doubt(mapping))) {
		fault_set_aside(&mapping->held, &fault);
		return;
	}
	if (mapping && mapping->space->grow && fault.address >= mapping->end) {
		fault_set_aside(&mapping->held, &fault);
		mapping->space->grow(mapping);
		return;
	}
	if (!mapping || !grow_into(mapping, &fault)) {
		fault_wake(&fault);
		return;
	}
	mapping->faults += !fault.again;
	if (!fault.again)
		trace(fault.protected ? TRACE_STORE :
		      fault.write     ? TRACE_WRITE :
					TRACE_READ,
		      fault.address);
	if (!fault.again)
		record_touched(mapping, mapping_page(mapping, fault.address));
	fault.again = true;
	resolve_in(pager, mapping, &fault);
	if (pager->replay && !mapping->replayed)
		replay_begin(mapping);
}
