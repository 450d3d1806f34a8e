/* SPDX-License-Identifier: MIT */
/*
 * A program that uses mmap and knows nothing of wmap
 *
 * It is a table of scenarios. "program --list" names them; "program NAME FILE"
 * makes FILE anew, does one, and prints what it saw. Run plain and under
 * `wmap run` it must print the same, end the same way and leave the same FILE.
 */
#ifndef SCENARIO_H
#define SCENARIO_H

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE  4096u
#define PAGES 16u

struct scenario {
	const char *name;
	void (*run)(const char *path);
};

extern const struct scenario scenarios[];

#define REQUIRE(what) \
	do { \
		if (!(what)) { \
			printf("failed: %s: %s\n", #what, strerror(errno)); \
			fflush(stdout); \
			exit(99); \
		} \
	} while (0)

/* The byte that a new FILE has at @offset: never 0. */
static inline unsigned char byte_at(size_t offset)
{
	return (unsigned char)(1 + (offset + offset / PAGE * 7) % 251);
}

static inline int make_file(const char *path, size_t size)
{
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
	unsigned char *bytes = malloc(size + 1);
	size_t i;

	REQUIRE(fd >= 0 && bytes);
	for (i = 0; i < size; i++)
		bytes[i] = byte_at(i);
	REQUIRE(write(fd, bytes, size) == (ssize_t)size);
	free(bytes);
	return fd;
}

static inline char *map(int fd, size_t pages, int flags)
{
	char *p =
		mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE, flags, fd, 0);

	REQUIRE(p != MAP_FAILED);
	return p;
}

static inline char *map_new(const char *path, int flags)
{
	int fd = make_file(path, PAGES * PAGE);
	char *p = map(fd, PAGES, flags);

	close(fd);
	return p;
}

static inline unsigned long sum(const void *memory, size_t length)
{
	const unsigned char *bytes = memory;
	unsigned long result = 5381;
	size_t i;

	for (i = 0; i < length; i++)
		result = result * 33 + bytes[i];
	return result;
}

static inline void print_sum(const char *what, const void *p, size_t length)
{
	printf("%s: %lx\n", what, sum(p, length));
}

/* What is in the file now, by read(2). */
static inline void print_file(const char *path)
{
	static char bytes[4 * PAGES * PAGE];
	int fd = open(path, O_RDONLY);
	ssize_t n = read(fd, bytes, sizeof(bytes));

	REQUIRE(n >= 0);
	printf("file: %zd bytes, %lx\n", n, sum(bytes, (size_t)n));
	close(fd);
}

/* Either the value, or the errno. */
static inline void print_result(const char *what, long result)
{
	if (result == -1)
		printf("%s: %s\n", what, strerrorname_np(errno));
	else
		printf("%s: %ld\n", what, result);
}

static sigjmp_buf escape;
static volatile sig_atomic_t caught, caught_code;
static char *volatile caught_at;

static inline void leap(int number, siginfo_t *info, void *context)
{
	(void)context;
	caught = number;
	caught_code = info->si_code;
	caught_at = info->si_addr;
	siglongjmp(escape, 1);
}

static inline void leap_from(int number)
{
	struct sigaction act = { .sa_sigaction = leap, .sa_flags = SA_SIGINFO };

	REQUIRE(sigaction(number, &act, NULL) == 0);
}

/* Read, or write, one byte; what came of it. */
static inline void touch(const char *what, char *p, int write)
{
	caught = 0;
	if (sigsetjmp(escape, 1) == 0) {
		volatile char *at = p;

		if (write)
			*at = 'x';
		printf("%s: %d\n", what, *at);
		return;
	}
	printf("%s: %s, %s\n", what, sigabbrev_np(caught),
	       caught_at == p ? "there" : "elsewhere");
}

int main(int argc, char **argv)
{
	const struct scenario *one;

	setvbuf(stdout, NULL, _IOLBF, 0);
	for (one = scenarios; one->name; one++) {
		if (argc == 2 && !strcmp(argv[1], "--list"))
			puts(one->name);
		if (argc == 3 && !strcmp(argv[1], one->name)) {
			one->run(argv[2]);
			return EXIT_SUCCESS;
		}
	}
	return argc == 2 ? EXIT_SUCCESS : 98;
}

#endif
