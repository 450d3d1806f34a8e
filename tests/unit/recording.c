/* SPDX-License-Identifier: MIT */
/* Recordings: made, written down, read again, merged, and refused */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mem.h"
#include "recording.h"
#include "sys.h"

#include "support.h"

static struct recording_file file_a = { 1, 10, 100 * 4096 + 1, 1234567890123,
					(char[]){ "/some/where/a" } };
static struct recording_file file_b = { 1, 11, 50 * 4096, -1,
					(char[]){ "/some/where/b" } };

/* "0:5+3 1:0+1": file:first+pages. */
static struct recording *recording_of(const char *runs)
{
	struct recording *recording = recording_create();
	unsigned file, first, count;
	int n;

	ck_assert_int_eq(recording_add_file(recording, &file_a), 0);
	ck_assert_int_eq(recording_add_file(recording, &file_b), 0);
	for (; sscanf(runs, "%u:%u+%u %n", &file, &first, &count, &n) == 3;
	     runs += n)
		ck_assert_int_eq(
			recording_add_run(recording, file, first, count), 0);
	return recording;
}

static const char *runs_of(const struct recording *recording)
{
	static char text[4096];
	int n = 0;

	*text = '\0';
	for (size_t i = 0; i < recording->n_runs; i++)
		n += sprintf(text + n, "%s%u:%lu+%lu", i ? " " : "",
			     recording->runs[i].file,
			     (unsigned long)recording->runs[i].first,
			     (unsigned long)recording->runs[i].count);
	return text;
}

static const char many[] = "0:5+3 0:100+1 1:49+1 0:0+5 1:7+7 0:99+1";

START_TEST(what_is_written_is_read_again)
{
	struct recording *recording = recording_of(many), *again;
	const char *why;
	void *bytes;
	size_t size;

	ck_assert_int_eq(recording_format(recording, &bytes, &size), 0);
	ck_assert_int_eq(recording_parse(bytes, size, &again, &why), 0);
	ck_assert_str_eq(runs_of(again), many);
	ck_assert_uint_eq(again->n_files, 2);
	ck_assert(recording_is(&again->files[0], &file_a));
	ck_assert(recording_is(&again->files[1], &file_b));
	ck_assert_str_eq(again->files[1].path, file_b.path);
}
END_TEST

START_TEST(a_run_takes_three_bytes_and_one_that_goes_on_none)
{
	struct recording *recording = recording_of("");
	void *bytes;
	size_t empty, size;

	ck_assert_int_eq(recording_format(recording, &bytes, &empty), 0);
	for (uint64_t i = 0; i < 25; i++) {
		ck_assert_int_eq(recording_add_run(recording, 0, 4 * i, 1), 0);
		ck_assert_int_eq(recording_add_run(recording, 0, 4 * i + 1, 1),
				 0);
	}
	ck_assert_uint_eq(recording->n_runs, 25);
	ck_assert_int_eq(recording_format(recording, &bytes, &size), 0);
	ck_assert_uint_eq(size - empty, 25 * 3);
}
END_TEST

START_TEST(what_was_damaged_anywhere_is_refused)
{
	struct recording *recording = recording_of(many), *again = NULL;
	const char *why;
	uint8_t *bytes;
	void *all;
	size_t size;
	unsigned taken = 0;

	ck_assert_int_eq(recording_format(recording, &all, &size), 0);
	bytes = all;
	for (size_t i = 0; i < size; i++) {
		bytes[i] ^= 0x10;
		taken += !recording_parse(bytes, size, &again, &why);
		bytes[i] ^= 0x10;
		taken += !recording_parse(bytes, i, &again, &why);
	}
	ck_assert_uint_eq(taken, 0);
	ck_assert_ptr_null(again);
	ck_assert_int_eq(recording_parse(bytes, size, &again, &why), 0);
}
END_TEST

