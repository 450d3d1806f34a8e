/* SPDX-License-Identifier: MIT */
/* Reading ahead: what comes next is there, and what does not is not */
#include "support.h"

#include <stdlib.h>
#include <unistd.h>

#define SEED   6
#define LARGE  PAGES(8192)
#define BUDGET (8 * MIB)

static uint64_t faults(void)
{
	return memory_stats().faults;
}

static char *map_large(void)
{
	return memory_map(LARGE, PROT_READ, WMAP_SHARED, file_with(SEED, LARGE),
			  0);
}

static bool page_holds(const char *at, size_t page)
{
	return pattern_holds(at + PAGES(page), PAGE, SEED, PAGES(page));
}

START_TEST(upwards_costs_few_faults)
{
	char *at = map_large();

	ck_assert(pattern_holds(at, LARGE, SEED, 0));
	ck_assert_uint_lt(faults(), LARGE / PAGE / 16);
}
END_TEST

START_TEST(downwards_costs_few_faults)
{
	char *at = map_large();

	for (size_t i = LARGE / PAGE; i--;)
		ck_assert(page_holds(at, i));
	ck_assert_uint_lt(faults(), LARGE / PAGE / 16);
}
END_TEST

START_TEST(strides_cost_few_faults_and_bring_nothing_else)
{
	char *at = map_large();

	for (size_t i = 0; i < LARGE / PAGE; i += 16)
		ck_assert(page_holds(at, i));
	ck_assert_uint_lt(faults(), LARGE / PAGE / 16 / 4);
	ck_assert_uint_le(memory_info(at).resident, LARGE / PAGE / 16);
}
END_TEST

START_TEST(interleaved_streams_are_told_apart)
{
	const size_t quarter = LARGE / PAGE / 4;
	char *at = map_large();

	for (size_t i = 0; i < quarter; i++) {
		ck_assert(page_holds(at, i));
		ck_assert(page_holds(at, 2 * quarter - 1 - i));
		ck_assert(page_holds(at, 2 * quarter + i));
		ck_assert(page_holds(at, 3 * quarter + i));
	}
	ck_assert_uint_lt(faults(), LARGE / PAGE / 8);
}
END_TEST

/* Far from each other, so that no two could be neighbours by chance. */
START_TEST(random_accesses_bring_exactly_their_pages)
{
	char *at = map_large();
	size_t n = 0;

	for (size_t i = 1; i <= 80; i++) {
		size_t page = i * i * 97 % 81 * 100;

		n += !wmap_residency(at + PAGES(page), PAGE,
				     (unsigned char[1]){ 0 });
		ck_assert(page_holds(at, page));
	}
	ck_assert_uint_eq(n, 80);
	ck_assert_uint_eq(memory_info(at).resident, memory_info(at).faults);
}
END_TEST

START_TEST(short_runs_bring_little_that_nobody_wants)
{
	char *at = map_large();

	for (size_t i = 1; i <= 30; i++)
		for (size_t k = 0; k < 8; k++)
			ck_assert(page_holds(at, i * 17 % 31 * 256 + k));
	ck_assert_uint_lt(memory_info(at).resident, 30 * 20);
}
END_TEST

/* In an order without a pattern, the first pages of each 32. */
static void load_parts(const char *at, size_t from, size_t to, size_t pages)
{
	for (size_t i = from; i < to; i++)
		for (size_t k = 0; k < pages; k++)
			ck_assert(page_holds(at, i * 97 % 256 * 32 + k));
}

START_TEST(blocks_come_as_such)
{
	char *at = map_large();
	uint64_t before;

	load_parts(at, 0, 64, 16);
	before = faults();
	load_parts(at, 64, 256, 16);
	ck_assert_uint_lt(faults() - before, 3 * 192);
	ck_assert_uint_lt(memory_info(at).resident, 256 * 16 * 5 / 4);
}
END_TEST

START_TEST(blocks_that_end_are_forgotten)
{
	char *at = map_large();
	uint64_t before;

	load_parts(at, 0, 128, 16);
	before = memory_info(at).resident;
	load_parts(at, 128, 256, 1);
	ck_assert_uint_lt(memory_info(at).resident - before, 128 * 10);
}
END_TEST

START_TEST(a_grain_hides_no_stream)
{
	struct wmap_map_options wishes = { .size = sizeof(wishes),
					   .grain = PAGES(16) };
	char *at = wmap_map(NULL, LARGE, PROT_READ, WMAP_SHARED,
			    file_with(SEED, LARGE), 0, &wishes);

	ck_assert_ptr_ne(at, MAP_FAILED);
	if (_i) {
		for (size_t i = LARGE / PAGE; i--;)
			ck_assert(page_holds(at, i));
	} else {
		ck_assert(pattern_holds(at, LARGE, SEED, 0));
	}
	ck_assert_uint_lt(faults(), LARGE / PAGE / 16 / 4);
}
END_TEST

