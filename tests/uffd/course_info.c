/* SPDX-License-Identifier: MIT */
/*
 * The course's getwmapinfo: entries packed into the first places, in order of
 * address, with the lengths as requested.
 */
#include "support.h"

#include <string.h>

#define ANON (WMAP_ANONYMOUS | WMAP_PRIVATE)

static struct wmapinfo get(void)
{
	struct wmapinfo info;

	memset(&info, 0xee, sizeof info);
	ck_assert_int_eq(getwmapinfo(&info), 0);
	return info;
}

START_TEST(at_first_there_are_none)
{
	ck_assert_int_eq(get().total_mmaps, 0);
}
END_TEST

static const size_t lengths[] = { 1, 4095, 4096, 4097, 0x4008, 1000001 };

START_TEST(the_length_is_told_as_requested)
{
	char *at = memory_wmap(NULL, lengths[_i], ANON, -1);
	struct wmapinfo info = get();

	ck_assert_int_eq(info.total_mmaps, 1);
	ck_assert_uint_eq(info.addr[0], (uintptr_t)at);
	ck_assert_uint_eq(info.length[0], lengths[_i]);
	ck_assert_uint_eq(info.n_loaded_pages[0], 0);
}
END_TEST

START_TEST(they_come_in_order_of_address)
{
	static const unsigned order[] = { 5, 1, 7, 3, 0, 6, 2, 4 };
	char *area = memory_free_range(PAGES(16));
	struct wmapinfo info;

	for (size_t i = 0; i < COUNT(order); i++)
		memory_wmap(area + PAGES(2 * order[i]), PAGE + order[i], ANON,
			    -1);
	info = get();
	ck_assert_int_eq(info.total_mmaps, COUNT(order));
	for (unsigned i = 0; i < COUNT(order); i++) {
		ck_assert_uint_eq(info.addr[i], (uintptr_t)area + PAGES(2 * i));
		ck_assert_uint_eq(info.length[i], PAGE + i);
	}
}
END_TEST

START_TEST(no_hole_is_left_where_one_was_unmapped)
{
	char *area = memory_free_range(PAGES(16));
	struct wmapinfo info;

	for (unsigned i = 0; i < 4; i++) {
		memory_wmap(area + PAGES(2 * i), PAGE, ANON, -1);
		memory_load(area + PAGES(2 * i), i > 1);
	}
	ck_assert_int_eq(wunmap(area + PAGES(2 * (unsigned)_i)), 0);
	info = get();
	ck_assert_int_eq(info.total_mmaps, 3);
	for (int i = 0; i < 3; i++) {
		unsigned was = (unsigned)(i < _i ? i : i + 1);

		ck_assert_uint_eq(info.addr[i],
				  (uintptr_t)area + PAGES(2 * was));
		ck_assert_uint_eq(info.n_loaded_pages[i], was > 1);
	}
}
END_TEST

START_TEST(above_sixteen_the_lowest_sixteen_are_told)
{
	char *area = memory_free_range(PAGES(64));
	struct wmapinfo info;

	for (unsigned i = 20; i-- > 0;)
		memory_wmap(area + PAGES(2 * i), PAGE, ANON, -1);
	info = get();
	ck_assert_int_eq(info.total_mmaps, 20);
	for (unsigned i = 0; i < WMAP_MAX_INFO; i++)
		ck_assert_uint_eq(info.addr[i], (uintptr_t)area + PAGES(2 * i));
}
END_TEST

START_TEST(a_large_length_is_not_cut_off)
{
	memory_wmap(NULL, 5 * GIB + 7, ANON, -1);
	ck_assert_uint_eq(get().length[0], 5 * GIB + 7);
}
END_TEST

START_TEST(the_struct_may_lie_in_an_untouched_mapping)
{
	struct wmapinfo *info = (void *)memory_wmap(NULL, PAGES(2), ANON, -1);

	ck_assert_int_eq(getwmapinfo(info), 0);
	ck_assert_int_eq(info->total_mmaps, 1);
}
END_TEST

/* NULL, not mapped, read-only, half of it not mapped */
static void *bad_pointer(int which)
{
	char *at = mmap(NULL, PAGES(2), READ_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			-1, 0);

	memory_wmap(NULL, PAGE, ANON, -1);
	if (which == 1)
		munmap(at, PAGES(2));
	if (which == 2)
		mprotect(at, PAGES(2), PROT_READ);
	if (which == 3)
		munmap(at + PAGE, PAGE);
	return which == 0 ? NULL : which == 3 ? at + PAGE - 64 : at;
}

START_TEST(a_bad_pointer_is_efault)
{
	void *bad = bad_pointer(_i);

	ck_assert_int_eq(getwmapinfo(bad), -1);
	ck_assert_int_eq(errno, EFAULT);
}
END_TEST

int main(void)
{
	TCase *facts = facts_case("course: information", 30);

	tcase_add_test(facts, at_first_there_are_none);
	tcase_add_loop_test(facts, the_length_is_told_as_requested, 0,
			    COUNT(lengths));
	tcase_add_test(facts, they_come_in_order_of_address);
	tcase_add_loop_test(facts, no_hole_is_left_where_one_was_unmapped, 0,
			    4);
	tcase_add_test(facts, above_sixteen_the_lowest_sixteen_are_told);
	tcase_add_test(facts, a_large_length_is_not_cut_off);
	if (facts_possible(WMAP_FEATURE_KERNEL_FAULTS))
		tcase_add_test(facts,
			       the_struct_may_lie_in_an_untouched_mapping);
	tcase_add_loop_test(facts, a_bad_pointer_is_efault, 0, 4);
	return facts_run(facts);
}
