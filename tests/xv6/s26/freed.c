/* SPDX-License-Identifier: MIT */
/* Memory is freed when a mapping goes, and when a process ends, however. */
#include "kernel/types.h"
#include "kernel/stat.h"
#include "kernel/riscv.h"
#include "kernel/mmap.h"
#include "user/user.h"
#include "fact.h"

#define ANON (MAP_SHARED | MAP_ANONYMOUS)
#define MB   (1024 * 1024)
#define SIZE (8 * MB)
#define REST (113 * MB) /* twice SIZE is too much beside it */

static char *touch(int size)
{
	char *m = mmap(0, size, ANON);

	for (int at = 0; at < size; at += PAGE)
		m[at] = 'm';
	return m;
}

static char *fill(void)
{
	return touch(SIZE);
}

static int status_of(void (*deed)(int *), int killed)
{
	int up[2], status = 0, pid;

	pipe(up);
	pid = fork();
	if (pid == 0) {
		deed(up);
		exit(0);
	}
	hear(up);
	if (killed)
		kill(pid);
	wait(&status);
	close(up[0]);
	close(up[1]);
	return status;
}

static void unmaps(int *up)
{
	munmap(fill());
	munmap(fill());
	tell(up);
	exit(2);
}

static void ends(int *up)
{
	fill();
	tell(up);
	exit(3);
}

static void is_killed(int *up)
{
	fill();
	tell(up);
	for (;;)
		;
}

static void strays(int *up)
{
	char *m = fill();

	tell(up);
	m[-1] = 1;
}

int main(void)
{
	touch(REST);
	fact("when it is unmapped", status_of(unmaps, 0) == 2);
	fact("then there is room", status_of(ends, 0) == 3);
	fact("at exit", status_of(is_killed, 1) == -1);
	fact("when it is killed", status_of(strays, 0) == -1);
	fact("after a stray access", status_of(ends, 0) == 3);
	exit(0);
}
