/* SPDX-License-Identifier: MIT */
/*
 * Changed pages of private file mappings: counted in the budget, and evicted
 *
 * (swap.c has what they have in common with anonymous memory.) What was stored to
 * is the mapping's own, wherever it is; all else is the file's, also what changes
 * there later, until the first store.
 */
#include "support.h"

#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define SEED   5
#define OTHER  6 /* the pattern of what is stored */
#define BUDGET (MIB)
#define LARGE  PAGES(2048) /* 8 MiB */
#define N      (LARGE / PAGE)

static char *map_file(int fd)
{
	ck_assert_int_eq(wmap_memory_set(BUDGET), 0);
	return memory_map(LARGE, READ_WRITE, WMAP_PRIVATE, fd, 0);
}

/* Every other page is stored to. */
static void store_half(char *at)
{
	for (size_t i = 0; i < N; i += 2)
		pattern_fill(at + PAGES(i), PAGE, OTHER, PAGES(i));
}

static char *map_stored(int fd)
{
	char *at = map_file(fd);

	store_half(at);
	return at;
}

static bool page_holds(const char *at, size_t i, unsigned seed)
{
	return pattern_holds(at + PAGES(i), PAGE, seed, PAGES(i));
}

static bool half_is_stored(const char *at, size_t first, size_t end)
{
	for (size_t i = first; i < end; i++)
		if (!page_holds(at, i, i % 2 ? SEED : OTHER))
			return false;
	return true;
}

static void keeps_within(uint64_t budget)
{
	ck_assert_uint_le(memory_stats().memory_peak, budget);
}

/* ---- More than memory --------------------------------------------------- */

static size_t anonymous(const char *at)
{
	return memory_anonymous(at, LARGE);
}

START_TEST(more_is_changed_than_there_is_memory)
{
	int fd = file_with(SEED, LARGE);
	char *at = map_stored(fd);

	ck_assert_uint_le(anonymous(at), BUDGET);
	ck_assert_uint_gt(anonymous(at), BUDGET / 2);
	for (int round = 0; round < 2; round++) {
		ck_assert(half_is_stored(at, 0, N));
		ck_assert_uint_le(anonymous(at), BUDGET);
	}
	keeps_within(BUDGET);
	ck_assert_uint_gt(memory_stats().swapped_out, N / 2);
	ck_assert_uint_gt(memory_stats().swapped_in, N / 2);
	ck_assert_uint_le(memory_info(at).resident, BUDGET / PAGE);
	ck_assert(file_holds(fd, SEED, 0, LARGE));
	ck_assert_int_eq(wmap_unmap(at, LARGE), 0);
}
END_TEST

/* Loaded first, then stored to: what is shown is protected; also what another
   mapping has brought. */
START_TEST(what_was_loaded_is_seen_to_be_stored_to)
{
	int fd = file_with(SEED, LARGE);
	char *at = map_file(fd);
	char *other = memory_map(LARGE, PROT_READ, WMAP_SHARED, fd, 0);

	for (size_t i = 0; i < N; i++) {
		if (_i)
			memory_load(other + PAGES(i), 1);
		ck_assert(page_holds(at, i, SEED));
		if (i % 2 == 0)
			pattern_fill(at + PAGES(i), PAGE, OTHER, PAGES(i));
	}
	ck_assert_uint_le(anonymous(at), BUDGET);
	ck_assert(half_is_stored(at, 0, N));
	keeps_within(BUDGET);
}
END_TEST

/* Nothing is read that is not asked for. */
static char *map_loaded(int fd)
{
	char *at = map_file(fd);

	ck_assert_int_eq(wmap_advise(at, LARGE, WMAP_ADVICE_RANDOM), 0);
	memory_load(at, 64);
	return at;
}

