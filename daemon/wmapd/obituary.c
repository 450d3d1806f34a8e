/* SPDX-License-Identifier: MIT */
/*
 * What `wmap run` shall know of a process that does not tell it
 *
 * A process tells what it did when it ends (lib/preload/report.c), unless it was
 * killed, or has nothing but what it inherited by fork. So wmapd appends to the
 * same file what it knows of every session at its end: what was mapped then, and
 * all that was counted. Whoever reads it passes over that of a process which has
 * told (daemon/report_read.c). The file is there as long as `wmap run` is; after
 * that nobody asks.
 */
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "books.h"
#include "mem.h"
#include "preload/report.h"
#include "wmapd.h"

#define AT_ONCE 64   /* mappings in one write */
#define MOST	4096 /* told of one process: the others wait meanwhile */

#define RECORD_MAX \
	(sizeof(struct record_mapping) + \
	 sizeof(((struct wmap_mapping_info *)0)->name) + 2 * sizeof(uint64_t))

/* One writes at a time: there is one thread. */
static struct writer {
	size_t used;
	_Alignas(8) char buffer[AT_ONCE * RECORD_MAX];
	struct wmap_mapping_info infos[AT_ONCE];
} writer;

static void flush(const struct server *server)
{
	int fd = open(server->report,
		      O_WRONLY | O_APPEND | O_CLOEXEC | O_NOFOLLOW);
	ssize_t n = (ssize_t)writer.used;

	/* What is cut short is no record, and said to be so by who reads. */
	if (fd >= 0 && write(fd, writer.buffer, writer.used) != n)
		say("%s: a killed process is not told of in full",
		    server->report);
	if (fd >= 0)
		close(fd);
	writer.used = 0;
}

static void *put(const struct session *session, enum record_kind kind,
		 uint32_t size)
{
	void *at = writer.buffer + writer.used;

	writer.used += size;
	return record_init(at, (struct record){
				       .size = size,
				       .kind = kind,
				       .report = RECORD_OBITUARY,
				       .pid = (uint64_t)session->pid,
				       .born = session->died,
			       });
}

static void put_mapping(const struct session *session,
			const struct wmap_mapping_info *info)
{
	size_t length = strnlen(info->name, sizeof(info->name) - 1);
	struct record_mapping *record =
		put(session, RECORD_MAPPING, record_mapping_size(length));

	record->length = info->length;
	record->loaded = info->loaded;
	record->faults = info->faults;
	record->count = 1;
	memcpy(record->file, info->name, length);
}

static void ignore(struct message *message)
{
	(void)message;
}

/* Those from @address on; returns where the last one ends, or 0. */
static uint64_t put_some(struct session *session, uint64_t address)
{
	struct message message = {
		.pager = session->server->pager,
		.space = session->space,
		.answered = ignore,
		.kind = MESSAGE_LIST,
		.address = address,
		.list = { .infos = writer.infos, .room = AT_ONCE },
	};
	size_t first = space_lower(session->space, address);

	message_handle(&message);
	for (size_t i = 0; i < message.list.count; i++)
		put_mapping(session, &writer.infos[i]);
	session->obituaries += message.list.count;
	if (!message.list.count)
		return 0;
	flush(session->server);
	return session->space->entries[first + message.list.count - 1].end;
}

void obituary_begin(struct session *session)
{
	uint64_t address = 0;

	if (!session->server->report || session->embryo)
		return;
	session->died = time_now();
	session->obituaries = 0;
	do {
		address = put_some(session, address);
	} while (address && session->obituaries < MOST);
}

void obituary_end(struct session *session)
{
	struct record_process *record;

	if (!session->died)
		return;
	record = put(session, RECORD_PROCESS, sizeof(*record));
	record->mappings = session->obituaries;
	record->stats = session->space->stats;
	record->stats.size = sizeof(record->stats);
	flush(session->server);
}
