/* SPDX-License-Identifier: MIT */
/*
 * Stores that nobody saw (presume.h), under wmapd: none is lost, whoever is killed,
 * and replacing wmapd writes none that there was not
 */
#include "support.h"

#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#define SEED  9
#define ALL   ((size_t)4096) /* pages */
#define HALF  (ALL / 2)
#define LARGE PAGES(ALL)

static char *map_under_wmapd(int fd)
{
	wmapd_start();
	return memory_map(LARGE, READ_WRITE, WMAP_SHARED, fd, 0);
}

/* In order: most of it costs no message. */
static void store(char *at, size_t first, size_t end)
{
	uint64_t before = memory_stats().faults;

	marks_store(at, first, end);
	ck_assert_uint_lt(memory_stats().faults - before, (end - first) / 4);
}

static void (*const ways[])(void) = { wmapd_replace, wmapd_kill,
				      wmapd_kill_both };

/* ThreadSanitizer wants more stack than a guard has: nobody has it then. */
#define WAYS (THREAD_SANITIZED ? 2 : 3)

START_TEST(who_comes_after_has_all_stores)
{
	int fd = file_with(SEED, LARGE);
	char *at = map_under_wmapd(fd);

	store(at, 0, HALF);
	ways[_i]();
	ck_assert_int_eq(wmap_sync(at, LARGE, WMAP_SYNC_WAIT), 0);
	ck_assert(marks_are_in(fd, SEED, 0, HALF));
	ck_assert(file_holds(fd, SEED, PAGES(HALF), LARGE / 2));
	store(at, HALF, ALL);
	ck_assert_int_eq(wmap_unmap(at, LARGE), 0);
	ck_assert(marks_are_in(fd, SEED, 0, ALL));
}
END_TEST

static bool is_ahead(void *at)
{
	return memory_info(at).resident > HALF;
}

/* What another program writes to the file is not overwritten. */
START_TEST(who_replaces_knows_what_was_not_stored)
{
	static char other[LARGE / 2];
	int fd = file_with(SEED, LARGE);
	char *at = map_under_wmapd(fd);

	store(at, 0, HALF);
	ck_assert(process_wait(is_ahead, at, 10));
	pattern_fill(other, sizeof(other), SEED + 1, PAGES(HALF));
	ck_assert_int_eq(pwrite(fd, other, sizeof(other), PAGES(HALF)),
			 sizeof(other));
	wmapd_replace();
	ck_assert_int_eq(wmap_sync(at, LARGE, WMAP_SYNC_WAIT), 0);
	ck_assert(marks_are_in(fd, SEED, 0, HALF));
	ck_assert(file_holds(fd, SEED + 1, PAGES(HALF), sizeof(other)));
}
END_TEST

static void store_and_die(void *fd)
{
	char *at = map_under_wmapd(*(int *)fd);

	store(at, 0, ALL);
	raise(SIGKILL);
}

static bool all_are_stored(void *fd)
{
	return marks_are_in(*(int *)fd, SEED, 0, ALL);
}

START_TEST(who_is_killed_has_stored)
{
	int fd = file_with(SEED, LARGE);

	process_dies(SIGKILL, store_and_die, &fd);
	ck_assert(process_wait(all_are_stored, &fd, 10));
}
END_TEST

int main(void)
{
	TCase *facts = facts_case("presume", 60);

	if (!facts_possible(WMAP_FEATURE_POISON))
		return facts_run(facts);
	tcase_add_loop_test(facts, who_comes_after_has_all_stores, 0, WAYS);
	tcase_add_test(facts, who_replaces_knows_what_was_not_stored);
	tcase_add_test(facts, who_is_killed_has_stored);
	return facts_run(facts);
}
