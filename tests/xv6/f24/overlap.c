/* SPDX-License-Identifier: MIT */
/* A mapping never overlaps another, nor replaces it. */
#include "types.h"
#include "stat.h"
#include "user.h"
#include "fcntl.h"
#include "wmap.h"
#include "../fact.h"

#define ANON (MAP_FIXED | MAP_SHARED | MAP_ANONYMOUS)
#define OLD  (FIRST + 8 * PAGE)

static void refused(char *what, uint address, int length)
{
	fact(what, wmap(address, length, ANON, -1) == (uint)FAILED);
}

int main(void)
{
	wmap(OLD, 4 * PAGE - 100, ANON, -1);
	at(OLD)[PAGE] = 'x';
	refused("the same", OLD, 4 * PAGE - 100);
	refused("its first page", OLD, PAGE);
	refused("its last page, where a part is used", OLD + 3 * PAGE, PAGE);
	refused("inside", OLD + PAGE, PAGE);
	refused("over its beginning", OLD - PAGE, 2 * PAGE);
	refused("over its beginning by one byte", OLD - PAGE, PAGE + 1);
	refused("over its end", OLD + 3 * PAGE, 4 * PAGE);
	refused("from below it over all of it", FIRST, 64 * PAGE);
	fact("one is mapped", total() == 1);
	fact("of its length", length(OLD) == 4 * PAGE - 100);
	fact("with its page", loaded(OLD) == 1);
	fact("and contents", at(OLD)[PAGE] == 'x');
	exit();
}
