/* SPDX-License-Identifier: MIT */
/*
 * Telling who is served, and how: wmap ps, wmap top, wmap info
 *
 * Anybody who may connect may ask, without a session: a user about processes of
 * his own, root about all. Counting takes time that sleepers wait, so who asks
 * gets in a queue, in which one is answered at a time, and after each answer
 * nobody for nine times as long as it took: however many ask, and however often,
 * a tenth of the pager's time is the most that they take.
 */
#include <string.h>
#include <unistd.h>

#include "books.h"
#include "mem.h"
#include "wmapd.h"

#define REST	 9     /* times what the last answer took */
#define REST_MIN 20000 /* ns */

/* In one answer: mappings looked at for SPACES (but for one process all), and
   mappings told by MAPPINGS. */
#define LOOKED_AT 4096
#define TOLD	  64

#define SPACES (WIRE_PAYLOAD / sizeof(struct wire_space))

/* ---- Counting --------------------------------------------------------------- */

static void ignore(struct message *message)
{
	(void)message;
}

void telling_stats(const struct session *session, struct wmap_stats *stats)
{
	struct message message = {
		.pager = session->server->pager,
		.space = session->space,
		.answered = ignore,
		.kind = MESSAGE_STATS,
		.stats.stats = stats,
	};

	message_handle(&message);
}

void telling_add(struct wmap_stats *to, const struct wmap_stats *from)
{
	to->faults += from->faults;
	to->fills += from->fills;
	to->writebacks += from->writebacks;
	to->errors += from->errors;
	to->bytes_read += from->bytes_read;
	to->bytes_written += from->bytes_written;
	to->latency_max_ns = max_u64(to->latency_max_ns, from->latency_max_ns);
	for (unsigned i = 0; i < WMAP_BUCKETS; i++)
		to->latency[i] += from->latency[i];
}

static void count(const struct mapping *mapping, struct wire_space *told)
{
	const struct object *object = mapping->object;
	uint64_t pages = (mapping->end - mapping->start) >> PAGE_SHIFT;

	told->total += pages;
	told->loaded += mapping->n_loaded;
	told->resident += min_u64(pages, object->n_present);
	told->dirty += min_u64(pages, object->n_dirty);
}

static void describe(const struct session *session, struct wire_space *told)
{
	const struct space *space = session->space;

	memset(told, 0, sizeof(*told));
	told->number = session->number;
	told->pid = (uint32_t)session->pid;
	told->uid = session->uid;
	told->agent = session->agent_is_late ? WIRE_AGENT_LATE :
		      space->hide	     ? WIRE_AGENT_SERVES :
					       WIRE_AGENT_NONE;
	told->times_late = session->times_late;
	for (size_t i = 0; i < space->n; i++)
		count(space->entries[i].mapping, told);
	telling_stats(session, &told->stats);
}

/* ---- SPACES ------------------------------------------------------------------ */

static bool may_see(const struct conn *conn, const struct session *session)
{
	return !conn->estranged &&
	       (conn->uid == 0 || conn->uid == session->uid);
}

static bool is_asked_for(const struct conn *conn, const struct session *session)
{
	uint64_t pid = conn->question.args[0];

	return !session->embryo && !session->ending &&
	       session->number > conn->question.address &&
	       (!pid || pid == (uint64_t)session->pid);
}

/* As many as there is room for in @told; *@hidden: some are not for him. */
static size_t describe_all(const struct conn *conn, struct wire_space *told,
			   bool *hidden, bool *more)
{
	size_t n = 0, looked_at = 0;

	list_for_each(session, &conn->server->sessions, struct session, link) {
		if (!is_asked_for(conn, session))
			continue;
		if (!may_see(conn, session)) {
			*hidden = true;
			continue;
		}
		looked_at += session->space->n;
		if (n == SPACES || (n && looked_at > LOOKED_AT)) {
			*more = true;
			return n;
		}
		describe(session, &told[n++]);
	}
	return n;
}

