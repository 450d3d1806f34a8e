/* SPDX-License-Identifier: MIT */
/* Shared mappings stay one memory in S24, whatever goes first. */
#include "types.h"
#include "stat.h"
#include "user.h"
#include "fcntl.h"
#include "wmap.h"
#include "../fact.h"

int main(void)
{
	int up[2], down[2];
	uint m = wmap(0, 4 * PAGE, MAP_SHARED | MAP_ANONYMOUS, -1);

	pipe(up);
	pipe(down);
	if (fork() == 0) {
		at(m)[PAGE] = 'c';
		tell(up);
		hear(down);
		fact("the parent's is seen", at(m)[2 * PAGE] == 'p');
		fact("the child unmaps", wunmap(m) == SUCCESS);
		exit();
	}
	hear(up);
	fact("the child's is seen", at(m)[PAGE] == 'c');
	at(m)[2 * PAGE] = 'p';
	tell(down);
	wait();
	fact("the parent's is still there",
	     at(m)[PAGE] == 'c' && at(m)[2 * PAGE] == 'p' && total() == 1);
	exit();
}
