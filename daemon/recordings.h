/* SPDX-License-Identifier: MIT */
/* --record and --replay of `wmap run`, NULL where they are not given */
#ifndef WMAP_RECORDINGS_H
#define WMAP_RECORDINGS_H

#include <stdbool.h>

struct journal;
struct keeper;

/* Can the one be written, and is the other there? False: it was said why not. */
bool recordings_check(const char *record, const char *replay);

/* For the keeper's wmapd. *@journal: what is recorded, for recordings_save. */
bool recordings_give(const char *record, const char *replay,
		     struct keeper *keeper, struct journal **journal);

/* All has ended. False: it was said why it cannot be written. */
bool recordings_save(const char *path, const struct journal *journal);

#endif
