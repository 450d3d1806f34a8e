/* SPDX-License-Identifier: MIT */
/*
 * The allocator: memory is zeroed, aligned, nobody else's, and counted; a
 * mistake of the caller's is an assertion; threads, signal handlers and forked
 * children find it usable.
 */
#include "support.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "mem.h"
#include "sys.h"

/* Valgrind takes its time. */
static unsigned rounds(unsigned n)
{
	return facts_scaled(getenv("WMAP_VALGRIND") ? n / 20 : n);
}

static const size_t sizes[] = {
	0,     1,     15,    16,	17,   100,     129,   257,
	1000,  2048,  2049,  4095,	4096, 4097,    12288, 40000,
	65535, 65536, 65537, PAGES(17), MIB,  MIB + 1,
};

START_TEST(memory_is_zero_and_aligned)
{
	size_t size = sizes[_i];
	char *memory = mem_alloc(size);
	uintptr_t at = (uintptr_t)memory;

	ck_assert_ptr_nonnull(memory);
	ck_assert_uint_eq(at % (size >= PAGE ? PAGE : 16), 0);
	ck_assert(pattern_zeros(memory, size));
	mem_free(memory, size);
}
END_TEST

START_TEST(freed_memory_is_zero_again)
{
	size_t size = sizes[_i];

	for (int i = 0; i < 3; i++) {
		char *memory = mem_alloc(size);

		ck_assert(pattern_zeros(memory, size));
		memset(memory, 0xff, size);
		mem_free(memory, size);
	}
}
END_TEST

START_TEST(what_is_handed_out_is_counted_exactly)
{
	size_t before = mem_used();
	void *memory[COUNT(sizes)];
	size_t sum = 0;

	for (size_t i = 0; i < COUNT(sizes); i++) {
		memory[i] = mem_alloc(sizes[i]);
		sum += sizes[i];
		ck_assert_uint_eq(mem_used() - before, sum);
	}
	for (size_t i = 0; i < COUNT(sizes); i++)
		mem_free(memory[i], sizes[i]);
	ck_assert_uint_eq(mem_used(), before);
}
END_TEST

START_TEST(freeing_null_does_nothing)
{
	size_t before = mem_used();

	mem_free(NULL, 100);
	ck_assert_uint_eq(mem_used(), before);
}
END_TEST

START_TEST(what_becomes_larger_has_what_it_had)
{
	size_t size = sizes[_i], larger = 2 * size + 100;
	size_t before = mem_used();
	char *memory = mem_resize(NULL, 0, size), *other;

	ck_assert_ptr_nonnull(memory);
	pattern_fill(memory, size, 1, 0);
	ck_assert_ptr_null(mem_resize(memory, size, SIZE_MAX));
	ck_assert(pattern_holds(memory, size, 1, 0));
	ck_assert_uint_eq(mem_used(), before + size);
	other = mem_resize(memory, size, larger);
	ck_assert_ptr_nonnull(other);
	ck_assert(pattern_holds(other, size, 1, 0));
	ck_assert(pattern_zeros(other + size, larger - size));
	ck_assert_uint_eq(mem_used(), before + larger);
	mem_free(other, larger);
}
END_TEST

START_TEST(an_impossible_size_is_null)
{
	static const size_t impossible[] = { SIZE_MAX, SIZE_MAX - 4095,
					     SIZE_MAX / 2, (size_t)1 << 62 };
	size_t before = mem_used();

	ck_assert_ptr_null(mem_alloc(impossible[_i]));
	ck_assert_uint_eq(mem_used(), before);
}
END_TEST

static long no_memory(long number)
{
	return number == SYS_mmap ? -ENOMEM : 0;
}

START_TEST(without_memory_it_is_null_and_later_not)
{
	size_t size = sizes[_i], before = mem_used(), n = 0;
	void *list = NULL;

	size = size < sizeof list ? sizeof list : size;
	sys_hook = no_memory;
	for (void *memory; (memory = mem_alloc(size)); n++) {
		*(void **)memory = list;
		list = memory;
	}
	sys_hook = NULL;
	ck_assert_uint_eq(mem_used(), before + n * size);
	mem_free(mem_alloc(size), size);
	while (list) {
		void *next = *(void **)list;

		mem_free(list, size);
		list = next;
	}
	ck_assert_uint_eq(mem_used(), before);
}
END_TEST

START_TEST(large_memory_is_given_back_to_the_kernel)
{
	char *memory = mem_alloc(MIB);
	unsigned char resident;

	ck_assert_int_eq(mincore(memory, PAGE, &resident), 0);
	mem_free(memory, MIB);
	ck_assert_int_eq(mincore(memory, PAGE, &resident), -1);
	ck_assert_int_eq(errno, ENOMEM);
}
END_TEST

#define SOME 2000

static unsigned resident(char *const *pages)
{
	unsigned n = 0;

	for (unsigned i = 0; i < SOME; i++) {
		unsigned char is;

		ck_assert_int_eq(mincore(pages[i], PAGE, &is), 0);
		n += is & 1;
	}
	return n;
}

