/* SPDX-License-Identifier: MIT */
/*
 * The loop: posts, by any thread, wherever the owner is
 *
 * A lost post or wake-up shows as a test that does not end in time.
 */
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "loops.h"

static struct loop *loop; /* of the test that runs */

/* What the test's callbacks have seen so far. */
static unsigned all_ran, handled;
static _Atomic unsigned calls, wakes;

static void begin_test(void)
{
	all_ran = handled = 0;
	calls = wakes = 0;
}

static void end_test(void)
{
	hook_set(NULL);
}

#define POSTERS 4

struct numbered {
	struct post post;
	unsigned number;
	struct poster *poster;
};

struct poster {
	pthread_t thread;
	struct numbered *posts;
	unsigned n;
	unsigned spin;	      /* before post i: a delay of i % spin */
	_Atomic unsigned ran; /* orders nothing: numbered_ran writes no more */
	bool one_by_one;      /* wait until each has run */
};

static void numbered_ran(struct post *post)
{
	struct numbered *numbered = container_of(post, struct numbered, post);

	ck_assert_uint_eq(numbered->number, numbered->poster->ran);
	numbered->poster->ran++;
	all_ran++;
}

static void *post_all(void *arg)
{
	struct poster *poster = arg;

	for (unsigned i = 0; i < poster->n; i++) {
		delay(poster->spin ? i % poster->spin : 0);
		loop_post(loop, &poster->posts[i].post);
		while (poster->one_by_one && poster->ran <= i)
			sched_yield();
	}
	return NULL;
}

static void poster_start(struct poster *poster)
{
	poster->posts = calloc(poster->n, sizeof(*poster->posts));
	for (unsigned i = 0; i < poster->n; i++)
		poster->posts[i] = (struct numbered){
			.post.run = numbered_ran,
			.number = i,
			.poster = poster,
		};
	pthread_create(&poster->thread, NULL, post_all, poster);
}

static void poster_join(struct poster *poster)
{
	pthread_join(poster->thread, NULL);
	free(poster->posts);
}

START_TEST(posts_of_a_thread_run_in_its_order)
{
	struct poster posters[POSTERS] = { 0 };
	unsigned n = facts_scaled(5000);

	loop = loop_open(_i);
	for (int i = 0; i < POSTERS; i++) {
		posters[i].n = n;
		posters[i].spin = i * 500;
		poster_start(&posters[i]);
	}
	turn_until(loop, &all_ran, POSTERS * n);
	for (int i = 0; i < POSTERS; i++)
		poster_join(&posters[i]);
	loop_destroy(loop);
}
END_TEST

/* Each post finds the owner somewhere else on its way to sleep. */
START_TEST(a_post_is_seen_wherever_the_owner_is)
{
	struct poster poster = { .one_by_one = true };

	poster.n = facts_scaled(10000);
	poster.spin = 4000;
	loop = loop_open(_i);
	poster_start(&poster);
	turn_until(loop, &all_ran, poster.n);
	poster_join(&poster);
	loop_destroy(loop);
}
END_TEST

/* The poster is held up between its push and its write, or the owner between
   ASLEEP and its poll (with io_uring that call is not sys_call's). */
static long hold_up(long number)
{
	if (number == SYS_write || number == SYS_ppoll)
		usleep(calls++ % 3 * 100);
	return 0;
}

START_TEST(a_post_is_seen_whoever_is_held_up)
{
	struct poster poster = { .one_by_one = true, .n = 500 };

	hook_set(hold_up);
	loop = loop_open(_i);
	poster_start(&poster);
	turn_until(loop, &all_ran, poster.n);
	poster_join(&poster);
	loop_destroy(loop);
}
END_TEST

static long hold_up_write(long number)
{
	if (number == SYS_write)
		usleep(50000);
	return 0;
}

static void *post_one(void *post)
{
	usleep(20000);
	loop_post(loop, post);
	return NULL;
}

