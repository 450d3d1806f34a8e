/* SPDX-License-Identifier: MIT */
/* munmap: every page that the range intersects goes; the rest stays. */
#include "types.h"
#include "stat.h"
#include "user.h"
#include "fcntl.h"
#include "mmap.h"
#include "../fact.h"

#define RW   (PROT_READ | PROT_WRITE)
#define NONE ((void *)-1)

#define M ((char *)FIRST)

static int page;

static void touch(void)
{
	M[page * PAGE] = 1;
}

static void gone(char *what, int i)
{
	page = i;
	dies(what, touch);
}

int main(void)
{
	int i, same = 1;

	mmap(M, 10 * PAGE, RW, MAP_FIXED | MAP_SHARED | MAP_ANON, -1, 0);
	for (i = 0; i < 10; i++)
		M[i * PAGE] = 'a' + i;
	fact("the middle", munmap(M + 4 * PAGE, 2 * PAGE) == 0);
	gone("page 4", 4);
	gone("page 5", 5);
	fact("one byte is a page", munmap(M + 7 * PAGE, 1) == 0);
	gone("page 7", 7);
	fact("a range over a boundary takes both",
	     munmap(M + 2 * PAGE - 1, 2) == 0);
	gone("page 1", 1);
	gone("page 2", 2);
	for (i = 0; i < 10; i++)
		if (i != 1 && i != 2 && i != 4 && i != 5 && i != 7)
			same &= M[i * PAGE] == 'a' + i;
	fact("the rest stays", same);
	fact("what went is free",
	     mmap(M + 4 * PAGE, 2 * PAGE, RW, MAP_FIXED | MAP_SHARED | MAP_ANON,
		  -1, 0) == M + 4 * PAGE);
	fact("and zeros", M[4 * PAGE] == 0);
	fact("what stayed is not",
	     mmap(M + 6 * PAGE, PAGE, RW, MAP_FIXED | MAP_SHARED | MAP_ANON, -1,
		  0) == NONE);
	fact("over several at once", munmap(M, 10 * PAGE) == 0);
	gone("page 0", 0);
	gone("page 9", 9);
	exit();
}
