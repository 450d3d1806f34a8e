/* SPDX-License-Identifier: MIT */
/* A kernel access counts as a touch. */
#include "types.h"
#include "stat.h"
#include "user.h"
#include "fcntl.h"
#include "wmap.h"
#include "../fact.h"

#define ANON (MAP_FIXED | MAP_SHARED | MAP_ANONYMOUS)
#define FILE (MAP_FIXED | MAP_SHARED)
#define M    (FIRST + 16 * PAGE)

int main(void)
{
	int fd = file("f", 3 * PAGE), out, pipes[2];

	close(fd);
	fd = open("f", O_RDWR);
	wmap(FIRST, 4 * PAGE, ANON, -1);
	fact("read into an untouched page", read(fd, at(FIRST), 100) == 100);
	fact("brings the bytes", at(FIRST)[99] == byte(99));
	fact("loads it", loaded(FIRST) == 1);
	fact("read over two more", read(fd, at(FIRST) + 8000, 300) == 300);
	fact("loads them", loaded(FIRST) == 3);
	wmap(M, 3 * PAGE, FILE, fd);
	out = open("g", O_CREATE | O_RDWR);
	fact("write from an untouched page",
	     write(out, at(M) + PAGE, 10) == 10);
	fact("takes the bytes", look("g", 9) == byte(PAGE + 9));
	fact("loads it", loaded(M) == 1);
	pipe(pipes);
	fact("pipe into an untouched page",
	     pipe((int *)at(FIRST + 3 * PAGE)) == 0 && loaded(FIRST) == 4);
	fact("read to nowhere fails", read(fd, at(0x70000000), 10) == -1);
	exit();
}
