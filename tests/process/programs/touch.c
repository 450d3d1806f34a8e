/* SPDX-License-Identifier: MIT */
/*
 * touch [-u] [-p] [-w] [-k] [-f] FILE PAGE…
 *
 * Maps the file, reads a byte of each page, in this order; with -w stores one.
 * Then unmaps all of it (-u), or the upper half (-p), or nothing, and kills itself
 * (-k), or not. With -f a child does the same before, with what it inherits.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE 4096

static char *map(const char *path, size_t *length)
{
	int fd = open(path, O_RDWR);
	struct stat st;
	char *p;

	if (fd < 0 || fstat(fd, &st) != 0) {
		perror(path);
		exit(1);
	}
	*length = (size_t)st.st_size;
	p = mmap(NULL, *length, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED) {
		perror("mmap");
		exit(1);
	}
	close(fd);
	return p;
}

int main(int argc, char **argv)
{
	const char *option = argc > 1 && *argv[1] == '-' ? argv[1] + 1 : "";
	int i = *option ? 2 : 1;
	size_t length = 0;
	volatile char *p;

	if (i >= argc)
		return 2;
	p = map(argv[i++], &length);
	if (strchr(option, 'f') && fork())
		wait(NULL);
	for (; i < argc; i++) {
		size_t at = strtoul(argv[i], NULL, 10) * PAGE;

		if (strchr(option, 'w'))
			p[at] = 'w';
		else
			printf("%d\n", p[at]);
	}
	if (strchr(option, 'u') && munmap((char *)(uintptr_t)p, length) != 0)
		return 1;
	if (strchr(option, 'p') &&
	    munmap((char *)(uintptr_t)p + length / 2, length / 2) != 0)
		return 1;
	if (strchr(option, 'k'))
		raise(SIGKILL);
	return 0;
}
