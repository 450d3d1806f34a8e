/* SPDX-License-Identifier: MIT */
/*
 * The table behind pages.h: open addressing, linear probing
 *
 * Eight neighbouring pages, a group, have the eight slots of one cache line as
 * their home; where the line lies is the group's hash. A page sits at its home
 * or, if that is taken, in the first free slot after it (the end is followed by
 * the start). Removing closes the gap, so the run from a page's home to its
 * slot never has a hole.
 *
 *   used slots   > 3/4 of all: grow by a third, to 9/16 used
 *                < 1/2: shrink to 5/8 used
 *
 * so that a page costs 16 bytes at most above the smallest table, and a tenth
 * of the pages must come or go before the next change of size. That change
 * touches every slot once, in order in both tables (the order of homes is the
 * order of hashes): about 40 ms for ten million pages.
 */
#include <string.h>
#include <sys/mman.h>

#include "internal.h"
#include "mem.h"
#include "pages.h"
#include "sys.h"

#define SLOTS_MIN   ((size_t)64)
#define GROUP_SHIFT 3
#define GROUP_SIZE  ((size_t)1 << GROUP_SHIFT)
#define INDEX_SHIFT 28
#define STATE_SHIFT 24
#define LARGE	    ((size_t)128 << 10) /* bytes */
#define VIEWS_MASK  ((UINT32_C(1) << PAGES_VIEWS) - 1)

static uint64_t word_index(uint64_t word)
{
	return word >> INDEX_SHIFT;
}

static struct page unpack(uint64_t word)
{
	return (struct page){
		.index = word_index(word),
		.state = word >> STATE_SHIFT & 15,
		.views = word & VIEWS_MASK,
	};
}

static uint64_t pack(struct page page)
{
	return page.index << INDEX_SHIFT | (uint64_t)page.state << STATE_SHIFT |
	       page.views;
}

/*
 * Multiples of the golden ratio spread a dense run so evenly that hardly two
 * groups meet, but they heap up for a few strides. So every 2^14 groups (512
 * MiB) start elsewhere, which no stride survives.
 */
static uint64_t hash(uint64_t group)
{
	uint64_t far = group >> 14;

	far = (far ^ far << 32) * UINT64_C(0xd6e8feb86659fd93);
	far = (far ^ far >> 32) * UINT64_C(0xd6e8feb86659fd93);
	return group * UINT64_C(0x9e3779b97f4a7c15) + far;
}

static size_t home_of(size_t n_slots, uint64_t index)
{
	unsigned __int128 n_groups = n_slots >> GROUP_SHIFT;
	uint64_t group =
		(uint64_t)(hash(index >> GROUP_SHIFT) * n_groups >> 64);

	return group << GROUP_SHIFT | (index & (GROUP_SIZE - 1));
}

static size_t slot_after(size_t n_slots, size_t slot)
{
	return slot + 1 == n_slots ? 0 : slot + 1;
}

/* The slot of @index, or the free one where it would be. */
static size_t find(const uint64_t *slots, size_t n_slots, uint64_t index)
{
	size_t slot = home_of(n_slots, index);

	while (slots[slot] && word_index(slots[slot]) != index)
		slot = slot_after(n_slots, slot);
	return slot;
}

void pages_init(struct pages *pages)
{
	*pages = (struct pages){ 0 };
}

void pages_destroy(struct pages *pages)
{
	mem_free(pages->slots, pages_bytes(pages));
	pages_init(pages);
}

size_t pages_bytes(const struct pages *pages)
{
	return pages->n_slots * sizeof(*pages->slots);
}

struct page pages_get(const struct pages *pages, uint64_t index)
{
	uint64_t word = 0;

	if (pages->n_slots)
		word = pages->slots[find(pages->slots, pages->n_slots, index)];
	return word ? unpack(word) : (struct page){ .index = index };
}

/* All of a large table is used soon: its memory comes at once, which is cheaper than
   page by page. */
