/* SPDX-License-Identifier: MIT */
/*
 * read, write and truncate of a file that is mapped, in one process
 *
 * Memory and file agree, as they do with the kernel's mmap: what was stored to
 * a page is written back before the file is read there, and what was written to
 * the file is put into the pages that are in memory before write returns.
 *
 * While no file is mapped by us a call costs one load more; then, one fstat.
 * What the C library does for itself (stdio's buffers) goes around these hooks.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/sendfile.h>
#include <sys/uio.h>

#include "../client.h"
#include "preload.h"

/*
 * The C library's functions, as they may be cancelled where a system call may
 * not. Before the constructor has found them, the system call.
 */
static struct {
	ssize_t (*read)(int, void *, size_t);
	ssize_t (*pread)(int, void *, size_t, off_t);
	ssize_t (*readv)(int, const struct iovec *, int);
	ssize_t (*preadv)(int, const struct iovec *, int, off_t);
	ssize_t (*preadv2)(int, const struct iovec *, int, off_t, int);
	ssize_t (*write)(int, const void *, size_t);
	ssize_t (*pwrite)(int, const void *, size_t, off_t);
	ssize_t (*writev)(int, const struct iovec *, int);
	ssize_t (*pwritev)(int, const struct iovec *, int, off_t);
	ssize_t (*pwritev2)(int, const struct iovec *, int, off_t, int);
} real;

__attribute__((constructor)) static void find_real(void)
{
	*(void **)&real.read = dlsym(RTLD_NEXT, "read");
	*(void **)&real.pread = dlsym(RTLD_NEXT, "pread");
	*(void **)&real.readv = dlsym(RTLD_NEXT, "readv");
	*(void **)&real.preadv = dlsym(RTLD_NEXT, "preadv");
	*(void **)&real.preadv2 = dlsym(RTLD_NEXT, "preadv2");
	*(void **)&real.write = dlsym(RTLD_NEXT, "write");
	*(void **)&real.pwrite = dlsym(RTLD_NEXT, "pwrite");
	*(void **)&real.writev = dlsym(RTLD_NEXT, "writev");
	*(void **)&real.pwritev = dlsym(RTLD_NEXT, "pwritev");
	*(void **)&real.pwritev2 = dlsym(RTLD_NEXT, "pwritev2");
}

