/* SPDX-License-Identifier: MIT */
/* The page map (pagemap.h) */
#include <fcntl.h>

#include "internal.h"
#include "pagemap.h"
#include "sys.h"

#define FRAME_BITS ((UINT64_C(1) << 55) - 1)

static long read_entries(int fd, uint64_t address, uint64_t count,
			 uint64_t *entries)
{
	return sys_call(SYS_pread64, fd, entries, count * sizeof(*entries),
			(address >> PAGE_SHIFT) * sizeof(*entries));
}

uint64_t pagemap_read(int fd, uint64_t address, uint64_t count,
		      uint64_t *entries)
{
	long got = read_entries(fd, address, count, entries);

	return got > 0 ? (uint64_t)got / sizeof(*entries) : 0;
}

/*
 * The page table's entry for @address; 0 where there can be none. Opened anew
 * each time: a descriptor from before a fork would show the parent's memory.
 */
static int read_entry(uint64_t address, uint64_t *entry)
{
	long fd = sys_call(SYS_openat, AT_FDCWD, "/proc/self/pagemap",
			   O_RDONLY | O_CLOEXEC);
	long got;

	if (fd < 0)
		return fd == -EACCES ? -EPERM : (int)fd;
	*entry = 0;
	got = read_entries((int)fd, address, 1, entry);
	sys_call(SYS_close, fd);
	return got < 0 ? (int)got : 0;
}

int pagemap_frame(uint64_t address, uint64_t *frame)
{
	uint64_t entry;
	int error = read_entry(address, &entry);

	if (error)
		return error;
	if (!(entry & PAGEMAP_PRESENT))
		return -EFAULT;
	if (!(entry & FRAME_BITS))
		return -EPERM;
	*frame = entry & FRAME_BITS;
	return 0;
}
