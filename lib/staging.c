/* SPDX-License-Identifier: MIT */
/* Buffers by power of two, the last used first (staging.h) */
#include "internal.h"
#include "mem.h"
#include "staging.h"

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

void *staging_get(struct staging *staging, size_t size)
{
	unsigned class = class_of(size);
	void *buffer;

	size = PAGE << class;
	if (staging->out + size > STAGING_LIMIT)
		return NULL;
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
	void **link = buffer;

	size = PAGE << class;
	staging->out -= size;
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

size_t staging_needs(const struct staging *staging, size_t size)
{
	unsigned class = class_of(size);

	return staging->kept[class] ? 0 : PAGE << class;
}

void staging_trim(struct staging *staging)
{
	void *buffer;

	for (unsigned class = 0; class < STAGING_CLASSES; class ++)
		while ((buffer = pop(staging, class)))
			mem_free(buffer, PAGE << class);
}

void staging_destroy(struct staging *staging)
{
	staging_trim(staging);
}
