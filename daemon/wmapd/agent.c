/* SPDX-License-Identifier: MIT */
/*
 * The agent of a session: its guard's thread (lib/guard.h), which does inside its
 * process what nobody can do from outside
 *
 * It has mappings grow (growth.c), and private memory leave (away.c). And it takes
 * shared memory out of the process's page tables, so that what is used comes back by
 * itself, and is seen in the page map (lib/evict.c):
 *
 *      wmapd                            agent, by the guard's connection
 *   1                              ◄──  GUARD, or GUARD refused: it is there
 *   2  evict.c wants ranges hidden:
 *      they are queued
 *   3  HIDE(n), the ranges         ──►  MADV_DONTNEED: what of them is ours and
 *                                       shared, and stays so meanwhile (ours.h)
 *   4  what was hidden is judged by
 *      the page map; the next HIDE ◄──  HIDDEN(n), the first time with
 *                                       /proc/self/pagemap. It has no answer
 *
 * One HIDE is under way at a time. Nobody here ever waits for it: a page of which
 * nothing is known counts as unused, so its window goes when it is the oldest.
 *
 *   killed    its connection is hung up: nothing of its space is hidden any more
 *   slow      after PATIENCE it is late: what is to be hidden is not queued, and
 *   stopped   the oldest goes first; from its HIDDEN on it is as good as ever
 *   it says HIDDEN and has hidden nothing
 *             all its pages look used, as if it did use them: others' shares are
 *             theirs all the same, and of its own the oldest goes (evict_of)
 *   it says HIDDEN unasked, or a number that is not due
 *             is not heard: a successor of ours gets what was its predecessor's
 *   its page map is none
 *             is let go, and nothing is hidden any more; another process's is a
 *             lie about which pages are used, see above
 *   wmapd is killed
 *             a HIDE is forgotten, what was hidden comes back when it is touched;
 *             the agent says GUARD again to the successor
 */
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "ledger.h"
#include "mem.h"
#include "wmapd.h"

#define PATIENCE   1000000000ull /* ns, for HIDDEN */
#define SEND_AGAIN 10000000ull	 /* ns, to one that does not read */

struct agent {
	struct session *session;
	struct conn *conn;
	struct wire_range queue[WIRE_RANGES];
	unsigned n;
	bool asked;	    /* a HIDE is under way: */
	uint64_t number;    /* its number, or the last one's */
	uint64_t clock;	    /* budget.clock when it was sent */
	struct timer timer; /* it is late; else: send */
};

static uint64_t clock_of(const struct agent *agent)
{
	return agent->session->space->pager->budget.clock;
}

static void wait_for(struct agent *agent, uint64_t ns)
{
	loop_timer_start(agent->session->server->pager->loop, &agent->timer,
			 time_now() + ns);
}

/* ---- Hiding ---------------------------------------------------------------------- */

static void ask(struct agent *agent)
{
	struct wire_reply reply = {
		.magic = WIRE_MAGIC,
		.flags = WIRE_HIDE,
		.args = { agent->number + 1,
			  agent->session->space->pagemap < 0 },
	};

	if (wire_send(agent->conn->watch.fd, &reply, sizeof(reply),
		      agent->queue, agent->n * sizeof(*agent->queue), NULL, 0,
		      MSG_DONTWAIT)) {
		wait_for(agent, SEND_AGAIN);
		return;
	}
	agent->number++;
	agent->asked = true;
	agent->clock = clock_of(agent);
	agent->n = 0;
	wait_for(agent, PATIENCE);
}

static void its_time(struct timer *timer)
{
	struct agent *agent = container_of(timer, struct agent, timer);

	if (!agent->asked) {
		ask(agent);
		return;
	}
	agent->session->agent_is_late = true;
	agent->session->times_late++;
	agent->n = 0;
}

/* What there is no room for will look used, and be hidden the next time. */
static void hide(struct space *space, uint64_t address, uint64_t length)
{
	struct session *session = space->owner;
	struct agent *agent = session->agent;

	if (session->agent_is_late || agent->n == WIRE_RANGES)
		return;
	agent->queue[agent->n++] = (struct wire_range){ address, length };
	if (agent->n == 1 && !agent->asked)
		wait_for(agent, 0); /* for more */
}

