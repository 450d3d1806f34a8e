/* SPDX-License-Identifier: MIT */
/*
 * What the tree of processes and its judge share: torture/processes.c starts
 * and shoots, process/programs/tree.c stores and checks.
 *
 * It is memory of the kernel's, of which wmap knows nothing: a memfd, mapped by
 * a bare system call, so that who is shot leaves in it what it had done.
 *
 * Words. Each page of the shared regions has 512 words of 8 bytes; every 16th
 * is stored to, by one thread of one slot each: many writers of one page, but
 * one of a word. A word's value holds its place (never 0) and a sequence
 * number; it is 0 at first, and stays 0 in the words that nobody stores to.
 *
 *   writer:  intent = n + 1;    store n + 1;            done = n + 1
 *   reader:  least = max(done, seen);    load n;    n <= intent?    seen = n
 *
 * Invariant: what anybody loads is least <= n <= intent, whoever was killed
 * where: a store that was done, or that somebody has seen, stays; one that was
 * intended only may have been made or not. The next process of a killed one's
 * slot goes on behind the intent.
 *
 * A slot is the place of a process in the tree. Its owner is one number, so
 * that each change of it is one step:
 *
 *   FREE -> BORN     tree.c, spawn(): the parent is about to fork
 *   BORN -> ALIVE    settle(), in the child; one that comes too late ends
 *   BORN -> FREE     release(): the parent was killed meanwhile
 *   ALIVE -> FREE    release(), by who will reap it, before it does
 *
 * While a slot is ALIVE its pid is that process: it is not reaped before.
 */
#ifndef TESTS_ORACLE_H
#define TESTS_ORACLE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define ORACLE_SLOTS   16u
#define ORACLE_THREADS 2u
#define ORACLE_INNER   8u /* slots below it have children */
#define ORACLE_FILES   2u /* the first regions */
#define ORACLE_REGIONS 3u /* the last is anonymous */
#define ORACLE_PAGES   48u
#define ORACLE_PAGE    4096u
#define ORACLE_LENGTH  ((size_t)ORACLE_PAGES * ORACLE_PAGE)
#define ORACLE_WORDS   (ORACLE_PAGE / 8)
#define ORACLE_EVERY   16u
#define ORACLE_STORED  (ORACLE_WORDS / ORACLE_EVERY)

/* What the tree may leave out, and how it may be made to fail. */
#define ORACLE_OPERATIONS \
	"load", "store", "private", "map", "remap", "sync", "advise", "pread", \
		"exec", "thread", "children"
#define ORACLE_BREAKS \
	"nothing", "lose", "zero", "back", "private", "sleep", "crash", \
		"process", "file", "cut"

enum oracle_state { ORACLE_FREE, ORACLE_BORN, ORACLE_ALIVE };

enum oracle_operation {
	OP_LOAD,
	OP_STORE,
	OP_PRIVATE,
	OP_MAP,
	OP_REMAP,
	OP_SYNC,
	OP_ADVISE,
	OP_PREAD,
	OP_EXEC,
	OP_THREAD,
	OP_CHILDREN,
};

enum oracle_break {
	BREAK_NOTHING,
	BREAK_LOSE,
	BREAK_ZERO,
	BREAK_BACK,
	BREAK_PRIVATE,
	BREAK_SLEEP,
	BREAK_CRASH,
	BREAK_PROCESS,
	BREAK_FILE,
	BREAK_CUT,
};

struct oracle_word {
	_Atomic uint64_t intent; /* [a] before the store of this number */
	_Atomic uint64_t done;	 /* [a] released behind it */
	_Atomic uint64_t seen;	 /* [a] the highest that was loaded */
};

/* For the judge; none orders anything. */
struct oracle_thread {
	_Atomic uint64_t beats;
	_Atomic uint64_t address;
	_Atomic int doing; /* enum oracle_operation */
	_Atomic int tid;
};

struct oracle_slot {
	_Atomic uint64_t owner; /* [a] life << 40 | state << 32 | pid */
	struct oracle_thread threads[ORACLE_THREADS];
};

struct oracle {
	uint64_t seed;	     /* [c] */
	unsigned without;    /* [c] bits of enum oracle_operation */
	int broken;	     /* [c] enum oracle_break */
	atomic_bool over;    /* [a] orders nothing */
	atomic_int failures; /* [a] orders nothing; the first writes: */
	char failure[400];
	_Atomic uint64_t born; /* [a] processes so far; orders nothing */
	struct oracle_slot slots[ORACLE_SLOTS];
	struct oracle_word words[ORACLE_REGIONS][ORACLE_PAGES][ORACLE_STORED];
};

