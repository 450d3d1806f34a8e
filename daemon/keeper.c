/* SPDX-License-Identifier: MIT */
/*
 * The keeper: has wmapd running, and duplicates of what must outlive it
 *
 *   clients ── connect ──► listening socket ◄── accept ── wmapd
 *                             │ held by                     │ datagrams, with
 *                             ▼                             ▼ one descriptor
 *                          KEEPER ◄── notify socket ────────┘
 *                             └── fork, exec, all descriptors ──► next wmapd
 *
 * wmapd may be killed at any instruction. What it had stored by then its
 * successor gets, under the same names and in the same order; clients that
 * connect meanwhile wait in the listening socket. To the keeper descriptors are
 * nothing but that: it never reads one. The protocol (notify.c) is systemd's,
 * which can be the keeper as well.
 *
 *   IDLE                    keeper_create()
 *   IDLE     -> STARTING    keeper_start()
 *   STARTING -> READY       tell(), wmapd's READY=1
 *   STARTING -> STARTING    bury(), it died: the next one
 *   READY    -> STARTING    bury(), the same
 *   READY    -> IDLE        bury(), it ended with 0 though nobody asked it to
 *   IDLE     -> STARTING    keeper_handle(), a client connects
 *   any      -> FROZEN      bury(), WMAP_ORPHAN=freeze: sleepers sleep on, till
 *                           the last connection that is kept has hung up
 *   any      -> OVER        bury(), it ended with 0 and was asked to;
 *                           give_up(), it dies again and again
 *
 * Before a death is acted upon the notify socket is read until it is empty: a
 * process that has died sends no more, so then all that it sent is known.
 * Anybody may send to that socket; what counts is what wmapd itself sends, as
 * the kernel knows it (SCM_CREDENTIALS).
 *
 * Invariant: pidfd >= 0 exactly in STARTING and READY.
 */
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "daemon.h"
#include "deaths.h"
#include "detach.h"
#include "elsewhere.h"
#include "keeper.h"
#include "kept.h"
#include "notify.h"
#include "sockets.h"
#include "spawn.h"

#define STATUS_REPLACED 75	 /* wmapd asks for another one */
#define LISTEN		"listen" /* its place is the first */
#define FORK_TRIES	20	 /* while processes or memory are short … */
#define FORK_WAIT_MS	50	 /* … so far apart */
#define QUEUE_MAX	65536	 /* more than a socket's queue holds */

enum state { STARTING, READY, IDLE, FROZEN, OVER };

struct keeper {
	enum state state;
	bool ending, was_ready, freeze, complained;
	struct spawn spawn;
	const char *orphans;	   /* an option for a successor, or NULL */
	struct socket_name name;   /* $WMAP_SOCKET */
	struct socket_name notify; /* $NOTIFY_SOCKET */
	int notify_fd;
	pid_t owner;	  /* this process, or 0: who unlinks the socket */
	pid_t pid;	  /* of wmapd, while there is a pidfd */
	int pidfd;	  /* or -1 */
	struct kept kept; /* first the listening socket; empty when OVER */
	struct deaths deaths;
	struct rlimit limit; /* as it was */
};

/* ---- The end ------------------------------------------------------------ */

static void close_pidfd(struct keeper *keeper)
{
	if (keeper->pidfd >= 0)
		close(keeper->pidfd);
	keeper->pidfd = -1;
}

/* Clients get an end of file, or ECONNREFUSED, and know that nobody comes. */
static void let_go(struct keeper *keeper)
{
	bool bound = keeper->kept.n > 0 && *keeper->name.text == '/';

	if (bound && keeper->owner == getpid())
		unlink(keeper->name.text);
	kept_free(&keeper->kept);
	keeper->state = OVER;
}

static void give_up(struct keeper *keeper, const char *why)
{
	say("%s %s: it is not started any more", keeper->spawn.path, why);
	let_go(keeper);
}

static void signal_wmapd(const struct keeper *keeper, int number)
{
	if (keeper->pidfd >= 0)
		pidfd_send_signal(keeper->pidfd, number, NULL, 0);
}

/* ---- Starting ----------------------------------------------------------- */

