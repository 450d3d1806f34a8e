/* SPDX-License-Identifier: MIT */
/* Bringing what was touched the last time (replay.h) */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "elsewhere.h"
#include "mem.h"
#include "pager.h"
#include "replay.h"
#include "sys.h"

struct replay {
	struct recording *recording;
	struct recording_run *ordered; /* by file */
	size_t *starts, *ends;	       /* in it, of each file's */
	struct recording_run *sorted;
};

/* ---- Preparing -----------------------------------------------------------------*/

/* In order of first touch, but file by file. */
static void order_by_file(struct replay *replay)
{
	const struct recording *recording = replay->recording;
	size_t at = 0;

	for (size_t i = 0; i < recording->n_runs; i++)
		replay->ends[recording->runs[i].file]++;
	for (size_t i = 0; i < recording->n_files; i++) {
		size_t n = replay->ends[i];

		replay->starts[i] = replay->ends[i] = at;
		at += n;
	}
	for (size_t i = 0; i < recording->n_runs; i++) {
		struct recording_run run = recording->runs[i];

		run.place = (uint32_t)(replay->ends[run.file] -
				       replay->starts[run.file]);
		replay->ordered[replay->ends[run.file]++] = run;
	}
}

void replay_destroy(struct replay *replay)
{
	size_t n = replay->recording->n_runs + 1;
	size_t n_files = replay->recording->n_files + 1;

	mem_free(replay->ordered, n * sizeof(*replay->ordered));
	mem_free(replay->sorted, n * sizeof(*replay->sorted));
	mem_free(replay->starts, n_files * sizeof(*replay->starts));
	mem_free(replay->ends, n_files * sizeof(*replay->ends));
	recording_destroy(replay->recording);
	mem_free(replay, sizeof(*replay));
}

struct replay *replay_create(struct recording *recording)
{
	struct replay *replay = mem_alloc(sizeof(*replay));
	size_t n = recording->n_runs + 1, n_files = recording->n_files + 1;

	if (!replay) {
		recording_destroy(recording);
		return NULL;
	}
	replay->recording = recording;
	replay->ordered = mem_alloc(n * sizeof(*replay->ordered));
	replay->sorted = mem_alloc(n * sizeof(*replay->sorted));
	replay->starts = mem_alloc(n_files * sizeof(*replay->starts));
	replay->ends = mem_alloc(n_files * sizeof(*replay->ends));
	if (!replay->ordered || !replay->sorted || !replay->starts ||
	    !replay->ends) {
		replay_destroy(replay);
		return NULL;
	}
	order_by_file(replay);
	memcpy(replay->sorted, replay->ordered,
	       (n - 1) * sizeof(*replay->sorted));
	recording_sort(replay->sorted, n - 1);
	return replay;
}

size_t replay_place(const struct replay *replay, uint32_t file, uint64_t page)
{
	size_t n = replay->recording->n_runs;
	size_t i = recording_lower(replay->sorted, n, file, page);

	if (i == n || replay->sorted[i].file != file ||
	    replay->sorted[i].first > page)
		return REPLAY_NOWHERE;
	return replay->sorted[i].place;
}

/* ---- Beginning -----------------------------------------------------------------*/

void replay_set(struct pager *pager, struct replay *replay)
{
	prefetch_end_replays(pager);
	if (pager->replay)
		replay_destroy(pager->replay);
	pager->replay = replay;
}

static bool has_path(int fd, const char *path)
{
	char link[32], now[RECORDING_PATH];
	long n;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = sys_call(SYS_readlink, link, now, sizeof(now));
	return n > 0 && (size_t)n == strlen(path) && !memcmp(now, path, n);
}

/* As recording_is, but a path is asked for only if that is what it depends on. */
static bool is_file(int fd, const struct stat *stat,
		    const struct recording_file *file)
{
	if (file->length != (uint64_t)stat->st_size ||
	    file->changed !=
		    stat->st_mtim.tv_sec * 1000000000ll + stat->st_mtim.tv_nsec)
		return false;
	return (file->dev == stat->st_dev && file->ino == stat->st_ino) ||
	       has_path(fd, file->path);
}

static bool find_file(const struct replay *replay, struct wmap_store *store,
		      uint32_t *number)
{
	const struct recording *recording = replay->recording;
	int fd = store_file_descriptor(store);
	struct stat stat;

	if (fd < 0 || elsewhere_stat(fd, &stat) != 0)
		return false;
	for (size_t i = 0; i < recording->n_files; i++)
		if (is_file(fd, &stat, &recording->files[i])) {
			*number = (uint32_t)i;
			return true;
		}
	return false;
}

/* What the mapping shows of a run, as addresses; false: nothing, which is a range,
   too, so that each keeps its place. */
static bool clip(const struct mapping *mapping, const struct recording_run *run,
		 struct wmap_range *range)
{
	uint64_t first = max_u64(run->first, mapping->first);
	uint64_t end =
		min_u64(run->first + run->count, mapping_end_page(mapping));

	*range = (struct wmap_range){ 0 };
	if (first >= end)
		return false;
	range->addr = (void *)mapping_address(mapping, first);
	range->length = (end - first) << PAGE_SHIFT;
	return true;
}

static void start(struct mapping *mapping, uint32_t file)
{
	const struct replay *replay = mapping->space->pager->replay;
	size_t from = replay->starts[file], n = replay->ends[file] - from;
	struct wmap_range *ranges = mem_alloc(n * sizeof(*ranges));
	bool any = false;

	if (!ranges)
		return;
	for (size_t i = 0; i < n; i++)
		any |= clip(mapping, &replay->ordered[from + i], &ranges[i]);
	if (!any || prefetch_replay(mapping, file, ranges, n))
		mem_free(ranges, n * sizeof(*ranges));
}

void replay_begin(struct mapping *mapping)
{
	const struct replay *replay = mapping->space->pager->replay;
	struct wmap_store *store = mapping->object->store;
	uint32_t file;

	mapping->replayed = true;
	if (store && mapping->object->ino &&
	    !(mapping->flags & MAPPING_COURSE) &&
	    find_file(replay, store, &file) &&
	    replay->ends[file] > replay->starts[file])
		start(mapping, file);
}
