/* SPDX-License-Identifier: MIT */
/* sleep counts ticks, 100 a second; so does uptime. */
#include "types.h"
#include "stat.h"
#include "user.h"
#include "fcntl.h"
#include "wmap.h"
#include "../fact.h"

int main(void)
{
	int before = uptime(), after;

	fact("uptime is small", before >= 0 && before < 1000);
	fact("sleep", sleep(20) == 0);
	after = uptime();
	fact("20 ticks are 20 at least", after - before >= 20);
	fact("and not many more", after - before < 120);
	fact("0 ticks are none", sleep(0) == 0);
	exit();
}
