/* SPDX-License-Identifier: MIT */
/* mmap: a hint is taken if it is free; failure is 0. */
#include "kernel/types.h"
#include "kernel/stat.h"
#include "kernel/riscv.h"
#include "kernel/mmap.h"
#include "user/user.h"
#include "fact.h"

#define ANON (MAP_SHARED | MAP_ANONYMOUS)

int main(void)
{
	char *hint = (char *)0x1000000000, *a, *b, *c;

	a = mmap(hint, 3 * PAGE, ANON);
	fact("the hint is taken", a == hint);
	b = mmap(hint, PAGE, ANON);
	fact("if it is free; else another", b && b != hint);
	fact("outside of what is mapped", b < a || b >= a + 3 * PAGE);
	c = mmap(hint + 2 * PAGE, 2 * PAGE, ANON);
	fact("also where a part is taken", c && c != hint + 2 * PAGE);
	c = mmap((char *)MAXVA, PAGE, ANON);
	fact("one beyond all addresses is none", c && c < (char *)MAXVA);
	fact("nor is an unaligned one",
	     munmap(c) == 0 &&
		     (c = mmap(hint + 64 * PAGE + 8, PAGE, ANON)) != 0 &&
		     (uint64)c % PAGE == 0 && munmap(c) == 0);
	c = mmap(0, PAGE, ANON);
	fact("none is right too", c && c != a && c != b);
	a[0] = b[0] = c[0] = 1;
	fact("all are memory",
	     loaded(a) == 1 && loaded(b) == 1 && loaded(c) == 1);
	fact("fixed", mmap((void *)0x62000000, PAGE, ANON | MAP_FIXED) ==
			      (void *)0x62000000);
	fact("twice fails", !mmap((void *)0x62000000, PAGE, ANON | MAP_FIXED));
	fact("unaligned fails",
	     !mmap((void *)0x63000001, PAGE, ANON | MAP_FIXED));
	fact("beyond all addresses fails",
	     !mmap((void *)MAXVA, PAGE, ANON | MAP_FIXED));
	fact("no bytes fail", !mmap(0, 0, ANON));
	fact("too many fail", !mmap(0, ~0ul, ANON));
	fact("and just too many", !mmap(0, ~0ul - PAGE, ANON));
	fact("not shared fails", !mmap(0, PAGE, MAP_ANONYMOUS));
	fact("private fails", !mmap(0, PAGE, ANON | 1));
	fact("an unknown flag fails", !mmap(0, PAGE, ANON | 0x20));
	fact("and another", !mmap(0, PAGE, ANON | 0x10));
	fact("five are mapped", total() == 5);
	exit(0);
}
