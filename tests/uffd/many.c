/* SPDX-License-Identifier: MIT */
/*
 * Much of it: terabytes that are not touched, ten thousand mappings, and the
 * same again and again; memory, addresses and descriptors stay in bounds
 */
#include "support.h"

#include <string.h>
#include <time.h>

#include "mem.h"
#include "staging.h"

/* ThreadSanitizer has addresses for little more than one of them. */
#define HUGE_LENGTH (THREAD_SANITIZED ? TIB / 16 : TIB)

static const int kinds[] = {
	WMAP_SHARED,
	WMAP_PRIVATE,
	WMAP_SHARED | WMAP_ANONYMOUS,
	WMAP_PRIVATE | WMAP_ANONYMOUS,
};

static char *map_huge(int kind)
{
	int fd = kind & WMAP_ANONYMOUS ? -1 : file_sparse(HUGE_LENGTH);

	return memory_map(HUGE_LENGTH, READ_WRITE, kind, fd, 0);
}

START_TEST(a_terabyte_can_be_used_at_both_ends)
{
	char *at = map_huge(kinds[_i]);

	ck_assert_int_eq(at[12345], 0);
	at[0] = 'a';
	at[HUGE_LENGTH - 1] = 'z';
	at[HUGE_LENGTH / 2] = 'm';
	ck_assert_int_eq(at[0], 'a');
	ck_assert_int_eq(at[HUGE_LENGTH - 1], 'z');
	ck_assert_int_eq(at[HUGE_LENGTH / 2], 'm');
	ck_assert_uint_eq(memory_info(at).resident, 4);
}
END_TEST

START_TEST(a_store_far_up_reaches_the_file_and_only_there)
{
	int fd = file_sparse(HUGE_LENGTH);
	char *at = memory_map(HUGE_LENGTH, READ_WRITE, WMAP_SHARED, fd, 0);

	at[HUGE_LENGTH - PAGE] = 'f';
	ck_assert_int_eq(wmap_unmap(at, HUGE_LENGTH), 0);
	ck_assert(file_has(fd, HUGE_LENGTH - PAGE, "f", 1));
	ck_assert(file_zeros(fd, HUGE_LENGTH - MIB, MIB - PAGE));
}
END_TEST

/* A whole second is no measurement, but tells one that walks what it maps. */
START_TEST(a_terabyte_is_mapped_and_unmapped_without_walking_it)
{
	struct timespec start, end;
	char *at;

	wmap_start(NULL);
	clock_gettime(CLOCK_MONOTONIC, &start);
	at = map_huge(kinds[_i]);
	ck_assert_int_eq(wmap_unmap(at, HUGE_LENGTH), 0);
	clock_gettime(CLOCK_MONOTONIC, &end);
	ck_assert_int_le(end.tv_sec - start.tv_sec, 1);
}
END_TEST

START_TEST(what_is_not_touched_costs_no_bookkeeping)
{
	uint64_t before;

	memory_load(memory_map(PAGE, READ_WRITE, kinds[_i], file_with(3, PAGE),
			       0),
		    1);
	before = memory_stats().bookkeeping;
	map_huge(kinds[_i]);
	ck_assert_uint_le(memory_stats().bookkeeping - before, 16 * KIB);
}
END_TEST

/* Sixteen bytes a loaded page, however far apart; the rest is for tables that
   begin with some room. */
START_TEST(a_loaded_page_costs_sixteen_bytes_at_most)
{
	const size_t pages = 16384, apart = HUGE_LENGTH / pages;
	char *at = map_huge(kinds[_i]);
	uint64_t before = memory_stats().bookkeeping;

	wmap_advise(at, HUGE_LENGTH, WMAP_ADVICE_RANDOM);
	for (size_t i = 0; i < pages; i++)
		memory_load(at + i * apart, 1);
	ck_assert_uint_eq(memory_info(at).resident, pages);
	ck_assert_uint_le(memory_stats().bookkeeping - before,
			  pages * 16 + 16 * KIB);
}
END_TEST

#define MANY 10000

/* Four kinds in turn; the file's pages are each mapped twice. */
static char *map_one_of_many(size_t i, int fd)
{
	return memory_map(PAGE, READ_WRITE, kinds[i % 4], i % 4 < 2 ? fd : -1,
			  (off_t)PAGES(i / 4));
}

START_TEST(ten_thousand_mappings_at_once)
{
	static char *at[MANY];
	int fd = file_sparse(PAGES(MANY));
	bool right = true;

	for (size_t i = 0; i < MANY; i++) {
		at[i] = map_one_of_many(i, fd);
		memcpy(at[i] + PAGE - 8, &i, 8);
	}
	for (size_t i = 0; i < MANY; i++)
		right = right && !memcmp(at[i] + PAGE - 8, &i, 8);
	ck_assert(right);
	ck_assert_int_eq(wmap_mapping_list(NULL, 0), MANY);
	for (size_t i = 0; i < MANY; i++)
		right = right && !wmap_unmap(at[i], PAGE);
	ck_assert(right);
	for (size_t i = 0; i < MANY; i += 4)
		right = right && file_has(fd, PAGES(i / 4 + 1) - 8, &i, 8);
	ck_assert(right);
}
END_TEST

/* As many files as descriptors allow with one for the test and a few each for
   the library; a hundred are a hundred objects. */
