/* SPDX-License-Identifier: MIT */
/*
 * Swap in a store that is slow, says nothing, or fails: what is stored to
 * meanwhile is not lost, nothing older comes back, and nobody waits who need not
 */
#include <stdlib.h>
#include <sys/param.h>
#include <sys/wait.h>
#include <unistd.h>

#include "io.h"
#include "swap.h"

#include "support.h"

#define BUDGET MIB
#define OTHERS PAGES(1024)
#define SPAN   PAGES(64) /* more than may cool */
#define LARGE  PAGES(1024)

/* ---- The store ---------------------------------------------------------------- */

static struct {
	struct wmap_store *slow, *failing; /* set when swap is opened */
	atomic_uint writes;		   /* [a] begun; orders nothing */
} disk;

static void read_on(void *self, struct wmap_io *pub)
{
	store_begin(self, io_of(pub));
}

static void write_on(void *self, struct wmap_io *pub)
{
	atomic_fetch_add(&disk.writes, 1);
	store_begin(self, io_of(pub));
}

static void put_inner(void *self)
{
	wmap_store_put(self);
}

static const struct wmap_store_ops counting = {
	.size = sizeof(counting),
	.read = read_on,
	.write = write_on,
	.close = put_inner,
};

static struct wmap_store *wrap(struct wmap_store *file)
{
	struct wmap_store *store;

	disk.slow = wmap_store_slow(file, 0, 0);
	disk.failing = wmap_store_failing(disk.slow);
	wmap_store_put(file);
	ck_assert_int_eq(store_create(&counting, wmap_store_get(disk.failing),
				      "disk", true, &store),
			 0);
	return store;
}

static void disk_delay(uint64_t read_ns, uint64_t write_ns)
{
	ck_assert_int_eq(wmap_store_delay(disk.slow, read_ns, write_ns), 0);
}

/* @operations 0: nothing fails any more. */
static void disk_fail(unsigned operations)
{
	const struct wmap_failure failure = {
		.size = sizeof(failure),
		.operations = operations,
		.error = EIO,
	};

	ck_assert_int_eq(
		wmap_store_fail(disk.failing, operations ? &failure : NULL), 0);
}

/* ---- Memory ---------------------------------------------------------------------- */

/* Loops run over anonymous memory, private and shared, and the private mapping of
   a file of zeros; then over these again, compressed, where that does not take too
   long. */
#define KINDS 3
static const char *const ways[] = { "/var/tmp", "/var/tmp:lz4" };
#define ALL (KINDS * (SANITIZED ? 1 : (int)COUNT(ways)))

/* Deadlines, ms */
#define LONG  "3600000"
#define SHORT "1000"

static char *others, *more;

static char *map_kind(int i, size_t length)
{
	int fd = i % KINDS == 2 ? file_sparse(length) : -1;
	int flags = i % KINDS == 1 ? WMAP_SHARED : WMAP_PRIVATE;

	return memory_map(length, READ_WRITE,
			  flags | (fd < 0 ? WMAP_ANONYMOUS : 0), fd, 0);
}

static char *begin(int i, const char *deadline_ms)
{
	swap_hook = wrap;
	ck_assert_int_eq(wmap_memory_set(BUDGET), 0);
	ck_assert_int_eq(wmap_swap_set(ways[i / KINDS]), 0);
	others = memory_map(OTHERS, PROT_READ, WMAP_SHARED,
			    file_with(3, OTHERS), 0);
	more = map_kind(0, SPAN);
	/* of what is tried alone: to be short of memory may take its time */
	setenv("WMAP_DEADLINE_MS", deadline_ms, 1);
	return map_kind(i, SPAN);
}

/* Who else stores and loads needs the memory, also that of what cools. */
static bool is_out(void *at)
{
	unsigned char there[SPAN / PAGE];
	bool any = false;

	memory_store(more, SPAN / PAGE, 'm');
	memory_load(others, OTHERS / PAGE);
	ck_assert_int_eq(wmap_residency(at, SPAN, there), 0);
	for (size_t i = 0; i < SPAN / PAGE; i++)
		any |= there[i] & 1;
	return !any;
}

static bool is_written(void *before)
{
	memory_load(others, OTHERS / PAGE);
	return atomic_load(&disk.writes) > *(unsigned *)before;
}

static bool has_failed(void *unused)
{
	(void)unused;
	memory_load(others, OTHERS / PAGE);
	return memory_stats().swap_errors;
}

