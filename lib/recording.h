/* SPDX-License-Identifier: MIT */
/*
 * A recording: which pages of which files were touched, in order of first touch
 *
 *   header    magic, version, checksum of all that follows it, length, counts
 *   files     device, inode, length, time of the last change; path
 *   runs      file, first page, pages: what was touched one after another
 *
 * Numbers of the header and of files are little-endian; those of runs take seven
 * bits a byte, and the first page is told by its distance from the end of the
 * last run of its file: three bytes a run, mostly.
 *
 * A file is known again by what it is (device and inode, or its path) together
 * with what is in it, as its length and the time of its last change tell. A hash
 * of the contents would have to read what the recording is to save reading; and
 * wrong pages are never wrong data, only in vain.
 *
 * Invariant: a page of a file is in one run at most, and lies in the file.
 */
#ifndef WMAP_RECORDING_H
#define WMAP_RECORDING_H

#include "internal.h"

struct recording_file {
	uint64_t dev, ino;
	uint64_t length; /* bytes */
	int64_t changed; /* ns since 1970 */
	char *path;	 /* in memory of strlen + 1 */
};

struct recording_run {
	uint64_t first, count; /* pages */
	uint32_t file;	       /* its number in the recording */
	uint32_t place;	       /* for who sorts them to know */
};

struct recording {
	struct recording_file *files;
	size_t n_files, files_room;
	struct recording_run *runs; /* in order of first touch */
	size_t n_runs, runs_room;
};

#define RECORDING_VERSION 1
#define RECORDING_PATH	  4096 /* bytes of a path, with its end */
#define RECORDING_FILES	  4096 /* of one recording */

/* An empty one, or NULL. */
struct recording *recording_create(void);
void recording_destroy(struct recording *recording);

/*
 * The recording in these bytes, which may be any. Looks at nothing else, and
 * takes memory in proportion to @size. *@why: what is wrong with them, in words;
 * NULL where the error says it.
 *
 *   -EINVAL           they are no recording, or an impossible one
 *   -EBADMSG          cut off, or changed since it was written
 *   -EPROTONOSUPPORT  of another version
 */
int recording_parse(const void *bytes, size_t size, struct recording **result,
		    const char **why);

/* Its bytes, of mem_alloc(*@size): parsed they are the same recording. */
int recording_format(const struct recording *recording, void **bytes,
		     size_t *size);

/* Of everything behind the header's checksum. */
uint32_t recording_checksum(const void *bytes, size_t size);

/* A file more; @file's path is copied. */
int recording_add_file(struct recording *recording,
		       const struct recording_file *file);

/* The next pages touched of the file with that number; none of them is there
   yet, all lie in the file. */
int recording_add_run(struct recording *recording, uint32_t file,
		      uint64_t first, uint64_t count);

/*
 * Add what @older has and @recording has not, behind it. Left out is a file that
 * has changed since, and of those that @recording does not know what is not
 * @wanted (NULL: all are). On failure some is added.
 */
int recording_merge(struct recording *recording, const struct recording *older,
		    bool (*wanted)(const struct recording_file *));

/* Is it the same file, with the same in it? */
bool recording_is(const struct recording_file *file,
		  const struct recording_file *other);

/* Pages that the file has. */
static inline uint64_t recording_pages(const struct recording_file *file)
{
	return page_up(file->length) >> PAGE_SHIFT;
}

/* Ascending, by file and page; without memory of its own. */
void recording_sort(struct recording_run *runs, size_t n);

/* In sorted runs: the first that ends behind a page of a file; @n if none. */
size_t recording_lower(const struct recording_run *runs, size_t n,
		       uint32_t file, uint64_t page);

/* ---- recording_file.c ------------------------------------------------------- */

/* The recording in a file. *@why: as recording_parse's. */
int recording_read(const char *path, struct recording **result,
		   const char **why);

/* In one that is open; its offset stays. */
int recording_read_open(int fd, struct recording **result, const char **why);

/* A memfd with these bytes, or a negative errno. */
int recording_memory(const void *bytes, size_t size);

/*
 * Write it to a file, with what is in that already: to another one beside it,
 * which then takes its name, so that at every moment it is one or the other,
 * whole. What is there and is no recording stays, and is an error.
 */
int recording_save(const char *path, struct recording *recording,
		   const char **why);

/* Could it be? Changes nothing. */
int recording_check(const char *path, const char **why);

#endif