static void tell_spaces(struct conn *conn)
{
	struct wire_reply reply = { 0 };
	bool hidden = false, more = false;
	size_t n;

	conn->room = SPACES * sizeof(struct wire_space);
	conn->bytes = mem_alloc(conn->room);
	if (!conn->bytes) {
		conn->room = 0;
		reply.result = -ENOMEM;
		conn_answer(conn, &reply, 0, NULL, 0);
		return;
	}
	n = describe_all(conn, conn->bytes, &hidden, &more);
	if (!n && hidden && conn->question.args[0])
		reply.result = -EPERM;
	reply.args[0] = more;
	reply.args[1] = (uint64_t)getpid();
	conn_answer(conn, &reply, n * sizeof(struct wire_space), NULL, 0);
}

/* ---- MAPPINGS ---------------------------------------------------------------- */

static struct session *session_numbered(const struct conn *conn,
					uint64_t number)
{
	list_for_each(session, &conn->server->sessions, struct session, link)
		if (session->number == number && !session->ending &&
		    may_see(conn, session))
			return session;
	return NULL;
}

static size_t list_mappings(struct conn *conn, struct space *space,
			    struct wire_reply *reply)
{
	struct message message = {
		.pager = conn->server->pager,
		.space = space,
		.answered = ignore,
		.kind = MESSAGE_LIST,
		.address = conn->question.address,
		.list = { .infos = conn->bytes, .room = TOLD },
	};
	size_t first = space_lower(space, message.address);

	message_handle(&message);
	reply->args[0] = message.list.total;
	if (message.list.count)
		reply->args[1] =
			space->entries[first + message.list.count - 1].end;
	return message.list.count * sizeof(*message.list.infos);
}

static void tell_mappings(struct conn *conn)
{
	struct session *session =
		session_numbered(conn, conn->question.args[0]);
	struct wire_reply reply = { .result = session ? 0 : -ESRCH };
	size_t size = 0;

	conn->room = session ? TOLD * sizeof(struct wmap_mapping_info) : 0;
	conn->bytes = session ? mem_alloc(conn->room) : NULL;
	if (conn->bytes) {
		size = list_mappings(conn, session->space, &reply);
	} else if (session) {
		conn->room = 0;
		reply.result = -ENOMEM;
	}
	conn_answer(conn, &reply, size, NULL, 0);
}

/* ---- Turns ------------------------------------------------------------------- */

static void tell(struct conn *conn)
{
	if (conn->question.kind == WIRE_SPACES)
		tell_spaces(conn);
	else
		tell_mappings(conn);
}

/* Who is first, if it is time; and then the next one's time. */
static void tell_first(struct server *server)
{
	struct conn *conn = list_first(&server->asked, struct conn, asked);
	uint64_t start = time_now(), took;

	if (start >= server->tell_at) {
		list_del(&conn->asked);
		tell(conn);
		took = time_now() - start;
		server->tell_at = start + took + max_u64(REST * took, REST_MIN);
	}
	if (!list_empty(&server->asked))
		loop_timer_start(server->pager->loop, &server->tell,
				 server->tell_at);
}

static void it_is_time(struct timer *timer)
{
	struct server *server = container_of(timer, struct server, tell);

	if (!list_empty(&server->asked))
		tell_first(server);
}

void telling_open(struct server *server)
{
	list_init(&server->asked);
	timer_init(&server->tell, it_is_time);
}

void telling_ask(struct conn *conn, const struct wire_request *request)
{
	struct server *server = conn->server;
	bool alone = list_empty(&server->asked);

	conn->question = *request;
	list_add(&server->asked, &conn->asked);
	if (alone)
		tell_first(server);
}

void telling_forget(struct conn *conn)
{
	struct wire_reply reply = { 0 };

	if (list_empty(&conn->asked))
		return;
	list_del(&conn->asked);
	conn_answer(conn, &reply, 0, NULL, 0);
}
