/* SPDX-License-Identifier: MIT */
/* A budget: data larger than memory, and nothing lost */
#include "support.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SEED   5
#define BUDGET (MIB)
#define LARGE  PAGES(4096) /* 16 MiB */

/* What its use may be above what it was told to keep to. */
#define SLACK ((uint64_t)0)

static char *map_large(int fd, int prot)
{
	ck_assert_int_eq(wmap_memory_set(BUDGET), 0);
	return memory_map(LARGE, prot, WMAP_SHARED, fd, 0);
}

static void keeps_within(uint64_t budget)
{
	struct wmap_stats stats = memory_stats();

	ck_assert_uint_eq(stats.memory_limit, budget);
	ck_assert_uint_le(stats.memory, budget + SLACK);
	ck_assert_uint_le(stats.memory_peak, budget + SLACK);
}

START_TEST(more_is_read_than_there_is_memory)
{
	int fd = file_with(SEED, LARGE);
	char *at = map_large(fd, PROT_READ);

	for (int round = 0; round < 2; round++)
		ck_assert(pattern_holds(at, LARGE, SEED, 0));
	keeps_within(BUDGET);
	ck_assert_uint_gt(memory_stats().evicted, 4096);
	ck_assert_uint_le(memory_info(at).resident, BUDGET / PAGE);
}
END_TEST

/* What is read when [at, at + size) is, @rounds times. */
static uint64_t go_round(const char *at, size_t size, int rounds)
{
	uint64_t before = memory_stats().bytes_read;

	for (int round = 0; round < rounds; round++)
		ck_assert(pattern_holds(at, size, SEED, 0));
	return memory_stats().bytes_read - before;
}

START_TEST(what_goes_round_in_too_little_keeps_a_part)
{
	const size_t size = 20 * MIB;
	char *at;

	ck_assert_int_eq(wmap_memory_set(16 * MIB), 0);
	at = memory_map(size, PROT_READ, WMAP_SHARED, file_with(SEED, size), 0);
	go_round(at, size, 2);
	ck_assert_uint_lt(go_round(at, size, 8), 8 * size * 3 / 4);
	keeps_within(16 * MIB);
}
END_TEST

START_TEST(what_goes_round_no_more_makes_room)
{
	const size_t large = 20 * MIB, small = 12 * MIB;
	char *at, *other;

	ck_assert_int_eq(wmap_memory_set(16 * MIB), 0);
	at = memory_map(large, PROT_READ, WMAP_SHARED, file_with(SEED, large),
			0);
	other = memory_map(small, PROT_READ, WMAP_SHARED,
			   file_with(SEED, small), 0);
	go_round(at, large, 6);
	go_round(other, small, 30);
	ck_assert_uint_lt(go_round(other, small, 4), small);
}
END_TEST

START_TEST(below_it_nothing_goes)
{
	int fd = file_with(SEED, LARGE);
	char *at = map_large(fd, PROT_READ);

	for (int round = 0; round < 4; round++)
		memory_load(at, BUDGET / PAGE / 2);
	ck_assert_uint_eq(memory_stats().evicted, 0);
	ck_assert_uint_ge(memory_info(at).resident, BUDGET / PAGE / 2);
}
END_TEST

START_TEST(what_was_stored_survives_eviction)
{
	int fd = file_with(SEED, LARGE);
	char *at = map_large(fd, READ_WRITE);

	pattern_fill(at, LARGE, SEED + 1, 0);
	ck_assert(pattern_holds(at, LARGE, SEED + 1, 0));
	keeps_within(BUDGET);
	ck_assert_int_eq(wmap_sync(at, LARGE, WMAP_SYNC_WAIT), 0);
	ck_assert(file_holds(fd, SEED + 1, 0, LARGE));
}
END_TEST

/* The order of pages is random, and of what is stored and what is loaded. */
START_TEST(every_store_counts_in_any_order)
{
	int fd = file_empty();
	static uint32_t oracle[LARGE / PAGE];
	uint64_t random = random_seed();
	uint32_t *at;
	bool right = true;

	ck_assert_int_eq(ftruncate(fd, LARGE), 0);
	at = (void *)map_large(fd, READ_WRITE);
	for (unsigned i = 0; i < facts_scaled(20000); i++) {
		size_t page = random_below(&random, LARGE / PAGE);
		uint32_t *there = at + page * (PAGE / 4) + page % 1000;

		right &= *there == oracle[page];
		if (i % 2)
			*there = oracle[page] = (uint32_t)random_next(&random);
	}
	ck_assert(right);
	keeps_within(BUDGET);
	ck_assert_int_eq(wmap_unmap(at, LARGE), 0);
	for (size_t page = 0; page < LARGE / PAGE; page++) {
		uint32_t found;

		if (pread(fd, &found, 4, PAGES(page) + page % 1000 * 4) != 4 ||
		    found != oracle[page])
			right = false;
	}
	ck_assert(right);
}
END_TEST

