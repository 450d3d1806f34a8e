/* SPDX-License-Identifier: MIT */
/*
 * Signals that an access raises, children, and what a process uses
 *
 * An access that may fail is made between sigsetjmp and a handler that jumps
 * back there, so it is one thread's business at a time.
 */
#include "support.h"

#include <dirent.h>
#include <limits.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static sigjmp_buf back;

static void jump_back(int signal)
{
	siglongjmp(back, signal);
}

/* Catch SIGBUS and SIGSEGV; or, with @old, let go. */
static void catch_both(struct sigaction *old, bool restore)
{
	struct sigaction catch = { .sa_handler = jump_back };

	sigaction(SIGBUS, restore ? &old[0] : &catch, restore ? NULL : &old[0]);
	sigaction(SIGSEGV, restore ? &old[1] : &catch,
		  restore ? NULL : &old[1]);
}

int process_load(const void *addr)
{
	struct sigaction old[2];
	int raised;

	catch_both(old, false);
	raised = sigsetjmp(back, 1);
	if (!raised)
		(void)*(const volatile char *)addr;
	catch_both(old, true);
	return raised;
}

int process_store(void *addr, char value)
{
	struct sigaction old[2];
	int raised;

	catch_both(old, false);
	raised = sigsetjmp(back, 1);
	if (!raised)
		*(volatile char *)addr = value;
	catch_both(old, true);
	return raised;
}

/* A child that is to die does so as without a sanitizer, and leaves no core. */
static void run_in_child(void (*run)(void *), void *arg)
{
	struct rlimit none = { 0, 0 };

	setrlimit(RLIMIT_CORE, &none);
	signal(SIGSEGV, SIG_DFL);
	signal(SIGBUS, SIG_DFL);
	run(arg);
	exit(0);
}

int process_child(void (*run)(void *), void *arg)
{
	int status = 0;
	pid_t child;

	fflush(NULL);
	child = fork();
	ck_assert_int_ge(child, 0);
	if (!child)
		run_in_child(run, arg);
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	return status;
}

void process_dies(int signal, void (*run)(void *), void *arg)
{
	int status = process_child(run, arg);

	ck_assert_msg(WIFSIGNALED(status) && WTERMSIG(status) == signal,
		      "status %#x instead of death by signal %d",
		      (unsigned)status, signal);
}

pid_t process_start(int (*run)(int), int arg)
{
	pid_t child = fork();

	ck_assert_int_ge(child, 0);
	if (!child)
		_exit(run(arg));
	return child;
}

void process_ends_well(pid_t child)
{
	int status;

	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_int_eq(status, 0);
}

void process_sleep_ms(unsigned ms)
{
	struct timespec left = { ms / 1000, ms % 1000 * 1000000L };

	while (nanosleep(&left, &left) && errno == EINTR)
		;
}

bool process_wait(bool (*is)(void *), void *arg, unsigned seconds)
{
	for (unsigned i = 0; i < seconds * 100; i++) {
		if (is(arg))
			return true;
		process_sleep_ms(10);
	}
	return is(arg);
}

long process_kib(pid_t pid, const char *field)
{
	size_t length = strlen(field);
	char path[32], line[256];
	long kib = -1;
	FILE *status;

	snprintf(path, sizeof(path), "/proc/%d/status",
		 (int)(pid ? pid : getpid()));
	status = fopen(path, "re");
	while (status && fgets(line, sizeof line, status))
		if (!strncmp(line, field, length) && line[length] == ':')
			kib = strtol(line + length + 1, NULL, 10);
	if (status)
		fclose(status);
	if (!pid)
		ck_assert_int_ge(kib, 0);
	return kib;
}

pid_t process_only_child(pid_t pid)
{
	char path[64];
	int number = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)pid,
		 (int)pid);
	file = fopen(path, "re");
	if (file && fscanf(file, "%d", &number) != 1)
		number = 0;
	if (file)
		fclose(file);
	return number;
}

unsigned process_descriptors(pid_t pid)
{
	char path[32];
	unsigned n = 0;
	DIR *folder;

	snprintf(path, sizeof(path), "/proc/%d/fd",
		 (int)(pid ? pid : getpid()));
	folder = opendir(path);
	if (!folder)
		return UINT_MAX;
	while (readdir(folder))
		n++;
	closedir(folder);
	return n - (pid ? 2 : 3); /* ".", ".." and the folder's own */
}

void process_limit_files(uint64_t bytes)
{
	struct rlimit limit = { bytes, RLIM_INFINITY };

	signal(SIGXFSZ, SIG_IGN);
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
}
