/* SPDX-License-Identifier: MIT */
/*
 * Which addresses are ours: a sorted array, read under a sequence count
 *
 * The count is odd while the array changes. A reader's loads of the entries are
 * acquire, so that its second load of the count comes after them; the writer's
 * stores are release, so that they come after the count became odd.
 *
 * The array is as long as it can ever get (as many pieces as a process can have
 * mappings), so it never moves; what of it is not used costs addresses only.
 */
#include <string.h>
#include <sys/mman.h>

#include "lock.h"
#include "ours.h"
#include "sys.h"

#define LIMIT ((size_t)1 << 20)

struct range {
	_Atomic uint64_t start, end; /* [l] changed; see above */
	_Atomic unsigned kind;	     /* likewise */
};

static struct lock lock;
static struct range *_Atomic ranges; /* [c] once it is there */
static _Atomic size_t n;	     /* [l] changed; likewise */
static _Atomic unsigned sequence;

static uint64_t start_of(size_t i)
{
	return atomic_load_explicit(&ranges[i].start, memory_order_acquire);
}

static uint64_t end_of(size_t i)
{
	return atomic_load_explicit(&ranges[i].end, memory_order_acquire);
}

static enum ours_kind kind_of(size_t i)
{
	return (enum ours_kind)atomic_load_explicit(&ranges[i].kind,
						    memory_order_acquire);
}

static void set(size_t i, uint64_t start, uint64_t end, enum ours_kind kind)
{
	atomic_store_explicit(&ranges[i].start, start, memory_order_release);
	atomic_store_explicit(&ranges[i].end, end, memory_order_release);
	atomic_store_explicit(&ranges[i].kind, kind, memory_order_release);
}

static void copy(size_t to, size_t from)
{
	set(to, start_of(from), end_of(from), kind_of(from));
}

/* The first of @count entries that ends above @address. */
static size_t lower(size_t count, uint64_t address)
{
	size_t low = 0;

	while (low < count) {
		size_t middle = (low + count) / 2;

		if (end_of(middle) <= address)
			low = middle + 1;
		else
			count = middle;
	}
	return low;
}

/* ---- Changing: under the lock ------------------------------------------------ */

static void change_begin(void)
{
	unsigned now;

	lock_take(&lock);
	now = atomic_load_explicit(&sequence, memory_order_relaxed);
	atomic_store_explicit(&sequence, now + 1, memory_order_relaxed);
}

static void change_end(void)
{
	unsigned now = atomic_load_explicit(&sequence, memory_order_relaxed);

	atomic_store_explicit(&sequence, now + 1, memory_order_release);
	lock_drop(&lock);
}

static void set_count(size_t count)
{
	atomic_store_explicit(&n, count, memory_order_release);
}

/* Replace the entries [from, to) by one. */
static void replace(size_t from, size_t to, uint64_t start, uint64_t end,
		    enum ours_kind kind)
{
	size_t count = n;

	if (from == to) {
		for (size_t i = count; i > from; i--)
			copy(i, i - 1);
		set_count(count + 1);
	} else {
		for (size_t i = to; i < count; i++)
			copy(from + 1 + i - to, i);
		set_count(count - (to - from - 1));
	}
	set(from, start, end, kind);
}

static void take_out(size_t from, size_t to)
{
	size_t count = n;

	for (size_t i = to; i < count; i++)
		copy(from + i - to, i);
	set_count(count - (to - from));
}

