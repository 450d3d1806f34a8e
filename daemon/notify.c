/* SPDX-License-Identifier: MIT */
/*
 * wmapd's half of the keeper's protocol, which is systemd's (sd_notify(3))
 *
 *   wmapd → keeper   one datagram each:  READY=1
 *                                        STATUS=…
 *                                        FDSTORE=1 FDNAME=x FDPOLL=0 + one fd
 *                                        FDSTOREREMOVE=1 FDNAME=x
 *   keeper → wmapd   at its start, the descriptors from 3 on, told of in the
 *                    environment
 *
 * FDPOLL=0 is for systemd, which would else let go of a connection when its
 * other end hangs up: the next wmapd must see that for itself.
 *
 * The address is used anew with each datagram, so that the listener may have
 * been away (systemd's re-execution) in between.
 */
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "internal.h"
#include "notify.h"
#include "sys.h"

#define FIRST 3 /* descriptor that is received */

static struct {
	int socket;
	struct sockaddr_un address;
	socklen_t length;
} notify = { .socket = -1 };

bool notify_name_valid(const char *name)
{
	size_t length = 0;

	for (; name[length]; length++)
		if (name[length] <= ' ' || name[length] > '~' ||
		    name[length] == ':')
			return false;
	return length > 0 && length <= NOTIFY_NAME_MAX;
}

bool notify_is_heard(void)
{
	return notify.socket >= 0;
}

/* ---- Telling ------------------------------------------------------------ */

