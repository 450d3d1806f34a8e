/* SPDX-License-Identifier: MIT */
/* Of 70,000 pages mapped, one touched is one loaded. */
#include "types.h"
#include "stat.h"
#include "user.h"
#include "fcntl.h"
#include "wmap.h"
#include "../fact.h"

#define ANON (MAP_FIXED | MAP_SHARED | MAP_ANONYMOUS)

int main(void)
{
	int pages = 70000, start = uptime(), i;

	fact("70,000 pages", wmap(FIRST, pages * PAGE, ANON, -1) == FIRST);
	at(FIRST)[54321 * PAGE + 17] = 1;
	fact("load one", loaded(FIRST) == 1);
	for (i = 0; i < pages; i += 7000)
		at(FIRST)[i * PAGE] = 1;
	fact("and ten more", loaded(FIRST) == 11);
	fact("go", wunmap(FIRST) == SUCCESS);
	fact("the whole window", wmap(FIRST, 131072 * PAGE, ANON, -1) == FIRST);
	fact("takes no time", uptime() - start < 100);
	exit();
}
