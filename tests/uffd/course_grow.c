/* SPDX-License-Identifier: MIT */
/*
 * The course's WMAP_GROWSUP: a touch of the page just above a mapping extends
 * it by that page, as long as one free page would remain below the next
 * mapping; any other touch outside is a segmentation fault.
 *
 * In the pictures, G is a page of the growing mapping, N one of the next, and
 * a dot a free one.
 */
#include "support.h"

#include <string.h>
#include <unistd.h>

#define ANON (WMAP_ANONYMOUS | WMAP_PRIVATE)

static const int kinds[] = {
	WMAP_SHARED,
	WMAP_PRIVATE,
	WMAP_SHARED | WMAP_ANONYMOUS,
	WMAP_PRIVATE | WMAP_ANONYMOUS,
};

/* One growing mapping at @area, of @length bytes of its own file. */
static void grow_at(char *area, size_t length, int kind)
{
	int fd = kind & WMAP_ANONYMOUS ? -1 : file_with(3, length);

	memory_wmap(area, length, kind | WMAP_GROWSUP, fd);
}

START_TEST(a_touch_just_above_extends_it_by_a_page)
{
	char *area = memory_free_range(PAGES(16));

	grow_at(area, PAGES(2), kinds[_i]);
	ck_assert_int_eq(process_load(area + PAGES(2)), 0);
	ck_assert_uint_eq(memory_info(area).length, PAGES(3));
	ck_assert_uint_eq(memory_loaded(area), 1);
}
END_TEST

START_TEST(it_grows_again_and_again)
{
	char *area = memory_free_range(PAGES(80));

	grow_at(area, PAGE, kinds[_i]);
	for (size_t i = 1; i < 64; i++)
		ck_assert_int_eq(process_store(area + PAGES(i), (char)i), 0);
	ck_assert_uint_eq(memory_info(area).length, PAGES(64));
	ck_assert_int_eq(area[PAGES(40)], 40);
	ck_assert_uint_eq(memory_loaded(area), 63);
}
END_TEST

START_TEST(a_grown_page_is_zeros)
{
	char *area = memory_free_range(PAGES(16));

	grow_at(area, PAGE, kinds[_i]);
	ck_assert(pattern_zeros(area + PAGE, PAGE));
}
END_TEST

START_TEST(a_grown_page_of_a_longer_file_is_the_files)
{
	char *area = memory_free_range(PAGES(16));

	memory_wmap(area, PAGE, kinds[_i] | WMAP_GROWSUP,
		    file_with(3, PAGES(3)));
	ck_assert(pattern_holds(area + PAGE, PAGE, 3, PAGE));
	ck_assert(pattern_holds(area + PAGES(2), PAGE, 3, PAGES(2)));
}
END_TEST

START_TEST(a_touch_two_pages_above_is_a_segmentation_fault)
{
	char *area = memory_free_range(PAGES(16));

	grow_at(area, PAGE, kinds[_i]);
	ck_assert_int_eq(process_load(area + PAGES(2)), SIGSEGV);
	ck_assert_uint_eq(memory_info(area).length, PAGE);
}
END_TEST

START_TEST(a_touch_just_below_is_a_segmentation_fault)
{
	char *area = memory_free_range(PAGES(16)) + PAGES(4);

	grow_at(area, PAGE, kinds[_i]);
	ck_assert_int_eq(process_load(area - 1), SIGSEGV);
}
END_TEST

START_TEST(a_mapping_without_the_flag_does_not_grow)
{
	char *area = memory_free_range(PAGES(16));

	memory_wmap(area, PAGE, ANON, -1);
	ck_assert_int_eq(process_load(area + PAGE), SIGSEGV);
	ck_assert_uint_eq(memory_info(area).length, PAGE);
}
END_TEST

START_TEST(one_free_page_remains_below_the_next_mapping)
{
	char *area = memory_free_range(PAGES(16));

	/* G...N grows to GGG.N */
	grow_at(area, PAGE, kinds[_i]);
	memory_wmap(area + PAGES(4), PAGE, ANON, -1);
	ck_assert_int_eq(process_store(area + PAGE, 1), 0);
	ck_assert_int_eq(process_store(area + PAGES(2), 1), 0);
	ck_assert_int_eq(process_store(area + PAGES(3), 1), SIGSEGV);
	ck_assert_uint_eq(memory_info(area).length, PAGES(3));
}
END_TEST

