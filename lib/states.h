/* SPDX-License-Identifier: MIT */
/*
 * States: what one pager tells another of pages, a byte for each (WIRE_PAGE_*)
 *
 * They are in a memfd as large as there are pages, but sparse.
 */
#ifndef WMAP_STATES_H
#define WMAP_STATES_H

#include "internal.h"

struct mapping;
struct object;

/* An empty one, for @pages. */
int states_open(uint64_t pages);

/* What the pages of an object are; which of a mapping's pages it has touched,
   from its first on, as WIRE_PAGE_CLEAN. */
int states_write(const struct object *object, int fd);
int states_write_touched(const struct mapping *mapping, int fd);

/* Call @take for each run of @n equal bytes that are not 0, in ascending order and
   none twice, until it returns an error. */
int states_read(int fd, void *context,
		int (*take)(void *context, uint64_t at, size_t n,
			    unsigned char byte));

#endif
