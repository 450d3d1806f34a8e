/* SPDX-License-Identifier: MIT */
/* A touch outside every mapping kills the process, and no other notices. */
#include "types.h"
#include "stat.h"
#include "user.h"
#include "fcntl.h"
#include "wmap.h"
#include "../fact.h"

#define ANON (MAP_FIXED | MAP_SHARED | MAP_ANONYMOUS)

static void in_no_mapping(void)
{
	at(0x70000000)[0] = 1;
}

static void read_in_none(void)
{
	printf(1, "%d\n", at(0x70000000)[0]);
}

static void above(void)
{
	at(FIRST)[2 * PAGE] = 1;
}

static void below(void)
{
	at(FIRST)[-1] = 1;
}

static void after_unmapping(void)
{
	wunmap(FIRST);
	at(FIRST)[0] = 1;
}

static void store_to_null(void)
{
	*(volatile char *)0 = 1;
}

static void load_from_null(void)
{
	printf(1, "%d\n", *(volatile int *)0);
}

int main(void)
{
	wmap(FIRST, PAGE + 1, ANON, -1);
	at(FIRST)[0] = 'x';
	dies("a store in no mapping", in_no_mapping);
	dies("a load from none", read_in_none);
	dies("just above one", above);
	dies("just below one", below);
	dies("after unmapping", after_unmapping);
	dies("through a null pointer", store_to_null);
	dies("from a null pointer", load_from_null);
	fact("the parent lives", at(FIRST)[0] == 'x' && loaded(FIRST) == 1);
	exit();
}
