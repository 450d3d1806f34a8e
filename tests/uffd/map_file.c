/* SPDX-License-Identifier: MIT */
/*
 * wmap_map of files: where they end, what syncing writes, what advice and
 * residency mean, and what the counters count.
 */
#include "support.h"

#include <string.h>
#include <unistd.h>

static const int kinds[] = { WMAP_SHARED, WMAP_PRIVATE };

/* ---- The end of the file ------------------------------------------------- */

START_TEST(past_the_end_is_sigbus)
{
	int fd = file_with(3, PAGE + 100);
	char *at = memory_map(PAGES(4), READ_WRITE, kinds[_i], fd, 0);

	ck_assert(pattern_holds(at, PAGE + 100, 3, 0));
	ck_assert_int_eq(process_load(at + PAGES(2)), SIGBUS);
	ck_assert_int_eq(process_store(at + PAGES(3), 1), SIGBUS);
	ck_assert_int_eq(process_load(at + PAGES(2)), SIGBUS);
	ck_assert_uint_eq(file_length(fd), PAGE + 100);
}
END_TEST

START_TEST(past_the_end_is_efault_for_a_system_call)
{
	int fd = file_with(3, PAGE);
	char *at = memory_map(PAGES(4), READ_WRITE, kinds[_i], fd, 0);

	ck_assert_int_eq(pread(fd, at + PAGES(2), 100, 0), -1);
	ck_assert_int_eq(errno, EFAULT);
}
END_TEST

START_TEST(the_rest_of_the_last_page_is_zeros_and_never_stored)
{
	int fd = file_with(3, PAGE + 100);
	char *at = memory_map(PAGES(2), READ_WRITE, WMAP_SHARED, fd, 0);

	ck_assert(pattern_zeros(at + PAGE + 100, PAGE - 100));
	memset(at + PAGE, 'w', PAGE);
	ck_assert_int_eq(wmap_sync(at, PAGES(2), WMAP_SYNC_WAIT), 0);
	ck_assert_uint_eq(file_length(fd), PAGE + 100);
	ck_assert_int_eq(wmap_unmap(at, PAGES(2)), 0);
	ck_assert_uint_eq(file_length(fd), PAGE + 100);
	ck_assert(file_has(fd, PAGE + 99, "w", 1));
}
END_TEST

START_TEST(an_empty_file_is_sigbus)
{
	char *at = memory_map(PAGES(2), READ_WRITE, kinds[_i], file_empty(), 0);

	ck_assert_int_eq(process_load(at), SIGBUS);
	ck_assert_int_eq(process_load(at + PAGE), SIGBUS);
}
END_TEST

START_TEST(an_offset_past_the_end_is_sigbus)
{
	int fd = file_with(3, PAGES(2));
	char *at = memory_map(PAGE, READ_WRITE, kinds[_i], fd, PAGES(8));

	ck_assert_int_eq(process_load(at), SIGBUS);
}
END_TEST

START_TEST(a_handler_may_jump_out_of_sigbus)
{
	int fd = file_with(3, PAGE);
	char *at = memory_map(PAGES(2), READ_WRITE, kinds[_i], fd, 0);

	for (int i = 0; i < 100; i++)
		ck_assert_int_eq(process_load(at + PAGE + i), SIGBUS);
	ck_assert_int_eq(process_load(at), 0);
}
END_TEST

START_TEST(a_file_that_shrank_is_sigbus_beyond_its_new_end)
{
	int fd = file_with(3, PAGES(8));
	char *at = memory_map(PAGES(8), READ_WRITE, kinds[_i], fd, 0);

	memory_load(at, 1);
	ck_assert_int_eq(ftruncate(fd, PAGES(2)), 0);
	ck_assert_int_eq(process_load(at + PAGES(5)), SIGBUS);
	ck_assert_int_eq(process_store(at + PAGES(2), 1), SIGBUS);
	ck_assert(pattern_holds(at, PAGES(2), 3, 0));
}
END_TEST

