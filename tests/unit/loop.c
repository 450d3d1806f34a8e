/* SPDX-License-Identifier: MIT */
/*
 * The loop: timers, watches, transfers, with io_uring and without
 *
 * A lost event or wake-up shows as a test that does not end in time.
 */
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/time.h>
#include <unistd.h>

#include "loops.h"

static struct loop *loop; /* of the test that runs */

/* What the test's callbacks have seen so far. */
static unsigned tickets_ran, all_heard, all_ended;
static unsigned lines_logged;
static void begin_test(void)
{
	tickets_ran = all_heard = all_ended = 0;
	lines_logged = 0;
}

static void end_test(void)
{
	hook_set(NULL);
}

/* ---- Timers -------------------------------------------------------------- */

struct ticket {
	struct timer timer;
	unsigned number;
	uint64_t ran_at;
	struct ticket *victim; /* stopped when this one runs */
};

static unsigned ticket_order[8];

static void ticket_runs(struct timer *timer)
{
	struct ticket *ticket = container_of(timer, struct ticket, timer);

	ticket->ran_at = time_now();
	ticket_order[tickets_ran++] = ticket->number;
	if (ticket->victim)
		loop_timer_stop(&ticket->victim->timer);
}

static void ticket_start(struct ticket *ticket, unsigned number, uint64_t at)
{
	ticket->number = number;
	timer_init(&ticket->timer, ticket_runs);
	loop_timer_start(loop, &ticket->timer, at);
}

START_TEST(timers_run_in_order_of_their_time_and_not_before_it)
{
	static const unsigned ms[] = { 30, 10, 20, 10, 5, 40 };
	static const unsigned order[] = { 4, 1, 3, 2, 0, 5 };
	struct ticket tickets[lengthof(ms)] = { 0 };
	uint64_t now = time_now();

	loop = loop_open(_i);
	for (unsigned i = 0; i < lengthof(ms); i++)
		ticket_start(&tickets[i], i, now + ms[i] * 1000000ull);
	turn_until(loop, &tickets_ran, lengthof(ms));
	ck_assert_mem_eq(ticket_order, order, sizeof(order));
	for (unsigned i = 0; i < lengthof(ms); i++)
		ck_assert_uint_ge(tickets[i].ran_at, tickets[i].timer.at);
	loop_destroy(loop);
}
END_TEST

START_TEST(a_timer_that_is_started_again_runs_once_at_the_new_time)
{
	struct ticket tickets[2] = { 0 };
	uint64_t now = time_now();

	loop = loop_open(_i);
	ticket_start(&tickets[0], 0, now + 1000000);
	ticket_start(&tickets[1], 1, now + 5000000);
	loop_timer_start(loop, &tickets[0].timer, now + 10000000);
	turn_for(loop, 30);
	ck_assert_uint_eq(tickets_ran, 2);
	ck_assert_uint_eq(ticket_order[0], 1);
	loop_destroy(loop);
}
END_TEST

static bool is_hung_up(int fd)
{
	struct pollfd one = { .fd = fd };

	return poll(&one, 1, 0) == 1 && one.revents & POLLHUP;
}

/* The kernel takes its time to put a ring away. */
static bool comes_to_be_hung_up(void *fd)
{
	return is_hung_up(*(int *)fd);
}

START_TEST(what_is_held_stays_open_until_the_end)
{
	int ends[2];

	loop = loop_open(_i);
	ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
	ck_assert_int_eq(loop_hold(loop, ends[1]), 0);
	turn_for(loop, 5);
	ck_assert(!is_hung_up(ends[0]));
	loop_destroy(loop);
	ck_assert(process_wait(comes_to_be_hung_up, &ends[0], 10));
}
END_TEST

START_TEST(a_stopped_timer_does_not_run)
{
	struct ticket ticket = { 0 };

	loop = loop_open(_i);
	ticket_start(&ticket, 0, time_now() + 1000000);
	loop_timer_stop(&ticket.timer);
	loop_timer_stop(&ticket.timer);
	turn_for(loop, 5);
	ck_assert_uint_eq(tickets_ran, 0);
	loop_destroy(loop);
}
END_TEST

START_TEST(a_timer_may_stop_one_that_is_due_with_it)
{
	struct ticket tickets[2] = { { .victim = &tickets[1] } };
	uint64_t now = time_now();

	loop = loop_open(_i);
	ticket_start(&tickets[0], 0, now);
	ticket_start(&tickets[1], 1, now);
	turn_for(loop, 5);
	ck_assert_uint_eq(tickets_ran, 1);
	loop_destroy(loop);
}
END_TEST

