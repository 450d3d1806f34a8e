/* SPDX-License-Identifier: MIT */
/*
 * Changing a part of a mapping: unmapping, protecting and moving it, as
 * munmap(2), mprotect(2) and mremap(2) do.
 */
#include "support.h"

#include <string.h>

static const int kinds[] = {
	WMAP_SHARED,
	WMAP_PRIVATE,
	WMAP_SHARED | WMAP_ANONYMOUS,
	WMAP_PRIVATE | WMAP_ANONYMOUS,
};

struct fixture {
	int fd; /* -1: anonymous */
	char *at;
};

/* Nine pages at the low end of a free area of 64, all of pattern 4. */
static struct fixture set_up(int i)
{
	struct fixture f = { .fd = -1, .at = memory_free_range(PAGES(64)) };

	if (!(kinds[i] & WMAP_ANONYMOUS))
		f.fd = file_with(3, PAGES(9));
	ck_assert_ptr_eq(wmap_map(f.at, PAGES(9), READ_WRITE,
				  kinds[i] | WMAP_FIXED, f.fd, 0, NULL),
			 f.at);
	pattern_fill(f.at, PAGES(9), 4, 0);
	return f;
}

static bool filled(const struct fixture *f, size_t page, size_t pages)
{
	return pattern_holds(f->at + PAGES(page), PAGES(pages), 4, PAGES(page));
}

/* ---- Unmapping ----------------------------------------------------------- */

static const struct part {
	size_t page, pages;
} parts[] = { { 0, 3 }, { 3, 3 }, { 6, 3 } };

#define PARTS (4 * COUNT(parts))

START_TEST(a_part_goes_and_the_rest_stays)
{
	struct fixture f = set_up(_i % 4);
	struct part part = parts[_i / 4];

	ck_assert_int_eq(wmap_unmap(f.at + PAGES(part.page), PAGES(part.pages)),
			 0);
	for (size_t i = 0; i < 9; i++) {
		bool gone = i >= part.page && i < part.page + part.pages;

		ck_assert_int_eq(process_load(f.at + PAGES(i)),
				 gone ? SIGSEGV : 0);
		ck_assert(gone || filled(&f, i, 1));
	}
}
END_TEST

START_TEST(the_parts_that_stay_are_mappings_of_their_own)
{
	struct fixture f = set_up(_i);
	struct wmap_mapping_info info;

	ck_assert_int_eq(wmap_unmap(f.at + PAGES(3), PAGES(2)), 0);
	ck_assert_int_eq(wmap_mapping_list(NULL, 0), 2);
	info = memory_info(f.at);
	ck_assert_ptr_eq(info.addr, f.at);
	ck_assert_uint_eq(info.length, PAGES(3));
	ck_assert_uint_eq(info.loaded, 3);
	info = memory_info(f.at + PAGES(5));
	ck_assert_ptr_eq(info.addr, f.at + PAGES(5));
	ck_assert_uint_eq(info.length, PAGES(4));
	ck_assert_uint_eq(info.loaded, 4);
}
END_TEST

START_TEST(a_part_that_stays_keeps_its_offset_in_the_file)
{
	struct fixture f = set_up(_i);

	ck_assert_int_eq(wmap_unmap(f.at, PAGES(5)), 0);
	ck_assert_uint_eq(memory_info(f.at + PAGES(5)).offset, PAGES(5));
	ck_assert_int_eq(wmap_advise(f.at + PAGES(5), PAGES(4),
				     WMAP_ADVICE_DONTNEED),
			 0);
	ck_assert(
		pattern_holds(f.at + PAGES(5), PAGES(4), _i ? 3 : 4, PAGES(5)));
}
END_TEST

START_TEST(the_part_that_goes_is_written_back)
{
	struct fixture f = set_up(0);

	ck_assert_int_eq(wmap_unmap(f.at + PAGES(3), PAGES(3)), 0);
	ck_assert(file_holds(f.fd, 4, PAGES(3), PAGES(3)));
	ck_assert_int_eq(wmap_unmap(f.at, PAGES(9)), 0);
	ck_assert(file_holds(f.fd, 4, 0, PAGES(9)));
}
END_TEST

START_TEST(a_range_over_several_mappings_and_gaps_goes)
{
	struct fixture f = set_up(_i);

	ck_assert_int_eq(wmap_unmap(f.at + PAGES(2), PAGES(2)), 0);
	ck_assert_int_eq(wmap_unmap(f.at + PAGES(6), PAGE), 0);
	ck_assert_int_eq(wmap_unmap(f.at + PAGE, PAGES(7)), 0);
	ck_assert_int_eq(wmap_mapping_list(NULL, 0), 2);
	ck_assert(filled(&f, 0, 1));
	ck_assert(filled(&f, 8, 1));
}
END_TEST

