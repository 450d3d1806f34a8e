/* SPDX-License-Identifier: MIT */
/* A futex, and all signals blocked while it is held (lock.h) */
#include <linux/futex.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lock.h"

static _Thread_local bool blocked;
static _Thread_local uint64_t outer; /* what is the thread's own, while it is */

/* Straight to the kernel: glibc's own function leaves two signals out. */
static void set_signals(uint64_t mask, uint64_t *before)
{
	if (!blocked)
		syscall(SYS_rt_sigprocmask, SIG_SETMASK, &mask, before,
			sizeof(mask));
}

void lock_signals_are_blocked(void)
{
	blocked = true;
	outer = ~UINT64_C(0);
}

/* No mask of the kernel's has every bit: SIGKILL is never blocked. */
#define NESTED (~UINT64_C(0))

void lock_signals_block(uint64_t *before)
{
	*before = NESTED;
	set_signals(~UINT64_C(0), before);
	if (!blocked)
		outer = *before;
	blocked = true;
}

void lock_signals_restore(uint64_t before)
{
	if (before == NESTED)
		return;
	blocked = false;
	set_signals(before, NULL);
}

/*
 * It may be handled by the time that it is let through, if another thread says so
 * just then: for that the handler runs in the middle of what is done here.
 */
static void let_end(int signal)
{
	uint64_t one = UINT64_C(1) << (signal - 1);
	struct sigaction action;

	if (outer & one || sigaction(signal, NULL, &action) ||
	    action.sa_handler != SIG_DFL)
		return;
	syscall(SYS_rt_sigprocmask, SIG_UNBLOCK, &one, NULL, sizeof(one));
	syscall(SYS_rt_sigprocmask, SIG_BLOCK, &one, NULL, sizeof(one));
}

void lock_signals_let_end(void)
{
	static const int ends[] = { SIGHUP, SIGINT, SIGQUIT, SIGTERM };
	uint64_t pending = 0;

	syscall(SYS_rt_sigpending, &pending, sizeof(pending));
	for (size_t i = 0; i < sizeof(ends) / sizeof(*ends); i++)
		if (pending >> (ends[i] - 1) & 1)
			let_end(ends[i]);
}

void lock_take(struct lock *lock)
{
	uint64_t before = 0;
	uint32_t was = 0;

	set_signals(~UINT64_C(0), &before);
	if (!atomic_compare_exchange_strong_explicit(&lock->word, &was, 1,
						     memory_order_acquire,
						     memory_order_relaxed))
		while (atomic_exchange_explicit(&lock->word, 2,
						memory_order_acquire))
			syscall(SYS_futex, &lock->word, FUTEX_WAIT_PRIVATE, 2,
				NULL);
	lock->signals = before;
}

void lock_drop(struct lock *lock)
{
	uint64_t before = lock->signals;

	if (atomic_exchange_explicit(&lock->word, 0, memory_order_release) == 2)
		syscall(SYS_futex, &lock->word, FUTEX_WAKE_PRIVATE, 1);
	set_signals(before, NULL);
}
