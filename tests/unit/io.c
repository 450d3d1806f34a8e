/* SPDX-License-Identifier: MIT */
/*
 * One transfer of a store: answers, deadlines, late answers
 *
 * The store of these tests keeps what it is given, and answers when told.
 */
#include <pthread.h>
#include <unistd.h>

#include "loops.h"

#define MS UINT64_C(1000000)

static struct loop *loop;

static struct {
	struct wmap_io *io; /* begun and not answered */
	unsigned begun, closed;
	bool at_once; /* answer within the call */
	struct counted *counted;
	unsigned releases_at_close;
} kept;

static void keep(void *self, struct wmap_io *io)
{
	(void)self;
	kept.begun++;
	kept.io = io;
	if (kept.at_once)
		wmap_io_done(io, (int64_t)io->length);
}

static void note_close(void *self)
{
	(void)self;
	kept.closed++;
	kept.releases_at_close = kept.counted->releases;
}

static const struct wmap_store_ops keeping = {
	.size = sizeof(keeping),
	.name = "keeping",
	.read = keep,
	.write = keep,
	.flush = keep,
	.close = note_close,
};

static struct wmap_store *store;
static struct counted counted;
static char buffer[PAGES(2)];

static void begin_test(void)
{
	memset(&kept, 0, sizeof(kept));
	memset(&counted, 0, sizeof(counted));
	kept.counted = &counted;
	loop = loop_open(0);
	store = wmap_store_create(&keeping, NULL, 0);
	ck_assert_ptr_nonnull(store);
}

static void end_test(void)
{
	wmap_store_put(store);
	loop_destroy(loop);
}

static void start(enum io_operation operation, uint64_t deadline)
{
	counted.io.operation = operation;
	counted.io.pub.buffer = buffer;
	counted.io.pub.length = operation == IO_FLUSH ? 0 : sizeof(buffer);
	counted_start(&counted, loop, store, deadline);
	ck_assert_uint_eq(kept.begun, 1);
}

START_TEST(an_answer_is_done_and_then_released)
{
	start(IO_READ, 0);
	turn_for(loop, 5);
	ck_assert_uint_eq(counted.dones, 0);
	wmap_io_done(kept.io, PAGE);
	ck_assert_uint_eq(counted.dones, 0);
	turn_until(loop, &counted.releases, 1);
	ck_assert_int_eq(counted.result, PAGE);
	ck_assert(!counted.io.late);
}
END_TEST

/* counted_start holds that done has not run inside io_start. */
START_TEST(an_answer_at_once_is_done_later)
{
	kept.at_once = true;
	start(IO_WRITE, 0);
	turn_until(loop, &counted.releases, 1);
	ck_assert_int_eq(counted.result, sizeof(buffer));
}
END_TEST

static const struct {
	enum io_operation operation;
	int64_t answer, result;
} answers[] = {
	{ IO_READ, sizeof(buffer), sizeof(buffer) },
	{ IO_READ, PAGE, PAGE },
	{ IO_READ, 5, 5 },
	{ IO_READ, 0, 0 },
	{ IO_READ, sizeof(buffer) + 1, -EIO },
	{ IO_READ, INT64_MAX, -EIO },
	{ IO_READ, -ENOSPC, -ENOSPC },
	{ IO_READ, -4095, -4095 },
	{ IO_READ, -4096, -EIO },
	{ IO_READ, INT64_MIN, -EIO },
	{ IO_WRITE, sizeof(buffer), sizeof(buffer) },
	{ IO_WRITE, sizeof(buffer) - 1, -EIO },
	{ IO_WRITE, 0, -EIO },
	{ IO_WRITE, -ENOSPC, -ENOSPC },
	{ IO_WRITE, sizeof(buffer) + 1, -EIO },
	{ IO_FLUSH, 0, 0 },
	{ IO_FLUSH, 1, -EIO },
	{ IO_FLUSH, -EDQUOT, -EDQUOT },
};

START_TEST(an_answer_without_sense_is_an_error)
{
	start(answers[_i].operation, 0);
	wmap_io_done(kept.io, answers[_i].answer);
	turn_until(loop, &counted.releases, 1);
	ck_assert_int_eq(counted.result, answers[_i].result);
}
END_TEST

