/* SPDX-License-Identifier: MIT */
/* A thread with a table of descriptors of its own (guard.h) */
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/close_range.h>
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "box.h"
#include "client.h"
#include "growth.h"
#include "guard.h"
#include "keep.h"
#include "lock.h"
#include "leaving.h"
#include "loop.h"
#include "message.h"
#include "ours.h"
#include "pagemap.h"
#include "remote.h"
#include "sys.h"
#include "wire.h"

#define PATIENCE 30000000000ull /* ns, until another wmapd serves */
#define DELAY_MS 20		/* of a fork's child: many are gone by then */
#define PAUSE_MS 5
#define LOOK_MS	 100 /* whether other threads are there */

/*
 * Too small under ThreadSanitizer, which has its own data there: no guard starts,
 * and the log tells. With a larger one it would see no order between a guard and
 * who has started a keeper, as it takes that clone for a fork (keep.c), and a
 * child's guard would be a thread after a fork, which it does not support.
 */
#define STACK_SIZE ((size_t)512 << 10)
#define STARTS	   50 /* of another wmapd, where others are quicker or it fails */

enum state { NONE, STARTING, GUARDING, ORPHANED, LOST };

static struct {
	_Atomic int state;
	_Atomic uint32_t round; /* a futex: changes with each end of ORPHANED */
	_Atomic bool stopping;
	_Atomic uint32_t hurry;	  /* a futex: a delayed one is needed now */
	_Atomic bool watching;	  /* the main thread has ended */
	_Atomic bool woken;	  /* and had us hung up on, to say so */
	_Atomic bool keeps_plain; /* plain memory has left: it is kept out of
				     forks that run no handlers */
	bool started;		  /* by who starts and stops: there is a */
	pthread_t thread;
	void *stack; /* a child has the memory of its parent's guard, too */
} guard;

/* Its destructor runs when the main thread ends before the process. */
static pthread_key_t main_key;

/* An object, as it was given. */
struct kept {
	uint64_t id;
	int memfd, file; /* file: or the box that it is in, or -1 */
	bool writes;	 /* the file is open for writing */
	unsigned turn;	 /* told of since wmapd last was another */
};

/* All the thread's own. A fork's child does not have the table. */
static struct {
	struct kept *table;
	size_t n, room;
	unsigned turn;
	int mirror, hints, uffd; /* or -1 */
	int fd;			 /* the connection that is attended to */
	bool agent;		 /* wmapd asks it to do things */
	uint64_t id;		 /* of the space, in the mirror */
	uint64_t request;	 /* number of the last one */
	unsigned starts;
	char command[PATH_MAX]; /* of wmap; or "" */
	char policy[16];	/* $WMAP_ORPHAN */
} mine;

/* ---- What is kept ------------------------------------------------------------------ */

static void close_fd(int *fd)
{
	if (*fd >= 0)
		sys_call(SYS_close, *fd);
	*fd = -1;
}

static bool make_room(void)
{
	size_t room = mine.room ? 2 * mine.room : PAGE / sizeof(struct kept);
	uint64_t size = page_up(room * sizeof(struct kept));
	long at;

	if (mine.n < mine.room)
		return true;
	at = sys_map_aside(size);
	if (sys_failed(at))
		return false;
	sys_call(SYS_madvise, at, size, MADV_DONTFORK);
	if (mine.n)
		memcpy((void *)at, mine.table, mine.n * sizeof(struct kept));
	if (mine.table)
		sys_unmap((uint64_t)mine.table,
			  page_up(mine.room * sizeof(struct kept)));
	mine.table = (struct kept *)at;
	mine.room = room;
	return true;
}

static void drop_at(size_t i)
{
	close_fd(&mine.table[i].memfd);
	close_fd(&mine.table[i].file);
	mine.table[i] = mine.table[--mine.n];
}

/* 0: all that wmapd has not told of again since it is another. */
static void drop(uint64_t id)
{
	for (size_t i = mine.n; i-- > 0;)
		if (id ? mine.table[i].id == id :
			 mine.table[i].turn != mine.turn)
			drop_at(i);
}

