/* SPDX-License-Identifier: MIT */
/* exec drops the mappings; who shares them keeps them. */
#include "kernel/types.h"
#include "kernel/stat.h"
#include "kernel/riscv.h"
#include "kernel/mmap.h"
#include "user/user.h"
#include "fact.h"

#define ANON (MAP_SHARED | MAP_ANONYMOUS)

static int execute(char *name, char **arguments)
{
	int status = -2;

	if (fork() == 0) {
		exec(name, arguments);
		printf("FAILED exec %s\n", name);
		exit(-3);
	}
	wait(&status);
	return status;
}

int main(int argc, char **argv)
{
	char *again[] = { argv[0], "again", 0 };
	char *echo[] = { "echo", "from", "echo", 0 };
	char *m;

	if (argc > 1) {
		fact("nothing is mapped", total() == 0);
		exit(5);
	}
	m = mmap(0, 4 * PAGE, ANON);
	m[PAGE] = 'p';
	fact("the program itself", execute(argv[0], again) == 5);
	fact("another of xv6's", execute("echo", echo) == 0);
	fact("the parent's is there", m[PAGE] == 'p' && loaded(m) == 1);
	exit(0);
}
