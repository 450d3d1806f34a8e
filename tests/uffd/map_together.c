/* SPDX-License-Identifier: MIT */
/*
 * Several mappings of one file in one process: they show one memory, as with
 * mmap(2), and every first store is known, whichever mapping makes it
 *
 * The trap: a page that mapping A brought is already there for mapping B, and
 * a kernel asked for missing pages alone says nothing when B stores to it.
 */
#include "support.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

static char *shared(int fd, size_t pages)
{
	return memory_map(PAGES(pages), READ_WRITE, WMAP_SHARED, fd, 0);
}

static char *private(int fd, size_t pages)
{
	return memory_map(PAGES(pages), READ_WRITE, WMAP_PRIVATE, fd, 0);
}

START_TEST(a_store_is_seen_in_both_directions)
{
	int fd = file_with(3, PAGES(4));
	char *a = shared(fd, 4), *b = shared(fd, 4);

	a[PAGE] = 'a';
	ck_assert_int_eq(b[PAGE], 'a');
	b[PAGES(2)] = 'b';
	ck_assert_int_eq(a[PAGES(2)], 'b');
}
END_TEST

START_TEST(a_store_to_a_page_that_the_other_brought_is_known)
{
	int fd = file_with(3, PAGES(4));
	char *a = shared(fd, 4), *b = shared(fd, 4);

	memory_load(a, 4);
	ck_assert_uint_eq(memory_info(b).dirty, 0);
	b[PAGES(2) + 5] = 'k';
	ck_assert_uint_eq(memory_info(b).dirty, 1);
	ck_assert_uint_eq(memory_info(a).dirty, 1);
	ck_assert_int_eq(wmap_sync(a, PAGES(4), WMAP_SYNC_WAIT), 0);
	ck_assert(file_has(fd, PAGES(2) + 5, "k", 1));
	ck_assert_uint_eq(memory_info(b).dirty, 0);
}
END_TEST

START_TEST(so_is_one_to_a_page_that_a_private_mapping_brought)
{
	int fd = file_with(3, PAGES(4));
	char *a = private(fd, 4), *b = shared(fd, 4);

	memory_load(a, 4);
	b[PAGES(2) + 5] = 'k';
	ck_assert_uint_eq(memory_info(b).dirty, 1);
	ck_assert_int_eq(wmap_sync(b, PAGES(4), WMAP_SYNC_WAIT), 0);
	ck_assert(file_has(fd, PAGES(2) + 5, "k", 1));
}
END_TEST

START_TEST(so_is_one_to_a_page_that_a_read_only_mapping_brought)
{
	int fd = file_with(3, PAGES(4));
	int read_only = file_reopen(fd, O_RDONLY);
	char *a = memory_map(PAGES(4), PROT_READ, WMAP_SHARED, read_only, 0);
	char *b = shared(fd, 4);

	memory_load(a, 4);
	b[PAGES(2) + 5] = 'k';
	ck_assert_int_eq(a[PAGES(2) + 5], 'k');
	ck_assert_uint_eq(memory_info(b).dirty, 1);
	ck_assert_int_eq(wmap_unmap(b, PAGES(4)), 0);
	ck_assert(file_has(fd, PAGES(2) + 5, "k", 1));
}
END_TEST

START_TEST(so_is_one_after_the_other_mapping_synced)
{
	int fd = file_with(3, PAGES(4));
	char *a = shared(fd, 4), *b = shared(fd, 4);

	a[0] = '1';
	b[1] = '2';
	ck_assert_int_eq(wmap_sync(a, PAGES(4), WMAP_SYNC_WAIT), 0);
	b[1] = '3';
	ck_assert_uint_eq(memory_info(a).dirty, 1);
	ck_assert_int_eq(wmap_sync(a, PAGES(4), WMAP_SYNC_WAIT), 0);
	ck_assert(file_has(fd, 0, "13", 2));
}
END_TEST

START_TEST(so_is_one_by_a_system_call)
{
	int fd = file_with(3, PAGES(4)), from = file_with(5, PAGE);
	char *a = shared(fd, 4), *b = shared(fd, 4);

	memory_load(a, 4);
	ck_assert_int_eq(pread(from, b + PAGE, PAGE, 0), PAGE);
	ck_assert_uint_eq(memory_info(a).dirty, 1);
	ck_assert_int_eq(wmap_sync(a, PAGES(4), WMAP_SYNC_WAIT), 0);
	ck_assert(file_has(fd, PAGE, a + PAGE, PAGE));
	ck_assert(pattern_holds(a + PAGE, PAGE, 5, 0));
}
END_TEST

START_TEST(a_store_outlives_the_mapping_that_made_it)
{
	int fd = file_with(3, PAGES(4));
	char *a = shared(fd, 4), *b = shared(fd, 4);

	a[PAGE] = 'o';
	ck_assert_int_eq(wmap_unmap(a, PAGES(4)), 0);
	ck_assert_int_eq(b[PAGE], 'o');
	ck_assert_int_eq(wmap_unmap(b, PAGES(4)), 0);
	ck_assert(file_has(fd, PAGE, "o", 1));
}
END_TEST

