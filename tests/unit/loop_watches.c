/* SPDX-License-Identifier: MIT */
/*
 * The loop: watches that come and go, thousands of them
 *
 * A watch is a line: a pipe, or a pair of sockets, one end of it watched. Each is memory of its own
 * that its gone frees, so that the address sanitizer and valgrind see a loop
 * that looks at one afterwards. What is known of a line outlives it in its
 * slot: the oracle.
 *
 *   FREE -> LIVE       line_open()
 *   LIVE -> LEAVING    line_leave(): run must not be called from here on
 *   LEAVING -> FREE    line_gone(), not from inside line_leave()
 *
 * A lost event shows as a test that does not end in time.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "loops.h"

#define SLOTS 2000

static struct loop *loop; /* of the test that runs */

enum state { FREE, LIVE, LEAVING };

struct slot {
	enum state state;
	struct line *line; /* unless FREE */
	int writer;	   /* -1: hung up, or FREE */
	unsigned written, heard;
	bool eof;		     /* heard */
	void (*then)(struct slot *); /* called once when it is heard */
};

struct line {
	struct watch watch;
	struct slot *slot;
};

static struct slot slots[SLOTS];
static unsigned n_slots; /* as many as descriptors allow */
static unsigned opened, left, gone, all_heard, heard_eofs;
static bool inside_unwatch;
static uint64_t seed;

/* Two descriptors a line, and some for the loop and the test. */
static void begin_test(void)
{
	struct rlimit limit;

	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	getrlimit(RLIMIT_NOFILE, &limit);
	n_slots = (unsigned)min_u64(SLOTS, (limit.rlim_cur - 64) / 2);
	for (unsigned i = 0; i < SLOTS; i++)
		slots[i] = (struct slot){ .writer = -1 };
	opened = left = gone = all_heard = heard_eofs = 0;
}

static void line_hang_up(struct slot *slot)
{
	if (slot->writer >= 0)
		close(slot->writer);
	slot->writer = -1;
}

static void line_gone(struct watch *watch)
{
	struct line *line = container_of(watch, struct line, watch);
	struct slot *slot = line->slot;

	ck_assert(!inside_unwatch);
	ck_assert(loop_is_owner(loop));
	ck_assert_int_eq(slot->state, LEAVING);
	ck_assert_ptr_eq(slot->line, line);
	ck_assert_int_eq(close(watch->fd), 0);
	free(line);
	line_hang_up(slot);
	*slot = (struct slot){ .writer = -1 };
	gone++;
}

static void line_leave(struct slot *slot)
{
	ck_assert_int_eq(slot->state, LIVE);
	slot->state = LEAVING;
	left++;
	inside_unwatch = true;
	loop_unwatch(loop, &slot->line->watch, line_gone);
	inside_unwatch = false;
}

static void line_heard(struct watch *watch)
{
	struct slot *slot = container_of(watch, struct line, watch)->slot;
	void (*then)(struct slot *) = slot->then;
	char bytes[16];
	ssize_t n;

	ck_assert_int_eq(slot->state, LIVE);
	do {
		n = read(watch->fd, bytes, sizeof(bytes));
		slot->heard += n > 0 ? (unsigned)n : 0;
		all_heard += n > 0 ? (unsigned)n : 0;
	} while (n == sizeof(bytes));
	if (n == 0 && !slot->eof) {
		slot->eof = true;
		heard_eofs++;
	}
	ck_assert_uint_le(slot->heard, slot->written);
	slot->then = NULL;
	if (then)
		then(slot);
}

static void ends_open(int ends[2], bool sockets)
{
	int error;

	if (sockets)
		error = socketpair(AF_UNIX,
				   SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC,
				   0, ends);
	else
		error = pipe2(ends, O_NONBLOCK | O_CLOEXEC);
	ck_assert_int_eq(error, 0);
}

