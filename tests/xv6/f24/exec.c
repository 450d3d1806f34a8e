/* SPDX-License-Identifier: MIT */
/* exec drops the mappings; a shared file mapping is written back. */
#include "types.h"
#include "stat.h"
#include "user.h"
#include "fcntl.h"
#include "wmap.h"
#include "../fact.h"

#define ANON (MAP_FIXED | MAP_SHARED | MAP_ANONYMOUS)
#define FILE (MAP_FIXED | MAP_SHARED)

static void again(char *argument)
{
	fact("the argument came along", !strcmp(argument, "second"));
	fact("nothing is mapped", total() == 0);
	fact("the file was written back", look("f", 7) == 'X');
	fact("the window is free",
	     wmap(FIRST, 8 * PAGE, ANON, -1) == FIRST && at(FIRST)[7] == 0);
	exit();
}

int main(int argc, char **argv)
{
	char *arguments[] = { argv[0], "second", 0 };
	char *nothing[] = { "nothing", 0 };
	int fd;

	if (argc > 1)
		again(argv[1]);
	fd = file("f", 100);
	wmap(FIRST, 100, FILE, fd);
	wmap(FIRST + 4 * PAGE, PAGE, ANON, -1);
	at(FIRST)[7] = 'X';
	fact("what is no program fails", exec("README", nothing) == -1);
	fact("what is not there fails", exec("nothing", nothing) == -1);
	fact("and leaves all mapped", total() == 2);
	exec(argv[0], arguments);
	fact("exec", 0);
	exit();
}
