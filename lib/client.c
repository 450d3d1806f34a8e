/* SPDX-License-Identifier: MIT */
/*
 * The client: where the pager of this process runs, and calls to it
 *
 * Nothing here is locked but starting and stopping, so that a call may be made
 * from a signal handler that interrupted another one.
 */
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include "budget.h"
#include "client.h"
#include "fds.h"
#include "fork.h"
#include "gate.h"
#include "guard.h"
#include "keep.h"
#include "lock.h"
#include "loop.h"
#include "mem.h"
#include "message.h"
#include "ours.h"
#include "recall.h"
#include "remote.h"
#include "sys.h"
#include "thread.h"

/* Where this process's pager runs. Released when it is ready. */
enum way { NONE, THREAD, REMOTE };

static _Atomic int way; /* [a] changed under starting */
static pthread_mutex_t starting = PTHREAD_MUTEX_INITIALIZER;
static unsigned features;		  /* [c] while there is a way */
static int uffd = -1;			  /* likewise */
static const struct hints *_Atomic hints; /* [a] likewise, else NULL */

/* The hints of a wmapd whose client this process is not. */
enum { UNKNOWN, LOOKING, LOOKED };
static _Atomic int looking;
static const struct hints *_Atomic others; /* [a] released by looking */

/* This process. A child of vfork, or of a raw clone, is another: what it opens,
   and notes in our memory, would be its alone. */
static _Atomic int home;

/*
 * A page that the kernel wipes in every child that has memory of its own. If it
 * is blank, and no fork handler has run, what is here is the parent's: its
 * connections, and a uffd that would register addresses of the parent.
 */
static struct {
	_Alignas(4096) _Atomic bool ours;
	char rest[4095];
} here;

static void be_here(void)
{
	home = (int)sys_call(SYS_getpid);
	here.ours = true;
}

/*
 * Nobody is inside a pager that is being destroyed. A caller counts itself, then
 * looks whether one is stopping; who stops says so, then waits until nobody is
 * counted. Sequentially consistent, all of it: one of the two sees the other.
 */
static _Atomic unsigned callers;
static _Atomic bool stopping;

void client_lost(void)
{
	atomic_store_explicit(&hints, NULL, memory_order_relaxed);
	atomic_store_explicit(&way, NONE, memory_order_relaxed);
}

/* Calls this thread is in: more than one in a signal handler, which must not
   wait for who waits for what it interrupted. The pager's own is always in. */
static _Thread_local unsigned depth;

static void forget_others(void)
{
	pthread_mutex_init(&starting, NULL);
	gate_child();
	recall_child();
	be_here();
	if (looking == LOOKING)
		looking = UNKNOWN;
	atomic_store(&callers, 0);
	atomic_store(&stopping, false);
}

/* Descriptors stay open: whether their table is ours alone is not known. */
static void begin_anew(void)
{
	forget_others();
	depth = 0;
	mem_child();
	guard_child();
	remote_forget();
	ours_forget();
	client_lost();
}

/* In a child that ran no fork handlers begin anew. */
static inline void check_here(void)
{
	if (__builtin_expect(home && !here.ours, 0))
		begin_anew();
}

static enum way enter(void)
{
	check_here();
	atomic_fetch_add(&callers, 1);
	while (!depth && atomic_load(&stopping)) {
		atomic_fetch_sub(&callers, 1);
		sys_call(SYS_sched_yield);
		atomic_fetch_add(&callers, 1);
	}
	depth++;
	return (enum way)atomic_load_explicit(&way, memory_order_acquire);
}

static void leave(void)
{
	depth--;
	atomic_fetch_sub(&callers, 1);
}

void client_inside(void)
{
	depth = 1;
}

/* What has no form on a socket. */
#define THREADS_ONLY \
	(1u << MESSAGE_SWAP | 1u << MESSAGE_RECORD | 1u << MESSAGE_REPLAY)

static int call(enum way by, struct message *message)
{
	if (by == THREAD)
		return thread_call(message);
	if (by != REMOTE)
		return -ESRCH;
	return THREADS_ONLY >> message->kind & 1 ? -EOPNOTSUPP :
						   remote_call(message);
}

int client_call(struct message *message)
{
	int error = call(enter(), message);

	leave();
	return error;
}

unsigned client_features(void)
{
	return features;
}

int client_uffd(void)
{
	return uffd;
}

