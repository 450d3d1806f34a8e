/* SPDX-License-Identifier: MIT */
/* In a child the same pages are in the same frames, until they are written. */
#include "types.h"
#include "stat.h"
#include "user.h"
#include "fcntl.h"
#include "wmap.h"
#include "../fact.h"

static struct pgdirinfo parent, child;
static int variable[3000];

static uint frame(struct pgdirinfo *info, uint va)
{
	uint i;

	for (i = 0; i < info->n_upages && i < 32; i++)
		if (info->va[i] == (va & ~(PAGE - 1)))
			return info->pa[i];
	return 0;
}

int main(void)
{
	uint m = wmap(0, 4 * PAGE, MAP_SHARED | MAP_ANONYMOUS, -1);
	uint v = (uint)&variable[1500];

	at(m)[PAGE] = 1;
	getpgdirinfo(&parent);
	getpgdirinfo(&parent);
	if (fork() == 0) {
		getpgdirinfo(&child);
		fact("as many", child.n_upages == parent.n_upages);
		fact("shared memory is one frame",
		     frame(&child, m + PAGE) == frame(&parent, m + PAGE));
		fact("ordinary too, before a write",
		     frame(&child, v) == frame(&parent, v));
		variable[1500] = 1;
		getpgdirinfo(&child);
		fact("not after", frame(&child, v) != frame(&parent, v));
		fact("the shared one stays",
		     frame(&child, m + PAGE) == frame(&parent, m + PAGE));
		exit();
	}
	wait();
	exit();
}
