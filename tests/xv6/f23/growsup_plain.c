/* SPDX-License-Identifier: MIT */
/* Without MAP_GROWSUP nothing grows. */
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

	mmap(m, PAGE, RW, FLAGS, -1, 0);
	m[0] = 1;
	fact("the page", m[0] == 1);
	m[PAGE] = 1;
	printf(1, "FAILED lived\n");
	exit();
}