START_TEST(several_mappings_of_one_file_share_it)
{
	int fd = file_with(SEED, LARGE);
	char *one = map_large(fd, READ_WRITE);
	char *two = memory_map(LARGE, READ_WRITE, WMAP_SHARED, fd, 0);
	const char *reader = memory_map(LARGE, PROT_READ, WMAP_SHARED, fd, 0);
	const char *own = memory_map(LARGE, PROT_READ, WMAP_PRIVATE, fd, 0);

	for (size_t i = 0; i < LARGE; i += PAGE) {
		one[i] = (char)(i >> 12);
		two[i + 1] = (char)((i >> 12) + 1);
	}
	for (size_t i = 0; i < LARGE; i += PAGE) {
		ck_assert_int_eq(reader[i], (char)(i >> 12));
		ck_assert_int_eq(one[i + 1], (char)((i >> 12) + 1));
		ck_assert_int_eq(own[i + 1], (char)((i >> 12) + 1));
	}
	keeps_within(BUDGET);
}
END_TEST

/* A mapping alone with its file sees the first stores also when it gets
   company. */
START_TEST(company_that_comes_later_loses_no_store)
{
	int fd = file_with(SEED, PAGES(64));
	char *one = memory_map(PAGES(64), READ_WRITE, WMAP_SHARED, fd, 0);
	const char *two;

	memory_load(one, 8);
	two = memory_map(PAGES(64), PROT_READ, WMAP_SHARED, fd, 0);
	memory_load(two, 64);
	memory_store(one, 64, 'x');
	ck_assert_uint_eq(memory_info(one).dirty, 64);
	ck_assert_int_eq(wmap_sync(one, PAGES(64), WMAP_SYNC_WAIT), 0);
	for (size_t i = 0; i < 64; i++)
		ck_assert(file_has(fd, PAGES(i), "x", 1));
}
END_TEST

/* For process_wait: what was too much has gone, in the background. */
static bool is_within(void *budget)
{
	return memory_stats().memory <= *(uint64_t *)budget;
}

START_TEST(it_may_become_smaller_and_larger)
{
	int fd = file_with(SEED, LARGE);
	char *at = map_large(fd, READ_WRITE);
	uint64_t little = 2 * WMAP_MEMORY_MIN, less = BUDGET;

	memory_store(at, BUDGET / PAGE / 2, 1);
	ck_assert_int_eq(wmap_memory_set(little), 0);
	ck_assert(process_wait(is_within, &little, 20));
	memory_load(at, 512);
	keeps_within(little);
	ck_assert_int_eq(wmap_memory_set(2 * LARGE), 0);
	memory_load(at, LARGE / PAGE);
	memory_load(at, LARGE / PAGE);
	ck_assert_uint_eq(memory_info(at).resident, LARGE / PAGE);
	ck_assert_int_eq(wmap_memory_set(WMAP_MEMORY_UNLIMITED), 0);
	ck_assert_int_eq(wmap_memory_set(BUDGET), 0);
	ck_assert(process_wait(is_within, &less, 20));
	ck_assert_uint_ge(memory_info(at).resident, BUDGET / PAGE / 2);
	memory_load(at, LARGE / PAGE);
	ck_assert_int_eq(at[0], 1);
	keeps_within(BUDGET);
}
END_TEST

static void *hammer(void *arg)
{
	uint64_t random = (uintptr_t)pthread_self();
	char *at = arg;
	bool right = true;

	for (int i = 0; i < 2000; i++) {
		size_t page = random_below(&random, LARGE / PAGE);
		char copy[64];

		memcpy(copy, at + PAGES(page) + PAGE - 32,
		       page + 1 < LARGE / PAGE ? 64 : 32);
		right &= pattern_holds(copy, 32, SEED, PAGES(page + 1) - 32);
	}
	return right ? NULL : at;
}

static const int sharings[] = { WMAP_SHARED, WMAP_PRIVATE };

