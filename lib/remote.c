/* SPDX-License-Identifier: MIT */
/* Calls over sockets (remote.h) */
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>

#include "guard.h"
#include "io.h"
#include "lock.h"
#include "mem.h"
#include "pager.h"
#include "remote.h"
#include "sys.h"
#include "wire.h"

#define CONNECTIONS 32
#define TRIES	    100 /* of connecting to a wmapd that dies meanwhile */

struct connection {
	_Atomic int fd;	   /* -1: none */
	uint64_t identity; /* of its socket: a program may close it by itself,
			      and have another file there */
	_Atomic bool busy; /* a call has it; acquired and released */
	uint64_t id;	   /* of the last request */
};

static struct connection connections[CONNECTIONS];
static struct sockaddr_un address; /* [c] while connected */
static socklen_t address_size;
static char address_text[sizeof(address.sun_path) + 1]; /* likewise */
static uint64_t token[2];				/* likewise */

/* Held while a connection is opened: a fork sees all there are. */
static struct lock opening;

/* Descriptors held for a fork, which needs two where all are used up; or -1.
   Changed by who starts, and who forks. */
static int spares[2] = { -1, -1 };
static uint64_t spares_identity; /* of the socket that they are */

static uint64_t identity_of(int fd)
{
	struct stat stat;

	if (sys_call(SYS_fstat, fd, &stat) || !S_ISSOCK(stat.st_mode))
		return 0;
	return stat.st_ino;
}

static bool is_there(const struct connection *connection)
{
	return identity_of(connection->fd) == connection->identity;
}

static void connection_open(struct connection *connection, int fd)
{
	const struct timeval look = { .tv_usec = LOCK_LOOK_NS / 1000 };

	sys_call(SYS_setsockopt, fd, SOL_SOCKET, SO_RCVTIMEO, &look,
		 sizeof(look));
	connection->identity = identity_of(fd);
	atomic_store(&connection->fd, fd);
}

static void spares_take(void)
{
	spares_identity = connections[0].identity;
	for (size_t i = 0; i < lengthof(spares) && is_there(&connections[0]);
	     i++)
		spares[i] = (int)sys_call(SYS_fcntl, connections[0].fd,
					  F_DUPFD_CLOEXEC, 0);
}

static void spares_give(void)
{
	for (size_t i = 0; i < lengthof(spares); i++) {
		if (spares[i] >= 0 && identity_of(spares[i]) == spares_identity)
			sys_call(SYS_close, spares[i]);
		spares[i] = -1;
	}
}

/* ---- One request and its answer ------------------------------------------------ */

struct exchange {
	struct wire_request request;
	int fds[3];
	unsigned n_fds; /* that go with the request */
	struct wire_reply reply;
	void *bytes; /* room for the payload of the answer */
	size_t size;
	int got[WIRE_FDS];
	unsigned n_got;
};

static void close_got(struct exchange *exchange)
{
	for (unsigned i = 0; i < exchange->n_got; i++)
		sys_call(SYS_close, exchange->got[i]);
	exchange->n_got = 0;
}

static int ask(int fd, const struct exchange *exchange)
{
	return wire_send(fd, &exchange->request, sizeof(exchange->request),
			 NULL, 0, exchange->fds, exchange->n_fds, 0);
}

/* The next packet; the size of its payload, or a negative errno. */
static int hear(int fd, struct exchange *exchange, int flags)
{
	const struct wire_reply *reply = &exchange->reply;
	int n;

	for (;;) {
		exchange->n_got = WIRE_FDS;
		n = wire_receive(fd, &exchange->reply, sizeof(*reply),
				 exchange->bytes, exchange->size, exchange->got,
				 &exchange->n_got, NULL, flags);
		if (n != -EAGAIN || flags)
			break;
		lock_signals_let_end();
	}
	if (n == -EMSGSIZE)
		close_got(exchange);
	if (n < 0)
		return n == -EAGAIN || n == -EMSGSIZE ? n : -ENOTCONN;
	if (n < (int)sizeof(*reply) || reply->magic != WIRE_MAGIC) {
		close_got(exchange);
		return n ? -EPROTO : -ENOTCONN;
	}
	return n - (int)sizeof(*reply);
}

