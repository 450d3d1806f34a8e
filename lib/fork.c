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
 *            show (guard.h). A child has a guard of its own soon after 7
 *   wmapd    each client's uffd; the other ends of the connections; each
 *            object's memfd and file; the ledger
 *   keeper   duplicates of all that wmapd holds, for its successor
 *
 * A mapping's memory is kept out of every fork (MADV_DONTFORK): a child that
 * runs no handlers (a raw clone) gets SIGSEGV there, never zeros that would then
 * be everybody's. Plain memory is not, as what is missing there is zeros; until
 * some of it has left for swap (swapaway.h): from then on it is as private
 * mappings in 3 to 6.
 *
 *      parent P                       wmapd              child C
 *   1  all signals blocked
 *   2  makes a connection:
 *      wmapd's end w, the child's c
 *      FORK(w) ────────────────────►  copies P's space: an embryo, bound to w;
 *                                     holds its objects
 *   3  private mappings: DOFORK
 *   4  fork ──────────────────────────────────────────►  has c, w, and copies of
 *                                                        P's other descriptors
 *   5  closes c                                          closes all but c
 *      private mappings: DONTFORK                        opens a uffd of its own
 *   6                                 pieces, memfds  ─► shared ones: maps the
 *                                     by w               memfd, registers
 *                                                        private ones (inherited
 *                                                        by 3): registers,
 *                                                        DONTFORK
 *   7  closes w              ◄──────  answers FORK       ATTACH(uffd) by c,
 *                                     embryo becomes  ◄─ waits for nothing
 *                                     C's space
 *   8  signals restored                                  signals restored
 *
 * wmapd does 2 and 6 while the kernel forks, so neither P nor C has to wait, as a
 * rule. Only where the kernel copies memory (private mappings, plain memory) P
 * waits for 7 before 4: what is known of its pages is copied before they are.
 *
 * What nobody asks again is read from its socket only when it is done: FORK, as P
 * may be killed, and ATTACH, as C does not wait. A successor finds it there. C
 * may fault before ATTACH is read: the kernel keeps the message in its uffd.
 *
 * What failure does at each step:
 *
 *   2  no wmapd, no memory: the fork goes on, the child has none of our
 *      mappings (SIGSEGV), as said by one line of the log
 *   4  fork fails: P closes c (5), nobody has it any more, wmapd forgets the
 *      embryo
 *   4+ C is killed before 7: likewise, as the last holder of c is gone
 *      P is killed: what it has left in its sockets is heard before its space
 *      goes; the embryo holds its objects itself
 *   5  no uffd can be had (C gave up a privilege): C takes away what 3 let it
 *      inherit and has none of our mappings
 *   6  a piece cannot be placed: its addresses stay empty: SIGSEGV
 *   7  wmapd is short of memory: it tries ATTACH again, C's faults wait
 *   *  wmapd is killed: the embryo is in the ledger and w in the keeper's hands,
 *      or FORK is still in its socket, or P asks again, with w, which it has
 *      kept; C, who waits for its pieces, asks again itself
 *   *  so is its keeper, before 7: likewise, but P's guard finds another first;
 *      if P is killed, too, c is hung up, and C has none of our mappings
 *   6+ so is its keeper, when P has its answer: c is hung up, what is in it is
 *      lost. C's guard finds the wmapd that P's has found, and hands over the
 *      uffd; P's, what C shows. If C is stopped meanwhile for longer than the
 *      rescue waits (rescue.c), or P is killed, too, what is not in memory is
 *      SIGBUS in C
 *   6  with more pieces than come at once, and some of them to come: likewise,
 *      but C, who waits for them, starts its guard for it; then it joins by its
 *      token there, and asks for the pieces from where it was
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
#include "lock.h"
#include "mem.h"
#include "ours.h"
#include "remote.h"
#include "sys.h"
#include "wire.h"

/* Of the fork under way: client_before_fork has everybody else wait. */
static struct {
	uint64_t signals; /* the mask of who forks */
	bool remote, lets_inherit;
} fork_now;

static void log_none(int error)
{
	log_line("fork: the child inherits no mapping (errno %d)", -error);
}

/* ---- In the parent ------------------------------------------------------------- */

static void advise(enum ours_kind kind, int advice)
{
	uint64_t start = 0, end = UINT64_MAX;

	while (ours_next_of(kind, &start, &end)) {
		sys_call(SYS_madvise, start, end - start, advice);
		start = end;
		end = UINT64_MAX;
	}
}

/* The private mappings of files, which the kernel copies or leaves out. */
static void advise_private(int advice)
{
	advise(OURS_PRIVATE, advice);
}

/* Plain memory, since some of it has left. Around a fork the agent, which keeps it
   out, is kept out of what is ours. */
static void advise_plain(int advice)
{
	if (guard_keeps_plain())
		advise(OURS_PLAIN, advice);
}

/* Is there memory that the kernel copies? What is known of its pages has to be
   copied before, or a page that came between would be taken for inherited. */
static bool is_any_copied(void)
{
	uint64_t start = 0, end = UINT64_MAX;

	return ours_next_of(OURS_PRIVATE, &start, &end) ||
	       ours_next_of(OURS_PLAIN, &start, &end);
}

static void ask(void)
{
	int error = remote_before_fork(is_any_copied());

	fork_now.lets_inherit = !error;
	if (fork_now.lets_inherit)
		advise_private(MADV_DOFORK);
}

