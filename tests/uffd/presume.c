/* SPDX-License-Identifier: MIT */
/* Presumed stores: few messages, nothing lost, and nothing written for nothing */
#include "support.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client.h"

#define SEED  9
#define ALL   ((size_t)4096) /* pages */
#define HALF  (ALL / 2)
#define LARGE PAGES(ALL)

static uint64_t faults(void)
{
	return memory_stats().faults;
}

static char *map_large(int fd)
{
	return memory_map(LARGE, READ_WRITE, WMAP_SHARED, fd, 0);
}

static void load(const char *at, size_t page)
{
	ck_assert(pattern_holds(at + PAGES(page), MARK_AT, SEED, PAGES(page)));
}

static void load_and_store(char *at, size_t page)
{
	load(at, page);
	marks_store(at, page, page + 1);
}

static void store_to_half(char *at)
{
	for (size_t i = 0; i < HALF; i++)
		load_and_store(at, i);
}

static bool are_stored(int fd, size_t first, size_t end)
{
	return marks_are_in(fd, SEED, first, end);
}

START_TEST(stores_in_order_cost_few_faults)
{
	int fd = file_with(SEED, LARGE);
	char *at = map_large(fd);

	for (size_t i = 0; i < ALL; i++)
		load_and_store(at, _i ? ALL - 1 - i : i);
	ck_assert_uint_lt(faults(), ALL / 16);
	ck_assert_int_eq(wmap_sync(at, LARGE, WMAP_SYNC_WAIT), 0);
	ck_assert_uint_eq(memory_info(at).dirty, 0);
	ck_assert(are_stored(fd, 0, ALL));
}
END_TEST

/* Twice: after the first time all of it is clean, and protected. */
START_TEST(so_they_do_where_all_is_loaded)
{
	int fd = file_with(SEED, LARGE);
	char *at = map_large(fd);
	uint64_t before;

	for (size_t i = 0; i < ALL; i++)
		load(at, i);
	ck_assert_uint_eq(memory_info(at).dirty, 0);
	for (int round = 0; round < 3; round++) {
		before = faults();
		for (size_t i = 0; i < ALL; i++)
			load_and_store(at, _i ? ALL - 1 - i : i);
		ck_assert_uint_lt(faults() - before, ALL / 8);
		ck_assert_int_eq(wmap_sync(at, LARGE, WMAP_SYNC_WAIT), 0);
	}
	ck_assert(are_stored(fd, 0, ALL));
}
END_TEST

START_TEST(so_they_do_in_any_order)
{
	int fd = file_with(SEED, LARGE);
	char *at = map_large(fd);
	uint64_t random = random_seed();
	uint64_t order[ALL];

	for (size_t i = 0; i < ALL; i++)
		order[i] = i;
	for (size_t i = ALL - 1; i; i--) {
		size_t k = random_below(&random, i + 1);
		uint64_t other = order[k];

		order[k] = order[i];
		order[i] = other;
	}
	for (size_t i = 0; i < ALL; i++)
		load_and_store(at, order[i]);
	ck_assert_uint_lt(faults(), ALL * 3 / 2);
	ck_assert_int_eq(wmap_unmap(at, LARGE), 0);
	ck_assert(are_stored(fd, 0, ALL));
}
END_TEST

START_TEST(who_only_loads_changes_nothing)
{
	char *at = map_large(file_with(SEED, LARGE));

	for (size_t i = 0; i < ALL; i++) {
		load(at, i);
		if (i % 16 == 0)
			ck_assert_uint_eq(memory_info(at).dirty, 0);
	}
}
END_TEST

START_TEST(who_stores_no_more_is_seen)
{
	char *at = map_large(file_with(SEED, LARGE));

	for (size_t i = 0; i < ALL / 16; i++)
		load_and_store(at, i);
	for (size_t i = ALL / 16; i < ALL; i++)
		load(at, i);
	ck_assert_uint_lt(memory_info(at).dirty, ALL / 2);
}
END_TEST

/* ---- What is counted ---------------------------------------------------------*/

START_TEST(what_was_stored_is_counted)
{
	char *at = map_large(file_with(SEED, LARGE));

	for (size_t i = 0; i < HALF; i++) {
		load_and_store(at, i);
		if (i < 64 || i % 64 == 0)
			ck_assert_uint_eq(memory_info(at).dirty, i + 1);
	}
	ck_assert_uint_eq(memory_stats().dirty, HALF);
}
END_TEST

/* ---- What was not stored is not written -------------------------------------*/

static void by_sync(char *at)
{
	ck_assert_int_eq(wmap_sync(at, LARGE, WMAP_SYNC_WAIT), 0);
	ck_assert_uint_eq(memory_info(at).dirty, 0);
}

static void by_unmapping(char *at)
{
	ck_assert_int_eq(wmap_unmap(at, LARGE), 0);
}

