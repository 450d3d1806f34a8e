/* SPDX-License-Identifier: MIT */
/* A private mapping is a copy at the time of the fork. */
#include "types.h"
#include "stat.h"
#include "user.h"
#include "fcntl.h"
#include "wmap.h"
#include "../fact.h"

int main(void)
{
	int fd = file("f", 2 * PAGE), up[2], down[2];
	uint m = wmap(0, 4 * PAGE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	uint f = wmap(0, 2 * PAGE, MAP_PRIVATE, fd);

	pipe(up);
	pipe(down);
	at(m)[0] = 'a';
	at(f)[0] = 'A';
	if (fork() == 0) {
		fact("the child has what was stored before",
		     at(m)[0] == 'a' && at(f)[0] == 'A');
		hear(down);
		fact("and nothing after", at(m)[0] == 'a' && at(m)[PAGE] == 0 &&
						  at(f)[0] == 'A' &&
						  at(f)[PAGE] == byte(PAGE));
		at(m)[2 * PAGE] = 'c';
		at(m)[0] = 'c';
		at(f)[1] = 'c';
		fact("it has the mappings", total() == 2);
		tell(up);
		exit();
	}
	at(m)[0] = 'b';
	at(m)[PAGE] = 'b';
	at(f)[0] = 'B';
	at(f)[PAGE] = 'B';
	tell(down);
	hear(up);
	fact("the child's stores are not seen",
	     at(m)[0] == 'b' && at(m)[2 * PAGE] == 0 && at(f)[1] == byte(1));
	wait();
	fact("nor in the file",
	     look("f", 0) == byte(0) && look("f", 1) == byte(1));
	exit();
}
