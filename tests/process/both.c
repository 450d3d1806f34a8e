/* SPDX-License-Identifier: MIT */
/*
 * wmapd and its keeper are killed together, in the middle of a fork
 *
 * The guards find another one (lib/guard.h): parent and child have their data
 * there, and nobody sleeps for ever. When they die is settled by a stop, not by a
 * time: wmapd is stopped before it can read what is sent to it, and the child
 * waits in front of the system call that opens its uffd.
 */
#include "support.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sys.h"

#define SEED 7

static pid_t parent;

/* ---- Who is killed --------------------------------------------------------------- */

static void begin(void)
{
	parent = getpid();
	wmapd_start();
}

static bool is_stopped(void *pid)
{
	char path[64], line[256] = "";
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)*(pid_t *)pid);
	file = fopen(path, "re");
	if (file && !fgets(line, sizeof(line), file))
		line[0] = '\0';
	if (file)
		fclose(file);
	return strstr(line, ") T ") != NULL;
}

static void stop_wmapd(void)
{
	kill(served_by.pid, SIGSTOP);
	ck_assert(process_wait(is_stopped, &served_by.pid, 10));
}

/* ---- Where the child is ----------------------------------------------------------- */

static int told[2], awaited[2]; /* pipes: to the child, and from it */

/* What the child does before it makes a system call for the nth time. */
static struct {
	void (*run)(void);
	long number;
	unsigned n;
} moment;

static long hook(long number)
{
	void (*run)(void) = moment.run;

	if (number == moment.number && run && getpid() != parent &&
	    !--moment.n) {
		moment.run = NULL;
		run();
	}
	return 0;
}

static void tell(const int *pipe)
{
	if (write(pipe[1], "x", 1) != 1)
		_exit(9);
}

static void await(const int *pipe)
{
	char byte;

	if (read(pipe[0], &byte, 1) != 1)
		_exit(8);
}

static void wait_there(void)
{
	await(told);
}

static void hook_child(void (*run)(void), long number, unsigned n)
{
	ck_assert_int_eq(pipe(told), 0);
	ck_assert_int_eq(pipe(awaited), 0);
	moment.run = run;
	moment.number = number;
	moment.n = n;
	sys_hook = hook;
}

/* ---- What both have ---------------------------------------------------------------- */

struct shown {
	char *file, *zeros, *private;
	int fd;
};

/* Of each, page 1 is stored to; nobody has touched the others. */
static struct shown show(void)
{
	struct shown s = { .fd = file_with(SEED, PAGES(16)) };

	s.file = memory_map(PAGES(16), READ_WRITE, WMAP_SHARED, s.fd, 0);
	s.private = memory_map(PAGES(16), READ_WRITE, WMAP_PRIVATE, s.fd, 0);
	s.zeros = memory_map(PAGES(16), READ_WRITE,
			     WMAP_SHARED | WMAP_ANONYMOUS, -1, 0);
	s.file[PAGES(1)] = 'f';
	s.private[PAGES(1)] = 'p';
	s.zeros[PAGES(1)] = 'z';
	return s;
}

/* The child does @run before it opens its uffd. */
static struct shown begin_at(void (*run)(void))
{
	hook_child(run, SYS_userfaultfd, 1);
	begin();
	return show();
}

/* Page @n is one that nobody has touched. */
static int sees(const struct shown *s, size_t n)
{
	if (s->file[PAGES(1)] != 'f' || s->zeros[PAGES(1)] != 'z' ||
	    s->private[PAGES(1)] != 'p')
		return 1;
	if (!pattern_holds(s->file + PAGES(n), PAGE, SEED, PAGES(n)) ||
	    !pattern_holds(s->private + PAGES(n), PAGE, SEED, PAGES(n)) ||
	    !pattern_zeros(s->zeros + PAGES(n), PAGE))
		return 2;
	return 0;
}

/* The child's part: it sees, stores, and has its calls answered. */
static int lives(const struct shown *s)
{
	int wrong = sees(s, 2);

	s->file[PAGES(3)] = 'F';
	s->zeros[PAGES(3)] = 'Z';
	if (!wrong && wmap_sync(s->file, PAGES(16), WMAP_SYNC_WAIT) != 0)
		wrong = 3;
	return wrong;
}

