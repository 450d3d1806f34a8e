/* SPDX-License-Identifier: MIT */
/*
 * A directory, as xv6's read shows it: entries of 16 bytes, the first 14 bytes of
 * a name in each
 *
 * How far it has been read the kernel knows, in its own numbers: those that
 * getdents64 leaves, so that the descriptor may be duplicated and inherited.
 */
#include <dirent.h>
#include <string.h>
#include <unistd.h>

#include "internal.h"
#include "layer.h"

struct entry {
	uint16_t inum; /* 0: unused */
	char name[14];
};

/* 1: one more; 0: there is none; -1: it is no directory. */
static int next_entry(int real, struct entry *entry)
{
	_Alignas(struct dirent64) char some[sizeof(struct dirent64)];
	const struct dirent64 *first = (const void *)some;
	ssize_t n = getdents64(real, some, sizeof(some));

	if (n <= 0)
		return (int)n;
	memset(entry, 0, sizeof(*entry));
	entry->inum = (uint16_t)(first->d_ino % UINT16_MAX + 1);
	memcpy(entry->name, first->d_name,
	       strnlen(first->d_name, sizeof(entry->name)));
	return lseek(real, first->d_off, SEEK_SET) < 0 ? -1 : 1;
}

int directory_read(int real, void *buffer, int n)
{
	const int size = sizeof(struct entry);
	struct entry entry;
	int done = 0, more = 0;

	while (done + size <= n && (more = next_entry(real, &entry)) > 0) {
		if (!copy_out((char *)buffer + done, &entry, sizeof(entry)))
			return -1;
		done += size;
	}
	return done ? done : more;
}
