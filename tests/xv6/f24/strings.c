/* SPDX-License-Identifier: MIT */
/* The rest of xv6's user library. */
#include "types.h"
#include "stat.h"
#include "user.h"
#include "fcntl.h"
#include "wmap.h"
#include "../fact.h"

int main(int argc, char **argv)
{
	char a[32], b[32], *p;
	struct st {
		int x;
	};

	fact("argv",
	     argc == 1 && !strcmp(argv[0] + strlen(argv[0]) - 7, "strings"));
	fact("strcpy", strcpy(a, "hello") == a && !strcmp(a, "hello"));
	fact("strcmp", strcmp("a", "b") < 0 && strcmp("b", "a") > 0 &&
			       strcmp("a", "ab") < 0 && strcmp("", "") == 0 &&
			       strcmp("\x80", "a") > 0);
	fact("strlen", strlen("") == 0 && strlen("hello") == 5);
	p = strchr(a, 'l');
	fact("strchr", p == a + 2 && strchr(a, 'z') == 0);
	fact("memset", memset(b, 'x', 31) == b && b[30] == 'x');
	b[31] = 0;
	fact("all of it", strlen(b) == 31);
	memmove(a + 1, a, 6);
	fact("memmove up", !strcmp(a, "hhello"));
	memmove(a, a + 1, 6);
	fact("memmove down", !strcmp(a, "hello"));
	fact("atoi", atoi("1234x") == 1234 && atoi("") == 0);
	fact("gets at the end", gets(a, 10) == a && a[0] == 0);
	exit();
}