START_TEST(a_private_mapping_sees_shared_stores_until_it_stores_itself)
{
	int fd = file_with(3, PAGES(4));
	char *a = shared(fd, 4), *p = private(fd, 4);

	a[PAGE] = '1';
	ck_assert_int_eq(p[PAGE], '1');
	a[PAGE] = '2';
	ck_assert_int_eq(p[PAGE], '2');
	p[PAGE + 1] = 'p';
	a[PAGE] = '3';
	ck_assert_int_eq(p[PAGE], '2');
	ck_assert(a[PAGE + 1] == (char)pattern_byte(3, PAGE + 1));
}
END_TEST

START_TEST(a_private_store_keeps_the_rest_of_its_page)
{
	int fd = file_with(3, PAGES(4));
	char *a = shared(fd, 4), *p = private(fd, 4);

	if (_i)
		memory_load(a, 4);
	p[PAGE] = 'p';
	ck_assert(pattern_holds(p + PAGE + 1, PAGE - 1, 3, PAGE + 1));
	ck_assert(pattern_holds(a, PAGES(4), 3, 0));
}
END_TEST

START_TEST(private_mappings_do_not_see_each_other)
{
	int fd = file_with(3, PAGES(4));
	char *p = private(fd, 4), *q = private(fd, 4);

	memset(p, 'p', PAGES(4));
	ck_assert(pattern_holds(q, PAGES(4), 3, 0));
	memset(q, 'q', PAGES(4));
	ck_assert_int_eq(p[PAGES(4) - 1], 'p');
}
END_TEST

START_TEST(overlapping_parts_of_a_file_show_one_memory)
{
	int fd = file_with(3, PAGES(8));
	char *a = shared(fd, 6);
	char *b = memory_map(PAGES(4), READ_WRITE, WMAP_SHARED, fd,
			     (off_t)PAGES(4));

	a[PAGES(5) + 3] = 'x';
	ck_assert_int_eq(b[PAGE + 3], 'x');
	ck_assert(pattern_holds(b + PAGES(2), PAGES(2), 3, PAGES(6)));
}
END_TEST

START_TEST(another_descriptor_of_the_file_is_the_same_file)
{
	int fd = file_with(3, PAGES(2));
	char *a = shared(fd, 2), *b = shared(file_reopen(fd, O_RDWR), 2);

	a[9] = 's';
	ck_assert_int_eq(b[9], 's');
}
END_TEST

START_TEST(the_courses_and_the_full_calls_show_one_memory)
{
	int fd = file_with(3, PAGES(2));
	char *a = shared(fd, 2),
	     *b = memory_wmap(NULL, PAGES(2), WMAP_SHARED, fd);

	a[9] = 's';
	ck_assert_int_eq(b[9], 's');
	b[PAGE] = 't';
	ck_assert_int_eq(wunmap(b), 0);
	ck_assert_int_eq(a[PAGE], 't');
}
END_TEST

START_TEST(shared_anonymous_memory_is_one_mappings_alone)
{
	const int flags = WMAP_SHARED | WMAP_ANONYMOUS;
	char *a = memory_map(PAGE, READ_WRITE, flags, -1, 0);
	char *b = memory_map(PAGE, READ_WRITE, flags, -1, 0);

	a[0] = 'a';
	ck_assert_int_eq(b[0], 0);
}
END_TEST

START_TEST(resident_counts_what_others_brought_and_loaded_does_not)
{
	int fd = file_with(3, PAGES(8));
	char *a = shared(fd, 8), *b = shared(fd, 8);

	wmap_advise(a, PAGES(8), WMAP_ADVICE_RANDOM);
	memory_load(a, 5);
	ck_assert_uint_eq(memory_info(b).resident, 5);
	ck_assert_uint_eq(memory_info(b).loaded, 0);
	ck_assert_uint_eq(memory_info(a).loaded, 5);
}
END_TEST

int main(void)
{
	TCase *facts = facts_case("mapping: several of one file", 30);

	tcase_add_test(facts, a_store_is_seen_in_both_directions);
	tcase_add_test(facts,
		       a_store_to_a_page_that_the_other_brought_is_known);
	tcase_add_test(facts,
		       so_is_one_to_a_page_that_a_private_mapping_brought);
	tcase_add_test(facts,
		       so_is_one_to_a_page_that_a_read_only_mapping_brought);
	tcase_add_test(facts, so_is_one_after_the_other_mapping_synced);
	if (facts_possible(WMAP_FEATURE_KERNEL_FAULTS))
		tcase_add_test(facts, so_is_one_by_a_system_call);
	tcase_add_test(facts, a_store_outlives_the_mapping_that_made_it);
	tcase_add_test(
		facts,
		a_private_mapping_sees_shared_stores_until_it_stores_itself);
	tcase_add_loop_test(facts, a_private_store_keeps_the_rest_of_its_page,
			    0, 2);
	tcase_add_test(facts, private_mappings_do_not_see_each_other);
	tcase_add_test(facts, overlapping_parts_of_a_file_show_one_memory);
	tcase_add_test(facts, another_descriptor_of_the_file_is_the_same_file);
	tcase_add_test(facts, the_courses_and_the_full_calls_show_one_memory);
	tcase_add_test(facts, shared_anonymous_memory_is_one_mappings_alone);
	tcase_add_test(facts,
		       resident_counts_what_others_brought_and_loaded_does_not);
	return facts_run(facts);
}
