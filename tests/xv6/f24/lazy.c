/* SPDX-License-Identifier: MIT */
/* Mapping loads nothing; a first touch loads that page and no other, once. */
#include "types.h"
#include "stat.h"
#include "user.h"
#include "fcntl.h"
#include "wmap.h"
#include "../fact.h"

#define ANON (MAP_FIXED | MAP_SHARED | MAP_ANONYMOUS)
#define FILE (MAP_FIXED | MAP_SHARED)

static void touches(uint m)
{
	int x = 0;

	fact("mapping loads nothing", loaded(m) == 0);
	x += ((volatile char *)at(m))[3 * PAGE];
	fact("a read loads one", loaded(m) == 1);
	x += ((volatile char *)at(m))[3 * PAGE + 4095];
	at(m)[3 * PAGE + 7] = 1;
	fact("never twice", loaded(m) == 1);
	at(m)[5 * PAGE] = (char)x;
	fact("a write loads one", loaded(m) == 2);
	at(m)[4 * PAGE] = 1;
	fact("none in between was there", loaded(m) == 3);
	at(m)[9 * PAGE] = 1;
	at(m)[0] = 1;
	fact("the first and the last", loaded(m) == 5);
}

int main(void)
{
	int fd = file("f", 10 * PAGE);

	wmap(FIRST, 10 * PAGE, ANON, -1);
	touches(FIRST);
	wmap(FIRST + 16 * PAGE, 10 * PAGE, FILE, fd);
	touches(FIRST + 16 * PAGE);
	fact("each for itself", loaded(FIRST) == 5);
	exit();
}
