/* SPDX-License-Identifier: MIT */
/* The word on the console is all that is left of a stray program. */
#include "types.h"
#include "stat.h"
#include "user.h"
#include "fcntl.h"
#include "wmap.h"
#include "../fact.h"

int main(void)
{
	printf(1, "before\n");
	at(0x65432000)[0] = 1;
	printf(1, "after\n");
	exit();
}
