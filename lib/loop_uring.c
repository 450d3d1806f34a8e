/* SPDX-License-Identifier: MIT */
/*
 * The loop on io_uring: one io_uring_enter begins transfers and sleeps
 *
 * The ring is made by the starting thread, which can report an error, and
 * disabled; the owner enables it and is the only one to use it from there on
 * (SINGLE_ISSUER), so completions wait for its next enter instead of
 * interrupting it (DEFER_TASKRUN). A read that the page cache can serve is done
 * by the time that enter returns.
 *
 * A watch is a multishot poll: one entry in the completion queue for each time
 * its descriptor becomes readable, until the kernel ends it (no
 * IORING_CQE_F_MORE) and it is armed again; arming looks at the descriptor, so
 * nothing is lost in between. That is an edge: the watch's function reads until
 * a read gives less than was asked for. The wake-up's eventfd needs no reading
 * at all, every write is an edge.
 *
 * TRANSFERS + LOOP_WATCHES entries is all that can be in the ring at a time, so
 * the submission queue is never full and the completion queue does not
 * overflow; further transfers wait in the loop.
 */
#include "loop_backend.h"
#include "sys.h"

#define TRANSFERS 192
#define ENTRIES	  (TRANSFERS + LOOP_WATCHES)
#define BATCH	  64

/* In an entry's user_data, beside the address: it is a watch's. */
#define IS_WATCH ((uintptr_t)1)

static struct io_uring_sqe *get_sqe(struct loop *loop)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&loop->ring);

	assert(sqe);
	return sqe;
}

static void arm(struct loop *loop, struct watch *watch)
{
	struct io_uring_sqe *sqe = get_sqe(loop);

	io_uring_prep_poll_multishot(sqe, watch->fd, POLLIN);
	io_uring_sqe_set_data64(sqe, (uintptr_t)watch | IS_WATCH);
	watch->armed = true;
	loop->unarmed--;
}

static void arm_watches(struct loop *loop)
{
	for (unsigned i = 0; loop->unarmed && i < loop->n_watches; i++)
		if (!loop->watches[i]->armed)
			arm(loop, loop->watches[i]);
}

static void prepare(struct loop *loop, struct transfer *transfer)
{
	struct io_uring_sqe *sqe = get_sqe(loop);
	unsigned length = (unsigned)transfer->length;

	switch (transfer->operation) {
	case TRANSFER_READ:
		io_uring_prep_read(sqe, transfer->fd, transfer->buffer, length,
				   transfer->offset);
		break;
	case TRANSFER_WRITE:
		io_uring_prep_write(sqe, transfer->fd, transfer->buffer, length,
				    transfer->offset);
		break;
	case TRANSFER_FLUSH:
		io_uring_prep_fsync(sqe, transfer->fd, IORING_FSYNC_DATASYNC);
		break;
	}
	io_uring_sqe_set_data64(sqe, (uintptr_t)transfer);
	loop->in_flight++;
}

static void prepare_transfers(struct loop *loop)
{
	struct transfer *transfer;

	while (loop->in_flight < TRANSFERS &&
	       (transfer = loop_next_transfer(loop)))
		prepare(loop, transfer);
}

static int submit(struct io_uring *ring, uint64_t timeout)
{
	struct io_uring_cqe *unused;
	struct __kernel_timespec relative = {
		.tv_sec = (long long)(timeout / 1000000000),
		.tv_nsec = (long long)(timeout % 1000000000),
	};

	if (!timeout)
		return io_uring_submit_and_get_events(ring);
	if (timeout == LOOP_FOREVER)
		return io_uring_submit_and_wait(ring, 1);
	return io_uring_submit_and_wait_timeout(ring, &unused, 1, &relative,
						NULL);
}

/* Errors that pass: the caller comes again, and what was not submitted with it. */
static bool passes(int err)
{
	return err == -ETIME || err == -EINTR || err == -EAGAIN ||
	       err == -EBUSY || err == -ENOMEM;
}

static void uring_enter(struct loop *loop, uint64_t timeout)
{
	int err;

	arm_watches(loop);
	prepare_transfers(loop);
	if (timeout)
		loop_lend(loop);
	err = submit(&loop->ring, timeout);
	if (timeout)
		loop_retake(loop);
	assert(err >= 0 || passes(err));
	(void)err;
}

static void watch_event(struct loop *loop, struct watch *watch,
			const struct io_uring_cqe *cqe)
{
	if (!(cqe->flags & IORING_CQE_F_MORE)) {
		watch->armed = false;
		loop->unarmed++;
	}
	assert(cqe->res != -EBADF);
	if (cqe->res > 0 && watch != &loop->wake)
		watch->run(watch);
}

static void transfer_event(struct loop *loop, struct transfer *transfer,
			   const struct io_uring_cqe *cqe)
{
	loop->in_flight--;
	transfer->result = cqe->res;
	loop_transfer_ended(loop, transfer);
}

static void event(struct loop *loop, const struct io_uring_cqe *cqe)
{
	uintptr_t data = (uintptr_t)cqe->user_data;

	if (data & IS_WATCH)
		watch_event(loop, (struct watch *)(data & ~IS_WATCH), cqe);
	else
		transfer_event(loop, (struct transfer *)data, cqe);
}

static void uring_run(struct loop *loop)
{
	struct io_uring_cqe *cqes[BATCH];
	unsigned n = io_uring_peek_batch_cqe(&loop->ring, cqes, BATCH);

	for (unsigned i = 0; i < n; i++)
		event(loop, cqes[i]);
	io_uring_cq_advance(&loop->ring, n);
}

/* io_uring_enable_rings(3), which liburing 2.3 declares and does not export. */
static int uring_own(struct loop *loop)
{
	return (int)sys_call(SYS_io_uring_register, loop->ring.ring_fd,
			     IORING_REGISTER_ENABLE_RINGS, NULL, 0);
}

/* Kernels before 6.1 have no DEFER_TASKRUN, which is only faster. */
static int open_ring(struct io_uring *ring)
{
	unsigned flags = IORING_SETUP_R_DISABLED;
	unsigned fast = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN;
	int err = io_uring_queue_init(ENTRIES, ring, flags | fast);

	if (err == -EINVAL)
		err = io_uring_queue_init(ENTRIES, ring, flags);
	return err;
}

static int uring_open(struct loop *loop)
{
	int err = open_ring(&loop->ring);

	if (err)
		return err;
	err = io_uring_ring_dontfork(&loop->ring);
	if (err)
		io_uring_queue_exit(&loop->ring);
	return err;
}

static void uring_close(struct loop *loop)
{
	io_uring_queue_exit(&loop->ring);
}

/* The ring's memory was kept out of the fork. */
static void uring_child(struct loop *loop)
{
	sys_call(SYS_close, loop->ring.ring_fd);
}

const struct loop_backend loop_uring = {
	.open = uring_open,
	.close = uring_close,
	.child = uring_child,
	.own = uring_own,
	.enter = uring_enter,
	.run = uring_run,
};
