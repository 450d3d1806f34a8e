/* SPDX-License-Identifier: MIT */
/*
 * The report at the end
 *
 * What is mapped then is asked of wmap; what was unmapped before is kept here,
 * mapping by mapping as long as there is room, then added up by file and
 * length, then by file, and at last under no name: the sums are right always.
 *
 * The file is opened only when the report is written: a program may close every
 * descriptor it did not open. It is never created, so that what a process says
 * after `wmap run` has ended is lost and nothing else happens.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "preload.h"
#include "report.h"

#define GONE_MAX 4096

struct gone {
	const char *file; /* of names, or NULL */
	uint64_t length, loaded, faults, count;
};

/* Records on their way to the file, which takes them whole. */
struct writer {
	int fd;
	int error;
	uint64_t mappings;
	size_t used;
	_Alignas(8) char buffer[16384]; /* more than the longest record */
};

/* Under process_lock, all of it. */
static struct PROCESS_WIPED {
	bool wiped;
	size_t n;
	uint32_t reports;
	struct gone gone[GONE_MAX + 1]; /* one more for all that have no room */
	struct writer writer;		/* too large for a thread's stack */
} book;

/* Where one more is added to, when there is no room. */
static struct gone *similar(const struct gone *one)
{
	struct gone *same_file = &book.gone[GONE_MAX];
	size_t i;

	for (i = 0; i < GONE_MAX; i++) {
		if (book.gone[i].file != one->file)
			continue;
		same_file = &book.gone[i];
		if (same_file->length == one->length)
			break;
	}
	return same_file;
}

static void add(struct gone *to, const struct gone *one)
{
	if (to->length < one->length)
		to->length = one->length;
	to->loaded += one->loaded;
	to->faults += one->faults;
	to->count += one->count;
}

void report_gone(const struct wmap_mapping_info *info)
{
	struct gone one = { NULL, info->length, info->loaded, info->faults, 1 };

	process_lock();
	if (!book.wiped)
		process_wipe(&book, sizeof(book));
	book.wiped = true;
	one.file = names_find(info->dev, info->ino);
	if (book.n < GONE_MAX)
		book.gone[book.n++] = one;
	else
		add(similar(&one), &one);
	process_unlock();
}

/* ---- Writing ------------------------------------------------------------ */

static void flush(struct writer *writer)
{
	ssize_t n = write(writer->fd, writer->buffer, writer->used);

	if (n != (ssize_t)writer->used)
		writer->error = n < 0 ? errno : ENOSPC;
	writer->used = 0;
}

static void *put(struct writer *writer, enum record_kind kind, uint32_t size)
{
	void *at;

	if (size > sizeof(writer->buffer) - writer->used)
		flush(writer);
	at = writer->buffer + writer->used;
	writer->used += size;
	return record_init(at, (struct record){
				       .size = size,
				       .kind = kind,
				       .report = book.reports,
				       .pid = (uint64_t)syscall(SYS_getpid),
				       .born = process_born(),
			       });
}

static void put_mapping(struct writer *writer, const struct gone *gone)
{
	const char *file = gone->file ? gone->file : "";
	size_t length = strlen(file);
	struct record_mapping *record =
		put(writer, RECORD_MAPPING, record_mapping_size(length));

	record->length = gone->length;
	record->loaded = gone->loaded;
	record->faults = gone->faults;
	record->count = gone->count;
	memcpy(record->file, file, length);
	writer->mappings++;
}

static void put_gone(struct writer *writer)
{
	size_t i;

	for (i = 0; i < book.n; i++)
		put_mapping(writer, &book.gone[i]);
	if (book.gone[GONE_MAX].count)
		put_mapping(writer, &book.gone[GONE_MAX]);
}

static void put_info(struct writer *writer,
		     const struct wmap_mapping_info *info)
{
	struct gone one = { names_find(info->dev, info->ino), info->length,
			    info->loaded, info->faults, 1 };

	if (!one.file)
		one.file = info->name;
	put_mapping(writer, &one);
}

/* What is mapped now, as many as there were a moment ago. */
static void put_mapped(struct writer *writer)
{
	struct wmap_mapping_info none = { .size = sizeof(none) }, *infos;
	ssize_t i, n = wmap_mapping_list(&none, 0), room = n;
	size_t size = (size_t)n * sizeof(*infos);
	long memory;

	if (n <= 0)
		return;
	memory = syscall(SYS_mmap, NULL, size, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory == -1)
		return;
	infos = (void *)(uintptr_t)memory;
	infos[0].size = sizeof(*infos);
	n = wmap_mapping_list(infos, (size_t)room);
	for (i = 0; i < n && i < room; i++)
		put_info(writer, &infos[i]);
	syscall(SYS_munmap, infos, size);
}

static void put_process(struct writer *writer)
{
	uint64_t mappings = writer->mappings;
	struct record_process *record =
		put(writer, RECORD_PROCESS, sizeof(*record));

	record->mappings = mappings;
	record->stats.size = sizeof(record->stats);
	wmap_stats_get(&record->stats);
}

static int write_report(int fd)
{
	struct writer *writer = &book.writer;

	writer->fd = fd;
	writer->error = 0;
	writer->mappings = writer->used = 0;
	book.reports++;
	put_gone(writer);
	put_mapped(writer);
	put_process(writer);
	flush(writer);
	return writer->error;
}

void report_file(void)
{
	const char *path = getenv("WMAP_REPORT");
	int fd, error;

	if (!path || !process_paged() || !process_is_mine())
		return;
	fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return; /* `wmap run` has ended, or is out of reach */
	if (!process_lock_soon()) {
		close(fd);
		return;
	}
	error = write_report(fd);
	process_unlock();
	close(fd);
	if (error)
		process_say("the report of %d could not be written: %s",
			    (int)syscall(SYS_getpid), strerrordesc_np(error));
}
