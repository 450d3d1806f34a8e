/* SPDX-License-Identifier: MIT */
/*
 * What the processes left: a file of records, in any order, believed nothing
 *
 * A process may have been killed half-way, the disk may have been full, anybody
 * may have written anything. A record that is none is skipped up to the next
 * one; a report counts if all of it is there, and of several by one process the
 * last such. See lib/preload/report.h.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../lib/preload/report.h"
#include "daemon.h"

struct item {
	struct record head;
	const char *bytes; /* of the whole record, at any address */
};

struct items {
	struct item *items;
	size_t n, room;
	uint64_t skipped; /* gaps between records */
};

/* ---- Reading ------------------------------------------------------------ */

static bool read_all(int fd, char **bytes, size_t *size)
{
	struct stat st;
	size_t done = 0;
	ssize_t n;

	if (fstat(fd, &st) != 0)
		return false;
	*bytes = malloc((size_t)st.st_size + 1);
	if (!*bytes)
		return false;
	do {
		n = pread(fd, *bytes + done, (size_t)st.st_size - done,
			  (off_t)done);
		done += n > 0 ? (size_t)n : 0;
	} while (n > 0 || (n < 0 && errno == EINTR));
	*size = done;
	if (n < 0)
		free(*bytes);
	return n == 0;
}

static bool has_end(const struct record *head, const char *bytes)
{
	uint64_t end;

	memcpy(&end, bytes + head->size - sizeof(end), sizeof(end));
	return end == head->born;
}

static bool is_mapping(const struct record *head, const char *bytes)
{
	size_t others = sizeof(struct record_mapping) + sizeof(uint64_t);

	return head->kind == RECORD_MAPPING && head->size > others &&
	       head->size <= others + RECORD_FILE_MAX && has_end(head, bytes) &&
	       bytes[head->size - sizeof(uint64_t) - 1] == '\0';
}

static bool is_process(const struct record *head, const char *bytes)
{
	struct record_process process;

	if (head->kind != RECORD_PROCESS || head->size != sizeof(process))
		return false;
	memcpy(&process, bytes, sizeof(process));
	return process.stats.size == sizeof(process.stats) &&
	       has_end(head, bytes);
}

static bool is_record(struct record *head, const char *bytes, size_t size)
{
	if (size < sizeof(*head))
		return false;
	memcpy(head, bytes, sizeof(*head));
	return head->magic == RECORD_MAGIC && head->size <= size &&
	       (is_mapping(head, bytes) || is_process(head, bytes));
}

static bool push(struct items *items, const struct item *item)
{
	size_t room = items->room ? 2 * items->room : 256;
	struct item *more;

	if (items->n == items->room) {
		more = reallocarray(items->items, room, sizeof(*more));
		if (!more)
			return false;
		items->items = more;
		items->room = room;
	}
	items->items[items->n++] = *item;
	return true;
}

static bool split(struct items *items, const char *bytes, size_t size)
{
	bool skipping = false;
	struct item item;
	size_t at = 0;

	while (at < size) {
		item.bytes = bytes + at;
		if (is_record(&item.head, item.bytes, size - at)) {
			if (!push(items, &item))
				return false;
			at += item.head.size;
			skipping = false;
		} else {
			items->skipped += !skipping;
			skipping = true;
			at++;
		}
	}
	return true;
}

/* ---- Choosing ----------------------------------------------------------- */

static int compare_u64(uint64_t a, uint64_t b)
{
	return (a > b) - (a < b);
}

/* Process by process, its last report first, the process's record first. */
static int compare_items(const void *left, const void *right)
{
	const struct record *a = &((const struct item *)left)->head;
	const struct record *b = &((const struct item *)right)->head;
	int result = compare_u64(a->pid, b->pid);

	if (!result)
		result = compare_u64(a->born, b->born);
	if (!result)
		result = compare_u64(b->report, a->report);
	return result ? result : compare_u64(b->kind, a->kind);
}

static bool same_process(const struct item *a, const struct item *b)
{
	return a->head.pid == b->head.pid && a->head.born == b->head.born;
}

static size_t report_length(const struct item *items, size_t n)
{
	size_t i = 1;

	while (i < n && same_process(items, items + i) &&
	       items[i].head.report == items->head.report)
		i++;
	return i;
}

static bool is_complete(const struct item *items, size_t n)
{
	struct record_process process;

	if (items->head.kind != RECORD_PROCESS)
		return false;
	memcpy(&process, items->bytes, sizeof(process));
	return process.mappings == n - 1;
}

/* ---- Adding up ---------------------------------------------------------- */

static void add_stats(struct figures *figures, const struct item *item)
{
	struct wmap_stats *sum = &figures->stats;
	struct record_process process;
	unsigned i;

	memcpy(&process, item->bytes, sizeof(process));
	figures->processes++;
	sum->faults += process.stats.faults;
	sum->fills += process.stats.fills;
	sum->writebacks += process.stats.writebacks;
	sum->errors += process.stats.errors;
	sum->bytes_read += process.stats.bytes_read;
	sum->bytes_written += process.stats.bytes_written;
	if (sum->latency_max_ns < process.stats.latency_max_ns)
		sum->latency_max_ns = process.stats.latency_max_ns;
	for (i = 0; i < WMAP_BUCKETS; i++)
		sum->latency[i] += process.stats.latency[i];
}

