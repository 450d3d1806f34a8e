/* SPDX-License-Identifier: MIT */
/* Pages that nobody touched before the fork are shared in both directions. */
#include "types.h"
#include "stat.h"
#include "user.h"
#include "fcntl.h"
#include "wmap.h"
#include "../fact.h"

#define ANON (MAP_FIXED | MAP_SHARED | MAP_ANONYMOUS)

int main(void)
{
	int up[2], down[2];

	pipe(up);
	pipe(down);
	wmap(FIRST, 8 * PAGE, ANON, -1);
	if (fork() == 0) {
		fact("a child has the mapping",
		     total() == 1 && length(FIRST) == 8 * PAGE);
		at(FIRST)[3 * PAGE] = 'c';
		tell(up);
		hear(down);
		fact("the parent's store is seen", at(FIRST)[5 * PAGE] == 'p');
		fact("and over its own", at(FIRST)[3 * PAGE] == 'q');
		exit();
	}
	hear(up);
	fact("the child's store is seen", at(FIRST)[3 * PAGE] == 'c');
	at(FIRST)[3 * PAGE] = 'q';
	at(FIRST)[5 * PAGE] = 'p';
	tell(down);
	wait();
	fact("after it has gone", at(FIRST)[3 * PAGE] == 'q');
	exit();
}
