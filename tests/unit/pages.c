/* SPDX-License-Identifier: MIT */
/*
 * The table of page states: holds what was put, finds nothing else, costs 16
 * bytes a page whatever the pattern; against a shadow array, from a seed.
 */
#include "support.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "mem.h"
#include "pages.h"
#include "sys.h"

#define ALL_STATES 0x7eu /* without PAGE_ABSENT */

static struct pages pages;

static void put(uint64_t index, enum page_state state, uint32_t views)
{
	struct page page = { .index = index, .state = state, .views = views };

	if (pages_put(&pages, page))
		abort();
}

static bool is(uint64_t index, enum page_state state, uint32_t views)
{
	struct page page = pages_get(&pages, index);

	return page.index == index && page.state == state &&
	       page.views == views;
}

START_TEST(an_empty_table_holds_nothing_and_no_memory)
{
	uint64_t cursor = 0;
	struct page page;

	pages_init(&pages);
	ck_assert(is(0, PAGE_ABSENT, 0));
	ck_assert(is(PAGES_LIMIT - 1, PAGE_ABSENT, 0));
	ck_assert_uint_eq(pages_bytes(&pages), 0);
	ck_assert(!pages_next(&pages, 0, PAGES_LIMIT, &cursor, &page));
	ck_assert_uint_eq(pages_count(&pages, 0, PAGES_LIMIT, ALL_STATES, 0),
			  0);
	pages_destroy(&pages);
}
END_TEST

START_TEST(a_page_keeps_its_state_and_views)
{
	static const uint64_t indexes[] = { 0, 7, 8, PAGES_LIMIT - 1 };
	uint64_t index = indexes[_i];

	pages_init(&pages);
	put(index, PAGE_DIRTY, 0xabcdef);
	ck_assert(is(index, PAGE_DIRTY, 0xabcdef));
	put(index, PAGE_ERROR, 1);
	ck_assert(is(index, PAGE_ERROR, 1));
	ck_assert_uint_eq(pages.n_used, 1);
	pages_destroy(&pages);
}
END_TEST

START_TEST(an_absent_page_is_removed_whatever_its_views)
{
	pages_init(&pages);
	put(5, PAGE_CLEAN, 3);
	put(5, PAGE_ABSENT, 3);
	ck_assert(is(5, PAGE_ABSENT, 0));
	put(6, PAGE_ABSENT, 1);
	ck_assert(is(6, PAGE_ABSENT, 0));
	ck_assert_uint_eq(pages.n_used, 0);
	pages_destroy(&pages);
}
END_TEST

START_TEST(what_is_emptied_holds_no_memory)
{
	size_t before = mem_used();

	pages_init(&pages);
	for (uint64_t i = 0; i < 10000; i++)
		put(i * 3, PAGE_CLEAN, 0);
	for (uint64_t i = 0; i < 10000; i++)
		put(i * 3, PAGE_ABSENT, 0);
	ck_assert_uint_eq(pages_bytes(&pages), 0);
	ck_assert_uint_eq(mem_used(), before);
	pages_destroy(&pages);
}
END_TEST

static long no_memory(long number)
{
	return number == SYS_mmap ? -ENOMEM : 0;
}

START_TEST(without_memory_an_insertion_fails_and_changes_nothing)
{
	struct page page = { .state = PAGE_CLEAN, .views = 1 };
	size_t bytes, bad = 0;

	pages_init(&pages);
	for (; page.index < 20000; page.index++)
		put(page.index, PAGE_CLEAN, 1);
	sys_hook = no_memory;
	while (!pages_put(&pages, page))
		page.index++;
	bytes = pages_bytes(&pages);
	put(3, PAGE_DIRTY, 1);
	sys_hook = NULL;
	for (uint64_t i = 0; i < page.index; i++)
		bad += !is(i, i == 3 ? PAGE_DIRTY : PAGE_CLEAN, 1);
	ck_assert_uint_eq(bad, 0);
	ck_assert_uint_eq(pages.n_used, page.index);
	ck_assert_uint_eq(pages_bytes(&pages), bytes);
	ck_assert_int_eq(pages_put(&pages, page), 0);
	pages_destroy(&pages);
}
END_TEST

