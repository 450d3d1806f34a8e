/* SPDX-License-Identifier: MIT */
/*
 * How long do mapping and unmapping take?
 *
 * Measured, in one process and one run, in turn, pinned to one processor with
 * all threads of the process, and not:
 *
 *   mmap_anon, mmap_file    mmap(2) and munmap(2) of one untouched page
 *   wmap_anon, wmap_file    the course's wmap and wunmap of the same
 *   mmap_tib_anon, …_file   mmap(2) alone of 1 TiB: anonymous, a sparse file
 *   wmap_tib_anon, …_file   wmap_map alone of the same
 *
 * Both kinds of memory are shared and writable where they are files, private
 * where they are anonymous. Not measured: touching, writing back.
 */
#include "bench.h"

#include <wmap/wmap.h>

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGE	   ((size_t)WMAP_PAGE_SIZE)
#define TIB	   ((size_t)1 << 40)
#define READ_WRITE (PROT_READ | PROT_WRITE)

static int small_file, tib_file;

static void *map_plain(size_t length, int fd)
{
	int flags = fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED;

	return mmap(NULL, length, READ_WRITE, flags | MAP_NORESERVE, fd, 0);
}

static int unmap_plain(void *at, size_t length)
{
	return munmap(at, length);
}

static int flags_for(int fd)
{
	return fd < 0 ? WMAP_PRIVATE | WMAP_ANONYMOUS : WMAP_SHARED;
}

static void *map_course(size_t length, int fd)
{
	return wmap(NULL, length, flags_for(fd), fd);
}

static int unmap_course(void *at, size_t length)
{
	(void)length;
	return wunmap(at);
}

static void *map_full(size_t length, int fd)
{
	return wmap_map(NULL, length, READ_WRITE, flags_for(fd), fd, 0, NULL);
}

static int unmap_full(void *at, size_t length)
{
	return wmap_unmap(at, length);
}

static const int none = -1;

static struct way {
	const char *what;
	void *(*map)(size_t length, int fd);
	int (*unmap)(void *at, size_t length);
	size_t length;
	const int *fd;
	bool both;			 /* measure unmapping with it */
	struct bench_samples samples[2]; /* not pinned, pinned */
} ways[] = {
	{ "mmap_anon", map_plain, unmap_plain, PAGE, &none, true, {} },
	{ "wmap_anon", map_course, unmap_course, PAGE, &none, true, {} },
	{ "mmap_file", map_plain, unmap_plain, PAGE, &small_file, true, {} },
	{ "wmap_file", map_course, unmap_course, PAGE, &small_file, true, {} },
	{ "mmap_tib_anon", map_plain, unmap_plain, TIB, &none, false, {} },
	{ "wmap_tib_anon", map_full, unmap_full, TIB, &none, false, {} },
	{ "mmap_tib_file", map_plain, unmap_plain, TIB, &tib_file, false, {} },
	{ "wmap_tib_file", map_full, unmap_full, TIB, &tib_file, false, {} },
};

#define WAYS (sizeof ways / sizeof *ways)

static void measure(struct way *way, bool pinned)
{
	uint64_t start = bench_now(), mapped, unmapped;
	void *at = way->map(way->length, *way->fd);

	mapped = bench_now();
	if (at == MAP_FAILED)
		bench_die(way->what);
	if (way->unmap(at, way->length))
		bench_die(way->what);
	unmapped = bench_now();
	bench_add(&way->samples[pinned],
		  (way->both ? unmapped : mapped) - start);
}

/* The first of each round warms up, and is forgotten. */
static void measure_round(struct way *way, bool pinned, unsigned calls)
{
	size_t before = way->samples[pinned].n;

	measure(way, pinned);
	way->samples[pinned].n = before;
	while (calls--)
		measure(way, pinned);
}

static int make_file(size_t length)
{
	char path[] = "/tmp/wmap-bench-XXXXXX";
	int fd = mkostemp(path, O_CLOEXEC);

	if (fd < 0)
		bench_die(path);
	unlink(path);
	if (ftruncate(fd, (off_t)length))
		bench_die("ftruncate");
	return fd;
}

static void measure_all(unsigned rounds, unsigned calls)
{
	for (unsigned round = 0; round < rounds; round++)
		for (int pinned = 0; pinned < 2; pinned++) {
			bench_pin(pinned);
			for (size_t i = 0; i < WAYS; i++)
				measure_round(&ways[i], pinned, calls);
		}
}

int main(int argc, char **argv)
{
	bool brief = bench_is_brief();

	if (argc > 1) {
		bool help = !strcmp(argv[1], "--help");

		fprintf(help ? stdout : stderr,
			"usage: calls\n"
			"Measure mapping and unmapping; print lines of JSON, "
			"in ns.\n"
			"WMAP_BENCH_BRIEF=1 in the environment: only for a "
			"moment.\n");
		return help ? 0 : 2;
	}
	small_file = make_file(PAGE);
	tib_file = make_file(TIB);
	if (wmap_start(NULL)) {
		perror("skipped: wmap_start");
		return BENCH_SKIPPED;
	}
	measure_all(brief ? 1 : 10, brief ? 10 : 200);
	for (size_t i = 0; i < WAYS; i++)
		for (int pinned = 1; pinned >= 0; pinned--)
			bench_print(ways[i].what, pinned, "calls",
				    &ways[i].samples[pinned]);
	return 0;
}
