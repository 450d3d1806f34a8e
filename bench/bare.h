/* SPDX-License-Identifier: MIT */
/*
 * The floor: the smallest pagers that page from a file within a number of pages
 *
 * One thread around one io_uring, as wmap's; O_DIRECT, UFFDIO_COPY into a memfd,
 * the oldest goes first. No errors, no second mapping, no bookkeeping but what the
 * mechanism needs: what they take, the mechanism takes.
 *
 * bare_run knows single pages: a fault's message, one read of its page; above the
 * limit the oldest are punched, 64 at a time. With stores, pages come
 * write-protected, the message of the first store to one marks it as changed, and
 * what is changed is protected and written before it goes.
 *
 * bare_run_up knows one reader that goes upwards: pieces of 1 MiB are read before
 * they are asked for, and all but the first page of each put in place at once;
 * that page's fault says where the reader is.
 */
#ifndef BENCH_BARE_H
#define BENCH_BARE_H

#include <fcntl.h>
#include <liburing.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "bench.h"

#define BARE_PAGE   4096ul
#define BARE_READS  64
#define BARE_WRITES 64
#define BARE_PIECE  256ul /* pages */
#define BARE_DEPTH  6	  /* pieces that are read at a time */
#define BARE_AHEAD  24	  /* pieces ahead of the reader */

/* In an entry's user_data, beside a number; 0 is the poll. */
#define BARE_READ  (UINT64_C(1) << 62)
#define BARE_WRITE (UINT64_C(1) << 63)

struct bare {
	char *data, *alias, *buffers;
	int uffd, memfd, file;
	bool stores;
	size_t pages, limit;
	uint32_t *ring; /* of pages in memory, oldest first */
	size_t room, first, n;
	uint8_t *changed;	      /* by page */
	uint64_t address[BARE_READS]; /* by buffer */
	unsigned idle[BARE_READS], n_idle;
	_Atomic unsigned writing;
	/* of bare_run_up, in pieces */
	size_t asked, begun, punched;
	uint8_t *arrived, *awaited;
	char *heads; /* by piece: its first page */
	uint64_t faults;
	struct io_uring uring;
};

static struct bare bare;

/* ---- The mechanism ---------------------------------------------------------*/

static inline bool bare_copy(size_t page, const char *from, size_t n,
			     bool protect)
{
	struct uffdio_copy copy = {
		.dst = (uint64_t)bare.data + page * BARE_PAGE,
		.src = (uint64_t)from,
		.len = n * BARE_PAGE,
		.mode = protect ? UFFDIO_COPY_MODE_WP : 0,
	};
	struct uffdio_range wake = { .start = copy.dst, .len = copy.len };

	if (!ioctl(bare.uffd, UFFDIO_COPY, &copy))
		return true;
	ioctl(bare.uffd, UFFDIO_WAKE, &wake); /* two threads, one page */
	return false;
}

static inline void bare_protect(size_t page, bool protect)
{
	struct uffdio_writeprotect range = {
		.range = { (uint64_t)bare.data + page * BARE_PAGE, BARE_PAGE },
		.mode = protect ? UFFDIO_WRITEPROTECT_MODE_WP : 0,
	};

	if (ioctl(bare.uffd, UFFDIO_WRITEPROTECT, &range))
		bench_die("UFFDIO_WRITEPROTECT");
}

static inline void bare_punch(size_t page, size_t n)
{
	fallocate(bare.memfd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
		  (off_t)(page * BARE_PAGE), (off_t)(n * BARE_PAGE));
}

static inline void bare_poll(void)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&bare.uring);

	io_uring_prep_poll_multishot(sqe, bare.uffd, POLLIN);
	io_uring_sqe_set_data64(sqe, 0);
}

/* ---- Single pages ------------------------------------------------------------*/

static inline void bare_keep(size_t page)
{
	bare.ring[(bare.first + bare.n++) % bare.room] = (uint32_t)page;
}

static inline void bare_write(size_t page)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&bare.uring);

	bare.changed[page] = 0;
	bare_protect(page, true);
	io_uring_prep_write(sqe, bare.file, bare.alias + page * BARE_PAGE,
			    BARE_PAGE, page * BARE_PAGE);
	io_uring_sqe_set_data64(sqe, BARE_WRITE | page);
	bare.writing++;
}

static inline void bare_written(size_t page)
{
	if (bare.changed[page])
		bare_keep(page);
	else
		bare_punch(page, 1);
	bare.writing--;
}

static inline void bare_evict(void)
{
	for (int i = 0; i < 64 && bare.n && bare.writing < BARE_WRITES; i++) {
		size_t page = bare.ring[bare.first];

		if (bare.changed[page])
			bare_write(page);
		else
			bare_punch(page, 1);
		bare.first = (bare.first + 1) % bare.room;
		bare.n--;
	}
}