bool client_runs(void)
{
	return way != NONE;
}

bool client_is_remote(void)
{
	return way == REMOTE;
}

/* The thread's are the pager's own. */
void client_memfd_done(int memfd)
{
	if (memfd >= 0 && way == REMOTE)
		sys_call(SYS_close, memfd);
}

/* ---- Starting and stopping -----------------------------------------------------*/

static void signals_block(sigset_t *before)
{
	sigset_t all;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, before);
}

static void signals_restore(const sigset_t *before)
{
	pthread_sigmask(SIG_SETMASK, before, NULL);
}

/* ---- Fork: fork.c has the plan --------------------------------------------------- */

/* Until nobody is calling; false: somebody is, for too long. */
#define PATIENCE 1000000000ull /* ns */

static bool hold_calls(void)
{
	uint64_t until = time_now() + PATIENCE;

	atomic_store(&stopping, true);
	while (atomic_load(&callers))
		if (time_now() > until)
			return false;
		else
			sys_call(SYS_sched_yield);
	return true;
}

/* No call changes what is mapped. Under starting. */
static bool gated;
static bool swapless; /* nothing is in swap, until the fork is over */

static bool is_anything_mapped(void)
{
	uint64_t start = 0, end = UINT64_MAX;

	return ours_next(&start, &end);
}

/*
 * A thread cannot page for two processes. A fork from within a call (in a signal
 * handler, or in the pager itself) finds it as it is.
 */
static void move_out(int in_swap)
{
	const struct hints *new_hints;
	bool can = features & WMAP_FEATURE_POISON; /* by another process */
	int error = can ? -EDEADLK : -EOPNOTSUPP;

	if (in_swap)
		error = in_swap;
	else if (can && gated && hold_calls())
		error = thread_move_out(&new_hints);
	if (!error) {
		atomic_store_explicit(&hints, new_hints, memory_order_release);
		atomic_store_explicit(&way, REMOTE, memory_order_release);
		guard_start();
	} else {
		log_line("fork: the pager cannot move out (errno %d), the "
			 "child inherits no mapping",
			 -error);
	}
	atomic_store(&stopping, false);
}

bool client_before_fork(void)
{
	pthread_mutex_lock(&starting);
	gated = way == REMOTE;
	if (gated) {
		gate_close(0);
	} else if (way == THREAD && is_anything_mapped()) {
		gated = !depth && gate_close(PATIENCE);
		swapless = gated;
		move_out(gated ? thread_before_fork() : -EDEADLK);
	}
	return way == REMOTE;
}

void client_in_parent(void)
{
	if (swapless && way == THREAD)
		thread_in_parent();
	swapless = false;
	if (gated)
		gate_open();
	pthread_mutex_unlock(&starting);
}

void client_in_child(void)
{
	forget_others();
	guard_child();
	if (way != THREAD)
		return;
	thread_child();
	client_lost();
}

bool client_hold(uint64_t patience)
{
	if (pthread_mutex_trylock(&starting))
		return false;
	if (gate_close(patience))
		return true;
	pthread_mutex_unlock(&starting);
	return false;
}

void client_let_go(void)
{
	gate_open();
	pthread_mutex_unlock(&starting);
}

int client_new_uffd(void)
{
	sys_call(SYS_close, uffd);
	uffd = sys_uffd_open_again(&features);
	return uffd < 0 ? uffd : 0;
}

/* ---- Starting and stopping --------------------------------------------------------- */

static int start_remote(const char *address)
{
	const struct hints *new_hints = NULL;
	int error;

	uffd = sys_uffd_open(&features);
	if (uffd < 0)
		return uffd;
	error = features & WMAP_FEATURE_POISON ?
			remote_start(address, uffd, &new_hints) :
			-EOPNOTSUPP;
	if (error) {
		sys_call(SYS_close, uffd);
		return error;
	}
	atomic_store_explicit(&hints, new_hints, memory_order_release);
	atomic_store_explicit(&way, REMOTE, memory_order_release);
	guard_start();
	return 0;
}

static int start_thread(void)
{
	const struct hints *new_hints;
	int error = thread_start(&uffd, &features, &new_hints);

	if (error)
		return error;
	atomic_store_explicit(&hints, new_hints, memory_order_release);
	atomic_store_explicit(&way, THREAD, memory_order_release);
	recall_tell();
	return 0;
}

/* ---- Where --------------------------------------------------------------------------- */

