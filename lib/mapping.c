/* SPDX-License-Identifier: MIT */
/*
 * What is done to the pages of mappings: show, protect, poison, heal, count
 *
 * The memory of a page and its state are the object's; what a mapping sees of
 * it is in the page table of its process, which only these functions change.
 */
#include <sys/mman.h>

#include "copies.h"
#include "ledger.h"
#include "mem.h"
#include "ours.h"
#include "pager.h"
#include "record.h"
#include "space.h"
#include "sys.h"
#include "trace.h"

void fault_wake(const struct fault *fault)
{
	uffd_wake(fault->space->uffd, fault->address, PAGE);
}

bool mapping_unseen(const struct mapping *mapping)
{
	const struct space *space = mapping->space;
	bool can = space->home || (space->hide && !mapping->tracked);

	return mapping->alone && can && mapping->object->memfd >= 0 &&
	       mapping->flags & WMAP_SHARED && !mapping->exact;
}

bool mapping_is_exact(const struct mapping *mapping)
{
	return mapping->flags & MAPPING_COURSE ||
	       record_wants(mapping->space->pager, mapping->object);
}

uint64_t mapping_modes(const struct mapping *mapping)
{
	uint64_t modes = UFFDIO_REGISTER_MODE_MISSING;

	/* What cannot be moved out is protected first (swapout.h). */
	if (mapping->object->memfd < 0)
		return modes | UFFDIO_REGISTER_MODE_WP;
	if (mapping->tracked || mapping_unseen(mapping))
		modes |= UFFDIO_REGISTER_MODE_WP;
	if (mapping->copies)
		modes |= UFFDIO_REGISTER_MODE_WP | UFFDIO_REGISTER_MODE_MINOR;
	if (mapping->exact ||
	    (!mapping_unseen(mapping) && (mapping->tracked || mapping->alone)))
		modes |= UFFDIO_REGISTER_MODE_MINOR;
	return modes;
}

static int end_solitude(struct mapping *mapping)
{
	bool unseen = mapping_unseen(mapping);
	int error = 0;

	mapping->alone = mapping->alone && !unseen;
	if (unseen && mapping->tracked)
		error = uffd_register(mapping->space->uffd, mapping->start,
				      mapping->end - mapping->start,
				      mapping_modes(mapping));
	mapping->alone |= error != 0;
	return error;
}

int object_company(struct object *object)
{
	int error = 0;

	list_for_each(mapping, &object->mappings, struct mapping, of_object)
		if (!error)
			error = end_solitude(mapping);
	return error;
}

static bool shows(const struct mapping *mapping, uint64_t index)
{
	return index >= mapping->first && index < mapping_end_page(mapping);
}

/* ---- Protecting --------------------------------------------------------------*/

/*
 * Protect what [first, end) and the mapping have in common. Where there is no
 * memory (yet, or any more) there is nothing to store to.
 */
static int protect_pages(struct mapping *mapping, uint64_t first, uint64_t end)
{
	int error;

	first = max_u64(first, mapping->first);
	end = min_u64(end, mapping_end_page(mapping));
	/* A fork's child that is not there yet has stored nothing. */
	if (first >= end || mapping->space->uffd < 0)
		return 0;
	error = uffd_protect(mapping->space->uffd,
			     mapping_address(mapping, first),
			     (end - first) << PAGE_SHIFT);
	return error == -ENOENT || error == -ESRCH ? 0 : error;
}

int object_protect(struct object *object, uint64_t first, uint64_t count)
{
	int error = 0;

	list_for_each(mapping, &object->mappings, struct mapping, of_object)
		if (mapping->tracked && !error)
			error = protect_pages(mapping, first, first + count);
	return error;
}

int mapping_protect_clean(struct mapping *mapping)
{
	const unsigned states = 1u << PAGE_CLEAN | 1u << PAGE_WRITING;
	struct page page;
	uint64_t cursor = 0;
	int error = 0;

	while (!error && pages_next(&mapping->object->pages, mapping->first,
				    mapping_end_page(mapping), &cursor, &page))
		if (page_is(page, states))
			error = protect_pages(mapping, page.index,
					      page.index + 1);
	return error;
}

int mapping_track(struct mapping *mapping)
{
	int error;

	if (mapping->tracked)
		return 0;
	mapping->tracked = true;
	error = uffd_register(mapping->space->uffd, mapping->start,
			      mapping->end - mapping->start,
			      mapping_modes(mapping));
	if (!error)
		error = mapping_protect_clean(mapping);
	if (error)
		mapping->tracked = false;
	return error;
}