/* NULL if it cannot be mapped. No preload library sees this mapping. */
static inline struct oracle *oracle_map(int fd)
{
	long at = syscall(SYS_mmap, NULL, sizeof(struct oracle),
			  PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0L);

	return at < 0 ? NULL : (struct oracle *)(uintptr_t)at;
}

/* What went wrong: the first says it, the next if it is shot before; all end. */
__attribute__((format(printf, 2, 3))) static inline void
oracle_fail(struct oracle *oracle, const char *format, ...)
{
	va_list args;

	if (atomic_fetch_add(&oracle->failures, 1) == 0 || !*oracle->failure) {
		va_start(args, format);
		vsnprintf(oracle->failure, sizeof oracle->failure, format,
			  args);
		va_end(args);
	}
	atomic_store(&oracle->over, true);
}

/* ---- Slots --------------------------------------------------------------- */

static inline unsigned oracle_parent(unsigned slot)
{
	return (slot - 1) / 2;
}

static inline uint64_t oracle_owner(uint64_t life, enum oracle_state state,
				    int pid)
{
	return life << 40 | (uint64_t)state << 32 | (uint32_t)pid;
}

static inline uint64_t oracle_life(uint64_t owner)
{
	return owner >> 40;
}

static inline enum oracle_state oracle_state(uint64_t owner)
{
	return (enum oracle_state)(owner >> 32 & 0xff);
}

static inline int oracle_pid(uint64_t owner)
{
	return (int)(uint32_t)owner;
}

/* ---- Words --------------------------------------------------------------- */

static inline unsigned oracle_index(unsigned slot, unsigned thread)
{
	return (slot + thread * ORACLE_SLOTS) * ORACLE_EVERY;
}

static inline uint64_t oracle_place(unsigned region, unsigned page,
				    unsigned index)
{
	return ((uint64_t)region * ORACLE_PAGES + page) * ORACLE_WORDS + index +
	       1;
}

static inline uint64_t oracle_value(unsigned region, unsigned page,
				    unsigned index, uint64_t number)
{
	return number << 24 | oracle_place(region, page, index);
}

/* NULL: nobody stores to it. */
static inline struct oracle_word *oracle_word(struct oracle *oracle,
					      unsigned region, unsigned page,
					      unsigned index)
{
	return index % ORACLE_EVERY ?
		       NULL :
		       &oracle->words[region][page][index / ORACLE_EVERY];
}

/* To be asked before loading. */
static inline uint64_t oracle_least(const struct oracle_word *word)
{
	uint64_t done, seen;

	if (!word)
		return 0;
	done = atomic_load_explicit(&word->done, memory_order_acquire);
	seen = atomic_load_explicit(&word->seen, memory_order_acquire);
	return done > seen ? done : seen;
}

static inline void oracle_saw(struct oracle_word *word, uint64_t number)
{
	uint64_t seen = atomic_load(&word->seen);

	while (seen < number &&
	       !atomic_compare_exchange_weak(&word->seen, &seen, number))
		;
}

/* May @value be there, loaded behind oracle_least()? */
static inline bool oracle_allows(struct oracle *oracle, unsigned region,
				 unsigned page, unsigned index, uint64_t least,
				 uint64_t value)
{
	struct oracle_word *word = oracle_word(oracle, region, page, index);
	uint64_t most = word ? atomic_load(&word->intent) : 0;

	if ((value & 0xffffff) != oracle_place(region, page, index) ||
	    value >> 24 < least || value >> 24 > most)
		return false;
	if (word)
		oracle_saw(word, value >> 24);
	return true;
}

/* Say what is wrong about it. */
static inline void oracle_blame(struct oracle *oracle, const char *where,
				unsigned region, unsigned page, unsigned index,
				uint64_t least, uint64_t value)
{
	struct oracle_word *word = oracle_word(oracle, region, page, index);

	oracle_fail(oracle,
		    "%s: region %u, page %u, word %u is %#llx: number %llu at "
		    "place %#llx; allowed is %llu to %llu at place %#llx",
		    where, region, page, index, (unsigned long long)value,
		    (unsigned long long)(value >> 24),
		    (unsigned long long)(value & 0xffffff),
		    (unsigned long long)least,
		    (unsigned long long)(word ? atomic_load(&word->intent) : 0),
		    (unsigned long long)oracle_place(region, page, index));
}

#endif