static void by_eviction(char *at)
{
	ck_assert_int_eq(wmap_memory_set(MIB), 0);
	while (memory_info(at).resident > MIB / PAGE)
		usleep(1000);
	ck_assert_int_eq(wmap_unmap(at, LARGE), 0);
}

static void by_dropping(char *at)
{
	ck_assert_int_eq(wmap_advise(at, LARGE, WMAP_ADVICE_DONTNEED), 0);
	ck_assert(pattern_holds(at + PAGES(HALF), LARGE - PAGES(HALF), SEED + 1,
				PAGES(HALF)));
	ck_assert_int_eq(wmap_unmap(at, LARGE), 0);
}

/* The pager becomes a process, and all that was loaded goes over. */
static void by_moving_out(char *at)
{
	pid_t child = fork();
	int status;

	if (!child)
		_exit(0);
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_int_eq(wmap_sync(at, LARGE, WMAP_SYNC_WAIT), 0);
}

static void (*const ways[])(char *at) = { by_sync, by_unmapping, by_eviction,
					  by_dropping, by_moving_out };

/* More is read ahead, and presumed, for who stores; but not counted. */
static void presume_more(const char *at)
{
	for (int i = 0; memory_info(at).resident <= HALF && i < 1000; i++)
		usleep(1000);
	ck_assert_uint_gt(memory_info(at).resident, HALF);
	ck_assert_uint_eq(memory_info(at).dirty, HALF);
	ck_assert_uint_eq(memory_stats().dirty, HALF);
}

START_TEST(what_was_not_stored_is_not_written)
{
	static char other[LARGE - PAGES(HALF)];
	int fd = file_with(SEED, LARGE);
	char *at = map_large(fd);

	store_to_half(at);
	presume_more(at);
	pattern_fill(other, sizeof(other), SEED + 1, PAGES(HALF));
	ck_assert_int_eq(pwrite(fd, other, sizeof(other), PAGES(HALF)),
			 sizeof(other));
	ways[_i](at);
	ck_assert(are_stored(fd, 0, HALF));
	ck_assert(file_holds(fd, SEED + 1, PAGES(HALF), sizeof(other)));
}
END_TEST

START_TEST(a_store_through_another_mapping_counts)
{
	int fd = file_with(SEED, LARGE);
	char *at = map_large(fd), *also = map_large(fd);

	store_to_half(at);
	presume_more(at);
	for (size_t i = HALF; i < ALL; i++)
		load_and_store(also, i);
	ck_assert_int_eq(wmap_sync(at, LARGE, WMAP_SYNC_WAIT), 0);
	ck_assert(are_stored(fd, 0, ALL));
	ck_assert_int_eq(wmap_unmap(at, LARGE), 0);
	ck_assert_int_eq(wmap_unmap(also, LARGE), 0);
}
END_TEST

/* Each page is judged while its thread stores on. */
START_TEST(a_store_during_a_sync_comes_with_the_next)
{
	int fd = file_with(SEED, LARGE);
	char *at = map_large(fd);

	for (size_t i = 0; i < ALL; i++) {
		load_and_store(at, i);
		if (i % 64 == 32)
			ck_assert_int_eq(wmap_sync(at, LARGE, WMAP_SYNC_START),
					 0);
	}
	ck_assert_int_eq(wmap_sync(at, LARGE, WMAP_SYNC_WAIT), 0);
	ck_assert(are_stored(fd, 0, ALL));
}
END_TEST

/* Once to be stored to is not for ever. */
START_TEST(what_is_no_longer_writable_keeps_its_stores)
{
	int fd = file_with(SEED, LARGE);
	char *at = map_large(fd);

	store_to_half(at);
	ck_assert_int_eq(wmap_protect(at, LARGE, PROT_READ), 0);
	for (size_t i = HALF; i < ALL; i++)
		load(at, i);
	ck_assert_int_eq(wmap_sync(at, LARGE, WMAP_SYNC_WAIT), 0);
	ck_assert_int_eq(wmap_protect(at, LARGE, READ_WRITE), 0);
	for (size_t i = HALF; i < ALL; i++)
		load_and_store(at, i);
	ck_assert_int_eq(wmap_unmap(at, LARGE), 0);
	ck_assert(are_stored(fd, 0, ALL));
}
END_TEST

/* The same bytes again are no change. */
START_TEST(a_store_that_is_undone_is_none)
{
	int fd = file_with(SEED, LARGE);
	char *at = map_large(fd);

	store_to_half(at);
	presume_more(at);
	ck_assert_int_eq(wmap_sync(at, PAGES(HALF), WMAP_SYNC_WAIT), 0);
	for (size_t i = HALF; i < HALF + 16; i++) {
		load_and_store(at, i);
		marks_store(at, i, i + 1);
	}
	ck_assert_uint_eq(memory_info(at).dirty, 0);
	ck_assert_int_eq(wmap_unmap(at, LARGE), 0);
	ck_assert(are_stored(fd, 0, HALF));
	ck_assert(file_holds(fd, SEED, PAGES(HALF), LARGE - PAGES(HALF)));
}
END_TEST

