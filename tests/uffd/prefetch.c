/* SPDX-License-Identifier: MIT */
/* Lists of what will be needed, and pins */
#include "support.h"

#include <stdlib.h>

#define SEED   7
#define LARGE  PAGES(8192)
#define BUDGET (8 * MIB)

static char *map_large(void)
{
	return memory_map(LARGE, PROT_READ, WMAP_SHARED, file_with(SEED, LARGE),
			  0);
}

static bool page_holds(const char *at, size_t page)
{
	return pattern_holds(at + PAGES(page), PAGE, SEED, PAGES(page));
}

/* Every page once, in an order without a pattern. */
static size_t nth(size_t i)
{
	return i * (i + 1) / 2 % (LARGE / PAGE);
}

static struct wmap_range *list_of(char *at, size_t n)
{
	struct wmap_range *list = malloc(n * sizeof(*list));

	for (size_t i = 0; i < n; i++)
		list[i] = (struct wmap_range){ at + PAGES(nth(i)), 1 };
	return list;
}

START_TEST(a_list_is_there_when_it_was_waited_for)
{
	char *at = map_large();
	struct wmap_range *list = list_of(at, 1000);
	int64_t prefetch = wmap_prefetch(list, 1000);

	ck_assert_int_gt(prefetch, 0);
	ck_assert_int_eq(wmap_prefetch_wait(prefetch), 0);
	ck_assert_uint_eq(memory_info(at).resident, 1000);
	for (size_t i = 0; i < 1000; i++)
		ck_assert(page_holds(at, nth(i)));
	ck_assert_uint_eq(memory_stats().faults, 0);
	free(list);
}
END_TEST

/* Four times the budget, and still hardly a fault. */
START_TEST(a_list_longer_than_memory_goes_on_as_it_is_used)
{
	size_t n = LARGE / PAGE;
	struct wmap_range *list;
	struct wmap_stats stats;
	int64_t prefetch;
	char *at;

	ck_assert_int_eq(wmap_memory_set(BUDGET), 0);
	at = map_large();
	list = list_of(at, n);
	prefetch = wmap_prefetch(list, n);
	ck_assert_int_gt(prefetch, 0);
	for (size_t i = 0; i < n; i++) {
		if (i == 100) /* as much as fits ahead is there */
			ck_assert_int_eq(wmap_prefetch_wait(prefetch), 0);
		ck_assert(page_holds(at, nth(i)));
	}
	ck_assert_int_eq(wmap_prefetch_wait(prefetch), 0);
	stats = memory_stats();
	ck_assert_uint_le(stats.memory_peak, BUDGET);
	ck_assert_uint_lt(stats.faults, n / 2);
	free(list);
}
END_TEST

START_TEST(a_cancelled_list_brings_no_more)
{
	struct wmap_store *file = wmap_store_file(file_with(SEED, LARGE), 0);
	struct wmap_store *slow = wmap_store_slow(file, 20000000, 0);
	char *at = memory_map_store(LARGE, PROT_READ, WMAP_SHARED, slow, 0);
	struct wmap_range *list = list_of(at, 4000);
	int64_t prefetch = wmap_prefetch(list, 4000);

	ck_assert_int_gt(prefetch, 0);
	ck_assert_int_eq(wmap_prefetch_cancel(prefetch), 0);
	ck_assert_int_eq(wmap_prefetch_wait(prefetch), 0);
	ck_assert_uint_lt(memory_info(at).resident, 1000);
	ck_assert(page_holds(at, nth(3999)));
	free(list);
}
END_TEST

/* A page that is held back until it is touched is dropped instead. */
START_TEST(what_is_dropped_meanwhile_does_not_stop_it)
{
	struct wmap_range *list;
	char *at;

	ck_assert_int_eq(wmap_memory_set(BUDGET), 0);
	at = map_large();
	list = list_of(at, 2000);
	for (int round = 0; round < 30; round++) {
		int64_t prefetch = wmap_prefetch(list, 2000);

		ck_assert_int_gt(prefetch, 0);
		for (int i = 0; i < round; i++)
			memory_load(at + LARGE - PAGE, 1);
		ck_assert_int_eq(wmap_advise(at, LARGE, WMAP_ADVICE_DONTNEED),
				 0);
		ck_assert_int_eq(wmap_prefetch_wait(prefetch), 0);
	}
	free(list);
}
END_TEST

