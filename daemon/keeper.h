/* SPDX-License-Identifier: MIT */
/*
 * A keeper: has wmapd running, and what must outlive it
 *
 * keeper_create, keeper_start, then keeper_handle whenever one of keeper_poll's
 * is ready, keeper_end, keeper_destroy. What fails has said why. For one
 * thread, and always the same: wmapd is told to end when that thread dies.
 */
#ifndef WMAP_KEEPER_H
#define WMAP_KEEPER_H

#include <poll.h>
#include <stdbool.h>

struct keeper;

/*
 * Bind the sockets, raise the limit of descriptors; no wmapd yet. @wmapd: its
 * path, absolute, the caller's, constant. @name: where clients connect:
 * "@abstract", an absolute path, or NULL for an abstract one that nobody has.
 * @quiet: wmapd has no standard error. $WMAP_ORPHAN is read here. NULL: it
 * failed.
 */
struct keeper *keeper_create(const char *wmapd, const char *name, bool quiet);

/* Where clients connect, as $WMAP_SOCKET has it. */
const char *keeper_address(const struct keeper *keeper);

/* It is started with these options instead of --private; constant. */
void keeper_set_options(struct keeper *keeper, char *const *options);

/* wmapd, and each after it, gets this descriptor by that name; taken over. */
bool keeper_give(struct keeper *keeper, const char *name, int fd);

/* The first wmapd is told that guards will come (lib/guard.h). */
void keeper_expect_guards(struct keeper *keeper);

/* Start wmapd. SIGCHLD must not be ignored. False: it could not be forked. */
bool keeper_start(struct keeper *keeper);

#define KEEPER_FDS 2

/* What to wait for, without limit: sets KEEPER_FDS entries. */
void keeper_poll(const struct keeper *keeper, struct pollfd *fds);

/* Do what there is to do; does not wait. */
void keeper_handle(struct keeper *keeper);

/* Has wmapd said that it is ready, now or an earlier one? */
bool keeper_was_ready(const struct keeper *keeper);

/* Nothing is kept any more: all is at its end, or the keeper has given up. */
bool keeper_is_over(const struct keeper *keeper);

/* From now on wmapd ends when it has no client left, and all with it. */
void keeper_end(struct keeper *keeper);

/* Go on until all is over, @timeout milliseconds at most; -1: without limit. */
void keeper_wait(struct keeper *keeper, int timeout);

/*
 * Be in the background: no terminal, no standard descriptors, no descriptor but
 * the keeper's and @fd (or -1), no name that somebody kills wmapd by.
 */
void keeper_detach(struct keeper *keeper, int fd);

/*
 * A child of this process goes on until all is over; here the keeper is gone.
 * False: it could not be forked, and the keeper is still here.
 */
bool keeper_continue_apart(struct keeper *keeper);

/* In a child that is to become something else: the limits as they were. */
void keeper_forget(const struct keeper *keeper);

/* It is another process's by now: let go of it here. */
void keeper_leave(struct keeper *keeper);

/* NULL is allowed. */
void keeper_destroy(struct keeper *keeper);

#endif
