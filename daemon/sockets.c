/* SPDX-License-Identifier: MIT */
/*
 * The keeper's two sockets: where clients connect, and where wmapd sends word
 *
 * Both are close-on-exec, never wait, and have numbers above 2.
 */
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "kept.h"
#include "sockets.h"

#define BACKLOG 4096 /* clients that connect while wmapd is away */

struct address {
	struct sockaddr_un un;
	socklen_t length;
};

/* Only the family: the kernel finds an abstract one. */
static const struct address any = {
	.un.sun_family = AF_UNIX,
	.length = sizeof(sa_family_t),
};

static void write_name(const struct address *address, struct socket_name *name)
{
	size_t length =
		address->length - offsetof(struct sockaddr_un, sun_path);

	memcpy(name->text, address->un.sun_path, length);
	name->text[length] = '\0';
	if (!*name->text)
		*name->text = '@';
}

static bool read_name(const char *name, struct address *address)
{
	size_t length = strlen(name);

	errno = ENAMETOOLONG;
	if (length >= sizeof(address->un.sun_path))
		return false;
	errno = EINVAL;
	if (length < 2 || (*name != '@' && *name != '/'))
		return false;
	memcpy(address->un.sun_path, name, length);
	address->length =
		(socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
	if (*name == '@')
		address->un.sun_path[0] = '\0';
	return true;
}

static int close_for(int fd)
{
	int error = errno;

	close(fd);
	errno = error;
	return -1;
}

/* @address becomes what it is bound to. */
static int bind_new(int type, struct address *address)
{
	struct sockaddr *un = (struct sockaddr *)&address->un;
	bool found = address->length == sizeof(sa_family_t);
	int fd = kept_above_standard(
		socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));

	if (fd < 0)
		return -1;
	if (bind(fd, un, address->length) != 0)
		return close_for(fd);
	if (found) {
		address->length = sizeof(address->un);
		if (getsockname(fd, un, &address->length) != 0)
			return close_for(fd);
	}
	return fd;
}

static bool is_stale(const struct address *address)
{
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	bool stale = fd >= 0 &&
		     connect(fd, (const struct sockaddr *)&address->un,
			     address->length) != 0 &&
		     errno == ECONNREFUSED;

	if (fd >= 0)
		close(fd);
	return stale;
}

/* A lock that all have who make a name in the directory of @path anew; or -1. */
static int lock_directory(const char *path)
{
	char directory[sizeof(((struct address *)0)->un.sun_path)];
	int fd;

	snprintf(directory, sizeof(directory), "%.*s",
		 (int)(strrchr(path, '/') - path) + 1, path);
	fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd >= 0 && flock(fd, LOCK_EX) != 0)
		return close_for(fd);
	return fd;
}

static int bind_listening(struct address *address)
{
	int fd = bind_new(SOCK_SEQPACKET, address);

	return fd < 0 || listen(fd, BACKLOG) == 0 ? fd : close_for(fd);
}

/*
 * Nobody listens any more at a name that somebody has left behind: then it is
 * bound anew. Of several that see so one is first, and the others must not take
 * that for what was left: so they bind, listen and look one at a time.
 */
static int listen_at_path(const char *name, struct address *address)
{
	int lock = lock_directory(name), fd = bind_listening(address);

	if (fd < 0 && errno == EADDRINUSE && lock >= 0 && is_stale(address)) {
		unlink(name);
		fd = bind_listening(address);
	}
	if (lock >= 0)
		close_for(lock);
	return fd;
}

/* For wmap ps to find among all: "@wmap-", and what nobody else has. */
static bool make_name(struct socket_name *name)
{
	uint64_t number;

	if (getrandom(&number, sizeof(number), 0) != sizeof(number))
		return false;
	snprintf(name->text, sizeof(name->text), SOCKETS_PRIVATE "%u-%016llx",
		 (unsigned)geteuid(), (unsigned long long)number);
	return true;
}

int sockets_listen(const char *name, struct socket_name *bound)
{
	struct socket_name made;
	struct address address = any;
	int fd;

	if (!name && !make_name(&made))
		return -1;
	if (!read_name(name ? name : made.text, &address))
		return -1;
	fd = name && *name == '/' ? listen_at_path(name, &address) :
				    bind_listening(&address);
	if (fd >= 0)
		write_name(&address, bound);
	return fd;
}

int sockets_notify(struct socket_name *bound)
{
	struct address address = any;
	const int yes = 1;
	int fd = bind_new(SOCK_DGRAM, &address);

	if (fd < 0)
		return -1;
	write_name(&address, bound);
	if (setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &yes, sizeof(yes)) != 0)
		return close_for(fd);
	return fd;
}

/* ---- Datagrams - ------------------------------------------------------ */

union control {
	struct cmsghdr header;
	char space[CMSG_SPACE(sizeof(struct ucred)) + CMSG_SPACE(sizeof(int))];
};

/* The one descriptor that came with it, or -1; more than one are closed. */
static int take_fd(const struct cmsghdr *rights)
{
	size_t n = (rights->cmsg_len - CMSG_LEN(0)) / sizeof(int), i;
	int fd = -1;

	for (i = 0; i < n; i++) {
		memcpy(&fd, CMSG_DATA(rights) + i * sizeof(int), sizeof(fd));
		if (n > 1)
			close(fd);
	}
	return n == 1 ? fd : -1;
}

static void read_control(struct msghdr *message, struct datagram *datagram)
{
	struct cmsghdr *header = CMSG_FIRSTHDR(message);
	struct ucred who;

	datagram->sender = 0;
	datagram->fd = -1;
	for (; header; header = CMSG_NXTHDR(message, header)) {
		if (header->cmsg_level != SOL_SOCKET)
			continue;
		if (header->cmsg_type == SCM_RIGHTS) {
			datagram->fd = take_fd(header);
		} else if (header->cmsg_type == SCM_CREDENTIALS) {
			memcpy(&who, CMSG_DATA(header), sizeof(who));
			datagram->sender = who.pid;
		}
	}
}

bool sockets_receive(int fd, struct datagram *datagram)
{
	struct iovec part = { .iov_base = datagram->text,
			      .iov_len = sizeof(datagram->text) - 1 };
	union control control;
	struct msghdr message = {
		.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	ssize_t length;

	do
		length = recvmsg(fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	while (length < 0 && errno == EINTR);
	if (length < 0)
		return false;
	datagram->text[length] = '\0';
	read_control(&message, datagram);
	if (message.msg_flags & MSG_TRUNC)
		*datagram->text = '\0'; /* no half of a word is believed */
	return true;
}
