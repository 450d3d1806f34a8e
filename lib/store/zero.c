/* SPDX-License-Identifier: MIT */
/*
 * The store of zeros: without end, forgetting what is written
 */
#include <string.h>

#include "io.h"

static void zero_read(void *self, struct wmap_io *io)
{
	(void)self;
	memset(io->buffer, 0, io->length);
	wmap_io_done(io, (int64_t)io->length);
}

static void zero_write(void *self, struct wmap_io *io)
{
	(void)self;
	wmap_io_done(io, (int64_t)io->length);
}

static const struct wmap_store_ops operations = {
	.size = sizeof(operations),
	.name = "zero",
	.read = zero_read,
	.write = zero_write,
};

struct wmap_store *wmap_store_zero(void)
{
	return wmap_store_create(&operations, NULL, 0);
}