static int status_of(pid_t pid)
{
	int status;

	ck_assert_int_gt(pid, 0);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	return status;
}

static void both_have_all(const struct shown *s, pid_t child)
{
	ck_assert_int_eq(sees(s, 4), 0);
	ck_assert_int_eq(status_of(child), 0);
	ck_assert_int_eq(s->file[PAGES(3)], 'F');
	ck_assert_int_eq(s->zeros[PAGES(3)], 'Z');
	ck_assert_int_eq(wmap_unmap(s->file, PAGES(16)), 0);
	ck_assert(file_has(s->fd, PAGES(1), "f", 1));
	ck_assert(file_has(s->fd, PAGES(3), "F", 1));
}

/* ---- Moments ------------------------------------------------------------------------ */

START_TEST(before_wmapd_has_heard_of_the_fork)
{
	struct shown s = begin_at(wmapd_kill_both);
	pid_t child;

	/* A private one is waited for before the kernel forks. */
	ck_assert_int_eq(wmap_unmap(s.private, PAGES(16)), 0);
	s.private = s.file;
	s.private[PAGES(1)] = 'f';
	stop_wmapd();
	child = fork();
	if (!child)
		_exit(s.file[PAGES(1)] != 'f' || s.zeros[PAGES(1)] != 'z' ||
		      !pattern_holds(s.file + PAGES(2), PAGE, SEED, PAGES(2)));
	ck_assert_int_eq(status_of(child), 0);
	ck_assert(pattern_holds(s.file + PAGES(4), PAGE, SEED, PAGES(4)));
	ck_assert_int_eq(s.zeros[PAGES(1)], 'z');
	ck_assert_int_eq(wmap_unmap(s.file, PAGES(16)), 0);
	ck_assert(file_has(s.fd, PAGES(1), "f", 1));
}
END_TEST

START_TEST(before_the_child_has_attached)
{
	struct shown s = begin_at(wait_there);
	pid_t child;

	child = fork();
	if (!child)
		_exit(lives(&s));
	wmapd_kill_both();
	tell(told);
	both_have_all(&s, child);
}
END_TEST

START_TEST(before_that_is_heard)
{
	struct shown s = begin_at(wait_there);
	pid_t child;

	child = fork();
	if (!child) {
		tell(awaited);
		_exit(lives(&s));
	}
	stop_wmapd();
	tell(told);
	await(awaited);
	wmapd_kill_both();
	both_have_all(&s, child);
}
END_TEST

/* Who is stopped for so long is not waited for, and must not hang. */
START_TEST(while_the_child_is_away)
{
	struct shown s = begin_at(wait_there);
	int status;
	pid_t child;

	child = fork();
	if (!child) {
		signal(SIGBUS, SIG_DFL);
		_exit(lives(&s));
	}
	wmapd_kill_both();
	ck_assert_int_eq(sees(&s, 4), 0);
	tell(told);
	status = status_of(child);
	ck_assert(!status ||
		  (WIFSIGNALED(status) && (WTERMSIG(status) == SIGBUS ||
					   WTERMSIG(status) == SIGSEGV)));
	ck_assert_int_eq(sees(&s, 5), 0);
}
END_TEST

/* ---- Of many mappings ---------------------------------------------------------------- */

#define MANY 150 /* pieces come 64 at a time */

static char *many[MANY];

/* Even ones are of a file, odd ones of zeros; page 1 of each is stored to. */
static void map_many(int fd)
{
	for (int i = 0; i < MANY; i++) {
		bool zeros = i % 2;

		many[i] = memory_map(PAGES(3), READ_WRITE,
				     WMAP_SHARED | (zeros ? WMAP_ANONYMOUS : 0),
				     zeros ? -1 : fd, 0);
		if (zeros)
			many[i][PAGES(1)] = (char)i;
	}
	many[0][PAGES(1)] = 'm';
}

/* Page 0 of the odd ones nobody has touched. */
static int sees_many_but(int lost)
{
	for (int i = 0; i < MANY; i++) {
		bool zeros = i % 2;

		if (i == lost)
			continue;
		if (many[i][PAGES(1)] != (zeros ? (char)i : 'm'))
			return 1;
		if (zeros ? !pattern_zeros(many[i], PAGE) :
			    !pattern_holds(many[i], PAGE, SEED, 0))
			return 2;
	}
	return 0;
}

