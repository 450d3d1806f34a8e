/* SPDX-License-Identifier: MIT */
/* MAP_SHARED and MAP_FIXED must be set; MAP_PRIVATE is an error. */
#include "types.h"
#include "stat.h"
#include "user.h"
#include "fcntl.h"
#include "wmap.h"
#include "../fact.h"

#define PRIVATE 1

int main(void)
{
	int anon = MAP_ANONYMOUS;

	fact("neither fails", wmap(FIRST, PAGE, anon, -1) == FAILED);
	fact("no MAP_FIXED fails",
	     wmap(FIRST, PAGE, anon | MAP_SHARED, -1) == FAILED);
	fact("no MAP_FIXED fails, whatever the address",
	     wmap(0, PAGE, anon | MAP_SHARED, -1) == FAILED);
	fact("no MAP_SHARED fails",
	     wmap(FIRST, PAGE, anon | MAP_FIXED, -1) == FAILED);
	fact("MAP_PRIVATE fails",
	     wmap(FIRST, PAGE, anon | MAP_FIXED | PRIVATE, -1) == FAILED);
	fact("MAP_PRIVATE with MAP_SHARED fails",
	     wmap(FIRST, PAGE, anon | MAP_FIXED | MAP_SHARED | PRIVATE, -1) ==
		     FAILED);
	fact("nothing is mapped", total() == 0);
	fact("all that must be set do",
	     wmap(FIRST, PAGE, anon | MAP_FIXED | MAP_SHARED, -1) == FIRST);
	fact("the numbers are the course's",
	     MAP_SHARED == 2 && MAP_ANONYMOUS == 4 && MAP_FIXED == 8);
	exit();
}
