/* SPDX-License-Identifier: MIT */
/*
 * Buffers between store and object
 *
 * At most STAGING_LIMIT bytes are out at a time, so that many slow transfers do
 * not fill memory; some stay here for the next. Of what others have left a store
 * has half at most: one that answers nothing leaves room for the next, and so do
 * several.
 *
 * The larger ones lie in blocks, each of one size and, where the kernel has one,
 * one huge page: a buffer in one piece is one descriptor to a device, where one of
 * 64 pages is 64, which halves what some disks give. A block goes when none of its
 * buffers is out; those that are not are idle.
 */
#ifndef WMAP_STAGING_H
#define WMAP_STAGING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define STAGING_LIMIT  (64u << 20)
#define STAGING_KEPT   (16u << 20)
#define STAGING_BLOCK  (2u << 20)
#define STAGING_BLOCKS 32

#define STAGING_CLASSES 10 /* 4 KiB to 2 MiB */

struct staging {
	void *kept[STAGING_CLASSES]; /* each points to the next */
	struct staging_block {
		char *base; /* NULL: none */
		unsigned class;
		uint32_t idle; /* bit i: buffer i */
	} blocks[STAGING_BLOCKS];
	size_t out, idle; /* bytes */
	size_t keep;	  /* of idle, at most, but for parts of blocks */
};

/* A page-aligned buffer of at least @size bytes, up to 2 MiB; NULL if none may
   be had now. Its bytes are anything. */
void *staging_get(struct staging *staging, size_t size);
void staging_put(struct staging *staging, void *buffer, size_t size);

/* A block, if buffers of @size bytes lie in blocks and none of them is idle, and if
   its other buffers may be kept. It takes STAGING_BLOCK bytes. */
void staging_grow(struct staging *staging, size_t size);

/* May a store have a buffer of @size bytes, that has @has bytes of them? */
bool staging_is_fair(const struct staging *staging, size_t size, size_t has);

/* Bytes that a buffer of @size takes. */
size_t staging_size(size_t size);

/* Bytes that getting one would add to what is out and idle: none if one is idle. */
size_t staging_needs(const struct staging *staging, size_t size);

/* Let go of what is kept. */
void staging_trim(struct staging *staging);
void staging_destroy(struct staging *staging);

#endif
