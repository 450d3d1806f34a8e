/* SPDX-License-Identifier: MIT */
/*
 * Workers: threads for what may block
 *
 * A pool runs posts (loop.h), each once, in the order they came, as many at a
 * time as it has threads. Its threads have all signals blocked.
 */
#ifndef WMAP_WORKERS_H
#define WMAP_WORKERS_H

#include "loop.h"

struct workers;

/* Start @n threads. Not for the pager's thread: starting one uses malloc.
   -ENOMEM, -EAGAIN. */
int workers_create(unsigned n, struct workers **workers);

/* Any thread. @post may be posted elsewhere, or freed, from its run on. */
void workers_post(struct workers *workers, struct post *post);

/*
 * Returns at once; nothing is posted from here on. What is queued still runs.
 * The last thread to leave frees @workers and calls @gone, if there is one.
 * Nobody is joined, so it may be called by the pager or by a worker itself.
 */
void workers_stop(struct workers *workers, void (*gone)(void *arg), void *arg);

#endif
