/* SPDX-License-Identifier: MIT */
/*
 * What each kind of request does
 *
 * What concerns mappings goes to the books as a message, like a thread's. A
 * descriptor proves what its sender may do: how a file is open says whether it
 * may be written, and which file it is the descriptor says, not the sender.
 */
#include <fcntl.h>
#include <limits.h>
#include <linux/userfaultfd.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../notify.h"
#include "books.h"
#include "mem.h"
#include "sys.h"
#include "wmapd.h"

static void answer(struct conn *conn, int result)
{
	struct wire_reply reply = { .result = result };

	conn_answer(conn, &reply, 0, NULL, 0);
}

/* ---- Descriptors ----------------------------------------------------------------- */

static void link_of(int fd, char *name, size_t size)
{
	char path[32];
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	n = readlink(path, name, size - 1);
	name[n > 0 ? n : 0] = '\0';
}

/* A uffd that is ready (waking nobody is EINVAL before UFFDIO_API), and that
   reading does not wait on. */
int request_check_uffd(int fd)
{
	struct uffdio_range nobody = { .start = (uint64_t)1 << 40,
				       .len = PAGE };
	char name[64];
	int flags = fcntl(fd, F_GETFL);

	link_of(fd, name, sizeof(name));
	if (strcmp(name, "anon_inode:[userfaultfd]") != 0)
		return -EINVAL;
	if (ioctl(fd, UFFDIO_WAKE, &nobody) != 0)
		return -errno;
	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
		return -errno;
	return 0;
}

bool request_is_memory(int memfd)
{
	int seals = fcntl(memfd, F_GET_SEALS);

	return seals >= 0 && seals & F_SEAL_SHRINK;
}

/*
 * Who says that it writes may hold write-backs up, who says that it has written
 * has the file's bytes put over what others have stored. Who has truncated, by a
 * path perhaps, shows it by an O_PATH descriptor: of another user that must be
 * one for writing, as what others stored past the end goes.
 */
static int check_proof(const struct message *message, int flags)
{
	bool writes = !(flags & O_PATH) && (flags & O_ACCMODE) != O_RDONLY;

	if (writes || message->kind == MESSAGE_FILE_SYNC)
		return 0;
	if (message->kind == MESSAGE_FILE_LENGTH && !message->space->foreign)
		return 0;
	return -EACCES;
}

/* ---- Messages -------------------------------------------------------------------- */

/* What the client may have of an object's memory: to change, or only to see. */
static int memfd_for(const struct message *message, int memfd, bool shared)
{
	char path[32];

	if (memfd < 0)
		return -1;
	if (shared || !message->space->foreign)
		return fcntl(memfd, F_DUPFD_CLOEXEC, 0);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", memfd);
	return open(path, O_RDONLY | O_CLOEXEC);
}

static int answer_fd(const struct message *message)
{
	int fd;

	if (message->result)
		return -1;
	switch (message->kind) {
	case MESSAGE_MAP:
		return memfd_for(message, message->map.memfd,
				 message->map.shared);
	case MESSAGE_MOVE:
		if (message->move.commit)
			return -1;
		return memfd_for(message, message->move.memfd,
				 message->move.shared);
	case MESSAGE_GROW:
	case MESSAGE_REGROW:
		return memfd_for(message, message->grow.memfd,
				 message->grow.shared);
	case MESSAGE_FRAME: /* only to be looked at */
		fd = memfd_for(message, message->frame.memfd, false);
		close(message->frame.memfd);
		return fd;
	default:
		return -1;
	}
}

/* Out of descriptors, the answer would have none where one belongs. */
static bool owes_fd(const struct message *message)
{
	if (message->result)
		return false;
	if (message->kind == MESSAGE_MAP)
		return message->map.memfd >= 0;
	if (message->kind == MESSAGE_FRAME)
		return true;
	if (message->kind == MESSAGE_GROW || message->kind == MESSAGE_REGROW)
		return message->grow.memfd >= 0;
	return message->kind == MESSAGE_MOVE && !message->move.commit &&
	       message->move.memfd >= 0;
}

static size_t payload_of(const struct message *message)
{
	if (message->result)
		return 0;
	switch (message->kind) {
	case MESSAGE_LIST:
		return message->list.count * sizeof(*message->list.infos);
	case MESSAGE_RESIDENCY:
		return page_up(message->length) >> PAGE_SHIFT;
	case MESSAGE_STATS:
		return sizeof(*message->stats.stats);
	default:
		return 0;
	}
}

