/* SPDX-License-Identifier: MIT */
/*
 * Which wmapds there are, and what they tell
 *
 * Of $WMAP_SOCKET, of the user ($XDG_RUNTIME_DIR/wmap.sock), of the system
 * (/run/wmap.sock), and those of wmap run, whose abstract addresses begin alike
 * and stand in /proc/net/unix. Who does not answer is left out; what fails
 * otherwise has been said.
 */
#ifndef WMAP_WMAPDS_H
#define WMAP_WMAPDS_H

#include <stdbool.h>
#include <sys/types.h>
#include <sys/un.h>

#include "wire.h"

struct told_process {
	struct wire_space space;
	struct wmap_mapping_info *infos; /* if they were asked for */
	size_t n;
	char command[64]; /* "?" if it has none */
};

struct told_wmapd {
	char address[sizeof(struct sockaddr_un)];
	pid_t pid;
	struct told_process *processes;
	size_t n;
};

struct told {
	struct told_wmapd *wmapds;
	size_t n;
};

struct question {
	const char *socket; /* this wmapd alone, or NULL: all */
	pid_t pid;	    /* this process alone, or 0 */
	bool mappings;
};

/* False: no wmapd, no such process, or not for this user; it was said, unless
   @quiet. */
bool wmapds_ask(const struct question *question, bool quiet, struct told *told);
void wmapds_free(struct told *told);

#endif
