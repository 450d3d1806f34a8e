/* SPDX-License-Identifier: MIT */
/*
 * Sixteen threads, sixteen mappings, an oracle for every byte
 *
 * The threads touch pages at random: each looks at a page's every byte and
 * often gives it new ones. Beside them run threads that sync, advise (WILLNEED
 * and DONTNEED), and map, touch and unmap other mappings of the same files.
 *
 * The oracle: the bytes of a page follow from its subject, its number in the
 * subject and a sequence number, which the oracle keeps; a page of a private
 * mapping has one of its own once it was stored to. Each page of a subject has
 * a lock, held while its bytes are touched in whichever mapping, so that the
 * oracle knows what must be there, and ThreadSanitizer, which does not see the
 * order that a fault makes, sees that of the locks. Sync, WILLNEED, and
 * DONTNEED of shared memory change no byte: they run without any lock. DONTNEED
 * of private memory drops stores: it is made under the lock.
 *
 * Invariant, under the lock of a page: loading it in a mapping gives the bytes
 * of that mapping's sequence number there, or the subject's, if it has none.
 *
 * A watchdog ends the run if it does not end by itself: a thread is asleep for
 * ever then. It says what each of them was doing.
 */
#include "support.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define MAPPINGS 16
#define SUBJECTS \
	10 /* two files of two shared and two private mappings each;
		       four shared and four private anonymous memories */
#define FILES	   2
#define PAGES_EACH ((size_t)96)
#define LENGTH	   PAGES(PAGES_EACH)
#define TOUCHERS   16

struct subject {
	int fd;				   /* [c] -1: anonymous */
	pthread_mutex_t locks[PAGES_EACH]; /* before any other lock */
	uint32_t sequence[PAGES_EACH];	   /* [l] by the page's lock */
};

struct mapping {
	struct subject *subject;  /* [c] */
	int flags;		  /* [c] */
	char *at;		  /* [c] */
	uint32_t own[PAGES_EACH]; /* [l] private: 0 is the subject's bytes */
};

static struct torture {
	uint64_t seed;
	struct subject subjects[SUBJECTS];
	struct mapping mappings[MAPPINGS];
	atomic_bool over;		 /* [a] orders nothing */
	atomic_uint operations;		 /* [a] orders nothing */
	_Atomic(const char *) failure;	 /* [a] the first one */
	_Atomic(const char *) doing[32]; /* [a] for the watchdog */
	atomic_uint threads;		 /* [a] how many there are */
} torture;

/* A thread's own: its random numbers and its place in torture.doing. */
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

static uint64_t word(const struct subject *subject, size_t page,
		     uint32_t sequence, size_t i)
{
	uint64_t x = ((uint64_t)(subject - torture.subjects) << 56) ^
		     ((uint64_t)page << 40) ^ ((uint64_t)i << 32) ^ sequence;

	return (x + 1) * 0x9e3779b97f4a7c15u;
}

/* Sequence 0 is what was there at first: zeros, in files too. */
static void fill(uint64_t *bytes, const struct subject *subject, size_t page,
		 uint32_t sequence)
{
	for (size_t i = 0; i < PAGE / 8; i++)
		bytes[i] = sequence ? word(subject, page, sequence, i) : 0;
}

static bool right(const uint64_t *bytes, const struct subject *subject,
		  size_t page, uint32_t sequence)
{
	for (size_t i = 0; i < PAGE / 8; i++)
		if (bytes[i] !=
		    (sequence ? word(subject, page, sequence, i) : 0))
			return false;
	return true;
}

static uint32_t *sequence_of(struct mapping *mapping, size_t page)
{
	return mapping->flags & WMAP_PRIVATE ?
		       &mapping->own[page] :
		       &mapping->subject->sequence[page];
}

static uint64_t *page_at(char *at, size_t page)
{
	return (uint64_t *)(void *)(at + PAGES(page));
}

/* ---- Threads that touch -------------------------------------------------- */

static void touch(struct actor *actor)
{
	struct mapping *mapping =
		&torture.mappings[random_below(&actor->random, MAPPINGS)];
	size_t page = random_below(&actor->random, PAGES_EACH);
	struct subject *subject = mapping->subject;
	uint32_t *sequence = sequence_of(mapping, page);
	uint64_t *bytes = page_at(mapping->at, page);

	pthread_mutex_lock(&subject->locks[page]);
	says(actor, "loading");
	if (!right(bytes, subject, page,
		   *sequence ? *sequence : subject->sequence[page]))
		complain("a page has wrong bytes");
	if (random_below(&actor->random, 2)) {
		says(actor, "storing");
		*sequence = (uint32_t)random_next(&actor->random) | 1;
		fill(bytes, subject, page, *sequence);
	}
	pthread_mutex_unlock(&subject->locks[page]);
}

