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
 * A watch that leaves is cancelled, and gone when both the cancelling and the
 * poll have ended; so its address names nothing else as long as the ring may
 * speak of it:
 *
 *   unarmed -> armed             arm()
 *   armed -> unarmed             watch_event(): the kernel has ended the poll
 *   armed -> leaving             uring_unwatch()
 *   leaving -> cancelling        cancel()
 *   cancelling -> leaving        cancel_event(): tried too early, again
 *   unarmed, cancelling -> gone  uring_unwatch(), settle()
 *
 * A transfer that one of the kernel's threads may do holds its file on, for a
 * moment after its completion. Where the file may be open for writing it has ended
 * when the NOP has that is linked to it: that is begun when it has let go of all.
 *
 * ENTRIES wait for submission at a time: who finds no room submits, in a system
 * call of its own, which happens when hundreds come and go in one turn. The
 * completion queue may overflow; the kernel keeps the rest in a list (NODROP)
 * that it empties at the next enters, and ends the polls that met a full queue,
 * which are armed again. Further transfers than TRANSFERS wait in the loop.
 */
#include "fds.h"
#include "loop_backend.h"
#include "sys.h"

#define TRANSFERS 192
#define ENTRIES	  256
#define BATCH	  64

/* In an entry's user_data, beside the address: it is a watch's poll, or the
   cancelling of one. Neither: a transfer's end. */
#define IS_WATCH  ((uintptr_t)1)
#define IS_CANCEL ((uintptr_t)2)
#define IS_RESULT ((uintptr_t)4) /* a transfer's, whose end a NOP tells */

/* Errors that pass: the caller comes again, and what was not submitted with it. */
static bool passes(int err)
{
	return err == -ETIME || err == -EINTR || err == -EAGAIN ||
	       err == -EBUSY || err == -ENOMEM;
}

/* Aborts at EBADR as well: the kernel had no memory to keep a completion. */
static void check(int err)
{
	if (err == -EBADF || err == -EOPNOTSUPP)
		fds_lost(); /* the ring's number is nobody's, or another's */
	assert(err >= 0 || passes(err));
	(void)err;
}

/* ---- Submissions --------------------------------------------------------- */

/* Is there room for @n entries, to be submitted together? False: the kernel takes no
   more just now. */
static bool have_room(struct loop *loop, unsigned n)
{
	if (io_uring_sq_space_left(&loop->ring) < n)
		check(io_uring_submit(&loop->ring));
	return io_uring_sq_space_left(&loop->ring) >= n;
}

/* NULL: likewise. */
static struct io_uring_sqe *get_sqe(struct loop *loop)
{
	return have_room(loop, 1) ? io_uring_get_sqe(&loop->ring) : NULL;
}

static void arm(struct watch *watch, struct io_uring_sqe *sqe)
{
	io_uring_prep_poll_multishot(sqe, watch->fd, POLLIN);
	io_uring_sqe_set_data64(sqe, (uintptr_t)watch | IS_WATCH);
	watch->armed = true;
}

/* Not IORING_OP_POLL_REMOVE, which fails for a poll that has just fired. */
static void cancel(struct watch *watch, struct io_uring_sqe *sqe)
{
	io_uring_prep_cancel64(sqe, (uintptr_t)watch | IS_WATCH, 0);
	io_uring_sqe_set_data64(sqe, (uintptr_t)watch | IS_CANCEL);
	watch->cancelling = true;
}

static void submit_watches(struct loop *loop, struct list *watches,
			   void (*prepare)(struct watch *,
					   struct io_uring_sqe *))
{
	struct io_uring_sqe *sqe;

	while (!list_empty(watches) && (sqe = get_sqe(loop))) {
		struct watch *watch = list_first(watches, struct watch, link);

		list_del(&watch->link);
		prepare(watch, sqe);
	}
}

static void prepare(struct transfer *transfer, struct io_uring_sqe *sqe)
{
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
	/* Else the kernel would try it on the spot, and some file systems wait for
	   their server then. */
	if (transfer->patient)
		sqe->flags |= IOSQE_ASYNC;
	io_uring_sqe_set_data64(sqe, (uintptr_t)transfer);
}

/* Reads are done on the spot, or by the file system. */
static bool may_linger(const struct transfer *transfer)
{
	return transfer->operation != TRANSFER_READ || transfer->patient;
}

static void link_end(struct transfer *transfer, struct io_uring_sqe *sqe,
		     struct io_uring_sqe *end)
{
	sqe->flags |= IOSQE_IO_HARDLINK;
	io_uring_sqe_set_data64(sqe, (uintptr_t)transfer | IS_RESULT);
	io_uring_prep_nop(end);
	io_uring_sqe_set_data64(end, (uintptr_t)transfer);
}

