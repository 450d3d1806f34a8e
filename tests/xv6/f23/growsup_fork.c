/* SPDX-License-Identifier: MIT */
/* What grew before a fork is the child's too. */
#include "types.h"
#include "stat.h"
#include "user.h"
#include "fcntl.h"
#include "mmap.h"
#include "../fact.h"

#define RW   (PROT_READ | PROT_WRITE)
#define NONE ((void *)-1)

int main(void)
{
	char *m = mmap(0, PAGE, RW, MAP_SHARED | MAP_ANON | MAP_GROWSUP, -1, 0);
	char *p = mmap(0, PAGE, RW, MAP_PRIVATE | MAP_ANON, -1, 0);
	int up[2];

	pipe(up);
	m[PAGE] = 'a';
	p[0] = 'p';
	if (fork() == 0) {
		fact("shared", m[PAGE] == 'a');
		fact("private", p[0] == 'p');
		m[PAGE] = 'b';
		p[0] = 'c';
		tell(up);
		exit();
	}
	hear(up);
	fact("in both directions", m[PAGE] == 'b');
	fact("or not", p[0] == 'p');
	wait();
	exit();
}
