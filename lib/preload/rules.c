/* SPDX-License-Identifier: MIT */
/*
 * Which files are ours
 *
 * Without rules: every regular file, but not what other processes share by
 * memory alone (a memfd, /dev/shm), of which wmap would make a copy of its own.
 * With rules: the files whose path matches one of the patterns of $WMAP_MAP,
 * separated by colons; a backslash there takes the next byte as it is.
 * A pattern is fnmatch(3)'s, its * matches a slash too; one without a slash is
 * held against the last part of the path. Never: files that the kernel makes up
 * (/proc, /sys), and huge pages.
 *
 * Patterns are bytes, in whatever language the program runs: fnmatch works in
 * the "C" locale, where it also allocates nothing.
 */
#include <fnmatch.h>
#include <limits.h>
#include <linux/magic.h>
#include <locale.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "preload.h"

static struct {
	pthread_once_t once;
	locale_t bytes; /* the "C" locale, which is static */
	char *patterns; /* each ends in NUL, the last in two; NULL: no rules */
	size_t size;	/* of patterns */
	size_t grain;
} rules = { .once = PTHREAD_ONCE_INIT };

static void *allocate(size_t size)
{
	long memory = syscall(SYS_mmap, NULL, size, PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return memory == -1 ? NULL : (void *)(uintptr_t)memory;
}

/* "a:b\:c" becomes "a\0b:c\0\0"; @to has room for as much and two bytes. */
static void split(char *to, const char *from)
{
	for (; *from; from++) {
		if (*from == ':')
			*to++ = '\0';
		else if (*from == '\\' && from[1])
			*to++ = *++from;
		else
			*to++ = *from;
	}
}

static void read_environment(void)
{
	const char *map = getenv("WMAP_MAP"), *grain = getenv("WMAP_GRAIN");

	rules.bytes = newlocale(LC_ALL_MASK, "C", NULL);
	rules.grain = grain ? strtoul(grain, NULL, 10) : 0;
	if (!map || !*map)
		return;
	rules.size = strlen(map) + 2;
	rules.patterns = allocate(rules.size);
	if (rules.patterns)
		split(rules.patterns, map);
	else
		rules.size = 0;
}

static void set_up(void)
{
	pthread_once(&rules.once, read_environment);
}

static bool matches(const char *pattern, const char *path)
{
	const char *last = strrchr(path, '/');

	if (!strchr(pattern, '/') && last)
		path = last + 1;
	return *pattern && fnmatch(pattern, path, 0) == 0;
}

static bool any_matches(const char *path)
{
	const char *pattern = rules.patterns;
	const char *end = rules.patterns + rules.size;
	locale_t old = uselocale(rules.bytes);
	bool found = false;

	for (; pattern < end && !found; pattern += strlen(pattern) + 1)
		found = matches(pattern, path);
	uselocale(old);
	return found;
}

static bool starts_with(const char *path, const char *start)
{
	return !strncmp(path, start, strlen(start));
}

static bool is_wanted(const char *path)
{
	if (rules.patterns)
		return any_matches(path);
	return !starts_with(path, "/memfd:") && !starts_with(path, "/dev/shm/");
}

/* Does a file system with pages of its own kind, or none, stand behind it? */
static bool is_special(int fd)
{
	struct statfs fs;

	if (fstatfs(fd, &fs) != 0)
		return true;
	return fs.f_type == PROC_SUPER_MAGIC || fs.f_type == SYSFS_MAGIC ||
	       fs.f_type == DEBUGFS_MAGIC || fs.f_type == TRACEFS_MAGIC ||
	       fs.f_type == HUGETLBFS_MAGIC;
}

/* An unlinked file keeps the name it had. */
static void strip_deleted(char *path)
{
	static const char deleted[] = " (deleted)";
	size_t length = strlen(path), tail = sizeof(deleted) - 1;

	if (length > tail && !strcmp(path + length - tail, deleted))
		path[length - tail] = '\0';
}

static void find_path(int fd, const struct stat *st, struct rules_file *file)
{
	char link[32];
	ssize_t length;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	length = readlink(link, file->path, sizeof(file->path) - 1);
	file->path[length > 0 ? length : 0] = '\0';
	if (st->st_nlink == 0)
		strip_deleted(file->path);
}

bool rules_take(int fd, struct rules_file *file)
{
	struct stat st;

	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || is_special(fd))
		return false;
	set_up();
	file->dev = st.st_dev;
	file->ino = st.st_ino;
	find_path(fd, &st, file);
	return is_wanted(file->path);
}

size_t rules_grain(void)
{
	set_up();
	return rules.grain;
}
