/* SPDX-License-Identifier: MIT */
/*
 * Every system call fails once, at every place, and some for good
 *
 * A child goes through a life of mappings and takes whatever errors it gets; a
 * load or a store may end in SIGBUS. What it must never do is hang, crash, or
 * see a wrong byte; and what a sync said was written is in the file. The nth
 * call of all, by whichever thread, is the one that fails: for n = 1, 2, 3 …
 * until a life has fewer calls than that.
 */
#include <fcntl.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support.h"
#include "sys.h"

#define LENGTH PAGES(16)

static _Atomic long calls, failing_call;
static _Atomic bool for_good;
static long failing_error;

/* Without these nothing works: no wake, no wait, no thread. */
static bool is_vital(long number)
{
	return number == SYS_futex || number == SYS_sched_yield ||
	       number == SYS_ioctl || number == SYS_read ||
	       number == SYS_write || number == SYS_ppoll;
}

static long hook(long number)
{
	long call, wanted = atomic_load(&failing_call);

	if (number == SYS_futex || number == SYS_sched_yield)
		return 0;
	/* From a queue it says that nothing is there, which would be a lie. */
	if (failing_error == EAGAIN &&
	    (number == SYS_read || number == SYS_write))
		return 0;
	call = atomic_fetch_add(&calls, 1) + 1;
	if (call == wanted)
		return -failing_error;
	if (atomic_load(&for_good) && call > wanted && !is_vital(number))
		return -failing_error;
	return 0;
}

/* Loads and stores that may end in SIGBUS, and then have no effect. */
static bool load_is(const char *at, char value)
{
	return process_load(at) || *at == value;
}

static void expect(bool holds, int code)
{
	if (!holds)
		_exit(code);
}

static void use_file(int fd)
{
	char *at = wmap_map(NULL, LENGTH, PROT_READ | PROT_WRITE, WMAP_SHARED,
			    fd, 0, NULL);
	bool stored;

	if (at == WMAP_FAILED)
		return;
	for (size_t i = 0; i < 16; i += 3)
		expect(load_is(at + PAGES(i), pattern_byte(3, PAGES(i))), 2);
	stored = !process_store(at + PAGES(5), 's');
	expect(!stored || load_is(at + PAGES(5), 's'), 3);
	if (!wmap_sync(at, LENGTH, WMAP_SYNC_WAIT) && stored)
		expect(file_has(fd, PAGES(5), "s", 1), 4);
	stored = !process_store(at + PAGES(6), 't');
	wmap_advise(at, LENGTH, WMAP_ADVICE_DONTNEED);
	expect(!stored || load_is(at + PAGES(6), 't'), 5);
	wmap_protect(at + PAGES(8), PAGES(2), PROT_READ);
	if (!wmap_unmap(at + PAGES(1), PAGES(1)))
		expect(process_load(at + PAGES(1)) == SIGSEGV, 6);
	if (!wmap_unmap(at, LENGTH) && stored)
		expect(file_has(fd, PAGES(6), "t", 1), 7);
}

static void use_private(int fd)
{
	char *at = wmap_map(NULL, LENGTH, PROT_READ | PROT_WRITE, WMAP_PRIVATE,
			    fd, 0, NULL);

	if (at == WMAP_FAILED)
		return;
	expect(load_is(at + PAGES(3), pattern_byte(3, PAGES(3))), 8);
	if (!process_store(at + PAGES(3), 'p'))
		expect(load_is(at + PAGES(3), 'p'), 9);
	wmap_unmap(at, LENGTH);
	expect(!file_has(fd, PAGES(3), "p", 1), 10);
}

static void use_anonymous(void)
{
	char *at = wmap(NULL, LENGTH, WMAP_PRIVATE | WMAP_ANONYMOUS, -1);
	struct wmapinfo info;
	bool stored;
	char *moved;

	if (at == WMAP_FAILED)
		return;
	stored = !process_store(at + PAGES(2), 'a');
	expect(!stored || load_is(at + PAGES(2), 'a'), 11);
	expect(load_is(at + PAGES(4), 0), 12);
	getwmapinfo(&info);
	moved = wremap(at, LENGTH, 4 * LENGTH, WMAP_MAYMOVE);
	if (moved != WMAP_FAILED)
		at = moved;
	expect(!stored || load_is(at + PAGES(2), 'a'), 13);
	wunmap(at);
}

static void live(int fd)
{
	use_file(fd);
	use_private(fd);
	use_anonymous();
	wmap_stop();
}

/* A life in a child in which the nth call fails; how many calls it had. */
static long life(long n, int error, bool good)
{
	int fd = file_with(3, LENGTH), status;
	int report[2];
	long made = 0;
	pid_t child;

	ck_assert_int_eq(pipe(report), 0);
	child = fork();
	if (!child) {
		alarm(20);
		failing_call = n;
		failing_error = error;
		for_good = good;
		sys_hook = hook;
		live(fd);
		made = atomic_load(&calls);
		_exit(write(report[1], &made, sizeof(made)) != sizeof(made));
	}
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_msg(status == 0, "call %ld with %d%s: status %x", n, error,
		      good ? " for good" : "", status);
	ck_assert_int_eq(read(report[0], &made, sizeof(made)), sizeof(made));
	close(report[0]);
	close(report[1]);
	close(fd);
	return made;
}

static const struct {
	int error;
	bool good;
} ways[] = {
	{ ENOMEM, false }, { EIO, false },   { EAGAIN, false },
	{ ENOMEM, true },  { EMFILE, true },
};

START_TEST(no_failing_call_is_worse_than_an_error)
{
	long n = 1;

	/* Without POISON a page gives SIGBUS by a mapping over it. */
	if (ways[_i].good && !facts_possible(WMAP_FEATURE_POISON))
		return;
	while (life(n, ways[_i].error, ways[_i].good) >= n)
		n++;
	ck_assert_int_gt(n, 50);
}
END_TEST

int main(void)
{
	TCase *facts = facts_case("failing system calls", 400);

	tcase_add_loop_test(facts, no_failing_call_is_worse_than_an_error, 0,
			    (int)(sizeof(ways) / sizeof(*ways)));
	return facts_run(facts);
}
