/* SPDX-License-Identifier: MIT */
/* wunmap takes the exact start, and all of the mapping. */
#include "types.h"
#include "stat.h"
#include "user.h"
#include "fcntl.h"
#include "wmap.h"
#include "../fact.h"

#define ANON (MAP_FIXED | MAP_SHARED | MAP_ANONYMOUS)
#define M    (FIRST + PAGE)

static void touch_last(void)
{
	at(M)[3 * PAGE] = 1;
}

int main(void)
{
	wmap(M, 4 * PAGE, ANON, -1);
	at(M)[PAGE] = 'x';
	fact("an inner page fails", wunmap(M + PAGE) == FAILED);
	fact("an inner byte fails", wunmap(M + 1) == FAILED);
	fact("the page below fails", wunmap(M - PAGE) == FAILED);
	fact("its end fails", wunmap(M + 4 * PAGE) == FAILED);
	fact("0 fails", wunmap(0) == FAILED);
	fact("-1 fails", wunmap(-1) == FAILED);
	fact("nothing has changed",
	     total() == 1 && loaded(M) == 1 && at(M)[PAGE] == 'x');
	fact("its start does", wunmap(M) == SUCCESS);
	fact("all of it is gone", total() == 0);
	dies("also its last page", touch_last);
	fact("twice fails", wunmap(M) == FAILED);
	exit();
}
