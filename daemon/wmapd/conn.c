/* SPDX-License-Identifier: MIT */
/*
 * A connection: a packet in, a packet out, in turns
 *
 * A client that asks before it has its answer waits in the socket's buffer; one
 * that does not read its answers, or sends what is no request, is cut off, alone.
 * After each request others get their turn.
 *
 *   watched ──► request ──► under way ──► answer ──► next one
 *      └──► hung up: closed; freed when no request is under way and the loop
 *           has let go of it
 */
#include <string.h>
#include <sys/socket.h>

#include "mem.h"
#include "sys.h"
#include "wmapd.h"

static void free_if_over(struct conn *conn)
{
	if (!conn->closed || !conn->gone || conn->busy)
		return;
	mem_free(conn->bytes, conn->room);
	mem_free(conn, sizeof(*conn));
}

static void is_gone(struct watch *watch)
{
	struct conn *conn = container_of(watch, struct conn, watch);

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
	loop_unwatch(conn->server->pager->loop, &conn->watch, is_gone);
	if (conn->session)
		session_leave(conn);
	else
		conn->server->n_strangers--;
	list_del(&conn->link);
}

static void close_all(const int *fds, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		sys_call(SYS_close, fds[i]);
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

/* One request; false: there is none now. */
static bool hear(struct conn *conn)
{
	struct wire_request request;
	char bytes[sizeof(request) + 1];
	int fds[WIRE_FDS];
	unsigned n_fds = WIRE_FDS;
	pid_t pid = conn->pid;
	int n = wire_receive(conn->watch.fd, bytes, sizeof(bytes), NULL, 0, fds,
			     &n_fds, &pid, MSG_DONTWAIT);

	if (n == -EAGAIN)
		return false;
	if (n <= 0 || wire_parse(bytes, (size_t)n, n_fds, &request)) {
		if (n > 0 || n == -EMSGSIZE)
			tell_of(conn);
		close_all(fds, n_fds);
		conn_close(conn);
		return false;
	}
	if (request.flags & WIRE_AGAIN && request.id == conn->last) {
		close_all(fds, n_fds);
		conn->busy = true;
		loop_post(conn->server->pager->loop, &conn->again);
		return true;
	}
	conn->busy = true;
	conn->id = conn->last = request.id;
	request_handle(conn, &request, fds, n_fds, pid);
	return true;
}

static void go_on(struct conn *conn)
{
	while (!conn->closed && !conn->busy)
		if (!hear(conn))
			return;
}

static void readable(struct watch *watch)
{
	go_on(container_of(watch, struct conn, watch));
}

static void next(struct post *post)
{
	struct conn *conn = container_of(post, struct conn, again);

	conn->busy = false;
	go_on(conn);
	free_if_over(conn);
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
	loop_post(conn->server->pager->loop, &conn->again);
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
