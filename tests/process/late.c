/* SPDX-License-Identifier: MIT */
/*
 * What a killed wmapd was just writing may get to the file late: nothing older
 * than what its successor writes may be there in the end
 *
 * The file is in a file system of our own (FUSE), which holds writes of 'a' back
 * until they are let go. Where there is none, or not for us, nothing is tried.
 */
#include "support.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define LENGTH FUSE_LENGTH

/* ---- The facts ------------------------------------------------------------------ */

static struct fuse *fs;
static char *at;

/* 'a' is on its way to the file. */
static void begin(void)
{
	int fd;

	if (!fuse_place()) {
		puts("no file system of our own: nothing is tried");
		exit(0);
	}
	fs = fuse_serve(0);
	fd = fuse_open(0, O_RDWR);
	ck_assert_int_eq(setenv("WMAP_MEMORY", "8M", 1), 0);
	wmapd_start();
	at = memory_map(LENGTH, READ_WRITE, WMAP_SHARED, fd, 0);
	for (size_t i = 0; i < LENGTH; i++)
		at[i] = FUSE_HELD;
	ck_assert_int_eq(wmap_sync(at, LENGTH, WMAP_SYNC_START), 0);
}

static bool some_are_held(void *unused)
{
	(void)unused;
	return atomic_load(&fs->n_held);
}

static void *write_younger(void *unused)
{
	for (size_t i = 0; i < LENGTH; i++)
		at[i] = 'b';
	return wmap_sync(at, LENGTH, WMAP_SYNC_WAIT) ? unused : at;
}

static bool is_written(void *unused)
{
	(void)unused;
	return !wmap_sync(at, LENGTH, WMAP_SYNC_WAIT) && fs->bytes[0] == 'b';
}

static void kill_wmapd(void)
{
	kill(served_by.pid, SIGKILL);
}

static void kill_both(void)
{
	kill(served_by.keeper, SIGKILL);
	kill(served_by.pid, SIGKILL);
}

/* Its successor has not written anything so far. */
static void kill_two(void)
{
	kill(served_by.pid, SIGKILL);
	at[0] = 'b';
	wmapd_find();
	kill(served_by.pid, SIGKILL);
}

/* Under ThreadSanitizer there are no guards, who hand over when both are dead. */
#define N_KILLS ((int)COUNT(kills) - THREAD_SANITIZED)

static void (*const kills[])(void) = { kill_wmapd, kill_two, kill_both };

START_TEST(what_lands_late_is_not_what_stays)
{
	pthread_t thread;
	void *written;

	begin();
	ck_assert(process_wait(some_are_held, NULL, 10));
	kills[_i]();
	ck_assert(!pthread_create(&thread, NULL, write_younger, NULL));
	process_sleep_ms(500); /* who would write, writes */
	fs->let_go = true;
	ck_assert(!pthread_join(thread, &written));
	ck_assert_ptr_eq(written, at);
	for (size_t i = 0; i < LENGTH; i++)
		ck_assert_int_eq(fs->bytes[i], 'b');
}
END_TEST

/* As where a write of our own is not answered. */
START_TEST(who_syncs_meanwhile_is_told)
{
	setenv("WMAP_DEADLINE_MS", "300", 1);
	begin();
	ck_assert(process_wait(some_are_held, NULL, 10));
	kill_wmapd();
	errno = 0;
	ck_assert_ptr_null(write_younger(NULL));
	ck_assert_int_eq(errno, ETIMEDOUT);
	fs->let_go = true;
	ck_assert(process_wait(is_written, NULL, 10));
}
END_TEST

static void *write_back(void *unused)
{
	return wmap_sync(at, LENGTH, WMAP_SYNC_WAIT) ? unused : at;
}

/* Not even how long the file is. */
START_TEST(what_answers_nothing_stops_nobody_else)
{
	const char *others;
	pthread_t thread;
	void *written;

	setenv("WMAP_DEADLINE_MS", "1000", 1);
	begin();
	ck_assert(process_wait(some_are_held, NULL, 10));
	fs->let_go = true;
	ck_assert_int_eq(wmap_sync(at, LENGTH, WMAP_SYNC_WAIT), 0);
	others = memory_map(PAGES(64), PROT_READ, WMAP_SHARED,
			    file_with(3, PAGES(64)), 0);
	at[0] = 'c';
	fs->silent = true;
	ck_assert(!pthread_create(&thread, NULL, write_back, NULL));
	process_sleep_ms(100); /* for it to ask */
	ck_assert(pattern_holds(others, PAGES(64), 3, 0));
	ck_assert(!pthread_join(thread, &written));
	ck_assert_ptr_null(written);
	fs->silent = false; /* who ends waits for it */
}
END_TEST

int main(void)
{
	TCase *facts = facts_case("late writes", 60);

	tcase_add_loop_test(facts, what_lands_late_is_not_what_stays, 0,
			    N_KILLS);
	tcase_add_test(facts, who_syncs_meanwhile_is_told);
	tcase_add_test(facts, what_answers_nothing_stops_nobody_else);
	return facts_run(facts);
}
