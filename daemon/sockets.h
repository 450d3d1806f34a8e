/* SPDX-License-Identifier: MIT */
/* The keeper's two sockets. What fails returns -1 and sets errno. */
#ifndef WMAP_SOCKETS_H
#define WMAP_SOCKETS_H

#include <stdbool.h>
#include <sys/types.h>
#include <sys/un.h>

/* "@abstract" or a path, as it is written in the environment. */
struct socket_name {
	char text[sizeof(struct sockaddr_un) + 1];
};

/* How the addresses of wmap run's wmapds begin. */
#define SOCKETS_PRIVATE "@wmap-"

/* @name: "@abstract", an absolute path, or NULL: one that nobody has. */
int sockets_listen(const char *name, struct socket_name *bound);

/* An abstract address; each datagram tells who sent it. */
int sockets_notify(struct socket_name *bound);

struct datagram {
	char text[1024];
	pid_t sender; /* or 0 */
	int fd;	      /* the one that came with it, the caller's; or -1 */
};

/* Does not wait. False: there is none. */
bool sockets_receive(int fd, struct datagram *datagram);

#endif
