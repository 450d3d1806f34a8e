/* SPDX-License-Identifier: MIT */
/* The descriptor's offset neither matters nor moves. */
#include "types.h"
#include "stat.h"
#include "user.h"
#include "fcntl.h"
#include "wmap.h"
#include "../fact.h"

#define FILE (MAP_FIXED | MAP_SHARED)

int main(void)
{
	int fd = file("f", 2 * PAGE);
	char c;

	close(fd);
	fd = open("f", O_RDWR);
	read(fd, &c, 1);
	wmap(FIRST, 2 * PAGE, FILE, fd);
	fact("page 0 begins with byte 0", at(FIRST)[0] == byte(0));
	fact("page 1 is in its place", at(FIRST)[PAGE] == byte(PAGE));
	read(fd, &c, 1);
	fact("the offset has not moved", c == byte(1));
	at(FIRST)[PAGE + 5] = 'X';
	wunmap(FIRST);
	read(fd, &c, 1);
	fact("nor by writing back", c == byte(2));
	fact("which went to its own place", look("f", PAGE + 5) == 'X');
	exit();
}
