/* SPDX-License-Identifier: MIT */
/* A mapping's own budget: its pages go, and no others */
#include "support.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SEED  11
#define BOUND (512 * KIB)
#define LARGE PAGES(2048) /* 8 MiB */

static char *map_bounded(int fd, int prot, int flags, size_t bytes,
			 size_t grain)
{
	struct wmap_map_options wishes = {
		.size = sizeof(wishes),
		.grain = grain,
		.memory = bytes,
	};
	char *at = wmap_map(NULL, LARGE, prot, flags, fd, 0, &wishes);

	ck_assert_ptr_ne(at, WMAP_FAILED);
	return at;
}

static void keeps_within(const void *at, uint64_t bytes)
{
	struct wmap_mapping_info info = memory_info(at);

	ck_assert_uint_eq(info.memory_limit, bytes);
	ck_assert_uint_le(info.memory, bytes);
}

/* What is too much goes in the background. */
static void comes_within(const void *at, uint64_t bytes)
{
	for (int i = 0; i < 200 && memory_info(at).memory > bytes; i++)
		process_sleep_ms(20);
	keeps_within(at, bytes);
}

static size_t resident(char *at, size_t pages)
{
	unsigned char vector[LARGE / PAGE];
	size_t n = 0;

	ck_assert_int_eq(wmap_residency(at, PAGES(pages), vector), 0);
	for (size_t i = 0; i < pages; i++)
		n += vector[i];
	return n;
}

static const struct manner {
	int prot, flags;
	size_t grain;
} manners[] = {
	{ PROT_READ, WMAP_SHARED, PAGE },   { READ_WRITE, WMAP_SHARED, PAGE },
	{ PROT_READ, WMAP_PRIVATE, PAGE },  { PROT_READ, WMAP_SHARED, 2 * MIB },
	{ READ_WRITE, WMAP_SHARED, 65536 },
};

START_TEST(it_holds_whatever_is_loaded)
{
	const struct manner *manner = &manners[_i];
	char *at = map_bounded(file_with(SEED, LARGE), manner->prot,
			       manner->flags, BOUND, manner->grain);

	for (size_t i = 0; i < 2 * LARGE; i += 64 * PAGE) {
		ck_assert(pattern_holds(at + i % LARGE, 64 * PAGE, SEED,
					i % LARGE));
		keeps_within(at, BOUND);
		ck_assert_uint_le(PAGES(resident(at, LARGE / PAGE)), BOUND);
	}
	ck_assert_uint_gt(memory_stats().evicted, LARGE / PAGE);
}
END_TEST

START_TEST(other_mappings_lose_nothing)
{
	char *other = memory_map(LARGE, PROT_READ, WMAP_SHARED,
				 file_with(SEED, LARGE), 0);
	char *at = map_bounded(file_with(SEED, LARGE), PROT_READ, WMAP_SHARED,
			       BOUND, 0);

	memory_load(other, LARGE / PAGE);
	memory_load(at, LARGE / PAGE);
	ck_assert_uint_eq(resident(other, LARGE / PAGE), LARGE / PAGE);
	keeps_within(at, BOUND);
	keeps_within(other, UINT64_MAX);
	ck_assert_uint_eq(memory_info(other).memory, 0);
}
END_TEST

/* Of one file: what the other brought is the other's. */
START_TEST(pages_are_of_who_brought_them)
{
	int fd = file_with(SEED, LARGE);
	char *other = memory_map(LARGE, READ_WRITE, WMAP_SHARED, fd, 0);
	char *at = map_bounded(fd, READ_WRITE, WMAP_SHARED, BOUND, 0);

	ck_assert_int_eq(wmap_advise(other, LARGE, WMAP_ADVICE_RANDOM), 0);
	memory_load(other, 1024);
	memory_store(at, LARGE / PAGE, 'x');
	ck_assert_uint_eq(resident(other, 1024), 1024);
	ck_assert_uint_le(PAGES(resident(at + PAGES(1024), 1024)), BOUND);
	keeps_within(at, BOUND);
	for (size_t i = 0; i < LARGE; i += PAGE)
		ck_assert_int_eq(other[i], 'x');
	/* who is left pays for all of it, and is not bounded */
	ck_assert_int_eq(wmap_unmap(at, LARGE), 0);
	memory_load(other, LARGE / PAGE);
	ck_assert_uint_eq(resident(other, LARGE / PAGE), LARGE / PAGE);
	for (size_t i = 0; i < LARGE; i += PAGE)
		ck_assert_int_eq(other[i], 'x');
}
END_TEST

