/* SPDX-License-Identifier: MIT */
/* A length is greater than 0, in bytes; sums do not wrap; 0x80000000 is the end. */
#include "types.h"
#include "stat.h"
#include "user.h"
#include "fcntl.h"
#include "wmap.h"
#include "../fact.h"

#define ANON (MAP_FIXED | MAP_SHARED | MAP_ANONYMOUS)

int main(void)
{
	fact("0 bytes fail", wmap(FIRST, 0, ANON, -1) == (uint)-1);
	fact("-1 bytes fail", wmap(FIRST, -1, ANON, -1) == FAILED);
	fact("-4096 bytes fail", wmap(FIRST, -PAGE, ANON, -1) == FAILED);
	fact("nothing is mapped", total() == 0);
	fact("1 byte is a page", wmap(FIRST, 1, ANON, -1) == FIRST);
	at(FIRST)[PAGE - 1] = 1;
	fact("whose last byte is there", loaded(FIRST) == 1);
	fact("4097 bytes are two",
	     wmap(FIRST + PAGE, PAGE + 1, ANON, -1) == FIRST + PAGE);
	at(FIRST)[3 * PAGE - 1] = 1;
	fact("whose second is there", loaded(FIRST + PAGE) == 1);
	fact("and taken",
	     wmap(FIRST + 2 * PAGE, PAGE, ANON, -1) == (uint)FAILED);
	fact("0x7fffffff bytes do not fit",
	     wmap(FIRST + 16 * PAGE, 0x7fffffff, ANON, -1) == FAILED);
	fact("one byte beyond the window fails",
	     wmap(0x70000000, 0x10000001, ANON, -1) == FAILED);
	fact("two pages at the last one fail",
	     wmap(END - PAGE, 2 * PAGE, ANON, -1) == FAILED);
	fact("the sum does not wrap",
	     wmap(END - PAGE, 0x7ffff000, ANON, -1) == FAILED);
	fact("ending exactly at the end is right",
	     wmap(0x70000000, 0x10000000, ANON, -1) == 0x70000000);
	at(END)[-1] = 1;
	fact("whose last byte is there", loaded(0x70000000) == 1);
	exit();
}
