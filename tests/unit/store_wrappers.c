/* SPDX-License-Identifier: MIT */
/*
 * The two stores that wrap another: one fails as told, one takes its time
 */
#include "noting.h"

#define MS UINT64_C(1000000)

/* ---- The failing store --------------------------------------------------- */

static void wrap_failing(void)
{
	struct wmap_store *inner = noting_store(0);

	store = wmap_store_failing(inner);
	ck_assert_ptr_nonnull(store);
	wmap_store_put(inner);
}

static void tell(unsigned operations, uint64_t first, uint64_t count,
		 uint64_t offset, uint64_t length)
{
	const struct wmap_failure failure = {
		.size = sizeof(failure),
		.operations = operations,
		.first = first,
		.count = count,
		.offset = offset,
		.length = length,
		.error = ENOSPC,
	};

	ck_assert_int_eq(wmap_store_fail(store, &failure), 0);
}

/* How each of a row of transfers ends: '.' well, 'E' as told. */
static void check_row(enum io_operation operation, const char *row)
{
	for (const char *end = row; *end; end++) {
		bool fails = *end == 'E';
		size_t length = operation == IO_FLUSH ? 0 : PAGE;

		ck_assert_msg(transfer(operation, length, 0) ==
				      (fails ? -ENOSPC : (int64_t)length),
			      "number %d of %s", (int)(end - row) + 1, row);
	}
}

START_TEST(a_failing_store_that_was_told_nothing_fails_nothing)
{
	wrap_failing();
	ck_assert(store->writable);
	ck_assert_str_eq(store->name, "failing noting");
	ck_assert_int_eq(store_length(store), 12345);
	check_row(IO_READ, "...");
	check_row(IO_WRITE, "...");
	check_row(IO_FLUSH, "...");
	ck_assert_uint_eq(seen.reads + seen.writes + seen.flushes, 9);
}
END_TEST

static const struct {
	uint64_t first, count;
	const char *row;
} rows[] = {
	{ 0, 0, "EEEE" },	   { 1, 0, "EEEE" }, { 1, 1, "E..." },
	{ 3, 1, "..E." },	   { 2, 2, ".EE." }, { 4, 0, "...EE" },
	{ 2, UINT64_MAX, ".EEE" },
};

START_TEST(the_nth_fails_and_as_many_as_told)
{
	static const unsigned bits[] = { WMAP_FAIL_READ, WMAP_FAIL_WRITE,
					 WMAP_FAIL_FLUSH };

	wrap_failing();
	for (int operation = IO_READ; operation <= IO_FLUSH; operation++) {
		tell(bits[operation], rows[_i].first, rows[_i].count, 0, 0);
		for (int other = IO_READ; other <= IO_FLUSH; other++)
			if (other != operation)
				check_row(other, "..");
		check_row(operation, rows[_i].row);
	}
}
END_TEST

START_TEST(only_what_touches_the_range_fails)
{
	static const struct {
		uint64_t offset, length;
		bool fails;
	} reads[] = {
		{ 0, PAGES(2), false },	  { PAGES(2), PAGE, true },
		{ 0, PAGES(8), true },	  { PAGES(3), PAGE, true },
		{ PAGE, PAGES(2), true }, { PAGES(4), PAGE, false },
	};

	wrap_failing();
	tell(WMAP_FAIL_READ, 0, 0, PAGES(2), PAGES(2));
	for (size_t i = 0; i < lengthof(reads); i++)
		ck_assert_int_eq(
			transfer(IO_READ, reads[i].length, reads[i].offset),
			reads[i].fails ? -ENOSPC : (int64_t)reads[i].length);
	tell(WMAP_FAIL_READ, 0, 0, PAGES(2), UINT64_MAX);
	ck_assert_int_eq(transfer(IO_READ, PAGE, TIB), -ENOSPC);
}
END_TEST

START_TEST(what_is_told_is_counted_anew)
{
	wrap_failing();
	tell(WMAP_FAIL_READ, 2, 1, 0, 0);
	check_row(IO_READ, ".");
	tell(WMAP_FAIL_READ, 2, 1, 0, 0);
	check_row(IO_READ, ".E.");
	tell(WMAP_FAIL_READ, 0, 0, 0, 0);
	check_row(IO_READ, "E");
	ck_assert_int_eq(wmap_store_fail(store, NULL), 0);
	check_row(IO_READ, "...");
}
END_TEST

