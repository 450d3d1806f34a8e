/* SPDX-License-Identifier: MIT */
/*
 * One transfer of a store, with its deadline
 *
 *   io_start ──► store's read/write/flush ──► wmap_io_done ──► done ──► release
 *        └────── deadline passes ──► done(-ETIMEDOUT) … wmap_io_done ──► release
 *
 * done is called once, with the answer or when the deadline has passed. release
 * is called once, when the store has answered: only then do buffer and io belong
 * to the caller again. Both run on the loop's thread, and never from inside
 * io_start. An io holds a reference to its store until release.
 */
#ifndef WMAP_IO_H
#define WMAP_IO_H

#include "internal.h"
#include "loop.h"

enum io_operation { IO_READ, IO_WRITE, IO_FLUSH };

struct io {
	struct wmap_io pub; /* what the store sees */
	struct wmap_store *store;
	struct loop *loop;
	enum io_operation operation;
	int64_t result; /* set before done, and again before release if late */
	bool late;	/* done was called because the deadline had passed */
	void (*done)(struct io *io);
	void (*release)(struct io *io);
	/* its own */
	struct timer deadline;
	struct timer delay;	  /* of a slow store */
	struct transfer transfer; /* of a file store */
	struct post post;
	struct io *next;       /* in a slow store's queue */
	struct wmap_store *at; /* who has it now: store, or an inner one */
	int64_t answer;	       /* the store's, until the loop takes it */
	_Atomic bool answered; /* against a second answer; orders nothing */
};

/*
 * Begin. The caller has set pub.buffer, length and offset, operation, done and
 * release. @deadline: ns from now, 0: none.
 */
void io_start(struct io *io, struct loop *loop, struct wmap_store *store,
	      uint64_t deadline);

/* ---- What a store is, inside -------------------------------------------- */

struct wmap_store {
	struct wmap_store_ops ops;
	void *self;
	char name[104];
	_Atomic unsigned references; /* the last put orders after all others */
	struct workers *workers; /* NULL: functions run on the loop's thread */
	size_t staged;		 /* bytes of buffers that it has; the pager's */
	bool writable;		 /* ops.write is there and allowed */
	bool is_file;		 /* a file store */
	bool ends_reads; /* what it reads never lies past its end: a file */
};

/* An io of ours, behind what the store's functions are given. */
static inline struct io *io_of(struct wmap_io *pub)
{
	return container_of(pub, struct io, pub);
}

/* wmap_store_create without threads, and with a name instead of ops->name. */
int store_create(const struct wmap_store_ops *ops, void *self, const char *name,
		 bool writable, struct wmap_store **store);

/* Hand an io to a store (or from a wrapping store to its inner one). */
void store_begin(struct wmap_store *store, struct io *io);

/* Bytes it has, INT64_MAX if it has no end, or a negative errno. */
int64_t store_length(struct wmap_store *store);

/*
 * A file store over @fd, which it takes over (closes at its end, not on
 * failure), and @direct, likewise, the same file with O_DIRECT, or -1. @writable:
 * open for writing. @name: for information; NULL: the path that /proc tells.
 */
int store_file_create(int fd, int direct, bool writable, const char *name,
		      struct wmap_store **store);

/* The file of @fd, opened with O_DIRECT; -EINVAL: its file system has none. */
int store_file_open_direct(int fd, bool writable);

/*
 * Make sure that no other process's pager writes back to a file store's file,
 * until the store is closed: by the name of a socket, as any lock on the file
 * would meet the program's own. -EBUSY: one does.
 */
int store_file_lock(struct wmap_store *store);

/* No longer: another pager may. */
void store_file_unlock(struct wmap_store *store);

/* The descriptor of a file store; -1: it is no such store. */
int store_file_descriptor(const struct wmap_store *store);

/*
 * One pager after the other has a file store's file: this is number @turn. May a
 * transfer of one with a lower number be on its way still? What io_uring has begun
 * outlives its process. But it has the open file in its hands, and that a lock on
 * one byte, which tells. @fd: an opening of the file that makes no transfers.
 */
int store_file_begin(struct wmap_store *store, uint32_t turn);
bool store_file_is_haunted(int fd, uint32_t turn);

/* Around a fork, in both: the child owns no file when it returns in the parent. */
void store_file_before_fork(void);
void store_file_after_fork(bool child);

/*
 * Close a descriptor of somebody's file. Closing any of them makes a process
 * lose its POSIX locks (fcntl(2)) on the file; so while it has some, or may
 * have, the descriptor stays open, and goes with one that is closed later.
 */
void store_file_close(int fd);

/* The same, counted for who has brought it (elsewhere.h). What a file store has open
   is nobody's before it is told whose. */
void store_file_close_for(int fd, uid_t whom);
void store_file_set_whom(struct wmap_store *store, uid_t whom);

/* May the server of a file store's file be silent? Then nothing but transfers of it
   may be waited for. */
bool store_file_is_patient(const struct wmap_store *store);

/* Bytes of a file store's file that were just written, and so are in the page
   cache; as pread(2). */
int64_t store_file_peek(struct wmap_store *store, void *buffer, size_t length,
			uint64_t offset);

/*
 * From now on, if it is a file store, what is not in the page cache already is
 * read and written past it, where the file system can: memory is short. That
 * begins in a later turn of @loop, unless NULL, if the file has to be opened
 * elsewhere.
 */
void store_file_thrifty(struct wmap_store *store, struct loop *loop);

/* At once, by a descriptor with O_DIRECT, which is taken over, or an error. */
void store_file_set_thrifty(struct wmap_store *store, int direct);

/*
 * A descriptor of our own for the file behind @fd: reopened through /proc, so
 * that the caller's O_APPEND, O_DIRECT and offset are not ours; else (no /proc,
 * no permission any more) a duplicate. *@writable says whether @fd is open for
 * writing. -EBADF, -EACCES (not open for reading; or no duplicate can do, its
 * writes would append), -ENODEV (no regular file).
 */
int store_file_reopen(int fd, int *own, bool *writable);

#endif