static void line_open(struct slot *slot)
{
	struct line *line = malloc(sizeof(*line));
	int ends[2];

	ends_open(ends, (slot - slots) % 2);
	ck_assert_int_eq(slot->state, FREE);
	line->slot = slot;
	line->watch.fd = ends[0];
	line->watch.run = line_heard;
	*slot = (struct slot){ .state = LIVE, .line = line, .writer = ends[1] };
	ck_assert_int_eq(loop_watch(loop, &line->watch), 0);
	opened++;
}

static void line_write(struct slot *slot)
{
	if (slot->written - slot->heard > 100 || slot->writer < 0)
		return;
	slot->written++;
	ck_assert_int_eq(write(slot->writer, "x", 1), 1);
}

static void all_open(void)
{
	for (unsigned i = 0; i < n_slots; i++)
		line_open(&slots[i]);
}

static void all_leave(void)
{
	for (unsigned i = 0; i < n_slots; i++)
		if (slots[i].state == LIVE)
			line_leave(&slots[i]);
	turn_until(loop, &gone, opened);
	turn_for(loop, 1);
	ck_assert_uint_eq(gone, opened);
	ck_assert_uint_eq(gone, left);
	loop_destroy(loop);
}

/* ---- Many ---------------------------------------------------------------- */

START_TEST(two_thousand_are_heard_each)
{
	loop = loop_open(_i);
	all_open();
	for (unsigned round = 1; round <= 5; round++) {
		for (unsigned i = 0; i < n_slots; i++)
			line_write(&slots[i]);
		turn_until(loop, &all_heard, round * n_slots);
	}
	for (unsigned i = 0; i < n_slots; i++)
		ck_assert_uint_eq(slots[i].heard, 5);
	all_leave();
}
END_TEST

/* The ring's completion queue takes 512: what is more overflows. */
START_TEST(two_thousand_that_fire_while_nobody_turns_are_heard)
{
	loop = loop_open(_i);
	all_open();
	turn_for(loop, 1);
	for (unsigned round = 1; round <= 5; round++) {
		for (unsigned n = 0; n < 3; n++)
			for (unsigned i = 0; i < n_slots; i++)
				line_write(&slots[i]);
		turn_until(loop, &all_heard, 3 * round * n_slots);
	}
	ck_assert_uint_lt(turn_for(loop, 50), 20);
	all_leave();
}
END_TEST

START_TEST(two_thousand_that_hang_up_at_once_are_heard)
{
	loop = loop_open(_i);
	all_open();
	turn_for(loop, 1);
	for (unsigned i = 0; i < n_slots; i++)
		line_hang_up(&slots[i]);
	turn_until(loop, &heard_eofs, n_slots);
	if (_i) /* and then it sleeps */
		ck_assert_uint_lt(turn_for(loop, 50), 100);
	all_leave();
}
END_TEST

/* With transfers among them, whose completions must not be lost either. */
static unsigned transfers_ended;

static void transfer_ended(struct transfer *transfer)
{
	ck_assert_int_eq(transfer->result, 1);
	transfers_ended++;
}

START_TEST(a_crowd_of_events_loses_no_transfer)
{
	static struct transfer transfers[600];
	static char bytes[600];
	int fd = file_with(1, sizeof(bytes));

	transfers_ended = 0;
	loop = loop_open(_i);
	all_open();
	turn_for(loop, 1);
	for (unsigned i = 0; i < lengthof(transfers); i++) {
		transfers[i] = (struct transfer){ .operation = TRANSFER_READ,
						  .fd = fd,
						  .buffer = &bytes[i],
						  .length = 1,
						  .offset = i,
						  .done = transfer_ended };
		loop_transfer(loop, &transfers[i]);
	}
	for (unsigned i = 0; i < n_slots; i++)
		line_write(&slots[i]);
	turn_until(loop, &all_heard, n_slots);
	turn_until(loop, &transfers_ended, lengthof(transfers));
	ck_assert(pattern_holds(bytes, sizeof(bytes), 1, 0));
	all_leave();
	close(fd);
}
END_TEST

/* ---- Leaving ------------------------------------------------------------- */