START_TEST(unmapping_nothing_succeeds)
{
	char *area = memory_free_range(PAGES(4));

	ck_assert_int_eq(wmap_unmap(area, PAGES(4)), 0);
}
END_TEST

START_TEST(a_length_is_rounded_up_to_pages)
{
	struct fixture f = set_up(_i);

	ck_assert_int_eq(wmap_unmap(f.at, PAGE + 1), 0);
	ck_assert_int_eq(process_load(f.at + PAGE), SIGSEGV);
	ck_assert(filled(&f, 2, 7));
}
END_TEST

START_TEST(a_hole_can_be_mapped_again)
{
	struct fixture f = set_up(_i);

	wmap_unmap(f.at + PAGES(3), PAGES(3));
	memory_wmap(f.at + PAGES(3), PAGES(3), kinds[3], -1);
	ck_assert(pattern_zeros(f.at + PAGES(3), PAGES(3)));
	ck_assert(filled(&f, 0, 3));
	ck_assert(filled(&f, 6, 3));
}
END_TEST

/* ---- Protecting ---------------------------------------------------------- */

START_TEST(a_part_can_be_made_read_only_and_writable_again)
{
	struct fixture f = set_up(_i);
	char *page = f.at + PAGES(4);

	ck_assert_int_eq(wmap_protect(page, PAGE, PROT_READ), 0);
	ck_assert_int_eq(process_store(page, 1), SIGSEGV);
	ck_assert(filled(&f, 0, 9));
	ck_assert_int_eq(process_store(page - 1, 1), 0);
	ck_assert_int_eq(process_store(page + PAGE, 1), 0);
	ck_assert_int_eq(wmap_protect(page, PAGE, READ_WRITE), 0);
	ck_assert_int_eq(process_store(page, 1), 0);
}
END_TEST

/* Of plain memory each piece has an object of its own. */
START_TEST(pieces_that_are_alike_are_one_again)
{
	struct fixture f = set_up(_i);
	size_t loaded = memory_info(f.at).loaded;

	ck_assert_int_eq(wmap_protect(f.at + PAGES(4), PAGE, PROT_READ), 0);
	ck_assert_uint_eq(memory_info(f.at).length, PAGES(4));
	ck_assert_int_eq(wmap_protect(f.at + PAGES(4), PAGE, READ_WRITE), 0);
	for (size_t i = 0; i < 9; i++)
		ck_assert_int_eq(wmap_protect(f.at + PAGES(i), PAGE, PROT_READ),
				 0);
	ck_assert_int_eq(process_store(f.at + PAGES(8), 1), SIGSEGV);
	for (size_t i = 9; i > 0; i--)
		ck_assert_int_eq(
			wmap_protect(f.at + PAGES(i - 1), PAGE, READ_WRITE), 0);
	ck_assert_uint_eq(memory_info(f.at).length, PAGES(9));
	ck_assert_uint_eq(memory_info(f.at).loaded, loaded);
	ck_assert(filled(&f, 0, 9));
	ck_assert_int_eq(process_store(f.at + PAGES(8), 1), 0);
	ck_assert_ptr_eq(wmap_remap(f.at, PAGES(9), PAGES(12), 0, NULL), f.at);
	ck_assert_int_eq(wmap_unmap(f.at, PAGES(12)), 0);
	ck_assert(f.fd < 0 || file_has(f.fd, PAGES(8), "\1", 1) ==
				      (kinds[_i] == WMAP_SHARED));
}
END_TEST

/* Two that were mapped by two calls are two. */
START_TEST(neighbours_that_are_alike_stay_two)
{
	char *at = memory_free_range(PAGES(64));
	int fd = file_with(3, PAGES(8));

	for (size_t i = 0; i < 8; i += 4)
		ck_assert_ptr_eq(wmap_map(at + PAGES(i), PAGES(4), READ_WRITE,
					  WMAP_SHARED | WMAP_FIXED, fd,
					  (off_t)PAGES(i), NULL),
				 at + PAGES(i));
	ck_assert_int_eq(wmap_protect(at + PAGES(3), PAGES(2), PROT_READ), 0);
	ck_assert_int_eq(wmap_protect(at + PAGES(3), PAGES(2), READ_WRITE), 0);
	ck_assert_uint_eq(memory_info(at).length, PAGES(4));
	ck_assert(pattern_holds(at, PAGES(8), 3, 0));
}
END_TEST