void object_dirtied(struct object *object, struct page page)
{
	if (page.state == PAGE_CLEAN || page.state == PAGE_PRESUMED)
		object_set(object, page, PAGE_DIRTY, page.views);
	else if (page.state == PAGE_WRITING)
		object_set(object, page, PAGE_REDIRTIED, page.views);
}

/* ---- Counting ----------------------------------------------------------------*/

/* A note that cannot be kept for want of memory is a touch not counted. */
void mapping_loaded(struct mapping *mapping, struct page page)
{
	if (view_has(mapping->view, page))
		return;
	if (view_note(mapping->view, page.index, true))
		return;
	object_set(mapping->object, page, page.state,
		   page.views | view_bit(mapping->view));
	mapping->n_loaded++;
	trace(TRACE_LOAD, mapping_address(mapping, page.index));
}

void mapping_loaded_all(struct mapping *mapping, uint64_t first, size_t n)
{
	struct object *object = mapping->object;
	struct view *view = mapping->view;

	for (uint64_t i = first; i < first + n && !view_bit(view); i++) {
		struct page page = pages_get(&object->pages, i);

		if (page_is(page, STATES_PRESENT))
			mapping_loaded(mapping, page);
	}
	if (!view_bit(view))
		return;
	view->low = min_u64(view->low, first);
	view->high = max_u64(view->high, first + n);
	mapping->n_loaded += pages_view(&object->pages, first, n,
					STATES_PRESENT, view_bit(view));
}

static void unload(struct object *object, struct page page,
		   enum page_state state)
{
	list_for_each(mapping, &object->mappings, struct mapping, of_object) {
		if (!shows(mapping, page.index) ||
		    !view_has(mapping->view, page))
			continue;
		mapping->n_loaded -= page_is(page, STATES_PRESENT);
		view_note(mapping->view, page.index, false);
		trace(TRACE_UNLOAD, mapping_address(mapping, page.index));
	}
	object_set(object, page, state, 0);
}

void object_unload(struct object *object, struct page page)
{
	unload(object, page, PAGE_ABSENT);
}

void object_leave(struct object *object, struct page page)
{
	unload(object, page, PAGE_LEAVING);
}

/* ---- Showing -----------------------------------------------------------------*/

/* May this fault's thread store to a page from now on? */
static bool must_protect(const struct mapping *mapping, struct page page)
{
	return mapping->copies ||
	       (mapping->tracked &&
		(page.state == PAGE_CLEAN || page.state == PAGE_WRITING));
}

/* Before 6.4 CONTINUE cannot protect: the page may be stored to unseen, so it
   counts as changed. */
static struct page before_show(struct mapping *mapping, struct page page,
			       bool write)
{
	bool blind = !(mapping->space->features & WMAP_FEATURE_CONTINUE_WP);

	if (!mapping->tracked || !(write || blind))
		return page;
	object_dirtied(mapping->object, page);
	return pages_get(&mapping->object->pages, page.index);
}

/* Before 6.4 copies are protected afterwards, before their sleepers are woken: who
   was faster has stored, and that is found. */
int mapping_continue(struct mapping *mapping, uint64_t first, uint64_t count,
		     bool protect, uint64_t *done)
{
	bool blind = !(mapping->space->features & WMAP_FEATURE_CONTINUE_WP);
	uint64_t address = mapping_address(mapping, first);
	int uffd = mapping->space->uffd, error;
	uint64_t mode = 0;

	if (protect)
		mode = blind ? UFFDIO_CONTINUE_MODE_DONTWAKE :
			       UFFDIO_CONTINUE_MODE_WP;
	error = uffd_continue(uffd, address, count << PAGE_SHIFT, mode, done);
	if (protect && blind && *done) {
		copies_look(mapping, first, *done >> PAGE_SHIFT);
		uffd_wake(uffd, address, *done);
	}
	*done >>= PAGE_SHIFT;
	return error;
}

