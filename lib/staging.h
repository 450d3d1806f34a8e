/* SPDX-License-Identifier: MIT */
/*
 * Buffers between store and object
 *
 * At most STAGING_LIMIT bytes are out at a time, so that many slow transfers do
 * not fill memory; some stay here for the next.
 */
#ifndef WMAP_STAGING_H
#define WMAP_STAGING_H

#include <stddef.h>
#include <stdint.h>

#define STAGING_LIMIT (64u << 20)
#define STAGING_KEPT  (16u << 20)

#define STAGING_CLASSES 10 /* 4 KiB to 2 MiB */

struct staging {
	void *kept[STAGING_CLASSES]; /* each points to the next */
	size_t out, idle;	     /* bytes */
	size_t keep;		     /* of idle, at most */
};

/* A page-aligned buffer of at least @size bytes, up to 2 MiB; NULL if none may
   be had now. Its bytes are anything. */
void *staging_get(struct staging *staging, size_t size);
void staging_put(struct staging *staging, void *buffer, size_t size);
/* Bytes that a buffer of @size takes. */
size_t staging_size(size_t size);

/* Bytes that getting one would add to what is out and idle: none if one is idle. */
size_t staging_needs(const struct staging *staging, size_t size);

/* Let go of what is kept. */
void staging_trim(struct staging *staging);
void staging_destroy(struct staging *staging);

#endif
