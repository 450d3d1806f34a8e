/* SPDX-License-Identifier: MIT */
/*
 * A mapping sixteen times the budget, eight threads, an oracle for every byte
 *
 * Each thread walks in its own way (up, down, in strides, at random) over one
 * mapping, or over a second one of the same file, or over private anonymous memory
 * of the same size, or a private mapping of another file, whose pages go to swap,
 * and loads and stores pages. Beside them others sync, advise, map the file again
 * for a while, protect and unprotect, change the budget, of all and of one mapping,
 * prefetch, pin, give private pages up, and have the store fail or dawdle.
 *
 * The oracle: each page holds one sequence number in its first and in its last
 * word and some in between; a lock a page, held while it is touched, says which.
 * A page never stored to, or given up, holds what the file had at first, or zeros.
 *
 * Invariants: under a page's lock its words are those of its sequence number;
 * the memory used never exceeds the largest budget set since it was last asked;
 * in the end the file holds every page's sequence number.
 *
 * WMAP_TORTURE_SECONDS says how long (600 for ten minutes).
 */
#include "support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PAGES_ALL ((size_t)4096)
#define LENGTH	  PAGES(PAGES_ALL)
#define BUDGET	  (LENGTH / 16)
#define TOUCHERS  8
#define WORDS	  (PAGE / 8)

static struct torture {
	uint64_t seed;
	uint64_t *at[2]; /* [c] two mappings of one file */
	uint64_t *own;	 /* [c] anonymous; its pages are PAGES_ALL and above */
	uint64_t *copy;	 /* [c] of the other file; likewise, above those */
	struct wmap_store *failing, *slow; /* [c] */
	pthread_mutex_t locks[3 * PAGES_ALL];
	uint32_t sequence[3 * PAGES_ALL]; /* [l] by the page's lock */
	atomic_bool over;		  /* [a] orders nothing */
	atomic_bool calm;	       /* [a] no faults of the store any more */
	_Atomic(const char *) failure; /* [a] the first one */
	atomic_ulong touched;	       /* [a] pages */
	_Atomic(const char *) doing[32]; /* [a] for the watchdog */
} torture;

struct actor {
	uint64_t random;
	unsigned number;
};

static void complain(const char *what)
{
	const char *none = NULL;

	atomic_compare_exchange_strong(&torture.failure, &none, what);
	atomic_store(&torture.over, true);
}

static void says(const struct actor *actor, const char *what)
{
	atomic_store_explicit(&torture.doing[actor->number], what,
			      memory_order_relaxed);
}

/* ---- The oracle ---------------------------------------------------------- */

static uint64_t word(size_t page, uint32_t sequence, size_t i)
{
	return ((uint64_t)page << 32 ^ (uint64_t)i << 52 ^ sequence ^ 1) *
	       0x9e3779b97f4a7c15u;
}

static const size_t looked_at[] = { 0, 1, 63, 64, 200, 257, 400, WORDS - 1 };

static bool right(const uint64_t *bytes, size_t page, uint32_t sequence)
{
	if (page / PAGES_ALL == 1 && !sequence)
		return pattern_zeros(bytes, PAGE);
	for (size_t k = 0; k < COUNT(looked_at); k++)
		if (bytes[looked_at[k]] != word(page, sequence, looked_at[k]))
			return false;
	return true;
}

static void fill(uint64_t *bytes, size_t page, uint32_t sequence)
{
	for (size_t i = 0; i < WORDS; i++)
		bytes[i] = word(page, sequence, i);
}

/* A page of the file, by one of its mappings, or of what is nobody else's. */
static uint64_t *choose(struct actor *actor, size_t *page)
{
	size_t where = random_below(&actor->random, 4), i = *page;

	if (where < 2)
		return torture.at[where] + i * WORDS;
	*page += PAGES_ALL * (where - 1);
	return (where == 2 ? torture.own : torture.copy) + i * WORDS;
}

/* One of them, for what changes no bytes. */
static uint64_t *choose_mapping(struct actor *actor)
{
	size_t page = 0;

	return choose(actor, &page);
}

static void touch(struct actor *actor, size_t page, unsigned store_of)
{
	uint64_t *bytes = choose(actor, &page);

	pthread_mutex_lock(&torture.locks[page]);
	says(actor, "loading");
	if (!right(bytes, page, torture.sequence[page]))
		complain("a page has wrong bytes");
	if (random_below(&actor->random, 100) < store_of) {
		says(actor, "storing");
		torture.sequence[page] = (uint32_t)random_next(&actor->random) |
					 1;
		fill(bytes, page, torture.sequence[page]);
	}
	pthread_mutex_unlock(&torture.locks[page]);
	atomic_fetch_add_explicit(&torture.touched, 1, memory_order_relaxed);
}