static inline void bare_read(uint64_t address)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&bare.uring);
	unsigned buffer = bare.idle[--bare.n_idle];

	bare.address[buffer] = address;
	io_uring_prep_read(sqe, bare.file, bare.buffers + BARE_PAGE * buffer,
			   BARE_PAGE, address - (uint64_t)bare.data);
	io_uring_sqe_set_data64(sqe, BARE_READ | buffer);
}

static inline void bare_land(unsigned buffer)
{
	size_t page = (bare.address[buffer] - (uint64_t)bare.data) / BARE_PAGE;

	bare.idle[bare.n_idle++] = buffer;
	if (bare_copy(page, bare.buffers + BARE_PAGE * buffer, 1, bare.stores))
		bare_keep(page);
}

static inline void bare_fault(const struct uffd_msg *message)
{
	uint64_t address = message->arg.pagefault.address & -BARE_PAGE;
	size_t page = (address - (uint64_t)bare.data) / BARE_PAGE;

	bare.faults++;
	if (!(message->arg.pagefault.flags & UFFD_PAGEFAULT_FLAG_WP)) {
		bare_read(address);
		return;
	}
	bare.changed[page] = 1;
	bare_protect(page, false);
}

static inline void bare_faults(void (*fault)(const struct uffd_msg *message))
{
	struct uffd_msg messages[16];
	long n = read(bare.uffd, messages, sizeof messages);

	for (long i = 0; i * (long)sizeof *messages < n; i++)
		fault(&messages[i]);
}

static inline void bare_event(const struct io_uring_cqe *cqe)
{
	if (cqe->user_data & BARE_READ)
		bare_land((unsigned)cqe->user_data);
	else if (cqe->user_data & BARE_WRITE)
		bare_written(cqe->user_data & ~BARE_WRITE);
	else
		bare_faults(bare_fault);
	if (!cqe->user_data && !(cqe->flags & IORING_CQE_F_MORE))
		bare_poll();
}

static inline void bare_run_pages(void)
{
	if (bare.n + bare.writing + BARE_READS > bare.limit)
		bare_evict();
}

/* ---- Upwards ------------------------------------------------------------------*/

static inline void bare_give_head(size_t piece)
{
	bare_copy(piece * BARE_PIECE, bare.heads + piece * BARE_PAGE, 1, false);
}

static inline void bare_land_piece(size_t piece)
{
	const char *buffer =
		bare.buffers + piece % BARE_DEPTH * BARE_PIECE * BARE_PAGE;

	memcpy(bare.heads + piece * BARE_PAGE, buffer, BARE_PAGE);
	bare_copy(piece * BARE_PIECE + 1, buffer + BARE_PAGE, BARE_PIECE - 1,
		  false);
	bare.arrived[piece] = 1;
	if (bare.awaited[piece])
		bare_give_head(piece);
}

static inline void bare_fault_up(const struct uffd_msg *message)
{
	size_t piece = (message->arg.pagefault.address - (uint64_t)bare.data) /
		       BARE_PAGE / BARE_PIECE;

	bare.faults++;
	bare.asked = piece;
	bare.awaited[piece] = 1;
	if (bare.arrived[piece])
		bare_give_head(piece);
}

static inline void bare_event_up(const struct io_uring_cqe *cqe)
{
	if (cqe->user_data & BARE_READ)
		bare_land_piece(cqe->user_data & ~BARE_READ);
	else
		bare_faults(bare_fault_up);
	if (!cqe->user_data && !(cqe->flags & IORING_CQE_F_MORE))
		bare_poll();
}

/* Of the piece whose buffer it is to have. */
static inline bool bare_has_buffer(size_t piece)
{
	return piece < BARE_DEPTH || bare.arrived[piece - BARE_DEPTH];
}

static inline void bare_run_ahead(void)
{
	while (bare.begun < bare.pages / BARE_PIECE &&
	       bare.begun <= bare.asked + BARE_AHEAD &&
	       bare_has_buffer(bare.begun)) {
		struct io_uring_sqe *sqe = io_uring_get_sqe(&bare.uring);
		uint64_t length = BARE_PIECE * BARE_PAGE;

		while ((bare.begun + 1 - bare.punched + BARE_DEPTH) *
			       BARE_PIECE >
		       bare.limit)
			bare_punch(bare.punched++ * BARE_PIECE, BARE_PIECE);
		io_uring_prep_read(sqe, bare.file,
				   bare.buffers +
					   bare.begun % BARE_DEPTH * length,
				   (unsigned)length, bare.begun * length);
		io_uring_sqe_set_data64(sqe, BARE_READ | bare.begun);
		bare.begun++;
	}
}

