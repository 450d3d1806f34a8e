/* SPDX-License-Identifier: MIT */
/*
 * Fork in a program that has its own pager: the thread moves out first
 *
 * What is in memory then, what is dirty and what is on its way goes along; no
 * fault fails. That wmapd serves parent and child afterwards process/fork.sh has
 * in breadth.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support.h"
#include "sys.h"

/* Its exit status, or 256 and the signal. */
static int child_result(pid_t pid)
{
	int status;

	ck_assert_int_gt(pid, 0);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 256 + WTERMSIG(status);
}

/* Runs @run in a child; what child_result says. */
static int in_child(int (*run)(void *), void *arg)
{
	pid_t pid = fork();

	if (!pid)
		_exit(run(arg));
	return child_result(pid);
}

struct shown {
	char *shared, *private, *zeros, *plain;
	int fd;
};

static struct shown show(void)
{
	struct shown s = { .fd = file_with(3, PAGES(64)) };

	s.shared = memory_map(PAGES(64), READ_WRITE, WMAP_SHARED, s.fd, 0);
	s.private = memory_map(PAGES(64), READ_WRITE, WMAP_PRIVATE, s.fd, 0);
	s.zeros = memory_map(PAGES(64), READ_WRITE,
			     WMAP_SHARED | WMAP_ANONYMOUS, -1, 0);
	s.plain = memory_map(PAGES(64), READ_WRITE,
			     WMAP_PRIVATE | WMAP_ANONYMOUS, -1, 0);
	for (size_t i = 0; i < 8; i++) {
		s.shared[PAGES(i)] = 's';
		s.private[PAGES(i)] = 'p';
		s.zeros[PAGES(i)] = 'z';
		s.plain[PAGES(i)] = 'a';
	}
	return s;
}

static int sees_all(void *arg)
{
	const struct shown *s = arg;

	for (size_t i = 0; i < 8; i++)
		if (s->shared[PAGES(i)] != 's' || s->private[PAGES(i)] != 'p' ||
		    s->zeros[PAGES(i)] != 'z' || s->plain[PAGES(i)] != 'a')
			return 1;
	if (!pattern_holds(s->shared + PAGES(8), PAGES(56), 3, PAGES(8)) ||
	    !pattern_zeros(s->zeros + PAGES(8), PAGES(56)) ||
	    !pattern_zeros(s->plain + PAGES(8), PAGES(56)))
		return 2;
	s->shared[PAGES(20)] = 'S';
	s->zeros[PAGES(20)] = 'Z';
	s->private[PAGES(20)] = s->plain[PAGES(20)] = 'n';
	s->private[PAGES(0)] = s->plain[PAGES(0)] = 'n';
	return 0;
}

START_TEST(a_child_has_what_its_parent_mapped)
{
	struct shown s = show();

	ck_assert_int_eq(in_child(sees_all, &s), 0);
	ck_assert_int_eq(s.shared[PAGES(20)], 'S');
	ck_assert_int_eq(s.zeros[PAGES(20)], 'Z');
	ck_assert_int_eq(s.private[PAGES(0)], 'p');
	ck_assert_int_eq(s.plain[PAGES(0)], 'a');
	ck_assert_int_eq(s.plain[PAGES(20)], 0);
	/* private, and not touched: what is in the file */
	ck_assert_int_eq(wmap_unmap(s.shared, PAGES(64)), 0);
	ck_assert(file_has(s.fd, PAGES(7), "s", 1));
	ck_assert(file_has(s.fd, PAGES(20), "S", 1));
	ck_assert_int_eq(wmap_unmap(s.private, PAGES(64)), 0);
	ck_assert_int_eq(wmap_unmap(s.zeros, PAGES(64)), 0);
	ck_assert_int_eq(wmap_unmap(s.plain, PAGES(64)), 0);
}
END_TEST

static int forks_on(void *arg)
{
	struct shown *s = arg;

	s->shared[PAGES(2) + 9] = 'c';
	return in_child(sees_all, s) || s->shared[PAGES(20)] != 'S';
}

