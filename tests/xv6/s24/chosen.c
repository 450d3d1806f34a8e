/* SPDX-License-Identifier: MIT */
/* Without MAP_FIXED the address is ignored, and a free range is chosen. */
#include "types.h"
#include "stat.h"
#include "user.h"
#include "fcntl.h"
#include "wmap.h"
#include "../fact.h"

#define ANON (MAP_SHARED | MAP_ANONYMOUS)

static int free_before[16];
static uint mapped[16];
static int n;

/* In the window, aligned, away from all before. */
static int good(uint address, int length)
{
	int i;

	if (address % PAGE || address < FIRST || address + length > END)
		return 0;
	for (i = 0; i < n; i++)
		if (address < mapped[i] + free_before[i] &&
		    mapped[i] < address + length)
			return 0;
	mapped[n] = address;
	free_before[n++] = (length + PAGE - 1) / PAGE * PAGE;
	at(address)[length - 1] = 1;
	return loaded(address) == 1;
}

int main(void)
{
	fact("0", good(wmap(0, 2 * PAGE, ANON, -1), 2 * PAGE));
	fact("-1", good(wmap(-1, PAGE + 1, ANON, -1), PAGE + 1));
	fact("unaligned", good(wmap(FIRST + 5, PAGE, ANON, -1), PAGE));
	fact("one that is taken", good(wmap(mapped[0], PAGE, ANON, -1), PAGE));
	fact("below the window", good(wmap(PAGE, 1, ANON, -1), 1));
	fact("above it", good(wmap(0x90000000, PAGE, ANON, -1), PAGE));
	fact("fixed in the middle",
	     good(wmap(0x68000000, 4 * PAGE, ANON | MAP_FIXED, -1), 4 * PAGE));
	fact("a large one around it",
	     good(wmap(0, 0x10000000, ANON, -1), 0x10000000));
	fact("one that does not fit fails",
	     wmap(0, 0x18000000, ANON, -1) == (uint)-1);
	fact("fixed has to be free",
	     wmap(mapped[1], PAGE, ANON | MAP_FIXED, -1) == (uint)-1);
	fact("and aligned",
	     wmap(0x6f000001, PAGE, ANON | MAP_FIXED, -1) == (uint)-1);
	fact("and inside", wmap(PAGE, PAGE, ANON | MAP_FIXED, -1) == (uint)-1);
	fact("all are told", total() == n);
	exit();
}
