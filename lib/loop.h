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
 *   watch     a descriptor that became readable
 *   transfer  a read, write or fdatasync of a file that has ended
 *
 * Without io_uring (switched off, or forbidden) watches are polled and
 * transfers are done by a few threads with pread and pwrite: slower, the same
 * otherwise.
 *
 * Posts, timers, watches and transfers are embedded in what they serve; the
 * loop allocates nothing after it was opened. A post in the queue must not be
 * posted again.
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
	int fd; /* non-blocking */
	/* Must read until a read gives less than was asked for; may be called
	   for nothing. */
	void (*run)(struct watch *watch);
	bool armed; /* the loop's own */
};

enum transfer_operation { TRANSFER_READ, TRANSFER_WRITE, TRANSFER_FLUSH };

struct transfer {
	enum transfer_operation operation;
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
   that have not run never will. */
void loop_destroy(struct loop *loop);

/* In a fork's child: close the descriptors of a loop that the parent owns. Its
   memory stays, and must not be used any more. */
void loop_child(struct loop *loop);

/* The calling thread becomes the owner; before its first turn. */
int loop_own(struct loop *loop);
bool loop_is_owner(const struct loop *loop);

/* Any thread; a signal handler too. */
void loop_post(struct loop *loop, struct post *post);

/* The owner only, from here on. */
void loop_watch(struct loop *loop, struct watch *watch);
void loop_transfer(struct loop *loop, struct transfer *transfer);
void timer_init(struct timer *timer, void (*run)(struct timer *timer));
void loop_timer_start(struct loop *loop, struct timer *timer, uint64_t at);
void loop_timer_stop(struct timer *timer); /* also if it is not running */

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
