/* SPDX-License-Identifier: MIT */
/*
 * Starting `wmap keeper`, from within a program that knows nothing of it
 *
 * No wait(2) of the program sees it: it is a child's child, and the child between
 * sends no SIGCHLD. That it is ready, or failed, its end of a pipe tells.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/wait.h>
#include <unistd.h>

#include "internal.h"
#include "budget.h"
#include "keep.h"
#include "mem.h"
#include "recall.h"
#include "sys.h"

#define COMMAND	   "/../bin/wmap"
#define STACK_SIZE ((size_t)64 << 10)
#define READY_FD   3

/* ---- The command --------------------------------------------------------------- */

static bool is_command(const char *path)
{
	return access(path, X_OK) == 0;
}

/* Where the tree that @file lies in has its commands. */
static bool beside(const char *file, char *path, size_t size)
{
	const char *slash = strrchr(file, '/');

	return slash &&
	       (size_t)snprintf(path, size, "%.*s" COMMAND, (int)(slash - file),
				file) < size &&
	       is_command(path);
}

bool keep_find(char path[PATH_MAX])
{
	const char *named = getenv("WMAP_COMMAND");
	char self[PATH_MAX];
	ssize_t n;
	Dl_info info;

	if (named && *named) {
		snprintf(path, PATH_MAX, "%s", named);
		return is_command(path);
	}
	if (dladdr((const void *)(uintptr_t)&keep_start, &info) &&
	    info.dli_fname && beside(info.dli_fname, path, PATH_MAX))
		return true;
	n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	self[n > 0 ? n : 0] = '\0';
	if (beside(self, path, PATH_MAX))
		return true;
	snprintf(path, PATH_MAX, "%s", WMAP_COMMAND_PATH);
	return is_command(path);
}

/* ---- The child ----------------------------------------------------------------- */

struct spawn {
	const char *path;
	char *argv[11];
	char **environment;
	int ready;   /* the end that it writes to */
	int fds[2];  /* that it inherits by their numbers, or -1 */
	char *stack; /* of the children, one half each */
};

static bool is_hidden(const char *variable)
{
	static const char *const names[] = {
		"LD_PRELOAD=",	"WMAP_SOCKET=", "WMAP_PAGER=", "WMAP_REPORT=",
		"WMAP_MEMORY=", "WMAP_RECORD=", "WMAP_REPLAY="
	};

	for (size_t i = 0; i < lengthof(names); i++)
		if (!strncmp(variable, names[i], strlen(names[i])))
			return true;
	return false;
}

/* Of the program, without what would have wmap page for wmap, and with the budget
   that it has now. */
static char **make_environment(size_t *size)
{
	static char memory[40]; /* under the lock of whoever forks */
	size_t n = 0, m = 0;
	char **copy;

	while (environ && environ[n])
		n++;
	*size = (n + 2) * sizeof(*copy);
	copy = mem_alloc(*size);
	for (size_t i = 0; copy && i < n; i++)
		if (!is_hidden(environ[i]))
			copy[m++] = environ[i];
	if (copy && budget_to_environment(memory))
		copy[m] = memory;
	return copy;
}

/* Both in the program's memory, while who made them waits. */
static int become(void *argument)
{
	const struct spawn *spawn = argument;

	for (size_t i = 0; i < lengthof(spawn->fds); i++)
		if (spawn->fds[i] >= 0)
			sys_call(SYS_fcntl, spawn->fds[i], F_SETFD, 0);
	if (spawn->ready == READY_FD)
		sys_call(SYS_fcntl, READY_FD, F_SETFD, 0);
	else
		sys_call(SYS_dup2, spawn->ready, READY_FD);
	sys_call(SYS_execve, spawn->path, spawn->argv, spawn->environment);
	_exit(127);
}

/* Who executes a program sends SIGCHLD at its end, however it was made: so it is
   a child of a child. */
static int between(void *argument)
{
	const struct spawn *spawn = argument;

	_exit(clone(become, spawn->stack + STACK_SIZE / 2,
		    CLONE_VM | CLONE_VFORK, argument) < 0);
}

