/* SPDX-License-Identifier: MIT */
/*
 * The loop: everything that a pager waits for, in one place
 *
 * One thread, the owner, calls loop_turn again and again; it sleeps in a single
 * io_uring_enter until something is there:
 *
 *   post      a function to run, sent by any thread (or by the owner itself, to
 *             have it run later rather than deeper in the stack)
 *   timer     a function to run at a time
 *   watch     a descriptor that became readable, or was hung up; any number
 *   transfer  a read, write or fdatasync of a file that has ended
 *
 * Without io_uring (switched off, or forbidden) watches are polled and
 * transfers are done by a few threads with pread and pwrite: slower, the same
 * otherwise.
 *
 * Posts, timers, watches and transfers are embedded in what they serve; once
 * opened, the loop allocates only the array that ppoll(2) wants of the watches.
 * A post in the queue must not be posted again.
 *
 * Who takes a watch away hears when nothing refers to it any more:
 *
 *   nobody's -> WATCHED    loop_watch()
 *   WATCHED -> LEAVING     loop_unwatch(): run is called no more
 *   LEAVING -> nobody's    in a turn of the owner, once the kernel has let go
 *                          of the descriptor: gone is called
 */
#ifndef WMAP_LOOP_H
#define WMAP_LOOP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "list.h"

struct loop;

struct post {
	struct post *next;
	void (*run)(struct post *post);
};

struct timer {
	struct list link;
	uint64_t at; /* CLOCK_MONOTONIC, ns */
	void (*run)(struct timer *timer);
};

struct watch {
	int fd; /* non-blocking; open until gone */
	/*
	 * Must read until a read gives less than was asked for; may be called
	 * for nothing. A descriptor that is hung up, or has an error, is
	 * readable: the read says what it is. It should then be taken away, as
	 * ppoll(2) reports it at every turn; io_uring once, with two calls, so
	 * that a short read before the end does not hide the end.
	 */
	void (*run)(struct watch *watch);
	/* the loop's own */
	void (*gone)(struct watch *watch); /* LEAVING, if not NULL */
	struct list link;
	bool armed, cancelling; /* the ring's completions that are due */
};

enum transfer_operation { TRANSFER_READ, TRANSFER_WRITE, TRANSFER_FLUSH };

struct transfer {
	enum transfer_operation operation;
	bool patient; /* the file's server may be silent: others are begun though
			 many of these have not ended */
	int fd;
	void *buffer;
	size_t length;
	uint64_t offset;
	int64_t result; /* bytes, or a negative errno */
	void (*done)(struct transfer *transfer);
	/* the loop's own */
	struct loop *loop;
	struct transfer *next;
	struct post post;
};

/* Set up for the calling thread to own after loop_own. *@uring says whether
   io_uring is wanted, and then whether it is used. */
int loop_create(struct loop **loop, bool *uring);

/* No transfer is under way, and the owner has ended or is the caller. Posts
   and gones that have not run never will; watches end with it. */
void loop_destroy(struct loop *loop);

/* In a fork's child: close the descriptors of a loop that the parent owns. Its
   memory stays, and must not be used any more. */
void loop_child(struct loop *loop);

/* The calling thread becomes the owner; before its first turn. */
int loop_own(struct loop *loop);
bool loop_is_owner(const struct loop *loop);

/* Any thread; a signal handler too. */
void loop_post(struct loop *loop, struct post *post);

/* The owner only, from here on; before there is one, the creator. */

/* Once: what @fd is, which is taken over on success, stays open until all transfers
   have ended, though the process may have been killed long before. */
int loop_hold(struct loop *loop, int fd);

/* 0; or -ENOMEM, and it is not watched (never with io_uring). What @fd has
   already is heard, too. */
int loop_watch(struct loop *loop, struct watch *watch);

/*
 * From here on run is not called. @gone is, once, by the owner, in a turn and
 * never from in here; it may free @watch and close its descriptor, which both
 * stay until then. For a watch that is watched; in its run and others' as well.
 */
void loop_unwatch(struct loop *loop, struct watch *watch,
		  void (*gone)(struct watch *watch));

void loop_transfer(struct loop *loop, struct transfer *transfer);
void timer_init(struct timer *timer, void (*run)(struct timer *timer));
void loop_timer_start(struct loop *loop, struct timer *timer, uint64_t at);
void loop_timer_stop(struct timer *timer); /* also if it is not running */

/* Run once, when all transfers have been begun and all that was there has been
   answered, instead of sleeping. Not posted otherwise; the owner only. */
void loop_idle(struct loop *loop, struct post *post);

/*
 * While the owner sleeps, another thread may stand in for it, which spares two
 * wake-ups of other CPUs: from loop_borrow (false: the owner is awake, or
 * somebody else is quicker) to loop_return it may do what the owner may, but for
 * loop_turn. It has all signals blocked, waits for nothing, and touches no
 * memory that the owner may have to bring: an owner that is woken waits for it.
 */
bool loop_borrow(struct loop *loop);
void loop_return(struct loop *loop);

/* Transfers begun and not ended. */
unsigned loop_busy(const struct loop *loop);

/* Wait until something is there, and run all that is. Posts run first. */
void loop_turn(struct loop *loop);

uint64_t time_now(void);

#endif
