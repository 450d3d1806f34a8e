/* SPDX-License-Identifier: MIT */
/*
 * The pager as a thread of the program
 *
 * A message is on its sender's stack; the pager has it from the post to the
 * answer. Nothing here is locked, so that a call may be made from a signal
 * handler that interrupted another one.
 */
#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>

#include "client.h"
#include "lock.h"
#include "mem.h"
#include "message.h"
#include "moveout.h"
#include "pager.h"
#include "sys.h"
#include "thread.h"

static struct pager *pager; /* [c] while the thread runs */
static pthread_t thread;    /* likewise */
static unsigned features;   /* likewise */

/* ---- Messages ---------------------------------------------------------------- */

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
static bool stand_in(struct pager *to, struct message *message)
{
	uint64_t signals = 0;
	bool lent;

	if (!(STANDS_IN >> message->kind & 1))
		return false;
	lock_signals_block(&signals);
	lent = loop_borrow(to->loop);
	if (lent) {
		standing_in = true;
		message_handle(message);
		standing_in = false;
		loop_return(to->loop);
	}
	lock_signals_restore(signals);
	return lent;
}

int thread_call(struct message *message)
{
	struct pager *to = pager;

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

/* ---- Starting and stopping ----------------------------------------------------- */

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

	client_inside();
	lock_signals_are_blocked();
	pthread_setname_np(pthread_self(), "wmap-pager");
	error = loop_own(mine->loop);
	atomic_store_explicit(&start->result, error, memory_order_release);
	sys_call(SYS_futex, &start->result, FUTEX_WAKE_PRIVATE, 1);
	if (!error)
		pager_run(mine);
	return NULL;
}

static int start_thread(struct pager *new)
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

static void close_pager(struct pager *old)
{
	struct hints *hints = old->hints;

	pager_destroy(old);
	mem_free(hints, sizeof(*hints));
}

/* A pager for this process alone. */
static int open_pager(struct pager **result)
{
	unsigned of_loop;
	struct hints *hints;
	int error, fd = sys_uffd_open(&features);

	if (fd < 0)
		return fd;
	error = -ENOMEM;
	hints = mem_alloc(sizeof(*hints));
	if (!hints)
		goto err_uffd;
	error = pager_create(hints, result, &of_loop);
	if (error)
		goto err_hints;
	features |= of_loop;
	error = pager_space_create(*result, fd, features, &(*result)->home);
	if (error)
		goto err_pager;
	(*result)->home->home = true;
	(*result)->home->pagemap = (int)sys_call(SYS_openat, AT_FDCWD,
						 "/proc/self/pagemap",
						 O_RDONLY | O_CLOEXEC);
	return 0;

err_pager:
	pager_destroy(*result);
err_hints:
	mem_free(hints, sizeof(*hints));
err_uffd:
	sys_call(SYS_close, fd);
	return error;
}

int thread_start(int *uffd, unsigned *has, const struct hints **hints)
{
	struct pager *new;
	int error = open_pager(&new);

	if (error)
		return error;
	error = start_thread(new);
	if (error) {
		close_pager(new);
		return error;
	}
	pager = new;
	*uffd = new->home->uffd;
	*has = features;
	*hints = new->hints;
	return 0;
}

int thread_stop(void)
{
	struct message message = { .kind = MESSAGE_STOP };
	int error = thread_call(&message);

	if (error)
		return error;
	pthread_join(thread, NULL);
	close_pager(pager);
	pager = NULL;
	return 0;
}

static int tell(enum message_kind kind)
{
	struct message message = { .kind = kind };

	return thread_call(&message);
}

/* The uffd stays: the process's own. */
static void leave_thread(void)
{
	tell(MESSAGE_ABANDON);
	pthread_join(thread, NULL);
	pager->home->uffd = -1;
	close_pager(pager);
	pager = NULL;
}

int thread_before_fork(void)
{
	return tell(MESSAGE_UNDO);
}

void thread_in_parent(void)
{
	tell(MESSAGE_REDO);
}

int thread_move_out(const struct hints **hints)
{
	int error = tell(MESSAGE_LEAVE);
	uint64_t signals = 0;

	if (error)
		return error;
	lock_signals_block(&signals);
	while (!loop_borrow(pager->loop))
		sys_call(SYS_sched_yield);
	error = moveout(pager, hints);
	loop_return(pager->loop);
	lock_signals_restore(signals);
	if (error)
		tell(MESSAGE_STAY);
	else
		leave_thread();
	return error;
}

void thread_child(void)
{
	sys_call(SYS_close, pager->home->uffd);
	if (pager->home->pagemap >= 0)
		sys_call(SYS_close, pager->home->pagemap);
	follow_stop(&pager->follow);
	loop_child(pager->loop);
	pager = NULL;
}
