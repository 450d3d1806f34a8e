/* SPDX-License-Identifier: MIT */
/*
 * The course's mappings: a first touch loads that page and no other, and the
 * count of loaded pages belongs to the mapping that was touched.
 */
#include "support.h"

#include <string.h>
#include <unistd.h>

#define ANON (WMAP_ANONYMOUS | WMAP_PRIVATE)

/* The course's four kinds of mapping. */
static const int kinds[] = {
	WMAP_SHARED,
	WMAP_PRIVATE,
	WMAP_SHARED | WMAP_ANONYMOUS,
	WMAP_PRIVATE | WMAP_ANONYMOUS,
};

static char *map_kind(int kind, size_t length)
{
	int fd = kind & WMAP_ANONYMOUS ? -1 : file_with(3, length);

	return memory_wmap(NULL, length, kind, fd);
}

START_TEST(mapping_loads_nothing)
{
	ck_assert_uint_eq(memory_loaded(map_kind(kinds[_i], PAGES(8))), 0);
}
END_TEST

START_TEST(a_load_brings_exactly_one_page)
{
	char *at = map_kind(kinds[_i], PAGES(64));

	memory_load(at + PAGES(20), 1);
	ck_assert_uint_eq(memory_loaded(at), 1);
}
END_TEST

START_TEST(a_store_brings_exactly_one_page)
{
	char *at = map_kind(kinds[_i], PAGES(64));

	memory_store(at + PAGES(20), 1, 5);
	ck_assert_uint_eq(memory_loaded(at), 1);
}
END_TEST

START_TEST(a_page_is_never_counted_twice)
{
	char *at = map_kind(kinds[_i], PAGES(8));

	memory_load(at + PAGES(3), 1);
	memory_store(at + PAGES(3), 1, 5);
	memory_load(at + PAGES(3), 1);
	ck_assert_uint_eq(memory_loaded(at), 1);
}
END_TEST

START_TEST(each_first_touch_counts_one)
{
	char *at = map_kind(kinds[_i], PAGES(32));

	for (size_t i = 0; i < 32; i++) {
		size_t page = i * 13 % 32;

		memory_load(at + PAGES(page), 1);
		ck_assert_uint_eq(memory_loaded(at), i + 1);
	}
}
END_TEST

START_TEST(anonymous_memory_is_zeros)
{
	char *at = map_kind(kinds[2 + _i], PAGES(8));

	ck_assert(pattern_zeros(at, PAGES(8)));
}
END_TEST

START_TEST(a_file_shows_each_byte_in_its_place)
{
	char *at = map_kind(kinds[_i], PAGES(8));

	ck_assert(pattern_holds(at, PAGES(8), 3, 0));
}
END_TEST

START_TEST(past_the_end_of_the_file_are_zeros)
{
	int fd = file_with(3, PAGE + 100);
	char *at = memory_wmap(NULL, PAGES(4), kinds[_i], fd);

	ck_assert(pattern_holds(at, PAGE + 100, 3, 0));
	ck_assert(pattern_zeros(at + PAGE + 100, PAGES(3) - 100));
}
END_TEST

START_TEST(an_empty_file_is_zeros)
{
	char *at = memory_wmap(NULL, PAGES(2), kinds[_i], file_empty());

	ck_assert(pattern_zeros(at, PAGES(2)));
	ck_assert_uint_eq(memory_loaded(at), 2);
}
END_TEST

START_TEST(a_second_mapping_of_a_file_starts_at_zero)
{
	int fd = file_with(3, PAGES(8));
	char *first = memory_wmap(NULL, PAGES(8), WMAP_SHARED, fd);
	char *second;

	memory_load(first, 8);
	second = memory_wmap(NULL, PAGES(8), kinds[_i], fd);
	ck_assert_uint_eq(memory_loaded(second), 0);
	ck_assert_uint_eq(memory_loaded(first), 8);
}
END_TEST

START_TEST(a_page_that_another_mapping_brought_counts_when_touched_here)
{
	int fd = file_with(3, PAGES(8));
	char *first = memory_wmap(NULL, PAGES(8), WMAP_SHARED, fd);
	char *second = memory_wmap(NULL, PAGES(8), kinds[_i], fd);

	memory_load(first, 8);
	memory_load(second + PAGES(5), 1);
	ck_assert_uint_eq(memory_loaded(second), 1);
	memory_store(second + PAGES(6), 1, 7);
	ck_assert_uint_eq(memory_loaded(second), 2);
}
END_TEST

START_TEST(two_shared_mappings_of_a_file_show_one_memory)
{
	int fd = file_with(3, PAGES(2));
	char *first = memory_wmap(NULL, PAGES(2), WMAP_SHARED, fd);
	char *second = memory_wmap(NULL, PAGES(2), WMAP_SHARED, fd);

	first[10] = 'x';
	ck_assert_int_eq(second[10], 'x');
	second[PAGE + 10] = 'y';
	ck_assert_int_eq(first[PAGE + 10], 'y');
}
END_TEST

START_TEST(a_private_mapping_keeps_its_stores_to_itself)
{
	int fd = file_with(3, PAGES(2));
	char *shared = memory_wmap(NULL, PAGES(2), WMAP_SHARED, fd);
	char *own = memory_wmap(NULL, PAGES(2), WMAP_PRIVATE, fd);

	memset(own, 'p', PAGES(2));
	ck_assert(pattern_holds(shared, PAGES(2), 3, 0));
}
END_TEST