/* What came while nobody asked: that a new pager is there. It knows nothing of
   the next request yet. */
static void drain(int fd, struct exchange *exchange)
{
	int n;

	while ((n = hear(fd, exchange, MSG_DONTWAIT)) >= 0 || n == -EMSGSIZE)
		close_got(exchange);
}

static int begin(struct connection *connection, struct exchange *exchange)
{
	if (!is_there(connection))
		return -ENOTCONN;
	drain(connection->fd, exchange);
	exchange->request.id = ++connection->id;
	return ask(connection->fd, exchange) ? -ENOTCONN : 0;
}

/* What was begun is answered: the size of the payload, or a negative errno of
   the connection. */
static int end(struct connection *connection, struct exchange *exchange)
{
	int fd = connection->fd, error = 0, n;

	for (;;) {
		n = hear(fd, exchange, 0);
		/* Two pagers may have answered an earlier request, to which
		   there belonged more than there is room for now. */
		if (n == -EMSGSIZE && exchange->reply.id != connection->id)
			continue;
		if (n < 0)
			return n;
		if (exchange->reply.flags & WIRE_RESTARTED) {
			exchange->request.flags |= WIRE_AGAIN;
			error = ask(fd, exchange);
		} else if (exchange->reply.id == connection->id) {
			return n;
		}
		close_got(exchange);
		if (error)
			return -ENOTCONN;
	}
}

static int converse(struct connection *connection, struct exchange *exchange)
{
	int error = begin(connection, exchange);

	return error ? error : end(connection, exchange);
}

/* ---- Connections ---------------------------------------------------------------- */

