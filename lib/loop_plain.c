/* SPDX-License-Identifier: MIT */
/*
 * The loop without io_uring: ppoll(2), and a few threads for transfers
 *
 * A transfer goes to the workers as a post, is done there, and comes back as a
 * post to the loop, so that the wake-up's eventfd is all that has to be polled
 * beside the watches.
 *
 * ppoll(2) wants the watches in an array, which is filled again when some came
 * or went. A borrower may add and take away while the owner is in ppoll(2) with
 * it, so that who needs a larger one leaves it for the owner to change over to.
 */
#include <sys/stat.h>
#include <time.h>

#include "fds.h"
#include "loop_backend.h"
#include "mem.h"
#include "sys.h"
#include "workers.h"

#define THREADS	  4
#define POLLS	  64 /* room for, at first */
#define POLL_SIZE (sizeof(struct pollfd) + sizeof(struct watch *))

/* ---- Transfers ----------------------------------------------------------- */

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

/* ---- Watches ------------------------------------------------------------- */

static int polls_create(struct polls *polls, unsigned room)
{
	void *memory = mem_alloc(room * POLL_SIZE);

	if (!memory)
		return -ENOMEM;
	polls->watches = memory;
	polls->fds = (struct pollfd *)(polls->watches + room);
	polls->n = 0;
	polls->room = room;
	return 0;
}

static void polls_destroy(struct polls *polls)
{
	mem_free(polls->watches, polls->room * POLL_SIZE);
	*polls = (struct polls){ 0 };
}

/* Room for one watch more. */
static int make_room(struct loop *loop)
{
	unsigned room = loop->bigger.room;
	struct polls bigger;
	int err;

	if (!room)
		room = loop->polls.room;
	if (loop->n_watches < room)
		return 0;
	err = polls_create(&bigger, 2 * room);
	if (err)
		return err;
	polls_destroy(&loop->bigger);
	loop->bigger = bigger;
	return 0;
}

static int plain_watch(struct loop *loop, struct watch *watch)
{
	int err = make_room(loop);

	if (err)
		return err;
	list_add(&loop->watches, &watch->link);
	loop->n_watches++;
	loop->stale = true;
	return 0;
}

/* The array may have it still, until it is filled again: plain_run looks. */
static void plain_unwatch(struct loop *loop, struct watch *watch)
{
	loop->n_watches--;
	loop->stale = true;
	loop_watch_gone(loop, watch);
}

static void fill_polls(struct loop *loop)
{
	struct polls *polls = &loop->polls;

	if (loop->bigger.room) {
		polls_destroy(polls);
		*polls = loop->bigger;
		loop->bigger = (struct polls){ 0 };
	}
	polls->n = 0;
	list_for_each(watch, &loop->watches, struct watch, link) {
		polls->watches[polls->n] = watch;
		polls->fds[polls->n++] =
			(struct pollfd){ .fd = watch->fd, .events = POLLIN };
	}
	loop->stale = false;
}

/* ---- The turn ------------------------------------------------------------ */

static void plain_enter(struct loop *loop, uint64_t timeout)
{
	struct timespec relative = {
		.tv_sec = (time_t)(timeout / 1000000000),
		.tv_nsec = (long)(timeout % 1000000000),
	};
	struct polls *polls = &loop->polls;
	long found;

	begin_transfers(loop);
	if (loop->stale)
		fill_polls(loop);
	if (timeout)
		loop_lend(loop);
	/* EINTR, or out of memory: nothing is readable, the caller comes again */
	found = sys_call(SYS_ppoll, polls->fds, polls->n,
			 timeout == LOOP_FOREVER ? NULL : &relative, NULL, 0);
	if (timeout)
		loop_retake(loop);
	loop->found = found;
}

/* The number of our eventfd, a file without a kind, may be another file's. */
static void check_numbers(const struct loop *loop)
{
	struct stat stat;
	long error = sys_call(SYS_fstat, loop->wake_fd, &stat);

	if (error == -EBADF || (!error && stat.st_mode & S_IFMT))
		fds_lost();
}

static void plain_run(struct loop *loop)
{
	const struct polls *polls = &loop->polls;

	if (loop->found > 0)
		check_numbers(loop);
	for (unsigned i = 0; loop->found > 0 && i < polls->n; i++) {
		struct watch *watch = polls->watches[i];

		if (!polls->fds[i].revents)
			continue;
		loop->found--;
		if (!watch->gone)
			watch->run(watch);
	}
}

/* ---- Beginning and end --------------------------------------------------- */

static int plain_own(struct loop *loop)
{
	(void)loop;
	return 0;
}

static int plain_open(struct loop *loop)
{
	int err = polls_create(&loop->polls, POLLS);

	if (err)
		return err;
	list_init(&loop->watches);
	loop->patient_most = THREADS / 2;
	err = workers_create(THREADS, &loop->workers);
	if (err)
		polls_destroy(&loop->polls);
	return err;
}

static void plain_close(struct loop *loop)
{
	workers_stop(loop->workers, NULL, NULL);
	if (loop->held >= 0)
		sys_call(SYS_close, loop->held);
	polls_destroy(&loop->polls);
	polls_destroy(&loop->bigger);
}

static void plain_child(struct loop *loop)
{
	(void)loop; /* the workers were not inherited */
}

/* Workers end with their process, when their transfers have. */
static int plain_hold(struct loop *loop, int fd)
{
	loop->held = fd;
	return 0;
}

const struct loop_backend loop_plain = {
	.open = plain_open,
	.close = plain_close,
	.child = plain_child,
	.own = plain_own,
	.hold = plain_hold,
	.watch = plain_watch,
	.unwatch = plain_unwatch,
	.enter = plain_enter,
	.run = plain_run,
};
