/* SPDX-License-Identifier: MIT */
/*
 * Elsewhere: what may wait for the server of a file system, off the pager's thread
 *
 * The server of a file is anybody: a process (FUSE), another machine (NFS). One
 * that does not answer holds up whoever opens the file, asks what file system it
 * is in, or closes it. So each server has a thread for each user, while there is
 * something to do there, one thing after the other: it holds up those alone who
 * have brought it.
 *
 * A disk or memory answers: what is asked of those is asked on the spot.
 */
#ifndef WMAP_ELSEWHERE_H
#define WMAP_ELSEWHERE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "loop.h"

struct elsewhere {
	struct post post;
	/* On a thread. @work may be freed, and its post posted, from here on. */
	void (*run)(struct elsewhere *work);
	/* elsewhere.c's own */
	struct lane *lane;
	uint64_t server; /* of what is to be closed */
	int fd;
};

/* From here on; before, all is done on the spot. A process that it is not for
   would have threads that it knows nothing of. */
void elsewhere_open(void);
bool elsewhere_is_open(void);

/* What a file is, as the kernel knows it: its server is not asked. 0 or a negative
   errno; type, number, length and device of *@stat are filled in. */
int elsewhere_stat(int fd, struct stat *stat);

/* Whom the file waits for, for elsewhere_run; 0: nobody. */
uint64_t elsewhere_server(int fd);

/*
 * Have @work run by @whom's thread of a @server: the user that it is for. Each has
 * so many servers at a time, and for each so much work, that others are served.
 * -EAGAIN: that is reached, or there are no threads.
 */
int elsewhere_run(struct elsewhere *work, uint64_t server, uid_t whom);

/* Close it, at once or some time. @whom: who brought it. */
#define ELSEWHERE_NOBODY ((uid_t)-1)
void elsewhere_close(int fd, uid_t whom);

/* How much a user has brought that is not done, nor closed. */
unsigned elsewhere_waiting(uid_t whom);

#endif