START_TEST(without_memory_none_of_many_comes)
{
	pages_init(&pages);
	put(5, PAGE_DIRTY, 1);
	sys_hook = no_memory;
	ck_assert_int_eq(pages_put_new(&pages, 10, 100000, PAGE_CLEAN),
			 -ENOMEM);
	sys_hook = NULL;
	ck_assert_uint_eq(pages.n_used, 1);
	ck_assert(is(5, PAGE_DIRTY, 1) && is(10, PAGE_ABSENT, 0));
	pages_destroy(&pages);
}
END_TEST

/* ---- Cost ---------------------------------------------------------------*/

/* The nth index of a pattern; all different. */
static uint64_t dense(uint64_t n)
{
	return n + 1000;
}

static uint64_t isolated(uint64_t n)
{
	return n * UINT64_C(0x9e3779b1) & (PAGES_LIMIT - 1);
}

static uint64_t every_eighth(uint64_t n)
{
	return n * 8;
}

static uint64_t every_2_mib(uint64_t n)
{
	return n * 512;
}

static uint64_t every_gib(uint64_t n)
{
	return n << 18;
}

/* A group number that the golden ratio brings almost back to its start. */
static uint64_t fibonacci(uint64_t n)
{
	return n * 8 * 10946;
}

static uint64_t two_ends(uint64_t n)
{
	return n % 2 ? PAGES_LIMIT - 1 - n : n;
}

static const struct pattern {
	uint64_t (*index)(uint64_t n);
	const char *name;
} patterns[] = {
	{ dense, "dense" },
	{ isolated, "isolated" },
	{ every_eighth, "every 8th" },
	{ every_2_mib, "every 2 MiB" },
	{ every_gib, "every GiB" },
	{ fibonacci, "fibonacci" },
	{ two_ends, "two ends" },
};

static bool costs_16_bytes_a_page(void)
{
	return pages.n_slots <= 64 || pages_bytes(&pages) <= 16 * pages.n_used;
}

START_TEST(a_page_costs_16_bytes_at_any_time)
{
	uint64_t (*index)(uint64_t) = patterns[_i].index;
	size_t bad = 0, n = 50000;

	pages_init(&pages);
	for (uint64_t i = 0; i < n; i++) {
		put(index(i), PAGE_CLEAN, 0);
		bad += !costs_16_bytes_a_page();
	}
	ck_assert_uint_eq(pages.n_used, n);
	for (uint64_t i = 0; i < n; i++) {
		put(index(i), PAGE_ABSENT, 0);
		bad += !costs_16_bytes_a_page();
	}
	ck_assert_uint_eq(pages.n_used, 0);
	ck_assert_uint_eq(bad, 0);
	pages_destroy(&pages);
}
END_TEST

/* Slots from where each page should be to where it is, at most. The table is
   read as it stands, so that no clock is needed: runs are what costs time. */
static size_t longest_run(void)
{
	size_t run = 0, longest = 0;

	for (size_t i = 0; i < 2 * pages.n_slots; i++) {
		run = pages.slots[i % pages.n_slots] ? run + 1 : 0;
		longest = run > longest ? run : longest;
	}
	return longest;
}

START_TEST(no_pattern_makes_long_runs)
{
	size_t longest = 0;

	pages_init(&pages);
	for (uint64_t i = 0; i < 100000; i++) {
		put(patterns[_i].index(i), PAGE_CLEAN, 0);
		if (i % 997 == 996 && longest_run() > longest)
			longest = longest_run();
	}
	ck_assert_msg(longest < 2000, "%s: a run of %zu slots",
		      patterns[_i].name, longest);
	pages_destroy(&pages);
}
END_TEST

