/* SPDX-License-Identifier: MIT */
/* A wmapd of one's own, and who keeps it alive */
#ifndef WMAP_KEEP_H
#define WMAP_KEEP_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

#define KEEP_ADDRESS_SIZE 64

/*
 * Start one. @address: where to connect. Returns a descriptor: once it has been
 * closed wmapd ends with its last client. -ENOENT: no wmap command is found;
 * -ECHILD: it failed.
 */
int keep_start(char address[KEEP_ADDRESS_SIZE]);

/* Likewise, in two steps: it takes some milliseconds, in which the caller may do
   something else. The second takes what the first returned, also an error. */
int keep_begin(char address[KEEP_ADDRESS_SIZE]);
int keep_await(int keeper);

/* Where the wmap command is; false: nowhere. */
bool keep_find(char command[PATH_MAX]);

/* Likewise, at an address where nobody listens any more, for guards to hand over to
   (guard.h). One thread at a time. -ECHILD also: another was quicker. */
int keep_rescue(char *command, char *address);

#endif