START_TEST(a_hundred_files_at_once)
{
	char *at[100];
	int fd[100];

	for (unsigned i = 0; i < COUNT(at); i++) {
		fd[i] = file_with(i, PAGES(2));
		at[i] = memory_map(PAGES(2), READ_WRITE, WMAP_SHARED, fd[i], 0);
	}
	for (unsigned i = 0; i < COUNT(at); i++) {
		ck_assert(pattern_holds(at[i], PAGES(2), i, 0));
		at[i][PAGE] = (char)i;
	}
	for (unsigned i = 0; i < COUNT(at); i++) {
		char expected = (char)i;

		ck_assert_int_eq(wmap_unmap(at[i], PAGES(2)), 0);
		ck_assert(file_has(fd[i], PAGE, &expected, 1));
	}
}
END_TEST

static void use_once(int kind, int fd)
{
	struct wmap_map_options options = {
		.size = sizeof options,
		.grain = 64 * KIB,
	};
	char *at = wmap_map(NULL, 64 * MIB, READ_WRITE, kind, fd, 0, &options);

	ck_assert_ptr_ne(at, WMAP_FAILED);
	memory_store(at, 64 * MIB / PAGE, 1);
	ck_assert_int_eq(wmap_unmap(at, 64 * MIB), 0);
}

/* Slabs of buffers keep their addresses, and one of each class its memory: how
   many there are is a matter of how many reads met. They are all there then. */
static void take_all_buffers_once(void)
{
	static void *buffers[STAGING_LIMIT / WMAP_PAGE_SIZE];

	for (size_t size = PAGE; size <= 64 * KIB; size *= 2) {
		for (size_t i = 0; i < STAGING_LIMIT / size; i++) {
			buffers[i] = mem_alloc(size);
			ck_assert_ptr_nonnull(buffers[i]);
			memset(buffers[i], 'b', size);
		}
		for (size_t i = 0; i < STAGING_LIMIT / size; i++)
			mem_free(buffers[i], size);
	}
}

/* Buffers that are kept for the next read go with a budget that has no room for
   them. */
static void let_buffers_go(void)
{
	ck_assert_int_eq(wmap_memory_set(WMAP_MEMORY_MIN), 0);
	ck_assert_int_eq(wmap_memory_set(WMAP_MEMORY_UNLIMITED), 0);
}

struct sizes {
	long size, resident; /* KiB */
	uint64_t bookkeeping, memory;
};

static struct sizes sizes_now(void)
{
	struct wmap_stats stats = memory_stats();

	return (struct sizes){
		process_kib(0, "VmSize"),
		process_kib(0, "VmRSS"),
		stats.bookkeeping,
		stats.memory,
	};
}

/* What is read ahead for a mapping that has gone comes in all the same, and its
   buffers go after that. */
static bool has_not_grown(void *arg)
{
	const struct sizes *before = arg;
	long more = SANITIZED ? 65536 : 1024;
	struct sizes now;

	let_buffers_go();
	now = sizes_now();
	return now.size - before->size <= more &&
	       now.resident - before->resident <= more &&
	       now.bookkeeping <= before->bookkeeping &&
	       now.memory <= before->memory;
}

/* The first rounds may fill caches; from then on nothing may grow. */
START_TEST(mapping_again_and_again_leaves_nothing_behind)
{
	int fd = kinds[_i] & WMAP_ANONYMOUS ? -1 : file_sparse(64 * MIB);
	unsigned descriptors;
	struct sizes sizes;

	take_all_buffers_once();
	for (int i = 0; i < 2; i++)
		use_once(kinds[_i], fd);
	let_buffers_go();
	descriptors = process_descriptors(0);
	sizes = sizes_now();
	for (unsigned i = 0; i < facts_scaled(3); i++)
		use_once(kinds[_i], fd);
	ck_assert_uint_eq(process_descriptors(0), descriptors);
	ck_assert(process_wait(has_not_grown, &sizes, 10));
}
END_TEST

START_TEST(starting_and_stopping_leaves_nothing_behind)
{
	unsigned descriptors = process_descriptors(0);

	for (int i = 0; i < 20; i++) {
		use_once(kinds[2], -1);
		ck_assert_int_eq(wmap_stop(), 0);
		ck_assert_uint_eq(process_descriptors(0), descriptors);
	}
}
END_TEST

START_TEST(the_pager_does_not_stop_under_a_mapping)
{
	char *at = memory_map(PAGE, READ_WRITE, kinds[3], -1, 0);

	ck_assert_int_eq(wmap_stop(), -1);
	ck_assert_int_eq(errno, EBUSY);
	ck_assert_int_eq(process_store(at, 1), 0);
}
END_TEST

int main(void)
{
	TCase *facts = facts_case("much of it", 90.0 * facts_scaled(1));

	tcase_add_loop_test(facts, a_terabyte_can_be_used_at_both_ends, 0, 4);
	tcase_add_test(facts, a_store_far_up_reaches_the_file_and_only_there);
	tcase_add_loop_test(
		facts, a_terabyte_is_mapped_and_unmapped_without_walking_it, 0,
		4);
	tcase_add_loop_test(facts, what_is_not_touched_costs_no_bookkeeping, 0,
			    4);
	tcase_add_loop_test(facts, a_loaded_page_costs_sixteen_bytes_at_most, 0,
			    4);
	tcase_add_test(facts, ten_thousand_mappings_at_once);
	tcase_add_test(facts, a_hundred_files_at_once);
	tcase_add_loop_test(
		facts, mapping_again_and_again_leaves_nothing_behind, 0, 4);
	tcase_add_test(facts, starting_and_stopping_leaves_nothing_behind);
	tcase_add_test(facts, the_pager_does_not_stop_under_a_mapping);
	return facts_run(facts);
}