static int set_address(const char *name)
{
	size_t length = strlen(name);

	if ((*name != '/' && *name != '@') || length < 2 ||
	    length >= sizeof(notify.address.sun_path))
		return -EINVAL;
	notify.address.sun_family = AF_UNIX;
	memcpy(notify.address.sun_path, name, length + 1);
	notify.length =
		(socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
	if (*name == '@')
		notify.address.sun_path[0] = '\0';
	else
		notify.length++;
	return 0;
}

static int open_socket(void)
{
	const struct timeval second = { .tv_sec = 1 };
	long fd = sys_call(SYS_socket, AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	long error;

	if (fd < 0)
		return (int)fd;
	error = sys_call(SYS_setsockopt, fd, SOL_SOCKET, SO_SNDTIMEO, &second,
			 sizeof(second));
	if (error < 0) {
		sys_call(SYS_close, fd);
		return (int)error;
	}
	notify.socket = (int)fd;
	return 0;
}

int notify_open(void)
{
	const char *name = getenv("NOTIFY_SOCKET");
	int error;

	notify_close();
	if (!name)
		return 0;
	error = set_address(name);
	unsetenv("NOTIFY_SOCKET");
	return error ? error : open_socket();
}

void notify_close(void)
{
	if (notify.socket >= 0)
		sys_call(SYS_close, notify.socket);
	notify.socket = -1;
}

static time_t seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec;
}

/* A signal begins the second anew: not for ever. */
static int send_message(const struct msghdr *message)
{
	time_t start = seconds();
	long result;

	do
		result = sys_call(SYS_sendmsg, notify.socket, message,
				  MSG_NOSIGNAL);
	while (result == -EINTR && seconds() - start < 2);
	return result < 0 ? (int)result : 0;
}

/* @fd: goes with it, or -1. */
static int send_text(char *text, int fd)
{
	struct iovec part = { .iov_base = text, .iov_len = strlen(text) };
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	struct msghdr message = {
		.msg_name = &notify.address,
		.msg_namelen = notify.length,
		.msg_iov = &part,
		.msg_iovlen = 1,
	};

	if (notify.socket < 0)
		return 0;
	if (fd >= 0) {
		control.header.cmsg_level = SOL_SOCKET;
		control.header.cmsg_type = SCM_RIGHTS;
		control.header.cmsg_len = CMSG_LEN(sizeof(fd));
		memcpy(CMSG_DATA(&control.header), &fd, sizeof(fd));
		message.msg_control = &control;
		message.msg_controllen = sizeof(control.space);
	}
	return send_message(&message);
}

int notify_ready(void)
{
	char text[] = "READY=1";

	return send_text(text, -1);
}

int notify_status(const char *format, ...)
{
	char text[512] = "STATUS=";
	const size_t prefix = strlen(text);
	va_list args;
	char *c;

	va_start(args, format);
	vsnprintf(text + prefix, sizeof(text) - prefix, format, args);
	va_end(args);
	for (c = text; *c; c++)
		if (*c == '\n')
			*c = ' ';
	return send_text(text, -1);
}

int notify_store(const char *name, int fd)
{
	char text[NOTIFY_NAME_MAX + 64];

	if (!notify_name_valid(name))
		return -EINVAL;
	if (fd < 0)
		return -EBADF;
	snprintf(text, sizeof(text), "FDSTORE=1\nFDNAME=%s\nFDPOLL=0", name);
	return send_text(text, fd);
}

int notify_remove(const char *name)
{
	char text[NOTIFY_NAME_MAX + 64];

	if (!notify_name_valid(name))
		return -EINVAL;
	snprintf(text, sizeof(text), "FDSTOREREMOVE=1\nFDNAME=%s", name);
	return send_text(text, -1);
}

/* ---- Receiving ---------------------------------------------------------- */

/* A decimal number from 1 to @most, nothing else beside it; or -EINVAL. */
static int parse_number(const char *text, int most)
{
	int n = 0;

	if (*text < '1' || *text > '9')
		return -EINVAL;
	for (; *text >= '0' && *text <= '9'; text++) {
		if (n > (most - (*text - '0')) / 10)
			return -EINVAL;
		n = 10 * n + (*text - '0');
	}
	return *text ? -EINVAL : n;
}

static bool name_is_next(const char *names, size_t length)
{
	char name[NOTIFY_NAME_MAX + 1];

	if (length > NOTIFY_NAME_MAX)
		return false;
	memcpy(name, names, length);
	name[length] = '\0';
	return notify_name_valid(name);
}

/* Are these @n valid names? */
static bool check_names(const char *names, int n)
{
	for (; n > 0; n--) {
		size_t length = strcspn(names, ":");

		if (!name_is_next(names, length) ||
		    names[length] != (n > 1 ? ':' : '\0'))
			return false;
		names += length + 1;
	}
	return true;
}

static int close_on_exec(int n)
{
	long error = 0;
	int fd;

	for (fd = FIRST; fd < FIRST + n && error >= 0; fd++)
		error = sys_call(SYS_fcntl, fd, F_SETFD, FD_CLOEXEC);
	return error < 0 ? (int)error : 0;
}

/* How many there are for us; @names has room for all of them. */
static int parse(const char *pid, const char *fds, const char *names)
{
	int n, error;

	if (!pid || !fds)
		return 0;
	n = parse_number(pid, INT_MAX);
	if (n < 0)
		return n;
	if (n != getpid())
		return 0;
	n = parse_number(fds, INT_MAX - FIRST);
	if (n < 0)
		return n;
	if (names && !check_names(names, n))
		return -EINVAL;
	error = close_on_exec(n);
	return error ? error : n;
}

/* @names is cut into its parts, or NULL. */
static void give(char *names, int n,
		 void (*take)(void *context, const char *name, int fd),
		 void *context)
{
	char unknown[] = "unknown";
	int i;

	for (i = 0; i < n; i++) {
		char *name = names ? strsep(&names, ":") : unknown;

		take(context, name, FIRST + i);
	}
}

int notify_received(void (*take)(void *context, const char *name, int fd),
		    void *context)
{
	const char *names = getenv("LISTEN_FDNAMES");
	char *copy = names ? strdup(names) : NULL;
	int n;

	if (names && !copy)
		return -ENOMEM;
	n = parse(getenv("LISTEN_PID"), getenv("LISTEN_FDS"), copy);
	if (n < 0)
		log_line("LISTEN_PID, LISTEN_FDS or LISTEN_FDNAMES makes no "
			 "sense: no descriptor is taken (%s)",
			 strerror(-n));
	unsetenv("LISTEN_PID");
	unsetenv("LISTEN_PIDFDID");
	unsetenv("LISTEN_FDS");
	unsetenv("LISTEN_FDNAMES");
	if (n > 0)
		give(copy, n, take, context);
	free(copy);
	return n;
}
