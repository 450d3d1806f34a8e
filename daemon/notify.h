/* SPDX-License-Identifier: MIT */
/*
 * wmapd's word with its keeper: what systemd calls sd_notify and FDSTORE
 *
 * Without $NOTIFY_SOCKET nobody listens and each call does nothing and returns
 * 0. A call sends one datagram and waits a second for it at most. All return 0
 * or a negative errno. For one thread.
 */
#ifndef WMAP_NOTIFY_H
#define WMAP_NOTIFY_H

#include <stdbool.h>

#define NOTIFY_NAME_MAX 255

/* Can it name a stored descriptor? 1 to 255 printable characters, no colon. */
bool notify_name_valid(const char *name);

/* Read $NOTIFY_SOCKET and unset it. -EINVAL: it is no address. */
int notify_open(void);
void notify_close(void);

/* Is there somebody who keeps what is stored? */
bool notify_is_heard(void);

int notify_ready(void);
int notify_status(const char *format, ...)
	__attribute__((format(printf, 1, 2)));

/*
 * Give the keeper a duplicate of @fd: it comes back in the next wmapd, after
 * those that were stored before it. The caller keeps @fd. Names may repeat.
 */
int notify_store(const char *name, int fd);

/* Let the keeper close all that it holds under @name. */
int notify_remove(const char *name);

/*
 * Call @take for each descriptor that this process was started with, in order
 * ($LISTEN_FDS, $LISTEN_PID, $LISTEN_FDNAMES, which are unset). They are
 * close-on-exec and @take's to close. Returns how many there were; -EINVAL,
 * -EBADF: the environment makes no sense, none was taken, and the log tells.
 */
int notify_received(void (*take)(void *context, const char *name, int fd),
		    void *context);

#endif
