/* SPDX-License-Identifier: MIT */
/*
 * A lock between the pager and the program's threads
 *
 * Who holds it is interrupted by no signal handler, which might touch a missing
 * page: the pager, which needs the lock, would wait for the handler, and the
 * handler for the pager. It is held for a few instructions, without a system
 * call that waits. All zeros is a free lock.
 */
#ifndef WMAP_LOCK_H
#define WMAP_LOCK_H

#include <stdbool.h>
#include <stdint.h>

struct lock {
	_Atomic uint32_t word; /* 0: free, 1: held, 2: held and slept on */
	uint64_t signals;      /* [l: word] the holder's mask */
};

/* Acquires what lock_drop released. */
void lock_take(struct lock *lock);
void lock_drop(struct lock *lock);

/* This thread has its signals blocked for good: locks need not do it. */
void lock_signals_are_blocked(void);

/* All signals of this thread are blocked, until they are restored: locks that
   it takes meanwhile need not do it. May be nested. */
void lock_signals_block(uint64_t *before);
void lock_signals_restore(uint64_t before);

/* For who waits for another process meanwhile, every so often: a pending SIGHUP,
   SIGINT, SIGQUIT or SIGTERM that the program neither handles, ignores nor blocks
   ends it now, as SIGKILL would. */
void lock_signals_let_end(void);
#define LOCK_LOOK_NS 200000000 /* how often */

#endif
