/* SPDX-License-Identifier: MIT */
/* Starting a wmapd, with its descriptors */
#ifndef WMAP_SPAWN_H
#define WMAP_SPAWN_H

#include <stdbool.h>
#include <sys/types.h>

#include "kept.h"

struct spawn {
	const char *path;   /* of wmapd, absolute */
	const char *option; /* beside the others, or NULL */
	char *const *more;  /* its own options instead of --private, or NULL */
	const char *notify; /* $NOTIFY_SOCKET */
	bool quiet;	    /* its standard error is /dev/null, too */
};

/* Told by wait(2) where the file could not be executed. */
#define SPAWN_NOT_EXECUTED 126

/*
 * Start it with @kept, as 3 and following. It is a child of this thread and
 * gets SIGTERM when that dies. Its pid and *@pidfd (above 2); or -1, errno.
 */
pid_t spawn_wmapd(const struct spawn *spawn, struct kept *kept, int *pidfd);

#endif
