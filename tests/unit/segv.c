/* SPDX-License-Identifier: MIT */
/*
 * The report of stray accesses where nothing is mapped: what it says, and that
 * what follows is what would have followed without it.
 */
#include "support.h"

#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#include "segv.h"

#define NOT_CANONICAL ((char *)0x8000000000000000)

static char said[4096];

static bool died(int status, int signal)
{
	return WIFSIGNALED(status) && WTERMSIG(status) == signal;
}

static unsigned times_said(const char *words)
{
	unsigned n = 0;

	for (const char *at = said; (at = strstr(at, words)); at++)
		n++;
	return n;
}

/* A child says exactly one line with @words in it, and dies by SIGSEGV. */
static void says_and_dies(void (*run)(void *), void *arg, const char *words)
{
	int status = stray_child(run, arg, said, sizeof said);

	ck_assert_msg(times_said("wmap: ") == 1 && strstr(said, words),
		      "\"%s\" instead of \"%s\"", said, words);
	ck_assert_msg(died(status, SIGSEGV), "status %#x", (unsigned)status);
}

/* ---- What it says ---------------------------------------------------------*/

static void read_there(void *addr)
{
	stray_read(addr);
}

START_TEST(a_stray_read_is_named)
{
	says_and_dies(read_there, (char *)8, "wmap: stray read of 0x8 by ");
}
END_TEST

START_TEST(a_stray_write_is_named)
{
	says_and_dies(stray_write, (char *)8, "wmap: stray write to 0x8 by ");
}
END_TEST

START_TEST(a_stray_jump_is_named)
{
	says_and_dies(stray_jump, NULL, "wmap: stray jump to 0x0 by ");
}
END_TEST

START_TEST(a_null_pointer_is_called_so)
{
	says_and_dies(stray_write, (char *)4095, "): a null pointer\n");
}
END_TEST