/* Takes the descriptors over. */
static void keep(uint64_t id, bool writes, int *fds, unsigned n_fds)
{
	struct kept kept = { id, n_fds ? fds[0] : -1, n_fds > 1 ? fds[1] : -1,
			     writes, mine.turn };

	drop(id);
	if (kept.memfd >= 0 && make_room()) {
		mine.table[mine.n++] = kept;
		return;
	}
	close_fd(&kept.memfd);
	close_fd(&kept.file);
}

/* ---- Asking ------------------------------------------------------------------------ */

static int ask(int fd, struct wire_request *request, const int *fds,
	       unsigned n_fds)
{
	request->magic = WIRE_MAGIC;
	request->id = ++mine.request;
	return wire_send(fd, request, sizeof(*request), NULL, 0, fds, n_fds, 0);
}

struct heard {
	struct wire_reply reply;
	struct wire_range ranges[WIRE_RANGES];
	size_t n_ranges;
	int fds[WIRE_FDS];
	unsigned n_fds;
};

static void let_go(struct heard *heard)
{
	while (heard->n_fds)
		sys_call(SYS_close, heard->fds[--heard->n_fds]);
}

/* The next packet; -ENOTCONN: there will be none. */
static int hear(int fd, struct heard *heard)
{
	const int least = sizeof(heard->reply);
	int n;

	heard->n_fds = WIRE_FDS;
	n = wire_receive(fd, &heard->reply, sizeof(heard->reply), heard->ranges,
			 sizeof(heard->ranges), heard->fds, &heard->n_fds, NULL,
			 0);
	heard->n_ranges = 0;
	if (n == -EMSGSIZE) { /* there is no room for its descriptors */
		let_go(heard);
		return 0;
	}
	if (n < least || heard->reply.magic != WIRE_MAGIC)
		return -ENOTCONN;
	heard->n_ranges = (size_t)(n - least) / sizeof(*heard->ranges);
	return 0;
}

/* ---- What wmapd says unasked ------------------------------------------------------- */

static int open_pagemap(void)
{
	if (sys_without("pagemap"))
		return -1;
	return (int)sys_call(SYS_openat, AT_FDCWD, "/proc/self/pagemap",
			     O_RDONLY | O_CLOEXEC);
}

static void leave_tables(uint64_t start, uint64_t end)
{
	sys_call(SYS_madvise, start, end - start, MADV_DONTNEED);
}

/* Out of this process's page tables, if it is shared memory of ours (of private
   memory that would lose what was stored); and say so. */
static void hide(int fd, const struct heard *heard)
{
	struct wire_request hidden = {
		.kind = WIRE_HIDDEN,
		.args = { heard->reply.args[0] },
	};
	int pagemap = -1;

	for (size_t i = 0; i < heard->n_ranges; i++) {
		const struct wire_range *range = &heard->ranges[i];

		ours_while(OURS_SHARED, range->start,
			   range->start + range->length, leave_tables);
	}
	if (heard->reply.args[1])
		pagemap = open_pagemap();
	ask(fd, &hidden, &pagemap, pagemap >= 0);
	close_fd(&pagemap);
}

/* ---- Swapping out (lib/swapaway.h) --------------------------------------------------- */

/* Of what is done while the range is ours. */
static struct {
	int memfd, pagemap;
	uint64_t copied; /* pages */
	bool done;
} away;

/* Its mapping is not for those who do not know what is missing. */
static void keep_from_forks(uint64_t start, uint64_t end)
{
	away.done = !sys_call(SYS_madvise, start, end - start, MADV_DONTFORK);
	if (away.done)
		guard.keeps_plain = true;
}

/* What is in memory from the first page on: who would read what is not there would
   wait for wmapd, and perhaps for himself. */
