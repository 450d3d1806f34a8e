/* SPDX-License-Identifier: MIT */
/* Lengths are told rounded up to pages. */
#include "kernel/types.h"
#include "kernel/stat.h"
#include "kernel/riscv.h"
#include "kernel/mmap.h"
#include "user/user.h"
#include "fact.h"

#define ANON (MAP_SHARED | MAP_ANONYMOUS)

int main(void)
{
	struct mmapinfo info;
	char *a = mmap((void *)0x61000000, 0x4008, ANON | MAP_FIXED);
	char *b = mmap((void *)0x62000000, 1, ANON | MAP_FIXED);

	b[PAGE - 1] = 1;
	fact("told", getmmapinfo(&info) == 0 && info.total_mmaps == 2);
	fact("0x4008 is 0x5000", info.addr[0] == a && info.length[0] == 0x5000);
	fact("1 is 0x1000", info.addr[1] == b && info.length[1] == 0x1000);
	fact("loaded pages",
	     info.n_loaded_pages[0] == 0 && info.n_loaded_pages[1] == 1);
	fact("a bad pointer fails", getmmapinfo(0) == -1);
	fact("packed", munmap(a) == 0 && getmmapinfo(&info) == 0 &&
			       info.total_mmaps == 1 && info.addr[0] == b);
	exit(0);
}
