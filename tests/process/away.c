/* SPDX-License-Identifier: MIT */
/*
 * Swap under wmapd: private anonymous memory larger than memory, in a process and
 * its children, who have copies; and no page is lost, older than it should be, or
 * another's, whatever is done to it and to wmapd (lib/swapaway.h)
 */
#include "support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define SEED	5
#define BUDGET	(MIB)
#define LARGE	(8 * BUDGET)
#define N_PAGES (LARGE / PAGE)

static char *at;

static char *map_private(size_t length)
{
	return memory_map(length, READ_WRITE, WMAP_PRIVATE | WMAP_ANONYMOUS, -1,
			  0);
}

static void begin(void)
{
	ck_assert_int_eq(setenv("WMAP_MEMORY", "1M", 1), 0);
	wmapd_start();
	at = map_private(LARGE);
}

static bool is_within(void *unused)
{
	(void)unused;
	return memory_stats().memory <= BUDGET;
}

/* ---- More than memory -------------------------------------------------------- */

START_TEST(there_is_more_than_memory)
{
	struct wmap_stats stats;

	begin();
	pattern_fill(at, LARGE, SEED, 0);
	ck_assert(pattern_holds(at, LARGE, SEED, 0));
	stats = memory_stats();
	ck_assert_uint_eq(stats.memory_limit, BUDGET);
	ck_assert_uint_le(stats.memory_peak, BUDGET);
	ck_assert_uint_gt(stats.swapped_out, (LARGE - BUDGET) / PAGE);
	ck_assert_uint_gt(stats.swapped_in, (LARGE - BUDGET) / PAGE);
	ck_assert_uint_eq(stats.swap_errors, 0);
	ck_assert_uint_le(memory_anonymous(at, LARGE), BUDGET);
}
END_TEST

/* What was zeros takes no room in swap. */
START_TEST(zeros_are_not_written)
{
	begin();
	for (size_t i = 0; i < N_PAGES; i++)
		at[PAGES(i)] = 0;
	ck_assert(process_wait(is_within, NULL, 20));
	ck_assert(pattern_zeros(at, LARGE));
	ck_assert_uint_eq(memory_stats().swapped_out, 0);
}
END_TEST

START_TEST(threads_store_while_it_leaves)
{
	begin();
	ck_assert(memory_hammer(at, HAMMER_PAGES, facts_scaled(1500)));
	ck_assert_uint_gt(memory_stats().swapped_out, BUDGET / PAGE);
}
END_TEST

START_TEST(calls_mean_what_they_mean)
{
	char *other;

	begin();
	pattern_fill(at, LARGE, SEED, 0);
	ck_assert_int_eq(wmap_unmap(at + PAGES(1000), PAGES(100)), 0);
	ck_assert_int_eq(process_load(at + PAGES(1000)), SIGSEGV);
	ck_assert_int_eq(wmap_advise(at + PAGES(300), PAGES(200),
				     WMAP_ADVICE_DONTNEED),
			 0);
	ck_assert(pattern_zeros(at + PAGES(300), PAGES(200)));
	ck_assert_int_eq(wmap_protect(at + PAGES(600), PAGES(50), PROT_READ),
			 0);
	ck_assert_int_eq(process_store(at + PAGES(620), 1), SIGSEGV);
	other = wmap_remap(at + PAGES(1100), PAGES(400), PAGES(500),
			   WMAP_MAYMOVE, NULL);
	ck_assert_ptr_ne(other, MAP_FAILED);
	/* another one, where pages were that have left */
	ck_assert(pattern_holds(at, PAGES(300), SEED, 0));
	ck_assert(pattern_holds(at + PAGES(500), PAGES(500), SEED, PAGES(500)));
	ck_assert(pattern_holds(other, PAGES(400), SEED, PAGES(1100)));
	ck_assert(pattern_zeros(other + PAGES(400), PAGES(100)));
	ck_assert(pattern_holds(at + PAGES(1500), LARGE - PAGES(1500), SEED,
				PAGES(1500)));
	ck_assert_uint_le(memory_stats().memory_peak, BUDGET);
}
END_TEST

/* ---- Children ---------------------------------------------------------------- */

#define CHILDREN 2

/* Finds what its parent has stored, and stores all over it. */
static int see_and_store(int number)
{
	if (!pattern_holds(at, LARGE, SEED, 0))
		return 1;
	pattern_fill(at, LARGE, SEED + 1 + (unsigned)number, 0);
	return pattern_holds(at, LARGE, SEED + 1 + (unsigned)number, 0) ? 0 : 2;
}

START_TEST(a_child_has_a_copy)
{
	pid_t children[CHILDREN];

	begin();
	pattern_fill(at, LARGE, SEED, 0);
	for (unsigned i = 0; i < CHILDREN; i++)
		children[i] = process_start(see_and_store, i);
	ck_assert(pattern_holds(at, LARGE, SEED, 0));
	for (unsigned i = 0; i < CHILDREN; i++)
		process_ends_well(children[i]);
	ck_assert(pattern_holds(at, LARGE, SEED, 0));
	if (!THREAD_SANITIZED)
		ck_assert(process_wait(is_within, NULL, 20));
}
END_TEST

