/* SPDX-License-Identifier: MIT */
/* Swap that answers late: what is stored meanwhile is lost by none */
#include "support.h"

#include <stdlib.h>

#include "sys.h"

#define BUDGET MIB
#define OTHERS PAGES(1024)
#define SPAN   PAGES(64)
#define THERE  PAGES(16) /* the only page of it that is stored to */

/* ---- Writes that are held -------------------------------------------------- */

static struct {
	atomic_int to_hold;  /* [a] so many of the next */
	atomic_int held;     /* [a] were so far */
	atomic_int released; /* [a] of these, the oldest */
} writes;

/* On threads that do nothing but transfers. */
static long hold_writes(long number)
{
	int own;

	if (number != SYS_pwrite64 || atomic_fetch_sub(&writes.to_hold, 1) <= 0)
		return 0;
	own = atomic_fetch_add(&writes.held, 1);
	while (atomic_load(&writes.released) <= own)
		process_sleep_ms(1);
	return 0;
}

/* ---- A page that comes and goes ------------------------------------------- */

static char *at;
static const char *others;

/* Who else loads needs the memory. */
static bool is_out(void *unused)
{
	unsigned char there;

	(void)unused;
	memory_load(others, OTHERS / PAGE);
	ck_assert_int_eq(wmap_residency(at + THERE, PAGE, &there), 0);
	return !(there & 1);
}

static bool are_held(void *n)
{
	is_out(NULL);
	return atomic_load(&writes.held) == *(int *)n;
}

static void map_all(void)
{
	setenv("WMAP_KERNEL_WITHOUT", "io_uring", 1);
	sys_hook = hold_writes;
	ck_assert_int_eq(wmap_memory_set(BUDGET), 0);
	others = memory_map(OTHERS, PROT_READ, WMAP_SHARED,
			    file_with(3, OTHERS), 0);
	/* of what is tried alone: a busy machine may be slow to read */
	setenv("WMAP_DEADLINE_MS", "100", 1);
	at = memory_map(SPAN, READ_WRITE, WMAP_SHARED | WMAP_ANONYMOUS, -1, 0);
}

/* It is unmapped, so that nobody shows it, and mapped again: zeros. */
static void map_anew(void)
{
	ck_assert_int_eq(wmap_unmap(at + THERE, SPAN - THERE), 0);
	ck_assert_ptr_eq(wmap_remap(at, THERE, SPAN, 0, NULL), at);
	ck_assert(pattern_zeros(at + THERE, PAGE));
}

/* A write of 'a' is on its way, past its deadline; of @n that are held. */
static void begin(int n)
{
	int one = 1;

	map_all();
	atomic_store(&writes.to_hold, n);
	memory_store(at + THERE, 1, 'a');
	ck_assert(process_wait(are_held, &one, 20));
	map_anew();
	memory_store(at + THERE, 1, 'b');
}

START_TEST(a_late_write_of_what_went_takes_nothing_away)
{
	begin(1);
	/* The younger write may wait for the older one. */
	process_wait(is_out, NULL, 3);
	atomic_store(&writes.released, 1);
	process_sleep_ms(100);
	ck_assert(process_wait(is_out, NULL, 20));
	ck_assert_int_eq(at[THERE], 'b');
}
END_TEST

START_TEST(a_late_write_ends_no_other)
{
	int two = 2;

	begin(2);
	process_wait(are_held, &two, 3);
	atomic_store(&writes.released, 1);
	ck_assert(process_wait(are_held, &two, 20));
	process_wait(is_out, NULL, 1);
	ck_assert_int_eq(at[THERE], 'b');
	atomic_store(&writes.released, 2);
	ck_assert(process_wait(is_out, NULL, 20));
	ck_assert_int_eq(at[THERE], 'b');
}
END_TEST

int main(void)
{
	TCase *facts = facts_case("swap that answers late", 60);

	tcase_add_test(facts, a_late_write_of_what_went_takes_nothing_away);
	tcase_add_test(facts, a_late_write_ends_no_other);
	return facts_run(facts);
}