static bool add_mapping(struct figures *figures, const struct item *item)
{
	struct figures_mapping *mapping = &figures->mappings[figures->n];
	const char *file = item->bytes + sizeof(struct record_mapping);
	struct record_mapping record;

	memcpy(&record, item->bytes, sizeof(record));
	mapping->file = strdup(*file ? file : "(others)");
	mapping->length = record.length;
	mapping->loaded = record.loaded;
	mapping->faults = record.faults;
	mapping->count = record.count;
	figures->n += mapping->file != NULL;
	return mapping->file != NULL;
}

static bool add_report(struct figures *figures, const struct item *items,
		       size_t n)
{
	size_t i;

	add_stats(figures, items);
	for (i = 1; i < n; i++) {
		if (!add_mapping(figures, items + i))
			return false;
	}
	return true;
}

static bool is_obituary(const struct item *item)
{
	return item->head.report == RECORD_OBITUARY;
}

/* What processes of one number told, and how many of them did. */
static bool add_told(struct figures *figures, const struct item *item,
		     const struct item *end, size_t *told)
{
	const struct item *counted = NULL;
	size_t n;

	for (*told = 0; item < end; item += n) {
		n = report_length(item, (size_t)(end - item));
		if (is_obituary(item) ||
		    (counted && same_process(counted, item)))
			continue;
		if (!is_complete(item, n)) {
			figures->unreadable++;
			continue;
		}
		if (!add_report(figures, item, n))
			return false;
		counted = item;
		++*told;
	}
	return true;
}

/* The processes that did not. As many obituaries are passed over as there were
   that told; the first ones: who executes another program has told, and who is
   killed is the last of its number. */
static bool add_untold(struct figures *figures, const struct item *item,
		       const struct item *end, size_t told)
{
	size_t n;

	for (; item < end; item += n) {
		n = report_length(item, (size_t)(end - item));
		if (!is_obituary(item) || !is_complete(item, n))
			continue;
		if (told) {
			told--;
			continue;
		}
		if (!add_report(figures, item, n))
			return false;
	}
	return true;
}

static bool add_up(struct figures *figures, const struct items *items)
{
	const struct item *item = items->items, *next;
	size_t told;

	for (; item < items->items + items->n; item = next) {
		next = item;
		while (next < items->items + items->n &&
		       next->head.pid == item->head.pid)
			next++;
		if (!add_told(figures, item, next, &told) ||
		    !add_untold(figures, item, next, told))
			return false;
	}
	return true;
}

static int compare_mappings(const void *left, const void *right)
{
	const struct figures_mapping *a = left, *b = right;
	int result = compare_u64(b->loaded, a->loaded);

	if (!result)
		result = compare_u64(b->length, a->length);
	return result ? result : strcmp(a->file, b->file);
}

static void sort(struct figures *figures)
{
	if (figures->n)
		qsort(figures->mappings, figures->n, sizeof(*figures->mappings),
		      compare_mappings);
}

static bool collect(struct figures *figures, const char *bytes, size_t size)
{
	struct items items = { 0 };
	bool done = split(&items, bytes, size);

	figures->unreadable = items.skipped;
	if (done && items.n) {
		qsort(items.items, items.n, sizeof(*items.items),
		      compare_items);
		figures->mappings = calloc(items.n, sizeof(*figures->mappings));
		done = figures->mappings && add_up(figures, &items);
	}
	free(items.items);
	sort(figures);
	return done;
}

bool figures_read(struct figures *figures, int fd)
{
	size_t size;
	char *bytes;
	bool done;

	*figures = (struct figures){ .stats.size = sizeof(figures->stats) };
	if (!read_all(fd, &bytes, &size))
		return false;
	done = collect(figures, bytes, size);
	free(bytes);
	if (!done)
		figures_free(figures);
	return done;
}

void figures_free(struct figures *figures)
{
	size_t i;

	for (i = 0; i < figures->n; i++)
		free(figures->mappings[i].file);
	free(figures->mappings);
	figures->mappings = NULL;
	figures->n = 0;
}

/* ---- By file ------------------------------------------------------------ */

static int compare_files(const void *left, const void *right)
{
	const struct figures_mapping *a = left, *b = right;

	return strcmp(a->file, b->file);
}

static void merge(struct figures_mapping *to, struct figures_mapping *one)
{
	if (to->length < one->length)
		to->length = one->length;
	to->loaded += one->loaded;
	to->faults += one->faults;
	to->count += one->count;
	free(one->file);
}

void figures_merge_files(struct figures *figures)
{
	struct figures_mapping *all = figures->mappings;
	size_t i, n = 0;

	if (!figures->n)
		return;
	qsort(all, figures->n, sizeof(*all), compare_files);
	for (i = 1; i < figures->n; i++) {
		if (!strcmp(all[n].file, all[i].file))
			merge(&all[n], &all[i]);
		else
			all[++n] = all[i];
	}
	figures->n = n + 1;
	sort(figures);
}
