/* SPDX-License-Identifier: MIT */
/* The pager as a thread of the program: one of the two places where it runs */
#ifndef WMAP_THREAD_H
#define WMAP_THREAD_H

#include "internal.h"

struct hints;
struct message;

/* With all signals blocked. 0, and what the pager is known by; or -errno. */
int thread_start(int *uffd, unsigned *features, const struct hints **hints);

/* -EBUSY: something is mapped. Nobody else is calling. */
int thread_stop(void);

/* Before a fork all that is in swap comes back, and stays until it is over. An
   error: what did not, the child will not have. */
int thread_before_fork(void);
void thread_in_parent(void);

/* Hand the pager over to a process of its own; nobody else is calling. 0 and
   *@hints, and there is no thread any more; -errno, and all is as before. */
int thread_move_out(const struct hints **hints);

/* In a fork's child: descriptors that look like a pager's are closed. */
void thread_child(void);

/* -EDEADLK: the caller is the pager, or stands in for it. */
int thread_call(struct message *message);

#endif
