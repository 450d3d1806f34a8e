/* SPDX-License-Identifier: MIT */
/* getpgdirinfo counts all the user pages, and tells the first 32, ascending. */
#include "types.h"
#include "stat.h"
#include "user.h"
#include "fcntl.h"
#include "wmap.h"
#include "../fact.h"

static struct pgdirinfo info;

static int ascending(void)
{
	uint i, n = info.n_upages < 32 ? info.n_upages : 32;

	for (i = 1; i < n; i++)
		if (info.va[i] <= info.va[i - 1])
			return 0;
	return 1;
}

/* Is it among those told, with a frame of its own? */
static int told(uint va)
{
	uint i, k, n = info.n_upages < 32 ? info.n_upages : 32;

	for (i = 0; i < n; i++)
		if (info.va[i] == va)
			break;
	if (i == n || info.pa[i] < 0x100000 || info.pa[i] >= 0xE000000)
		return 0;
	for (k = 0; k < n; k++)
		if (k != i && info.pa[k] == info.pa[i])
			return 0;
	return 1;
}

int main(void)
{
	int local = 0, i;
	uint before;
	char *heap;
	uint m;

	fact("it answers", getpgdirinfo(&info) == SUCCESS);
	before = info.n_upages;
	fact("the program has a few pages", before >= 3 && before < 16);
	fact("the first is at 0", told(0) && info.va[0] == 0);
	fact("its data is there", told((uint)&info & ~(PAGE - 1)));
	fact("and its stack", told((uint)&local & ~(PAGE - 1)));
	m = wmap(0x60000000, 64 * PAGE, MAP_FIXED | MAP_SHARED | MAP_ANONYMOUS,
		 -1);
	getpgdirinfo(&info);
	fact("mapping adds none", info.n_upages == before);
	at(m)[2 * PAGE] = 1;
	at(m)[5 * PAGE] = 1;
	getpgdirinfo(&info);
	fact("touches add theirs", info.n_upages == before + 2);
	fact("which are told", told(m + 2 * PAGE) && told(m + 5 * PAGE));
	fact("and no other", !told(m) && !told(m + 3 * PAGE));
	fact("in order", ascending());
	heap = sbrk(3 * PAGE);
	getpgdirinfo(&info);
	fact("a heap adds its own",
	     info.n_upages == before + 5 && told((uint)heap));
	sbrk(-2 * PAGE);
	getpgdirinfo(&info);
	fact("and gives it back", info.n_upages == before + 3);
	for (i = 0; i < 40; i++)
		at(m)[(i + 8) * PAGE] = 1;
	getpgdirinfo(&info);
	fact("beyond 32 they count", info.n_upages == before + 43);
	fact("the first 32 are told, ascending", ascending() && info.va[31]);
	wunmap(m);
	getpgdirinfo(&info);
	fact("unmapped ones do not", info.n_upages == before + 1);
	fact("a bad pointer fails", getpgdirinfo(0) == FAILED);
	exit();
}
