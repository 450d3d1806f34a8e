/* SPDX-License-Identifier: MIT */
/*
 * A program's fcntl(2) locks outlive its mappings; what the pager has does not
 *
 * A process loses its POSIX locks on a file when it closes any descriptor of
 * it, also one that it did not open itself: the pager's. SQLite locks so.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support.h"

#include "sys.h"

static void set_lock(int fd, short type)
{
	struct flock lock = {
		.l_type = type,
		.l_whence = SEEK_SET,
		.l_start = 100,
		.l_len = 10,
	};

	ck_assert_int_eq(fcntl(fd, F_SETLK, &lock), 0);
}

static void look_for_lock(void *arg)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

	if (fcntl(*(int *)arg, F_GETLK, &lock) || lock.l_type == F_UNLCK)
		_exit(1);
	_exit(lock.l_start == 100 && lock.l_len == 10 ? 0 : 2);
}

static bool is_locked(int fd)
{
	return process_child(look_for_lock, &fd) == 0;
}

static void map_and_unmap(int fd)
{
	char *at = memory_map(PAGES(4), PROT_READ | PROT_WRITE, WMAP_SHARED, fd,
			      0);
	char *again = memory_map(PAGES(4), PROT_READ, WMAP_PRIVATE, fd, 0);

	memory_store(at, 4, 'l');
	ck_assert_int_eq(again[PAGES(2)], 'l');
	ck_assert_int_eq(wmap_unmap(again, PAGES(4)), 0);
	ck_assert_int_eq(wmap_unmap(at, PAGES(4)), 0);
}

START_TEST(unmapping_leaves_the_programs_locks)
{
	int fd = file_with(3, PAGES(4));

	set_lock(fd, F_WRLCK);
	ck_assert(is_locked(fd));
	map_and_unmap(fd);
	ck_assert(is_locked(fd));
}
END_TEST

START_TEST(a_descriptor_is_kept_open_no_longer_than_the_lock)
{
	int fd = file_with(3, PAGES(4)), other = file_with(3, PAGES(4));
	unsigned before;

	map_and_unmap(fd);
	before = process_descriptors(0);
	set_lock(fd, F_WRLCK);
	for (int i = 0; i < 10; i++)
		map_and_unmap(fd);
	set_lock(fd, F_UNLCK);
	map_and_unmap(other);
	ck_assert_uint_eq(process_descriptors(0), before);
}
END_TEST

/* All of it, to the end of time: no byte is left for a lock of ours. */
static void lock_whole(int fd)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

	ck_assert_int_eq(fcntl(fd, F_SETLK, &lock), 0);
}

START_TEST(a_program_may_lock_a_whole_file_before_and_after)
{
	int fd = file_with(3, PAGES(4));

	if (_i)
		lock_whole(fd);
	memory_store(memory_map(PAGES(4), PROT_READ | PROT_WRITE, WMAP_SHARED,
				fd, 0),
		     4, 'l');
	lock_whole(fd);
}
END_TEST

/* A process that maps the file when it is told to; forked while this one has no
   thread yet. */
struct other {
	pid_t pid;
	int tell;
};

static void map_when_told(int fd, int told)
{
	char word;
	void *at;

	if (read(told, &word, 1) != 1)
		_exit(0xff);
	at = wmap_map(NULL, PAGES(4), PROT_READ | PROT_WRITE, WMAP_SHARED, fd,
		      0, NULL);
	_exit(at == WMAP_FAILED ? errno : 0);
}

static struct other start_other(int fd)
{
	struct other other;
	int ends[2];

	ck_assert_int_eq(pipe(ends), 0);
	other.tell = ends[1];
	other.pid = fork();
	if (!other.pid)
		map_when_told(fd, ends[0]);
	close(ends[0]);
	return other;
}

/* 0, or the errno that it got. */
static int map_in(struct other other)
{
	int status;

	ck_assert_int_eq(write(other.tell, "!", 1), 1);
	ck_assert_int_eq(waitpid(other.pid, &status, 0), other.pid);
	ck_assert(WIFEXITED(status));
	return WEXITSTATUS(status);
}