int remote_connect(void)
{
	int fd = (int)sys_call(SYS_socket, AF_UNIX,
			       SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	int error;

	if (fd < 0)
		return fd;
	do
		error = (int)sys_call(SYS_connect, fd, &address, address_size);
	while (error == -EINTR);
	if (!error)
		return fd;
	sys_call(SYS_close, fd);
	return error;
}

/* Open and introduce it. A wmapd that dies before it has told its keeper of a
   connection takes it along. */
static int introduce(struct connection *connection, struct exchange *exchange)
{
	int error = 0;

	for (int i = 0; i < TRIES; i++) {
		int fd = remote_connect();

		if (fd < 0)
			return fd;
		connection->id = 0;
		connection_open(connection, fd);
		error = converse(connection, exchange);
		if (error >= 0)
			return (int)exchange->reply.result;
		atomic_store(&connection->fd, -1);
		sys_call(SYS_close, fd);
		if (error != -ENOTCONN)
			return error;
	}
	return error;
}

static void hang_up(struct connection *connection)
{
	if (connection->fd >= 0 && is_there(connection))
		sys_call(SYS_close, connection->fd);
	atomic_store(&connection->fd, -1);
}

static bool claim(struct connection *connection)
{
	bool free_one = false;

	return atomic_compare_exchange_strong_explicit(&connection->busy,
						       &free_one, true,
						       memory_order_acquire,
						       memory_order_relaxed);
}

static void release(struct connection *connection)
{
	atomic_store_explicit(&connection->busy, false, memory_order_release);
}

/* One more for the process that is connected. */
static int join(struct connection *connection)
{
	struct exchange exchange = {
		.request = { .magic = WIRE_MAGIC,
			     .kind = WIRE_JOIN,
			     .args = { token[0], token[1] } },
	};
	int error;

	lock_take(&opening);
	error = introduce(connection, &exchange);
	if (error)
		hang_up(connection);
	lock_drop(&opening);
	return error;
}

/* One that is open, else one to be opened, else wait. */
static struct connection *take(void)
{
	for (;;) {
		for (int i = 0; i < CONNECTIONS; i++)
			if (connections[i].fd >= 0 && claim(&connections[i]))
				return &connections[i];
		for (int i = 0; i < CONNECTIONS; i++)
			if (connections[i].fd < 0 && claim(&connections[i]))
				return &connections[i];
		sys_call(SYS_sched_yield);
	}
}

/* ---- Calls ---------------------------------------------------------------------- */

static void set_room(const struct message *message, struct exchange *exchange)
{
	switch (message->kind) {
	case MESSAGE_LIST:
		exchange->bytes = message->list.infos;
		exchange->size = min_u64(message->list.room *
						 sizeof(*message->list.infos),
					 WIRE_PAYLOAD);
		break;
	case MESSAGE_RESIDENCY:
		exchange->bytes = message->residency.vector;
		exchange->size = page_up(message->length) >> PAGE_SHIFT;
		break;
	case MESSAGE_STATS:
		exchange->bytes = message->stats.stats;
		exchange->size = sizeof(*message->stats.stats);
		break;
	default:
		break;
	}
}

/* A list of ranges as memory, sealed as wmapd wants it; or a negative errno. */
static int list_memory(const struct message *message)
{
	long size =
		(long)(message->prefetch.n * sizeof(*message->prefetch.ranges));
	int fd = (int)sys_call(SYS_memfd_create, "wmap-list",
			       MFD_CLOEXEC | MFD_ALLOW_SEALING);
	long error = fd;

	if (fd >= 0)
		error = sys_call(SYS_pwrite64, fd, message->prefetch.ranges,
				 size, 0);
	if (error == size)
		error = sys_call(SYS_fcntl, fd, F_ADD_SEALS, F_SEAL_SHRINK);
	else if (error >= 0)
		error = -ENOMEM;
	if (error && fd >= 0)
		sys_call(SYS_close, fd);
	return error ? (int)error : fd;
}

static void set_fds(const struct message *message, int list,
		    struct exchange *exchange)
{
	int fd = -1;

	switch (message->kind) {
	case MESSAGE_PREFETCH:
		fd = list;
		break;
	case MESSAGE_MAP:
		fd = message->map.file;
		break;
	case MESSAGE_FILE_SYNC:
	case MESSAGE_FILE_WRITING:
	case MESSAGE_FILE_WRITTEN:
	case MESSAGE_FILE_LENGTH:
		fd = message->file.fd;
		break;
	default:
		break;
	}
	exchange->fds[0] = fd;
	exchange->n_fds = fd >= 0;
}

/* The memfd of an answer is the sender's to close. */
static void take_memfd(struct message *message, struct exchange *exchange)
{
	int memfd = exchange->n_got ? exchange->got[0] : -1;

	exchange->n_got = 0;
	switch (message->kind) {
	case MESSAGE_MAP:
		message->map.memfd = memfd;
		break;
	case MESSAGE_MOVE:
		if (!message->move.commit)
			message->move.memfd = memfd;
		break;
	case MESSAGE_REGROW:
		message->grow.memfd = memfd;
		break;
	case MESSAGE_FRAME:
		message->frame.memfd = memfd;
		break;
	default:
		if (memfd >= 0)
			sys_call(SYS_close, memfd);
	}
}

/* Addresses above all that a process can have wmapd would take for nonsense, and
   cut us off. */
static bool makes_sense(const struct exchange *exchange)
{
	struct wire_request request;

	return !wire_parse(&exchange->request, sizeof(exchange->request),
			   exchange->n_fds, &request);
}

/* What is answered where nothing can be mapped. */
static int nothing_there(const struct message *message)
{
	switch (message->kind) {
	case MESSAGE_UNMAP:
		return 0;
	case MESSAGE_LIST:
	case MESSAGE_MEMORY:
		return -ENOENT;
	case MESSAGE_MOVE:
		return message->move.exact ? -EINVAL : -EFAULT;
	default:
		return -ENOMEM;
	}
}

/* @list: of a PREFETCH, its memory. */
static int call_by(struct connection *connection, struct message *message,
		   int list, bool again)
{
	struct exchange exchange;
	int n;

	exchange.bytes = NULL;
	exchange.size = 0;
	wire_ask(message, &exchange.request);
	exchange.request.flags = again ? WIRE_AGAIN : 0;
	exchange.request.id = connection->id + 1;
	set_fds(message, list, &exchange);
	set_room(message, &exchange);
	if (!makes_sense(&exchange))
		return nothing_there(message);
	n = converse(connection, &exchange);
	if (n < 0)
		return n;
	wire_take(&exchange.reply, message);
	take_memfd(message, &exchange);
	if (message->kind == MESSAGE_LIST)
		message->list.count = (size_t)n / sizeof(*message->list.infos);
	return message->result;
}

/* To join failed, as wmapd is gone, or the next does not know us yet. */
static bool leads_nowhere(int error)
{
	return error == -ECONNREFUSED || error == -ENOENT ||
	       (error == -EPROTO && guard_searches());
}

/* By one of the process's connections. -ENOTCONN: it, and another that was opened
   in its place perhaps, leads nowhere. */
static int call_once(struct message *message, int list, bool again)
{
	struct connection *connection = take();
	int error = connection->fd < 0 ? join(connection) : 0;

	if (leads_nowhere(error))
		error = -ENOTCONN;
	if (!error)
		error = call_by(connection, message, list, again);
	if (error == -ENOTCONN)
		hang_up(connection);
	release(connection);
	return error;
}

/* Hung up on, a call is made once more by another connection, and then when the
   guard has found another wmapd. */
static int call_until_answered(struct message *message, int list)
{
	uint32_t round = guard_round();
	int error = call_once(message, list, false);

	if (error == -ENOTCONN)
		error = call_once(message, list, true);
	while (error == -ENOTCONN && guard_wait(round)) {
		round = guard_round();
		error = call_once(message, list, true);
	}
	return error;
}

static int call_with_list(struct message *message)
{
	struct wmap_range *ranges = message->prefetch.ranges;
	int error, list;

	if (message->prefetch.n > WIRE_LIST)
		return -EINVAL;
	list = list_memory(message);
	if (list < 0)
		return list;
	error = call_until_answered(message, list);
	sys_call(SYS_close, list);
	if (!error) /* wmapd has its own */
		mem_free(ranges, message->prefetch.n * sizeof(*ranges));
	return error;
}

/* A signal handler that forks must not do so between a request and its answer: in
   the child the connection is another one. */
int remote_call(struct message *message)
{
	uint64_t signals;
	int error;

	lock_signals_block(&signals);
	error = message->kind == MESSAGE_PREFETCH ?
			call_with_list(message) :
			call_until_answered(message, -1);
	lock_signals_restore(signals);
	/* It has its own now. */
	if (message->kind == MESSAGE_MAP && message->map.file >= 0)
		store_file_close(message->map.file);
	return error;
}

/* ---- For the guard ---------------------------------------------------------------- */

void remote_token(uint64_t to[2])
{
	memcpy(to, token, sizeof(token));
}

char *remote_address(void)
{
	return address_text;
}

void remote_unguard(void)
{
	struct exchange exchange = {
		.request = { .magic = WIRE_MAGIC, .kind = WIRE_UNGUARD },
	};
	struct connection *connection = take();

	if (connection->fd >= 0)
		converse(connection, &exchange);
	close_got(&exchange);
	release(connection);
}

/* ---- Beginning and end ---------------------------------------------------------- */

static int parse_address(const char *text)
{
	size_t length = strlen(text);

	memset(&address, 0, sizeof(address));
	address.sun_family = AF_UNIX;
	if (!length || length >= sizeof(address.sun_path))
		return -EINVAL;
	memcpy(address.sun_path, text, length);
	memcpy(address_text, text, length + 1);
	address_size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) +
				   length + (*text != '@'));
	if (*text == '@')
		address.sun_path[0] = 0;
	return 0;
}