START_TEST(what_may_not_be_touched_keeps_its_bytes)
{
	struct fixture f = set_up(_i);

	ck_assert_int_eq(wmap_protect(f.at, PAGES(9), PROT_NONE), 0);
	ck_assert_int_eq(process_load(f.at + PAGES(4)), SIGSEGV);
	ck_assert_int_eq(wmap_protect(f.at, PAGES(9), PROT_READ), 0);
	ck_assert(filled(&f, 0, 9));
}
END_TEST

START_TEST(untouched_pages_load_after_protecting)
{
	int fd = file_with(3, PAGES(9));
	char *at = memory_map(PAGES(9), PROT_NONE, kinds[_i], fd, 0);

	ck_assert_int_eq(wmap_protect(at + PAGES(2), PAGES(4), READ_WRITE), 0);
	ck_assert(pattern_holds(at + PAGES(2), PAGES(4), 3, PAGES(2)));
	ck_assert_int_eq(process_load(at + PAGE), SIGSEGV);
	at[PAGES(3)] = 'u';
	ck_assert_int_eq(wmap_unmap(at, PAGES(9)), 0);
	ck_assert(file_has(fd, PAGES(3), "u", 1) == (_i == 0));
}
END_TEST

START_TEST(a_store_is_known_after_protecting)
{
	struct fixture f = set_up(0);

	ck_assert_int_eq(wmap_sync(f.at, PAGES(9), WMAP_SYNC_WAIT), 0);
	ck_assert_int_eq(wmap_protect(f.at, PAGES(9), PROT_READ), 0);
	ck_assert_int_eq(wmap_protect(f.at, PAGES(9), READ_WRITE), 0);
	f.at[PAGES(7)] = 'k';
	ck_assert_uint_eq(memory_info(f.at).dirty, 1);
	ck_assert_int_eq(wmap_sync(f.at, PAGES(9), WMAP_SYNC_WAIT), 0);
	ck_assert(file_has(f.fd, PAGES(7), "k", 1));
}
END_TEST

START_TEST(what_is_read_only_is_written_back_all_the_same)
{
	struct fixture f = set_up(0);

	ck_assert_int_eq(wmap_protect(f.at, PAGES(9), PROT_NONE), 0);
	ck_assert_int_eq(wmap_sync(f.at, PAGES(9), WMAP_SYNC_WAIT), 0);
	ck_assert(file_holds(f.fd, 4, 0, PAGES(9)));
}
END_TEST

/* ---- Moving and resizing ------------------------------------------------- */

START_TEST(a_mapping_shrinks_in_place)
{
	struct fixture f = set_up(_i);

	ck_assert_ptr_eq(wmap_remap(f.at, PAGES(9), PAGES(4), 0, NULL), f.at);
	ck_assert(filled(&f, 0, 4));
	ck_assert_int_eq(process_load(f.at + PAGES(4)), SIGSEGV);
	if (f.fd >= 0)
		ck_assert(file_holds(f.fd, _i ? 3 : 4, PAGES(4), PAGES(5)));
}
END_TEST

START_TEST(a_mapping_grows_in_place)
{
	struct fixture f = set_up(_i);

	ck_assert_ptr_eq(wmap_remap(f.at, PAGES(9), PAGES(12), 0, NULL), f.at);
	ck_assert(filled(&f, 0, 9));
	ck_assert_uint_eq(memory_info(f.at).length, PAGES(12));
	if (kinds[_i] == (WMAP_PRIVATE | WMAP_ANONYMOUS))
		ck_assert(pattern_zeros(f.at + PAGES(9), PAGES(3)));
	if (f.fd >= 0)
		ck_assert_int_eq(process_load(f.at + PAGES(9)), SIGBUS);
}
END_TEST

START_TEST(without_room_it_does_not_grow_in_place)
{
	struct fixture f = set_up(_i);

	memory_wmap(f.at + PAGES(10), PAGE, kinds[3], -1);
	ck_assert_ptr_eq(wmap_remap(f.at, PAGES(9), PAGES(11), 0, NULL),
			 WMAP_FAILED);
	ck_assert_int_eq(errno, ENOMEM);
	ck_assert(filled(&f, 0, 9));
	ck_assert_uint_eq(memory_info(f.at).length, PAGES(9));
}
END_TEST

