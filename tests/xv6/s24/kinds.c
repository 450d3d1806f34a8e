/* SPDX-License-Identifier: MIT */
/* Exactly one of MAP_PRIVATE and MAP_SHARED. */
#include "types.h"
#include "stat.h"
#include "user.h"
#include "fcntl.h"
#include "wmap.h"
#include "../fact.h"

int main(void)
{
	int rest = MAP_FIXED | MAP_ANONYMOUS;

	fact("neither fails", wmap(FIRST, PAGE, rest, -1) == FAILED);
	fact("both fail",
	     wmap(FIRST, PAGE, rest | MAP_SHARED | MAP_PRIVATE, -1) == FAILED);
	fact("nothing is mapped", total() == 0);
	fact("shared", wmap(FIRST, PAGE, rest | MAP_SHARED, -1) == FIRST);
	fact("private",
	     wmap(FIRST + PAGE, PAGE, rest | MAP_PRIVATE, -1) == FIRST + PAGE);
	at(FIRST)[0] = 1;
	at(FIRST + PAGE)[0] = 1;
	fact("both load", loaded(FIRST) == 1 && loaded(FIRST + PAGE) == 1);
	fact("a length of 0 fails",
	     wmap(FIRST + 4 * PAGE, 0, rest | MAP_PRIVATE, -1) == FAILED);
	fact("a negative one too",
	     wmap(FIRST + 4 * PAGE, -5, rest | MAP_PRIVATE, -1) == FAILED);
	exit();
}