static void keep_back(void)
{
	if (!fork_now.lets_inherit)
		return;
	advise_private(MADV_DONTFORK);
	advise_plain(MADV_DONTFORK);
}

static void before_fork(void)
{
	uint64_t signals = 0;

	lock_signals_block(&signals);
	fork_now.remote = client_before_fork();
	fork_now.signals = signals;
	if (fork_now.remote)
		ask();
	store_file_before_fork();
	ours_before_fork();
	if (fork_now.remote && fork_now.lets_inherit)
		advise_plain(MADV_DOFORK);
}

static void in_parent(void)
{
	int error = 0;

	ours_after_fork();
	store_file_after_fork(false);
	if (fork_now.remote) {
		keep_back();
		error = remote_in_parent();
	}
	if (error)
		log_none(error);
	client_in_parent();
	lock_signals_restore(fork_now.signals);
}

/* ---- In the child -------------------------------------------------------------- */

static uint64_t piece_length(const struct wire_piece *piece)
{
	return piece->length + (piece->growing ? PAGE : 0);
}

/* Not ours after all. */
static void drop(const struct wire_piece *piece)
{
	sys_unmap(piece->start, piece_length(piece));
	ours_remove(piece->start, piece->start + piece->length);
}

/* Nothing of ours is there: what was inherited must not be seen unregistered. */
static void lose(uint64_t from, uint64_t to)
{
	uint64_t start = from, end = to;

	while (ours_next(&start, &end)) {
		sys_unmap(start, end - start);
		ours_remove(start, end);
		start = end;
		end = to;
	}
}

/* The addresses of what is not placed yet are held; those that could not be, as
   something is there, are not ours. */
static bool is_held;

static void hold_range(uint64_t start, uint64_t end)
{
	uint64_t middle = page_down(start + (end - start) / 2);
	long at = sys_map(start, end - start, PROT_NONE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE |
				  MAP_FIXED_NOREPLACE,
			  -1, 0);

	if (!sys_failed(at))
		return;
	if (at == -EEXIST && middle > start) {
		hold_range(start, middle);
		hold_range(middle, end);
	} else {
		ours_remove(start, end);
	}
}

/* From @from on nothing is placed, and the guard is needed before it is: no memory
   that comes with a thread may be put there. */
static void hold(uint64_t from)
{
	uint64_t start = from, end = UINT64_MAX;

	while (!is_held && ours_next_of(OURS_SHARED, &start, &end)) {
		hold_range(start, end);
		start = end;
		end = UINT64_MAX;
	}
	is_held = true;
	guard_start_late();
}

static bool is_all_held(const struct wire_piece *piece)
{
	uint64_t start = piece->start, end = start + piece->length;

	return ours_next(&start, &end) && end - start == piece->length;
}

/* Nobody else is here to see it unregistered (the guard touches nothing of it): so it
   needs no protection that is changed afterwards. */
static int place_shared(const struct wire_piece *piece, int memfd)
{
	uint64_t length = piece_length(piece);
	bool over = is_held && !piece->growing;
	int error;
	long at;

	if (is_held && !is_all_held(piece)) {
		lose(piece->start, piece->start + piece->length);
		return -EEXIST;
	}
	/* The page that it grows into is not held. */
	if (is_held && piece->growing)
		sys_unmap(piece->start, piece->length);
	at = sys_map(piece->start, length, (int)piece->prot,
		     MAP_SHARED | MAP_NORESERVE |
			     (over ? MAP_FIXED : MAP_FIXED_NOREPLACE),
		     memfd, piece->offset);
	if (sys_failed(at))
		return (int)at;
	error = (int)sys_call(SYS_madvise, piece->start, length, MADV_DONTFORK);
	if (!error)
		error = uffd_register(client_uffd(), piece->start, length,
				      piece->modes);
	return error;
}

static int take_plain(const struct wire_piece *piece)
{
	return uffd_register(client_uffd(), piece->start, piece_length(piece),
			     piece->modes);
}

/* The page that it would grow into was not inherited. */
static int take_private(const struct wire_piece *piece, int memfd)
{
	int error = uffd_register(client_uffd(), piece->start, piece->length,
				  piece->modes);

	if (!error && piece->growing)
		sys_place(client_uffd(), piece->start + piece->length, PAGE,
			  (int)piece->prot, false, MAP_FIXED_NOREPLACE, memfd,
			  piece->offset + piece->length, piece->modes, false);
	return error;
}

static int place(const struct wire_piece *piece, int memfd)
{
	int error;

	if (memfd < 0)
		error = piece->shared ? -EMFILE : take_plain(piece);
	else if (piece->shared)
		error = place_shared(piece, memfd);
	else
		error = take_private(piece, memfd);
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

static void attach(void)
{
	int error = remote_in_child();

	is_held = false;
	/* After the parent's descriptors are closed: there may be no others. */
	if (!error)
		error = client_new_uffd();
	if (!error)
		error = remote_inherited(place, hold);
	if (!error)
		error = remote_attach_child(client_uffd());
	keep_back();
	if (!error) {
		guard_start_late();
		return;
	}
	log_none(error);
	lose(0, UINT64_MAX);
	guard_stop(); /* that C was hung up on may have started it */
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
