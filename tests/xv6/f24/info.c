/* SPDX-License-Identifier: MIT */
/* getwmapinfo: lengths as requested, packed; a bad pointer fails. */
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
	int i;

	fact("none at first",
	     getwmapinfo(&info) == SUCCESS && info.total_mmaps == 0);
	wmap(FIRST, 0x4008, ANON, -1);
	wmap(FIRST + 0x10000, 1, ANON, -1);
	wmap(FIRST + 0x20000, 0x5000, ANON, -1);
	at(FIRST + 0x20000)[0x3000] = 1;
	fact("0x4008 stays", length(FIRST) == 0x4008);
	fact("1 stays", length(FIRST + 0x10000) == 1);
	fact("0x5000 stays", length(FIRST + 0x20000) == 0x5000);
	wunmap(FIRST);
	getwmapinfo(&info);
	fact("two are left", info.total_mmaps == 2);
	fact("without a hole",
	     info.addr[0] == FIRST + 0x10000 && info.length[0] == 1 &&
		     info.n_loaded_pages[0] == 0 &&
		     info.addr[1] == FIRST + 0x20000 &&
		     info.length[1] == 0x5000 && info.n_loaded_pages[1] == 1);
	fact("no pointer fails", getwmapinfo(0) == FAILED);
	fact("one to nowhere fails",
	     getwmapinfo((struct wmapinfo *)0x50000000) == FAILED);
	fact("one to code fails",
	     getwmapinfo((struct wmapinfo *)(uint)main) == FAILED);
	i = getwmapinfo((struct wmapinfo *)at(FIRST + 0x21000));
	fact("one into a mapping is a touch",
	     i == SUCCESS && loaded(FIRST + 0x20000) == 2);
	exit();
}