#define STORERS 3

/* What its threads have stored, behind each store; of the process's own memory, so
   a child has it as it was when it was forked. */
static uint64_t counts[N_PAGES];
static atomic_uint storing; /* threads that do */
static atomic_bool over;

static uint64_t *word_of(size_t page)
{
	return (uint64_t *)(void *)(at + PAGES(page)) + page % (PAGE / 8);
}

static void *store_on(void *number)
{
	uint64_t random = (uintptr_t)number;

	storing++;
	while (!over) {
		size_t page =
			random_below(&random, N_PAGES / STORERS) * STORERS +
			(uintptr_t)number - 1;

		__atomic_store_n(word_of(page), counts[page] + 1,
				 __ATOMIC_RELEASE);
		__atomic_store_n(&counts[page], counts[page] + 1,
				 __ATOMIC_RELEASE);
	}
	return NULL;
}

/* None begins: AddressSanitizer's locks would be held in a child. */
static bool all_store(void *unused)
{
	(void)unused;
	return storing == STORERS;
}

/* At the moment of the fork a page was at its count, or one ahead. */
static int see_counts(int unused)
{
	(void)unused;
	for (size_t page = 0; page < N_PAGES; page++)
		if (*word_of(page) - counts[page] > 1)
			return 1;
	return 0;
}

START_TEST(a_fork_is_one_moment)
{
	pthread_t threads[STORERS];

	begin();
	for (uintptr_t i = 0; i < STORERS; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, store_on,
						(void *)(i + 1)),
				 0);
	ck_assert(process_wait(all_store, NULL, 20));
	for (unsigned i = 0; i < facts_scaled(SANITIZED ? 1 : 3); i++) {
		process_sleep_ms(5);
		process_ends_well(process_start(see_counts, 0));
	}
	over = true;
	for (unsigned i = 0; i < STORERS; i++)
		pthread_join(threads[i], NULL);
	for (size_t page = 0; page < N_PAGES; page++)
		ck_assert_uint_eq(*word_of(page), counts[page]);
	ck_assert_uint_gt(memory_stats().swapped_out, BUDGET / PAGE);
}
END_TEST

/* It runs no handlers: what has left is not zeros there. */
static int look_raw(size_t page)
{
	int status = -1;
	pid_t child = (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);

	if (!child)
		syscall(SYS_exit_group, process_load(at + PAGES(page)));
	ck_assert_int_gt(child, 0);
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	return WEXITSTATUS(status);
}

START_TEST(a_raw_clone_has_none_of_it)
{
	begin();
	pattern_fill(at, LARGE, SEED, 0);
	ck_assert_int_eq(look_raw(0), SIGSEGV);
	/* but a fork has, and so it is after one */
	process_ends_well(process_start(see_and_store, 0));
	ck_assert_int_eq(look_raw(N_PAGES - 1), SIGSEGV);
	ck_assert(pattern_holds(at, LARGE, SEED, 0));
}
END_TEST

/* ---- Who kills ------------------------------------------------------------- */

static struct board {
	atomic_bool over, wrong;
	atomic_uint rounds; /* of all owners */
} * board;

#define OWNERS 2
#define TIMES  2

static int see_all(int unused)
{
	(void)unused;
	for (size_t page = 0; page < N_PAGES; page++)
		if (*word_of(page) != counts[page])
			return 1;
	return 0;
}

/* A few pages are zeros again. */
static void drop_some(uint64_t *random)
{
	size_t first = random_below(random, N_PAGES - 16);

	if (wmap_advise(at + PAGES(first), PAGES(16), WMAP_ADVICE_DONTNEED))
		board->wrong = true;
	memset(&counts[first], 0, 16 * sizeof(*counts));
}

/* To another place, and back. */
static void move_it(void)
{
	static char *other;
	char *to = other ? other : memory_free_range(LARGE);

	other = at;
	at = wmap_remap(at, LARGE, LARGE, WMAP_MAYMOVE | WMAP_FIXED, to);
	if (at != to)
		board->wrong = board->over = true;
}

static void ask_a_child(void)
{
	int status = -1;
	pid_t child = fork();

	if (!child)
		_exit(see_all(0));
	if (child < 0 || waitpid(child, &status, 0) != child || status)
		board->wrong = true;
}

/* Finds what it stored before in a memory of its own, and stores more. */
static int count_up(int number)
{
	uint64_t random = (uint64_t)number + 1;

	for (unsigned round = 1; !board->over; round++) {
		size_t page = random_below(&random, N_PAGES);

		if (*word_of(page) != counts[page])
			board->wrong = true;
		if (random % 2)
			*word_of(page) = ++counts[page];
		if (round % 512 == 0)
			drop_some(&random);
		if (round % 1024 == 0 && !board->over)
			move_it();
		if (round % 4096 == 0)
			ask_a_child();
		if (board->wrong)
			board->over = true;
		board->rounds++;
	}
	return board->wrong ? 1 : see_all(0);
}

