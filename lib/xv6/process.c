/* SPDX-License-Identifier: MIT */
/*
 * Processes
 *
 * kill asks by SIGTERM, and whoever gets it ends as by exit: as in xv6, where a
 * killed process ends by itself at its next trap, its files written back.
 */
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "client.h"
#include "internal.h"
#include "layer.h"

#define TICK	  10000000 /* ns */
#define ARGUMENTS 32	   /* of exec, as xv6 has */

/* ---- fork, exit, wait ----------------------------------------------------------*/

int call_fork(void)
{
	int place = family_enter();
	pid_t pid;

	if (place < 0)
		return -1;
	pager_start(false);
	pid = fork();
	if (!pid) {
		family_set(place, getpid());
		return 0;
	}
	/* The parent too: it may ask for the child before that has run. */
	family_set(place, pid > 0 ? pid : 0);
	if (pid > 0 && show_tracing)
		show_trace("fork() = %d", (int)pid);
	return pid;
}

void leave(int status)
{
	wmap_sync_all();
	_exit(status);
}

void call_exit(int status)
{
	show_map("exit");
	if (show_tracing)
		show_trace("exit(%d)", status);
	leave(status);
}

void call_exit0(void)
{
	call_exit(0);
}

static int wait_for(int *status)
{
	pid_t pid;

	do
		pid = waitpid(-1, status, 0);
	while (pid < 0 && errno == EINTR);
	if (pid > 0)
		family_leave(pid);
	return pid;
}

int call_wait(void)
{
	int status;

	return wait_for(&status);
}

/* RISC-V's: -1 is the status of who was killed. */
int call_wait_status(int *to)
{
	int status = 0, pid = wait_for(&status);

	status = WIFEXITED(status) ? (int)(signed char)WEXITSTATUS(status) : -1;
	if (pid > 0 && to && !copy_out(to, &status, sizeof(status)))
		return -1;
	return pid;
}

int call_kill(int pid)
{
	return family_has(pid) ? kill(pid, SIGTERM) : -1;
}

int call_getpid(void)
{
	return getpid();
}

/* ---- Time ----------------------------------------------------------------------*/

int call_sleep(int ticks)
{
	struct timespec left = {
		.tv_sec = ticks / 100,
		.tv_nsec = (long)(ticks % 100) * TICK,
	};

	if (ticks < 0)
		return 0;
	while (nanosleep(&left, &left) && errno == EINTR)
		;
	return 0;
}

int call_uptime(void)
{
	return (int)(family_time() / TICK);
}

/* ---- exec ----------------------------------------------------------------------*/

/* The program's strings stay where they are: the kernel copies them. */
static bool copy_arguments(char **argv, char **result)
{
	for (int i = 0; i < ARGUMENTS; i++) {
		if (!copy_in(&result[i], &argv[i], sizeof(*argv)))
			return false;
		if (!result[i])
			return true;
	}
	return false;
}

/* Where it is: in xv6's file system, or beside the first program. */
static bool find(const char *path, char *result, size_t size)
{
	const char *others = getenv("XV6_PATH");
	const char *slash;
	char name[PATH_MAX];

	if (!files_path(path, name, sizeof(name)))
		return false;
	snprintf(result, size, "%s", name);
	if (!access(result, X_OK) || !others)
		return !access(result, X_OK);
	slash = strrchr(name, '/');
	return (size_t)snprintf(result, size, "%s/%s", others,
				slash ? slash + 1 : name) < size &&
	       !access(result, X_OK);
}

/* For programs that are not xv6's: the descriptors that they will look at. */
static void pass_descriptors(void)
{
	for (int fd = 0; fd < 2; fd++)
		if (dup2(FD_BASE + fd, fd) < 0)
			close(fd);
}

int call_exec(const char *path, char **argv)
{
	char *arguments[ARGUMENTS], file[PATH_MAX * 2];

	if (!copy_arguments(argv, arguments) ||
	    !find(path, file, sizeof(file)) || setenv("XV6_EXEC", "1", 1))
		return -1;
	if (show_tracing)
		show_trace("exec(%s)", file);
	wmap_sync_all();
	pass_descriptors();
	execv(file, arguments);
	return -1;
}