static size_t list_size(const struct message *message)
{
	return message->prefetch.n * sizeof(*message->prefetch.ranges);
}

static void free_list(struct message *message)
{
	mem_free(message->prefetch.ranges, list_size(message));
}

/* What a client keeps in memory of its own is copied before it is looked at. */
static int take_list(struct message *message, int memory)
{
	size_t size = list_size(message);
	struct wmap_range *ranges;
	int error = 0;

	if (!request_is_memory(memory))
		return -EINVAL;
	ranges = message->prefetch.ranges = mem_alloc(size);
	if (!ranges)
		return -ENOMEM;
	if (pread(memory, ranges, size, 0) != (ssize_t)size)
		error = -EINVAL;
	if (!error)
		error = message_check_ranges(ranges, message->prefetch.n);
	if (error)
		free_list(message);
	return error;
}

static void answered(struct message *message)
{
	struct conn *conn = container_of(message, struct conn, message);
	struct session *session = conn->asking;
	struct wire_reply reply = { 0 };
	int fd = answer_fd(message);

	/* It would take no memory for this memory: as good as hung up. */
	if (fd < 0 && owes_fd(message))
		conn_close(conn);
	if (message->kind == MESSAGE_FILE_WRITING && message->file.object)
		message->file.object = session_promise(session, message);
	if (message->kind == MESSAGE_PREFETCH && message->result)
		free_list(message);
	wire_answer(message, &reply);
	conn_answer(conn, &reply, payload_of(message), &fd, fd >= 0);
	if (fd >= 0)
		close(fd);
	session_put(session);
}

static size_t room_for(const struct message *message)
{
	switch (message->kind) {
	case MESSAGE_LIST:
		return message->list.room * sizeof(*message->list.infos);
	case MESSAGE_RESIDENCY:
		return page_up(message->length) >> PAGE_SHIFT;
	case MESSAGE_STATS:
		return sizeof(*message->stats.stats);
	default:
		return 0;
	}
}

static int make_room(struct conn *conn)
{
	struct message *message = &conn->message;

	conn->room = room_for(message);
	if (!conn->room)
		return 0;
	conn->bytes = mem_alloc(conn->room);
	if (!conn->bytes) {
		conn->room = 0;
		return -ENOMEM;
	}
	if (message->kind == MESSAGE_LIST)
		message->list.infos = conn->bytes;
	else if (message->kind == MESSAGE_RESIDENCY)
		message->residency.vector = conn->bytes;
	else
		message->stats.stats = conn->bytes;
	return 0;
}

/* Into the message: which file it is. */
static int take_file(struct message *message, int fd)
{
	struct stat stat;
	int error, flags = fcntl(fd, F_GETFL);

	if (flags < 0)
		return -errno;
	error = elsewhere_stat(fd, &stat);
	if (error)
		return error;
	if (!S_ISREG(stat.st_mode))
		return -ENODEV;
	message->file.dev = stat.st_dev;
	message->file.ino = stat.st_ino;
	if (message->kind == MESSAGE_FILE_LENGTH)
		message->file.length = (uint64_t)stat.st_size;
	return check_proof(message, flags);
}

static void to_books(struct conn *conn)
{
	conn->asking = conn->session;
	session_get(conn->session);
	message_handle(&conn->message);
}

/* What is to be mapped, and what may be done with it. */
static void file_is_known(struct conn *conn, const struct look *look)
{
	struct message *message = &conn->message;

	if (look->error) {
		answer(conn, look->error);
		return;
	}
	message->map.dev = look->stat.st_dev;
	message->map.ino = look->stat.st_ino;
	message->map.writable = look->writable;
	message->map.file = look->fd;
	if (look->wants_direct)
		message->map.direct = look->direct;
	to_books(conn);
}

static void heard(struct conn *conn, const struct wire_request *request)
{
	struct message *message = &conn->message;

	wire_heard(request, message);
	message->pager = conn->server->pager;
	message->space = conn->session->space;
	message->answered = answered;
	message->post.run = message_run;
	message->again = request->flags & WIRE_AGAIN;
}

/* The pager may not wait for its server later, when memory is short. */
static bool wants_direct(const struct message *message, int fd)
{
	return message->map.flags & WMAP_DIRECT ||
	       (budget_is_set(&message->pager->budget) && elsewhere_server(fd));
}

