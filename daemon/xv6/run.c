/* SPDX-License-Identifier: MIT */
/*
 * One program, in a file system of its own, to its end
 *
 * As xv6's shell does, we wait for the program; what it leaves behind comes to
 * us (we are its subreaper), and has a moment to end by itself. At the end no
 * process, no file and no directory of it is left, however it ended.
 *
 * SIGCHLD, SIGINT, SIGTERM and SIGHUP are blocked, and taken one by one where we
 * wait.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "run.h"

#define FD_TRACE 242 /* as the layer has it */
#define MOMENT	 5   /* seconds, for those left behind */

static bool interrupted;

void say(const char *format, ...)
{
	va_list args;

	fputs("xv6run: ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
}

bool run_interrupted(void)
{
	return interrupted;
}

/* ---- The program's process ------------------------------------------------- */

static bool set_environment(const struct run *run, const char *place)
{
	char directory[PATH_MAX];
	size_t length = (size_t)(base_name(run->program) - run->program);

	memcpy(directory, run->program, length);
	directory[length] = 0;
	unsetenv("XV6_EXEC");
	unsetenv("XV6_TRACE");
	unsetenv("XV6_MAP");
	return !setenv("XV6_ROOT", place, 1) &&
	       !setenv("XV6_PATH", directory, 1) &&
	       (!run->trace || !setenv("XV6_TRACE", "1", 1)) &&
	       (!run->map || !setenv("XV6_MAP", "1", 1));
}

static bool set_descriptors(const struct run *run)
{
	/* The pager opens it anew, and in a file must not overwrite. */
	if (run->trace || run->map)
		if (fcntl(STDERR_FILENO, F_SETFL, O_APPEND) < 0 ||
		    dup2(STDERR_FILENO, FD_TRACE) < 0)
			return false;
	return dup2(run->input, STDIN_FILENO) >= 0 &&
	       dup2(run->console, STDOUT_FILENO) >= 0;
}

static void be_program(const struct run *run, const char *place,
		       const sigset_t *signals)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (set_environment(run, place) && set_descriptors(run) &&
	    !chdir(place)) {
		sigprocmask(SIG_SETMASK, signals, NULL);
		execv(run->program, run->argv);
	}
	say("%s: %s", run->program, strerror(errno));
	_exit(EXIT_OURS);
}

/* ---- Waiting ------------------------------------------------------------------*/

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void our_signals(sigset_t *set)
{
	sigemptyset(set);
	sigaddset(set, SIGCHLD);
	sigaddset(set, SIGINT);
	sigaddset(set, SIGTERM);
	sigaddset(set, SIGHUP);
}

/* Until something happens, @end has come (0: never), or we are told to end. */
static bool wait_for_signal(double end)
{
	double left = end - now();
	struct timespec time = {
		.tv_sec = left > 0 ? (time_t)left : 0,
		.tv_nsec = left > 0 ?
				   (long)((left - (double)(time_t)left) * 1e9) :
				   0,
	};
	sigset_t set;
	int signal;

	our_signals(&set);
	signal = sigtimedwait(&set, NULL, end > 0 ? &time : NULL);
	if (signal > 0 && signal != SIGCHLD)
		interrupted = true;
	return !interrupted && (signal > 0 || errno == EINTR);
}

/* Until @pid, or with 0 every child, has ended. */
static bool wait_for(pid_t pid, double end, int *status)
{
	for (;;) {
		pid_t one = waitpid(-1, status, WNOHANG);

		if (one == pid && pid)
			return true;
		if (one < 0)
			return true;
		if (!one && !wait_for_signal(end))
			return false;
	}
}

/* All that descend from us: a dead one's children become ours. */
static void kill_all(void)
{
	char name[64], line[4096];
	ssize_t n;
	int fd;

	snprintf(name, sizeof(name), "/proc/self/task/%d/children", getpid());
	do {
		fd = open(name, O_RDONLY | O_CLOEXEC);
		n = fd < 0 ? 0 : read(fd, line, sizeof(line) - 1);
		if (fd >= 0)
			close(fd);
		line[n > 0 ? n : 0] = 0;
		for (char *at = line; *at; at = *at ? at + 1 : at) {
			pid_t pid = (pid_t)strtol(at, &at, 10);

			if (pid > 0)
				kill(pid, SIGKILL);
		}
		while (waitpid(-1, NULL, n > 0 ? 0 : WNOHANG) > 0 && n <= 0)
			;
	} while (n > 0);
}

static bool see_through(struct run *run, pid_t pid)
{
	double end = run->seconds ? now() + run->seconds : 0;
	int status = 0;
	bool ended = wait_for(pid, end, &status);

	if (ended)
		wait_for(0, now() + MOMENT, &(int){ 0 });
	else
		run->late = !interrupted;
	kill_all();
	return !ended || !WIFEXITED(status) || WEXITSTATUS(status) != EXIT_OURS;
}

static bool run_in(struct run *run, const char *place, const sigset_t *signals)
{
	pid_t pid;

	prctl(PR_SET_CHILD_SUBREAPER, 1);
	pid = fork();
	if (!pid)
		be_program(run, place, signals);
	return pid > 0 && see_through(run, pid);
}

bool run_program(struct run *run)
{
	char place[PATH_MAX];
	sigset_t ours, before;
	bool done = false;

	our_signals(&ours);
	sigprocmask(SIG_BLOCK, &ours, &before);
	if (place_make(place)) {
		done = place_fill(place, run->program) &&
		       run_in(run, place, &before);
		place_remove(place);
	}
	sigprocmask(SIG_SETMASK, &before, NULL);
	return done;
}
