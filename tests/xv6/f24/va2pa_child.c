/* SPDX-License-Identifier: MIT */
/* A page that the parent loaded answers in the child, untouched, and uncounted. */
#include "types.h"
#include "stat.h"
#include "user.h"
#include "fcntl.h"
#include "wmap.h"
#include "../fact.h"

#define ANON (MAP_FIXED | MAP_SHARED | MAP_ANONYMOUS)

int main(void)
{
	uint pa;
	int count;

	wmap(FIRST, 4 * PAGE, ANON, -1);
	at(FIRST)[PAGE] = 1;
	pa = va2pa(FIRST + PAGE);
	if (fork() == 0) {
		count = loaded(FIRST);
		fact("the same frame", va2pa(FIRST + PAGE) == pa);
		fact("asked once more", va2pa(FIRST + PAGE) == pa);
		fact("no count is changed", loaded(FIRST) == count);
		fact("what nobody loaded has none",
		     va2pa(FIRST + 2 * PAGE) == (uint)-1);
		fact("and shows it", at(FIRST)[PAGE] == 1);
		fact("still the same frame", va2pa(FIRST + PAGE) == pa);
		exit();
	}
	wait();
	fact("the parent's is the same", va2pa(FIRST + PAGE) == pa);
	exit();
}
