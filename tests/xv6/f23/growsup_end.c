/* SPDX-License-Identifier: MIT */
/* MAP_GROWSUP: the last page of the window stays free. */
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
	char *m = (char *)0x7fffd000;

	mmap(m, PAGE, RW, FLAGS | MAP_GROWSUP, -1, 0);
	m[PAGE] = 1;
	fact("the last page but one", m[PAGE] == 1);
	m[2 * PAGE] = 1;
	printf(1, "FAILED lived\n");
	exit();
}