static int take_hints(struct exchange *exchange, const struct hints **hints)
{
	long at = -EPROTO;

	if (exchange->n_got == 1)
		at = sys_map(0, page_up(sizeof(struct hints)), PROT_READ,
			     MAP_SHARED, exchange->got[0], 0);
	close_got(exchange);
	if (sys_failed(at))
		return (int)at;
	*hints = (const struct hints *)at;
	return 0;
}

/* The answer to HELLO and ATTACH. */
static int welcome(struct exchange *exchange, const struct hints **hints)
{
	token[0] = exchange->reply.args[0];
	token[1] = exchange->reply.args[1];
	return take_hints(exchange, hints);
}

int remote_hints(const char *text, const struct hints **hints)
{
	struct exchange exchange = {
		.request = { .magic = WIRE_MAGIC, .kind = WIRE_HINTS },
	};
	struct connection once = { .fd = -1 };
	int error;

	lock_take(&opening);
	error = parse_address(text);
	if (!error)
		error = introduce(&once, &exchange);
	if (!error)
		error = take_hints(&exchange, hints);
	hang_up(&once);
	lock_drop(&opening);
	return error;
}

int remote_start(const char *text, int uffd, const struct hints **hints)
{
	struct exchange exchange = {
		.request = { .magic = WIRE_MAGIC, .kind = WIRE_HELLO },
		.fds = { uffd },
		.n_fds = 1,
	};
	int error;

	for (int i = 0; i < CONNECTIONS; i++)
		atomic_store(&connections[i].fd, -1);
	lock_take(&opening);
	error = parse_address(text);
	if (!error)
		error = introduce(&connections[0], &exchange);
	if (!error)
		error = welcome(&exchange, hints);
	if (error)
		hang_up(&connections[0]);
	else
		spares_take();
	lock_drop(&opening);
	return error;
}