static void map(struct conn *conn, const struct wire_request *request, int fd)
{
	heard(conn, request);
	if (fd < 0)
		to_books(conn);
	else
		looking_at(conn, fd, looking_for_file,
			   wants_direct(&conn->message, fd), file_is_known);
}

static void tell(struct conn *conn, const struct wire_request *request, int fd)
{
	struct message *message = &conn->message;
	int error = 0;

	heard(conn, request);
	if (message->kind == MESSAGE_PREFETCH)
		error = take_list(message, fd);
	else if (fd >= 0)
		error = take_file(message, fd);
	if (!error)
		error = make_room(conn);
	conn_drop(conn, &fd, 1);
	if (error) {
		answer(conn, error);
		return;
	}
	if (message->kind == MESSAGE_FILE_WRITTEN)
		message->file.object =
			session_redeem(conn->session, request->args[4]);
	to_books(conn);
}

/* ---- Sessions -------------------------------------------------------------------- */

static void answer_with_hints(struct conn *conn, struct wire_reply *reply)
{
	char path[32];
	int fd;

	/* To be read, and no more. */
	snprintf(path, sizeof(path), "/proc/self/fd/%d", conn->server->hints);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	conn_answer(conn, reply, 0, &fd, fd >= 0);
	if (fd >= 0)
		close(fd);
}

static void hints(struct conn *conn)
{
	struct wire_reply reply = { 0 };

	answer_with_hints(conn, &reply);
}

static void welcome(struct conn *conn)
{
	const struct session *session = conn->session;
	struct wire_reply reply = {
		.args = { session->token[0], session->token[1],
			  conn->server->features },
	};

	answer_with_hints(conn, &reply);
}

static void hello(struct conn *conn, int uffd, bool again)
{
	struct session *session;
	int error = conn->session ? -EPROTO : request_check_uffd(uffd);

	if (again && conn->session && !conn->session->embryo) {
		conn_drop(conn, &uffd, 1);
		welcome(conn);
		return;
	}
	if (!error)
		error = session_create(conn->server, conn->uid, conn->pid, uffd,
				       NULL, &session);
	if (error) {
		conn_drop(conn, &uffd, 1);
		answer(conn, error);
		return;
	}
	error = session_take(session, conn);
	if (error) {
		session_end(session);
		answer(conn, error);
		return;
	}
	welcome(conn);
}

/* What is already there is dropped with the connection, if it goes on so. */
static void move_in(struct conn *conn, bool again)
{
	struct session *session;
	int error = 0;

	if (conn->session && !again)
		error = -EPROTO;
	else if (!conn->session)
		error = session_create(conn->server, conn->uid, conn->pid, -1,
				       NULL, &session);
	if (error) {
		answer(conn, error);
		return;
	}
	if (!conn->session)
		session_take(session, conn);
	welcome(conn);
}

/* What is not taken over is let go, whatever it is. */
static void adopt(struct conn *conn, const struct wire_request *request,
		  int *fds, unsigned n_fds)
{
	int error =
		request->kind == WIRE_ADOPT_OBJECT ?
			session_adopt_object(conn->session, request->args[0],
					     fds, n_fds) :
			session_adopt_mapping(conn->session, request, fds[0]);

	conn_drop(conn, fds, n_fds);
	answer(conn, error);
}

/* Whose ATTACH, which was sent before, is not read yet is attached first. */
static struct session *find_attached(struct conn *conn, const uint64_t *token)
{
	struct session *session = session_find(conn->server, token);

	if (session && session->embryo) {
		list_for_each(one, &session->conns, struct conn, link)
			conn_hear_last(one);
		session = session_find(conn->server, token);
	}
	return session && session_admits(session, conn) ? session : NULL;
}

static void join(struct conn *conn, const struct wire_request *request,
		 bool again)
{
	struct session *session = find_attached(conn, request->args);
	int error = -EPROTO;

	if (session && conn->session == session &&
	    (again || request->kind == WIRE_GUARD))
		error = 0;
	else if (session && !conn->session)
		error = session_take(session, conn);
	if (!error && request->kind == WIRE_GUARD) {
		if (!session->embryo)
			agent_begin(conn);
		guarded_by(conn);
	} else {
		answer(conn, error);
	}
}