START_TEST(one_that_was_never_armed_may_leave)
{
	loop = loop_open(_i);
	line_open(&slots[0]);
	line_write(&slots[0]);
	line_leave(&slots[0]);
	ck_assert_uint_eq(gone, 0);
	all_leave();
}
END_TEST

START_TEST(one_that_has_fired_is_not_run_once_it_leaves)
{
	loop = loop_open(_i);
	line_open(&slots[0]);
	turn_for(loop, 1);
	line_write(&slots[0]);
	line_leave(&slots[0]);
	ck_assert_uint_eq(gone, 0);
	all_leave();
}
END_TEST

/* The loop sleeps meanwhile: the end of the poll must wake it. */
START_TEST(one_that_is_idle_is_gone_without_any_other_event)
{
	loop = loop_open(_i);
	line_open(&slots[0]);
	turn_for(loop, 1);
	line_leave(&slots[0]);
	turn_until(loop, &gone, 1);
	all_leave();
}
END_TEST

START_TEST(one_may_leave_in_its_own_function)
{
	loop = loop_open(_i);
	line_open(&slots[0]);
	slots[0].then = line_leave;
	line_write(&slots[0]);
	turn_until(loop, &gone, 1);
	all_leave();
}
END_TEST

/* Of two that have fired, who is heard first takes the other away. */
static void other_leaves(struct slot *slot)
{
	line_leave(slot == &slots[0] ? &slots[1] : &slots[0]);
}

START_TEST(one_may_take_away_another_that_has_fired_with_it)
{
	loop = loop_open(_i);
	for (unsigned i = 0; i < 2; i++) {
		line_open(&slots[i]);
		slots[i].then = other_leaves;
	}
	turn_for(loop, 1);
	line_write(&slots[0]);
	line_write(&slots[1]);
	turn_until(loop, &gone, 1);
	ck_assert_uint_eq(all_heard, 1);
	all_leave();
}
END_TEST

START_TEST(one_that_hung_up_may_leave)
{
	loop = loop_open(_i);
	line_open(&slots[0]);
	turn_for(loop, 1);
	line_hang_up(&slots[0]);
	turn_until(loop, &heard_eofs, 1);
	all_leave();
}
END_TEST

static unsigned watched_again;

static void watch_again(struct watch *watch)
{
	watched_again++;
	ck_assert_int_eq(loop_watch(loop, watch), 0);
}

START_TEST(one_may_come_again_when_it_is_gone)
{
	watched_again = 0;
	loop = loop_open(_i);
	line_open(&slots[0]);
	for (unsigned i = 1; i <= 100; i++) {
		loop_unwatch(loop, &slots[0].line->watch, watch_again);
		turn_until(loop, &watched_again, i);
		line_write(&slots[0]);
		turn_until(loop, &all_heard, i);
	}
	all_leave();
}
END_TEST

/* ---- Lending ------------------------------------------------------------- */

static void *borrow_and_change(void *arg)
{
	unsigned n = facts_scaled(1000);
	uint64_t state = seed;

	(void)arg;
	for (unsigned i = 0; i < n; i++) {
		struct slot *slot = &slots[random_below(&state, 100)];

		while (!loop_borrow(loop))
			sched_yield();
		if (slot->state == FREE)
			line_open(slot);
		else if (slot->state == LIVE)
			line_leave(slot);
		loop_return(loop);
	}
	return NULL;
}

static void *borrow_till_all_are_gone(void *finished)
{
	borrow_and_change(NULL);
	atomic_store((atomic_bool *)finished, true);
	return NULL;
}

/* Its owner sleeps with nothing to wait for but them. */
START_TEST(a_borrower_may_add_and_take_away)
{
	atomic_bool finished = false;
	pthread_t thread;

	seed = random_seed();
	loop = loop_open(_i);
	pthread_create(&thread, NULL, borrow_till_all_are_gone, &finished);
	while (!atomic_load(&finished))
		turn_for(loop, 5);
	pthread_join(thread, NULL);
	all_leave();
}
END_TEST

/* ---- An oracle ----------------------------------------------------------- */

static struct slot *any_slot(void)
{
	return &slots[random_below(&seed, n_slots)];
}