void remote_stop(void)
{
	spares_give();
	for (int i = 0; i < CONNECTIONS; i++)
		hang_up(&connections[i]);
}

/* ---- Descriptors ----------------------------------------------------------------- */

int remote_fd(int from)
{
	int lowest = INT_MAX;

	for (size_t i = 0; i < lengthof(spares); i++)
		if (spares[i] >= from && spares[i] < lowest)
			lowest = spares[i];
	for (int i = 0; i < CONNECTIONS; i++) {
		int fd = atomic_load(&connections[i].fd);

		if (fd >= from && fd < lowest)
			lowest = fd;
	}
	return lowest;
}

static int another(int fd)
{
	return (int)sys_call(SYS_fcntl, fd, F_DUPFD_CLOEXEC, 0);
}

/* Who is in a call by it has the number in its hands. */
void remote_fd_yield(int fd)
{
	for (int i = 0; i < CONNECTIONS; i++) {
		if (atomic_load(&connections[i].fd) != fd)
			continue;
		while (!claim(&connections[i]))
			sys_call(SYS_sched_yield);
		if (atomic_load(&connections[i].fd) == fd)
			atomic_store(&connections[i].fd, another(fd));
		release(&connections[i]);
	}
	for (size_t i = 0; i < lengthof(spares); i++)
		if (spares[i] == fd)
			spares[i] = another(fd);
}

/* ---- Moving out ------------------------------------------------------------------ */

/* By the first connection, which nobody else uses yet. */
static int ask_first(struct exchange *exchange)
{
	int n = converse(&connections[0], exchange);

	close_got(exchange);
	return n < 0 ? n : (int)exchange->reply.result;
}

int remote_move_in(const char *text)
{
	struct exchange exchange = {
		.request = { .magic = WIRE_MAGIC, .kind = WIRE_MOVE_IN },
	};
	int error = parse_address(text);

	if (error)
		return error;
	for (int i = 0; i < CONNECTIONS; i++)
		atomic_store(&connections[i].fd, -1);
	error = introduce(&connections[0], &exchange);
	close_got(&exchange);
	return error;
}

int remote_adopt_object(uint64_t number, const int *fds, unsigned n_fds)
{
	struct exchange exchange = {
		.request = { .magic = WIRE_MAGIC,
			     .kind = WIRE_ADOPT_OBJECT,
			     .args = { number } },
		.n_fds = n_fds,
	};

	memcpy(exchange.fds, fds, n_fds * sizeof(*fds));
	return ask_first(&exchange);
}

int remote_adopt_mapping(const struct mapping *mapping, uint64_t object,
			 int touched)
{
	uint64_t bits = (mapping->may_write ? WIRE_MAY_WRITE : 0) |
			(mapping->tracked ? WIRE_TRACKED : 0) |
			(mapping->growing ? WIRE_GROWING : 0) |
			(mapping->alone ? WIRE_ALONE : 0);
	uint64_t memory = mapping->part ? wire_memory(mapping->part->limit) : 0;
	struct exchange exchange = {
		.request = { .magic = WIRE_MAGIC,
			     .kind = WIRE_ADOPT_MAPPING,
			     .address = mapping->start,
			     .length = mapping->length,
			     .args = { mapping->first, (uint64_t)mapping->prot,
				       (uint64_t)mapping->flags, mapping->grain,
				       mapping->deadline, bits, object,
				       memory } },
		.fds = { touched },
		.n_fds = 1,
	};

	return ask_first(&exchange);
}

