/* SPDX-License-Identifier: MIT */
/*
 * A program that was written through a mapping under wmapd can be executed when it
 * is unmapped and closed: nobody else has it open for writing, however slow those
 * are that were given its file to keep
 */
#include "support.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sys.h"

#define PROGRAM "/bin/true"
#define TIMES	300
#define MANY	200

/* ---- Programs -------------------------------------------------------------------- */

static char image[1 << 20]; /* of the program */
static size_t length;

static void read_image(void)
{
	int fd = open(PROGRAM, O_RDONLY | O_CLOEXEC);
	ssize_t n = read(fd, image, sizeof(image));

	ck_assert_int_gt(n, 0);
	ck_assert_int_lt(n, sizeof(image));
	close(fd);
	length = (size_t)n;
}

struct program {
	int fd; /* only to be read */
	char *at;
};

/* Mapped, and on its way to be a program. */
static struct program map_program(bool whole)
{
	int fd = file_sparse(length);
	struct program program;

	if (whole)
		ck_assert_int_eq(pwrite(fd, image, length, 0), length);
	program.at = memory_map(length, READ_WRITE, WMAP_SHARED, fd, 0);
	if (!whole)
		memcpy(program.at, image, length);
	ck_assert_int_eq(fchmod(fd, 0700), 0);
	program.fd = file_reopen(fd, O_RDONLY);
	close(fd);
	return program;
}

/* 0, or the errno of execve(2). */
static int execute(const struct program *program)
{
	char path[64], name[] = PROGRAM, *argv[] = { name, NULL };
	int error, status;
	pid_t pid;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", program->fd);
	error = posix_spawn(&pid, path, NULL, NULL, argv, environ);
	if (error)
		return error;
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	return 0;
}

static void unmap(const struct program *program)
{
	ck_assert_int_eq(wmap_unmap(program->at, length), 0);
}

/* ---- The facts ------------------------------------------------------------------- */

static atomic_bool guard_is_slow;

static bool is_guard(void)
{
	char name[16] = "";

	prctl(PR_GET_NAME, name);
	return !strcmp(name, "wmap-guard");
}

static long close_slowly(long number)
{
	if (number == SYS_close && guard_is_slow && is_guard())
		process_sleep_ms(200);
	return 0;
}

static void begin(void)
{
	sys_hook = close_slowly;
	read_image();
	wmapd_start();
}

/* Unmapped while the keeper hears nothing. */
static int execute_unkept(const struct program *program)
{
	int error;

	kill(served_by.keeper, SIGSTOP);
	unmap(program);
	error = execute(program);
	kill(served_by.keeper, SIGCONT);
	return error;
}

START_TEST(a_keeper_that_is_stopped_is_not_waited_for)
{
	struct program program;

	begin();
	program = map_program(_i);
	ck_assert_int_eq(execute_unkept(&program), 0);
}
END_TEST

START_TEST(nor_is_a_guard_that_closes_slowly)
{
	struct program program;

	begin();
	program = map_program(_i);
	guard_is_slow = true;
	unmap(&program);
	ck_assert_int_eq(execute(&program), 0);
	guard_is_slow = false;
}
END_TEST

START_TEST(it_is_so_each_time)
{
	begin();
	for (int i = 0; i < TIMES; i++) {
		struct program program = map_program(false);

		unmap(&program);
		ck_assert_int_eq(execute(&program), 0);
		close(program.fd);
	}
}
END_TEST

static void (*const ways[])(void) = { wmapd_kill, wmapd_replace };

/* The next one has the file from the keeper. */
START_TEST(it_is_so_after_a_takeover)
{
	struct program program;

	begin();
	program = map_program(false);
	for (int i = 0; i < 2; i++) {
		ways[_i]();
		ck_assert_int_eq(wmap_sync(program.at, length, WMAP_SYNC_WAIT),
				 0);
		wmapd_find();
	}
	ck_assert_int_eq(execute_unkept(&program), 0);
}
END_TEST

static void *unmap_it(void *program)
{
	unmap(program);
	return NULL;
}

START_TEST(it_is_so_if_wmapd_is_killed_meanwhile)
{
	struct program program;
	pthread_t thread;

	begin();
	program = map_program(false);
	kill(served_by.pid, SIGSTOP);
	ck_assert_int_eq(pthread_create(&thread, NULL, unmap_it, &program), 0);
	process_sleep_ms(20);
	wmapd_kill();
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	ck_assert_int_eq(execute(&program), 0);
}
END_TEST

/* Who guards has it for the next one: nothing is lost. */
static bool can_be_executed(void *program)
{
	return !execute(program);
}

START_TEST(it_is_so_soon_if_the_keeper_is_killed_too)
{
	struct program program;

	begin();
	program = map_program(false);
	wmapd_kill_both();
	unmap(&program);
	ck_assert(process_wait(can_be_executed, &program, 10));
}
END_TEST

/* Of files beyond those that can be taken out of others' hands. */
START_TEST(of_many_files_each_can_be_soon)
{
	static struct program programs[MANY];

	begin();
	for (size_t i = 0; i < MANY; i++)
		programs[i] = map_program(false);
	wmapd_kill();
	for (size_t i = 0; i < MANY; i++)
		unmap(&programs[i]);
	for (size_t i = 0; i < MANY; i++)
		ck_assert(process_wait(can_be_executed, &programs[i], 10));
}
END_TEST

int main(void)
{
	TCase *facts = facts_case("executed", 60);

	tcase_add_loop_test(facts, a_keeper_that_is_stopped_is_not_waited_for,
			    0, 2);
	tcase_add_loop_test(facts, nor_is_a_guard_that_closes_slowly, 0, 2);
	tcase_add_test(facts, it_is_so_each_time);
	tcase_add_loop_test(facts, it_is_so_after_a_takeover, 0, 2);
	tcase_add_test(facts, it_is_so_if_wmapd_is_killed_meanwhile);
	if (!THREAD_SANITIZED)
		tcase_add_test(facts,
			       it_is_so_soon_if_the_keeper_is_killed_too);
	tcase_add_test(facts, of_many_files_each_can_be_soon);
	return facts_run(facts);
}
