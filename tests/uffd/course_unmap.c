/* SPDX-License-Identifier: MIT */
/*
 * The course's wunmap, and what reaches the file: the pages that were loaded,
 * each at its own offset, never beyond the mapping's length; at unmapping and
 * at exit; never from a private mapping.
 */
#include "support.h"

#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define ANON (WMAP_ANONYMOUS | WMAP_PRIVATE)

START_TEST(only_the_exact_start_is_accepted)
{
	static const size_t wrong[] = { 1, PAGE, PAGES(3), PAGES(4) };
	char *at = memory_wmap(NULL, PAGES(4), ANON, -1);

	ck_assert_int_eq(wunmap(at + wrong[_i]), -1);
	ck_assert_int_eq(errno, EINVAL);
	ck_assert_int_eq(process_store(at, 1), 0);
}
END_TEST

START_TEST(the_whole_mapping_goes)
{
	char *at = memory_wmap(NULL, PAGES(4), ANON, -1);
	struct wmapinfo info;

	memory_store(at, 3, 1);
	ck_assert_int_eq(wunmap(at), 0);
	ck_assert_int_eq(process_load(at), SIGSEGV);
	ck_assert_int_eq(process_load(at + PAGES(3)), SIGSEGV);
	getwmapinfo(&info);
	ck_assert_int_eq(info.total_mmaps, 0);
}
END_TEST

START_TEST(a_mapping_is_unmapped_once)
{
	char *at = memory_wmap(NULL, PAGE, ANON, -1);

	ck_assert_int_eq(wunmap(at), 0);
	ck_assert_int_eq(wunmap(at), -1);
	ck_assert_int_eq(errno, EINVAL);
}
END_TEST

START_TEST(a_store_is_in_the_file_after_unmapping)
{
	int fd = file_with(3, PAGES(4));
	char *at = memory_wmap(NULL, PAGES(4), WMAP_SHARED, fd);

	pattern_fill(at, PAGES(4), 8, 0);
	ck_assert_int_eq(wunmap(at), 0);
	ck_assert(file_holds(fd, 8, 0, PAGES(4)));
}
END_TEST

START_TEST(sparse_stores_reach_their_own_offsets)
{
	int fd = file_with(3, PAGES(64));
	char *at = memory_wmap(NULL, PAGES(64), WMAP_SHARED, fd);

	at[PAGES(5) + 17] = 'a';
	at[PAGES(40) + 4095] = 'b';
	ck_assert_int_eq(wunmap(at), 0);
	ck_assert(file_has(fd, PAGES(5) + 17, "a", 1));
	ck_assert(file_has(fd, PAGES(40) + 4095, "b", 1));
	ck_assert(file_holds(fd, 3, 0, PAGES(5) + 17));
	ck_assert(file_holds(fd, 3, PAGES(5) + 18, PAGES(35) - 18 + 4095));
	ck_assert(file_holds(fd, 3, PAGES(41), PAGES(23)));
}
END_TEST

START_TEST(a_page_that_was_not_touched_is_not_written)
{
	int fd = file_with(3, PAGES(4));
	char *at = memory_wmap(NULL, PAGES(4), WMAP_SHARED, fd);
	char behind = 'z';

	memory_store(at + PAGE, 1, 1);
	ck_assert_int_eq(pwrite(fd, &behind, 1, PAGES(3)), 1);
	ck_assert_int_eq(wunmap(at), 0);
	ck_assert(file_has(fd, PAGES(3), &behind, 1));
}
END_TEST

START_TEST(the_file_does_not_grow_to_a_page_multiple)
{
	int fd = file_with(3, PAGE + 100);
	char *at = memory_wmap(NULL, PAGE + 100, WMAP_SHARED, fd);

	memset(at, 'w', PAGES(2));
	ck_assert_int_eq(wunmap(at), 0);
	ck_assert_uint_eq(file_length(fd), PAGE + 100);
	ck_assert(file_has(fd, PAGE + 99, "w", 1));
}
END_TEST

START_TEST(nothing_beyond_the_length_is_written)
{
	int fd = file_with(3, PAGES(4));
	char *at = memory_wmap(NULL, PAGE + 100, WMAP_SHARED, fd);

	memset(at, 'w', PAGES(2));
	ck_assert_int_eq(wunmap(at), 0);
	ck_assert(file_has(fd, PAGE + 99, "w", 1));
	ck_assert(file_holds(fd, 3, PAGE + 100, PAGES(3) - 100));
	ck_assert_uint_eq(file_length(fd), PAGES(4));
}
END_TEST

START_TEST(the_file_grows_up_to_the_length_when_stored_there)
{
	int fd = file_with(3, 10);
	char *at = memory_wmap(NULL, PAGE + 100, WMAP_SHARED, fd);

	at[PAGE + 50] = 'g';
	ck_assert_int_eq(wunmap(at), 0);
	ck_assert_uint_eq(file_length(fd), PAGE + 100);
	ck_assert(file_has(fd, PAGE + 50, "g", 1));
	ck_assert(file_holds(fd, 3, 0, 10));
	ck_assert(file_zeros(fd, 10, PAGE + 40));
}
END_TEST

START_TEST(the_file_grows_no_further_than_the_page_stored_to)
{
	int fd = file_empty();
	char *at = memory_wmap(NULL, PAGES(4), WMAP_SHARED, fd);

	at[20] = 'g';
	ck_assert_int_eq(wunmap(at), 0);
	ck_assert_uint_gt(file_length(fd), 20);
	ck_assert_uint_le(file_length(fd), PAGE);
}
END_TEST