int remote_adopt_pin(uint64_t start, uint64_t length)
{
	struct exchange exchange = {
		.request = { .magic = WIRE_MAGIC,
			     .kind = MESSAGE_PIN,
			     .address = start,
			     .length = length,
			     .args = { true } },
	};

	return ask_first(&exchange);
}

int remote_attach(int uffd, const struct hints **hints)
{
	struct exchange exchange = {
		.request = { .magic = WIRE_MAGIC, .kind = WIRE_ATTACH },
		.fds = { uffd },
		.n_fds = 1,
	};
	int n = converse(&connections[0], &exchange);

	if (n >= 0)
		n = (int)exchange.reply.result;
	return n < 0 ? n : welcome(&exchange, hints);
}

/* ---- Fork ------------------------------------------------------------------------ */

/* Of the fork under way. */
static struct {
	struct connection *by; /* the question is under way; or NULL */
	struct exchange exchange;
	int ends[2]; /* of the child's connection: wmapd's, which gets a copy,
			and its own */
	int error;
	uint32_t round; /* the guard's, when it was asked last */
	bool again;	/* it was hung up on; in the child: the child was */
} forking;

static void close_end(int i)
{
	if (forking.ends[i] >= 0)
		sys_call(SYS_close, forking.ends[i]);
	forking.ends[i] = -1;
}

static int make_ends(void)
{
	return (int)sys_call(SYS_socketpair, AF_UNIX,
			     SOCK_SEQPACKET | SOCK_CLOEXEC, 0, forking.ends);
}

static void fork_asked(int error)
{
	if (error == -ENOTCONN)
		hang_up(forking.by);
	release(forking.by);
	forking.by = NULL;
	forking.error = error;
}

static void ask_once(void)
{
	int error;

	forking.by = take();
	error = forking.by->fd < 0 ? join(forking.by) : 0;
	if (leads_nowhere(error))
		error = -ENOTCONN;
	if (!error)
		error = begin(forking.by, &forking.exchange);
	if (error)
		fork_asked(error);
}

/* Hung up on: by another connection, and then when the guard has found another
   wmapd. It is the same child that is asked for, by the same ends. */
static bool may_ask_again(void)
{
	bool may = !forking.again || guard_wait(forking.round);

	if (forking.again)
		forking.round = guard_round();
	forking.again = true;
	forking.exchange.request.flags |= WIRE_AGAIN;
	return may;
}

static void ask_fork(void)
{
	do
		ask_once();
	while (!forking.by && forking.error == -ENOTCONN && may_ask_again());
}

/* wmapd's end is kept till then: a successor may have to be given it again. */
static void await_answer(void)
{
	while (forking.by) {
		int n = end(forking.by, &forking.exchange);

		close_got(&forking.exchange);
		fork_asked(n < 0 ? n : (int)forking.exchange.reply.result);
		if (n == -ENOTCONN && may_ask_again())
			ask_fork();
	}
}

/* For both, and known to both: two wmapds may be asked for the same child. */
static int prepare_child(void)
{
	uint64_t *to = forking.exchange.request.args;
	int error = make_ends();

	forking.exchange.fds[0] = forking.ends[0];
	if (!error &&
	    sys_call(SYS_getrandom, to, sizeof(token), 0) != sizeof(token))
		error = -EAGAIN;
	return error;
}

int remote_before_fork(bool wait)
{
	forking.ends[0] = forking.ends[1] = -1;
	forking.again = false;
	forking.round = guard_round();
	forking.exchange = (struct exchange){
		.request = { .magic = WIRE_MAGIC, .kind = WIRE_FORK },
		.n_fds = 1,
	};
	spares_give();
	forking.error = prepare_child();
	if (!forking.error)
		ask_fork();
	if (wait)
		await_answer();
	lock_take(&opening);
	return forking.by ? 0 : forking.error;
}

