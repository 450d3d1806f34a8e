/* SPDX-License-Identifier: MIT */
/*
 * Swapping out another process's private anonymous memory: what wmapd does, and
 * what it has the process's agent do, as nobody else can (lib/guard.h)
 *
 *            wmapd                             agent
 *   QUEUED   a run is protected, its pages
 *            are LEAVING
 *   COPYING  LEAVE(n), memory to copy to  ──►  keeps the mapping out of raw clones;
 *                                              copies what is there
 *   WRITING  it is written to swap, and   ◄──  LEFT(n), how many
 *            has slots
 *   WRITTEN  no fork is under way
 *   TAKING   TAKE(n)                      ──►  MADV_DONTNEED
 *   ABSENT   who waits is woken           ◄──  TAKEN(n)
 *
 * Several runs are copied, or taken, at a time; one question is under way. What is missing
 * in the process is always zeros or where its slot says (slots.h); what is there is
 * right, whatever a slot says. So whoever of them dies, nothing is lost:
 *
 *   a store to a page that is protected
 *            before TAKE: it stays. From TAKE to TAKEN: it waits, as the page may
 *            go at any moment
 *   a call that drops, moves, cuts, unmaps
 *            before TAKE: what leaves stays. From TAKE to TAKEN: it waits; or
 *            TAKE could drop what is stored there afterwards
 *   a fork   before TAKE: what leaves stays. From TAKE on the child has the slot,
 *            too, and the page or not. From FORK until the child is there nothing
 *            is taken: what was there when its books were copied would be missing
 *            where they have no slot
 *   wmapd is killed
 *            a page is there, protected or not, or has a slot. A TAKE may be on
 *            its way: who touches that memory, or calls, waits until the agent
 *            has said GUARD (in doubt), as it does one thing after the other
 *   the agent says TAKEN and has not done it, or it cannot be done
 *            the page is there, and right
 *   it is late, or gone
 *            before TAKE: what leaves stays, and nothing more is taken until it
 *            answers. From TAKE on: its own process waits
 *   it copies other bytes than it should
 *            they are its own process's
 *   swap is full, or broken
 *            what leaves stays; the budget is exceeded rather than a page lost
 *   swap is lost with its successor's slots
 *            SIGBUS for what is missing, never zeros
 *
 * What is used is not known but by stores to what is protected: the oldest goes.
 */
#ifndef WMAP_SWAPAWAY_H
#define WMAP_SWAPAWAY_H

#include "internal.h"
#include "list.h"
#include "loop.h"

struct fault;
struct leaving;
struct mapping;
struct object;
struct pager;
struct space;
struct wire_range;

#define AWAY_RANGES 64 /* of one question, at most */

/* Of a space. */
struct away {
	struct list runs;  /* leaving.link, oldest first, but for: */
	unsigned n;	   /* all, with those that are being written */
	bool asked;	   /* its agent, who has not answered */
	bool late;	   /* for long */
	bool in_doubt;	   /* a predecessor may have had pages dropped */
	bool unknown;	   /* what is in memory is to be looked up: */
	uint64_t looked;   /* up to there */
	unsigned forks;	   /* whose child is not there yet */
	unsigned failed;   /* questions in a row, to no avail */
	uint64_t retry;	   /* until then nothing is taken, */
	uint64_t pause;	   /* which was so long (ns) */
	struct timer look; /* on, for what is unknown */
	const struct away_agent *agent; /* or NULL */
};

/* What it is asked; it answers each question once. */
struct away_agent {
	/* Copy pages out: of each pair the first range, of a mapping that is the
	   second one. swapaway_left. */
	void (*leave)(struct space *space, const struct wire_range *ranges,
		      unsigned n);
	/* Drop pages: swapaway_taken. */
	void (*take)(struct space *space, const struct wire_range *ranges,
		     unsigned n);
};

void swapaway_init(struct pager *pager);
void swapaway_open(struct space *space);

/* Can private memory of another process leave? Of wmapd's clients. */
bool swapaway_is(const struct object *object);

/* As swapout_take, but pages are on their way only. */
uint64_t swapaway_take(struct object *object, struct mapping *mapping,
		       uint64_t first, uint64_t count);

/* @pages from the first on are in @memfd, one behind the other; bit i: of range i
   not all could be dropped. */
void swapaway_left(struct space *space, int memfd, uint64_t pages);
void swapaway_taken(struct space *space, uint64_t failed);

/* It has not answered for long; it will. */
void swapaway_late(struct space *space);

/* An agent is there, and all that it was told before is done; or it is gone. */
void swapaway_begin(struct space *space, const struct away_agent *agent);
void swapaway_end(struct space *space);

/* After a takeover: what of it is in memory, and what else it has touched, by the
   page map. */
void swapaway_look(struct space *space);

/* A fork begins, and then its child is there, or will not be. */
void swapaway_fork(struct space *space);
void swapaway_forked(struct space *space);

/* Must faults and calls wait for the agent? */
bool swapaway_in_doubt(const struct mapping *mapping);
bool swapaway_must_wait(const struct object *object);

/* A fault at a page that is LEAVING, in that run. */
void swapaway_rescue(struct leaving *leaving, uint64_t index,
		     const struct fault *fault);

/* All that is LEAVING stays; -EAGAIN: some of it may go at any moment. */
int swapaway_return(struct object *object);

/* Pages [first, end) of a run are needed no more. */
void swapaway_forget(struct leaving *leaving, uint64_t first, uint64_t end);

/* ---- Between its files ----------------------------------------------------------- */

/* Ask what there is to ask; of all spaces. */
void swapaway_pump(struct space *space);
void swapaway_pump_all(struct timer *timer);

/* What is being taken has gone, but for these ranges. */
void swapaway_taken_all(struct space *space, uint64_t failed);

void swapaway_look_on(struct timer *timer);

#endif
