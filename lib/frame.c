/* SPDX-License-Identifier: MIT */
/* Page frames, as /proc/self/pagemap tells them (frame.h) */
#include <fcntl.h>

#include "frame.h"
#include "internal.h"
#include "sys.h"

#define ENTRY_PRESENT (UINT64_C(1) << 63)
#define ENTRY_FRAME   ((UINT64_C(1) << 55) - 1)

/*
 * The page table's entry for @address; 0 where there can be none. Opened anew
 * each time: a descriptor from before a fork would show the parent's memory.
 */
static int read_entry(uint64_t address, uint64_t *entry)
{
	long fd = sys_call(SYS_openat, AT_FDCWD, "/proc/self/pagemap",
			   O_RDONLY | O_CLOEXEC);
	uint64_t word = 0;
	long got;

	if (fd < 0)
		return fd == -EACCES ? -EPERM : (int)fd;
	got = sys_call(SYS_pread64, fd, &word, sizeof(word),
		       address / PAGE * sizeof(word));
	sys_call(SYS_close, fd);
	if (got < 0)
		return (int)got;
	*entry = got == sizeof(word) ? word : 0;
	return 0;
}

int frame_read(uint64_t address, uint64_t *frame)
{
	uint64_t entry = 0;
	int error = read_entry(address, &entry);

	if (error)
		return error;
	if (!(entry & ENTRY_PRESENT))
		return -EFAULT;
	if (!(entry & ENTRY_FRAME))
		return -EPERM;
	*frame = entry & ENTRY_FRAME;
	return 0;
}
