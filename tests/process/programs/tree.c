/* SPDX-License-Identifier: MIT */
/*
 * A tree of processes that store to shared memory and are shot
 *
 *   tree ORACLE JUDGE FILE0 FILE1     (two descriptors, two names)
 *
 * It knows nothing of wmap: plain mmap and fork. support/oracle.h has the words
 * and the slots; torture/processes.c starts it, with wmap or without, shoots
 * its processes, and judges.
 *
 *   slot 0 ── 1 ── 3 ── 7 ── 15     A slot's children are 2n+1 and 2n+2. Each
 *        │    │    └─── 8           process forks for those of its slots that
 *        │    └─── 4 ─ 9, 10        have no process. An orphan goes on, the
 *        └─── 2 ─ 5, 6 ─ 11 … 14    root reaps it. The root is never shot.
 *
 * Each process has all of
 *   region 0, 1  the files, shared; 1 is unmapped and mapped anew at times
 *   region 2     shared anonymous memory
 *   private 0    file 0, mapped private: what is not stored to here shows what
 *                others store to the file; what is, stays, here and in children
 *   private 1    private anonymous memory
 * and a second thread that loads and stores while the first forks. Only the
 * first touches region 1 and private memory: so what a child inherits of that
 * is what the parent's shadow, inherited too, says.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>

#include "../../support/oracle.h"

#define PRIVATES 2u
#define SHADOW	 (ORACLE_LENGTH + sizeof(struct shadow))

extern char **environ;

typedef _Atomic uint64_t word_t; /* one load, one store */

struct self {
	unsigned slot, thread;
	uint64_t random;
};

/* Of the kernel's memory, too; a child has a copy. */
struct shadow {
	uint64_t numbers;	/* of stores to this private memory */
	bool own[ORACLE_PAGES]; /* stored to: bytes[] says what is there */
	uint64_t words[ORACLE_PAGES][ORACLE_WORDS];
};

static struct oracle *oracle;
static int files[ORACLE_FILES];
static int judge; /* a pipe whose other end is the judge's */
static char *regions[ORACLE_REGIONS];
static char *privates[PRIVATES];
static struct shadow *shadows[PRIVATES];
static struct self selves[ORACLE_THREADS];
static struct {
	pid_t pid;
	uint64_t born; /* the slot's owner at the fork */
} children[2];
static pthread_t second;
static bool has_second;

/* ---- Small things ------------------------------------------------------- */

static bool is_over(void)
{
	return atomic_load_explicit(&oracle->over, memory_order_relaxed);
}

static unsigned below(struct self *self, unsigned n)
{
	uint64_t x = self->random += 0x9e3779b97f4a7c15u;

	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
	return (unsigned)((x ^ (x >> 31)) % n);
}

static void doing(const struct self *self, enum oracle_operation what,
		  const void *address)
{
	struct oracle_thread *thread =
		&oracle->slots[self->slot].threads[self->thread];

	atomic_store_explicit(&thread->doing, what, memory_order_relaxed);
	atomic_store_explicit(&thread->address, (uintptr_t)address,
			      memory_order_relaxed);
}

static word_t *word_at(char *at, unsigned page, unsigned index)
{
	return (word_t *)(void *)(at + (size_t)page * ORACLE_PAGE) + index;
}

/* Once in many times, where the tree is to be made to fail. */
static bool breaks(struct self *self, enum oracle_break what)
{
	return oracle->broken == (int)what && below(self, 100) == 0;
}

static void pause_ms(unsigned ms)
{
	struct timespec ts = { 0, ms * 1000000L };

	nanosleep(&ts, NULL);
}

static void die(const char *what)
{
	oracle_fail(oracle, "pid %d: %s: %s", (int)getpid(), what,
		    strerrordesc_np(errno));
	_exit(1);
}

/* ---- Shared memory ------------------------------------------------------ */

/* Load a word of region @region, which @at shows. */
static bool load(const char *where, char *at, unsigned region, unsigned page,
		 unsigned index)
{
	uint64_t least = oracle_least(oracle_word(oracle, region, page, index));
	uint64_t value = atomic_load(word_at(at, page, index));

	if (oracle_allows(oracle, region, page, index, least, value))
		return true;
	oracle_blame(oracle, where, region, page, index, least, value);
	return false;
}

static void load_page(struct self *self, const char *where, char *at,
		      unsigned region, unsigned page)
{
	doing(self, OP_LOAD, word_at(at, page, 0));
	for (unsigned i = 0; i < ORACLE_WORDS; i++)
		if (!load(where, at, region, page, i))
			return;
}

