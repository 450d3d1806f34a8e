/* SPDX-License-Identifier: MIT */
/* Telling: residency, mappings, counters, frames */
#include <fcntl.h>
#include <string.h>

#include "books.h"
#include "copies.h"
#include "mem.h"
#include "presume.h"
#include "sys.h"

/* ---- Telling -------------------------------------------------------------------------*/

/* Which of the message's pages are in memory: in the mapping's object, or in its
   copies. */
static void tell_pages(struct message *message, const struct mapping *mapping,
		       const struct object *object)
{
	uint64_t start = message->address;
	uint64_t from = max_u64(start, mapping->start);
	uint64_t to = min_u64(message_end(message), mapping->end), cursor = 0;
	struct page page;

	while (pages_next(&object->pages, mapping_page(mapping, from),
			  mapping_page(mapping, to), &cursor, &page))
		if (page_is(page, STATES_PRESENT) &&
		    mapping_source(mapping, page.index) == object)
			message->residency
				.vector[(mapping_address(mapping, page.index) -
					 start) >>
					PAGE_SHIFT] = 1;
}

void books_residency(struct message *message)
{
	struct space *space = message->space;
	uint64_t start = message->address, end = message_end(message);
	struct mapping *mapping;

	if (!space_covers(space, start, end)) {
		message_answer(message, -ENOMEM);
		return;
	}
	for_each_in(mapping, space, start, end) {
		tell_pages(message, mapping, mapping->object);
		if (mapping->copies)
			tell_pages(message, mapping, mapping->copies);
	}
	message_answer(message, 0);
}

/* Kept for the whole object; counted where the mapping shows only a part. */
static size_t count_in(const struct mapping *mapping, unsigned states,
		       size_t whole)
{
	const struct object *object = mapping->object;

	if (!whole ||
	    (!mapping->first && mapping_end_page(mapping) >= object->n_pages))
		return whole;
	return pages_count(&object->pages, mapping->first,
			   mapping_end_page(mapping), states, 0);
}

/* At most *@looks pages are looked at for it. */
static size_t count_dirty(const struct mapping *mapping, size_t *looks)
{
	size_t unchanged = presume_unchanged(mapping->object, mapping->first,
					     mapping_end_page(mapping), looks);

	return count_in(mapping, STATES_DIRTY, mapping->object->n_dirty) -
	       unchanged;
}

static void tell(const struct mapping *mapping, struct wmap_mapping_info *info,
		 size_t *looks)
{
	const struct object *object = mapping->object;

	memset(info, 0, sizeof(*info));
	info->size = sizeof(*info);
	info->addr = (void *)mapping->start;
	info->length = mapping->length;
	info->offset = mapping->first << PAGE_SHIFT;
	info->dev = object->dev;
	info->ino = object->ino;
	info->prot = mapping->prot;
	info->flags = mapping->flags & ~(MAPPING_COURSE | MAPPING_BOUND);
	info->grain = mapping->grain << PAGE_SHIFT;
	info->loaded = mapping->n_loaded;
	info->resident = count_in(mapping, STATES_PRESENT, object->n_present);
	if (mapping->copies)
		copies_count(mapping, &info->resident, &info->loaded);
	info->dirty = count_dirty(mapping, looks);
	info->faults = mapping->faults;
	info->fills = mapping->fills;
	info->writebacks = object->writebacks_done;
	info->errors = mapping->errors + object->write_errors;
	info->memory_limit = BUDGET_NONE;
	if (mapping->part) {
		info->memory_limit = mapping->part->limit;
		info->memory = (mapping->part->present + mapping->part->coming)
			       << PAGE_SHIFT;
	}
	strcpy(info->name, object->store ? object->store->name : "zero");
	/* A plain object's pages are numbered from 0, which is no offset. */
	if (!object->store)
		info->offset = 0;
}

static uint64_t distance(const struct mapping *mapping, uint64_t address)
{
	if (address < mapping->start)
		return mapping->start - address;
	return address < mapping->end ? 0 : address - mapping->end + 1;
}

static size_t nearest(const struct space *space, uint64_t address)
{
	size_t i = space_lower(space, address);

	if (i == space->n)
		return i ? i - 1 : 0;
	if (i && distance(space->entries[i - 1].mapping, address) <
			 distance(space->entries[i].mapping, address))
		return i - 1;
	return i;
}

void books_list(struct message *message)
{
	const struct space *space = message->space;
	size_t i = space_lower(space, message->address), n = 0;
	size_t looks = PRESUME_LOOKS;

	if (message->list.nearest)
		i = nearest(space, message->address);
	message->list.total = space->n;
	for (; i < space->n && n < message->list.room; i++)
		tell(space->entries[i].mapping, &message->list.infos[n++],
		     &looks);
	message->list.count = n;
	message_answer(message, 0);
}

static void count_object(struct wmap_stats *stats,
			 const struct mapping *mapping, size_t *looks)
{
	struct object *object = mapping->object;

	if (mapping->copies)
		stats->resident += mapping->copies->n_present;
	/* Once for each object: with its first mapping. */
	if (list_first(&object->mappings, struct mapping, of_object) != mapping)
		return;
	stats->objects++;
	stats->resident += object->n_present;
	stats->dirty += object->n_dirty -
			presume_unchanged(object, 0, UINT64_MAX, looks);
}

void books_stats(struct message *message)
{
	struct pager *pager = message->pager;
	struct wmap_stats *stats = message->stats.stats;
	const struct space *space = message->space;
	size_t looks = PRESUME_LOOKS;

	*stats = space->stats;
	stats->mappings = space->n;
	for (size_t i = 0; i < space->n; i++)
		count_object(stats, space->entries[i].mapping, &looks);
	stats->bookkeeping =
		mem_used() - pager->staging.out - pager->staging.idle;
	stats->memory_limit = pager->budget.limit;
	stats->memory = budget_used(pager);
	stats->memory_peak = max_u64(pager->budget.peak, stats->memory);
	pager->budget.peak = stats->memory;
	stats->memory_share = share_due(pager, &message->space->share);
	stats->memory_own = share_used(&message->space->share);
	stats->evicted = pager->budget.evicted;
	stats->swapped_out = pager->swapout.out;
	stats->swapped_in = pager->swapout.in;
	stats->swap_errors = pager->swapout.errors;
	message_answer(message, 0);
}

void books_frame(struct message *message)
{
	struct mapping *mapping = space_find(message->space, message->address);
	struct page page;
	int error = -EFAULT;

	if (mapping && mapping->object->memfd >= 0) {
		page = pages_get(&mapping->object->pages,
				 mapping_page(mapping, message->address));
		if (page_is(page, STATES_PRESENT))
			error = (int)sys_call(SYS_fcntl, mapping->object->memfd,
					      F_DUPFD_CLOEXEC, 0);
	}
	if (error >= 0) {
		message->frame.memfd = error;
		message->frame.offset = page.index << PAGE_SHIFT;
		error = 0;
	}
	message_answer(message, error);
}
