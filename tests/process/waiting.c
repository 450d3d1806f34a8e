/* SPDX-License-Identifier: MIT */
/*
 * Signals of a process whose call waits for wmapd: those that end it do, others
 * wait for the call's end
 */
#include "support.h"

#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

static atomic_bool heard;

static void hear(int signal)
{
	(void)signal;
	heard = true;
}

/* Has its main thread all signals blocked, in a call? */
static bool is_in_a_call(void *child)
{
	char path[64], line[128];
	unsigned long blocked = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)*(pid_t *)child);
	file = fopen(path, "re");
	while (file && fgets(line, sizeof(line), file))
		sscanf(line, "SigBlk: %lx", &blocked);
	if (file)
		fclose(file);
	return blocked >> (SIGUSR1 - 1) & 1;
}

/* A child that is about to call, or does. */
static pid_t start_to_wait(void (*prepare)(void))
{
	pid_t child = fork();

	ck_assert_int_ge(child, 0);
	if (!child) {
		prepare();
		raise(SIGSTOP);
		memory_wmap(NULL, PAGE, WMAP_SHARED | WMAP_ANONYMOUS, -1);
		_exit(heard ? 1 : 0);
	}
	ck_assert_int_eq(waitpid(child, NULL, WUNTRACED), child);
	ck_assert_int_eq(kill(served_by.pid, SIGSTOP), 0);
	ck_assert_int_eq(kill(child, SIGCONT), 0);
	ck_assert(process_wait(is_in_a_call, &child, 10));
	return child;
}

static int status_of(pid_t child)
{
	int status;

	ck_assert_int_eq(waitpid(child, &status, 0), child);
	return status;
}

static const int ends[] = { SIGHUP, SIGINT, SIGQUIT, SIGTERM };

/* libcheck handles some of them. */
static void leave_to_default(void)
{
	for (size_t i = 0; i < COUNT(ends); i++)
		signal(ends[i], SIG_DFL);
}

START_TEST(one_that_ends_it_does)
{
	pid_t child;
	int status;

	wmapd_start();
	child = start_to_wait(leave_to_default);
	kill(child, ends[_i]);
	status = status_of(child);
	ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == ends[_i]);
	kill(served_by.pid, SIGCONT);
}
END_TEST

static void handle(void)
{
	for (size_t i = 0; i < COUNT(ends); i++)
		signal(ends[i], hear);
}

static void ignore(void)
{
	for (size_t i = 0; i < COUNT(ends); i++)
		signal(ends[i], SIG_IGN);
}

static void block(void)
{
	sigset_t all;

	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, NULL);
}

static void (*const prepares[])(void) = { handle, ignore, block };

START_TEST(one_that_is_handled_ignored_or_blocked_waits)
{
	pid_t child;

	wmapd_start();
	child = start_to_wait(prepares[_i]);
	for (size_t i = 0; i < COUNT(ends); i++)
		kill(child, ends[i]);
	process_sleep_ms(700);
	ck_assert_int_eq(waitpid(child, NULL, WNOHANG), 0);
	kill(served_by.pid, SIGCONT);
	ck_assert_int_eq(status_of(child), prepares[_i] == handle ? 1 << 8 : 0);
}
END_TEST

int main(void)
{
	TCase *facts = facts_case("waiting for wmapd", 30);

	if (!facts_possible(WMAP_FEATURE_POISON))
		return FACTS_SKIPPED;
	tcase_add_loop_test(facts, one_that_ends_it_does, 0, COUNT(ends));
	tcase_add_loop_test(facts, one_that_is_handled_ignored_or_blocked_waits,
			    0, COUNT(prepares));
	return facts_run(facts);
}
