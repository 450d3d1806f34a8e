/* SPDX-License-Identifier: MIT */
/* Numbers of descriptors, a bit for each (fds.h) */
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fds.h"
#include "internal.h"
#include "sys.h"

#define BITS 64

static _Atomic uint64_t numbers[FDS_LIMIT / BITS]; /* [a] orders nothing */

void fds_add(int fd)
{
	if (fd >= 0 && fd < FDS_LIMIT)
		atomic_fetch_or_explicit(&numbers[fd / BITS],
					 UINT64_C(1) << fd % BITS,
					 memory_order_relaxed);
}

static void forget(long fd)
{
	if (fd >= 0 && fd < FDS_LIMIT)
		atomic_fetch_and_explicit(&numbers[fd / BITS],
					  ~(UINT64_C(1) << fd % BITS),
					  memory_order_relaxed);
}

void fds_note(long number, long a, long b, long result)
{
	switch (number) {
	case SYS_close:
		forget(a);
		break;
	case SYS_fcntl:
		if (b == F_DUPFD_CLOEXEC)
			fds_add((int)result);
		break;
	case SYS_ioctl:
		if ((unsigned)b == USERFAULTFD_IOC_NEW)
			fds_add((int)result);
		break;
	case SYS_openat:
	case SYS_memfd_create:
	case SYS_eventfd2:
	case SYS_socket:
	case SYS_userfaultfd:
		fds_add((int)result);
		break;
	default:
		break;
	}
}

int fds_next(int from)
{
	unsigned fd = from > 0 ? (unsigned)from : 0;

	while (fd < FDS_LIMIT) {
		uint64_t bits = atomic_load_explicit(&numbers[fd / BITS],
						     memory_order_relaxed) >>
				fd % BITS;

		if (bits)
			return (int)fd + __builtin_ctzll(bits);
		fd = (fd / BITS + 1) * BITS;
	}
	return INT_MAX;
}

void fds_lost(void)
{
	static const char line[] =
		"wmap: this program has closed descriptors that it did not "
		"open, which its pager needs: it cannot go on\n";

	sys_call(SYS_write, STDERR_FILENO, line, strlen(line));
	abort();
}
