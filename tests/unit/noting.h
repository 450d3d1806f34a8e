/* SPDX-License-Identifier: MIT */
/*
 * A store that notes what it is asked, and a loop to ask it
 *
 * Of one test at a time: begin_test and end_test are its fixture.
 */
#ifndef TESTS_NOTING_H
#define TESTS_NOTING_H

#include <pthread.h>
#include <sched.h>

#include "loops.h"

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

static inline void begin_test(void)
{
	memset(&seen, 0, sizeof(seen));
	seen.owner = pthread_self();
	loop = loop_open(0);
	store = NULL;
}

static inline bool closed(void *unused)
{
	(void)unused;
	return seen.closes == 1;
}

/* A store's threads must not reach into the next test. */
static inline void end_test(void)
{
	bool has_threads = store && store->workers;

	wmap_store_put(store);
	if (has_threads)
		ck_assert(process_wait(closed, NULL, 10));
	loop_destroy(loop);
}

static inline int64_t transfer(enum io_operation operation, size_t length,
			       uint64_t offset)
{
	return transfer_with(loop, store, operation, buffer, length, offset);
}

/* ---- A store that remembers ---------------------------------------------- */

static inline void note_thread(void)
{
	if (pthread_equal(pthread_self(), seen.owner))
		seen.on_owner++;
}

/* The first byte read says which of its pages it is. */
static inline void noting_read(void *self, struct wmap_io *io)
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

static inline void noting_write(void *self, struct wmap_io *io)
{
	ck_assert_ptr_eq(self, &seen);
	note_thread();
	seen.writes++;
	wmap_io_done(io, (int64_t)io->length);
}

static inline void noting_flush(void *self, struct wmap_io *io)
{
	ck_assert_ptr_eq(self, &seen);
	ck_assert_uint_eq(io->length, 0);
	seen.flushes++;
	wmap_io_done(io, 0);
}

static inline int64_t noting_length(void *self)
{
	ck_assert_ptr_eq(self, &seen);
	return 12345;
}

static inline void noting_close(void *self)
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

static inline struct wmap_store *noting_store(unsigned threads)
{
	struct wmap_store *made = wmap_store_create(&noting, &seen, threads);

	ck_assert_ptr_nonnull(made);
	return made;
}

#endif
