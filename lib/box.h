/* SPDX-License-Identifier: MIT */
/*
 * Box: a file that others keep for us, and that we can take out of their hands
 *
 *            ┌─────┐ ◄── ours
 *   file ──► │ box │ ◄── the keeper's, the guards'
 *            └─────┘ ◄── on its way to them
 *
 * Who was sent a descriptor has the file open until it closes its own, and may be
 * busy or stopped. A file that is open for writing cannot be executed, nor its file
 * system unmounted. So others are sent a socket, in whose queue the file lies:
 * whoever has the box can have the file, until it is taken out. Then nobody has.
 *
 * What lies in queues counts for its user, and while that is more than the limit on
 * descriptors (RLIMIT_NOFILE) of any program of that user, no descriptor can be sent
 * from there: there should be few.
 */
#ifndef WMAP_BOX_H
#define WMAP_BOX_H

#include <stdbool.h>

/* A descriptor of a box with a duplicate of @file in it, or a negative errno. */
int box_create(int file);

/* Another descriptor of what is in it. -EAGAIN: it is empty; -ENOTSOCK: @fd is no
   box. */
int box_file(int fd);

/* Take it out. Of what is no box nothing changes. */
void box_empty(int fd);

/* Is it a box with nothing in it? */
bool box_is_empty(int fd);

#endif