static bool stops(void *arg)
{
	(void)arg;
	return !wmap_stop();
}

START_TEST(an_unmapping_ends_it)
{
	char *at;
	struct wmap_range *list;

	ck_assert_int_eq(wmap_memory_set(BUDGET), 0);
	at = map_large();
	list = list_of(at, LARGE / PAGE);
	ck_assert_int_gt(wmap_prefetch(list, LARGE / PAGE), 0);
	process_sleep_ms(20);
	ck_assert_int_eq(wmap_unmap(at, LARGE), 0);
	ck_assert(process_wait(stops, NULL, 10));
	free(list);
}
END_TEST

#define SMALLEST (256 * KIB)

/* Pages that stay, of the smallest budget's 64; those above the 60th are kept for
   who writes. */
static const size_t staying[] = { 50, 55, 57, 58, 59, 63 };
#define WRITABLE ((int)COUNT(staying) - 1)

/* Some are so many that what is read ahead, and that alone, has no room. */
START_TEST(what_finds_no_room_beside_what_stays_ends)
{
	struct wmap_range all;
	char *at, *stays;

	setenv("WMAP_SWAP", "", 1);
	ck_assert_int_eq(wmap_memory_set(SMALLEST), 0);
	stays = memory_map(SMALLEST, READ_WRITE, WMAP_PRIVATE | WMAP_ANONYMOUS,
			   -1, 0);
	memory_store(stays, staying[_i], 'x');
	at = map_large();
	all = (struct wmap_range){ at, LARGE };
	ck_assert_int_eq(wmap_prefetch_wait(wmap_prefetch(&all, 1)), 0);
	ck_assert(page_holds(at, 1000));
}
END_TEST

/* They may be written at any time; but for that the store's deadline is waited, and
   no longer. */
START_TEST(what_waits_for_a_failing_store_ends)
{
	struct wmap_store *store =
		wmap_store_failing(wmap_store_file(file_with(SEED, LARGE), 0));
	struct wmap_failure failure = {
		.size = sizeof(failure),
		.operations = WMAP_FAIL_WRITE,
		.error = EIO,
	};
	struct wmap_range all;
	char *at;

	ck_assert_int_eq(wmap_memory_set(SMALLEST), 0);
	at = memory_map_store(LARGE, READ_WRITE, WMAP_SHARED, store, 300);
	ck_assert_int_eq(wmap_store_fail(store, &failure), 0);
	memory_store(at, staying[_i], 'x');
	all = (struct wmap_range){ at, LARGE };
	ck_assert_int_eq(wmap_prefetch_wait(wmap_prefetch(&all, 1)), 0);
}
END_TEST

START_TEST(bad_lists_are_refused_or_passed_by)
{
	char *at = map_large();
	struct wmap_range wraps = { at, SIZE_MAX };
	struct wmap_range elsewhere = { (char *)16, 4096 };
	struct wmap_range beyond = { at, 2 * LARGE };

	ck_assert_int_eq(wmap_prefetch(NULL, 0), 0);
	errno = 0;
	ck_assert_int_eq(wmap_prefetch(&wraps, 1), -1);
	ck_assert_int_eq(errno, EINVAL);
	ck_assert_int_eq(wmap_prefetch((void *)16, 1), -1);
	ck_assert_int_eq(errno, EFAULT);
	ck_assert_int_eq(wmap_prefetch(&wraps, WMAP_PREFETCH_MAX + 1), -1);
	ck_assert_int_eq(errno, EINVAL);
	ck_assert_int_eq(wmap_prefetch_wait(wmap_prefetch(&elsewhere, 1)), 0);
	ck_assert_int_eq(wmap_prefetch_wait(wmap_prefetch(&beyond, 1)), 0);
	ck_assert_uint_eq(memory_info(at).resident, LARGE / PAGE);
	ck_assert_int_eq(wmap_prefetch_wait(12345), 0);
	ck_assert_int_eq(wmap_prefetch_cancel(-1), 0);
}
END_TEST