static bool spawn_patiently(struct keeper *keeper)
{
	const struct timespec pause = { .tv_nsec = FORK_WAIT_MS * 1000000L };
	int tries;

	for (tries = 0; tries < FORK_TRIES; tries++) {
		if (tries)
			nanosleep(&pause, NULL);
		keeper->pid = spawn_wmapd(&keeper->spawn, &keeper->kept,
					  &keeper->pidfd);
		if (keeper->pid > 0)
			return true;
	}
	return false;
}

void keeper_set_options(struct keeper *keeper, char *const *options)
{
	keeper->spawn.more = options;
}

bool keeper_give(struct keeper *keeper, const char *name, int fd)
{
	fd = kept_above_standard(fd);
	return fd >= 0 && kept_add(&keeper->kept, name, fd);
}

void keeper_expect_guards(struct keeper *keeper)
{
	keeper->spawn.option = "--rescue";
}

bool keeper_start(struct keeper *keeper)
{
	if (!spawn_patiently(keeper)) {
		give_up(keeper, strerror(errno));
		return false;
	}
	keeper->state = STARTING;
	return true;
}

/* ---- What wmapd says ---------------------------------------------------- */

struct said {
	bool ready, store, remove;
	const char *name; /* or NULL */
};

static struct said parse(char *text)
{
	struct said said = { 0 };
	char *line;

	while ((line = strsep(&text, "\n"))) {
		if (!strcmp(line, "READY=1"))
			said.ready = true;
		else if (!strcmp(line, "FDSTORE=1"))
			said.store = true;
		else if (!strcmp(line, "FDSTOREREMOVE=1"))
			said.remove = true;
		else if (!strncmp(line, "FDNAME=", 7))
			said.name = line + 7;
	}
	return said;
}

static bool name_is_good(const char *name)
{
	return notify_name_valid(name) && strcmp(name, LISTEN) != 0;
}

static void get_ready(struct keeper *keeper)
{
	keeper->was_ready = true;
	deaths_end_row(&keeper->deaths);
	if (keeper->state == STARTING)
		keeper->state = READY;
	if (keeper->ending)
		signal_wmapd(keeper, SIGTERM);
}

static void complain(struct keeper *keeper, const char *why)
{
	if (!keeper->complained)
		say("a descriptor of wmapd cannot be kept: %s", why);
	keeper->complained = true;
}

/* Takes over @fd, which may be -1. */
static void store(struct keeper *keeper, const char *name, int fd)
{
	fd = kept_above_standard(fd);
	if (fd < 0)
		complain(keeper, "it got lost on its way");
	else if (!kept_add(&keeper->kept, name, fd))
		complain(keeper, strerror(errno));
}

/* One datagram of wmapd. Takes over @fd, which may be -1. */
static void tell(struct keeper *keeper, char *text, int fd)
{
	struct said said = parse(text);
	const char *name = said.name ? said.name : "stored";

	if (said.ready)
		get_ready(keeper);
	if (said.remove && name_is_good(name))
		kept_remove(&keeper->kept, name);
	if (said.store && name_is_good(name))
		store(keeper, name, fd);
	else if (fd >= 0)
		elsewhere_close(fd, ELSEWHERE_NOBODY);
}

/* Its queue is in order, so strangers who go on sending cannot hold it up. */
static void drain(struct keeper *keeper)
{
	struct datagram datagram;
	unsigned n = 0;

	while (n++ < QUEUE_MAX &&
	       sockets_receive(keeper->notify_fd, &datagram)) {
		if (keeper->pidfd >= 0 && datagram.sender == keeper->pid)
			tell(keeper, datagram.text, datagram.fd);
		else if (datagram.fd >= 0)
			elsewhere_close(datagram.fd, ELSEWHERE_NOBODY);
	}
}

/* ---- Death -------------------------------------------------------------- */

static bool is_ready(int fd, int timeout)
{
	struct pollfd one = { .fd = fd, .events = POLLIN };

	return poll(&one, 1, timeout) > 0;
}

/*
 * How it ended. Of a wmapd that another process has started (ours, before the
 * fork into the background) nobody tells us: taken for a death. If it was an
 * end, the next one ends, too. It is dead, so that this waits for nobody but a
 * debugger, which hears of it first.
 */
static siginfo_t reap(struct keeper *keeper)
{
	siginfo_t info = { .si_code = CLD_KILLED, .si_status = SIGKILL };
	siginfo_t known = { 0 };

	if (waitid(P_PIDFD, keeper->pidfd, &known, WEXITED) == 0)
		info = known;
	close_pidfd(keeper);
	return info;
}

