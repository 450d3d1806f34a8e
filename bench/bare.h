/* SPDX-License-Identifier: MIT */
/*
 * The floor: the smallest pager that pages from a file within a number of pages
 *
 * One thread around one io_uring, as wmap's: a fault's message, one O_DIRECT read
 * of its page, UFFDIO_COPY into a memfd; above the limit the oldest page is
 * punched, 64 at a time. No bookkeeping but a ring of page numbers, no stores, no
 * errors, no second mapping: what it takes, the mechanism takes.
 */
#ifndef BENCH_BARE_H
#define BENCH_BARE_H

#include <fcntl.h>
#include <liburing.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <pthread.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "bench.h"

#define BARE_READS 64

struct bare {
	char *data, *buffers;
	int uffd, memfd, file;
	size_t limit;	/* pages */
	uint32_t *ring; /* of pages in memory, oldest first */
	size_t room, first, n;
	uint64_t address[BARE_READS]; /* by buffer */
	unsigned idle[BARE_READS], n_idle;
	uint64_t faults;
	struct io_uring uring;
};

static struct bare bare;

static inline void bare_evict(void)
{
	for (int i = 0; i < 64 && bare.n; i++) {
		fallocate(bare.memfd,
			  FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			  (off_t)bare.ring[bare.first] * 4096, 4096);
		bare.first = (bare.first + 1) % bare.room;
		bare.n--;
	}
}

static inline void bare_read(uint64_t address)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&bare.uring);
	unsigned buffer = bare.idle[--bare.n_idle];

	bare.address[buffer] = address;
	io_uring_prep_read(sqe, bare.file, bare.buffers + 4096ul * buffer, 4096,
			   address - (uint64_t)bare.data);
	io_uring_sqe_set_data64(sqe, buffer + 1);
}

static inline void bare_land(unsigned buffer)
{
	struct uffdio_copy copy = {
		.dst = bare.address[buffer],
		.src = (uint64_t)bare.buffers + 4096ul * buffer,
		.len = 4096,
	};
	uint64_t page = (copy.dst - (uint64_t)bare.data) / 4096;
	struct uffdio_range wake = { .start = copy.dst, .len = 4096 };

	bare.idle[bare.n_idle++] = buffer;
	if (ioctl(bare.uffd, UFFDIO_COPY, &copy)) {
		ioctl(bare.uffd, UFFDIO_WAKE,
		      &wake); /* two threads, one page */
		return;
	}
	bare.ring[(bare.first + bare.n++) % bare.room] = (uint32_t)page;
}

static inline void bare_faults(void)
{
	struct uffd_msg messages[16];
	long n = read(bare.uffd, messages, sizeof messages);

	for (long i = 0; i * (long)sizeof *messages < n; i++) {
		bare.faults++;
		bare_read(messages[i].arg.pagefault.address & ~4095ull);
	}
}

static inline void bare_poll(void)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&bare.uring);

	io_uring_prep_poll_multishot(sqe, bare.uffd, POLLIN);
	io_uring_sqe_set_data64(sqe, 0);
}

static inline void *bare_run(void *none)
{
	struct io_uring_cqe *cqes[64];

	if (io_uring_queue_init(128, &bare.uring,
				IORING_SETUP_SINGLE_ISSUER |
					IORING_SETUP_DEFER_TASKRUN))
		bench_die("io_uring");
	bare_poll();
	for (;;) {
		unsigned n;

		io_uring_submit_and_wait(&bare.uring, 1);
		n = io_uring_peek_batch_cqe(&bare.uring, cqes, 64);
		for (unsigned i = 0; i < n; i++) {
			if (cqes[i]->user_data)
				bare_land((unsigned)cqes[i]->user_data - 1);
			else
				bare_faults();
			if (!cqes[i]->user_data &&
			    !(cqes[i]->flags & IORING_CQE_F_MORE))
				bare_poll();
		}
		io_uring_cq_advance(&bare.uring, n);
		io_uring_submit(&bare.uring);
		if (bare.n + BARE_READS > bare.limit)
			bare_evict();
	}
	return none;
}

static inline void bare_register(size_t size)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register range = {
		.range = { .start = (uint64_t)bare.data, .len = size },
		.mode = UFFDIO_REGISTER_MODE_MISSING,
	};

	bare.uffd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	if (bare.uffd < 0 || ioctl(bare.uffd, UFFDIO_API, &api) ||
	    ioctl(bare.uffd, UFFDIO_REGISTER, &range))
		bench_die("userfaultfd");
}

static inline void *bare_map(const char *path, size_t size, size_t memory)
{
	pthread_t thread;

	bare.file = open(path, O_RDONLY | O_DIRECT);
	bare.memfd = memfd_create("bare", 0);
	bare.limit = memory / 4096;
	bare.room = size / 4096 + 1;
	bare.ring = calloc(bare.room, sizeof *bare.ring);
	bare.buffers = aligned_alloc(4096, 4096 * BARE_READS);
	if (bare.file < 0 || bare.memfd < 0 || !bare.ring || !bare.buffers ||
	    ftruncate(bare.memfd, (off_t)size))
		bench_die("bare");
	while (bare.n_idle < BARE_READS) {
		bare.idle[bare.n_idle] = bare.n_idle;
		bare.n_idle++;
	}
	bare.data = mmap(NULL, size, PROT_READ, MAP_SHARED, bare.memfd, 0);
	if (bare.data == MAP_FAILED)
		bench_die("mmap");
	bare_register(size);
	if (pthread_create(&thread, NULL, bare_run, NULL))
		bench_die("pthread_create");
	return bare.data;
}

#endif