START_TEST(what_is_pinned_stays)
{
	char *at;

	ck_assert_int_eq(wmap_memory_set(BUDGET), 0);
	at = map_large();
	ck_assert_int_eq(wmap_pin(at + PAGES(100), PAGES(500)), 0);
	for (int round = 0; round < 2; round++)
		ck_assert(pattern_holds(at, LARGE, SEED, 0));
	for (size_t i = 100; i < 600; i++) {
		unsigned char there;

		ck_assert_int_eq(wmap_residency(at + PAGES(i), 1, &there), 0);
		ck_assert_uint_eq(there, 1);
	}
	ck_assert_uint_le(memory_stats().memory_peak, BUDGET);
}
END_TEST

START_TEST(what_is_unpinned_goes)
{
	unsigned char there[500];
	size_t left = 0;
	char *at;

	ck_assert_int_eq(wmap_memory_set(BUDGET), 0);
	at = map_large();
	ck_assert_int_eq(wmap_pin(at, PAGES(500)), 0);
	ck_assert_int_eq(wmap_unpin(at, PAGES(500)), 0);
	ck_assert(pattern_holds(at, LARGE, SEED, 0));
	ck_assert_int_eq(wmap_residency(at, PAGES(500), there), 0);
	for (size_t i = 0; i < 500; i++)
		left += there[i];
	ck_assert_uint_lt(left, 250);
}
END_TEST

START_TEST(pins_beyond_the_budget_are_refused)
{
	char *at;

	ck_assert_int_eq(wmap_memory_set(BUDGET), 0);
	at = map_large();
	errno = 0;
	ck_assert_int_eq(wmap_pin(at, LARGE), -1);
	ck_assert_int_eq(errno, ENOMEM);
	ck_assert_int_eq(wmap_pin(at, BUDGET / 2), 0);
	ck_assert_int_eq(wmap_pin(at, BUDGET / 2), 0); /* the same again */
	ck_assert_int_eq(wmap_pin(at + LARGE / 2, BUDGET / 2), -1);
	ck_assert_int_eq(wmap_memory_set(BUDGET / 2), -1);
	ck_assert_int_eq(errno, ENOMEM);
	ck_assert_int_eq(wmap_pin((char *)4096, PAGE), -1);
	ck_assert_int_eq(errno, ENOMEM);
	ck_assert_int_eq(wmap_pin(at + 1, PAGE), -1);
	ck_assert_int_eq(errno, EINVAL);
	ck_assert(pattern_holds(at, LARGE, SEED, 0));
	ck_assert_int_eq(wmap_unmap(at, LARGE), 0);
	at = map_large();
	ck_assert_int_eq(wmap_pin(at, BUDGET / 2), 0);
}
END_TEST

int main(void)
{
	TCase *facts = facts_case("prefetch", 60);

	tcase_add_test(facts, a_list_is_there_when_it_was_waited_for);
	tcase_add_test(facts, a_list_longer_than_memory_goes_on_as_it_is_used);
	tcase_add_test(facts, a_cancelled_list_brings_no_more);
	tcase_add_test(facts, what_is_dropped_meanwhile_does_not_stop_it);
	tcase_add_test(facts, an_unmapping_ends_it);
	tcase_add_loop_test(facts, what_finds_no_room_beside_what_stays_ends, 0,
			    (int)COUNT(staying));
	tcase_add_loop_test(facts, what_waits_for_a_failing_store_ends, 0,
			    WRITABLE);
	tcase_add_test(facts, bad_lists_are_refused_or_passed_by);
	tcase_add_test(facts, what_is_pinned_stays);
	tcase_add_test(facts, what_is_unpinned_goes);
	tcase_add_test(facts, pins_beyond_the_budget_are_refused);
	return facts_run(facts);
}
