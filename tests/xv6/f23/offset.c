/* SPDX-License-Identifier: MIT */
/* A file may be mapped from a page of it on. */
#include "types.h"
#include "stat.h"
#include "user.h"
#include "fcntl.h"
#include "mmap.h"
#include "../fact.h"

#define RW   (PROT_READ | PROT_WRITE)
#define NONE ((void *)-1)

int main(void)
{
	int fd = file("f", 3 * PAGE);
	char *m = mmap(0, 2 * PAGE, RW, MAP_SHARED, fd, PAGE);

	fact("mapped", m != NONE && m[0] == byte(PAGE));
	m[PAGE + 3] = 'X';
	munmap(m, 2 * PAGE);
	fact("written to its place", look("f", 2 * PAGE + 3) == 'X');
	fact("the file is no longer", size_of("f") == 3 * PAGE);
	fact("an odd offset fails",
	     mmap(0, PAGE, RW, MAP_SHARED, fd, 5) == NONE);
	exit();
}
