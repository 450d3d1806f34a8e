/* SPDX-License-Identifier: MIT */
/* Telling the pager what system calls do to mapped files (client.h) */
#include <sys/mman.h>
#include <sys/stat.h>

#include "client.h"
#include "message.h"
#include "ours.h"
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

static void drop_pages(uint64_t start, uint64_t end)
{
	sys_call(SYS_madvise, start, end - start, MADV_DONTNEED);
}

/* What @info, a private mapping of @stat's file, has past its end. */
static bool find_past_end(const struct wmap_mapping_info *info,
			  const struct stat *stat, uint64_t *start,
			  uint64_t *end)
{
	uint64_t length = page_up((uint64_t)stat->st_size);

	*start = (uint64_t)info->addr;
	*end = *start + page_up(info->length);
	if (length > info->offset)
		*start += length - info->offset;
	return info->flags & WMAP_PRIVATE && info->dev == stat->st_dev &&
	       info->ino == stat->st_ino && *start < *end;
}

/* Changed pages of private mappings, which only their own process can drop; a
   mapping that may be another one by now is looked up again. */
static void drop_copies(const struct stat *stat)
{
	uint64_t address = 0, limit = UINT64_MAX, start, end;

	while (ours_next_of(OURS_PRIVATE, &address, &limit)) {
		unsigned state = ours_state();
		struct wmap_mapping_info info;
		struct message message = {
			.kind = MESSAGE_LIST,
			.address = address,
			.list = { .infos = &info, .room = 1 },
		};

		if (client_call(&message) || !message.list.count)
			return;
		limit = UINT64_MAX;
		if (!find_past_end(&info, stat, &start, &end) ||
		    ours_while_in(state, OURS_PRIVATE, start, end, drop_pages))
			address = (uint64_t)info.addr + page_up(info.length);
	}
}

void wmap_file_after_length(int fd)
{
	struct message message = { .kind = MESSAGE_FILE_LENGTH };
	struct stat stat;

	if (!is_mapped(fd, &message, &stat))
		return;
	message.file.length = (uint64_t)stat.st_size;
	if (!client_call(&message) && client_is_remote())
		drop_copies(&stat);
}
