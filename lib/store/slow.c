/* SPDX-License-Identifier: MIT */
/*
 * The slow store: each transfer waits first, then the inner store does it
 *
 *   begin ──► a timer of the loop ──► inner store
 *     └────► held, while the delay is for ever ──► a post ──► inner store
 *
 * begin and the timers run on the loop's thread, as a store without threads
 * does; wmap_store_delay on any. Whether a transfer is held is decided under the
 * lock, so that a change of delay either comes before it or finds it held.
 */
#include <stdio.h>

#include "io.h"
#include "lock.h"
#include "mem.h"

struct slow {
	struct wmap_store *inner; /* [c] */
	struct lock lock;
	uint64_t read_ns, write_ns; /* [l: lock] */
	struct io *held;	    /* [l] by io.next, newest first */
};

/* Flushes are as slow as writes. With the lock held. */
static uint64_t delay_of(const struct slow *slow, const struct io *io)
{
	return io->operation == IO_READ ? slow->read_ns : slow->write_ns;
}

static void go_on(struct io *io)
{
	struct slow *slow = io->at->self;

	store_begin(slow->inner, io);
}

static void waited(struct timer *timer)
{
	go_on(container_of(timer, struct io, delay));
}

static void let_go(struct post *post)
{
	go_on(container_of(post, struct io, post));
}

/* The delay of a transfer, which is held if that is for ever. */
static uint64_t delay_or_hold(struct slow *slow, struct io *io)
{
	uint64_t delay;

	lock_take(&slow->lock);
	delay = delay_of(slow, io);
	if (delay == WMAP_DELAY_FOREVER) {
		io->next = slow->held;
		slow->held = io;
	}
	lock_drop(&slow->lock);
	return delay;
}

static void begin(void *self, struct wmap_io *pub)
{
	struct io *io = io_of(pub);
	uint64_t delay = delay_or_hold(self, io);
	uint64_t at;

	if (delay == WMAP_DELAY_FOREVER)
		return;
	if (!delay) {
		go_on(io);
		return;
	}
	if (__builtin_add_overflow(time_now(), delay, &at))
		at = UINT64_MAX;
	timer_init(&io->delay, waited);
	loop_timer_start(io->loop, &io->delay, at);
}

static int64_t slow_length(void *self)
{
	struct slow *slow = self;

	return store_length(slow->inner);
}

static void slow_close(void *self)
{
	struct slow *slow = self;

	wmap_store_put(slow->inner);
	mem_free(slow, sizeof(*slow));
}

static const struct wmap_store_ops operations = {
	.size = sizeof(operations),
	.read = begin,
	.write = begin,
	.flush = begin,
	.length = slow_length,
	.close = slow_close,
};

static int create(struct wmap_store *inner, uint64_t read_ns, uint64_t write_ns,
		  struct wmap_store **store)
{
	struct slow *slow = mem_alloc(sizeof(*slow));
	char name[sizeof(inner->name) + 16];
	int err;

	if (!slow)
		return -ENOMEM;
	slow->inner = inner;
	slow->read_ns = read_ns;
	slow->write_ns = write_ns;
	snprintf(name, sizeof(name), "slow %s", inner->name);
	err = store_create(&operations, slow, name, inner->writable, store);
	if (err)
		mem_free(slow, sizeof(*slow));
	else
		wmap_store_get(inner);
	return err;
}

struct wmap_store *wmap_store_slow(struct wmap_store *inner, uint64_t read_ns,
				   uint64_t write_ns)
{
	struct wmap_store *store;
	int err = inner ? create(inner, read_ns, write_ns, &store) : -EINVAL;

	if (!err)
		return store;
	errno = -err;
	return NULL;
}

/* With the lock held: off the queue what need not wait for ever any more. */
static struct io *take_freed(struct slow *slow)
{
	struct io **link = &slow->held;
	struct io *freed = NULL;

	while (*link) {
		struct io *io = *link;

		if (delay_of(slow, io) == WMAP_DELAY_FOREVER) {
			link = &io->next;
			continue;
		}
		*link = io->next;
		io->next = freed; /* which turns them round: oldest first */
		freed = io;
	}
	return freed;
}

static struct io *set_delay(struct slow *slow, uint64_t read_ns,
			    uint64_t write_ns)
{
	struct io *freed;

	lock_take(&slow->lock);
	slow->read_ns = read_ns;
	slow->write_ns = write_ns;
	freed = take_freed(slow);
	lock_drop(&slow->lock);
	return freed;
}

int wmap_store_delay(struct wmap_store *store, uint64_t read_ns,
		     uint64_t write_ns)
{
	struct io *io, *next;

	if (!store || store->ops.read != begin) {
		errno = EINVAL;
		return -1;
	}
	for (io = set_delay(store->self, read_ns, write_ns); io; io = next) {
		next = io->next;
		io->post.run = let_go;
		loop_post(io->loop, &io->post);
	}
	return 0;
}
