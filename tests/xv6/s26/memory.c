/* SPDX-License-Identifier: MIT */
/* More may be mapped than there is memory; not touched. */
#include "kernel/types.h"
#include "kernel/stat.h"
#include "kernel/riscv.h"
#include "kernel/mmap.h"
#include "user/user.h"
#include "fact.h"

#define ANON (MAP_SHARED | MAP_ANONYMOUS)
#define SIZE (4 * 1024 * 1024)
#define MAPS 64

static char *maps[MAPS];

static void touch_all(void)
{
	for (int i = 0; i < MAPS; i++)
		for (int at = 0; at < SIZE; at += PAGE)
			maps[i][at] = 'x';
}

int main(void)
{
	int i, good = 0;

	for (i = 0; i < MAPS; i++) {
		maps[i] = mmap(0, SIZE, ANON);
		good += maps[i] != 0;
	}
	fact("256 MB are mapped", good == MAPS && total() == MAPS);
	for (i = 0; i < MAPS; i++)
		maps[i][0] = maps[i][SIZE - 1] = 'a';
	fact("the first and the last page of each", loaded(maps[63]) == 2);
	dies("who touches all", touch_all);
	fact("the rest goes on", maps[63][0] == 'a');
	for (i = 0; i < MAPS; i++)
		good -= munmap(maps[i]) == 0;
	fact("and unmaps", good == 0);
	maps[0] = mmap(0, SIZE, ANON);
	maps[0][5 * PAGE] = 'a';
	fact("then there is memory again", loaded(maps[0]) == 1);
	good = 0;
	while (sbrk(1024 * PAGE) != SBRK_ERROR)
		good += 4;
	fact("and for a heap, of less than 128 MB", good > 100 && good < 128);
	exit(0);
}