START_TEST(the_smallest_serves_sixteen_threads)
{
	int fd = file_with(SEED, LARGE);
	pthread_t threads[16];
	void *wrong;
	char *at;

	ck_assert_int_eq(wmap_memory_set(WMAP_MEMORY_MIN), 0);
	at = memory_map(LARGE, PROT_READ, sharings[_i], fd, 0);
	for (int i = 0; i < 16; i++)
		ck_assert(!pthread_create(&threads[i], NULL, hammer, at));
	for (int i = 0; i < 16; i++) {
		ck_assert(!pthread_join(threads[i], &wrong));
		ck_assert_ptr_null(wrong);
	}
	keeps_within(WMAP_MEMORY_MIN);
}
END_TEST

START_TEST(a_large_grain_keeps_to_it)
{
	int fd = file_with(SEED, LARGE);
	struct wmap_map_options wishes = {
		.size = sizeof(wishes),
		.grain = 2 * MIB,
	};
	char *at;

	ck_assert_int_eq(wmap_memory_set(BUDGET), 0);
	at = wmap_map(NULL, LARGE, PROT_READ, WMAP_SHARED, fd, 0, &wishes);
	ck_assert_ptr_ne(at, WMAP_FAILED);
	ck_assert(pattern_holds(at, LARGE, SEED, 0));
	keeps_within(BUDGET);
}
END_TEST

START_TEST(a_senseless_one_is_refused)
{
	errno = 0;
	ck_assert_int_eq(wmap_memory_set(0), -1);
	ck_assert_int_eq(errno, EINVAL);
	ck_assert_int_eq(wmap_memory_set(WMAP_MEMORY_MIN - 1), -1);
	ck_assert_int_eq(wmap_memory_set(WMAP_MEMORY_UNLIMITED - 1), -1);
	ck_assert_int_eq(wmap_memory_set((size_t)-4096), -1);
	ck_assert_int_eq(errno, EINVAL);
	ck_assert_uint_eq(memory_stats().memory_limit, UINT64_MAX);
}
END_TEST

static const char *const senseless[] = {
	"",
	"0",
	"-1",
	"12Q",
	"12KK",
	"M",
	"1",
	"255K",
	"99999999T",
	" 1M",
	"1M ",
	"0x100000",
	"18446744073709551616",
	"340282366920938463463374607431768211456",
};

START_TEST(a_senseless_environment_is_refused)
{
	setenv("WMAP_MEMORY", senseless[_i], 1);
	errno = 0;
	ck_assert_int_eq(wmap_start(NULL), -1);
	ck_assert_int_eq(errno, EINVAL);
}
END_TEST

START_TEST(the_environment_sets_it)
{
	setenv("WMAP_MEMORY", "3M", 1);
	ck_assert_int_eq(wmap_start(NULL), 0);
	ck_assert_uint_eq(memory_stats().memory_limit, 3 * MIB);
}
END_TEST

/* Changed pages that cannot be written stay; when they can be again all is
   well. */
START_TEST(a_failing_store_loses_nothing)
{
	int fd = file_with(SEED, LARGE);
	struct wmap_store *file = wmap_store_file(fd, 0);
	struct wmap_store *store = wmap_store_failing(file);
	struct wmap_failure failure = {
		.size = sizeof(failure),
		.operations = WMAP_FAIL_WRITE,
		.error = EIO,
	};
	char *at;

	ck_assert_int_eq(wmap_memory_set(BUDGET), 0);
	at = memory_map_store(LARGE, READ_WRITE, WMAP_SHARED, store, 0);
	ck_assert_int_eq(wmap_store_fail(store, &failure), 0);
	memory_store(at, BUDGET / PAGE / 2, 'x');
	memory_load(at + LARGE / 2, LARGE / 2 / PAGE);
	ck_assert_int_eq(wmap_store_fail(store, NULL), 0);
	for (size_t i = 0; i < BUDGET / PAGE / 2; i++)
		ck_assert_int_eq(at[PAGES(i)], 'x');
	memory_store(at, LARGE / PAGE, 'y');
	wmap_sync(at, LARGE, WMAP_SYNC_WAIT);
	ck_assert_int_eq(wmap_sync(at, LARGE, WMAP_SYNC_WAIT), 0);
	for (size_t i = 0; i < LARGE / PAGE; i++)
		ck_assert(file_has(fd, PAGES(i), "y", 1));
}
END_TEST

static void *load_a_byte(void *at)
{
	memory_load(at, 1);
	return NULL;
}

/* A read that needs more than is kept free waits for pages that could not be
   written; when they can be, nothing else happens that would wake it. */
