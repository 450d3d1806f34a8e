/* SPDX-License-Identifier: MIT */
/*
 * What the tests share
 *
 * A test is a libcheck test: it runs in a process of its own, forked before
 * anything of wmap is open, so that it may leave a mess. A helper that cannot
 * do what it is for fails the test; one that returns a bool or a signal leaves
 * the judgement to the test.
 *
 * Files have no name from the start: no failure can leave one behind.
 *
 * Environment, all optional:
 *   WMAP_SEED             seed of what is random, else from the clock; printed
 *   WMAP_TEST_SCALE       multiplies the rounds of long tests, default 1
 *   WMAP_TORTURE_SECONDS  length of the torture tests, default 3
 */
#ifndef TESTS_SUPPORT_H
#define TESTS_SUPPORT_H

#include <check.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/types.h>
#include <wmap/store.h>
#include <wmap/wmap.h>

#ifndef PAGE /* a unit test has it from internal.h */
#define PAGE ((size_t)WMAP_PAGE_SIZE)
#endif
#define PAGES(n)     ((size_t)(n)*PAGE)
#define KIB	     ((size_t)1 << 10)
#define MIB	     ((size_t)1 << 20)
#define GIB	     ((size_t)1 << 30)
#define TIB	     ((size_t)1 << 40)
#define COUNT(array) (sizeof(array) / sizeof *(array))
#define READ_WRITE   (PROT_READ | PROT_WRITE)

/* A sanitizer's shadow would be counted with the memory that we measure, and
   ThreadSanitizer bounds addresses and needs kernel mappings of its own. */
#ifdef __SANITIZE_THREAD__
#define THREAD_SANITIZED 1
#else
#define THREAD_SANITIZED 0
#endif
#ifdef __SANITIZE_ADDRESS__
#define SANITIZED 1
#else
#define SANITIZED THREAD_SANITIZED
#endif

/* ---- facts.c: a program of tests ---------------------------------------- */

#define FACTS_SKIPPED 77

/* A case for the program's tests, each of which ends within @seconds. */
TCase *facts_case(const char *name, double seconds);

/* Run them; what main returns: 0, 1, or FACTS_SKIPPED without a pager. */
int facts_run(TCase *facts);

/* The same for tests that need no pager: never skipped. */
int facts_run_anywhere(TCase *facts);

/* What @ask returns, 0 to 255, in a process of its own; -1 if it crashed. For
   main, where nothing may be started yet. */
int facts_ask(int (*ask)(unsigned), unsigned arg);

/* Has the pager all of WMAP_FEATURE_* in @features? 0: can it be started? */
bool facts_possible(unsigned features);

/* WMAP_TEST_SCALE times @n. */
unsigned facts_scaled(unsigned n);

/* The number in the environment variable @name, else @otherwise. */
uint64_t facts_number(const char *name, uint64_t otherwise);

/* ---- pattern.c: bytes that know where they belong ----------------------- */

uint8_t pattern_byte(unsigned seed, uint64_t offset);
void pattern_fill(void *to, size_t length, unsigned seed, uint64_t offset);
bool pattern_holds(const void *bytes, size_t length, unsigned seed,
		   uint64_t offset);
bool pattern_zeros(const void *bytes, size_t length);

/* ---- marks.c: stores that are told from each other ----------------------- */

#define MARK_AT ((size_t)100) /* in its page */

/* Turn a byte of each of these pages over: a second time takes the mark away. */
void marks_store(char *at, size_t first, size_t end);

/* Has the file the marks of these pages, and else the pattern? */
bool marks_are_in(int fd, unsigned seed, size_t first, size_t end);

/* ---- file.c: files without a name --------------------------------------- */

/* An empty file, open for reading and writing. */
int file_empty(void);

/* One that holds the pattern of @seed. */
int file_with(unsigned seed, size_t length);

/* One of @length bytes that occupies none. */
int file_sparse(size_t length);

/* The same file opened again, with open(2)'s @flags. */
int file_reopen(int fd, int flags);