/* Both just after the table has grown and just after it has shrunk. */
START_TEST(what_has_room_is_not_resized_as_it_comes)
{
	uint64_t *slots;

	pages_init(&pages);
	put(7, PAGE_DIRTY, 1);
	ck_assert_int_eq(pages_reserve(&pages, 100000), 0);
	slots = pages.slots;
	ck_assert(is(7, PAGE_DIRTY, 1));
	for (uint64_t i = 0; i < 100000; i++)
		put(1000 + i * 3, PAGE_CLEAN, 0);
	ck_assert_ptr_eq(pages.slots, slots);
	ck_assert(is(7, PAGE_DIRTY, 1));
	ck_assert_uint_le(pages_bytes(&pages), 16 * pages.n_used);
	ck_assert_int_eq(pages_reserve(&pages, 0), 0);
	ck_assert_ptr_eq(pages.slots, slots);
	pages_destroy(&pages);
}
END_TEST

START_TEST(coming_and_going_does_not_resize_each_time)
{
	uint64_t n = 30000, resized = 0;
	size_t slots;

	pages_init(&pages);
	for (uint64_t i = 0; i < n; i++)
		put(i, PAGE_CLEAN, 0);
	slots = pages.n_slots;
	while (_i ? pages.n_slots >= slots : pages.n_slots <= slots) {
		n += _i ? -1 : 1;
		put(n, _i ? PAGE_ABSENT : PAGE_CLEAN, 0);
	}
	slots = pages.n_slots;
	for (uint64_t i = 0; i < 10000; i++) {
		put(n + i % 100, i / 100 % 2 ? PAGE_ABSENT : PAGE_CLEAN, 0);
		resized += pages.n_slots != slots;
		slots = pages.n_slots;
	}
	ck_assert_uint_le(resized, 1);
	pages_destroy(&pages);
}
END_TEST

/* ---- Against a shadow ---------------------------------------------------*/

#define N_SHADOW 3000

static struct page shadow[N_SHADOW];
static uint64_t origin; /* of the shadow's indexes */

static bool chosen(size_t i, unsigned states, uint32_t views)
{
	return (states >> shadow[i].state & 1) &&
	       (!views || (shadow[i].views & views));
}

/* A random range, sometimes empty, sometimes everything there can be. */
static void random_range(uint64_t *seed, uint64_t *first, uint64_t *end)
{
	*first = origin + random_below(seed, N_SHADOW);
	*end = *first + random_below(seed, N_SHADOW);
	if (random_below(seed, 4) == 0) {
		*first = 0;
		*end = PAGES_LIMIT;
	}
}

static size_t clip(uint64_t index)
{
	if (index < origin)
		return 0;
	return index - origin > N_SHADOW ? N_SHADOW : index - origin;
}

static void check_get(uint64_t *seed)
{
	size_t i = random_below(seed, N_SHADOW);

	if (!is(origin + i, shadow[i].state, shadow[i].views))
		ck_abort_msg("page %zu is not what was put", i);
}

static void check_count(uint64_t *seed)
{
	unsigned states = (unsigned)random_below(seed, 64) * 2;
	uint32_t views = (uint32_t)random_below(seed, 2) * 5;
	size_t expected = 0, got;
	uint64_t first, end;

	random_range(seed, &first, &end);
	for (size_t i = clip(first); i < clip(end); i++)
		expected += chosen(i, states, views);
	got = pages_count(&pages, first, end, states, views);
	if (got != expected)
		ck_abort_msg("count %zu, not %zu", got, expected);
}

