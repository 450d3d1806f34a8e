/* SPDX-License-Identifier: MIT */
/*
 * The budget is kept at every moment, by our count and by the kernel's
 *
 * The kernel's: the pages of the pager's memfds, which it opened in this process,
 * and those that a mapping has for itself, looked at every few milliseconds while
 * sixteen threads touch a file sixteen times as large.
 */
#include "support.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SEED	17
#define BUDGET	(2 * MIB)
#define SLACK	(2 * MIB)
#define LENGTH	(16 * BUDGET)
#define N	(LENGTH / PAGE)
#define THREADS 16

static struct {
	char *at;		 /* [c] */
	unsigned pattern, way;	 /* [c] */
	atomic_bool over, wrong; /* [a] order nothing */
	size_t most;		 /* the watching thread's */
} peak;

enum { LOADS, STORES, PRIVATE_STORES, WAYS };
enum { UP, DOWN, STRIDED, STREAMS, RANDOM, PATTERNS };

static size_t page_of(unsigned thread, size_t i, uint64_t *random)
{
	size_t first = thread * (N / THREADS);

	switch (peak.pattern) {
	case UP:
		return (first + i) % N;
	case DOWN:
		return (first + N - i) % N;
	case STRIDED:
		return (first + i * 16) % N;
	case STREAMS:
		return (first + i / 4 + i % 4 * (N / 4)) % N;
	default:
		return random_below(random, N);
	}
}

/* The first byte of a page may be stored to, the others hold the pattern. */
static void *touch(void *arg)
{
	unsigned thread = (unsigned)(uintptr_t)arg;
	uint64_t random = thread + 1;

	for (size_t i = 0; i < N / 8; i++) {
		size_t page = page_of(thread, i, &random);
		char *bytes = peak.at + PAGES(page);

		if (!pattern_holds(bytes + 100, 8, SEED, PAGES(page) + 100))
			peak.wrong = true;
		if (peak.way && i % 2)
			__atomic_store_n(bytes, (char)thread, __ATOMIC_RELAXED);
	}
	return NULL;
}

/* Bytes of the memfds that are open here. */
static size_t in_memfds(void)
{
	DIR *descriptors = opendir("/proc/self/fd");
	struct dirent *entry;
	size_t sum = 0;

	while (descriptors && (entry = readdir(descriptors))) {
		char name[64] = "";
		struct stat stat;

		if (readlinkat(dirfd(descriptors), entry->d_name, name,
			       sizeof(name) - 1) < 0 ||
		    strncmp(name, "/memfd:wmap", 11) != 0)
			continue;
		if (fstatat(dirfd(descriptors), entry->d_name, &stat, 0) == 0)
			sum += (size_t)stat.st_blocks * 512;
	}
	if (descriptors)
		closedir(descriptors);
	return sum;
}

static void *watch(void *arg)
{
	while (!peak.over) {
		size_t bytes = in_memfds() + memory_anonymous(peak.at, LENGTH);

		peak.most = bytes > peak.most ? bytes : peak.most;
		process_sleep_ms(2);
	}
	return arg;
}

START_TEST(it_is_kept_with_every_pattern)
{
	pthread_t threads[THREADS], watcher;

	peak.pattern = (unsigned)_i % PATTERNS;
	peak.way = (unsigned)_i / PATTERNS;
	ck_assert_int_eq(wmap_memory_set(BUDGET), 0);
	peak.at = memory_map(LENGTH, peak.way == LOADS ? PROT_READ : READ_WRITE,
			     peak.way == PRIVATE_STORES ? WMAP_PRIVATE :
							  WMAP_SHARED,
			     file_with(SEED, LENGTH), 0);
	ck_assert(!pthread_create(&watcher, NULL, watch, NULL));
	for (size_t i = 0; i < THREADS; i++)
		ck_assert(!pthread_create(&threads[i], NULL, touch,
					  (void *)(uintptr_t)i));
	for (size_t i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	peak.over = true;
	pthread_join(watcher, NULL);
	ck_assert(!peak.wrong);
	ck_assert_uint_le(memory_stats().memory_peak, BUDGET);
	ck_assert_uint_le(peak.most, BUDGET + SLACK);
	ck_assert_uint_gt(peak.most, BUDGET / 2);
}
END_TEST

int main(void)
{
	TCase *facts = facts_case("peak", 120);

	tcase_add_loop_test(facts, it_is_kept_with_every_pattern, 0,
			    WAYS * PATTERNS);
	return facts_run(facts);
}
