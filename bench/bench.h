/* SPDX-License-Identifier: MIT */
/*
 * What the benchmarks share: samples and their quantiles, processors, lines of
 * JSON
 *
 * A benchmark compares ways to do one thing. Each way has a series of samples
 * when pinned to one processor and one when not; the ways take turns, round by
 * round, so that what the machine does besides falls upon all of them alike.
 */
#ifndef BENCH_BENCH_H
#define BENCH_BENCH_H

#include <dirent.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define BENCH_SKIPPED 77

/* ---- Time and chance ----------------------------------------------------- */

static inline uint64_t bench_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* 0 to @n - 1 in another order each time. */
static inline void bench_shuffle(uint32_t *order, uint32_t n)
{
	static uint64_t state = 1;

	for (uint32_t i = 0; i < n; i++)
		order[i] = i;
	for (uint32_t i = n; i > 1; i--) {
		uint32_t j, was = order[i - 1];

		state = state * 6364136223846793005u + 1442695040888963407u;
		j = (uint32_t)((state >> 33) % i);
		order[i - 1] = order[j];
		order[j] = was;
	}
}

static inline bool bench_is_brief(void)
{
	const char *brief = getenv("WMAP_BENCH_BRIEF");

	return brief && *brief && *brief != '0';
}

static inline void bench_die(const char *what)
{
	perror(what);
	exit(EXIT_FAILURE);
}

/* ---- Samples ------------------------------------------------------------- */

struct bench_samples {
	uint64_t *ns;
	size_t n, room;
};

static inline void bench_add(struct bench_samples *samples, uint64_t ns)
{
	if (samples->n == samples->room) {
		samples->room = samples->room ? 2 * samples->room : 4096;
		samples->ns = realloc(samples->ns,
				      samples->room * sizeof *samples->ns);
		if (!samples->ns)
			bench_die("samples");
	}
	samples->ns[samples->n++] = ns;
}

static inline int bench_order(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

/* Sorts. */
static inline uint64_t bench_quantile(struct bench_samples *samples, double q)
{
	if (!samples->n)
		return 0;
	qsort(samples->ns, samples->n, sizeof *samples->ns, bench_order);
	return samples->ns[(size_t)(q * (double)(samples->n - 1))];
}

static inline void bench_print(const char *what, bool pinned, const char *unit,
			       struct bench_samples *samples)
{
	printf("{\"what\": \"%s\", \"pinned\": %s, \"%s\": %zu", what,
	       pinned ? "true" : "false", unit, samples->n);
	printf(", \"min\": %llu, \"p50\": %llu, \"p90\": %llu",
	       (unsigned long long)bench_quantile(samples, 0),
	       (unsigned long long)bench_quantile(samples, 0.5),
	       (unsigned long long)bench_quantile(samples, 0.9));
	printf(", \"p99\": %llu, \"max\": %llu}\n",
	       (unsigned long long)bench_quantile(samples, 0.99),
	       (unsigned long long)bench_quantile(samples, 1));
}

/* ---- Processors ---------------------------------------------------------- */

/* Let every thread of the process run on @processors, those that wmap has
   started too. The kernel's own refuse, and need not. */
static inline void bench_run_on(const cpu_set_t *processors)
{
	DIR *tasks = opendir("/proc/self/task");
	struct dirent *task;

	if (!tasks)
		bench_die("/proc/self/task");
	while ((task = readdir(tasks)))
		if (task->d_name[0] != '.')
			sched_setaffinity(atoi(task->d_name),
					  sizeof *processors, processors);
	closedir(tasks);
}

/* Pin all threads to the first processor that was allowed at the first call,
   or let them go. */
static inline void bench_pin(bool pinned)
{
	static cpu_set_t all, one;
	int first = 0;

	if (!CPU_COUNT(&all)) {
		sched_getaffinity(0, sizeof all, &all);
		while (!CPU_ISSET(first, &all))
			first++;
		CPU_ZERO(&one);
		CPU_SET(first, &one);
	}
	bench_run_on(pinned ? &one : &all);
}

#endif
