/* SPDX-License-Identifier: MIT */
/*
 * What a session's guard (lib/guard.h) is given: the memory and the files that
 * its process shows, which it has in its hands if all here die
 *
 * An item is an object that mappings of the session show. Its memory and its
 * file go to the guard before the call that mapped it is answered, and are taken
 * back with the last mapping:
 *
 *   told  wanted
 *    -      x      KEEP, with the descriptors
 *    x      -      DROP, and the item goes
 *
 * So does swap, if there is one, whoever has pages in it.
 *
 * A guard that does not read fast enough is owed; it is paid later. What it had
 * from a predecessor of ours, and what of that is gone, a DROP of nothing (0) says.
 * The file is for writing only if the process has shown that it may write it.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "ledger.h"
#include "mem.h"
#include "swap.h"
#include "wmapd.h"

#define PAY_AGAIN 10000000 /* ns */

struct guarded {
	struct session *session;
	struct list items[64]; /* by id */
	struct timer pay;      /* what the guard is owed */
	bool mark_due;	       /* likewise: the end of what it is told anew */
	bool has_swap;
};

struct item {
	struct list link;      /* guarded.items */
	struct object *object; /* [while n_mappings] */
	uint64_t id;
	unsigned n_mappings;
	bool writes; /* one of them may */
	bool told, told_writes;
};

/* ---- Descriptors ----------------------------------------------------------------- */

static int open_to_read(int fd)
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
}

/* The object's file, with the rights of the session, or, where opening it anew may
   wait for its server, with ours: who has the guard is our own user. If it is for
   writing, the object's box with it. -1: it has none, or it cannot be opened for
   reading alone. */
static int file_for(const struct item *item)
{
	const struct wmap_store *store = item->object->store;
	int fd = store ? store_file_descriptor(store) : -1;

	if (fd < 0)
		return -1;
	if (!item->writes && store->writable && !store_file_is_patient(store))
		return open_to_read(fd);
	return item->object->box < 0 ? fcntl(fd, F_DUPFD_CLOEXEC, 0) :
				       item->object->box;
}

static int say_to(struct session *session, unsigned flag, uint64_t id,
		  bool writes, const int *fds, unsigned n_fds)
{
	struct wire_reply reply = {
		.magic = WIRE_MAGIC,
		.flags = (uint16_t)flag,
		.args = { id, writes },
	};

	return wire_send(session->guard->watch.fd, &reply, sizeof(reply), NULL,
			 0, fds, n_fds, MSG_DONTWAIT);
}

static int give(struct session *session, const struct item *item)
{
	int fds[2] = { item->object->memfd, file_for(item) };
	int error = say_to(session, WIRE_KEEP, item->id, item->writes, fds,
			   1 + (fds[1] >= 0));

	if (fds[1] != item->object->box)
		store_file_close_for(fds[1], session->uid);
	return error;
}

/* Where it cannot be opened anew ours has to do. */
static int open_for_guard(int fd)
{
	int own = open_to_read(fd);

	return own < 0 ? fcntl(fd, F_DUPFD_CLOEXEC, 0) : own;
}

/* 0 also if there is none. */
static int give_swap(struct session *session)
{
	int slots, file, error, fds[2];

	if (!swap_descriptors(session->server->pager->swapout.swap, &slots,
			      &file))
		return 0;
	fds[0] = open_for_guard(slots);
	fds[1] = open_for_guard(file);
	error = fds[0] < 0 || fds[1] < 0 ?
			-EMFILE :
			say_to(session, WIRE_KEEP, LEDGER_SWAP, false, fds, 2);
	for (size_t i = 0; i < lengthof(fds); i++)
		if (fds[i] >= 0)
			close(fds[i]);
	session->guarded->has_swap = !error;
	return error;
}

/* ---- Paying ---------------------------------------------------------------------- */

static void owe(struct session *session)
{
	struct server *server = session->server;

	if (session->guard)
		loop_timer_start(server->pager->loop, &session->guarded->pay,
				 time_now() + PAY_AGAIN);
}

/* Bring the guard up to date with one item, which may go. */
static int settle(struct session *session, struct item *item)
{
	bool wanted = item->n_mappings;
	int error = 0;

	if (session->guard && wanted &&
	    (!item->told || item->writes > item->told_writes)) {
		error = give(session, item);
		item->told |= !error;
		item->told_writes = item->told && item->writes;
	} else if (session->guard && !wanted && item->told) {
		error = say_to(session, WIRE_DROP, item->id, false, NULL, 0);
	}
	if (!wanted && !error) {
		list_del(&item->link);
		mem_free(item, sizeof(*item));
	}
	if (error)
		owe(session);
	return error;
}