static void copy_out(uint64_t start, uint64_t end)
{
	uint64_t entries[LEAVING_PAGES], n = 0, got;
	uint64_t count = min_u64((end - start) >> PAGE_SHIFT, LEAVING_PAGES);
	long bytes = 0;

	got = pagemap_read(away.pagemap, start, count, entries);
	while (n < got && entries[n] & PAGEMAP_PRESENT)
		n++;
	if (n)
		bytes = sys_call(SYS_pwrite64, away.memfd, start,
				 n << PAGE_SHIFT, away.copied << PAGE_SHIFT);
	if (bytes > 0)
		away.copied += (uint64_t)bytes >> PAGE_SHIFT;
	away.done = bytes == (long)(end - start);
}

/* All of it? */
static bool leave_range(const struct wire_range *range,
			const struct wire_range *mapping)
{
	away.done = false;
	ours_while(OURS_PLAIN, mapping->start, mapping->start + mapping->length,
		   keep_from_forks);
	if (!away.done)
		return false;
	away.done = false;
	ours_while(OURS_PLAIN, range->start, range->start + range->length,
		   copy_out);
	return away.done;
}

static void leave(int fd, const struct heard *heard)
{
	struct wire_request left = {
		.kind = WIRE_LEFT,
		.args = { heard->reply.args[0] },
	};
	size_t i = 0;

	away.copied = 0;
	away.memfd = heard->fds[0];
	away.pagemap = open_pagemap();
	while (i + 1 < heard->n_ranges &&
	       leave_range(&heard->ranges[i], &heard->ranges[i + 1]))
		i += 2;
	close_fd(&away.pagemap);
	left.args[1] = away.copied;
	ask(fd, &left, NULL, 0);
}

static void drop_pages(uint64_t start, uint64_t end)
{
	away.done = !sys_call(SYS_madvise, start, end - start, MADV_DONTNEED);
}

static void take(int fd, const struct heard *heard)
{
	struct wire_request taken = {
		.kind = WIRE_TAKEN,
		.args = { heard->reply.args[0] },
	};

	for (size_t i = 0; i < heard->n_ranges; i++) {
		const struct wire_range *range = &heard->ranges[i];

		away.done = false;
		ours_while(OURS_PLAIN, range->start,
			   range->start + range->length, drop_pages);
		taken.args[1] |= (uint64_t)!away.done << i % 64;
	}
	ask(fd, &taken, NULL, 0);
}

static void obey(int fd, struct heard *heard)
{
	const struct wire_reply *reply = &heard->reply;

	if (reply->flags & WIRE_HIDE) {
		hide(fd, heard);
	} else if (reply->flags & WIRE_LEAVE && heard->n_fds == 1) {
		leave(fd, heard);
	} else if (reply->flags & WIRE_TAKE) {
		take(fd, heard);
	} else if (reply->flags & WIRE_KEEP) {
		keep(reply->args[0], reply->args[1], heard->fds, heard->n_fds);
		heard->n_fds = 0;
	} else if (reply->flags & WIRE_DROP) {
		drop(reply->args[0]);
	}
	let_go(heard);
}

/* Its result, or -ENOTCONN; -ERESTART: another wmapd is there, which may not have
   heard it. @heard has its descriptors. */
static int answer_to(int fd, uint64_t request, struct heard *heard)
{
	while (!hear(fd, heard)) {
		if (!heard->reply.flags && heard->reply.id == request)
			return (int)heard->reply.result;
		if (heard->reply.flags & WIRE_RESTARTED)
			return -ERESTART;
		obey(fd, heard);
	}
	return -ENOTCONN;
}

static int ask_for(int fd, struct wire_request *request, const int *fds,
		   unsigned n_fds)
{
	struct heard heard;
	int error = ask(fd, request, fds, n_fds);

	if (error)
		return -ENOTCONN;
	error = answer_to(fd, request->id, &heard);
	let_go(&heard);
	return error == -ERESTART ? -ENOTCONN : error;
}

/* ---- Guarding ---------------------------------------------------------------------- */

static void turn_to(enum state state)
{
	guard.state = state;
	if (state == ORPHANED)
		return;
	atomic_fetch_add(&guard.round, 1);
	sys_call(SYS_futex, &guard.round, FUTEX_WAKE_PRIVATE, INT_MAX);
}

