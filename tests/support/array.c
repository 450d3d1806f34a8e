/* SPDX-License-Identifier: MIT */
/*
 * A store that answers when the test says so: an array in memory, whose
 * transfers are counted, and may be held back until they are answered late,
 * short, wrongly or never.
 */
#include "support.h"

#include <string.h>

struct array array = { .lock = PTHREAD_MUTEX_INITIALIZER,
		       .length = ARRAY_LENGTH };

/* Copy as asked; the answer to give. */
static int64_t transfer(struct wmap_io *io, bool to_store)
{
	int64_t length = atomic_load(&array.length);
	size_t end = length < 0 ? ARRAY_LENGTH : (size_t)length, n;

	n = io->offset >= end ? 0 : end - io->offset;
	if (n > io->length)
		n = io->length;
	if (to_store)
		memcpy(array.bytes + io->offset, io->buffer, n);
	else
		memcpy(io->buffer, array.bytes + io->offset, n);
	return (int64_t)n - atomic_load(&array.short_by);
}

static void array_read(void *self, struct wmap_io *io)
{
	int64_t answer = -1;

	(void)self;
	atomic_fetch_add(&array.reads, 1);
	pthread_mutex_lock(&array.lock);
	if (array.hold_reads)
		array.held_reads[array.n_held_reads++ % 64] = io;
	else
		answer = transfer(io, false);
	pthread_mutex_unlock(&array.lock);
	if (answer >= 0)
		wmap_io_done(io, answer);
}

static bool overlaps(const struct wmap_io *a, const struct wmap_io *b)
{
	return a->offset < b->offset + b->length &&
	       b->offset < a->offset + a->length;
}

static void array_write(void *self, struct wmap_io *io)
{
	int64_t answer = -1;

	(void)self;
	atomic_fetch_add(&array.writes, 1);
	pthread_mutex_lock(&array.lock);
	for (unsigned i = 0; i < array.n_held_writes; i++)
		array.overtaken |= overlaps(array.held_writes[i], io);
	if (array.hold_writes)
		array.held_writes[array.n_held_writes++ % 64] = io;
	else
		answer = transfer(io, true);
	pthread_mutex_unlock(&array.lock);
	if (answer >= 0)
		wmap_io_done(io, answer);
}

static void array_flush(void *self, struct wmap_io *io)
{
	(void)self;
	atomic_fetch_add(&array.flushes, 1);
	wmap_io_done(io, 0);
}

static int64_t array_length(void *self)
{
	(void)self;
	return atomic_load(&array.length);
}

static void array_close(void *self)
{
	(void)self;
	atomic_fetch_add(&array.closes, 1);
}

const struct wmap_store_ops array_ops = {
	.size = sizeof array_ops,
	.name = "array",
	.read = array_read,
	.write = array_write,
	.flush = array_flush,
	.length = array_length,
	.close = array_close,
};

void array_hold(bool reads, bool writes)
{
	pthread_mutex_lock(&array.lock);
	array.hold_reads = reads;
	array.hold_writes = writes;
	pthread_mutex_unlock(&array.lock);
}

void array_answer_reads(bool wrong)
{
	struct wmap_io *held[64];
	unsigned n;

	pthread_mutex_lock(&array.lock);
	n = array.n_held_reads;
	memcpy(held, array.held_reads, sizeof held);
	array.n_held_reads = 0;
	pthread_mutex_unlock(&array.lock);
	for (unsigned i = 0; i < n; i++) {
		int64_t answer = transfer(held[i], false);

		if (wrong)
			memset(held[i]->buffer, '!', held[i]->length);
		wmap_io_done(held[i], answer);
	}
}

void array_answer_writes(void)
{
	struct wmap_io *held[64];
	int64_t answers[64];
	unsigned n;

	pthread_mutex_lock(&array.lock);
	n = array.n_held_writes;
	memcpy(held, array.held_writes, sizeof held);
	for (unsigned i = 0; i < n; i++)
		answers[i] = transfer(held[i], true);
	array.n_held_writes = 0;
	pthread_mutex_unlock(&array.lock);
	for (unsigned i = 0; i < n; i++)
		wmap_io_done(held[i], answers[i]);
}

bool array_reads_are_held(void *arg)
{
	bool enough;

	pthread_mutex_lock(&array.lock);
	enough = array.n_held_reads >= *(unsigned *)arg;
	pthread_mutex_unlock(&array.lock);
	return enough;
}

bool array_is_closed(void *arg)
{
	(void)arg;
	return atomic_load(&array.closes) == 1;
}

bool array_has(size_t offset, char value)
{
	bool has;

	pthread_mutex_lock(&array.lock);
	has = array.bytes[offset] == value;
	pthread_mutex_unlock(&array.lock);
	return has;
}

char *array_map(int flags, unsigned threads, unsigned deadline_ms)
{
	struct wmap_store *store;
	char *at;

	pattern_fill(array.bytes, ARRAY_LENGTH, 3, 0);
	store = wmap_store_create(&array_ops, &array, threads);
	ck_assert_ptr_nonnull(store);
	at = memory_map_store(ARRAY_LENGTH, READ_WRITE, flags, store,
			      deadline_ms);
	wmap_store_put(store);
	return at;
}
