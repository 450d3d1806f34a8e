/* SPDX-License-Identifier: MIT */
/* Copies of file pages (copies.h has the model) */
#include <sys/mman.h>

#include "budget.h"
#include "copies.h"
#include "mem.h"
#include "pagemap.h"
#include "pager.h"
#include "swap.h"
#include "sys.h"

#define LOOK_PAGES 512 /* at a time */

bool copies_have(const struct mapping *mapping, uint64_t index)
{
	const struct object *copies = mapping->copies;

	return copies &&
	       (pages_get(&copies->pages, index).state != PAGE_ABSENT ||
		swap_has(copies->swap, index));
}

struct mapping *object_mapping(const struct object *object)
{
	if (object->owner || list_empty(&object->mappings))
		return object->owner;
	return list_first(&object->mappings, struct mapping, of_object);
}

/* ---- Looking ---------------------------------------------------------------- */

static uint64_t read_map(const struct mapping *mapping, uint64_t first,
			 uint64_t count, uint64_t *entries)
{
	return pagemap_read(mapping->space->pagemap,
			    mapping_address(mapping, first), count, entries);
}

static void set(struct mapping *mapping, uint64_t index, enum page_state state)
{
	struct object *copies = mapping->copies;

	object_set(copies, pages_get(&copies->pages, index), state, 0);
}

static bool is_shown(const struct mapping *mapping, uint64_t index,
		     uint64_t entry)
{
	return entry & PAGEMAP_PRESENT && !copies_have(mapping, index);
}

/* Protected first: so whatever is the file's now has not been stored to. */
static void look_at_run(struct mapping *mapping, uint64_t first, uint64_t count)
{
	uint64_t entries[LOOK_PAGES], n;
	int uffd = mapping->space->uffd;

	if (uffd_protect(uffd, mapping_address(mapping, first),
			 count << PAGE_SHIFT))
		return;
	n = read_map(mapping, first, count, entries);
	for (uint64_t i = 0; i < n; i++) {
		/* Before it is the mapping's own a page is the file's. */
		if (!(entries[i] & PAGEMAP_PRESENT) ||
		    entries[i] & PAGEMAP_FILE)
			continue;
		set(mapping, first + i, PAGE_CLEAN);
		uffd_unprotect(uffd, mapping_address(mapping, first + i), PAGE);
	}
}

static void look_at_some(struct mapping *mapping, uint64_t first,
			 uint64_t count)
{
	uint64_t entries[LOOK_PAGES], run;
	uint64_t n = read_map(mapping, first, count, entries);

	for (uint64_t i = 0; i < n; i += run + 1) {
		run = 0;
		while (i + run < n &&
		       is_shown(mapping, first + i + run, entries[i + run]))
			run++;
		if (run)
			look_at_run(mapping, first + i, run);
	}
}

void copies_look(struct mapping *mapping, uint64_t first, uint64_t count)
{
	for (uint64_t n; count; first += n, count -= n) {
		n = min_u64(count, LOOK_PAGES);
		look_at_some(mapping, first, n);
	}
}

/* A page that the kernel has taken to its own swap is there, too; a mark that a
   protected page has left is taken away, or its touch would come for ever. */
bool copies_check(struct mapping *mapping, uint64_t index)
{
	uint64_t entry = 0;

	if (read_map(mapping, index, 1, &entry) &&
	    !(entry & (PAGEMAP_PRESENT | PAGEMAP_SWAPPED))) {
		set(mapping, index, PAGE_ABSENT);
		return false;
	}
	uffd_unmark(mapping->space->uffd, mapping_address(mapping, index),
		    PAGE);
	return true;
}

/* ---- Beginning, ending --------------------------------------------------------- */

static bool is_wanted(const struct mapping *mapping)
{
	const struct space *space = mapping->space;

	return !mapping->copies && space->home && space->pagemap >= 0 &&
	       mapping->object->memfd >= 0 && mapping->flags & WMAP_PRIVATE &&
	       mapping->prot & PROT_WRITE &&
	       !(mapping->flags & MAPPING_COURSE) &&
	       share_is_counted(space->pager, mapping_share(mapping));
}

int copies_create(struct mapping *mapping)
{
	int error;

	if (!is_wanted(mapping))
		return 0;
	error = object_create(NULL, true, &mapping->copies);
	if (error)
		return error;
	mapping->copies->owner = mapping;
	mapping->copies->n_pages = mapping->object->n_pages;
	budget_adopt(mapping->space->pager, mapping->copies, NULL);
	return 0;
}

/* A read that is under way would bring what is not there any more. */
static void forget(struct object *copies, uint64_t first, uint64_t end)
{
	fills_abandon(copies);
	object_forget(copies, first, end);
}

/* Where there is SIGBUS, dropping memory would not take it away. */
void copies_forget(struct mapping *mapping, uint64_t first, uint64_t end)
{
	struct object *copies = mapping->copies;
	uint64_t *indexes;
	size_t n;

	if (!copies)
		return;
	forget(copies, first, end);
	if (pages_collect(&copies->pages, first, end, 1u << PAGE_ERROR,
			  &indexes, &n))
		return;
	for (size_t i = 0; i < n; i++)
		object_expose(copies, indexes[i]);
	mem_free(indexes, n * sizeof(*indexes));
}

void copies_end(struct mapping *mapping)
{
	struct object *copies = mapping->copies;

	if (!copies)
		return;
	forget(copies, 0, UINT64_MAX);
	mapping->copies = NULL;
	copies->owner = NULL;
	object_put(copies);
}

void copies_begin(struct mapping *mapping)
{
	uint64_t length = mapping->end - mapping->start;

	if (mapping->copies || mapping->moving || copies_create(mapping) ||
	    !mapping->copies)
		return;
	/* It may not be in place yet, or any more. */
	if (uffd_register(mapping->space->uffd, mapping->start, length,
			  mapping_modes(mapping)))
		copies_end(mapping);
	else
		copies_look(mapping, mapping->first, length >> PAGE_SHIFT);
}

/* ---- Changing ------------------------------------------------------------------- */

void copies_allow(struct mapping *mapping, uint64_t index)
{
	uint64_t address = mapping_address(mapping, index);

	set(mapping, index, PAGE_CLEAN);
	if (!uffd_unprotect(mapping->space->uffd, address, PAGE))
		return;
	set(mapping, index, PAGE_ABSENT);
	uffd_wake(mapping->space->uffd, address, PAGE);
}

int copies_hide(const struct mapping *mapping, uint64_t index)
{
	return (int)sys_call(SYS_madvise, mapping_address(mapping, index), PAGE,
			     MADV_DONTNEED);
}

int copies_put(struct mapping *mapping, uint64_t index, const void *bytes)
{
	uint64_t done;
	int error = uffd_copy(mapping->space->uffd,
			      mapping_address(mapping, index), bytes, PAGE, 0,
			      &done);

	if (!error)
		set(mapping, index, PAGE_CLEAN);
	return error;
}

void copies_count(const struct mapping *mapping, size_t *resident,
		  size_t *loaded)
{
	const struct object *object = mapping->object;
	struct page page;
	uint64_t cursor = 0;

	*resident = *loaded = mapping->copies->n_present;
	while (pages_next(&object->pages, mapping->first,
			  mapping_end_page(mapping), &cursor, &page)) {
		if (!page_is(page, STATES_PRESENT) ||
		    copies_have(mapping, page.index))
			continue;
		++*resident;
		*loaded += view_has(mapping->view, page);
	}
}
