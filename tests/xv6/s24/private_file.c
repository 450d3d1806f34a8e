/* SPDX-License-Identifier: MIT */
/* Private changes never reach the file. */
#include "types.h"
#include "stat.h"
#include "user.h"
#include "fcntl.h"
#include "wmap.h"
#include "../fact.h"

int main(void)
{
	int fd = file("f", 2 * PAGE + 10), up[2];
	uint m = wmap(0, 3 * PAGE, MAP_PRIVATE, fd);
	uint other = wmap(0, 3 * PAGE, MAP_SHARED, fd);

	fact("shows the file", at(m)[PAGE] == byte(PAGE));
	fact("and zeros past its end", at(m)[2 * PAGE + 10] == 0);
	at(m)[0] = 'X';
	at(m)[2 * PAGE + 20] = 'X';
	fact("keeps a change", at(m)[0] == 'X');
	fact("from another mapping", at(other)[0] == byte(0));
	fact("counts each page", loaded(m) == 3 && loaded(other) == 1);
	fact("goes", wunmap(m) == SUCCESS && wunmap(other) == SUCCESS);
	fact("and the file is as it was",
	     look("f", 0) == byte(0) && size_of("f") == 2 * PAGE + 10);
	pipe(up);
	if (fork() == 0) {
		m = wmap(0, PAGE, MAP_PRIVATE, fd);
		at(m)[1] = 'X';
		exit();
	}
	wait();
	fact("nor at exit", look("f", 1) == byte(1));
	exit();
}