/* ---- Threads that touch -------------------------------------------------- */

/* A walk: some pages in one manner. */
static void walk(struct actor *actor)
{
	size_t page = random_below(&actor->random, PAGES_ALL);
	size_t n = 1 + random_below(&actor->random, 200);
	unsigned store_of = (unsigned)random_below(&actor->random, 3) * 30;
	size_t stride = 1;

	switch (random_below(&actor->random, 5)) {
	case 0:
		stride = PAGES_ALL - 1;
		break;
	case 1:
		stride = 2 + random_below(&actor->random, 30);
		break;
	case 2: /* hot pages */
		for (size_t i = 0; i < n && !torture.over; i++)
			touch(actor, random_below(&actor->random, 64),
			      store_of);
		return;
	case 3:
		for (size_t i = 0; i < n && !torture.over; i++)
			touch(actor, random_below(&actor->random, PAGES_ALL),
			      store_of);
		return;
	default:
		break;
	}
	for (size_t i = 0; i < n && !torture.over; i++)
		touch(actor, (page + i * stride) % PAGES_ALL, store_of);
}

/* ---- Threads beside them ------------------------------------------------- */

static size_t pick(struct actor *actor, size_t *pages)
{
	size_t first = random_below(&actor->random, PAGES_ALL), left;

	left = PAGES_ALL - first;
	*pages = 1 + random_below(&actor->random, left < 512 ? left : 512);
	return first;
}

/* May fail while the store does. */
static void sync_some(struct actor *actor)
{
	size_t pages, first = pick(actor, &pages);
	int how = random_below(&actor->random, 4) ? WMAP_SYNC_WAIT :
						    WMAP_SYNC_START;

	says(actor, "syncing");
	if (wmap_sync(torture.at[0] + first * WORDS, PAGES(pages), how) &&
	    errno != EIO)
		complain("a sync failed, not by the store");
}

static void advise_some(struct actor *actor)
{
	static const int advices[] = {
		WMAP_ADVICE_NORMAL,   WMAP_ADVICE_RANDOM,
		WMAP_ADVICE_NORMAL,   WMAP_ADVICE_SEQUENTIAL,
		WMAP_ADVICE_WILLNEED, WMAP_ADVICE_DONTNEED,
		WMAP_ADVICE_COLD,     WMAP_ADVICE_PAGEOUT,
	};
	size_t pages, first = pick(actor, &pages);
	int advice = advices[random_below(&actor->random, COUNT(advices))];

	says(actor, "advising");
	if (wmap_advise(torture.at[random_below(&actor->random, 2)] +
				first * WORDS,
			PAGES(pages), advice) &&
	    errno != EIO)
		complain("an advice failed, not by the store");
}

/* A private page has its file's bytes again, or zeros; others are told to go. */
static void give_up_some(struct actor *actor)
{
	static const int advices[] = { WMAP_ADVICE_COLD, WMAP_ADVICE_PAGEOUT,
				       WMAP_ADVICE_WILLNEED };
	size_t page = random_below(&actor->random, PAGES_ALL), pages, first;
	uint64_t *at = choose(actor, &page);

	if (page < PAGES_ALL)
		return;
	says(actor, "giving up");
	pthread_mutex_lock(&torture.locks[page]);
	torture.sequence[page] = 0;
	if (wmap_advise(at, PAGE, WMAP_ADVICE_DONTNEED))
		complain("a page could not be given up");
	pthread_mutex_unlock(&torture.locks[page]);
	first = pick(actor, &pages);
	if (wmap_advise(torture.copy + first * WORDS, PAGES(pages),
			advices[random_below(&actor->random, 3)]))
		complain("an advice failed");
}

/* A third mapping for a while, of which some pages are looked at. */
static void map_again(struct actor *actor)
{
	struct wmap_map_options from = {
		.size = sizeof(from),
		.store = torture.failing,
	};
	int prot = random_below(&actor->random, 2) ? PROT_READ : READ_WRITE;
	uint64_t *at;

	says(actor, "mapping");
	at = wmap_map(NULL, LENGTH, prot, WMAP_SHARED, -1, 0, &from);
	if (at == WMAP_FAILED) {
		complain("mapping again failed");
		return;
	}
	for (int i = 0; i < 20; i++) {
		size_t page = random_below(&actor->random, PAGES_ALL);

		pthread_mutex_lock(&torture.locks[page]);
		if (!right(at + page * WORDS, page, torture.sequence[page]))
			complain("another mapping has wrong bytes");
		pthread_mutex_unlock(&torture.locks[page]);
	}
	says(actor, "unmapping");
	while (wmap_unmap(at, LENGTH) && !torture.over)
		if (errno != EIO)
			complain("unmapping failed, not by the store");
}