/* Whose process waits for no answer would not read it. */
static void attached(struct conn *conn, bool quiet)
{
	if (quiet)
		conn_silent(conn);
	else
		welcome(conn);
}

static void attach(struct conn *conn, int uffd, pid_t pid, bool quiet,
		   bool again)
{
	struct session *session = conn->session;
	int error = request_check_uffd(uffd);

	if (again && session && !session->embryo) {
		conn_drop(conn, &uffd, 1);
		attached(conn, quiet);
		return;
	}
	if (!session || !session->embryo)
		error = -EPROTO;
	if (!error)
		error = session_attach(session, pid, uffd);
	if (!error) {
		attached(conn, quiet);
		return;
	}
	conn_drop(conn, &uffd, 1);
	/* Who faults there, with nobody to hear of it, must not sleep on. */
	if (quiet && error == -ENOMEM)
		conn_later(conn);
	else
		answer(conn, error);
}

/* ---- Fork ------------------------------------------------------------------------ */

/* A connection's end, and no other kind of socket. */
static int check_end(int fd)
{
	int domain = 0, type = 0, on = 1;
	socklen_t size = sizeof(int);

	if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) != 0 ||
	    getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) != 0)
		return -errno;
	if (domain != AF_UNIX || type != SOCK_SEQPACKET)
		return -EINVAL;
	if (setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) != 0)
		return -errno;
	return 0;
}

static bool is_same(int fd, int other)
{
	struct stat one, two;

	return !fstat(fd, &one) && !fstat(other, &two) &&
	       one.st_ino == two.st_ino && one.st_dev == two.st_dev;
}

bool request_may_stay(int fd)
{
	int domain = 0;
	socklen_t size = sizeof(domain);

	if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) == 0)
		return domain == AF_UNIX;
	return !elsewhere_server(fd);
}

/* Has a predecessor, or have we, done this FORK already? */
static bool is_forked(const struct server *server, int fd)
{
	list_for_each(session, &server->sessions, struct session, link)
		list_for_each(conn, &session->conns, struct conn, link)
			if (is_same(conn->watch.fd, fd))
				return true;
	return false;
}

/* A copy of the space, with a connection @fd for who will be there. */
static int fork_session(struct session *parent, int fd, const uint64_t *token,
			struct conn **child)
{
	struct session *session;
	int error = session_create(parent->server, parent->uid, parent->pid, -1,
				   token, &session);

	if (error) {
		close(fd);
		return error;
	}
	away_forks(parent, session);
	error = space_copy(parent->space, session->space);
	if (error) {
		close(fd);
		session_end(session);
		return error;
	}
	error = conn_create(parent->server, fd, parent->uid, parent->pid,
			    child);
	if (error) {
		session_end(session);
		return error;
	}
	error = session_take(session, *child);
	if (error) {
		conn_close(*child);
		session_end(session);
	}
	return error;
}

static void describe(const struct mapping *mapping, struct wire_piece *piece)
{
	piece->start = mapping->start;
	piece->length = mapping->end - mapping->start;
	piece->offset = mapping->first << PAGE_SHIFT;
	piece->modes = mapping_modes(mapping);
	piece->prot = (uint32_t)mapping->prot;
	piece->shared = mapping->shared && mapping->object->memfd >= 0;
	piece->growing = mapping->growing;
	piece->memfd = -1;
}

/* Whose memory it is, by one of the packet's descriptors; -1: it has none, or it
   cannot be had. */
static int attach_memfd(const struct mapping *mapping, struct wire_piece *piece,
			int *fds, unsigned *n_fds)
{
	struct message message = { .space = mapping->space };
	int fd;

	if (mapping->object->memfd < 0)
		return 0;
	fd = memfd_for(&message, mapping->object->memfd, mapping->shared);
	if (fd < 0)
		return -EMFILE;
	piece->memfd = (int32_t)*n_fds;
	fds[(*n_fds)++] = fd;
	return 0;
}

