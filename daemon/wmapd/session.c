/* SPDX-License-Identifier: MIT */
/*
 * A session: one client process, from its first connection to its end
 *
 * It ends when its last connection does: the process has exited, was killed, or
 * has become another program; or with the process, whose connections a child may
 * hold that ran no handlers (a raw clone). A process that has closed them, as a
 * daemon closes all that it finds, is served on as long as its memory is there:
 * without a pager what is missing there would be zeros. Its mappings are then
 * unmapped as by a call: what was stored reaches the files first.
 *
 * Who joins it knows its token and is of its user, or is its very process, which may
 * have become another user (setuid) since it entered. The token alone does not do: a
 * child that gives up its privilege has its parent's memory, and the parent's token
 * there. But an embryo's process is not known yet, nor its token to others.
 * Its user, who pays, never changes; and who joins as another is given nothing that
 * only that user may have (conn.estranged).
 */
#include <string.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "account.h"
#include "books.h"
#include "ledger.h"
#include "mem.h"
#include "sys.h"
#include "wmapd.h"

#define LOOK_EVERY 1000000000ull /* ns */

void session_get(struct session *session)
{
	session->references++;
}

static void space_over(struct space *space)
{
	space_destroy(space);
	mem_free(space, sizeof(*space));
}

static void uffd_gone(struct watch *watch)
{
	struct space *space = container_of(watch, struct space, faults);

	space->over = space_over;
	if (!space->more_due)
		space_over(space);
}

void session_put(struct session *session)
{
	struct server *server = session->server;
	struct space *space = session->space;

	if (--session->references)
		return;
	obituary_end(session);
	guarded_end(session);
	growth_close(session);
	telling_add(&server->past, &space->stats);
	list_del(&session->link);
	space->account->n_sessions--;
	ledger_space_gone(server->ledger, space->id, session->slot);
	prefetch_forget(space);
	list_del(&space->link);
	if (space->uffd >= 0)
		loop_unwatch(server->pager->loop, &space->faults, uffd_gone);
	else
		uffd_gone(&space->faults);
	mem_free(session, sizeof(*session));
	server_ended_one(server);
}

/* ---- Promises ------------------------------------------------------------------ */

struct promise {
	struct list link;
	struct object *object;
	uint64_t number;
};

static struct object *take_back(struct session *session,
				struct promise *promise)
{
	struct object *object = promise->object;

	session->n_promises--;
	list_del(&promise->link);
	mem_free(promise, sizeof(*promise));
	return object;
}

struct object *session_promise(struct session *session,
			       const struct message *message)
{
	struct promise *promise = mem_alloc(sizeof(*promise));

	if (!promise || session->ending ||
	    session->n_promises == PROMISES_MAX) {
		mem_free(promise, sizeof(*promise));
		books_file_writing_over(message->file.object);
		return NULL;
	}
	promise->object = message->file.object;
	promise->number = ++session->promised % UINT32_MAX + 1;
	session->n_promises++;
	list_add(&session->promises, &promise->link);
	return (struct object *)promise->number;
}

struct object *session_redeem(struct session *session, uint64_t number)
{
	list_for_each(promise, &session->promises, struct promise, link)
		if (promise->number == number)
			return take_back(session, promise);
	return NULL;
}

/* ---- Its process --------------------------------------------------------------- */

static void process_gone(struct watch *watch)
{
	struct session *session = container_of(watch, struct session, process);

	close(watch->fd);
	session_put(session);
}

static void unwatch(struct session *session)
{
	if (!session->watched)
		return;
	session->watched = false;
	session_get(session);
	loop_unwatch(session->server->pager->loop, &session->process,
		     process_gone);
}

static void process_ended(struct watch *watch)
{
	struct session *session = container_of(watch, struct session, process);

	unwatch(session);
	if (!session->n_conns && !session->ending)
		session_end(session);
	list_for_each(conn, &session->conns, struct conn, link) {
		conn_hear_last(conn);
		conn_close(conn);
	}
}

