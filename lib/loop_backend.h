/* SPDX-License-Identifier: MIT */
/*
 * The loop, inside: what loop.c shares with its two ways to wait
 *
 * loop.c has posts, timers and the turn. loop_uring.c waits in io_uring_enter,
 * loop_plain.c in ppoll(2); each offers the functions of struct loop_backend.
 */
#ifndef WMAP_LOOP_BACKEND_H
#define WMAP_LOOP_BACKEND_H

#include <liburing.h>
#include <poll.h>
#include <pthread.h>

#include "internal.h"
#include "loop.h"

#define LOOP_FOREVER UINT64_MAX

struct loop_backend {
	/* On the creating thread; 0 or a negative errno. */
	int (*open)(struct loop *loop);
	void (*close)(struct loop *loop);
	void (*child)(struct loop *loop); /* loop_child */
	int (*own)(struct loop *loop);
	int (*hold)(struct loop *loop, int fd); /* loop_hold */
	/* 0 or a negative errno. */
	int (*watch)(struct loop *loop, struct watch *watch);
	/* @watch is LEAVING; loop_watch_gone when nothing refers to it. */
	void (*unwatch)(struct loop *loop, struct watch *watch);
	/* Begin the waiting transfers; then sleep until something is there or
	   @timeout has passed (ns; 0: do not sleep). May wake for nothing. */
	void (*enter)(struct loop *loop, uint64_t timeout);
	/* Run what enter has found. */
	void (*run)(struct loop *loop);
};

extern const struct loop_backend loop_uring, loop_plain;

/* What ppoll(2) wants of the watches; in one piece of memory. */
struct polls {
	struct pollfd *fds;
	struct watch **watches; /* whose they are */
	unsigned n, room;
};

struct loop {
	/*
	 * [a] The posts, newest first. Pushed with release, taken with acquire:
	 * what a thread wrote before it posted is seen when the post runs. The
	 * list ends in NULL, or in &asleep: see loop.c.
	 */
	_Atomic(struct post *) posts;
	struct post asleep; /* [c] never runs; its address is a mark */
	int wake_fd;	    /* [c] an eventfd, non-blocking */

	/* [a] set by loop_own; orders nothing: each thread asks only whether it
	   has written its own name there */
	_Atomic pthread_t owner;

	const struct loop_backend *backend; /* [c] */

	/*
	 * [a] 0: lent out to whoever comes first, 1: held, 2: held, and the
	 * owner waits for it. The owner holds it but while it sleeps in the
	 * kernel. Taken with acquire, dropped with release: for who holds it
	 * all that follows is its own.
	 */
	_Atomic uint32_t turn;

	int held;	    /* loop_hold's, or -1 */
	bool touched;	    /* by a borrower: the owner must look again */
	uint64_t wakes_due; /* writes to wake_fd begun and not yet read */
	bool put_off;	    /* the last turn did not enter the kernel */
	struct list timers; /* by time */
	struct post *idle;  /* to be run instead of sleeping */
	unsigned busy;	    /* transfers begun and not ended */
	unsigned in_flight; /* those of them that were handed on */
	struct transfers {
		struct transfer *first, **end;
	} waiting, patient;    /* not handed on so far */
	unsigned n_patient;    /* of those handed on */
	unsigned patient_most; /* at a time; the backend's */
	struct watch wake;     /* of wake_fd */
	struct list gone;      /* watches that nothing refers to any more */

	/* loop_uring.c */
	struct io_uring ring;
	struct list unarmed; /* watches to be polled; armed ones are in no list */
	struct list leaving; /* watches whose poll is to be cancelled */

	/* loop_plain.c */
	struct workers *workers;
	struct list watches; /* but those LEAVING */
	unsigned n_watches;
	struct polls polls;  /* the owner's, who may be in ppoll(2) with it */
	struct polls bigger; /* to take its place before the next; or no room */
	bool stale;	     /* watches came or went since polls was filled */
	long found;	     /* by ppoll(2), and not yet run */
};

/* Around the owner's sleep, by the backends. */
void loop_lend(struct loop *loop);
void loop_retake(struct loop *loop);

/* Nothing refers to @watch, but for what enter has found and is not yet run. */
void loop_watch_gone(struct loop *loop, struct watch *watch);

/* May one that waits be handed on? */
bool loop_has_transfer(const struct loop *loop);

/* Take a waiting transfer from the front; NULL if none may be handed on. */
struct transfer *loop_next_transfer(struct loop *loop);

/* @transfer has its result. */
void loop_transfer_ended(struct loop *loop, struct transfer *transfer);

#endif