static bool have_array(void)
{
	long got;

	if (ranges)
		return true;
	got = sys_map(0, LIMIT * sizeof(*ranges), PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (sys_failed(got))
		return false;
	atomic_store_explicit(&ranges, (struct range *)got,
			      memory_order_release);
	return true;
}

static void remove_range(uint64_t start, uint64_t end)
{
	size_t from = lower(n, start), to = from;
	uint64_t first_start, last_end;
	enum ours_kind first, last;

	while (to < n && start_of(to) < end)
		to++;
	if (from == to)
		return;
	first_start = start_of(from);
	last_end = end_of(to - 1);
	first = kind_of(from);
	last = kind_of(to - 1);
	take_out(from, to);
	if (last_end > end)
		replace(from, from, end, last_end, last);
	if (first_start < start)
		replace(from, from, first_start, start, first);
}

/* Neighbours of its kind become one with it. */
static void add_range(uint64_t start, uint64_t end, enum ours_kind kind)
{
	size_t from = lower(n, start), to = from;

	if (from && end_of(from - 1) == start && kind_of(from - 1) == kind)
		start = start_of(--from);
	if (to < n && start_of(to) == end && kind_of(to) == kind)
		end = end_of(to++);
	replace(from, to, start, end, kind);
}

int ours_add(uint64_t start, uint64_t end, enum ours_kind kind)
{
	int error = 0;

	change_begin();
	if (!have_array() || n >= LIMIT / 2) {
		error = -ENOMEM;
	} else {
		remove_range(start, end);
		add_range(start, end, kind);
	}
	change_end();
	return error;
}

void ours_remove(uint64_t start, uint64_t end)
{
	change_begin();
	if (ranges)
		remove_range(start, end);
	change_end();
}

/* ---- Looking ----------------------------------------------------------------- */

/* Of entry @i on: what is one piece, if the kind is no matter. */
static uint64_t end_of_all(size_t i, size_t count)
{
	uint64_t end = end_of(i);

	while (++i < count && start_of(i) == end)
		end = end_of(i);
	return end;
}

/* @kind: or -1, any. */
static bool next_of(int kind, uint64_t *start, uint64_t *end)
{
	for (;;) {
		unsigned before =
			atomic_load_explicit(&sequence, memory_order_acquire);
		uint64_t from = 0, to = 0;
		size_t i, count;

		if (before & 1) {
			sys_call(SYS_sched_yield);
			continue;
		}
		count = atomic_load_explicit(&n, memory_order_acquire);
		i = lower(count, *start);
		while (kind >= 0 && i < count && (int)kind_of(i) != kind)
			i++;
		if (i < count) {
			from = start_of(i);
			to = kind < 0 ? end_of_all(i, count) : end_of(i);
		}
		if (atomic_load_explicit(&sequence, memory_order_acquire) !=
		    before)
			continue;
		if (i == count || from >= *end)
			return false;
		*start = max_u64(*start, from);
		*end = min_u64(*end, to);
		return true;
	}
}

bool ours_next(uint64_t *start, uint64_t *end)
{
	return next_of(-1, start, end);
}

bool ours_next_of(enum ours_kind kind, uint64_t *start, uint64_t *end)
{
	return next_of((int)kind, start, end);
}

static void run_if_ours(enum ours_kind kind, uint64_t start, uint64_t end,
			void (*run)(uint64_t start, uint64_t end))
{
	uint64_t from = start, to = end;

	if (ours_next_of(kind, &from, &to) && from == start && to == end)
		run(start, end);
}

void ours_while(enum ours_kind kind, uint64_t start, uint64_t end,
		void (*run)(uint64_t start, uint64_t end))
{
	lock_take(&lock);
	run_if_ours(kind, start, end, run);
	lock_drop(&lock);
}

unsigned ours_state(void)
{
	return atomic_load_explicit(&sequence, memory_order_acquire);
}

bool ours_while_in(unsigned state, enum ours_kind kind, uint64_t start,
		   uint64_t end, void (*run)(uint64_t start, uint64_t end))
{
	bool same;

	lock_take(&lock);
	same = ours_state() == state;
	if (same)
		run_if_ours(kind, start, end, run);
	lock_drop(&lock);
	return same;
}

/* ---- Fork -------------------------------------------------------------------- */

void ours_before_fork(void)
{
	lock_take(&lock);
}

void ours_after_fork(void)
{
	lock_drop(&lock);
}

void ours_forget(void)
{
	memset(&lock, 0, sizeof(lock));
	set_count(0);
	atomic_store_explicit(&sequence, 0, memory_order_release);
}
