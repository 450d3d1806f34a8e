/* SPDX-License-Identifier: MIT */
/* A shared file mapping is one memory in parent and child, and reaches the file. */
#include "types.h"
#include "stat.h"
#include "user.h"
#include "fcntl.h"
#include "wmap.h"
#include "../fact.h"

#define FILE (MAP_FIXED | MAP_SHARED)

int main(void)
{
	int fd = file("f", 3 * PAGE), up[2], down[2];

	pipe(up);
	pipe(down);
	wmap(FIRST, 3 * PAGE, FILE, fd);
	close(fd);
	if (fork() == 0) {
		fact("the child sees the file", at(FIRST)[PAGE] == byte(PAGE));
		at(FIRST)[PAGE] = 'C';
		tell(up);
		hear(down);
		fact("and the parent's store", at(FIRST)[2 * PAGE] == 'P');
		fact("and unmaps", wunmap(FIRST) == SUCCESS);
		exit();
	}
	hear(up);
	fact("the parent sees the child's", at(FIRST)[PAGE] == 'C');
	at(FIRST)[2 * PAGE] = 'P';
	tell(down);
	wait();
	at(FIRST)[0] = 'X';
	fact("the parent unmaps", wunmap(FIRST) == SUCCESS);
	fact("all is in the file", look("f", 0) == 'X' &&
					   look("f", PAGE) == 'C' &&
					   look("f", 2 * PAGE) == 'P');
	fact("which is as long as before", size_of("f") == 3 * PAGE);
	exit();
}