/* ---- The page map ---------------------------------------------------------------- */

/* A page map, of whichever process. No other file of /proc may be read: reading
   some waits for who opened it. */
static int check_pagemap(struct look *look)
{
	static const char name[] = "/pagemap";
	char path[32], link[128];
	struct statfs statfs;
	struct stat stat;
	ssize_t n;

	if (fstatfs(look->fd, &statfs) || statfs.f_type != PROC_SUPER_MAGIC ||
	    fstat(look->fd, &stat) || !S_ISREG(stat.st_mode))
		return -EINVAL;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", look->fd);
	n = readlink(path, link, sizeof(link));
	return n >= (ssize_t)strlen(name) && n < (ssize_t)sizeof(link) &&
			       !memcmp(link + n - strlen(name), name,
				       strlen(name)) ?
		       0 :
		       -EINVAL;
}

/* The agent of this connection, if it has been asked. */
static struct agent *asked(const struct conn *conn)
{
	struct agent *agent = conn->session ? conn->session->agent : NULL;

	return agent && agent->conn == conn && agent->asked ? agent : NULL;
}

/* Who brings no page map does not say what is used. */
static void hidden(struct agent *agent)
{
	struct session *session = agent->session;

	loop_timer_stop(&agent->timer);
	agent->asked = session->agent_is_late = false;
	session->space->hidden = agent->clock;
	if (session->space->pagemap < 0)
		session->space->hide = NULL;
	if (agent->n)
		ask(agent);
}

static void pagemap_is_known(struct conn *conn, const struct look *look)
{
	struct agent *agent = asked(conn);
	struct space *space = agent ? agent->session->space : NULL;

	if (space && !look->error) {
		space->pagemap = look->fd;
		if (space->away.unknown)
			swapaway_look(space);
	} else if (!look->error) {
		close(look->fd);
	}
	if (agent)
		hidden(agent);
	conn_silent(conn);
}

void agent_has_hidden(struct conn *conn, uint64_t number, int pagemap)
{
	struct agent *agent = asked(conn);

	if (agent && agent->number != number)
		agent = NULL;
	if (agent && pagemap >= 0 && agent->session->space->pagemap < 0) {
		looking_at(conn, pagemap, check_pagemap, false,
			   pagemap_is_known);
		return;
	}
	conn_drop(conn, &pagemap, 1);
	if (agent)
		hidden(agent);
	conn_silent(conn);
}

/* ---- Coming and going ------------------------------------------------------------ */

/* A successor knows that it will come again: what is mapped meanwhile may grow. */
static void has_agent(struct session *session, bool has)
{
	session->space->has_agent = has;
	ledger_agent(session->server->ledger, session->slot, has);
}

void agent_begin(struct conn *conn)
{
	struct session *session = conn->session;
	struct agent *agent;

	agent_end(session);
	agent = mem_alloc(sizeof(*agent));
	if (!agent) { /* then the oldest goes first, and private memory stays */
		swapaway_begin(session->space, NULL);
		return;
	}
	agent->session = session;
	agent->conn = conn;
	timer_init(&agent->timer, its_time);
	session->agent = agent;
	session->space->hide = hide;
	session->space->hidden = 0;
	has_agent(session, true);
	away_begin(conn);
	/* It brings its page map, though nothing is to be hidden. */
	if (session->space->away.unknown)
		wait_for(agent, 0);
}

void agent_end(struct session *session)
{
	struct space *space = session->space;
	struct agent *agent = session->agent;

	if (!agent)
		return;
	away_end(session);
	if (space->pagemap >= 0)
		close(space->pagemap);
	space->pagemap = -1;
	space->hide = NULL;
	/* What is being taken it may still be about to take. */
	has_agent(session, space->away.n);
	loop_timer_stop(&agent->timer);
	session->agent = NULL;
	session->agent_is_late = false;
	mem_free(agent, sizeof(*agent));
}

struct conn *agent_conn(const struct session *session)
{
	return session->agent ? session->agent->conn : NULL;
}
