/* SPDX-License-Identifier: MIT */
/* Swap: anonymous memory larger than memory, and no store lost */
#include "support.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define SEED   7
#define BUDGET (MIB)
#define LARGE  PAGES(2048) /* 8 MiB */

/* Loops run over all, and over what else is to be tried: anonymous memory, private
   and shared, and the private mapping of a file of zeros. */
#define KINDS	  3
#define ANONYMOUS 2 /* of these */

static int kind_of(int i)
{
	return i % KINDS == 1 ? WMAP_SHARED : WMAP_PRIVATE;
}

static bool is_file(int i)
{
	return i % KINDS == ANONYMOUS;
}

static char *map_one(int i)
{
	int fd = is_file(i) ? file_sparse(2 * LARGE) : -1;
	int flags = kind_of(i) | (fd < 0 ? WMAP_ANONYMOUS : 0);

	return memory_map(LARGE, READ_WRITE, flags, fd, 0);
}

static char *map_large(int i)
{
	ck_assert_int_eq(wmap_memory_set(BUDGET), 0);
	return map_one(i);
}

static void keeps_within(uint64_t budget)
{
	struct wmap_stats stats = memory_stats();

	ck_assert_uint_eq(stats.memory_limit, budget);
	ck_assert_uint_le(stats.memory_peak, budget);
}

START_TEST(more_is_stored_than_there_is_memory)
{
	char *at = map_large(_i);

	pattern_fill(at, LARGE, SEED, 0);
	for (int round = 0; round < 2; round++)
		ck_assert(pattern_holds(at, LARGE, SEED, 0));
	keeps_within(BUDGET);
	ck_assert_uint_gt(memory_stats().evicted, 2 * 2048);
	ck_assert_uint_gt(memory_stats().swapped_out, 2 * 2048);
	ck_assert_uint_gt(memory_stats().swapped_in, 2 * 2048 - 256);
	ck_assert_uint_le(memory_info(at).resident, BUDGET / PAGE);
	ck_assert_int_eq(wmap_unmap(at, LARGE), 0);
}
END_TEST

/* All of it stored to, and most of it in swap. */
static char *map_stored(int i, int prot)
{
	char *at = map_large(i);

	pattern_fill(at, LARGE, SEED, 0);
	if (prot != READ_WRITE)
		ck_assert_int_eq(wmap_protect(at, LARGE, prot), 0);
	return at;
}

START_TEST(the_order_of_pages_is_no_matter)
{
	static uint32_t oracle[LARGE / PAGE];
	uint64_t random = random_seed();
	uint32_t *at = (void *)map_large(_i);
	bool right = true;

	for (unsigned i = 0; i < facts_scaled(10000); i++) {
		size_t page = random_below(&random, LARGE / PAGE);
		uint32_t *there = at + page * (PAGE / 4) + page % 1000;

		right &= *there == oracle[page];
		if (i % 2)
			*there = oracle[page] = (uint32_t)random_next(&random);
	}
	ck_assert(right);
	keeps_within(BUDGET);
}
END_TEST

START_TEST(what_was_never_stored_to_costs_no_write)
{
	char *at = map_large(_i);

	memory_load(at, LARGE / PAGE);
	memory_store(at, LARGE / PAGE, 0);
	ck_assert(pattern_zeros(at, LARGE));
	keeps_within(BUDGET);
	ck_assert_uint_eq(memory_stats().swapped_out, 0);
	ck_assert_uint_gt(memory_stats().evicted, 2 * 2048);
}
END_TEST

/* Others sweep through memory, and a few pages are touched all the time. */
START_TEST(what_is_used_comes_back_before_it_is_written)
{
	char *at = map_stored(_i, READ_WRITE);
	uint64_t before;

	for (int round = 0; round < 3; round++)
		memory_load(at, 16);
	before = memory_stats().swapped_in;
	for (size_t i = 16; i < LARGE / PAGE; i++) {
		memory_load(at + PAGES(i), 1);
		memory_load(at, 16);
	}
	/* each page of the sweep once; of the few, far less than each time */
	ck_assert_uint_lt(memory_stats().swapped_in - before,
			  LARGE / PAGE + 16 * LARGE / BUDGET);
}
END_TEST

static const size_t budgets[] = { WMAP_MEMORY_MIN, BUDGET, 4 * BUDGET };

START_TEST(eight_threads_lose_no_store)
{
	char *at = map_large(_i);

	ck_assert_int_eq(wmap_memory_set(budgets[_i / KINDS]), 0);
	ck_assert(memory_hammer(at, LARGE / PAGE, facts_scaled(500)));
	memory_stats();
	memory_load(at, LARGE / PAGE);
	keeps_within(budgets[_i / KINDS]);
}
END_TEST

