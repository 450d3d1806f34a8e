/* SPDX-License-Identifier: MIT */
/* MAP_GROWSUP: a touch just above extends it, as long as one free page would remain. */
#include "types.h"
#include "stat.h"
#include "user.h"
#include "fcntl.h"
#include "mmap.h"
#include "../fact.h"

#define RW   (PROT_READ | PROT_WRITE)
#define NONE ((void *)-1)

#define GROWS (MAP_FIXED | MAP_SHARED | MAP_ANON | MAP_GROWSUP)
#define PLAIN (MAP_FIXED | MAP_SHARED | MAP_ANON)
#define M     ((char *)FIRST)

int main(void)
{
	char *m = (char *)0x70000000;
	int i;

	fact("mapped", mmap(M, PAGE, RW, GROWS, -1, 0) == M);
	fact("a mapping five pages above",
	     mmap(M + 5 * PAGE, PAGE, RW, PLAIN, -1, 0) == M + 5 * PAGE);
	M[PAGE] = 'b';
	M[2 * PAGE] = 'c';
	fact("grows again and again", M[3 * PAGE] == 0);
	fact("and keeps it", M[PAGE] == 'b' && M[2 * PAGE] == 'c');
	M[5 * PAGE] = 'n';
	fact("which is as it was", M[5 * PAGE] == 'n');

	mmap(m, 2 * PAGE, RW, GROWS, -1, 0);
	for (i = 2; i < 200; i++)
		m[i * PAGE] = i;
	fact("200 pages", m[199 * PAGE] == (char)199 && m[2 * PAGE] == 2);
	fact("go at once", munmap(m, 200 * PAGE) == 0);

	fact("it needs a free page above it",
	     mmap(M + 3 * PAGE + 0x1000000, PAGE, RW, PLAIN, -1, 0) != NONE &&
		     mmap(M + 2 * PAGE + 0x1000000, PAGE, RW, GROWS, -1, 0) ==
			     NONE);
	fact("one is enough",
	     mmap(M + PAGE + 0x1000000, PAGE, RW, GROWS, -1, 0) != NONE);
	fact("there is none above the window",
	     mmap((void *)0x7ffff000, PAGE, RW, GROWS, -1, 0) == NONE);
	fact("a page below it there is",
	     mmap((void *)0x7fffe000, PAGE, RW, GROWS, -1, 0) ==
		     (void *)0x7fffe000);
	exit();
}
