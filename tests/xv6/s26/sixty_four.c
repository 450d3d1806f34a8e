/* SPDX-License-Identifier: MIT */
/* 64 mappings, and the 65th fails. */
#include "kernel/types.h"
#include "kernel/stat.h"
#include "kernel/riscv.h"
#include "kernel/mmap.h"
#include "user/user.h"
#include "fact.h"

#define ANON (MAP_SHARED | MAP_ANONYMOUS)

int main(void)
{
	int i, good = 0;
	char *m;

	for (i = 0; i < 64; i++)
		good += (m = mmap(0, PAGE, ANON)) != 0;
	fact("64", good == 64 && total() == 64);
	fact("no 65th", mmap(0, PAGE, ANON) == 0);
	fact("one goes, another comes",
	     munmap(m) == 0 && mmap(0, PAGE, ANON) && total() == 64);
	fact("and no more", mmap(0, PAGE, ANON) == 0);
	exit(0);
}
