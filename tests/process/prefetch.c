/* SPDX-License-Identifier: MIT */
/*
 * Lists of what will be needed, by a wmapd: as by a thread (uffd/prefetch.c), and
 * what becomes of them when a process is killed, or asks for too much
 */
#include "support.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define SEED   7
#define N      8192 /* pages */
#define LARGE  PAGES(N)
#define BUDGET (8 * MIB)

/* @memory: its budget, or NULL. */
static void begin(const char *memory)
{
	if (memory)
		ck_assert_int_eq(setenv("WMAP_MEMORY", memory, 1), 0);
	ck_assert_int_eq(wmap_pager_set("private"), 0);
	ck_assert_int_eq(wmap_start(NULL), 0);
}

static char *map_large(void)
{
	return memory_map(LARGE, PROT_READ, WMAP_SHARED, file_with(SEED, LARGE),
			  0);
}

/* Every page once, in an order without a pattern. */
static size_t nth(size_t i)
{
	return i * (i + 1) / 2 % N;
}

/* A list is the library's no more once it was asked for. */
static int64_t ask_for(char *at, size_t n)
{
	struct wmap_range *list = malloc(n * sizeof(*list));
	int64_t prefetch;
	int error;

	ck_assert_ptr_nonnull(list);
	for (size_t i = 0; i < n; i++)
		list[i] = (struct wmap_range){ at + PAGES(nth(i)), 1 };
	prefetch = wmap_prefetch(list, n);
	error = errno;
	free(list);
	errno = error;
	return prefetch;
}

/* All of it is asked for, at *@at. */
static int64_t begin_list(const char *memory, char **at)
{
	int64_t prefetch;

	begin(memory);
	*at = map_large();
	prefetch = ask_for(*at, N);
	ck_assert_int_gt(prefetch, 0);
	return prefetch;
}

/* Faults of a reader who takes the pages in the order of the list, and lets it
   keep ahead of him. */
static uint64_t faults_of_reader(const char *at, int64_t prefetch)
{
	uint64_t before = memory_stats().faults;

	for (size_t i = 0; i < N; i++) {
		if (i % 64 == 0)
			ck_assert_int_eq(wmap_prefetch_wait(prefetch), 0);
		ck_assert(pattern_holds(at + PAGES(nth(i)), PAGE, SEED,
					PAGES(nth(i))));
	}
	return memory_stats().faults - before;
}

START_TEST(a_list_is_there_when_it_was_waited_for)
{
	char *at;
	int64_t prefetch = begin_list(NULL, &at);

	ck_assert_int_eq(wmap_prefetch_wait(prefetch), 0);
	ck_assert_uint_eq(memory_info(at).resident, N);
	ck_assert_uint_eq(faults_of_reader(at, prefetch), 0);
}
END_TEST

/* Four times the budget, and still hardly a fault. */
START_TEST(a_list_longer_than_memory_goes_on_as_it_is_used)
{
	char *at;
	int64_t prefetch = begin_list("8M", &at);

	ck_assert_uint_lt(faults_of_reader(at, prefetch), N / 4);
	ck_assert_uint_le(memory_stats().memory_peak, BUDGET);
}
END_TEST

START_TEST(a_cancelled_list_brings_no_more)
{
	char *at;
	int64_t prefetch = begin_list("8M", &at);

	ck_assert_int_eq(wmap_prefetch_wait(prefetch), 0);
	ck_assert_int_eq(wmap_prefetch_cancel(prefetch), 0);
	ck_assert_int_eq(wmap_prefetch_wait(prefetch), 0);
	ck_assert_uint_gt(faults_of_reader(at, prefetch), N / 2);
}
END_TEST

/* Pages that stay, of the smallest budget's 64. */
static const size_t staying[] = { 50, 54, 57, 59, 63 };

/* Private anonymous pages can go nowhere. Some are so many that what is read ahead,
   and that alone, has no room. */
START_TEST(what_finds_no_room_beside_what_stays_ends)
{
	struct wmap_range all;
	char *at, *stays;

	begin("256K");
	stays = memory_map(PAGES(64), READ_WRITE, WMAP_PRIVATE | WMAP_ANONYMOUS,
			   -1, 0);
	memory_store(stays, staying[_i], 'x');
	at = map_large();
	all = (struct wmap_range){ at, LARGE };
	ck_assert_int_eq(wmap_prefetch_wait(wmap_prefetch(&all, 1)), 0);
}
END_TEST

