/* SPDX-License-Identifier: MIT */
/* Where there is no room anywhere, growing fails and nothing changes. */
#include "types.h"
#include "stat.h"
#include "user.h"
#include "fcntl.h"
#include "wmap.h"
#include "../fact.h"

#define ANON (MAP_FIXED | MAP_SHARED | MAP_ANONYMOUS)

int main(void)
{
	wmap(FIRST, PAGE, ANON, -1);
	wmap(FIRST + PAGE, 0x10000000, ANON, -1);
	at(FIRST)[0] = 'x';
	fact("too large for the window",
	     wremap(FIRST, PAGE, 0x7fffffff, MREMAP_MAYMOVE) == (uint)-1);
	fact("too large for what is left",
	     wremap(FIRST, PAGE, 0x10000000, MREMAP_MAYMOVE) == (uint)-1);
	fact("nothing has changed", total() == 2 && length(FIRST) == PAGE &&
					    loaded(FIRST) == 1 &&
					    at(FIRST)[0] == 'x');
	exit();
}
