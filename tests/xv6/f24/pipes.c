/* SPDX-License-Identifier: MIT */
/* Pipes, and who holds which end. */
#include "types.h"
#include "stat.h"
#include "user.h"
#include "fcntl.h"
#include "wmap.h"
#include "../fact.h"

int main(void)
{
	char buf[16];
	int p[2], n;

	fact("pipe", pipe(p) == 0 && p[0] == 3 && p[1] == 4);
	wmap(FIRST, PAGE, MAP_FIXED | MAP_SHARED | MAP_ANONYMOUS, -1);
	if (fork() == 0) {
		close(p[0]);
		write(p[1], "from the child", 15);
		exit();
	}
	close(p[1]);
	n = read(p[0], buf, sizeof(buf));
	fact("carries bytes", n == 15 && !strcmp(buf, "from the child"));
	fact("ends with its writers", read(p[0], buf, 1) == 0);
	wait();
	close(p[0]);
	pipe(p);
	close(p[0]);
	fact("without readers write fails", write(p[1], "x", 1) == -1);
	close(p[1]);
	pipe(p);
	if (fork() == 0) {
		close(1);
		dup(p[1]);
		printf(1, "printed");
		exit();
	}
	wait();
	n = read(p[0], buf, sizeof(buf));
	buf[n] = 0;
	fact("takes the place of the console", !strcmp(buf, "printed"));
	exit();
}