static void check_collect(uint64_t *seed)
{
	unsigned states = (unsigned)random_below(seed, 64) * 2;
	uint64_t first, end, *indexes;
	size_t n, at = 0;

	random_range(seed, &first, &end);
	if (pages_collect(&pages, first, end, states, &indexes, &n))
		ck_abort_msg("no memory");
	for (size_t i = clip(first); i < clip(end); i++)
		if (chosen(i, states, 0) &&
		    (at == n || indexes[at++] != origin + i))
			ck_abort_msg("page %zu is missing, or in disorder", i);
	if (at != n || (n == 0) != (indexes == NULL))
		ck_abort_msg("%zu collected, not %zu", n, at);
	mem_free(indexes, n * sizeof *indexes);
}

/* Each page once, as it is; and changing it on the way disturbs nothing. */
static void check_next(uint64_t *seed)
{
	uint64_t first, end, cursor = 0;
	size_t n = 0, expected = 0;
	struct page page;

	random_range(seed, &first, &end);
	while (pages_next(&pages, first, end, &cursor, &page)) {
		struct page *own = &shadow[page.index - origin];

		if (page.index < first || page.index >= end ||
		    page.state != own->state || page.views != own->views)
			ck_abort_msg("handed out what is not there");
		page.views ^= 1;
		*own = page;
		n += !pages_put(&pages, page);
	}
	for (size_t i = clip(first); i < clip(end); i++)
		expected += shadow[i].state != PAGE_ABSENT;
	if (n != expected)
		ck_abort_msg("%zu handed out, not %zu", n, expected);
}

/* Put one page. In phases of 4096, the table rather grows or rather shrinks. */
static void change(uint64_t *seed, unsigned round)
{
	size_t i = random_below(seed, N_SHADOW);
	bool rather = random_below(seed, 8) != 0;
	enum page_state state = PAGE_ABSENT;
	uint32_t views = 0;

	if (rather == (round / 4096 % 2 == 0)) {
		state = 1 + (enum page_state)random_below(seed, 6);
		views = random_next(seed) & 0xffffff;
	}
	shadow[i] = (struct page){ origin + i, state, views };
	put(origin + i, state, views);
}

/* All of the first run of ABSENT pages from a random one on. */
static void put_new(uint64_t *seed)
{
	size_t first = random_below(seed, N_SHADOW), n = 0;
	enum page_state state = random_below(seed, 2) ? PAGE_CLEAN : PAGE_DIRTY;

	while (first < N_SHADOW && shadow[first].state != PAGE_ABSENT)
		first++;
	while (first + n < N_SHADOW && shadow[first + n].state == PAGE_ABSENT)
		n++;
	if (pages_put_new(&pages, origin + first, n, state))
		ck_abort_msg("no memory");
	for (size_t i = first; i < first + n; i++)
		shadow[i] = (struct page){ origin + i, state, 0 };
}

static void add_view(uint64_t *seed)
{
	size_t first = random_below(seed, N_SHADOW), expected = 0, got;
	size_t n = random_below(seed, N_SHADOW - first);
	unsigned states = (unsigned)random_below(seed, 64) * 2;
	uint32_t view = 1u << random_below(seed, PAGES_VIEWS);

	for (size_t i = first; i < first + n; i++) {
		if (!chosen(i, states, 0) || chosen(i, states, view))
			continue;
		shadow[i].views |= view;
		expected++;
	}
	got = pages_view(&pages, origin + first, n, states, view);
	if (got != expected)
		ck_abort_msg("%zu new in a view, not %zu", got, expected);
}

static void check_spelt(uint64_t *seed)
{
	static const unsigned char by_state[] = "abcdefgh";
	static unsigned char bytes[N_SHADOW];
	uint32_t views = (uint32_t)random_below(seed, 2) * 5;
	size_t from = random_below(seed, N_SHADOW);
	size_t to = from + random_below(seed, N_SHADOW - from);

	memset(bytes, '-', sizeof(bytes));
	pages_spell(&pages, origin + from, origin + to, views, by_state, bytes);
	for (size_t i = from; i < N_SHADOW; i++) {
		bool is_spelt = i < to && chosen(i, ALL_STATES, views);

		if (bytes[i - from] !=
		    (is_spelt ? by_state[shadow[i].state] : '-'))
			ck_abort_msg("page %zu is not what is told", i);
	}
}