static void start_again(struct timer *timer)
{
	container_of(timer, struct alarm, timer)->rung++;
	loop_timer_start(loop, timer, 0);
}

START_TEST(a_timer_that_starts_itself_runs_once_a_turn)
{
	struct alarm alarm = { 0 };

	loop = loop_open(_i);
	timer_init(&alarm.timer, start_again);
	loop_timer_start(loop, &alarm.timer, 0);
	for (unsigned i = 1; i <= 10; i++) {
		loop_turn(loop);
		ck_assert_uint_eq(alarm.rung, i);
	}
	loop_destroy(loop);
}
END_TEST

START_TEST(a_loop_with_nothing_to_do_sleeps)
{
	struct chain chain = { .post.run = chain_runs };

	loop = loop_open(_i);
	loop_post(loop, &chain.post);
	ck_assert_uint_lt(turn_for(loop, 100), 10);
	loop_destroy(loop);
}
END_TEST

static void ignore(int signal)
{
	(void)signal;
}

START_TEST(signals_change_nothing)
{
	struct itimerval often = { { 0, 500 }, { 0, 500 } };
	struct itimerval never = { { 0, 0 }, { 0, 0 } };
	struct sigaction action = { .sa_handler = ignore };
	struct ticket ticket = { 0 };

	loop = loop_open(_i);
	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &often, NULL);
	ticket_start(&ticket, 0, time_now() + 50000000);
	turn_until(loop, &tickets_ran, 1);
	setitimer(ITIMER_REAL, &never, NULL);
	ck_assert_uint_ge(ticket.ran_at, ticket.timer.at);
	loop_destroy(loop);
}
END_TEST

/* ---- Watches ------------------------------------------------------------- */

struct bell {
	struct watch watch;
	int writer;
	unsigned heard; /* bytes */
};

static void bell_heard(struct watch *watch)
{
	struct bell *bell = container_of(watch, struct bell, watch);
	char bytes[16];
	ssize_t n;

	do {
		n = read(watch->fd, bytes, sizeof(bytes));
		if (n > 0) {
			bell->heard += (unsigned)n;
			all_heard += (unsigned)n;
		}
	} while (n == sizeof(bytes));
}

static void bell_open(struct bell *bell)
{
	int pipe[2];

	ck_assert_int_eq(pipe2(pipe, O_NONBLOCK | O_CLOEXEC), 0);
	bell->watch = (struct watch){ .fd = pipe[0], .run = bell_heard };
	bell->writer = pipe[1];
	ck_assert_int_eq(loop_watch(loop, &bell->watch), 0);
}

static void bell_close(struct bell *bell)
{
	close(bell->writer);
	close(bell->watch.fd);
}

static void *ring_bell(void *arg)
{
	struct bell *bell = arg;
	unsigned n = facts_scaled(20000);

	for (unsigned i = 0; i < n; i++) {
		delay(i % 3000);
		while (write(bell->writer, "x", 1) != 1)
			sched_yield();
	}
	return NULL;
}

START_TEST(a_watch_hears_every_byte)
{
	struct bell bell = { 0 };
	pthread_t thread;

	loop = loop_open(_i);
	bell_open(&bell);
	pthread_create(&thread, NULL, ring_bell, &bell);
	turn_until(loop, &bell.heard, facts_scaled(20000));
	pthread_join(thread, NULL);
	loop_destroy(loop);
	bell_close(&bell);
}
END_TEST

START_TEST(a_watch_hears_what_was_there_before_it)
{
	struct bell bell = { 0 };

	loop = loop_open(_i);
	bell_open(&bell);
	ck_assert_int_eq(write(bell.writer, "abc", 3), 3);
	turn_until(loop, &bell.heard, 3);
	loop_destroy(loop);
	bell_close(&bell);
}
END_TEST

struct answer {
	struct post post;
	struct bell *bell;
	unsigned heard; /* of the bell, when this runs */
};

static void answer_rings(struct post *post)
{
	struct answer *answer = container_of(post, struct answer, post);

	answer->heard = answer->bell->heard;
	(void)!write(answer->bell->writer, "x", 1);
}

START_TEST(what_an_answer_brings_about_is_heard_before_the_next)
{
	struct bell bell = { 0 };
	struct answer answers[4];

	loop = loop_open(_i);
	bell_open(&bell);
	for (unsigned i = 0; i < lengthof(answers); i++) {
		answers[i] = (struct answer){
			.post.run = answer_rings,
			.bell = &bell,
		};
		loop_post(loop, &answers[i].post);
	}
	turn_until(loop, &bell.heard, lengthof(answers));
	for (unsigned i = 0; i < lengthof(answers); i++)
		ck_assert_uint_eq(answers[i].heard, i);
	loop_destroy(loop);
	bell_close(&bell);
}
END_TEST