static unsigned any_region(struct self *self)
{
	return self->thread == 0 ? below(self, ORACLE_REGIONS) :
				   below(self, 2) * 2;
}

static void load_some(struct self *self)
{
	unsigned region = any_region(self), page = below(self, ORACLE_PAGES);

	if (below(self, 4) == 0) {
		load_page(self, "load", regions[region], region, page);
		return;
	}
	doing(self, OP_LOAD, word_at(regions[region], page, 0));
	load("load", regions[region], region, page,
	     below(self, ORACLE_STORED) * ORACLE_EVERY);
}

static void store_broken(struct self *self, word_t *at, uint64_t older)
{
	if (breaks(self, BREAK_ZERO))
		atomic_store(at, 0);
	if (breaks(self, BREAK_BACK))
		atomic_store(at, older);
}

static void store(struct self *self, char *at, unsigned region, unsigned page)
{
	unsigned index = oracle_index(self->slot, self->thread);
	struct oracle_word *word = oracle_word(oracle, region, page, index);
	uint64_t number = atomic_load(&word->intent) + 1;
	word_t *address = word_at(at, page, index);

	doing(self, OP_STORE, address);
	atomic_store(&word->intent, number);
	if (!breaks(self, BREAK_LOSE))
		atomic_store(address,
			     oracle_value(region, page, index, number));
	atomic_store_explicit(&word->done, number, memory_order_release);
	store_broken(self, address,
		     oracle_value(region, page, index, number - 1));
}

static void store_some(struct self *self)
{
	unsigned region = any_region(self), page = below(self, ORACLE_PAGES);

	store(self, regions[region], region, page);
}

/* Another mapping of a file, shared or private, for a moment. */
static void map_some(struct self *self)
{
	unsigned region = below(self, ORACLE_FILES);
	int type = below(self, 3) ? MAP_SHARED : MAP_PRIVATE;
	char *at;

	doing(self, OP_MAP, NULL);
	at = mmap(NULL, ORACLE_LENGTH, PROT_READ | PROT_WRITE, type,
		  files[region], 0);
	if (at == MAP_FAILED)
		die("mapping a file again");
	for (int i = 0; i < 4; i++)
		load_page(self, "load from another mapping", at, region,
			  below(self, ORACLE_PAGES));
	if (type == MAP_SHARED)
		store(self, at, region, below(self, ORACLE_PAGES));
	doing(self, OP_MAP, at);
	if (munmap(at, ORACLE_LENGTH))
		die("unmapping another mapping");
}

static char *map_region(unsigned region)
{
	int flags = region < ORACLE_FILES ? MAP_SHARED :
					    MAP_SHARED | MAP_ANONYMOUS;
	char *at = mmap(NULL, ORACLE_LENGTH, PROT_READ | PROT_WRITE, flags,
			region < ORACLE_FILES ? files[region] : -1, 0);

	if (at == MAP_FAILED)
		die("mapping a region");
	return at;
}

static void remap_region(struct self *self)
{
	doing(self, OP_REMAP, regions[1]);
	if (munmap(regions[1], ORACLE_LENGTH))
		die("unmapping a region");
	regions[1] = map_region(1);
}

static void sync_some(struct self *self)
{
	unsigned region = any_region(self), page = below(self, ORACLE_PAGES);
	size_t pages = 1 + below(self, ORACLE_PAGES - page);
	char *at = regions[region] + (size_t)page * ORACLE_PAGE;

	doing(self, OP_SYNC, at);
	if (msync(at, pages * ORACLE_PAGE, below(self, 4) ? MS_ASYNC : MS_SYNC))
		die("msync");
}

static void advise_some(struct self *self)
{
	static const int advice[] = { MADV_DONTNEED, MADV_WILLNEED,
				      MADV_DONTNEED, MADV_RANDOM, MADV_NORMAL };
	unsigned region = any_region(self), page = below(self, ORACLE_PAGES);
	size_t pages = 1 + below(self, ORACLE_PAGES - page);
	char *at = regions[region] + (size_t)page * ORACLE_PAGE;

	doing(self, OP_ADVISE, at);
	if (madvise(at, pages * ORACLE_PAGE, advice[below(self, 5)]))
		die("madvise");
}

static bool reads_right(unsigned region, unsigned page, unsigned index,
			uint64_t *least, uint64_t *value)
{
	off_t offset = (off_t)page * ORACLE_PAGE + index * 8;

	*least = oracle_least(oracle_word(oracle, region, page, index));
	if (pread(files[region], value, 8, offset) != 8)
		die("pread");
	return oracle_allows(oracle, region, page, index, *least, *value);
}