#define ADDRESS_SIZE 108

static char chosen[ADDRESS_SIZE]; /* [l] starting; by wmap_pager_set */

static bool is_address(const char *where)
{
	return (*where == '@' || *where == '/') && where[1];
}

static bool is_place(const char *where)
{
	return !strcmp(where, "thread") || !strcmp(where, "private") ||
	       !strcmp(where, "daemon") || is_address(where);
}

/* As called for, else as $WMAP_PAGER has it, else as `wmap run` does. */
static const char *place(void)
{
	const char *where = *chosen ? chosen : getenv("WMAP_PAGER");

	if (!where || !*where)
		where = getenv("WMAP_SOCKET");
	return where && *where ? where : "thread";
}

static int start_daemons(void)
{
	const char *directory = getenv("XDG_RUNTIME_DIR");
	char address[ADDRESS_SIZE];
	int n;

	if (geteuid() == 0)
		directory = "/run";
	if (!directory || !*directory)
		return -ENOENT;
	n = snprintf(address, sizeof(address), "%s/wmap.sock", directory);
	return n < ADDRESS_SIZE ? start_remote(address) : -ENAMETOOLONG;
}

/* It ends with the last of the processes that come of this one. */
static int start_private(void)
{
	char address[KEEP_ADDRESS_SIZE];
	uint64_t memory; /* noted there, for its environment */
	int error = budget_from_environment(&memory), keeper;

	if (error)
		return error;
	keeper = keep_start(address);
	if (keeper < 0)
		return keeper;
	error = start_remote(address);
	sys_call(SYS_close, keeper);
	return error;
}

static int start_at(const char *where)
{
	if (!is_place(where)) {
		log_line("%s is no pager: it is thread, private, daemon, or an "
			 "address, @NAME or /PATH",
			 where);
		return -EINVAL;
	}
	if (!strcmp(where, "thread"))
		return start_thread();
	if (!strcmp(where, "private"))
		return start_private();
	recall_refused();
	if (!strcmp(where, "daemon"))
		return start_daemons();
	return start_remote(where);
}

static int start(void)
{
	int error = fork_prepare();

	recall_prepare();
	if (!error)
		error = start_at(place());
	if (error != -EOPNOTSUPP)
		return error;
	log_line("wmapd needs UFFDIO_POISON (Linux 6.6): a thread pages");
	return start_thread();
}

/* ---- Hints for who has mapped nothing --------------------------------------------- */

__attribute__((constructor)) static void at_home(void)
{
	if (!sys_call(SYS_madvise, &here, sizeof(here), MADV_WIPEONFORK))
		be_here();
}

static bool is_home(void)
{
	return home == (int)sys_call(SYS_getpid);
}

static void look(void)
{
	const char *address = getenv("WMAP_SOCKET");
	const struct hints *found = NULL;

	if (address && *address && !remote_hints(address, &found))
		atomic_store(&others, found);
}

const struct hints *client_hints(void)
{
	const struct hints *mine =
		atomic_load_explicit(&hints, memory_order_acquire);
	int unknown = UNKNOWN;
	uint64_t signals;

	check_here();
	if (mine && way != NONE)
		return mine;
	if (atomic_load(&looking) != LOOKED && is_home()) {
		lock_signals_block(&signals);
		if (atomic_compare_exchange_strong(&looking, &unknown,
						   LOOKING)) {
			look();
			atomic_store(&looking, LOOKED);
		}
		lock_signals_restore(signals);
		while (atomic_load(&looking) != LOOKED)
			sys_call(SYS_sched_yield);
	}
	return atomic_load(&others);
}

bool client_can_tell(void)
{
	return way != NONE || (is_home() && !client_start());
}

int client_choose(const char *where)
{
	int error = 0;

	if (!is_place(where))
		return -EINVAL;
	if (strlen(where) >= sizeof(chosen))
		return -ENAMETOOLONG;
	pthread_mutex_lock(&starting);
	if (way != NONE)
		error = -EBUSY;
	else
		strcpy(chosen, where);
	pthread_mutex_unlock(&starting);
	return error;
}

int client_start(void)
{
	sigset_t before;
	int error = 0;

	check_here();
	if (way != NONE)
		return 0;
	signals_block(&before); /* the new thread inherits that */
	pthread_mutex_lock(&starting);
	if (way == NONE)
		error = start();
	pthread_mutex_unlock(&starting);
	signals_restore(&before);
	return error;
}

