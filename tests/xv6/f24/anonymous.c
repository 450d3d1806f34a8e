/* SPDX-License-Identifier: MIT */
/* Anonymous memory is zeros; the descriptor is ignored, even a valid one. */
#include "types.h"
#include "stat.h"
#include "user.h"
#include "fcntl.h"
#include "wmap.h"
#include "../fact.h"

#define ANON (MAP_FIXED | MAP_SHARED | MAP_ANONYMOUS)

static int zeros(uint address, int n)
{
	int i;

	for (i = 0; i < n; i++)
		if (at(address)[i])
			return 0;
	return 1;
}

int main(void)
{
	int fd = file("f", PAGE);

	fact("with -1", wmap(FIRST, 2 * PAGE, ANON, -1) == FIRST);
	fact("are zeros", zeros(FIRST, 2 * PAGE));
	fact("with a file",
	     wmap(FIRST + 4 * PAGE, PAGE, ANON, fd) == FIRST + 4 * PAGE);
	fact("too", zeros(FIRST + 4 * PAGE, PAGE));
	at(FIRST + 4 * PAGE)[0] = 'X';
	fact("with a bad one",
	     wmap(FIRST + 8 * PAGE, PAGE, ANON, 77) == FIRST + 8 * PAGE);
	wunmap(FIRST + 4 * PAGE);
	fact("the file is untouched", look("f", 0) == byte(0));
	at(FIRST)[5] = 1;
	wunmap(FIRST);
	wmap(FIRST, 2 * PAGE, ANON, -1);
	fact("memory used again is zeros", zeros(FIRST, 2 * PAGE));
	exit();
}
