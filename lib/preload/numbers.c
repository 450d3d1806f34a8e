/* SPDX-License-Identifier: MIT */
/*
 * close, close_range, closefrom, dup2, dup3
 *
 * Programs close descriptors that they have never opened: daemons all of them,
 * shells those that they want for something else. Those of the library stay: to
 * close one is EBADF, as if it were not there, and what is put in its place
 * finds it gone from there; or, if they are a pager thread's, EBUSY.
 *
 * Without a pager a call costs one load more.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <unistd.h>

#include "../client.h"
#include "preload.h"

#ifndef CLOSE_RANGE_CLOEXEC
#define CLOSE_RANGE_CLOEXEC 4
#endif

/* It may be cancelled where a system call may not. */
static int (*real_close)(int);

__attribute__((constructor)) static void find_close(void)
{
	*(void **)&real_close = dlsym(RTLD_NEXT, "close");
}

static bool is_ours(int fd)
{
	return fd >= 0 && wmap_fd_next(fd) == fd;
}

HOOK int close(int fd)
{
	if (is_ours(fd)) {
		errno = EBADF;
		return -1;
	}
	return real_close ? real_close(fd) : (int)syscall(SYS_close, fd);
}

/* Ours are closed by exec as it is. */
HOOK int close_range(unsigned first, unsigned last, int flags)
{
	unsigned from = first;
	int fd;

	while (!(flags & CLOSE_RANGE_CLOEXEC) && from <= INT_MAX &&
	       (fd = wmap_fd_next((int)from)) >= 0 && (unsigned)fd <= last) {
		if ((unsigned)fd > from &&
		    syscall(SYS_close_range, from, fd - 1, flags) != 0)
			return -1;
		from = (unsigned)fd + 1;
		if (fd == (int)last)
			return 0;
	}
	return (int)syscall(SYS_close_range, from, last, flags);
}

HOOK void closefrom(int first)
{
	int saved = errno;

	close_range(first > 0 ? (unsigned)first : 0, ~0u, 0);
	errno = saved;
}

/* May @to be replaced? Sets errno. */
static bool may_replace(int from, int to)
{
	if (from == to || !is_ours(to) || fcntl(from, F_GETFD) < 0 ||
	    wmap_fd_yield(to))
		return true;
	errno = EBUSY;
	return false;
}

HOOK int dup3(int from, int to, int flags)
{
	if (!may_replace(from, to))
		return -1;
	return (int)syscall(SYS_dup3, from, to, flags);
}

HOOK int dup2(int from, int to)
{
	if (!may_replace(from, to))
		return -1;
	return (int)syscall(SYS_dup2, from, to);
}