static bool all_are(const char *at, char value)
{
	bool right = true;

	for (size_t i = 0; i < SPAN; i += PAGE)
		right &= at[i] == value;
	return right;
}

/* All of it is in swap: what cools is younger. */
static char *begin_out(int i, const char *deadline_ms)
{
	char *at = begin(i, deadline_ms);

	memory_store(at, SPAN / PAGE, 'a');
	for (int round = 0; round < 2; round++)
		ck_assert(process_wait(is_out, at, 20));
	return at;
}

/* ---- Writes ---------------------------------------------------------------------- */

/* Writes of 'a' have begun, and none is answered. */
static char *begin_writing(int i, const char *deadline_ms)
{
	char *at = begin(i, deadline_ms);
	unsigned before = atomic_load(&disk.writes);

	disk_delay(0, WMAP_DELAY_FOREVER);
	memory_store(at, SPAN / PAGE, 'a');
	ck_assert(process_wait(is_written, &before, 20));
	return at;
}

/* The disk answers at once; what was stored last goes, and comes. */
static void ends_well(char *at)
{
	disk_delay(0, 0);
	ck_assert(process_wait(is_out, at, 20));
	ck_assert(all_are(at, 'b'));
}

START_TEST(what_is_stored_during_a_write_is_not_lost)
{
	char *at = begin_writing(_i, LONG);

	ck_assert(all_are(at, 'a'));
	memory_store(at, SPAN / PAGE, 'b');
	ck_assert(all_are(at, 'b'));
	ends_well(at);
}
END_TEST

START_TEST(what_goes_during_a_write_is_gone)
{
	char *at = begin_writing(_i, LONG);

	ck_assert_int_eq(wmap_advise(at, SPAN, WMAP_ADVICE_DONTNEED), 0);
	ck_assert_int_eq(at[0], _i % KINDS == 1 ? 'a' : 0);
	memory_store(at + PAGES(4), 4, 'c');
	disk_delay(0, 0);
	ck_assert(process_wait(is_out, at, 20));
	ck_assert_int_eq(at[0], _i % KINDS == 1 ? 'a' : 0);
	ck_assert_int_eq(at[PAGES(5)], 'c');
}
END_TEST

START_TEST(who_unmaps_waits_for_no_write)
{
	char *at = begin_writing(_i, LONG);

	ck_assert_int_eq(wmap_unmap(at, SPAN), 0);
	at = map_kind(_i, SPAN);
	ck_assert(pattern_zeros(at, SPAN));
	memory_store(at, SPAN / PAGE, 'b');
	ends_well(at);
}
END_TEST

/* What is being written stays where it is, and is back in its mapping, too. */
START_TEST(what_is_cut_during_a_write_has_room)
{
	char *at = begin_writing(_i, LONG);

	ck_assert_int_eq(wmap_protect(at + SPAN / 2, PAGE, PROT_READ), 0);
	/* the rest is for buffers of what is written */
	ck_assert_uint_le(memory_stats().memory, BUDGET / 16 * 15);
	ck_assert(all_are(at, 'a'));
	ck_assert_int_eq(wmap_protect(at + SPAN / 2, PAGE, READ_WRITE), 0);
	memory_store(at, SPAN / PAGE, 'b');
	ends_well(at);
	ck_assert_uint_le(memory_stats().memory_peak, BUDGET);
}
END_TEST

static void *cut_half(void *at)
{
	return (void *)(intptr_t)wmap_protect((char *)at + SPAN / 2, PAGE,
					      PROT_READ);
}

/* There is no room for more, and nothing that could go. Of private memory: what is
   shared does not leave its mapping. */
static char *begin_without_room(int i, const char *deadline_ms)
{
	char *at = begin_writing(2 * i, deadline_ms);

	ck_assert_int_eq(wmap_memory_set(WMAP_MEMORY_MIN), 0);
	ck_assert_int_eq(wmap_advise(others, OTHERS, WMAP_ADVICE_DONTNEED), 0);
	return at;
}

START_TEST(what_is_cut_during_a_silent_write_waits_for_room)
{
	char *at = begin_without_room(_i, LONG);
	uint64_t before = memory_stats().memory;
	pthread_t cutter;
	void *result;

	process_sleep_ms(300);
	ck_assert(!pthread_create(&cutter, NULL, cut_half, at));
	process_sleep_ms(300);
	ck_assert_uint_le(memory_stats().memory_peak, before);
	disk_delay(0, 0);
	ck_assert(!pthread_join(cutter, &result));
	ck_assert_ptr_null(result);
	ck_assert_uint_le(memory_stats().memory_peak, before);
	ck_assert(all_are(at, 'a'));
}
END_TEST

