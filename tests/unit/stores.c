/* SPDX-License-Identifier: MIT */
/*
 * Stores: callbacks with threads and without, zeros, failing ones, slow ones
 */
#include <pthread.h>
#include <sys/resource.h>
#include <unistd.h>

#include "loops.h"

#define MS UINT64_C(1000000)

static struct loop *loop;
static struct wmap_store *store;
static char buffer[PAGES(16)] __attribute__((aligned(4096)));

/* What the stores of these tests have seen. Set before a store is there. */
static struct {
	_Atomic unsigned reads, writes, flushes, closes;
	_Atomic unsigned inside, most_inside; /* at a time */
	unsigned meet;	 /* wait in read until so many are inside */
	pthread_t owner; /* of the loop */
	_Atomic unsigned on_owner;
} seen;

static void begin_test(void)
{
	memset(&seen, 0, sizeof(seen));
	seen.owner = pthread_self();
	loop = loop_open(0);
	store = NULL;
}

static bool closed(void *unused)
{
	(void)unused;
	return seen.closes == 1;
}

/* A store's threads must not reach into the next test. */
static void end_test(void)
{
	bool has_threads = store && store->workers;

	wmap_store_put(store);
	if (has_threads)
		ck_assert(process_wait(closed, NULL, 10));
	loop_destroy(loop);
}

static int64_t transfer(enum io_operation operation, size_t length,
			uint64_t offset)
{
	return transfer_with(loop, store, operation, buffer, length, offset);
}

/* ---- A store that remembers ---------------------------------------------- */

static void note_thread(void)
{
	if (pthread_equal(pthread_self(), seen.owner))
		seen.on_owner++;
}

/* The first byte read says which of its pages it is. */
static void noting_read(void *self, struct wmap_io *io)
{
	unsigned inside = ++seen.inside;

	ck_assert_ptr_eq(self, &seen);
	note_thread();
	while (seen.meet && seen.most_inside < seen.meet) {
		if (inside > seen.most_inside)
			seen.most_inside = inside;
		inside = seen.inside;
		sched_yield();
	}
	*(char *)io->buffer = (char)(io->offset / PAGE);
	seen.reads++;
	seen.inside--;
	wmap_io_done(io, (int64_t)io->length);
}

static void noting_write(void *self, struct wmap_io *io)
{
	ck_assert_ptr_eq(self, &seen);
	note_thread();
	seen.writes++;
	wmap_io_done(io, (int64_t)io->length);
}

static void noting_flush(void *self, struct wmap_io *io)
{
	ck_assert_ptr_eq(self, &seen);
	ck_assert_uint_eq(io->length, 0);
	seen.flushes++;
	wmap_io_done(io, 0);
}

static int64_t noting_length(void *self)
{
	ck_assert_ptr_eq(self, &seen);
	return 12345;
}

static void noting_close(void *self)
{
	ck_assert_ptr_eq(self, &seen);
	seen.closes++;
}

static const struct wmap_store_ops noting = {
	.size = sizeof(noting),
	.name = "noting",
	.read = noting_read,
	.write = noting_write,
	.flush = noting_flush,
	.length = noting_length,
	.close = noting_close,
};

static struct wmap_store *noting_store(unsigned threads)
{
	struct wmap_store *made = wmap_store_create(&noting, &seen, threads);

	ck_assert_ptr_nonnull(made);
	return made;
}

/* ---- Callbacks ----------------------------------------------------------- */

static const unsigned threads[] = { 0, 1, 8, 64 };

START_TEST(each_function_is_called_where_it_should_be)
{
	bool on_owner = threads[_i] == 0;

	store = noting_store(threads[_i]);
	ck_assert(store->writable);
	ck_assert_str_eq(store->name, "noting");
	ck_assert_int_eq(transfer(IO_READ, PAGE, PAGES(7)), PAGE);
	ck_assert_int_eq(buffer[0], 7);
	ck_assert_int_eq(transfer(IO_WRITE, 100, 0), 100);
	ck_assert_int_eq(transfer(IO_FLUSH, 0, 0), 0);
	ck_assert_uint_eq(seen.reads, 1);
	ck_assert_uint_eq(seen.writes, 1);
	ck_assert_uint_eq(seen.flushes, 1);
	ck_assert_uint_eq(seen.on_owner, on_owner ? 2 : 0);
	ck_assert_int_eq(store_length(store), 12345);
}
END_TEST

/* All begun at once; each page's own buffer. */
static void read_sixteen(void)
{
	static struct counted counted[16];

	for (unsigned i = 0; i < 16; i++) {
		counted[i] =
			(struct counted){ .io = {
						  .operation = IO_READ,
						  .pub = { .buffer = buffer +
								     PAGES(i),
							   .length = PAGE,
							   .offset = PAGES(i) },
					  } };
		counted_start(&counted[i], loop, store, 0);
	}
	for (unsigned i = 0; i < 16; i++) {
		turn_until(loop, &counted[i].releases, 1);
		ck_assert_int_eq(counted[i].result, PAGE);
		ck_assert_int_eq(buffer[PAGES(i)], (char)i);
	}
}

START_TEST(as_many_run_at_a_time_as_there_are_threads)
{
	seen.meet = threads[_i];
	store = noting_store(threads[_i]);
	read_sixteen();
	ck_assert_uint_ge(seen.most_inside, threads[_i]);
	ck_assert_uint_eq(seen.reads, 16);
}
END_TEST