size_t file_length(int fd);

/* Cut the pager's swap file, in /var/tmp and of this process, to nothing. */
void file_cut_swap(void);

/* Does the file hold the pattern there? Or these bytes? Or zeros? */
bool file_holds(int fd, unsigned seed, uint64_t offset, size_t length);
bool file_has(int fd, uint64_t offset, const void *bytes, size_t length);
bool file_zeros(int fd, uint64_t offset, size_t length);

/* ---- memory.c: addresses and what is mapped there ----------------------- */

/* An address with @length free bytes, that no later mmap(2) will choose soon.
   ThreadSanitizer allows no fixed address of our own choice. */
char *memory_free_range(size_t length);

/* wmap and wmap_map that must succeed; @addr NULL: anywhere. */
char *memory_wmap(void *addr, size_t length, int flags, int fd);
char *memory_map(size_t length, int prot, int flags, int fd, off_t offset);
char *memory_map_store(size_t length, int prot, int flags,
		       struct wmap_store *store, unsigned deadline_ms);

/* What wmap_mapping_find says about the mapping at @addr. */
struct wmap_mapping_info memory_info(const void *addr);

/* The course's n_loaded_pages of the mapping that starts at @addr. */
size_t memory_loaded(const void *addr);

struct wmap_stats memory_stats(void);

/* Bytes of what is mapped there in a field of /proc/self/smaps. */
size_t memory_smaps(const void *addr, size_t length, const char *field);

/* Those that the kernel counts as this process's alone. */
size_t memory_anonymous(const void *addr, size_t length);

/* Are these pages in memory, all of them? */
bool memory_is_there(void *addr, size_t pages);

/* Load a byte of each page; or store @value there. */
void memory_load(const char *addr, size_t pages);
void memory_store(char *addr, size_t pages, char value);

/* Eight threads load and store, @rounds times each, pages of zeros that are theirs
   alone, at most HAMMER_PAGES in all: does each find what it stored last? */
#define HAMMER_PAGES 2048
bool memory_hammer(char *at, size_t pages, unsigned rounds);

/* ---- process.c: signals, children, and what a process uses -------------- */

/* Load, or store, one byte: 0, or the signal that it raised instead. One
   thread at a time. */
int process_load(const void *addr);
int process_store(void *addr, char value);

/* Call @run in a child, which exits 0 behind it: the status as of waitpid(2).
   Call it before anything of wmap is started. */
int process_child(void (*run)(void *), void *arg);

/* The same, and the status must be that of death by @signal. */
void process_dies(int signal, void (*run)(void *), void *arg);

/* A child that exits with what @run returns; and it must have been 0. */
pid_t process_start(int (*run)(int), int arg);
void process_ends_well(pid_t child);

/* Ask until @is says true; false after @seconds. */
bool process_wait(bool (*is)(void *), void *arg, unsigned seconds);

void process_sleep_ms(unsigned ms);

/* KiB of its /proc/PID/status, such as "VmRSS", or -1 if it is gone; 0: this process. */
long process_kib(pid_t pid, const char *field);

/* The only child of a process, or 0. */
pid_t process_only_child(pid_t pid);

/* How many descriptors it has, UINT_MAX if it is gone; 0: this process. */
unsigned process_descriptors(pid_t pid);

/* Files become no longer than @bytes from now on, UINT64_MAX: as long as they
   like; a write beyond is EFBIG, as on a disk that has no more room. */
void process_limit_files(uint64_t bytes);

/* ---- wmapd.c: a wmapd that this process has as its pager ---------------- */

extern struct served_by {
	char address[128];
	pid_t pid, keeper;
} served_by;

/* Have one started, and find it. */
void wmapd_start(void);

/* Find it again: a successor. */
void wmapd_find(void);

/* It goes: for another one, or killed, alone or with its keeper. */
void wmapd_replace(void);
void wmapd_kill(void);
void wmapd_kill_both(void);

/* It is killed; replaced; killed with its keeper: at some moment while others count
   their @rounds, which then have to go on. */
