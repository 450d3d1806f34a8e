/* SPDX-License-Identifier: MIT */
/* Growing is in place where there is room, also with MREMAP_MAYMOVE. */
#include "types.h"
#include "stat.h"
#include "user.h"
#include "fcntl.h"
#include "wmap.h"
#include "../fact.h"

#define ANON (MAP_FIXED | MAP_SHARED | MAP_ANONYMOUS)
#define FILE (MAP_FIXED | MAP_SHARED)

int main(void)
{
	int fd = file("f", 3 * PAGE);

	wmap(FIRST, PAGE + 1, ANON, -1);
	at(FIRST)[0] = 'x';
	fact("in place", wremap(FIRST, PAGE + 1, 4 * PAGE, 0) == FIRST);
	fact("with what it had", at(FIRST)[0] == 'x' && loaded(FIRST) == 1);
	at(FIRST)[4 * PAGE - 1] = 'y';
	fact("and what it got", loaded(FIRST) == 2);
	fact("of its length", length(FIRST) == 4 * PAGE);
	fact("also if it may move",
	     wremap(FIRST, 4 * PAGE, 5 * PAGE, MREMAP_MAYMOVE) == FIRST);
	fact("within its last page",
	     wremap(FIRST, 5 * PAGE, 5 * PAGE - 7, 0) == FIRST &&
		     wremap(FIRST, 5 * PAGE - 7, 5 * PAGE, 0) == FIRST);
	fact("up to its neighbour",
	     wmap(FIRST + 8 * PAGE, PAGE, ANON, -1) != (uint)-1 &&
		     wremap(FIRST, 5 * PAGE, 8 * PAGE, 0) == FIRST);
	fact("no further", wremap(FIRST, 8 * PAGE, 9 * PAGE, 0) == (uint)-1);
	fact("up to the window's end",
	     wmap(END - 2 * PAGE, PAGE, ANON, -1) == END - 2 * PAGE &&
		     wremap(END - 2 * PAGE, PAGE, 2 * PAGE, 0) ==
			     END - 2 * PAGE);
	fact("no further",
	     wremap(END - 2 * PAGE, 2 * PAGE, 3 * PAGE, 0) == (uint)-1);
	wmap(0x70000000, PAGE, FILE, fd);
	fact("a file's", wremap(0x70000000, PAGE, 3 * PAGE, 0) == 0x70000000);
	fact("shows what follows in it",
	     at(0x70000000)[2 * PAGE] == byte(2 * PAGE));
	at(0x70000000)[2 * PAGE] = 'X';
	wunmap(0x70000000);
	fact("and writes it back",
	     look("f", 2 * PAGE) == 'X' && size_of("f") == 3 * PAGE);
	exit();
}