START_TEST(sixty_watches_are_heard_each)
{
	struct bell bells[60] = { 0 };

	loop = loop_open(_i);
	for (unsigned i = 0; i < lengthof(bells); i++)
		bell_open(&bells[i]);
	for (unsigned round = 1; round <= 20; round++) {
		for (unsigned i = 0; i < lengthof(bells); i++)
			ck_assert_int_eq(write(bells[i].writer, "x", 1), 1);
		turn_until(loop, &all_heard, round * lengthof(bells));
	}
	for (unsigned i = 0; i < lengthof(bells); i++)
		ck_assert_uint_eq(bells[i].heard, 20);
	loop_destroy(loop);
	for (unsigned i = 0; i < lengthof(bells); i++)
		bell_close(&bells[i]);
}
END_TEST

static unsigned ended_calls;

static void end_heard(struct watch *watch)
{
	char byte;

	ended_calls += read(watch->fd, &byte, 1) == 0;
}

/* By ppoll at every turn; by the ring once, and then it sleeps. */
START_TEST(what_hangs_up_is_heard_once_or_until_it_leaves)
{
	struct bell bell = { 0 };

	ended_calls = 0;
	loop = loop_open(_i);
	bell_open(&bell);
	bell.watch.run = end_heard;
	turn_for(loop, 1);
	ck_assert_uint_eq(ended_calls, 0);
	close(bell.writer);
	turn_until(loop, &ended_calls, 1);
	if (_i) {
		ck_assert_uint_lt(turn_for(loop, 100), 10);
		ck_assert_uint_le(ended_calls, 2);
	}
	loop_destroy(loop);
	close(bell.watch.fd);
}
END_TEST

START_TEST(what_hung_up_before_it_was_watched_is_heard)
{
	struct bell bell = { 0 };

	ended_calls = 0;
	loop = loop_open(_i);
	bell_open(&bell);
	bell.watch.run = end_heard;
	close(bell.writer);
	turn_until(loop, &ended_calls, 1);
	if (_i)
		ck_assert_uint_lt(turn_for(loop, 100), 10);
	loop_destroy(loop);
	close(bell.watch.fd);
}
END_TEST

/* A file, which is always readable: a client may send anything. */
START_TEST(what_nobody_can_wait_for_is_heard)
{
	struct watch watch = { .fd = file_empty(), .run = end_heard };

	ended_calls = 0;
	loop = loop_open(_i);
	ck_assert_int_eq(loop_watch(loop, &watch), 0);
	turn_until(loop, &ended_calls, 1);
	loop_destroy(loop);
	close(watch.fd);
}
END_TEST

static void one_read(struct watch *watch)
{
	char bytes[16];
	ssize_t n = read(watch->fd, bytes, sizeof(bytes));

	all_heard += n > 0 ? (unsigned)n : 0;
	ended_calls += n == 0;
}

START_TEST(an_end_that_comes_with_the_last_bytes_is_heard)
{
	struct bell bell = { 0 };

	ended_calls = 0;
	loop = loop_open(_i);
	bell_open(&bell);
	bell.watch.run = one_read;
	turn_for(loop, 1);
	ck_assert_int_eq(write(bell.writer, "abc", 3), 3);
	close(bell.writer);
	turn_until(loop, &ended_calls, 1);
	ck_assert_uint_eq(all_heard, 3);
	loop_destroy(loop);
	close(bell.watch.fd);
}
END_TEST

/* ---- Transfers ----------------------------------------------------------- */

struct move {
	struct transfer transfer;
	unsigned ended;
};

static void move_ended(struct transfer *transfer)
{
	container_of(transfer, struct move, transfer)->ended++;
	all_ended++;
}

static void move_begin(struct move *move, enum transfer_operation operation,
		       int fd, void *buffer, size_t length, uint64_t offset)
{
	*move = (struct move){ .transfer = {
				       .operation = operation,
				       .fd = fd,
				       .buffer = buffer,
				       .length = length,
				       .offset = offset,
				       .done = move_ended,
			       } };
	loop_transfer(loop, &move->transfer);
}

static int64_t moved(enum transfer_operation operation, int fd, void *buffer,
		     size_t length, uint64_t offset)
{
	struct move move;

	move_begin(&move, operation, fd, buffer, length, offset);
	ck_assert_uint_eq(loop_busy(loop), 1);
	ck_assert_uint_eq(move.ended, 0);
	turn_until(loop, &move.ended, 1);
	ck_assert_uint_eq(loop_busy(loop), 0);
	return move.transfer.result;
}

