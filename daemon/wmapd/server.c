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

#include "../notify.h"
#include "ledger.h"
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

/* Memory that outlives us. */
static int memory_open(const char *name)
{
	int fd = memfd_create(name, MFD_CLOEXEC);

	if (fd < 0 || fchmod(fd, 0600) != 0)
		return -errno;
	notify_store(name, fd);
	return fd;
}

/* While a predecessor's objects are being taken over each file may be mapped. */
#define ANY_FILE (1u << 20)

static void hint(struct hints *hints, unsigned by)
{
	atomic_fetch_add(&hints->n_files, by);
	for (size_t i = 0; i < OBJECT_HASHES; i++)
		atomic_fetch_add(&hints->files[i], by);
}

static void hint_reset(struct hints *hints)
{
	atomic_store(&hints->n_files, ANY_FILE);
	for (size_t i = 0; i < OBJECT_HASHES; i++)
		atomic_store(&hints->files[i], ANY_FILE);
}

static int show_hints(struct server *server)
{
	size_t size = page_up(sizeof(*server->shown));
	void *at = MAP_FAILED;

	if (ftruncate(server->hints, (off_t)size) == 0)
		at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED,
			  server->hints, 0);
	if (at == MAP_FAILED)
		return -errno;
	server->shown = at;
	hint_reset(at);
	return 0;
}

/* Who is supervised by nobody needs no ledger. */
static int open_ledger(struct server *server, int ledger)
{
	if (!notify_is_heard())
		return 0;
	if (ledger < 0)
		ledger = memory_open("ledger");
	if (ledger < 0)
		return ledger;
	return ledger_open(ledger, notify_store, notify_remove,
			   &server->ledger);
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

int server_create(int listen, int hints, int ledger, struct server *server)
{
	int error;

	memset(server, 0, sizeof(*server));
	list_init(&server->sessions);
	list_init(&server->strangers);
	telling_open(server);
	server->hints = hints >= 0 ? hints : memory_open("hints");
	if (server->hints < 0)
		return server->hints;
	error = show_hints(server);
	if (!error)
		error = open_ledger(server, ledger);
	if (!error)
		error = pager_create(server->shown, &server->pager,
				     &server->features);
	if (error)
		return error;
	server->pager->ledger = server->ledger;
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
	hint(server->shown, -ANY_FILE);
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
