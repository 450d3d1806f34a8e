/* SPDX-License-Identifier: MIT */
/*
 * What the wmapd knows that comes after one that was replaced, or killed, alone or
 * with its keeper, or after a thread: what is pinned, and what was counted before
 */
#include "support.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define SEED   9
#define LARGE  PAGES(4096)
#define PINNED 64

/* ---- Ways to go ------------------------------------------------------------------ */

static void (*const ways[])(void) = { wmapd_replace, wmapd_kill,
				      wmapd_kill_both };

/* ThreadSanitizer wants more stack than a guard has: nobody has it then. */
#define WAYS (THREAD_SANITIZED ? 2 : 3)

/* ---- Pins ------------------------------------------------------------------------ */

static char *map_under_wmapd(int kind)
{
	setenv("WMAP_MEMORY", "2M", 1);
	wmapd_start();
	return memory_map(LARGE, READ_WRITE, kind, file_with(SEED, LARGE), 0);
}

/* What is pinned at the beginning and the end; between, no more. */
static void pin_twice(char *at)
{
	ck_assert_int_eq(wmap_pin(at, PAGES(3 * PINNED)), 0);
	ck_assert_int_eq(wmap_unpin(at + PAGES(PINNED), PAGES(PINNED)), 0);
}

static bool is_pinned(char *at)
{
	memory_load(at + PAGES(1024), 3072);
	memory_load(at + PAGES(1024), 3072);
	return memory_is_there(at, PINNED) &&
	       memory_is_there(at + PAGES(2 * PINNED), PINNED);
}

/* A budget of 512 pages presses, before and after. */
START_TEST(what_is_pinned_stays)
{
	char *at = map_under_wmapd(WMAP_SHARED);

	pin_twice(at);
	ck_assert(is_pinned(at));
	ck_assert(!memory_is_there(at + PAGES(PINNED), PINNED));
	ways[_i]();
	ck_assert(is_pinned(at));
	ck_assert(!memory_is_there(at + PAGES(PINNED), PINNED));
	ck_assert(pattern_holds(at, LARGE, SEED, 0));
	ck_assert_int_eq(wmap_unpin(at, LARGE), 0);
	ck_assert(!is_pinned(at));
}
END_TEST

/* A thread's pager moves out. */
START_TEST(what_a_thread_has_pinned_stays)
{
	int status;
	char *at;
	pid_t child;

	setenv("WMAP_MEMORY", "2M", 1);
	at = memory_map(LARGE, READ_WRITE, WMAP_SHARED, file_with(SEED, LARGE),
			0);
	pin_twice(at);
	child = fork();
	ck_assert_int_ge(child, 0);
	if (!child)
		_exit(!pattern_holds(at + PAGES(512), LARGE / 2, SEED,
				     PAGES(512)));
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_int_eq(status, 0);
	ck_assert(is_pinned(at));
	ck_assert(!memory_is_there(at + PAGES(PINNED), PINNED));
	ck_assert_int_eq(wmap_unpin(at, LARGE), 0);
	ck_assert(!is_pinned(at));
}
END_TEST

/* It counts as what may be pinned: 384 pages. */
START_TEST(what_is_pinned_counts)
{
	char *at = map_under_wmapd(WMAP_SHARED);

	pin_twice(at);
	ways[_i]();
	ck_assert_int_eq(wmap_pin(at + PAGES(512), PAGES(384 - 127)), -1);
	ck_assert_int_eq(wmap_pin(at + PAGES(512), PAGES(384 - 128)), 0);
	ck_assert_int_eq(wmap_unmap(at, LARGE), 0);
	at = memory_map(LARGE, READ_WRITE, WMAP_SHARED, file_with(SEED, LARGE),
			0);
	ck_assert_int_eq(wmap_pin(at, PAGES(384)), 0);
}
END_TEST

/* Changed pages of a private mapping are pinned with what they are copies of. */
START_TEST(copies_that_are_pinned_stay)
{
	char *at = map_under_wmapd(WMAP_PRIVATE);

	pin_twice(at);
	memory_store(at, PINNED, 'p');
	ways[_i]();
	ck_assert(is_pinned(at));
	for (size_t i = 0; i < PINNED; i++)
		ck_assert_int_eq(at[PAGES(i)], 'p');
}
END_TEST

