/* SPDX-License-Identifier: MIT */
/* Mappings and the heap keep out of each other's way. */
#include "kernel/types.h"
#include "kernel/stat.h"
#include "kernel/memlayout.h"
#include "kernel/riscv.h"
#include "kernel/mmap.h"
#include "user/user.h"
#include "fact.h"

#define ANON (MAP_SHARED | MAP_ANONYMOUS)

static void *fixed(uint64 address, uint64 length)
{
	return mmap((void *)address, length, ANON | MAP_FIXED);
}

int main(void)
{
	uint64 end, i, low = 0;
	char *m;

	sbrk(PAGE + 100);
	end = PGROUNDUP((uint64)sbrk(0));
	fact("a page of the heap is not free", !fixed(end - PAGE, PAGE));
	fact("nor is one with more", !fixed(end - PAGE, 8 * PAGE));
	fact("nor is the code", !fixed(PGROUNDDOWN((uint64)main), PAGE));
	fact("nor is the stack", !fixed(PGROUNDDOWN((uint64)&end), PAGE));
	m = fixed(end, PAGE);
	fact("the page behind it is", m == (char *)end);
	m[1] = 'm';
	fact("then the heap is at its end", sbrk(2 * PAGE) == SBRK_ERROR);
	fact("and has not grown", PGROUNDUP((uint64)sbrk(0)) == end);
	fact("without it it is not",
	     munmap(m) == 0 && sbrk(2 * PAGE) != SBRK_ERROR);
	fact("and has zeros there", m[1] == 0);

	fact("the last page of all is below TRAPFRAME",
	     !fixed(TRAPFRAME, PAGE) && !fixed(TRAPFRAME - PAGE, 2 * PAGE));
	for (i = 0; i < 8; i++)
		low += (uint64)mmap(0, 1000 * PAGE, ANON) < MAXVA / 2;
	fact("places are chosen far from it", low == 0);
	fact("as if a hint is taken", (uint64)mmap(m, PAGE, ANON) > MAXVA / 2);
	exit(0);
}
