/* SPDX-License-Identifier: MIT */
/* A shared file mapping is written back at exit, a private one not. */
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
	int fd = file("f", 3000);
	char *m;

	if (fork() == 0) {
		m = mmap(0, 3000, RW, MAP_SHARED, fd, 0);
		m[2999] = 'X';
		m[3500] = 'Y';
		m = mmap(0, 3000, RW, MAP_PRIVATE, fd, 0);
		m[1] = 'P';
		exit();
	}
	wait();
	fact("shared", look("f", 2999) == 'X');
	fact("never beyond the length", size_of("f") == 3000);
	fact("not private", look("f", 1) == byte(1));
	exit();
}
