/* SPDX-License-Identifier: MIT */
/* Children of children share; who comes first may go first. */
#include "types.h"
#include "stat.h"
#include "user.h"
#include "fcntl.h"
#include "wmap.h"
#include "../fact.h"

#define ANON (MAP_FIXED | MAP_SHARED | MAP_ANONYMOUS)

static void child(int *up)
{
	int inner[2];

	pipe(inner);
	if (fork() == 0) {
		hear(inner);
		fact("a grandchild sees both",
		     at(FIRST)[0] == 'p' && at(FIRST)[PAGE] == 'c');
		at(FIRST)[2 * PAGE] = 'g';
		tell(up);
		exit();
	}
	at(FIRST)[PAGE] = 'c';
	tell(inner);
	exit();
}

int main(void)
{
	int up[2], i;

	pipe(up);
	wmap(FIRST, 4 * PAGE, ANON, -1);
	at(FIRST)[0] = 'p';
	if (fork() == 0)
		child(up);
	wait();
	hear(up);
	fact("the grandchild's store is seen", at(FIRST)[2 * PAGE] == 'g');
	fact("and the child's", at(FIRST)[PAGE] == 'c');
	for (i = 0; i < 5; i++)
		if (fork() == 0) {
			at(FIRST)[3 * PAGE + i] = 'A' + i;
			exit();
		}
	for (i = 0; i < 5; i++)
		wait();
	fact("five at once", !strcmp(at(FIRST) + 3 * PAGE, "ABCDE"));
	exit();
}
