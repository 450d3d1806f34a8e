/* SPDX-License-Identifier: MIT */
/*
 * Private anonymous memory of a grain of 2 MiB arrives as huge pages, and they are
 * memory like any other afterwards
 *
 * Where the kernel has no MOVE, or gives no huge pages, all but their size holds.
 */
#include "support.h"

#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define SEED   3
#define GRAIN  (2 * MIB)
#define LARGE  (64 * MIB)
#define BUDGET (32 * MIB) /* the least with which a grain is read whole */

static char *map_huge(size_t length)
{
	struct wmap_map_options wishes = {
		.size = sizeof(wishes),
		.grain = GRAIN,
	};
	char *at = wmap_map(NULL, length, READ_WRITE,
			    WMAP_PRIVATE | WMAP_ANONYMOUS, -1, 0, &wishes);

	ck_assert_ptr_ne(at, WMAP_FAILED);
	return at;
}

/* What there is, found out before a pager runs. */
static bool moves, gives_huge;

static size_t huge(const char *at)
{
	return memory_smaps(at, LARGE, "AnonHugePages");
}

static bool gives_huge_pages(void)
{
	FILE *file = fopen("/sys/kernel/mm/transparent_hugepage/enabled", "r");
	char line[64] = "";

	if (file && !fgets(line, sizeof(line), file))
		line[0] = 0;
	if (file)
		fclose(file);
	return line[0] && !strstr(line, "[never]");
}

START_TEST(a_grain_is_a_huge_page)
{
	char *at = map_huge(LARGE);

	for (size_t i = 0; i < LARGE; i += GRAIN)
		at[i + GRAIN - 1] = 'x';
	ck_assert_uint_eq(memory_info(at).faults, LARGE / GRAIN);
	ck_assert_uint_eq(memory_info(at).loaded, LARGE / PAGE);
	/* Where memory is in pieces there may be fewer. */
	if (gives_huge)
		ck_assert_uint_ge(huge(at), LARGE / 2);
	for (size_t i = 0; i < LARGE; i += GRAIN) {
		ck_assert_int_eq(at[i + GRAIN - 1], 'x');
		at[i + GRAIN - 1] = 0;
	}
	ck_assert(pattern_zeros(at, LARGE));
	ck_assert_uint_eq(memory_info(at).faults, LARGE / GRAIN);
	ck_assert_int_eq(wmap_sync(at, LARGE, WMAP_SYNC_WAIT), 0);
	ck_assert_int_eq(wmap_unmap(at, LARGE), 0);
}
END_TEST

START_TEST(they_go_to_swap_and_come_back)
{
	char *at;

	if (!moves)
		return; /* nothing does */
	ck_assert_int_eq(wmap_memory_set(BUDGET), 0);
	at = map_huge(LARGE);
	at[0] = 0;
	if (gives_huge)
		ck_assert_uint_eq(huge(at), GRAIN);
	pattern_fill(at, LARGE, SEED, 0);
	for (int round = 0; round < 2; round++)
		ck_assert(pattern_holds(at, LARGE, SEED, 0));
	ck_assert_uint_le(memory_stats().memory_peak, BUDGET);
	ck_assert_uint_le(memory_anonymous(at, LARGE), BUDGET);
	ck_assert_uint_gt(memory_stats().swapped_out, LARGE / PAGE);
}
END_TEST

START_TEST(a_part_may_be_protected)
{
	char *at = map_huge(GRAIN);

	pattern_fill(at, GRAIN, SEED, 0);
	ck_assert_int_eq(wmap_protect(at + MIB, PAGES(3), PROT_READ), 0);
	ck_assert_int_eq(process_store(at + MIB, 'x'), SIGSEGV);
	ck_assert_int_eq(process_store(at + MIB + PAGES(3), 'x'), 0);
	ck_assert(pattern_holds(at, MIB + PAGES(3), SEED, 0));
	ck_assert_int_eq(at[MIB + PAGES(3)], 'x');
	ck_assert(pattern_holds(at + MIB + PAGES(4), MIB - PAGES(4), SEED,
				MIB + PAGES(4)));
}
END_TEST

START_TEST(a_part_may_go)
{
	char *at = map_huge(2 * GRAIN);

	pattern_fill(at, 2 * GRAIN, SEED, 0);
	ck_assert_int_eq(wmap_unmap(at + MIB, PAGES(5)), 0);
	ck_assert_int_eq(process_load(at + MIB + PAGE), SIGSEGV);
	ck_assert_int_eq(
		wmap_advise(at + GRAIN, PAGES(9), WMAP_ADVICE_DONTNEED), 0);
	ck_assert(pattern_holds(at, MIB, SEED, 0));
	ck_assert(pattern_holds(at + MIB + PAGES(5), MIB - PAGES(5), SEED,
				MIB + PAGES(5)));
	ck_assert(pattern_zeros(at + GRAIN, PAGES(9)));
	ck_assert(pattern_holds(at + GRAIN + PAGES(9), GRAIN - PAGES(9), SEED,
				GRAIN + PAGES(9)));
}
END_TEST

START_TEST(a_child_has_a_copy)
{
	char *at = map_huge(GRAIN);
	int status;

	if (!facts_possible(WMAP_FEATURE_POISON))
		return;
	pattern_fill(at, GRAIN, SEED, 0);
	if (!fork()) {
		bool right = pattern_holds(at, GRAIN, SEED, 0);

		memset(at, 'c', GRAIN);
		_exit(!right);
	}
	ck_assert_int_ge(wait(&status), 0);
	ck_assert_int_eq(status, 0);
	ck_assert(pattern_holds(at, GRAIN, SEED, 0));
}
END_TEST

/* One page is there: the others come around it. */
START_TEST(what_is_there_stays)
{
	char *at = map_huge(GRAIN);

	pattern_fill(at, GRAIN, SEED, 0);
	ck_assert_int_eq(wmap_advise(at, MIB, WMAP_ADVICE_DONTNEED), 0);
	ck_assert_int_eq(wmap_advise(at + MIB + PAGE, MIB - PAGE,
				     WMAP_ADVICE_DONTNEED),
			 0);
	at[PAGE] = 'x';
	ck_assert(pattern_holds(at + MIB, PAGE, SEED, MIB));
	ck_assert_int_eq(at[PAGE], 'x');
	ck_assert(pattern_zeros(at + PAGES(2), MIB - PAGES(2)));
}
END_TEST

int main(void)
{
	TCase *facts = facts_case("huge", 60);

	moves = facts_possible(WMAP_FEATURE_MOVE);
	gives_huge = moves && gives_huge_pages();
	tcase_add_test(facts, a_grain_is_a_huge_page);
	tcase_add_test(facts, they_go_to_swap_and_come_back);
	tcase_add_test(facts, a_part_may_be_protected);
	tcase_add_test(facts, a_part_may_go);
	tcase_add_test(facts, a_child_has_a_copy);
	tcase_add_test(facts, what_is_there_stays);
	return facts_run(facts);
}