static int stop_remote(void)
{
	guard_stop();
	remote_stop();
	sys_call(SYS_close, uffd);
	return 0;
}

/* With mappings there may be calls that take long: those are not waited for. */
static int stop_now(enum way by)
{
	struct message look = { .kind = MESSAGE_LIST };
	int error = call(by, &look);

	if (error || look.list.total)
		return error ? error : -EBUSY;
	atomic_store(&stopping, true);
	while (atomic_load(&callers))
		sys_call(SYS_sched_yield);
	error = by == THREAD ? thread_stop() : stop_remote();
	if (!error)
		client_lost();
	atomic_store(&stopping, false);
	return error;
}

int client_stop(void)
{
	sigset_t before;
	int error = 0;

	signals_block(&before);
	pthread_mutex_lock(&starting);
	if (way != NONE)
		error = stop_now((enum way)way);
	pthread_mutex_unlock(&starting);
	signals_restore(&before);
	return error;
}

/* ---- Descriptors ------------------------------------------------------------------ */

int wmap_fd_next(int from)
{
	int lowest;

	check_here();
	if (way == NONE)
		return -1;
	lowest = way == REMOTE ? remote_fd(from) : fds_next(from);
	if (uffd >= from && uffd < lowest)
		lowest = uffd;
	if (recall_fd(from) < lowest)
		lowest = recall_fd(from);
	return lowest == INT_MAX ? -1 : lowest;
}

/* In vfork's child the descriptors are its own, and our notes its parent's. What
   is a pager thread's may be in use. */
bool wmap_fd_yield(int fd)
{
	uint64_t signals;

	if (way == NONE || !is_home())
		return true;
	if (way == THREAD)
		return false;
	lock_signals_block(&signals);
	pthread_mutex_lock(&starting);
	gate_close(0);
	if (fd == uffd)
		uffd = (int)sys_call(SYS_fcntl, fd, F_DUPFD_CLOEXEC, 0);
	else
		remote_fd_yield(fd);
	recall_fd_yield(fd);
	gate_open();
	pthread_mutex_unlock(&starting);
	lock_signals_restore(signals);
	return true;
}

/* ---- For all ---------------------------------------------------------------------*/

/* Between our memory and the caller's, where either may fault: -EFAULT. */
static int copy(long number, void *ours, void *theirs, size_t size)
{
	struct iovec local = { .iov_base = ours, .iov_len = size };
	struct iovec remote = { .iov_base = theirs, .iov_len = size };
	long n = sys_call(number, getpid(), &local, 1, &remote, 1, 0);

	if (n == (long)size)
		return 0;
	return n >= 0 ? -EFAULT : (int)n;
}

int client_copy_out(void *to, const void *buffer, size_t size)
{
	void *ours = (void *)(uintptr_t)buffer;
	int error = copy(SYS_process_vm_writev, ours, to, size);

	if (!error || error == -EFAULT || !to)
		return error ? -EFAULT : 0;
	memcpy(to, buffer, size); /* forbidden here: then without the check */
	return 0;
}

int client_copy_in(void *buffer, const void *from, size_t size)
{
	void *theirs = (void *)(uintptr_t)from;
	int error = copy(SYS_process_vm_readv, buffer, theirs, size);

	if (!error || error == -EFAULT || !from)
		return error ? -EFAULT : 0;
	memcpy(buffer, from, size);
	return 0;
}

bool wmap_range_next(const void *addr, size_t length, void **start,
		     size_t *piece_length)
{
	uint64_t from = (uint64_t)addr, to = from + length;

	check_here();
	if (to < from || !ours_next(&from, &to))
		return false;
	*start = (void *)from;
	*piece_length = to - from;
	return true;
}

bool wmap_range_ours(const void *addr, size_t length)
{
	void *start;
	size_t piece;

	return wmap_range_next(addr, length, &start, &piece);
}

int wmap_sync_all(void)
{
	struct message message = {
		.kind = MESSAGE_SYNC,
		.sync = { .all = true, .wait = true },
	};
	int error = client_call(&message);

	if (!error || error == -ESRCH)
		return 0;
	errno = -error;
	return -1;
}

/* What was stored reaches its file when the program exits. */
__attribute__((destructor)) static void at_exit(void)
{
	wmap_sync_all();
	recall_end();
}
