/* SPDX-License-Identifier: MIT */
/*
 * One transfer of a store, with its deadline
 *
 *   BEGUN -> ANSWERED        wmap_io_done(), any thread: a post to the loop
 *   ANSWERED -> released     answered(): done, then release
 *   BEGUN -> LATE            expired(): done with -ETIMEDOUT
 *   LATE -> released         answered(): release
 *
 * Only wmap_io_done runs on other threads, and it touches answer, answered and
 * the post alone; result and late are the loop's. An answer that was posted but
 * has not run when the deadline passes is late.
 */
#include "io.h"

/* An answer that makes no sense is a store's mistake, and an error. */
static int64_t checked(const struct io *io, int64_t answer)
{
	if (answer < -4095 || answer > (int64_t)io->pub.length)
		return -EIO;
	if (io->operation == IO_WRITE && answer >= 0 &&
	    answer < (int64_t)io->pub.length)
		return -EIO;
	return answer;
}

/* release may free the io. */
static void answered(struct post *post)
{
	struct io *io = container_of(post, struct io, post);
	struct wmap_store *store = io->store;

	loop_timer_stop(&io->deadline);
	io->result = checked(io, io->answer);
	if (!io->late)
		io->done(io);
	io->release(io);
	wmap_store_put(store);
}

static void expired(struct timer *timer)
{
	struct io *io = container_of(timer, struct io, deadline);

	io->late = true;
	io->result = -ETIMEDOUT;
	io->done(io);
}

void wmap_io_done(struct wmap_io *pub, int64_t result)
{
	struct io *io = io_of(pub);
	bool twice = atomic_exchange_explicit(&io->answered, true,
					      memory_order_relaxed);

	assert(!twice);
	(void)twice;
	io->answer = result;
	io->post.run = answered;
	loop_post(io->loop, &io->post);
}

void io_start(struct io *io, struct loop *loop, struct wmap_store *store,
	      uint64_t deadline)
{
	io->pub.priv = NULL;
	io->store = wmap_store_get(store);
	io->loop = loop;
	io->result = 0;
	io->late = false;
	atomic_store_explicit(&io->answered, false, memory_order_relaxed);
	timer_init(&io->deadline, expired);
	if (deadline)
		loop_timer_start(loop, &io->deadline, time_now() + deadline);
	store_begin(store, io);
}
