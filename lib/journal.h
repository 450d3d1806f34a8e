/* SPDX-License-Identifier: MIT */
/*
 * A journal: a recording while it is made, in memory that outlives its pager
 *
 * A memfd that one pager writes, and whoever wants the recording reads: also if
 * the pager was killed, and its successor went on. As large as it will ever be,
 * but sparse. The writer sets a file or run first and counts it then (release);
 * a reader that sees the count (acquire) sees the rest.
 *
 * The order is that of first touches, but for pages that touch a run among the
 * last few: those go to the run. So streams that take turns are long runs.
 */
#ifndef WMAP_JOURNAL_H
#define WMAP_JOURNAL_H

#include "recording.h"

struct journal;

/* A new one, in *@fd. */
int journal_create(int *fd, struct journal **journal);

/* One that is there; -EINVAL: it is none. The descriptor stays the caller's. */
int journal_open(int fd, struct journal **journal);
void journal_close(struct journal *journal);

/* The number of a file, which is added if it is new; -ENOSPC. */
int journal_file(struct journal *journal, uint64_t dev, uint64_t ino,
		 const char *path, uint32_t *number);

/* A page is touched for the first time; -ENOSPC. */
int journal_touch(struct journal *journal, uint32_t file, uint64_t page);

/* Call @seen for each run so far. */
void journal_each(const struct journal *journal,
		  void (*seen)(void *self, const struct recording_run *run),
		  void *self);

/* Identity of a file by its number; false: there is none. */
bool journal_identity(const struct journal *journal, uint32_t number,
		      uint64_t *dev, uint64_t *ino);

/*
 * What is recorded so far, of files that are still where they were: as they are
 * now, so that what the program itself has written makes nothing stale.
 */
int journal_recording(const struct journal *journal, struct recording **result);

#endif
