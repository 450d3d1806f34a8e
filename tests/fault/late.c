/* SPDX-License-Identifier: MIT */
/*
 * A store that answers late or never: sleepers wait together, a deadline makes
 * an error of silence, a late answer is thrown away, a late write overtakes
 * none
 */
#include "support.h"

#include <stdlib.h>
#include <string.h>

#define LENGTH ARRAY_LENGTH

static const unsigned threads[] = { 0, 1, 4 };
static const int kinds_of_sharing[] = { WMAP_SHARED, WMAP_PRIVATE };

static void *touch(void *at)
{
	memory_load(at, 1);
	return NULL;
}

/* Eight sleepers: a pager that served one after the other would never have
   the eighth read under way, for none is answered before. */
START_TEST(reads_are_under_way_together)
{
	char *at = array_map(WMAP_SHARED, 0, 0);
	pthread_t sleepers[8];
	unsigned eight = 8;

	wmap_advise(at, LENGTH, WMAP_ADVICE_RANDOM);
	array_hold(true, false);
	for (size_t i = 0; i < 8; i++)
		pthread_create(&sleepers[i], NULL, touch, at + PAGES(2 * i));
	ck_assert(process_wait(array_reads_are_held, &eight, 20));
	array_answer_reads(false);
	for (int i = 0; i < 8; i++)
		pthread_join(sleepers[i], NULL);
	array_hold(false, false);
	ck_assert(pattern_holds(at, LENGTH, 3, 0));
}
END_TEST

START_TEST(sleepers_for_one_page_need_one_read)
{
	char *at = array_map(WMAP_SHARED, threads[_i], 0);
	pthread_t sleepers[8];
	unsigned one = 1;

	wmap_advise(at, LENGTH, WMAP_ADVICE_RANDOM);
	array_hold(true, false);
	for (int i = 0; i < 8; i++)
		pthread_create(&sleepers[i], NULL, touch, at + PAGES(3) + i);
	ck_assert(process_wait(array_reads_are_held, &one, 20));
	process_sleep_ms(50);
	array_answer_reads(false);
	for (int i = 0; i < 8; i++)
		pthread_join(sleepers[i], NULL);
	ck_assert_uint_eq(atomic_load(&array.reads), 1);
	array_hold(false, false);
	ck_assert(pattern_holds(at, LENGTH, 3, 0));
}
END_TEST

START_TEST(one_that_never_answers_is_sigbus_after_its_deadline)
{
	char *at = array_map(WMAP_SHARED, 0, 200);

	array_hold(true, false);
	ck_assert_int_eq(process_load(at + PAGES(2)), SIGBUS);
	array_hold(false, false);
	ck_assert(pattern_holds(at, PAGES(2), 3, 0));
}
END_TEST

START_TEST(a_late_answer_is_thrown_away)
{
	char *at = array_map(WMAP_SHARED, 0, 200);

	array_hold(true, false);
	ck_assert_int_eq(process_load(at + PAGES(2)), SIGBUS);
	array_hold(false, false);
	array_answer_reads(true);
	ck_assert_int_eq(wmap_sync(at, LENGTH, WMAP_SYNC_WAIT), 0);
	ck_assert(pattern_holds(at, LENGTH, 3, 0));
}
END_TEST

START_TEST(a_write_that_never_answers_is_etimedout)
{
	char *at = array_map(WMAP_SHARED, 0, 200);

	at[PAGES(2)] = 't';
	array_hold(false, true);
	ck_assert_int_eq(wmap_sync(at, LENGTH, WMAP_SYNC_WAIT), -1);
	ck_assert_int_eq(errno, ETIMEDOUT);
	ck_assert_uint_eq(memory_info(at).dirty, 1);
	ck_assert_int_eq(wmap_unmap(at, LENGTH), -1);
	ck_assert_int_eq(errno, ETIMEDOUT);
	ck_assert_int_eq(at[PAGES(2)], 't');
	array_hold(false, false);
	array_answer_writes();
	ck_assert_int_eq(wmap_unmap(at, LENGTH), 0);
	ck_assert(array_has(PAGES(2), 't'));
}
END_TEST

START_TEST(a_late_write_overtakes_none)
{
	char *at = array_map(WMAP_SHARED, 0, 200);

	at[PAGES(2)] = '1';
	array_hold(false, true);
	ck_assert_int_eq(wmap_sync(at, LENGTH, WMAP_SYNC_WAIT), -1);
	at[PAGES(2)] = '2';
	array_hold(false, false);
	wmap_sync(at, LENGTH, WMAP_SYNC_WAIT);
	array_answer_writes();
	ck_assert_int_eq(wmap_sync(at, LENGTH, WMAP_SYNC_WAIT), 0);
	ck_assert(!array.overtaken);
	ck_assert(array_has(PAGES(2), '2'));
}
END_TEST

