/* SPDX-License-Identifier: MIT */
/*
 * The course's wremap: the old address and length must match a mapping
 * exactly; it shrinks in place, grows in place where there is room, and moves
 * only where it may and must.
 */
#include "support.h"

#include <string.h>

#define ANON (WMAP_ANONYMOUS | WMAP_PRIVATE)

static const int kinds[] = {
	WMAP_SHARED,
	WMAP_PRIVATE,
	WMAP_SHARED | WMAP_ANONYMOUS,
	WMAP_PRIVATE | WMAP_ANONYMOUS,
};

/* A mapping of @pages pages at @area whose bytes are all pattern 4. */
static void map_filled(char *area, size_t pages, int kind)
{
	int fd = kind & WMAP_ANONYMOUS ? -1 : file_with(3, PAGES(pages));

	memory_wmap(area, PAGES(pages), kind, fd);
	pattern_fill(area, PAGES(pages), 4, 0);
}

START_TEST(shrinking_is_in_place)
{
	char *area = memory_free_range(PAGES(16));

	map_filled(area, 8, kinds[_i]);
	ck_assert_ptr_eq(wremap(area, PAGES(8), PAGES(3), 0), area);
	ck_assert(pattern_holds(area, PAGES(3), 4, 0));
	ck_assert_int_eq(process_load(area + PAGES(3)), SIGSEGV);
	ck_assert_uint_eq(memory_loaded(area), 3);
	ck_assert_uint_eq(memory_info(area).length, PAGES(3));
}
END_TEST

START_TEST(shrinking_is_in_place_though_it_may_move)
{
	char *area = memory_free_range(PAGES(16));

	map_filled(area, 8, kinds[_i]);
	ck_assert_ptr_eq(wremap(area, PAGES(8), PAGES(3), WMAP_MAYMOVE), area);
}
END_TEST

static const int both[] = { 0, WMAP_MAYMOVE };

START_TEST(growing_is_in_place_where_there_is_room)
{
	char *area = memory_free_range(PAGES(16));
	int kind = kinds[_i % 4];

	map_filled(area, 2, kind);
	ck_assert_ptr_eq(wremap(area, PAGES(2), PAGES(6), both[_i / 4]), area);
	ck_assert(pattern_holds(area, PAGES(2), 4, 0));
	ck_assert_uint_eq(memory_loaded(area), 2);
	ck_assert(pattern_zeros(area + PAGES(2), PAGES(4)));
	ck_assert_uint_eq(memory_loaded(area), 6);
}
END_TEST

START_TEST(without_room_and_leave_to_move_it_fails)
{
	char *area = memory_free_range(PAGES(16));

	map_filled(area, 2, kinds[_i]);
	memory_wmap(area + PAGES(3), PAGE, ANON, -1);
	ck_assert_ptr_eq(wremap(area, PAGES(2), PAGES(4), 0), WMAP_FAILED);
	ck_assert_int_eq(errno, ENOMEM);
	ck_assert(pattern_holds(area, PAGES(2), 4, 0));
	ck_assert_uint_eq(memory_info(area).length, PAGES(2));
	ck_assert_int_eq(process_load(area + PAGES(2)), SIGSEGV);
}
END_TEST

START_TEST(it_grows_exactly_up_to_the_next_mapping)
{
	char *area = memory_free_range(PAGES(16));

	map_filled(area, 2, kinds[_i]);
	memory_wmap(area + PAGES(4), PAGE, ANON, -1);
	ck_assert_ptr_eq(wremap(area, PAGES(2), PAGES(4), 0), area);
	ck_assert_int_eq(process_store(area + PAGES(3), 1), 0);
}
END_TEST