START_TEST(the_last_put_closes_it_once)
{
	struct wmap_store *made = noting_store(threads[_i]);

	ck_assert_ptr_eq(wmap_store_get(made), made);
	wmap_store_put(made);
	usleep(10000);
	ck_assert_uint_eq(seen.closes, 0);
	wmap_store_put(made);
	ck_assert(process_wait(closed, NULL, 10));
	usleep(10000);
	ck_assert_uint_eq(seen.closes, 1);
}
END_TEST

static void read_and_put(void *self, struct wmap_io *io)
{
	struct wmap_store *own = io->buffer ? store : NULL;

	(void)self;
	store = NULL;
	wmap_io_done(io, 0);
	usleep(20000);
	wmap_store_put(own);
}

/* By then the io has given back its own, and the put is a worker's. */
START_TEST(a_worker_may_put_the_last_reference)
{
	struct wmap_store_ops putting = noting;
	struct wmap_store *made;

	putting.read = read_and_put;
	made = store = wmap_store_create(&putting, &seen, 1);
	transfer_with(loop, made, IO_READ, buffer, PAGE, 0);
	ck_assert(process_wait(closed, NULL, 10));
}
END_TEST

START_TEST(putting_null_does_nothing)
{
	wmap_store_put(NULL);
}
END_TEST

static void no_read(struct wmap_store_ops *operations)
{
	operations->read = NULL;
}

static void smaller(struct wmap_store_ops *operations)
{
	operations->size--;
}

static void larger(struct wmap_store_ops *operations)
{
	operations->size += 8;
}

START_TEST(a_table_that_is_wrong_is_refused)
{
	static void (*const wrongs[])(
		struct wmap_store_ops *) = { no_read, smaller, larger };
	struct wmap_store_ops wrong = noting;
	size_t used = mem_used();

	wrongs[_i](&wrong);
	ck_assert_ptr_null(wmap_store_create(&wrong, &seen, 0));
	ck_assert_int_eq(errno, EINVAL);
	ck_assert_ptr_null(wmap_store_create(NULL, &seen, 0));
	ck_assert_ptr_null(wmap_store_create(&noting, &seen, 65));
	ck_assert_int_eq(errno, EINVAL);
	ck_assert_uint_eq(mem_used(), used);
	ck_assert_uint_eq(seen.closes, 0);
}
END_TEST

static bool used_is(void *used)
{
	return mem_used() == *(size_t *)used;
}

/* Room for some threads' stacks, and not for 64. */
START_TEST(too_few_threads_are_none)
{
	struct rlimit before, low;
	size_t used = mem_used();

	if (SANITIZED || getenv("WMAP_VALGRIND"))
		return; /* they need more addresses than that */
	getrlimit(RLIMIT_AS, &before);
	low = before;
	low.rlim_cur = (rlim_t)process_kib("VmSize") * KIB + 100 * MIB;
	setrlimit(RLIMIT_AS, &low);
	ck_assert_ptr_null(wmap_store_create(&noting, &seen, 64));
	ck_assert(errno == EAGAIN || errno == ENOMEM);
	setrlimit(RLIMIT_AS, &before);
	ck_assert(process_wait(used_is, &used, 10));
	ck_assert_uint_eq(seen.closes, 0);
}
END_TEST

START_TEST(a_long_name_keeps_its_end)
{
	struct wmap_store_ops named = noting;
	char name[300];

	memset(name, 'x', sizeof(name));
	strcpy(name + sizeof(name) - 5, "/end");
	named.name = name;
	store = wmap_store_create(&named, &seen, 0);
	ck_assert_ptr_nonnull(store);
	ck_assert_uint_eq(strlen(store->name), sizeof(store->name) - 1);
	ck_assert_str_eq(store->name + strlen(store->name) - 4, "/end");
}
END_TEST

START_TEST(zeros_have_no_end_and_take_everything)
{
	store = wmap_store_zero();
	memset(buffer, 7, sizeof(buffer));
	ck_assert_int_eq(transfer(IO_READ, PAGES(2), TIB), PAGES(2));
	ck_assert(pattern_zeros(buffer, PAGES(2)));
	ck_assert_int_eq(transfer(IO_WRITE, 5, 0), 5);
	ck_assert_int_eq(transfer(IO_FLUSH, 0, 0), 0);
	ck_assert_int_eq(store_length(store), INT64_MAX);
	ck_assert_str_eq(store->name, "zero");
}
END_TEST

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

static void add_callbacks(TCase *facts)
{
	int n = lengthof(threads);

	tcase_add_loop_test(facts, each_function_is_called_where_it_should_be,
			    0, n);
	/* with one and with eight */
	tcase_add_loop_test(facts, as_many_run_at_a_time_as_there_are_threads,
			    1, 3);
	tcase_add_loop_test(facts, the_last_put_closes_it_once, 0, n);
	tcase_add_test(facts, a_worker_may_put_the_last_reference);
	tcase_add_test(facts, putting_null_does_nothing);
	tcase_add_loop_test(facts, a_table_that_is_wrong_is_refused, 0, 3);
	tcase_add_test(facts, too_few_threads_are_none);
	tcase_add_test(facts, a_long_name_keeps_its_end);
	tcase_add_test(facts, zeros_have_no_end_and_take_everything);
}

static void add_wrappers(TCase *facts)
{
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
}

int main(void)
{
	TCase *facts = facts_case("stores", 60);

	tcase_add_checked_fixture(facts, begin_test, end_test);
	add_callbacks(facts);
	add_wrappers(facts);
	return facts_run_anywhere(facts);
}