START_TEST(a_grandchild_too)
{
	struct shown s = show();

	ck_assert_int_eq(in_child(forks_on, &s), 0);
	ck_assert_int_eq(s.shared[PAGES(2) + 9], 'c');
	ck_assert_int_eq(s.shared[PAGES(20)], 'S');
}
END_TEST

static int counts(void *arg)
{
	return (int)memory_loaded(arg);
}

START_TEST(a_child_counts_what_its_parent_had_loaded)
{
	int fd = file_with(3, PAGES(16));
	char *shared = memory_wmap(NULL, PAGES(16), WMAP_SHARED, fd);
	char *private =
		memory_wmap(NULL, PAGES(16), WMAP_PRIVATE | WMAP_ANONYMOUS, -1);

	memory_load(shared, 5);
	memory_load(private, 3);
	ck_assert_int_eq(in_child(counts, shared), 5);
	ck_assert_int_eq(in_child(counts, private), 3);
	memory_load(shared, 7);
	ck_assert_int_eq(in_child(counts, shared), 7);
	ck_assert_uint_eq(memory_loaded(shared), 7);
}
END_TEST

/* ---- While others fault ------------------------------------------------------ */

struct busy {
	char *at;
	size_t pages;
	unsigned seed;
	_Atomic bool over;
	_Atomic uint64_t rounds;
	bool right;
};

/* A random page: its first byte is ours to store, the rest is the file's. */
static void *work(void *arg)
{
	struct busy *busy = arg;
	uint64_t state = busy->seed;

	busy->right = true;
	while (!busy->over && busy->right) {
		size_t page;

		state = state * 6364136223846793005u + 1442695040888963407u;
		page = (state >> 33) % busy->pages;
		if (state >> 62)
			busy->right = pattern_holds(busy->at + PAGES(page) + 64,
						    PAGE - 64, 3,
						    PAGES(page) + 64);
		else
			busy->at[PAGES(page) + busy->seed] = (char)busy->seed;
		busy->rounds++;
	}
	return NULL;
}

static int reads_all(void *arg)
{
	struct busy *busy = arg;

	for (size_t i = 0; i < busy->pages; i++)
		if (!pattern_holds(busy->at + PAGES(i) + 64, PAGE - 64, 3,
				   PAGES(i) + 64))
			return 1;
	return 0;
}

START_TEST(others_fault_while_it_moves_out)
{
	size_t pages = 4096;
	int fd = file_with(3, PAGES(pages));
	char *at = memory_map(PAGES(pages), READ_WRITE, WMAP_SHARED, fd, 0);
	struct busy busy[4] = { 0 };
	pthread_t threads[4];

	for (unsigned i = 0; i < 4; i++) {
		busy[i].at = at;
		busy[i].pages = pages;
		busy[i].seed = i + 1;
		ck_assert(!pthread_create(&threads[i], NULL, work, &busy[i]));
	}
	while (busy[0].rounds < 100 || busy[3].rounds < 100)
		sched_yield();
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(in_child(reads_all, &busy[0]), 0);
	for (unsigned i = 0; i < 4; i++) {
		uint64_t rounds = busy[i].rounds;

		while (busy[i].rounds < rounds + 100 && busy[i].right)
			sched_yield();
		busy[i].over = true;
		pthread_join(threads[i], NULL);
		ck_assert(busy[i].right);
	}
	ck_assert_int_eq(wmap_unmap(at, PAGES(pages)), 0);
	ck_assert(file_holds(fd, 3, 64, PAGE - 64));
}
END_TEST

/* ---- What cannot move -------------------------------------------------------- */

static int touches(void *arg)
{
	return process_load(arg);
}