/* But for a little, to begin with the next time. */
START_TEST(so_are_many_blocks_and_are_zero_again)
{
	static char *pages[SOME];

	for (int round = 0; round < 2; round++) {
		for (unsigned i = 0; i < SOME; i++) {
			pages[i] = mem_alloc(PAGE);
			ck_assert(pattern_zeros(pages[i], PAGE));
			memset(pages[i], 0xff, PAGE);
		}
		ck_assert_uint_eq(resident(pages), SOME);
		for (unsigned i = 0; i < SOME; i++)
			mem_free(pages[i], PAGE);
		ck_assert_uint_le(resident(pages), 64);
	}
}
END_TEST

static unsigned mappings(void)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	unsigned n = 0;
	int c;

	ck_assert_ptr_nonnull(maps);
	while ((c = getc(maps)) != EOF)
		n += c == '\n';
	fclose(maps);
	return n;
}

START_TEST(many_blocks_make_few_mappings)
{
	unsigned before = mappings(), got = 0;

	for (unsigned i = 0; i < 100000; i++)
		got += mem_alloc(200) != NULL;
	ck_assert_uint_eq(got, 100000);
	ck_assert_uint_le(mappings(), before + 8);
}
END_TEST

/* ---- Against a shadow ---------------------------------------------------*/

struct held {
	unsigned char *memory;
	size_t size;
	unsigned char stamp;
};

static size_t random_size(uint64_t *seed)
{
	size_t limit = (size_t)16 << random_below(seed, 14);

	return 1 + random_below(seed, limit);
}

/* Stamp the first and the last bytes: all of a large one takes too long. */
static void hold(struct held *held, size_t size, unsigned char stamp)
{
	size_t part = size < 256 ? size : 256;

	*held = (struct held){ mem_alloc(size), size, stamp };
	if (!held->memory || !pattern_zeros(held->memory, size))
		abort();
	memset(held->memory, stamp, part);
	memset(held->memory + size - part, stamp, part);
}

static bool is_stamped(const unsigned char *bytes, size_t n,
		       unsigned char stamp)
{
	for (size_t i = 0; i < n; i++)
		if (bytes[i] != stamp)
			return false;
	return true;
}

/* Check the stamps and free; an empty one is left alone. */
static void let_go(struct held *held)
{
	size_t part = held->size < 256 ? held->size : 256;

	if (!held->memory)
		return;
	if (!is_stamped(held->memory, part, held->stamp) ||
	    !is_stamped(held->memory + held->size - part, part, held->stamp))
		abort();
	mem_free(held->memory, held->size);
	held->memory = NULL;
}

static void hold_and_let_go(uint64_t seed, unsigned rounds)
{
	struct held held[64] = { 0 };

	for (unsigned i = 0; i < rounds; i++) {
		struct held *one = &held[random_below(&seed, COUNT(held))];

		let_go(one);
		hold(one, random_size(&seed), (unsigned char)(i % 255 + 1));
	}
	for (size_t i = 0; i < COUNT(held); i++)
		let_go(&held[i]);
}

START_TEST(no_two_blocks_overlap)
{
	size_t before = mem_used();

	hold_and_let_go(random_seed(), rounds(20000));
	ck_assert_uint_eq(mem_used(), before);
}
END_TEST

static void *hold_in_thread(void *seed)
{
	hold_and_let_go(*(uint64_t *)seed, rounds(5000));
	return NULL;
}

START_TEST(threads_do_not_disturb_each_other)
{
	uint64_t seed = random_seed(), seeds[4];
	size_t before = mem_used();
	pthread_t threads[4];

	for (int i = 0; i < 4; i++) {
		seeds[i] = random_next(&seed);
		pthread_create(&threads[i], NULL, hold_in_thread, &seeds[i]);
	}
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	ck_assert_uint_eq(mem_used(), before);
}
END_TEST

/* Blocks of one size and little else, so that the threads do meet. */
static void *swap_in_thread(void *name)
{
	uintptr_t *held[16] = { 0 }, own = (uintptr_t)name;

	for (unsigned i = 0; i < rounds(100000); i++) {
		uintptr_t **one = &held[i % COUNT(held)];

		if (*one && **one != own)
			abort();
		mem_free(*one, 32);
		*one = mem_alloc(32);
		**one = own;
	}
	for (size_t i = 0; i < COUNT(held); i++)
		mem_free(held[i], 32);
	return NULL;
}

START_TEST(threads_share_no_block)
{
	size_t before = mem_used();
	pthread_t threads[4];

	for (uintptr_t i = 0; i < 4; i++)
		pthread_create(&threads[i], NULL, swap_in_thread,
			       (void *)(i + 1));
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	ck_assert_uint_eq(mem_used(), before);
}
END_TEST

/* ---- Signals and fork ---------------------------------------------------*/

static volatile sig_atomic_t interrupted;