struct part {
	char *at;
	unsigned number;
	bool wrong;
};

/* Messages of several come for one page, and some when it is there already. */
static void *look(void *arg)
{
	struct part *part = arg;

	for (size_t i = 0; i < LARGE; i += PAGE)
		part->wrong |= !pattern_holds(part->at + i, 64, SEED, i);
	return NULL;
}

START_TEST(four_threads_look_at_the_same_page)
{
	char *at = map_stored(_i, READ_WRITE);
	struct part parts[4];
	pthread_t threads[4];

	ck_assert_int_eq(wmap_memory_set(WMAP_MEMORY_MIN), 0);
	for (unsigned i = 0; i < 4; i++) {
		parts[i] = (struct part){ at, i, false };
		ck_assert(!pthread_create(&threads[i], NULL, look, &parts[i]));
	}
	for (unsigned i = 0; i < 4; i++) {
		ck_assert(!pthread_join(threads[i], NULL));
		ck_assert(!parts[i].wrong);
	}
}
END_TEST

static const int protections[] = { PROT_READ, PROT_READ | PROT_EXEC,
				   PROT_READ | PROT_WRITE | PROT_EXEC };

START_TEST(protections_are_no_matter)
{
	char *at = map_stored(_i, protections[_i / KINDS]);

	ck_assert(pattern_holds(at, LARGE, SEED, 0));
	keeps_within(BUDGET);
	ck_assert_int_eq(wmap_protect(at, LARGE, READ_WRITE), 0);
	memory_store(at, LARGE / PAGE, 'x');
	for (size_t i = 0; i < LARGE / PAGE; i++)
		ck_assert_int_eq(at[PAGES(i)], 'x');
}
END_TEST

START_TEST(what_may_not_be_read_is_kept)
{
	char *at = map_stored(_i, PROT_NONE);
	char *other = map_one(_i);

	memory_store(other, LARGE / PAGE, 'y');
	ck_assert_int_eq(wmap_protect(at, LARGE, PROT_READ), 0);
	ck_assert(pattern_holds(at, LARGE, SEED, 0));
}
END_TEST

START_TEST(what_is_not_needed_is_zeros)
{
	char *at = map_stored(_i, READ_WRITE);

	ck_assert_int_eq(wmap_advise(at + PAGES(100), PAGES(1000),
				     WMAP_ADVICE_DONTNEED),
			 0);
	ck_assert(pattern_zeros(at + PAGES(100), PAGES(1000)));
	ck_assert(pattern_holds(at, PAGES(100), SEED, 0));
	ck_assert(pattern_holds(at + PAGES(1100), LARGE - PAGES(1100), SEED,
				PAGES(1100)));
}
END_TEST

/* But for buffers that are kept. */
static bool is_free(void *unused)
{
	(void)unused;
	return memory_stats().memory <= BUDGET / 16;
}

START_TEST(a_hole_is_a_hole)
{
	char *at = map_stored(_i, READ_WRITE);

	ck_assert_int_eq(wmap_unmap(at + PAGES(1000), PAGES(500)), 0);
	ck_assert_int_eq(process_load(at + PAGES(1000)), SIGSEGV);
	ck_assert(pattern_holds(at, PAGES(1000), SEED, 0));
	ck_assert(pattern_holds(at + PAGES(1500), LARGE - PAGES(1500), SEED,
				PAGES(1500)));
	ck_assert_int_eq(wmap_unmap(at, LARGE), 0);
	ck_assert(process_wait(is_free, NULL, 10));
}
END_TEST

START_TEST(it_moves_along)
{
	char *at = map_stored(_i, READ_WRITE);
	char *there = wmap_remap(at, LARGE, 2 * LARGE, WMAP_MAYMOVE, NULL);

	ck_assert_ptr_ne(there, WMAP_FAILED);
	ck_assert(pattern_holds(there, LARGE, SEED, 0));
	ck_assert(pattern_zeros(there + LARGE, LARGE));
	there = wmap_remap(there, 2 * LARGE, LARGE / 2, 0, NULL);
	ck_assert(pattern_holds(there, LARGE / 2, SEED, 0));
	keeps_within(BUDGET);
}
END_TEST