int remote_in_parent(void)
{
	lock_drop(&opening);
	close_end(1);
	await_answer();
	close_end(0);
	spares_take();
	return forking.error;
}

/* Calls that other threads of the parent were in are not ours. */
int remote_in_child(void)
{
	bool asked = forking.by || !forking.error;

	for (int i = 0; i < CONNECTIONS; i++) {
		hang_up(&connections[i]);
		release(&connections[i]);
	}
	lock_drop(&opening);
	close_end(0);
	if (!asked) {
		close_end(1);
		return forking.error;
	}
	/* The parent's question was asked for this one, too, as the first. */
	connections[0].id = 1;
	memcpy(token, forking.exchange.request.args, sizeof(token));
	connection_open(&connections[0], forking.ends[1]);
	return 0;
}

/* Of one packet's pieces. */
static int place_all(struct exchange *exchange, size_t n, uint64_t *next,
		     int (*place)(const struct wire_piece *, int))
{
	const struct wire_piece *pieces = exchange->bytes;
	int error = 0;

	for (size_t i = 0; i < n && !error; i++) {
		unsigned at = (unsigned)pieces[i].memfd;

		error = place(&pieces[i],
			      at < exchange->n_got ? exchange->got[at] : -1);
		*next = pieces[i].start + pieces[i].length;
	}
	return error;
}

void remote_forget(void)
{
	memset(&opening, 0, sizeof(opening));
	spares[0] = spares[1] = -1;
	for (int i = 0; i < CONNECTIONS; i++) {
		atomic_store(&connections[i].fd, -1);
		release(&connections[i]);
	}
}

/* Hung up on, with its keeper dead, too: as a call, by the wmapd that the guard finds,
   which has to be there for that. As end(). */
static int ask_elsewhere(struct connection *by, struct exchange *exchange)
{
	uint32_t round;
	int n;

	forking.again = true;
	do {
		round = guard_round();
		hang_up(by);
		n = join(by);
		if (leads_nowhere(n))
			n = -ENOTCONN;
		if (!n)
			n = converse(by, exchange);
	} while (n == -ENOTCONN && guard_wait(round));
	return n;
}

int remote_inherited(int (*place)(const struct wire_piece *, int),
		     void (*hold)(uint64_t from))
{
	struct connection *by = &connections[0];
	struct wire_piece pieces[WIRE_FDS];
	struct exchange exchange = {
		.request = { .magic = WIRE_MAGIC,
			     .kind = WIRE_INHERITED,
			     .id = by->id,
			     .args = { WIRE_FDS } },
		.bytes = pieces,
		.size = sizeof(pieces),
	};
	int error, n = end(by, &exchange);

	forking.again = false;
	for (;;) {
		if (n == -ENOTCONN) {
			hold(exchange.request.address);
			n = ask_elsewhere(by, &exchange);
		}
		error = n < 0 ? n : (int)exchange.reply.result;
		/* Fewer descriptors are left than came: then one by one. */
		if (n == -EMSGSIZE && exchange.request.args[0] > 1) {
			exchange.request.args[0] = 1;
			error = 0;
			exchange.reply.args[0] = true;
		} else if (!error) {
			error = place_all(&exchange,
					  (size_t)n / sizeof(*pieces),
					  &exchange.request.address, place);
		}
		close_got(&exchange);
		if (error || !exchange.reply.args[0])
			break;
		exchange.request.flags = 0;
		n = converse(by, &exchange);
	}
	spares_take();
	return error;
}

/* It stays in the socket until wmapd, or a successor, has done it. Hung up on: the
   guard does it, or has done it. */
int remote_attach_child(int uffd)
{
	struct exchange exchange = {
		.request = { .magic = WIRE_MAGIC,
			     .kind = WIRE_ATTACH,
			     .flags = forking.again ? WIRE_AGAIN : 0,
			     .args = { true } },
		.fds = { uffd },
		.n_fds = 1,
	};
	int error = begin(&connections[0], &exchange);

	return error == -ENOTCONN ? 0 : error;
}
