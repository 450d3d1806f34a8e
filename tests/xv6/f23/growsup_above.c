/* SPDX-License-Identifier: MIT */
/* MAP_GROWSUP: the page just above, and none further. */
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

	mmap(m, 2 * PAGE, RW, FLAGS | MAP_GROWSUP, -1, 0);
	m[2 * PAGE] = 1;
	fact("the page above", m[2 * PAGE] == 1);
	m[4 * PAGE] = 1;
	printf(1, "FAILED lived\n");
	exit();
}
