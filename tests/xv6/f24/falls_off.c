/* SPDX-License-Identifier: MIT */
/* main may end by falling off its end. */
#include "types.h"
#include "stat.h"
#include "user.h"
#include "fcntl.h"
#include "wmap.h"
#include "../fact.h"

int main(void)
{
	int fd = file("f", 10);

	wmap(FIRST, 10, MAP_FIXED | MAP_SHARED, fd);
	if (fork() == 0) {
		at(FIRST)[1] = 'X';
		return 0;
	}
	wait();
	fact("the child's store is in the file", look("f", 1) == 'X');
}
