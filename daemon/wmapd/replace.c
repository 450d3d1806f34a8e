/* SPDX-License-Identifier: MIT */
/*
 * wmapd --replace: the wmapd that listens somewhere makes room for a new one
 *
 * It ends between two turns of its loop, with a status that tells its keeper to
 * start what is at its path now, which takes over (takeover.c): clients notice a
 * pause. Here we wait until the new one answers.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "wmapd.h"

#define PATIENCE_S 10

/* One request on a connection of its own; its result, or a negative errno. */
static int ask(const struct sockaddr_un *address, socklen_t size, unsigned kind)
{
	const struct timeval patience = { .tv_sec = PATIENCE_S };
	struct wire_request request = {
		.magic = WIRE_MAGIC,
		.kind = (uint16_t)kind,
		.id = 1,
	};
	int fds[WIRE_FDS], n,
		fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	unsigned n_fds = WIRE_FDS;
	struct wire_reply reply;

	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	if (connect(fd, (const struct sockaddr *)address, size) != 0)
		n = -errno;
	else
		n = wire_send(fd, &request, sizeof(request), NULL, 0, NULL, 0,
			      0);
	if (!n)
		n = wire_receive(fd, &reply, sizeof(reply), NULL, 0, fds,
				 &n_fds, NULL, 0);
	close(fd);
	while (n_fds)
		close(fds[--n_fds]);
	if (n < 0)
		return n;
	return n < (int)sizeof(reply) ? -ECONNRESET : (int)reply.result;
}

static const char *why(int error)
{
	switch (error) {
	case -EOPNOTSUPP:
		return "it has no keeper that would start another one";
	case -EPERM:
		return "it is another user's";
	case -ENOENT:
	case -ECONNREFUSED:
		return "no wmapd listens there";
	default:
		return strerrordesc_np(-error);
	}
}

bool replace(const char *name)
{
	struct sockaddr_un address;
	socklen_t size = address_of(name, &address);
	int error = size ? ask(&address, size, WIRE_REPLACE) : -ENAMETOOLONG;

	/* Who connected to the old one and was not known to the keeper yet is
	   hung up on. */
	for (int i = 0; !error && i < 100; i++) {
		error = ask(&address, size, WIRE_HINTS);
		if (error != -ECONNRESET)
			break;
		error = 0;
	}
	if (error)
		say("%s: %s", name, why(error));
	return !error;
}
