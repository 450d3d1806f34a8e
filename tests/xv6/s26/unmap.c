/* SPDX-License-Identifier: MIT */
/* munmap takes the exact start, and all of the mapping. */
#include "kernel/types.h"
#include "kernel/stat.h"
#include "kernel/riscv.h"
#include "kernel/mmap.h"
#include "user/user.h"
#include "fact.h"

#define ANON (MAP_SHARED | MAP_ANONYMOUS)

static char *m;

static void touch(void)
{
	m[2 * PAGE] = 1;
}

int main(void)
{
	m = mmap(0, 3 * PAGE, ANON);
	fact("mapping loads nothing", loaded(m) == 0);
	m[PAGE] = 1;
	fact("a touch loads one", loaded(m) == 1);
	fact("an inner page fails", munmap(m + PAGE) == -1);
	fact("an inner byte fails", munmap(m + 1) == -1);
	fact("nothing fails", munmap(0) == -1);
	fact("its start does", munmap(m) == 0 && total() == 0);
	dies("all of it", touch);
	fact("twice fails", munmap(m) == -1);
	exit(0);
}
