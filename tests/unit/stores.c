/* SPDX-License-Identifier: MIT */
/*
 * Stores: callbacks with threads and without, and zeros
 */
#include <sys/resource.h>
#include <unistd.h>

#include "noting.h"

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
	low.rlim_cur = (rlim_t)process_kib(0, "VmSize") * KIB + 100 * MIB;
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

int main(void)
{
	int n = lengthof(threads);
	TCase *facts = facts_case("stores", 60);

	tcase_add_checked_fixture(facts, begin_test, end_test);
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
	return facts_run_anywhere(facts);
}
