/* SPDX-License-Identifier: MIT */
/* A file mapping needs an open file. */
#include "types.h"
#include "stat.h"
#include "user.h"
#include "fcntl.h"
#include "wmap.h"
#include "../fact.h"

#define FILE (MAP_FIXED | MAP_SHARED)

int main(void)
{
	int fd = file("f", 100), pipes[2];

	fact("-1 fails", wmap(FIRST, PAGE, FILE, -1) == FAILED);
	fact("a descriptor never opened fails",
	     wmap(FIRST, PAGE, FILE, 9) == FAILED);
	fact("one beyond all fails", wmap(FIRST, PAGE, FILE, 16) == FAILED);
	fact("and far beyond", wmap(FIRST, PAGE, FILE, 203) == FAILED);
	close(fd);
	fact("a closed one fails", wmap(FIRST, PAGE, FILE, fd) == FAILED);
	pipe(pipes);
	fact("a pipe fails", wmap(FIRST, PAGE, FILE, pipes[0]) == FAILED);
	fact("nothing is mapped", total() == 0);
	fd = open("f", O_RDWR);
	fact("an open file does", wmap(FIRST, PAGE, FILE, fd) == FIRST);
	exit();
}