/* A timer wakes the owner, which runs the post before its poster has written,
   and ends the loop. The descriptor's number is used again at once. */
START_TEST(the_end_waits_for_a_poster_that_still_has_to_write)
{
	struct poster poster = { 0 };
	struct numbered numbered = { .post.run = numbered_ran,
				     .poster = &poster };
	pthread_t thread;
	uint64_t count;
	int again;

	hook_set(hold_up_write);
	loop = loop_open(_i);
	pthread_create(&thread, NULL, post_one, &numbered.post);
	turn_for(loop, 40);
	turn_until(loop, &all_ran, 1);
	loop_destroy(loop);
	again = eventfd(0, EFD_NONBLOCK);
	pthread_join(thread, NULL);
	ck_assert_int_lt(read(again, &count, sizeof(count)), 0);
	close(again);
}
END_TEST

static struct post from_handler;
static void handler_ran(struct post *post)
{
	(void)post;
	handled++;
}

static void post_it(int signal)
{
	(void)signal;
	from_handler.run = handler_ran;
	loop_post(loop, &from_handler);
}

START_TEST(a_signal_handler_may_post)
{
	loop = loop_open(_i);
	signal(SIGUSR1, post_it);
	for (unsigned i = 1; i <= 100; i++) {
		raise(SIGUSR1);
		turn_until(loop, &handled, i);
	}
	loop_destroy(loop);
}
END_TEST

START_TEST(a_post_of_a_post_runs_in_the_next_turn)
{
	struct chain chain = { .post.run = chain_runs };

	loop = chain.loop = loop_open(_i);
	loop_post(loop, &chain.post);
	for (unsigned i = 1; i <= 10; i++) {
		loop_turn(loop);
		ck_assert_uint_eq(chain.ran, i);
	}
	loop_destroy(loop);
}
END_TEST

START_TEST(the_owner_knows_itself)
{
	bool uring = _i;
	struct loop *other;

	ck_assert_int_eq(loop_create(&other, &uring), 0);
	ck_assert(!loop_is_owner(other));
	ck_assert_int_eq(loop_own(other), 0);
	ck_assert(loop_is_owner(other));
	loop_destroy(other);
}
END_TEST

static long count_wakes(long number)
{
	wakes += number == SYS_write;
	return 0;
}

static void post_from_transfer(struct transfer *transfer)
{
	(void)transfer;
	loop_post(loop, &from_handler);
}

/* A transfer ends where the owner was asleep a moment ago. */
START_TEST(the_owner_does_not_wake_itself)
{
	char byte;
	int fd = file_with(1, 1);
	struct transfer transfer = { .fd = fd,
				     .buffer = &byte,
				     .length = 1,
				     .done = post_from_transfer };

	loop = loop_open(1);
	hook_set(count_wakes);
	from_handler.run = handler_ran;
	for (unsigned i = 1; i <= 10; i++) {
		loop_transfer(loop, &transfer);
		turn_until(loop, &handled, i);
	}
	ck_assert_uint_eq(wakes, 0);
	loop_destroy(loop);
	close(fd);
}
END_TEST

int main(void)
{
	const TTest *in_both_kinds[] = {
		posts_of_a_thread_run_in_its_order,
		a_post_is_seen_wherever_the_owner_is,
		a_post_is_seen_whoever_is_held_up,
		the_end_waits_for_a_poster_that_still_has_to_write,
		a_signal_handler_may_post,
		a_post_of_a_post_runs_in_the_next_turn,
		the_owner_knows_itself,
	};
	TCase *facts = facts_case("loop_posts", 60);
	int kinds = loop_kinds();

	hook_install();
	tcase_add_checked_fixture(facts, begin_test, end_test);
	for (size_t i = 0; i < lengthof(in_both_kinds); i++)
		tcase_add_loop_test(facts, in_both_kinds[i], 0, kinds);
	if (kinds == 2)
		tcase_add_test(facts, the_owner_does_not_wake_itself);
	return facts_run_anywhere(facts);
}