START_TEST(it_may_become_smaller_and_larger_and_go)
{
	int fd = file_with(SEED, LARGE);
	char *at = memory_map(LARGE, READ_WRITE, WMAP_SHARED, fd, 0);

	memory_store(at, 512, 's');
	ck_assert_int_eq(wmap_mapping_bound(at + PAGES(9), 2 * BOUND), 0);
	comes_within(at, 2 * BOUND);
	memory_load(at, 512);
	keeps_within(at, 2 * BOUND);
	ck_assert_int_eq(wmap_mapping_bound(at, BOUND / 2), 0);
	comes_within(at, BOUND / 2);
	memory_load(at, 512);
	keeps_within(at, BOUND / 2);
	ck_assert_int_eq(wmap_mapping_bound(at, LARGE), 0);
	memory_load(at, LARGE / PAGE);
	memory_load(at, LARGE / PAGE);
	ck_assert_uint_gt(resident(at, LARGE / PAGE), LARGE / PAGE * 7 / 8);
	keeps_within(at, LARGE);
	ck_assert_int_eq(wmap_mapping_bound(at, WMAP_MEMORY_UNLIMITED), 0);
	memory_load(at, LARGE / PAGE);
	ck_assert_uint_eq(resident(at, LARGE / PAGE), LARGE / PAGE);
	for (size_t i = 0; i < 512; i++)
		ck_assert_int_eq(at[PAGES(i)], 's');
	keeps_within(at, UINT64_MAX);
}
END_TEST

START_TEST(the_budget_of_all_holds_beside_it)
{
	int fd = file_with(SEED, LARGE);
	char *at, *other;

	ck_assert_int_eq(wmap_memory_set(2 * BOUND), 0);
	at = map_bounded(fd, READ_WRITE, WMAP_SHARED, BOUND, 0);
	other = memory_map(LARGE, PROT_READ, WMAP_SHARED,
			   file_with(SEED, LARGE), 0);
	for (int round = 0; round < 2; round++)
		for (size_t i = 0; i < LARGE; i += PAGE) {
			at[i] = (char)round;
			ck_assert(pattern_holds(other + i, 64, SEED, i));
		}
	keeps_within(at, BOUND);
	ck_assert_uint_le(memory_stats().memory_peak, 2 * BOUND);
	for (size_t i = 0; i < LARGE; i += PAGE)
		ck_assert_int_eq(at[i], 1);
	ck_assert_int_eq(wmap_memory_set(WMAP_MEMORY_UNLIMITED), 0);
	memory_load(at, LARGE / PAGE);
	memory_load(other, LARGE / PAGE);
	keeps_within(at, BOUND);
	ck_assert_uint_eq(resident(other, LARGE / PAGE), LARGE / PAGE);
}
END_TEST

START_TEST(its_pieces_have_it_together)
{
	int fd = file_with(SEED, LARGE);
	char *at = map_bounded(fd, READ_WRITE, WMAP_SHARED, BOUND, 0);
	char *upper = at + PAGES(1024);

	memory_load(at, 100);
	ck_assert_int_eq(wmap_unmap(at + PAGES(1000), PAGES(24)), 0);
	memory_load(at, 1000);
	memory_load(upper, 1024);
	ck_assert_uint_le(PAGES(resident(at, 1000) + resident(upper, 1024)),
			  BOUND);
	keeps_within(at, BOUND);
	ck_assert_uint_eq(memory_info(at).memory, memory_info(upper).memory);
	ck_assert_int_eq(wmap_unmap(at, PAGES(1000)), 0);
	memory_load(upper, 1024);
	keeps_within(upper, BOUND);
	ck_assert(pattern_holds(upper, PAGES(1024), SEED, PAGES(1024)));
}
END_TEST