/* A mapping, readable and writable again; splits it for a while. */
static void protect_some(struct actor *actor)
{
	size_t page = random_below(&actor->random, PAGES_ALL);
	uint64_t *at = choose(actor, &page);

	pthread_mutex_lock(&torture.locks[page]);
	says(actor, "protecting");
	if (wmap_protect(at, PAGE, PROT_READ) ||
	    wmap_protect(at, PAGE, READ_WRITE))
		complain("protecting failed");
	pthread_mutex_unlock(&torture.locks[page]);
}

static void change_budget(struct actor *actor)
{
	size_t budget = BUDGET / 4 * (1 + random_below(&actor->random, 4));
	struct wmap_stats stats = { .size = sizeof(stats) };

	says(actor, "changing the budget");
	if (budget < WMAP_MEMORY_MIN)
		budget = WMAP_MEMORY_MIN;
	if ((wmap_memory_set(budget) && errno != ENOMEM) ||
	    wmap_stats_get(&stats))
		complain("the budget could not be set");
	/* what was used before may be above what is allowed from now on */
	if (stats.memory_peak > BUDGET)
		complain("more memory was used than was allowed");
}

/* One of the mappings, beside the budget of all; or none any more. */
static void bound_one(struct actor *actor)
{
	size_t bounds[] = { WMAP_MEMORY_MIN, BUDGET / 2,
			    WMAP_MEMORY_UNLIMITED };
	void *at = torture.at[random_below(&actor->random, COUNT(torture.at))];

	says(actor, "bounding a mapping");
	if (wmap_mapping_bound(at, bounds[random_below(&actor->random, 3)]) &&
	    errno != ENOMEM)
		complain("a mapping could not be bounded");
	process_sleep_ms(3);
}

/* A list of pages at random; waited for, cancelled, or left alone. */
static void prefetch_some(struct actor *actor)
{
	struct wmap_range ranges[200];
	int64_t prefetch;

	for (size_t i = 0; i < COUNT(ranges); i++) {
		size_t page = random_below(&actor->random, PAGES_ALL);

		ranges[i].addr = choose_mapping(actor) + page * WORDS;
		ranges[i].length = 1 + random_below(&actor->random, 9000);
	}
	says(actor, "prefetching");
	prefetch = wmap_prefetch(ranges, COUNT(ranges));
	if (prefetch < 0)
		complain("prefetching failed");
	says(actor, "waiting for a prefetch");
	if (random_below(&actor->random, 2))
		wmap_prefetch_wait(prefetch);
	else if (random_below(&actor->random, 2))
		wmap_prefetch_cancel(prefetch);
}

/* May be more than the budget allows, as it is now. */
static void pin_some(struct actor *actor)
{
	size_t page = random_below(&actor->random, PAGES_ALL - 32);
	uint64_t *at = choose_mapping(actor) + page * WORDS;

	says(actor, "pinning");
	if (wmap_pin(at, PAGES(32)) && errno != ENOMEM)
		complain("pinning failed");
	process_sleep_ms(1);
	if (wmap_unpin(at, PAGES(32)))
		complain("unpinning failed");
}

static void hurt(struct actor *actor)
{
	struct wmap_failure failure = {
		.size = sizeof(failure),
		.operations = WMAP_FAIL_WRITE,
		.first = random_below(&actor->random, 10),
		.count = 1 + random_below(&actor->random, 20),
		.error = EIO,
	};
	uint64_t delay = random_below(&actor->random, 4) * 300000;

	says(actor, "hurting");
	wmap_store_fail(torture.failing,
			random_below(&actor->random, 3) ? NULL : &failure);
	wmap_store_delay(torture.slow, random_below(&actor->random, 2) * delay,
			 random_below(&actor->random, 2) * delay);
	process_sleep_ms(2);
}

static void (*const deeds[])(struct actor *) = {
	walk,	      sync_some,    advise_some,   map_again,
	protect_some, give_up_some, change_budget, prefetch_some,
	pin_some,     hurt,	    bound_one,
};

static void *act(void *arg)
{
	struct actor actor = { .number = (unsigned)(uintptr_t)arg };
	unsigned what = actor.number < TOUCHERS ? 0 :
						  actor.number - TOUCHERS + 1;

	actor.random = torture.seed * 31 + actor.number * 0x9e3779b97f4a7c15u;
	while (!torture.over)
		deeds[what](&actor);
	says(&actor, "nothing any more");
	return NULL;
}

#define ACTORS (TOUCHERS + COUNT(deeds) - 1)

