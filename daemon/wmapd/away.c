/* SPDX-License-Identifier: MIT */
/*
 * The agent of a session has pages of its private memory leave (lib/swapaway.h has
 * what it is asked, and why)
 *
 * One question is under way at a time; what it says unasked, or by another number,
 * is not heard. The memory that it copies to is one for all its copies: it is given
 * with each question, and emptied after the answer.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "leaving.h"
#include "ledger.h"
#include "mem.h"
#include "wmapd.h"

#define PATIENCE   1000000000ull /* ns, for an answer */
#define SEND_AGAIN 10000000ull	 /* ns, to one that does not read */
#define ROOM	   (LEAVING_PAGES * PAGE)

struct leaver {
	struct session *session;
	int memfd; /* that the agent copies to */
	struct wire_reply question;
	struct wire_range ranges[AWAY_RANGES];
	unsigned n;
	uint64_t number;    /* of the last question */
	bool sent;	    /* it is under way */
	struct timer timer; /* it is late; else: send */
};

static void wait_for(struct leaver *leaver, uint64_t ns)
{
	loop_timer_start(leaver->session->server->pager->loop, &leaver->timer,
			 time_now() + ns);
}

static void send_question(struct leaver *leaver)
{
	bool copies = leaver->question.flags & WIRE_LEAVE;
	const struct conn *conn = agent_conn(leaver->session);
	int error = wire_send(conn->watch.fd, &leaver->question,
			      sizeof(leaver->question), leaver->ranges,
			      leaver->n * sizeof(*leaver->ranges),
			      &leaver->memfd, copies, MSG_DONTWAIT);

	leaver->sent = !error;
	wait_for(leaver, error ? SEND_AGAIN : PATIENCE);
}

static void its_time(struct timer *timer)
{
	struct leaver *leaver = container_of(timer, struct leaver, timer);

	if (leaver->sent)
		swapaway_late(leaver->session->space);
	else
		send_question(leaver);
}

static void ask(struct space *space, unsigned flag,
		const struct wire_range *ranges, unsigned n)
{
	const struct session *session = space->owner;
	struct leaver *leaver = session->leaver;

	leaver->question = (struct wire_reply){
		.magic = WIRE_MAGIC,
		.flags = (uint16_t)flag,
		.args = { ++leaver->number },
	};
	memcpy(leaver->ranges, ranges, n * sizeof(*ranges));
	leaver->n = n;
	send_question(leaver);
}

static void leave(struct space *space, const struct wire_range *ranges,
		  unsigned n)
{
	ask(space, WIRE_LEAVE, ranges, n);
}

static void take(struct space *space, const struct wire_range *ranges,
		 unsigned n)
{
	ask(space, WIRE_TAKE, ranges, n);
}

static const struct away_agent agent = { leave, take };

/* ---- Answers --------------------------------------------------------------------- */

/* Is it the answer that is waited for? */
static struct leaver *answered(const struct conn *conn, uint64_t number,
			       unsigned flag)
{
	const struct session *session = conn->session;
	struct leaver *leaver = session ? session->leaver : NULL;

	if (!leaver || agent_conn(session) != conn ||
	    !session->space->away.asked || !leaver->sent ||
	    leaver->number != number || leaver->question.flags != flag)
		return NULL;
	loop_timer_stop(&leaver->timer);
	return leaver;
}

void away_left(struct conn *conn, uint64_t number, uint64_t pages)
{
	struct leaver *leaver = answered(conn, number, WIRE_LEAVE);

	if (!leaver)
		return;
	swapaway_left(conn->session->space, leaver->memfd, pages);
}

void away_taken(struct conn *conn, uint64_t number, uint64_t failed)
{
	if (answered(conn, number, WIRE_TAKE))
		swapaway_taken(conn->session->space, failed);
}

/* ---- Coming and going ------------------------------------------------------------ */

/* That its other owner cannot make smaller. */
static int open_memory(void)
{
	int memfd =
		memfd_create("wmap-leaving", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (memfd >= 0 && (ftruncate(memfd, ROOM) != 0 ||
			   fcntl(memfd, F_ADD_SEALS,
				 F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL))) {
		close(memfd);
		return -1;
	}
	return memfd;
}

void away_begin(struct conn *conn)
{
	struct session *session = conn->session;
	struct leaver *leaver = mem_alloc(sizeof(*leaver));
	int memfd = leaver ? open_memory() : -1;

	if (memfd < 0) { /* then its private memory stays */
		mem_free(leaver, sizeof(*leaver));
		swapaway_begin(session->space, NULL);
		return;
	}
	leaver->session = session;
	leaver->memfd = memfd;
	timer_init(&leaver->timer, its_time);
	session->leaver = leaver;
	swapaway_begin(session->space, &agent);
}

void away_end(struct session *session)
{
	struct leaver *leaver = session->leaver;

	if (!leaver)
		return;
	session->leaver = NULL;
	loop_timer_stop(&leaver->timer);
	swapaway_end(session->space);
	close(leaver->memfd);
	mem_free(leaver, sizeof(*leaver));
}

/* ---- Forks ----------------------------------------------------------------------- */

static struct session *parent_of(const struct session *child)
{
	return child->parent ? session_of_space(child->server, child->parent) :
			       NULL;
}

void away_forks(struct session *parent, struct session *child)
{
	child->parent = parent->space->id;
	ledger_parent(child->server->ledger, child->slot, child->parent);
	swapaway_fork(parent->space);
}

void away_forked(struct session *child)
{
	struct session *parent = parent_of(child);

	child->parent = 0;
	if (parent)
		swapaway_forked(parent->space);
}

void away_adopt(struct server *server)
{
	list_for_each(session, &server->sessions, struct session, link) {
		struct session *parent = parent_of(session);

		if (parent)
			swapaway_fork(parent->space);
	}
}