/* As much as fits; then it is over. */
START_TEST(a_list_that_is_longer_ends)
{
	char *at = map_bounded(file_with(SEED, LARGE), PROT_READ, WMAP_SHARED,
			       BOUND, 0);
	struct wmap_range all = { at, LARGE };
	int64_t prefetch = wmap_prefetch(&all, 1);

	ck_assert_int_gt(prefetch, 0);
	ck_assert_int_eq(wmap_prefetch_wait(prefetch), 0);
	keeps_within(at, BOUND);
	ck_assert(pattern_holds(at, LARGE, SEED, 0));
	keeps_within(at, BOUND);
}
END_TEST

START_TEST(pins_are_bounded_by_it)
{
	char *at = map_bounded(file_with(SEED, LARGE), READ_WRITE, WMAP_SHARED,
			       BOUND, 0);

	errno = 0;
	ck_assert_int_eq(wmap_pin(at, PAGES(97)), -1);
	ck_assert_int_eq(errno, ENOMEM);
	ck_assert_int_eq(wmap_pin(at + PAGES(10), PAGES(96)), 0);
	errno = 0;
	ck_assert_int_eq(wmap_mapping_bound(at, BOUND / 2), -1);
	ck_assert_int_eq(errno, ENOMEM);
	for (int round = 0; round < 2; round++)
		memory_store(at, LARGE / PAGE, 'x');
	ck_assert_uint_eq(resident(at + PAGES(10), 96), 96);
	keeps_within(at, BOUND);
	ck_assert_int_eq(wmap_unpin(at, LARGE), 0);
	ck_assert_int_eq(wmap_mapping_bound(at, BOUND / 2), 0);
	for (int round = 0; round < 2; round++)
		memory_load(at + PAGES(200), 1000);
	ck_assert_uint_lt(resident(at + PAGES(10), 96), 96);
}
END_TEST

START_TEST(a_senseless_one_is_refused)
{
	static const size_t senseless[] = {
		1,
		4096,
		WMAP_MEMORY_MIN - 1,
		(size_t)-4096,
		WMAP_MEMORY_UNLIMITED - 1,
	};
	struct wmap_map_options wishes = {
		.size = sizeof(wishes),
		.memory = senseless[_i],
	};
	int fd = file_with(SEED, PAGES(4));
	char *at;

	errno = 0;
	ck_assert_ptr_eq(wmap_map(NULL, PAGES(4), PROT_READ, WMAP_SHARED, fd, 0,
				  &wishes),
			 WMAP_FAILED);
	ck_assert_int_eq(errno, EINVAL);
	at = memory_map(PAGES(4), PROT_READ, WMAP_SHARED, fd, 0);
	errno = 0;
	ck_assert_int_eq(wmap_mapping_bound(at, senseless[_i]), -1);
	ck_assert_int_eq(errno, EINVAL);
	ck_assert_int_eq(wmap_mapping_bound(at, 0), -1);
	ck_assert_int_eq(errno, EINVAL);
	ck_assert_int_eq(wmap_mapping_bound(at + PAGES(8), BOUND), -1);
	ck_assert_int_eq(errno, ENOENT);
	keeps_within(at, UINT64_MAX);
}
END_TEST

static void *store_at_random(void *arg)
{
	uint64_t random = (uintptr_t)pthread_self();
	char *at = arg;

	for (int i = 0; i < 1000; i++) {
		size_t page = random_below(&random, LARGE / PAGE);

		if (at[PAGES(page) + 1] != (char)page)
			return at;
		__atomic_store_n(&at[PAGES(page)], (char)i, __ATOMIC_RELAXED);
	}
	return NULL;
}

START_TEST(the_smallest_serves_sixteen_threads)
{
	char *at = map_bounded(file_with(SEED, LARGE), READ_WRITE, WMAP_SHARED,
			       WMAP_MEMORY_MIN, 0);
	pthread_t threads[16];
	void *wrong;

	for (size_t i = 0; i < LARGE / PAGE; i++)
		at[PAGES(i) + 1] = (char)i;
	for (size_t i = 0; i < COUNT(threads); i++)
		ck_assert(!pthread_create(&threads[i], NULL, store_at_random,
					  at));
	for (size_t i = 0; i < COUNT(threads); i++) {
		ck_assert(!pthread_join(threads[i], &wrong));
		ck_assert_ptr_null(wrong);
	}
	keeps_within(at, WMAP_MEMORY_MIN);
}
END_TEST

