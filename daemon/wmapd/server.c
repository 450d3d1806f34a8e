/* SPDX-License-Identifier: MIT */
/* The listening socket, and what all sessions share */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mem.h"
#include "sys.h"
#include "wmapd.h"

void say(const char *format, ...)
{
	char line[1024];
	va_list args;

	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	dprintf(STDERR_FILENO, "wmapd: %s\n", line);
}

/* ---- Clients ------------------------------------------------------------------- */

/* Its own user and root; and all users, if it is root's. */
static bool may_connect(const struct ucred *peer)
{
	return peer->uid == geteuid() || peer->uid == 0 || geteuid() == 0;
}

static void welcome(struct server *server, int fd)
{
	struct ucred peer;
	socklen_t size = sizeof(peer);
	struct conn *conn;
	int on = 1;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0 ||
	    !may_connect(&peer) || server->n_strangers >= CONNS_MAX ||
	    setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) != 0) {
		close(fd);
		return;
	}
	conn_create(server, fd, peer.uid, peer.pid, &conn);
}

static void accept_all(struct watch *watch)
{
	struct server *server = container_of(watch, struct server, listen);
	int fd;

	while ((fd = accept4(watch->fd, NULL, NULL,
			     SOCK_CLOEXEC | SOCK_NONBLOCK)) >= 0)
		welcome(server, fd);
}

/* ---- Beginning and end --------------------------------------------------------- */

static int create_hints(struct hints **hints)
{
	size_t size = page_up(sizeof(**hints));
	int fd = memfd_create("wmap-hints", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	void *at = MAP_FAILED;

	if (fd >= 0 && fchmod(fd, 0600) == 0 && ftruncate(fd, (off_t)size) == 0)
		at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
			  0);
	if (at == MAP_FAILED)
		return -errno;
	*hints = at;
	return fd;
}

/* What the kernel can is the same for a client's uffd. */
static int kernel_features(unsigned *features)
{
	unsigned kernel;
	int fd = sys_uffd_open(&kernel);

	if (fd < 0)
		return fd;
	close(fd);
	*features |= kernel;
	return 0;
}

int server_create(int listen, struct server *server)
{
	struct hints *hints = NULL;
	int error;

	memset(server, 0, sizeof(*server));
	list_init(&server->sessions);
	list_init(&server->strangers);
	server->hints = create_hints(&hints);
	if (server->hints < 0)
		return server->hints;
	error = pager_create(hints, &server->pager, &server->features);
	if (error)
		return error;
	error = kernel_features(&server->features);
	if (error)
		return error;
	error = loop_own(server->pager->loop);
	if (error)
		return error;
	server->listen.fd = listen;
	server->listen.run = accept_all;
	return loop_watch(server->pager->loop, &server->listen);
}

void server_run(struct server *server)
{
	pager_run(server->pager);
}

void server_ended_one(struct server *server)
{
	if (server->ending && list_empty(&server->sessions))
		server->pager->stopping = true;
}

void server_end(struct server *server)
{
	server->ending = true;
	server_ended_one(server);
}

/* Each session ends as if its process had. */
void server_quit(struct server *server)
{
	list_for_each(session, &server->sessions, struct session, link)
		if (!session->ending)
			session_end(session);
	server_end(server);
}
