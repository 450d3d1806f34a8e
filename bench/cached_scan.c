/* SPDX-License-Identifier: MIT */
/*
 * How fast is a sequential reader of a file that the page cache has?
 *
 * Measured: a thread that loads every word of a mapping from its start to its
 * end, and checks it, in one process and one run, round by round in turn:
 *
 *   bare  the same calls without a pager: before each 64 pages the reader itself
 *         reads them from the file and puts them in place with one UFFDIO_COPY
 *   wmap  wmap, mapped shared for reading, no advice given
 *   mmap  the kernel alone
 *
 * A rate is of MB a second. Not measured: reading from a disk, and evicting; for
 * these see out_of_core.
 *
 * The last line gives the median of wmap by that of bare; 0.95 is the limit.
 */
#include "bench.h"

#include <wmap/wmap.h>

#include <fcntl.h>
#include <getopt.h>
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define CHUNK (64 * (size_t)WMAP_PAGE_SIZE)

static size_t size = 256u << 20;
static unsigned rounds = 9;
static int file; /* each word of it is its number */

static void make_file(void)
{
	char path[] = "wmap-bench-XXXXXX";
	uint64_t words[CHUNK / sizeof(uint64_t)];

	file = mkstemp(path);
	if (file < 0 || unlink(path))
		bench_die(path);
	for (size_t at = 0; at < size; at += CHUNK) {
		for (size_t i = 0; i < CHUNK / sizeof *words; i++)
			words[i] = at / sizeof *words + i;
		if (write(file, words, CHUNK) != (ssize_t)CHUNK)
			bench_die("write");
	}
}

static void check(const uint64_t *words, size_t from, size_t to)
{
	uint64_t wrong = 0;

	for (size_t i = from / sizeof *words; i < to / sizeof *words; i++)
		wrong |= words[i] ^ i;
	if (wrong) {
		fprintf(stderr, "wrong data\n");
		exit(EXIT_FAILURE);
	}
}

/* ---- The ways ----------------------------------------------------------------*/

static void scan_mmap(void)
{
	void *at = mmap(NULL, size, PROT_READ, MAP_SHARED, file, 0);

	if (at == MAP_FAILED)
		bench_die("mmap");
	check(at, 0, size);
	munmap(at, size);
}

static void scan_wmap(void)
{
	void *at = wmap_map(NULL, size, PROT_READ, WMAP_SHARED, file, 0, NULL);

	if (at == WMAP_FAILED)
		bench_die("wmap_map");
	check(at, 0, size);
	if (wmap_unmap(at, size))
		bench_die("wmap_unmap");
}

static int open_uffd(void *at)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register wanted = {
		.range = { (uintptr_t)at, size },
		.mode = UFFDIO_REGISTER_MODE_MISSING,
	};
	int uffd = (int)syscall(SYS_userfaultfd, O_CLOEXEC);

	if (uffd < 0 || ioctl(uffd, UFFDIO_API, &api) ||
	    ioctl(uffd, UFFDIO_REGISTER, &wanted)) {
		fprintf(stderr, "skipped: no userfaultfd here\n");
		exit(BENCH_SKIPPED);
	}
	return uffd;
}

static void copy_in(int uffd, const char *at, size_t from, const void *buffer)
{
	struct uffdio_copy copy = {
		.dst = (uintptr_t)at + from,
		.src = (uintptr_t)buffer,
		.len = CHUNK,
	};

	if (ioctl(uffd, UFFDIO_COPY, &copy))
		bench_die("UFFDIO_COPY");
}

static void scan_bare(void)
{
	int memfd = memfd_create("bare", MFD_CLOEXEC);
	void *buffer = aligned_alloc(WMAP_PAGE_SIZE, CHUNK);
	char *at;
	int uffd;

	if (memfd < 0 || !buffer || ftruncate(memfd, (off_t)size))
		bench_die("memfd");
	at = mmap(NULL, size, PROT_READ, MAP_SHARED, memfd, 0);
	if (at == MAP_FAILED)
		bench_die("mmap");
	uffd = open_uffd(at);
	for (size_t from = 0; from < size; from += CHUNK) {
		if (pread(file, buffer, CHUNK, (off_t)from) != (ssize_t)CHUNK)
			bench_die("pread");
		copy_in(uffd, at, from, buffer);
		check((const void *)at, from, from + CHUNK);
	}
	munmap(at, size);
	close(uffd);
	close(memfd);
	free(buffer);
}

/* ---- Measuring -----------------------------------------------------------------*/

static struct way {
	const char *what;
	void (*scan)(void);
	struct bench_samples samples;
} ways[] = {
	{ "bare", scan_bare, {} },
	{ "wmap", scan_wmap, {} },
	{ "mmap", scan_mmap, {} },
};

#define WAYS (sizeof ways / sizeof *ways)

static double rate(struct way *way, double quantile)
{
	return (double)size * 1e3 /
	       (double)bench_quantile(&way->samples, quantile);
}

/* The first round warms up, and is forgotten. */
static void measure_all(void)
{
	for (unsigned round = 0; round <= rounds; round++)
		for (size_t i = 0; i < WAYS; i++) {
			uint64_t start = bench_now();

			ways[i].scan();
			if (round)
				bench_add(&ways[i].samples,
					  bench_now() - start);
		}
}

static void print_all(void)
{
	for (size_t i = 0; i < WAYS; i++)
		printf("{\"what\": \"%s\", \"rounds\": %zu, \"min\": %.0f, "
		       "\"p50\": %.0f, \"max\": %.0f}\n",
		       ways[i].what, ways[i].samples.n, rate(&ways[i], 1),
		       rate(&ways[i], 0.5), rate(&ways[i], 0));
	printf("{\"what\": \"ratio\", \"ratio\": %.3f, \"limit\": 0.95}\n",
	       rate(&ways[1], 0.5) / rate(&ways[0], 0.5));
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "size", 1, NULL, 's' },
		{ "rounds", 1, NULL, 'r' },
		{ NULL, 0, NULL, 0 },
	};
	int option;

	if (bench_is_brief()) {
		size = 4u << 20;
		rounds = 1;
	}
	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1)
		if (option == 's')
			size = (size_t)atol(optarg) << 20;
		else if (option == 'r')
			rounds = (unsigned)atoi(optarg);
		else
			return EXIT_FAILURE;
	if (!size || !rounds) {
		fprintf(stderr, "a size of 1 MiB or more, a round or more\n");
		return EXIT_FAILURE;
	}
	make_file();
	measure_all();
	print_all();
	return EXIT_SUCCESS;
}
