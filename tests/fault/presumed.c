/* SPDX-License-Identifier: MIT */
/*
 * Presumed stores (presume.h) at the worst moments: while a page is judged, and
 * where it cannot be
 *
 * Of all that the pager does here only that reads an object page by page.
 */
#include "support.h"

#include <sys/wait.h>
#include <unistd.h>

#include "sys.h"

#define SEED  9
#define ALL   ((size_t)4096) /* pages */
#define HALF  (ALL / 2)
#define LARGE PAGES(ALL)
#define SOME  ((size_t)16)

static bool is_ahead(void *at)
{
	return memory_info(at).resident >= HALF + SOME;
}

/* Half of it is stored to, and written; what is ahead of that is presumed. */
static char *map_presumed(int fd)
{
	char *at = memory_map(LARGE, READ_WRITE, WMAP_SHARED, fd, 0);

	marks_store(at, 0, HALF);
	ck_assert(process_wait(is_ahead, at, 10));
	ck_assert_int_eq(wmap_sync(at, PAGES(HALF), WMAP_SYNC_WAIT), 0);
	return at;
}

/* ---- A store between two steps ------------------------------------------------- */

static struct {
	atomic_bool awaited; /* [a] orders nothing */
	atomic_bool come,
		gone;	    /* [a] order nothing: only the kernel is asked */
	atomic_size_t page; /* [a] orders nothing */
} moment;

static void wait_for(atomic_bool *is)
{
	for (int ms = 0; ms < 200 && !atomic_load(is); ms++)
		process_sleep_ms(1);
}

/* If the page is protected, as it should be, its thread cannot store to it now. */
static void let_store(void)
{
	if (!atomic_exchange(&moment.awaited, false))
		return;
	atomic_store(&moment.come, true);
	wait_for(&moment.gone);
}

static long before_reading(long number)
{
	if (number == SYS_pread64)
		let_store();
	return 0;
}

static long behind_reading(long number, long a, long b, long c, long result)
{
	(void)a;
	(void)b;
	if (number == SYS_pread64 && c == (long)PAGE)
		let_store();
	return result;
}

static void *store_then(void *at)
{
	size_t page;

	while (!atomic_load(&moment.come))
		process_sleep_ms(1);
	page = atomic_load(&moment.page);
	marks_store(at, page, page + 1);
	atomic_store(&moment.gone, true);
	return NULL;
}

static void by_sync(char *at)
{
	ck_assert_int_eq(wmap_sync(at, LARGE, WMAP_SYNC_WAIT), 0);
}

static void by_dropping(char *at)
{
	ck_assert_int_eq(wmap_advise(at, LARGE, WMAP_ADVICE_DONTNEED), 0);
}

static void by_moving_out(char *at)
{
	pid_t child = fork();

	(void)at;
	if (!child)
		_exit(0);
	process_ends_well(child);
}

static void (*const ways[])(char *at) = { by_sync, by_dropping, by_moving_out };

START_TEST(a_store_while_it_is_judged_is_not_lost)
{
	int fd = file_with(SEED, LARGE);
	pthread_t thread;
	char *at;

	sys_hook_after = behind_reading;
	atomic_store(&moment.page, HALF);
	at = map_presumed(fd);
	ck_assert_int_eq(pthread_create(&thread, NULL, store_then, at), 0);
	atomic_store(&moment.awaited, true);
	ways[_i](at);
	ck_assert(atomic_load(&moment.come));
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	ck_assert_int_eq(wmap_unmap(at, LARGE), 0);
	ck_assert(marks_are_in(fd, SEED, 0, HALF + 1));
	ck_assert(file_holds(fd, SEED, PAGES(HALF + 1), LARGE / 2 - PAGE));
}
END_TEST

/* What is clean is hashed while it is protected. */
START_TEST(a_store_before_it_is_hashed_is_not_lost)
{
	int fd = file_with(SEED, LARGE);
	size_t stored = 0;
	pthread_t thread;
	char *at;

	sys_hook = before_reading;
	at = memory_map(LARGE, READ_WRITE, WMAP_SHARED, fd, 0);
	memory_load(at, ALL);
	ck_assert_int_eq(pthread_create(&thread, NULL, store_then, at), 0);
	atomic_store(&moment.awaited, true);
	while (stored < HALF && !atomic_load(&moment.come)) {
		atomic_store(&moment.page, stored + 1);
		marks_store(at, stored, stored + 1);
		stored++;
	}
	ck_assert_uint_lt(stored, HALF);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	ck_assert_int_eq(wmap_unmap(at, LARGE), 0);
	ck_assert(marks_are_in(fd, SEED, 0, stored + 1));
}
END_TEST

/* ---- What cannot be judged ------------------------------------------------------ */

static atomic_bool unreadable; /* [a] orders nothing */

static long fail_to_read(long number, long a, long b, long c, long result)
{
	(void)a;
	(void)b;
	return number == SYS_pread64 && c == (long)PAGE &&
			       atomic_load(&unreadable) ?
		       -EIO :
		       result;
}

static int sync_all(char *at)
{
	return wmap_sync(at, LARGE, WMAP_SYNC_WAIT);
}

static int drop_all(char *at)
{
	return wmap_advise(at, LARGE, WMAP_ADVICE_DONTNEED);
}

static int unmap_all(char *at)
{
	return wmap_unmap(at, LARGE);
}

static int (*const calls[])(char *at) = { sync_all, drop_all, unmap_all };

START_TEST(what_cannot_be_judged_is_told_and_stays)
{
	int fd = file_with(SEED, LARGE);
	char *at;

	sys_hook_after = fail_to_read;
	at = map_presumed(fd);
	marks_store(at, HALF, HALF + SOME);
	atomic_store(&unreadable, true);
	ck_assert_int_eq(calls[_i](at), -1);
	ck_assert_int_eq(errno, EIO);
	atomic_store(&unreadable, false);
	ck_assert_int_eq(calls[_i](at), 0);
	ck_assert(marks_are_in(fd, SEED, 0, HALF + SOME));
}
END_TEST

static long without_random(long number)
{
	return number == SYS_getrandom ? -ENOSYS : 0;
}

/* Without a key for its hashes a page is not presumed. */
START_TEST(what_cannot_be_hashed_is_seen)
{
	int fd = file_with(SEED, LARGE);
	uint64_t before;
	char *at;

	sys_hook = without_random;
	at = memory_map(LARGE, READ_WRITE, WMAP_SHARED, fd, 0);
	memory_load(at, SOME);
	before = memory_stats().faults;
	marks_store(at, 0, SOME);
	ck_assert_uint_eq(memory_stats().faults - before, SOME);
	ck_assert_int_eq(wmap_unmap(at, LARGE), 0);
	ck_assert(marks_are_in(fd, SEED, 0, SOME));
}
END_TEST

int main(void)
{
	TCase *facts = facts_case("presumed", 60);

	/* Without POISON a pager does not move out. */
	tcase_add_loop_test(facts, a_store_while_it_is_judged_is_not_lost, 0,
			    facts_possible(WMAP_FEATURE_POISON) ?
				    COUNT(ways) :
				    COUNT(ways) - 1);
	tcase_add_test(facts, a_store_before_it_is_hashed_is_not_lost);
	tcase_add_loop_test(facts, what_cannot_be_judged_is_told_and_stays, 0,
			    COUNT(calls));
	tcase_add_test(facts, what_cannot_be_hashed_is_seen);
	return facts_run(facts);
}
