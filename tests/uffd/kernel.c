/* SPDX-License-Identifier: MIT */
/*
 * What a program may do with untouched mapped memory besides loads and stores:
 * hand it to system calls; and what may happen to it meanwhile: signals
 *
 * Skipped where the pager gets user-mode faults only.
 */
#include "support.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <unistd.h>

static const int kinds[] = {
	WMAP_SHARED,
	WMAP_PRIVATE,
	WMAP_SHARED | WMAP_ANONYMOUS,
	WMAP_PRIVATE | WMAP_ANONYMOUS,
};

static char *map_kind(int kind, size_t pages)
{
	int fd = kind & WMAP_ANONYMOUS ? -1 : file_with(3, PAGES(pages));

	return memory_map(PAGES(pages), READ_WRITE, kind, fd, 0);
}

static bool first_bytes(int kind, const char *at, size_t page, size_t length)
{
	if (kind & WMAP_ANONYMOUS)
		return pattern_zeros(at + PAGES(page), length);
	return pattern_holds(at + PAGES(page), length, 3, PAGES(page));
}

/* ---- System calls -------------------------------------------------------- */

START_TEST(read_fills_untouched_memory)
{
	int from = file_with(5, PAGES(8));
	char *at = map_kind(kinds[_i], 8);

	ck_assert_int_eq(pread(from, at + 100, PAGES(6), 0), PAGES(6));
	ck_assert(pattern_holds(at + 100, PAGES(6), 5, 0));
	ck_assert(first_bytes(kinds[_i], at, 0, 100));
	ck_assert(first_bytes(kinds[_i], at, 7, PAGE));
}
END_TEST

START_TEST(write_takes_untouched_memory)
{
	char *at = map_kind(kinds[_i], 8);
	int to = file_empty();

	ck_assert_int_eq(pwrite(to, at + PAGE, PAGES(4), 0), PAGES(4));
	ck_assert(file_has(to, 0, at + PAGE, PAGES(4)));
	ck_assert(first_bytes(kinds[_i], at, 1, PAGES(4)));
}
END_TEST

/* What a file without O_DIRECT answers: not a fact about wmap. */
static int reopen_direct(int fd)
{
	char path[64];

	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	return open(path, O_RDWR | O_DIRECT | O_CLOEXEC);
}

START_TEST(a_direct_read_fills_untouched_memory)
{
	int fd = reopen_direct(file_with(5, PAGES(8)));
	char *at = map_kind(kinds[_i], 8);

	if (fd < 0)
		return;
	ck_assert_int_eq(pread(fd, at + PAGE, PAGES(4), PAGES(2)), PAGES(4));
	ck_assert(pattern_holds(at + PAGE, PAGES(4), 5, PAGES(2)));
	ck_assert(first_bytes(kinds[_i], at, 0, PAGE));
}
END_TEST

START_TEST(a_direct_write_takes_untouched_memory)
{
	int plain = file_with(5, PAGES(8)), fd = reopen_direct(plain);
	char *at = map_kind(kinds[_i], 8);

	if (fd < 0)
		return;
	ck_assert_int_eq(pwrite(fd, at + PAGE, PAGES(4), 0), PAGES(4));
	ck_assert(file_has(plain, 0, at + PAGE, PAGES(4)));
	ck_assert(first_bytes(kinds[_i], at, 1, PAGES(4)));
}
END_TEST

START_TEST(io_uring_reads_into_untouched_memory)
{
	int from = file_with(5, PAGES(8));
	char *at = map_kind(kinds[_i], 8);
	int done = uring_read(from, at + PAGE, PAGES(4));

	if (done == -ENOSYS)
		return;
	ck_assert_int_eq(done, PAGES(4));
	ck_assert(pattern_holds(at + PAGE, PAGES(4), 5, 0));
}
END_TEST

START_TEST(io_uring_writes_from_untouched_memory)
{
	int to = file_empty();
	char *at = map_kind(kinds[_i], 8);
	int done = uring_write(to, at + PAGE, PAGES(4));

	if (done == -ENOSYS)
		return;
	ck_assert_int_eq(done, PAGES(4));
	ck_assert(file_has(to, 0, at + PAGE, PAGES(4)));
	ck_assert(first_bytes(kinds[_i], at, 1, PAGES(4)));
}
END_TEST