START_TEST(what_waits_for_memory_is_tried_again)
{
	struct wmap_store *store =
		wmap_store_failing(wmap_store_file(file_with(SEED, LARGE), 0));
	struct wmap_map_options wishes = {
		.size = sizeof(wishes),
		.store = store,
		.grain = 64 * KIB,
	};
	struct wmap_failure failure = {
		.size = sizeof(failure),
		.operations = WMAP_FAIL_WRITE,
		.error = EIO,
	};
	pthread_t thread;
	char *at, *large;

	ck_assert_int_eq(wmap_memory_set(BUDGET), 0);
	at = memory_map_store(LARGE, READ_WRITE, WMAP_SHARED, store, 0);
	large = wmap_map(NULL, LARGE, PROT_READ, WMAP_SHARED, -1, 0, &wishes);
	ck_assert_ptr_ne(large, WMAP_FAILED);
	ck_assert_int_eq(wmap_advise(at, LARGE, WMAP_ADVICE_RANDOM), 0);
	memory_store(at, 215, 'x');
	ck_assert_int_eq(wmap_store_fail(store, &failure), 0);
	ck_assert(!pthread_create(&thread, NULL, load_a_byte, large + 8 * MIB));
	process_sleep_ms(300);
	ck_assert_int_eq(wmap_store_fail(store, NULL), 0);
	pthread_join(thread, NULL);
	ck_assert_uint_lt(memory_stats().latency_max_ns, 5000000000u);
	keeps_within(BUDGET);
}
END_TEST

START_TEST(what_is_cold_goes_first)
{
	int fd = file_with(SEED, LARGE);
	char *at = map_large(fd, PROT_READ);
	unsigned char there[512];
	size_t left = 0;

	/* the first two megabytes are younger than the rest, and cold */
	ck_assert_int_eq(wmap_memory_set(4 * MIB), 0);
	memory_load(at + PAGES(512), 300);
	memory_load(at, 256);
	ck_assert_int_eq(wmap_advise(at, PAGES(512), WMAP_ADVICE_COLD), 0);
	memory_load(at + PAGES(2048), 500);
	ck_assert_int_eq(wmap_residency(at, PAGES(256), there), 0);
	for (size_t i = 0; i < 256; i++)
		left += there[i];
	ck_assert_uint_lt(left, 128);
	left = 0;
	ck_assert_int_eq(wmap_residency(at + PAGES(512), PAGES(300), there), 0);
	for (size_t i = 0; i < 300; i++)
		left += there[i];
	ck_assert_uint_gt(left, 150);
}
END_TEST

START_TEST(paging_out_loses_nothing)
{
	int fd = file_with(SEED, LARGE);
	char *at = memory_map(LARGE, READ_WRITE, WMAP_SHARED, fd, 0);
	char *own = memory_map(LARGE, READ_WRITE, WMAP_PRIVATE, fd, 0);

	memory_store(at, 10, 'x');
	own[PAGES(20)] = 'y';
	ck_assert_int_eq(wmap_advise(at, LARGE, WMAP_ADVICE_PAGEOUT), 0);
	ck_assert_int_eq(wmap_advise(own, LARGE, WMAP_ADVICE_PAGEOUT), 0);
	ck_assert_uint_eq(memory_info(at).resident, 0);
	ck_assert(file_has(fd, PAGES(9), "x", 1));
	ck_assert_int_eq(at[PAGES(3)], 'x');
	ck_assert_int_eq(own[PAGES(20)], 'y');
}
END_TEST

int main(void)
{
	TCase *facts = facts_case("budget", 60);

	tcase_add_test(facts, more_is_read_than_there_is_memory);
	tcase_add_test(facts, what_goes_round_in_too_little_keeps_a_part);
	tcase_add_test(facts, what_goes_round_no_more_makes_room);
	tcase_add_test(facts, below_it_nothing_goes);
	tcase_add_test(facts, what_was_stored_survives_eviction);
	tcase_add_test(facts, every_store_counts_in_any_order);
	tcase_add_test(facts, several_mappings_of_one_file_share_it);
	tcase_add_test(facts, company_that_comes_later_loses_no_store);
	tcase_add_test(facts, it_may_become_smaller_and_larger);
	tcase_add_loop_test(facts, the_smallest_serves_sixteen_threads, 0,
			    COUNT(sharings));
	tcase_add_test(facts, a_large_grain_keeps_to_it);
	tcase_add_test(facts, a_senseless_one_is_refused);
	tcase_add_loop_test(facts, a_senseless_environment_is_refused, 0,
			    COUNT(senseless));
	tcase_add_test(facts, the_environment_sets_it);
	tcase_add_test(facts, a_failing_store_loses_nothing);
	tcase_add_test(facts, what_waits_for_memory_is_tried_again);
	tcase_add_test(facts, what_is_cold_goes_first);
	tcase_add_test(facts, paging_out_loses_nothing);
	return facts_run(facts);
}