/* wmapd is dead, and what it said is known. */
static void bury(struct keeper *keeper)
{
	siginfo_t info = reap(keeper);
	char why[DEATHS_TEXT];
	bool ended = info.si_code == CLD_EXITED && info.si_status == 0;

	if (info.si_code == CLD_EXITED && info.si_status == STATUS_REPLACED &&
	    keeper->was_ready) {
		keeper_start(keeper);
	} else if (ended && keeper->ending) {
		let_go(keeper);
	} else if (keeper->spawn.more && !keeper->was_ready &&
		   info.si_code == CLD_EXITED) {
		let_go(keeper); /* of no use as it was started; it said why */
	} else if (!ended && keeper->freeze && keeper->was_ready) {
		say("%s has died: who waits for it waits on "
		    "(WMAP_ORPHAN=freeze)",
		    keeper->spawn.path);
		keeper->state = FROZEN;
	} else if (deaths_too_many(&keeper->deaths, &info,
				   keeper->state == READY)) {
		deaths_describe(&info, why);
		give_up(keeper, why);
	} else if (ended) {
		keeper->state = IDLE;
	} else {
		keeper->spawn.option = keeper->orphans;
		keeper_start(keeper);
	}
}

/* ---- Waiting ------------------------------------------------------------ */

void keeper_poll(const struct keeper *keeper, struct pollfd *fds)
{
	bool over = keeper->state == OVER;

	fds[0] = (struct pollfd){ .fd = over ? -1 : keeper->notify_fd,
				  .events = POLLIN };
	fds[1] = (struct pollfd){ .fd = keeper->pidfd, .events = POLLIN };
	if (keeper->state == IDLE)
		fds[1].fd = keeper->kept.fds[0].fd;
}

void keeper_handle(struct keeper *keeper)
{
	/* Asked before the draining, acted upon after it. */
	bool dead = keeper->pidfd >= 0 && is_ready(keeper->pidfd, 0);

	if (keeper->state == OVER)
		return;
	drain(keeper);
	if (dead)
		bury(keeper);
	else if (keeper->state == IDLE && is_ready(keeper->kept.fds[0].fd, 0))
		keeper_start(keeper);
}

const char *keeper_address(const struct keeper *keeper)
{
	return keeper->name.text;
}

bool keeper_was_ready(const struct keeper *keeper)
{
	return keeper->was_ready;
}

bool keeper_is_over(const struct keeper *keeper)
{
	return keeper->state == OVER;
}

void keeper_end(struct keeper *keeper)
{
	keeper->ending = true;
	if (keeper->state == IDLE)
		let_go(keeper);
	else if (keeper->state == READY)
		signal_wmapd(keeper, SIGTERM);
	/* STARTING: when it is READY, and can do so in its own way. */
}

/* ---- Waiting for the end ------------------------------------------------ */

/* A client's; files are kept in sockets of another type (lib/box.h). */
static bool is_connection(int fd)
{
	socklen_t size = sizeof(int);
	int type;

	return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 &&
	       type == SOCK_SEQPACKET;
}

/* The connections that are kept; *@fds is malloc'd. */
static nfds_t connections(const struct keeper *keeper, struct pollfd **fds)
{
	nfds_t n = 0;
	size_t i;

	*fds = calloc(keeper->kept.n, sizeof(**fds));
	for (i = 1; *fds && i < keeper->kept.n; i++)
		if (is_connection(keeper->kept.fds[i].fd))
			(*fds)[n++].fd = keeper->kept.fds[i].fd;
	return n;
}

static void drop(struct keeper *keeper, int fd)
{
	size_t i;

	for (i = 1; i < keeper->kept.n; i++)
		if (keeper->kept.fds[i].fd == fd) {
			kept_remove_at(&keeper->kept, i);
			return;
		}
}

/* Frozen: there is nobody else to see that the last client is gone. */
static void wait_frozen(struct keeper *keeper, int timeout)
{
	struct pollfd *fds;
	nfds_t n = connections(keeper, &fds), i;

	if (n && poll(fds, n, timeout) > 0)
		for (i = 0; i < n; i++)
			if (fds[i].revents)
				drop(keeper, fds[i].fd);
	if (!n)
		let_go(keeper);
	free(fds);
}