START_TEST(what_is_pinned_stays)
{
	char *at = map_stored(_i, READ_WRITE);

	ck_assert_int_eq(wmap_pin(at + PAGES(512), PAGES(64)), 0);
	memory_load(at + PAGES(1024), 1024);
	ck_assert(memory_is_there(at + PAGES(512), 64));
	ck_assert_int_eq(wmap_unpin(at + PAGES(512), PAGES(64)), 0);
	ck_assert(pattern_holds(at, LARGE, SEED, 0));
}
END_TEST

/* What goes in the background may go between two questions. */
static bool counts_agree(void *at)
{
	unsigned char there[LARGE / PAGE];
	struct wmap_mapping_info info = memory_info(at);
	size_t n = 0;

	ck_assert_int_eq(wmap_residency(at, LARGE, there), 0);
	for (size_t i = 0; i < LARGE / PAGE; i++)
		n += there[i];
	return info.resident == n && info.loaded == n;
}

START_TEST(the_counts_are_those_of_memory)
{
	char *at = map_stored(_i, READ_WRITE);
	struct wmap_mapping_info info;

	ck_assert(process_wait(counts_agree, at, 10));
	info = memory_info(at);
	/* Those that leave are none of them: of a file's, that may be most. */
	ck_assert_uint_gt(info.resident, is_file(_i) ? 0 : BUDGET / PAGE / 4);
	ck_assert_uint_le(info.resident, BUDGET / PAGE);
}
END_TEST

START_TEST(it_is_brought_by_a_list)
{
	char *at = map_stored(_i, READ_WRITE);
	struct wmap_range range = { at + PAGES(300), PAGES(24) };

	ck_assert_int_eq(wmap_prefetch_wait(wmap_prefetch(&range, 1)), 0);
	ck_assert(memory_is_there(at + PAGES(300), 24));
	ck_assert(pattern_holds(at + PAGES(300), PAGES(24), SEED, PAGES(300)));
}
END_TEST

/* The child has all of it; its stores are its own, or everybody's. */
START_TEST(a_child_has_it_too)
{
	char *at;
	pid_t child;
	int status;

	/* Else it has private anonymous memory alone. */
	if ((kind_of(_i) == WMAP_SHARED || is_file(_i)) &&
	    !facts_possible(WMAP_FEATURE_POISON))
		return;
	at = map_stored(_i, READ_WRITE);

	child = fork();
	if (!child) {
		bool right = pattern_holds(at, LARGE, SEED, 0);

		memory_store(at, LARGE / PAGE, 'c');
		for (size_t i = 0; i < LARGE / PAGE; i++)
			right &= at[PAGES(i)] == 'c';
		_exit(!right);
	}
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_int_eq(status, 0);
	if (kind_of(_i) == WMAP_PRIVATE)
		ck_assert(pattern_holds(at, LARGE, SEED, 0));
	for (size_t i = 0; kind_of(_i) == WMAP_SHARED && i < LARGE / PAGE; i++)
		ck_assert_int_eq(at[PAGES(i)], 'c');
}
END_TEST

/* ---- Where it goes, and where it cannot --------------------------------- */

static const char *const ways[] = { "/var/tmp", "/var/tmp:lz4",
				    "/var/tmp:zstd" };

START_TEST(it_goes_where_it_is_told)
{
	char *at;

	ck_assert_int_eq(wmap_swap_set(ways[_i / KINDS]), 0);
	at = map_stored(_i, READ_WRITE);
	ck_assert(pattern_holds(at, LARGE, SEED, 0));
	/* half of each page becomes smaller */
	for (size_t i = 0; i < LARGE / PAGE; i++)
		memset(at + PAGES(i), 'z', PAGE / 2);
	for (size_t i = 0; i < LARGE / PAGE; i++) {
		ck_assert_int_eq(at[PAGES(i) + 5], 'z');
		ck_assert(pattern_holds(at + PAGES(i) + PAGE / 2, PAGE / 2,
					SEED, PAGES(i) + PAGE / 2));
	}
	keeps_within(BUDGET);
	errno = 0;
	ck_assert_int_eq(wmap_swap_set("/var/tmp"), -1);
	ck_assert_int_eq(errno, EBUSY);
}
END_TEST

static const struct {
	const char *where;
	int error;
} bad[] = {
	{ NULL, EINVAL },	    { "", EINVAL },
	{ "/var/tmp:zip", EINVAL }, { "/not/there", ENOENT },
	{ "/etc/passwd", ENOTDIR }, { "/dev/shm", EOPNOTSUPP },
};

START_TEST(a_place_that_will_not_do_is_refused)
{
	errno = 0;
	ck_assert_int_eq(wmap_swap_set(bad[_i].where), -1);
	ck_assert_int_eq(errno, bad[_i].error);
}
END_TEST

