/* SPDX-License-Identifier: MIT */
/*
 * The program as a child: start it, forward signals, wait, end as it did
 *
 * A signal that somebody sends to `wmap run` is meant for the program and goes
 * on to it; wmap itself lives on for the summary. What the terminal sends (^C)
 * the program has already got, as it is in the same group: that is told apart
 * by si_code. Signals that were ignored when wmap was started stay ignored in both
 * (nohup). The program gets the signal mask that wmap was started with.
 *
 * While it runs wmap is the keeper of wmapd, too, if there is one: one loop
 * waits for both.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon.h"
#include "keeper.h"

static const int forwarded[] = { SIGHUP,  SIGINT,  SIGQUIT,  SIGTERM,
				 SIGUSR1, SIGUSR2, SIGWINCH, SIGCONT };

struct child {
	pid_t pid;
	struct keeper *keeper;	     /* or NULL */
	int signals;		     /* a signalfd of those that are waited */
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
	if (child->keeper)
		keeper_forget(child->keeper);
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
	child->signals =
		signalfd(-1, &child->waited, SFD_CLOEXEC | SFD_NONBLOCK);
	if (child->signals < 0)
		return errno;
	if (child->keeper)
		keeper_start(child->keeper); /* else the program goes without */
	child->pid = fork();
	if (child->pid == 0)
		become(child, path, argv);
	error = child->pid < 0 ? errno : outcome(child);
	if (child->pid > 0 && error)
		waitpid(child->pid, NULL, 0);
	return error;
}

static void forward(const struct child *child)
{
	struct signalfd_siginfo info;

	if (read(child->signals, &info, sizeof(info)) == sizeof(info) &&
	    info.ssi_signo != SIGCHLD && info.ssi_code != SI_KERNEL)
		kill(child->pid, (int)info.ssi_signo);
}

static void wait_once(const struct child *child)
{
	struct pollfd fds[1 + KEEPER_FDS] = {
		{ .fd = child->signals, .events = POLLIN },
	};
	nfds_t n = 1;

	if (child->keeper) {
		keeper_poll(child->keeper, fds + 1);
		n += KEEPER_FDS;
	}
	if (poll(fds, n, -1) <= 0)
		return;
	if (fds[0].revents)
		forward(child);
	if (child->keeper)
		keeper_handle(child->keeper);
}

static int wait_for(const struct child *child)
{
	int status;

	while (waitpid(child->pid, &status, WNOHANG) == 0)
		wait_once(child);
	close(child->signals);
	return status;
}

int child_run(const char *path, char *const argv[], struct keeper *keeper,
	      int *status)
{
	struct child child = { .keeper = keeper };
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