START_TEST(a_deadline_that_passes_is_a_timeout)
{
	uint64_t begun = time_now();

	start(IO_READ, 20 * MS);
	turn_until(loop, &counted.dones, 1);
	ck_assert_int_eq(counted.result, -ETIMEDOUT);
	ck_assert(counted.io.late);
	ck_assert_uint_ge(time_now() - begun, 20 * MS);
	turn_for(loop, 30);
	ck_assert_uint_eq(counted.releases, 0);
	wmap_io_done(kept.io, PAGE);
	turn_until(loop, &counted.releases, 1);
	ck_assert_uint_eq(counted.dones, 1);
	ck_assert_int_eq(counted.io.result, PAGE);
}
END_TEST

START_TEST(an_answer_in_time_stops_the_deadline)
{
	start(IO_READ, 20 * MS);
	wmap_io_done(kept.io, PAGE);
	turn_until(loop, &counted.releases, 1);
	turn_for(loop, 50);
	ck_assert_uint_eq(counted.dones, 1);
	ck_assert_int_eq(counted.io.result, PAGE);
}
END_TEST

static void *answer_soon(void *unused)
{
	(void)unused;
	usleep(5000);
	memset(buffer, 7, sizeof(buffer));
	wmap_io_done(kept.io, sizeof(buffer));
	return NULL;
}

START_TEST(any_thread_may_answer)
{
	pthread_t thread;

	start(IO_READ, 1000 * MS);
	pthread_create(&thread, NULL, answer_soon, NULL);
	turn_until(loop, &counted.releases, 1);
	ck_assert_int_eq(counted.result, sizeof(buffer));
	ck_assert_int_eq(buffer[sizeof(buffer) - 1], 7);
	pthread_join(thread, NULL);
}
END_TEST

/* Answer and deadline come together: whichever wins, each is told once. */
START_TEST(an_answer_beside_its_deadline_is_told_once)
{
	pthread_t thread;

	for (unsigned i = 0; i < 50; i++) {
		kept.begun = 0;
		start(IO_READ, 5 * MS);
		pthread_create(&thread, NULL, answer_soon, NULL);
		turn_until(loop, &counted.releases, 1);
		ck_assert_uint_eq(counted.dones, 1);
		ck_assert_int_eq(counted.result,
				 counted.io.late ? -ETIMEDOUT :
						   (int64_t)sizeof(buffer));
		pthread_join(thread, NULL);
	}
}
END_TEST

START_TEST(an_io_holds_its_store_until_release)
{
	start(IO_READ, 10 * MS);
	wmap_store_put(store);
	turn_until(loop, &counted.dones, 1);
	ck_assert_uint_eq(kept.closed, 0);
	wmap_io_done(kept.io, 0);
	while (!kept.closed)
		loop_turn(loop);
	ck_assert_uint_eq(kept.releases_at_close, 1);
	store = NULL;
}
END_TEST

static void answer_twice(void *unused)
{
	(void)unused;
	start(IO_READ, 0);
	wmap_io_done(kept.io, 0);
	wmap_io_done(kept.io, 0);
}

START_TEST(a_second_answer_ends_the_process)
{
	ck_assert_int_ne(process_child(answer_twice, NULL), 0);
}
END_TEST

START_TEST(what_a_store_cannot_do_is_an_error_or_nothing)
{
	struct wmap_store_ops read_only = keeping;
	struct wmap_store *limited;

	read_only.write = read_only.flush = NULL;
	limited = wmap_store_create(&read_only, NULL, 0);
	ck_assert_int_eq(transfer_with(loop, limited, IO_WRITE, buffer, PAGE,
				       0),
			 -EROFS);
	ck_assert_int_eq(transfer_with(loop, limited, IO_FLUSH, NULL, 0, 0), 0);
	ck_assert_uint_eq(kept.begun, 0);
	wmap_store_put(limited);
}
END_TEST

int main(void)
{
	TCase *facts = facts_case("io", 60);

	tcase_add_checked_fixture(facts, begin_test, end_test);
	tcase_add_test(facts, an_answer_is_done_and_then_released);
	tcase_add_test(facts, an_answer_at_once_is_done_later);
	tcase_add_loop_test(facts, an_answer_without_sense_is_an_error, 0,
			    lengthof(answers));
	tcase_add_test(facts, a_deadline_that_passes_is_a_timeout);
	tcase_add_test(facts, an_answer_in_time_stops_the_deadline);
	tcase_add_test(facts, any_thread_may_answer);
	tcase_add_test(facts, an_answer_beside_its_deadline_is_told_once);
	tcase_add_test(facts, an_io_holds_its_store_until_release);
	tcase_add_test(facts, a_second_answer_ends_the_process);
	tcase_add_test(facts, what_a_store_cannot_do_is_an_error_or_nothing);
	return facts_run_anywhere(facts);
}
