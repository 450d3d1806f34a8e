/* SPDX-License-Identifier: MIT */
/* MAP_GROWSUP in a family: parent and child grow each for itself. */
#include "types.h"
#include "stat.h"
#include "user.h"
#include "fcntl.h"
#include "mmap.h"
#include "../fact.h"

#define RW    (PROT_READ | PROT_WRITE)
#define GROWS (MAP_FIXED | MAP_SHARED | MAP_ANON | MAP_GROWSUP)

static char *m = (char *)0x70000000;

static void at_the_guard(void)
{
	m[7 * PAGE] = 1;
}

static void two_above(void)
{
	m[9 * PAGE] = 1;
}

int main(void)
{
	char *plain = mmap(0, PAGE, RW, MAP_SHARED | MAP_ANON, -1, 0), *f;
	int i, fd;

	mmap(m, PAGE, RW, GROWS, -1, 0);
	m[PAGE] = 'p';
	if (fork() == 0) {
		fact("the child has what grew", m[PAGE] == 'p');
		for (i = 2; i < 6; i++)
			m[i * PAGE] = i;
		plain[0] = 'c';
		fact("and grows", m[5 * PAGE] == 5);
		exit();
	}
	wait();
	fact("the parent sees its mapping", plain[0] == 'c');
	for (i = 2; i < 6; i++)
		m[i * PAGE] = 'a' + i;
	fact("and grows itself", m[5 * PAGE] == 'a' + 5);
	dies("not by two pages", two_above);
	mmap(m + 8 * PAGE, PAGE, RW, MAP_FIXED | MAP_SHARED | MAP_ANON, -1, 0);
	m[6 * PAGE] = 'z';
	fact("up to one free page", m[6 * PAGE] == 'z');
	dies("which stays free", at_the_guard);
	fd = file("f", PAGE);
	f = mmap(0, PAGE, RW, MAP_SHARED | MAP_GROWSUP, fd, 0);
	f[PAGE + 1] = 'X';
	f[2 * PAGE + 1] = 'Y';
	munmap(f, 3 * PAGE);
	fact("a file grows with it", look("f", PAGE + 1) == 'X' &&
					     look("f", 2 * PAGE + 1) == 'Y' &&
					     size_of("f") == 3 * PAGE);
	exit();
}
