/* SPDX-License-Identifier: MIT */
/*
 * Questions to a wmapd: whom it serves, and what they have mapped
 *
 * An answer takes ASK_SECONDS at most. All return 0 or a negative errno:
 * -ECONNREFUSED, -ENOENT: none listens there; -EPERM: it is another user's, or
 * what was asked about is; -ETIMEDOUT; -EPROTO: it is no wmapd of this version.
 */
#ifndef WMAP_ASK_H
#define WMAP_ASK_H

#include <sys/types.h>

#include "wire.h"

#define ASK_SECONDS 3

struct asked {
	int fd;
	uint64_t id;
	pid_t pid; /* wmapd's, once it has answered */
};

/* @address: "@abstract" or a path. Only one of this user, or root, is believed;
   root believes all. */
int ask_open(struct asked *asked, const char *address);
void ask_close(struct asked *asked);

/* All processes that may be seen, or those with this @pid; malloc'd. */
int ask_spaces(struct asked *asked, pid_t pid, struct wire_space **spaces,
	       size_t *n);

/* All mappings of one of them; malloc'd. -ESRCH: it is gone. */
int ask_mappings(struct asked *asked, uint64_t number,
		 struct wmap_mapping_info **infos, size_t *n);

#endif
