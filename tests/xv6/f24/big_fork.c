/* SPDX-License-Identifier: MIT */
/* A process with a static array of 160 MB forks. */
#include "types.h"
#include "stat.h"
#include "user.h"
#include "fcntl.h"
#include "wmap.h"
#include "../fact.h"

char array[160 * 1024 * 1024];

int main(void)
{
	int size = sizeof(array), i, same = 0;
	uint before[16];

	for (i = 0; i < 16; i++) {
		array[i * (size / 16)] = i + 1;
		before[i] = va2pa((uint)&array[i * (size / 16)]);
	}
	if (fork() == 0) {
		for (i = 0; i < 16; i++)
			same += before[i] ==
				va2pa((uint)&array[i * (size / 16)]);
		fact("all of it is shared", same == 16);
		array[0] = 100;
		array[size - 1] = 100;
		same = 0;
		for (i = 0; i < 16; i++)
			same += before[i] ==
				va2pa((uint)&array[i * (size / 16)]);
		fact("but what the child wrote", same == 15);
		exit();
	}
	wait();
	same = 0;
	for (i = 0; i < 16; i++)
		same += array[i * (size / 16)] == i + 1;
	fact("the parent's is as it was", same == 16 && !array[size - 1]);
	fact("and where it was", va2pa((uint)array) == before[0]);
	exit();
}