/* What they are copies of goes, unless another mapping shows it. */
START_TEST(they_are_counted)
{
	int fd = file_with(SEED, LARGE);
	char *at = map_loaded(fd);
	uint64_t before, beside = _i ? PAGES(64) : 0;

	if (_i)
		memory_map(LARGE, PROT_READ, WMAP_SHARED, fd, 0);
	before = memory_stats().memory;
	memory_store(at, 64, 's');
	ck_assert_uint_eq(memory_stats().memory, before + beside);
	ck_assert_uint_eq(anonymous(at), PAGES(64));
	ck_assert_int_eq(wmap_advise(at, PAGES(64), WMAP_ADVICE_DONTNEED), 0);
	ck_assert_uint_eq(memory_stats().memory, before - PAGES(64));
	ck_assert_uint_eq(anonymous(at), 0);
}
END_TEST

START_TEST(a_mapping_of_its_own_budget_keeps_it)
{
	struct wmap_map_options wishes = {
		.size = sizeof(wishes),
		.memory = BUDGET,
	};
	char *at = wmap_map(NULL, LARGE, READ_WRITE, WMAP_PRIVATE,
			    file_with(SEED, LARGE), 0, &wishes);

	ck_assert_ptr_ne(at, WMAP_FAILED);
	for (size_t i = 0; i < N; i += 2) {
		pattern_fill(at + PAGES(i), PAGE, OTHER, PAGES(i));
		ck_assert_uint_le(memory_info(at).memory, BUDGET);
	}
	ck_assert_uint_le(anonymous(at), BUDGET);
	ck_assert(half_is_stored(at, 0, N));
}
END_TEST

/* What was stored before anybody counted is found. */
START_TEST(a_budget_may_come_later)
{
	char *at = memory_map(LARGE, READ_WRITE, WMAP_PRIVATE,
			      file_with(SEED, LARGE), 0);

	memory_load(at, N / 2);
	store_half(at);
	ck_assert_uint_eq(anonymous(at), LARGE / 2);
	ck_assert_int_eq(wmap_memory_set(BUDGET), 0);
	for (int i = 0; i < 200 && memory_stats().memory > BUDGET; i++)
		process_sleep_ms(20);
	memory_stats();
	ck_assert_uint_le(anonymous(at), BUDGET);
	ck_assert(half_is_stored(at, 0, N));
	memory_store(at, N, 'x');
	keeps_within(BUDGET);
	for (size_t i = 0; i < N; i++)
		ck_assert_int_eq(at[PAGES(i)], 'x');
}
END_TEST

/* Nor does any later one: what counts is whether there is something to count. */
START_TEST(without_a_budget_they_cost_no_message)
{
	char *at = memory_map(LARGE, READ_WRITE, WMAP_PRIVATE,
			      file_with(SEED, LARGE), 0);
	uint64_t faults;

	memory_load(at, N);
	faults = memory_info(at).faults;
	store_half(at);
	ck_assert_uint_eq(memory_info(at).faults, faults);
	ck_assert(half_is_stored(at, 0, N));
}
END_TEST

START_TEST(zeros_are_changed_bytes_too)
{
	char *at = map_file(file_with(SEED, LARGE));

	for (size_t i = 0; i < N; i++)
		memset(at + PAGES(i), 0, PAGE);
	ck_assert(pattern_zeros(at, LARGE));
	ck_assert(pattern_zeros(at, LARGE));
	keeps_within(BUDGET);
}
END_TEST

/* ---- What is whose ------------------------------------------------------ */

START_TEST(each_mapping_has_its_own)
{
	int fd = file_with(SEED, LARGE);
	char *shared, *at = map_stored(fd), *other;

	other = memory_map(LARGE, READ_WRITE, WMAP_PRIVATE, fd, 0);
	shared = memory_map(LARGE, READ_WRITE, WMAP_SHARED, fd, 0);
	for (size_t i = 0; i < N; i += 4)
		memory_store(other + PAGES(i), 1, 'o');
	for (size_t i = 1; i < N; i += 4)
		memory_store(shared + PAGES(i), 1, 's');
	for (size_t i = 0; i < N; i++) {
		char file = (char)pattern_byte(SEED, PAGES(i));
		char mine = (char)pattern_byte(OTHER, PAGES(i));

		ck_assert_int_eq(at[PAGES(i)], i % 2 == 0 ? mine :
					       i % 4 == 1 ? 's' :
							    file);
		ck_assert_int_eq(other[PAGES(i)], i % 4 == 0 ? 'o' :
						  i % 4 == 1 ? 's' :
							       file);
		ck_assert_int_eq(shared[PAGES(i)], i % 4 == 1 ? 's' : file);
	}
	keeps_within(BUDGET);
}
END_TEST