START_TEST(what_a_file_lost_is_sigbus_from_a_sync_on)
{
	int fd = file_with(3, PAGES(8));
	char *at = memory_map(PAGES(8), READ_WRITE, WMAP_SHARED, fd, 0);

	memory_load(at, 8);
	at[0] = 's';
	ck_assert_int_eq(ftruncate(fd, (off_t)(_i ? PAGES(2) : 0)), 0);
	ck_assert_int_eq(wmap_sync(at, PAGES(8), WMAP_SYNC_WAIT), 0);
	ck_assert_int_eq(process_load(at + PAGES(2)), SIGBUS);
	ck_assert_int_eq(process_load(at + PAGES(7)), SIGBUS);
	ck_assert_int_eq(process_load(at + PAGE), _i ? 0 : SIGBUS);
}
END_TEST

START_TEST(a_file_that_shrank_does_not_grow_by_writing_back)
{
	int fd = file_with(3, PAGES(8));
	char *at = memory_map(PAGES(8), READ_WRITE, WMAP_SHARED, fd, 0);

	memset(at, 'w', PAGES(8));
	ck_assert_int_eq(ftruncate(fd, PAGE + 10), 0);
	wmap_sync(at, PAGES(8), WMAP_SYNC_WAIT);
	ck_assert_uint_eq(file_length(fd), PAGE + 10);
	ck_assert(file_has(fd, PAGE + 9, "w", 1));
	ck_assert_int_eq(wmap_unmap(at, PAGES(8)), 0);
	ck_assert_uint_eq(file_length(fd), PAGE + 10);
}
END_TEST

START_TEST(a_file_that_grew_heals_at_sync)
{
	int fd = file_with(3, PAGE);
	char *at = memory_map(PAGES(4), READ_WRITE, kinds[_i], fd, 0);

	ck_assert_int_eq(process_load(at + PAGES(2)), SIGBUS);
	ck_assert_int_eq(ftruncate(fd, PAGES(4)), 0);
	ck_assert_int_eq(wmap_sync(at, PAGES(4), WMAP_SYNC_WAIT), 0);
	ck_assert_int_eq(process_load(at + PAGES(2)), 0);
	ck_assert(pattern_zeros(at + PAGE, PAGES(3)));
}
END_TEST

static bool readable(void *at)
{
	return !process_load(at);
}

START_TEST(a_file_that_grew_heals_by_itself)
{
	int fd = file_with(3, PAGE);
	char *at = memory_map(PAGES(4), READ_WRITE, kinds[_i], fd, 0);

	ck_assert_int_eq(process_load(at + PAGES(2)), SIGBUS);
	ck_assert_int_eq(pwrite(fd, "grown", 5, (off_t)PAGES(2)), 5);
	ck_assert(process_wait(readable, at + PAGES(2), 20));
	ck_assert_int_eq(memcmp(at + PAGES(2), "grown", 5), 0);
}
END_TEST

/* ---- Syncing ------------------------------------------------------------- */

START_TEST(sync_writes_what_was_stored_and_cleans)
{
	int fd = file_with(3, PAGES(8));
	char *at = memory_map(PAGES(8), READ_WRITE, WMAP_SHARED, fd, 0);

	memory_store(at + PAGES(2), 3, 's');
	ck_assert_uint_eq(memory_info(at).dirty, 3);
	ck_assert_int_eq(wmap_sync(at, PAGES(8), WMAP_SYNC_WAIT), 0);
	ck_assert_uint_eq(memory_info(at).dirty, 0);
	ck_assert(file_has(fd, PAGES(2), at + PAGES(2), PAGES(3)));
	ck_assert_uint_eq(memory_info(at).writebacks, 3);
}
END_TEST

START_TEST(sync_of_a_part_writes_that_part)
{
	int fd = file_with(3, PAGES(8));
	char *at = memory_map(PAGES(8), READ_WRITE, WMAP_SHARED, fd, 0);

	memory_store(at + PAGES(2), 3, 's');
	ck_assert_int_eq(wmap_sync(at + PAGES(3), PAGE, WMAP_SYNC_WAIT), 0);
	ck_assert(file_has(fd, PAGES(3), "s", 1));
	ck_assert_uint_eq(memory_info(at).dirty, 2);
}
END_TEST

