/* SPDX-License-Identifier: MIT */
/*
 * A pager in another process, as its client sees it
 *
 * The same messages as for the thread, over sockets (wire.h): a call takes one
 * of the process's connections, or opens another, for as long as it takes. When
 * wmapd dies its connections live on in its keeper: a call waits until the
 * successor is there, which says so, and is then asked again.
 *
 * Any thread, and signal handlers too.
 */
#ifndef WMAP_REMOTE_H
#define WMAP_REMOTE_H

#include "internal.h"

struct message;
struct hints;

/*
 * Connect to the wmapd at @address ("@name": abstract; else a path), for this
 * process and its @uffd. *@hints: its shared memory. -ECONNREFUSED, -ENOENT:
 * none is there; -EPERM: it does not serve this user; -EPROTO: of another
 * version.
 */
int remote_start(const char *address, int uffd, const struct hints **hints);

/* The shared memory alone, for a process that is no client, and no error of whose
   is an error. */
int remote_hints(const char *address, const struct hints **hints);

/* Close all connections: for wmapd the process is gone. */
void remote_stop(void);

/* The lowest descriptor of ours from @from on, or INT_MAX. */
int remote_fd(int from);

/* Leave the number @fd, which is about to be another's. */
void remote_fd_yield(int fd);

/* As client_call; -ENOTCONN: wmapd is gone, and nobody brings it back. */
int remote_call(struct message *message);

/* ---- For the guard ----------------------------------------------------------- */

/* Another connection, of nobody yet. -ECONNREFUSED, -ENOENT: nobody listens. */
int remote_connect(void);

/* What this process is known by there; and where that is, as a text. */
void remote_token(uint64_t to[2]);
char *remote_address(void);

/* Have the guard's connection hung up. */
void remote_unguard(void);

/* ---- Moving out: moveout.c has the plan ------------------------------------- */

struct mapping;

/* Connect for a process whose pager moves in there; after remote_attach, whose
   answer decides, it is as after remote_start. Till then remote_stop undoes it. */
int remote_move_in(const char *address);
int remote_adopt_object(uint64_t number, const int *fds, unsigned n_fds);
int remote_adopt_mapping(const struct mapping *mapping, uint64_t object,
			 int touched);
int remote_adopt_pin(uint64_t start, uint64_t length);
int remote_attach(int uffd, const struct hints **hints);

/* ---- Fork: fork.c has the plan --------------------------------------------- */

/*
 * Ask for a child to be. @wait: till that is answered; else it may be while the
 * kernel forks. 0, or a negative errno: the child inherits nothing.
 */
int remote_before_fork(bool wait);

/* The answer, if it was not waited for. */
int remote_in_parent(void);

/* The child's connection becomes the only one; -errno: there is none. */
int remote_in_child(void);

/* What the child inherits, piece by piece, ascending. The memfd (-1: none) is closed
   afterwards. @hold: hung up on, the guard has to be started, and nothing is placed
   from @from on. */
struct wire_piece;
int remote_inherited(int (*place)(const struct wire_piece *piece, int memfd),
		     void (*hold)(uint64_t from));

/* From now on @uffd's faults are heard. Nothing is waited for. */
int remote_attach_child(int uffd);

/* Of a child that ran no handlers: nothing is its own. */
void remote_forget(void);

#endif
