/* SPDX-License-Identifier: MIT */
/*
 * The heap: sbrk, and malloc on top of it
 *
 * Pages that sbrk adds are there at once, zeroed; those it takes away are given
 * back. malloc keeps free blocks in a list by address, takes the first that is
 * large enough, and joins neighbours when one is freed.
 */
#include <sys/mman.h>

#include "internal.h"
#include "layer.h"

/* ---- sbrk --------------------------------------------------------------------*/

/* Is there as much physical memory in the machine that xv6 runs on? */
static bool fits(uint64_t end)
{
	uint64_t image = program.image_end - program.image;
	uint64_t stack = STACK_PAGES * PAGE_BYTES;

	return end <= WINDOW_LOW &&
	       image + stack + page_up(end) - HEAP_LOW <= rules->memory;
}

static bool add_pages(uint64_t start, uint64_t end)
{
	int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE |
		    MAP_POPULATE;

	return start == end ||
	       mmap((void *)start, end - start, PROT_READ | PROT_WRITE, flags,
		    -1, 0) != MAP_FAILED;
}

static bool grow(uint64_t end)
{
	return fits(end) && add_pages(page_up(program.brk), page_up(end));
}

static bool shrink(uint64_t end)
{
	uint64_t from = page_up(end), bytes = page_up(program.brk) - from;

	return end >= HEAP_LOW && (!bytes || !munmap((void *)from, bytes));
}

char *call_sbrk(int bytes)
{
	uint64_t old = program.brk, end = old + (uint64_t)(int64_t)bytes;

	if (bytes > 0 ? !grow(end) : !shrink(end))
		return (char *)UINTPTR_MAX;
	program.brk = end;
	return (char *)old;
}

/* ---- malloc ----------------------------------------------------------------- */

/* Before each block; sizes are of block and header, multiples of it. */
struct block {
	struct block *next; /* while it is free */
	uint64_t size;
};

#define LEAST 32768u /* bytes asked of sbrk at a time */

static struct block *first_free;

static bool meets(const struct block *block, const struct block *next)
{
	return next && (uint64_t)block + block->size == (uint64_t)next;
}

static void join_next(struct block *block)
{
	if (meets(block, block->next)) {
		block->size += block->next->size;
		block->next = block->next->next;
	}
}

static void give(struct block *block)
{
	struct block *before = NULL, **link = &first_free;

	while (*link && *link < block) {
		before = *link;
		link = &before->next;
	}
	block->next = *link;
	*link = block;
	join_next(block);
	if (before)
		join_next(before);
}

static bool get_more(uint64_t size)
{
	struct block *block;

	size = max_u64(size, LEAST);
	if (size > INT32_MAX)
		return false;
	/* Blocks are aligned, whatever the program's own sbrk has left. */
	call_sbrk((int)(-program.brk & (sizeof(*block) - 1)));
	block = (struct block *)(void *)call_sbrk((int)size);
	if ((uintptr_t)block == UINTPTR_MAX)
		return false;
	block->size = size;
	give(block);
	return true;
}

static struct block *take(uint64_t size)
{
	struct block **link = &first_free, *block;

	while (*link && (*link)->size < size)
		link = &(*link)->next;
	block = *link;
	if (!block)
		return NULL;
	if (block->size == size) {
		*link = block->next;
		return block;
	}
	block->size -= size; /* its end is taken */
	block = (struct block *)(void *)((char *)block + block->size);
	block->size = size;
	return block;
}

void *call_malloc(uint bytes)
{
	uint64_t unit = sizeof(struct block);
	uint64_t size = (bytes + 2 * unit - 1) / unit * unit;
	struct block *block = take(size);

	if (!block && get_more(size))
		block = take(size);
	return block ? block + 1 : NULL;
}

void call_free(void *memory)
{
	if (memory)
		give((struct block *)memory - 1);
}