START_TEST(what_is_cut_waits_for_a_silent_write_no_longer_than_its_deadline)
{
	char *at = begin_without_room(_i, SHORT);

	ck_assert_ptr_null(cut_half(at));
	ck_assert(all_are(at, 'a'));
	ck_assert_int_eq(wmap_protect(at + SPAN / 2, PAGE, READ_WRITE), 0);
	ck_assert_int_eq(wmap_memory_set(BUDGET), 0);
	memory_store(at, SPAN / PAGE, 'b');
	ends_well(at);
}
END_TEST

START_TEST(a_silent_write_is_an_error_and_the_page_stays)
{
	char *at = begin_writing(_i, SHORT);

	ck_assert(process_wait(has_failed, NULL, 20));
	ck_assert(all_are(at, 'a'));
	memory_store(at, SPAN / PAGE, 'b');
	ck_assert(all_are(at, 'b'));
	ends_well(at);
}
END_TEST

START_TEST(a_failed_write_is_an_error_and_the_page_stays)
{
	char *at = begin(_i, LONG);

	disk_fail(WMAP_FAIL_WRITE);
	memory_store(at, SPAN / PAGE, 'a');
	ck_assert(process_wait(has_failed, NULL, 20));
	ck_assert(all_are(at, 'a'));
	errno = 0;
	ck_assert_int_eq(wmap_sync(at, SPAN, WMAP_SYNC_WAIT), -1);
	ck_assert_int_eq(errno, EIO);
	memory_store(at, SPAN / PAGE, 'b');
	disk_fail(0);
	ends_well(at);
}
END_TEST

/* ---- Reads ----------------------------------------------------------------------- */

static void *load_all(void *at)
{
	return all_are(at, 'a') ? at : NULL;
}

START_TEST(a_silent_read_stops_nobody_else)
{
	char *at = begin_out(_i, LONG), *another = map_kind(_i, SPAN);
	pthread_t sleeper;
	void *right;

	disk_delay(WMAP_DELAY_FOREVER, 0);
	ck_assert(!pthread_create(&sleeper, NULL, load_all, at));
	for (int round = 0; round < 3; round++) {
		memory_store(another, SPAN / PAGE, 'm');
		memory_load(others, OTHERS / PAGE);
		ck_assert_int_eq(wmap_unmap(another, SPAN), 0);
		another = map_kind(_i, SPAN);
	}
	disk_delay(0, 0);
	ck_assert(!pthread_join(sleeper, &right));
	ck_assert_ptr_eq(right, at);
}
END_TEST

static bool is_healed(void *at)
{
	for (size_t i = 0; i < SPAN; i += PAGE)
		if (process_load((char *)at + i))
			return false;
	return true;
}

START_TEST(a_silent_read_is_sigbus_until_it_answers)
{
	char *at = begin_out(_i, SHORT);

	disk_delay(WMAP_DELAY_FOREVER, 0);
	ck_assert_int_eq(process_load(at), SIGBUS);
	disk_delay(0, 0);
	ck_assert(process_wait(is_healed, at, 20));
	ck_assert(all_are(at, 'a'));
}
END_TEST

START_TEST(a_failed_read_is_sigbus_until_it_succeeds)
{
	char *at = begin_out(_i, LONG);

	disk_fail(WMAP_FAIL_READ);
	for (size_t i = 0; i < SPAN; i += PAGE)
		ck_assert_int_eq(process_load(at + i), SIGBUS);
	disk_fail(0);
	ck_assert(process_wait(is_healed, at, 20));
	ck_assert(all_are(at, 'a'));
	memory_store(at, SPAN / PAGE, 'b');
	ends_well(at);
}
END_TEST

/* The child has all of it, or nothing there. */
START_TEST(a_silent_read_stops_no_fork)
{
	char *at;
	pid_t child;
	int status;

	if (_i % KINDS && !facts_possible(WMAP_FEATURE_POISON))
		return;
	at = begin_out(_i, SHORT);
	ck_assert_int_eq(wmap_unmap(more, SPAN), 0); /* its deadline is long */
	disk_delay(WMAP_DELAY_FOREVER, 0);
	child = fork();
	if (!child)
		_exit(!process_load(at) && *at != 'a');
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_int_eq(status, 0);
	disk_delay(0, 0);
	ck_assert(process_wait(is_healed, at, 20));
	ck_assert(all_are(at, 'a'));
}
END_TEST