/* A file that others store to may be read in the middle of a word: again. */
static void pread_some(struct self *self)
{
	unsigned region = below(self, ORACLE_FILES);
	unsigned page = below(self, ORACLE_PAGES);
	unsigned index = below(self, ORACLE_STORED) * ORACLE_EVERY;
	uint64_t least, value;

	doing(self, OP_PREAD, word_at(regions[region], page, index));
	if (!reads_right(region, page, index, &least, &value) &&
	    !reads_right(region, page, index, &least, &value))
		oracle_blame(oracle, "pread", region, page, index, least,
			     value);
}

/* ---- Private memory ----------------------------------------------------- */

static void private_differs(unsigned i, unsigned page, unsigned index,
			    uint64_t value)
{
	oracle_fail(oracle,
		    "private %u, page %u, word %u is %#llx; it was %#llx when "
		    "it was last stored to",
		    i, page, index, (unsigned long long)value,
		    (unsigned long long)shadows[i]->words[page][index]);
}

static void private_load(struct self *self, unsigned i, unsigned page)
{
	doing(self, OP_PRIVATE, word_at(privates[i], page, 0));
	if (!shadows[i]->own[page]) {
		load_page(self, "load from private memory", privates[i], 0,
			  page);
		return;
	}
	for (unsigned w = 0; w < ORACLE_WORDS; w++) {
		uint64_t value = atomic_load(word_at(privates[i], page, w));

		if (value != shadows[i]->words[page][w]) {
			private_differs(i, page, w, value);
			return;
		}
	}
}

/* The page has just become our own by a store to its word @stored: the others
   are what the file showed at that moment. */
static void private_take(unsigned i, unsigned page, unsigned stored,
			 const uint64_t *least)
{
	uint64_t *words = shadows[i]->words[page];

	for (unsigned w = 0; w < ORACLE_WORDS; w++) {
		words[w] = atomic_load(word_at(privates[i], page, w));
		if (w != stored &&
		    !oracle_allows(oracle, 0, page, w, least[w], words[w])) {
			oracle_blame(oracle, "a copy of a page", 0, page, w,
				     least[w], words[w]);
			return;
		}
	}
	shadows[i]->own[page] = true;
}

static void private_store(struct self *self, unsigned i, unsigned page)
{
	uint64_t least[ORACLE_WORDS];
	unsigned index = below(self, ORACLE_WORDS);
	uint64_t value = ++shadows[i]->numbers << 32 | (uint32_t)self->slot;

	doing(self, OP_PRIVATE, word_at(privates[i], page, index));
	for (unsigned w = 0; w < ORACLE_WORDS; w++)
		least[w] = oracle_least(oracle_word(oracle, 0, page, w));
	atomic_store(word_at(privates[i], page, index), value);
	if (!shadows[i]->own[page])
		private_take(i, page, index, least);
	if (!breaks(self, BREAK_PRIVATE))
		shadows[i]->words[page][index] = value;
}

/* Drop stores: the file shows through again. */
static void private_drop(struct self *self, unsigned page)
{
	char *at = privates[0] + (size_t)page * ORACLE_PAGE;

	doing(self, OP_PRIVATE, at);
	if (madvise(at, ORACLE_PAGE, MADV_DONTNEED))
		die("DONTNEED of private memory");
	shadows[0]->own[page] = false;
}

static void private_some(struct self *self)
{
	unsigned i = below(self, PRIVATES), page = below(self, ORACLE_PAGES);
	unsigned what = below(self, 8);

	if (what == 0 && i == 0)
		private_drop(self, page);
	else if (what < 4)
		private_store(self, i, page);
	else
		private_load(self, i, page);
}

/* ---- Children ------------------------------------------------------------ */

/* A program that ends at once. Who reaps it is reap(). */
static void exec_some(struct self *self)
{
	char name[] = "true", *argv[] = { name, NULL };
	pid_t pid;

	doing(self, OP_EXEC, NULL);
	if (posix_spawnp(&pid, name, NULL, NULL, argv, environ))
		die("posix_spawn");
}

static void release_slot(_Atomic uint64_t *owner, uint64_t old)
{
	atomic_compare_exchange_strong(owner, &old,
				       oracle_owner(oracle_life(old) + 1,
						    ORACLE_FREE, 0));
}

/* @pid is dead, and will be reaped behind this: it has no slot any more, nor
   gives one to a child; if it was ours, it may have died before it had one. */