static void allocate(int signal)
{
	(void)signal;
	mem_free(mem_alloc(48), 48);
	interrupted++;
}

START_TEST(a_signal_handler_may_allocate)
{
	struct sigaction action = { .sa_handler = allocate }, old;
	struct itimerval often = { { 0, 1000 }, { 0, 1000 } }, never = { 0 };

	interrupted = 0;
	sigaction(SIGPROF, &action, &old);
	setitimer(ITIMER_PROF, &often, NULL);
	for (unsigned i = 0; interrupted < 50; i++)
		mem_free(mem_alloc(48), 48);
	setitimer(ITIMER_PROF, &never, NULL);
	sigaction(SIGPROF, &old, NULL);
}
END_TEST

START_TEST(the_signal_mask_is_as_before)
{
	sigset_t before, after;
	int changed = 0;

	sigprocmask(SIG_SETMASK, NULL, &before);
	sigaddset(&before, SIGUSR2);
	sigprocmask(SIG_SETMASK, &before, NULL);
	mem_free(mem_alloc(48), 48);
	sigprocmask(SIG_SETMASK, NULL, &after);
	for (int signal = 1; signal < 65; signal++)
		changed += sigismember(&after, signal) !=
			   sigismember(&before, signal);
	ck_assert_int_eq(changed, 0);
}
END_TEST

static atomic_bool enough;

static void *allocate_until_enough(void *unused)
{
	while (!enough)
		mem_free(mem_alloc(48), 48);
	return unused;
}

static void use_in_child(void *unused)
{
	(void)unused;
	mem_child();
	for (int i = 0; i < 100; i++)
		mem_free(mem_alloc(48), 48);
	_exit(0);
}

START_TEST(a_child_may_allocate_whoever_held_the_lock)
{
	pthread_t thread;
	unsigned n = getenv("WMAP_VALGRIND") ? 2 : 200, bad = 0;

	enough = false;
	pthread_create(&thread, NULL, allocate_until_enough, NULL);
	for (unsigned i = 0; i < n; i++)
		bad += process_child(use_in_child, NULL) != 0;
	enough = true;
	pthread_join(thread, NULL);
	ck_assert_uint_eq(bad, 0);
}
END_TEST

/* ---- Mistakes -----------------------------------------------------------*/

static void free_twice(void *unused)
{
	char *memory = mem_alloc(100);

	(void)unused;
	mem_alloc(100);
	mem_free(memory, 100);
	mem_free(memory, 100);
}

static void write_behind(void *unused)
{
	volatile char *memory = mem_alloc(100);

	(void)unused;
	memory[100] = 1;
	mem_free((void *)(uintptr_t)memory, 100);
}

static void write_after_free(void *unused)
{
	volatile char *memory = mem_alloc(100);

	(void)unused;
	mem_free((void *)(uintptr_t)memory, 100);
	memory[8] = 1;
	mem_alloc(100);
}

static void free_as_another_size(void *unused)
{
	(void)unused;
	mem_alloc(100);
	mem_free(mem_alloc(100), 200);
}

static void free_too_much(void *unused)
{
	(void)unused;
	mem_free(mem_alloc(100), mem_used() + MIB);
}

START_TEST(a_mistake_ends_the_process)
{
	static void (*const mistakes[])(
		void *) = { free_twice, write_behind, write_after_free,
			    free_as_another_size, free_too_much };

	ck_assert_int_ne(process_child(mistakes[_i], NULL), 0);
}
END_TEST

int main(void)
{
	TCase *facts = facts_case("mem", 60);
	int n = COUNT(sizes);

	tcase_add_loop_test(facts, memory_is_zero_and_aligned, 0, n);
	tcase_add_loop_test(facts, freed_memory_is_zero_again, 0, n);
	tcase_add_test(facts, what_is_handed_out_is_counted_exactly);
	tcase_add_test(facts, freeing_null_does_nothing);
	tcase_add_loop_test(facts, what_becomes_larger_has_what_it_had, 0, n);
	tcase_add_loop_test(facts, an_impossible_size_is_null, 0, 4);
	tcase_add_loop_test(facts, without_memory_it_is_null_and_later_not, 5,
			    n);
	tcase_add_test(facts, large_memory_is_given_back_to_the_kernel);
	tcase_add_test(facts, so_are_many_blocks_and_are_zero_again);
	tcase_add_test(facts, many_blocks_make_few_mappings);
	tcase_add_test(facts, no_two_blocks_overlap);
	tcase_add_test(facts, threads_do_not_disturb_each_other);
	tcase_add_test(facts, threads_share_no_block);
	tcase_add_test(facts, a_signal_handler_may_allocate);
	tcase_add_test(facts, the_signal_mask_is_as_before);
	tcase_add_test(facts, a_child_may_allocate_whoever_held_the_lock);
	tcase_add_loop_test(facts, a_mistake_ends_the_process, 0, 5);
	return facts_run_anywhere(facts);
}
