/* SPDX-License-Identifier: MIT */
/* printf knows %d %x %p %s %c %%. */
#include "types.h"
#include "stat.h"
#include "user.h"
#include "fcntl.h"
#include "wmap.h"
#include "../fact.h"

int main(void)
{
	printf(1, "%d %d %d\n", 0, -2147483647 - 1, 2147483647);
	printf(1, "%x %x %x\n", 0, 0xabcdef, -1);
	printf(1, "%p\n", (void *)0x60001000);
	printf(1, "%s|%s|%s\n", "text", "", (char *)0);
	printf(1, "%c%c\n", 'o', 'k');
	printf(1, "100%%\n");
	printf(1, "%q %5d\n");
	printf(1, "%d %s %d %s %d %s %d %s\n", 1, "a", 2, "b", 3, "c", 4, "d");
	printf(2, "the console is one\n");
	printf(7, "nobody hears this\n");
	printf(1, "the end, without a newline");
	exit();
}
