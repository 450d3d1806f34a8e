/* SPDX-License-Identifier: MIT */
/*
 * Starting a wmapd: fork, descriptors in their places, environment, exec
 *
 * It is in a session of its own, where the terminal's signals do not reach it,
 * with all signals as they are by default. The program's preload library is not
 * for it. It has our limits: the keeper has raised that of descriptors.
 *
 * Descriptors go to 3, 4, …, where others of them may be: those two change
 * places. There may be nearly as many of them as the limit allows.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "spawn.h"

#define FIRST 3

/* ---- In the child ------------------------------------------------------- */

/* By number: the index in kept of what is there, or -1. malloc'd, or NULL. */
static int *map_places(const struct kept *kept)
{
	int most = FIRST + (int)kept->n, *map;
	size_t i;

	for (i = 0; i < kept->n; i++)
		if (kept->fds[i].fd > most)
			most = kept->fds[i].fd;
	map = malloc((most + 1) * sizeof(*map));
	if (!map)
		return NULL;
	memset(map, -1, (most + 1) * sizeof(*map));
	for (i = 0; i < kept->n; i++)
		map[kept->fds[i].fd] = (int)i;
	return map;
}

/* If another is there, they change places. It takes one descriptor more. */
static bool take_place(struct kept *kept, int *map, size_t i)
{
	int place = FIRST + (int)i, fd = kept->fds[i].fd, other = map[place];
	int spare = -1;

	if (fd == place)
		return fcntl(fd, F_SETFD, 0) == 0;
	if (other >= 0) {
		spare = fcntl(place, F_DUPFD_CLOEXEC, FIRST);
		if (spare < 0)
			return false;
	}
	if (dup2(fd, place) < 0)
		return false;
	if (other < 0) {
		close(fd);
	} else {
		dup3(spare, fd, O_CLOEXEC);
		close(spare);
		kept->fds[other].fd = fd;
	}
	map[fd] = other;
	return true;
}

static bool put_in_place(struct kept *kept)
{
	int *map = map_places(kept);
	bool done = map != NULL;
	size_t i;

	for (i = 0; done && i < kept->n; i++)
		done = take_place(kept, map, i);
	free(map);
	return done && close_range(FIRST + (unsigned)kept->n, ~0u, 0) == 0;
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
	unsetenv("WMAP_SOCKET");
	return names && setenv("NOTIFY_SOCKET", spawn->notify, 1) == 0 &&
	       setenv("LISTEN_FDNAMES", names, 1) == 0 &&
	       set_number("LISTEN_FDS", (long)kept->n) &&
	       set_number("LISTEN_PID", getpid());
}

#define OPTIONS_MAX 16

static void execute(const struct spawn *spawn)
{
	static char private[] = "--private";
	char *argv[OPTIONS_MAX + 3] = { (char *)(uintptr_t)spawn->path };
	size_t n = 1;

	for (size_t i = 0; spawn->more && spawn->more[i] && i < OPTIONS_MAX;
	     i++)
		argv[n++] = spawn->more[i];
	if (!spawn->more)
		argv[n++] = private;
	argv[n] = (char *)(uintptr_t)spawn->option;
	execv(spawn->path, argv);
}

__attribute__((noreturn)) static void become(const struct spawn *spawn,
					     struct kept *kept, pid_t parent)
{
	setsid();
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != parent)
		_exit(0); /* it died before that */
	reset_signals();
	if (chdir("/") == 0 && set_standard(spawn->quiet) &&
	    put_in_place(kept) && set_environment(spawn, kept))
		execute(spawn);
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
