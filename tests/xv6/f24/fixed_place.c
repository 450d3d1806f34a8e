/* SPDX-License-Identifier: MIT */
/* A fixed address is page-aligned, inside the window; else nothing changes. */
#include "types.h"
#include "stat.h"
#include "user.h"
#include "fcntl.h"
#include "wmap.h"
#include "../fact.h"

#define ANON (MAP_FIXED | MAP_SHARED | MAP_ANONYMOUS)

static void refused(char *what, uint address, int length)
{
	fact(what, wmap(address, length, ANON, -1) == (uint)FAILED);
}

int main(void)
{
	refused("unaligned", FIRST + 1, PAGE);
	refused("unaligned by half a page", FIRST + 2048, PAGE);
	refused("0", 0, PAGE);
	refused("below the window", FIRST - PAGE, PAGE);
	refused("beginning below the window", FIRST - PAGE, 2 * PAGE);
	refused("at the end of the window", END, PAGE);
	refused("above the window", END + PAGE, PAGE);
	refused("-4096", (uint)-PAGE, PAGE);
	fact("nothing is mapped", total() == 0);
	fact("the first page", wmap(FIRST, PAGE, ANON, -1) == FIRST);
	fact("the last page", wmap(END - PAGE, PAGE, ANON, -1) == END - PAGE);
	fact("two are mapped", total() == 2);
	exit();
}