START_TEST(it_does_what_an_array_would_do)
{
	uint64_t seed = random_seed();
	unsigned rounds = getenv("WMAP_VALGRIND") ? 20000 : 200000;
	static void (*const checks[])(
		uint64_t *) = { check_count, check_collect, check_next,
				put_new,     add_view,	    check_spelt };

	origin = _i ? PAGES_LIMIT - N_SHADOW : 0;
	memset(shadow, 0, sizeof shadow);
	pages_init(&pages);
	for (unsigned round = 0; round < facts_scaled(rounds); round++) {
		change(&seed, round);
		check_get(&seed);
		if (round % 50 == 0)
			checks[random_below(&seed, COUNT(checks))](&seed);
		if (!costs_16_bytes_a_page())
			ck_abort_msg("more than 16 bytes a page");
	}
	pages_destroy(&pages);
}
END_TEST

START_TEST(a_million_pages_are_collected_in_order)
{
	size_t n = getenv("WMAP_VALGRIND") ? 20000 : 1000000, bad = 0, found;
	uint64_t *indexes;

	pages_init(&pages);
	for (uint64_t i = 0; i < n; i++)
		put(isolated(i), i % 2 ? PAGE_DIRTY : PAGE_CLEAN, 0);
	ck_assert_int_eq(pages_collect(&pages, 0, PAGES_LIMIT, 1u << PAGE_DIRTY,
				       &indexes, &found),
			 0);
	ck_assert_uint_eq(found, n / 2);
	for (size_t i = 1; i < found; i++)
		bad += indexes[i - 1] >= indexes[i];
	ck_assert_uint_eq(bad, 0);
	mem_free(indexes, found * sizeof *indexes);
	pages_destroy(&pages);
}
END_TEST

START_TEST(collecting_without_memory_says_so)
{
	uint64_t *indexes = NULL;
	size_t n = 99;

	pages_init(&pages);
	for (uint64_t i = 0; i < 20000; i++)
		put(i, PAGE_DIRTY, 0);
	sys_hook = no_memory;
	ck_assert_int_eq(pages_collect(&pages, 0, PAGES_LIMIT, ALL_STATES,
				       &indexes, &n),
			 -ENOMEM);
	sys_hook = NULL;
	ck_assert_ptr_null(indexes);
	ck_assert_uint_eq(n, 99);
	pages_destroy(&pages);
}
END_TEST

int main(void)
{
	TCase *facts = facts_case("pages", 60);
	int n = COUNT(patterns);

	tcase_add_test(facts, an_empty_table_holds_nothing_and_no_memory);
	tcase_add_loop_test(facts, a_page_keeps_its_state_and_views, 0, 4);
	tcase_add_test(facts, an_absent_page_is_removed_whatever_its_views);
	tcase_add_test(facts, what_is_emptied_holds_no_memory);
	tcase_add_test(facts,
		       without_memory_an_insertion_fails_and_changes_nothing);
	tcase_add_test(facts, without_memory_none_of_many_comes);
	tcase_add_loop_test(facts, a_page_costs_16_bytes_at_any_time, 0, n);
	tcase_add_loop_test(facts, no_pattern_makes_long_runs, 0, n);
	tcase_add_test(facts, what_has_room_is_not_resized_as_it_comes);
	tcase_add_loop_test(facts, coming_and_going_does_not_resize_each_time,
			    0, 2);
	tcase_add_loop_test(facts, it_does_what_an_array_would_do, 0, 2);
	tcase_add_test(facts, a_million_pages_are_collected_in_order);
	tcase_add_test(facts, collecting_without_memory_says_so);
	return facts_run_anywhere(facts);
}
