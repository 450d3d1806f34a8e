/* SPDX-License-Identifier: MIT */
/*
 * The layer under the course's programs
 *
 *   program, compiled by xv6cc          names as in xv6's user.h
 *      │  open, printf, wmap …          renamed xv6_open … in its object files
 *      ▼
 *   entry.c      onto the layer's own stack
 *      ▼
 *   ulib.c, print.c, heap.c             xv6's user library
 *   files.c, directory.c, process.c     xv6's system calls, on Linux's
 *   maps.c  ──── rules.c                a term's rules over the native library
 *   frames.c ─── family.c               va2pa: real frames, renumbered
 *   pager.c                             one pager for a family of processes
 *   trap.c, show.c                      how it ends; --trace and --map
 *   start.c      puts the program together
 *
 * Addresses, ascending, as an xv6 program has them:
 *
 *   0x00400000  code, data          (address 0 stands for the first of it)
 *   0x1ff00000  stack, 1 MiB, of which 2 pages are there from the beginning
 *   0x20000000  heap, by sbrk
 *   0x60000000  the window of mappings
 *   0x80000000  one page that nothing can have
 *
 * All else, the layer, the libraries, the pager, lies above 4 GiB and is no part
 * of the program. Ordinary memory is there from the beginning, as xv6 loads and
 * grows programs at once; so n_upages is a sum, and a page that nobody has
 * written yet has one frame before and after a fork.
 *
 * The layer keeps its own stack, so that the program's holds what the program
 * put there: which of its pages are present depends on the program alone.
 *
 * Functions of system calls return 0 or more, or -1, as xv6's.
 */
#ifndef WMAP_XV6_LAYER_H
#define WMAP_XV6_LAYER_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

typedef unsigned int uint;

#define PAGE_BYTES 4096u

#define STACK_LOW   0x1ff00000u
#define STACK_HIGH  0x20000000u
#define STACK_PAGES 2u /* there from the beginning */
#define HEAP_LOW    0x20000000u
#define WINDOW_LOW  0x60000000u
#define WINDOW_HIGH 0x80000000u

/* Where xv6 has the physical memory of programs. */
#define PHYSICAL_LOW  0x100000u
#define PHYSICAL_HIGH 0xe000000u

/* ---- Rules (rules.c) ------------------------------------------------------ */

/* What the address of a mapping without MAP_FIXED is. */
enum place { PLACE_REQUIRED, PLACE_IGNORED, PLACE_HINT };

struct rules {
	const char *name;
	unsigned limit;	    /* mappings; 0: as many as fit */
	uint64_t low, high; /* where they may lie */
	unsigned legal;	    /* flags that have a meaning */
	bool strict;	    /* others are an error, else nothing */
	unsigned required;  /* of the legal ones */
	unsigned forbidden;
	bool one_kind; /* exactly one of PRIVATE and SHARED */
	enum place place;
	uint64_t failure;   /* what a failed map returns */
	bool whole_pages;   /* lengths are told rounded up */
	bool common_counts; /* loaded pages belong to the shared memory */
	uint64_t memory;    /* bytes for a program's ordinary memory … */
	bool bounded;	    /* … and as many for all that a family maps */
};

extern const struct rules *rules;

/* By xv6cc's number: 0 f24, 1 s24, 2 f23, 3 s26. NULL: no such. */
const struct rules *rules_of(unsigned term);

/* ---- The program (start.c) ------------------------------------------------ */

struct program {
	uint64_t image, image_end; /* pages of code and data */
	uint64_t code;		   /* its first page of code */
	uint64_t brk;		   /* the heap's end, in bytes */
	const char *name;
	bool forks; /* it has a call of fork */
};

extern struct program program;

/* The top of the layer's stack (entry.c). */
extern char *layer_stack;

/* Call fn(a, b, c) on the layer's stack. */
long layer_run(long (*fn)(long, long, long), long a, long b, long c);

/* Leave the stack for @stack, and go on there with fn; never returns. */
void layer_go(void *stack, void (*fn)(void)) __attribute__((noreturn));

