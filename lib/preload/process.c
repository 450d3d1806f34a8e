/* SPDX-License-Identifier: MIT */
/*
 * What is known of this process
 *
 * It lies in a page that the kernel wipes in a child of fork, however the child
 * was made (MADV_WIPEONFORK): there it is all zeros, nothing is locked, and the
 * child begins anew. A child of vfork shares it and finds another pid than its
 * own in it.
 *
 *   UNKNOWN -> PAGED    process_page(), at the first mapping that is ours
 *   UNKNOWN -> KERNEL   process_page(): no userfaultfd; said once
 *   any -> UNKNOWN      fork, in the child
 */
#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "preload.h"

enum state { UNKNOWN, PAGED, KERNEL };

static struct PROCESS_WIPED {
	_Atomic pid_t pid;     /* released last by set_up() */
	_Atomic uint64_t born; /* ns; orders nothing */
	_Atomic int state;     /* enum state; changed under the lock */
	pthread_mutex_t lock;  /* zeros are an unlocked one */
} process;

static uint64_t now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

void process_wipe(void *object, size_t size)
{
	syscall(SYS_madvise, object, size, MADV_WIPEONFORK);
}

/* Two threads may do it at once: they do the same. */
static pid_t set_up(void)
{
	pid_t pid = (pid_t)syscall(SYS_getpid);
	uint64_t none = 0;

	process_wipe(&process, sizeof(process));
	atomic_compare_exchange_strong(&process.born, &none, now());
	atomic_store_explicit(&process.pid, pid, memory_order_release);
	return pid;
}

static pid_t owner(void)
{
	pid_t pid = atomic_load_explicit(&process.pid, memory_order_acquire);

	return pid ? pid : set_up();
}

bool process_is_mine(void)
{
	return owner() == (pid_t)syscall(SYS_getpid);
}

uint64_t process_born(void)
{
	owner();
	return atomic_load_explicit(&process.born, memory_order_relaxed);
}

void process_lock(void)
{
	owner();
	pthread_mutex_lock(&process.lock);
}

bool process_lock_soon(void)
{
	struct timespec end;

	owner();
	clock_gettime(CLOCK_MONOTONIC, &end);
	end.tv_sec++;
	return pthread_mutex_clocklock(&process.lock, CLOCK_MONOTONIC, &end) ==
	       0;
}

void process_unlock(void)
{
	pthread_mutex_unlock(&process.lock);
}

void process_say(const char *format, ...)
{
	char line[1024] = "wmap: ";
	size_t length = strlen(line);
	va_list args;

	va_start(args, format);
	vsnprintf(line + length, sizeof(line) - length - 1, format, args);
	va_end(args);
	length = strlen(line);
	line[length++] = '\n';
	if (syscall(SYS_write, STDERR_FILENO, line, length) < 0)
		return; /* nobody is left to tell */
}

/* Under the lock. */
static enum state start(void)
{
	if (wmap_start(NULL) == 0) {
		signals_report_segv();
		return PAGED;
	}
	process_say("no pager can be had (%s): pages of %d come from the "
		    "kernel",
		    strerrordesc_np(errno), (int)syscall(SYS_getpid));
	return KERNEL;
}

static enum state get(void)
{
	owner();
	return (enum state)atomic_load_explicit(&process.state,
						memory_order_acquire);
}

bool process_page(void)
{
	if (get() == UNKNOWN) {
		process_lock();
		if (get() == UNKNOWN)
			atomic_store_explicit(&process.state, (int)start(),
					      memory_order_release);
		process_unlock();
	}
	return get() == PAGED;
}

bool process_paged(void)
{
	return get() == PAGED;
}