static uint64_t *alloc_slots(size_t n_slots)
{
	size_t size = n_slots * sizeof(uint64_t);
	uint64_t *slots = mem_alloc(size);

	if (slots && size >= LARGE)
		sys_call(SYS_madvise, slots, size, MADV_POPULATE_WRITE);
	return slots;
}

/* -ENOMEM, and nothing has changed. */
static int resize(struct pages *pages, size_t n_slots)
{
	uint64_t *slots = alloc_slots(n_slots);

	if (!slots)
		return -ENOMEM;
	for (size_t i = 0; i < pages->n_slots; i++) {
		uint64_t word = pages->slots[i];

		if (word)
			slots[find(slots, n_slots, word_index(word))] = word;
	}
	mem_free(pages->slots, pages_bytes(pages));
	pages->slots = slots;
	pages->n_slots = n_slots;
	return 0;
}

/* Whole groups, so that @n pages use @used of 16 parts of the table. */
static size_t slots_for(size_t n, size_t used)
{
	size_t n_slots = (n * 16 / used + GROUP_SIZE - 1) & ~(GROUP_SIZE - 1);

	return n_slots < SLOTS_MIN ? SLOTS_MIN : n_slots;
}

int pages_reserve(struct pages *pages, size_t n)
{
	if (pages->n_used + n <= pages->n_slots / 4 * 3)
		return 0;
	return resize(pages, slots_for(pages->n_used + n, 9));
}

/* At @slot, which is free and its place; or where that is in a larger table. */
static int insert(struct pages *pages, size_t slot, uint64_t word)
{
	if (pages->n_used >= pages->n_slots / 4 * 3) {
		int error = resize(pages, slots_for(pages->n_used + 1, 9));

		if (error)
			return error;
		slot = find(pages->slots, pages->n_slots, word_index(word));
	}
	pages->slots[slot] = word;
	pages->n_used++;
	return 0;
}

/* A table that cannot shrink now stays as it is. */
static void shrink(struct pages *pages)
{
	if (!pages->n_used)
		pages_destroy(pages);
	else if (pages->n_used < pages->n_slots / 2 &&
		 slots_for(pages->n_used, 10) < pages->n_slots)
		(void)resize(pages, slots_for(pages->n_used, 10));
}

static size_t distance(size_t n_slots, size_t from, size_t to)
{
	return to >= from ? to - from : to + n_slots - from;
}

/* Empty @hole, and move back into it what has been pushed beyond it. */
static void erase(struct pages *pages, size_t hole)
{
	uint64_t *slots = pages->slots;
	size_t n = pages->n_slots, slot = hole;

	for (;;) {
		size_t home;

		slot = slot_after(n, slot);
		if (!slots[slot])
			break;
		home = home_of(n, word_index(slots[slot]));
		if (distance(n, home, slot) < distance(n, hole, slot))
			continue;
		slots[hole] = slots[slot];
		hole = slot;
	}
	slots[hole] = 0;
	pages->n_used--;
	shrink(pages);
}

int pages_put(struct pages *pages, struct page page)
{
	size_t slot = 0;

	assert(page.index < PAGES_LIMIT && page.views <= VIEWS_MASK);
	if (pages->n_slots) {
		slot = find(pages->slots, pages->n_slots, page.index);
		if (pages->slots[slot]) {
			if (page.state == PAGE_ABSENT)
				erase(pages, slot);
			else
				pages->slots[slot] = pack(page);
			return 0;
		}
	}
	return page.state == PAGE_ABSENT ? 0 : insert(pages, slot, pack(page));
}

int pages_put_new(struct pages *pages, uint64_t first, size_t n,
		  enum page_state state)
{
	int error = pages_reserve(pages, n);

	if (error)
		return error;
	for (uint64_t index = first; index < first + n; index++) {
		size_t slot = find(pages->slots, pages->n_slots, index);

		assert(!pages->slots[slot]);
		pages->slots[slot] = pack((struct page){ index, state, 0 });
	}
	pages->n_used += n;
	return 0;
}