START_TEST(without_room_it_moves_with_its_contents)
{
	char *area = memory_free_range(PAGES(16)), *at;

	map_filled(area, 3, kinds[_i]);
	memory_wmap(area + PAGES(3), PAGE, ANON, -1);
	at = wremap(area, PAGES(3), PAGES(8), WMAP_MAYMOVE);
	ck_assert_ptr_ne(at, WMAP_FAILED);
	ck_assert_ptr_ne(at, area);
	ck_assert_uint_eq(memory_loaded(at), 3);
	ck_assert(pattern_holds(at, PAGES(3), 4, 0));
	ck_assert(pattern_zeros(at + PAGES(3), PAGES(5)));
	ck_assert_int_eq(process_load(area), SIGSEGV);
	ck_assert_int_eq(process_load(area + PAGES(2)), SIGSEGV);
}
END_TEST

START_TEST(pages_that_were_not_loaded_load_after_a_move)
{
	char *area = memory_free_range(PAGES(16)), *at;
	int fd = file_with(3, PAGES(8));

	memory_wmap(area, PAGES(4), kinds[_i], fd);
	memory_load(area + PAGE, 1);
	memory_wmap(area + PAGES(4), PAGE, ANON, -1);
	at = wremap(area, PAGES(4), PAGES(8), WMAP_MAYMOVE);
	ck_assert_ptr_ne(at, WMAP_FAILED);
	ck_assert_uint_eq(memory_loaded(at), 1);
	ck_assert(pattern_holds(at, PAGES(8), 3, 0));
	ck_assert_uint_eq(memory_loaded(at), 8);
}
END_TEST

START_TEST(the_old_place_is_free_after_a_move)
{
	char *area = memory_free_range(PAGES(16));

	map_filled(area, 2, kinds[_i]);
	memory_wmap(area + PAGES(2), PAGE, ANON, -1);
	ck_assert_ptr_ne(wremap(area, PAGES(2), PAGES(5), WMAP_MAYMOVE),
			 WMAP_FAILED);
	memory_wmap(area, PAGES(2), ANON, -1);
	ck_assert(pattern_zeros(area, PAGES(2)));
}
END_TEST

START_TEST(what_was_stored_before_a_move_reaches_the_file)
{
	char *area = memory_free_range(PAGES(16)), *at;
	int fd = file_with(3, PAGES(3));

	memory_wmap(area, PAGES(3), WMAP_SHARED, fd);
	memset(area, 'b', PAGES(3));
	memory_wmap(area + PAGES(3), PAGE, ANON, -1);
	at = wremap(area, PAGES(3), PAGES(4), WMAP_MAYMOVE);
	at[PAGES(3)] = 'c';
	ck_assert_int_eq(wunmap(at), 0);
	ck_assert(file_has(fd, PAGES(2) + 77, "b", 1));
	ck_assert(file_has(fd, PAGES(3), "c", 1));
}
END_TEST

START_TEST(what_shrinking_cuts_off_reaches_the_file)
{
	int fd = file_with(3, PAGES(4));
	char *at = memory_wmap(NULL, PAGES(4), WMAP_SHARED, fd);

	memset(at, 's', PAGES(4));
	ck_assert_ptr_eq(wremap(at, PAGES(4), PAGE, 0), at);
	ck_assert(file_has(fd, PAGES(3), "s", 1));
	ck_assert_uint_eq(file_length(fd), PAGES(4));
}
END_TEST

START_TEST(the_length_is_the_one_requested)
{
	char *at = memory_wmap(NULL, 5000, ANON, -1);

	ck_assert_ptr_eq(wremap(at, PAGES(2), 100, 0), WMAP_FAILED);
	ck_assert_int_eq(errno, EINVAL);
	ck_assert_ptr_eq(wremap(at, 5000, 6000, 0), at);
	ck_assert_uint_eq(memory_info(at).length, 6000);
	ck_assert_ptr_eq(wremap(at, 6000, 10, 0), at);
	ck_assert_uint_eq(memory_info(at).length, 10);
}
END_TEST

