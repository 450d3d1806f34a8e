/* SPDX-License-Identifier: MIT */
/* The descriptors that a keeper holds, by name, in the order of their coming */
#ifndef WMAP_KEPT_H
#define WMAP_KEPT_H

#include <stdbool.h>
#include <stddef.h>

struct kept_fd {
	char *name; /* malloc'd */
	int fd;	    /* owned; above 2 */
};

struct kept {
	struct kept_fd *fds;
	size_t n, room;
	size_t names; /* bytes of all names, each with its colon */
};

/* The same descriptor by a number above 2, or -1, errno; @fd is gone. */
int kept_above_standard(int fd);

/* Takes over @fd, above 2, in any case. False, errno: it has been closed. */
bool kept_add(struct kept *kept, const char *name, int fd);

void kept_remove(struct kept *kept, const char *name);
void kept_remove_at(struct kept *kept, size_t i);
void kept_free(struct kept *kept);

/* "listen:a:b", malloc'd; or NULL, errno. */
char *kept_names(const struct kept *kept);

#endif