/* A run that does not end says what each thread was doing. */
static void *watch(void *arg)
{
	unsigned seconds = *(unsigned *)arg;

	for (unsigned i = 0; i < seconds * 10 && !torture.over; i++)
		process_sleep_ms(100);
	atomic_store(&torture.over, true);
	for (unsigned i = 0; i < 600; i++) {
		process_sleep_ms(100);
		if (torture.calm)
			return NULL;
	}
	for (unsigned i = 0; i < ACTORS; i++)
		printf("thread %u: %s\n", i, torture.doing[i]);
	fflush(stdout);
	abort();
}

/* Its pages are numbered from @first on. */
static void make_file(int fd, size_t first)
{
	static uint64_t bytes[WORDS];

	for (size_t page = 0; page < PAGES_ALL; page++) {
		fill(bytes, first + page, 0);
		ck_assert_int_eq(pwrite(fd, bytes, PAGE, PAGES(page)), PAGE);
	}
}

static bool file_is_right(int fd)
{
	static uint64_t bytes[WORDS];

	for (size_t page = 0; page < PAGES_ALL; page++)
		if (pread(fd, bytes, PAGE, PAGES(page)) != PAGE ||
		    !right(bytes, page, torture.sequence[page]))
			return false;
	return true;
}

static void set_up(int fd)
{
	struct wmap_store *file = wmap_store_file(fd, 0);
	int other = file_empty();

	make_file(other, 2 * PAGES_ALL);
	torture.seed = random_seed();
	for (size_t i = 0; i < COUNT(torture.locks); i++)
		pthread_mutex_init(&torture.locks[i], NULL);
	torture.slow = wmap_store_slow(file, 0, 0);
	torture.failing = wmap_store_failing(torture.slow);
	ck_assert_int_eq(wmap_memory_set(BUDGET), 0);
	for (int i = 0; i < 2; i++)
		torture.at[i] = (void *)memory_map_store(
			LENGTH, READ_WRITE, WMAP_SHARED, torture.failing, 0);
	torture.own = (void *)memory_map(LENGTH, READ_WRITE,
					 WMAP_PRIVATE | WMAP_ANONYMOUS, -1, 0);
	torture.copy =
		(void *)memory_map(LENGTH, READ_WRITE, WMAP_PRIVATE, other, 0);
}

START_TEST(nothing_is_lost_with_a_sixteenth_of_the_memory)
{
	unsigned seconds = (unsigned)facts_number("WMAP_TORTURE_SECONDS", 3);
	pthread_t threads[ACTORS], watchdog;
	int fd = file_empty();

	make_file(fd, 0);
	set_up(fd);
	ck_assert(!pthread_create(&watchdog, NULL, watch, &seconds));
	for (size_t i = 0; i < ACTORS; i++)
		ck_assert(!pthread_create(&threads[i], NULL, act,
					  (void *)(uintptr_t)i));
	for (size_t i = 0; i < ACTORS; i++)
		ck_assert(!pthread_join(threads[i], NULL));
	atomic_store(&torture.calm, true);
	pthread_join(watchdog, NULL);
	ck_assert_msg(!torture.failure, "%s", torture.failure);
	wmap_store_fail(torture.failing, NULL);
	wmap_store_delay(torture.slow, 0, 0);
	wmap_sync(torture.at[0], LENGTH, WMAP_SYNC_WAIT); /* tells old errors */
	ck_assert_int_eq(wmap_sync(torture.at[0], LENGTH, WMAP_SYNC_WAIT), 0);
	ck_assert(file_is_right(fd));
	for (size_t page = PAGES_ALL; page < 2 * PAGES_ALL; page++)
		ck_assert(right(torture.own + (page - PAGES_ALL) * WORDS, page,
				torture.sequence[page]));
	for (size_t page = 2 * PAGES_ALL; page < 3 * PAGES_ALL; page++)
		ck_assert(right(torture.copy + page % PAGES_ALL * WORDS, page,
				torture.sequence[page]));
	ck_assert_int_eq(wmap_unmap(torture.own, LENGTH), 0);
	ck_assert_int_eq(wmap_unmap(torture.copy, LENGTH), 0);
	for (int i = 0; i < 2; i++)
		ck_assert_int_eq(wmap_unmap(torture.at[i], LENGTH), 0);
	ck_assert_uint_gt(torture.touched, 100);
	printf("%lu pages touched, %lu evicted, %lu of them to swap\n",
	       torture.touched, memory_stats().evicted,
	       memory_stats().swapped_out);
}
END_TEST

int main(void)
{
	TCase *facts = facts_case("budget", 800);

	tcase_add_test(facts, nothing_is_lost_with_a_sixteenth_of_the_memory);
	return facts_run(facts);
}