static void release(int pid)
{
	for (unsigned i = 0; i < ORACLE_SLOTS; i++) {
		_Atomic uint64_t *owner = &oracle->slots[i].owner;
		uint64_t old = atomic_load(owner);
		unsigned child = i % 2;

		if (oracle_pid(old) == pid && oracle_state(old) != ORACLE_FREE)
			release_slot(owner, old);
		if (children[child].pid == pid && children[child].born == old)
			release_slot(owner, old);
	}
}

static void judge_end(const siginfo_t *info)
{
	bool shot = info->si_code == CLD_KILLED && info->si_status == SIGKILL;

	if (shot || (info->si_code == CLD_EXITED && info->si_status == 0))
		return;
	oracle_fail(oracle, "pid %d ended by itself: %s %d", info->si_pid,
		    info->si_code == CLD_EXITED ? "status" : "signal",
		    info->si_status);
}

/* All children that are dead; false if there are none left at all. */
static bool reap(void)
{
	for (;;) {
		siginfo_t info = { .si_pid = 0 };

		if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT))
			return errno != ECHILD;
		if (!info.si_pid)
			return true;
		release(info.si_pid);
		judge_end(&info);
		waitpid(info.si_pid, NULL, 0);
	}
}

static void work(struct self *self);

static void *run_second(void *self)
{
	work(self);
	return NULL;
}

static void start_second(void)
{
	has_second = !(oracle->without >> OP_THREAD & 1) &&
		     pthread_create(&second, NULL, run_second, &selves[1]) == 0;
}

static void leave(struct self *self)
{
	bool alone = !has_second;

	if (has_second && below(self, 2))
		alone = !pthread_join(second, NULL);
	/* Else the other thread may be at its last store there. */
	if (alone && below(self, 2) && munmap(regions[0], ORACLE_LENGTH))
		die("unmapping before the end");
	exit(0);
}

/* In the child: the slot, unless it is another's by now. */
static void settle(unsigned slot, uint64_t born)
{
	uint64_t life = oracle_life(born);

	if (!atomic_compare_exchange_strong(&oracle->slots[slot].owner, &born,
					    oracle_owner(life, ORACLE_ALIVE,
							 (int)getpid())))
		_exit(0);
	for (unsigned i = 0; i < ORACLE_THREADS; i++)
		selves[i] = (struct self){
			slot, i, oracle->seed + slot * 31 + i * 7 + life * 997
		};
	memset(children, 0, sizeof(children));
	start_second();
	work(&selves[0]);
	leave(&selves[0]);
}

static void spawn(struct self *self, unsigned slot)
{
	_Atomic uint64_t *owner = &oracle->slots[slot].owner;
	uint64_t old = atomic_load(owner), born;
	pid_t pid;

	born = oracle_owner(oracle_life(old), ORACLE_BORN, (int)getpid());
	if (oracle_state(old) != ORACLE_FREE ||
	    !atomic_compare_exchange_strong(owner, &old, born))
		return;
	doing(self, OP_CHILDREN, NULL);
	pid = fork();
	if (pid == 0)
		settle(slot, born);
	if (pid < 0)
		die("fork");
	children[slot % 2].pid = pid;
	children[slot % 2].born = born;
	atomic_fetch_add(&oracle->born, 1);
}

/* If the judge is gone, so is its end of the pipe. */
static void watch_judge(void)
{
	struct pollfd end = { judge, 0, 0 };

	if (poll(&end, 1, 0) > 0)
		atomic_store(&oracle->over, true);
}

static void tend_children(struct self *self)
{
	doing(self, OP_CHILDREN, NULL);
	reap();
	if (self->slot == 0)
		watch_judge();
	for (unsigned i = 2 * self->slot + 1; i <= 2 * self->slot + 2; i++)
		if (i < ORACLE_SLOTS && !is_over())
			spawn(self, i);
}

/* ---- A process ----------------------------------------------------------- */

struct act {
	void (*act)(struct self *self);
	enum oracle_operation what;
	unsigned weight;
	bool any_thread;
};

static const struct act acts[] = {
	{ store_some, OP_STORE, 400, true },
	{ load_some, OP_LOAD, 400, true },
	{ private_some, OP_PRIVATE, 100, false },
	{ pread_some, OP_PREAD, 10, true },
	{ sync_some, OP_SYNC, 5, true },
	{ advise_some, OP_ADVISE, 10, true },
	{ map_some, OP_MAP, 10, false },
	{ remap_region, OP_REMAP, 5, false },
	{ exec_some, OP_EXEC, 1, false },
};

