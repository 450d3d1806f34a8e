/* SPDX-License-Identifier: MIT */
/*
 * The client's side of the pager: starting it, messages, fork and exit
 *
 * A message is on its sender's stack; the pager has it from the post to the
 * answer. Nothing here is locked but starting and stopping, so that a call may
 * be made from a signal handler that interrupted another one.
 */
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "client.h"
#include "lock.h"
#include "mem.h"
#include "message.h"
#include "ours.h"
#include "pager.h"
#include "sys.h"

/* Acquired by senders; released when the thread owns its loop. */
static struct pager *_Atomic running;
static pthread_mutex_t starting = PTHREAD_MUTEX_INITIALIZER;
static pthread_t thread;      /* [l] starting */
static unsigned features;     /* [c] while running */
static int uffd = -1;	      /* [c] likewise */
static uint64_t fork_signals; /* [l] starting: the mask of who forks */

/*
 * Nobody is inside a pager that is being destroyed. A caller counts itself, then
 * looks whether one is stopping; who stops says so, then waits until nobody is
 * counted. Sequentially consistent, all of it: one of the two sees the other.
 */
static _Atomic unsigned callers;
static _Atomic bool stopping;

/* Calls this thread is in: more than one in a signal handler, which must not
   wait for who waits for what it interrupted. The pager's own is always in. */
static _Thread_local unsigned depth;

static struct pager *pager_enter(void)
{
	atomic_fetch_add(&callers, 1);
	while (!depth && atomic_load(&stopping)) {
		atomic_fetch_sub(&callers, 1);
		sys_call(SYS_sched_yield);
		atomic_fetch_add(&callers, 1);
	}
	depth++;
	return atomic_load_explicit(&running, memory_order_acquire);
}

static void pager_leave(void)
{
	depth--;
	atomic_fetch_sub(&callers, 1);
}

struct pager *client_pager(void)
{
	return atomic_load_explicit(&running, memory_order_acquire);
}

unsigned client_features(void)
{
	return features;
}

int client_uffd(void)
{
	return uffd;
}

/* ---- Messages ----------------------------------------------------------------*/

static void run_message(struct post *post)
{
	struct message *message = container_of(post, struct message, post);

	message_handle(message);
}

/*
 * The pager often answers within microseconds, while going to sleep and being
 * woken on another CPU takes tens of them: so first let others run, and look.
 */
#define LOOKS 40

static bool answered(struct message *message)
{
	return atomic_load_explicit(&message->state, memory_order_acquire) ==
	       MESSAGE_ANSWERED;
}

static void sleep_on(struct message *message)
{
	uint32_t sent = MESSAGE_SENT;

	/* Fails if the answer came meanwhile, or after a spurious wake. */
	atomic_compare_exchange_strong_explicit(&message->state, &sent,
						MESSAGE_SLEPT_ON,
						memory_order_relaxed,
						memory_order_relaxed);
	sys_call(SYS_futex, &message->state, FUTEX_WAIT_PRIVATE,
		 MESSAGE_SLEPT_ON, NULL);
}

static void wait_for(struct message *message)
{
	for (int i = 0; i < LOOKS; i++) {
		for (int k = 0; k < 16; k++) {
			if (answered(message))
				return;
			__builtin_ia32_pause();
		}
		sys_call(SYS_sched_yield);
	}
	while (!answered(message))
		sleep_on(message);
}

/* A store's function that is called meanwhile cannot wait for the pager. */
static _Thread_local bool standing_in;

/* Short, and often made: mapping and unmapping. */
#define STANDS_IN (1u << MESSAGE_MAP | 1u << MESSAGE_UNMAP)

/*
 * If the pager sleeps, do its work for this message in its place: it would have
 * to be woken for it, mostly on another CPU, and then to wake us. What takes
 * longer it goes on with itself, and answers.
 */
static bool stand_in(struct pager *pager, struct message *message)
{
	uint64_t signals = 0;
	bool lent;

	if (!(STANDS_IN >> message->kind & 1))
		return false;
	lock_signals_block(&signals);
	lent = loop_borrow(pager->loop);
	if (lent) {
		standing_in = true;
		message_handle(message);
		standing_in = false;
		loop_return(pager->loop);
	}
	lock_signals_restore(signals);
	return lent;
}

static int call(struct pager *to, struct message *message)
{
	if (!to)
		return -ESRCH;
	if (loop_is_owner(to->loop) || standing_in)
		return -EDEADLK;
	message->pager = to;
	message->space = to->home;
	message->post.run = run_message;
	atomic_store_explicit(&message->state, MESSAGE_SENT,
			      memory_order_relaxed);
	if (!stand_in(to, message))
		loop_post(to->loop, &message->post);
	wait_for(message);
	return message->result;
}

