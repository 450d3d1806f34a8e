/* SPDX-License-Identifier: MIT */
/* Unmapping writes back what was loaded, each page to its own place, never beyond the length. */
#include "types.h"
#include "stat.h"
#include "user.h"
#include "fcntl.h"
#include "wmap.h"
#include "../fact.h"

#define FILE (MAP_FIXED | MAP_SHARED)

int main(void)
{
	int fd = file("f", 5000), other, i, same = 1;

	wmap(FIRST, 5000, FILE, fd);
	for (i = 0; i < 2 * PAGE; i++)
		at(FIRST)[i] = 'X';
	fact("unmapped", wunmap(FIRST) == SUCCESS);
	fact("the last byte is in the file", look("f", 4999) == 'X');
	fact("which is no longer", size_of("f") == 5000);

	fd = file("sparse", 6 * PAGE);
	wmap(FIRST, 6 * PAGE, FILE, fd);
	at(FIRST)[PAGE + 1] = 'X';
	at(FIRST)[4 * PAGE + 2] = 'Y';
	other = open("sparse", O_RDWR);
	write(other, "nobody loaded this", 18);
	wunmap(FIRST);
	fact("two pages", look("sparse", PAGE + 1) == 'X' &&
				  look("sparse", 4 * PAGE + 2) == 'Y');
	fact("a page not loaded is not written", look("sparse", 0) == 'n');
	for (i = 2 * PAGE; i < 6 * PAGE; i += 511)
		same &= i == 4 * PAGE + 2 || look("sparse", i) == byte(i);
	fact("all else is as it was", same);
	fact("nor is it longer", size_of("sparse") == 6 * PAGE);

	fd = file("short", 10);
	wmap(FIRST, 3 * PAGE, FILE, fd);
	at(FIRST)[PAGE + 9] = 'X';
	wunmap(FIRST);
	fact("a short file", look("short", PAGE + 9) == 'X');
	fact("does not become longer than the mapping",
	     size_of("short") <= 3 * PAGE);
	exit();
}