/* What was read ahead for the private mapping is held back until it is touched: the
   store that touches it is not that mapping's. */
START_TEST(a_store_to_what_is_held_back_is_whose_it_is)
{
	int fd = file_with(SEED, LARGE);
	char *at = map_file(fd);
	char *shared = memory_map(LARGE, READ_WRITE, WMAP_SHARED, fd, 0);

	for (size_t i = 0; i < 40; i++)
		ck_assert(page_holds(at, i, SEED));
	process_sleep_ms(50);
	for (size_t i = 40; i < 200; i++)
		pattern_fill(shared + PAGES(i), PAGE, OTHER, PAGES(i));
	for (size_t i = 40; i < 200; i++)
		ck_assert(page_holds(at, i, OTHER));
}
END_TEST

START_TEST(what_is_not_needed_is_the_files_again)
{
	char *at = map_stored(file_with(SEED, LARGE));

	ck_assert_int_eq(wmap_advise(at + PAGES(100), PAGES(1000),
				     WMAP_ADVICE_DONTNEED),
			 0);
	for (size_t i = 100; i < 1100; i++)
		ck_assert(page_holds(at, i, SEED));
	ck_assert(half_is_stored(at, 0, 100));
	ck_assert(half_is_stored(at, 1100, N));
	store_half(at);
	ck_assert(half_is_stored(at, 0, N));
	keeps_within(BUDGET);
}
END_TEST

/* Others read their pages meanwhile. */
START_TEST(what_is_on_its_way_comes_no_more)
{
	char *at = map_stored(file_with(SEED, LARGE));
	struct wmap_range range = { at, PAGES(64) };

	for (int round = 0; round < 30; round++) {
		int64_t prefetch;

		memory_store(at, 64, 'x');
		memory_store(at + PAGES(64), 512, 'y');
		prefetch = wmap_prefetch(&range, 1);
		ck_assert_int_eq(
			wmap_advise(at, PAGES(64), WMAP_ADVICE_DONTNEED), 0);
		ck_assert_int_eq(wmap_prefetch_wait(prefetch), 0);
		for (size_t i = 0; i < 64; i++)
			ck_assert(page_holds(at, i, SEED));
	}
}
END_TEST

/* A slow read of the file's pages, while what was changed goes to swap. */
START_TEST(the_files_bytes_come_too_late)
{
	struct wmap_store *slow = wmap_store_slow(
		wmap_store_file(file_with(SEED, LARGE), 0), 0, 0);
	char *at = memory_map_store(LARGE, READ_WRITE, WMAP_PRIVATE, slow, 0);
	char *other = memory_map_store(LARGE, PROT_READ, WMAP_SHARED, slow, 0);
	struct wmap_range range = { at, PAGES(64) };
	int64_t prefetch;

	store_half(at);
	ck_assert_int_eq(wmap_advise(other, LARGE, WMAP_ADVICE_DONTNEED), 0);
	wmap_store_delay(slow, 1000000, 0);
	prefetch = wmap_prefetch(&range, 1);
	ck_assert_int_eq(wmap_memory_set(BUDGET), 0);
	other = memory_map(LARGE, READ_WRITE, WMAP_PRIVATE | WMAP_ANONYMOUS, -1,
			   0);
	memory_store(other, N, 'x');
	ck_assert_int_eq(wmap_prefetch_wait(prefetch), 0);
	wmap_store_delay(slow, 0, 0);
	ck_assert(half_is_stored(at, 0, 128));
}
END_TEST

