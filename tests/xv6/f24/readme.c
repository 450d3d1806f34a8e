/* SPDX-License-Identifier: MIT */
/* README may be mapped, and reads the same through a mapping. */
#include "types.h"
#include "stat.h"
#include "user.h"
#include "fcntl.h"
#include "wmap.h"
#include "../fact.h"

int main(void)
{
	static char buf[8192];
	int fd = open("README", O_RDWR), n = read(fd, buf, sizeof(buf));
	int i, same = 0;

	fact("there is a README", n > 0 && n == size_of("README"));
	wmap(FIRST, n, MAP_FIXED | MAP_SHARED, fd);
	for (i = 0; i < n; i++)
		same += at(FIRST)[i] == buf[i];
	fact("mapped it reads the same", same == n);
	fact("in its pages", loaded(FIRST) == (n + PAGE - 1) / PAGE);
	exit();
}
