/* SPDX-License-Identifier: MIT */
/* A recording while it is made (journal.h) */
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "journal.h"
#include "mem.h"
#include "sys.h"

#define MAGIC	  0x6c6e6a70616d77ull
#define RUNS	  ((uint64_t)1 << 22)
#define LOOK_BACK 8  /* runs that a page may belong to */
#define TOGETHER  64 /* pages of a run that is not the last one, at most */

struct file {
	uint64_t dev, ino;
	char path[RECORDING_PATH - 2 * sizeof(uint64_t)];
};

struct run {
	uint64_t first;
	_Atomic uint32_t count; /* [a] only grows; orders nothing */
	uint32_t file;
};

struct journal {
	uint64_t magic;
	_Atomic uint32_t n_files; /* [a] released, and acquired by readers */
	_Atomic uint64_t n_runs;  /* likewise */
	struct file files[RECORDING_FILES];
	struct run runs[RUNS];
};

/* ---- Its memory ----------------------------------------------------------------*/

static int map(int fd, struct journal **journal)
{
	long at = sys_map(0, sizeof(**journal), PROT_READ | PROT_WRITE,
			  MAP_SHARED, fd, 0);

	if (sys_failed(at))
		return (int)at;
	*journal = (struct journal *)at;
	return 0;
}

void journal_close(struct journal *journal)
{
	if (journal)
		sys_unmap((uint64_t)journal, sizeof(*journal));
}

int journal_create(int *result, struct journal **journal)
{
	int fd = (int)sys_call(SYS_memfd_create, "wmap-journal",
			       MFD_CLOEXEC | MFD_ALLOW_SEALING);
	int error;

	if (fd < 0)
		return fd;
	error = (int)sys_call(SYS_ftruncate, fd, sizeof(**journal));
	if (!error)
		error = (int)sys_call(SYS_fcntl, fd, F_ADD_SEALS,
				      F_SEAL_SHRINK | F_SEAL_GROW);
	if (!error)
		error = map(fd, journal);
	if (error) {
		sys_call(SYS_close, fd);
		return error;
	}
	(*journal)->magic = MAGIC;
	*result = fd;
	return 0;
}

int journal_open(int fd, struct journal **journal)
{
	struct stat stat;
	int error = (int)sys_call(SYS_fstat, fd, &stat);

	if (!error && stat.st_size != sizeof(**journal))
		error = -EINVAL;
	if (!error)
		error = map(fd, journal);
	if (!error && (*journal)->magic != MAGIC) {
		journal_close(*journal);
		error = -EINVAL;
	}
	return error;
}

/* ---- Writing -------------------------------------------------------------------*/

static uint32_t count_files(const struct journal *journal)
{
	return atomic_load_explicit(&journal->n_files, memory_order_acquire);
}

static uint64_t count_runs(const struct journal *journal)
{
	return atomic_load_explicit(&journal->n_runs, memory_order_acquire);
}

int journal_file(struct journal *journal, uint64_t dev, uint64_t ino,
		 const char *path, uint32_t *number)
{
	uint32_t n = count_files(journal);
	struct file *file = &journal->files[n];

	for (uint32_t i = 0; i < n; i++)
		if (journal->files[i].dev == dev &&
		    journal->files[i].ino == ino) {
			*number = i;
			return 0;
		}
	if (n == RECORDING_FILES || strlen(path) >= sizeof(file->path))
		return -ENOSPC;
	file->dev = dev;
	file->ino = ino;
	strcpy(file->path, path);
	atomic_store_explicit(&journal->n_files, n + 1, memory_order_release);
	*number = n;
	return 0;
}

/* Does it go on with this page? */
static bool goes_on(struct run *run, uint32_t file, uint64_t page, bool last)
{
	uint32_t count =
		atomic_load_explicit(&run->count, memory_order_relaxed);

	if (run->file != file || run->first + count != page ||
	    count >= (last ? UINT32_MAX : TOGETHER))
		return false;
	atomic_store_explicit(&run->count, count + 1, memory_order_relaxed);
	return true;
}

