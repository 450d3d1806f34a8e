/* SPDX-License-Identifier: MIT */
/* fork, exit, wait, kill, getpid. */
#include "types.h"
#include "stat.h"
#include "user.h"
#include "fcntl.h"
#include "wmap.h"
#include "../fact.h"

int main(void)
{
	int me = getpid(), pid, p[2], other, i, n = 0;
	int variable = 1;

	pipe(p);
	fact("no child to wait for", wait() == -1);
	pid = fork();
	if (pid == 0) {
		variable = 2;
		other = getpid();
		write(p[1], &other, sizeof(other));
		exit();
	}
	read(p[0], &other, sizeof(other));
	fact("the child's number is fork's", other == pid && pid != me);
	fact("wait tells it", wait() == pid && wait() == -1);
	fact("its memory was its own", variable == 1);
	pid = fork();
	if (pid == 0)
		for (;;)
			sleep(100);
	fact("kill", kill(pid) == 0 && wait() == pid);
	fact("a process that is gone cannot be killed", kill(pid) == -1);
	fact("nor one that never was", kill(0) == -1 && kill(-1) == -1);
	pid = fork();
	if (pid == 0)
		for (;;)
			;
	fact("one that is busy", kill(pid) == 0 && wait() == pid);
	for (i = 0; i < 100; i++) {
		pid = fork();
		if (pid == 0) {
			hear(p);
			exit();
		}
		if (pid < 0)
			break;
		n++;
	}
	fact("there are 64 at most", n == 63);
	for (i = 0; i < n; i++)
		tell(p);
	for (i = 0; i < n; i++)
		wait();
	fact("and then again", wait() == -1);
	if (fork() == 0)
		exit();
	fact("one more", wait() > 0);
	exit();
}