int client_call(struct message *message)
{
	int error = call(pager_enter(), message);

	pager_leave();
	return error;
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

/* What the new thread is told, and tells. */
struct start {
	struct pager *pager;
	_Atomic int result; /* 1: not yet. Released with the loop owned */
};

static void *run(void *argument)
{
	struct start *start = argument;
	struct pager *mine = start->pager;
	int error;

	depth = 1;
	lock_signals_are_blocked();
	pthread_setname_np(pthread_self(), "wmap-pager");
	error = loop_own(mine->loop);
	atomic_store_explicit(&start->result, error, memory_order_release);
	sys_call(SYS_futex, &start->result, FUTEX_WAKE_PRIVATE, 1);
	if (!error)
		pager_run(mine);
	return NULL;
}

static int thread_start(struct pager *new)
{
	struct start start = { .pager = new, .result = 1 };
	int error = pthread_create(&thread, NULL, run, &start);

	if (error)
		return -error;
	while (atomic_load_explicit(&start.result, memory_order_acquire) == 1)
		sys_call(SYS_futex, &start.result, FUTEX_WAIT_PRIVATE, 1, NULL);
	if (start.result)
		pthread_join(thread, NULL);
	return start.result;
}

/*
 * A fork's child has memory that looks like a pager's, and descriptors of it,
 * but no thread: it forgets them. It gets a pager of its own when it maps.
 */
static void in_child(void)
{
	struct pager *parents = client_pager();

	pthread_mutex_init(&starting, NULL);
	atomic_store(&callers, 0);
	atomic_store(&stopping, false);
	mem_child();
	ours_after_fork();
	ours_remove(0, UINT64_MAX);
	store_file_after_fork(true);
	atomic_store_explicit(&running, NULL, memory_order_relaxed);
	if (parents) {
		sys_call(SYS_close, uffd);
		loop_child(parents->loop);
	}
	lock_signals_restore(fork_signals);
}

static void before_fork(void)
{
	uint64_t signals = 0;

	pthread_mutex_lock(&starting);
	lock_signals_block(&signals);
	fork_signals = signals;
	store_file_before_fork();
	ours_before_fork();
}

static void in_parent(void)
{
	ours_after_fork();
	store_file_after_fork(false);
	lock_signals_restore(fork_signals);
	pthread_mutex_unlock(&starting);
}

/* A pager for this process alone. */
static int pager_open(struct pager **result)
{
	unsigned of_loop;
	int error, fd = sys_uffd_open(&features);

	if (fd < 0)
		return fd;
	error = pager_create(result, &of_loop);
	if (error)
		goto err_uffd;
	features |= of_loop;
	error = pager_space_create(*result, fd, features, &(*result)->home);
	if (error)
		goto err_pager;
	(*result)->home->home = true;
	uffd = fd;
	return 0;

err_pager:
	pager_destroy(*result);
err_uffd:
	sys_call(SYS_close, fd);
	return error;
}

static int start(void)
{
	static bool forks_known;
	struct pager *new;
	int error;

	if (!forks_known && pthread_atfork(before_fork, in_parent, in_child))
		return -ENOMEM;
	forks_known = true;
	error = pager_open(&new);
	if (error)
		return error;
	error = thread_start(new);
	if (error)
		pager_destroy(new);
	else
		atomic_store_explicit(&running, new, memory_order_release);
	return error;
}

int client_start(void)
{
	sigset_t before;
	int error = 0;

	if (client_pager())
		return 0;
	signals_block(&before); /* the new thread inherits that */
	pthread_mutex_lock(&starting);
	if (!client_pager())
		error = start();
	pthread_mutex_unlock(&starting);
	signals_restore(&before);
	return error;
}

/* With mappings there may be calls that take long: those are not waited for. */
static int stop_now(struct pager *old)
{
	struct message look = { .kind = MESSAGE_LIST };
	struct message message = { .kind = MESSAGE_STOP };
	int error = call(old, &look);

	if (error || look.list.total)
		return error ? error : -EBUSY;
	atomic_store(&stopping, true);
	while (atomic_load(&callers))
		sys_call(SYS_sched_yield);
	error = call(old, &message);
	if (!error) {
		atomic_store_explicit(&running, NULL, memory_order_release);
		pthread_join(thread, NULL);
		pager_destroy(old);
	}
	atomic_store(&stopping, false);
	return error;
}

int client_stop(void)
{
	sigset_t before;
	int error = 0;

	signals_block(&before);
	pthread_mutex_lock(&starting);
	if (client_pager())
		error = stop_now(client_pager());
	pthread_mutex_unlock(&starting);
	signals_restore(&before);
	return error;
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
}
