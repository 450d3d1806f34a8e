/* SPDX-License-Identifier: MIT */
/*
 * The failing store: fails what it was told to, hands on the rest
 *
 * What fits a failure is counted from the moment it was told; those from the
 * first-th on fail, count of them or all.
 */
#include <stdio.h>

#include "io.h"
#include "lock.h"
#include "mem.h"

struct failing {
	struct wmap_store *inner; /* [c] */
	struct lock lock;
	struct wmap_failure failure; /* [l: lock] operations 0: none */
	uint64_t seen;		     /* [l] transfers that fitted it */
};

static const unsigned bit_of[] = {
	[IO_READ] = WMAP_FAIL_READ,
	[IO_WRITE] = WMAP_FAIL_WRITE,
	[IO_FLUSH] = WMAP_FAIL_FLUSH,
};

/* A flush touches every range. */
static bool touches(const struct io *io, const struct wmap_failure *failure)
{
	uint64_t end, failure_end;

	if (!failure->length || io->operation == IO_FLUSH)
		return true;
	if (__builtin_add_overflow(failure->offset, failure->length,
				   &failure_end))
		failure_end = UINT64_MAX;
	end = io->pub.offset + io->pub.length;
	return io->pub.offset < failure_end && failure->offset < end;
}

static bool fits(const struct io *io, const struct wmap_failure *failure)
{
	return (failure->operations & bit_of[io->operation]) &&
	       touches(io, failure);
}

/* Is it the turn of the transfer that was seen just now? */
static bool turn(uint64_t seen, const struct wmap_failure *failure)
{
	uint64_t first = failure->first ? failure->first : 1;

	return seen >= first &&
	       (!failure->count || seen - first < failure->count);
}

/* The errno to fail with, or 0. */
static int judge(struct failing *failing, const struct io *io)
{
	const struct wmap_failure *failure = &failing->failure;
	int error = 0;

	lock_take(&failing->lock);
	if (fits(io, failure) && turn(++failing->seen, failure))
		error = failure->error;
	lock_drop(&failing->lock);
	return error;
}

static void begin(void *self, struct wmap_io *pub)
{
	struct failing *failing = self;
	int error = judge(failing, io_of(pub));

	if (error)
		wmap_io_done(pub, -error);
	else
		store_begin(failing->inner, io_of(pub));
}

static int64_t failing_length(void *self)
{
	struct failing *failing = self;

	return store_length(failing->inner);
}

static void failing_close(void *self)
{
	struct failing *failing = self;

	wmap_store_put(failing->inner);
	mem_free(failing, sizeof(*failing));
}

static const struct wmap_store_ops operations = {
	.size = sizeof(operations),
	.read = begin,
	.write = begin,
	.flush = begin,
	.length = failing_length,
	.close = failing_close,
};

static int create(struct wmap_store *inner, struct wmap_store **store)
{
	struct failing *failing = mem_alloc(sizeof(*failing));
	char name[sizeof(inner->name) + 16];
	int err;

	if (!failing)
		return -ENOMEM;
	failing->inner = inner;
	snprintf(name, sizeof(name), "failing %s", inner->name);
	err = store_create(&operations, failing, name, inner->writable, store);
	if (err)
		mem_free(failing, sizeof(*failing));
	else
		wmap_store_get(inner);
	return err;
}

struct wmap_store *wmap_store_failing(struct wmap_store *inner)
{
	struct wmap_store *store;
	int err = inner ? create(inner, &store) : -EINVAL;

	if (!err)
		return store;
	errno = -err;
	return NULL;
}

static bool valid(const struct wmap_failure *failure)
{
	unsigned all = WMAP_FAIL_READ | WMAP_FAIL_WRITE | WMAP_FAIL_FLUSH;

	return failure->size == sizeof(*failure) && failure->operations &&
	       !(failure->operations & ~all) && failure->error > 0 &&
	       failure->error <= 4095;
}

int wmap_store_fail(struct wmap_store *store,
		    const struct wmap_failure *failure)
{
	struct wmap_failure told = { 0 };
	struct failing *failing;

	if (!store || store->ops.read != begin ||
	    (failure && !valid(failure))) {
		errno = EINVAL;
		return -1;
	}
	if (failure)
		told = *failure;
	failing = store->self;
	lock_take(&failing->lock);
	failing->failure = told;
	failing->seen = 0;
	lock_drop(&failing->lock);
	return 0;
}
