/* SPDX-License-Identifier: MIT */
/*
 * Files: xv6's system calls on Linux's
 *
 * A pointer that the program passes may be anything: whatever is read through
 * it here is copied first (copy_in), the rest is left to the kernel, so that a
 * bad one is -1 and no trap.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client.h"
#include "internal.h"
#include "layer.h"
#include "maps.h"

/* The page above a mapping that grows: its touch is growth, or a stray one. */
static void grow(const void *buffer)
{
	struct wmap_mapping_info info = { .size = sizeof(info) };
	uint64_t page = page_down((uint64_t)buffer);

	if (!wmap_mapping_find((void *)(page - PAGE_BYTES), &info) &&
	    info.flags & WMAP_GROWSUP && maps_end(&info) == page)
		(void)*(volatile const char *)buffer;
}

/*
 * Where the pager gets faults of user mode only, the kernel would find EFAULT in
 * a page that is not loaded: load what is ours of the buffer. Returns how much of
 * it the kernel may be given at once: no page that it might not come to.
 */
static size_t touch(const void *buffer, size_t size, bool write)
{
	size_t room = PAGE_BYTES - (uintptr_t)buffer % PAGE_BYTES, piece;
	volatile char *byte;
	void *start;

	if (client_features() & WMAP_FEATURE_KERNEL_FAULTS)
		return size;
	if (rules->legal & WMAP_GROWSUP)
		grow(buffer);
	if (!wmap_range_ours(buffer, size))
		return size;
	if (wmap_range_next(buffer, 1, &start, &piece)) {
		byte = start;
		if (write)
			*byte = *byte;
		else
			(void)*byte;
	}
	return min_u64(room, size);
}

bool copy_in(void *to, const void *from, size_t size)
{
	size_t n;

	for (; size; size -= n) {
		n = touch(from, size, false);
		if (client_copy_in(to, from, n))
			return false;
		to = (char *)to + n;
		from = (const char *)from + n;
	}
	return true;
}

bool copy_out(void *to, const void *from, size_t size)
{
	size_t n;

	for (; size; size -= n) {
		n = touch(to, size, true);
		if (client_copy_out(to, from, n))
			return false;
		to = (char *)to + n;
		from = (const char *)from + n;
	}
	return true;
}

/* ---- Names ---------------------------------------------------------------- */

/* A string of the program's, page by page up to its end. */
static bool copy_string(char *to, const char *from, size_t size)
{
	size_t done = 0, n;

	while (done < size) {
		n = PAGE_BYTES - ((uintptr_t)from + done) % PAGE_BYTES;
		n = min_u64(n, size - done);
		if (!copy_in(to + done, from + done, n))
			return false;
		if (memchr(to + done, 0, n))
			return true;
		done += n;
	}
	return false;
}

bool files_path(const char *path, char *result, size_t size)
{
	const char *root = getenv("XV6_ROOT");
	size_t length = root ? strlen(root) : 0;
	char first;

	if (!copy_in(&first, path, 1) || !first)
		return false;
	if (first != '/')
		length = 0;
	if (length >= size)
		return false;
	memcpy(result, root ? root : "", length);
	return copy_string(result + length, path, size - length);
}

/* ---- Descriptors ----------------------------------------------------------- */

int files_real(int fd)
{
	if (fd < 0 || fd >= NOFILE || fcntl(FD_BASE + fd, F_GETFD) < 0)
		return -1;
	return FD_BASE + fd;
}

static int lowest_free(int from)
{
	for (int fd = from; fd < NOFILE; fd++)
		if (fcntl(FD_BASE + fd, F_GETFD) < 0)
			return fd;
	return -1;
}

/* Takes @real over, also where there is no place for it. */
static int install(int real)
{
	int fd = real < 0 ? -1 : lowest_free(0);

	if (fd >= 0 && dup2(real, FD_BASE + fd) < 0)
		fd = -1;
	if (real >= 0)
		close(real);
	return fd;
}

