/* SPDX-License-Identifier: MIT */
/*
 * The kernel: every system call that can fail goes through sys_call
 *
 * All return what the system call returns, or a negative errno. sys_hook lets
 * a test answer in the kernel's place, sys_hook_after change what it has answered;
 * both are constant while threads run.
 */
#ifndef WMAP_SYS_H
#define WMAP_SYS_H

#include <linux/userfaultfd.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>

/*
 * Set by a test: called before each system call with its number; 0 lets it
 * pass, a negative errno is the answer instead.
 */
extern long (*sys_hook)(long number);

/* Likewise: called after each one that was made, with its first arguments and its
   answer; what it returns is the answer instead. */
extern long (*sys_hook_after)(long number, long a, long b, long c, long result);

long sys_call6(long number, long a, long b, long c, long d, long e, long f);

#define SYS_ARG(x) ((long)(x))
#define SYS_PICK(n, a, b, c, d, e, f, ...) \
	sys_call6(n, SYS_ARG(a), SYS_ARG(b), SYS_ARG(c), SYS_ARG(d), \
		  SYS_ARG(e), SYS_ARG(f))
#define sys_call(...) SYS_PICK(__VA_ARGS__, 0, 0, 0, 0, 0, 0)

/* ---- What bookworm's headers (6.1) do not have ---------------------------- */

#ifndef UFFD_FEATURE_WP_UNPOPULATED
#define UFFD_FEATURE_WP_UNPOPULATED (1 << 13) /* 6.4 */
#endif
#ifndef UFFD_FEATURE_POISON
#define UFFD_FEATURE_POISON (1 << 14) /* 6.6 */
#endif
#ifndef UFFD_FEATURE_WP_ASYNC
#define UFFD_FEATURE_WP_ASYNC (1 << 15) /* 6.7 */
#endif
#ifndef UFFD_FEATURE_MOVE
#define UFFD_FEATURE_MOVE (1 << 16) /* 6.8 */
#endif
#ifndef UFFDIO_CONTINUE_MODE_WP
#define UFFDIO_CONTINUE_MODE_WP ((__u64)1 << 1) /* 6.4 */
#endif
#ifndef UFFDIO_POISON
#define _UFFDIO_POISON		    0x08
#define UFFDIO_POISON		    _IOWR(UFFDIO, _UFFDIO_POISON, struct uffdio_poison)
#define UFFDIO_POISON_MODE_DONTWAKE ((__u64)1 << 0)
struct uffdio_poison {
	struct uffdio_range range;
	__u64 mode;
	__s64 updated;
};
#endif
#ifndef UFFDIO_MOVE
#define _UFFDIO_MOVE 0x05
#define UFFDIO_MOVE  _IOWR(UFFDIO, _UFFDIO_MOVE, struct uffdio_move)
struct uffdio_move {
	__u64 dst, src, len, mode;
	__s64 move;
};
#endif
#ifndef USERFAULTFD_IOC_NEW
#define USERFAULTFD_IOC	    0xAA
#define USERFAULTFD_IOC_NEW _IO(USERFAULTFD_IOC, 0x00)
#endif
#ifndef SYS_cachestat
#define SYS_cachestat 451 /* 6.5 */
#endif
struct sys_cachestat_range {
	uint64_t off, len;
};
struct sys_cachestat {
	uint64_t nr_cache, nr_dirty, nr_writeback, nr_evicted,
		nr_recently_evicted;
};
#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U /* 6.3 */
#endif

/* ---- Features -------------------------------------------------------------*/

/* Is @feature named in $WMAP_KERNEL_WITHOUT ("poison,move,…")? */
bool sys_without(const char *feature);

/*
 * A userfaultfd with every feature that this kernel has and that we use, by the
 * system call, else from /dev/userfaultfd, else for user-mode faults only.
 * *@features: WMAP_FEATURE_* without IO_URING.
 * -EPERM: no privilege; -ENOSYS: the kernel lacks what we cannot do without.
 */
int sys_uffd_open(unsigned *features);

/* Another one, with what is known by the first. */
int sys_uffd_open_again(unsigned *features);

/* ---- Addresses of this process ---------------------------------------------*/

/* An address, or a negative errno; tell them apart by sys_failed. */
static inline bool sys_failed(long result)
{
	return result < 0 && result >= -4095;
}

long sys_map(uint64_t address, uint64_t length, int prot, int flags, int fd,
	     uint64_t offset);
/* Memory for ourselves, where no program looks for free addresses: what one has
   just unmapped it may want back. */
long sys_map_aside(uint64_t length);
int sys_unmap(uint64_t address, uint64_t length);
int sys_protect(uint64_t address, uint64_t length, int prot);

/*
 * Put memory at an address and register it, so that no thread ever sees it
 * unregistered (it is PROT_NONE until then):  at , shared or
 * private, or plain memory if @memfd is -1. @fixed: MAP_FIXED or
 * MAP_FIXED_NOREPLACE. What a child must not see (@inherit false) is kept out of
 * it. On failure the address is as mmap left it: the caller unmaps or reserves.
 */
int sys_place(int uffd, uint64_t address, uint64_t length, int prot,
	      bool shared, int fixed, int memfd, uint64_t offset,
	      uint64_t modes, bool inherit);

/* ---- uffd ------------------------------------------------------------------*/

/* @modes: UFFDIO_REGISTER_MODE_* or-ed. */
int uffd_register(int uffd, uint64_t address, uint64_t length, uint64_t modes);
int uffd_unregister(int uffd, uint64_t address, uint64_t length);

/*
 * Each does as much of [address, address + length) as it can, *@done bytes, and
 * says why it stopped: 0, or -EEXIST (a page is there), -ENOENT (no mapping of
 * ours), -EFAULT (CONTINUE: no page to show), -EAGAIN, -ENOMEM, -ESRCH.
 * Sleepers on what was done are woken, unless @mode says otherwise.
 */
int uffd_copy(int uffd, uint64_t address, const void *source, uint64_t length,
	      uint64_t mode, uint64_t *done);
int uffd_zeropage(int uffd, uint64_t address, uint64_t length, uint64_t *done);
int uffd_continue(int uffd, uint64_t address, uint64_t length, uint64_t mode,
		  uint64_t *done);
/* The pages themselves, from one place of this process's private anonymous memory
   to another, which is registered, and where nothing is: a page that is there all
   the same counts as done. -EBUSY: a page is shared, or pinned; -ENOENT, too: there
   is none. */
int uffd_move(int uffd, uint64_t to, uint64_t from, uint64_t length,
	      uint64_t *done);
int uffd_poison(int uffd, uint64_t address, uint64_t length, uint64_t *done);
int uffd_protect(int uffd, uint64_t address, uint64_t length);
int uffd_unprotect(int uffd, uint64_t address, uint64_t length); /* and wake */
int uffd_unmark(int uffd, uint64_t address, uint64_t length); /* wakes nobody */
void uffd_wake(int uffd, uint64_t address, uint64_t length);

#endif