/* Each pin is looked at for each page: of a process there is an end to them. */
START_TEST(pins_are_so_many_at_most)
{
	char *at;
	size_t n = 0;

	wmapd_start();
	at = memory_map(LARGE, READ_WRITE, WMAP_SHARED, file_with(SEED, LARGE),
			0);
	while (n < 2048 && !wmap_pin(at + PAGES(2 * n), PAGE))
		n++;
	ck_assert_uint_eq(n, 1024);
	ck_assert_int_eq(wmap_unpin(at, PAGE), 0);
	ck_assert_int_eq(wmap_pin(at + PAGES(2 * n), PAGE), 0);
	ck_assert_int_eq(wmap_unpin(at, LARGE), 0);
	ck_assert_int_eq(wmap_pin(at, PAGES(3)), 0);
}
END_TEST

/* ---- Counts ---------------------------------------------------------------------- */

static struct wmap_stats stats_now(void)
{
	struct wmap_stats stats = memory_stats();

	stats.latency[0] = 0;
	for (unsigned i = 1; i < WMAP_BUCKETS; i++)
		stats.latency[0] += stats.latency[i];
	return stats;
}

START_TEST(who_replaces_counts_on)
{
	char *at = map_under_wmapd(WMAP_SHARED);
	struct wmap_stats before, after;

	memory_store(at, 1024, 'c');
	before = stats_now();
	ck_assert_uint_ge(before.faults, 16);
	ck_assert_uint_gt(before.evicted, 0);
	wmapd_replace();
	after = stats_now();
	ck_assert_uint_ge(after.faults, before.faults);
	ck_assert_uint_ge(after.fills, before.fills);
	ck_assert_uint_ge(after.writebacks, before.writebacks);
	ck_assert_uint_ge(after.bytes_read, before.bytes_read);
	ck_assert_uint_ge(after.bytes_written, before.bytes_written);
	ck_assert_uint_ge(after.evicted, before.evicted);
	ck_assert_uint_ge(after.latency[0], before.latency[0]);
	ck_assert_uint_ge(after.latency_max_ns, before.latency_max_ns);
	ck_assert_uint_lt(after.faults, 2 * before.faults);
	memory_load(at, 1024);
	ck_assert_uint_gt(stats_now().faults, after.faults);
}
END_TEST

struct loaded {
	char *at;
	size_t pages;
};

static bool is_loaded(void *of)
{
	const struct loaded *loaded = of;

	ck_assert_uint_le(memory_info(loaded->at).loaded, loaded->pages);
	return memory_info(loaded->at).loaded == loaded->pages;
}

/* Of a file, shared and private, and of none. Others have touched other pages. */
static const int kinds[] = { WMAP_SHARED, WMAP_PRIVATE,
			     WMAP_SHARED | WMAP_ANONYMOUS,
			     WMAP_PRIVATE | WMAP_ANONYMOUS };
#define KINDS (int)COUNT(kinds)

START_TEST(what_is_loaded_is_known_again)
{
	int kind = kinds[_i % KINDS];
	int fd = kind & WMAP_ANONYMOUS ? -1 : file_with(SEED, LARGE);
	struct loaded loaded;
	char *other;

	wmapd_start();
	loaded.at = memory_map(LARGE, READ_WRITE, kind, fd, 0);
	other = memory_map(LARGE, READ_WRITE, kind, fd, 0);
	ck_assert_int_eq(wmap_advise(loaded.at, LARGE, WMAP_ADVICE_RANDOM), 0);
	for (size_t i = 0; i < 100; i++) {
		memory_load(loaded.at + PAGES(3 * i), 1);
		memory_load(other + PAGES(3 * i + 1), 1);
		if (i % 3)
			memory_store(loaded.at + PAGES(3 * i), 1, 's');
	}
	loaded.pages = memory_info(loaded.at).loaded;
	ck_assert_uint_ge(loaded.pages, 100);
	ways[_i / KINDS]();
	ck_assert(process_wait(is_loaded, &loaded, 10));
	memory_load(loaded.at + PAGES(1000), 1);
	ck_assert_uint_eq(memory_info(loaded.at).loaded, loaded.pages + 1);
}
END_TEST

int main(void)
{
	TCase *facts = facts_case("successor", 60);

	if (!facts_possible(WMAP_FEATURE_POISON))
		return facts_run(facts);
	tcase_add_loop_test(facts, what_is_pinned_stays, 0, WAYS);
	tcase_add_loop_test(facts, what_is_pinned_counts, 0, WAYS);
	tcase_add_loop_test(facts, copies_that_are_pinned_stay, 0, WAYS);
	tcase_add_test(facts, what_a_thread_has_pinned_stays);
	tcase_add_test(facts, pins_are_so_many_at_most);
	tcase_add_test(facts, who_replaces_counts_on);
	if (!THREAD_SANITIZED) /* a guard tells it */
		tcase_add_loop_test(facts, what_is_loaded_is_known_again, 0,
				    WAYS * KINDS);
	return facts_run(facts);
}
