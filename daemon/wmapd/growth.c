/* SPDX-License-Identifier: MIT */
/*
 * Growth: a touch above a mapping that grows waits until its process's agent has
 * placed the next page (lib/growth.h)
 *
 * The agent is asked at once, and again in a while, until it says GROW or the
 * mapping goes: it may be about to come, as in a fork's child, or not have been
 * able to just then. It is asked for ever while it is there, as a thread that is
 * stopped with its process has not failed; a process without one for PATIENCE gets
 * SIGBUS.
 */
#include "sys.h"
#include "wmapd.h"

#define PAUSE	   10000000ull	 /* ns, and twice as long each time */
#define PAUSE_MOST 1000000000ull /* ns */
#define PATIENCE   5000000000ull /* ns */

static void ask(const struct session *session, const struct mapping *mapping)
{
	const struct conn *conn = agent_conn(session);
	struct wire_reply reply = {
		.magic = WIRE_MAGIC,
		.flags = WIRE_GROW,
		.args = { mapping->end },
	};

	if (conn)
		wire_send(conn->watch.fd, &reply, sizeof(reply), NULL, 0, NULL,
			  0, MSG_DONTWAIT);
}

static void wait_for(struct session *session)
{
	loop_timer_start(session->server->pager->loop, &session->ask_again,
			 time_now() + session->pause);
}

static void its_time(struct timer *timer)
{
	struct session *session =
		container_of(timer, struct session, ask_again);
	uint64_t now = time_now();
	bool over;

	if (agent_conn(session))
		session->alone = now;
	over = now - session->alone > PATIENCE;
	list_for_each(mapping, &session->wanting, struct mapping, wanting)
		if (over)
			mapping_give_up_growth(mapping);
		else
			ask(session, mapping);
	session->pause = min_u64(2 * session->pause, PAUSE_MOST);
	if (!list_empty(&session->wanting))
		wait_for(session);
}

static void grow(struct mapping *mapping)
{
	struct session *session = mapping->space->owner;

	if (!list_empty(&mapping->wanting))
		return;
	if (list_empty(&session->wanting)) {
		session->alone = time_now();
		session->pause = PAUSE;
		wait_for(session);
	}
	list_add(&session->wanting, &mapping->wanting);
	ask(session, mapping);
}

void growth_open(struct session *session)
{
	list_init(&session->wanting);
	timer_init(&session->ask_again, its_time);
	session->space->grow = grow;
}

void growth_close(struct session *session)
{
	loop_timer_stop(&session->ask_again);
}