START_TEST(a_store_during_a_write_is_written_later)
{
	char *at = array_map(WMAP_SHARED, 0, 0);

	at[PAGES(2)] = '1';
	array_hold(false, true);
	ck_assert_int_eq(wmap_sync(at, LENGTH, WMAP_SYNC_START), 0);
	at[PAGES(2)] = '2';
	array_hold(false, false);
	array_answer_writes();
	ck_assert_int_eq(wmap_sync(at, LENGTH, WMAP_SYNC_WAIT), 0);
	ck_assert(array_has(PAGES(2), '2'));
}
END_TEST

static void *touch_and_catch(void *at)
{
	return process_load(at) == SIGSEGV ? at : NULL;
}

/* The read's answer comes when its mapping has long been gone; the deadline is
   far beyond the test's end. */
START_TEST(a_sleeper_whose_mapping_goes_gets_sigsegv)
{
	char *at = array_map(kinds_of_sharing[_i], 0, 3600 * 1000);
	unsigned one = 1;
	pthread_t sleeper;
	void *caught;

	array_hold(true, false);
	pthread_create(&sleeper, NULL, touch_and_catch, at + PAGES(2));
	ck_assert(process_wait(array_reads_are_held, &one, 20));
	ck_assert_int_eq(wmap_unmap(at, LENGTH), 0);
	pthread_join(sleeper, &caught);
	ck_assert_ptr_eq(caught, at + PAGES(2));
	array_answer_reads(false);
	ck_assert(process_wait(array_is_closed, NULL, 20));
}
END_TEST

/* ---- The slow store ------------------------------------------------------ */

static struct wmap_store *slow_file(int fd, uint64_t read_ns, uint64_t write_ns)
{
	struct wmap_store *file = wmap_store_file(fd, 0);
	struct wmap_store *slow = wmap_store_slow(file, read_ns, write_ns);

	ck_assert_ptr_nonnull(slow);
	wmap_store_put(file);
	return slow;
}

START_TEST(a_slow_store_is_right)
{
	int fd = file_with(3, LENGTH);
	struct wmap_store *slow = slow_file(fd, 20000000, 20000000);
	char *at = memory_map_store(LENGTH, READ_WRITE, WMAP_SHARED, slow, 0);

	ck_assert(pattern_holds(at, LENGTH, 3, 0));
	memset(at, 's', LENGTH);
	ck_assert_int_eq(wmap_unmap(at, LENGTH), 0);
	ck_assert(file_has(fd, LENGTH - 4, "ssss", 4));
	wmap_store_put(slow);
}
END_TEST

START_TEST(a_store_that_hangs_holds_up_no_other)
{
	struct wmap_store *slow =
		slow_file(file_with(3, LENGTH), WMAP_DELAY_FOREVER, 0);
	char *hangs =
		memory_map_store(LENGTH, READ_WRITE, WMAP_SHARED, slow, 0);
	int fd = file_with(5, LENGTH);
	pthread_t sleeper;
	char *at;

	pthread_create(&sleeper, NULL, touch, hangs);
	at = memory_map(LENGTH, READ_WRITE, WMAP_SHARED, fd, 0);
	ck_assert(pattern_holds(at, LENGTH, 5, 0));
	memset(at, 'o', LENGTH);
	ck_assert_int_eq(wmap_unmap(at, LENGTH), 0);
	ck_assert_int_eq(wmap_store_delay(slow, 0, 0), 0);
	pthread_join(sleeper, NULL);
	ck_assert(pattern_holds(hangs, LENGTH, 3, 0));
	wmap_store_put(slow);
}
END_TEST

/* As many large reads as the pager has buffers for, and more. */
#define GREEDY 40

static char *map_hanging(struct wmap_store *slow)
{
	struct wmap_map_options options = {
		.size = sizeof(options),
		.store = slow,
		.grain = 2 * MIB,
		.deadline_ms = 20000,
	};
	char *at = wmap_map(NULL, GREEDY * 2 * MIB, READ_WRITE, WMAP_SHARED, -1,
			    0, &options);

	ck_assert_ptr_ne(at, WMAP_FAILED);
	return at;
}

