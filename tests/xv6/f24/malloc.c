/* SPDX-License-Identifier: MIT */
/* malloc and free. */
#include "types.h"
#include "stat.h"
#include "user.h"
#include "fcntl.h"
#include "wmap.h"
#include "../fact.h"

int main(void)
{
	char *m[200], *again;
	int i, k, good = 0, apart = 1, bytes = 0;

	for (i = 0; i < 200; i++) {
		bytes += i * 37 % 900;
		m[i] = malloc(i * 37 % 900);
		if (!m[i])
			break;
		memset(m[i], i, i * 37 % 900);
	}
	fact("200 pieces", i == 200);
	for (i = 0; i < 200; i++)
		for (k = 0; k < i * 37 % 900; k++)
			good += m[i][k] == (char)i;
	fact("each for itself", good == bytes);
	for (i = 0; i < 200; i++)
		apart &= (uint)m[i] < FIRST && (uint)m[i] % 8 == 0;
	fact("aligned, and below the window", apart);
	for (i = 0; i < 200; i += 2)
		free(m[i]);
	for (i = 1; i < 200; i += 2)
		free(m[i]);
	again = sbrk(0);
	fact("what is freed is used again", malloc(30000) && sbrk(0) == again);
	fact("a large piece", malloc(1000000) != 0);
	fact("more than there is: 0", malloc(0x20000000) == 0);
	exit();
}