START_TEST(a_hole_is_a_hole)
{
	char *at = map_stored(file_with(SEED, LARGE));

	ck_assert_int_eq(wmap_unmap(at + PAGES(1000), PAGES(500)), 0);
	ck_assert_int_eq(process_load(at + PAGES(1200)), SIGSEGV);
	ck_assert(half_is_stored(at, 0, 1000));
	ck_assert(half_is_stored(at, 1500, N));
	ck_assert_int_eq(wmap_unmap(at + PAGES(1500), PAGES(10)), 0);
	ck_assert(half_is_stored(at, 1510, N));
	keeps_within(BUDGET);
}
END_TEST

START_TEST(it_moves_along)
{
	char *at = map_stored(file_with(SEED, LARGE)), *there;

	/* Some are in memory, stored to and not. */
	ck_assert(half_is_stored(at, 0, 64));
	ck_assert_int_eq(wmap_unmap(at + LARGE / 2, LARGE / 2), 0);
	there = wmap_remap(at, LARGE / 2, LARGE, WMAP_MAYMOVE, at + LARGE);
	ck_assert_ptr_ne(there, WMAP_FAILED);
	ck_assert(half_is_stored(there, 0, N / 2));
	for (size_t i = N / 2; i < N; i++)
		ck_assert(page_holds(there, i, SEED));
	memory_load(there, N);
	memory_store(there, N, 'x');
	ck_assert_uint_le(anonymous(there), BUDGET);
	keeps_within(BUDGET);
	for (size_t i = 0; i < N; i++)
		ck_assert_int_eq(there[PAGES(i)], 'x');
}
END_TEST

/* What is in the page tables must be protected again at its new place. */
START_TEST(stores_after_a_move_are_seen)
{
	int fd = file_with(SEED, LARGE);
	char *at = map_loaded(fd), *there;
	uint64_t before;

	memory_map(LARGE, PROT_READ, WMAP_SHARED, fd, 0);
	memory_store(at, 8, 'x');
	there = wmap_remap(at, LARGE, 2 * LARGE, WMAP_MAYMOVE, NULL);
	ck_assert_ptr_ne(there, WMAP_FAILED);
	before = memory_stats().memory;
	memory_store(there, 64, 'y');
	ck_assert_uint_eq(memory_stats().memory, before + PAGES(56));
}
END_TEST

START_TEST(protections_are_no_matter)
{
	static const int protections[] = { PROT_READ, PROT_NONE, READ_WRITE };
	char *at = memory_map(LARGE, PROT_READ, WMAP_PRIVATE,
			      file_with(SEED, LARGE), 0);

	ck_assert_int_eq(wmap_memory_set(BUDGET), 0);
	memory_load(at, 64);
	ck_assert_int_eq(wmap_protect(at, LARGE, READ_WRITE), 0);
	store_half(at);
	ck_assert_uint_le(anonymous(at), BUDGET);
	for (size_t i = 0; i < COUNT(protections); i++) {
		ck_assert_int_eq(wmap_protect(at, LARGE / 2, protections[i]),
				 0);
		memory_load(at + LARGE / 2, N / 2);
		ck_assert_int_eq(wmap_protect(at, LARGE / 2, PROT_READ), 0);
		ck_assert(half_is_stored(at, 0, N));
	}
	keeps_within(BUDGET);
}
END_TEST

START_TEST(what_is_pinned_stays)
{
	char *at = map_stored(file_with(SEED, LARGE));

	ck_assert_int_eq(wmap_pin(at + PAGES(512), PAGES(64)), 0);
	memory_load(at + PAGES(512), 64);
	memory_load(at + PAGES(1024), 1024);
	ck_assert(memory_is_there(at + PAGES(512), 64));
	ck_assert_int_eq(wmap_unpin(at + PAGES(512), PAGES(64)), 0);
	ck_assert(half_is_stored(at, 0, N));
}
END_TEST

START_TEST(it_is_brought_by_a_list)
{
	char *at = map_stored(file_with(SEED, LARGE));
	struct wmap_range range = { at + PAGES(300), PAGES(24) };

	ck_assert_int_eq(wmap_prefetch_wait(wmap_prefetch(&range, 1)), 0);
	ck_assert(memory_is_there(at + PAGES(300), 24));
	ck_assert(half_is_stored(at, 300, 324));
}
END_TEST

