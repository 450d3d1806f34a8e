/* SPDX-License-Identifier: MIT */
/*
 * Which descriptors are the library's
 *
 * Each that sys_call opens is noted here until it closes it. With a pager thread
 * these are all that it needs. (A guard has a table of its own, with other
 * numbers: where there is one it is known by name what is needed.)
 *
 * Those above FDS_LIMIT are not known.
 */
#ifndef WMAP_FDS_H
#define WMAP_FDS_H

#define FDS_LIMIT 65536

/* What a system call has opened or closed; @result: what it returned. */
void fds_note(long number, long a, long b, long result);

/* One that was opened otherwise. */
void fds_add(int fd);

/* The lowest from @from on; INT_MAX: none. */
int fds_next(int from);

/* The pager's are not what they were: a program has closed what it did not open.
   Nothing that it pages can be had any more, and another file may be where
   another number was: it says so and aborts. */
_Noreturn void fds_lost(void);

#endif
