/* SPDX-License-Identifier: MIT */
/*
 * A connection: a packet in, a packet out, in turns
 *
 * A client that asks before it has its answer waits in the socket's buffer; one
 * that does not read its answers, or sends what is no request, is cut off, alone.
 * After each request others get their turn.
 *
 * What nobody asks again stays in the socket until it is done, so that a successor
 * finds it there: FORK, whose sender may be killed while its child depends on it,
 * and ATTACH, whose sender does not wait.
 *
 *   watched ──► request ──► under way ──► answer ──► next one
 *      └──► hung up: closed; freed when no request is under way and the loop
 *           has let go of it
 */
#include <string.h>
#include <sys/socket.h>

#include "elsewhere.h"
#include "mem.h"
#include "sys.h"
#include "wmapd.h"

#define LATER 100000000ull /* ns */

static void free_if_over(struct conn *conn)
{
	if (!conn->closed || !conn->gone || conn->busy)
		return;
	mem_free(conn->bytes, conn->room);
	mem_free(conn, sizeof(*conn));
}

/* With what it was sent and nobody has read, which the kernel lets go of. */
static bool has_unread(const struct conn *conn)
{
	char byte;

	return sys_call(SYS_recvfrom, conn->watch.fd, &byte, 1,
			MSG_PEEK | MSG_DONTWAIT, NULL, NULL) > 0;
}

static void is_gone(struct watch *watch)
{
	struct conn *conn = container_of(watch, struct conn, watch);

	if (has_unread(conn))
		elsewhere_close(watch->fd, conn->uid);
	else
		sys_call(SYS_close, watch->fd);
	conn->gone = true;
	free_if_over(conn);
}

void conn_close(struct conn *conn)
{
	if (conn->closed)
		return;
	conn->closed = true;
	telling_forget(conn);
	rescue_forget(conn);
	loop_timer_stop(&conn->later);
	if (looking_forget(conn) || conn->put_off)
		conn->busy = false;
	loop_unwatch(conn->server->pager->loop, &conn->watch, is_gone);
	if (conn->session)
		session_leave(conn);
	else
		conn->server->n_strangers--;
	list_del(&conn->link);
}

void conn_drop(const struct conn *conn, const int *fds, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		if (fds[i] >= 0)
			elsewhere_close(fds[i], conn->uid);
}

/* Once a second at most: a log that is flooded is no help. */
static void tell_of(const struct conn *conn)
{
	static uint64_t last;
	uint64_t now = time_now();

	if (last && now - last < 1000000000)
		return;
	last = now;
	say("process %d sent what is no request: cut off", (int)conn->pid);
}

/* Is there something to be read, and is it to be kept? */
static bool look(struct conn *conn)
{
	struct wire_request request = { 0 };
	long n = sys_call(SYS_recvfrom, conn->watch.fd, &request,
			  sizeof(request), MSG_PEEK | MSG_DONTWAIT, NULL, NULL);

	conn->kept = n == sizeof(request) &&
		     (request.kind == WIRE_FORK || request.kind == WIRE_ATTACH);
	return n != -EAGAIN;
}

/* It is done. */
static void consume(struct conn *conn)
{
	char byte;

	if (conn->kept)
		sys_call(SYS_recvfrom, conn->watch.fd, &byte, 1, MSG_DONTWAIT,
			 NULL, NULL);
	conn->kept = false;
}

static void handle(struct conn *conn, const struct wire_request *request,
		   int *fds, unsigned n_fds, pid_t pid)
{
	conn->busy = true;
	conn->id = request->id;
	request_handle(conn, request, fds, n_fds, pid);
}

void conn_later(struct conn *conn)
{
	conn->put_off = true;
	loop_timer_start(conn->server->pager->loop, &conn->later,
			 time_now() + LATER);
}

/* One request; false: there is none now. */
static bool hear(struct conn *conn)
{
	struct wire_request request;
	char bytes[sizeof(request) + 1];
	int fds[WIRE_FDS];
	unsigned n_fds = WIRE_FDS;
	pid_t pid = conn->pid;
	int n;

	if (!look(conn))
		return false;
	if (elsewhere_waiting(conn->uid) > conn->server->descriptors / 8) {
		conn->busy = true;
		conn_later(conn);
		return false;
	}
	n = wire_receive(conn->watch.fd, bytes, sizeof(bytes), NULL, 0, fds,
			 &n_fds, &pid,
			 MSG_DONTWAIT | (conn->kept ? MSG_PEEK : 0));
	if (n == -EAGAIN)
		return false;
	if (n <= 0 || wire_parse(bytes, (size_t)n, n_fds, &request) ||
	    (conn->kept && n_fds && !request_may_stay(fds[0]))) {
		if (n > 0 || n == -EMSGSIZE)
			tell_of(conn);
		conn_drop(conn, fds, n_fds);
		conn_close(conn);
		return false;
	}
	if (request.flags & WIRE_AGAIN && request.id == conn->id) {
		conn_drop(conn, fds, n_fds);
		conn->busy = true;
		conn_silent(conn);
		return true;
	}
	handle(conn, &request, fds, n_fds, pid);
	return true;
}

static void go_on(struct conn *conn)
{
	while (!conn->closed && !conn->busy)
		if (!hear(conn))
			return;
}

void conn_ask(struct conn *conn, const struct wire_request *request)
{
	handle(conn, request, NULL, 0, conn->pid);
}

void conn_hear_last(struct conn *conn)
{
	if (!conn->closed && (!conn->busy || conn->posted) && look(conn) &&
	    conn->kept)
		hear(conn);
}

static void readable(struct watch *watch)
{
	go_on(container_of(watch, struct conn, watch));
}

static void next(struct post *post)
{
	struct conn *conn = container_of(post, struct conn, again);

	conn->busy = conn->posted = false;
	go_on(conn);
	free_if_over(conn);
}

void conn_silent(struct conn *conn)
{
	consume(conn);
	if (!conn->posted)
		loop_post(conn->server->pager->loop, &conn->again);
	conn->posted = true;
}

static void later(struct timer *timer)
{
	struct conn *conn = container_of(timer, struct conn, later);

	conn->busy = conn->put_off = false;
	go_on(conn);
}

void conn_answer(struct conn *conn, struct wire_reply *reply, size_t size,
		 const int *fds, unsigned n_fds)
{
	reply->magic = WIRE_MAGIC;
	reply->id = conn->id;
	if (!conn->closed &&
	    wire_send(conn->watch.fd, reply, sizeof(*reply), conn->bytes, size,
		      fds, n_fds, MSG_DONTWAIT))
		conn_close(conn);
	mem_free(conn->bytes, conn->room);
	conn->bytes = NULL;
	conn->room = 0;
	conn_silent(conn);
}

int conn_create(struct server *server, int fd, uid_t uid, pid_t pid,
		struct conn **result)
{
	struct conn *conn = mem_alloc(sizeof(*conn));

	if (!conn)
		goto err_fd;
	conn->server = server;
	conn->uid = uid;
	conn->pid = pid;
	conn->watch.fd = fd;
	conn->watch.run = readable;
	conn->again.run = next;
	timer_init(&conn->later, later);
	list_init(&conn->asked);
	if (loop_watch(server->pager->loop, &conn->watch))
		goto err_conn;
	list_add(&server->strangers, &conn->link);
	server->n_strangers++;
	*result = conn;
	return 0;

err_conn:
	mem_free(conn, sizeof(*conn));
err_fd:
	sys_call(SYS_close, fd);
	return -ENOMEM;
}
