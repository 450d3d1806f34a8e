/* SPDX-License-Identifier: MIT */
/*
 * The loop without io_uring: ppoll(2), and a few threads for transfers
 *
 * A transfer goes to the workers as a post, is done there, and comes back as a
 * post to the loop, so that the wake-up's eventfd is all that has to be polled
 * beside the watches.
 */
#include <time.h>

#include "loop_backend.h"
#include "sys.h"
#include "workers.h"

#define THREADS 4

static void ended(struct post *post)
{
	struct transfer *transfer = container_of(post, struct transfer, post);

	loop_transfer_ended(transfer->loop, transfer);
}

static int64_t call(const struct transfer *transfer)
{
	switch (transfer->operation) {
	case TRANSFER_READ:
		return sys_call(SYS_pread64, transfer->fd, transfer->buffer,
				transfer->length, transfer->offset);
	case TRANSFER_WRITE:
		return sys_call(SYS_pwrite64, transfer->fd, transfer->buffer,
				transfer->length, transfer->offset);
	case TRANSFER_FLUSH:
		return sys_call(SYS_fdatasync, transfer->fd);
	}
	return -EINVAL;
}

/* On a worker. */
static void work(struct post *post)
{
	struct transfer *transfer = container_of(post, struct transfer, post);

	transfer->result = call(transfer);
	post->run = ended;
	loop_post(transfer->loop, post);
}

static void begin_transfers(struct loop *loop)
{
	struct transfer *transfer;

	while ((transfer = loop_next_transfer(loop))) {
		transfer->post.run = work;
		workers_post(loop->workers, &transfer->post);
	}
}

static void plain_enter(struct loop *loop, uint64_t timeout)
{
	struct timespec relative = {
		.tv_sec = (time_t)(timeout / 1000000000),
		.tv_nsec = (long)(timeout % 1000000000),
	};

	begin_transfers(loop);
	for (unsigned i = 0; i < loop->n_watches; i++)
		loop->polls[i] = (struct pollfd){ .fd = loop->watches[i]->fd,
						  .events = POLLIN };
	if (timeout)
		loop_lend(loop);
	/* EINTR, or out of memory: nothing is readable, the caller comes again */
	sys_call(SYS_ppoll, loop->polls, loop->n_watches,
		 timeout == LOOP_FOREVER ? NULL : &relative, NULL, 0);
	if (timeout)
		loop_retake(loop);
}

static void plain_run(struct loop *loop)
{
	unsigned n = loop->n_watches; /* a watch may add others */

	for (unsigned i = 0; i < n; i++)
		if (loop->polls[i].revents)
			loop->watches[i]->run(loop->watches[i]);
}

static int plain_own(struct loop *loop)
{
	(void)loop;
	return 0;
}

static int plain_open(struct loop *loop)
{
	return workers_create(THREADS, &loop->workers);
}

static void plain_close(struct loop *loop)
{
	workers_stop(loop->workers, NULL, NULL);
}

static void plain_child(struct loop *loop)
{
	(void)loop; /* the workers were not inherited */
}

const struct loop_backend loop_plain = {
	.open = plain_open,
	.close = plain_close,
	.child = plain_child,
	.own = plain_own,
	.enter = plain_enter,
	.run = plain_run,
};
