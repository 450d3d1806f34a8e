/* SPDX-License-Identifier: MIT */
/* At most 16 mappings, chosen or fixed, shared or private. */
#include "types.h"
#include "stat.h"
#include "user.h"
#include "fcntl.h"
#include "wmap.h"
#include "../fact.h"

int main(void)
{
	int i, good = 0;

	for (i = 0; i < 16; i++)
		good += wmap(i % 2 ? 0x70000000 + i * PAGE : 0, 100,
			     MAP_ANONYMOUS |
				     (i % 3 ? MAP_SHARED : MAP_PRIVATE) |
				     (i % 2 ? MAP_FIXED : 0),
			     -1) != (uint)-1;
	fact("16", good == 16 && total() == 16);
	fact("no 17th", wmap(0, 1, MAP_ANONYMOUS | MAP_SHARED, -1) == (uint)-1);
	wunmap(0x70000000 + 3 * PAGE);
	fact("one for one",
	     wmap(0, 1, MAP_ANONYMOUS | MAP_PRIVATE, -1) != (uint)-1);
	fact("and no more",
	     wmap(0, 1, MAP_ANONYMOUS | MAP_PRIVATE, -1) == (uint)-1);
	exit();
}
