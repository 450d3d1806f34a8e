/* SPDX-License-Identifier: MIT */
/*
 * The program as a child: start it, forward signals, wait, end as it did
 *
 * A signal that somebody sends to `wmap run` is meant for the program and goes
 * on to it; wmap itself lives on for the summary. What the terminal sends (^C)
 * the program has already got, as it is in the same group: that is told apart
 * by si_code. Signals that were ignored when wmap was started stay ignored in both
 * (nohup). The program gets the signal mask that wmap was started with.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon.h"

static const int forwarded[] = { SIGHUP,  SIGINT,  SIGQUIT,  SIGTERM,
				 SIGUSR1, SIGUSR2, SIGWINCH, SIGCONT };

struct child {
	pid_t pid;
	sigset_t waited;	     /* for: SIGCHLD and the forwarded ones */
	sigset_t mask;		     /* the program's */
	struct sigaction chld, pipe; /* the program's */
	int said[2];		     /* a pipe: errno of an exec that failed */
};

/* From here on signals wait until they are asked for. */
static void take_signals(struct child *child)
{
	struct sigaction act = { .sa_handler = SIG_DFL };
	size_t i;

	sigaction(SIGCHLD, &act, &child->chld);
	act.sa_handler = SIG_IGN;
	sigaction(SIGPIPE, &act, &child->pipe);
	sigemptyset(&child->waited);
	sigaddset(&child->waited, SIGCHLD);
	for (i = 0; i < sizeof(forwarded) / sizeof(*forwarded); i++)
		sigaddset(&child->waited, forwarded[i]);
	sigprocmask(SIG_BLOCK, &child->waited, &child->mask);
}

static void give_signals(const struct child *child)
{
	sigaction(SIGCHLD, &child->chld, NULL);
	sigaction(SIGPIPE, &child->pipe, NULL);
	sigprocmask(SIG_SETMASK, &child->mask, NULL);
}

__attribute__((noreturn)) static void
become(const struct child *child, const char *path, char *const argv[])
{
	int error;

	give_signals(child);
	execvp(path, argv);
	error = errno;
	if (write(child->said[1], &error, sizeof(error)) < 0)
		_exit(EXIT_OURS);
	_exit(EXIT_NOT_EXECUTABLE);
}

/* 0, or the errno of the exec. */
static int outcome(struct child *child)
{
	int error = 0;

	close(child->said[1]);
	while (read(child->said[0], &error, sizeof(error)) < 0 &&
	       errno == EINTR)
		;
	close(child->said[0]);
	return error;
}

static int start(struct child *child, const char *path, char *const argv[])
{
	int error;

	if (pipe2(child->said, O_CLOEXEC) != 0)
		return errno;
	take_signals(child);
	child->pid = fork();
	if (child->pid == 0)
		become(child, path, argv);
	error = child->pid < 0 ? errno : outcome(child);
	if (child->pid > 0 && error)
		waitpid(child->pid, NULL, 0);
	return error;
}

static void forward(const struct child *child, const siginfo_t *info)
{
	if (info->si_signo != SIGCHLD && info->si_code != SI_KERNEL)
		kill(child->pid, info->si_signo);
}

static int wait_for(const struct child *child)
{
	siginfo_t info;
	int status;

	while (waitpid(child->pid, &status, WNOHANG) == 0) {
		if (sigwaitinfo(&child->waited, &info) > 0)
			forward(child, &info);
	}
	return status;
}

int child_run(const char *path, char *const argv[], int *status)
{
	struct child child;
	int error;

	fflush(NULL);
	error = start(&child, path, argv);
	if (error) {
		say("%s cannot be run: %s", argv[0], strerror(error));
		return error == ENOENT ? EXIT_NOT_FOUND : EXIT_NOT_EXECUTABLE;
	}
	*status = wait_for(&child);
	return 0;
}

/* The core that tells something is the program's. */
static void die(int number)
{
	sigset_t set;

	prctl(PR_SET_DUMPABLE, 0);
	signal(number, SIG_DFL);
	sigemptyset(&set);
	sigaddset(&set, number);
	raise(number);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
}

int child_end_like(int status)
{
	if (!WIFSIGNALED(status))
		return WEXITSTATUS(status);
	fflush(NULL);
	die(WTERMSIG(status));
	return 128 + WTERMSIG(status);
}