START_TEST(one_that_hangs_has_not_all_buffers)
{
	struct wmap_store *slow =
		slow_file(file_sparse(GREEDY * 2 * MIB), WMAP_DELAY_FOREVER, 0);
	char *hangs = map_hanging(slow), *at;
	int fd = file_with(5, 20 * MIB);
	pthread_t sleepers[GREEDY];

	for (size_t i = 0; i < GREEDY; i++)
		pthread_create(&sleepers[i], NULL, touch, hangs + i * 2 * MIB);
	process_sleep_ms(500); /* they are under way, or wait */
	at = memory_map(20 * MIB, READ_WRITE, WMAP_SHARED, fd, 0);
	ck_assert_int_eq(wmap_advise(at, 20 * MIB, WMAP_ADVICE_WILLNEED), 0);
	ck_assert(pattern_holds(at, 20 * MIB, 5, 0));
	memset(at, 'o', 20 * MIB);
	ck_assert_int_eq(wmap_unmap(at, 20 * MIB), 0);
	ck_assert_int_eq(wmap_store_delay(slow, 0, 0), 0);
	for (size_t i = 0; i < GREEDY; i++)
		pthread_join(sleepers[i], NULL);
	ck_assert_uint_eq(memory_info(hangs).errors, 0);
	wmap_store_put(slow);
}
END_TEST

START_TEST(its_deadline_ends_the_wait)
{
	struct wmap_store *slow =
		slow_file(file_with(3, LENGTH), WMAP_DELAY_FOREVER, 0);
	char *at = memory_map_store(LENGTH, READ_WRITE, kinds_of_sharing[_i],
				    slow, 200);

	ck_assert_int_eq(process_load(at + PAGES(3)), SIGBUS);
	ck_assert_uint_eq(memory_info(at).errors, 1);
	ck_assert_int_eq(wmap_store_delay(slow, 0, 0), 0);
	ck_assert_int_eq(wmap_sync(at, LENGTH, WMAP_SYNC_WAIT), 0);
	ck_assert(pattern_holds(at, LENGTH, 3, 0));
	wmap_store_put(slow);
}
END_TEST

START_TEST(the_default_deadline_is_settable)
{
	struct wmap_store *slow;
	char *at;

	setenv("WMAP_DEADLINE_MS", "200", 1);
	slow = slow_file(file_with(3, LENGTH), WMAP_DELAY_FOREVER, 0);
	at = memory_map_store(LENGTH, READ_WRITE, WMAP_SHARED, slow, 0);
	ck_assert_int_eq(process_load(at), SIGBUS);
	wmap_store_put(slow);
}
END_TEST

START_TEST(slow_writes_end_in_etimedout_and_are_lost_by_none)
{
	int fd = file_with(3, LENGTH);
	struct wmap_store *slow = slow_file(fd, 0, WMAP_DELAY_FOREVER);
	char *at = memory_map_store(LENGTH, READ_WRITE, WMAP_SHARED, slow, 200);

	memory_store(at, 16, 'l');
	ck_assert_int_eq(wmap_sync(at, LENGTH, WMAP_SYNC_WAIT), -1);
	ck_assert_int_eq(errno, ETIMEDOUT);
	ck_assert_int_eq(wmap_store_delay(slow, 0, 0), 0);
	ck_assert_int_eq(wmap_sync(at, LENGTH, WMAP_SYNC_WAIT), 0);
	ck_assert(file_has(fd, 0, at, LENGTH));
	wmap_store_put(slow);
}
END_TEST

int main(void)
{
	TCase *facts = facts_case("a store that answers late", 40);

	tcase_add_test(facts, reads_are_under_way_together);
	tcase_add_loop_test(facts, sleepers_for_one_page_need_one_read, 0, 3);
	tcase_add_test(facts,
		       one_that_never_answers_is_sigbus_after_its_deadline);
	tcase_add_test(facts, a_late_answer_is_thrown_away);
	tcase_add_test(facts, a_write_that_never_answers_is_etimedout);
	tcase_add_test(facts, a_late_write_overtakes_none);
	tcase_add_test(facts, a_store_during_a_write_is_written_later);
	tcase_add_loop_test(facts, a_sleeper_whose_mapping_goes_gets_sigsegv, 0,
			    2);
	tcase_add_test(facts, a_slow_store_is_right);
	tcase_add_test(facts, a_store_that_hangs_holds_up_no_other);
	tcase_add_test(facts, one_that_hangs_has_not_all_buffers);
	tcase_add_loop_test(facts, its_deadline_ends_the_wait, 0, 2);
	tcase_add_test(facts, the_default_deadline_is_settable);
	tcase_add_test(facts,
		       slow_writes_end_in_etimedout_and_are_lost_by_none);
	return facts_run(facts);
}
