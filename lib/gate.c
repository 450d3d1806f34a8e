/* SPDX-License-Identifier: MIT */
/* A count of who is inside, and a bit that it is closed, in one futex (gate.h) */
#include <linux/futex.h>
#include <limits.h>
#include <time.h>

#include "gate.h"
#include "internal.h"
#include "lock.h"
#include "sys.h"

#define CLOSED 0x80000000u

/* [a] entering acquires what leaving and opening released, and closing what
   leaving did. */
static _Atomic uint32_t word;

static _Thread_local unsigned depth;

/* @patience: 0, or ns; false: it has passed. */
static bool sleep_on(uint32_t seen, uint64_t patience)
{
	struct timespec most = { (time_t)(patience / 1000000000),
				 (long)(patience % 1000000000) };

	return sys_call(SYS_futex, &word, FUTEX_WAIT_PRIVATE, seen,
			patience ? &most : NULL) != -ETIMEDOUT;
}

static void wake_all(void)
{
	sys_call(SYS_futex, &word, FUTEX_WAKE_PRIVATE, INT_MAX);
}

void gate_enter(uint64_t *signals)
{
	uint32_t seen;

	lock_signals_block(signals);
	if (depth++)
		return;
	seen = atomic_load_explicit(&word, memory_order_relaxed);
	for (;;) {
		if (seen & CLOSED) {
			if (!sleep_on(seen, LOCK_LOOK_NS))
				lock_signals_let_end();
			seen = atomic_load_explicit(&word,
						    memory_order_relaxed);
		} else if (atomic_compare_exchange_weak_explicit(
				   &word, &seen, seen + 1, memory_order_acquire,
				   memory_order_relaxed)) {
			return;
		}
	}
}

void gate_leave(uint64_t signals)
{
	if (!--depth && atomic_fetch_sub_explicit(
				&word, 1, memory_order_release) == (CLOSED | 1))
		wake_all();
	lock_signals_restore(signals);
}

void gate_open(void)
{
	atomic_fetch_and_explicit(&word, ~CLOSED, memory_order_release);
	wake_all();
}

bool gate_close(uint64_t patience)
{
	uint32_t seen = CLOSED | atomic_fetch_or_explicit(&word, CLOSED,
							  memory_order_acquire);

	while (seen != CLOSED) {
		if (!sleep_on(seen, patience)) {
			gate_open();
			return false;
		}
		seen = atomic_load_explicit(&word, memory_order_acquire);
	}
	return true;
}

void gate_child(void)
{
	atomic_store_explicit(&word, 0, memory_order_relaxed);
}
