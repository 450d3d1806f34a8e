/* SPDX-License-Identifier: MIT */
/* mmap: where it maps, and what it refuses. */
#include "types.h"
#include "stat.h"
#include "user.h"
#include "fcntl.h"
#include "mmap.h"
#include "../fact.h"

#define RW   (PROT_READ | PROT_WRITE)
#define NONE ((void *)-1)

#define ANON (MAP_SHARED | MAP_ANONYMOUS)

static int good(char *address, int length)
{
	if ((uint)address % PAGE || (uint)address < FIRST ||
	    (uint)address + length > END)
		return 0;
	address[length - 1] = 1;
	return address[0] == 0 || length == 1;
}

int main(void)
{
	char *a = mmap(0, 2 * PAGE, RW, ANON, -1, 0), *b;
	int i, many = 0;

	fact("chosen", good(a, 2 * PAGE));
	b = mmap((void *)-1, PAGE, RW, MAP_PRIVATE | MAP_ANON, -1, 0);
	fact("whatever the address", good(b, PAGE) && b != a);
	fact("fixed", mmap((void *)0x70000000, 5, RW, ANON | MAP_FIXED, -1,
			   0) == (void *)0x70000000);
	fact("never over another",
	     mmap((void *)0x70000000, 5, RW, ANON | MAP_FIXED, -1, 0) == NONE);
	fact("nor unaligned",
	     mmap((void *)0x71000001, 5, RW, ANON | MAP_FIXED, -1, 0) == NONE);
	fact("nor outside", mmap((void *)0x5ffff000, PAGE, RW, ANON | MAP_FIXED,
				 -1, 0) == NONE);
	fact("nor both kinds",
	     mmap(0, PAGE, RW, ANON | MAP_PRIVATE, -1, 0) == NONE);
	fact("nor neither", mmap(0, PAGE, RW, MAP_ANON, -1, 0) == NONE);
	fact("nor no bytes", mmap(0, 0, RW, ANON, -1, 0) == NONE);
	fact("nor too many", mmap(0, 0xfffff000, RW, ANON, -1, 0) == NONE);
	fact("nor without a file",
	     mmap(0, PAGE, RW, MAP_SHARED, -1, 0) == NONE);
	fact("up to the very end",
	     mmap((void *)0x7ffff000, PAGE, RW, ANON | MAP_FIXED, -1, 0) ==
		     (void *)0x7ffff000);
	for (i = 0; i < 100; i++)
		many += good(mmap(0, PAGE, RW, ANON, -1, 0), PAGE);
	fact("100 of them", many == 100);
	a = mmap(0, PAGE, PROT_READ, ANON, -1, 0);
	a[0] = 1;
	fact("memory is always readable and writable", a[0] == 1);
	exit();
}
