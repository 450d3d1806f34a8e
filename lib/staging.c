/* SPDX-License-Identifier: MIT */
/* Buffers by power of two, the last used first (staging.h) */
#include <sys/mman.h>

#include "internal.h"
#include "mem.h"
#include "staging.h"
#include "sys.h"

#define IN_BLOCKS 4 /* the smallest class, 64 KiB, that lies in blocks */

static unsigned class_of(size_t size)
{
	unsigned class = 0;

	while ((size_t)PAGE << class < size)
		class ++;
	assert(class < STAGING_CLASSES);
	return class;
}

static void *pop(struct staging *staging, unsigned class)
{
	void **buffer = staging->kept[class];

	if (buffer) {
		staging->kept[class] = *buffer;
		staging->idle -= PAGE << class;
	}
	return buffer;
}

/* ---- Blocks ------------------------------------------------------------------*/

static uint32_t all_of(unsigned class)
{
	return UINT32_MAX >> (32 - (STAGING_BLOCK >> PAGE_SHIFT >> class));
}

/* One of @class with an idle buffer, or NULL. */
static const struct staging_block *find_idle(const struct staging *staging,
					     unsigned class)
{
	for (unsigned i = 0; class >= IN_BLOCKS && i < STAGING_BLOCKS; i++)
		if (staging->blocks[i].idle &&
		    staging->blocks[i].class == class)
			return &staging->blocks[i];
	return NULL;
}

/* The one that a buffer lies in, or NULL. */
static struct staging_block *block_of(struct staging *staging,
				      const char *buffer)
{
	for (unsigned i = 0; i < STAGING_BLOCKS; i++) {
		struct staging_block *block = &staging->blocks[i];

		if (block->base && buffer >= block->base &&
		    buffer < block->base + STAGING_BLOCK)
			return block;
	}
	return NULL;
}

/* NULL: none is idle. */
static void *take(struct staging *staging, unsigned class)
{
	const struct staging_block *found = find_idle(staging, class);
	struct staging_block *block;
	unsigned i;

	if (!found)
		return NULL;
	block = &staging->blocks[found - staging->blocks];
	i = (unsigned)__builtin_ctz(block->idle);
	block->idle &= block->idle - 1;
	staging->idle -= PAGE << class;
	return block->base + (i * PAGE << class);
}

static void free_block(struct staging *staging, struct staging_block *block)
{
	staging->idle -= STAGING_BLOCK;
	mem_free(block->base, STAGING_BLOCK);
	*block = (struct staging_block){ 0 };
}

static void give_back(struct staging *staging, struct staging_block *block,
		      const char *buffer)
{
	size_t offset = (size_t)(buffer - block->base);

	block->idle |= UINT32_C(1) << (offset >> PAGE_SHIFT >> block->class);
	staging->idle += PAGE << block->class;
	if (staging->idle > staging->keep &&
	    block->idle == all_of(block->class))
		free_block(staging, block);
}

void staging_grow(struct staging *staging, size_t size)
{
	unsigned class = class_of(size), i = 0;
	char *base;

	if (class < IN_BLOCKS || find_idle(staging, class) ||
	    staging->idle + STAGING_BLOCK - (PAGE << class) > staging->keep)
		return;
	while (i < STAGING_BLOCKS && staging->blocks[i].base)
		i++;
	base = i < STAGING_BLOCKS ? mem_alloc(STAGING_BLOCK) : NULL;
	if (!base)
		return;
	sys_call(SYS_madvise, base, STAGING_BLOCK, MADV_HUGEPAGE);
	staging->blocks[i] =
		(struct staging_block){ base, class, all_of(class) };
	staging->idle += STAGING_BLOCK;
}

/* ---- Buffers -----------------------------------------------------------------*/

void *staging_get(struct staging *staging, size_t size)
{
	unsigned class = class_of(size);
	void *buffer;

	size = PAGE << class;
	if (staging->out + size > STAGING_LIMIT)
		return NULL;
	buffer = take(staging, class);
	if (!buffer)
		buffer = pop(staging, class);
	if (!buffer)
		buffer = mem_alloc(size);
	if (buffer)
		staging->out += size;
	return buffer;
}

void staging_put(struct staging *staging, void *buffer, size_t size)
{
	unsigned class = class_of(size);
	struct staging_block *block = block_of(staging, buffer);
	void **link = buffer;

	size = PAGE << class;
	staging->out -= size;
	if (block) {
		give_back(staging, block, buffer);
		return;
	}
	if (staging->idle + size > staging->keep) {
		mem_free(buffer, size);
		return;
	}
	*link = staging->kept[class];
	staging->kept[class] = buffer;
	staging->idle += size;
}

size_t staging_size(size_t size)
{
	return PAGE << class_of(size);
}

bool staging_is_fair(const struct staging *staging, size_t size, size_t has)
{
	size_t others = staging->out - has;

	return has + staging_size(size) <= (STAGING_LIMIT - others) / 2;
}

size_t staging_needs(const struct staging *staging, size_t size)
{
	unsigned class = class_of(size);

	return staging->kept[class] || find_idle(staging, class) ?
		       0 :
		       PAGE << class;
}

void staging_trim(struct staging *staging)
{
	void *buffer;

	for (unsigned class = 0; class < STAGING_CLASSES; class ++)
		while ((buffer = pop(staging, class)))
			mem_free(buffer, PAGE << class);
	for (unsigned i = 0; i < STAGING_BLOCKS; i++) {
		struct staging_block *block = &staging->blocks[i];

		if (block->base && block->idle == all_of(block->class))
			free_block(staging, block);
	}
}

void staging_destroy(struct staging *staging)
{
	staging_trim(staging);
}