bool mapping_show(struct mapping *mapping, struct page page,
		  const struct fault *fault)
{
	int uffd = mapping->space->uffd, error;
	uint64_t done;

	page = before_show(mapping, page, fault->write);
	error = mapping_continue(mapping, page.index, 1,
				 must_protect(mapping, page), &done);
	switch (error) {
	case 0:
		break;
	case -EEXIST: /* shown already, perhaps protected */
		if (!fault->write || !mapping->tracked ||
		    uffd_unprotect(uffd, fault->address, PAGE))
			fault_wake(fault);
		break;
	case -EFAULT:
		return false;
	default: /* not in place (any more): its thread shall look again */
		fault_wake(fault);
		return true;
	}
	mapping_loaded(mapping, page);
	return true;
}

/* ---- SIGBUS ------------------------------------------------------------------*/

/*
 * Without POISON: an empty file's memory over the page. In another process we map
 * nothing (an address of its is none of ours): its thread waits until the page
 * heals, and can be killed.
 */
static void cover(struct mapping *mapping, uint64_t address)
{
	struct space *space = mapping->space;

	if (!space->home)
		return;
	if (space->sigbus < 0)
		space->sigbus = (int)sys_call(SYS_memfd_create, "wmap-sigbus",
					      MFD_CLOEXEC);
	sys_map(address, PAGE, mapping->prot, MAP_SHARED | MAP_FIXED,
		space->sigbus, 0);
	uffd_wake(space->uffd, address, PAGE);
}

/*
 * A page that was protected and then dropped has left a mark in the page table,
 * over which POISON does not go: take it away first.
 */
static int poison(int uffd, uint64_t address)
{
	uint64_t done;
	int error = uffd_poison(uffd, address, PAGE, &done);

	if (error != -EEXIST)
		return error;
	uffd_unmark(uffd, address, PAGE);
	return uffd_poison(uffd, address, PAGE, &done);
}

void mapping_poison(struct mapping *mapping, struct object *object,
		    struct page page)
{
	uint64_t address = mapping_address(mapping, page.index);

	mapping->errors++;
	if (object->owner) {
		object_set(object, page, PAGE_ERROR, 0);
	} else if (!page_is(page, STATES_PRESENT)) {
		object_set(mapping->object, page, PAGE_ERROR,
			   page.views | view_bit(mapping->view));
		view_note(mapping->view, page.index, true);
	}
	if (!(mapping->space->features & WMAP_FEATURE_POISON))
		cover(mapping, address);
	else if (poison(mapping->space->uffd, address))
		uffd_wake(mapping->space->uffd, address, PAGE);
}

static int place(struct mapping *mapping, uint64_t address, int fixed)
{
	if (!mapping->space->home)
		return -EOPNOTSUPP;
	return sys_place(mapping->space->uffd, address, PAGE, mapping->prot,
			 mapping->shared, fixed, mapping->object->memfd,
			 mapping_page(mapping, address) << PAGE_SHIFT,
			 mapping_modes(mapping),
			 mapping->object->memfd < 0 && !mapping->unforked);
}

/*
 * Put the object's memory back where cover() was. The page is there, so a store
 * before registration is in it; as it goes unseen, the page counts as changed.
 */
static void uncover(struct mapping *mapping, struct page page)
{
	if (mapping->tracked)
		object_dirtied(mapping->object, page);
	place(mapping, mapping_address(mapping, page.index), MAP_FIXED);
}

/* Forget that a mapping shows SIGBUS: a touch there is a missing page again. */
static void expose(struct mapping *mapping, struct page page)
{
	uint32_t views = page.views & ~view_bit(mapping->view);

	if (place(mapping, mapping_address(mapping, page.index), MAP_FIXED))
		return;
	view_note(mapping->view, page.index, false);
	object_set(mapping->object, page, views ? PAGE_ERROR : PAGE_ABSENT,
		   views);
}

static void expose_copy(struct object *copies, struct page page)
{
	struct mapping *mapping = copies->owner;

	if (!place(mapping, mapping_address(mapping, page.index), MAP_FIXED))
		object_set(copies, page, PAGE_ABSENT, 0);
}

void object_expose(struct object *object, uint64_t index)
{
	struct page copy = pages_get(&object->pages, index);

	if (object->owner && copy.state == PAGE_ERROR)
		expose_copy(object, copy);
	list_for_each(mapping, &object->mappings, struct mapping, of_object) {
		struct page page = pages_get(&object->pages, index);

		if (page.state == PAGE_ERROR && shows(mapping, index) &&
		    view_has(mapping->view, page))
			expose(mapping, page);
	}
}