/* As the corpus of tests/fuzz has them too. */
START_TEST(each_refusal_says_why)
{
	struct recording *recording = recording_of(many), *again;
	const char *why;
	uint8_t *bytes;
	void *all;
	size_t size;

	ck_assert_int_eq(recording_format(recording, &all, &size), 0);
	bytes = all;
	ck_assert_int_eq(recording_parse("", 0, &again, &why), -EINVAL);
	ck_assert_str_eq(why, "it is no recording");
	ck_assert_int_eq(recording_parse(bytes, 20, &again, &why), -EBADMSG);
	ck_assert_str_eq(why, "it is cut off");
	ck_assert_int_eq(recording_parse(bytes, size - 1, &again, &why),
			 -EBADMSG);
	ck_assert_str_eq(why, "it is cut off");
	bytes[size - 1] ^= 1;
	ck_assert_int_eq(recording_parse(bytes, size, &again, &why), -EBADMSG);
	ck_assert_str_eq(why, "it is damaged: its checksum is wrong");
	bytes[8]++;
	ck_assert_int_eq(recording_parse(bytes, size, &again, &why),
			 -EPROTONOSUPPORT);
	ck_assert_str_eq(why, "it is a recording of another version");
}
END_TEST

START_TEST(sorted_runs_are_found)
{
	struct recording *recording = recording_of(many);
	struct recording_run *runs = recording->runs;
	size_t n = recording->n_runs;

	recording_sort(runs, n);
	ck_assert_str_eq(runs_of(recording),
			 "0:0+5 0:5+3 0:99+1 0:100+1 1:7+7 1:49+1");
	ck_assert_uint_eq(recording_lower(runs, n, 0, 0), 0);
	ck_assert_uint_eq(recording_lower(runs, n, 0, 7), 1);
	ck_assert_uint_eq(recording_lower(runs, n, 0, 8), 2);
	ck_assert_uint_eq(recording_lower(runs, n, 0, 101), 4);
	ck_assert_uint_eq(recording_lower(runs, n, 1, 14), 5);
	ck_assert_uint_eq(recording_lower(runs, n, 1, 50), n);
}
END_TEST

/* ---- Merging ---------------------------------------------------------------*/

static const char *merged(const char *runs, const char *older)
{
	struct recording *recording = recording_of(runs);

	ck_assert_int_eq(recording_merge(recording, recording_of(older), NULL),
			 0);
	ck_assert_uint_eq(recording->n_files, 2);
	return runs_of(recording);
}

START_TEST(what_only_the_older_has_comes_behind)
{
	ck_assert_str_eq(merged("0:5+3", "1:2+2 0:20+1"), "0:5+3 1:2+2 0:20+1");
	ck_assert_str_eq(merged("0:5+3", "0:5+3"), "0:5+3");
	ck_assert_str_eq(merged("0:5+3", "0:0+20"), "0:5+3 0:0+5 0:8+12");
	ck_assert_str_eq(merged("0:5+3 0:10+2", "0:6+5"), "0:5+3 0:10+2 0:8+2");
	ck_assert_str_eq(merged("0:5+3 1:0+1", "0:0+6 1:0+3"),
			 "0:5+3 1:0+1 0:0+5 1:1+2");
	ck_assert_str_eq(merged("", many), many);
}
END_TEST

/* @other in place of the older's file a. */
static struct recording *
merged_with(const struct recording_file *other,
	    bool (*wanted)(const struct recording_file *))
{
	struct recording *recording = recording_create();
	struct recording *older = recording_create();

	ck_assert_int_eq(recording_add_file(recording, &file_a), 0);
	ck_assert_int_eq(recording_add_run(recording, 0, 5, 3), 0);
	ck_assert_int_eq(recording_add_file(older, other), 0);
	ck_assert_int_eq(recording_add_run(older, 0, 0, 50), 0);
	ck_assert_int_eq(recording_merge(recording, older, wanted), 0);
	return recording;
}

static bool nothing(const struct recording_file *file)
{
	(void)file;
	return false;
}

START_TEST(a_file_that_has_changed_is_not_merged)
{
	struct recording_file changed = file_a, shorter = file_a;

	changed.changed++;
	shorter.length -= 4096;
	ck_assert_str_eq(runs_of(merged_with(&changed, NULL)), "0:5+3");
	ck_assert_str_eq(runs_of(merged_with(&shorter, NULL)), "0:5+3");
}
END_TEST

