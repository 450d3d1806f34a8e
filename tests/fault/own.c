/* SPDX-License-Identifier: MIT */
/*
 * A store of the program's own: what is asked of its functions, and what their
 * answers mean
 */
#include "support.h"

#include <string.h>

#define LENGTH ARRAY_LENGTH

static const unsigned threads[] = { 0, 1, 4 };

START_TEST(its_bytes_are_seen_and_taken)
{
	char *at = array_map(WMAP_SHARED, threads[_i], 0);

	ck_assert(pattern_holds(at, LENGTH, 3, 0));
	at[PAGES(7)] = 'o';
	ck_assert_int_eq(wmap_sync(at, LENGTH, WMAP_SYNC_WAIT), 0);
	ck_assert(array_has(PAGES(7), 'o'));
	ck_assert_uint_ge(atomic_load(&array.flushes), 1);
	ck_assert_str_eq(memory_info(at).name, "array");
}
END_TEST

START_TEST(it_is_closed_once_with_the_last_reference)
{
	char *at = array_map(WMAP_SHARED, threads[_i], 0);

	memory_store(at, 16, 'c');
	ck_assert_uint_eq(atomic_load(&array.closes), 0);
	ck_assert_int_eq(wmap_unmap(at, LENGTH), 0);
	ck_assert(array_has(PAGES(15), 'c'));
	ck_assert(process_wait(array_is_closed, NULL, 20));
	process_sleep_ms(50);
	ck_assert_uint_eq(atomic_load(&array.closes), 1);
}
END_TEST

START_TEST(past_its_length_is_sigbus)
{
	char *at;

	atomic_store(&array.length, (int64_t)PAGES(4) + 10);
	at = array_map(WMAP_SHARED, threads[_i], 0);
	ck_assert_int_eq(process_load(at + PAGES(4)), 0);
	ck_assert(pattern_zeros(at + PAGES(4) + 10, PAGE - 10));
	ck_assert_int_eq(process_load(at + PAGES(5)), SIGBUS);
	memset(at, 'w', PAGES(5));
	ck_assert_int_eq(wmap_unmap(at, LENGTH), 0);
	ck_assert(array_has(PAGES(4) + 9, 'w'));
	ck_assert(!array_has(PAGES(4) + 10, 'w'));
}
END_TEST

/* Whether a page is brought meanwhile is not said; but it is right then. */
START_TEST(while_its_length_is_not_known_nothing_is_wrong_or_lost)
{
	char *at;

	atomic_store(&array.length, -EIO);
	at = array_map(WMAP_SHARED, threads[_i], 0);
	ck_assert(process_load(at) || pattern_holds(at, PAGE, 3, 0));
	atomic_store(&array.length, LENGTH);
	ck_assert_int_eq(wmap_sync(at, LENGTH, WMAP_SYNC_WAIT), 0);
	at[PAGE] = 'l';
	atomic_store(&array.length, -EIO);
	wmap_sync(at, LENGTH, WMAP_SYNC_WAIT);
	atomic_store(&array.length, LENGTH);
	ck_assert_int_eq(wmap_sync(at, LENGTH, WMAP_SYNC_WAIT), 0);
	ck_assert(array_has(PAGE, 'l'));
	ck_assert(pattern_holds(at, PAGE, 3, 0));
}
END_TEST

START_TEST(a_short_read_is_its_end)
{
	char *at;

	atomic_store(&array.short_by, 96);
	at = array_map(WMAP_SHARED, threads[_i], 0);
	ck_assert(pattern_holds(at + PAGES(15), PAGE - 96, 3, PAGES(15)));
	ck_assert(pattern_zeros(at + LENGTH - 96, 96));
}
END_TEST

START_TEST(a_short_write_is_eio)
{
	char *at = array_map(WMAP_SHARED, threads[_i], 0);

	at[0] = 's';
	atomic_store(&array.short_by, 96);
	ck_assert_int_eq(wmap_sync(at, LENGTH, WMAP_SYNC_WAIT), -1);
	ck_assert_int_eq(errno, EIO);
	ck_assert_uint_eq(memory_info(at).dirty, 1);
	atomic_store(&array.short_by, 0);
	ck_assert_int_eq(wmap_sync(at, LENGTH, WMAP_SYNC_WAIT), 0);
}
END_TEST

START_TEST(mappings_of_one_store_show_one_memory)
{
	struct wmap_store *store;
	char *a, *b;

	store = wmap_store_create(&array_ops, &array, threads[_i]);
	a = memory_map_store(LENGTH, READ_WRITE, WMAP_SHARED, store, 0);
	b = memory_map_store(LENGTH, READ_WRITE, WMAP_SHARED, store, 0);
	a[5] = 'a';
	ck_assert_int_eq(b[5], 'a');
	ck_assert_int_eq(wmap_unmap(a, LENGTH), 0);
	ck_assert_int_eq(b[5], 'a');
	wmap_store_put(store);
	ck_assert_int_eq(wmap_unmap(b, LENGTH), 0);
	ck_assert(array_has(5, 'a'));
}
END_TEST

START_TEST(one_without_write_is_read_only)
{
	struct wmap_store_ops ops = array_ops;
	struct wmap_map_options options = { .size = sizeof options };
	char *at;

	ops.write = NULL;
	pattern_fill(array.bytes, LENGTH, 3, 0);
	options.store = wmap_store_create(&ops, &array, threads[_i]);
	ck_assert_ptr_eq(wmap_map(NULL, LENGTH, READ_WRITE, WMAP_SHARED, -1, 0,
				  &options),
			 WMAP_FAILED);
	ck_assert_int_eq(errno, EACCES);
	at = memory_map_store(LENGTH, PROT_READ, WMAP_SHARED, options.store, 0);
	ck_assert(pattern_holds(at, LENGTH, 3, 0));
	ck_assert_int_eq(wmap_protect(at, LENGTH, READ_WRITE), -1);
	ck_assert_int_eq(errno, EACCES);
	at = memory_map_store(LENGTH, READ_WRITE, WMAP_PRIVATE, options.store,
			      0);
	ck_assert_int_eq(process_store(at, 1), 0);
}
END_TEST

int main(void)
{
	TCase *facts = facts_case("a store of the program's own", 40);

	tcase_add_loop_test(facts, its_bytes_are_seen_and_taken, 0, 3);
	tcase_add_loop_test(facts, it_is_closed_once_with_the_last_reference, 0,
			    3);
	tcase_add_loop_test(facts, past_its_length_is_sigbus, 0, 3);
	tcase_add_loop_test(
		facts, while_its_length_is_not_known_nothing_is_wrong_or_lost,
		0, 3);
	tcase_add_loop_test(facts, a_short_read_is_its_end, 0, 3);
	tcase_add_loop_test(facts, a_short_write_is_eio, 0, 3);
	tcase_add_loop_test(facts, mappings_of_one_store_show_one_memory, 0, 3);
	tcase_add_loop_test(facts, one_without_write_is_read_only, 0, 3);
	return facts_run(facts);
}
