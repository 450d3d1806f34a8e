/* SPDX-License-Identifier: MIT */
/*
 * msync, mprotect, madvise, mincore
 *
 * Each goes piece by piece to wmap or to the kernel. As in the kernel, msync
 * and madvise do the rest of the range when a part of it is not mapped, and
 * fail with ENOMEM afterwards; the others stop.
 *
 * An advice that wmap does not know is never given to the kernel where it could
 * take a page out of our memory, put one in, or let a child inherit it: the
 * kernel would then show zeros that no file has. Hints are ignored, as the
 * kernel may ignore them, and what it refuses for a file's memory is refused.
 */
#include <errno.h>

#include "preload.h"

#ifndef MADV_DONTNEED_LOCKED
#define MADV_DONTNEED_LOCKED 24
#endif
#ifndef MADV_SOFT_OFFLINE
#define MADV_SOFT_OFFLINE 101
#endif

static int run(void *addr, size_t length, struct ranges_call *call)
{
	int saved = errno, result;

	if (!ranges_ours(addr, length))
		return call->kernel(addr, length, call);
	result = ranges_each(addr, length, call);
	if (result == 0)
		errno = saved;
	return result;
}

/* ---- msync -------------------------------------------------------------- */

static int sync_kernel(void *addr, size_t length,
		       const struct ranges_call *call)
{
	return (int)syscall(SYS_msync, addr, length, call->argument);
}

static int sync_ours(void *addr, size_t length, const struct ranges_call *call)
{
	int flags = call->argument;

	if (flags & ~(MS_ASYNC | MS_SYNC | MS_INVALIDATE) ||
	    (flags & MS_ASYNC && flags & MS_SYNC)) {
		errno = EINVAL;
		return -1;
	}
	return wmap_sync(addr, length,
			 flags & MS_SYNC ? WMAP_SYNC_WAIT : WMAP_SYNC_START);
}

HOOK int msync(void *addr, size_t length, int flags)
{
	struct ranges_call call = { .ours = sync_ours,
				    .kernel = sync_kernel,
				    .go_on = true,
				    .argument = flags };

	return run(addr, length, &call);
}

/* ---- mprotect ----------------------------------------------------------- */

static int protect_kernel(void *addr, size_t length,
			  const struct ranges_call *call)
{
	return (int)syscall(SYS_mprotect, addr, length, call->argument);
}

static int protect_ours(void *addr, size_t length,
			const struct ranges_call *call)
{
	return wmap_protect(addr, length, call->argument);
}

HOOK int mprotect(void *addr, size_t length, int prot)
{
	struct ranges_call call = { .ours = protect_ours,
				    .kernel = protect_kernel,
				    .argument = prot };

	return run(addr, length, &call);
}

/* ---- madvise ------------------------------------------------------------ */

static int advise_kernel(void *addr, size_t length,
			 const struct ranges_call *call)
{
	return (int)syscall(SYS_madvise, addr, length, call->argument);
}

static int refuse(int error)
{
	errno = error;
	return -1;
}

/* Punching a hole into the file is not ours to do; a file system that cannot
   do it either says so in the same way. */
static int refuse_remove(const void *addr)
{
	struct wmap_mapping_info info = { .size = sizeof(info) };

	if (wmap_mapping_find(addr, &info) == 0 && info.flags & WMAP_PRIVATE)
		return refuse(EACCES);
	return refuse(EOPNOTSUPP);
}

static int advise_ours(void *addr, size_t length,
		       const struct ranges_call *call)
{
	switch (call->argument) {
	case MADV_NORMAL:
		return wmap_advise(addr, length, WMAP_ADVICE_NORMAL);
	case MADV_RANDOM:
		return wmap_advise(addr, length, WMAP_ADVICE_RANDOM);
	case MADV_SEQUENTIAL:
		return wmap_advise(addr, length, WMAP_ADVICE_SEQUENTIAL);
	case MADV_WILLNEED:
		return wmap_advise(addr, length, WMAP_ADVICE_WILLNEED);
	case MADV_DONTNEED:
	case MADV_DONTNEED_LOCKED:
		return wmap_advise(addr, length, WMAP_ADVICE_DONTNEED);
	case MADV_REMOVE:
		return refuse_remove(addr);
	case MADV_DONTFORK: /* it is so until fork is supported, */
	case MADV_DOFORK:   /* and must stay so */
	case MADV_KEEPONFORK:
	case MADV_HUGEPAGE:
	case MADV_NOHUGEPAGE:
	case MADV_MERGEABLE:
	case MADV_UNMERGEABLE:
		return 0;
	case MADV_COLD:
		return wmap_advise(addr, length, WMAP_ADVICE_COLD);
	case MADV_PAGEOUT:
		return wmap_advise(addr, length, WMAP_ADVICE_PAGEOUT);
	case MADV_DONTDUMP:
	case MADV_DODUMP:
	case MADV_POPULATE_READ:
	case MADV_POPULATE_WRITE:
	case MADV_HWPOISON:
	case MADV_SOFT_OFFLINE:
		return advise_kernel(addr, length, call);
	default: /* MADV_FREE, MADV_WIPEONFORK, MADV_COLLAPSE, unknown */
		return refuse(EINVAL);
	}
}

HOOK int madvise(void *addr, size_t length, int advice)
{
	struct ranges_call call = { .ours = advise_ours,
				    .kernel = advise_kernel,
				    .go_on = true,
				    .argument = advice };

	return run(addr, length, &call);
}

HOOK int posix_madvise(void *addr, size_t length, int advice)
{
	int saved = errno, error = 0;

	if (advice == POSIX_MADV_DONTNEED)
		return 0; /* it must lose nothing, so glibc does nothing */
	if (madvise(addr, length, advice) != 0)
		error = errno;
	errno = saved;
	return error;
}

/* ---- mincore ------------------------------------------------------------ */

static unsigned char *vector_of(const void *addr,
				const struct ranges_call *call)
{
	size_t before =
		(size_t)((const char *)addr - (const char *)call->start);

	return call->vector + before / WMAP_PAGE_SIZE;
}

static int mincore_kernel(void *addr, size_t length,
			  const struct ranges_call *call)
{
	return (int)syscall(SYS_mincore, addr, length, vector_of(addr, call));
}

static int mincore_ours(void *addr, size_t length,
			const struct ranges_call *call)
{
	return wmap_residency(addr, length, vector_of(addr, call));
}

HOOK int mincore(void *addr, size_t length, unsigned char *vector)
{
	struct ranges_call call = { .ours = mincore_ours,
				    .kernel = mincore_kernel,
				    .vector = vector,
				    .start = addr };

	return run(addr, length, &call);
}