START_TEST(without_a_command_the_child_has_nothing)
{
	int fd = file_with(3, PAGES(4));
	char *at = memory_map(PAGES(4), READ_WRITE, WMAP_SHARED, fd, 0);

	setenv("WMAP_COMMAND", "/nonexistent/wmap", 1);
	at[0] = 'x';
	ck_assert_int_eq(in_child(touches, at + PAGE), SIGSEGV);
	ck_assert_int_eq(at[0], 'x');
	ck_assert(pattern_holds(at + PAGES(2), PAGE, 3, PAGES(2)));
	ck_assert_int_eq(wmap_unmap(at, PAGES(4)), 0);
	ck_assert(file_has(fd, 0, "x", 1));
}
END_TEST

static void read_x(void *self, struct wmap_io *io)
{
	(void)self;
	memset(io->buffer, 'x', io->length);
	wmap_io_done(io, (int64_t)io->length);
}

static _Atomic bool refusing;
static _Atomic unsigned refused;

static long refuse_ioctls(long number)
{
	if (!refusing || number != SYS_ioctl)
		return 0;
	refused++;
	return -ENOMEM;
}

START_TEST(a_pager_that_fails_to_leave_goes_on)
{
	int fd = file_with(3, PAGES(4));
	char *at;
	pid_t pid;

	sys_hook = refuse_ioctls;
	at = memory_map(PAGES(4), READ_WRITE, WMAP_SHARED, fd, 0);
	ck_assert(pattern_holds(at, PAGE, 3, 0));
	refusing = true;
	pid = fork();
	refusing = false;
	if (!pid)
		_exit(touches(at));
	ck_assert_uint_ge(refused, 1);
	ck_assert_int_eq(child_result(pid), SIGSEGV);
	ck_assert(pattern_holds(at + PAGES(2), PAGE, 3, PAGES(2)));
	ck_assert_int_eq(wmap_unmap(at, PAGES(4)), 0);
}
END_TEST

START_TEST(a_store_of_the_program_stays_with_it)
{
	struct wmap_store_ops ops = { .size = sizeof(ops), .read = read_x };
	struct wmap_store *store = wmap_store_create(&ops, NULL, 0);
	char *at = memory_map_store(PAGES(4), PROT_READ, WMAP_SHARED, store, 0);

	ck_assert_int_eq(at[0], 'x');
	ck_assert_int_eq(in_child(touches, at), SIGSEGV);
	ck_assert_int_eq(at[PAGES(2)], 'x');
	ck_assert_int_eq(wmap_unmap(at, PAGES(4)), 0);
	wmap_store_put(store);
}
END_TEST

/* ---- No trace ---------------------------------------------------------------- */

static unsigned pagers(void)
{
	FILE *list = popen("pgrep -x wmapd | wc -l", "r");
	unsigned n = 0;

	ck_assert_ptr_nonnull(list);
	ck_assert_int_eq(fscanf(list, "%u", &n), 1);
	pclose(list);
	return n;
}

START_TEST(children_that_wait_find_only_their_own)
{
	struct shown s = show();
	int status;

	ck_assert_int_eq(in_child(sees_all, &s), 0);
	ck_assert_int_eq(waitpid(-1, &status, 0), -1);
	ck_assert_int_eq(errno, ECHILD);
	ck_assert_uint_ge(pagers(), 1);
}
END_TEST

int main(void)
{
	TCase *facts = facts_case("fork", 60);

	tcase_add_test(facts, without_a_command_the_child_has_nothing);
	tcase_add_test(facts, a_store_of_the_program_stays_with_it);
	/* Another process can give SIGBUS by poison only. */
	if (!facts_possible(WMAP_FEATURE_POISON))
		return facts_run(facts);
	tcase_add_test(facts, a_pager_that_fails_to_leave_goes_on);
	tcase_add_test(facts, a_child_has_what_its_parent_mapped);
	tcase_add_test(facts, a_grandchild_too);
	tcase_add_test(facts, a_child_counts_what_its_parent_had_loaded);
	tcase_add_test(facts, others_fault_while_it_moves_out);
	tcase_add_test(facts, children_that_wait_find_only_their_own);
	return facts_run(facts);
}
