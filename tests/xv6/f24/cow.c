/* SPDX-License-Identifier: MIT */
/* After a fork ordinary memory is one, until somebody writes. */
#include "types.h"
#include "stat.h"
#include "user.h"
#include "fcntl.h"
#include "wmap.h"
#include "../fact.h"

int data = 5;
char bss[4 * PAGE];

static uint page(void *address)
{
	return va2pa((uint)address) / PAGE;
}

int main(void)
{
	char *heap = sbrk(2 * PAGE);
	uint data_pa, bss_pa, heap_pa, code_pa;
	int up[2], down[2];

	pipe(up);
	pipe(down);
	heap[0] = 'h';
	data_pa = page(&data);
	bss_pa = page(bss + 2 * PAGE);
	heap_pa = page(heap);
	code_pa = page((void *)(uint)main);
	if (fork() == 0) {
		fact("data is shared", page(&data) == data_pa);
		fact("what nobody wrote too", page(bss + 2 * PAGE) == bss_pa);
		fact("heap too", page(heap) == heap_pa);
		fact("code too", page((void *)(uint)main) == code_pa);
		fact("reading keeps it so",
		     heap[0] == 'h' && page(heap) == heap_pa);
		heap[0] = 'c';
		fact("writing ends it", page(heap) != heap_pa);
		bss[2 * PAGE] = 1;
		fact("for that page", page(bss + 2 * PAGE) != bss_pa);
		fact("only", page(bss + PAGE) != page(bss + 2 * PAGE) &&
				     page((void *)(uint)main) == code_pa);
		tell(up);
		hear(down);
		fact("the parent's write is not seen", heap[PAGE] == 0);
		exit();
	}
	hear(up);
	fact("the parent has what it had", heap[0] == 'h' && !bss[2 * PAGE]);
	fact("in its old frame", page(heap) == heap_pa);
	heap[PAGE] = 'p';
	tell(down);
	wait();
	exit();
}