START_TEST(without_room_it_moves_if_it_may)
{
	struct fixture f = set_up(_i);
	char *at;

	memory_wmap(f.at + PAGES(10), PAGE, kinds[3], -1);
	at = wmap_remap(f.at, PAGES(9), PAGES(11), WMAP_MAYMOVE, NULL);
	ck_assert_ptr_ne(at, WMAP_FAILED);
	ck_assert(pattern_holds(at, PAGES(9), 4, 0));
	ck_assert_int_eq(process_load(f.at), SIGSEGV);
}
END_TEST

#define BOTH (WMAP_MAYMOVE | WMAP_FIXED)

START_TEST(it_moves_where_it_is_told_to)
{
	struct fixture f = set_up(_i);
	char *to = f.at + PAGES(20);

	ck_assert_ptr_eq(wmap_remap(f.at, PAGES(9), PAGES(9), BOTH, to), to);
	ck_assert(pattern_holds(to, PAGES(9), 4, 0));
	ck_assert_int_eq(process_load(f.at), SIGSEGV);
	to[5] = 'm';
	ck_assert_int_eq(wmap_unmap(to, PAGES(9)), 0);
	if (f.fd >= 0)
		ck_assert(file_has(f.fd, 5, "m", 1) == (_i == 0));
}
END_TEST

START_TEST(what_is_there_goes_when_something_moves_there)
{
	struct fixture f = set_up(_i);
	char *to = f.at + PAGES(20);
	int fd = file_with(7, PAGES(9));

	wmap_map(to, PAGES(9), READ_WRITE, WMAP_SHARED | WMAP_FIXED, fd, 0,
		 NULL);
	memset(to, 'w', PAGES(9));
	ck_assert_ptr_eq(wmap_remap(f.at, PAGES(9), PAGES(9), BOTH, to), to);
	ck_assert(pattern_holds(to, PAGES(9), 4, 0));
	ck_assert(file_has(fd, PAGES(8), "w", 1));
}
END_TEST

START_TEST(a_part_moves_alone)
{
	struct fixture f = set_up(_i);
	char *to = f.at + PAGES(20);

	ck_assert_ptr_eq(
		wmap_remap(f.at + PAGES(3), PAGES(2), PAGES(2), BOTH, to), to);
	ck_assert(pattern_holds(to, PAGES(2), 4, PAGES(3)));
	ck_assert(filled(&f, 0, 3));
	ck_assert_int_eq(process_load(f.at + PAGES(3)), SIGSEGV);
	ck_assert(filled(&f, 5, 4));
}
END_TEST

START_TEST(untouched_pages_load_after_a_move)
{
	int fd = file_with(3, PAGES(9));
	char *at = memory_map(PAGES(9), READ_WRITE, kinds[_i], fd, 0);
	char *to = memory_free_range(PAGES(16));

	memory_load(at + PAGES(4), 1);
	ck_assert_ptr_eq(wmap_remap(at, PAGES(9), PAGES(9), BOTH, to), to);
	ck_assert(pattern_holds(to, PAGES(9), 3, 0));
}
END_TEST

/* The kernel joins the two while they are moved, and forgets the uffd of both. */
START_TEST(what_lies_beside_its_new_place_is_not_zeros)
{
	char *at = memory_free_range(PAGES(64)), *from = at + PAGES(32);
	int fd = file_with(3, PAGES(12));

	for (size_t i = 0; i < 12; i += 4)
		ck_assert_ptr_ne(wmap_map(i == 4 ? from : at + PAGES(i),
					  PAGES(4), PROT_NONE,
					  kinds[_i] | WMAP_FIXED, fd,
					  (off_t)PAGES(i), NULL),
				 WMAP_FAILED);
	ck_assert_ptr_eq(wmap_remap(from, PAGES(4), PAGES(4),
				    WMAP_MAYMOVE | WMAP_FIXED, at + PAGES(4)),
			 at + PAGES(4));
	ck_assert_int_eq(wmap_protect(at, PAGES(12), PROT_READ), 0);
	ck_assert(pattern_holds(at, PAGES(12), 3, 0));
}
END_TEST

START_TEST(a_moved_mapping_keeps_its_protection)
{
	struct fixture f = set_up(_i);
	char *to = f.at + PAGES(20);

	ck_assert_int_eq(wmap_protect(f.at, PAGES(9), PROT_READ), 0);
	ck_assert_ptr_eq(wmap_remap(f.at, PAGES(9), PAGES(9), BOTH, to), to);
	ck_assert_int_eq(process_store(to, 1), SIGSEGV);
	ck_assert(pattern_holds(to, PAGES(9), 4, 0));
}
END_TEST

