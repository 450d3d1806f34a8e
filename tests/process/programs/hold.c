/* SPDX-License-Identifier: MIT */
/*
 * hold FILE PAGES
 *
 * Maps the file shared, loads the first PAGES pages and stores to the first
 * one's second byte, says "ready", and waits for the end of its standard input.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	int fd = argc == 3 ? open(argv[1], O_RDWR) : -1;
	size_t pages = argc == 3 ? strtoul(argv[2], NULL, 10) : 0;
	volatile char *at;
	struct stat st;
	char byte;

	if (fd < 0 || fstat(fd, &st) != 0) {
		perror("hold");
		return 1;
	}
	at = mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE, MAP_SHARED,
		  fd, 0);
	if (at == MAP_FAILED) {
		perror("mmap");
		return 1;
	}
	for (size_t i = 0; i < pages; i++)
		(void)at[i * 4096];
	at[1] = 'w';
	puts("ready");
	fflush(stdout);
	while (read(STDIN_FILENO, &byte, 1) > 0)
		;
	return 0;
}
