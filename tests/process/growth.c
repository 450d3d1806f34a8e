/* SPDX-License-Identifier: MIT */
/*
 * WMAP_GROWSUP where another process is the pager, beside a thread: many threads
 * at the same page, a neighbour in the way, forks and calls meanwhile, and a wmapd
 * that is killed
 *
 * What grows it in a single thread uffd/course_grow.c has, of both pagers.
 */
#include "support.h"

#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#define SEED	    9
#define PAGES_GROWN 96
#define PAGES_MOST  1024
#define THREADS	    4

static const char *const pagers[] = { "thread", "private" };

static const int kinds[] = {
	WMAP_SHARED,
	WMAP_PRIVATE,
	WMAP_SHARED | WMAP_ANONYMOUS,
	WMAP_PRIVATE | WMAP_ANONYMOUS,
};

static bool is_shared(int kind)
{
	return kind & WMAP_SHARED;
}

/* A page that grows, with room above it. */
static char *begin_to_grow(int kind)
{
	char *area = memory_free_range(PAGES(PAGES_MOST + 8));
	int fd = kind & WMAP_ANONYMOUS ? -1 : file_with(SEED, PAGE);

	return memory_wmap(area, PAGE, kind | WMAP_GROWSUP | WMAP_FIXED, fd);
}

/* What the test has stored to page @i. */
static char value(size_t i)
{
	return (char)(1 + i % 100);
}

static bool holds(const char *area, size_t pages)
{
	for (size_t i = 1; i < pages; i++)
		if (area[PAGES(i)] != value(i) ||
		    area[PAGES(i) + PAGE - 1] != 0)
			return false;
	return true;
}

/* ---- Many at a time -------------------------------------------------------------- */

static struct {
	char *area;
	size_t pages;
	pthread_barrier_t barrier;
} crowd;

/* All of them touch each next page at once. */
static void *climb(void *number)
{
	size_t offset = (size_t)number;

	for (size_t i = 1; i < crowd.pages; i++) {
		pthread_barrier_wait(&crowd.barrier);
		crowd.area[PAGES(i) + 8 * offset] = value(i);
	}
	return NULL;
}

