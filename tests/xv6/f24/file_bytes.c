/* SPDX-License-Identifier: MIT */
/* A file page is the file's bytes, and zeros past its end. */
#include "types.h"
#include "stat.h"
#include "user.h"
#include "fcntl.h"
#include "wmap.h"
#include "../fact.h"

#define FILE (MAP_FIXED | MAP_SHARED)

int main(void)
{
	int fd = file("f", PAGE + 100), i, same = 0, zero = 0;

	wmap(FIRST, 4 * PAGE, FILE, fd);
	for (i = 0; i < PAGE + 100; i++)
		same += at(FIRST)[i] == byte(i);
	fact("the file's bytes", same == PAGE + 100);
	for (i = PAGE + 100; i < 2 * PAGE; i++)
		zero += at(FIRST)[i] == 0;
	fact("zeros to the end of the page", zero == PAGE - 100);
	fact("two pages", loaded(FIRST) == 2);
	fact("zeros in a page behind the end", at(FIRST)[3 * PAGE + 8] == 0);
	fact("which is loaded", loaded(FIRST) == 3);
	wunmap(FIRST);
	fact("looking changes nothing", size_of("f") == PAGE + 100);
	exit();
}
