/* SPDX-License-Identifier: MIT */
/* A shared file mapping is written back at exit, and when the process is killed. */
#include "types.h"
#include "stat.h"
#include "user.h"
#include "fcntl.h"
#include "wmap.h"
#include "../fact.h"

#define FILE (MAP_FIXED | MAP_SHARED)

int main(void)
{
	int fd = file("f", 2 * PAGE), pid, up[2];

	if (fork() == 0) {
		wmap(FIRST, 2 * PAGE, FILE, fd);
		at(FIRST)[PAGE] = 'X';
		exit();
	}
	wait();
	fact("at exit", look("f", PAGE) == 'X');
	if (fork() == 0) {
		wmap(FIRST, 2 * PAGE, FILE, fd);
		at(FIRST)[PAGE + 1] = 'Y';
		at(0x70000000)[0] = 1;
	}
	wait();
	fact("at a stray access", look("f", PAGE + 1) == 'Y');
	pipe(up);
	pid = fork();
	if (pid == 0) {
		wmap(FIRST, 2 * PAGE, FILE, fd);
		at(FIRST)[2] = 'Z';
		tell(up);
		for (;;)
			sleep(1000);
	}
	hear(up);
	fact("kill", kill(pid) == 0 && wait() == pid);
	fact("when killed", look("f", 2) == 'Z');
	fact("the file is no longer", size_of("f") == 2 * PAGE);
	exit();
}