START_TEST(a_second_pager_is_refused_until_the_first_lets_go)
{
	int fd = file_with(3, PAGES(4));
	struct other first = start_other(fd), second = start_other(fd);
	char *at = memory_map(PAGES(4), PROT_READ | PROT_WRITE, WMAP_SHARED, fd,
			      0);

	ck_assert_int_eq(map_in(first), EBUSY);
	ck_assert_int_eq(wmap_unmap(at, PAGES(4)), 0);
	ck_assert_int_eq(map_in(second), 0);
}
END_TEST

static atomic_bool slow_to_close;

static long close_slowly(long number)
{
	if (number == SYS_close && slow_to_close)
		process_sleep_ms(200);
	return 0;
}

/* Also if there was something to write: while it is open for writing it cannot be
   executed. */
START_TEST(unmapping_has_closed_the_file_when_it_returns)
{
	int fd = file_with(3, PAGES(4));
	struct other other = start_other(fd);
	unsigned before;
	char *at;

	sys_hook = close_slowly;
	map_and_unmap(fd);
	before = process_descriptors(0);
	at = memory_map(PAGES(4), READ_WRITE, WMAP_SHARED, fd, 0);
	memory_store(at, 4, 'c');
	slow_to_close = true;
	ck_assert_int_eq(wmap_unmap(at, PAGES(4)), 0);
	slow_to_close = false;
	ck_assert_uint_eq(process_descriptors(0), before);
	ck_assert_int_eq(map_in(other), 0);
}
END_TEST

static atomic_bool held = true; /* reads do not end */
static atomic_bool reading;

static long hold_reads(long number)
{
	if (number == SYS_preadv2)
		return -EAGAIN;
	while (number == SYS_pread64 && held) {
		reading = true;
		process_sleep_ms(1);
	}
	return 0;
}

static bool is_reading(void *arg)
{
	(void)arg;
	return reading;
}

START_TEST(a_read_for_nobody_keeps_no_second_pager_away)
{
	int fd = file_with(3, PAGES(4));
	struct other other = start_other(fd);
	struct wmap_range range = { .length = PAGES(4) };

	setenv("WMAP_KERNEL_WITHOUT", "io_uring", 1);
	sys_hook = hold_reads;
	range.addr = memory_map(PAGES(4), READ_WRITE, WMAP_SHARED, fd, 0);
	ck_assert_int_ge(wmap_prefetch(&range, 1), 0);
	ck_assert(process_wait(is_reading, NULL, 10));
	ck_assert_int_eq(wmap_unmap(range.addr, PAGES(4)), 0);
	ck_assert_int_eq(map_in(other), 0);
	held = false;
	range.addr = memory_map(PAGES(4), READ_WRITE, WMAP_SHARED, fd, 0);
	ck_assert(pattern_holds(range.addr, PAGES(4), 3, 0));
}
END_TEST

/* Runs before the pager's own handler: the parent is quicker than the child. */
static void dawdle(void)
{
	process_sleep_ms(100);
}

START_TEST(a_child_of_fork_does_not_hold_the_file)
{
	int late = pthread_atfork(NULL, NULL, dawdle);
	int fd = file_with(3, PAGES(4));
	char *at = memory_map(PAGES(4), PROT_READ | PROT_WRITE, WMAP_SHARED, fd,
			      0);
	pid_t child = fork();

	ck_assert_int_eq(late, 0);
	if (!child)
		pause();
	ck_assert_int_eq(wmap_unmap(at, PAGES(4)), 0);
	memory_map(PAGES(4), PROT_READ | PROT_WRITE, WMAP_SHARED, fd, 0);
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
}
END_TEST

int main(void)
{
	TCase *facts = facts_case("locks", 20);

	tcase_add_test(facts, unmapping_leaves_the_programs_locks);
	tcase_add_test(facts,
		       a_descriptor_is_kept_open_no_longer_than_the_lock);
	tcase_add_loop_test(
		facts, a_program_may_lock_a_whole_file_before_and_after, 0, 2);
	tcase_add_test(facts,
		       a_second_pager_is_refused_until_the_first_lets_go);
	tcase_add_test(facts, unmapping_has_closed_the_file_when_it_returns);
	tcase_add_test(facts, a_read_for_nobody_keeps_no_second_pager_away);
	tcase_add_test(facts, a_child_of_fork_does_not_hold_the_file);
	return facts_run(facts);
}