static void *store_anywhere(void *arg)
{
	uint64_t random = (uintptr_t)pthread_self();
	char *at = arg;

	for (int i = 0; i < 3000; i++)
		__atomic_store_n(
			&at[PAGES(random_below(&random, LARGE / PAGE))], 1,
			__ATOMIC_RELAXED);
	return NULL;
}

/* What is on its way to swap and is touched comes back within it, too. */
START_TEST(private_pages_that_come_back_are_within_it)
{
	int flags = WMAP_PRIVATE | (_i ? 0 : WMAP_ANONYMOUS);
	char *at = map_bounded(_i ? file_sparse(LARGE) : -1, READ_WRITE, flags,
			       BOUND, 0);
	pthread_t threads[16];

	for (size_t i = 0; i < COUNT(threads); i++)
		ck_assert(
			!pthread_create(&threads[i], NULL, store_anywhere, at));
	for (int i = 0; i < 500; i++)
		keeps_within(at, BOUND);
	for (size_t i = 0; i < COUNT(threads); i++)
		ck_assert(!pthread_join(threads[i], NULL));
	keeps_within(at, BOUND);
}
END_TEST

static char *slowly;

static void *store_everywhere(void *unused)
{
	for (size_t i = 0; i < LARGE / PAGE; i++)
		slowly[PAGES(i)] = 1;
	return unused;
}

static void *load_one(void *at)
{
	return (void *)(uintptr_t) * (volatile unsigned char *)at;
}

/* What it has cannot go, ever; what others have will, when it has been written. */
START_TEST(who_is_full_for_good_waits_for_others)
{
	int fd = file_with(SEED, LARGE);
	struct wmap_store *slow = wmap_store_slow(
		wmap_store_file(file_sparse(LARGE), 0), 0, WMAP_DELAY_FOREVER);
	pthread_t storing, loading;
	void *byte;
	char *at;

	setenv("WMAP_SWAP", "", 1);
	ck_assert_int_eq(wmap_memory_set(MIB), 0);
	at = map_bounded(fd, READ_WRITE, WMAP_PRIVATE, WMAP_MEMORY_MIN, 0);
	for (size_t i = 0; i < WMAP_MEMORY_MIN / PAGE; i++)
		at[PAGES(i)] = 1;
	slowly = memory_map_store(LARGE, READ_WRITE, WMAP_SHARED, slow, 0);
	ck_assert(!pthread_create(&storing, NULL, store_everywhere, NULL));
	process_sleep_ms(300); /* until it waits */
	ck_assert(!pthread_create(&loading, NULL, load_one,
				  at + PAGES(LARGE / PAGE - 1)));
	process_sleep_ms(300); /* until it does, too */
	ck_assert_int_eq(wmap_store_delay(slow, 0, 0), 0);
	ck_assert(!pthread_join(loading, &byte));
	ck_assert(!pthread_join(storing, NULL));
	ck_assert(pattern_holds(at + LARGE - PAGE, PAGE, SEED, LARGE - PAGE));
	ck_assert_uint_eq((uintptr_t)byte,
			  *(unsigned char *)(at + LARGE - PAGE));
}
END_TEST

int main(void)
{
	TCase *facts = facts_case("bounds", 60);

	tcase_add_loop_test(facts, it_holds_whatever_is_loaded, 0,
			    COUNT(manners));
	tcase_add_test(facts, other_mappings_lose_nothing);
	tcase_add_test(facts, pages_are_of_who_brought_them);
	tcase_add_test(facts, it_may_become_smaller_and_larger_and_go);
	tcase_add_test(facts, the_budget_of_all_holds_beside_it);
	tcase_add_test(facts, its_pieces_have_it_together);
	tcase_add_test(facts, a_list_that_is_longer_ends);
	tcase_add_test(facts, pins_are_bounded_by_it);
	tcase_add_loop_test(facts, a_senseless_one_is_refused, 0, 5);
	tcase_add_test(facts, the_smallest_serves_sixteen_threads);
	tcase_add_loop_test(facts, private_pages_that_come_back_are_within_it,
			    0, 2);
	tcase_add_test(facts, who_is_full_for_good_waits_for_others);
	return facts_run(facts);
}
