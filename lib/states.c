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
	uint64_t cursor = 0;
	unsigned char *bytes;
	struct page page;
	int error = open_bytes(fd, object->n_pages, &bytes);

	if (error)
		return error;
	while (pages_next(&object->pages, 0, object->n_pages, &cursor, &page)) {
		if (page_is(page, STATES_DIRTY))
			bytes[page.index] = WIRE_PAGE_DIRTY;
		else if (page_is(page, STATES_PRESENT))
			bytes[page.index] = WIRE_PAGE_CLEAN;
		else if (page.state == PAGE_ERROR)
			bytes[page.index] = WIRE_PAGE_ERROR;
	}
	sys_call(SYS_munmap, bytes, object->n_pages);
	return 0;
}

int states_write_touched(const struct mapping *mapping, int fd)
{
	uint64_t cursor = 0, end = mapping_end_page(mapping);
	unsigned char *bytes;
	struct page page;
	int error = open_bytes(fd, end - mapping->first, &bytes);

	if (error)
		return error;
	while (pages_next(&mapping->object->pages, mapping->first, end, &cursor,
			  &page))
		if (page_is(page, STATES_PRESENT | 1u << PAGE_ERROR) &&
		    view_has(mapping->view, page))
			bytes[page.index - mapping->first] = WIRE_PAGE_CLEAN;
	sys_call(SYS_munmap, bytes, end - mapping->first);
	return 0;
}

/* ---- Reading -------------------------------------------------------------------- */

int states_read(int fd, void *context,
		int (*take)(void *context, uint64_t at, unsigned char byte))
{
	unsigned char bytes[TOGETHER];
	long at = 0, n;
	int error = 0;

	while (!error && (at = sys_call(SYS_lseek, fd, at, SEEK_DATA)) >= 0) {
		n = sys_call(SYS_pread64, fd, bytes, sizeof(bytes), at);
		if (n <= 0)
			return -EIO;
		for (long i = 0; i < n && !error; i++)
			if (bytes[i])
				error = take(context, (uint64_t)(at + i),
					     bytes[i]);
		at += n;
	}
	return error;
}