START_TEST(a_read_brings_what_is_there)
{
	char bytes[8192];
	int fd = file_with(1, 10000);

	loop = loop_open(_i);
	ck_assert_int_eq(moved(TRANSFER_READ, fd, bytes, 8192, 0), 8192);
	ck_assert(pattern_holds(bytes, 8192, 1, 0));
	ck_assert_int_eq(moved(TRANSFER_READ, fd, bytes, 8192, 8192), 1808);
	ck_assert(pattern_holds(bytes, 1808, 1, 8192));
	ck_assert_int_eq(moved(TRANSFER_READ, fd, bytes, 8192, 10000), 0);
	ck_assert_int_eq(moved(TRANSFER_READ, fd, bytes, 8192, 1 << 30), 0);
	loop_destroy(loop);
	close(fd);
}
END_TEST

START_TEST(a_write_lands_where_it_should)
{
	char bytes[5000];
	int fd = file_empty();

	loop = loop_open(_i);
	pattern_fill(bytes, 5000, 2, 300);
	ck_assert_int_eq(moved(TRANSFER_WRITE, fd, bytes, 5000, 300), 5000);
	ck_assert_int_eq(moved(TRANSFER_FLUSH, fd, NULL, 0, 0), 0);
	ck_assert(file_holds(fd, 2, 300, 5000));
	ck_assert_uint_eq(file_length(fd), 5300);
	loop_destroy(loop);
	close(fd);
}
END_TEST

START_TEST(a_transfer_that_fails_says_why)
{
	char byte = 0;
	int fd = file_empty();
	int reader = file_reopen(fd, O_RDONLY);

	loop = loop_open(_i);
	ck_assert_int_eq(moved(TRANSFER_WRITE, reader, &byte, 1, 0), -EBADF);
	close(reader);
	ck_assert_int_eq(moved(TRANSFER_READ, reader, &byte, 1, 0), -EBADF);
	ck_assert_int_eq(moved(TRANSFER_FLUSH, reader, NULL, 0, 0), -EBADF);
	loop_destroy(loop);
	close(fd);
}
END_TEST

#define TRIES 2000 /* a thread of the kernel's is held up in few of them */

/* A read lease is for files that nobody has open for writing. */
static bool is_open_for_writing(int reader)
{
	return fcntl(reader, F_SETLEASE, F_RDLCK) && errno == EAGAIN;
}

START_TEST(a_write_that_has_ended_holds_no_file)
{
	unsigned held = 0;
	char byte = 'w';

	loop = loop_open(_i);
	for (unsigned i = 0; i < TRIES; i++) {
		int fd = file_empty();
		int reader = file_reopen(fd, O_RDONLY);

		ck_assert_int_eq(moved(TRANSFER_WRITE, fd, &byte, 1, 0), 1);
		close(fd);
		held += is_open_for_writing(reader);
		close(reader);
	}
	ck_assert_uint_eq(held, 0);
	loop_destroy(loop);
}
END_TEST

#define MANY 1000 /* more than a ring takes at a time */

START_TEST(a_thousand_transfers_at_once_all_end)
{
	static char bytes[MANY][512];
	static struct move moves[MANY];
	int fd = file_with(3, sizeof(bytes));

	loop = loop_open(_i);
	for (unsigned i = 0; i < MANY; i++)
		move_begin(&moves[i], TRANSFER_READ, fd, bytes[i], 512,
			   i * 512);
	ck_assert_uint_eq(loop_busy(loop), MANY);
	turn_until(loop, &all_ended, MANY);
	ck_assert_uint_eq(loop_busy(loop), 0);
	ck_assert(pattern_holds(bytes, sizeof(bytes), 3, 0));
	loop_destroy(loop);
	close(fd);
}
END_TEST

START_TEST(posts_without_end_starve_nobody)
{
	struct chain chain = { .post.run = chain_runs };
	struct ticket ticket = { 0 };
	struct bell bell = { 0 };
	struct move move;
	char byte;
	int fd = file_with(4, 1);

	loop = chain.loop = loop_open(_i);
	bell_open(&bell);
	loop_post(loop, &chain.post);
	ticket_start(&ticket, 0, time_now() + 1000000);
	move_begin(&move, TRANSFER_READ, fd, &byte, 1, 0);
	ck_assert_int_eq(write(bell.writer, "x", 1), 1);
	turn_until(loop, &tickets_ran, 1);
	turn_until(loop, &move.ended, 1);
	turn_until(loop, &bell.heard, 1);
	loop_destroy(loop);
	bell_close(&bell);
	close(fd);
}
END_TEST

