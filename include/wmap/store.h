/* SPDX-License-Identifier: MIT */
/*
 * Stores: where the bytes of a mapping live
 *
 * A store is a table of functions and a pointer of its own. Transfers are
 * asynchronous: read, write and flush begin one and return; wmap_io_done, called
 * then or later, by any thread, ends it, exactly once. A store never blocks the
 * pager: functions that do block are run by threads (wmap_store_create).
 *
 * A buffer belongs to the store from the call to wmap_io_done, also when the
 * deadline of the mapping has passed in between (the transfer has failed with
 * ETIMEDOUT then, and its late answer is thrown away; a late write holds back
 * every later write of its pages, so that it cannot overtake one).
 *
 * No function of a store may touch memory that wmap maps, nor take a lock that
 * somebody holds while touching it: it would wait for itself.
 *
 * Stores are counted: create gives one reference, which wmap_store_put gives
 * back; a mapping and a wrapping store hold their own. Mappings of one store
 * show one memory.
 */
#ifndef WMAP_STORE_H
#define WMAP_STORE_H

#include "wmap.h"

#ifdef __cplusplus
extern "C" {
#endif

/* One transfer. The store reads these fields and changes none. */
struct wmap_io {
	void *buffer;	 /* page-aligned; to fill, or to write */
	size_t length;	 /* bytes: whole pages when reading */
	uint64_t offset; /* in the store, page-aligned */
	void *priv;	 /* the store's own, for the time of the transfer */
};

/**
 * wmap_io_done - a transfer has ended
 * @io:     it is gone afterwards
 * @result: bytes from the start of the buffer that were transferred, or a
 *          negative errno. Fewer than asked for is the end of the store when
 *          reading, and EIO when writing.
 *
 * Threads: any.
 */
WMAP_API void wmap_io_done(struct wmap_io *io, int64_t result);

struct wmap_store_ops {
	size_t size;	  /* sizeof(struct wmap_store_ops) */
	const char *name; /* for information; copied */

	/* Begin to fill @io's buffer. Required. */
	void (*read)(void *self, struct wmap_io *io);

	/* Begin to take @io's buffer; it is not changed meanwhile. NULL: the
	   store is read-only. */
	void (*write)(void *self, struct wmap_io *io);

	/* Make what was written durable; buffer and length are 0. NULL: it is. */
	void (*flush)(void *self, struct wmap_io *io);

	/* The bytes it has now; a page that begins beyond is SIGBUS, nothing is
	   written beyond. Must not block. NULL: it has no end. A negative errno:
	   not known now. */
	int64_t (*length)(void *self);

	/* The last reference is gone; no transfer is under way. May be NULL. */
	void (*close)(void *self);
};

/**
 * wmap_store_create - a store of the program's own
 * @ops:     copied
 * @self:    passed to its functions
 * @threads: 0: its functions are called by the pager's thread, or by one that
 *           stands in for it while it sleeps, one at a time; they must not block
 *           and make no call of wmap_* but wmap_io_done. 1 to 64: by that many
 *           threads, where they may block; close by the last of them, perhaps
 *           after wmap_store_put has returned.
 *
 * Errors:
 *   EINVAL  no read, a size that is not known, more than 64 threads
 *   ENOMEM, EAGAIN  memory or threads ran out
 */
WMAP_API struct wmap_store *wmap_store_create(const struct wmap_store_ops *ops,
					      void *self, unsigned threads);

/** wmap_store_zero - zeros without end; what is written is forgotten */
WMAP_API struct wmap_store *wmap_store_zero(void);

#define WMAP_FILE_DIRECT 0x1 /* O_DIRECT */

/**
 * wmap_store_file - a regular file
 * @fd:    open for reading, or for both; may be closed afterwards
 * @flags: 0 or WMAP_FILE_DIRECT
 *
 * Errors:
 *   EBADF   @fd is not open
 *   EACCES  @fd is not open for reading
 *   ENODEV  @fd is no regular file
 *   EINVAL  an unknown flag; WMAP_FILE_DIRECT where the file system has none
 */
WMAP_API struct wmap_store *wmap_store_file(int fd, int flags);

#define WMAP_FAIL_READ	0x1
#define WMAP_FAIL_WRITE 0x2
#define WMAP_FAIL_FLUSH 0x4

/* Which transfers fail; those that fit every line of it. */
struct wmap_failure {
	size_t size;	     /* sizeof(struct wmap_failure) */
	unsigned operations; /* WMAP_FAIL_* or-ed */
	uint64_t first;	     /* begin with the nth that fits, from 1; 0 is 1 */
	uint64_t count;	     /* how many; 0 is for good */
	uint64_t offset, length; /* touching this range; length 0: any */
	int error;		 /* errno it fails with */
};

/**
 * wmap_store_failing - a store that fails as told, for testing
 * @inner: does what does not fail; a reference of its own is taken
 *
 * Fails nothing until wmap_store_fail.
 */
WMAP_API struct wmap_store *wmap_store_failing(struct wmap_store *inner);

/**
 * wmap_store_fail - tell a failing store what to fail from now on
 * @failure: replaces what was told before, counted anew; NULL: nothing
 *
 * Threads: any, at any time.
 *
 * Errors:
 *   EINVAL  @store is no failing store; no operation, errno or known size
 */
WMAP_API int wmap_store_fail(struct wmap_store *store,
			     const struct wmap_failure *failure);

#define WMAP_DELAY_FOREVER UINT64_MAX

/**
 * wmap_store_slow - a store that takes its time, for testing
 * @inner: does the work, afterwards; a reference of its own is taken
 * @read_ns, @write_ns: how long each transfer waits first, or
 *         WMAP_DELAY_FOREVER: until wmap_store_delay says otherwise
 */
WMAP_API struct wmap_store *
wmap_store_slow(struct wmap_store *inner, uint64_t read_ns, uint64_t write_ns);

/**
 * wmap_store_delay - change how slow a slow store is
 *
 * Holds for transfers that begin afterwards; those that wait for ever begin now.
 *
 * Threads: any, at any time.
 *
 * Errors:
 *   EINVAL  @store is no slow store
 */
WMAP_API int wmap_store_delay(struct wmap_store *store, uint64_t read_ns,
			      uint64_t write_ns);

/** wmap_store_get - one more reference; returns @store */
WMAP_API struct wmap_store *wmap_store_get(struct wmap_store *store);

/** wmap_store_put - one reference less; NULL does nothing */
WMAP_API void wmap_store_put(struct wmap_store *store);

#ifdef __cplusplus
}
#endif

#endif
