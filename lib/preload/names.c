/* SPDX-License-Identifier: MIT */
/*
 * Files by device and inode, as the program last named them
 *
 * wmap knows a mapping's file, but only the end of a long path. A table of
 * fixed size, in memory that costs nothing until it is used; a name, once in,
 * stays where it is, so that others may point to it. What does not fit any more
 * is not noted, and goes by wmap's own name.
 */
#include <string.h>

#include "preload.h"

#define SLOTS	  4096 /* a power of two */
#define SLOTS_MAX (SLOTS / 4 * 3)
#define TEXT	  (1u << 20)

struct name {
	uint64_t dev, ino;
	const char *path; /* NULL: a free slot */
};

static struct PROCESS_WIPED {
	bool wiped;
	unsigned n;
	size_t used; /* of text */
	struct name slots[SLOTS];
	char text[TEXT];
} names;

static struct name *slot(uint64_t dev, uint64_t ino)
{
	uint64_t hash = (ino ^ dev << 32) * 0x9e3779b97f4a7c15u;
	size_t i = hash >> 32 & (SLOTS - 1);

	while (names.slots[i].path &&
	       (names.slots[i].dev != dev || names.slots[i].ino != ino))
		i = (i + 1) & (SLOTS - 1);
	return &names.slots[i];
}

static const char *keep(const char *path)
{
	size_t size = strlen(path) + 1;
	char *kept = names.text + names.used;

	if (size > TEXT - names.used)
		return NULL;
	memcpy(kept, path, size);
	names.used += size;
	return kept;
}

static void insert(struct name *name, const struct rules_file *file)
{
	const char *path;

	if (!name->path && names.n == SLOTS_MAX)
		return;
	path = keep(file->path);
	if (!path)
		return;
	names.n += !name->path;
	*name = (struct name){ file->dev, file->ino, path };
}

void names_note(const struct rules_file *file)
{
	struct name *name = slot(file->dev, file->ino);

	if (!names.wiped)
		process_wipe(&names, sizeof(names));
	names.wiped = true;
	if (*file->path && (!name->path || strcmp(name->path, file->path)))
		insert(name, file);
}

const char *names_find(uint64_t dev, uint64_t ino)
{
	return slot(dev, ino)->path;
}
