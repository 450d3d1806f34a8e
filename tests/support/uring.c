/* SPDX-License-Identifier: MIT */
/*
 * One transfer through io_uring
 *
 * A ring of one entry is made, used once and closed, by bare system calls: the
 * tests need no library for it. Nothing runs beside, so the order of the ring's
 * indices is what one enter(2) makes it.
 */
#include "support.h"

#include <linux/io_uring.h>
#include <sys/syscall.h>
#include <unistd.h>

#define RING_BYTES 8192

struct ring {
	int fd;
	char *shared; /* both queues' indices, and the completions */
	struct io_uring_sqe *entries;
	struct io_uring_params params;
};

static int ring_open(struct ring *ring)
{
	const int shared = MAP_SHARED | MAP_POPULATE;

	*ring = (struct ring){ 0 };
	ring->fd = (int)syscall(SYS_io_uring_setup, 1, &ring->params);
	if (ring->fd < 0)
		return -ENOSYS;
	ring->shared = mmap(NULL, RING_BYTES, READ_WRITE, shared, ring->fd,
			    IORING_OFF_SQ_RING);
	ring->entries =
		mmap(NULL, PAGE, READ_WRITE, shared, ring->fd, IORING_OFF_SQES);
	ck_assert_ptr_ne(ring->shared, MAP_FAILED);
	ck_assert_ptr_ne(ring->entries, MAP_FAILED);
	return 0;
}

static void ring_close(struct ring *ring)
{
	munmap(ring->shared, RING_BYTES);
	munmap(ring->entries, PAGE);
	close(ring->fd);
}

static unsigned *ring_index(struct ring *ring, unsigned offset)
{
	return (unsigned *)(void *)(ring->shared + offset);
}

/* Hand in entry 0, wait for its completion, and return that one's result. */
static int ring_run(struct ring *ring)
{
	struct io_uring_cqe *done;
	long entered;

	*ring_index(ring, ring->params.sq_off.array) = 0;
	__atomic_store_n(ring_index(ring, ring->params.sq_off.tail), 1,
			 __ATOMIC_RELEASE);
	do
		entered = syscall(SYS_io_uring_enter, ring->fd, 1, 1,
				  IORING_ENTER_GETEVENTS, NULL, 0);
	while (entered < 0 && errno == EINTR);
	ck_assert_int_eq(entered, 1);
	done = (void *)(ring->shared + ring->params.cq_off.cqes);
	return done->res;
}

static int transfer(int fd, uintptr_t buffer, unsigned length, uint8_t what)
{
	struct ring ring;
	int result = ring_open(&ring);

	if (result)
		return result;
	ring.entries[0] = (struct io_uring_sqe){
		.opcode = what,
		.fd = fd,
		.addr = buffer,
		.len = length,
	};
	result = ring_run(&ring);
	ring_close(&ring);
	return result;
}

int uring_read(int fd, void *to, unsigned length)
{
	return transfer(fd, (uintptr_t)to, length, IORING_OP_READ);
}

int uring_write(int fd, const void *from, unsigned length)
{
	return transfer(fd, (uintptr_t)from, length, IORING_OP_WRITE);
}
