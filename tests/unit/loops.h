/* SPDX-License-Identifier: MIT */
/*
 * A loop for a test, whose thread owns it
 *
 * Tests that take a _i run once without and once with io_uring (loop_kinds says
 * whether this machine has it).
 */
#ifndef TESTS_LOOPS_H
#define TESTS_LOOPS_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io.h"
#include "mem.h"
#include "sys.h"

#include "support.h"

/*
 * sys_hook is constant while threads run: main sets it once, to
 * a function that asks which hook the test wants now. NULL: none.
 */
static _Atomic(long (*)(long)) hook_now;

static inline long hook_ask(long number)
{
	long (*hook)(long) = hook_now;

	return hook ? hook(number) : 0;
}

static inline void hook_set(long (*hook)(long number))
{
	hook_now = hook;
}

/* In main. */
static inline void hook_install(void)
{
	sys_hook = hook_ask;
}

static inline struct loop *loop_open(int uring)
{
	struct loop *loop;
	bool used = uring;

	ck_assert_int_eq(loop_create(&loop, &used), 0);
	ck_assert_int_eq(used, uring != 0);
	ck_assert_int_eq(loop_own(loop), 0);
	return loop;
}

/*
 * In a process of its own: 2 with io_uring, 1 without. Under Valgrind 3.19 a
 * thread in io_uring_enter stops all others.
 */
static inline int count_kinds(unsigned unused)
{
	struct loop *loop;
	bool uring = true;

	(void)unused;
	if (getenv("WMAP_VALGRIND") || loop_create(&loop, &uring))
		return 1;
	loop_destroy(loop);
	return uring ? 2 : 1;
}

static inline int loop_kinds(void)
{
	int kinds = facts_ask(count_kinds, 0);

	if (kinds == 1)
		fprintf(stderr, "skipped: the loop on io_uring\n");
	return kinds == 1 ? 1 : 2; /* a crash is for the tests to say */
}

/* Turn until *@value has reached @wanted. */
static inline void turn_until(struct loop *loop, const unsigned *value,
			      unsigned wanted)
{
	while (*value < wanted)
		loop_turn(loop);
}

struct alarm {
	struct timer timer;
	unsigned rung;
};

static inline void alarm_rings(struct timer *timer)
{
	container_of(timer, struct alarm, timer)->rung++;
}

/* Turn for @ms; how many turns that took. */
static inline unsigned turn_for(struct loop *loop, unsigned ms)
{
	struct alarm alarm = { .rung = 0 };
	unsigned turns = 0;

	timer_init(&alarm.timer, alarm_rings);
	loop_timer_start(loop, &alarm.timer, time_now() + ms * 1000000ull);
	for (; !alarm.rung; turns++)
		loop_turn(loop);
	return turns;
}

static inline void delay(unsigned n)
{
	for (volatile unsigned i = 0; i < n; i++)
		;
}

/* A post that posts itself again; without a loop it does not. */
struct chain {
	struct post post;
	struct loop *loop;
	unsigned ran;
};

static inline void chain_runs(struct post *post)
{
	struct chain *chain = container_of(post, struct chain, post);

	chain->ran++;
	if (chain->loop)
		loop_post(chain->loop, post);
}

/* An io that counts what it is told. */
struct counted {
	struct io io;
	unsigned dones, releases;
	int64_t result; /* at done */
};

static inline void counted_done(struct io *io)
{
	struct counted *counted = container_of(io, struct counted, io);

	ck_assert(loop_is_owner(io->loop));
	counted->result = io->result;
	counted->dones++;
}

static inline void counted_release(struct io *io)
{
	struct counted *counted = container_of(io, struct counted, io);

	ck_assert(loop_is_owner(io->loop));
	ck_assert_uint_eq(counted->dones, 1);
	counted->releases++;
}

static inline void counted_start(struct counted *counted, struct loop *loop,
				 struct wmap_store *store, uint64_t deadline)
{
	counted->dones = counted->releases = 0;
	counted->io.done = counted_done;
	counted->io.release = counted_release;
	io_start(&counted->io, loop, store, deadline);
	ck_assert_uint_eq(counted->dones, 0);
}

/* The result of one transfer from begin to end. */
static inline int64_t transfer_with(struct loop *loop, struct wmap_store *store,
				    enum io_operation operation, void *buffer,
				    size_t length, uint64_t offset)
{
	struct counted counted = { .io = { .operation = operation } };

	counted.io.pub.buffer = buffer;
	counted.io.pub.length = length;
	counted.io.pub.offset = offset;
	counted_start(&counted, loop, store, 0);
	turn_until(loop, &counted.releases, 1);
	ck_assert_uint_eq(counted.dones, 1);
	return counted.result;
}

#endif
