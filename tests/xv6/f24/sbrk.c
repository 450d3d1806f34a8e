/* SPDX-License-Identifier: MIT */
/* sbrk: the heap grows in zeros, in one piece, and is given back. */
#include "types.h"
#include "stat.h"
#include "user.h"
#include "fcntl.h"
#include "wmap.h"
#include "../fact.h"

static char *heap;

static void beyond(void)
{
	heap[3 * PAGE] = 1;
}

int main(void)
{
	char *more;
	int i, zeros = 0;

	heap = sbrk(0);
	fact("begins below the window", (uint)heap < FIRST);
	fact("grows", sbrk(3 * PAGE) == heap && sbrk(0) == heap + 3 * PAGE);
	for (i = 0; i < 3 * PAGE; i++)
		zeros += heap[i] == 0;
	fact("in zeros", zeros == 3 * PAGE);
	heap[3 * PAGE - 1] = 'x';
	heap[2 * PAGE] = 'y';
	dies("no further", beyond);
	more = sbrk(2 * PAGE);
	more[PAGE] = 'z';
	fact("in one piece", more == heap + 3 * PAGE);
	fact("shrinks", sbrk(-2 * PAGE) == heap + 5 * PAGE);
	dies("to its end", beyond);
	fact("keeps what is below", heap[3 * PAGE - 1] == 'x');
	fact("by bytes", sbrk(-1) == heap + 3 * PAGE &&
				 sbrk(0) == heap + 3 * PAGE - 1 &&
				 heap[3 * PAGE - 1] == 'x');
	fact("what comes again is zeros",
	     sbrk(1 + PAGE) && heap[3 * PAGE] == 0);
	fact("a page given back has no frame",
	     sbrk(-PAGE) && va2pa((uint)heap + 3 * PAGE) == (uint)-1);
	fact("more than there is fails", sbrk(0x10000000) == (char *)-1);
	fact("and changes nothing", sbrk(0) == heap + 3 * PAGE);
	exit();
}
