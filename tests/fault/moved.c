/* SPDX-License-Identifier: MIT */
/*
 * A MOVE that says less than it did, as Linux 6.18 does when a page changes under
 * its hands: no page is lost by that, and none is forgotten
 */
#include "support.h"

#include "sys.h"

#define SEED  7
#define LARGE PAGES(2048)

/* ---- What is said ---------------------------------------------------------- */

static bool moves;		/* the kernel can */
static atomic_uint understated; /* [a] orders nothing */

/* Of every second one that has moved all: half of it, or nothing. */
static long understate(long number, long a, long b, long c, long result)
{
	struct uffdio_move *move = (void *)c;
	uint64_t half;

	(void)a;
	if (number != SYS_ioctl || b != (long)UFFDIO_MOVE || result ||
	    atomic_fetch_add(&understated, 1) % 2)
		return result;
	half = move->len / PAGE / 2 * PAGE;
	move->move = half ? (int64_t)half : -EEXIST;
	return half ? -EAGAIN : -EEXIST;
}

static bool were_understated(unsigned n)
{
	return !moves || atomic_load(&understated) >= n;
}

/* ---- Memory larger than memory ----------------------------------------------- */

static const size_t budgets[] = { WMAP_MEMORY_MIN, MIB, 4 * MIB };

static char *map_large(size_t budget)
{
	char *at;

	sys_hook_after = understate;
	ck_assert_int_eq(wmap_memory_set(budget), 0);
	at = memory_map(LARGE, READ_WRITE, WMAP_PRIVATE | WMAP_ANONYMOUS, -1,
			0);
	pattern_fill(at, LARGE, SEED, 0);
	return at;
}

START_TEST(what_was_moved_is_not_lost)
{
	char *at = map_large(budgets[_i]);

	for (int round = 0; round < 2; round++)
		ck_assert(pattern_holds(at, LARGE, SEED, 0));
	ck_assert(were_understated(100));
	ck_assert_uint_le(memory_stats().memory_peak, budgets[_i]);
}
END_TEST

/* What goes in the background may go between two questions. */
static bool memory_is_known(void *at)
{
	return memory_anonymous(at, LARGE) == PAGES(memory_info(at).resident);
}

/* It is touched again and again while others come and go. */
START_TEST(what_was_moved_back_is_known)
{
	char *at = map_large(budgets[_i]);

	for (size_t i = 16; i < LARGE / PAGE; i++) {
		memory_load(at + PAGES(i), 1);
		memory_load(at, 16);
	}
	ck_assert(were_understated(100));
	ck_assert(process_wait(memory_is_known, at, 10));
	ck_assert(pattern_holds(at, LARGE, SEED, 0));
}
END_TEST

START_TEST(a_huge_page_is_known)
{
	struct wmap_map_options options = {
		.size = sizeof(options),
		.grain = 2 * MIB,
	};
	char *at;

	sys_hook_after = understate;
	at = wmap_map(NULL, LARGE, READ_WRITE, WMAP_PRIVATE | WMAP_ANONYMOUS,
		      -1, 0, &options);
	ck_assert_ptr_ne(at, WMAP_FAILED);
	for (size_t i = 0; i < LARGE; i += 2 * MIB)
		at[i] = 'x';
	ck_assert_uint_eq(memory_info(at).resident, LARGE / PAGE);
	ck_assert_uint_eq(memory_info(at).loaded, LARGE / PAGE);
	ck_assert(were_understated(LARGE / (2 * MIB)));
}
END_TEST

int main(void)
{
	TCase *facts = facts_case("moved", 60);

	moves = facts_possible(WMAP_FEATURE_MOVE);
	tcase_add_loop_test(facts, what_was_moved_is_not_lost, 0,
			    COUNT(budgets));
	tcase_add_loop_test(facts, what_was_moved_back_is_known, 0,
			    COUNT(budgets));
	tcase_add_test(facts, a_huge_page_is_known);
	return facts_run(facts);
}
