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

struct writer {
	int fd, error;
	uint64_t at; /* of bytes[0] */
	size_t n;
	unsigned char bytes[TOGETHER];
};

static void flush(struct writer *writer)
{
	long n;

	if (!writer->n || writer->error)
		return;
	n = sys_call(SYS_pwrite64, writer->fd, writer->bytes, writer->n,
		     writer->at);
	if (n != (long)writer->n)
		writer->error = n < 0 ? (int)n : -EIO;
	writer->n = 0;
}

static void put(struct writer *writer, uint64_t at, unsigned char byte)
{
	if (writer->n == TOGETHER || at != writer->at + writer->n)
		flush(writer);
	if (!writer->n)
		writer->at = at;
	writer->bytes[writer->n++] = byte;
}

int states_write(const struct object *object, int fd)
{
	struct writer writer = { .fd = fd };
	uint64_t cursor = 0;
	struct page page;

	while (pages_next(&object->pages, 0, object->n_pages, &cursor, &page)) {
		if (page_is(page, STATES_DIRTY))
			put(&writer, page.index, WIRE_PAGE_DIRTY);
		else if (page_is(page, STATES_PRESENT))
			put(&writer, page.index, WIRE_PAGE_CLEAN);
		else if (page.state == PAGE_ERROR)
			put(&writer, page.index, WIRE_PAGE_ERROR);
	}
	flush(&writer);
	return writer.error;
}

int states_write_touched(const struct mapping *mapping, int fd)
{
	struct writer writer = { .fd = fd };
	uint64_t cursor = 0;
	struct page page;

	while (pages_next(&mapping->object->pages, mapping->first,
			  mapping_end_page(mapping), &cursor, &page))
		if (page_is(page, STATES_PRESENT | 1u << PAGE_ERROR) &&
		    view_has(mapping->view, page))
			put(&writer, page.index - mapping->first,
			    WIRE_PAGE_CLEAN);
	flush(&writer);
	return writer.error;
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
