/* SPDX-License-Identifier: MIT */
/*
 * The descriptors that a keeper holds
 *
 * All must fit into one wmapd: into the limit of descriptors, with some room
 * for its own, and their names into one string of its environment, of which the
 * kernel takes 128 KiB at most. What does not is refused when it comes, not
 * when wmapd has died.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "elsewhere.h"
#include "kept.h"

#define NAMES_MAX (128 * 1024 - sizeof("LISTEN_FDNAMES="))
#define ROOM	  64 /* descriptors that are not stored ones */

int kept_above_standard(int fd)
{
	int above = fd;

	if (fd >= 0 && fd <= 2) {
		above = fcntl(fd, F_DUPFD_CLOEXEC, 3);
		close(fd);
	}
	return above;
}

static bool fits(const struct kept *kept, size_t length)
{
	struct rlimit limit;

	if (kept->names + length + 1 > NAMES_MAX)
		return false;
	return getrlimit(RLIMIT_NOFILE, &limit) == 0 &&
	       kept->n + ROOM < limit.rlim_cur;
}

static bool make_room(struct kept *kept)
{
	size_t room = kept->room ? 2 * kept->room : 16;
	struct kept_fd *fds;

	if (kept->n < kept->room)
		return true;
	fds = realloc(kept->fds, room * sizeof(*fds));
	if (!fds)
		return false;
	kept->fds = fds;
	kept->room = room;
	return true;
}

bool kept_add(struct kept *kept, const char *name, int fd)
{
	char *copy = NULL;

	errno = ENOSPC;
	if (fits(kept, strlen(name)) && make_room(kept))
		copy = strdup(name);
	if (!copy) {
		int error = errno;

		elsewhere_close(fd, ELSEWHERE_NOBODY);
		errno = error;
		return false;
	}
	kept->fds[kept->n++] = (struct kept_fd){ .name = copy, .fd = fd };
	kept->names += strlen(name) + 1;
	return true;
}

void kept_remove_at(struct kept *kept, size_t i)
{
	struct kept_fd *gone = &kept->fds[i];

	kept->names -= strlen(gone->name) + 1;
	free(gone->name);
	elsewhere_close(gone->fd, ELSEWHERE_NOBODY);
	kept->n--;
	memmove(gone, gone + 1, (kept->n - i) * sizeof(*gone));
}

void kept_remove(struct kept *kept, const char *name)
{
	size_t i;

	for (i = kept->n; i-- > 0;)
		if (!strcmp(kept->fds[i].name, name))
			kept_remove_at(kept, i);
}

void kept_free(struct kept *kept)
{
	while (kept->n)
		kept_remove_at(kept, kept->n - 1);
	free(kept->fds);
	*kept = (struct kept){ 0 };
}

char *kept_names(const struct kept *kept)
{
	char *names = malloc(kept->names + 1), *to = names;
	size_t i;

	if (!names)
		return NULL;
	for (i = 0; i < kept->n; i++) {
		if (i)
			*to++ = ':';
		to = stpcpy(to, kept->fds[i].name);
	}
	*to = '\0';
	return names;
}
