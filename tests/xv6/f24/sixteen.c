/* SPDX-License-Identifier: MIT */
/* At most 16 mappings; the 17th fails. */
#include "types.h"
#include "stat.h"
#include "user.h"
#include "fcntl.h"
#include "wmap.h"
#include "../fact.h"

#define ANON (MAP_FIXED | MAP_SHARED | MAP_ANONYMOUS)

int main(void)
{
	struct wmapinfo info;
	int i, good = 0, listed = 0;

	for (i = 0; i < MAX_WMMAP_INFO; i++)
		good += wmap(FIRST + 2 * i * PAGE, PAGE, ANON, -1) ==
			FIRST + 2 * i * PAGE;
	fact("16 are possible", good == 16);
	fact("the 17th fails",
	     wmap(FIRST + 64 * PAGE, PAGE, ANON, -1) == FAILED);
	getwmapinfo(&info);
	for (i = 0; i < info.total_mmaps; i++)
		listed += info.addr[i] == FIRST + 2 * i * PAGE &&
			  info.length[i] == PAGE && info.n_loaded_pages[i] == 0;
	fact("16 are told", info.total_mmaps == 16 && listed == 16);
	fact("one goes", wunmap(FIRST + 10 * PAGE) == SUCCESS);
	fact("another comes",
	     wmap(FIRST + 64 * PAGE, PAGE, ANON, -1) == FIRST + 64 * PAGE);
	fact("and no more", wmap(FIRST + 66 * PAGE, PAGE, ANON, -1) == FAILED);
	exit();
}