#define REAL(name, ...) \
	(real.name ? real.name(__VA_ARGS__) : SYSCALL_##name(__VA_ARGS__))

#define SYSCALL_read(fd, buffer, n)	 syscall(SYS_read, fd, buffer, n)
#define SYSCALL_pread(fd, buffer, n, at) syscall(SYS_pread64, fd, buffer, n, at)
#define SYSCALL_readv(fd, v, n)		 syscall(SYS_readv, fd, v, n)
#define SYSCALL_preadv(fd, v, n, at)	 syscall(SYS_preadv, fd, v, n, at, 0)
#define SYSCALL_preadv2(fd, v, n, at, flags) \
	syscall(SYS_preadv2, fd, v, n, at, 0, flags)
#define SYSCALL_write(fd, buffer, n) syscall(SYS_write, fd, buffer, n)
#define SYSCALL_pwrite(fd, buffer, n, at) \
	syscall(SYS_pwrite64, fd, buffer, n, at)
#define SYSCALL_writev(fd, v, n)      syscall(SYS_writev, fd, v, n)
#define SYSCALL_pwritev(fd, v, n, at) syscall(SYS_pwritev, fd, v, n, at, 0)
#define SYSCALL_pwritev2(fd, v, n, at, flags) \
	syscall(SYS_pwritev2, fd, v, n, at, 0, flags)

/* ---- Around a call --------------------------------------------------------- */

static off_t offset_of(int fd)
{
	return syscall(SYS_lseek, fd, 0, SEEK_CUR);
}

static size_t sum(const struct iovec *vector, int n)
{
	size_t bytes = 0;

	for (int i = 0; i < n; i++)
		bytes += vector[i].iov_len;
	return bytes;
}

/* @at: where, or -1 for the descriptor's own offset. */
static void before_read(int fd, off_t at, size_t n)
{
	int saved = errno;

	if (!wmap_file_any())
		return;
	if (at < 0)
		at = offset_of(fd);
	if (at >= 0)
		wmap_file_before_read(fd, (uint64_t)at, n);
	errno = saved;
}

/* Where @n bytes begin that were written to the end. */
static off_t end_of(int fd, ssize_t n)
{
	off_t end;

	if (n <= 0 || !wmap_file_any())
		return -1;
	end = syscall(SYS_lseek, fd, 0, SEEK_END);
	return end < n ? -1 : end - n;
}

/* A pwrite to a descriptor with O_APPEND goes there whatever it is told. */
static off_t appended(int fd, off_t at, ssize_t n)
{
	off_t where;

	if (n <= 0 || !wmap_file_any() || !(fcntl(fd, F_GETFL) & O_APPEND))
		return at;
	where = end_of(fd, n);
	return where < 0 ? at : where;
}

/*
 * Around a write: before it no older bytes of ours are on their way to the file;
 * after it, whatever became of it, others may set out again.
 */
struct writing {
	int fd;
	void *before; /* of wmap_file_before_write */
};

static void begin_writing(struct writing *writing, int fd)
{
	int saved = errno;

	writing->fd = fd;
	writing->before = wmap_file_any() ? wmap_file_before_write(fd) : NULL;
	errno = saved;
}

/* @at: where @n bytes were written, or -1: before the descriptor's offset. */
static void end_writing(const struct writing *writing, off_t at, ssize_t n)
{
	int saved = errno;

	if (n > 0 && at < 0)
		at = offset_of(writing->fd) - n;
	if (n <= 0 || at < 0)
		at = n = 0;
	if (writing->before || (n && wmap_file_any()))
		wmap_file_after_write(writing->fd, writing->before,
				      (uint64_t)at, (uint64_t)n);
	errno = saved;
}

/* The thread was cancelled in the call. */
static void cancelled(void *writing)
{
	end_writing(writing, 0, 0);
}

/* @call sets n, and what was written stands at @where then. */
#define WRITING(fd, where, call) \
	do { \
		struct writing writing; \
\
		begin_writing(&writing, fd); \
		pthread_cleanup_push(cancelled, &writing); \
		call; \
		pthread_cleanup_pop(0); \
		end_writing(&writing, where, n); \
	} while (0)

/* ---- Reading --------------------------------------------------------------- */

HOOK ssize_t read(int fd, void *buffer, size_t n)
{
	struct iovec one = { buffer, n };

	before_read(fd, -1, n);
	if (direct_concerns(fd, &one, 1))
		return direct_read(fd, &one, 1, -1);
	return REAL(read, fd, buffer, n);
}

HOOK ssize_t pread(int fd, void *buffer, size_t n, off_t at)
{
	struct iovec one = { buffer, n };

	before_read(fd, at, n);
	if (at >= 0 && direct_concerns(fd, &one, 1))
		return direct_read(fd, &one, 1, at);
	return REAL(pread, fd, buffer, n, at);
}

HOOK ssize_t readv(int fd, const struct iovec *vector, int n)
{
	before_read(fd, -1, wmap_file_any() ? sum(vector, n) : 0);
	if (direct_concerns(fd, vector, n))
		return direct_read(fd, vector, n, -1);
	return REAL(readv, fd, vector, n);
}

HOOK ssize_t preadv(int fd, const struct iovec *vector, int n, off_t at)
{
	before_read(fd, at, wmap_file_any() ? sum(vector, n) : 0);
	if (at >= 0 && direct_concerns(fd, vector, n))
		return direct_read(fd, vector, n, at);
	return REAL(preadv, fd, vector, n, at);
}

/* @at: -1 for the descriptor's own offset. */
HOOK ssize_t preadv2(int fd, const struct iovec *vector, int n, off_t at,
		     int flags)
{
	before_read(fd, at, wmap_file_any() ? sum(vector, n) : 0);
	if (at >= -1 && direct_concerns(fd, vector, n))
		return direct_read(fd, vector, n, at);
	return REAL(preadv2, fd, vector, n, at, flags);
}

/* ---- Writing --------------------------------------------------------------- */

HOOK ssize_t write(int fd, const void *buffer, size_t size)
{
	ssize_t n;

	WRITING(fd, -1, n = REAL(write, fd, buffer, size));
	return n;
}

HOOK ssize_t writev(int fd, const struct iovec *vector, int count)
{
	ssize_t n;

	WRITING(fd, -1, n = REAL(writev, fd, vector, count));
	return n;
}

HOOK ssize_t pwrite(int fd, const void *buffer, size_t size, off_t at)
{
	ssize_t n;

	WRITING(fd, appended(fd, at, n),
		n = REAL(pwrite, fd, buffer, size, at));
	return n;
}

HOOK ssize_t pwritev(int fd, const struct iovec *vector, int count, off_t at)
{
	ssize_t n;

	WRITING(fd, appended(fd, at, n),
		n = REAL(pwritev, fd, vector, count, at));
	return n;
}

/* With RWF_APPEND it goes to the end whatever it is told, too. */
HOOK ssize_t pwritev2(int fd, const struct iovec *vector, int count, off_t at,
		      int flags)
{
	ssize_t n;

	WRITING(fd, flags & RWF_APPEND ? end_of(fd, n) : appended(fd, at, n),
		n = REAL(pwritev2, fd, vector, count, at, flags));
	return n;
}

/* Both at once: from one file to another. */
HOOK ssize_t sendfile(int out, int in, off_t *at, size_t size)
{
	ssize_t n;

	before_read(in, at ? *at : -1, size);
	WRITING(out, -1, n = syscall(SYS_sendfile, out, in, at, size));
	return n;
}

HOOK ssize_t copy_file_range(int in, off64_t *in_at, int out, off64_t *out_at,
			     size_t size, unsigned flags)
{
	off_t at = out_at ? *out_at : -1;
	ssize_t n;

	before_read(in, in_at ? *in_at : -1, size);
	WRITING(out, at,
		n = syscall(SYS_copy_file_range, in, in_at, out, out_at, size,
			    flags));
	return n;
}

/* ---- Lengths ----------------------------------------------------------------- */

static int truncated(int fd, int result)
{
	int saved = errno;

	if (!result && wmap_file_any())
		wmap_file_after_length(fd);
	errno = saved;
	return result;
}

HOOK int ftruncate(int fd, off_t length)
{
	if (wmap_file_any())
		wmap_file_before_length(fd);
	return truncated(fd, (int)syscall(SYS_ftruncate, fd, length));
}

HOOK int truncate(const char *path, off_t length)
{
	/* O_PATH: closing it leaves the process's locks alone. */
	int fd = wmap_file_any() ? (int)syscall(SYS_openat, AT_FDCWD, path,
						O_PATH | O_CLOEXEC) :
				   -1;
	int result;

	if (fd >= 0)
		wmap_file_before_length(fd);
	result = truncated(fd, (int)syscall(SYS_truncate, path, length));
	if (fd >= 0)
		syscall(SYS_close, fd);
	return result;
}

HOOK int fallocate(int fd, int mode, off_t offset, off_t length)
{
	ssize_t n;
	int result;

	if (wmap_file_any())
		wmap_file_before_length(fd);
	/* What is a hole now reads as zeros, as if they had been written. */
	WRITING(fd, offset,
		result = (int)syscall(SYS_fallocate, fd, mode, offset, length);
		n = !result && mode ? length : 0);
	return truncated(fd, result);
}

/* Returns its error, and leaves errno alone. */
HOOK int posix_fallocate(int fd, off_t offset, off_t length)
{
	int (*next)(int, off_t, off_t);
	int error;

	*(void **)&next = dlsym(RTLD_NEXT, "posix_fallocate");
	error = next(fd, offset, length);
	truncated(fd, error);
	return error;
}

/* ---- The same by other names ------------------------------------------------- */

#define SAME(name) __attribute__((alias(#name), visibility("default")))

ssize_t pread64(int fd, void *buffer, size_t n, off64_t at) SAME(pread);
ssize_t preadv64(int fd, const struct iovec *v, int n, off64_t at) SAME(preadv);
ssize_t preadv64v2(int fd, const struct iovec *v, int n, off64_t at, int flags)
	SAME(preadv2);
ssize_t pwrite64(int fd, const void *buffer, size_t n, off64_t at) SAME(pwrite);
ssize_t pwritev64(int fd, const struct iovec *v, int n, off64_t at)
	SAME(pwritev);
ssize_t pwritev64v2(int fd, const struct iovec *v, int n, off64_t at, int flags)
	SAME(pwritev2);
ssize_t sendfile64(int out, int in, off64_t *at, size_t n) SAME(sendfile);
int ftruncate64(int fd, off64_t length) SAME(ftruncate);
int truncate64(const char *path, off64_t length) SAME(truncate);
int fallocate64(int fd, int mode, off64_t offset, off64_t n) SAME(fallocate);
int posix_fallocate64(int fd, off64_t at, off64_t n) SAME(posix_fallocate);

/* With _FORTIFY_SOURCE programs call these. */
ssize_t __read_chk(int fd, void *buffer, size_t n, size_t size);
ssize_t __pread_chk(int fd, void *buffer, size_t n, off_t at, size_t size);
ssize_t __pread64_chk(int fd, void *buffer, size_t n, off64_t at, size_t size);

HOOK ssize_t __read_chk(int fd, void *buffer, size_t n, size_t size)
{
	if (n > size)
		__builtin_trap();
	return read(fd, buffer, n);
}

HOOK ssize_t __pread_chk(int fd, void *buffer, size_t n, off_t at, size_t size)
{
	if (n > size)
		__builtin_trap();
	return pread(fd, buffer, n, at);
}

ssize_t __pread64_chk(int fd, void *buffer, size_t n, off64_t at, size_t size)
	SAME(__pread_chk);