#define MOST WMAP_PREFETCH_REMOTE_MAX

START_TEST(too_long_a_list_is_refused)
{
	char *at;

	begin(NULL);
	at = map_large();
	errno = 0;
	ck_assert_int_eq(ask_for(at, MOST + 1), -1);
	ck_assert_int_eq(errno, EINVAL);
	ck_assert_int_gt(ask_for(at, MOST), 0);
}
END_TEST

/* Each is told to bring other pages than those before, and waits for a reader. */
static int64_t ask_for_part(char *at, size_t part)
{
	static struct wmap_range list[MOST];

	for (size_t i = 0; i < MOST; i++)
		list[i] = (struct wmap_range){
			at + (part * MOST + i) * PAGE,
			1,
		};
	return wmap_prefetch(list, MOST);
}

#define PARTS 17 /* one more than a user may have */

START_TEST(more_lists_than_one_user_may_have_are_refused)
{
	size_t length = PARTS * MOST * PAGE;
	char *at;

	begin("64M");
	at = memory_map(length, PROT_READ, WMAP_SHARED, file_sparse(length), 0);
	for (size_t i = 0; i < PARTS - 1; i++)
		ck_assert_int_gt(ask_for_part(at, i), 0);
	errno = 0;
	ck_assert_int_eq(ask_for_part(at, PARTS - 1), -1);
	ck_assert_int_eq(errno, ENOMEM);
	ck_assert_int_eq(at[length - 1], 0);
}
END_TEST

static int ask_and_wait(char *at, size_t part, int told)
{
	int64_t prefetch = ask_for_part(at, part);

	if (prefetch <= 0 || write(told, "", 1) != 1)
		return 1;
	for (;;)
		wmap_prefetch_wait(prefetch);
}

/* Else those of so many processes would be more than one user may have. */
START_TEST(the_lists_of_killed_processes_go)
{
	size_t length = PARTS * MOST * PAGE;
	int pair[2], status;
	char *at, byte;
	pid_t child;

	begin("64M");
	ck_assert_int_eq(pipe(pair), 0);
	at = memory_map(length, PROT_READ, WMAP_SHARED, file_sparse(length), 0);
	for (size_t i = 0; i < 2 * PARTS; i++) {
		child = fork();
		ck_assert_int_ge(child, 0);
		if (!child)
			_exit(ask_and_wait(at, i % PARTS, pair[1]));
		ck_assert_int_eq(read(pair[0], &byte, 1), 1);
		ck_assert_int_eq(kill(child, SIGKILL), 0);
		ck_assert_int_eq(waitpid(child, &status, 0), child);
		ck_assert(WIFSIGNALED(status));
	}
	for (int i = 0; i < 200 && ask_for_part(at, 0) <= 0; i++)
		process_sleep_ms(20);
	ck_assert_int_gt(ask_for_part(at, 1), 0);
}
END_TEST

/* Or who waits for one of those would be told of another. */
START_TEST(a_successors_lists_have_other_numbers)
{
	int64_t before, after;
	char *at;

	wmapd_start();
	at = map_large();
	before = ask_for(at, 1);
	ck_assert_int_gt(before, 0);
	kill(served_by.pid, SIGKILL);
	after = ask_for(at, 1);
	ck_assert_int_gt(after, before);
	ck_assert_int_eq(wmap_prefetch_wait(before), 0);
	ck_assert_int_eq(wmap_prefetch_wait(after), 0);
}
END_TEST

int main(void)
{
	TCase *facts = facts_case("prefetch", 60);

	if (!facts_possible(WMAP_FEATURE_POISON))
		return FACTS_SKIPPED;
	tcase_add_test(facts, a_list_is_there_when_it_was_waited_for);
	tcase_add_test(facts, a_list_longer_than_memory_goes_on_as_it_is_used);
	tcase_add_test(facts, a_cancelled_list_brings_no_more);
	tcase_add_loop_test(facts, what_finds_no_room_beside_what_stays_ends, 0,
			    (int)COUNT(staying));
	tcase_add_test(facts, too_long_a_list_is_refused);
	tcase_add_test(facts, more_lists_than_one_user_may_have_are_refused);
	tcase_add_test(facts, the_lists_of_killed_processes_go);
	tcase_add_test(facts, a_successors_lists_have_other_numbers);
	return facts_run(facts);
}