START_TEST(a_store_after_a_sync_is_known_again)
{
	int fd = file_with(3, PAGES(2));
	char *at = memory_map(PAGES(2), READ_WRITE, WMAP_SHARED, fd, 0);

	for (char i = 'a'; i < 'z'; i++) {
		at[PAGE] = i;
		ck_assert_int_eq(wmap_sync(at, PAGES(2), WMAP_SYNC_WAIT), 0);
		ck_assert(file_has(fd, PAGE, &i, 1));
	}
}
END_TEST

START_TEST(clean_pages_cost_nothing)
{
	int fd = file_with(3, PAGES(8));
	char *at = memory_map(PAGES(8), READ_WRITE, WMAP_SHARED, fd, 0);
	uint64_t written;

	memory_load(at, 8);
	memory_store(at, 1, 's');
	ck_assert_int_eq(wmap_sync(at, PAGES(8), WMAP_SYNC_WAIT), 0);
	written = memory_stats().bytes_written;
	ck_assert_int_eq(wmap_sync(at, PAGES(8), WMAP_SYNC_WAIT), 0);
	ck_assert_uint_eq(memory_stats().bytes_written, written);
}
END_TEST

struct expected {
	int fd;
	size_t offset;
	const char *byte;
};

static bool is_in_the_file(void *arg)
{
	struct expected *expected = arg;

	return file_has(expected->fd, expected->offset, expected->byte, 1);
}

START_TEST(a_started_sync_writes_without_being_waited_for)
{
	struct expected expected = { file_with(3, PAGES(8)), PAGES(4), "S" };
	char *at =
		memory_map(PAGES(8), READ_WRITE, WMAP_SHARED, expected.fd, 0);

	at[PAGES(4)] = 'S';
	ck_assert_int_eq(wmap_sync(at, PAGES(8), WMAP_SYNC_START), 0);
	ck_assert(process_wait(is_in_the_file, &expected, 20));
}
END_TEST

/* ---- Advice and residency ------------------------------------------------ */

static size_t resident(char *at, size_t pages)
{
	unsigned char vec[64];
	size_t n = 0;

	memset(vec, 0xff, sizeof vec);
	ck_assert_int_eq(wmap_residency(at, PAGES(pages), vec), 0);
	for (size_t i = 0; i < pages; i++)
		n += vec[i] & 1;
	return n;
}

START_TEST(residency_tells_which_pages_are_in_memory)
{
	unsigned char vec[9];
	int fd = file_with(3, PAGES(8));
	char *at = memory_map(PAGES(8), READ_WRITE, kinds[_i], fd, 0);

	wmap_advise(at, PAGES(8), WMAP_ADVICE_RANDOM);
	memory_load(at + PAGES(3), 1);
	memory_store(at + PAGES(6), 1, 1);
	memset(vec, 0xff, sizeof vec);
	ck_assert_int_eq(wmap_residency(at, PAGES(8), vec), 0);
	for (unsigned i = 0; i < 8; i++)
		ck_assert_int_eq(vec[i] & 1, i == 3 || i == 6);
	ck_assert_int_eq(vec[8], 0xff);
}
END_TEST

struct area {
	char *at;
	size_t pages;
};

static bool is_resident(void *arg)
{
	struct area *area = arg;

	return resident(area->at, area->pages) == area->pages;
}

START_TEST(willneed_brings_pages)
{
	int fd = file_with(3, PAGES(64));
	struct area area = { .pages = 64 };

	area.at = memory_map(PAGES(64), READ_WRITE, WMAP_SHARED, fd, 0);
	ck_assert_int_eq(wmap_advise(area.at, PAGES(64), WMAP_ADVICE_WILLNEED),
			 0);
	ck_assert(process_wait(is_resident, &area, 20));
	ck_assert(pattern_holds(area.at, PAGES(64), 3, 0));
}
END_TEST