static const struct {
	size_t skip, oldsize, newsize;
	int flags;
} wrong[] = {
	{ PAGE, PAGES(3), PAGES(2), 0 },	     /* an inner address */
	{ 1, PAGES(4), PAGES(2), 0 },		     /* the same */
	{ 0, PAGES(3), PAGES(2), 0 },		     /* too short */
	{ 0, PAGES(5), PAGES(2), 0 },		     /* too long */
	{ 0, PAGES(4) - 1, PAGES(2), 0 },	     /* not as requested */
	{ 0, PAGES(4), 0, 0 },			     /* no length */
	{ 0, PAGES(4), 0, WMAP_MAYMOVE },	     /* the same */
	{ 0, PAGES(4), (size_t)-5, WMAP_MAYMOVE },   /* negative */
	{ 0, PAGES(4), PAGES(2), 2 },		     /* an unknown flag */
	{ 0, PAGES(4), PAGES(2), WMAP_MAYMOVE | 4 }, /* the same */
};

START_TEST(what_does_not_fit_is_refused)
{
	char *at = memory_wmap(NULL, PAGES(4), ANON, -1);

	memset(at, 'r', PAGES(4));
	ck_assert_ptr_eq(wremap(at + wrong[_i].skip, wrong[_i].oldsize,
				wrong[_i].newsize, wrong[_i].flags),
			 WMAP_FAILED);
	ck_assert_int_eq(errno, EINVAL);
	ck_assert_uint_eq(memory_info(at).length, PAGES(4));
	ck_assert_int_eq(at[PAGES(4) - 1], 'r');
}
END_TEST

START_TEST(an_impossible_length_is_refused)
{
	char *at = memory_wmap(NULL, PAGES(4), ANON, -1);

	memset(at, 'r', PAGES(4));
	ck_assert_ptr_eq(wremap(at, PAGES(4), (size_t)1 << 62, WMAP_MAYMOVE),
			 WMAP_FAILED);
	ck_assert_int_eq(errno, ENOMEM);
	ck_assert_int_eq(at[PAGES(4) - 1], 'r');
}
END_TEST

START_TEST(the_same_length_is_legal)
{
	char *at = memory_wmap(NULL, PAGES(4), ANON, -1);

	ck_assert_ptr_eq(wremap(at, PAGES(4), PAGES(4), both[_i]), at);
	ck_assert_uint_eq(memory_info(at).length, PAGES(4));
}
END_TEST

START_TEST(it_takes_no_new_place)
{
	char *area = memory_free_range(PAGES(16));
	struct wmapinfo info;

	map_filled(area, 2, kinds[_i]);
	memory_wmap(area + PAGES(2), PAGE, ANON, -1);
	ck_assert_ptr_ne(wremap(area, PAGES(2), PAGES(5), WMAP_MAYMOVE),
			 WMAP_FAILED);
	getwmapinfo(&info);
	ck_assert_int_eq(info.total_mmaps, 2);
}
END_TEST

int main(void)
{
	TCase *facts = facts_case("course: resizing", 30);

	tcase_add_loop_test(facts, shrinking_is_in_place, 0, 4);
	tcase_add_loop_test(facts, shrinking_is_in_place_though_it_may_move, 0,
			    4);
	tcase_add_loop_test(facts, growing_is_in_place_where_there_is_room, 0,
			    8);
	tcase_add_loop_test(facts, without_room_and_leave_to_move_it_fails, 0,
			    4);
	tcase_add_loop_test(facts, it_grows_exactly_up_to_the_next_mapping, 0,
			    4);
	tcase_add_loop_test(facts, without_room_it_moves_with_its_contents, 0,
			    4);
	tcase_add_loop_test(facts, pages_that_were_not_loaded_load_after_a_move,
			    0, 2);
	tcase_add_loop_test(facts, the_old_place_is_free_after_a_move, 0, 4);
	tcase_add_test(facts, what_was_stored_before_a_move_reaches_the_file);
	tcase_add_test(facts, what_shrinking_cuts_off_reaches_the_file);
	tcase_add_test(facts, the_length_is_the_one_requested);
	tcase_add_loop_test(facts, what_does_not_fit_is_refused, 0,
			    COUNT(wrong));
	tcase_add_test(facts, an_impossible_length_is_refused);
	tcase_add_loop_test(facts, the_same_length_is_legal, 0, 2);
	tcase_add_loop_test(facts, it_takes_no_new_place, 0, 4);
	return facts_run(facts);
}