static void act(struct self *self)
{
	unsigned all = 0, at;
	const struct act *a = acts;

	for (unsigned i = 0; i < sizeof(acts) / sizeof(*acts); i++)
		all += acts[i].weight;
	at = below(self, all);
	while (at >= a->weight)
		at -= a++->weight;
	if ((a->any_thread || self->thread == 0) &&
	    !(oracle->without >> a->what & 1))
		a->act(self);
}

static void break_root(struct self *self)
{
	if (self->slot != 0 || self->thread != 0 || below(self, 20))
		return;
	if (oracle->broken == BREAK_SLEEP)
		pause();
	if (oracle->broken == BREAK_CRASH)
		raise(SIGSEGV);
}

static void work(struct self *self)
{
	struct oracle_thread *thread =
		&oracle->slots[self->slot].threads[self->thread];

	atomic_store(&thread->tid, (int)syscall(SYS_gettid));
	while (!is_over()) {
		for (int i = 0; i < 8; i++)
			act(self);
		if (self->thread == 0)
			tend_children(self);
		break_root(self);
		atomic_fetch_add_explicit(&thread->beats, 1,
					  memory_order_relaxed);
		pause_ms(1 + below(self, 3));
	}
}

/* ---- The root ------------------------------------------------------------ */

static void *bare_memory(size_t length)
{
	long at = syscall(SYS_mmap, NULL, length, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0L);

	if (at < 0)
		die("memory");
	return (void *)(uintptr_t)at;
}

static void map_private(unsigned i)
{
	int flags = i ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_PRIVATE;

	shadows[i] = bare_memory(SHADOW);
	privates[i] = mmap(NULL, ORACLE_LENGTH, PROT_READ | PROT_WRITE, flags,
			   i ? -1 : files[0], 0);
	if (privates[i] == MAP_FAILED)
		die("mapping private memory");
}

/* What is anonymous begins as the files do, resp. as our own. */
static void fill_anonymous(void)
{
	for (unsigned page = 0; page < ORACLE_PAGES; page++)
		for (unsigned i = 0; i < ORACLE_WORDS; i++)
			atomic_store(word_at(regions[2], page, i),
				     oracle_value(2, page, i, 0));
	memset(shadows[1]->own, true, sizeof(shadows[1]->own));
}

static void map_all(char **names)
{
	for (unsigned i = 0; i < ORACLE_FILES; i++) {
		files[i] = open(names[i], O_RDWR | O_CLOEXEC);
		if (files[i] < 0)
			die(names[i]);
	}
	for (unsigned i = 0; i < ORACLE_REGIONS; i++)
		regions[i] = map_region(i);
	for (unsigned i = 0; i < PRIVATES; i++)
		map_private(i);
	fill_anonymous();
}

static void check_all(struct self *self)
{
	for (unsigned page = 0; page < ORACLE_PAGES; page++) {
		for (unsigned i = 0; i < ORACLE_REGIONS; i++)
			load_page(self, "at the end", regions[i], i, page);
		for (unsigned i = 0; i < PRIVATES; i++)
			private_load(self, i, page);
	}
}

/* What a test must find that looks for what is left. */
static void leave_behind(void)
{
	char name[] = "wmap-left-XXXXXX", path[300];

	if (oracle->broken == BREAK_PROCESS && fork() == 0) {
		pause_ms(999);
		for (int i = 0; i < 20; i++)
			pause_ms(999);
		_exit(0);
	}
	snprintf(path, sizeof(path), "%s/%s", getenv("TMPDIR"), name);
	if (oracle->broken == BREAK_FILE && mkstemp(path) < 0)
		die(path);
}

static int root(void)
{
	uint64_t born = oracle_owner(0, ORACLE_ALIVE, (int)getpid());

	prctl(PR_SET_CHILD_SUBREAPER, 1);
	atomic_store(&oracle->slots[0].owner, born);
	for (unsigned i = 0; i < ORACLE_THREADS; i++)
		selves[i] = (struct self){ 0, i, oracle->seed + i };
	start_second();
	work(&selves[0]);
	if (has_second)
		pthread_join(second, NULL);
	doing(&selves[0], OP_CHILDREN, NULL);
	while (reap())
		pause_ms(2);
	if (atomic_load(&oracle->failures))
		return 1;
	check_all(&selves[0]);
	leave_behind();
	return 0;
}

int main(int argc, char **argv)
{
	if (argc != 5)
		return 2;
	oracle = oracle_map(atoi(argv[1]));
	if (!oracle)
		return 2;
	judge = atoi(argv[2]);
	map_all(argv + 3);
	return root();
}
