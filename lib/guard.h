/* SPDX-License-Identifier: MIT */
/*
 * The guard: a thread that holds what this process shows, for when wmapd is gone
 *
 * While a keeper (or systemd) lives, a killed wmapd has a successor that has it
 * all, and clients do nothing. When both are dead the connections are hung up.
 * Then each client's guard finds another wmapd at the same address, or starts one
 * there, and hands over what it has been given: the uffd, the memory and files
 * of what is mapped, and the records of what is mapped where (the ledger's mirror).
 * daemon/wmapd/rescue.c takes it; every sleeper is woken, and calls go on.
 *
 *   NONE     -> STARTING   guard_start(), guard_start_late()
 *   STARTING -> GUARDING   wmapd gives it KEEP and DROP (wire.h) from now on
 *   GUARDING -> ORPHANED   hung up: nobody has the other end any more
 *   ORPHANED -> GUARDING   handed over: calls that wait are asked again
 *   ORPHANED -> LOST       it cannot be: what is not in memory is SIGBUS from now
 *                          on, and calls are -ENOTCONN; or WMAP_ORPHAN=sigbus
 *   ORPHANED               and stays so: WMAP_ORPHAN=freeze
 *   any      -> NONE       guard_stop(), guard_child()
 *   STARTING -> NONE       it may not have any of that (another user's process, or
 *                          one that has become another user's)
 *
 * It is also wmapd's agent: it does in this process what wmapd asks (HIDE, GROW,
 * LEAVE, TAKE), and can only be done here (daemon/wmapd/agent.c, growth.h,
 * swapaway.h).
 *
 * Its descriptors are in a table of their own, where the program neither sees nor
 * closes them; a lock of the program's on a file does not go with them. They count
 * against the same limit (RLIMIT_NOFILE), but not together with the program's:
 * what is above it is not kept.
 *
 * It has its signals blocked, touches no memory that is paged, and takes no lock
 * of the program's.
 */
#ifndef WMAP_GUARD_H
#define WMAP_GUARD_H

#include "internal.h"

/*
 * This process has just become wmapd's client. Without a thread for it (the log
 * tells) the process waits for ever if wmapd and its keeper die. It has all that
 * is shown from now on.
 */
void guard_start(void);

/* This is a fork's child, of a process that has one. Many end or exec at once: it
   takes a moment until it has anything. Nothing, if it is there already. */
void guard_start_late(void);

/* It is there, or will not be, when this returns. */
void guard_await(void);

/* Before the client hangs up. */
void guard_stop(void);

/* In a fork's child, which has not inherited the thread. */
void guard_child(void);

/* Is plain memory, of which some has left, kept out of forks that run no handlers?
   In a child, too. */
bool guard_keeps_plain(void);

/* How often another wmapd was found. */
uint32_t guard_round(void);

/* Is another wmapd being looked for? */
bool guard_searches(void);

/* A connection is hung up: wait for another wmapd than that of @round. False:
   there is none, nor will be. */
bool guard_wait(uint32_t round);

#endif