/* ---- Both, and many ----------------------------------------------------------------- */

START_TEST(eight_threads_on_a_slow_one_lose_no_store)
{
	char *at;

	begin(_i, LONG);
	disk_delay(1000000, 5000000);
	at = map_kind(_i, LARGE);
	ck_assert(memory_hammer(at, LARGE / PAGE, 300));
	ck_assert_uint_le(memory_stats().memory_peak, BUDGET);
}
END_TEST

/* ---- The budget ------------------------------------------------------------------ */

static atomic_bool enough; /* orders nothing */

#define CUTS 50

static void *store_below_the_cuts(void *at)
{
	while (!atomic_load(&enough))
		memory_store(at, LARGE / PAGE - CUTS, 'x');
	return NULL;
}

static void protect(char *page)
{
	ck_assert_int_eq(wmap_protect(page, PAGE, PROT_READ), 0);
}

static void unmap(char *page)
{
	ck_assert_int_eq(wmap_unmap(page, PAGE), 0);
}

static void move(char *page)
{
	char *to = memory_free_range(PAGE);

	ck_assert_ptr_eq(wmap_remap(page, PAGE, PAGE, WMAP_FIXED | WMAP_MAYMOVE,
				    to),
			 to);
}

/* What is shared does not come back, as it does not leave its mapping. */
static const struct cut {
	void (*one)(char *page);
	int kind;
} cuts[] = {
	{ protect, 0 }, { protect, 1 }, { protect, 2 }, { unmap, 0 },
	{ unmap, 2 },	{ move, 0 },	{ move, 2 },
};

/* What is being written comes back where its mapping is cut. */
START_TEST(who_cuts_during_writes_stays_in_the_budget)
{
	const struct cut *cut = &cuts[_i];
	char *at = begin(cut->kind, LONG), *large = map_kind(cut->kind, LARGE);
	uint64_t peak = 0;
	pthread_t thread;

	disk_delay(0, 5000000);
	ck_assert(!pthread_create(&thread, NULL, store_below_the_cuts, large));
	memory_store(at, 1, 'a');
	for (size_t i = 1; i <= CUTS; i++) {
		cut->one(large + LARGE - PAGES(i));
		process_sleep_ms(1);
		peak = MAX(peak, memory_stats().memory_peak);
	}
	atomic_store(&enough, true);
	pthread_join(thread, NULL);
	ck_assert_uint_gt(memory_stats().swapped_out, 0);
	ck_assert_uint_le(peak, BUDGET);
}
END_TEST

int main(void)
{
	TCase *facts = facts_case("slow swap", 60);

	tcase_add_loop_test(facts, what_is_stored_during_a_write_is_not_lost, 0,
			    ALL);
	tcase_add_loop_test(facts, what_goes_during_a_write_is_gone, 0, KINDS);
	tcase_add_loop_test(facts, who_unmaps_waits_for_no_write, 0, KINDS);
	tcase_add_loop_test(facts, what_is_cut_during_a_write_has_room, 0, ALL);
	tcase_add_loop_test(
		facts, what_is_cut_during_a_silent_write_waits_for_room, 0, 2);
	tcase_add_loop_test(
		facts,
		what_is_cut_waits_for_a_silent_write_no_longer_than_its_deadline,
		0, 2);
	tcase_add_loop_test(
		facts, a_silent_write_is_an_error_and_the_page_stays, 0, ALL);
	tcase_add_loop_test(
		facts, a_failed_write_is_an_error_and_the_page_stays, 0, ALL);
	tcase_add_loop_test(facts, a_silent_read_stops_nobody_else, 0, KINDS);
	tcase_add_loop_test(facts, a_silent_read_is_sigbus_until_it_answers, 0,
			    KINDS);
	tcase_add_loop_test(facts, a_failed_read_is_sigbus_until_it_succeeds, 0,
			    ALL);
	tcase_add_loop_test(facts, a_silent_read_stops_no_fork, 0, KINDS);
	tcase_add_loop_test(facts, who_cuts_during_writes_stays_in_the_budget,
			    0, (int)COUNT(cuts));
	tcase_add_loop_test(facts, eight_threads_on_a_slow_one_lose_no_store, 0,
			    ALL);
	return facts_run(facts);
}