START_TEST(with_one_free_page_above_it_does_not_grow)
{
	char *area = memory_free_range(PAGES(16));

	/* G.N */
	memory_wmap(area + PAGES(2), PAGE, ANON, -1);
	grow_at(area, PAGE, kinds[_i]);
	ck_assert_int_eq(process_load(area + PAGE), SIGSEGV);
	ck_assert_int_eq(process_load(area), 0);
}
END_TEST

START_TEST(it_resumes_when_the_next_mapping_is_gone)
{
	char *area = memory_free_range(PAGES(16));

	grow_at(area, PAGE, kinds[_i]);
	memory_wmap(area + PAGES(2), PAGE, ANON, -1);
	ck_assert_int_eq(process_load(area + PAGE), SIGSEGV);
	ck_assert_int_eq(wunmap(area + PAGES(2)), 0);
	ck_assert_int_eq(process_load(area + PAGE), 0);
	ck_assert_int_eq(process_load(area + PAGES(2)), 0);
	ck_assert_uint_eq(memory_info(area).length, PAGES(3));
}
END_TEST

START_TEST(creating_one_needs_a_free_page_above)
{
	char *area = memory_free_range(PAGES(16));

	memory_wmap(area + PAGES(1), PAGE, ANON, -1);
	ck_assert_ptr_eq(wmap(area, PAGE, ANON | WMAP_FIXED | WMAP_GROWSUP, -1),
			 WMAP_FAILED);
	ck_assert_int_eq(errno, EEXIST);
	ck_assert_int_eq(process_load(area), SIGSEGV);
}
END_TEST

START_TEST(a_mapping_may_be_put_just_above_one_that_grows)
{
	char *area = memory_free_range(PAGES(16));

	grow_at(area, PAGE, kinds[_i]);
	memory_wmap(area + PAGE, PAGE, ANON, -1);
	ck_assert_int_eq(process_store(area + PAGE, 'N'), 0);
	ck_assert_uint_eq(memory_info(area).length, PAGE);
	ck_assert_uint_eq(memory_loaded(area + PAGE), 1);
}
END_TEST

START_TEST(a_growing_mapping_is_not_put_below_another_without_room)
{
	char *at[32];

	for (size_t i = 0; i < COUNT(at); i++)
		at[i] = memory_wmap(NULL, PAGE, ANON | WMAP_GROWSUP, -1);
	for (size_t i = 0; i < COUNT(at); i++)
		for (size_t j = 0; j < COUNT(at); j++)
			ck_assert(at[j] != at[i] + PAGE);
}
END_TEST

START_TEST(one_whose_address_was_chosen_grows)
{
	char *at = memory_wmap(NULL, PAGE, kinds[2 + _i] | WMAP_GROWSUP, -1);

	ck_assert_int_eq(process_store(at + PAGE, 1), 0);
	ck_assert_int_eq(process_store(at + PAGES(2), 1), 0);
}
END_TEST

START_TEST(the_file_becomes_as_long_as_the_grown_pages)
{
	char *area = memory_free_range(PAGES(16));
	int fd = file_with(3, 100);

	memory_wmap(area, 100, WMAP_SHARED | WMAP_GROWSUP, fd);
	area[PAGE + 5] = 'a';
	area[PAGES(2) + 6] = 'b';
	ck_assert_int_eq(wunmap(area), 0);
	ck_assert_uint_eq(file_length(fd), PAGES(3));
	ck_assert(file_holds(fd, 3, 0, 100));
	ck_assert(file_has(fd, PAGE + 5, "a", 1));
	ck_assert(file_has(fd, PAGES(2) + 6, "b", 1));
}
END_TEST

