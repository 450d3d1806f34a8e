/* SPDX-License-Identifier: MIT */
/*
 * A store: its table of functions, its references, its threads
 *
 *   store_begin ──► begin, on the loop's thread ──► ops.read / write / flush
 *        └──► a worker, if the store has threads ──────┘
 *
 * The last put ends it. A store without threads is closed right there. With
 * threads its pool is told to stop, and the last thread to leave closes it: the
 * pager need not wait for a function that has given its answer and goes on.
 */
#include <string.h>

#include "io.h"
#include "mem.h"
#include "workers.h"

#define THREADS_MAX 64

/* ---- Transfers ----------------------------------------------------------- */

static void begin_write(struct wmap_store *store, struct io *io)
{
	if (store->writable)
		store->ops.write(store->self, &io->pub);
	else
		wmap_io_done(&io->pub, -EROFS);
}

static void begin_flush(struct wmap_store *store, struct io *io)
{
	if (store->ops.flush)
		store->ops.flush(store->self, &io->pub);
	else
		wmap_io_done(&io->pub, 0);
}

static void begin(struct wmap_store *store, struct io *io)
{
	switch (io->operation) {
	case IO_READ:
		store->ops.read(store->self, &io->pub);
		break;
	case IO_WRITE:
		begin_write(store, io);
		break;
	case IO_FLUSH:
		begin_flush(store, io);
		break;
	}
}

/* On a worker. */
static void begin_posted(struct post *post)
{
	struct io *io = container_of(post, struct io, post);

	begin(io->at, io);
}

void store_begin(struct wmap_store *store, struct io *io)
{
	io->at = store;
	if (!store->workers) {
		begin(store, io);
		return;
	}
	io->post.run = begin_posted;
	workers_post(store->workers, &io->post);
}

int64_t store_length(struct wmap_store *store)
{
	return store->ops.length ? store->ops.length(store->self) : INT64_MAX;
}

/* ---- Life ---------------------------------------------------------------- */

/* All of it, or the end of it if it is longer. */
static void set_name(struct wmap_store *store, const char *name)
{
	size_t length = strlen(name);
	size_t room = sizeof(store->name) - 1;

	if (length > room)
		name += length - room;
	strncpy(store->name, name, room);
}

int store_create(const struct wmap_store_ops *ops, void *self, const char *name,
		 bool writable, struct wmap_store **result)
{
	struct wmap_store *store = mem_alloc(sizeof(*store));

	if (!store)
		return -ENOMEM;
	store->ops = *ops;
	store->self = self;
	store->writable = writable;
	store->references = 1;
	set_name(store, name);
	*result = store;
	return 0;
}

static int create_with_threads(const struct wmap_store_ops *ops, void *self,
			       unsigned threads, struct wmap_store **result)
{
	struct wmap_store *store;
	const char *name = ops->name ? ops->name : "";
	int err = store_create(ops, self, name, ops->write != NULL, &store);

	if (err)
		return err;
	if (threads)
		err = workers_create(threads, &store->workers);
	if (err) {
		mem_free(store, sizeof(*store));
		return err;
	}
	*result = store;
	return 0;
}

struct wmap_store *wmap_store_create(const struct wmap_store_ops *ops,
				     void *self, unsigned threads)
{
	struct wmap_store *store;
	int err = -EINVAL;

	if (ops && ops->size == sizeof(*ops) && ops->read &&
	    threads <= THREADS_MAX)
		err = create_with_threads(ops, self, threads, &store);
	if (!err)
		return store;
	errno = -err;
	return NULL;
}

struct wmap_store *wmap_store_get(struct wmap_store *store)
{
	atomic_fetch_add_explicit(&store->references, 1, memory_order_relaxed);
	return store;
}

static void close_store(void *arg)
{
	struct wmap_store *store = arg;

	if (store->ops.close)
		store->ops.close(store->self);
	mem_free(store, sizeof(*store));
}

void wmap_store_put(struct wmap_store *store)
{
	/* acq_rel: what any holder did comes before the close */
	if (!store || atomic_fetch_sub_explicit(&store->references, 1,
						memory_order_acq_rel) > 1)
		return;
	if (store->workers)
		workers_stop(store->workers, close_store, store);
	else
		close_store(store);
}
