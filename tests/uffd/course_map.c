/* SPDX-License-Identifier: MIT */
/*
 * The course's wmap: where a mapping may lie, and how many there may be
 *
 * Most tests draw in a free area: the letters of a picture are its pages.
 */
#include "support.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define ANON	    (WMAP_ANONYMOUS | WMAP_PRIVATE)
#define ANON_SHARED (WMAP_ANONYMOUS | WMAP_SHARED)

START_TEST(a_mapping_is_readable_and_writable)
{
	char *at = memory_wmap(NULL, PAGE, ANON, -1);

	*at = 7;
	ck_assert_int_eq(*at, 7);
}
END_TEST

START_TEST(an_anonymous_mapping_ignores_its_descriptor)
{
	int fd = file_with(1, PAGE);
	char *with_file = memory_wmap(NULL, PAGE, ANON_SHARED, fd);
	char *with_none = memory_wmap(NULL, PAGE, ANON_SHARED, -12345);

	ck_assert(pattern_zeros(with_file, PAGE));
	ck_assert(pattern_zeros(with_none, PAGE));
}
END_TEST

static void *const ignored[] = { NULL, (void *)-1, (void *)12345,
				 (void *)PAGE };

START_TEST(without_fixed_the_address_is_ignored)
{
	char *at = wmap(ignored[_i], PAGE, ANON, -1);

	ck_assert_ptr_ne(at, WMAP_FAILED);
	ck_assert_uint_eq((uintptr_t)at % PAGE, 0);
	ck_assert(pattern_zeros(at, PAGE));
}
END_TEST

START_TEST(fixed_maps_exactly_there)
{
	char *area = memory_free_range(PAGES(4));

	ck_assert_ptr_eq(wmap(area, PAGES(4), ANON | WMAP_FIXED, -1), area);
}
END_TEST

/* ......BBBB...... and what is tried beside it */
static const struct placing {
	unsigned first, pages;
	bool legal;
} placings[] = {
	{ 2, 4, true },	  /* ends where it begins */
	{ 10, 4, true },  /* begins where it ends */
	{ 2, 5, false },  /* starts below, runs over its first page */
	{ 2, 14, false }, /* starts below, runs over all of it */
	{ 7, 1, false },  /* inside */
	{ 6, 4, false },  /* the same */
	{ 9, 4, false },  /* starts in its last page */
};

/* Map B, then try @placing; @tail takes bytes off the last page. */
static void *place(const struct placing *placing, char *area, size_t tail)
{
	memory_wmap(area + PAGES(6), PAGES(4) - tail, ANON, -1);
	return wmap(area + PAGES(placing->first), PAGES(placing->pages) - tail,
		    ANON | WMAP_FIXED, -1);
}

START_TEST(a_fixed_mapping_never_lies_over_another)
{
	char *area = memory_free_range(PAGES(16));
	const struct placing *placing = &placings[_i];
	void *at = place(placing, area, 0);

	ck_assert_int_eq(at != WMAP_FAILED, placing->legal);
	ck_assert(placing->legal || errno == EEXIST);
}
END_TEST

START_TEST(overlap_counts_in_whole_pages)
{
	char *area = memory_free_range(PAGES(16));
	const struct placing *placing = &placings[_i];

	ck_assert_int_eq(place(placing, area, PAGE - 1) != WMAP_FAILED,
			 placing->legal);
}
END_TEST

START_TEST(a_refused_overlap_changes_nothing)
{
	char *area = memory_free_range(PAGES(16));

	memory_wmap(area + PAGES(6), PAGES(4), ANON, -1);
	memset(area + PAGES(6), 'B', PAGES(4));
	wmap(area + PAGES(2), PAGES(5), ANON | WMAP_FIXED, -1);
	ck_assert_int_eq(area[PAGES(6)], 'B');
	ck_assert_uint_eq(memory_loaded(area + PAGES(6)), 4);
	ck_assert_int_eq(process_load(area + PAGES(2)), SIGSEGV);
}
END_TEST

