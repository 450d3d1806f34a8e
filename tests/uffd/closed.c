/* SPDX-License-Identifier: MIT */
/*
 * A program that closes descriptors which it has not opened takes its pager's
 * away: it hears of it, and ends; what it reads until then is right, if the
 * pager has an io_uring, which holds what it waits for
 */
#include "support.h"

#include <fcntl.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static int file;

static void at_once(void)
{
	syscall(SYS_close_range, 3, ~0u, 0);
}

static void one_by_one(void)
{
	for (int fd = 3; fd < 1024; fd++)
		syscall(SYS_close, fd);
}

/* Others are there then. */
static void and_open(void)
{
	int null = STDIN_FILENO;

	at_once();
	for (int i = 0; i < 40; i++)
		syscall(SYS_fcntl, null, F_DUPFD, 3);
}

static void (*const ways[])(void) = { at_once, one_by_one, and_open };

static void close_and_touch(void *way)
{
	const bool ring = facts_possible(WMAP_FEATURE_IO_URING);
	char *at = memory_wmap(memory_free_range(PAGES(64)), PAGES(64),
			       WMAP_SHARED, file);

	at[0] = 'a';
	(*(void (**)(void))way)();
	for (size_t page = 1; page < 64; page++)
		if (!pattern_holds(at + PAGES(page), 64, 3, PAGES(page)) &&
		    ring)
			_exit(1);
	process_sleep_ms(10000);
}

START_TEST(it_is_told_and_ends)
{
	char said[512];
	int status;

	file = file_with(3, PAGES(64));
	status = stray_child(close_and_touch, (void *)(uintptr_t)&ways[_i],
			     said, sizeof(said));
	ck_assert(WIFSIGNALED(status));
	ck_assert_int_eq(WTERMSIG(status), SIGABRT);
	ck_assert_ptr_nonnull(strstr(said, "closed descriptors that it did"));
	ck_assert(file_holds(file, 3, 0, PAGES(64)));
}
END_TEST

int main(void)
{
	TCase *facts = facts_case("descriptors closed", 20);

	tcase_add_loop_test(facts, it_is_told_and_ends, 0, COUNT(ways));
	return facts_run(facts);
}