static void submit_transfers(struct loop *loop)
{
	while (loop_has_transfer(loop) && loop->in_flight < TRANSFERS &&
	       have_room(loop, 2)) {
		struct transfer *transfer = loop_next_transfer(loop);
		struct io_uring_sqe *sqe = io_uring_get_sqe(&loop->ring);

		prepare(transfer, sqe);
		if (may_linger(transfer))
			link_end(transfer, sqe, io_uring_get_sqe(&loop->ring));
	}
}

/* False: something is left that no completion will remind us of. */
static bool submit_all(struct loop *loop)
{
	submit_watches(loop, &loop->leaving, cancel);
	submit_watches(loop, &loop->unarmed, arm);
	submit_transfers(loop);
	return list_empty(&loop->leaving) && list_empty(&loop->unarmed) &&
	       (!loop_has_transfer(loop) || loop->in_flight);
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

static void uring_enter(struct loop *loop, uint64_t timeout)
{
	int err;

	if (!submit_all(loop))
		timeout = 0;
	if (timeout)
		loop_lend(loop);
	err = submit(&loop->ring, timeout);
	if (timeout)
		loop_retake(loop);
	check(err);
}

/* ---- Watches ------------------------------------------------------------- */

static int uring_watch(struct loop *loop, struct watch *watch)
{
	list_add(&loop->unarmed, &watch->link);
	return 0;
}

/* @watch is LEAVING. */
static void settle(struct loop *loop, struct watch *watch)
{
	if (!watch->armed && !watch->cancelling)
		loop_watch_gone(loop, watch);
}

static void uring_unwatch(struct loop *loop, struct watch *watch)
{
	if (watch->armed)
		list_add(&loop->leaving, &watch->link);
	else
		loop_watch_gone(loop, watch);
}

/* ENOENT: the poll's end is on its way. */
static void cancel_event(struct loop *loop, struct watch *watch, int result)
{
	watch->cancelling = false;
	if (watch->armed && result < 0 && result != -ENOENT)
		list_add(&loop->leaving, &watch->link);
	else
		settle(loop, watch);
}

/* Can it not be polled at all? Its function hears of it once. EBADF would be a
   descriptor that was closed too early. */
static bool hopeless(int result)
{
	assert(result != -EBADF);
	return result < 0 && result != -ECANCELED && !passes(result);
}

/*
 * An end that came together with the last bytes makes one edge of the two, and
 * a read of those bytes, being short, is the function's last: it is called once
 * more, to read the end.
 */
static void run_watch(struct watch *watch, int result)
{
	watch->run(watch);
	if (result & (POLLHUP | POLLERR | POLLRDHUP) && !watch->gone)
		watch->run(watch);
}

static void watch_event(struct loop *loop, struct watch *watch,
			const struct io_uring_cqe *cqe)
{
	watch->armed = cqe->flags & IORING_CQE_F_MORE;
	if (watch->gone) {
		settle(loop, watch);
		return;
	}
	if (!watch->armed && !hopeless(cqe->res))
		list_add(&loop->unarmed, &watch->link);
	if (watch != &loop->wake && (cqe->res > 0 || hopeless(cqe->res)))
		run_watch(watch, cqe->res);
}

/* ---- Completions --------------------------------------------------------- */

static void transfer_event(struct loop *loop, struct transfer *transfer,
			   const struct io_uring_cqe *cqe)
{
	if (!may_linger(transfer))
		transfer->result = cqe->res;
	loop_transfer_ended(loop, transfer);
}

static void event(struct loop *loop, const struct io_uring_cqe *cqe)
{
	uintptr_t data = (uintptr_t)cqe->user_data;

	if (data & IS_WATCH)
		watch_event(loop, (struct watch *)(data & ~IS_WATCH), cqe);
	else if (data & IS_CANCEL)
		cancel_event(loop, (struct watch *)(data & ~IS_CANCEL),
			     cqe->res);
	else if (data & IS_RESULT)
		((struct transfer *)(data & ~IS_RESULT))->result = cqe->res;
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

/* ---- Beginning and end --------------------------------------------------- */

/* io_uring_enable_rings(3), which liburing 2.3 declares and does not export. */
static int uring_own(struct loop *loop)
{
	return (int)sys_call(SYS_io_uring_register, loop->ring.ring_fd,
			     IORING_REGISTER_ENABLE_RINGS, NULL, 0);
}

static int uring_hold(struct loop *loop, int fd)
{
	int err = io_uring_register_files(&loop->ring, &fd, 1);

	if (!err)
		sys_call(SYS_close, fd);
	return err;
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
	list_init(&loop->unarmed);
	list_init(&loop->leaving);
	loop->patient_most = TRANSFERS / 2;
	err = -ENOSYS;
	if (loop->ring.features & IORING_FEAT_NODROP)
		err = io_uring_ring_dontfork(&loop->ring);
	if (err)
		io_uring_queue_exit(&loop->ring);
	else
		fds_add(loop->ring.ring_fd);
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
	.hold = uring_hold,
	.watch = uring_watch,
	.unwatch = uring_unwatch,
	.enter = uring_enter,
	.run = uring_run,
};
