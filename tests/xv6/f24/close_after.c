/* SPDX-License-Identifier: MIT */
/* A file mapping outlives close, and the descriptor's use for another file. */
#include "types.h"
#include "stat.h"
#include "user.h"
#include "fcntl.h"
#include "wmap.h"
#include "../fact.h"

#define FILE (MAP_FIXED | MAP_SHARED)

int main(void)
{
	int fd = file("one", 2 * PAGE), other;

	fact("mapped", wmap(FIRST, 2 * PAGE, FILE, fd) == FIRST);
	close(fd);
	fact("shows the file after close", at(FIRST)[10] == byte(10));
	other = file("two", 3);
	fact("the descriptor is used again", other == fd);
	write(other, "zzzz", 4);
	fact("and still shows its own file",
	     at(FIRST)[PAGE + 9] == byte(PAGE + 9));
	at(FIRST)[PAGE + 1] = 'X';
	fact("unmaps", wunmap(FIRST) == SUCCESS);
	fact("into its own file", look("one", PAGE + 1) == 'X');
	fact("and not the other", size_of("two") == 7);
	exit();
}
