/* SPDX-License-Identifier: MIT */
/* Noting which pages are touched first (record.h) */
#include <stdio.h>
#include <string.h>

#include "journal.h"
#include "mem.h"
#include "pager.h"
#include "record.h"
#include "sys.h"

/* A file that something was touched of. */
struct recorded {
	struct list link; /* recorder.files */
	uint64_t dev, ino;
	uint32_t number;   /* in the journal */
	struct pages seen; /* noted already, as PAGE_CLEAN */
};

struct recorder {
	struct journal *journal;
	struct list files;
	bool full;
};

/* ---- Files ---------------------------------------------------------------------*/

static struct recorded *find(const struct recorder *recorder, uint64_t dev,
			     uint64_t ino)
{
	list_for_each(file, &recorder->files, struct recorded, link)
		if (file->dev == dev && file->ino == ino)
			return file;
	return NULL;
}

static struct recorded *add(struct recorder *recorder, uint64_t dev,
			    uint64_t ino, uint32_t number)
{
	struct recorded *file = mem_alloc(sizeof(*file));

	if (!file)
		return NULL;
	file->dev = dev;
	file->ino = ino;
	file->number = number;
	pages_init(&file->seen);
	list_add(&recorder->files, &file->link);
	return file;
}

static void path_of(int fd, char path[RECORDING_PATH])
{
	char link[32];
	long n;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = sys_call(SYS_readlink, link, path, RECORDING_PATH - 1);
	path[n > 0 ? n : 0] = '\0';
}

/* What is not known by a path cannot be known again. */
static struct recorded *add_object(struct recorder *recorder,
				   const struct object *object)
{
	char path[RECORDING_PATH];
	uint32_t number;

	path_of(store_file_descriptor(object->store), path);
	if (*path != '/' || journal_file(recorder->journal, object->dev,
					 object->ino, path, &number))
		return NULL;
	return add(recorder, object->dev, object->ino, number);
}

static struct recorded *file_of(struct recorder *recorder,
				struct object *object)
{
	if (!object->recorded)
		object->recorded = find(recorder, object->dev, object->ino);
	if (!object->recorded)
		object->recorded = add_object(recorder, object);
	return object->recorded;
}

/* ---- Touches -------------------------------------------------------------------*/

static int see(struct recorded *file, uint64_t page)
{
	return pages_put(&file->seen, (struct page){ page, PAGE_CLEAN, 0 });
}

bool record_wants(const struct pager *pager, const struct object *object)
{
	return pager->recorder && object->ino && object->store;
}

void record_touched(struct mapping *mapping, uint64_t page)
{
	struct recorder *recorder = mapping->space->pager->recorder;
	struct recorded *file;

	if (!recorder || recorder->full || !mapping->object->ino)
		return;
	file = file_of(recorder, mapping->object);
	if (!file || pages_get(&file->seen, page).state != PAGE_ABSENT ||
	    see(file, page))
		return;
	recorder->full = journal_touch(recorder->journal, file->number, page);
	if (recorder->full)
		log_line("the recording is full: what is touched from now on "
			 "is not in it");
}

/* ---- Beginning and end -----------------------------------------------------------*/

/* Where a mapping is not in place yet, its client registers it as it was told:
   some of its touches are missed, or some messages too many. */
static void register_again(struct mapping *mapping)
{
	bool exact = mapping->exact;

	mapping->exact = mapping_is_exact(mapping);
	if (mapping->exact != exact && mapping->space->uffd >= 0)
		uffd_register(mapping->space->uffd, mapping->start,
			      mapping->end - mapping->start,
			      mapping_modes(mapping));
}

static void register_all(struct pager *pager)
{
	list_for_each(space, &pager->spaces, struct space, link)
		for (size_t i = 0; i < space->n; i++)
			register_again(space->entries[i].mapping);
}

struct refilling {
	struct recorder *recorder;
	int error;
};

static void refill(void *self, const struct recording_run *run)
{
	struct refilling *refilling = self;
	struct recorder *recorder = refilling->recorder;
	struct recorded *file;
	uint64_t dev, ino;

	if (refilling->error ||
	    !journal_identity(recorder->journal, run->file, &dev, &ino))
		return;
	file = find(recorder, dev, ino);
	if (!file)
		file = add(recorder, dev, ino, run->file);
	refilling->error = file ? 0 : -ENOMEM;
	for (uint64_t i = 0; !refilling->error && i < run->count; i++)
		refilling->error = see(file, run->first + i);
}

static void destroy(struct recorder *recorder)
{
	list_for_each(file, &recorder->files, struct recorded, link) {
		pages_destroy(&file->seen);
		mem_free(file, sizeof(*file));
	}
	journal_close(recorder->journal);
	mem_free(recorder, sizeof(*recorder));
}

int record_start(struct pager *pager, int fd)
{
	struct recorder *recorder;
	struct refilling refilling = { 0 };
	int error;

	if (pager->recorder)
		return -EALREADY;
	recorder = mem_alloc(sizeof(*recorder));
	if (!recorder)
		return -ENOMEM;
	list_init(&recorder->files);
	refilling.recorder = recorder;
	error = journal_open(fd, &recorder->journal);
	if (!error) {
		journal_each(recorder->journal, refill, &refilling);
		error = refilling.error;
	}
	if (error) {
		destroy(recorder);
		return error;
	}
	pager->recorder = recorder;
	register_all(pager);
	return 0;
}

void record_stop(struct pager *pager)
{
	struct recorder *recorder = pager->recorder;

	if (!recorder)
		return;
	pager->recorder = NULL;
	list_for_each(object, &pager->all, struct object, of_pager)
		object->recorded = NULL;
	register_all(pager);
	destroy(recorder);
}