/* What was stored, or might have been, past the new end is gone. */
START_TEST(a_file_that_is_cut_stays_cut)
{
	int fd = file_with(SEED, LARGE);
	char *at = map_large(fd);

	store_to_half(at);
	presume_more(at);
	ck_assert_int_eq(wmap_sync(at, PAGE, WMAP_SYNC_WAIT), 0);
	ck_assert_int_eq(ftruncate(fd, PAGES(HALF / 2)), 0);
	ck_assert_int_eq(wmap_sync(at, LARGE, WMAP_SYNC_WAIT), 0);
	ck_assert_uint_eq(file_length(fd), PAGES(HALF / 2));
	ck_assert(are_stored(fd, 0, HALF / 2));
	ck_assert_int_eq(process_load(at + PAGES(HALF - 1)), SIGBUS);
	ck_assert_int_eq(process_load(at + PAGES(HALF)), SIGBUS);
	ck_assert_int_eq(wmap_unmap(at, LARGE), 0);
	ck_assert_uint_eq(file_length(fd), PAGES(HALF / 2));
}
END_TEST

/* ---- By write(2) to the file ------------------------------------------------*/

#define FEW ((size_t)9) /* stored to, two more are presumed (lib/presume.c) */
#define END (PAGES(FEW + 1) + 500) /* inside the second of them */

static char *map_few(int fd)
{
	char *at = memory_map(PAGES(FEW + 2), READ_WRITE, WMAP_SHARED, fd, 0);

	memory_load(at, FEW + 2);
	marks_store(at, 0, FEW);
	return at;
}

static void write_byte(int fd, size_t offset, char byte)
{
	void *before = wmap_file_before_write(fd);

	ck_assert_int_eq(pwrite(fd, &byte, 1, (off_t)offset), 1);
	wmap_file_after_write(fd, before, offset, 1);
}

START_TEST(what_grows_is_shown_and_not_changed)
{
	int fd = file_with(SEED, END);
	char *at = map_few(fd);
	uint64_t before = faults();

	write_byte(fd, END + 1, 'w');
	ck_assert_int_eq(at[END + 1], 'w');
	ck_assert_uint_eq(memory_info(at).dirty, FEW);
	marks_store(at, FEW, FEW + 1);
	ck_assert_uint_eq(faults(), before);
	ck_assert_int_eq(wmap_unmap(at, PAGES(FEW + 2)), 0);
	ck_assert(are_stored(fd, 0, FEW + 1));
	ck_assert(file_has(fd, END, "\0w", 2));
}
END_TEST

/* No other page is presumed then. What was stored past the end is not in the file. */
START_TEST(so_it_is_where_it_was_stored_to)
{
	int fd = file_with(SEED, END);
	char *at = map_few(fd);
	uint64_t before;

	ck_assert_int_eq(wmap_sync(at, PAGES(FEW + 1), WMAP_SYNC_WAIT), 0);
	before = faults();
	marks_store(at, FEW + 1, FEW + 2);
	at[END] = 's';
	write_byte(fd, END + 1, 'w');
	ck_assert_uint_eq(faults(), before);
	ck_assert_int_eq(at[END], 0);
	ck_assert_int_eq(at[END + 1], 'w');
	ck_assert_uint_eq(memory_info(at).dirty, 1);
	ck_assert_int_eq(wmap_unmap(at, PAGES(FEW + 2)), 0);
	ck_assert(are_stored(fd, 0, FEW));
	ck_assert(file_has(fd, END, "\0w", 2));
}
END_TEST

int main(void)
{
	TCase *facts = facts_case("presume", 60);

	tcase_add_loop_test(facts, stores_in_order_cost_few_faults, 0, 2);
	tcase_add_loop_test(facts, so_they_do_where_all_is_loaded, 0, 2);
	tcase_add_test(facts, so_they_do_in_any_order);
	tcase_add_test(facts, who_only_loads_changes_nothing);
	tcase_add_test(facts, who_stores_no_more_is_seen);
	tcase_add_loop_test(facts, what_was_not_stored_is_not_written, 0,
			    sizeof(ways) / sizeof(ways[0]));
	tcase_add_test(facts, what_was_stored_is_counted);
	tcase_add_test(facts, what_is_no_longer_writable_keeps_its_stores);
	tcase_add_test(facts, a_store_that_is_undone_is_none);
	tcase_add_test(facts, a_file_that_is_cut_stays_cut);
	tcase_add_test(facts, a_store_through_another_mapping_counts);
	tcase_add_test(facts, a_store_during_a_sync_comes_with_the_next);
	tcase_add_test(facts, what_grows_is_shown_and_not_changed);
	tcase_add_test(facts, so_it_is_where_it_was_stored_to);
	return facts_run(facts);
}
