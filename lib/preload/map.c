/* SPDX-License-Identifier: MIT */
/*
 * mmap, munmap, mremap
 *
 * A mapping of a file that the rules name is made by wmap, all else by the
 * kernel. Where wmap has no meaning for what is asked (code, locked or growing
 * memory, what no regular file can do) the kernel is asked, too; where wmap
 * fails, that is the program's answer.
 *
 * What the kernel maps over mappings of ours (MAP_FIXED) it first maps
 * elsewhere: so a call that fails leaves ours as they were, and the step that
 * replaces them is the kernel's own mremap, in which nothing else can land.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>

#include "../client.h"
#include "preload.h"

#ifndef MAP_SHARED_VALIDATE
#define MAP_SHARED_VALIDATE 0x03
#endif
#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP 4
#endif

#define TYPE_MASK 0x0f /* MAP_TYPE */

/* Flags that a mapping of ours can honour or may ignore. */
#define OURS \
	(TYPE_MASK | MAP_FIXED | MAP_FIXED_NOREPLACE | MAP_POPULATE | \
	 MAP_NONBLOCK | MAP_NORESERVE | MAP_STACK | MAP_DENYWRITE | \
	 MAP_EXECUTABLE)

struct request {
	void *addr;
	size_t length;
	int prot, flags, fd;
	off_t offset;
};

static void *address(long result)
{
	return (void *)(uintptr_t)result;
}

static void *kernel_map(const struct request *r, void *addr, int flags)
{
	return address(syscall(SYS_mmap, addr, r->length, r->prot, flags, r->fd,
			       r->offset));
}

static void *kernel_remap(void *old, size_t old_length, size_t new_length,
			  int flags, void *to)
{
	return address(
		syscall(SYS_mremap, old, old_length, new_length, flags, to));
}

/* ---- By wmap ------------------------------------------------------------ */

/* MAP_SHARED or MAP_PRIVATE; 0 for what only the kernel can answer. */
static int sharing(int flags)
{
	int type = flags & TYPE_MASK;

	if (flags & ~OURS)
		return 0;
	if (type == MAP_SHARED_VALIDATE)
		return MAP_SHARED;
	return type == MAP_SHARED || type == MAP_PRIVATE ? type : 0;
}

static bool is_for_wmap(const struct request *r, struct rules_file *file)
{
	int type = sharing(r->flags);

	if (!type || !r->length || r->length > PTRDIFF_MAX || r->fd < 0)
		return false;
	if (type == MAP_PRIVATE && r->prot & PROT_EXEC)
		return false;
	if (r->flags & (MAP_FIXED | MAP_FIXED_NOREPLACE) &&
	    (uintptr_t)r->addr % WMAP_PAGE_SIZE)
		return false;
	return rules_take(r->fd, file);
}

static int wmap_flags(int flags)
{
	int ours = sharing(flags) == MAP_SHARED ? WMAP_SHARED : WMAP_PRIVATE;

	if (flags & MAP_FIXED_NOREPLACE)
		return ours | WMAP_FIXED;
	if (flags & MAP_FIXED)
		return ours | WMAP_FIXED | WMAP_REPLACE;
	return ours;
}

/* What a mapping with MAP_FIXED will replace goes first, into the report. */
static int make_room(const struct request *r)
{
	if (!(r->flags & MAP_FIXED) || r->flags & MAP_FIXED_NOREPLACE)
		return 0;
	return ranges_vacate_ours(r->addr, r->length);
}

static void *ours_map(const struct request *r)
{
	struct wmap_map_options options = {
		.size = sizeof(options),
		.grain = rules_grain(),
	};
	int prot = r->prot & (PROT_READ | PROT_WRITE | PROT_EXEC);

	if (make_room(r) != 0)
		return MAP_FAILED;
	return wmap_map(r->addr, r->length, prot, wmap_flags(r->flags), r->fd,
			r->offset, &options);
}

static void populate(const struct request *r, void *addr)
{
	if (r->flags & MAP_POPULATE && !(r->flags & MAP_NONBLOCK))
		wmap_advise(addr, r->length, WMAP_ADVICE_WILLNEED);
}

/* Does this failure of wmap leave the file to the kernel? */
static bool is_declined(int error, const struct rules_file *file)
{
	static atomic_bool said;

	switch (error) {
	case ENODEV:
		return true;
	case EMFILE:
	case ENFILE:
		if (!atomic_exchange(&said, true))
			process_say("no descriptor left: %s and what follows "
				    "come from the kernel",
				    file->path);
		return true;
	case EBUSY:
		if (!atomic_exchange(&said, true))
			process_say("%s is mapped by another process, too, and "
				    "cannot be mapped here yet",
				    file->path);
		return false;
	case EBADF: /* the program's own was looked at before */
	case ENOTTY:
		if (!atomic_exchange(&said, true))
			process_say("this program has closed descriptors that "
				    "it did not open: %s cannot be mapped",
				    file->path);
		return false;
	default:
		return false;
	}
}

static void remember(const struct rules_file *file)
{
	process_lock();
	names_note(file);
	process_unlock();
}

/* True if it has been answered: *@result. */
static bool map_by_wmap(const struct request *r, void **result)
{
	struct rules_file file;

	if (!is_for_wmap(r, &file) || !process_page())
		return false;
	*result = ours_map(r);
	if (*result == MAP_FAILED)
		return !is_declined(errno, &file);
	remember(&file);
	populate(r, *result);
	return true;
}

/* ---- By the kernel ------------------------------------------------------ */

