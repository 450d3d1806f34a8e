/* SPDX-License-Identifier: MIT */
/* MAP_GROWSUP: one page stays free below the next mapping. */
#include "types.h"
#include "stat.h"
#include "user.h"
#include "fcntl.h"
#include "mmap.h"
#include "../fact.h"

#define RW    (PROT_READ | PROT_WRITE)
#define FLAGS (MAP_FIXED | MAP_SHARED | MAP_ANON)

int main(void)
{
	char *m = (char *)FIRST;

	mmap(m, PAGE, RW, FLAGS | MAP_GROWSUP, -1, 0);
	mmap(m + 4 * PAGE, PAGE, RW, FLAGS, -1, 0);
	m[PAGE] = 1;
	m[2 * PAGE] = 1;
	fact("two pages", m[2 * PAGE] == 1);
	m[3 * PAGE] = 1;
	printf(1, "FAILED lived\n");
	exit();
}
