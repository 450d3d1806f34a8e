/* SPDX-License-Identifier: MIT */
/*
 * Recordings in files: read whole, replaced whole
 *
 * Who saves reads what is there, adds it to what is new, and writes both to a
 * file beside it that takes the name then. So that of two who do that at once
 * none loses what the other has added, they hold a lock on the directory. Who does
 * not get it in time goes on without: then one recording may be lost, none broken.
 */
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "loop.h"
#include "mem.h"
#include "recording.h"
#include "sys.h"

#define SIZE_MAX_FILE ((uint64_t)256 << 20)
#define PATIENCE      1000000000ull /* ns, for the lock */
#define TRIES	      100	    /* for a name */

/* ---- Reading -------------------------------------------------------------------*/

static int read_all(int fd, char *bytes, size_t size)
{
	size_t at = 0;

	while (at < size) {
		long n = sys_call(SYS_pread64, fd, bytes + at, size - at, at);

		if (n == -EINTR)
			continue;
		if (n <= 0)
			return n ? (int)n : -EBADMSG;
		at += (size_t)n;
	}
	return 0;
}

static int check_kind(int fd, size_t *size, const char **why)
{
	struct stat stat;

	if (fstat(fd, &stat))
		return -errno;
	if (S_ISDIR(stat.st_mode))
		return -EISDIR;
	*why = "it is no regular file";
	if (!S_ISREG(stat.st_mode))
		return -EINVAL;
	*why = "it is too large for a recording";
	if ((uint64_t)stat.st_size > SIZE_MAX_FILE)
		return -EFBIG;
	*size = (size_t)stat.st_size;
	*why = NULL;
	return 0;
}

int recording_read_open(int fd, struct recording **result, const char **why)
{
	size_t size = 0;
	char *bytes;
	int error;

	*why = NULL;
	error = check_kind(fd, &size, why);
	if (error)
		return error;
	bytes = mem_alloc(size + 1);
	if (!bytes)
		return -ENOMEM;
	error = read_all(fd, bytes, size);
	if (!error)
		error = recording_parse(bytes, size, result, why);
	mem_free(bytes, size + 1);
	return error;
}

int recording_read(const char *path, struct recording **result,
		   const char **why)
{
	int fd, error;

	*why = NULL;
	fd = (int)sys_call(SYS_openat, AT_FDCWD, path,
			   O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return fd;
	error = recording_read_open(fd, result, why);
	sys_call(SYS_close, fd);
	return error;
}

/* ---- A file beside it ------------------------------------------------------------*/

/* @name has room for a path. */
static int open_beside(const char *path, char *name)
{
	int fd = -EEXIST;

	for (int i = 0; i < TRIES && fd == -EEXIST; i++) {
		if (snprintf(name, PATH_MAX, "%s.new-%d-%d", path,
			     (int)getpid(), i) >= PATH_MAX)
			return -ENAMETOOLONG;
		fd = (int)sys_call(SYS_openat, AT_FDCWD, name,
				   O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC,
				   0666);
	}
	return fd;
}

static int write_all(int fd, const char *bytes, size_t size)
{
	size_t at = 0;

	while (at < size) {
		long n = sys_call(SYS_write, fd, bytes + at, size - at);

		if (n == -EINTR)
			continue;
		if (n <= 0)
			return n ? (int)n : -EIO;
		at += (size_t)n;
	}
	return (int)sys_call(SYS_fsync, fd);
}

/* As others may read it now, they may then. */
static void keep_mode(const char *path, int fd)
{
	struct stat stat_of;

	if (stat(path, &stat_of) == 0)
		fchmod(fd, stat_of.st_mode & 0777);
}

static int replace(const char *path, const char *bytes, size_t size)
{
	char name[PATH_MAX];
	int fd = open_beside(path, name), error;

	if (fd < 0)
		return fd;
	keep_mode(path, fd);
	error = write_all(fd, bytes, size);
	sys_call(SYS_close, fd);
	if (!error)
		error = (int)sys_call(SYS_rename, name, path);
	if (error)
		sys_call(SYS_unlink, name);
	return error;
}

int recording_memory(const void *bytes, size_t size)
{
	int fd = (int)sys_call(SYS_memfd_create, "wmap-recording", MFD_CLOEXEC);
	int error = fd < 0 ? fd : write_all(fd, bytes, size);

	if (error && fd >= 0)
		sys_call(SYS_close, fd);
	return error ? error : fd;
}

/* ---- Saving ----------------------------------------------------------------------*/

/* The lock's descriptor; -1: without. */
static int lock_directory(const char *path)
{
	char directory[PATH_MAX] = ".";
	const char *slash = strrchr(path, '/');
	uint64_t until = time_now() + PATIENCE;
	int fd;

	if (slash)
		snprintf(directory, sizeof(directory), "%.*s",
			 (int)(slash - path + 1), path);
	fd = (int)sys_call(SYS_openat, AT_FDCWD, directory,
			   O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	while (fd >= 0 && sys_call(SYS_flock, fd, LOCK_EX | LOCK_NB) != 0 &&
	       time_now() < until)
		usleep(1000);
	return fd;
}

/* Is it still what it was, as far as its path tells? Else it is of no use any more;
   one that has moved is recorded anew with its next use. */
static bool is_there(const struct recording_file *file)
{
	struct recording_file now = { .path = file->path };
	struct stat stat_of;

	if (stat(file->path, &stat_of))
		return false;
	now.length = (uint64_t)stat_of.st_size;
	now.changed =
		stat_of.st_mtim.tv_sec * 1000000000ll + stat_of.st_mtim.tv_nsec;
	return recording_is(file, &now);
}

/* Add what is in the file already. */
static int add_older(struct recording *recording, const char *path,
		     const char **why)
{
	struct recording *older;
	int error = recording_read(path, &older, why);

	if (error)
		return error == -ENOENT ? 0 : error;
	error = recording_merge(recording, older, is_there);
	recording_destroy(older);
	return error;
}

int recording_save(const char *path, struct recording *recording,
		   const char **why)
{
	int lock = lock_directory(path), error;
	void *bytes;
	size_t size;

	*why = NULL;
	error = add_older(recording, path, why);
	if (error)
		goto err_lock;
	error = recording_format(recording, &bytes, &size);
	if (error)
		goto err_lock;
	error = replace(path, bytes, size);
	mem_free(bytes, size);
err_lock:
	if (lock >= 0)
		sys_call(SYS_close, lock);
	return error;
}

int recording_check(const char *path, const char **why)
{
	char name[PATH_MAX];
	struct recording *older;
	int error = recording_read(path, &older, why), fd;

	if (!error)
		recording_destroy(older);
	if (error && error != -ENOENT)
		return error;
	fd = open_beside(path, name);
	if (fd < 0)
		return fd;
	sys_call(SYS_close, fd);
	sys_call(SYS_unlink, name);
	return 0;
}
