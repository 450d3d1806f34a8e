/* SPDX-License-Identifier: MIT */
/* A grown file mapping writes the grown part too. */
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
	int fd = file("f", 2 * PAGE), size;
	char *m = mmap(0, PAGE, RW, MAP_SHARED | MAP_GROWSUP, fd, 0);

	fact("the page above is the file's", m[PAGE] == byte(PAGE));
	m[PAGE + 1] = 'X';
	m[2 * PAGE] = 'Y';
	m[3 * PAGE + 5] = 'Z';
	fact("unmapped", munmap(m, 4 * PAGE) == 0);
	fact("the grown part is in the file",
	     look("f", PAGE + 1) == 'X' && look("f", 2 * PAGE) == 'Y' &&
		     look("f", 3 * PAGE + 5) == 'Z');
	fact("what was between is zeros", look("f", 3 * PAGE + 4) == 0);
	size = size_of("f");
	fact("which is as long as what was grown into", size == 4 * PAGE);

	fd = file("g", PAGE);
	m = mmap(0, PAGE, RW, MAP_PRIVATE | MAP_GROWSUP, fd, 0);
	m[PAGE] = 'X';
	munmap(m, 2 * PAGE);
	fact("a private one grows alone", size_of("g") == PAGE);
	exit();
}
