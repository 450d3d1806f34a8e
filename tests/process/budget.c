/* SPDX-License-Identifier: MIT */
/* A budget, and a fork: the pager moves out, with its budget, and loses no store */
#include "support.h"

#include <sys/wait.h>
#include <unistd.h>

#define SEED   9
#define LARGE  PAGES(4096)
#define BUDGET (2 * MIB)

/* The child brings pages that the parent then stores to, and the other way round;
   the parent was alone with the file when it mapped it. */
START_TEST(stores_to_pages_that_another_process_brought_are_seen)
{
	int fd = file_with(SEED, LARGE), status;
	char *at;
	pid_t child;

	ck_assert_int_eq(wmap_memory_set(BUDGET), 0);
	at = memory_map(LARGE, READ_WRITE, WMAP_SHARED, fd, 0);
	memory_load(at, 200);
	memory_store(at + PAGES(300), 50, 'p');
	child = fork();
	ck_assert_int_ge(child, 0);
	if (!child) {
		memory_load(at + PAGES(1000), 100);
		memory_store(at + PAGES(100), 50, 'c');
		_exit(at[PAGES(320)] != 'p');
	}
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_int_eq(status, 0);
	memory_store(at + PAGES(1000), 100, 'q');
	for (size_t i = 0; i < 50; i++)
		ck_assert_int_eq(at[PAGES(100 + i)], 'c');
	for (size_t i = 2000; i < 4096; i++)
		ck_assert(pattern_holds(at + PAGES(i), PAGE, SEED, PAGES(i)));
	ck_assert_uint_eq(memory_stats().memory_limit, BUDGET);
	ck_assert_int_eq(wmap_unmap(at, LARGE), 0);
	for (size_t i = 0; i < 50; i++) {
		ck_assert(file_has(fd, PAGES(100 + i), "c", 1));
		ck_assert(file_has(fd, PAGES(300 + i), "p", 1));
	}
	for (size_t i = 0; i < 100; i++)
		ck_assert(file_has(fd, PAGES(1000 + i), "q", 1));
}
END_TEST

/* A read-ahead that waits for its touch does not keep the pager from leaving. */
START_TEST(what_is_held_back_does_not_hold_a_fork_up)
{
	int fd = file_with(SEED, LARGE), status;
	char *at = memory_map(LARGE, PROT_READ, WMAP_SHARED, fd, 0);
	struct wmap_range all = { at, LARGE };
	pid_t child;

	memory_load(at, 100);
	ck_assert_int_ge(wmap_prefetch(&all, 1), 0);
	child = fork();
	ck_assert_int_ge(child, 0);
	if (!child)
		_exit(!pattern_holds(at, LARGE, SEED, 0));
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_int_eq(status, 0);
	ck_assert(pattern_holds(at, LARGE, SEED, 0));
}
END_TEST

int main(void)
{
	TCase *facts = facts_case("budget", 60);

	tcase_add_test(facts,
		       stores_to_pages_that_another_process_brought_are_seen);
	tcase_add_test(facts, what_is_held_back_does_not_hold_a_fork_up);
	return facts_run(facts);
}
