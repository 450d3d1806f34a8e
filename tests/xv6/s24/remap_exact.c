/* SPDX-License-Identifier: MIT */
/* wremap takes exactly a mapping, and only what it knows. */
#include "types.h"
#include "stat.h"
#include "user.h"
#include "fcntl.h"
#include "wmap.h"
#include "../fact.h"

#define ANON (MAP_FIXED | MAP_SHARED | MAP_ANONYMOUS)

static void refused(char *what, uint old, int oldsize, int newsize, int flags)
{
	fact(what, wremap(old, oldsize, newsize, flags) == (uint)-1);
}

int main(void)
{
	wmap(FIRST, 0x4008, ANON, -1);
	at(FIRST)[PAGE] = 'x';
	refused("an inner page", FIRST + PAGE, 0x3008, PAGE, 0);
	refused("a size in pages", FIRST, 0x5000, PAGE, 0);
	refused("a smaller one", FIRST, 0x4000, PAGE, MREMAP_MAYMOVE);
	refused("nothing there", FIRST + 64 * PAGE, PAGE, 2 * PAGE, 0);
	refused("to 0", FIRST, 0x4008, 0, 0);
	refused("to less", FIRST, 0x4008, -PAGE, MREMAP_MAYMOVE);
	refused("an unknown flag", FIRST, 0x4008, PAGE, 2);
	refused("more of them", FIRST, 0x4008, PAGE, 5);
	fact("nothing has changed", total() == 1 && length(FIRST) == 0x4008 &&
					    loaded(FIRST) == 1 &&
					    at(FIRST)[PAGE] == 'x');
	fact("exactly it does", wremap(FIRST, 0x4008, 0x2004, 0) == FIRST &&
					length(FIRST) == 0x2004);
	exit();
}
