/* SPDX-License-Identifier: MIT */
/* How much may be used, and how much is (budget.h) */
#include <stdio.h>
#include <stdlib.h>
#include <sys/sysinfo.h>

#include "budget.h"
#include "copies.h"
#include "pager.h"
#include "pin.h"
#include "swap.h"
#include "sys.h"
#include "window.h"

/* [a] The limit of the pager of this process, as last set; orders nothing. */
static _Atomic uint64_t of_process = BUDGET_NONE;

void budget_init(struct pager *pager, uint64_t limit)
{
	struct budget *budget = &pager->budget;

	budget->limit = limit;
	pager->staging.keep = min_u64(STAGING_KEPT, limit / 16);
	list_init(&budget->shares);
	list_init(&budget->scarce);
	share_init(&budget->rest, NULL);
	list_add(&budget->shares, &budget->rest.link);
	for (size_t i = 0; i < BUDGET_HASHES; i++)
		list_init(&budget->hashes[i]);
	evict_init(pager);
}

uint64_t budget_used(const struct pager *pager)
{
	const struct budget *budget = &pager->budget;

	return ((budget->resident + budget->coming) << PAGE_SHIFT) +
	       pager->staging.out + pager->staging.idle + pager->swapout.held +
	       swap_buffers(pager->swapout.swap);
}

static void note_peak(struct pager *pager, uint64_t bytes)
{
	pager->budget.peak =
		max_u64(pager->budget.peak, budget_used(pager) + bytes);
}

#define FOR_WRITING ((uint64_t)2 << 20) /* at most */

static uint64_t for_writing(const struct budget *budget)
{
	return page_down(min_u64(budget->limit / 16, FOR_WRITING));
}

uint64_t budget_limit(const struct pager *pager)
{
	if (!budget_is_set(&pager->budget))
		return BUDGET_NONE;
	return pager->budget.limit - for_writing(&pager->budget);
}

uint64_t budget_load(const struct pager *pager)
{
	return budget_used(pager) - pager->budget.writing;
}

bool budget_may_write(const struct pager *pager)
{
	const struct budget *budget = &pager->budget;

	return budget->n_writing << PAGE_SHIFT < budget->limit / 8;
}

uint64_t budget_write_most(const struct pager *pager)
{
	if (!budget_is_set(&pager->budget))
		return UINT64_MAX;
	return max_u64(for_writing(&pager->budget) >> PAGE_SHIFT >> 2, 1);
}

/* A store's part of the buffers is counted by the source of its object. */
static void *buffer_get(struct object *object, size_t size)
{
	struct staging *staging = &object->pager->staging;
	struct wmap_store *store = object_source(object);
	void *buffer = NULL;

	if (staging_is_fair(staging, size, store->staged))
		buffer = staging_get(staging, size);
	if (buffer)
		store->staged += staging_size(size);
	return buffer;
}

void budget_read_end(struct object *object, void *buffer, size_t size)
{
	object_source(object)->staged -= staging_size(size);
	staging_put(&object->pager->staging, buffer, size);
}

/* Who compresses needs a buffer as large. (What is being read has no part in it:
   a write that waited for that would wait for nobody.) */
bool budget_write_fits(const struct pager *pager, uint64_t bytes)
{
	const struct budget *budget = &pager->budget;
	const struct swap *swap = pager->swapout.swap;
	uint64_t used = budget->writing + swap_packing(swap);

	if (swap_packs(swap))
		bytes *= 2;
	return !budget_is_set(budget) || !used ||
	       used + bytes <= for_writing(budget);
}

void *budget_write_begin(struct object *object, size_t size)
{
	struct pager *pager = object->pager;
	struct budget *budget = &pager->budget;
	size_t takes = staging_size(size);
	void *buffer;

	if (!budget_write_fits(pager, takes))
		return NULL;
	if (budget_is_set(budget) && budget_used(pager) + takes > budget->limit)
		staging_trim(&pager->staging);
	buffer = buffer_get(object, size);
	if (buffer)
		budget->writing += takes;
	note_peak(pager, 0);
	return buffer;
}

void budget_write_end(struct object *object, void *buffer, size_t size)
{
	struct pager *pager = object->pager;

	pager->budget.writing -= staging_size(size);
	budget_read_end(object, buffer, size);
}

