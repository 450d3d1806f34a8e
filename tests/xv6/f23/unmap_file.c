/* SPDX-License-Identifier: MIT */
/* What is unmapped of a shared file is written back; private changes are not. */
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
	int fd = file("f", 4 * PAGE), n = size_of("f");
	char *m = mmap(0, 4 * PAGE, RW, MAP_SHARED, fd, 0);
	char *p = mmap(0, 4 * PAGE, RW, MAP_PRIVATE, fd, 0);

	close(fd);
	fact("both show the file",
	     m[PAGE] == byte(PAGE) && p[2 * PAGE] == byte(2 * PAGE));
	m[PAGE] = 'X';
	m[2 * PAGE] = 'Y';
	p[3 * PAGE] = 'P';
	fact("a part goes", munmap(m + PAGE, PAGE) == 0);
	fact("and is written", look("f", PAGE) == 'X');
	fact("the rest is still mapped", m[2 * PAGE] == 'Y');
	fact("the rest goes", munmap(m, 4 * PAGE) == 0);
	fact("and is written too", look("f", 2 * PAGE) == 'Y');
	fact("the private one goes", munmap(p, 4 * PAGE) == 0);
	fact("and leaves no trace", look("f", 3 * PAGE) == byte(3 * PAGE));
	fact("the file is as long as before", size_of("f") == n);
	exit();
}