/* The answer to GUARD: where to begin. Where there is no room for its descriptors
   others will have to begin. */
static void take_up(struct heard *heard)
{
	int *const places[] = { &mine.mirror, &mine.hints, &mine.uffd };
	bool all = heard->n_fds == lengthof(places);

	for (size_t i = 0; i < lengthof(places) && all; i++) {
		close_fd(places[i]);
		*places[i] = heard->fds[i];
	}
	if (all)
		heard->n_fds = 0;
	else
		log_line("no descriptors can be had for what another wmapd "
			 "would need of this process");
	if (guard.state == STARTING)
		turn_to(GUARDING);
	mine.id = heard->reply.args[0];
	mine.turn++;
}

/* For introduce: does it serve us, if only as an agent? */
static bool is_taken(int error)
{
	return !error || (error == -EPERM && mine.agent);
}

static int introduce(int fd)
{
	struct wire_request request = { .kind = WIRE_GUARD };
	struct heard heard = { .n_fds = 0 };
	int error;

	remote_token(request.args);
	do
		error = ask(fd, &request, NULL, 0) ?
				-ENOTCONN :
				answer_to(fd, request.id, &heard);
	while (error == -ERESTART);
	if (!error)
		take_up(&heard);
	mine.agent = error != -ENOTCONN && heard.reply.args[1];
	let_go(&heard);
	return error;
}

/* ---- Growing ----------------------------------------------------------------------- */

/* For growth.c: by the connection that is attended to. */
static int ask_to_grow(struct message *message)
{
	struct wire_request request;
	struct heard heard = { .n_fds = 0 };
	int error;

	wire_ask(message, &request);
	do {
		error = ask(mine.fd, &request, NULL, 0) ?
				-ENOTCONN :
				answer_to(mine.fd, request.id, &heard);
		if (error == -ERESTART && !is_taken(introduce(mine.fd)))
			error = -ENOTCONN;
		request.flags = WIRE_AGAIN;
	} while (error == -ERESTART);
	if (error != -ENOTCONN)
		wire_take(&heard.reply, message);
	message->grow.memfd = heard.n_fds ? heard.fds[--heard.n_fds] : -1;
	let_go(&heard);
	return error;
}

/* The process's uffd, if wmapd has not given it to us: that of the table that the
   other threads have. */
static void find_uffd(void)
{
	int pidfd;

	if (mine.uffd >= 0)
		return;
	pidfd = (int)sys_call(SYS_pidfd_open, sys_call(SYS_getpid), 0);
	mine.uffd = (int)sys_call(SYS_pidfd_getfd, pidfd, client_uffd(), 0);
	close_fd(&pidfd);
}

static int grow(const struct heard *heard)
{
	find_uffd();
	return growth_grow(heard->reply.args[0], &mine.uffd, ask_to_grow);
}

/* ---- Attending --------------------------------------------------------------------- */

