/* SPDX-License-Identifier: MIT */
/* Sharing goes on when a child unmaps, or exits, or is killed. */
#include "types.h"
#include "stat.h"
#include "user.h"
#include "fcntl.h"
#include "wmap.h"
#include "../fact.h"

#define ANON (MAP_FIXED | MAP_SHARED | MAP_ANONYMOUS)

static void touch(void)
{
	wunmap(FIRST);
	at(FIRST)[0] = 1;
}

int main(void)
{
	int up[2], down[2], pid;

	pipe(up);
	pipe(down);
	wmap(FIRST, 4 * PAGE, ANON, -1);
	at(FIRST)[0] = 'a';
	if (fork() == 0) {
		at(FIRST)[PAGE] = 'b';
		fact("a child unmaps",
		     wunmap(FIRST) == SUCCESS && total() == 0);
		exit();
	}
	wait();
	fact("its parent does not notice",
	     total() == 1 && at(FIRST)[0] == 'a' && at(FIRST)[PAGE] == 'b');
	dies("what a child unmapped is gone there", touch);
	pid = fork();
	if (pid == 0) {
		at(FIRST)[2 * PAGE] = 'k';
		tell(up);
		for (;;)
			sleep(100);
	}
	hear(up);
	kill(pid);
	fact("a child is killed", wait() == pid);
	fact("what it stored is there", at(FIRST)[2 * PAGE] == 'k');
	if (fork() == 0) {
		hear(down);
		fact("the parent unmaps: the child has it",
		     at(FIRST)[0] == 'a' && at(FIRST)[2 * PAGE] == 'k');
		at(FIRST)[3 * PAGE] = 'z';
		fact("and can go on", at(FIRST)[3 * PAGE] == 'z');
		exit();
	}
	wunmap(FIRST);
	tell(down);
	wait();
	exit();
}