START_TEST(a_page_that_is_sigbus_moves_with_the_others)
{
	int fd = file_with(3, PAGES(2));
	char *at = memory_map(PAGES(4), READ_WRITE, kinds[_i], fd, 0);
	char *to = memory_free_range(PAGES(16));

	ck_assert_int_eq(process_load(at + PAGES(2)), SIGBUS);
	ck_assert_ptr_eq(wmap_remap(at, PAGES(4), PAGES(4), BOTH, to), to);
	ck_assert(pattern_holds(to, PAGES(2), 3, 0));
	ck_assert_int_eq(process_load(to + PAGES(2)), SIGBUS);
}
END_TEST

START_TEST(a_page_that_is_sigbus_can_be_protected_and_unmapped)
{
	int fd = file_with(3, PAGES(2));
	char *at = memory_map(PAGES(4), READ_WRITE, kinds[_i], fd, 0);

	ck_assert_int_eq(process_load(at + PAGES(2)), SIGBUS);
	ck_assert_int_eq(wmap_protect(at, PAGES(4), PROT_NONE), 0);
	ck_assert_int_eq(process_load(at + PAGES(2)), SIGSEGV);
	ck_assert_int_eq(wmap_unmap(at, PAGES(4)), 0);
	ck_assert_int_eq(process_load(at + PAGES(2)), SIGSEGV);
}
END_TEST

static void unmapping(TCase *facts)
{
	tcase_add_loop_test(facts, a_part_goes_and_the_rest_stays, 0, PARTS);
	tcase_add_loop_test(
		facts, the_parts_that_stay_are_mappings_of_their_own, 0, 4);
	tcase_add_loop_test(
		facts, a_part_that_stays_keeps_its_offset_in_the_file, 0, 2);
	tcase_add_test(facts, the_part_that_goes_is_written_back);
	tcase_add_loop_test(facts, a_range_over_several_mappings_and_gaps_goes,
			    0, 4);
	tcase_add_test(facts, unmapping_nothing_succeeds);
	tcase_add_loop_test(facts, a_length_is_rounded_up_to_pages, 0, 4);
	tcase_add_loop_test(facts, a_hole_can_be_mapped_again, 0, 4);
}

static void protecting(TCase *facts)
{
	tcase_add_loop_test(
		facts, a_part_can_be_made_read_only_and_writable_again, 0, 4);
	tcase_add_loop_test(facts, pieces_that_are_alike_are_one_again, 0, 3);
	tcase_add_test(facts, neighbours_that_are_alike_stay_two);
	tcase_add_loop_test(facts, what_may_not_be_touched_keeps_its_bytes, 0,
			    4);
	tcase_add_loop_test(facts, untouched_pages_load_after_protecting, 0, 2);
	tcase_add_test(facts, a_store_is_known_after_protecting);
	tcase_add_test(facts, what_is_read_only_is_written_back_all_the_same);
}

static void moving(TCase *facts)
{
	tcase_add_loop_test(facts, a_mapping_shrinks_in_place, 0, 4);
	tcase_add_loop_test(facts, a_mapping_grows_in_place, 0, 4);
	tcase_add_loop_test(facts, without_room_it_does_not_grow_in_place, 0,
			    4);
	tcase_add_loop_test(facts, without_room_it_moves_if_it_may, 0, 4);
	tcase_add_loop_test(facts, it_moves_where_it_is_told_to, 0, 4);
	tcase_add_loop_test(
		facts, what_is_there_goes_when_something_moves_there, 0, 4);
	tcase_add_loop_test(facts, a_part_moves_alone, 0, 4);
	tcase_add_loop_test(facts, untouched_pages_load_after_a_move, 0, 2);
	tcase_add_loop_test(facts, what_lies_beside_its_new_place_is_not_zeros,
			    0, 2);
	tcase_add_loop_test(facts, a_moved_mapping_keeps_its_protection, 0, 4);
	tcase_add_loop_test(facts, a_page_that_is_sigbus_moves_with_the_others,
			    0, 2);
	tcase_add_loop_test(facts,
			    a_page_that_is_sigbus_can_be_protected_and_unmapped,
			    0, 2);
}

int main(void)
{
	TCase *facts = facts_case("mapping: parts", 30);

	unmapping(facts);
	protecting(facts);
	moving(facts);
	return facts_run(facts);
}
