/* SPDX-License-Identifier: MIT */
/* Huge pages (huge.h) */
#include <sys/mman.h>

#include "huge.h"
#include "space.h"
#include "sys.h"

#define SIZE (HUGE_PAGES << PAGE_SHIFT)

bool huge_fits(const struct mapping *mapping, uint64_t address, uint64_t count)
{
	const struct space *space = mapping->space;

	return count == HUGE_PAGES && !(address & (SIZE - 1)) && space->home &&
	       space->features & WMAP_FEATURE_MOVE &&
	       mapping->prot == (PROT_READ | PROT_WRITE) &&
	       !(mapping->flags & MAPPING_COURSE);
}

/* Populated memory, aligned in a piece of twice the size. It is made anew each time:
   what has had small pages once would have no huge one any more. */
static int make(uint64_t *piece, uint64_t *from)
{
	long got = sys_map(0, 2 * SIZE, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	int error;

	if (sys_failed(got))
		return (int)got;
	*piece = (uint64_t)got;
	*from = (*piece + SIZE - 1) & ~(SIZE - 1);
	sys_call(SYS_madvise, *piece, 2 * SIZE, MADV_DONTFORK);
	sys_call(SYS_madvise, *from, SIZE, MADV_HUGEPAGE);
	error = (int)sys_call(SYS_madvise, *from, SIZE, MADV_POPULATE_WRITE);
	if (error)
		sys_unmap(*piece, 2 * SIZE);
	return error;
}

int huge_put(const struct mapping *mapping, uint64_t address, uint64_t *done)
{
	uint64_t piece, from;
	int error = make(&piece, &from);

	*done = 0;
	if (error)
		return error;
	error = uffd_move(mapping->space->uffd, address, from, SIZE, done);
	sys_unmap(piece, 2 * SIZE);
	return error;
}