START_TEST(what_the_kernel_stored_reaches_the_file)
{
	int from = file_with(5, PAGES(4)), fd = file_with(3, PAGES(4));
	char *at = memory_map(PAGES(4), READ_WRITE, WMAP_SHARED, fd, 0);

	ck_assert_int_eq(pread(from, at, PAGES(4), 0), PAGES(4));
	ck_assert_uint_eq(memory_info(at).dirty, 4);
	ck_assert_int_eq(wmap_unmap(at, PAGES(4)), 0);
	ck_assert(file_holds(fd, 5, 0, PAGES(4)));
}
END_TEST

START_TEST(a_socket_carries_untouched_memory_to_untouched_memory)
{
	char *from = map_kind(kinds[_i], 2), *to = map_kind(kinds[_i], 2);
	int fd[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, fd), 0);
	ck_assert_int_eq(send(fd[0], from + 50, PAGE, 0), PAGE);
	ck_assert_int_eq(recv(fd[1], to, PAGES(2), 0), PAGE);
	ck_assert_int_eq(memcmp(to, from + 50, PAGE), 0);
}
END_TEST

START_TEST(a_vector_over_many_mappings_works)
{
	int from = file_with(5, PAGES(8));
	struct iovec parts[8];
	char *at[8];

	for (int i = 0; i < 8; i++) {
		at[i] = map_kind(kinds[i % 4], 2);
		parts[i].iov_base = at[i] + 64;
		parts[i].iov_len = PAGE;
	}
	ck_assert_int_eq(preadv(from, parts, 8, 0), PAGES(8));
	for (unsigned i = 0; i < 8; i++)
		ck_assert(pattern_holds(at[i] + 64, PAGE, 5, PAGES(i)));
}
END_TEST

/* ---- Signals ------------------------------------------------------------- */

static atomic_uint arrived; /* orders nothing */
static atomic_bool over;    /* orders nothing */

static void count(int signal)
{
	(void)signal;
	atomic_fetch_add_explicit(&arrived, 1, memory_order_relaxed);
}

/* Signal the thread that starts the storm until it is over. */
static void *storm(void *target)
{
	pid_t process = getpid(), thread = *(pid_t *)target;

	while (!atomic_load_explicit(&over, memory_order_relaxed)) {
		syscall(SYS_tgkill, process, thread, SIGUSR1);
		process_sleep_ms(0);
	}
	return NULL;
}

/* One with SA_RESTART, one without, one by a timer. */
static pthread_t storm_start(int flags)
{
	struct itimerval often = { { 0, 500 }, { 0, 500 } };
	struct sigaction action = { .sa_handler = count, .sa_flags = flags };
	static pid_t self;
	pthread_t thread;

	self = (pid_t)syscall(SYS_gettid);
	sigaction(SIGUSR1, &action, NULL);
	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &often, NULL);
	ck_assert_int_eq(pthread_create(&thread, NULL, storm, &self), 0);
	return thread;
}

static void storm_stop(pthread_t thread)
{
	struct itimerval never = { { 0, 0 }, { 0, 0 } };

	atomic_store_explicit(&over, true, memory_order_relaxed);
	setitimer(ITIMER_REAL, &never, NULL);
	pthread_join(thread, NULL);
}

static const int restart[] = { 0, SA_RESTART };

#define STORM_PAGES 4000

START_TEST(signals_do_not_disturb_loads_and_stores)
{
	int kind = kinds[_i % 4];
	char *at = map_kind(kind, STORM_PAGES);
	pthread_t thread = storm_start(restart[_i / 4]);
	bool right = true;

	for (size_t i = 0; i < STORM_PAGES; i++) {
		right = right && first_bytes(kind, at, i, 64);
		at[PAGES(i) + 64] = (char)i;
	}
	for (size_t i = 0; i < STORM_PAGES; i++)
		right = right && at[PAGES(i) + 64] == (char)i;
	storm_stop(thread);
	ck_assert(right);
	ck_assert_uint_gt(atomic_load(&arrived), 0);
}
END_TEST

START_TEST(signals_do_not_disturb_system_calls_on_mapped_memory)
{
	char *at = map_kind(kinds[_i % 4], STORM_PAGES);
	int from = file_with(5, PAGE);
	pthread_t thread = storm_start(restart[_i / 4]);
	bool right = true;

	for (size_t i = 0; i < STORM_PAGES; i++)
		right = right && pread(from, at + PAGES(i), 100, 0) == 100;
	for (size_t i = 0; i < STORM_PAGES; i++)
		right = right && pattern_holds(at + PAGES(i), 100, 5, 0);
	storm_stop(thread);
	ck_assert(right);
}
END_TEST