static void wait_once(struct keeper *keeper, int timeout)
{
	struct pollfd fds[KEEPER_FDS];

	if (keeper->state == FROZEN && keeper->ending) {
		wait_frozen(keeper, timeout);
		return;
	}
	keeper_poll(keeper, fds);
	if (poll(fds, KEEPER_FDS, timeout) > 0)
		keeper_handle(keeper);
}

void keeper_wait(struct keeper *keeper, int timeout)
{
	int64_t left, end = deaths_now_ms() + timeout;

	while (keeper->state != OVER) {
		left = timeout < 0 ? -1 : end - deaths_now_ms();
		if (timeout >= 0 && left < 0)
			return;
		wait_once(keeper, (int)left);
	}
}

/* ---- In the background -------------------------------------------------- */

void keeper_detach(struct keeper *keeper, int fd)
{
	int *fds = calloc(keeper->kept.n + 3, sizeof(*fds));
	size_t i;

	for (i = 0; fds && i < keeper->kept.n; i++)
		fds[i] = keeper->kept.fds[i].fd;
	if (fds) {
		fds[i++] = keeper->notify_fd;
		fds[i++] = keeper->pidfd;
		fds[i++] = fd;
		detach_close_others(fds, i);
	}
	free(fds);
	detach_terminal();
	prctl(PR_SET_NAME, "wmap-keeper");
	keeper->owner = getpid();
}

/* ---- Making it ---------------------------------------------------------- */

static bool open_sockets(struct keeper *keeper, const char *name)
{
	int fd = sockets_listen(name, &keeper->name);

	if (fd < 0 || !kept_add(&keeper->kept, LISTEN, fd))
		return false;
	keeper->notify_fd = sockets_notify(&keeper->notify);
	return keeper->notify_fd >= 0;
}

static bool read_policy(struct keeper *keeper)
{
	const char *policy = getenv("WMAP_ORPHAN");

	if (!policy || !*policy || !strcmp(policy, "takeover"))
		return true;
	keeper->freeze = !strcmp(policy, "freeze");
	if (!strcmp(policy, "sigbus"))
		keeper->orphans = "--orphans=sigbus";
	if (!keeper->freeze && !keeper->orphans)
		say("WMAP_ORPHAN=%s: it is freeze, sigbus or takeover", policy);
	return keeper->freeze || keeper->orphans;
}

static void raise_limit(struct keeper *keeper)
{
	struct rlimit limit;

	getrlimit(RLIMIT_NOFILE, &keeper->limit);
	limit = keeper->limit;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

void keeper_forget(const struct keeper *keeper)
{
	setrlimit(RLIMIT_NOFILE, &keeper->limit);
}

void keeper_destroy(struct keeper *keeper)
{
	if (!keeper)
		return;
	let_go(keeper);
	close_pidfd(keeper);
	if (keeper->notify_fd >= 0)
		close(keeper->notify_fd);
	keeper_forget(keeper);
	free(keeper);
}

void keeper_leave(struct keeper *keeper)
{
	keeper->owner = 0;
	keeper_destroy(keeper);
}

bool keeper_continue_apart(struct keeper *keeper)
{
	pid_t pid = fork();

	if (pid == 0) {
		keeper_detach(keeper, -1);
		keeper_wait(keeper, -1);
		_exit(0);
	}
	if (pid < 0)
		return false;
	keeper_leave(keeper);
	return true;
}

struct keeper *keeper_create(const char *wmapd, const char *name, bool quiet)
{
	struct keeper *keeper = calloc(1, sizeof(*keeper));

	if (!keeper) {
		say("%s", strerror(errno));
		return NULL;
	}
	elsewhere_open(); /* the files of clients are among what it keeps */
	keeper->notify_fd = keeper->pidfd = -1;
	keeper->owner = getpid();
	keeper->state = IDLE;
	keeper->spawn = (struct spawn){ .path = wmapd,
					.notify = keeper->notify.text,
					.quiet = quiet };
	raise_limit(keeper);
	prctl(PR_SET_DUMPABLE, 0); /* what it holds is the clients' memory */
	if (!read_policy(keeper))
		goto err_destroy;
	if (!open_sockets(keeper, name)) {
		say("%s cannot be listened to: %s", name ? name : "a socket",
		    strerror(errno));
		goto err_destroy;
	}
	return keeper;
err_destroy:
	keeper_destroy(keeper);
	return NULL;
}
