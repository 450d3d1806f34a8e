/* SPDX-License-Identifier: MIT */
/*
 * Ghosts: what a killed wmapd has begun to write, and has not ended
 *
 * A write with O_DIRECT that io_uring has begun outlives its process: that may be
 * gone for good, and the write lands seconds later. If its successor had written
 * the page meanwhile, an older one would lie over a younger.
 *
 * So each wmapd has its ring hold a listening socket, with a number in its name:
 * it goes when all that the ring has begun has ended. The number is in the ledger
 * and its mirror, so whoever takes over asks by connecting.
 *
 *   ghost_meet(): it is there    HAUNTED: write-backs to files wait, as for a
 *                                write of our own that is not answered
 *   look(): it is not, or is     the number becomes ours; write-backs go on
 *   silent for too long
 *
 * As who is HAUNTED writes nothing, there is one ghost at a time: if he is killed
 * as well it is the same one for the next.
 *
 * What swap is written to has a lock of its own (lib/store/swap.c).
 */
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "ledger.h"
#include "wmapd.h"

#define LOOK_EVERY 2000000ull /* ns */
#define PATIENCE \
	60000000000ull /* with a disk; others have theirs to write to */

static socklen_t name_of(uint64_t number, struct sockaddr_un *name)
{
	int n;

	*name = (struct sockaddr_un){ .sun_family = AF_UNIX };
	n = snprintf(name->sun_path + 1, sizeof(name->sun_path) - 1,
		     "wmap/writer/%016lx", number);
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + n);
}

static int open_socket(void)
{
	return socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK,
		      0);
}

static int listen_as(uint64_t number, int fd)
{
	struct sockaddr_un name;
	socklen_t length = name_of(number, &name);

	return fd < 0 || bind(fd, (struct sockaddr *)&name, length) != 0 ||
			       listen(fd, SOMAXCONN) != 0 ?
		       -errno :
		       0;
}

void ghost_leave(struct server *server)
{
	uint64_t number;
	int fd = open_socket(), error = -EIO;

	if (getrandom(&number, sizeof(number), 0) == sizeof(number))
		error = listen_as(number, fd);
	if (!error)
		error = loop_hold(server->pager->loop, fd);
	if (!error) {
		server->writer = number;
		return;
	}
	say("a successor would not wait for our writes: %s",
	    strerrordesc_np(-error));
	if (fd >= 0)
		close(fd);
}

/* Of our own user's: anybody may take the name once it is free. */
static bool is_ours(int fd)
{
	struct ucred peer;
	socklen_t size = sizeof(peer);

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 &&
	       peer.uid == geteuid();
}

/* Where very many have asked before the queue is full (EAGAIN). */
static bool is_there(uint64_t number)
{
	struct sockaddr_un name;
	socklen_t length = name_of(number, &name);
	int fd = open_socket();
	bool there = fd >= 0 &&
		     (connect(fd, (struct sockaddr *)&name, length) == 0 ?
			      is_ours(fd) :
			      errno == EAGAIN);

	if (fd >= 0)
		close(fd);
	return there;
}

static void look(struct timer *timer)
{
	struct server *server = container_of(timer, struct server, ghost);
	struct pager *pager = server->pager;
	bool there = is_there(ledger_writer(server->ledger));

	if (there && time_now() < server->ghost_until) {
		loop_timer_start(pager->loop, timer, time_now() + LOOK_EVERY);
		return;
	}
	if (there)
		say("what a predecessor began to write has not ended: if it "
		    "does, it may lie over what is younger");
	pager->haunted = false;
	ledger_set_writer(server->ledger, server->writer);
	list_for_each(object, &pager->all, struct object, of_pager)
		writeback_resume(object);
}

void ghost_meet(struct server *server)
{
	uint64_t number = ledger_writer(server->ledger);
	struct pager *pager = server->pager;

	if (!number || number == server->writer || !is_there(number)) {
		ledger_set_writer(server->ledger, server->writer);
		return;
	}
	pager->haunted = true;
	server->ghost_until = time_now() + PATIENCE;
	timer_init(&server->ghost, look);
	loop_timer_start(pager->loop, &server->ghost, time_now() + LOOK_EVERY);
}
