/* SPDX-License-Identifier: MIT */
/*
 * Swap under wmapd: shared anonymous memory larger than memory, over a tree of
 * processes; and no page is lost, or older than it should be, when wmapd is killed
 * or replaced, or killed with its keeper
 *
 * Each page belongs to one process, which stores counts to it. What they should be
 * is on a board, in memory of the kernel's, which the process changes behind each
 * store: so whoever looks finds a page at its count, or one ahead if its owner was
 * killed in between (here nobody is but wmapd).
 */
#include "support.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define SEED	5
#define BUDGET	(MIB)
#define LARGE	(8 * BUDGET)
#define N_PAGES (LARGE / PAGE)
#define OWNERS	3

static struct board {
	atomic_bool over, wrong;
	atomic_uint rounds; /* of all owners */
	uint64_t counts[N_PAGES];
} * board;

static char *at;

/* Private memory has a test of its own (away.c), but where it is the same. */
static const int kinds[] = { WMAP_SHARED, WMAP_PRIVATE };
static int kind = WMAP_SHARED;

static void begin_with(const char *memory)
{
	ck_assert_int_eq(setenv("WMAP_MEMORY", memory, 1), 0);
	board = mmap(NULL, sizeof(*board), READ_WRITE,
		     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ck_assert_ptr_ne(board, MAP_FAILED);
	wmapd_start();
	at = memory_map(LARGE, READ_WRITE, kind | WMAP_ANONYMOUS, -1, 0);
}

static void keeps_within(uint64_t budget)
{
	struct wmap_stats stats = memory_stats();

	ck_assert_uint_eq(stats.memory_limit, budget);
	ck_assert_uint_le(stats.memory_peak, budget);
}

/* ---- Descriptors of others --------------------------------------------------- */

/* How many of a process have a name that begins so; *@last: opened anew, or -1. */
static unsigned count_descriptors(pid_t pid, const char *start, int *last)
{
	char path[64], link[320], name[256];
	struct dirent *entry;
	unsigned n = 0;
	DIR *fds;

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
	fds = opendir(path);
	while (fds && (entry = readdir(fds))) {
		ssize_t length;

		snprintf(link, sizeof(link), "%s/%s", path, entry->d_name);
		length = readlink(link, name, sizeof(name) - 1);
		name[length > 0 ? length : 0] = '\0';
		if (strncmp(name, start, strlen(start)) != 0)
			continue;
		n++;
		if (last)
			*last = open(link, O_RDWR | O_CLOEXEC);
	}
	if (fds)
		closedir(fds);
	return n;
}

/* ---- A tree ---------------------------------------------------------------- */

#define PART (LARGE / OWNERS / PAGE * PAGE)

/* Finds what its parent has stored, and stores to its part. */
static int see_and_store(int number)
{
	if (!pattern_holds(at + number * PART, PART, SEED, number * PART))
		return 1;
	pattern_fill(at + number * PART, PART, SEED + 1, number * PART);
	return !pattern_holds(at + number * PART, PART, SEED + 1,
			      number * PART);
}

START_TEST(a_tree_has_more_than_there_is_memory)
{
	pid_t children[OWNERS];
	struct wmap_stats stats;

	begin_with("1M");
	pattern_fill(at, LARGE, SEED, 0);
	for (unsigned i = 0; i < OWNERS; i++)
		children[i] = process_start(see_and_store, i);
	for (unsigned i = 0; i < OWNERS; i++)
		process_ends_well(children[i]);
	ck_assert(pattern_holds(at, OWNERS * PART, SEED + 1, 0));
	stats = memory_stats();
	ck_assert_uint_eq(stats.memory_limit, BUDGET);
	ck_assert_uint_le(stats.memory_peak, BUDGET);
	ck_assert_uint_gt(stats.swapped_out, 2 * (LARGE - BUDGET) / PAGE);
	ck_assert_uint_gt(stats.swapped_in, 2 * (LARGE - BUDGET) / PAGE);
	ck_assert_uint_eq(stats.swap_errors, 0);
}
END_TEST

START_TEST(a_hole_is_a_hole)
{
	begin_with("1M");
	pattern_fill(at, LARGE, SEED, 0);
	ck_assert_int_eq(wmap_unmap(at + PAGES(1000), PAGES(500)), 0);
	ck_assert_int_eq(process_load(at + PAGES(1000)), SIGSEGV);
	ck_assert(pattern_holds(at, PAGES(1000), SEED, 0));
	ck_assert(pattern_holds(at + PAGES(1500), LARGE - PAGES(1500), SEED,
				PAGES(1500)));
	keeps_within(BUDGET);
}
END_TEST

/* ---- Who kills ------------------------------------------------------------- */

static uint64_t *word_of(size_t page)
{
	return (uint64_t *)(void *)(at + PAGES(page)) + page % (PAGE / 8);
}

/* Stores to pages of its own at random; and finds what it stored before. */
static int count_up(int number)
{
	uint64_t random = number + 1;

	while (!board->over) {
		size_t page = random_below(&random, N_PAGES / OWNERS) * OWNERS +
			      number;
		uint64_t *word = word_of(page);

		if (__atomic_load_n(word, __ATOMIC_RELAXED) !=
		    board->counts[page])
			board->wrong = board->over = true;
		if (random % 2)
			__atomic_store_n(word, ++board->counts[page],
					 __ATOMIC_RELAXED);
		board->rounds++;
	}
	return 0;
}

#define TIMES 12

static bool went_on(void *rounds)
{
	return board->over || board->rounds - *(unsigned *)rounds > 300;
}

START_TEST(nothing_is_lost_when_wmapd_goes)
{
	uint64_t random = random_seed();
	pid_t owners[OWNERS];
	unsigned n = facts_scaled(TIMES);

	begin_with("1M");
	for (unsigned i = 0; i < OWNERS; i++)
		owners[i] = process_start(count_up, i);
	for (unsigned i = 0; i < n; i++) {
		wmapd_end(_i, &board->rounds, went_on, &random);
		ck_assert(!board->wrong);
		/* the file, past the page cache, and for a successor */
		ck_assert_uint_le(
			count_descriptors(served_by.pid, "/var/tmp/", NULL), 3);
		ck_assert_uint_le(count_descriptors(served_by.keeper,
						    "/var/tmp/", NULL),
				  1);
	}
	board->over = true;
	for (unsigned i = 0; i < OWNERS; i++)
		process_ends_well(owners[i]);
	ck_assert(!board->wrong);
	for (size_t page = 0; page < N_PAGES / OWNERS * OWNERS; page++)
		ck_assert_uint_eq(*word_of(page), board->counts[page]);
	keeps_within(BUDGET);
}
END_TEST

/* ---- Where it cannot go ------------------------------------------------------ */

static bool is_within(void *unused)
{
	(void)unused;
	return memory_stats().memory <= BUDGET;
}

/* Pages stay, and the error is told. */
START_TEST(without_a_place_pages_stay)
{
	ck_assert_int_eq(setenv("WMAP_SWAP", "/not/there", 1), 0);
	kind = kinds[_i];
	begin_with("1M");
	pattern_fill(at, LARGE, SEED, 0);
	process_ends_well(process_start(see_and_store, 1));
	ck_assert(pattern_holds(at, PART, SEED, 0));
	ck_assert_uint_eq(memory_info(at).resident, N_PAGES);
	ck_assert_uint_eq(memory_stats().swapped_out, 0);
}
END_TEST

static bool has_swapped(void *unused)
{
	(void)unused;
	return memory_stats().swapped_out;
}

/* As a disk that has no more room. */
START_TEST(what_finds_no_room_stays)
{
	const struct rlimit limit = { LARGE / 4, RLIM_INFINITY };

	kind = kinds[_i];
	begin_with("1M");
	pattern_fill(at, LARGE / 4, SEED, 0);
	ck_assert(process_wait(has_swapped, NULL, 20));
	ck_assert_int_eq(prlimit(served_by.pid, RLIMIT_FSIZE, &limit, NULL), 0);
	pattern_fill(at, LARGE, SEED, 0);
	process_ends_well(process_start(see_and_store, 1));
	ck_assert(pattern_holds(at, PART, SEED, 0));
	ck_assert_uint_gt(memory_stats().swap_errors, 0);
	errno = 0;
	ck_assert_int_eq(wmap_sync(at, LARGE, WMAP_SYNC_WAIT), -1);
	ck_assert_int_eq(errno, EFBIG);
	/* when there is room again it is used */
	ck_assert_int_eq(wmap_unmap(at + LARGE / 8, LARGE - LARGE / 8), 0);
	ck_assert(process_wait(is_within, NULL, 20));
	ck_assert(pattern_holds(at, LARGE / 8, SEED, 0));
}
END_TEST

/* Never zeros. */
START_TEST(what_is_lost_is_an_error)
{
	int slots = -1;

	kind = kinds[_i];
	begin_with("1M");
	pattern_fill(at, LARGE, SEED, 0);
	count_descriptors(served_by.pid, "/memfd:wmap-slots", &slots);
	if (slots < 0)
		return; /* of root's right to look */
	ck_assert_int_eq(pwrite(slots, "garbage", 8, 0), 8);
	wmapd_kill();
	for (size_t i = 0; i < N_PAGES; i++)
		if (!process_load(at + PAGES(i)))
			ck_assert(pattern_holds(at + PAGES(i), PAGE, SEED,
						PAGES(i)));
	ck_assert_int_eq(process_load(at), SIGBUS);
}
END_TEST

int main(void)
{
	TCase *facts = facts_case("swap under wmapd", 240);

	if (!facts_possible(WMAP_FEATURE_POISON))
		return FACTS_SKIPPED;
	tcase_add_test(facts, a_tree_has_more_than_there_is_memory);
	tcase_add_test(facts, a_hole_is_a_hole);
	/* ThreadSanitizer lets no guard be (its stack), who would be needed. */
	tcase_add_loop_test(facts, nothing_is_lost_when_wmapd_goes, 0,
			    WMAPD_ENDS - THREAD_SANITIZED);
	tcase_add_loop_test(facts, without_a_place_pages_stay, 0,
			    COUNT(kinds) - THREAD_SANITIZED);
	tcase_add_loop_test(facts, what_finds_no_room_stays, 0,
			    COUNT(kinds) - THREAD_SANITIZED);
	tcase_add_loop_test(facts, what_is_lost_is_an_error, 0,
			    COUNT(kinds) - THREAD_SANITIZED);
	return facts_run(facts);
}
