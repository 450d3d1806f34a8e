/* SPDX-License-Identifier: MIT */
/*
 * The kernel's calls, and what the running kernel can do
 *
 * Features are asked of a throw-away userfaultfd (UFFDIO_API works once for each
 * descriptor, and asking for an unknown bit fails), never of uname or headers.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fds.h"
#include "internal.h"
#include "sys.h"

long (*sys_hook)(long number);
long (*sys_hook_after)(long number, long a, long b, long c, long result);

/* Apart: a call between the registers' setting and their use would spoil them. */
static long enter(long number, long a, long b, long c, long d, long e, long f)
{
	long result;
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	register long r9 __asm__("r9") = f;

	__asm__ volatile("syscall"
			 : "=a"(result)
			 : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10),
			   "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return result;
}

long sys_call6(long number, long a, long b, long c, long d, long e, long f)
{
	long result = 0;

	if (__builtin_expect(sys_hook != NULL, 0))
		result = sys_hook(number);
	if (!result) {
		result = enter(number, a, b, c, d, e, f);
		if (__builtin_expect(sys_hook_after != NULL, 0))
			result = sys_hook_after(number, a, b, c, result);
	}
	fds_note(number, a, b, result);
	return result;
}

/* ---- Features -------------------------------------------------------------*/

static bool names(const char *list, const char *feature)
{
	size_t length = strlen(feature);

	while (*list) {
		size_t word = strcspn(list, ",");

		if (word == length && !strncmp(list, feature, length))
			return true;
		list += word + (list[word] == ',');
	}
	return false;
}

bool sys_without(const char *feature)
{
	const char *list = getenv("WMAP_KERNEL_WITHOUT");

	return list && names(list, feature);
}

static int open_device(void)
{
	long device, uffd;

	if (sys_without("device"))
		return -ENOENT;
	device = sys_call(SYS_openat, AT_FDCWD, "/dev/userfaultfd",
			  O_RDWR | O_CLOEXEC);
	if (device < 0)
		return (int)device;
	uffd = sys_call(SYS_ioctl, device, USERFAULTFD_IOC_NEW,
			O_CLOEXEC | O_NONBLOCK);
	sys_call(SYS_close, device);
	return (int)uffd;
}

