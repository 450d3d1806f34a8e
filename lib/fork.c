/* SPDX-License-Identifier: MIT */
/*
 * Fork: the plan of descriptors and steps
 *
 * After a fork parent and child show the same shared pages, whoever touches one
 * first, and private ones are copies. Neither needs the other to live. A thread
 * could not page for both, so both have their pager in another process, wmapd.
 *
 * Who holds what, all the time:
 *
 *   client   its uffd (were wmapd's the last, its death would give sleepers
 *            zeros), its connections; its guard: duplicates of what its mappings
 *            show (guard.h). A child has a guard of its own after 7
 *   wmapd    each client's uffd; the other ends of the connections; each
 *            object's memfd and file; the ledger
 *   keeper   duplicates of all that wmapd holds, for its successor
 *
 * A mapping's memory is kept out of every fork (MADV_DONTFORK): a child that
 * runs no handlers (a raw clone) gets SIGSEGV there, never zeros that would then
 * be everybody's. Plain memory is not: what is missing there is zeros.
 *
 *      parent P                       wmapd              child C
 *   1  all signals blocked
 *   2  FORK ───────────────────────►  copies P's space: an embryo, bound to a
 *      ◄─────────────────── socket c  new socket pair; holds its objects
 *   3  private mappings: DOFORK
 *   4  fork ──────────────────────────────────────────►  has c, and copies of
 *                                                        P's other descriptors
 *   5  closes c                                          closes all but c
 *      private mappings: DONTFORK                        opens a uffd of its own
 *   6                                 embryo becomes  ◄─ ATTACH(uffd) by c
 *                                     C's space
 *   7                                 pieces, memfds  ─► shared ones: maps the
 *                                                        memfd, registers, sets
 *                                                        the protection
 *                                                        private ones (inherited
 *                                                        by 3): registers,
 *                                                        DONTFORK
 *   8  signals restored                                  signals restored
 *
 * What failure does at each step:
 *
 *   2  no wmapd, no memory: the fork goes on, the child has none of our
 *      mappings (SIGSEGV), as said by one line of the log
 *   4  fork fails: P closes c (5), nobody has it any more, wmapd forgets the
 *      embryo
 *   4+ C is killed before 6: likewise, as the last holder of c is gone
 *   5  P is killed: its space goes; the embryo holds its objects itself
 *   6  no uffd can be had (C gave up a privilege): C takes away what 3 let it
 *      inherit and has none of our mappings
 *   7  a piece cannot be placed: its addresses stay empty: SIGSEGV
 *      wmapd is killed: the embryo is in the ledger and c in the keeper's hands;
 *      C's request waits and is asked again. With its keeper: c is hung up, and
 *      C has none of our mappings
 *
 * Between 3 and 5 a raw clone by another thread inherits private mappings
 * unregistered: pages that it was not shown before are zeros there.
 *
 * With a pager thread and mappings alive the thread moves out first (moveout.c),
 * and then 1 to 8 follow.
 */
#include <pthread.h>
#include <sys/mman.h>

#include "client.h"
#include "fork.h"
#include "guard.h"
#include "internal.h"
#include "io.h"
#include "list.h"
#include "lock.h"
#include "mem.h"
#include "ours.h"
#include "pager.h"
#include "remote.h"
#include "sys.h"
#include "wire.h"

/* Addresses that the child inherits, for the time of the fork. */
struct inherited {
	struct list link;
	uint64_t start, length;
};

/* Of the fork under way: client_before_fork has everybody else wait. */
static struct {
	uint64_t signals; /* the mask of who forks */
	bool remote;
	int child; /* its connection, or a negative errno */
	struct list inherited;
} fork_now;

static uint64_t piece_length(const struct wire_piece *piece)
{
	return piece->length + (piece->growing ? PAGE : 0);
}

static bool is_inherited(const struct wire_piece *piece)
{
	return !piece->shared && piece->memfd >= 0;
}

/* ---- In the parent ------------------------------------------------------------- */

/* Parent and child must not both ask by the child's connection: so that the
   parent remembers. What it cannot remember the child does without. */
static int let_inherit(const struct wire_piece *piece, int memfd)
{
	struct inherited *inherited;

	(void)memfd;
	if (!is_inherited(piece))
		return 0;
	inherited = mem_alloc(sizeof(*inherited));
	if (!inherited)
		return 0;
	inherited->start = piece->start;
	inherited->length = piece_length(piece);
	list_add(&fork_now.inherited, &inherited->link);
	sys_call(SYS_madvise, inherited->start, inherited->length, MADV_DOFORK);
	return 0;
}