int journal_touch(struct journal *journal, uint32_t file, uint64_t page)
{
	uint64_t n = count_runs(journal);
	struct run *run;

	for (uint64_t back = 1; back <= LOOK_BACK && back <= n; back++)
		if (goes_on(&journal->runs[n - back], file, page, back == 1))
			return 0;
	if (n == RUNS)
		return -ENOSPC;
	run = &journal->runs[n];
	run->first = page;
	run->file = file;
	atomic_store_explicit(&run->count, 1, memory_order_relaxed);
	atomic_store_explicit(&journal->n_runs, n + 1, memory_order_release);
	return 0;
}

/* ---- Reading -------------------------------------------------------------------*/

void journal_each(const struct journal *journal,
		  void (*seen)(void *self, const struct recording_run *run),
		  void *self)
{
	uint64_t n = min_u64(count_runs(journal), RUNS);

	for (uint64_t i = 0; i < n; i++) {
		const struct run *run = &journal->runs[i];
		struct recording_run copy = {
			.first = run->first,
			.count = atomic_load_explicit(&run->count,
						      memory_order_relaxed),
			.file = run->file,
		};

		seen(self, &copy);
	}
}

bool journal_identity(const struct journal *journal, uint32_t number,
		      uint64_t *dev, uint64_t *ino)
{
	if (number >= min_u64(count_files(journal), RECORDING_FILES))
		return false;
	*dev = journal->files[number].dev;
	*ino = journal->files[number].ino;
	return true;
}

/* What there is at the path of a file now; false: another file, or none. */
static bool look_at(const struct file *file, struct recording_file *now)
{
	struct stat stat;

	if (sys_call(SYS_newfstatat, AT_FDCWD, file->path, &stat, 0) != 0 ||
	    stat.st_ino != file->ino || stat.st_dev != file->dev)
		return false;
	now->dev = file->dev;
	now->ino = file->ino;
	now->length = (uint64_t)stat.st_size;
	now->changed =
		stat.st_mtim.tv_sec * 1000000000ll + stat.st_mtim.tv_nsec;
	now->path = (char *)(uintptr_t)file->path;
	return true;
}

struct reading {
	struct recording *recording;
	uint32_t *numbers; /* in it, by that in the journal, from 1; 0: none */
	int error;
};

static void add_run(void *self, const struct recording_run *run)
{
	struct reading *reading = self;
	uint32_t number =
		run->file < RECORDING_FILES ? reading->numbers[run->file] : 0;
	uint64_t pages;

	if (!number || reading->error)
		return;
	/* Of a file that has become shorter the rest is gone. */
	pages = recording_pages(&reading->recording->files[number - 1]);
	if (run->first < pages)
		reading->error = recording_add_run(
			reading->recording, number - 1, run->first,
			min_u64(run->count, pages - run->first));
}

static int read_files(const struct journal *journal, struct reading *reading)
{
	uint32_t n = (uint32_t)min_u64(count_files(journal), RECORDING_FILES);
	int error = 0;

	for (uint32_t i = 0; !error && i < n; i++) {
		struct recording_file now;

		if (!look_at(&journal->files[i], &now))
			continue;
		error = recording_add_file(reading->recording, &now);
		reading->numbers[i] = (uint32_t)reading->recording->n_files;
	}
	return error;
}

int journal_recording(const struct journal *journal, struct recording **result)
{
	struct reading reading = {
		.recording = recording_create(),
		.numbers = mem_alloc(RECORDING_FILES * sizeof(uint32_t)),
	};
	int error = reading.recording && reading.numbers ? 0 : -ENOMEM;

	if (!error)
		error = read_files(journal, &reading);
	reading.error = error;
	if (!error)
		journal_each(journal, add_run, &reading);
	error = reading.error;
	mem_free(reading.numbers, RECORDING_FILES * sizeof(uint32_t));
	if (error)
		recording_destroy(reading.recording);
	else
		*result = reading.recording;
	return error;
}
