/* SPDX-License-Identifier: MIT */
/*
 * A process that does what a script tells it, with a file that it maps
 *
 *   share FILE [private] [read-only]
 *
 * reads a command a line and prints a line when it is done:
 *
 *   load N       the byte at N            sum        of all bytes
 *   try N        the same, or "SIGBUS"
 *   store N B    B to N                   fill B     to all
 *   sync         msync                    pid        its own
 *   raw N B      a child by a raw clone, which runs no handlers, loads byte N,
 *                or dies of it; then this process does
 *   keep         a child by a raw clone that holds all it inherited
 *   attack       whatever might change the file's memory; "harmless", or what
 *                could
 *   abort        dies                     quit       ends
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE 4096u

static char *at;
static size_t length;
static sigjmp_buf escape;

static void die(const char *what)
{
	perror(what);
	exit(99);
}

static unsigned long sum(void)
{
	unsigned long result = 5381;

	for (size_t i = 0; i < length; i++)
		result = result * 33 + (unsigned char)at[i];
	return result;
}

/* As the system call, and nothing around it. */
static pid_t raw_clone(void)
{
	return (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
}

static void raw(size_t n)
{
	pid_t pid = raw_clone();
	int status;

	if (!pid) {
		signal(SIGSEGV, SIG_DFL);
		syscall(SYS_exit_group, at[n]);
	}
	waitpid(pid, &status, 0);
	if (WIFSIGNALED(status))
		printf("%s", sigabbrev_np(WTERMSIG(status)));
	else
		printf("%d", WEXITSTATUS(status));
	printf(" %d\n", at[n]);
}

static void leap(int number)
{
	siglongjmp(escape, number);
}

static void try(size_t n)
{
	signal(SIGBUS, leap);
	if (sigsetjmp(escape, 1))
		puts("SIGBUS");
	else
		printf("%d\n", at[n]);
	signal(SIGBUS, SIG_DFL);
}

/* ---- Attacks --------------------------------------------------------------------- */

/* Can the byte there be stored to, and does the mapping see it? */
static bool stores(char *p)
{
	char old = at[0];

	if (sigsetjmp(escape, 1))
		return false;
	*(volatile char *)p = (char)(old + 1);
	return at[0] != old;
}

static void attack_descriptor(int fd, const char *how)
{
	struct stat st;
	char byte = 'A';
	char *p;

	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
		return;
	if (pwrite(fd, &byte, 1, 0) == 1 && at[0] == 'A')
		printf("%s: pwrite ", how);
	if (ftruncate(fd, 0) == 0)
		printf("%s: ftruncate ", how);
	if (fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
		      PAGE) == 0)
		printf("%s: punch ", how);
	if (fchmod(fd, 0666) == 0)
		printf("%s: fchmod ", how);
	p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (p != MAP_FAILED && stores(p))
		printf("%s: mmap ", how);
}

static void attack_number(int fd)
{
	char path[64], name[256];
	ssize_t n;
	int again;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	n = readlink(path, name, sizeof(name) - 1);
	name[n > 0 ? n : 0] = '\0';
	if (!strstr(name, "memfd"))
		return;
	printf("has %s ", name);
	attack_descriptor(fd, "descriptor");
	again = open(path, O_RDWR);
	if (again >= 0)
		attack_descriptor(again, "reopened");
}

/* By what the kernel shows of a mapping, which is a way to its memory, too. */
static void attack_map_files(void)
{
	DIR *files = opendir("/proc/self/map_files");
	struct dirent *entry;

	while (files && (entry = readdir(files))) {
		char path[512], name[256];
		ssize_t n;
		int fd;

		snprintf(path, sizeof(path), "/proc/self/map_files/%s",
			 entry->d_name);
		n = readlink(path, name, sizeof(name) - 1);
		name[n > 0 ? n : 0] = '\0';
		if (!strstr(name, "memfd"))
			continue;
		fd = open(path, O_RDWR);
		if (fd >= 0)
			attack_descriptor(fd, "map_files");
	}
	if (files)
		closedir(files);
}

static void attack_memory(void)
{
	int fd = open("/proc/self/mem", O_RDWR);
	char byte = (char)(at[0] + 1), old = at[0];

	if (syscall(SYS_mprotect, at, length, PROT_READ | PROT_WRITE) == 0 &&
	    stores(at))
		at[0] = old; /* a copy of its own: the script looks */
	if (fd >= 0 && pwrite(fd, &byte, 1, (off_t)(uintptr_t)at) == 1)
		at[0] = old;
	close(fd);
}

static void attack(void)
{
	signal(SIGSEGV, leap);
	signal(SIGBUS, leap);
	for (int fd = 0; fd < 64; fd++)
		attack_number(fd);
	attack_map_files();
	attack_memory();
	puts("harmless");
}

/* ---- Commands -------------------------------------------------------------------- */

static void obey(const char *line)
{
	char word[16] = "";
	size_t n = 0;
	int byte = 0;

	sscanf(line, "%15s %zu %d", word, &n, &byte);
	if (!strcmp(word, "load"))
		printf("%d\n", at[n]);
	else if (!strcmp(word, "sum"))
		printf("%lx\n", sum());
	else if (!strcmp(word, "try"))
		try(n);
	else if (!strcmp(word, "store"))
		at[n] = (char)byte, puts("done");
	else if (!strcmp(word, "fill"))
		memset(at, (int)n, length), puts("done");
	else if (!strcmp(word, "sync"))
		printf("%d\n", msync(at, length, MS_SYNC));
	else if (!strcmp(word, "pid"))
		printf("%d\n", (int)getpid());
	else if (!strcmp(word, "raw"))
		raw(n);
	else if (!strcmp(word, "keep")) {
		pid_t pid = raw_clone();

		if (!pid)
			for (;;)
				pause();
		printf("%d\n", (int)pid);
	} else if (!strcmp(word, "attack"))
		attack();
	else if (!strcmp(word, "abort"))
		abort();
	else if (!strcmp(word, "quit"))
		exit(0);
	else
		puts("what?");
	fflush(stdout);
}

int main(int argc, char **argv)
{
	bool read_only = false, private = false;
	char line[256];
	struct stat st;
	int fd;

	for (int i = 2; i < argc; i++) {
		read_only |= !strcmp(argv[i], "read-only");
		private |= !strcmp(argv[i], "private");
	}
	fd = argc > 1 ? open(argv[1], read_only ? O_RDONLY : O_RDWR) : -1;
	if (fd < 0 || fstat(fd, &st) != 0)
		die(argv[1]);
	length = (size_t)st.st_size;
	at = mmap(NULL, length, PROT_READ | (read_only ? 0 : PROT_WRITE),
		  private ? MAP_PRIVATE : MAP_SHARED, fd, 0);
	if (at == MAP_FAILED)
		die("mmap");
	close(fd);
	puts("mapped");
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin))
		obey(line);
	return 0;
}