/* ---- Threads beside them ------------------------------------------------- */

/* A range of a mapping at random: its first page, and how many. */
static size_t pick(struct actor *actor, size_t *pages)
{
	size_t first = random_below(&actor->random, PAGES_EACH);

	*pages = 1 + random_below(&actor->random, PAGES_EACH - first);
	return first;
}

static void sync_some(struct actor *actor)
{
	struct mapping *mapping =
		&torture.mappings[random_below(&actor->random, MAPPINGS)];
	size_t pages, first = pick(actor, &pages);
	int how = random_below(&actor->random, 4) ? WMAP_SYNC_WAIT :
						    WMAP_SYNC_START;

	says(actor, "syncing");
	if (wmap_sync(mapping->at + PAGES(first), PAGES(pages), how))
		complain("a sync failed");
}

static void drop_shared(struct actor *actor, struct mapping *mapping)
{
	size_t pages, first = pick(actor, &pages);

	says(actor, "dropping shared memory");
	if (wmap_advise(mapping->at + PAGES(first), PAGES(pages),
			WMAP_ADVICE_DONTNEED))
		complain("DONTNEED of shared memory failed");
}

static void drop_private(struct actor *actor, struct mapping *mapping)
{
	size_t page = random_below(&actor->random, PAGES_EACH);
	pthread_mutex_t *lock = &mapping->subject->locks[page];

	pthread_mutex_lock(lock);
	says(actor, "dropping private memory");
	if (wmap_advise(mapping->at + PAGES(page), PAGE, WMAP_ADVICE_DONTNEED))
		complain("DONTNEED of private memory failed");
	mapping->own[page] = 0;
	pthread_mutex_unlock(lock);
}

static void advise_some(struct actor *actor)
{
	struct mapping *mapping =
		&torture.mappings[random_below(&actor->random, MAPPINGS)];
	size_t pages, first = pick(actor, &pages);

	says(actor, "advising");
	if (wmap_advise(mapping->at + PAGES(first), PAGES(pages),
			(int)random_below(&actor->random, 4)))
		complain("advice failed");
	if (mapping->flags & WMAP_SHARED)
		drop_shared(actor, mapping);
	else
		drop_private(actor, mapping);
}

/* Another mapping of a file: its pages are the subject's. */
static void map_another(struct actor *actor)
{
	struct subject *subject =
		&torture.subjects[random_below(&actor->random, FILES)];
	int flags = random_below(&actor->random, 2) ? WMAP_SHARED :
						      WMAP_PRIVATE;
	char *at;

	says(actor, "mapping");
	at = wmap_map(NULL, LENGTH, PROT_READ | PROT_WRITE, flags, subject->fd,
		      0, NULL);
	if (at == WMAP_FAILED) {
		complain("mapping another failed");
		return;
	}
	for (int i = 0; i < 8; i++) {
		size_t page = random_below(&actor->random, PAGES_EACH);

		pthread_mutex_lock(&subject->locks[page]);
		says(actor, "loading from another mapping");
		if (!right(page_at(at, page), subject, page,
			   subject->sequence[page]))
			complain("another mapping has wrong bytes");
		pthread_mutex_unlock(&subject->locks[page]);
	}
	says(actor, "unmapping");
	if (wmap_unmap(at, LENGTH))
		complain("unmapping another failed");
}

static void map_anonymous(struct actor *actor)
{
	int kind = random_below(&actor->random, 2) ? WMAP_SHARED : WMAP_PRIVATE;
	size_t pages = 1 + random_below(&actor->random, 32);
	char *at;

	says(actor, "mapping anonymous memory");
	at = wmap_map(NULL, PAGES(pages), READ_WRITE, kind | WMAP_ANONYMOUS, -1,
		      0, NULL);
	if (at == WMAP_FAILED) {
		complain("mapping anonymous memory failed");
		return;
	}
	memory_store(at, pages, 1);
	says(actor, "unmapping anonymous memory");
	if (wmap_unmap(at, PAGES(pages)))
		complain("unmapping anonymous memory failed");
}

static void ask(struct actor *actor)
{
	struct wmap_mapping_info infos[MAPPINGS + 8];
	unsigned char vec[PAGES_EACH];

	says(actor, "asking");
	infos[0].size = sizeof *infos;
	if (wmap_mapping_list(infos, COUNT(infos)) < MAPPINGS)
		complain("the list of mappings is too short");
	if (wmap_residency(torture.mappings[0].at, LENGTH, vec))
		complain("asking for residency failed");
}

static void (*const roles[])(struct actor *) = {
	sync_some, advise_some, map_another, map_anonymous, ask,
};

#define ROLES (sizeof roles / sizeof *roles)