static char told[256];

static void listen(void *arg, const char *line)
{
	(void)arg;
	if (strstr(line, "swap"))
		strncpy(told, line, sizeof(told) - 1);
}

/* Pages stay, whatever the budget; as soon as there is swap they go. */
START_TEST(without_a_place_pages_stay)
{
	char *at;

	wmap_log_set(listen, NULL);
	setenv("WMAP_SWAP", "/not/there", 1);
	at = map_stored(_i, READ_WRITE);
	ck_assert(pattern_holds(at, LARGE, SEED, 0));
	ck_assert_uint_eq(memory_info(at).resident, LARGE / PAGE);
	ck_assert_ptr_nonnull(strstr(told, "/not/there"));
	ck_assert_int_eq(wmap_swap_set("/var/tmp"), 0);
	for (int i = 0; i < 100 && memory_stats().memory > BUDGET; i++)
		process_sleep_ms(100);
	keeps_within(BUDGET);
	ck_assert(pattern_holds(at, LARGE, SEED, 0));
}
END_TEST

/* As a disk that has no more room; nor has a file's memory, then. */
START_TEST(what_finds_no_room_stays)
{
	char *at;

	at = map_large(_i);
	process_limit_files(LARGE / 4);
	pattern_fill(at, LARGE, SEED, 0);
	ck_assert(pattern_holds(at, LARGE, SEED, 0));
	ck_assert_uint_gt(memory_stats().swap_errors, 0);
	errno = 0;
	ck_assert_int_eq(wmap_sync(at, LARGE, WMAP_SYNC_WAIT), -1);
	ck_assert_int_eq(errno, EFBIG);
	process_limit_files(UINT64_MAX);
	for (int i = 0; i < 100 && memory_stats().memory > BUDGET; i++)
		process_sleep_ms(100);
	ck_assert(pattern_holds(at, LARGE, SEED, 0));
	keeps_within(BUDGET);
}
END_TEST

START_TEST(what_cannot_be_read_is_no_zeros)
{
	char *at = map_stored(_i, READ_WRITE);
	size_t lost = 0;

	file_cut_swap();
	for (size_t i = 0; i < LARGE / PAGE; i++)
		if (process_load(at + PAGES(i)) == SIGBUS)
			lost++;
		else
			ck_assert(pattern_holds(at + PAGES(i), PAGE, SEED,
						PAGES(i)));
	ck_assert_uint_gt(lost, LARGE / PAGE / 2);
}
END_TEST

int main(void)
{
	TCase *facts = facts_case("swap", 60);

	tcase_add_loop_test(facts, more_is_stored_than_there_is_memory, 0,
			    KINDS);
	tcase_add_loop_test(facts, the_order_of_pages_is_no_matter, 0, KINDS);
	tcase_add_loop_test(facts, what_was_never_stored_to_costs_no_write, 0,
			    ANONYMOUS);
	tcase_add_test(facts, what_is_used_comes_back_before_it_is_written);
	tcase_add_loop_test(facts, eight_threads_lose_no_store, 0,
			    KINDS * COUNT(budgets));
	tcase_add_loop_test(facts, four_threads_look_at_the_same_page, 0,
			    KINDS);
	tcase_add_loop_test(facts, protections_are_no_matter, 0,
			    KINDS * COUNT(protections));
	tcase_add_loop_test(facts, what_may_not_be_read_is_kept, 0, KINDS);
	tcase_add_loop_test(facts, what_is_not_needed_is_zeros, 0, 1);
	tcase_add_loop_test(facts, a_hole_is_a_hole, 0, KINDS);
	tcase_add_loop_test(facts, it_moves_along, 0, KINDS);
	tcase_add_loop_test(facts, what_is_pinned_stays, 0, KINDS);
	tcase_add_loop_test(facts, the_counts_are_those_of_memory, 0, KINDS);
	tcase_add_loop_test(facts, it_is_brought_by_a_list, 0, KINDS);
	tcase_add_loop_test(facts, a_child_has_it_too, 0, KINDS);
	tcase_add_loop_test(facts, it_goes_where_it_is_told, 0,
			    KINDS * COUNT(ways));
	tcase_add_loop_test(facts, a_place_that_will_not_do_is_refused, 0,
			    COUNT(bad));
	tcase_add_loop_test(facts, without_a_place_pages_stay, 0, KINDS);
	tcase_add_loop_test(facts, what_finds_no_room_stays, 0, ANONYMOUS);
	tcase_add_loop_test(facts, what_cannot_be_read_is_no_zeros, 0, KINDS);
	return facts_run(facts);
}