START_TEST(a_file_that_has_moved_is_the_same)
{
	struct recording_file moved = file_a;
	struct recording *recording;

	moved.path = (char[]){ "/else/where" };
	recording = merged_with(&moved, nothing);
	ck_assert_str_eq(runs_of(recording), "0:5+3 0:0+5 0:8+42");
	ck_assert_str_eq(recording->files[0].path, file_a.path);
}
END_TEST

START_TEST(a_copy_with_its_time_in_the_old_place_is_the_same)
{
	struct recording_file copy = file_a;

	copy.dev = 7;
	copy.ino = 8;
	ck_assert_str_eq(runs_of(merged_with(&copy, nothing)),
			 "0:5+3 0:0+5 0:8+42");
}
END_TEST

START_TEST(another_file_is_merged_if_it_is_wanted)
{
	ck_assert_str_eq(runs_of(merged_with(&file_b, NULL)), "0:5+3 1:0+50");
	ck_assert_str_eq(runs_of(merged_with(&file_b, nothing)), "0:5+3");
}
END_TEST

/* ---- Files -----------------------------------------------------------------*/

/* A directory that is gone when the test is over. */
static char directory[64];

static const char *in_directory(const char *name)
{
	static char path[128];

	snprintf(path, sizeof path, "%s/%s", directory, name);
	return path;
}