static const struct wmap_failure bad_failures[] = {
	{ .size = 1, .operations = WMAP_FAIL_READ, .error = EIO },
	{ .size = sizeof(struct wmap_failure), .error = EIO },
	{ .size = sizeof(struct wmap_failure), .operations = 8, .error = EIO },
	{ .size = sizeof(struct wmap_failure), .operations = WMAP_FAIL_READ },
	{ .size = sizeof(struct wmap_failure),
	  .operations = WMAP_FAIL_READ,
	  .error = -EIO },
	{ .size = sizeof(struct wmap_failure),
	  .operations = WMAP_FAIL_READ,
	  .error = 4096 },
};

START_TEST(a_failure_without_sense_is_refused)
{
	wrap_failing();
	tell(WMAP_FAIL_READ, 1, 1, 0, 0);
	ck_assert_int_eq(wmap_store_fail(store, &bad_failures[_i]), -1);
	ck_assert_int_eq(errno, EINVAL);
	check_row(IO_READ, "E.");
}
END_TEST

/* ---- The slow store ------------------------------------------------------ */

static void wrap_slow(uint64_t read_ns, uint64_t write_ns)
{
	struct wmap_store *inner = noting_store(0);

	store = wmap_store_slow(inner, read_ns, write_ns);
	ck_assert_ptr_nonnull(store);
	wmap_store_put(inner);
}

static uint64_t time_of(enum io_operation operation)
{
	size_t length = operation == IO_FLUSH ? 0 : PAGE;
	uint64_t begun = time_now();

	ck_assert_int_eq(transfer(operation, length, 0), (int64_t)length);
	return time_now() - begun;
}

START_TEST(a_slow_store_takes_its_time)
{
	wrap_slow(20 * MS, 40 * MS);
	ck_assert_uint_ge(time_of(IO_READ), 20 * MS);
	ck_assert_uint_ge(time_of(IO_WRITE), 40 * MS);
	ck_assert_uint_ge(time_of(IO_FLUSH), 40 * MS);
	ck_assert_int_eq(store_length(store), 12345);
	ck_assert_str_eq(store->name, "slow noting");
	ck_assert_int_eq(wmap_store_delay(store, 0, 30 * MS), 0);
	ck_assert_uint_lt(time_of(IO_READ), 20 * MS);
	ck_assert_uint_ge(time_of(IO_WRITE), 30 * MS);
}
END_TEST

static struct counted held[4];

static void start_held(enum io_operation operation, unsigned i,
		       uint64_t deadline)
{
	held[i] = (struct counted){ .io = { .operation = operation } };
	held[i].io.pub.buffer = buffer;
	held[i].io.pub.length = PAGE;
	counted_start(&held[i], loop, store, deadline);
}

START_TEST(for_ever_lasts_until_the_delay_changes)
{
	wrap_slow(WMAP_DELAY_FOREVER, WMAP_DELAY_FOREVER);
	start_held(IO_READ, 0, 0);
	start_held(IO_WRITE, 1, 0);
	start_held(IO_READ, 2, 10 * MS);
	turn_for(loop, 30);
	ck_assert_uint_eq(seen.reads + seen.writes, 0);
	ck_assert_int_eq(held[2].result, -ETIMEDOUT);
	wmap_store_delay(store, 5, WMAP_DELAY_FOREVER);
	turn_until(loop, &held[0].releases, 1);
	turn_until(loop, &held[2].releases, 1);
	turn_for(loop, 10);
	ck_assert_uint_eq(held[1].dones, 0);
	wmap_store_delay(store, 5, 5);
	turn_until(loop, &held[1].releases, 1);
	ck_assert_int_eq(held[0].result, PAGE);
	ck_assert_int_eq(held[1].result, PAGE);
}
END_TEST

static _Atomic bool delays_end;

