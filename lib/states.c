/* SPDX-License-Identifier: MIT */
/* Bytes by page (states.h) */
#include <sys/mman.h>
#include <unistd.h>

#include "pager.h"
#include "states.h"
#include "sys.h"
#include "wire.h"

#define TOGETHER 4096

int states_open(uint64_t pages)
{
	int fd = (int)sys_call(SYS_memfd_create, "wmap-pages", MFD_CLOEXEC);
	int error;

	if (fd < 0)
		return fd;
	error = (int)sys_call(SYS_ftruncate, fd, pages);
	if (!error)
		return fd;
	sys_call(SYS_close, fd);
	return error;
}

/* ---- Writing -------------------------------------------------------------------- */

/* The memory of @fd for the bytes of @pages; in whatever order they are written. */
static int open_bytes(int fd, uint64_t pages, unsigned char **bytes)
{
	long at = 0;

	if (pages)
		at = sys_call(SYS_mmap, NULL, pages, PROT_READ | PROT_WRITE,
			      MAP_SHARED, fd, 0);
	if (at < 0 && at > -(long)PAGE)
		return (int)at;
	*bytes = (unsigned char *)(uintptr_t)at;
	return 0;
}

int states_write(const struct object *object, int fd)
{
	static const unsigned char by_state[PAGE_PRESUMED + 1] = {
		[PAGE_CLEAN] = WIRE_PAGE_CLEAN,
		[PAGE_DIRTY] = WIRE_PAGE_DIRTY,
		[PAGE_WRITING] = WIRE_PAGE_DIRTY,
		[PAGE_REDIRTIED] = WIRE_PAGE_DIRTY,
		[PAGE_PRESUMED] = WIRE_PAGE_DIRTY,
		[PAGE_ERROR] = WIRE_PAGE_ERROR,
	};
	unsigned char *bytes;
	int error = open_bytes(fd, object->n_pages, &bytes);

	if (error)
		return error;
	pages_spell(&object->pages, 0, object->n_pages, 0, by_state, bytes);
	sys_call(SYS_munmap, bytes, object->n_pages);
	return 0;
}

static const unsigned char touched_by_state[PAGE_PRESUMED + 1] = {
	[PAGE_CLEAN] = WIRE_PAGE_CLEAN,	  [PAGE_DIRTY] = WIRE_PAGE_CLEAN,
	[PAGE_WRITING] = WIRE_PAGE_CLEAN, [PAGE_REDIRTIED] = WIRE_PAGE_CLEAN,
	[PAGE_ERROR] = WIRE_PAGE_CLEAN,	  [PAGE_PRESUMED] = WIRE_PAGE_CLEAN,
};

/* Of a view that has a table of its own. */
static void write_own(const struct mapping *mapping, unsigned char *bytes)
{
	uint64_t cursor = 0, end = mapping_end_page(mapping);
	struct page page;

	while (pages_next(&mapping->object->pages, mapping->first, end, &cursor,
			  &page))
		if (view_has(mapping->view, page))
			bytes[page.index - mapping->first] =
				touched_by_state[page.state];
}

int states_write_touched(const struct mapping *mapping, int fd)
{
	uint64_t end = mapping_end_page(mapping);
	uint32_t view = view_bit(mapping->view);
	unsigned char *bytes;
	int error = open_bytes(fd, end - mapping->first, &bytes);

	if (error)
		return error;
	if (view)
		pages_spell(&mapping->object->pages, mapping->first, end, view,
			    touched_by_state, bytes);
	else
		write_own(mapping, bytes);
	sys_call(SYS_munmap, bytes, end - mapping->first);
	return 0;
}

/* ---- Reading -------------------------------------------------------------------- */

static size_t run_at(const unsigned char *bytes, size_t n)
{
	size_t i = 1;

	while (i < n && bytes[i] == *bytes)
		i++;
	return i;
}

int states_read(int fd, void *context,
		int (*take)(void *context, uint64_t at, size_t n,
			    unsigned char byte))
{
	unsigned char bytes[TOGETHER];
	long at = 0, n, run;
	int error = 0;

	while (!error && (at = sys_call(SYS_lseek, fd, at, SEEK_DATA)) >= 0) {
		n = sys_call(SYS_pread64, fd, bytes, sizeof(bytes), at);
		if (n <= 0)
			return -EIO;
		for (long i = 0; i < n && !error; i += run) {
			run = (long)run_at(&bytes[i], (size_t)(n - i));
			if (bytes[i])
				error = take(context, (uint64_t)(at + i),
					     (size_t)run, bytes[i]);
		}
		at += n;
	}
	return error;
}