/* ---- The loop -----------------------------------------------------------------*/

struct bare_kind {
	void (*event)(const struct io_uring_cqe *cqe);
	void (*turn)(void);
	size_t buffers; /* pages */
};

static const struct bare_kind bare_by_page = { bare_event, bare_run_pages,
					       BARE_READS };
static const struct bare_kind bare_upwards = { bare_event_up, bare_run_ahead,
					       BARE_DEPTH *BARE_PIECE };

static inline void *bare_run(void *arg)
{
	const struct bare_kind *kind = arg;
	struct io_uring_cqe *cqes[64];

	if (io_uring_queue_init(256, &bare.uring,
				IORING_SETUP_SINGLE_ISSUER |
					IORING_SETUP_DEFER_TASKRUN))
		bench_die("io_uring");
	bare_poll();
	for (;;) {
		unsigned n;

		io_uring_submit_and_wait(&bare.uring, 1);
		n = io_uring_peek_batch_cqe(&bare.uring, cqes, 64);
		for (unsigned i = 0; i < n; i++)
			kind->event(cqes[i]);
		io_uring_cq_advance(&bare.uring, n);
		io_uring_submit(&bare.uring);
		kind->turn();
	}
	return NULL;
}

static inline void bare_register(size_t size)
{
	struct uffdio_api api = {
		.api = UFFD_API,
		.features = bare.stores ?
				    UFFD_FEATURE_PAGEFAULT_FLAG_WP |
					    UFFD_FEATURE_WP_HUGETLBFS_SHMEM :
				    0,
	};
	struct uffdio_register range = {
		.range = { .start = (uint64_t)bare.data, .len = size },
		.mode = UFFDIO_REGISTER_MODE_MISSING |
			(bare.stores ? UFFDIO_REGISTER_MODE_WP : 0),
	};

	bare.uffd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	if (bare.uffd < 0 || ioctl(bare.uffd, UFFDIO_API, &api) ||
	    ioctl(bare.uffd, UFFDIO_REGISTER, &range))
		bench_die("userfaultfd");
}

static inline void *bare_map(const char *path, size_t size, size_t memory,
			     bool stores, bool upwards)
{
	const struct bare_kind *kind = upwards ? &bare_upwards : &bare_by_page;
	int prot = PROT_READ | (stores ? PROT_WRITE : 0);
	pthread_t thread;

	bare.stores = stores;
	bare.file = open(path, (stores ? O_RDWR : O_RDONLY) | O_DIRECT);
	bare.memfd = memfd_create("bare", 0);
	bare.pages = size / BARE_PAGE;
	bare.limit = memory / BARE_PAGE;
	bare.room = bare.pages + 1;
	bare.ring = calloc(bare.room, sizeof *bare.ring);
	bare.changed = calloc(bare.pages, 1);
	bare.arrived = calloc(bare.pages / BARE_PIECE, 1);
	bare.awaited = calloc(bare.pages / BARE_PIECE, 1);
	bare.heads = malloc(bare.pages / BARE_PIECE * BARE_PAGE);
	bare.buffers = aligned_alloc(BARE_PAGE, BARE_PAGE * kind->buffers);
	if (bare.file < 0 || bare.memfd < 0 || !bare.ring || !bare.changed ||
	    !bare.arrived || !bare.awaited || !bare.heads || !bare.buffers ||
	    ftruncate(bare.memfd, (off_t)size))
		bench_die("bare");
	while (bare.n_idle < BARE_READS) {
		bare.idle[bare.n_idle] = bare.n_idle;
		bare.n_idle++;
	}
	bare.data = mmap(NULL, size, prot, MAP_SHARED, bare.memfd, 0);
	bare.alias = mmap(NULL, size, PROT_READ, MAP_SHARED, bare.memfd, 0);
	if (bare.data == MAP_FAILED || bare.alias == MAP_FAILED)
		bench_die("mmap");
	bare_register(size);
	if (pthread_create(&thread, NULL, bare_run, (void *)(uintptr_t)kind))
		bench_die("pthread_create");
	return bare.data;
}

/* What is still changed goes to the file; nobody stores any more. */
static inline void bare_flush(void)
{
	while (bare.writing)
		usleep(1000);
	for (size_t page = 0; page < bare.pages; page++)
		if (bare.changed[page] &&
		    pwrite(bare.file, bare.alias + page * BARE_PAGE, BARE_PAGE,
			   (off_t)(page * BARE_PAGE)) != (ssize_t)BARE_PAGE)
			bench_die("pwrite");
}

#endif