START_TEST(fixed_does_not_lie_over_memory_that_is_not_wmaps)
{
	char *plain = mmap(NULL, PAGES(2), READ_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	*plain = 5;
	ck_assert_ptr_eq(wmap(plain, PAGE, ANON | WMAP_FIXED, -1), WMAP_FAILED);
	ck_assert_int_eq(errno, EEXIST);
	ck_assert_int_eq(*plain, 5);
}
END_TEST

START_TEST(adjacent_mappings_stay_separate)
{
	char *area = memory_free_range(PAGES(4));
	struct wmapinfo info;

	memory_wmap(area + PAGES(2), PAGES(2), ANON, -1);
	memory_wmap(area, PAGES(2), ANON, -1);
	ck_assert_int_eq(getwmapinfo(&info), 0);
	ck_assert_int_eq(info.total_mmaps, 2);
	ck_assert_int_eq(wunmap(area), 0);
	ck_assert_int_eq(process_load(area + PAGES(2)), 0);
}
END_TEST

START_TEST(the_place_of_an_unmapped_mapping_is_free_again)
{
	char *at = memory_wmap(NULL, PAGES(4), ANON, -1);

	memset(at, 1, PAGES(4));
	ck_assert_int_eq(wunmap(at), 0);
	ck_assert_ptr_eq(wmap(at, PAGES(4), ANON | WMAP_FIXED, -1), at);
	ck_assert(pattern_zeros(at, PAGES(4)));
}
END_TEST

START_TEST(chosen_places_do_not_overlap)
{
	char *at[64];

	for (unsigned i = 0; i < COUNT(at); i++) {
		at[i] = memory_wmap(NULL, PAGE + i, ANON, -1);
		memset(at[i], (int)i, PAGE + i);
	}
	for (unsigned i = 0; i < COUNT(at); i++)
		ck_assert_int_eq(at[i][PAGE + i - 1], (int)i);
}
END_TEST

START_TEST(there_may_be_more_than_sixteen)
{
	struct wmapinfo info;

	for (int i = 0; i < 40; i++)
		memory_wmap(NULL, PAGE, i % 2 ? ANON : ANON_SHARED, -1);
	ck_assert_int_eq(getwmapinfo(&info), 0);
	ck_assert_int_eq(info.total_mmaps, 40);
}
END_TEST

START_TEST(a_file_opened_read_only_may_be_private)
{
	int fd = file_reopen(file_with(1, PAGE), O_RDONLY);
	char *at = memory_wmap(NULL, PAGE, WMAP_PRIVATE, fd);

	at[1] = 9;
	ck_assert_int_eq(at[1], 9);
	ck_assert(at[2] == (char)pattern_byte(1, 2));
}
END_TEST

int main(void)
{
	TCase *facts = facts_case("course: mapping", 30);

	tcase_add_test(facts, a_mapping_is_readable_and_writable);
	tcase_add_test(facts, an_anonymous_mapping_ignores_its_descriptor);
	tcase_add_loop_test(facts, without_fixed_the_address_is_ignored, 0,
			    COUNT(ignored));
	tcase_add_test(facts, fixed_maps_exactly_there);
	tcase_add_loop_test(facts, a_fixed_mapping_never_lies_over_another, 0,
			    COUNT(placings));
	tcase_add_loop_test(facts, overlap_counts_in_whole_pages, 0,
			    COUNT(placings));
	tcase_add_test(facts, a_refused_overlap_changes_nothing);
	tcase_add_test(facts, fixed_does_not_lie_over_memory_that_is_not_wmaps);
	tcase_add_test(facts, adjacent_mappings_stay_separate);
	tcase_add_test(facts, the_place_of_an_unmapped_mapping_is_free_again);
	tcase_add_test(facts, chosen_places_do_not_overlap);
	tcase_add_test(facts, there_may_be_more_than_sixteen);
	tcase_add_test(facts, a_file_opened_read_only_may_be_private);
	return facts_run(facts);
}