static void make_directory(void)
{
	strcpy(directory, "/tmp/wmap-recording-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(directory));
}

static void remove_directory(void)
{
	char command[100];

	snprintf(command, sizeof command, "rm -rf %s", directory);
	ck_assert_int_eq(system(command), 0);
}

/* Names in it. */
static unsigned count_names(void)
{
	char command[100];
	FILE *pipe;
	unsigned n = 0;

	snprintf(command, sizeof command, "ls -A %s | wc -l", directory);
	pipe = popen(command, "r");
	ck_assert_int_eq(fscanf(pipe, "%u", &n), 1);
	pclose(pipe);
	return n;
}

static void write_file(const char *path, const char *text)
{
	FILE *file = fopen(path, "w");

	ck_assert_ptr_nonnull(file);
	fputs(text, file);
	ck_assert_int_eq(fclose(file), 0);
}

/* A recording of a real file, which is not there unless made. */
static struct recording *recording_of_real(const char *path, uint64_t first)
{
	struct recording *recording = recording_create();
	struct recording_file file = { .path = (char *)(uintptr_t)path };
	struct stat stat_of;

	ck_assert_int_eq(stat(path, &stat_of), 0);
	file.ino = stat_of.st_ino;
	file.dev = stat_of.st_dev;
	file.length = (uint64_t)stat_of.st_size;
	file.changed =
		stat_of.st_mtim.tv_sec * 1000000000ll + stat_of.st_mtim.tv_nsec;
	ck_assert_int_eq(recording_add_file(recording, &file), 0);
	ck_assert_int_eq(recording_add_run(recording, 0, first, 1), 0);
	return recording;
}

static const char *runs_in(const char *path)
{
	struct recording *recording;
	const char *why;

	ck_assert_int_eq(recording_read(path, &recording, &why), 0);
	return runs_of(recording);
}

START_TEST(a_saved_recording_is_read_and_added_to)
{
	char data[128], other[128];
	const char *to = in_directory("recording"), *why;

	snprintf(data, sizeof data, "%s/data", directory);
	snprintf(other, sizeof other, "%s/other", directory);
	write_file(data, "");
	ck_assert_int_eq(truncate(data, 40960), 0);
	write_file(other, "");
	ck_assert_int_eq(truncate(other, 40960), 0);
	ck_assert_int_eq(recording_check(to, &why), 0);
	ck_assert_uint_eq(count_names(), 2);
	ck_assert_int_eq(recording_save(to, recording_of_real(data, 3), &why),
			 0);
	ck_assert_str_eq(runs_in(to), "0:3+1");
	ck_assert_int_eq(recording_save(to, recording_of_real(other, 5), &why),
			 0);
	ck_assert_str_eq(runs_in(to), "0:5+1 1:3+1");
	ck_assert_int_eq(recording_save(to, recording_of_real(data, 4), &why),
			 0);
	ck_assert_str_eq(runs_in(to), "0:4+1 1:5+1 0:3+1");
	ck_assert_uint_eq(count_names(), 3);
	/* what is not there any more goes */
	ck_assert_int_eq(unlink(other), 0);
	ck_assert_int_eq(recording_save(to, recording_of_real(data, 4), &why),
			 0);
	ck_assert_str_eq(runs_in(to), "0:4+1 0:3+1");
}
END_TEST

static const struct {
	const char *name, *why;
	int error;
} bad[] = {
	{ "garbage", "it is no recording", -EINVAL },
	{ "empty", "it is no recording", -EINVAL },
	{ "", NULL, -EISDIR },
	{ "fifo", "it is no regular file", -EINVAL },
	{ "missing/recording", NULL, -ENOENT },
	{ "garbage/recording", NULL, -ENOTDIR },
};

/* And stays what it is. */
START_TEST(what_is_no_recording_is_not_written_over)
{
	const char *path, *why;
	struct recording *recording;
	struct stat before, after;

	write_file(in_directory("garbage"), "dear diary\n");
	write_file(in_directory("empty"), "");
	ck_assert_int_eq(mkfifo(in_directory("fifo"), 0600), 0);
	path = in_directory(bad[_i].name);
	recording = recording_of(many);
	memset(&before, 0, sizeof before);
	memset(&after, 0, sizeof after);
	stat(path, &before);
	ck_assert_int_eq(recording_check(path, &why), bad[_i].error);
	ck_assert_pstr_eq(why, bad[_i].why);
	ck_assert_int_eq(recording_save(path, recording, &why), bad[_i].error);
	ck_assert_pstr_eq(why, bad[_i].why);
	stat(path, &after);
	ck_assert_uint_eq(before.st_ino, after.st_ino);
	ck_assert_int_eq(before.st_size, after.st_size);
	ck_assert_uint_eq(count_names(), 3);
}
END_TEST

static int refused; /* a system call's number */
static long error;  /* its answer */

static long refuse(long number)
{
	return number == refused ? error : 0;
}

static const int refusals[] = { SYS_write, SYS_fsync, SYS_rename, SYS_openat };

/* Disk full, and the like: the old one stays, and nothing beside it. */
START_TEST(what_cannot_be_written_leaves_the_old_one)
{
	const char *to = in_directory("recording"), *why;
	char data[128];

	snprintf(data, sizeof data, "%s/data", directory);
	write_file(data, "");
	ck_assert_int_eq(truncate(data, 40960), 0);
	ck_assert_int_eq(recording_save(to, recording_of_real(data, 3), &why),
			 0);
	refused = refusals[_i];
	error = -ENOSPC;
	sys_hook = refuse;
	ck_assert_int_eq(recording_save(to, recording_of_real(data, 4), &why),
			 -ENOSPC);
	sys_hook = NULL;
	ck_assert_ptr_null(why);
	ck_assert_str_eq(runs_in(to), "0:3+1");
	ck_assert_uint_eq(count_names(), 2);
}
END_TEST

int main(void)
{
	TCase *facts = facts_case("recording", 60);

	tcase_add_checked_fixture(facts, make_directory, remove_directory);
	tcase_add_test(facts, what_is_written_is_read_again);
	tcase_add_test(facts,
		       a_run_takes_three_bytes_and_one_that_goes_on_none);
	tcase_add_test(facts, what_was_damaged_anywhere_is_refused);
	tcase_add_test(facts, each_refusal_says_why);
	tcase_add_test(facts, sorted_runs_are_found);
	tcase_add_test(facts, what_only_the_older_has_comes_behind);
	tcase_add_test(facts, a_file_that_has_changed_is_not_merged);
	tcase_add_test(facts, a_file_that_has_moved_is_the_same);
	tcase_add_test(facts,
		       a_copy_with_its_time_in_the_old_place_is_the_same);
	tcase_add_test(facts, another_file_is_merged_if_it_is_wanted);
	tcase_add_test(facts, a_saved_recording_is_read_and_added_to);
	tcase_add_loop_test(facts, what_is_no_recording_is_not_written_over, 0,
			    COUNT(bad));
	tcase_add_loop_test(facts, what_cannot_be_written_leaves_the_old_one, 0,
			    COUNT(refusals));
	return facts_run_anywhere(facts);
}