static void step(void);

static void some_steps(struct slot *slot)
{
	(void)slot;
	for (size_t n = random_below(&seed, 4); n; n--)
		step();
}

static void leave_itself(struct slot *slot)
{
	if (slot->state == LIVE)
		line_leave(slot);
}

/* One change, by the test or by a watch's function. */
static void step(void)
{
	struct slot *slot = any_slot();

	if (slot->state == FREE)
		line_open(slot);
	if (slot->state == LEAVING)
		return;
	switch (random_below(&seed, 8)) {
	case 0:
		line_leave(slot);
		break;
	case 1:
		line_write(slot);
		line_leave(slot);
		break;
	case 2:
		line_hang_up(slot);
		break;
	case 3:
		slot->then = leave_itself;
		break;
	case 4:
		slot->then = some_steps;
		break;
	default:
		line_write(slot);
		break;
	}
}

static bool all_is_heard(void)
{
	for (unsigned i = 0; i < n_slots; i++)
		if (slots[i].state == LIVE &&
		    (slots[i].heard < slots[i].written ||
		     (slots[i].writer < 0 && !slots[i].eof)))
			return false;
	return true;
}

START_TEST(whatever_comes_and_goes_all_is_heard)
{
	bool slow = SANITIZED || getenv("WMAP_VALGRIND");
	unsigned rounds = facts_scaled(slow ? 20 : 200);

	seed = random_seed();
	loop = loop_open(_i);
	all_open();
	for (unsigned round = 0; round < rounds; round++) {
		size_t steps = random_below(&seed, round % 8 ? 100 : n_slots);

		while (steps--)
			step();
		for (size_t turns = random_below(&seed, 8); turns; turns--)
			turn_for(loop, 0);
		while (round % 16 == 0 && !all_is_heard())
			loop_turn(loop);
	}
	while (!all_is_heard())
		loop_turn(loop);
	all_leave();
}
END_TEST

/* ---- Without memory ------------------------------------------------------ */

static long no_mmap(long number)
{
	return number == SYS_mmap ? -ENOMEM : 0;
}

/* The others go on; and with memory it can be watched after all. */
START_TEST(without_memory_one_more_is_refused)
{
	int error = 0;
	struct watch more = { .run = line_heard };
	static struct watch others[200000];
	unsigned n = 0;

	loop = loop_open(0);
	line_open(&slots[0]);
	more.fd = slots[0].line->watch.fd;
	hook_set(no_mmap);
	for (; n < lengthof(others) && !error; n++) {
		others[n] = more;
		error = loop_watch(loop, &others[n]);
	}
	hook_set(NULL);
	ck_assert_int_eq(error, -ENOMEM);
	ck_assert_int_eq(loop_watch(loop, &others[n - 1]), 0);
	loop_destroy(loop);
}
END_TEST

int main(void)
{
	const TTest *in_both_kinds[] = {
		two_thousand_are_heard_each,
		two_thousand_that_fire_while_nobody_turns_are_heard,
		two_thousand_that_hang_up_at_once_are_heard,
		a_crowd_of_events_loses_no_transfer,
		one_that_was_never_armed_may_leave,
		one_that_has_fired_is_not_run_once_it_leaves,
		one_that_is_idle_is_gone_without_any_other_event,
		one_may_leave_in_its_own_function,
		one_may_take_away_another_that_has_fired_with_it,
		one_that_hung_up_may_leave,
		one_may_come_again_when_it_is_gone,
		a_borrower_may_add_and_take_away,
		whatever_comes_and_goes_all_is_heard,
	};
	TCase *facts = facts_case("loop_watches", 60);
	int kinds = loop_kinds();

	hook_install();
	tcase_add_checked_fixture(facts, begin_test, NULL);
	for (size_t i = 0; i < lengthof(in_both_kinds); i++)
		tcase_add_loop_test(facts, in_both_kinds[i], 0, kinds);
	tcase_add_test(facts, without_memory_one_more_is_refused);
	return facts_run_anywhere(facts);
}