START_TEST(the_descriptor_may_be_closed)
{
	int fd = file_with(3, PAGES(4));
	char *at = memory_wmap(NULL, PAGES(4), kinds[_i], fd);

	close(fd);
	ck_assert(pattern_holds(at, PAGES(4), 3, 0));
}
END_TEST

START_TEST(the_descriptor_may_be_reused_for_another_file)
{
	int other = file_with(9, PAGES(4));
	int fd = file_with(3, PAGES(4));
	char *at = memory_wmap(NULL, PAGES(4), kinds[_i], fd);

	ck_assert_int_eq(dup2(other, fd), fd);
	ck_assert(pattern_holds(at, PAGES(4), 3, 0));
}
END_TEST

START_TEST(the_file_offset_is_neither_used_nor_moved)
{
	int fd = file_with(3, PAGES(4));
	char *at;

	lseek(fd, 1234, SEEK_SET);
	at = memory_wmap(NULL, PAGES(4), WMAP_SHARED, fd);
	ck_assert(pattern_holds(at, PAGES(4), 3, 0));
	memory_store(at, 4, 1);
	ck_assert_int_eq(wunmap(at), 0);
	ck_assert_int_eq(lseek(fd, 0, SEEK_CUR), 1234);
}
END_TEST

START_TEST(read_into_an_untouched_page_is_a_touch)
{
	int from = file_with(5, PAGE);
	char *at = map_kind(kinds[_i], PAGES(4));

	ck_assert_int_eq(read(from, at + PAGES(2), 100), 100);
	ck_assert(pattern_holds(at + PAGES(2), 100, 5, 0));
	ck_assert_uint_eq(memory_loaded(at), 1);
}
END_TEST

START_TEST(write_from_an_untouched_page_is_a_touch)
{
	char *at = map_kind(kinds[_i], PAGES(4));
	int to = file_empty();

	ck_assert_int_eq(write(to, at + PAGES(2), 100), 100);
	ck_assert(file_has(to, 0, at + PAGES(2), 100));
	ck_assert_uint_eq(memory_loaded(at), 1);
}
END_TEST

/* Four pages with free ones around: what is beside a mapping whose address was
   chosen may be anything. */
static char *map_alone(void *kind)
{
	char *at = memory_free_range(PAGES(12)) + PAGES(4);
	int flags = *(const int *)kind;
	int fd = flags & WMAP_ANONYMOUS ? -1 : file_with(3, PAGES(4));

	return memory_wmap(at, PAGES(4), flags, fd);
}

static void touch_below(void *kind)
{
	memory_load(map_alone(kind) - 1, 1);
}

static void touch_above(void *kind)
{
	memory_load(map_alone(kind) + PAGES(4), 1);
}

static void touch_unmapped(void *kind)
{
	char *at = map_alone(kind);

	memory_load(at, 4);
	wunmap(at);
	memory_load(at, 1);
}

START_TEST(a_touch_outside_kills_the_process)
{
	int kind = kinds[_i];

	process_dies(SIGSEGV, touch_below, &kind);
	process_dies(SIGSEGV, touch_above, &kind);
	process_dies(SIGSEGV, touch_unmapped, &kind);
}
END_TEST

int main(void)
{
	TCase *facts = facts_case("course: loading", 30);

	tcase_add_loop_test(facts, mapping_loads_nothing, 0, 4);
	tcase_add_loop_test(facts, a_load_brings_exactly_one_page, 0, 4);
	tcase_add_loop_test(facts, a_store_brings_exactly_one_page, 0, 4);
	tcase_add_loop_test(facts, a_page_is_never_counted_twice, 0, 4);
	tcase_add_loop_test(facts, each_first_touch_counts_one, 0, 4);
	tcase_add_loop_test(facts, anonymous_memory_is_zeros, 0, 2);
	tcase_add_loop_test(facts, a_file_shows_each_byte_in_its_place, 0, 2);
	tcase_add_loop_test(facts, past_the_end_of_the_file_are_zeros, 0, 2);
	tcase_add_loop_test(facts, an_empty_file_is_zeros, 0, 2);
	tcase_add_loop_test(facts, a_second_mapping_of_a_file_starts_at_zero, 0,
			    2);
	tcase_add_loop_test(
		facts,
		a_page_that_another_mapping_brought_counts_when_touched_here, 0,
		2);
	tcase_add_test(facts, two_shared_mappings_of_a_file_show_one_memory);
	tcase_add_test(facts, a_private_mapping_keeps_its_stores_to_itself);
	tcase_add_loop_test(facts, the_descriptor_may_be_closed, 0, 2);
	tcase_add_loop_test(
		facts, the_descriptor_may_be_reused_for_another_file, 0, 2);
	tcase_add_test(facts, the_file_offset_is_neither_used_nor_moved);
	if (facts_possible(WMAP_FEATURE_KERNEL_FAULTS)) {
		tcase_add_loop_test(
			facts, read_into_an_untouched_page_is_a_touch, 0, 4);
		tcase_add_loop_test(
			facts, write_from_an_untouched_page_is_a_touch, 0, 4);
	}
	tcase_add_loop_test(facts, a_touch_outside_kills_the_process, 0, 4);
	return facts_run(facts);
}