static bool went_on(void *rounds)
{
	return board->over || board->rounds - *(unsigned *)rounds > 300;
}

START_TEST(nothing_is_lost_when_wmapd_goes)
{
	uint64_t random = random_seed();
	pid_t owners[OWNERS];

	board = mmap(NULL, sizeof(*board), READ_WRITE,
		     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ck_assert_ptr_ne(board, MAP_FAILED);
	begin();
	for (size_t page = 0; page < N_PAGES; page++)
		*word_of(page) = counts[page] = page + 1;
	for (unsigned i = 0; i < OWNERS; i++)
		owners[i] = process_start(count_up, i);
	for (unsigned i = 0; i < facts_scaled(SANITIZED ? 1 : TIMES); i++) {
		wmapd_end(_i, &board->rounds, went_on, &random);
		ck_assert(!board->wrong);
	}
	board->over = true;
	for (unsigned i = 0; i < OWNERS; i++)
		process_ends_well(owners[i]);
	ck_assert(!board->wrong);
	ck_assert_int_eq(see_all(0), 0);
	/* also what was in memory is known again */
	ck_assert(process_wait(is_within, NULL, 20));
	ck_assert_uint_le(memory_anonymous(at, LARGE), BUDGET);
}
END_TEST

/* ---- Where it cannot go ------------------------------------------------------ */

/* Nobody knows what is in memory, and may be read. */
START_TEST(without_a_page_map_pages_stay)
{
	ck_assert_int_eq(setenv("WMAP_KERNEL_WITHOUT", "pagemap", 1), 0);
	begin();
	pattern_fill(at, LARGE, SEED, 0);
	process_ends_well(process_start(see_and_store, 1));
	ck_assert(pattern_holds(at, LARGE, SEED, 0));
	ck_assert_uint_eq(memory_stats().swapped_out, 0);
}
END_TEST

/* It cannot be dropped. */
START_TEST(what_is_locked_stays)
{
	begin();
	pattern_fill(at, PAGES(16), SEED, 0);
	/* a sanitizer makes nothing of mlock(2) */
	ck_assert_int_eq(syscall(SYS_mlock, at, PAGES(16)), 0);
	pattern_fill(at + PAGES(16), LARGE - PAGES(16), SEED, PAGES(16));
	ck_assert(pattern_holds(at, LARGE, SEED, 0));
	ck_assert(process_wait(is_within, NULL, 20));
	ck_assert(pattern_holds(at, LARGE, SEED, 0));
	ck_assert_uint_ge(memory_anonymous(at, PAGES(16)), PAGES(16));
}
END_TEST

/* ---- Who does not answer ------------------------------------------------------- */

static int be_stopped(int unused)
{
	(void)unused;
	raise(SIGSTOP);
	return !pattern_holds(at, LARGE, SEED, 0);
}

START_TEST(a_stopped_process_holds_nobody_up)
{
	uint64_t before;
	int status;
	pid_t child;
	char *mine;

	begin();
	pattern_fill(at, LARGE, SEED, 0);
	child = process_start(be_stopped, 0);
	ck_assert_int_eq(waitpid(child, &status, WUNTRACED), child);
	ck_assert(WIFSTOPPED(status));
	mine = map_private(LARGE);
	before = memory_stats().swapped_out;
	pattern_fill(mine, LARGE, SEED + 1, 0);
	ck_assert(pattern_holds(mine, LARGE, SEED + 1, 0));
	ck_assert_uint_gt(memory_stats().swapped_out - before, BUDGET / PAGE);
	ck_assert(pattern_holds(at, LARGE, SEED, 0));
	ck_assert_int_eq(kill(child, SIGCONT), 0);
	process_ends_well(child);
}
END_TEST

static void add_what_needs_an_agent(TCase *facts)
{
	tcase_add_test(facts, there_is_more_than_memory);
	tcase_add_test(facts, zeros_are_not_written);
	tcase_add_test(facts, threads_store_while_it_leaves);
	tcase_add_test(facts, calls_mean_what_they_mean);
	tcase_add_test(facts, a_fork_is_one_moment);
	tcase_add_test(facts, a_raw_clone_has_none_of_it);
	tcase_add_loop_test(facts, nothing_is_lost_when_wmapd_goes, 0,
			    WMAPD_ENDS);
	tcase_add_test(facts, without_a_page_map_pages_stay);
	tcase_add_test(facts, what_is_locked_stays);
	tcase_add_test(facts, a_stopped_process_holds_nobody_up);
}

int main(void)
{
	TCase *facts = facts_case("private memory under wmapd", 240);

	if (!facts_possible(WMAP_FEATURE_POISON))
		return FACTS_SKIPPED;
	tcase_add_test(facts, a_child_has_a_copy);
	/* ThreadSanitizer lets no guard be (its stack), who is one. */
	if (!THREAD_SANITIZED)
		add_what_needs_an_agent(facts);
	return facts_run(facts);
}
