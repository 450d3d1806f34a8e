/* SPDX-License-Identifier: MIT */
/* printf without a descriptor, and the rest of RISC-V's user library. */
#include "kernel/types.h"
#include "kernel/stat.h"
#include "kernel/riscv.h"
#include "kernel/mmap.h"
#include "user/user.h"
#include "fact.h"

#define ANON (MAP_SHARED | MAP_ANONYMOUS)

int main(int argc, char **argv)
{
	char a[16], b[16];
	int status;

	printf("%d %u %x %s %c %% %l\n", -1, 4000000000u, 0xbeef, "text", 'c');
	printf("%ld %lu %lx\n", -5000000000l, 5000000000ul, 0x123456789al);
	printf("%p\n", (void *)0x60000000);
	fprintf(1, "%s\n", "to a descriptor");
	fprintf(2, "and to the other\n");
	fact("one argument", argc == 1 && strlen(argv[0]) > 0);
	memset(a, 'x', sizeof(a));
	memcpy(b, a, sizeof(b));
	fact("memcmp", memcmp(a, b, sizeof(a)) == 0);
	b[3] = 'y';
	fact("memcmp tells", memcmp(a, b, sizeof(a)) < 0);
	fact("atoi", atoi("042") == 42);
	if (fork() == 0)
		exit(-1);
	wait(&status);
	fact("a status of -1", status == -1);
	fact("no child", wait(0) == -1);
	return 0;
}