static int open_raw(bool *kernel_faults)
{
	int uffd = -EPERM;

	*kernel_faults = true;
	/* First: to open the device takes a fork's child as long again. */
	if (!sys_without("kernel_faults"))
		uffd = (int)sys_call(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	if (uffd >= 0 || uffd == -EMFILE || uffd == -ENFILE)
		return uffd;
	uffd = open_device();
	if (uffd >= 0 || uffd == -EMFILE || uffd == -ENFILE)
		return uffd;
	*kernel_faults = false;
	return (int)sys_call(SYS_userfaultfd,
			     O_CLOEXEC | O_NONBLOCK | UFFD_USER_MODE_ONLY);
}

static int negotiate(int uffd, uint64_t wanted, uint64_t *has)
{
	struct uffdio_api api = { .api = UFFD_API, .features = wanted };
	int error = (int)sys_call(SYS_ioctl, uffd, UFFDIO_API, &api);

	*has = api.features;
	return error;
}

static const uint64_t required =
	UFFD_FEATURE_PAGEFAULT_FLAG_WP | UFFD_FEATURE_MISSING_SHMEM |
	UFFD_FEATURE_MINOR_SHMEM | UFFD_FEATURE_WP_HUGETLBFS_SHMEM |
	UFFD_FEATURE_THREAD_ID;

/* A feature that we use where it is there. */
static const struct {
	const char *name;
	uint64_t kernel;
	unsigned feature;
} optional[] = {
	{ "poison", UFFD_FEATURE_POISON, WMAP_FEATURE_POISON },
	{ "move", UFFD_FEATURE_MOVE, WMAP_FEATURE_MOVE },
	/* CONTINUE_MODE_WP has no bit of its own; it came with this one. */
	{ "continue_wp", UFFD_FEATURE_WP_UNPOPULATED,
	  WMAP_FEATURE_CONTINUE_WP },
	{ "wp_async", UFFD_FEATURE_WP_ASYNC, WMAP_FEATURE_WP_ASYNC },
};

static int probe(uint64_t *has)
{
	bool kernel_faults;
	int uffd = open_raw(&kernel_faults);
	int error;

	if (uffd < 0)
		return uffd;
	error = negotiate(uffd, 0, has);
	sys_call(SYS_close, uffd);
	if (!error && (*has & required) != required)
		return -ENOSYS;
	return error;
}

static unsigned choose(uint64_t has)
{
	unsigned features = 0;

	for (size_t i = 0; i < lengthof(optional); i++)
		if ((has & optional[i].kernel) &&
		    !sys_without(optional[i].name))
			features |= optional[i].feature;
	return features;
}

/* Open one with these features; what it can moreover is added. */
static int open_with(unsigned *features)
{
	uint64_t has, wanted = required;
	bool kernel_faults;
	int uffd, error;

	if (*features & WMAP_FEATURE_POISON)
		wanted |= UFFD_FEATURE_POISON;
	if (*features & WMAP_FEATURE_MOVE)
		wanted |= UFFD_FEATURE_MOVE;
	uffd = open_raw(&kernel_faults);
	if (uffd < 0)
		return uffd;
	error = negotiate(uffd, wanted, &has);
	if (error) {
		sys_call(SYS_close, uffd);
		return error;
	}
	*features &= ~(unsigned)WMAP_FEATURE_KERNEL_FAULTS;
	if (kernel_faults)
		*features |= WMAP_FEATURE_KERNEL_FAULTS;
	return uffd;
}

int sys_uffd_open(unsigned *features)
{
	uint64_t has;
	unsigned chosen;
	int uffd, error = probe(&has);

	if (error)
		return error;
	chosen = choose(has);
	uffd = open_with(&chosen);
	if (uffd >= 0)
		*features = chosen;
	return uffd;
}

int sys_uffd_open_again(unsigned *features)
{
	return open_with(features);
}

/* ---- Addresses of this process ---------------------------------------------*/

long sys_map(uint64_t address, uint64_t length, int prot, int flags, int fd,
	     uint64_t offset)
{
	return sys_call(SYS_mmap, address, length, prot, flags, fd, offset);
}

/* ThreadSanitizer says itself where memory may be. */
#ifndef __SANITIZE_THREAD__
#define ASIDE	    ((uint64_t)0x200000000000)
#define ASIDE_PAGES ((uint64_t)1 << 32)
#else
#define ASIDE	    0
#define ASIDE_PAGES 1
#endif

#define HUGE ((uint64_t)2 << 20)

long sys_map_aside(uint64_t length)
{
	uint64_t number = 0, at;

	sys_call(SYS_getrandom, &number, sizeof(number), 0);
	at = ASIDE + number % ASIDE_PAGES * PAGE;
	if (length % HUGE == 0)
		at &= ~(HUGE - 1);
	return sys_map(at, length, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
}

int sys_unmap(uint64_t address, uint64_t length)
{
	return (int)sys_call(SYS_munmap, address, length);
}

int sys_protect(uint64_t address, uint64_t length, int prot)
{
	return (int)sys_call(SYS_mprotect, address, length, prot);
}

int sys_place(int uffd, uint64_t address, uint64_t length, int prot,
	      bool shared, int fixed, int memfd, uint64_t offset,
	      uint64_t modes, bool inherit)
{
	int flags = fixed | MAP_NORESERVE | (shared ? MAP_SHARED : MAP_PRIVATE);
	int error = 0;
	long result;

	if (memfd < 0)
		flags = fixed | MAP_NORESERVE | MAP_PRIVATE | MAP_ANONYMOUS;
	result = sys_map(address, length, PROT_NONE, flags, memfd, offset);
	if (sys_failed(result))
		return (int)result;
	if (!inherit)
		error = (int)sys_call(SYS_madvise, address, length,
				      MADV_DONTFORK);
	if (!error)
		error = uffd_register(uffd, address, length, modes);
	if (!error && prot != PROT_NONE)
		error = sys_protect(address, length, prot);
	return error;
}

/* ---- uffd ------------------------------------------------------------------*/

#define TRIES 100

static int uffd_ioctl(int uffd, unsigned long request, void *argument)
{
	return (int)sys_call(SYS_ioctl, uffd, request, argument);
}

int uffd_register(int uffd, uint64_t address, uint64_t length, uint64_t modes)
{
	struct uffdio_register reg = {
		.range = { .start = address, .len = length },
		.mode = modes,
	};

	return uffd_ioctl(uffd, UFFDIO_REGISTER, &reg);
}

int uffd_unregister(int uffd, uint64_t address, uint64_t length)
{
	struct uffdio_range range = { .start = address, .len = length };

	return uffd_ioctl(uffd, UFFDIO_UNREGISTER, &range);
}

/*
 * What an ioctl did: its count holds the bytes done, or the negative errno if
 * it did none. Done in part it fails with EAGAIN, whatever it was that stopped
 * it; going on from there tells.
 */
static int outcome(int error, int64_t count, uint64_t *done)
{
	*done = count > 0 ? (uint64_t)count : 0;
	if (count < 0 && error)
		return (int)count;
	return error;
}

int uffd_copy(int uffd, uint64_t address, const void *source, uint64_t length,
	      uint64_t mode, uint64_t *done)
{
	struct uffdio_copy copy = {
		.dst = address,
		.src = (uint64_t)source,
		.len = length,
		.mode = mode,
	};
	int error = uffd_ioctl(uffd, UFFDIO_COPY, &copy);

	return outcome(error, copy.copy, done);
}

int uffd_zeropage(int uffd, uint64_t address, uint64_t length, uint64_t *done)
{
	struct uffdio_zeropage zero = {
		.range = { .start = address, .len = length },
	};
	int error = uffd_ioctl(uffd, UFFDIO_ZEROPAGE, &zero);

	return outcome(error, zero.zeropage, done);
}

int uffd_continue(int uffd, uint64_t address, uint64_t length, uint64_t mode,
		  uint64_t *done)
{
	struct uffdio_continue cont = {
		.range = { .start = address, .len = length },
		.mode = mode,
	};
	int error = uffd_ioctl(uffd, UFFDIO_CONTINUE, &cont);

	return outcome(error, cont.mapped, done);
}

int uffd_poison(int uffd, uint64_t address, uint64_t length, uint64_t *done)
{
	struct uffdio_poison poison = {
		.range = { .start = address, .len = length },
	};
	int error = uffd_ioctl(uffd, UFFDIO_POISON, &poison);

	return outcome(error, poison.updated, done);
}

static int write_protect(int uffd, uint64_t address, uint64_t length,
			 uint64_t mode)
{
	struct uffdio_writeprotect protect = {
		.range = { .start = address, .len = length },
		.mode = mode,
	};
	int error;

	/* EAGAIN: the address space is changing; nothing has been done. */
	do
		error = uffd_ioctl(uffd, UFFDIO_WRITEPROTECT, &protect);
	while (error == -EAGAIN);
	return error;
}

int uffd_protect(int uffd, uint64_t address, uint64_t length)
{
	return write_protect(uffd, address, length,
			     UFFDIO_WRITEPROTECT_MODE_WP);
}

int uffd_unprotect(int uffd, uint64_t address, uint64_t length)
{
	return write_protect(uffd, address, length, 0);
}

int uffd_unmark(int uffd, uint64_t address, uint64_t length)
{
	return write_protect(uffd, address, length,
			     UFFDIO_WRITEPROTECT_MODE_DONTWAKE);
}

void uffd_wake(int uffd, uint64_t address, uint64_t length)
{
	struct uffdio_range range = { .start = address, .len = length };
	int tries = 0;

	/* No way is known for it to fail; but a sleeper depends on it. */
	while (uffd_ioctl(uffd, UFFDIO_WAKE, &range) && ++tries < TRIES)
		sys_call(SYS_sched_yield);
}

static int move_some(int uffd, uint64_t to, uint64_t from, uint64_t length,
		     uint64_t *done)
{
	struct uffdio_move move = { .dst = to, .src = from, .len = length };
	int error = uffd_ioctl(uffd, UFFDIO_MOVE, &move);

	return outcome(error, move.move, done);
}

/*
 * Linux 6.18 stops with -EEXIST at pages that it has just moved itself: if a page
 * changes under its hands it begins again, but does not forget that it had to:
 *
 *   the program                  MOVE
 *                                sees the page of zeros
 *   stores for the first time:
 *   a page of its own
 *                                another page now: EAGAIN, again
 *                                moves it, EAGAIN is still set: again
 *                                a page is there: EEXIST
 *
 * Who believed it would throw away what was moved. So it is asked for the rest
 * until nothing comes of that; and where nothing was, what is there was moved.
 */
int uffd_move(int uffd, uint64_t to, uint64_t from, uint64_t length,
	      uint64_t *done)
{
	uint64_t n;
	int error;

	*done = 0;
	do {
		error = move_some(uffd, to + *done, from + *done,
				  length - *done, &n);
		if (error == -EEXIST) {
			uffd_wake(uffd, to + *done, PAGE);
			n = PAGE;
		}
		*done += n;
	} while (n && *done < length);
	return *done < length ? error : 0;
}