static void mend(struct mapping *mapping, struct object *object)
{
	uint64_t *indexes;
	size_t n;

	if (!object->n_errors || pages_collect(&object->pages, mapping->first,
					       mapping_end_page(mapping),
					       1u << PAGE_ERROR, &indexes, &n))
		return;
	for (size_t i = 0; i < n; i++) {
		struct page page = pages_get(&object->pages, indexes[i]);

		if (object->owner)
			expose_copy(object, page);
		else if (view_has(mapping->view, page))
			expose(mapping, page);
	}
	mem_free(indexes, n * sizeof(*indexes));
}

void mapping_mend(struct mapping *mapping)
{
	if (mapping->space->features & WMAP_FEATURE_POISON)
		return;
	mend(mapping, mapping->object);
	if (mapping->copies)
		mend(mapping, mapping->copies);
}

static void heal(struct mapping *mapping, struct page page)
{
	uint64_t done;

	mapping->n_loaded++;
	if (!(mapping->space->features & WMAP_FEATURE_POISON) &&
	    mapping->space->home) {
		uncover(mapping, page);
		return;
	}
	page = before_show(mapping, page, false);
	mapping_continue(mapping, page.index, 1, must_protect(mapping, page),
			 &done);
}

void object_heal(struct object *object, struct page page)
{
	list_for_each(mapping, &object->mappings, struct mapping, of_object) {
		if (!shows(mapping, page.index) ||
		    !view_has(mapping->view, page))
			continue;
		heal(mapping, page);
		page = pages_get(&object->pages, page.index);
	}
}

int object_ail(struct object *object, uint64_t index)
{
	struct page page = pages_get(&object->pages, index);
	bool present = page_is(page, STATES_PRESENT);
	uint32_t views = page.views;
	int error;

	list_for_each(mapping, &object->mappings, struct mapping, of_object) {
		if (!shows(mapping, index))
			continue;
		view_note(mapping->view, index, true);
		views |= view_bit(mapping->view);
	}
	error = object_set(object, page, present ? page.state : PAGE_ERROR,
			   views);
	if (present)
		object_heal(object, pages_get(&object->pages, index));
	return error;
}

/* ---- Growing up --------------------------------------------------------------*/

/*
 * The page above the mapping is in place and registered: a touch there comes
 * to the pager. If the page above that one is free it becomes the next such
 * page; else there is none any more, and the touch is a stray access.
 */
void mapping_give_up_growth(struct mapping *mapping)
{
	uint64_t done;

	if (mapping->space->home) {
		mapping->growing = false;
		sys_unmap(mapping->end, PAGE);
	} else {
		uffd_poison(mapping->space->uffd, mapping->end, PAGE, &done);
		mapping_not_grown(mapping);
	}
}

void mapping_grow(struct mapping *mapping)
{
	uint64_t end = mapping->end;
	uint64_t after_next = mapping_end_page(mapping) + 2;

	if (!object_reach(mapping->object, after_next) &&
	    !place(mapping, end + PAGE, MAP_FIXED_NOREPLACE) &&
	    !ours_add(end, end + PAGE,
		      ours_kind_of(mapping->object->memfd < 0,
				   mapping->shared)) &&
	    !space_move(mapping, mapping->start, end - mapping->start + PAGE))
		return;
	ours_remove(end, end + PAGE);
	mapping->growing = false;
	sys_unmap(end, PAGE);
}

/*
 * Another process's: the page in place is its agent's doing (growth.h). What it
 * was touched by is held until then, and looks again.
 */
int mapping_grown(struct mapping *mapping)
{
	uint64_t length = mapping->end - mapping->start + PAGE;
	int error =
		object_reach(mapping->object, mapping_end_page(mapping) + 2);

	if (!error)
		error = space_move(mapping, mapping->start, length);
	if (error)
		return error;
	list_del(&mapping->wanting);
	faults_resolve(mapping);
	return 0;
}

void mapping_not_grown(struct mapping *mapping)
{
	mapping->growing = false;
	list_del(&mapping->wanting);
	ledger_mapping(mapping); /* at worst a successor takes it to grow */
	faults_release(mapping);
	uffd_wake(mapping->space->uffd, mapping->end, PAGE);
}

void mapping_regrow(struct mapping *mapping)
{
	if (!(mapping->flags & WMAP_GROWSUP) || mapping->growing)
		return;
	mapping->growing =
		!object_reach(mapping->object, mapping_end_page(mapping) + 1) &&
		!place(mapping, mapping->end, MAP_FIXED_NOREPLACE);
}