static int room_for_descriptors(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit))
		return -1;
	if (limit.rlim_cur >= 256)
		return 0;
	limit.rlim_cur = min_u64(limit.rlim_max, 1024);
	return setrlimit(RLIMIT_NOFILE, &limit);
}

int files_start(bool inherited)
{
	if (room_for_descriptors())
		return -1;
	if (inherited)
		return 0;
	for (int fd = 0; fd < NOFILE; fd++) {
		close(FD_BASE + fd);
		if (fd < 3) /* 2 is the console, as 1 is */
			dup2(fd ? STDOUT_FILENO : STDIN_FILENO, FD_BASE + fd);
	}
	return dup2(STDOUT_FILENO, FD_CONSOLE) < 0 ? -1 : 0;
}

int call_close(int fd)
{
	int real = files_real(fd);

	return real < 0 ? -1 : close(real);
}

int call_dup(int fd)
{
	int real = files_real(fd);

	return real < 0 ? -1 : install(dup(real));
}

int call_pipe(int *fds)
{
	int ends[2], numbers[2];

	if (pipe(ends))
		return -1;
	numbers[0] = install(ends[0]);
	numbers[1] = install(ends[1]);
	if (numbers[0] >= 0 && numbers[1] >= 0 &&
	    copy_out(fds, numbers, sizeof(numbers)))
		return 0;
	call_close(numbers[0]);
	call_close(numbers[1]);
	return -1;
}

/* ---- Reading and writing ---------------------------------------------------- */

static uint64_t offset_of(int real)
{
	off_t offset = lseek(real, 0, SEEK_CUR);

	return offset > 0 ? (uint64_t)offset : 0;
}

static bool is(int real, mode_t kind)
{
	struct stat stat;

	return !fstat(real, &stat) && (stat.st_mode & S_IFMT) == kind;
}

/* What was stored to a mapping of the file is read, as mmap(2) has it. Of a pipe
   what is there is taken, without waiting for more. */
int call_read(int fd, void *buffer, int n)
{
	int real = files_real(fd), done = 0;
	size_t piece;
	ssize_t now;

	if (real < 0 || n < 0)
		return -1;
	if (wmap_file_any())
		wmap_file_before_read(real, offset_of(real), (uint64_t)n);
	do {
		piece = touch((char *)buffer + done, (size_t)(n - done), true);
		now = read(real, (char *)buffer + done, piece);
		if (now < 0 && is(real, S_IFDIR))
			return directory_read(real, buffer, n);
		if (now < 0)
			return done ? done : -1;
		done += (int)now;
	} while (done < n && now == (ssize_t)piece && is(real, S_IFREG));
	return done;
}

static ssize_t write_some(int real, const char *buffer, size_t n)
{
	uint64_t offset = offset_of(real);
	void *before;
	ssize_t done;

	if (!wmap_file_any())
		return write(real, buffer, n);
	before = wmap_file_before_write(real);
	done = write(real, buffer, n);
	wmap_file_after_write(real, before, offset,
			      done > 0 ? (uint64_t)done : 0);
	return done;
}

/* All of it: a pipe's reader may take it piece by piece. */
int call_write(int fd, const void *buffer, int n)
{
	int real = files_real(fd), done = 0;
	ssize_t now;

	if (real < 0 || n < 0)
		return -1;
	do {
		now = write_some(real, (const char *)buffer + done,
				 touch((const char *)buffer + done,
				       (size_t)(n - done), false));
		if (now < 0)
			return done ? done : -1;
		done += (int)now;
	} while (done < n && now);
	return done;
}

/* ---- Names in directories ----------------------------------------------------*/

#define O_CREATE_XV6 0x200
#define O_TRUNC_XV6  0x400 /* RISC-V's */

int call_open(const char *path, int how)
{
	int flags = how & O_WRONLY ? O_WRONLY : how & O_RDWR;
	char name[PATH_MAX];

	if (!files_path(path, name, sizeof(name)))
		return -1;
	if (how & O_CREATE_XV6)
		flags |= O_CREAT;
	if (how & O_TRUNC_XV6)
		flags |= O_TRUNC;
	return install(open(name, flags, 0666));
}

