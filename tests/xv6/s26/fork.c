/* SPDX-License-Identifier: MIT */
/* A page that a child loads counts in the parent too. */
#include "kernel/types.h"
#include "kernel/stat.h"
#include "kernel/riscv.h"
#include "kernel/mmap.h"
#include "user/user.h"
#include "fact.h"

#define ANON (MAP_SHARED | MAP_ANONYMOUS)

int main(void)
{
	char *m = mmap(0, 8 * PAGE, ANON);
	int up[2], down[2], status = 7;

	pipe(up);
	pipe(down);
	m[0] = 'p';
	if (fork() == 0) {
		m[3 * PAGE] = 'c';
		m[4 * PAGE] = 'd';
		tell(up);
		hear(down);
		fact("three in the child", loaded(m) == 3);
		fact("which sees the parent's", m[0] == 'q');
		fact("and unmaps", munmap(m) == 0);
		exit(3);
	}
	hear(up);
	fact("three in the parent", loaded(m) == 3);
	fact("which sees the child's", m[3 * PAGE] == 'c');
	fact("still three", loaded(m) == 3);
	m[0] = 'q';
	tell(down);
	wait(&status);
	fact("exit's number is wait's", status == 3);
	fact("the memory stays", m[4 * PAGE] == 'd' && loaded(m) == 3);
	exit(0);
}