static void *map_over_ours(const struct request *r)
{
	void *made = kernel_map(r, NULL, r->flags & ~MAP_FIXED), *placed;

	if (made == MAP_FAILED)
		return MAP_FAILED;
	if (ranges_vacate_ours(r->addr, r->length) == 0) {
		placed = kernel_remap(made, r->length, r->length,
				      MREMAP_MAYMOVE | MREMAP_FIXED, r->addr);
		if (placed != MAP_FAILED)
			return placed;
	}
	syscall(SYS_munmap, made, r->length);
	return MAP_FAILED;
}

static void *map_by_kernel(const struct request *r)
{
	if (r->flags & MAP_FIXED && !(r->flags & MAP_FIXED_NOREPLACE) &&
	    ranges_ours(r->addr, r->length))
		return map_over_ours(r);
	return kernel_map(r, r->addr, r->flags);
}

/* ---- The hooks ---------------------------------------------------------- */

HOOK void *mmap(void *addr, size_t length, int prot, int flags, int fd,
		off_t offset)
{
	struct request r = { addr, length, prot, flags, fd, offset };
	int saved = errno;
	void *result;

	if (flags & MAP_ANONYMOUS || !map_by_wmap(&r, &result))
		result = map_by_kernel(&r);
	if (result != MAP_FAILED)
		errno = saved;
	return result;
}

HOOK void *mmap64(void *addr, size_t length, int prot, int flags, int fd,
		  off64_t offset) __attribute__((alias("mmap")));

static int kernel_unmap(void *addr, size_t length,
			const struct ranges_call *call)
{
	(void)call;
	return (int)syscall(SYS_munmap, addr, length);
}

HOOK int munmap(void *addr, size_t length)
{
	struct ranges_call call = { .ours = ranges_unmap_piece,
				    .kernel = kernel_unmap };
	int saved = errno, result;

	if (!ranges_ours(addr, length))
		return (int)syscall(SYS_munmap, addr, length);
	result = ranges_each(addr, length, &call);
	if (result == 0)
		errno = saved;
	return result;
}

/* ---- mremap ------------------------------------------------------------- */

struct move {
	void *old;
	size_t old_length, new_length;
	int flags;
	void *to; /* with MREMAP_FIXED */
};

static bool is_fixed(const struct move *m)
{
	return m->flags & MREMAP_FIXED;
}

static void *refuse(int error)
{
	errno = error;
	return MAP_FAILED;
}

static bool is_valid(const struct move *m)
{
	uintptr_t old = (uintptr_t)m->old, to = (uintptr_t)m->to;

	if (m->flags & ~(MREMAP_MAYMOVE | MREMAP_FIXED) || !m->new_length ||
	    !m->old_length)
		return false;
	if (!is_fixed(m))
		return true;
	return m->flags & MREMAP_MAYMOVE && to % WMAP_PAGE_SIZE == 0 &&
	       (to + m->new_length <= old || old + m->old_length <= to);
}

static int wmap_flags_of(const struct move *m)
{
	return (m->flags & MREMAP_MAYMOVE ? WMAP_MAYMOVE : 0) |
	       (is_fixed(m) ? WMAP_FIXED : 0);
}

static size_t pages_of(size_t length)
{
	return (length + WMAP_PAGE_SIZE - 1) & -(size_t)WMAP_PAGE_SIZE;
}

/* Unmap what a shorter mapping loses, so that it gets into the report. */
static int shorten(struct move *m)
{
	size_t kept = pages_of(m->new_length);

	if (kept >= m->old_length)
		return 0;
	if (munmap((char *)m->old + kept, m->old_length - kept) != 0)
		return -1;
	m->old_length = m->new_length;
	return 0;
}

/* What does not grow stays where it is, and may be several mappings, as after an
   mprotect(2) of a part. */
static bool stays(const struct move *m)
{
	return !is_fixed(m) &&
	       pages_of(m->new_length) <= pages_of(m->old_length) &&
	       ranges_ours(m->old, 1);
}

static void *move_ours(struct move *m)
{
	if (!is_valid(m))
		return refuse(EINVAL);
	if (is_fixed(m) && ranges_vacate_ours(m->to, m->new_length) != 0)
		return MAP_FAILED;
	if (shorten(m) != 0)
		return MAP_FAILED;
	if (stays(m))
		return m->old;
	return wmap_remap(m->old, m->old_length, m->new_length,
			  wmap_flags_of(m), m->to);
}

static void *move_by_kernel(const struct move *m)
{
	if (is_fixed(m) && ranges_vacate_ours(m->to, m->new_length) != 0)
		return MAP_FAILED;
	return kernel_remap(m->old, m->old_length, m->new_length, m->flags,
			    m->to);
}

/* The old length 0 asks for a second mapping of the same pages. */
static bool is_ours(const struct move *m)
{
	return ranges_ours(m->old, m->old_length ? m->old_length : 1);
}

HOOK void *mremap(void *old, size_t old_length, size_t new_length, int flags,
		  ...)
{
	struct move m = { old, old_length, new_length, flags, NULL };
	int saved = errno;
	va_list args;
	void *result;

	if (flags & (MREMAP_FIXED | MREMAP_DONTUNMAP)) {
		va_start(args, flags);
		m.to = va_arg(args, void *);
		va_end(args);
	}
	result = is_ours(&m) ? move_ours(&m) : move_by_kernel(&m);
	if (result != MAP_FAILED)
		errno = saved;
	return result;
}
