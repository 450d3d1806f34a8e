/* SPDX-License-Identifier: MIT */
/*
 * The course's va2pa: where an address is in physical memory. Skipped as a
 * whole without the privilege to read frame numbers.
 */
#include "support.h"

#include <stdio.h>
#include <stdlib.h>

#define NOWHERE UINT64_MAX
#define ANON	(WMAP_ANONYMOUS | WMAP_PRIVATE)

START_TEST(a_page_that_is_not_loaded_is_nowhere)
{
	char *at = memory_wmap(NULL, PAGES(2), ANON, -1);

	ck_assert(va2pa(at) == NOWHERE);
	ck_assert_int_eq(errno, EFAULT);
	ck_assert_uint_eq(memory_loaded(at), 0);
}
END_TEST

START_TEST(what_is_not_mapped_is_nowhere)
{
	char *at = memory_wmap(NULL, PAGES(2), ANON, -1);

	memory_store(at, 2, 1);
	ck_assert_int_eq(wunmap(at), 0);
	ck_assert(va2pa(at) == NOWHERE);
	ck_assert_int_eq(errno, EFAULT);
}
END_TEST

START_TEST(the_answer_holds_the_offset_in_the_page)
{
	char *at = memory_wmap(NULL, PAGE, ANON, -1);
	uint64_t pa;

	at[5] = 1;
	pa = va2pa(at);
	ck_assert(pa != NOWHERE && pa % PAGE == 0);
	ck_assert_uint_eq(va2pa(at + 0x123), pa + 0x123);
	ck_assert_uint_eq(va2pa(at + PAGE - 1), pa + PAGE - 1);
}
END_TEST

START_TEST(different_pages_differ)
{
	char *at = memory_wmap(NULL, PAGES(2), ANON, -1);

	memory_store(at, 2, 1);
	ck_assert(va2pa(at) != va2pa(at + PAGE));
}
END_TEST

START_TEST(code_heap_and_stack_have_answers)
{
	/* Its page was touched after the fork: it runs. */
	uintptr_t code = (uintptr_t)code_heap_and_stack_have_answers_fn;
	char here = 1;
	char *heap = calloc(1, 1);

	heap[0] = here;
	ck_assert(va2pa(&here) != NOWHERE);
	ck_assert(va2pa(heap) != NOWHERE);
	ck_assert(va2pa((const void *)code) != NOWHERE);
	free(heap);
}
END_TEST

START_TEST(two_mappings_of_a_page_show_the_same_frame)
{
	int fd = file_with(3, PAGES(2));
	char *first = memory_wmap(NULL, PAGES(2), WMAP_SHARED, fd);
	char *second = memory_wmap(NULL, PAGES(2), WMAP_SHARED, fd);

	memory_load(first, 2);
	memory_load(second, 2);
	ck_assert(va2pa(first) != NOWHERE);
	ck_assert_uint_eq(va2pa(first), va2pa(second));
	ck_assert_uint_eq(va2pa(first + PAGE), va2pa(second + PAGE));
}
END_TEST

START_TEST(a_loaded_page_answers_where_it_was_not_touched)
{
	int fd = file_with(3, PAGES(2));
	char *first = memory_wmap(NULL, PAGES(2), WMAP_SHARED, fd);
	char *second = memory_wmap(NULL, PAGES(2), WMAP_SHARED, fd);

	memory_load(first, 1);
	ck_assert(va2pa(second + 8) != NOWHERE);
	ck_assert_uint_eq(va2pa(second + 8), va2pa(first + 8));
	ck_assert_uint_eq(memory_loaded(second), 0);
	ck_assert(va2pa(second + PAGE) == NOWHERE);
}
END_TEST

START_TEST(a_private_copy_has_a_frame_of_its_own)
{
	int fd = file_with(3, PAGE);
	char *shared = memory_wmap(NULL, PAGE, WMAP_SHARED, fd);
	char *own = memory_wmap(NULL, PAGE, WMAP_PRIVATE, fd);

	memory_load(shared, 1);
	memory_store(own, 1, 1);
	ck_assert(va2pa(own) != NOWHERE);
	ck_assert(va2pa(own) != va2pa(shared));
}
END_TEST

static int forbidden(unsigned here)
{
	return va2pa(&here) == NOWHERE && errno == EPERM;
}

int main(void)
{
	TCase *facts = facts_case("course: va2pa", 30);

	if (facts_ask(forbidden, 1) == 1) {
		fprintf(stderr, "skipped: frame numbers need CAP_SYS_ADMIN\n");
		return FACTS_SKIPPED;
	}
	tcase_add_test(facts, a_page_that_is_not_loaded_is_nowhere);
	tcase_add_test(facts, what_is_not_mapped_is_nowhere);
	tcase_add_test(facts, the_answer_holds_the_offset_in_the_page);
	tcase_add_test(facts, different_pages_differ);
	tcase_add_test(facts, code_heap_and_stack_have_answers);
	tcase_add_test(facts, two_mappings_of_a_page_show_the_same_frame);
	tcase_add_test(facts, a_loaded_page_answers_where_it_was_not_touched);
	tcase_add_test(facts, a_private_copy_has_a_frame_of_its_own);
	return facts_run(facts);
}