/* ---- Beginning and end --------------------------------------------------- */

static void count_line(void *arg, const char *line)
{
	(void)arg;
	(void)line;
	lines_logged++;
}

START_TEST(without_io_uring_it_says_so_once_and_works)
{
	bool uring = true;
	char byte;
	int fd = file_with(5, 1);

	wmap_log_set(count_line, NULL);
	setenv("WMAP_KERNEL_WITHOUT", "poison,io_uring", 1);
	ck_assert_int_eq(loop_create(&loop, &uring), 0);
	ck_assert(!uring);
	ck_assert_int_eq(loop_own(loop), 0);
	ck_assert_int_eq(moved(TRANSFER_READ, fd, &byte, 1, 0), 1);
	ck_assert_uint_eq(lines_logged, 1);
	loop_destroy(loop);
	close(fd);
}
END_TEST

static bool nothing_used(void *arg)
{
	(void)arg;
	return mem_used() == 0;
}

START_TEST(a_loop_gives_back_all_it_held)
{
	unsigned descriptors = process_descriptors(0);

	for (int i = 0; i < 20; i++) {
		loop = loop_open(_i);
		turn_for(loop, 1);
		loop_destroy(loop);
	}
	ck_assert_uint_eq(process_descriptors(0), descriptors);
	/* workers leave by themselves */
	ck_assert(process_wait(nothing_used, NULL, 10));
}
END_TEST

static long no_eventfd(long number)
{
	return number == SYS_eventfd2 ? -EMFILE : 0;
}

START_TEST(without_an_eventfd_there_is_no_loop)
{
	struct loop *untouched = NULL;
	bool uring = _i;

	hook_set(no_eventfd);
	ck_assert_int_eq(loop_create(&untouched, &uring), -EMFILE);
	ck_assert_ptr_null(untouched);
	ck_assert(process_wait(nothing_used, NULL, 10));
}
END_TEST

static unsigned open_below(int end)
{
	unsigned n = 0;

	for (int fd = 0; fd < end; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

/* Without allocating or exit(3): AddressSanitizer would take a lock that one of the
   parent's threads, which start now, may have held when it forked. */
static void close_in_child(void *uring)
{
	unsigned before = open_below(256);

	loop_child(loop);
	_exit(before - open_below(256) != (uring ? 2 : 1));
}

/* A ring and an eventfd. The parent's go on. */
START_TEST(a_child_closes_what_it_inherited)
{
	loop = loop_open(_i);
	turn_for(loop, 1);
	ck_assert_int_eq(process_child(close_in_child, _i ? loop : NULL), 0);
	turn_for(loop, 1);
	loop_destroy(loop);
}
END_TEST

int main(void)
{
	const TTest *in_both_kinds[] = {
		timers_run_in_order_of_their_time_and_not_before_it,
		a_timer_that_is_started_again_runs_once_at_the_new_time,
		what_is_held_stays_open_until_the_end,
		a_stopped_timer_does_not_run,
		a_timer_may_stop_one_that_is_due_with_it,
		a_timer_that_starts_itself_runs_once_a_turn,
		a_loop_with_nothing_to_do_sleeps,
		signals_change_nothing,
		a_watch_hears_every_byte,
		a_watch_hears_what_was_there_before_it,
		what_an_answer_brings_about_is_heard_before_the_next,
		sixty_watches_are_heard_each,
		what_hangs_up_is_heard_once_or_until_it_leaves,
		what_hung_up_before_it_was_watched_is_heard,
		what_nobody_can_wait_for_is_heard,
		an_end_that_comes_with_the_last_bytes_is_heard,
		a_read_brings_what_is_there,
		a_write_lands_where_it_should,
		a_transfer_that_fails_says_why,
		a_write_that_has_ended_holds_no_file,
		a_thousand_transfers_at_once_all_end,
		posts_without_end_starve_nobody,
		a_loop_gives_back_all_it_held,
		without_an_eventfd_there_is_no_loop,
		a_child_closes_what_it_inherited,
	};
	TCase *facts = facts_case("loop", 60);
	int kinds = loop_kinds();

	hook_install();
	tcase_add_checked_fixture(facts, begin_test, end_test);
	for (size_t i = 0; i < lengthof(in_both_kinds); i++)
		tcase_add_loop_test(facts, in_both_kinds[i], 0, kinds);
	tcase_add_test(facts, without_io_uring_it_says_so_once_and_works);
	return facts_run_anywhere(facts);
}