/*
 * What is left is for what is written, for what is read ahead, for idle buffers,
 * and for who comes next: so somebody is above its due whenever pages have to go
 * (evict.c, missing()).
 */
#define SMALL ((uint64_t)1 << 20)

uint64_t budget_shared(const struct budget *budget)
{
	if (!budget_is_set(budget))
		return BUDGET_NONE;
	return budget->limit < SMALL ? budget->limit / 2 :
				       budget->limit / 4 * 3;
}

/* What would be used with @bytes of pages more, and a buffer of @buffer bytes. */
static uint64_t load_with(const struct pager *pager, uint64_t bytes,
			  size_t buffer)
{
	if (buffer)
		bytes += staging_needs(&pager->staging, buffer);
	return budget_load(pager) + bytes;
}

bool budget_take(struct pager *pager, struct share *share, uint64_t bytes,
		 size_t buffer, bool ahead)
{
	uint64_t limit = budget_limit(pager), load;

	if (ahead && limit != BUDGET_NONE)
		limit -= limit / 64;
	load = load_with(pager, bytes, buffer);
	/* A stream's buffers are used again; they go when nothing else does. */
	if (load > limit && !pager->ahead_wants)
		staging_trim(&pager->staging);
	load = load_with(pager, bytes, buffer);
	if (load > limit && !ahead) {
		evict_now(pager, share, page_up(load - limit) >> PAGE_SHIFT);
		if (load_with(pager, bytes, buffer) > limit)
			staging_trim(&pager->staging);
		load = load_with(pager, bytes, buffer);
	}
	evict_kick(pager);
	if (load > limit)
		return false;
	note_peak(pager, load - budget_load(pager));
	return true;
}

void *budget_read_begin(struct object *object, size_t size)
{
	struct pager *pager = object->pager;
	uint64_t load = budget_load(pager);

	if (load + size + STAGING_BLOCK <= budget_limit(pager)) {
		staging_grow(&pager->staging, size);
		note_peak(pager, size);
	}
	return buffer_get(object, size);
}

bool budget_hopes(const struct pager *pager)
{
	return pager->budget.coming > pager->n_parked ||
	       pager->staging.out > pager->n_parked << PAGE_SHIFT ||
	       evict_hopes(pager);
}

struct list *budget_hungry(struct pager *pager, struct share *full)
{
	if (full && share_hopes(full))
		return &full->hungry;
	return budget_hopes(pager) ? &pager->hungry : NULL;
}

enum room budget_room(struct pager *pager, struct share *share, uint64_t pages,
		      uint64_t bytes, size_t buffer)
{
	struct share *full = share_take(pager, share, pages, false);
	bool waits = full && share_hopes(full);

	if (!waits &&
	    (!bytes || budget_take(pager, share, bytes, buffer, false)))
		return ROOM;
	return budget_hungry(pager, full) ? ROOM_LATER : NO_ROOM;
}

uint64_t budget_most(void)
{
	struct sysinfo info;

	if (sys_call(SYS_sysinfo, &info))
		return BUDGET_NONE - 1;
	return (uint64_t)info.totalram * info.mem_unit;
}

static unsigned shift_of(char suffix)
{
	switch (suffix) {
	case 'K':
	case 'k':
		return 10;
	case 'M':
	case 'm':
		return 20;
	case 'G':
	case 'g':
		return 30;
	case 'T':
	case 't':
		return 40;
	default:
		return 0;
	}
}

uint64_t budget_parse(const char *text)
{
	uint64_t n = 0;
	unsigned shift;

	if (*text < '0' || *text > '9')
		return 0;
	for (; *text >= '0' && *text <= '9'; text++) {
		if (n > UINT64_MAX / 16)
			return 0;
		n = n * 10 + (uint64_t)(*text - '0');
	}
	shift = shift_of(*text);
	if (shift)
		text++;
	if (*text || n > UINT64_MAX >> 1 >> shift)
		return 0;
	return n << shift;
}

/* Is none of its pages counted, whichever it is? */
static bool is_none_counted(const struct object *object)
{
	return list_empty(&object->pins) &&
	       !share_is_counted(object->pager, share_of_page(object, 0));
}

