/* SPDX-License-Identifier: MIT */
/*
 * Starting a wmapd: fork, descriptors in their places, environment, exec
 *
 * It is in a session of its own, where the terminal's signals do not reach it,
 * with all signals as they are by default. The program's preload library is not
 * for it. It has our limits: the keeper has raised that of descriptors.
 *
 * Descriptors go to 3, 4, …, where others of them may be. So first those that
 * lie in the way go up, beyond the last place; then each has a free place, or
 * one that holds nothing that is still needed.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "spawn.h"

#define FIRST 3

/* ---- In the child ------------------------------------------------------- */

static bool make_way(struct kept *kept)
{
	int beyond = FIRST + (int)kept->n;
	size_t i;

	for (i = 0; i < kept->n; i++) {
		int *fd = &kept->fds[i].fd, old = *fd;

		if (old == FIRST + (int)i || old >= beyond)
			continue;
		*fd = fcntl(old, F_DUPFD_CLOEXEC, beyond);
		if (*fd < 0)
			return false;
		close(old);
	}
	return true;
}

static bool put_in_place(const struct kept *kept)
{
	size_t i;

	for (i = 0; i < kept->n; i++) {
		int fd = kept->fds[i].fd, place = FIRST + (int)i;

		if (fd == place ? fcntl(fd, F_SETFD, 0) < 0 :
				  dup2(fd, place) < 0)
			return false;
	}
	return close_range(FIRST + (unsigned)kept->n, ~0u, 0) == 0;
}

static bool set_standard(bool quiet)
{
	int null = open("/dev/null", O_RDWR);
	bool done = null >= 0 && dup2(null, 0) == 0 && dup2(null, 1) == 1;

	if (done && (quiet || fcntl(2, F_GETFD) < 0))
		done = dup2(null, 2) == 2;
	return done;
}

static void reset_signals(void)
{
	sigset_t none;
	int number;

	for (number = 1; number < NSIG; number++)
		signal(number, SIG_DFL); /* not all can be set */
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

static bool set_number(const char *name, long n)
{
	char text[24];

	snprintf(text, sizeof(text), "%ld", n);
	return setenv(name, text, 1) == 0;
}

static bool set_environment(const struct spawn *spawn, const struct kept *kept)
{
	char *names = kept_names(kept);

	unsetenv("LD_PRELOAD");
	unsetenv("WMAP_REPORT");
	unsetenv("WMAP_SOCKET");
	return names && setenv("NOTIFY_SOCKET", spawn->notify, 1) == 0 &&
	       setenv("LISTEN_FDNAMES", names, 1) == 0 &&
	       set_number("LISTEN_FDS", (long)kept->n) &&
	       set_number("LISTEN_PID", getpid());
}

__attribute__((noreturn)) static void become(const struct spawn *spawn,
					     struct kept *kept, pid_t parent)
{
	setsid();
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != parent)
		_exit(0); /* it died before that */
	reset_signals();
	if (chdir("/") == 0 && make_way(kept) && set_standard(spawn->quiet) &&
	    put_in_place(kept) && set_environment(spawn, kept))
		execl(spawn->path, spawn->path, "--private", spawn->option,
		      NULL);
	_exit(SPAWN_NOT_EXECUTED);
}

/* ---- In the keeper ------------------------------------------------------ */

pid_t spawn_wmapd(const struct spawn *spawn, struct kept *kept, int *pidfd)
{
	pid_t self = getpid(), pid = fork();
	int fd, error;

	if (pid == 0)
		become(spawn, kept, self);
	if (pid < 0)
		return -1;
	fd = kept_above_standard(pidfd_open(pid, 0));
	if (fd < 0) {
		error = errno;
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		errno = error;
		return -1;
	}
	*pidfd = fd;
	return pid;
}
