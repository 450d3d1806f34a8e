/* SPDX-License-Identifier: MIT */
/* Telling the pager what system calls do to mapped files (client.h) */
#include <sys/stat.h>

#include "client.h"
#include "message.h"
#include "pager.h"
#include "sys.h"

/* Fill in which file @fd is; false if no mapping of ours can show it. */
static bool is_mapped(int fd, struct message *message, struct stat *stat)
{
	const struct hints *hints = client_hints();

	if (!hints || sys_call(SYS_fstat, fd, stat) ||
	    !S_ISREG(stat->st_mode) ||
	    !atomic_load_explicit(
		    &hints->files[pager_hash(stat->st_dev, stat->st_ino)],
		    memory_order_relaxed) ||
	    !client_can_tell())
		return false;
	message->file.fd = fd;
	message->file.dev = stat->st_dev;
	message->file.ino = stat->st_ino;
	return true;
}

static void tell(enum message_kind kind, int fd, uint64_t offset,
		 uint64_t length)
{
	struct message message = { .kind = kind };
	struct stat stat;

	if (!is_mapped(fd, &message, &stat))
		return;
	message.file.offset = offset;
	message.file.length = length;
	client_call(&message);
}

bool wmap_file_any(void)
{
	const struct hints *hints = client_hints();

	return hints &&
	       atomic_load_explicit(&hints->n_files, memory_order_relaxed);
}

void wmap_file_before_read(int fd, uint64_t offset, uint64_t length)
{
	tell(MESSAGE_FILE_SYNC, fd, offset, length);
}

void *wmap_file_before_write(int fd)
{
	struct message message = { .kind = MESSAGE_FILE_WRITING };
	struct stat stat;

	if (!is_mapped(fd, &message, &stat) || client_call(&message))
		return NULL;
	return message.file.object;
}

void wmap_file_after_write(int fd, void *before, uint64_t offset,
			   uint64_t length)
{
	struct message message = {
		.kind = MESSAGE_FILE_WRITTEN,
		.file = { .offset = offset, .length = length, .object = before },
	};
	struct stat stat;

	if (is_mapped(fd, &message, &stat) || before)
		client_call(&message);
}

void wmap_file_before_length(int fd)
{
	tell(MESSAGE_FILE_SYNC, fd, 0, UINT64_MAX);
}

void wmap_file_after_length(int fd)
{
	struct message message = { .kind = MESSAGE_FILE_LENGTH };
	struct stat stat;

	if (!is_mapped(fd, &message, &stat))
		return;
	message.file.length = (uint64_t)stat.st_size;
	client_call(&message);
}