void budget_came(struct object *object, uint64_t first, size_t n)
{
	struct pager *pager = object->pager;

	if (!pager)
		return;
	pager->budget.resident += n;
	pager->budget.stuck = false;
	if (is_none_counted(object))
		return;
	for (uint64_t index = first; index < first + n; index++) {
		struct share *share = share_of_page(object, index);

		if (share_is_counted(pager, share))
			window_add(object, index, share);
	}
}

void budget_went(struct object *object, uint64_t index)
{
	struct pager *pager = object->pager;

	if (!pager)
		return;
	pager->budget.resident--;
	pager->budget.stuck = false;
	window_remove(object, index);
}

static void forget_windows(struct object *object)
{
	list_for_each(window, &object->windows, struct window, of_object)
		if (!share_is_counted(object->pager, window->share))
			window_forget(window);
}

void budget_forget(struct object *object)
{
	if (!object->pager)
		return;
	object->pager->budget.resident -= object->n_present;
	list_for_each(window, &object->windows, struct window, of_object)
		window_destroy(window);
}

/* From now on its pages are in windows. */
static void begin_counting(struct object *object)
{
	struct page page;
	uint64_t cursor = 0;

	while (pages_next(&object->pages, 0, UINT64_MAX, &cursor, &page))
		if (page_is(page, STATES_PRESENT) &&
		    !window_of(object, page.index))
			window_add(object, page.index,
				   share_of_page(object, page.index));
	if (object->store)
		store_file_thrifty(object->store, object->pager->loop);
}

void budget_adopt(struct pager *pager, struct object *object,
		  struct share *share)
{
	object->pager = pager;
	list_add(&pager->all, &object->of_pager);
	pager->budget.resident += object->n_present;
	object->payer = share;
	if (budget_is_set(&pager->budget))
		begin_counting(object);
	object->payer = NULL;
}

static void count_all(struct pager *pager)
{
	const struct space *home = pager->home;

	list_for_each(object, &pager->all, struct object, of_pager)
		begin_counting(object);
	for (size_t i = 0; home && i < home->n; i++)
		copies_begin(home->entries[i].mapping);
}

static void stop_counting(struct pager *pager)
{
	list_for_each(object, &pager->all, struct object, of_pager)
		forget_windows(object);
}

int budget_set(struct pager *pager, uint64_t limit)
{
	struct budget *budget = &pager->budget;
	bool was = budget_is_set(budget);

	if (limit < BUDGET_MIN)
		return -EINVAL;
	if (!pin_fit_all(pager, limit))
		return -ENOMEM;
	budget->limit = limit;
	atomic_store_explicit(&of_process, limit, memory_order_relaxed);
	pager->staging.keep = min_u64(STAGING_KEPT, limit / 16);
	if (pager->staging.idle > pager->staging.keep)
		staging_trim(&pager->staging);
	pager->ahead_wants = min_u64(pager->ahead_wants, limit / 16);
	if (!was && budget_is_set(budget))
		count_all(pager);
	else if (was && !budget_is_set(budget))
		stop_counting(pager);
	evict_kick(pager);
	fills_feed(pager);
	return 0;
}

int budget_from_environment(uint64_t *limit)
{
	const char *text = getenv("WMAP_MEMORY");
	uint64_t bytes;

	if (!text) {
		*limit = BUDGET_NONE;
		atomic_store_explicit(&of_process, BUDGET_NONE,
				      memory_order_relaxed);
		return 0;
	}
	bytes = budget_parse(text);
	if (bytes < BUDGET_MIN || bytes > budget_most()) {
		log_line("WMAP_MEMORY=%s: not a size from %lluK to what the "
			 "machine has, %lluM",
			 text, (unsigned long long)BUDGET_MIN >> 10,
			 (unsigned long long)budget_most() >> 20);
		return -EINVAL;
	}
	*limit = bytes;
	atomic_store_explicit(&of_process, bytes, memory_order_relaxed);
	return 0;
}

const char *budget_to_environment(char text[40])
{
	uint64_t limit =
		atomic_load_explicit(&of_process, memory_order_relaxed);

	if (limit == BUDGET_NONE)
		return NULL;
	snprintf(text, 40, "WMAP_MEMORY=%llu", (unsigned long long)limit);
	return text;
}
