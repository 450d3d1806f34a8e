/* SPDX-License-Identifier: MIT */
/*
 * Becoming a process of the background
 *
 * What was inherited without a thought is let go of: a lock, a pipe whose end
 * somebody waits for, a file system that is to be unmounted.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "detach.h"

static int compare(const void *a, const void *b)
{
	const int *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

void detach_close_others(int *fds, size_t n)
{
	unsigned from = 3;
	size_t i;

	qsort(fds, n, sizeof(*fds), compare);
	for (i = 0; i < n; i++) {
		if (fds[i] < (int)from)
			continue;
		if (fds[i] > (int)from)
			close_range(from, (unsigned)fds[i] - 1, 0);
		from = (unsigned)fds[i] + 1;
	}
	close_range(from, ~0u, 0);
}

static void close_standard(void)
{
	int fd, null = open("/dev/null", O_RDWR | O_CLOEXEC);

	for (fd = 0; fd <= 2; fd++)
		dup2(null, fd);
	if (null > 2)
		close(null);
}

void detach_terminal(void)
{
	close_standard();
	setsid();
	if (chdir("/") != 0)
		return; /* then it stays where it is */
}
