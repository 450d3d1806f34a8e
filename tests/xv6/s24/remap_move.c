/* SPDX-License-Identifier: MIT */
/* Where there is no room it moves if it may, pages and contents with it. */
#include "types.h"
#include "stat.h"
#include "user.h"
#include "fcntl.h"
#include "wmap.h"
#include "../fact.h"

#define ANON (MAP_FIXED | MAP_SHARED | MAP_ANONYMOUS)
#define FILE (MAP_FIXED | MAP_SHARED)

static void old_place(void)
{
	at(FIRST)[0] = 1;
}

int main(void)
{
	int fd = file("f", 4 * PAGE), i;
	uint to;

	wmap(FIRST, 2 * PAGE, ANON, -1);
	wmap(FIRST + 2 * PAGE, PAGE, ANON, -1);
	at(FIRST)[PAGE] = 'x';
	at(FIRST + 2 * PAGE)[0] = 'n';
	fact("it may not", wremap(FIRST, 2 * PAGE, 3 * PAGE, 0) == (uint)-1);
	fact("nothing has changed",
	     length(FIRST) == 2 * PAGE && loaded(FIRST) == 1 &&
		     at(FIRST)[PAGE] == 'x' && at(FIRST)[2 * PAGE] == 'n');
	to = wremap(FIRST, 2 * PAGE, 0x3004, MREMAP_MAYMOVE);
	fact("it may", to != (uint)-1 && to != FIRST);
	fact("into the window",
	     to % PAGE == 0 && to >= FIRST && to + 0x4000 <= END);
	fact("its loaded page moves", loaded(to) == 1);
	fact("with its contents", at(to)[PAGE] == 'x' && at(to)[0] == 0);
	fact("and its new length", length(to) == 0x3004);
	at(to)[0x3003] = 'e';
	fact("which is there", loaded(to) == 3);
	fact("it is one mapping still", total() == 2);
	dies("the old place is empty", old_place);
	fact("the neighbour stays", at(FIRST)[2 * PAGE] == 'n');
	fact("the old place is free", wmap(FIRST, 2 * PAGE, ANON, -1) == FIRST);

	wmap(0x70000000, 2 * PAGE, FILE, fd);
	wmap(0x70000000 + 2 * PAGE, PAGE, ANON, -1);
	at(0x70000000)[1] = 'X';
	to = wremap(0x70000000, 2 * PAGE, 4 * PAGE, MREMAP_MAYMOVE);
	fact("a file's moves", to != (uint)-1 && at(to)[1] == 'X');
	at(to)[3 * PAGE] = 'Y';
	fact("and is written back", wunmap(to) == SUCCESS &&
					    look("f", 1) == 'X' &&
					    look("f", 3 * PAGE) == 'Y');

	to = wmap(0x71000000, PAGE, ANON, -1);
	wmap(0x71000000 + PAGE, PAGE, ANON, -1);
	for (i = total(); i < 16; i++)
		wmap(0x78000000 + i * 2 * PAGE, PAGE, ANON, -1);
	fact("among 16 it takes no new place",
	     total() == 16 &&
		     wremap(to, PAGE, 2 * PAGE, MREMAP_MAYMOVE) != (uint)-1 &&
		     total() == 16);
	exit();
}