/* One line on standard error, and each only once. */
void complain(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* ---- Descriptors (files.c) ------------------------------------------------ */

/*
 * The program's descriptors 0 to 15 are Linux's FD_BASE and up: the layer's and
 * the library's are out of its way, and the lowest free one is xv6's.
 */
#define NOFILE	   16
#define FD_BASE	   200
#define FD_CONSOLE 240 /* where the trap message goes */
#define FD_FAMILY  241
#define FD_TRACE   242
#define FD_LIFE	   243 /* as long as somebody has it the pager stays */

/* Linux's number of @fd; -1: it is not open. */
int files_real(int fd);

/* After exec the descriptors are there. */
int files_start(bool inherited);

/* What there is of a directory, up to @n bytes; -1: it is none (directory.c). */
int directory_read(int real, void *buffer, int n);

/* As Linux has to name it: in the file system whose root is $XV6_ROOT. */
bool files_path(const char *path, char *result, size_t size);

/* The program's memory, which may be anything: false is EFAULT. */
bool copy_in(void *to, const void *from, size_t size);
bool copy_out(void *to, const void *from, size_t size);

/* ---- The family (family.c) ------------------------------------------------ */

/*
 * What a process shares with all that descend from it, also over exec: the
 * numbers of frames, who lives, and when it began.
 */
int family_start(bool inherited);

/* When the first process began: CLOCK_MONOTONIC, in ns; and how long ago. */
uint64_t family_began(void);
uint64_t family_time(void);

/* A place for one more process, or -1: xv6 has 64. */
int family_enter(void);
void family_set(int place, pid_t pid);
void family_leave(pid_t pid);
bool family_has(pid_t pid);

/* xv6's physical page for a real frame; 0: there is none left. */
uint family_number(uint64_t frame);

/*
 * Have one pager for the family (pager.c): before the first mapping, or fork.
 * @alone: the first mapping is one that a pager in this process serves best.
 */
void pager_start(bool alone);

/* ---- Processes (process.c, trap.c) ---------------------------------------- */

/* Write back what is mapped, and end. Async-signal-safe. */
void leave(int status) __attribute__((noreturn));

int traps_start(void);

/* ---- Heap (heap.c) -------------------------------------------------------- */

uint64_t heap_pages(void);
char *heap_grow(int bytes);

/* ---- Showing (show.c) ----------------------------------------------------- */

void show_start(void);

/* --trace: one line with the time. */
extern bool show_tracing;
void show_trace(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* --map: the window as text. */
void show_map(const char *when);

/* ---- What the entries call ------------------------------------------------ */

int call_fork(void);
void call_exit(int status) __attribute__((noreturn));
void call_exit0(void) __attribute__((noreturn));
int call_wait(void);
int call_wait_status(int *status);
int call_kill(int pid);
int call_exec(const char *path, char **argv);
int call_getpid(void);
int call_sleep(int ticks);
int call_uptime(void);

int call_pipe(int *fds);
int call_read(int fd, void *buffer, int n);
int call_write(int fd, const void *buffer, int n);
int call_close(int fd);
int call_open(const char *path, int how);
int call_mknod(const char *path, short major, short minor);
int call_unlink(const char *path);
int call_link(const char *from, const char *to);
int call_mkdir(const char *path);
int call_chdir(const char *path);
int call_dup(int fd);
int call_fstat(int fd, void *st);
int call_stat(const char *path, void *st);
int call_fstat64(int fd, void *st);
int call_stat64(const char *path, void *st);

char *call_sbrk(int bytes);
void *call_malloc(uint size);
void call_free(void *memory);

char *call_strcpy(char *to, const char *from);
void *call_memmove(void *to, const void *from, int n);
char *call_strchr(const char *text, char c);
int call_strcmp(const char *a, const char *b);
uint call_strlen(const char *text);
void *call_memset(void *to, int c, uint n);
int call_atoi(const char *text);
int call_memcmp(const void *a, const void *b, uint n);
char *call_gets(char *buffer, int size);

uint call_wmap(uint addr, int length, int flags, int fd);
int call_wunmap(uint addr);
uint call_wremap(uint oldaddr, int oldsize, int newsize, int flags);
int call_getwmapinfo(void *info);
void *call_mmap(uint addr, uint length, int prot, int flags, int fd,
		uint offset);
int call_munmap(uint addr, uint length);
void *call_mmap64(uint64_t addr, uint64_t length, uint flags);
int call_munmap64(uint64_t addr);
int call_getmmapinfo(void *info);
uint call_va2pa(uint va);
int call_getpgdirinfo(void *info);

#endif