/* Without it the connections tell, mostly. */
void session_watch(struct session *session)
{
	session->process.fd = (int)syscall(SYS_pidfd_open, session->pid, 0);
	session->process.run = process_ended;
	if (session->process.fd < 0)
		return;
	session->watched =
		!loop_watch(session->server->pager->loop, &session->process);
	if (!session->watched)
		close(session->process.fd);
}

/* ---- Its end ------------------------------------------------------------------- */

static void ended(struct message *message)
{
	struct session *session = container_of(message, struct session, end);

	if (message->result)
		say("process %d has ended, and what it stored could not all "
		    "be written: %s",
		    (int)session->pid, strerrordesc_np(-message->result));
	session_put(session);
}

void session_end(struct session *session)
{
	struct message *message = &session->end;

	session->ending = true;
	away_forked(session);
	loop_timer_stop(&session->look);
	obituary_begin(session);
	unwatch(session);
	list_for_each(conn, &session->conns, struct conn, link)
		looking_forget(conn);
	session_adopted(session);
	prefetch_forget(session->space);
	while (!list_empty(&session->promises))
		books_file_writing_over(
			take_back(session, list_first(&session->promises,
						      struct promise, link)));
	message->pager = session->server->pager;
	message->space = session->space;
	message->answered = ended;
	message->post.run = message_run;
	message->kind = MESSAGE_UNMAP;
	message->address = 0;
	message->length = (uint64_t)1 << 47;
	message->unmap.force = true;
	message_handle(message);
}

/* A page of any process's addresses that nobody has registered. */
#define NOWHERE (((uint64_t)1 << 47) - 2 * PAGE)

/* Has it mappings, and is their memory there still? After an exec it is not. */
static bool shows(const struct session *session)
{
	const struct space *space = session->space;

	return session->watched && space->n && space->uffd >= 0 &&
	       uffd_unmark(space->uffd, NOWHERE, PAGE) != -ESRCH;
}

void session_left(struct session *session)
{
	if (session->n_conns || session->ending)
		return;
	if (shows(session))
		loop_timer_start(session->server->pager->loop, &session->look,
				 time_now() + LOOK_EVERY);
	else
		session_end(session);
}

static void look_again(struct timer *timer)
{
	session_left(container_of(timer, struct session, look));
}

void session_leave(struct conn *conn)
{
	struct session *session = conn->session;

	conn->session = NULL;
	if (session->guard == conn)
		guarded_end(session);
	if (agent_conn(session) == conn)
		agent_end(session);
	ledger_conn_gone(session->server->ledger, session->space->id,
			 conn->number);
	list_del(&conn->link);
	session->n_conns--;
	session->space->account->n_conns--;
	session_left(session);
}

/* ---- Its beginning ------------------------------------------------------------- */

static void free_session(struct session *session)
{
	struct space *space = session->space;

	if (space) {
		if (space->account)
			space->account->n_sessions--;
		account_put(space->account);
		list_del(&space->link);
		mem_free(space, sizeof(*space));
	}
	mem_free(session, sizeof(*session));
}

static int open_account(struct session *session)
{
	struct account *account = server_account(session->server, session->uid);

	if (!account)
		return -ENOMEM;
	session->space->account = account;
	if (account->n_sessions++ >= account->sessions_max)
		return -EMFILE;
	return 0;
}

static int create(struct server *server, uid_t uid, pid_t pid,
		  struct session **result)
{
	struct session *session = mem_alloc(sizeof(*session));
	int error;