/* But for the main thread's remains. */
static bool is_alone(void)
{
	char entries[1024];
	int fd = (int)sys_call(SYS_openat, AT_FDCWD, "/proc/self/task",
			       O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	long n = sys_call(SYS_getdents64, fd, entries, sizeof(entries));
	unsigned threads = 0;

	close_fd(&fd);
	for (long at = 0; at < n; threads++)
		at += ((struct dirent64 *)(void *)(entries + at))->d_reclen;
	return threads == 4; /* with . and .. */
}

/* A process ends with its last thread; glibc takes us for one of the program's. */
static void wait_for_word(int fd)
{
	struct pollfd one = { .fd = fd, .events = POLLIN };

	while (guard.watching && !sys_call(SYS_poll, &one, 1, LOOK_MS))
		if (is_alone())
			exit(0);
}

/* Until it is hung up, for whatever reason. */
static void attend(int fd)
{
	struct heard heard;

	mine.fd = fd;
	while (!growth_settle(ask_to_grow)) {
		wait_for_word(fd);
		if (hear(fd, &heard))
			return;
		if (heard.reply.flags & WIRE_RESTARTED &&
		    !is_taken(introduce(fd)))
			return;
		if (heard.reply.flags & WIRE_GROW && grow(&heard))
			return;
		obey(fd, &heard);
	}
}

/* ---- Handing over ------------------------------------------------------------------ */

static int hand(int fd, const struct kept *kept)
{
	struct wire_request request = {
		.kind = WIRE_HAND,
		.args = { kept->id, kept->writes },
	};
	int file = kept->file < 0 ? -1 : box_file(kept->file), error;
	int fds[2] = { kept->memfd, file < 0 ? kept->file : file };

	error = ask_for(fd, &request, fds, kept->file >= 0 ? 2 : 1);
	close_fd(&file);
	return error;
}

static int come(int fd)
{
	struct wire_request request = { .kind = WIRE_RESCUE };
	int fds[3] = { mine.uffd, mine.mirror, mine.hints }, error;
	unsigned n = mine.mirror >= 0 ? 3 : 1;

	request.args[0] = mine.id;
	remote_token(&request.args[1]);
	error = ask_for(fd, &request, fds, n);
	/* Of a wmapd before the last one: others have a better one. */
	if (error != -ESTALE)
		return error;
	close_fd(&mine.mirror);
	return -EAGAIN;
}

/* Wait until all is served again. */
static int await_word(int fd)
{
	struct heard heard;

	while (!hear(fd, &heard)) {
		let_go(&heard);
		if (heard.reply.flags & WIRE_RESTARTED)
			return 0;
	}
	return -ENOTCONN;
}

static int hand_over(int fd)
{
	struct wire_request done = { .kind = WIRE_HANDED };
	int error = come(fd);

	/* What is refused is another's, or no file any more: without it. */
	for (size_t i = 0; i < mine.n && !error; i++)
		if (hand(fd, &mine.table[i]) == -ENOTCONN)
			error = -ENOTCONN;
	if (!error)
		error = ask_for(fd, &done, NULL, 0);
	if (!error)
		error = await_word(fd);
	return error ? error : introduce(fd);
}

/* ---- Orphaned ---------------------------------------------------------------------- */

static void pause_for(int ms)
{
	sys_call(SYS_poll, NULL, 0, ms);
}

/* Who has nothing to begin with leaves that to others. */
static int start_another(int *keeper)
{
	int fd;

	if (mine.mirror < 0)
		return 0;
	if (!*mine.command || mine.starts++ == STARTS)
		return -ENOENT;
	fd = keep_rescue(mine.command, remote_address());
	if (fd >= 0)
		*keeper = fd;
	return 0;
}

/* -EAGAIN: once more; else it is decided. */
static int try_once(int *fd, int *keeper)
{
	int error;

	*fd = remote_connect();
	if (*fd < 0) {
		close_fd(keeper);
		error = start_another(keeper);
		return error ? error : -EAGAIN;
	}
	error = hand_over(*fd);
	if (error == -EBUSY) /* it serves: us, too? */
		error = introduce(*fd);
	if (error)
		close_fd(fd);
	return error == -ENOTCONN ? -EAGAIN : error;
}

/* A connection to another wmapd, which serves us; or a negative errno. */
static int find_another(void)
{
	uint64_t until = time_now() + PATIENCE;
	int fd = -1, keeper = -1, error;

	find_uffd();
	do {
		error = try_once(&fd, &keeper);
		if (error == -EAGAIN)
			pause_for(PAUSE_MS);
	} while (error == -EAGAIN && time_now() < until && !guard.stopping);
	close_fd(&keeper);
	return error ? error : fd;
}

/* ---- Lost -------------------------------------------------------------------------- */

static void refuse(const struct uffd_msg *message)
{
	uint64_t address = page_down(message->arg.pagefault.address), done;
	uint64_t flags = message->arg.pagefault.flags;
	int error;

	if (message->event != UFFD_EVENT_PAGEFAULT)
		return;
	if (flags & UFFD_PAGEFAULT_FLAG_WP)
		error = uffd_unprotect(mine.uffd, address, PAGE);
	else if (flags & UFFD_PAGEFAULT_FLAG_MINOR)
		error = uffd_continue(mine.uffd, address, PAGE, 0, &done);
	else
		error = uffd_poison(mine.uffd, address, PAGE, &done);
	if (error)
		uffd_wake(mine.uffd, address, PAGE);
}

static void wake_all(void)
{
	uint64_t start = 0, end = UINT64_MAX;

	while (ours_next(&start, &end)) {
		uffd_wake(mine.uffd, start, end - start);
		start = end;
		end = UINT64_MAX;
	}
}

/* What is in memory can be had; nothing else. */
static void be_lost(void)
{
	struct pollfd one = { .fd = mine.uffd, .events = POLLIN };
	struct uffd_msg message;

	wake_all();
	while (!guard.stopping) {
		sys_call(SYS_poll, &one, 1, 1000);
		while (sys_call(SYS_read, mine.uffd, &message,
				sizeof(message)) == sizeof(message))
			refuse(&message);
	}
}

/* ---- The thread -------------------------------------------------------------------- */

static bool is_policy(const char *name)
{
	return !strcmp(mine.policy, name);
}

static void wait_for_ever(void)
{
	while (!guard.stopping)
		pause_for(1000);
}

/* The connection after this one, or -1. */
static int be_orphaned(void)
{
	int fd = -ECANCELED;

	turn_to(ORPHANED);
	if (is_policy("freeze")) {
		wait_for_ever();
		return -1;
	}
	if (!is_policy("sigbus"))
		fd = find_another();
	if (guard.stopping)
		return -1;
	if (fd >= 0) {
		turn_to(GUARDING);
		return fd;
	}
	log_line("wmapd and its keeper are gone, and no other serves (errno "
		 "%d): what is not in memory is SIGBUS",
		 -fd);
	find_uffd();
	turn_to(LOST);
	growth_end();
	be_lost();
	return -1;
}

/*
 * The first connection, or the next to a wmapd that lives. One that dies before
 * its keeper knows of a connection takes it along. It may be out of memory for our
 * ATTACH (-EAGAIN), or give nothing to this user (-EPERM: then this thread is but
 * its agent). If it does not know us (-EPROTO), who served us is dead, and this one
 * has to be handed what we have.
 */
static int begin(void)
{
	int error = 0, fd;

	do {
		fd = remote_connect();
		if (fd < 0)
			return be_orphaned();
		error = introduce(fd);
		if (error == -EPERM)
			turn_to(NONE);
		if (is_taken(error) && !guard.stopping)
			return fd;
		close_fd(&fd);
		if (error == -EPROTO && !guard.stopping)
			return be_orphaned();
		if (error == -EAGAIN)
			pause_for(PAUSE_MS);
	} while ((error == -ENOTCONN || error == -EAGAIN) && !guard.stopping);
	turn_to(NONE);
	return -1;
}

/* Hung up on. */
static int begin_again(void)
{
	if (atomic_exchange(&guard.woken, false))
		return begin();
	return guard.state == NONE ? -1 : be_orphaned();
}

static void linger(void)
{
	struct timespec delay = { .tv_nsec = DELAY_MS * 1000000 };

	sys_call(SYS_futex, &guard.hurry, FUTEX_WAIT_PRIVATE, 0, &delay);
}

static void hurry(void)
{
	guard.hurry = 1;
	sys_call(SYS_futex, &guard.hurry, FUTEX_WAKE_PRIVATE, INT_MAX);
}

static void *run(void *unused)
{
	sigset_t all;
	int fd = -1;

	(void)unused;
	linger();
	if (guard.stopping)
		return NULL;
	/* But those that glibc has for itself: setuid(2) is for all threads. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, NULL);
	lock_signals_are_blocked();
	client_inside();
	pthread_setname_np(pthread_self(), "wmap-guard");
	if (!sys_call(SYS_close_range, 0, ~0u, CLOSE_RANGE_UNSHARE))
		fd = begin();
	else
		turn_to(NONE);
	while (fd >= 0) {
		attend(fd);
		close_fd(&fd);
		if (!guard.stopping)
			fd = begin_again();
	}
	growth_end();
	return NULL;
}

/* ---- For others -------------------------------------------------------------------- */

static void forget(void)
{
	mine.table = NULL;
	mine.n = mine.room = 0;
	mine.mirror = mine.hints = mine.uffd = -1;
	mine.id = 0;
	mine.starts = 0;
}

/* A fork's child has it from its parent. */
static void prepare(void)
{
	const char *policy = getenv("WMAP_ORPHAN");

	forget();
	if (!keep_find(mine.command))
		*mine.command = '\0';
	snprintf(mine.policy, sizeof(mine.policy), "%s", policy ? policy : "");
}

/* The main thread ends, and the process does not: the guard is woken by being hung
   up on, and looks from then on whether it is the last. */
static void main_ends(void *unused)
{
	(void)unused;
	guard.watching = guard.woken = true;
	if (guard.started)
		remote_unguard();
}

__attribute__((constructor)) static void know_the_main_thread(void)
{
	if (!pthread_key_create(&main_key, main_ends))
		pthread_setspecific(main_key, &guard);
}

static int start_thread(void)
{
	long stack = guard.stack ? (long)guard.stack :
				   sys_map_aside(STACK_SIZE);
	pthread_attr_t attributes;
	int error;

	if (sys_failed(stack))
		return -(int)stack;
	guard.stack = (void *)stack;
	pthread_attr_init(&attributes);
	error = pthread_attr_setstack(&attributes, guard.stack, STACK_SIZE);
	if (!error)
		error = pthread_create(&guard.thread, &attributes, run, NULL);
	pthread_attr_destroy(&attributes);
	return error;
}

/* What is mapped from now on it has. */
static void wait_until_it_guards(void)
{
	uint32_t round = guard.round;

	while (guard.state == STARTING) {
		sys_call(SYS_futex, &guard.round, FUTEX_WAIT_PRIVATE, round,
			 NULL);
		round = guard.round;
	}
}

static int start(void)
{
	int error;

	guard.stopping = guard.watching = guard.woken = false;
	guard.state = STARTING;
	pthread_setspecific(
		main_key,
		sys_call(SYS_gettid) == sys_call(SYS_getpid) ? &guard : NULL);
	error = start_thread();
	guard.started = !error;
	if (!error)
		return 0;
	guard.state = NONE;
	log_line("no thread can be had that would find another wmapd: %s",
		 strerrordesc_np(error));
	return -error;
}

void guard_start(void)
{
	prepare();
	guard.hurry = 1;
	if (!start())
		wait_until_it_guards();
}

void guard_start_late(void)
{
	if (guard.started)
		return;
	guard.hurry = 0;
	start();
}

void guard_await(void)
{
	hurry();
	wait_until_it_guards();
}

void guard_stop(void)
{
	if (!guard.started)
		return;
	guard.stopping = true;
	hurry();
	remote_unguard();
	pthread_join(guard.thread, NULL);
	guard.started = false;
	guard.state = NONE;
}

void guard_child(void)
{
	growth_child();
	guard.started = false;
	guard.state = NONE;
	forget();
}

bool guard_keeps_plain(void)
{
	return guard.keeps_plain;
}

uint32_t guard_round(void)
{
	return guard.round;
}

bool guard_searches(void)
{
	return guard.state == ORPHANED;
}

bool guard_wait(uint32_t round)
{
	const struct timespec look = { .tv_nsec = LOCK_LOOK_NS };

	hurry();
	while (guard.round == round) {
		if (guard.state == NONE || guard.state == LOST)
			return false;
		if (sys_call(SYS_futex, &guard.round, FUTEX_WAIT_PRIVATE, round,
			     &look) == -ETIMEDOUT)
			lock_signals_let_end();
	}
	return guard.state != LOST;
}