static void *run(void *arg)
{
	unsigned number = atomic_fetch_add(&torture.threads, 1);
	struct actor actor = { torture.seed + number * 7919u, number };
	void (*role)(struct actor *) =
		number < TOUCHERS ? touch : roles[number - TOUCHERS];

	(void)arg;
	while (!atomic_load_explicit(&torture.over, memory_order_relaxed)) {
		role(&actor);
		atomic_fetch_add_explicit(&torture.operations, 1,
					  memory_order_relaxed);
	}
	says(&actor, "done");
	return NULL;
}

/* ---- The run ------------------------------------------------------------- */

static void make_subject(struct subject *subject, bool is_file)
{
	subject->fd = is_file ? file_sparse(LENGTH) : -1;
	for (size_t i = 0; i < PAGES_EACH; i++)
		pthread_mutex_init(&subject->locks[i], NULL);
}

/* Of each file two shared and two private mappings; of anonymous memory one of
   each subject. */
static void make_mapping(unsigned i)
{
	struct mapping *mapping = &torture.mappings[i];
	unsigned subject = i < 8 ? i / 4 : FILES + (i - 8);

	mapping->subject = &torture.subjects[subject];
	mapping->flags = i % 2 ? WMAP_PRIVATE : WMAP_SHARED;
	if (i >= 8)
		mapping->flags |= WMAP_ANONYMOUS;
	mapping->at = memory_map(LENGTH, READ_WRITE, mapping->flags,
				 mapping->subject->fd, 0);
}

static void watchdog(int signal)
{
	char line[128];
	int n;

	(void)signal;
	n = snprintf(line, sizeof line, "WMAP_SEED=%" PRIu64 " hangs:\n",
		     torture.seed);
	(void)!write(STDERR_FILENO, line, (size_t)n);
	for (unsigned i = 0; i < TOUCHERS + ROLES; i++) {
		const char *doing = atomic_load(&torture.doing[i]);

		n = snprintf(line, sizeof line, "thread %u: %s\n", i,
			     doing ? doing : "not begun");
		(void)!write(STDERR_FILENO, line, (size_t)n);
	}
	_exit(3);
}

static void wait_for_the_end(unsigned seconds)
{
	for (unsigned i = 0; i < seconds * 10; i++) {
		process_sleep_ms(100);
		if (atomic_load(&torture.over))
			break;
	}
	atomic_store(&torture.over, true);
}

static void check_all(void)
{
	bool all = true;

	for (unsigned i = 0; i < MAPPINGS; i++) {
		struct mapping *mapping = &torture.mappings[i];

		for (size_t page = 0; page < PAGES_EACH; page++) {
			uint32_t own = *sequence_of(mapping, page);

			all = all &&
			      right(page_at(mapping->at, page),
				    mapping->subject, page,
				    own ? own :
					  mapping->subject->sequence[page]);
		}
	}
	ck_assert_msg(all, "at the end a page has wrong bytes");
}

static void check_files(void)
{
	uint64_t bytes[WMAP_PAGE_SIZE / 8];

	for (unsigned i = 0; i < MAPPINGS; i++)
		ck_assert_int_eq(wmap_unmap(torture.mappings[i].at, LENGTH), 0);
	for (unsigned i = 0; i < FILES; i++)
		for (size_t page = 0; page < PAGES_EACH; page++) {
			fill(bytes, &torture.subjects[i], page,
			     torture.subjects[i].sequence[page]);
			ck_assert_msg(file_has(torture.subjects[i].fd,
					       PAGES(page), bytes, PAGE),
				      "file %u, page %zu is wrong", i, page);
		}
}

static unsigned seconds(void)
{
	return (unsigned)facts_number("WMAP_TORTURE_SECONDS", 3);
}

START_TEST(every_byte_is_right_whatever_runs_beside)
{
	pthread_t threads[TOUCHERS + ROLES];

	torture.seed = random_seed();
	for (unsigned i = 0; i < FILES + 8; i++)
		make_subject(&torture.subjects[i], i < FILES);
	for (unsigned i = 0; i < MAPPINGS; i++)
		make_mapping(i);
	signal(SIGALRM, watchdog);
	alarm(seconds() + 60);
	for (size_t i = 0; i < COUNT(threads); i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, run, NULL),
				 0);
	wait_for_the_end(seconds());
	for (size_t i = 0; i < COUNT(threads); i++)
		pthread_join(threads[i], NULL);
	alarm(0);
	printf("%u operations\n", atomic_load(&torture.operations));
	ck_assert_msg(!torture.failure, "WMAP_SEED=%" PRIu64 ": %s",
		      torture.seed, torture.failure);
	check_all();
	check_files();
}
END_TEST

int main(void)
{
	TCase *facts = facts_case("torture", seconds() + 120);

	tcase_add_test(facts, every_byte_is_right_whatever_runs_beside);
	return facts_run(facts);
}