START_TEST(dontneed_drops_a_page_which_is_then_read_again)
{
	int fd = file_with(3, PAGES(8));
	char *at = memory_map(PAGES(8), READ_WRITE, kinds[_i], fd, 0);

	memory_load(at, 8);
	ck_assert_int_eq(wmap_advise(at, PAGES(8), WMAP_ADVICE_DONTNEED), 0);
	ck_assert_uint_eq(resident(at, 8), 0);
	ck_assert_int_eq(pwrite(fd, "again", 5, (off_t)PAGES(4)), 5);
	ck_assert_int_eq(memcmp(at + PAGES(4), "again", 5), 0);
}
END_TEST

START_TEST(dontneed_writes_shared_changes_first)
{
	int fd = file_with(3, PAGES(8));
	char *at = memory_map(PAGES(8), READ_WRITE, WMAP_SHARED, fd, 0);

	memset(at, 'd', PAGES(8));
	ck_assert_int_eq(wmap_advise(at, PAGES(8), WMAP_ADVICE_DONTNEED), 0);
	ck_assert(file_has(fd, PAGES(7), "d", 1));
	ck_assert_int_eq(at[PAGES(7) + 9], 'd');
}
END_TEST

START_TEST(dontneed_drops_private_changes)
{
	int fd = file_with(3, PAGES(8));
	char *at = memory_map(PAGES(8), READ_WRITE, WMAP_PRIVATE, fd, 0);

	memset(at, 'd', PAGES(8));
	ck_assert_int_eq(
		wmap_advise(at + PAGES(2), PAGES(2), WMAP_ADVICE_DONTNEED), 0);
	ck_assert(pattern_holds(at + PAGES(2), PAGES(2), 3, PAGES(2)));
	ck_assert_int_eq(at[PAGES(4)], 'd');
}
END_TEST

START_TEST(dontneed_zeroes_private_anonymous_memory)
{
	char *at = memory_map(PAGES(4), READ_WRITE,
			      WMAP_PRIVATE | WMAP_ANONYMOUS, -1, 0);

	memset(at, 'd', PAGES(4));
	ck_assert_int_eq(wmap_advise(at, PAGES(4), WMAP_ADVICE_DONTNEED), 0);
	ck_assert(pattern_zeros(at, PAGES(4)));
}
END_TEST

START_TEST(dontneed_keeps_what_shared_anonymous_memory_holds)
{
	char *at = memory_map(PAGES(4), READ_WRITE,
			      WMAP_SHARED | WMAP_ANONYMOUS, -1, 0);

	memset(at, 'd', PAGES(4));
	ck_assert_int_eq(wmap_advise(at, PAGES(4), WMAP_ADVICE_DONTNEED), 0);
	ck_assert_int_eq(at[PAGES(3)], 'd');
}
END_TEST

START_TEST(every_advice_leaves_the_bytes_alone)
{
	int fd = file_with(3, PAGES(64));
	char *at = memory_map(PAGES(64), READ_WRITE, kinds[_i % 2], fd, 0);

	ck_assert_int_eq(wmap_advise(at, PAGES(64), _i / 2), 0);
	ck_assert(pattern_holds(at, PAGES(64), 3, 0));
}
END_TEST

/* ---- Counters ------------------------------------------------------------ */

START_TEST(the_counters_count)
{
	int fd = file_with(3, PAGES(7) + 5);
	char *at = memory_map(PAGES(8), READ_WRITE, WMAP_SHARED, fd, 0);
	struct wmap_mapping_info info;

	wmap_advise(at, PAGES(8), WMAP_ADVICE_RANDOM);
	memory_load(at, 3);
	memory_store(at + PAGES(3), 2, 1);
	info = memory_info(at + PAGES(5));
	ck_assert_ptr_eq(info.addr, at);
	ck_assert_uint_eq(info.loaded, 5);
	ck_assert_uint_eq(info.resident, 5);
	ck_assert_uint_eq(info.dirty, 2);
	ck_assert_uint_eq(info.fills, 5);
	ck_assert_uint_ge(info.faults, 5);
	ck_assert_uint_eq(info.errors, 0);
	ck_assert_uint_ne(info.ino, 0);
}
END_TEST

