/* SPDX-License-Identifier: MIT */
/*
 * Files without a name: made in $TMPDIR, else /tmp, unlinked at once, and
 * opened again through /proc/self/fd.
 */
#include "support.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int file_empty(void)
{
	const char *folder = getenv("TMPDIR");
	char path[4096];
	int fd;

	snprintf(path, sizeof path, "%s/wmap-test-XXXXXX",
		 folder ? folder : "/tmp");
	fd = mkostemp(path, O_CLOEXEC);
	ck_assert_msg(fd >= 0, "no file in %s", path);
	unlink(path);
	return fd;
}

int file_with(unsigned seed, size_t length)
{
	char *bytes = malloc(length + 1);
	int fd = file_empty();
	ssize_t done;

	ck_assert_ptr_nonnull(bytes);
	pattern_fill(bytes, length, seed, 0);
	done = pwrite(fd, bytes, length, 0);
	ck_assert_uint_eq((size_t)done, length);
	free(bytes);
	return fd;
}

int file_sparse(size_t length)
{
	int fd = file_empty();

	ck_assert_msg(!ftruncate(fd, (off_t)length), "no sparse file: %s",
		      strerror(errno));
	return fd;
}

int file_reopen(int fd, int flags)
{
	char path[64];
	int again;

	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	again = open(path, flags | O_CLOEXEC);
	ck_assert_msg(again >= 0, "cannot open again: %s", strerror(errno));
	return again;
}

size_t file_length(int fd)
{
	struct stat st;

	ck_assert_int_eq(fstat(fd, &st), 0);
	return (size_t)st.st_size;
}

/* The caller frees what this returns; NULL if the file is not that long. */
static char *contents(int fd, uint64_t offset, size_t length)
{
	char *bytes = malloc(length + 1);

	ck_assert_ptr_nonnull(bytes);
	if (pread(fd, bytes, length, (off_t)offset) == (ssize_t)length)
		return bytes;
	free(bytes);
	return NULL;
}

bool file_holds(int fd, unsigned seed, uint64_t offset, size_t length)
{
	char *bytes = contents(fd, offset, length);
	bool holds = bytes && pattern_holds(bytes, length, seed, offset);

	free(bytes);
	return holds;
}

bool file_has(int fd, uint64_t offset, const void *expected, size_t length)
{
	char *bytes = contents(fd, offset, length);
	bool has = bytes && !memcmp(bytes, expected, length);

	free(bytes);
	return has;
}

bool file_zeros(int fd, uint64_t offset, size_t length)
{
	char *bytes = contents(fd, offset, length);
	bool zeros = bytes && pattern_zeros(bytes, length);

	free(bytes);
	return zeros;
}

void file_cut_swap(void)
{
	char link[64], name[256];

	for (int fd = 0; fd < 64; fd++) {
		ssize_t n;

		snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
		n = readlink(link, name, sizeof(name) - 1);
		if (n >= 9 && !memcmp(name, "/var/tmp/", 9))
			ck_assert_int_eq(truncate(link, 0), 0);
	}
}
