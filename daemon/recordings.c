/* SPDX-License-Identifier: MIT */
/*
 * --record and --replay of `wmap run`, and `wmap recording`
 *
 * Where there is a wmapd it gets both from its keeper, and what is recorded is
 * written here, when all has ended; else each process has them in its environment.
 */
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "daemon.h"
#include "journal.h"
#include "keeper.h"
#include "mem.h"
#include "recordings.h"

static void say_why(const char *option, const char *path, int error,
		    const char *why)
{
	say("%s%s%s: %s", option, *option ? " " : "", path,
	    why ? why : strerror(-error));
}

bool recordings_check(const char *record, const char *replay)
{
	struct recording *recording;
	const char *why;
	int error = replay ? recording_read(replay, &recording, &why) : 0;

	if (error) {
		say_why("--replay", replay, error, why);
		return false;
	}
	if (replay)
		recording_destroy(recording);
	error = record ? recording_check(record, &why) : 0;
	if (error)
		say_why("--record", record, error, why);
	return !error;
}

static bool give_replay(const char *path, struct keeper *keeper)
{
	struct recording *recording;
	const char *why;
	void *bytes;
	size_t size;
	int error = recording_read(path, &recording, &why), fd;

	if (!error) {
		error = recording_format(recording, &bytes, &size);
		recording_destroy(recording);
	}
	if (error) {
		say_why("--replay", path, error, why);
		return false;
	}
	fd = recording_memory(bytes, size);
	mem_free(bytes, size);
	if (fd >= 0 && keeper_give(keeper, "recording", fd))
		return true;
	say_why("--replay", path, fd < 0 ? fd : -errno, NULL);
	return false;
}

static bool give_journal(const char *path, struct keeper *keeper,
			 struct journal **journal)
{
	int fd, error = journal_create(&fd, journal);

	if (!error && keeper_give(keeper, "journal", fd))
		return true;
	say_why("--record", path, error ? error : -errno, NULL);
	return false;
}

bool recordings_give(const char *record, const char *replay,
		     struct keeper *keeper, struct journal **journal)
{
	if (replay && !give_replay(replay, keeper))
		return false;
	return !record || give_journal(record, keeper, journal);
}

bool recordings_save(const char *path, const struct journal *journal)
{
	struct recording *recording;
	const char *why = NULL;
	int error = journal_recording(journal, &recording);

	if (!error) {
		error = recording_save(path, recording, &why);
		recording_destroy(recording);
	}
	if (error)
		say_why("--record", path, error, why);
	return !error;
}

/* ---- Showing one --------------------------------------------------------- */

static void print_time(int64_t ns)
{
	time_t seconds = (time_t)(ns / 1000000000);
	struct tm parts;
	char text[32];

	gmtime_r(&seconds, &parts);
	strftime(text, sizeof(text), "%F %T", &parts);
	printf("%s UTC", text);
}

static void print_file(const struct recording *recording, size_t number,
		       bool all)
{
	const struct recording_file *file = &recording->files[number];
	uint64_t pages = 0, runs = 0;

	for (size_t i = 0; i < recording->n_runs; i++) {
		if (recording->runs[i].file != number)
			continue;
		pages += recording->runs[i].count;
		runs++;
	}
	printf("%3zu %10llu %10llu %10llu  ", number, (unsigned long long)pages,
	       (unsigned long long)runs,
	       (unsigned long long)recording_pages(file));
	print_time(file->changed);
	fputs("  ", stdout);
	say_name(stdout, file->path);
	putchar('\n');
	if (all)
		printf("    device %llu, inode %llu, %llu bytes\n",
		       (unsigned long long)file->dev,
		       (unsigned long long)file->ino,
		       (unsigned long long)file->length);
}

static void print(const struct recording *recording, bool all)
{
	puts("  #      PAGES       RUNS   PAGES OF  CHANGED"
	     "                  FILE");
	for (size_t i = 0; i < recording->n_files; i++)
		print_file(recording, i, all);
	for (size_t i = 0; all && i < recording->n_runs; i++) {
		const struct recording_run *run = &recording->runs[i];

		printf("%3u: %llu", run->file, (unsigned long long)run->first);
		if (run->count > 1)
			printf("-%llu", (unsigned long long)(run->first +
							     run->count - 1));
		putchar('\n');
	}
}

int recording_command(int argc, char **argv)
{
	bool all = argc > 1 && !strcmp(argv[1], "--runs");
	struct recording *recording;
	const char *why, *path = argc == 2 + all ? argv[1 + all] : "";
	int error;

	if (!*path || *path == '-') {
		say("usage: wmap recording [--runs] FILE");
		return EXIT_OURS;
	}
	error = recording_read(path, &recording, &why);
	if (error) {
		say_why("", path, error, why);
		return EXIT_FAILURE;
	}
	print(recording, all);
	recording_destroy(recording);
	return fflush(stdout) ? EXIT_FAILURE : EXIT_SUCCESS;
}