size_t pages_view(struct pages *pages, uint64_t first, size_t n,
		  unsigned states, uint32_t view)
{
	size_t count = 0;

	if (!pages->n_slots)
		return 0;
	for (uint64_t index = first; index < first + n; index++) {
		size_t slot = find(pages->slots, pages->n_slots, index);
		struct page page = unpack(pages->slots[slot]);

		if (!(states >> page.state & 1) || page.views & view)
			continue;
		pages->slots[slot] |= view;
		count++;
	}
	return count;
}

/* ---- Going through many -------------------------------------------------*/

/* Looking each page up is cheaper than looking at each slot. */
static bool is_narrow(const struct pages *pages, uint64_t first, uint64_t end)
{
	return end - first < pages->n_slots;
}

static bool next_by_index(const struct pages *pages, uint64_t first,
			  uint64_t end, uint64_t *cursor, struct page *page)
{
	while (*cursor < end - first) {
		*page = pages_get(pages, first + (*cursor)++);
		if (page->state != PAGE_ABSENT)
			return true;
	}
	return false;
}

static bool next_by_slot(const struct pages *pages, uint64_t first,
			 uint64_t end, uint64_t *cursor, struct page *page)
{
	while (*cursor < pages->n_slots) {
		uint64_t word = pages->slots[(*cursor)++];

		if (word && word_index(word) - first < end - first) {
			*page = unpack(word);
			return true;
		}
	}
	return false;
}

bool pages_next(const struct pages *pages, uint64_t first, uint64_t end,
		uint64_t *cursor, struct page *page)
{
	if (first >= end)
		return false;
	if (is_narrow(pages, first, end))
		return next_by_index(pages, first, end, cursor, page);
	return next_by_slot(pages, first, end, cursor, page);
}

size_t pages_count(const struct pages *pages, uint64_t first, uint64_t end,
		   unsigned states, uint32_t views)
{
	uint64_t cursor = 0;
	struct page page;
	size_t n = 0;

	while (pages_next(pages, first, end, &cursor, &page))
		n += (states >> page.state & 1) &&
		     (!views || page.views & views);
	return n;
}

void pages_spell(const struct pages *pages, uint64_t first, uint64_t end,
		 uint32_t views, const unsigned char *by_state,
		 unsigned char *bytes)
{
	uint64_t cursor = 0;
	struct page page;

	while (pages_next(pages, first, end, &cursor, &page))
		if (!views || page.views & views)
			bytes[page.index - first] = by_state[page.state];
}

static void sort_few(uint64_t *values, size_t n)
{
	for (size_t i = 1; i < n; i++) {
		uint64_t value = values[i];
		size_t j = i;

		for (; j && values[j - 1] > value; j--)
			values[j] = values[j - 1];
		values[j] = value;
	}
}

/*
 * In place, without malloc, in O(n) steps a bit: those without @bit to the
 * front, those with it behind them, and each part by the next bit.
 */
static void sort(uint64_t *values, size_t n, uint64_t bit)
{
	size_t low = 0, high = n;

	if (n <= 16 || !bit) {
		sort_few(values, n);
		return;
	}
	while (low < high) {
		uint64_t value = values[low];

		if (!(value & bit)) {
			low++;
			continue;
		}
		values[low] = values[--high];
		values[high] = value;
	}
	sort(values, low, bit >> 1);
	sort(values + low, n - low, bit >> 1);
}

int pages_collect(const struct pages *pages, uint64_t first, uint64_t end,
		  unsigned states, uint64_t **indexes, size_t *n)
{
	size_t count = pages_count(pages, first, end, states, 0), i = 0;
	uint64_t cursor = 0, *found = NULL;
	struct page page;

	if (count)
		found = mem_alloc(count * sizeof(*found));
	if (count && !found)
		return -ENOMEM;
	while (i < count && pages_next(pages, first, end, &cursor, &page))
		if (states >> page.state & 1)
			found[i++] = page.index;
	if (!is_narrow(pages, first, end))
		sort(found, count, PAGES_LIMIT >> 1);
	*indexes = found;
	*n = count;
	return 0;
}