START_TEST(without_mappings_it_says_so)
{
	char *bare =
		mmap(NULL, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	says_and_dies(stray_write, bare, "): no mapping of wmap's\n");
}
END_TEST

START_TEST(an_impossible_address_is_called_so)
{
	says_and_dies(stray_write, NOT_CANONICAL,
		      "wmap: stray access to no possible address by thread ");
}
END_TEST

static void with_a_name(void *addr)
{
	prctl(PR_SET_NAME, "a stray thread!");
	stray_write(addr);
}

START_TEST(the_thread_is_named)
{
	says_and_dies(with_a_name, NULL, "(a stray thread!): ");
}
END_TEST

static void *write_in_thread(void *arg)
{
	fprintf(stderr, "It is thread %ld.\n", syscall(SYS_gettid));
	stray_write(arg);
	return NULL;
}

static void in_a_thread(void *arg)
{
	pthread_t thread;

	pthread_create(&thread, NULL, write_in_thread, arg);
	pthread_join(thread, NULL);
}

START_TEST(the_thread_is_the_one_that_strayed)
{
	char words[64];
	long thread;

	says_and_dies(in_a_thread, NULL, "wmap: stray write to 0x0 by thread ");
	ck_assert_int_eq(sscanf(said, "It is thread %ld.", &thread), 1);
	snprintf(words, sizeof words, "by thread %ld (", thread);
	ck_assert_uint_eq(times_said(words), 1);
}
END_TEST

static void send(void *unused)
{
	(void)unused;
	fprintf(stderr, "It is process %d.\n", getpid());
	kill(getpid(), SIGSEGV);
}

START_TEST(a_signal_that_was_sent_names_the_sender)
{
	char words[64];
	int pid;

	says_and_dies(send, NULL, "wmap: SIGSEGV sent by process ");
	ck_assert_int_eq(sscanf(said, "It is process %d.", &pid), 1);
	snprintf(words, sizeof words, "by process %d to thread %d (", pid, pid);
	ck_assert_uint_eq(times_said(words), 1);
}
END_TEST

static void report_again(void *addr)
{
	wmap_report_segv();
	stray_write(addr);
}

START_TEST(asked_for_twice_it_reports_once)
{
	says_and_dies(report_again, NULL, "wmap: stray write to 0x0");
}
END_TEST

static void close_the_pipe(void *addr)
{
	int ends[2];

	if (pipe(ends) || dup2(ends[1], STDERR_FILENO) < 0)
		_exit(98);
	close(ends[0]);
	stray_write(addr);
}

START_TEST(a_closed_pipe_does_not_make_it_another_death)
{
	int status = stray_child(close_the_pipe, NULL, said, sizeof said);

	ck_assert_msg(died(status, SIGSEGV), "status %#x", (unsigned)status);
}
END_TEST

static void lose_the_stack(void *unused)
{
	static char own[65536];
	const stack_t stack = { .ss_sp = own, .ss_size = sizeof own };

	(void)unused;
	sigaltstack(&stack, NULL);
	__asm__ volatile("movq $16, %%rsp\n\tpushq %%rax" : : : "memory");
}

START_TEST(a_lost_stack_is_reported_on_the_alternate_one)
{
	says_and_dies(lose_the_stack, NULL, "wmap: stray write to 0x8 by ");
}
END_TEST

/* ---- What follows -------------------------------------------------------- */

/* As a program would that knows nothing of us: before the report, so that
   stray_child's own comes last. */
static struct sigaction own;

static void install_and_report(void)
{
	struct sigaction none = { .sa_handler = SIG_DFL };

	sigaction(SIGSEGV, &none, NULL);
	sigaction(SIGSEGV, &own, NULL);
	if (wmap_report_segv())
		_exit(97);
}

static void exit_7_if_told_all(int signal, siginfo_t *info, void *context)
{
	const ucontext_t *interrupted = context;
	bool all = signal == SIGSEGV && info->si_addr == (void *)8 &&
		   interrupted->uc_mcontext.gregs[REG_RIP] != 0;

	_exit(all ? 7 : 8);
}

static void exit_7(int signal)
{
	_exit(signal == SIGSEGV ? 7 : 8);
}

static void write_with_own(void *addr)
{
	install_and_report();
	stray_write(addr);
}

START_TEST(the_programs_handler_follows)
{
	int status;

	own = (struct sigaction){ .sa_handler = exit_7 };
	status = stray_child(write_with_own, (char *)8, said, sizeof said);
	ck_assert_uint_eq(times_said("wmap: stray write"), 1);
	ck_assert_int_eq(status, 7 << 8);
}
END_TEST

START_TEST(a_handler_with_siginfo_gets_it)
{
	own = (struct sigaction){ .sa_sigaction = exit_7_if_told_all,
				  .sa_flags = SA_SIGINFO };
	ck_assert_int_eq(stray_child(write_with_own, (char *)8, said,
				     sizeof said),
			 7 << 8);
}
END_TEST

#ifndef __SANITIZE_THREAD__ /* which has every handler block all signals */

static void exit_with_mask(int signal)
{
	sigset_t now;

	sigprocmask(SIG_SETMASK, NULL, &now);
	_exit((sigismember(&now, signal) ? 1 : 0) |
	      (sigismember(&now, SIGUSR1) ? 2 : 0) |
	      (sigismember(&now, SIGUSR2) ? 4 : 0) |
	      (sigismember(&now, SIGHUP) ? 8 : 0) |
	      (sigismember(&now, SIGPIPE) ? 16 : 0));
}

static void write_with_hup_blocked(void *addr)
{
	sigset_t hangup;

	sigemptyset(&hangup);
	sigaddset(&hangup, SIGHUP);
	sigprocmask(SIG_SETMASK, &hangup, NULL);
	write_with_own(addr);
}

START_TEST(the_handlers_mask_is_the_kernels)
{
	int nodefer = _i ? (int)SA_NODEFER : 0;

	own = (struct sigaction){ .sa_handler = exit_with_mask,
				  .sa_flags = nodefer };
	sigemptyset(&own.sa_mask);
	sigaddset(&own.sa_mask, SIGUSR1);
	ck_assert_int_eq(stray_child(write_with_hup_blocked, NULL, said,
				     sizeof said),
			 (2 | 8 | (nodefer ? 0 : 1)) << 8);
}
END_TEST

#endif

static void say(int signal)
{
	(void)signal;
	if (write(STDERR_FILENO, "own\n", 4) != 4)
		_exit(96);
}

static void send_twice_with_own(void *unused)
{
	(void)unused;
	install_and_report();
	raise(SIGSEGV);
	raise(SIGSEGV);
}

START_TEST(a_handler_that_resets_follows_once)
{
	int status;

	own = (struct sigaction){ .sa_handler = say,
				  .sa_flags = (int)SA_RESETHAND };
	status = stray_child(send_twice_with_own, NULL, said, sizeof said);
	ck_assert_uint_eq(times_said("own\n"), 1);
	ck_assert_uint_eq(times_said("wmap: SIGSEGV sent"), 2);
	ck_assert(died(status, SIGSEGV));
}
END_TEST

START_TEST(an_ignored_signal_that_was_sent_is_ignored)
{
	own = (struct sigaction){ .sa_handler = SIG_IGN };
	ck_assert_int_eq(
		stray_child(send_twice_with_own, NULL, said, sizeof said), 0);
	ck_assert_uint_eq(times_said("wmap: SIGSEGV sent"), 2);
}
END_TEST

START_TEST(an_ignored_stray_access_kills_nevertheless)
{
	own = (struct sigaction){ .sa_handler = SIG_IGN };
	says_and_dies(write_with_own, NULL, "wmap: stray write to 0x0");
}
END_TEST

static char *barred;

static void allow(int signal)
{
	(void)signal;
	if (mprotect(barred, PAGE, READ_WRITE))
		_exit(96);
}

static void write_to_barred(void *unused)
{
	(void)unused;
	install_and_report();
	barred =
		mmap(NULL, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	errno = 42;
	stray_write(barred);
	_exit(errno == 42 ? *barred : 95);
}

START_TEST(a_handler_that_mends_it_lets_the_program_go_on)
{
	own = (struct sigaction){ .sa_handler = allow };
	ck_assert_int_eq(stray_child(write_to_barred, NULL, said, sizeof said),
			 1 << 8);
	ck_assert_uint_eq(times_said("wmap: stray write"), 1);
}
END_TEST

static sigjmp_buf back;

static void jump_back(int signal)
{
	siglongjmp(back, signal);
}

static void write_and_come_back(void *unused)
{
	static volatile int n;

	(void)unused;
	install_and_report();
	sigsetjmp(back, 1);
	if (n++ < 3)
		stray_write(NULL);
	_exit(n);
}

START_TEST(a_handler_may_leave_by_a_jump)
{
	own = (struct sigaction){ .sa_handler = jump_back };
	ck_assert_int_eq(stray_child(write_and_come_back, NULL, said,
				     sizeof said),
			 4 << 8);
	ck_assert_uint_eq(times_said("wmap: stray write"), 3);
}
END_TEST

/* ---- wmap_segv_sigaction --------------------------------------------------*/

static void exchange_handlers(void *addr)
{
	struct sigaction old = { .sa_handler = SIG_IGN };
	struct sigaction act = { .sa_handler = exit_7,
				 .sa_flags = (int)SA_NODEFER };

	if (wmap_segv_sigaction(&act, &old) || old.sa_handler != SIG_DFL)
		_exit(94);
	if (wmap_segv_sigaction(NULL, &old) || old.sa_handler != exit_7 ||
	    old.sa_flags != (int)SA_NODEFER)
		_exit(93);
	stray_write(addr);
}

START_TEST(what_follows_can_be_exchanged)
{
	ck_assert_int_eq(stray_child(exchange_handlers, NULL, said,
				     sizeof said),
			 7 << 8);
	ck_assert_uint_eq(times_said("wmap: stray write"), 1);
}
END_TEST

static void exchange_without_report(void *addr)
{
	struct sigaction act = { .sa_handler = exit_7 }, old;

	if (wmap_segv_sigaction(&act, &old) || old.sa_handler != SIG_DFL)
		_exit(94);
	stray_write(addr);
}

START_TEST(without_the_report_it_is_sigaction)
{
	ck_assert_int_eq(process_child(exchange_without_report, NULL), 7 << 8);
}
END_TEST

static void add_what_it_says(TCase *facts)
{
	tcase_add_test(facts, a_stray_read_is_named);
	tcase_add_test(facts, a_stray_write_is_named);
	tcase_add_test(facts, a_null_pointer_is_called_so);
	tcase_add_test(facts, without_mappings_it_says_so);
	tcase_add_test(facts, an_impossible_address_is_called_so);
	tcase_add_test(facts, the_thread_is_named);
	tcase_add_test(facts, the_thread_is_the_one_that_strayed);
	tcase_add_test(facts, a_signal_that_was_sent_names_the_sender);
	tcase_add_test(facts, asked_for_twice_it_reports_once);
	tcase_add_test(facts, a_closed_pipe_does_not_make_it_another_death);
	tcase_add_test(facts, a_lost_stack_is_reported_on_the_alternate_one);
	tcase_add_test(facts, an_ignored_stray_access_kills_nevertheless);
}

/* Not under Valgrind, where to survive a stray access is an error, too. */
static void add_what_follows(TCase *facts)
{
	tcase_add_test(facts, a_stray_jump_is_named);
	tcase_add_test(facts, the_programs_handler_follows);
	tcase_add_test(facts, a_handler_with_siginfo_gets_it);
#ifndef __SANITIZE_THREAD__
	tcase_add_loop_test(facts, the_handlers_mask_is_the_kernels, 0, 2);
#endif
	tcase_add_test(facts, a_handler_that_resets_follows_once);
	tcase_add_test(facts, an_ignored_signal_that_was_sent_is_ignored);
	tcase_add_test(facts, a_handler_that_mends_it_lets_the_program_go_on);
	tcase_add_test(facts, a_handler_may_leave_by_a_jump);
	tcase_add_test(facts, what_follows_can_be_exchanged);
	tcase_add_test(facts, without_the_report_it_is_sigaction);
}

int main(void)
{
	TCase *facts = facts_case("segv", 60);

	add_what_it_says(facts);
	if (!getenv("WMAP_VALGRIND"))
		add_what_follows(facts);
	return facts_run_anywhere(facts);
}