/* A mapping's life, call by call; the one that failed, or NULL. */
static const char *live(int fd, char value)
{
	char *at =
		wmap_map(NULL, PAGES(8), READ_WRITE, WMAP_SHARED, fd, 0, NULL);
	unsigned char vec[8];

	if (at == WMAP_FAILED)
		return "wmap_map";
	memory_store(at, 8, value);
	if (wmap_sync(at, PAGES(8), WMAP_SYNC_WAIT))
		return "wmap_sync";
	if (wmap_protect(at, PAGE, PROT_READ))
		return "wmap_protect";
	if (wmap_advise(at, PAGES(8), WMAP_ADVICE_DONTNEED))
		return "wmap_advise";
	if (wmap_residency(at, PAGES(8), vec))
		return "wmap_residency";
	if (wmap_mapping_list(NULL, 0) < 1)
		return "wmap_mapping_list";
	return wmap_unmap(at, PAGES(8)) ? "wmap_unmap" : NULL;
}

START_TEST(no_call_is_interrupted)
{
	int fd = file_with(3, PAGES(8)), error;
	const char *failed = NULL;
	pthread_t thread;

	wmap_start(NULL);
	thread = storm_start(restart[_i]);
	for (unsigned i = 0; i < 100 && !failed; i++)
		failed = live(fd, (char)i);
	error = errno;
	storm_stop(thread);
	ck_assert_msg(!failed, "%s: %s", failed, strerror(error));
	ck_assert(file_has(fd, PAGES(7), "\143", 1));
}
END_TEST

static char *handlers_memory;

static void touch_in_handler(int signal)
{
	unsigned n = atomic_fetch_add(&arrived, 1);

	(void)signal;
	if (n < STORM_PAGES)
		handlers_memory[PAGES(n)] = 'h';
}

START_TEST(a_signal_handler_may_touch_mapped_memory)
{
	handlers_memory = map_kind(kinds[_i], STORM_PAGES);
	signal(SIGUSR1, touch_in_handler);
	wmap_advise(handlers_memory, PAGES(STORM_PAGES), WMAP_ADVICE_RANDOM);
	for (int i = 0; i < 100; i++)
		raise(SIGUSR1);
	for (unsigned i = 0; i < 100; i++)
		ck_assert_int_eq(handlers_memory[PAGES(i)], 'h');
	ck_assert_uint_eq(memory_info(handlers_memory).loaded, 100);
}
END_TEST

static void system_calls(TCase *facts)
{
	tcase_add_loop_test(facts, read_fills_untouched_memory, 0, 4);
	tcase_add_loop_test(facts, write_takes_untouched_memory, 0, 4);
	tcase_add_loop_test(facts, a_direct_read_fills_untouched_memory, 0, 4);
	tcase_add_loop_test(facts, a_direct_write_takes_untouched_memory, 0, 4);
	tcase_add_loop_test(facts, io_uring_reads_into_untouched_memory, 0, 4);
	tcase_add_loop_test(facts, io_uring_writes_from_untouched_memory, 0, 4);
	tcase_add_test(facts, what_the_kernel_stored_reaches_the_file);
	tcase_add_loop_test(
		facts, a_socket_carries_untouched_memory_to_untouched_memory, 0,
		4);
	tcase_add_test(facts, a_vector_over_many_mappings_works);
}

int main(void)
{
	TCase *facts = facts_case("the kernel and mapped memory", 60);

	if (!facts_possible(WMAP_FEATURE_KERNEL_FAULTS)) {
		fprintf(stderr, "skipped: user-mode faults only\n");
		return FACTS_SKIPPED;
	}
	system_calls(facts);
	tcase_add_loop_test(facts, signals_do_not_disturb_loads_and_stores, 0,
			    8);
	tcase_add_loop_test(
		facts, signals_do_not_disturb_system_calls_on_mapped_memory, 0,
		8);
	tcase_add_loop_test(facts, no_call_is_interrupted, 0, 2);
	tcase_add_loop_test(facts, a_signal_handler_may_touch_mapped_memory, 0,
			    4);
	return facts_run(facts);
}