	if (!session)
		return -ENOMEM;
	session->server = server;
	session->uid = uid;
	session->pid = pid;
	session->references = 1; /* until its end */
	session->number = ++server->sessions_ever;
	session->embryo = true;
	list_init(&session->link);
	list_init(&session->conns);
	list_init(&session->promises);
	list_init(&session->adopted);
	timer_init(&session->look, look_again);
	error = pager_space_create(server->pager, -1, server->features,
				   &session->space);
	if (error) {
		free_session(session);
		return error;
	}
	session->space->foreign = uid != geteuid();
	session->space->n_max = MAPPINGS_MAX;
	error = open_account(session);
	if (error) {
		free_session(session);
		return error;
	}
	session->space->ledger = server->ledger;
	guarded_open(session);
	growth_open(session);
	*result = session;
	return 0;
}

int session_create(struct server *server, uid_t uid, pid_t pid, int uffd,
		   const uint64_t *token, struct session **result)
{
	struct session *session;
	int error = create(server, uid, pid, &session);

	if (error)
		return error;
	if (token)
		memcpy(session->token, token, sizeof(session->token));
	else if (getrandom(session->token, sizeof(session->token), 0) !=
		 sizeof(session->token))
		error = -EAGAIN;
	if (!error)
		error = ledger_space(server->ledger, session->token, uid,
				     (uint32_t)pid, &session->space->id,
				     &session->slot);
	session->space->slot = session->slot;
	if (!error && uffd >= 0) {
		error = session_attach(session, pid, uffd);
		if (error)
			ledger_drop(server->ledger, session->slot);
	}
	if (error) {
		free_session(session);
		return error;
	}
	list_add(&server->sessions, &session->link);
	*result = session;
	return 0;
}

int session_adopt(struct server *server, const struct record *record,
		  struct session **result)
{
	struct session *session;
	int error = create(server, record->of_space.uid,
			   (pid_t)record->of_space.pid, &session);

	if (error)
		return error;
	session->token[0] = record->of_space.token[0];
	session->token[1] = record->of_space.token[1];
	session->slot = session->space->slot = record->slot;
	session->space->id = record->id;
	session->space->has_agent = record->bits & RECORD_AGENT;
	if (!(record->bits & RECORD_ATTACHED))
		session->parent = record->object;
	list_add(&server->sessions, &session->link);
	*result = session;
	return 0;
}

int session_take(struct session *session, struct conn *conn)
{
	struct account *account = session->space->account;

	if (session->n_conns == CONNS_MAX ||
	    account->n_conns >= account->conns_max)
		return -EMFILE;
	account->n_conns++;
	list_del(&conn->link);
	conn->server->n_strangers--;
	list_add(&session->conns, &conn->link);
	conn->session = session;
	conn->estranged = conn->uid != session->uid;
	conn->uid = session->uid;
	session->n_conns++;
	if (!conn->number) { /* no predecessor's */
		conn->number = ++session->conns_ever;
		ledger_conn(session->server->ledger, session->space->id,
			    conn->number, conn->watch.fd);
	}
	session->conns_ever = max_u64(session->conns_ever, conn->number);
	return 0;
}

struct session *session_find(struct server *server, const uint64_t token[2])
{
	list_for_each(session, &server->sessions, struct session, link)
		if (!session->ending &&
		    !memcmp(session->token, token, sizeof(session->token)))
			return session;
	return NULL;
}

bool session_admits(const struct session *session, const struct conn *conn)
{
	return session->embryo || conn->uid == session->uid ||
	       (conn->pid && conn->pid == session->pid);
}

struct session *session_of_space(struct server *server, uint64_t id)
{
	list_for_each(session, &server->sessions, struct session, link)
		if (session->space->id == id)
			return session;
	return NULL;
}

int session_attach(struct session *session, pid_t pid, int uffd)
{
	int error = pager_space_attach(session->space, uffd);

	if (error)
		return error;
	ledger_uffd(session->server->ledger, session->space->id, session->slot,
		    (uint32_t)pid, uffd);
	session_adopted(session);
	session->embryo = false;
	away_forked(session);
	session->pid = pid;
	session->space->process = (uint32_t)pid;
	session_watch(session);
	return 0;
}
