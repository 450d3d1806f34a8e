/* SPDX-License-Identifier: MIT */
/*
 * One budget, several processes: none pushes another below its share
 *
 * They are children of one process, whose pager is a wmapd of its own with a
 * budget. They tell each other how far they are in memory of the kernel's.
 */
#include "support.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define SEED   13
#define BUDGET (8 * MIB)
#define DUE    (BUDGET / 4 * 3 / 2) /* of two */
#define LARGE  (64 * MIB)

static struct board {
	atomic_bool over;
	atomic_uint touched; /* by the greedy one, pages */
	atomic_uint ready;   /* processes */
} * board;

static void begin(const char *memory)
{
	ck_assert_int_eq(setenv("WMAP_MEMORY", memory, 1), 0);
	ck_assert_int_eq(wmap_pager_set("private"), 0);
	ck_assert_int_eq(wmap_start(NULL), 0);
	board = mmap(NULL, PAGE, READ_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ck_assert_ptr_ne(board, MAP_FAILED);
}

static bool wait_for(const atomic_uint *number, unsigned least)
{
	for (int i = 0; i < 2000 && *number < least; i++)
		process_sleep_ms(10);
	return *number >= least;
}

/* Takes whatever there is: at random over a large file, half of it stores. */
static int be_greedy(int fd)
{
	char *at = wmap_map(NULL, LARGE, READ_WRITE, WMAP_SHARED, fd, 0, NULL);
	uint64_t random = 1;

	if (at == WMAP_FAILED)
		return 1;
	while (!board->over) {
		size_t page = random_below(&random, LARGE / PAGE);

		if (at[PAGES(page) + 1] != (char)page)
			return 2;
		if (page % 2)
			at[PAGES(page)] = 'g';
		board->touched++;
	}
	return 0;
}

static int greedy_file(void)
{
	int fd = file_sparse(LARGE);

	for (size_t page = 0; page < LARGE / PAGE; page++) {
		char byte = (char)page;

		ck_assert_int_eq(pwrite(fd, &byte, 1, PAGES(page) + 1), 1);
	}
	return fd;
}

/* Faults while the greedy one touches @pages more, after a first round. */
static uint64_t faults_beside(char *at, size_t length, unsigned pages)
{
	uint64_t before;
	unsigned until;

	for (int round = 0; round < 3; round++)
		memory_load(at, length / PAGE);
	before = memory_stats().faults;
	until = board->touched + pages;
	while (board->touched < until)
		memory_load(at, length / PAGE);
	return memory_stats().faults - before;
}

#define MODEST (DUE / 8 * 7 / PAGE * PAGE)

static int be_modest(int fd)
{
	char *at = wmap_map(NULL, MODEST, PROT_READ, WMAP_SHARED, fd, 0, NULL);
	uint64_t faults;

	if (at == WMAP_FAILED)
		return 1;
	faults = faults_beside(at, MODEST, 20000);
	if (faults)
		printf("%lu faults in a set that fits\n", faults);
	return faults || !pattern_holds(at, MODEST, SEED, 0);
}

/* The greedy one has all of it when the modest one comes. */
START_TEST(a_modest_one_keeps_its_pages)
{
	struct wmap_stats stats;
	pid_t greedy, modest;

	begin("8M");
	greedy = process_start(be_greedy, greedy_file());
	ck_assert(wait_for(&board->touched, 4000));
	modest = process_start(be_modest, file_with(SEED, MODEST));
	process_ends_well(modest);
	board->over = true;
	process_ends_well(greedy);
	stats = memory_stats();
	ck_assert_uint_eq(stats.memory_limit, BUDGET);
	ck_assert_uint_le(stats.memory_peak, BUDGET);
	ck_assert_uint_gt(stats.evicted, 10000);
}
END_TEST

static int use_all(int fd)
{
	char *at = wmap_map(NULL, BUDGET / 4 * 3, PROT_READ, WMAP_SHARED, fd, 0,
			    NULL);
	struct wmap_stats stats = { .size = sizeof(stats) };
	uint64_t before;

	if (at == WMAP_FAILED)
		return 1;
	for (int round = 0; round < 3; round++)
		memory_load(at, BUDGET / 4 * 3 / PAGE);
	before = memory_stats().faults;
	memory_load(at, BUDGET / 4 * 3 / PAGE);
	wmap_stats_get(&stats);
	if (stats.memory_share != BUDGET / 4 * 3 / 2 ||
	    stats.memory_own < BUDGET / 4 * 3)
		return 2;
	return stats.faults != before;
}

static int map_and_wait(int fd)
{
	char *at = wmap_map(NULL, LARGE, PROT_READ, WMAP_SHARED, fd, 0, NULL);

	if (at == WMAP_FAILED)
		return 1;
	memory_load(at, 1);
	board->ready++;
	while (!board->over)
		process_sleep_ms(10);
	return 0;
}

/* What one does not use the other may have. */
START_TEST(an_unused_share_is_lent_out)
{
	pid_t idle;

	begin("8M");
	idle = process_start(map_and_wait, file_sparse(LARGE));
	ck_assert(wait_for(&board->ready, 1));
	process_ends_well(
		process_start(use_all, file_with(SEED, BUDGET / 4 * 3)));
	board->over = true;
	process_ends_well(idle);
}
END_TEST

/* Pins are bounded by the share, prefetching by the memory, and a process may
   bound itself. */
static int pin_and_bound(int fd)
{
	char *at = wmap_map(NULL, LARGE, PROT_READ, WMAP_SHARED, fd, 0, NULL);
	size_t most = BUDGET / 4 * 3 / 2; /* of two */
	uint64_t before;

	if (at == WMAP_FAILED)
		return 1;
	if (!wmap_pin(at, most + PAGE) || errno != ENOMEM)
		return 2;
	if (wmap_pin(at, most))
		return 3;
	memory_load(at, most / PAGE);
	memory_load(at + most, (LARGE - most) / PAGE);
	before = memory_stats().faults;
	memory_load(at, most / PAGE);
	if (memory_stats().faults != before)
		return 4;
	if (!wmap_memory_set(MIB) || errno != ENOMEM)
		return 5;
	if (wmap_unpin(at, LARGE) || wmap_memory_set(MIB))
		return 6;
	for (int i = 0; i < 200 && memory_stats().memory_own > MIB; i++)
		process_sleep_ms(20);
	memory_load(at, LARGE / PAGE);
	if (memory_stats().memory_own > MIB)
		return 7;
	if (!wmap_memory_set(WMAP_MEMORY_MIN - 1) || errno != EINVAL)
		return 8;
	if (!wmap_memory_set(0) || errno != EINVAL)
		return 9;
	if (wmap_mapping_bound(at, WMAP_MEMORY_MIN))
		return 10;
	memory_load(at, LARGE / PAGE);
	return memory_info(at).memory > WMAP_MEMORY_MIN ? 11 : 0;
}

START_TEST(pins_and_bounds_hold_within_the_share)
{
	pid_t idle;

	begin("8M");
	idle = process_start(map_and_wait, file_sparse(LARGE));
	ck_assert(wait_for(&board->ready, 1));
	process_ends_well(process_start(pin_and_bound, file_sparse(LARGE)));
	board->over = true;
	process_ends_well(idle);
}
END_TEST

static void *touch_at_random(void *arg)
{
	uint64_t random = (uintptr_t)pthread_self();
	char *at = arg;

	for (int i = 0; i < 1000; i++) {
		size_t page = random_below(&random, 4096);

		if (at[PAGES(page) + 1] != (char)page)
			return at;
		__atomic_store_n(&at[PAGES(page)], 'x', __ATOMIC_RELAXED);
	}
	return NULL;
}

START_TEST(the_smallest_budget_serves_sixteen_threads)
{
	pthread_t threads[16];
	void *wrong;
	char *at;

	begin("256K");
	at = memory_map(LARGE, READ_WRITE, WMAP_SHARED, greedy_file(), 0);
	for (size_t i = 0; i < COUNT(threads); i++)
		ck_assert(!pthread_create(&threads[i], NULL, touch_at_random,
					  at));
	for (size_t i = 0; i < COUNT(threads); i++) {
		ck_assert(!pthread_join(threads[i], &wrong));
		ck_assert_ptr_null(wrong);
	}
	ck_assert_uint_le(memory_stats().memory_peak, WMAP_MEMORY_MIN);
}
END_TEST

static const char *const senseless[] = { "0", "-1", "12Q", "100K",
					 "99999999T" };

START_TEST(a_private_pager_refuses_a_senseless_budget)
{
	ck_assert_int_eq(setenv("WMAP_MEMORY", senseless[_i], 1), 0);
	ck_assert_int_eq(wmap_pager_set("private"), 0);
	errno = 0;
	ck_assert_int_eq(wmap_start(NULL), -1);
	ck_assert_int_eq(errno, EINVAL);
}
END_TEST

int main(void)
{
	TCase *facts = facts_case("shares", 120);

	if (!facts_possible(WMAP_FEATURE_POISON))
		return FACTS_SKIPPED;
	tcase_add_test(facts, a_modest_one_keeps_its_pages);
	tcase_add_test(facts, an_unused_share_is_lent_out);
	tcase_add_test(facts, pins_and_bounds_hold_within_the_share);
	tcase_add_test(facts, the_smallest_budget_serves_sixteen_threads);
	tcase_add_loop_test(facts, a_private_pager_refuses_a_senseless_budget,
			    0, COUNT(senseless));
	return facts_run(facts);
}