START_TEST(none_where_random_is_advised)
{
	char *at = map_large();

	ck_assert_int_eq(wmap_advise(at, LARGE, WMAP_ADVICE_RANDOM), 0);
	memory_load(at, 100);
	ck_assert_uint_eq(memory_info(at).resident, 100);
}
END_TEST

START_TEST(none_for_the_course)
{
	int fd = file_with(SEED, LARGE);
	char *at = memory_wmap(NULL, LARGE, WMAP_SHARED, fd);

	memory_load(at, 100);
	ck_assert_uint_eq(memory_loaded(at), 100);
	ck_assert_uint_eq(memory_info(at).resident, 100);
}
END_TEST

/* What is held back is not lost, nor shown old. */
START_TEST(what_is_held_back_can_be_dropped)
{
	int fd = file_with(SEED, LARGE);
	char *at = memory_map(LARGE, PROT_READ, WMAP_SHARED, fd, 0);
	char *new = malloc(LARGE);

	memory_load(at, 40);
	process_sleep_ms(50);
	ck_assert_int_eq(wmap_advise(at, LARGE, WMAP_ADVICE_DONTNEED), 0);
	pattern_fill(new, LARGE, SEED + 1, 0);
	ck_assert_int_eq(pwrite(fd, new, LARGE, 0), LARGE);
	ck_assert(pattern_holds(at, LARGE, SEED + 1, 0));
	free(new);
}
END_TEST

/* Is nothing left that the pager still has to do? */
static bool stops(void *arg)
{
	(void)arg;
	return !wmap_stop();
}

START_TEST(an_unmapping_takes_it_along)
{
	for (int round = 0; round < 10; round++) {
		char *at = map_large();

		memory_load(at, 10 + 20 * (size_t)round);
		ck_assert_int_eq(wmap_unmap(at, LARGE), 0);
	}
	ck_assert(process_wait(stops, NULL, 10));
}
END_TEST

/* Sixteen streams within a budget that has room for few of their pages. */
static void *reads_its_part(void *arg)
{
	memory_load(arg, LARGE / 16 / PAGE);
	return NULL;
}

START_TEST(many_streams_keep_to_a_budget)
{
	pthread_t threads[16];
	struct wmap_stats stats;
	char *at;

	ck_assert_int_eq(wmap_memory_set(BUDGET / 8), 0);
	at = map_large();
	for (size_t i = 0; i < 16; i++)
		ck_assert(!pthread_create(&threads[i], NULL, reads_its_part,
					  at + LARGE / 16 * i));
	for (size_t i = 0; i < 16; i++)
		ck_assert(!pthread_join(threads[i], NULL));
	ck_assert(pattern_holds(at, LARGE, SEED, 0));
	stats = memory_stats();
	ck_assert_uint_le(stats.memory_peak, BUDGET / 8);
}
END_TEST

START_TEST(stores_follow_too)
{
	int fd = file_with(SEED, LARGE);
	char *at;

	ck_assert_int_eq(wmap_memory_set(BUDGET), 0);
	at = memory_map(LARGE, READ_WRITE, WMAP_SHARED, fd, 0);
	pattern_fill(at, LARGE, SEED + 1, 0);
	ck_assert_int_eq(wmap_unmap(at, LARGE), 0);
	ck_assert(file_holds(fd, SEED + 1, 0, LARGE));
}
END_TEST

int main(void)
{
	TCase *facts = facts_case("ahead", 60);

	tcase_add_test(facts, upwards_costs_few_faults);
	tcase_add_test(facts, downwards_costs_few_faults);
	tcase_add_test(facts, strides_cost_few_faults_and_bring_nothing_else);
	tcase_add_test(facts, interleaved_streams_are_told_apart);
	tcase_add_test(facts, random_accesses_bring_exactly_their_pages);
	tcase_add_test(facts, short_runs_bring_little_that_nobody_wants);
	tcase_add_test(facts, blocks_come_as_such);
	tcase_add_test(facts, blocks_that_end_are_forgotten);
	tcase_add_loop_test(facts, a_grain_hides_no_stream, 0, 2);
	tcase_add_test(facts, none_where_random_is_advised);
	tcase_add_test(facts, none_for_the_course);
	tcase_add_test(facts, what_is_held_back_can_be_dropped);
	tcase_add_test(facts, an_unmapping_takes_it_along);
	tcase_add_test(facts, many_streams_keep_to_a_budget);
	tcase_add_test(facts, stores_follow_too);
	return facts_run(facts);
}
