/* SPDX-License-Identifier: MIT */
/*
 * Reads past the page cache into our memory
 *
 * A read from a descriptor with O_DIRECT has a device write to the pages of the
 * buffer while they are pinned, and nothing tells a pager that they are. So a
 * page that is written back and evicted meanwhile would lose what arrives in it
 * later. Such a read goes through memory in between, from which the kernel copies
 * as any read does: a piece at a time, with a fault where a page is missing.
 *
 * The memory is a memfd's, so that it is the kernel that copies: a buffer that is
 * not there is EFAULT, and no signal.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "../client.h"
#include "preload.h"

#define PAGE  4096u
#define PIECE ((size_t)1 << 20)

struct between {
	int fd;
	char *memory;
	size_t size;
};

static bool is_direct(int fd)
{
	struct stat st;
	long flags = syscall(SYS_fcntl, fd, F_GETFL);

	/* A pipe's O_DIRECT is something else. */
	return flags >= 0 && flags & O_DIRECT && fstat(fd, &st) == 0 &&
	       (S_ISREG(st.st_mode) || S_ISBLK(st.st_mode));
}

static bool is_ours(const struct iovec *one)
{
	uintptr_t start = (uintptr_t)one->iov_base & ~(uintptr_t)(PAGE - 1);
	size_t length = one->iov_len + ((uintptr_t)one->iov_base - start);

	return one->iov_len && ranges_ours((void *)start, length);
}

bool direct_concerns(int fd, const struct iovec *vector, int n)
{
	int saved = errno;
	bool ours = false;

	if (wmap_file_any() && is_direct(fd))
		for (int i = 0; i < n && !ours; i++)
			ours = is_ours(&vector[i]);
	errno = saved;
	return ours;
}

static bool get_between(struct between *between, size_t size)
{
	long memory;

	between->size = size < PIECE ? (size + PAGE - 1) / PAGE * PAGE : PIECE;
	between->fd = (int)syscall(SYS_memfd_create, "wmap direct", 1u);
	if (between->fd < 0)
		return false;
	memory = syscall(SYS_ftruncate, between->fd, between->size);
	if (!memory)
		memory = syscall(SYS_mmap, NULL, between->size,
				 PROT_READ | PROT_WRITE, MAP_SHARED,
				 between->fd, 0);
	if (memory == -1) {
		syscall(SYS_close, between->fd);
		return false;
	}
	between->memory = (char *)(uintptr_t)memory;
	return true;
}

static void put_between(const struct between *between)
{
	syscall(SYS_munmap, between->memory, between->size);
	syscall(SYS_close, between->fd);
}

/* Where in the buffers the next byte goes. */
struct place {
	const struct iovec *vector;
	size_t offset; /* in the first of them */
};

/* @size bytes to the buffers, which have room for them; how many got there. */
static ssize_t deliver(const struct between *between, struct place *place,
		       size_t size)
{
	size_t done = 0;

	while (done < size) {
		const struct iovec *one = place->vector;
		size_t rest = one->iov_len - place->offset;
		ssize_t n;

		if (!rest) {
			place->vector++;
			place->offset = 0;
			continue;
		}
		n = syscall(SYS_pread64, between->fd,
			    (char *)one->iov_base + place->offset,
			    rest < size - done ? rest : size - done, done);
		if (n <= 0)
			return done ? (ssize_t)done : n;
		place->offset += (size_t)n;
		done += (size_t)n;
	}
	return (ssize_t)done;
}

static ssize_t read_piece(int fd, const struct between *between, size_t size,
			  off_t at)
{
	if (size > between->size)
		size = between->size;
	if (at < 0)
		return syscall(SYS_read, fd, between->memory, size);
	return syscall(SYS_pread64, fd, between->memory, size, at);
}

/* As many bytes as there are, or as came before an error. */
static ssize_t read_all(int fd, const struct between *between,
			struct place place, size_t size, off_t at)
{
	size_t done = 0;

	while (done < size) {
		ssize_t n = read_piece(fd, between, size - done,
				       at < 0 ? at : at + (off_t)done);
		ssize_t delivered =
			n > 0 ? deliver(between, &place, (size_t)n) : n;

		if (delivered <= 0)
			return done ? (ssize_t)done : delivered;
		done += (size_t)delivered;
		if (delivered < n || (size_t)n < between->size)
			break;
	}
	return (ssize_t)done;
}

ssize_t direct_read(int fd, const struct iovec *vector, int n, off_t at)
{
	struct place place = { vector, 0 };
	struct between between;
	size_t size = 0;
	int saved = errno;
	ssize_t result;

	for (int i = 0; i < n; i++)
		size += vector[i].iov_len;
	if (!get_between(&between, size)) {
		errno = ENOMEM;
		return -1;
	}
	result = read_all(fd, &between, place, size, at);
	if (result < 0)
		saved = errno;
	put_between(&between);
	errno = saved;
	return result;
}