START_TEST(loads_past_the_end_do_not_make_a_file_longer)
{
	int fd = file_with(3, 10);
	char *at = memory_wmap(NULL, PAGES(4), WMAP_SHARED, fd);

	memory_load(at, 4);
	ck_assert_int_eq(wunmap(at), 0);
	ck_assert_uint_eq(file_length(fd), 10);
}
END_TEST

START_TEST(two_mappings_of_different_length_both_reach_the_file)
{
	int fd = file_with(3, 10);
	char *small = memory_wmap(NULL, 50, WMAP_SHARED, fd);
	char *large = memory_wmap(NULL, PAGES(2), WMAP_SHARED, fd);

	small[40] = 's';
	large[PAGE + 7] = 'l';
	ck_assert_int_eq(wunmap(large), 0);
	ck_assert_int_eq(wunmap(small), 0);
	ck_assert(file_has(fd, 40, "s", 1));
	ck_assert(file_has(fd, PAGE + 7, "l", 1));
}
END_TEST

START_TEST(private_changes_never_reach_the_file)
{
	int fd = file_with(3, PAGE + 100);
	char *at = memory_wmap(NULL, PAGES(2), WMAP_PRIVATE, fd);

	memset(at, 'p', PAGES(2));
	ck_assert_int_eq(wunmap(at), 0);
	ck_assert(file_holds(fd, 3, 0, PAGE + 100));
	ck_assert_uint_eq(file_length(fd), PAGE + 100);
}
END_TEST

START_TEST(a_closed_descriptor_does_not_hinder_writing_back)
{
	int fd = file_with(3, PAGES(2));
	int mapped = dup(fd);
	char *at = memory_wmap(NULL, PAGES(2), WMAP_SHARED, mapped);

	memset(at, 'c', PAGES(2));
	close(mapped);
	ck_assert_int_eq(wunmap(at), 0);
	ck_assert(file_has(fd, PAGES(2) - 1, "c", 1));
}
END_TEST

START_TEST(a_reused_descriptor_is_not_written_to)
{
	int fd = file_with(3, PAGE), other = file_with(9, PAGE);
	int mapped = dup(fd);
	char *at = memory_wmap(NULL, PAGE, WMAP_SHARED, mapped);

	memset(at, 'c', PAGE);
	dup2(other, mapped);
	ck_assert_int_eq(wunmap(at), 0);
	ck_assert(file_has(fd, 0, "c", 1));
	ck_assert(file_holds(other, 9, 0, PAGE));
}
END_TEST

START_TEST(a_new_mapping_sees_what_the_old_one_stored)
{
	int fd = file_with(3, PAGES(2));
	char *at = memory_wmap(NULL, PAGES(2), WMAP_SHARED, fd);

	memset(at, 'n', PAGES(2));
	ck_assert_int_eq(wunmap(at), 0);
	at = memory_wmap(NULL, PAGES(2), WMAP_PRIVATE, fd);
	ck_assert_int_eq(at[PAGE + 5], 'n');
}
END_TEST

static void store_and_exit(void *fd)
{
	char *at = memory_wmap(NULL, PAGES(4), WMAP_SHARED, *(int *)fd);

	at[PAGES(2) + 9] = 'e';
	at[3] = 'f';
}

START_TEST(exit_writes_back)
{
	int fd = file_with(3, PAGES(3) + 5);

	ck_assert_int_eq(process_child(store_and_exit, &fd), 0);
	ck_assert(file_has(fd, PAGES(2) + 9, "e", 1));
	ck_assert(file_has(fd, 3, "f", 1));
	ck_assert(file_holds(fd, 3, PAGE, PAGE));
	ck_assert_uint_eq(file_length(fd), PAGES(3) + 5);
}
END_TEST

static void store_privately_and_exit(void *fd)
{
	memset(memory_wmap(NULL, PAGES(4), WMAP_PRIVATE, *(int *)fd), 'p',
	       PAGES(4));
}

START_TEST(exit_writes_nothing_private_back)
{
	int fd = file_with(3, PAGES(4));

	ck_assert_int_eq(process_child(store_privately_and_exit, &fd), 0);
	ck_assert(file_holds(fd, 3, 0, PAGES(4)));
}
END_TEST

int main(void)
{
	TCase *facts = facts_case("course: unmapping", 30);

	tcase_add_loop_test(facts, only_the_exact_start_is_accepted, 0, 4);
	tcase_add_test(facts, the_whole_mapping_goes);
	tcase_add_test(facts, a_mapping_is_unmapped_once);
	tcase_add_test(facts, a_store_is_in_the_file_after_unmapping);
	tcase_add_test(facts, sparse_stores_reach_their_own_offsets);
	tcase_add_test(facts, a_page_that_was_not_touched_is_not_written);
	tcase_add_test(facts, the_file_does_not_grow_to_a_page_multiple);
	tcase_add_test(facts, nothing_beyond_the_length_is_written);
	tcase_add_test(facts,
		       the_file_grows_up_to_the_length_when_stored_there);
	tcase_add_test(facts,
		       the_file_grows_no_further_than_the_page_stored_to);
	tcase_add_test(facts, loads_past_the_end_do_not_make_a_file_longer);
	tcase_add_test(facts,
		       two_mappings_of_different_length_both_reach_the_file);
	tcase_add_test(facts, private_changes_never_reach_the_file);
	tcase_add_test(facts, a_closed_descriptor_does_not_hinder_writing_back);
	tcase_add_test(facts, a_reused_descriptor_is_not_written_to);
	tcase_add_test(facts, a_new_mapping_sees_what_the_old_one_stored);
	tcase_add_test(facts, exit_writes_back);
	tcase_add_test(facts, exit_writes_nothing_private_back);
	return facts_run(facts);
}