static void settle_all(struct session *session)
{
	struct guarded *guarded = session->guarded;

	if (session->guard && !guarded->has_swap && give_swap(session)) {
		owe(session);
		return;
	}
	for (size_t i = 0; i < lengthof(guarded->items); i++)
		list_for_each(item, &guarded->items[i], struct item, link)
			if (settle(session, item))
				return;
	if (session->guard && guarded->mark_due &&
	    !say_to(session, WIRE_DROP, 0, false, NULL, 0))
		guarded->mark_due = false;
}

static void pay(struct timer *timer)
{
	settle_all(container_of(timer, struct guarded, pay)->session);
}

/* ---- What is shown --------------------------------------------------------------- */

static struct list *hash_of(struct session *session, uint64_t id)
{
	return &session->guarded->items[id % lengthof(session->guarded->items)];
}

static struct item *find(struct session *session, struct object *object)
{
	struct list *list = hash_of(session, object->id);
	struct item *item;

	list_for_each(known, list, struct item, link)
		if (known->id == object->id)
			return known;
	item = mem_alloc(sizeof(*item));
	if (!item)
		return NULL;
	item->id = object->id;
	list_add(list, &item->link);
	return item;
}

/* Without memory for it the guard does not get it. */
static void shows(struct space *space, const struct mapping *mapping, int by)
{
	struct session *session = space->owner;
	struct item *item;

	if (!session->guard || mapping->object->memfd < 0)
		return;
	item = find(session, mapping->object);
	if (!item || (by < 0 && !item->n_mappings))
		return;
	item->object = mapping->object;
	item->n_mappings += by;
	item->writes |= mapping->may_write;
	settle(session, item);
}

void guarded_swap(struct pager *pager)
{
	list_for_each(space, &pager->spaces, struct space, link) {
		struct session *session = space->owner;

		if (session && session->guard)
			settle_all(session);
	}
}

void guarded_open(struct session *session)
{
	session->space->owner = session;
	session->space->shows = shows;
}

void guarded_end(struct session *session)
{
	struct guarded *guarded = session->guarded;

	session->guard = NULL;
	session->guarded = NULL;
	if (!guarded)
		return;
	loop_timer_stop(&guarded->pay);
	for (size_t i = 0; i < lengthof(guarded->items); i++)
		list_for_each(item, &guarded->items[i], struct item, link) {
			list_del(&item->link);
			mem_free(item, sizeof(*item));
		}
	mem_free(guarded, sizeof(*guarded));
}

static bool begin(struct session *session)
{
	struct guarded *guarded = mem_alloc(sizeof(*guarded));

	if (!guarded)
		return false;
	guarded->session = session;
	for (size_t i = 0; i < lengthof(guarded->items); i++)
		list_init(&guarded->items[i]);
	timer_init(&guarded->pay, pay);
	guarded->mark_due = true;
	session->guarded = guarded;
	return true;
}

/* ---- The guard ------------------------------------------------------------------- */

static void answer(struct conn *conn, int result, const int *fds,
		   unsigned n_fds)
{
	struct wire_reply reply = { .result = result };

	if (conn->session) {
		reply.args[0] = conn->session->space->id;
		reply.args[1] = agent_conn(conn->session) == conn;
	}
	conn_answer(conn, &reply, 0, fds, n_fds);
}

/*
 * Only one's own user's: with a guard come descriptors of files and memory that
 * another user has no right to, nor who has become one.
 */
void guarded_by(struct conn *conn)
{
	struct session *session = conn->session;
	char path[32];
	int fds[3] = { ledger_mirror(conn->server->ledger), -1,
		       session->space->uffd };

	if (session->space->foreign || conn->estranged || fds[0] < 0 ||
	    fds[2] < 0) {
		answer(conn, session->embryo ? -EAGAIN : -EPERM, NULL, 0);
		return;
	}
	snprintf(path, sizeof(path), "/proc/self/fd/%d", conn->server->hints);
	fds[1] = open(path, O_RDONLY | O_CLOEXEC);
	if (fds[1] < 0) {
		answer(conn, -errno, NULL, 0);
		return;
	}
	answer(conn, 0, fds, 3);
	close(fds[1]);
	if (conn->closed)
		return; /* it was not heard; the session may have gone with it */
	guarded_end(session);
	if (!begin(session))
		return; /* it has nothing, then */
	session->guard = conn;
	for (size_t i = 0; i < session->space->n; i++)
		shows(session->space, session->space->entries[i].mapping, 1);
	settle_all(session);
}

void guarded_no_more(struct conn *conn)
{
	struct session *session = conn->session;
	struct conn *guard = session ? session->guard : NULL;

	if (session && !guard)
		guard = agent_conn(session);
	answer(conn, guard ? 0 : -ENOENT, NULL, 0);
	if (guard && guard != conn)
		conn_close(guard);
}
