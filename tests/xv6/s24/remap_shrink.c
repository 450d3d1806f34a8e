/* SPDX-License-Identifier: MIT */
/* Shrinking is in place. */
#include "types.h"
#include "stat.h"
#include "user.h"
#include "fcntl.h"
#include "wmap.h"
#include "../fact.h"

#define ANON (MAP_FIXED | MAP_SHARED | MAP_ANONYMOUS)
#define FILE (MAP_FIXED | MAP_SHARED)

static void beyond(void)
{
	at(FIRST)[2 * PAGE] = 1;
}

int main(void)
{
	int fd = file("f", 4 * PAGE), i;

	wmap(FIRST, 6 * PAGE, ANON, -1);
	for (i = 0; i < 6; i++)
		at(FIRST)[i * PAGE] = 'a' + i;
	fact("shrinks in place, also if it may move",
	     wremap(FIRST, 6 * PAGE, PAGE + 1, MREMAP_MAYMOVE) == FIRST);
	fact("to its length", length(FIRST) == PAGE + 1);
	fact("two pages are loaded", loaded(FIRST) == 2);
	fact("with their contents",
	     at(FIRST)[0] == 'a' && at(FIRST)[PAGE] == 'b');
	dies("what went is gone", beyond);
	fact("and free",
	     wmap(FIRST + 2 * PAGE, PAGE, ANON, -1) == FIRST + 2 * PAGE);
	fact("zeros again", at(FIRST)[2 * PAGE] == 0);
	wmap(0x70000000, 4 * PAGE, FILE, fd);
	at(0x70000000)[3 * PAGE] = 'X';
	fact("of a file", wremap(0x70000000, 4 * PAGE, PAGE, 0) == 0x70000000);
	fact("writes back what goes", look("f", 3 * PAGE) == 'X');
	exit();
}
