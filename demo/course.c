/* SPDX-License-Identifier: MIT */
/*
 * The course's calls: a file and anonymous memory are mapped, some of their
 * pages are touched, and getwmapinfo says before and after which were loaded.
 * What was stored into the file's mapping is in the file after wunmap.
 *
 * course FILE: a text file of several pages that may be changed.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <wmap/wmap.h>

#define ANONYMOUS_PAGES 16

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

static size_t pages(uint64_t length)
{
	return (length + WMAP_PAGE_SIZE - 1) / WMAP_PAGE_SIZE;
}

static void show_table(const char *when)
{
	struct wmapinfo info;

	if (getwmapinfo(&info))
		fail("getwmapinfo");
	printf("  %s\n  %-16s %10s %8s %8s\n", when, "address", "length",
	       "pages", "loaded");
	for (int i = 0; i < info.total_mmaps; i++)
		printf("  0x%-14llx %10llu %8zu %8llu\n",
		       (unsigned long long)info.addr[i],
		       (unsigned long long)info.length[i],
		       pages(info.length[i]),
		       (unsigned long long)info.n_loaded_pages[i]);
}

/* Load the first byte of every third page. */
static unsigned touch_some(const char *memory, size_t length)
{
	const volatile char *byte = memory;
	unsigned touched = 0;

	for (size_t at = 0; at < length; at += 3 * WMAP_PAGE_SIZE, touched++)
		(void)byte[at];
	return touched;
}

static void check_file(const char *path, const char *start)
{
	char found[64] = "";
	int fd = open(path, O_RDONLY);

	if (fd < 0 || read(fd, found, strlen(start)) < 0)
		fail(path);
	close(fd);
	if (strcmp(found, start)) {
		printf("  the file begins with \"%s\"\n", found);
		exit(1);
	}
	printf("  wunmap wrote it back: the file begins with \"%s\"\n", found);
}

int main(int argc, char **argv)
{
	static const char mark[] = "changed through memory";
	struct stat status;
	char *file, *zeros;
	size_t length;
	int fd;

	if (argc != 2) {
		fprintf(stderr, "usage: course FILE\n");
		return 2;
	}
	fd = open(argv[1], O_RDWR);
	if (fd < 0 || fstat(fd, &status))
		fail(argv[1]);
	length = (size_t)status.st_size;

	file = wmap(NULL, length, WMAP_SHARED, fd);
	zeros = wmap(NULL, ANONYMOUS_PAGES * WMAP_PAGE_SIZE,
		     WMAP_PRIVATE | WMAP_ANONYMOUS, -1);
	if (file == WMAP_FAILED || zeros == WMAP_FAILED)
		fail("wmap");
	close(fd);
	show_table("before touching: a file and anonymous memory");

	printf("  touching %u pages of the file, 2 of the zeros\n",
	       touch_some(file, length));
	memcpy(file, mark, sizeof(mark) - 1);
	zeros[0] = zeros[5 * WMAP_PAGE_SIZE] = 1;
	show_table("after touching: those pages and no others");

	if (wunmap(file) || wunmap(zeros))
		fail("wunmap");
	check_file(argv[1], mark);
	return 0;
}
