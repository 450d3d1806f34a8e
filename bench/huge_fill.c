/* SPDX-License-Identifier: MIT */
/*
 * How fast is anonymous memory there that is stored to for the first time?
 *
 * Measured: a thread that stores one word to each page of a private anonymous
 * mapping, from its start to its end, in one process and one run, round by round
 * in turn:
 *
 *   huge       wmap, a grain of 2 MiB: huge pages, where the kernel has MOVE
 *   copied     wmap, a grain of 1 MiB: pages that are copied
 *   mmap_huge  the kernel alone, MADV_HUGEPAGE
 *   mmap       the kernel alone, small pages
 *
 * A rate is of MB a second. Not measured: what huge pages save afterwards.
 */
#include "bench.h"

#include <wmap/wmap.h>

#include <sys/mman.h>

static size_t size = 256u << 20;
static unsigned rounds = 9;

/* ---- The ways ----------------------------------------------------------------*/

static void *map_wmap(size_t grain)
{
	struct wmap_map_options wishes = {
		.size = sizeof wishes,
		.grain = grain,
	};
	void *at = wmap_map(NULL, size, PROT_READ | PROT_WRITE,
			    WMAP_PRIVATE | WMAP_ANONYMOUS, -1, 0, &wishes);

	if (at == WMAP_FAILED)
		bench_die("wmap_map");
	return at;
}

static void *map_huge(void)
{
	return map_wmap(2u << 20);
}

static void *map_copied(void)
{
	return map_wmap(1u << 20);
}

static void *map_kernel(int advice)
{
	void *at = mmap(NULL, size, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (at == MAP_FAILED)
		bench_die("mmap");
	madvise(at, size, advice);
	return at;
}

static void *map_mmap_huge(void)
{
	return map_kernel(MADV_HUGEPAGE);
}

static void *map_mmap(void)
{
	return map_kernel(MADV_NOHUGEPAGE);
}

static void unmap_wmap(void *at)
{
	if (wmap_unmap(at, size))
		bench_die("wmap_unmap");
}

static void unmap_mmap(void *at)
{
	munmap(at, size);
}

/* ---- Measuring -----------------------------------------------------------------*/

static struct way {
	const char *what;
	void *(*map)(void);
	void (*unmap)(void *at);
	struct bench_samples samples;
} ways[] = {
	{ "huge", map_huge, unmap_wmap, {} },
	{ "copied", map_copied, unmap_wmap, {} },
	{ "mmap_huge", map_mmap_huge, unmap_mmap, {} },
	{ "mmap", map_mmap, unmap_mmap, {} },
};

static void store(volatile char *at)
{
	for (size_t i = 0; i < size; i += WMAP_PAGE_SIZE)
		at[i] = (char)(i >> 12);
}

static void check(const char *at)
{
	for (size_t i = 0; i < size; i += WMAP_PAGE_SIZE)
		if (at[i] != (char)(i >> 12) || at[i + 1]) {
			fprintf(stderr, "wrong data\n");
			exit(EXIT_FAILURE);
		}
}

/* The first round warms up, and is forgotten. */
static void measure(struct way *way, unsigned round)
{
	void *at = way->map();
	uint64_t start = bench_now();

	store(at);
	if (round)
		bench_add(&way->samples, bench_now() - start);
	check(at);
	way->unmap(at);
}

static double rate(struct way *way, double quantile)
{
	return (double)size * 1e3 /
	       (double)bench_quantile(&way->samples, quantile);
}

int main(void)
{
	const size_t n = sizeof ways / sizeof *ways;

	if (bench_is_brief()) {
		size = 8u << 20;
		rounds = 1;
	}
	for (unsigned round = 0; round <= rounds; round++)
		for (size_t i = 0; i < n; i++)
			measure(&ways[i], round);
	for (size_t i = 0; i < n; i++)
		printf("{\"what\": \"%s\", \"rounds\": %zu, \"min\": %.0f, "
		       "\"p50\": %.0f, \"max\": %.0f}\n",
		       ways[i].what, ways[i].samples.n, rate(&ways[i], 1),
		       rate(&ways[i], 0.5), rate(&ways[i], 0));
	return EXIT_SUCCESS;
}
