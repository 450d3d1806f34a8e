/* SPDX-License-Identifier: MIT */
/*
 * Second chance under wmapd: what a process uses stays, as its agent tells; and
 * what becomes of it when the agent says nothing, or is stopped
 *
 * A process's pager is a wmapd of its own with a budget. A set that is used all
 * the time lies in one mapping, what is touched once in another.
 */
#include "support.h"

#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define SEED   17
#define BUDGET (16 * MIB)
#define HOT    (2 * MIB)
#define COLD   (256 * MIB)
#define ROUND  64 /* cold pages between two looks at a part of the hot ones */
#define ROUNDS 1000

/* ---- Rest ---------------------------------------------------------------- */

/* Whom the descriptor's connection leads to; 0: nowhere. */
static pid_t peer_of(int fd)
{
	struct ucred peer = { 0 };
	socklen_t size = sizeof(peer);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size))
		return 0;
	return peer.pid == getpid() ? 0 : peer.pid;
}

static pid_t wmapd;

static void find_wmapd(void)
{
	for (int fd = 0; fd < 1024 && !wmapd; fd++)
		wmapd = peer_of(fd);
	ck_assert_int_gt(wmapd, 0);
}

/* Does a thread sleep? How often it has done so is added to @times. */
static bool sleeps(int tasks, const char *thread, unsigned long *times)
{
	char path[300], line[128], state = 0;
	unsigned long n;
	FILE *file;
	int fd;

	snprintf(path, sizeof(path), "%s/status", thread);
	fd = openat(tasks, path, O_RDONLY | O_CLOEXEC);
	file = fd < 0 ? NULL : fdopen(fd, "r");
	while (file && fgets(line, sizeof(line), file)) {
		sscanf(line, "State: %c", &state);
		if (sscanf(line, "voluntary_ctxt_switches: %lu", &n) == 1)
			*times += n;
	}
	if (file)
		fclose(file);
	return state == 'S';
}

/* Do all threads of the process, but for the one that asks? */
static bool all_sleep(pid_t pid, unsigned long *times)
{
	char path[64];
	struct dirent *entry;
	bool all = true;
	DIR *tasks;

	snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	tasks = opendir(path);
	while (tasks && (entry = readdir(tasks)))
		if (entry->d_name[0] != '.' &&
		    strtol(entry->d_name, NULL, 10) != gettid())
			all &= sleeps(dirfd(tasks), entry->d_name, times);
	if (tasks)
		closedir(tasks);
	return all;
}

/* Until wmapd and the agent have done what there is to do: both sleep, and have not
   been awake since they were seen to sleep before. So the agent is as fast as what
   it watches, on a busy machine, too. */
static void let_rest(void)
{
	unsigned long times = 0, before;
	bool rest;

	do {
		sched_yield();
		before = times;
		times = 0;
		rest = all_sleep(getpid(), &times);
		rest &= all_sleep(wmapd, &times);
	} while (!rest || times != before);
}

static void begin(void)
{
	ck_assert_int_eq(setenv("WMAP_MEMORY", "16M", 1), 0);
	ck_assert_int_eq(wmap_pager_set("private"), 0);
	ck_assert_int_eq(wmap_start(NULL), 0);
	find_wmapd();
}

/* ---- Touching ------------------------------------------------------------- */

/* In an order without a pattern that could be read ahead; touched once. */
static void touch_cold(const char *cold, unsigned round)
{
	for (size_t i = 0; i < ROUND; i++) {
		size_t page = (round * ROUND + i) * 40503 % (COLD / PAGE);

		ck_assert_int_eq(*(const volatile char *)(cold + PAGES(page)),
				 0);
	}
}

/* Every page of it at least each eighth round. */
static void touch_hot(const char *hot, unsigned round)
{
	size_t part = HOT / PAGE / 8;

	memory_load(hot + PAGES(round % 8 * part), part);
}