/* The console is the only device. */
int call_mknod(const char *path, short major, short minor)
{
	char name[PATH_MAX], console[32];

	(void)minor;
	snprintf(console, sizeof(console), "/proc/self/fd/%d", FD_CONSOLE);
	if (major != 1 || !files_path(path, name, sizeof(name)))
		return -1;
	return symlink(console, name);
}

int call_unlink(const char *path)
{
	char name[PATH_MAX];

	if (!files_path(path, name, sizeof(name)))
		return -1;
	return !unlink(name) || (errno == EISDIR && !rmdir(name)) ? 0 : -1;
}

int call_link(const char *from, const char *to)
{
	char old[PATH_MAX], new[PATH_MAX];

	if (!files_path(from, old, sizeof(old)) ||
	    !files_path(to, new, sizeof(new)))
		return -1;
	return link(old, new);
}

int call_mkdir(const char *path)
{
	char name[PATH_MAX];

	return files_path(path, name, sizeof(name)) ? mkdir(name, 0777) : -1;
}

int call_chdir(const char *path)
{
	char name[PATH_MAX];

	return files_path(path, name, sizeof(name)) ? chdir(name) : -1;
}

/* ---- What a file is --------------------------------------------------------- */

#define T_DIR  1
#define T_FILE 2
#define T_DEV  3

struct stat_x86 {
	short type;
	int dev;
	uint ino;
	short nlink;
	uint size;
};

struct stat_riscv {
	int dev;
	uint ino;
	short type;
	short nlink;
	uint64_t size;
};

/* 0 for a pipe, of which xv6 tells nothing. */
static short type_of(const struct stat *stat)
{
	struct stat console;

	if (S_ISDIR(stat->st_mode))
		return T_DIR;
	if (!fstat(FD_CONSOLE, &console) && console.st_ino == stat->st_ino &&
	    console.st_dev == stat->st_dev)
		return T_DEV;
	if (S_ISREG(stat->st_mode))
		return T_FILE;
	return S_ISCHR(stat->st_mode) ? T_DEV : 0;
}

static int tell_x86(const struct stat *stat, void *to)
{
	struct stat_x86 told = {
		.type = type_of(stat),
		.dev = 1,
		.ino = (uint)stat->st_ino,
		.nlink = (short)stat->st_nlink,
		.size = S_ISREG(stat->st_mode) ? (uint)stat->st_size : 0,
	};

	return told.type && copy_out(to, &told, sizeof(told)) ? 0 : -1;
}

static int tell_riscv(const struct stat *stat, void *to)
{
	struct stat_riscv told = {
		.type = type_of(stat),
		.dev = 1,
		.ino = (uint)stat->st_ino,
		.nlink = (short)stat->st_nlink,
		.size = S_ISREG(stat->st_mode) ? (uint64_t)stat->st_size : 0,
	};

	return told.type && copy_out(to, &told, sizeof(told)) ? 0 : -1;
}

static bool ask_fd(int fd, struct stat *stat)
{
	int real = files_real(fd);

	return real >= 0 && !fstat(real, stat);
}

static bool ask_path(const char *path, struct stat *found)
{
	char name[PATH_MAX];

	return files_path(path, name, sizeof(name)) && !stat(name, found);
}

int call_fstat(int fd, void *st)
{
	struct stat found;

	return ask_fd(fd, &found) ? tell_x86(&found, st) : -1;
}

int call_stat(const char *path, void *st)
{
	struct stat found;

	return ask_path(path, &found) ? tell_x86(&found, st) : -1;
}

int call_fstat64(int fd, void *st)
{
	struct stat found;

	return ask_fd(fd, &found) ? tell_riscv(&found, st) : -1;
}

int call_stat64(const char *path, void *st)
{
	struct stat found;

	return ask_path(path, &found) ? tell_riscv(&found, st) : -1;
}