static void keep_back(void)
{
	list_for_each(inherited, &fork_now.inherited, struct inherited, link) {
		sys_call(SYS_madvise, inherited->start, inherited->length,
			 MADV_DONTFORK);
		mem_free(inherited, sizeof(*inherited));
	}
	list_init(&fork_now.inherited);
}

static void before_fork(void)
{
	uint64_t signals = 0;
	bool private = false;

	lock_signals_block(&signals);
	fork_now.remote = client_before_fork();
	fork_now.signals = signals;
	list_init(&fork_now.inherited);
	if (fork_now.remote) {
		fork_now.child = remote_before_fork(&private);
		if (fork_now.child >= 0 && private)
			remote_inherited(fork_now.child, let_inherit);
		else if (fork_now.child < 0)
			log_line("fork: the child inherits no mapping "
				 "(errno %d)",
				 -fork_now.child);
	}
	store_file_before_fork();
	ours_before_fork();
}

static void in_parent(void)
{
	ours_after_fork();
	store_file_after_fork(false);
	if (fork_now.remote) {
		keep_back();
		remote_in_parent(fork_now.child);
	}
	client_in_parent();
	lock_signals_restore(fork_now.signals);
}

/* ---- In the child -------------------------------------------------------------- */

/* Not ours after all. */
static void drop(const struct wire_piece *piece)
{
	sys_unmap(piece->start, piece_length(piece));
	ours_remove(piece->start, piece->start + piece->length);
}

static int place_shared(const struct wire_piece *piece, int memfd)
{
	return sys_place(client_uffd(), piece->start, piece_length(piece),
			 (int)piece->prot, true, MAP_FIXED_NOREPLACE, memfd,
			 piece->offset, piece->modes, false);
}

static int take_private(const struct wire_piece *piece)
{
	return uffd_register(client_uffd(), piece->start, piece_length(piece),
			     piece->modes);
}

static int place(const struct wire_piece *piece, int memfd)
{
	int error = -EMFILE;

	if (!piece->shared)
		error = take_private(piece);
	else if (memfd >= 0)
		error = place_shared(piece, memfd);
	/* What is there already is not ours. */
	if (error == -EEXIST)
		ours_remove(piece->start, piece->start + piece->length);
	else if (error)
		drop(piece);
	if (error)
		log_line("fork: no memory at %lx (errno %d)", piece->start,
			 -error);
	return 0;
}

/* Nothing of ours is there: what was inherited must not be seen unregistered. */
static void lose_all(void)
{
	uint64_t start = 0, end = UINT64_MAX;

	while (ours_next(&start, &end)) {
		sys_unmap(start, end - start);
		ours_remove(start, end);
		start = end;
		end = UINT64_MAX;
	}
}

static void attach(void)
{
	const struct hints *hints = NULL; /* what the parent had is here, too */
	int error = remote_in_child(fork_now.child);

	/* After the parent's descriptors are closed: there may be no others. */
	if (!error)
		error = client_new_uffd();
	if (!error)
		error = remote_attach(client_uffd(), &hints);
	if (hints)
		sys_unmap((uint64_t)hints, page_up(sizeof(*hints)));
	if (!error)
		error = remote_inherited(remote_socket(), place);
	keep_back();
	if (!error) {
		guard_start(false); /* whoever forks often waits for us */
		return;
	}
	log_line("fork: this child has none of its parent's mappings "
		 "(errno %d)",
		 -error);
	lose_all();
	remote_stop();
	client_lost();
}

static void in_child(void)
{
	mem_child();
	ours_after_fork();
	store_file_after_fork(true);
	client_in_child();
	if (fork_now.remote)
		attach();
	else
		ours_remove(0, UINT64_MAX);
	lock_signals_restore(fork_now.signals);
}

/* Before the program's own handlers are known: those of the child find what was
   inherited in its place. */
__attribute__((constructor)) static void prepare_early(void)
{
	fork_prepare();
}

int fork_prepare(void)
{
	static bool known;

	if (!known && pthread_atfork(before_fork, in_parent, in_child))
		return -ENOMEM;
	known = true;
	return 0;
}
