/* SPDX-License-Identifier: MIT */
/*
 * Recording what is touched, and replaying it
 *
 * A page is recorded if a thread has touched it, however it came to memory; and
 * what a recording says is brought, but never further ahead than it proves right.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "recording.h"

#include "support.h"

#define SEED   9
#define N      8192 /* pages of the file */
#define LENGTH PAGES(N)
#define BUDGET (8 * MIB)

/* ---- Files with names ------------------------------------------------------*/

static char directory[64], data[80], tape[80];

static void make_directory(void)
{
	strcpy(directory, "/tmp/wmap-replay-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(directory));
	snprintf(data, sizeof data, "%s/data", directory);
	snprintf(tape, sizeof tape, "%s/recording", directory);
}

static void remove_directory(void)
{
	char command[100];

	snprintf(command, sizeof command, "rm -rf %s", directory);
	ck_assert_int_eq(system(command), 0);
}

static void make_data(size_t length)
{
	char *bytes = malloc(length);
	int fd = open(data, O_RDWR | O_CREAT | O_TRUNC, 0600);

	pattern_fill(bytes, length, SEED, 0);
	ck_assert_int_eq(write(fd, bytes, length), (ssize_t)length);
	close(fd);
	free(bytes);
}

static char *map_data(int prot, int flags)
{
	int fd = open(data, prot & PROT_WRITE ? O_RDWR : O_RDONLY);
	char *at = memory_map(LENGTH, prot, flags, fd, 0);

	close(fd);
	return at;
}

static char *map_shared(void)
{
	return map_data(PROT_READ, WMAP_SHARED);
}

static bool page_holds(const char *at, size_t page)
{
	return pattern_holds(at + PAGES(page), PAGE, SEED, PAGES(page));
}

/* The runs of the recording, which has one file: "5+1 3+2". */
static const char *recorded(void)
{
	static char text[16384];
	struct recording *recording;
	const char *why;
	int n = 0;

	*text = '\0';
	ck_assert_int_eq(recording_read(tape, &recording, &why), 0);
	ck_assert_uint_le(recording->n_files, 1);
	for (size_t i = 0; i < recording->n_runs && n < 16000; i++)
		n += sprintf(text + n, "%s%lu+%lu", i ? " " : "",
			     (unsigned long)recording->runs[i].first,
			     (unsigned long)recording->runs[i].count);
	recording_destroy(recording);
	return text;
}

/* ---- Recording -------------------------------------------------------------*/

static void touch(const char *at, size_t page)
{
	ck_assert(page_holds(at, page));
}

static void start(void)
{
	make_data(LENGTH);
	ck_assert_int_eq(wmap_record_start(tape), 0);
}

static void stop_and_expect(const char *runs)
{
	ck_assert_int_eq(wmap_record_stop(), 0);
	ck_assert_str_eq(recorded(), runs);
}

START_TEST(what_is_touched_is_recorded_in_order)
{
	char *at;

	start();
	at = map_shared();
	touch(at, 500);
	touch(at, 3);
	touch(at, 4);
	touch(at, 500);
	touch(at, 8191);
	stop_and_expect("500+1 3+2 8191+1");
}
END_TEST

/* Both ways of showing a file, read-only and not, loads and stores. */
static const struct {
	int prot, flags;
} ways[] = {
	{ PROT_READ, WMAP_SHARED },
	{ READ_WRITE, WMAP_SHARED },
	{ PROT_READ, WMAP_PRIVATE },
	{ READ_WRITE, WMAP_PRIVATE },
};

START_TEST(what_was_read_ahead_is_recorded_when_it_is_touched)
{
	char *at;

	start();
	at = map_data(ways[_i].prot, ways[_i].flags);
	for (size_t i = 100; i < 400; i++)
		touch(at, i);
	process_sleep_ms(20);
	ck_assert_uint_gt(memory_info(at).resident, 300);
	touch(at, 401);
	stop_and_expect("100+300 401+1");
}
END_TEST

START_TEST(a_first_store_is_a_touch)
{
	char *at;

	start();
	at = map_data(READ_WRITE, ways[_i].flags);
	if (!(ways[_i].prot & PROT_WRITE))
		return;
	for (size_t i = 0; i < 100; i++)
		at[PAGES(1000 + i)] = 'x';
	ck_assert_int_eq(wmap_sync(at, LENGTH, WMAP_SYNC_WAIT), 0);
	stop_and_expect("1000+100");
	for (size_t i = 0; i < 100; i++)
		ck_assert_int_eq(at[PAGES(1000 + i)], 'x');
}
END_TEST

START_TEST(of_a_grain_only_what_was_touched_is_recorded)
{
	struct wmap_map_options wishes = {
		.size = sizeof wishes,
		.grain = 64 * KIB,
	};
	char *at;
	int fd;

	start();
	fd = open(data, O_RDWR);
	at = wmap_map(NULL, LENGTH, READ_WRITE, WMAP_SHARED, fd, 0, &wishes);
	ck_assert_ptr_ne(at, WMAP_FAILED);
	touch(at, 37);
	touch(at, 33);
	at[PAGES(34)] = 'x';
	ck_assert_uint_eq(memory_info(at).resident, 16);
	ck_assert_uint_eq(memory_info(at).loaded, 3);
	stop_and_expect("37+1 33+2");
	ck_assert_int_eq(wmap_unmap(at, LENGTH), 0);
	ck_assert(file_has(fd, PAGES(34), "x", 1));
}
END_TEST

START_TEST(what_was_prefetched_is_recorded_when_it_is_touched)
{
	struct wmap_range range;
	char *at;

	start();
	at = map_shared();
	range = (struct wmap_range){ at, PAGES(100) };
	ck_assert_int_eq(wmap_prefetch_wait(wmap_prefetch(&range, 1)), 0);
	ck_assert_uint_eq(memory_info(at).resident, 100);
	touch(at, 70);
	touch(at, 20);
	stop_and_expect("70+1 20+1");
}
END_TEST

START_TEST(mappings_of_one_file_are_recorded_as_one)
{
	char *a, *b, *c;

	start();
	a = map_shared();
	b = map_data(READ_WRITE, WMAP_SHARED);
	c = map_data(PROT_READ, WMAP_PRIVATE);
	touch(a, 7);
	touch(b, 7);
	touch(b, 100);
	touch(c, 50);
	touch(a, 50);
	stop_and_expect("7+1 100+1 50+1");
}
END_TEST

START_TEST(streams_that_take_turns_are_long_runs)
{
	char *at;

	start();
	at = map_shared();
	for (size_t i = 0; i < 64; i++)
		for (size_t k = 0; k < 4; k++)
			touch(at, 1000 * k + i);
	stop_and_expect("0+64 1000+64 2000+64 3000+64");
}
END_TEST

START_TEST(with_a_budget_each_page_is_recorded_once)
{
	char *at, expected[32];

	start();
	ck_assert_int_eq(wmap_memory_set(BUDGET), 0);
	at = map_shared();
	for (int round = 0; round < 2; round++)
		for (size_t i = 0; i < N; i++)
			touch(at, i);
	ck_assert_uint_le(memory_stats().memory_peak, BUDGET);
	snprintf(expected, sizeof expected, "0+%d", N);
	stop_and_expect(expected);
}
END_TEST

START_TEST(a_recording_begins_and_ends_while_the_file_is_mapped)
{
	char *at;

	make_data(LENGTH);
	at = map_data(READ_WRITE, WMAP_SHARED);
	touch(at, 5);
	ck_assert_int_eq(wmap_record_start(tape), 0);
	touch(at, 5); /* it is there */
	for (size_t i = 200; i < 300; i++)
		touch(at, i);
	stop_and_expect("200+100");
	touch(at, 310);
	at[PAGES(250)] = 'x';
	ck_assert_int_eq(wmap_sync(at, LENGTH, WMAP_SYNC_WAIT), 0);
	ck_assert_str_eq(recorded(), "200+100");
	for (size_t i = 0; i < 200; i++)
		touch(at, i);
	ck_assert_int_eq(at[PAGES(250)], 'x');
}
END_TEST

START_TEST(recordings_merge_the_newer_first)
{
	char *at;

	start();
	at = map_shared();
	touch(at, 1);
	touch(at, 2);
	stop_and_expect("1+2");
	ck_assert_int_eq(wmap_unmap(at, LENGTH), 0);
	ck_assert_int_eq(wmap_record_start(tape), 0);
	at = map_shared();
	touch(at, 9);
	touch(at, 2);
	stop_and_expect("9+1 2+1 1+1");
}
END_TEST

START_TEST(what_the_program_writes_makes_nothing_stale)
{
	char *at;

	start();
	at = map_data(READ_WRITE, WMAP_SHARED);
	at[PAGES(5)] = 'x';
	ck_assert_int_eq(wmap_unmap(at, LENGTH), 0);
	stop_and_expect("5+1");
	ck_assert_int_eq(wmap_replay(tape), 0);
	at = map_shared();
	touch(at, 100);
	process_sleep_ms(20);
	ck_assert_uint_eq(memory_info(at).resident, 2);
}
END_TEST

/* ---- Bad calls ---------------------------------------------------------------*/

static void expect(int result, int error)
{
	ck_assert_int_eq(result, -1);
	ck_assert_int_eq(errno, error);
}

static void write_file(const char *path, const char *text)
{
	FILE *file = fopen(path, "w");

	fputs(text, file);
	fclose(file);
}

START_TEST(bad_calls_say_why_and_change_nothing)
{
	expect(wmap_record_start(NULL), EINVAL);
	expect(wmap_record_start(""), EINVAL);
	expect(wmap_record_start(directory), EISDIR);
	expect(wmap_record_start("/nowhere/at/all"), ENOENT);
	expect(wmap_record_stop(), EINVAL);
	expect(wmap_replay("/nowhere/at/all"), ENOENT);
	expect(wmap_replay(directory), EISDIR);
	write_file(tape, "wmap");
	expect(wmap_replay(tape), EINVAL);
	expect(wmap_record_start(tape), EINVAL);
	write_file(tape, "wmaprec\n");
	expect(wmap_replay(tape), EBADMSG);
	expect(wmap_record_start(tape), EBADMSG);
	ck_assert_int_eq(unlink(tape), 0);
	start();
	expect(wmap_record_start(tape), EBUSY);
	touch(map_shared(), 5);
	ck_assert_int_eq(mkdir(tape, 0700), 0);
	expect(wmap_record_stop(), EISDIR);
	ck_assert_int_eq(rmdir(tape), 0);
	touch(map_shared(), 6);
	stop_and_expect("5+2");
	expect(wmap_record_stop(), EINVAL);
}
END_TEST

/* ---- Replaying ---------------------------------------------------------------*/

/* Every page once, in an order without a pattern. */
static size_t nth(size_t i)
{
	return i * (i + 1) / 2 % N;
}

/* A recording of the first @n pages of that order, as if made by a program. */
static void record_order(size_t n, bool backwards)
{
	struct recording *recording = recording_create();
	struct recording_file file = { .path = data };
	struct stat stat_of;
	const char *why;

	make_data(LENGTH);
	ck_assert_int_eq(stat(data, &stat_of), 0);
	file.dev = stat_of.st_dev;
	file.ino = stat_of.st_ino;
	file.length = (uint64_t)stat_of.st_size;
	file.changed =
		stat_of.st_mtim.tv_sec * 1000000000ll + stat_of.st_mtim.tv_nsec;
	ck_assert_int_eq(recording_add_file(recording, &file), 0);
	for (size_t i = 0; i < n; i++)
		ck_assert_int_eq(
			recording_add_run(recording, 0,
					  nth(backwards ? n - 1 - i : i), 1),
			0);
	ck_assert_int_eq(recording_save(tape, recording, &why), 0);
	recording_destroy(recording);
}

/* Touch the first @n pages of the order, slowly if that is to be seen; faults. */
static uint64_t touch_order(const char *at, size_t n, size_t pause_at)
{
	uint64_t before = memory_stats().faults;

	for (size_t i = 0; i < n; i++) {
		if (i % pause_at == pause_at - 1)
			process_sleep_ms(2);
		touch(at, nth(i));
	}
	return memory_stats().faults - before;
}

START_TEST(what_was_recorded_is_there_before_it_is_touched)
{
	char *at;

	record_order(4000, false);
	ck_assert_int_eq(wmap_replay(tape), 0);
	at = map_data(ways[_i].prot, ways[_i].flags);
	ck_assert_uint_lt(touch_order(at, 4000, 40), 4000 / 20);
	ck_assert_uint_eq(memory_info(at).resident, 4000);
}
END_TEST

START_TEST(within_a_budget_it_stays_ahead)
{
	char *at;

	record_order(N, false);
	ck_assert_int_eq(wmap_memory_set(BUDGET), 0);
	ck_assert_int_eq(wmap_replay(tape), 0);
	at = map_shared();
	ck_assert_uint_lt(touch_order(at, N, 40), N / 4);
	ck_assert_uint_le(memory_stats().memory_peak, BUDGET);
}
END_TEST

START_TEST(in_another_order_most_of_it_is_there_too)
{
	char *at;

	record_order(4000, true);
	ck_assert_int_eq(wmap_replay(tape), 0);
	at = map_shared();
	ck_assert_uint_lt(touch_order(at, 4000, 40), 4000 / 2);
}
END_TEST

START_TEST(a_wrong_recording_brings_a_mebibyte)
{
	char *at;

	record_order(N / 2, false);
	ck_assert_int_eq(wmap_replay(tape), 0);
	at = map_shared();
	for (size_t i = N - 1; i >= N - 1000; i--)
		touch(at, nth(i) / 4 * 4 % 2 + nth(i)); /* none of them is it */
	process_sleep_ms(20);
	ck_assert_uint_le(memory_info(at).resident, 1000 + 300);
}
END_TEST

START_TEST(what_is_not_touched_is_not_brought)
{
	char *at;

	record_order(4000, false);
	ck_assert_int_eq(wmap_replay(tape), 0);
	at = map_shared();
	process_sleep_ms(20);
	ck_assert_uint_eq(memory_info(at).resident, 0);
	ck_assert_uint_eq(memory_stats().bytes_read, 0);
}
END_TEST

static void change_time(void)
{
	struct timespec times[2] = { { .tv_sec = 1 }, { .tv_sec = 1 } };

	ck_assert_int_eq(utimensat(AT_FDCWD, data, times, 0), 0);
}

static void make_shorter(void)
{
	ck_assert_int_eq(truncate(data, (off_t)PAGES(100)), 0);
}

static void replace_it(void)
{
	ck_assert_int_eq(unlink(data), 0);
	make_data(LENGTH);
}

static void (*const changes[])(void) = { change_time, make_shorter,
					 replace_it };

START_TEST(a_file_that_has_changed_is_left_alone)
{
	char *at;

	record_order(4000, false);
	changes[_i]();
	ck_assert_int_eq(wmap_replay(tape), 0);
	at = map_shared();
	touch(at, 50);
	process_sleep_ms(20);
	ck_assert_uint_eq(memory_info(at).resident, 1);
}
END_TEST

START_TEST(a_file_that_has_moved_is_known)
{
	char moved[90], *at;

	record_order(100, false);
	snprintf(moved, sizeof moved, "%s.moved", data);
	ck_assert_int_eq(rename(data, moved), 0);
	strcpy(data, moved);
	ck_assert_int_eq(wmap_replay(tape), 0);
	at = map_shared();
	touch(at, 0);
	process_sleep_ms(20);
	ck_assert_uint_eq(memory_info(at).resident, 100);
}
END_TEST

/* It shrinks under the mapping: what is gone is passed by. */
START_TEST(a_file_that_shrinks_meanwhile_is_no_harm)
{
	char *at;

	record_order(4000, false);
	ck_assert_int_eq(wmap_replay(tape), 0);
	at = map_shared();
	touch(at, 0);
	ck_assert_int_eq(truncate(data, (off_t)PAGES(100)), 0);
	process_sleep_ms(20);
	touch(at, 99);
	ck_assert_int_eq(process_load(at + PAGES(4095 + 4096)), SIGBUS);
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

	record_order(N, false);
	ck_assert_int_eq(wmap_memory_set(BUDGET), 0);
	ck_assert_int_eq(wmap_replay(tape), 0);
	at = map_shared();
	touch(at, 1);
	ck_assert_int_eq(wmap_unmap(at, LENGTH), 0);
	at = map_shared();
	touch(at, 2);
	process_sleep_ms(20);
	ck_assert_int_eq(wmap_unmap(at, LENGTH), 0);
	ck_assert(process_wait(stops, NULL, 10));
}
END_TEST

START_TEST(another_recording_takes_the_place_of_the_first)
{
	char *at;

	record_order(N, false);
	ck_assert_int_eq(wmap_replay(tape), 0);
	at = map_shared();
	touch(at, 1);
	ck_assert_int_eq(wmap_replay(NULL), 0);
	process_sleep_ms(20);
	ck_assert_uint_le(memory_info(at).resident, 600);
	ck_assert_int_eq(wmap_unmap(at, LENGTH), 0);
	at = map_shared();
	touch(at, 1);
	process_sleep_ms(20);
	ck_assert_uint_eq(memory_info(at).resident, 1);
}
END_TEST

START_TEST(what_is_replayed_can_be_recorded_anew)
{
	char *at;

	record_order(100, false);
	ck_assert_int_eq(wmap_replay(tape), 0);
	ck_assert_int_eq(unlink(tape), 0);
	ck_assert_int_eq(wmap_record_start(tape), 0);
	at = map_shared();
	touch(at, 0);
	process_sleep_ms(20);
	ck_assert_uint_eq(memory_info(at).resident, 100);
	touch(at, 3);
	touch(at, 1);
	stop_and_expect("0+2 3+1");
}
END_TEST

/* ---- Processes ----------------------------------------------------------------*/

static bool pager_moves_out(void)
{
	unsigned features;

	ck_assert_int_eq(wmap_start(&features), 0);
	return features & WMAP_FEATURE_POISON;
}

static void in_child(const char *at)
{
	pid_t pid = fork();
	int status;

	ck_assert_int_ge(pid, 0);
	if (!pid)
		_exit(!page_holds(at, 20) || !page_holds(at, 10));
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
}

START_TEST(a_pager_that_moves_out_goes_on)
{
	char *at;

	if (!pager_moves_out())
		return;
	start();
	at = map_shared();
	touch(at, 5);
	in_child(at);
	touch(at, 7);
	expect(wmap_record_start(tape), EBUSY);
	stop_and_expect("5+1 20+1 10+1 7+1");
	expect(wmap_record_start(tape), EOPNOTSUPP);
}
END_TEST

START_TEST(a_private_pager_records_and_replays)
{
	char *at;

	record_order(100, false);
	ck_assert_int_eq(wmap_pager_set("private"), 0);
	ck_assert_int_eq(wmap_replay(tape), 0);
	ck_assert_int_eq(unlink(tape), 0);
	ck_assert_int_eq(setenv("WMAP_RECORD", tape, 1), 0);
	at = map_shared();
	touch(at, 6);
	process_sleep_ms(30);
	if (!pager_moves_out())
		return;
	in_child(at);
	ck_assert_uint_eq(memory_info(at).resident, 101);
}
END_TEST

int main(void)
{
	TCase *facts = facts_case("replay", 60);

	tcase_add_checked_fixture(facts, make_directory, remove_directory);
	tcase_add_test(facts, what_is_touched_is_recorded_in_order);
	tcase_add_loop_test(facts,
			    what_was_read_ahead_is_recorded_when_it_is_touched,
			    0, COUNT(ways));
	tcase_add_loop_test(facts, a_first_store_is_a_touch, 0, COUNT(ways));
	tcase_add_test(facts, of_a_grain_only_what_was_touched_is_recorded);
	tcase_add_test(facts,
		       what_was_prefetched_is_recorded_when_it_is_touched);
	tcase_add_test(facts, mappings_of_one_file_are_recorded_as_one);
	tcase_add_test(facts, streams_that_take_turns_are_long_runs);
	tcase_add_test(facts, with_a_budget_each_page_is_recorded_once);
	tcase_add_test(facts,
		       a_recording_begins_and_ends_while_the_file_is_mapped);
	tcase_add_test(facts, recordings_merge_the_newer_first);
	tcase_add_test(facts, what_the_program_writes_makes_nothing_stale);
	tcase_add_test(facts, bad_calls_say_why_and_change_nothing);
	tcase_add_loop_test(facts,
			    what_was_recorded_is_there_before_it_is_touched, 0,
			    COUNT(ways));
	tcase_add_test(facts, within_a_budget_it_stays_ahead);
	tcase_add_test(facts, in_another_order_most_of_it_is_there_too);
	tcase_add_test(facts, a_wrong_recording_brings_a_mebibyte);
	tcase_add_test(facts, what_is_not_touched_is_not_brought);
	tcase_add_loop_test(facts, a_file_that_has_changed_is_left_alone, 0,
			    COUNT(changes));
	tcase_add_test(facts, a_file_that_has_moved_is_known);
	tcase_add_test(facts, a_file_that_shrinks_meanwhile_is_no_harm);
	tcase_add_test(facts, an_unmapping_ends_it);
	tcase_add_test(facts, another_recording_takes_the_place_of_the_first);
	tcase_add_test(facts, what_is_replayed_can_be_recorded_anew);
	tcase_add_test(facts, a_pager_that_moves_out_goes_on);
	tcase_add_test(facts, a_private_pager_records_and_replays);
	return facts_run(facts);
}
