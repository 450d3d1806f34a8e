/* SPDX-License-Identifier: MIT */
/* Adjacent mappings are legal and stay separate. */
#include "types.h"
#include "stat.h"
#include "user.h"
#include "fcntl.h"
#include "wmap.h"
#include "../fact.h"

#define ANON (MAP_FIXED | MAP_SHARED | MAP_ANONYMOUS)
#define B    (FIRST + 2 * PAGE)
#define C    (FIRST + 3 * PAGE)

static void touch_b(void)
{
	at(B)[0] = 1;
}

int main(void)
{
	fact("a", wmap(FIRST, 2 * PAGE, ANON, -1) == FIRST);
	fact("c", wmap(C, PAGE, ANON, -1) == C);
	fact("b between them", wmap(B, PAGE, ANON, -1) == B);
	fact("are three", total() == 3);
	at(B)[0] = 1;
	fact("with their own pages",
	     loaded(FIRST) == 0 && loaded(B) == 1 && loaded(C) == 0);
	at(FIRST)[0] = 2;
	at(C)[0] = 3;
	fact("b goes alone", wunmap(B) == SUCCESS && total() == 2);
	fact("the others stay", at(FIRST)[0] == 2 && at(C)[0] == 3);
	dies("b is not there", touch_b);
	exit();
}