static void *change_delays(void *unused)
{
	(void)unused;
	while (!delays_end) {
		wmap_store_delay(store, WMAP_DELAY_FOREVER, 0);
		wmap_store_delay(store, 1000, WMAP_DELAY_FOREVER);
		sched_yield();
	}
	return NULL;
}

START_TEST(no_transfer_is_lost_while_delays_change)
{
	pthread_t thread;

	wrap_slow(0, 0);
	delays_end = false;
	pthread_create(&thread, NULL, change_delays, NULL);
	for (unsigned i = 0; i < facts_scaled(2000); i++)
		ck_assert_int_eq(transfer(i % 2 ? IO_READ : IO_WRITE, PAGE, 0),
				 PAGE);
	delays_end = true;
	pthread_join(thread, NULL);
}
END_TEST

/* ---- Wrapping ------------------------------------------------------------ */

START_TEST(a_wrapper_holds_its_inner_store)
{
	wrap_failing();
	check_row(IO_READ, ".");
	ck_assert_uint_eq(seen.closes, 0);
	wmap_store_put(store);
	store = NULL;
	ck_assert_uint_eq(seen.closes, 1);
}
END_TEST

START_TEST(wrappers_wrap_each_other_and_threads)
{
	struct wmap_store *inner = noting_store(2);
	struct wmap_store *slow = wmap_store_slow(inner, 1, 1);

	store = wmap_store_failing(slow);
	wmap_store_put(inner);
	wmap_store_put(slow);
	tell(WMAP_FAIL_READ, 2, 1, 0, 0);
	check_row(IO_READ, ".E.");
	ck_assert_uint_eq(seen.on_owner, 0);
	wmap_store_put(store);
	store = NULL;
	ck_assert(process_wait(closed, NULL, 10));
}
END_TEST

START_TEST(a_wrapper_of_a_read_only_store_is_one)
{
	struct wmap_store_ops read_only = noting;
	struct wmap_store *inner;

	read_only.write = NULL;
	inner = wmap_store_create(&read_only, &seen, 0);
	store = _i ? wmap_store_slow(inner, 0, 0) : wmap_store_failing(inner);
	wmap_store_put(inner);
	ck_assert(!store->writable);
	ck_assert_int_eq(transfer(IO_WRITE, PAGE, 0), -EROFS);
}
END_TEST

START_TEST(no_other_store_is_told_to_fail_or_to_wait)
{
	store = noting_store(0);
	ck_assert_int_eq(wmap_store_fail(store, NULL), -1);
	ck_assert_int_eq(errno, EINVAL);
	ck_assert_int_eq(wmap_store_delay(store, 0, 0), -1);
	ck_assert_int_eq(errno, EINVAL);
	ck_assert_int_eq(wmap_store_fail(NULL, NULL), -1);
	ck_assert_int_eq(wmap_store_delay(NULL, 0, 0), -1);
	ck_assert_ptr_null(wmap_store_failing(NULL));
	ck_assert_ptr_null(wmap_store_slow(NULL, 0, 0));
}
END_TEST

int main(void)
{
	TCase *facts = facts_case("store_wrappers", 60);

	tcase_add_checked_fixture(facts, begin_test, end_test);
	tcase_add_test(facts,
		       a_failing_store_that_was_told_nothing_fails_nothing);
	tcase_add_loop_test(facts, the_nth_fails_and_as_many_as_told, 0,
			    lengthof(rows));
	tcase_add_test(facts, only_what_touches_the_range_fails);
	tcase_add_test(facts, what_is_told_is_counted_anew);
	tcase_add_loop_test(facts, a_failure_without_sense_is_refused, 0,
			    lengthof(bad_failures));
	tcase_add_test(facts, a_slow_store_takes_its_time);
	tcase_add_test(facts, for_ever_lasts_until_the_delay_changes);
	tcase_add_test(facts, no_transfer_is_lost_while_delays_change);
	tcase_add_test(facts, a_wrapper_holds_its_inner_store);
	tcase_add_test(facts, wrappers_wrap_each_other_and_threads);
	tcase_add_loop_test(facts, a_wrapper_of_a_read_only_store_is_one, 0, 2);
	tcase_add_test(facts, no_other_store_is_told_to_fail_or_to_wait);
	return facts_run_anywhere(facts);
}