START_TEST(a_fault_that_ends_in_sigbus_counts_as_an_error)
{
	int fd = file_with(3, PAGE);
	char *at = memory_map(PAGES(8), READ_WRITE, kinds[_i], fd, 0);

	process_load(at + PAGES(4));
	ck_assert_uint_eq(memory_info(at).errors, 1);
	ck_assert_uint_eq(memory_stats().errors, 1);
}
END_TEST

START_TEST(the_latency_of_each_fault_is_in_the_histogram)
{
	char *at = memory_map(PAGES(100), READ_WRITE,
			      WMAP_PRIVATE | WMAP_ANONYMOUS, -1, 0);
	struct wmap_stats stats;
	uint64_t sum = 0;

	memory_store(at, 100, 1);
	stats = memory_stats();
	for (unsigned i = 0; i < WMAP_BUCKETS; i++)
		sum += stats.latency[i];
	ck_assert_uint_eq(sum, stats.faults);
	ck_assert_uint_ge(sum, 100);
	ck_assert_uint_gt(wmap_stats_quantile(&stats, 0.5), 0);
	ck_assert_uint_le(wmap_stats_quantile(&stats, 0.5),
			  wmap_stats_quantile(&stats, 0.99));
}
END_TEST

static void ends(TCase *facts)
{
	tcase_add_loop_test(facts, past_the_end_is_sigbus, 0, 2);
	if (facts_possible(WMAP_FEATURE_KERNEL_FAULTS))
		tcase_add_loop_test(
			facts, past_the_end_is_efault_for_a_system_call, 0, 2);
	tcase_add_test(facts,
		       the_rest_of_the_last_page_is_zeros_and_never_stored);
	tcase_add_loop_test(facts, an_empty_file_is_sigbus, 0, 2);
	tcase_add_loop_test(facts, an_offset_past_the_end_is_sigbus, 0, 2);
	tcase_add_loop_test(facts, a_handler_may_jump_out_of_sigbus, 0, 2);
	tcase_add_loop_test(
		facts, a_file_that_shrank_is_sigbus_beyond_its_new_end, 0, 2);
	tcase_add_loop_test(facts, what_a_file_lost_is_sigbus_from_a_sync_on, 0,
			    2);
	tcase_add_test(facts, a_file_that_shrank_does_not_grow_by_writing_back);
	tcase_add_loop_test(facts, a_file_that_grew_heals_at_sync, 0, 2);
	tcase_add_loop_test(facts, a_file_that_grew_heals_by_itself, 0, 2);
}

static void syncing_and_advice(TCase *facts)
{
	tcase_add_test(facts, sync_writes_what_was_stored_and_cleans);
	tcase_add_test(facts, sync_of_a_part_writes_that_part);
	tcase_add_test(facts, a_store_after_a_sync_is_known_again);
	tcase_add_test(facts, clean_pages_cost_nothing);
	tcase_add_test(facts, a_started_sync_writes_without_being_waited_for);
	tcase_add_loop_test(facts, residency_tells_which_pages_are_in_memory, 0,
			    2);
	tcase_add_test(facts, willneed_brings_pages);
	tcase_add_loop_test(
		facts, dontneed_drops_a_page_which_is_then_read_again, 0, 2);
	tcase_add_test(facts, dontneed_writes_shared_changes_first);
	tcase_add_test(facts, dontneed_drops_private_changes);
	tcase_add_test(facts, dontneed_zeroes_private_anonymous_memory);
	tcase_add_test(facts,
		       dontneed_keeps_what_shared_anonymous_memory_holds);
	tcase_add_loop_test(facts, every_advice_leaves_the_bytes_alone, 0, 10);
}

int main(void)
{
	TCase *facts = facts_case("mapping: files", 40);

	ends(facts);
	syncing_and_advice(facts);
	tcase_add_test(facts, the_counters_count);
	tcase_add_loop_test(
		facts, a_fault_that_ends_in_sigbus_counts_as_an_error, 0, 2);
	tcase_add_test(facts, the_latency_of_each_fault_is_in_the_histogram);
	return facts_run(facts);
}