#define WMAPD_ENDS 3
void wmapd_end(int way, const atomic_uint *rounds, bool (*went_on)(void *),
	       uint64_t *random);

/* ---- fuse.c: file systems of our own, with one file each ----------------- */

#define FUSE_LENGTH  PAGES(64)
#define FUSE_HELD    'a' /* writes of it are held back */
#define FUSE_PLACE   "/mnt"
#define FUSE_UNHEARD 256

/* In memory that is shared with the process that serves it: who ends waits for his
   files. Above the line it is that one's, until it has nothing to do. */
struct fuse {
	int fd;
	char bytes[FUSE_LENGTH];
	struct fuse_write {
		uint64_t unique, offset;
		uint32_t size;
	} held[64]; /* writes that have not landed */
	atomic_uint n_held;
	atomic_uint n_unheard;
	/* ---- */
	atomic_bool let_go;    /* none is held any more */
	atomic_bool silent;    /* nothing is answered, then or later */
	_Atomic uint64_t deaf; /* 1 << FUSE_…: answered when this is 0 */
};

/* Have mounts of our own; false: we may not, or there is no FUSE. */
bool fuse_place(void);

/* Mount and serve one; its file. */
struct fuse *fuse_serve(unsigned number);
int fuse_open(unsigned number, int flags);

/* ---- array.c: a store that answers when the test says so ----------------- */

#define ARRAY_LENGTH PAGES(16)

/*
 * There is one. ThreadSanitizer does not see the order that a fault makes: all
 * that its functions read is set before mapping, or atomic, or under the lock.
 */
extern struct array {
	pthread_mutex_t lock;
	char bytes[ARRAY_LENGTH];	      /* [l] */
	struct wmap_io *held_reads[64];	      /* [l] begun, not yet answered */
	struct wmap_io *held_writes[64];      /* [l] */
	unsigned n_held_reads, n_held_writes; /* [l] */
	bool hold_reads, hold_writes;	      /* [l] */
	bool overtaken; /* [l] a write began over one that was held */
	atomic_uint reads, writes, flushes, closes; /* [a] orders nothing */
	_Atomic int64_t length;			    /* [a] what length() says */
	_Atomic int64_t short_by; /* [a] answer so much less */
} array;

/* Its functions; "array" is its name. */
extern const struct wmap_store_ops array_ops;

/* Map all of it, filled with pattern 3, its functions run by @threads. */
char *array_map(int flags, unsigned threads, unsigned deadline_ms);

/* Hold transfers back from now on, or no more. */
void array_hold(bool reads, bool writes);

/* Answer what is held back, on this thread; @wrong: with other bytes. */
void array_answer_reads(bool wrong);
void array_answer_writes(void);

/* For process_wait: are *(unsigned *)@arg reads held; is it closed? */
bool array_reads_are_held(void *arg);
bool array_is_closed(void *arg);

/* Has the store this value there? */
bool array_has(size_t offset, char value);

/* ---- stray.c: accesses that raise SIGSEGV, and what is said about them -- */

/* One instruction each, which no sanitizer looks at. */
void stray_read(const void *addr);
void stray_write(void *addr);
void stray_jump(void *addr);

/* Run @run in a child, as process_child does, with wmap_report_segv on; what
   the child writes to standard error goes to @said instead. The status. */
int stray_child(void (*run)(void *), void *arg, char *said, size_t size);

/* ---- random.c: numbers that a seed repeats ------------------------------ */

/* WMAP_SEED, else from the clock; printed. */
uint64_t random_seed(void);

uint64_t random_next(uint64_t *state);

/* From 0 to @n - 1. */
size_t random_below(uint64_t *state, size_t n);

/* ---- uring.c: one transfer through io_uring ----------------------------- */

/* Read, or write, @length bytes at the start of @fd: bytes, or a negative
   errno; -ENOSYS where there is no io_uring. */
int uring_read(int fd, void *to, unsigned length);
int uring_write(int fd, const void *from, unsigned length);

#endif