/* The child's stores are its own, as are the parent's. */
START_TEST(a_child_has_them_too)
{
	char *at;
	pid_t child;
	int status;

	if (!facts_possible(WMAP_FEATURE_POISON))
		return;
	at = map_stored(file_with(SEED, LARGE));
	child = fork();
	if (!child) {
		bool right = half_is_stored(at, 0, N);

		memory_store(at, N, 'c');
		for (size_t i = 0; i < N; i++)
			right &= at[PAGES(i)] == 'c';
		_exit(!right);
	}
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_int_eq(status, 0);
	ck_assert(half_is_stored(at, 0, N));
	memory_store(at, N, 'p');
	for (size_t i = 0; i < N; i++)
		ck_assert_int_eq(at[PAGES(i)], 'p');
}
END_TEST

/* ---- Errors ------------------------------------------------------------- */

/* Random stores alone: else the file's memory would have no room either. */
START_TEST(what_finds_no_room_stays_and_is_told)
{
	char *at = map_file(file_with(SEED, LARGE));

	ck_assert_int_eq(wmap_advise(at, LARGE, WMAP_ADVICE_RANDOM), 0);
	process_limit_files(LARGE / 8);
	store_half(at);
	ck_assert_uint_gt(memory_stats().swap_errors, 0);
	errno = 0;
	ck_assert_int_eq(wmap_sync(at, LARGE, WMAP_SYNC_WAIT), -1);
	ck_assert_int_eq(errno, EFBIG);
	process_limit_files(UINT64_MAX);
	for (int i = 0; i < 100 && memory_stats().memory > BUDGET; i++)
		process_sleep_ms(100);
	ck_assert(half_is_stored(at, 0, N));
	keeps_within(BUDGET);
}
END_TEST

/* It is lost, and the file's bytes are no substitute. */
START_TEST(what_cannot_be_read_is_not_the_files)
{
	char *at = map_stored(file_with(SEED, LARGE));
	size_t lost = 0;

	file_cut_swap();
	for (size_t i = 0; i < N; i++)
		if (process_load(at + PAGES(i)) == SIGBUS)
			lost++;
		else
			ck_assert(page_holds(at, i, i % 2 ? SEED : OTHER));
	ck_assert_uint_gt(lost, N / 4);
	ck_assert_int_eq(wmap_advise(at, LARGE, WMAP_ADVICE_DONTNEED), 0);
	for (size_t i = 0; i < N; i++)
		ck_assert(page_holds(at, i, SEED));
}
END_TEST

int main(void)
{
	TCase *facts = facts_case("copies", 60);

	tcase_add_test(facts, more_is_changed_than_there_is_memory);
	tcase_add_loop_test(facts, what_was_loaded_is_seen_to_be_stored_to, 0,
			    2);
	tcase_add_loop_test(facts, they_are_counted, 0, 2);
	tcase_add_test(facts, a_mapping_of_its_own_budget_keeps_it);
	tcase_add_test(facts, a_budget_may_come_later);
	tcase_add_test(facts, without_a_budget_they_cost_no_message);
	tcase_add_test(facts, zeros_are_changed_bytes_too);
	tcase_add_test(facts, each_mapping_has_its_own);
	tcase_add_test(facts, a_store_to_what_is_held_back_is_whose_it_is);
	tcase_add_test(facts, what_is_not_needed_is_the_files_again);
	tcase_add_test(facts, what_is_on_its_way_comes_no_more);
	tcase_add_test(facts, the_files_bytes_come_too_late);
	tcase_add_test(facts, a_hole_is_a_hole);
	tcase_add_test(facts, it_moves_along);
	tcase_add_test(facts, stores_after_a_move_are_seen);
	tcase_add_test(facts, protections_are_no_matter);
	tcase_add_test(facts, what_is_pinned_stays);
	tcase_add_test(facts, it_is_brought_by_a_list);
	tcase_add_test(facts, a_child_has_them_too);
	tcase_add_test(facts, what_finds_no_room_stays_and_is_told);
	tcase_add_test(facts, what_cannot_be_read_is_not_the_files);
	return facts_run(facts);
}