static int lives_with_many(void)
{
	int wrong = sees_many_but(-1);

	for (int i = 0; i < MANY && !wrong; i++)
		many[i][PAGES(2)] = 'c';
	if (!wrong && wmap_sync(many[0], PAGES(3), WMAP_SYNC_WAIT) != 0)
		wrong = 3;
	return wrong;
}

/* The child, when it has placed so many of its pieces. */
static const unsigned placed[] = { 1, 64, 65, 128, 129, 149 };

START_TEST(before_the_child_has_all_its_pieces)
{
	int fd = file_with(SEED, PAGES(3));
	pid_t child;

	hook_child(wmapd_kill_both, SYS_madvise, placed[_i]);
	begin();
	map_many(fd);
	child = fork();
	if (!child)
		_exit(lives_with_many());
	ck_assert_int_eq(status_of(child), 0);
	for (int i = 0; i < MANY; i++)
		ck_assert_int_eq(many[i][PAGES(2)], 'c');
	ck_assert_int_eq(wmap_unmap(many[0], PAGES(3)), 0);
	ck_assert(file_has(fd, PAGES(2), "c", 1));
}
END_TEST

/* Whose place comes last. */
static int last(void)
{
	int last = 0;

	for (int i = 1; i < MANY; i++)
		if (many[i] > many[last])
			last = i;
	return last;
}

static char *taken;

/* Something comes to where a piece shall be, before it is held. */
static void kill_both_and_take(void)
{
	char *at = many[last()] + PAGE;

	wmapd_kill_both();
	taken = mmap(at, PAGE, READ_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	if (taken != at)
		_exit(7);
	taken[0] = 't';
}

static int lives_without_one(void)
{
	if (taken[0] != 't')
		return 4;
	if (process_load(taken - 1) != SIGSEGV)
		return 5;
	return sees_many_but(last());
}

START_TEST(what_came_to_a_piece_s_place_stays)
{
	int fd = file_with(SEED, PAGES(3));
	pid_t child;

	hook_child(kill_both_and_take, SYS_madvise, 64);
	begin();
	map_many(fd);
	child = fork();
	if (!child)
		_exit(lives_without_one());
	ck_assert_int_eq(status_of(child), 0);
	ck_assert_int_eq(sees_many_but(-1), 0);
}
END_TEST

/* ---- A guard that has nothing --------------------------------------------------------- */

/* The uffd and the connection take two of three; what the guard is given does not
   fit. */
static int starts_with_few(void)
{
	struct rlimit three = { 3, 3 };

	if (read(told[0], served_by.address, sizeof(served_by.address) - 1) <=
	    0)
		return 8;
	close_range(0, ~0u, 0);
	return setrlimit(RLIMIT_NOFILE, &three) ||
	       wmap_pager_set(served_by.address) || wmap_start(NULL);
}

START_TEST(who_has_no_room_for_it_does_not_wait_for_a_guard)
{
	pid_t child;

	ck_assert_int_eq(pipe(told), 0);
	child = fork();
	if (!child)
		_exit(starts_with_few());
	begin();
	dprintf(told[1], "%s", served_by.address);
	ck_assert_int_eq(status_of(child), 0);
}
END_TEST

int main(void)
{
	TCase *facts = facts_case("both", 60);

	/* ThreadSanitizer wants more stack than a guard has: there is none. */
	if (!facts_possible(WMAP_FEATURE_POISON) || THREAD_SANITIZED)
		return facts_run(facts);
	tcase_add_test(facts, before_wmapd_has_heard_of_the_fork);
	tcase_add_test(facts, before_the_child_has_attached);
	tcase_add_test(facts, before_that_is_heard);
	tcase_add_test(facts, while_the_child_is_away);
	tcase_add_loop_test(facts, before_the_child_has_all_its_pieces, 0,
			    COUNT(placed));
	tcase_add_test(facts, what_came_to_a_piece_s_place_stays);
	tcase_add_test(facts, who_has_no_room_for_it_does_not_wait_for_a_guard);
	return facts_run(facts);
}