START_TEST(so_it_does_by_pages_that_are_only_read)
{
	char *area = memory_free_range(PAGES(16));
	int fd = file_with(3, 100);

	memory_wmap(area, 100, WMAP_SHARED | WMAP_GROWSUP, fd);
	ck_assert_int_eq(process_load(area + PAGE), 0);
	ck_assert_int_eq(process_load(area + PAGES(2)), 0);
	ck_assert_int_eq(wunmap(area), 0);
	ck_assert_uint_eq(file_length(fd), PAGES(3));
}
END_TEST

START_TEST(a_private_one_leaves_the_file_as_long_as_it_was)
{
	char *area = memory_free_range(PAGES(16));
	int fd = file_with(3, 100);

	memory_wmap(area, 100, WMAP_PRIVATE | WMAP_GROWSUP, fd);
	area[PAGE] = 'a';
	ck_assert_int_eq(wunmap(area), 0);
	ck_assert_uint_eq(file_length(fd), 100);
}
END_TEST

START_TEST(the_whole_grown_mapping_is_unmapped)
{
	char *area = memory_free_range(PAGES(16));

	grow_at(area, PAGE, kinds[_i]);
	memory_store(area, 4, 1);
	ck_assert_int_eq(wunmap(area), 0);
	for (size_t i = 0; i < 5; i++)
		ck_assert_int_eq(process_load(area + PAGES(i)), SIGSEGV);
}
END_TEST

START_TEST(a_system_call_makes_it_grow)
{
	char *area = memory_free_range(PAGES(16));

	grow_at(area, PAGE, kinds[_i]);
	ck_assert_int_eq(read(file_with(5, PAGE), area + PAGE, 64), 64);
	ck_assert(pattern_holds(area + PAGE, 64, 5, 0));
	ck_assert_uint_eq(memory_info(area).length, PAGES(2));
}
END_TEST

static void touch_far_above(void *arg)
{
	char *area = memory_free_range(PAGES(16));

	(void)arg;
	memory_wmap(area, PAGE, ANON | WMAP_GROWSUP, -1);
	memory_load(area + PAGES(2), 1);
}

START_TEST(a_touch_that_does_not_extend_kills)
{
	process_dies(SIGSEGV, touch_far_above, NULL);
}
END_TEST

int main(void)
{
	TCase *facts = facts_case("course: growing", 30);

	tcase_add_loop_test(facts, a_touch_just_above_extends_it_by_a_page, 0,
			    4);
	tcase_add_loop_test(facts, it_grows_again_and_again, 0, 4);
	tcase_add_loop_test(facts, a_grown_page_is_zeros, 0, 4);
	tcase_add_loop_test(facts, a_grown_page_of_a_longer_file_is_the_files,
			    0, 2);
	tcase_add_loop_test(
		facts, a_touch_two_pages_above_is_a_segmentation_fault, 0, 4);
	tcase_add_loop_test(facts, a_touch_just_below_is_a_segmentation_fault,
			    0, 4);
	tcase_add_test(facts, a_mapping_without_the_flag_does_not_grow);
	tcase_add_loop_test(facts, one_free_page_remains_below_the_next_mapping,
			    0, 4);
	tcase_add_loop_test(facts, with_one_free_page_above_it_does_not_grow, 0,
			    4);
	tcase_add_loop_test(facts, it_resumes_when_the_next_mapping_is_gone, 0,
			    4);
	tcase_add_test(facts, creating_one_needs_a_free_page_above);
	tcase_add_loop_test(
		facts, a_mapping_may_be_put_just_above_one_that_grows, 0, 4);
	tcase_add_test(facts,
		       a_growing_mapping_is_not_put_below_another_without_room);
	tcase_add_loop_test(facts, one_whose_address_was_chosen_grows, 0, 2);
	tcase_add_test(facts, the_file_becomes_as_long_as_the_grown_pages);
	tcase_add_test(facts, so_it_does_by_pages_that_are_only_read);
	tcase_add_test(facts, a_private_one_leaves_the_file_as_long_as_it_was);
	tcase_add_loop_test(facts, the_whole_grown_mapping_is_unmapped, 0, 4);
	if (facts_possible(WMAP_FEATURE_KERNEL_FAULTS))
		tcase_add_loop_test(facts, a_system_call_makes_it_grow, 0, 4);
	tcase_add_test(facts, a_touch_that_does_not_extend_kills);
	return facts_run(facts);
}
