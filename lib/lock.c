/* SPDX-License-Identifier: MIT */
/* A futex, and all signals blocked while it is held (lock.h) */
#include <linux/futex.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lock.h"

static _Thread_local bool blocked;

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
}

/* No mask of the kernel's has every bit: SIGKILL is never blocked. */
#define NESTED (~UINT64_C(0))

void lock_signals_block(uint64_t *before)
{
	*before = NESTED;
	set_signals(~UINT64_C(0), before);
	blocked = true;
}

void lock_signals_restore(uint64_t before)
{
	if (before == NESTED)
		return;
	blocked = false;
	set_signals(before, NULL);
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