/* Pieces from an address on, as many as the client has room for. */
static void inherited(struct conn *conn, const struct wire_request *request)
{
	const struct space *space = conn->session ? conn->session->space : NULL;
	struct wire_reply reply = { .result = space ? 0 : -EPROTO };
	uint64_t most = min_u64(max_u64(request->args[0], 1), WIRE_FDS);
	struct wire_piece pieces[WIRE_FDS];
	int fds[WIRE_FDS];
	unsigned n = 0, n_fds = 0;

	size_t i;

	for (i = space ? space_lower(space, request->address) : 0;
	     space && i < space->n && n < most && !reply.result; i++, n++) {
		const struct mapping *mapping = space->entries[i].mapping;

		describe(mapping, &pieces[n]);
		reply.result = attach_memfd(mapping, &pieces[n], fds, &n_fds);
	}
	reply.args[0] = space && i < space->n;
	if (reply.result)
		n = 0;
	conn->room = n * sizeof(*pieces);
	conn->bytes = n ? mem_alloc(conn->room) : NULL;
	if (conn->bytes)
		memcpy(conn->bytes, pieces, conn->room);
	else if (n)
		reply.result = -ENOMEM;
	conn_answer(conn, &reply, conn->bytes ? conn->room : 0, fds,
		    conn->bytes ? n_fds : 0);
	for (i = 0; i < n_fds; i++)
		close(fds[i]);
}

/*
 * The child is answered first: it may be there already, and waits. A connection
 * whose other end was given to us, too, thereby hears what is no request, and is
 * cut off: nobody is left behind that only we hold.
 */
static void do_fork(struct conn *conn, int fd, const uint64_t *token,
		    bool again)
{
	static const struct wire_request first = {
		.kind = WIRE_INHERITED,
		.id = 1,
		.args = { WIRE_FDS },
	};
	struct conn *child = NULL;
	int error = conn->session ? check_end(fd) : -EPROTO;

	follow_none(&conn->server->pager->follow);
	if (error || (again && is_forked(conn->server, fd)))
		conn_drop(conn, &fd, 1);
	else
		error = fork_session(conn->session, fd, token, &child);
	if (!error && child) {
		child->estranged = conn->estranged;
		conn_ask(child, &first);
	}
	answer(conn, error);
}

/* ---- Being replaced -------------------------------------------------------------- */

static void make_room_for_another(struct conn *conn)
{
	bool may = !conn->estranged &&
		   (conn->uid == geteuid() || conn->uid == 0);
	int error = may ? 0 : -EPERM;

	if (!error && !notify_is_heard())
		error = -EOPNOTSUPP;
	answer(conn, error);
	if (!error)
		server_replaced(conn->server);
}

/* ---- Which is which -------------------------------------------------------------- */

void request_handle(struct conn *conn, const struct wire_request *request,
		    int *fds, unsigned n_fds, pid_t pid)
{
	int fd = n_fds ? fds[0] : -1;
	bool again = request->flags & WIRE_AGAIN || conn->adopted;

	if (rescue_handle(conn, request, fds, n_fds, pid))
		return;
	conn->adopted = false;
	switch ((unsigned)request->kind) {
	case WIRE_HELLO:
		hello(conn, fd, again);
		break;
	case WIRE_JOIN:
	case WIRE_GUARD:
		join(conn, request, again);
		break;
	case WIRE_UNGUARD:
		guarded_no_more(conn);
		break;
	case WIRE_HIDDEN:
		agent_has_hidden(conn, request->args[0], fd);
		break;
	case WIRE_LEFT:
		away_left(conn, request->args[0], request->args[1]);
		conn_silent(conn);
		break;
	case WIRE_TAKEN:
		away_taken(conn, request->args[0], request->args[1]);
		conn_silent(conn);
		break;
	case WIRE_ATTACH:
		attach(conn, fd, pid, request->args[0], again);
		break;
	case WIRE_FORK:
		do_fork(conn, fd, request->args, again);
		break;
	case WIRE_INHERITED:
		inherited(conn, request);
		break;
	case WIRE_REPLACE:
		make_room_for_another(conn);
		break;
	case WIRE_HINTS:
		hints(conn);
		break;
	case WIRE_SPACES:
	case WIRE_MAPPINGS:
		telling_ask(conn, request);
		break;
	case WIRE_MOVE_IN:
		move_in(conn, again);
		break;
	case WIRE_ADOPT_OBJECT:
	case WIRE_ADOPT_MAPPING:
		adopt(conn, request, fds, n_fds);
		break;
	default:
		/* Who moves in has pins. */
		if (conn->session &&
		    (!conn->session->embryo || request->kind == MESSAGE_PIN)) {
			if (request->kind == MESSAGE_MAP)
				map(conn, request, fd);
			else
				tell(conn, request, fd);
			break;
		}
		conn_drop(conn, &fd, 1);
		answer(conn, -EPROTO);
	}
}