static int run(struct spawn *spawn)
{
	long stack = sys_map_aside(STACK_SIZE);
	int status = 0;
	pid_t pid;

	if (sys_failed(stack))
		return (int)stack;
	spawn->stack = (char *)stack;
	pid = clone(between, spawn->stack + STACK_SIZE, CLONE_VM | CLONE_VFORK,
		    spawn);
	if (pid < 0)
		status = -errno;
	else if (waitpid(pid, &status, __WCLONE) != pid || status)
		status = -ECHILD;
	sys_unmap((uint64_t)stack, STACK_SIZE);
	return status;
}

/* ---- All of it ----------------------------------------------------------------- */

static int wait_ready(int fd)
{
	char byte;
	long n;

	do
		n = sys_call(SYS_read, fd, &byte, 1);
	while (n == -EINTR);
	return n == 1 ? 0 : -ECHILD;
}

/* What is recorded and replayed goes to the pager that is started: as options, from
   @n on. The descriptors are copies, out of the way of READY_FD. */
static int pass_recall(struct spawn *spawn, size_t n, char numbers[2][12])
{
	static char journal[] = "--journal-fd", recording[] = "--recording-fd";
	char *const options[] = { journal, recording };
	int fds[2];

	recall_descriptors(&fds[0], &fds[1]);
	for (size_t i = 0; i < lengthof(fds); i++) {
		if (fds[i] < 0)
			continue;
		spawn->fds[i] = (int)sys_call(SYS_fcntl, fds[i],
					      F_DUPFD_CLOEXEC, READY_FD + 1);
		if (spawn->fds[i] < 0)
			return spawn->fds[i];
		snprintf(numbers[i], sizeof(numbers[i]), "%d", spawn->fds[i]);
		spawn->argv[n++] = options[i];
		spawn->argv[n++] = numbers[i];
	}
	return 0;
}

static int spawn_keeper(char *path, char *address, int ready, char *more)
{
	static char keeper[] = "keeper", socket[] = "--socket",
		    ready_fd[] = "--ready-fd", three[] = "3";
	char numbers[2][12];
	size_t size;
	struct spawn spawn = {
		.path = path,
		.argv = { path, keeper, socket, address, ready_fd, three,
			  more },
		.environment = make_environment(&size),
		.ready = ready,
		.fds = { -1, -1 },
	};
	int error = spawn.environment ? 0 : -ENOMEM;

	if (!error && !more)
		error = pass_recall(&spawn, 6, numbers);
	if (!error)
		error = run(&spawn);
	for (size_t i = 0; i < lengthof(spawn.fds); i++)
		if (spawn.fds[i] >= 0)
			sys_call(SYS_close, spawn.fds[i]);

	mem_free(spawn.environment, size);
	return error;
}

/* @more: an option, or NULL. */
static int begin(char *path, char *address, char *more)
{
	int ready[2], error = (int)sys_call(SYS_pipe2, ready, O_CLOEXEC);

	if (error)
		return error;
	error = spawn_keeper(path, address, ready[1], more);
	sys_call(SYS_close, ready[1]);
	if (!error)
		return ready[0];
	sys_call(SYS_close, ready[0]);
	return error;
}

int keep_await(int keeper)
{
	int error = keeper < 0 ? keeper : wait_ready(keeper);

	if (!error)
		return keeper;
	if (keeper >= 0)
		sys_call(SYS_close, keeper);
	return error;
}

int keep_rescue(char *command, char *address)
{
	static char rescue[] = "--rescue";

	return keep_await(begin(command, address, rescue));
}

int keep_begin(char address[KEEP_ADDRESS_SIZE])
{
	char path[PATH_MAX];
	uint64_t random = 0;

	if (!keep_find(path))
		return -ENOENT;
	if (getrandom(&random, sizeof(random), 0) < 0)
		return -errno;
	snprintf(address, KEEP_ADDRESS_SIZE, "@wmap-%d-%016lx", (int)getpid(),
		 random);
	return begin(path, address, NULL);
}

int keep_start(char address[KEEP_ADDRESS_SIZE])
{
	return keep_await(keep_begin(address));
}
