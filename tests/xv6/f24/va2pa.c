/* SPDX-License-Identifier: MIT */
/* va2pa: the physical address of whatever is loaded, else -1. */
#include "types.h"
#include "stat.h"
#include "user.h"
#include "fcntl.h"
#include "wmap.h"
#include "../fact.h"

#define ANON (MAP_FIXED | MAP_SHARED | MAP_ANONYMOUS)

int global = 3;
int zero[4096];

static int real(uint pa)
{
	return pa >= 0x100000 && pa < 0xE000000;
}

int main(void)
{
	char *heap = malloc(100);
	int local = 1;
	uint pa;

	fact("code", real(va2pa((uint)main)));
	fact("data", real(va2pa((uint)&global)));
	fact("data never written", real(va2pa((uint)&zero[2000])));
	fact("each page of it its own",
	     va2pa((uint)&zero[1024]) / PAGE !=
		     va2pa((uint)&zero[2048]) / PAGE);
	fact("stack", real(va2pa((uint)&local)));
	fact("heap", real(va2pa((uint)heap)));
	fact("a heap that nobody touched",
	     real(va2pa((uint)sbrk(3 * PAGE) + 2 * PAGE)));
	fact("address 0", real(va2pa(0)));
	fact("byte for byte", va2pa(7) == va2pa(0) + 7);
	fact("the page offset is in it",
	     va2pa((uint)&global) % PAGE == (uint)&global % PAGE);

	wmap(FIRST, 4 * PAGE, ANON, -1);
	fact("not loaded: -1", va2pa(FIRST) == (uint)-1);
	at(FIRST)[PAGE] = 1;
	pa = va2pa(FIRST + PAGE);
	fact("loaded", real(pa) && pa % PAGE == 0);
	fact("its last byte", va2pa(FIRST + 2 * PAGE - 1) == pa + PAGE - 1);
	fact("its neighbour is not", va2pa(FIRST + 2 * PAGE) == (uint)-1);
	fact("nothing was loaded by asking", loaded(FIRST) == 1);
	at(FIRST)[2 * PAGE] = 1;
	fact("another page, another frame", va2pa(FIRST + 2 * PAGE) != pa);
	fact("which stays", va2pa(FIRST + PAGE) == pa);
	wunmap(FIRST);
	fact("unmapped: -1", va2pa(FIRST + PAGE) == (uint)-1);
	fact("nowhere: -1", va2pa(0x50000000) == (uint)-1);
	fact("the kernel's: -1", va2pa(0x80000000) == (uint)-1);
	exit();
}