/* Pages of the hot set that had to be read again, while cold ones are touched
   all the time. */
static uint64_t reloads(const char *hot, const char *cold)
{
	uint64_t before;

	memory_load(hot, HOT / PAGE);
	before = memory_info(hot).fills;
	for (unsigned round = 0; round < ROUNDS; round++) {
		touch_cold(cold, round);
		touch_hot(hot, round);
		let_rest();
	}
	ck_assert(pattern_holds(hot, HOT, SEED, 0));
	ck_assert_uint_gt(memory_stats().evicted, 10000);
	ck_assert_uint_le(memory_stats().memory_peak, BUDGET);
	return memory_info(hot).fills - before;
}

static char *map_cold(void)
{
	return memory_map(COLD, PROT_READ, WMAP_SHARED, file_sparse(COLD), 0);
}

static const int prots[] = { PROT_READ, READ_WRITE };

START_TEST(what_is_used_stays)
{
	char *hot;

	begin();
	hot = memory_map(HOT, prots[_i], WMAP_SHARED, file_with(SEED, HOT), 0);
	/* Once, when memory is short for the first time. */
	ck_assert_uint_lt(reloads(hot, map_cold()), 2 * HOT / PAGE);
}
END_TEST

START_TEST(without_a_page_map_the_oldest_goes_first)
{
	char *hot;

	ck_assert_int_eq(setenv("WMAP_KERNEL_WITHOUT", "pagemap", 1), 0);
	begin();
	hot = memory_map(HOT, PROT_READ, WMAP_SHARED, file_with(SEED, HOT), 0);
	ck_assert_uint_gt(reloads(hot, map_cold()), 6 * HOT / PAGE);
}
END_TEST

/* What two processes tell each other, in memory of the kernel's. */
static struct board {
	atomic_uint ready;
} * board;

#define MANY (10 * MIB) /* more than the share of one of two */

static bool is_ready(void *unused)
{
	(void)unused;
	return board->ready;
}

static int be_stopped(const char *many)
{
	memory_load(many, MANY / PAGE);
	board->ready = 1;
	raise(SIGSTOP);
	return !pattern_holds(many, MANY, SEED, 0);
}

/* Its agent does not answer, and its pages go all the same. */
START_TEST(a_stopped_process_holds_nobody_up)
{
	char *many, *cold;
	int status;
	pid_t child;

	begin();
	board = mmap(NULL, PAGE, READ_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ck_assert_ptr_ne(board, MAP_FAILED);
	many = memory_map(MANY, PROT_READ, WMAP_SHARED, file_with(SEED, MANY),
			  0);
	cold = map_cold();
	child = fork();
	ck_assert_int_ge(child, 0);
	if (!child)
		_exit(be_stopped(many));
	ck_assert(process_wait(is_ready, NULL, 20));
	ck_assert_int_eq(waitpid(child, &status, WUNTRACED), child);
	ck_assert(WIFSTOPPED(status));
	for (unsigned round = 0; round < ROUNDS; round++)
		touch_cold(cold, round);
	ck_assert_uint_le(memory_stats().memory_peak, BUDGET);
	ck_assert_uint_le(memory_info(many).resident, 7 * MIB / PAGE);
	ck_assert_int_eq(kill(child, SIGCONT), 0);
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_int_eq(status, 0);
}
END_TEST

int main(void)
{
	TCase *facts = facts_case("agent", 120);

	if (!facts_possible(WMAP_FEATURE_POISON))
		return FACTS_SKIPPED;
	/* ThreadSanitizer wants more stack than an agent has: there is none. */
	if (!THREAD_SANITIZED)
		tcase_add_loop_test(facts, what_is_used_stays, 0, COUNT(prots));
	tcase_add_test(facts, without_a_page_map_the_oldest_goes_first);
	tcase_add_test(facts, a_stopped_process_holds_nobody_up);
	return facts_run(facts);
}
