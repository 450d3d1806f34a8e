/* SPDX-License-Identifier: MIT */
/* 32 bits hold every address, signed ones too. */
#include "types.h"
#include "stat.h"
#include "user.h"
#include "fcntl.h"
#include "wmap.h"
#include "../fact.h"

#define ANON (MAP_FIXED | MAP_SHARED | MAP_ANONYMOUS)

struct node {
	int next; /* an address */
	int value;
};

static int list;

int main(void)
{
	int local, i, sum = 0;
	int code = (int)main, data = (int)&list, stack = (int)&local;
	int heap = (int)sbrk(0), map;

	fact("all are positive", code > 0 && data > 0 && stack > 0 && heap > 0);
	fact("and below the window",
	     code < FIRST && data < FIRST && stack < FIRST && heap < FIRST);
	fact("in xv6's order", code < data && data < stack && stack < heap);
	for (i = 1; i <= 10; i++) {
		struct node *node = malloc(sizeof(*node));

		node->next = list;
		node->value = i;
		list = (int)node;
	}
	for (i = list; i; i = ((struct node *)i)->next)
		sum += ((struct node *)i)->value;
	fact("a list of them", sum == 55);
	map = wmap(0x7fff0000, PAGE, ANON, -1);
	fact("a mapping's too", map == 0x7fff0000 && map > 0);
	*(int *)(map + 8) = 7;
	fact("with arithmetic", ((int *)map)[2] == 7);
	fact("failure is -1", wmap(map, PAGE, ANON, -1) == -1);
	fact("uint is four bytes", sizeof(uint) == 4 && (uint)-1 > 0);
	exit();
}
