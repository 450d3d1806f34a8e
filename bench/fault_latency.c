/* SPDX-License-Identifier: MIT */
/*
 * How long does the first touch of a page take?
 *
 * Measured: single first touches of 4 KiB pages in shuffled order, the clock
 * read before and after each, by the thread that touches, in one process and
 * one run, round by round in turn:
 *
 *   kernel_anon       the kernel alone: anonymous memory
 *   kernel_file       the kernel alone: a file in the page cache, MADV_RANDOM
 *   bare_thread       the smallest pager: a thread that reads the userfaultfd
 *                     and copies a page to anonymous memory
 *   wmap_thread_anon  wmap, private anonymous memory
 *   wmap_thread_file  wmap, a file in the page cache, mapped shared for reading
 *   wmap_thread_file_rw  the same, mapped for reading and writing
 *
 * each with all threads pinned to one processor, and not. Anonymous memory is
 * touched by a store, a file by a load; each touch's data is checked. Huge
 * pages are off. Times hold what reading the clock costs (some 30 ns).
 *
 * Not measured: reading from a disk, many threads, pages touched before.
 *
 * The last lines give p50 of wmap by p50 of the bare pager.
 */
#include "bench.h"

#include <wmap/wmap.h>

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef USERFAULTFD_IOC_NEW
#define USERFAULTFD_IOC_NEW _IO(0xAA, 0x00)
#endif

#define PAGE	   ((size_t)WMAP_PAGE_SIZE)
#define READ_WRITE (PROT_READ | PROT_WRITE)

static uint32_t pages = 4096;
static unsigned rounds = 8;
static uint32_t *order;
static int file; /* @pages long; each page begins with its number plus one */

/* ---- Mapping, in each of the ways ---------------------------------------- */

static char *map_plain(int prot, int flags, int fd)
{
	char *at = mmap(NULL, pages * PAGE, prot, flags, fd, 0);

	if (at == MAP_FAILED)
		bench_die("mmap");
	madvise(at, pages * PAGE, MADV_NOHUGEPAGE);
	return at;
}

static char *map_kernel_anon(void)
{
	return map_plain(READ_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
}

static char *map_kernel_file(void)
{
	char *at = map_plain(PROT_READ, MAP_SHARED, file);

	madvise(at, pages * PAGE, MADV_RANDOM);
	return at;
}

static void unmap_plain(char *at)
{
	munmap(at, pages * PAGE);
}

static char *map_wmap(int prot, int flags, int fd)
{
	char *at = wmap_map(NULL, pages * PAGE, prot, flags, fd, 0, NULL);

	if (at == WMAP_FAILED)
		bench_die("wmap_map");
	wmap_advise(at, pages * PAGE, WMAP_ADVICE_RANDOM);
	return at;
}

static char *map_wmap_anon(void)
{
	return map_wmap(READ_WRITE, WMAP_PRIVATE | WMAP_ANONYMOUS, -1);
}

static char *map_wmap_file(void)
{
	return map_wmap(PROT_READ, WMAP_SHARED, file);
}

static char *map_wmap_file_rw(void)
{
	return map_wmap(READ_WRITE, WMAP_SHARED, file);
}

static void unmap_wmap(char *at)
{
	if (wmap_unmap(at, pages * PAGE))
		bench_die("wmap_unmap");
}

/* ---- The bare pager ------------------------------------------------------ */

static struct bare {
	int fd;
	pthread_t thread;
	char *page; /* what it copies: zeros */
} bare;

/* Ends by being cancelled, which leaves what a sanitizer notes on its stack. */
__attribute__((no_sanitize_address)) static void *bare_run(void *arg)
{
	struct uffd_msg message;

	while (read(bare.fd, &message, sizeof message) == sizeof message) {
		struct uffdio_copy copy = {
			.dst = message.arg.pagefault.address & ~(PAGE - 1),
			.src = (uintptr_t)bare.page,
			.len = PAGE,
		};

		ioctl(bare.fd, UFFDIO_COPY, &copy);
	}
	return arg;
}

/* Blocking; from the device if we may, else by the system call. */
static int bare_open(void)
{
	struct uffdio_api api = { .api = UFFD_API };
	int device = open("/dev/userfaultfd", O_RDWR | O_CLOEXEC), fd = -1;

	if (device >= 0) {
		fd = ioctl(device, USERFAULTFD_IOC_NEW, O_CLOEXEC);
		close(device);
	}
	if (fd < 0)
		fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC);
	if (fd >= 0 && ioctl(fd, UFFDIO_API, &api))
		bench_die("UFFDIO_API");
	return fd;
}

