/* SPDX-License-Identifier: MIT */
/* The listening socket, and what all sessions share */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../notify.h"
#include "account.h"
#include "ledger.h"
#include "mem.h"
#include "sys.h"
#include "wmapd.h"

#define ACCEPTS	      64 /* at a time */
#define USER_SESSIONS 16 /* full of mappings */

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

/* Of those who have not said what they want: the oldest of the user, and of its
   process, that has most of them (counted by remainders). */
static struct conn *heaviest(const struct server *server)
{
	unsigned of_uid[256] = { 0 }, of_pid[256] = { 0 }, most = 0;
	struct conn *result = NULL;

	list_for_each(conn, &server->strangers, struct conn, link) {
		of_uid[conn->uid % 256]++;
		of_pid[conn->pid % 256]++;
	}
	list_for_each(conn, &server->strangers, struct conn, link) {
		unsigned weight = of_uid[conn->uid % 256] * STRANGERS_MAX +
				  of_pid[conn->pid % 256];

		if (weight > most) {
			most = weight;
			result = conn;
		}
	}
	return result;
}

static void welcome(struct server *server, int fd)
{
	struct ucred peer;
	socklen_t size = sizeof(peer);
	struct conn *conn;
	int on = 1;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0 ||
	    !may_connect(&peer) ||
	    setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) != 0) {
		close(fd);
		return;
	}
	if (server->n_strangers >= STRANGERS_MAX)
		conn_close(heaviest(server));
	conn_create(server, fd, peer.uid, peer.pid, &conn);
}

static int accept_one(const struct server *server)
{
	return accept4(server->listen.fd, NULL, NULL,
		       SOCK_CLOEXEC | SOCK_NONBLOCK);
}

static void spare_open(struct server *server)
{
	server->spare = fcntl(server->hints, F_DUPFD_CLOEXEC, 0);
}

/* Without a descriptor for it a connection would stay in the queue, and we would
   hear of it for ever: it is taken and closed. */
static bool refuse_one(struct server *server)
{
	int fd;

	if (server->spare < 0)
		return false;
	close(server->spare);
	fd = accept_one(server);
	if (fd >= 0)
		close(fd);
	spare_open(server);
	return fd >= 0;
}

static void accept_all(struct watch *watch)
{
	struct server *server = container_of(watch, struct server, listen);

	for (int i = 0; i < ACCEPTS; i++) {
		int fd = accept_one(server);

		if (fd >= 0)
			welcome(server, fd);
		else if (errno == EAGAIN ||
			 ((errno == EMFILE || errno == ENFILE) &&
			  !refuse_one(server)))
			return;
	}
	if (!server->accepting) {
		server->accepting = true;
		loop_post(server->pager->loop, &server->accept);
	}
}

static void accept_more(struct post *post)
{
	struct server *server = container_of(post, struct server, accept);

	server->accepting = false;
	accept_all(&server->listen);
}

/* ---- Accounts ------------------------------------------------------------------ */

/*
 * Of the descriptors that we may have a user's objects take half at most (an
 * object has up to four: memory, file, the same for O_DIRECT, the name that says
 * who writes back), its connections a quarter, its processes (three each) the
 * rest.
 */
struct account *server_account(struct server *server, uid_t uid)
{
	struct account *account;

	list_for_each(known, &server->accounts, struct account, link)
		if (known->uid == uid)
			return account_get(known);
	account = mem_alloc(sizeof(*account));
	if (!account)
		return NULL;
	account->references = 1;
	account->uid = uid;
	account->mappings_max = (size_t)USER_SESSIONS * MAPPINGS_MAX;
	account->objects_max = server->descriptors / 2 / 4;
	account->conns_max = server->descriptors / 4;
	account->sessions_max = min_u64(SESSIONS_MAX, server->descriptors / 12);
	list_add(&server->accounts, &account->link);
	return account;
}

/* ---- Beginning and end --------------------------------------------------------- */

/* Memory that outlives us. */
static int memory_open(const char *name)
{
	int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0 || fchmod(fd, 0600) != 0)
		return -errno;
	fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK);
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

#define HINTS_SIZE page_up(sizeof(struct hints))

static int map_hints(struct server *server)
{
	void *at = mmap(NULL, HINTS_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED,
			server->hints, 0);

	if (at == MAP_FAILED)
		return -errno;
	server->shown = at;
	hint_reset(at);
	return 0;
}

static int show_hints(struct server *server)
{
	if (ftruncate(server->hints, (off_t)HINTS_SIZE) != 0)
		return -errno;
	return map_hints(server);
}

/* Clients have it to be read only; it is this user's. */
static int open_hints(int fd)
{
	char path[32];
	struct stat stat;
	int own;

	if (fd < 0 || !request_is_memory(fd) || fstat(fd, &stat) != 0 ||
	    (uint64_t)stat.st_size != HINTS_SIZE)
		return -EINVAL;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	own = open(path, O_RDWR | O_CLOEXEC);
	return own < 0 ? -errno : own;
}

void server_show_hints(struct server *server, int hints)
{
	int own = open_hints(hints), before = server->hints;
	struct hints *shown = server->shown;

	if (hints >= 0)
		close(hints);
	hint_reset(shown);
	if (own < 0)
		return;
	server->hints = own;
	if (map_hints(server)) {
		server->hints = before;
		close(own);
		return;
	}
	munmap(shown, HINTS_SIZE);
	close(before);
	server->pager->hints = server->shown;
	notify_remove("hints");
	notify_store("hints", own);
}

static int open_ledger(struct server *server, int ledger)
{
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

static size_t descriptors(void)
{
	struct rlimit files = { .rlim_cur = 1024 };

	getrlimit(RLIMIT_NOFILE, &files);
	return files.rlim_cur;
}

int server_create(int listen, int hints, int ledger, struct server *server)
{
	int error;

	memset(server, 0, sizeof(*server));
	list_init(&server->sessions);
	list_init(&server->strangers);
	telling_open(server);
	list_init(&server->accounts);
	server->accept.run = accept_more;
	rescue_open(server);
	server->descriptors = descriptors();
	server->hints = hints >= 0 ? hints : memory_open("hints");
	if (server->hints < 0)
		return server->hints;
	spare_open(server);
	error = show_hints(server);
	if (!error)
		error = open_ledger(server, ledger);
	if (!error)
		error = pager_create(server->shown, &server->pager,
				     &server->features);
	if (error)
		return error;
	server->pager->ledger = server->ledger;
	server->pager->swapout.opened = guarded_swap;
	error = kernel_features(&server->features);
	if (error)
		return error;
	elsewhere_open();
	error = loop_own(server->pager->loop);
	if (error)
		return error;
	ghost_leave(server);
	server->listen.fd = listen;
	server->listen.run = accept_all;
	return loop_watch(server->pager->loop, &server->listen);
}

void server_shown(struct server *server)
{
	hint(server->shown, -ANY_FILE);
}

void server_run(struct server *server)
{
	server_shown(server);
	pager_run(server->pager);
}

void server_ended_one(struct server *server)
{
	if (server->ending && list_empty(&server->sessions) &&
	    !rescue_is_under_way(server))
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

/* What it does not know by the ledger and the memory it need not know. */
void server_replaced(struct server *server)
{
	server->replaced = true;
	server->pager->stopping = true;
}