static void climb_together(char *area)
{
	pthread_t threads[THREADS];

	crowd.area = area;
	crowd.pages = PAGES_GROWN;
	pthread_barrier_init(&crowd.barrier, NULL, THREADS);
	for (size_t i = 0; i < THREADS; i++)
		ck_assert(!pthread_create(&threads[i], NULL, climb, (void *)i));
	for (size_t i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
}

START_TEST(threads_that_touch_it_at_once_have_one_page)
{
	char *area;

	ck_assert_int_eq(wmap_pager_set(pagers[_i / 4]), 0);
	area = begin_to_grow(kinds[_i % 4]);
	climb_together(area);
	ck_assert_uint_eq(memory_info(area).length, PAGES(PAGES_GROWN));
	ck_assert_uint_eq(memory_loaded(area), PAGES_GROWN - 1);
	ck_assert(holds(area, PAGES_GROWN));
	for (size_t i = 1; i < PAGES_GROWN; i++)
		for (size_t j = 0; j < THREADS; j++)
			ck_assert_int_eq(area[PAGES(i) + 8 * j], value(i));
	ck_assert_int_eq(wunmap(area), 0);
}
END_TEST

/* ---- In the way ------------------------------------------------------------------ */

/* The program's own memory, of which the pager knows nothing. */
START_TEST(a_neighbour_that_is_not_ours_stops_it)
{
	char *area, *wall;

	ck_assert_int_eq(wmap_pager_set(pagers[_i / 4]), 0);
	area = begin_to_grow(kinds[_i % 4]);
	wall = mmap(area + PAGES(4), PAGE, READ_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	ck_assert_ptr_eq(wall, area + PAGES(4));
	*wall = 'N';
	for (size_t i = 1; i < 3; i++)
		ck_assert_int_eq(process_store(area + PAGES(i), value(i)), 0);
	ck_assert_int_eq(process_store(area + PAGES(3), 1), SIGSEGV);
	ck_assert_int_eq(process_load(area + PAGES(3)), SIGSEGV);
	ck_assert_uint_eq(memory_info(area).length, PAGES(3));
	ck_assert(holds(area, 3));
	ck_assert_int_eq(*wall, 'N');
}
END_TEST

/* Mapping and unmapping elsewhere, and forks, while it grows. */
static atomic_bool over;

static void *map_and_unmap(void *unused)
{
	while (!over) {
		char *at = memory_wmap(NULL, PAGES(2),
				       WMAP_SHARED | WMAP_ANONYMOUS, -1);

		ck_assert_int_eq(process_store(at, 1), 0);
		ck_assert_int_eq(wunmap(at), 0);
	}
	return unused;
}

START_TEST(calls_meanwhile_are_in_nobodys_way)
{
	pthread_t thread;
	char *area;

	ck_assert_int_eq(wmap_pager_set(pagers[_i / 4]), 0);
	area = begin_to_grow(kinds[_i % 4]);
	ck_assert(!pthread_create(&thread, NULL, map_and_unmap, NULL));
	for (size_t i = 1; i < PAGES_GROWN; i++)
		area[PAGES(i)] = value(i);
	over = true;
	pthread_join(thread, NULL);
	ck_assert(holds(area, PAGES_GROWN));
	ck_assert_uint_eq(memory_info(area).length, PAGES(PAGES_GROWN));
}
END_TEST

static void *map_and_unmap_it(void *at)
{
	const int kind = WMAP_SHARED | WMAP_ANONYMOUS | WMAP_GROWSUP;

	for (int i = 0; i < 300; i++) {
		ck_assert_ptr_eq(wmap(at, PAGE, kind | WMAP_FIXED, -1), at);
		process_sleep_ms(1);
		ck_assert_int_eq(wunmap(at), 0);
	}
	over = true;
	return NULL;
}

/* A page that is left behind would be in the way. */
START_TEST(what_is_unmapped_meanwhile_leaves_no_page)
{
	pthread_t thread;
	char *area;

	ck_assert_int_eq(wmap_pager_set(pagers[_i]), 0);
	area = memory_free_range(PAGES(16));
	ck_assert(!pthread_create(&thread, NULL, map_and_unmap_it, area));
	while (!over)
		for (size_t i = 1; i < 4; i++)
			process_store(area + PAGES(i), 1);
	pthread_join(thread, NULL);
	ck_assert_ptr_eq(mmap(area, PAGES(16), PROT_NONE,
			      MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE,
			      -1, 0),
			 area);
}
END_TEST

/* ---- Fork ------------------------------------------------------------------------ */

/* In a child: it grows by itself, from where its parent's was. */
static int grow_on(char *area, size_t from, size_t to)
{
	for (size_t i = from; i < to; i++)
		area[PAGES(i)] = value(i);
	return !holds(area, to) || memory_info(area).length != PAGES(to);
}

static pid_t fork_and_grow(char *area, size_t from, size_t to)
{
	pid_t child;

	fflush(NULL);
	child = fork();
	ck_assert_int_ge(child, 0);
	if (!child)
		_exit(grow_on(area, from, to));
	return child;
}

/* A thread's pager moves out at the first fork. */
START_TEST(parent_and_child_grow_after_a_fork)
{
	int kind = kinds[_i % 4];
	char *area;
	pid_t child;

	ck_assert_int_eq(wmap_pager_set(pagers[_i / 4]), 0);
	area = begin_to_grow(kind);
	area[PAGE] = value(1);
	child = fork_and_grow(area, 2, 40);
	process_ends_well(child);
	ck_assert_uint_eq(memory_info(area).length, PAGES(2));
	/* A shared page the child has grown into is the same memory. */
	ck_assert_int_eq(area[PAGES(2)], is_shared(kind) ? value(2) : 0);
	ck_assert_int_eq(grow_on(area, 2, 60), 0);
	process_ends_well(fork_and_grow(area, 60, 80));
	ck_assert_int_eq(grow_on(area, 60, PAGES_GROWN), 0);
}
END_TEST

/* Whatever was just being done to grow it when the child came about, it has a
   mapping that grows. */
START_TEST(forks_while_it_grows_are_whole)
{
	pid_t children[48];
	char *area;
	pthread_t thread;

	ck_assert_int_eq(wmap_pager_set(pagers[_i / 4]), 0);
	area = begin_to_grow(kinds[_i % 4]);
	crowd.area = area;
	crowd.pages = PAGES_MOST;
	pthread_barrier_init(&crowd.barrier, NULL, 1);
	ck_assert(!pthread_create(&thread, NULL, climb, NULL));
	for (size_t i = 0; i < COUNT(children); i++) {
		children[i] = fork();
		ck_assert_int_ge(children[i], 0);
		if (!children[i]) {
			size_t pages = memory_info(area).length / PAGE;

			_exit(grow_on(area, pages - 1, pages + 4));
		}
	}
	pthread_join(thread, NULL);
	ck_assert(holds(area, PAGES_MOST));
	for (size_t i = 0; i < COUNT(children); i++)
		process_ends_well(children[i]);
}
END_TEST

/* ---- Death ------------------------------------------------------------------------ */

static void *shoot(void *unused)
{
	while (!over) {
		process_sleep_ms(60);
		wmapd_find();
		kill(served_by.pid, SIGKILL);
	}
	return unused;
}

START_TEST(a_killed_wmapd_has_a_successor_that_goes_on)
{
	pthread_t thread;
	char *area;

	wmapd_start();
	area = begin_to_grow(kinds[_i]);
	ck_assert(!pthread_create(&thread, NULL, shoot, NULL));
	for (size_t i = 1; i < PAGES_GROWN; i++) {
		area[PAGES(i)] = value(i);
		process_sleep_ms(2);
	}
	over = true;
	pthread_join(thread, NULL);
	ck_assert(holds(area, PAGES_GROWN));
	ck_assert_uint_eq(memory_info(area).length, PAGES(PAGES_GROWN));
	ck_assert_int_eq(process_load(area + PAGES(PAGES_GROWN + 1)), SIGSEGV);
	ck_assert_int_eq(wunmap(area), 0);
}
END_TEST

START_TEST(so_has_one_that_died_with_its_keeper)
{
	char *area;

	wmapd_start();
	area = begin_to_grow(kinds[_i]);
	for (size_t i = 1; i < 32; i++)
		area[PAGES(i)] = value(i);
	kill(served_by.keeper, SIGKILL);
	kill(served_by.pid, SIGKILL);
	for (size_t i = 32; i < 64; i++)
		area[PAGES(i)] = value(i);
	ck_assert(holds(area, 64));
	ck_assert_uint_eq(memory_info(area).length, PAGES(64));
}
END_TEST

int main(void)
{
	TCase *facts = facts_case("growth", 60);

	/* ThreadSanitizer wants more stack than a guard has: there is none. */
	if (!facts_possible(WMAP_FEATURE_POISON) || THREAD_SANITIZED)
		return facts_run(facts);
	tcase_add_loop_test(facts, threads_that_touch_it_at_once_have_one_page,
			    0, 8);
	tcase_add_loop_test(facts, a_neighbour_that_is_not_ours_stops_it, 0, 8);
	tcase_add_loop_test(facts, calls_meanwhile_are_in_nobodys_way, 0, 8);
	tcase_add_loop_test(facts, what_is_unmapped_meanwhile_leaves_no_page, 0,
			    2);
	tcase_add_loop_test(facts, parent_and_child_grow_after_a_fork, 0, 8);
	/* A thread that starts in a child takes a lock of AddressSanitizer's that
	   another one may have held when its process forked. */
	if (!SANITIZED)
		tcase_add_loop_test(facts, forks_while_it_grows_are_whole, 0,
				    8);
	tcase_add_loop_test(facts, a_killed_wmapd_has_a_successor_that_goes_on,
			    0, 4);
	tcase_add_loop_test(facts, so_has_one_that_died_with_its_keeper, 0, 4);
	return facts_run(facts);
}