static void bare_start(void)
{
	bare.page = mmap(NULL, PAGE, READ_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	bare.fd = bare_open();
	if (bare.fd < 0) {
		fprintf(stderr, "skipped: no userfaultfd here\n");
		exit(BENCH_SKIPPED);
	}
	if (pthread_create(&bare.thread, NULL, bare_run, NULL))
		bench_die("bare pager");
}

static void bare_stop(void)
{
	pthread_cancel(bare.thread);
	pthread_join(bare.thread, NULL);
	close(bare.fd);
}

static char *map_bare(void)
{
	char *at = map_kernel_anon();
	struct uffdio_register wanted = {
		.range = { (uintptr_t)at, pages * PAGE },
		.mode = UFFDIO_REGISTER_MODE_MISSING,
	};

	if (ioctl(bare.fd, UFFDIO_REGISTER, &wanted))
		bench_die("UFFDIO_REGISTER");
	return at;
}

/* ---- Measuring ----------------------------------------------------------- */

static struct way {
	const char *what;
	char *(*map)(void);
	void (*unmap)(char *at);
	bool is_file;
	struct bench_samples samples[2]; /* not pinned, pinned */
} ways[] = {
	{ "kernel_anon", map_kernel_anon, unmap_plain, false, {} },
	{ "kernel_file", map_kernel_file, unmap_plain, true, {} },
	{ "bare_thread", map_bare, unmap_plain, false, {} },
	{ "wmap_thread_anon", map_wmap_anon, unmap_wmap, false, {} },
	{ "wmap_thread_file", map_wmap_file, unmap_wmap, true, {} },
	{ "wmap_thread_file_rw", map_wmap_file_rw, unmap_wmap, true, {} },
};

#define WAYS (sizeof ways / sizeof *ways)
#define BARE 2

static void wrong(const struct way *way, uint32_t page)
{
	fprintf(stderr, "%s: page %u has wrong data\n", way->what, page);
	exit(EXIT_FAILURE);
}

/* Load a file's page, or store to an anonymous one; then look at its data. */
static uint64_t touch(const struct way *way, char *at, uint32_t page)
{
	volatile uint32_t *words = (void *)(at + page * PAGE);
	uint32_t first = page + 1, last;
	uint64_t start = bench_now(), end;

	if (way->is_file)
		first = words[0];
	else
		words[0] = first;
	end = bench_now();
	last = words[PAGE / 4 - 1];
	if (first != page + 1 || last != (way->is_file ? ~page : 0))
		wrong(way, page);
	return end - start;
}

static void measure(struct way *way, bool pinned)
{
	char *at = way->map();

	bench_shuffle(order, pages);
	for (uint32_t i = 0; i < pages; i++)
		bench_add(&way->samples[pinned], touch(way, at, order[i]));
	for (uint32_t i = 0; i < pages && !way->is_file; i++)
		if (*(volatile uint32_t *)(void *)(at + i * PAGE) != i + 1)
			wrong(way, i);
	way->unmap(at);
}

/* The first round warms up, and is forgotten. */
static void measure_all(void)
{
	for (unsigned round = 0; round <= rounds; round++)
		for (int pinned = 0; pinned < 2; pinned++) {
			bench_pin(pinned);
			for (size_t i = 0; i < WAYS; i++) {
				measure(&ways[i], pinned);
				if (!round)
					ways[i].samples[pinned].n = 0;
			}
		}
}

/* ---- Results ------------------------------------------------------------- */

static void print_ratio(const char *what, size_t way, bool pinned)
{
	double wmap = (double)bench_quantile(&ways[way].samples[pinned], 0.5);
	double base = (double)bench_quantile(&ways[BARE].samples[pinned], 0.5);

	printf("{\"what\": \"%s\", \"pinned\": %s, \"ratio\": %.3f}\n", what,
	       pinned ? "true" : "false", wmap / base);
}

static void print_all(void)
{
	for (size_t i = 0; i < WAYS; i++)
		for (int pinned = 1; pinned >= 0; pinned--)
			bench_print(ways[i].what, pinned, "pages",
				    &ways[i].samples[pinned]);
	for (int pinned = 1; pinned >= 0; pinned--) {
		print_ratio("ratio_anon", BARE + 1, pinned);
		print_ratio("ratio_file", BARE + 2, pinned);
		print_ratio("ratio_file_rw", BARE + 3, pinned);
	}
}

/* ---- Setting up ---------------------------------------------------------- */

static void make_file(void)
{
	char path[] = "/tmp/wmap-bench-XXXXXX";
	uint32_t words[WMAP_PAGE_SIZE / 4] = { 0 };

	file = mkostemp(path, O_CLOEXEC);
	if (file < 0)
		bench_die(path);
	unlink(path);
	for (uint32_t i = 0; i < pages; i++) {
		words[0] = i + 1;
		words[PAGE / 4 - 1] = ~i;
		if (write(file, words, PAGE) != (ssize_t)PAGE)
			bench_die("write");
	}
	fsync(file); /* no write-back of ours shall run beside */
}

static void usage(FILE *to)
{
	fprintf(to,
		"usage: fault_latency [--pages N] [--rounds N]\n"
		"Measure first touches of pages; print lines of JSON, in ns.\n"
		"  --pages N   pages touched in each round (4096)\n"
		"  --rounds N  rounds, in which all ways take turns (8)\n"
		"  --help      this\n"
		"WMAP_BENCH_BRIEF=1 in the environment: only for a moment.\n");
}

static unsigned number(const char *text)
{
	char *end;
	unsigned long n = strtoul(text, &end, 10);

	if (*end || end == text || !n || n > 1u << 24) {
		fprintf(stderr, "fault_latency: not a count: %s\n", text);
		exit(2);
	}
	return (unsigned)n;
}

static void read_options(int argc, char **argv)
{
	static const struct option options[] = {
		{ "pages", required_argument, NULL, 'p' },
		{ "rounds", required_argument, NULL, 'r' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) >= 0)
		switch (option) {
		case 'p':
			pages = number(optarg);
			break;
		case 'r':
			rounds = number(optarg);
			break;
		case 'h':
			usage(stdout);
			exit(0);
		default:
			usage(stderr);
			exit(2);
		}
}

int main(int argc, char **argv)
{
	if (bench_is_brief()) {
		pages = 256;
		rounds = 1;
	}
	read_options(argc, argv);
	order = calloc(pages, sizeof *order);
	if (!order)
		bench_die("order");
	make_file();
	bare_start();
	if (wmap_start(NULL))
		bench_die("wmap_start");
	measure_all();
	print_all();
	bare_stop();
	return 0;
}
