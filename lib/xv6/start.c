/* SPDX-License-Identifier: MIT */
/*
 * Start: from Linux's main to the program's, on a stack at a low address
 *
 * The kernel has put code and data below 0x80000000 because the program is
 * linked so, and nothing else there. Its own heap (brk) would lie there too, up
 * to 1 GiB higher, as chance has it: the C library must not use it.
 */
#include <errno.h>
#include <link.h>
#include <malloc.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "internal.h"
#include "layer.h"

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ  22
#define MADV_POPULATE_WRITE 23
#endif

#define LAYER_STACK (512u << 10)
#define ARGUMENTS   64 /* xv6 has 32 */

struct program program;

static struct {
	void (*main)(int argc, char **argv);
	int argc;
	char **argv;
} started;

void complain(const char *format, ...)
{
	static const char *said[8];
	va_list args;

	for (size_t i = 0; i < lengthof(said); i++) {
		if (said[i] == format)
			return;
		if (!said[i]) {
			said[i] = format;
			break;
		}
	}
	va_start(args, format);
	vdprintf(STDERR_FILENO, format, args);
	va_end(args);
}

/* ---- The program's pages ---------------------------------------------------*/

static int note_segment(const ElfW(Phdr) * header)
{
	uint64_t start = page_down(header->p_vaddr);
	uint64_t end = page_up(header->p_vaddr + header->p_memsz);
	bool writable = header->p_flags & PF_W;

	if (header->p_type != PT_LOAD)
		return 0;
	if (!program.image_end || start < program.image)
		program.image = start;
	if (header->p_flags & PF_X && !program.code)
		program.code = start;
	program.image_end = max_u64(program.image_end, end);
	return madvise((void *)start, end - start,
		       writable ? MADV_POPULATE_WRITE : MADV_POPULATE_READ);
}

/* The first object is the program. */
static int note_image(struct dl_phdr_info *info, size_t size, void *failed)
{
	(void)size;
	for (int i = 0; i < info->dlpi_phnum; i++)
		if (note_segment(&info->dlpi_phdr[i]))
			*(bool *)failed = true;
	return 1;
}

static bool image_start(void)
{
	bool failed = false;

	dl_iterate_phdr(note_image, &failed);
	return !failed;
}

static bool map_at(uint64_t start, uint64_t end, int prot)
{
	int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE |
		    MAP_FIXED_NOREPLACE;

	return mmap((void *)start, end - start, prot, flags, -1, 0) !=
	       MAP_FAILED;
}

static bool addresses_start(void)
{
	uint64_t there = STACK_HIGH - STACK_PAGES * PAGE_BYTES;

	program.brk = HEAP_LOW;
	return image_start() &&
	       map_at(STACK_LOW, STACK_HIGH, PROT_READ | PROT_WRITE) &&
	       map_at(WINDOW_HIGH, WINDOW_HIGH + PAGE_BYTES, PROT_NONE) &&
	       !madvise((void *)there, STACK_HIGH - there, MADV_POPULATE_WRITE);
}

static bool stack_start(void)
{
	char *stack = mmap(NULL, LAYER_STACK, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	layer_stack = stack + LAYER_STACK;
	return stack != MAP_FAILED;
}

/* The pager's budget is what the term's machine has, which knows no swap; or there
   is none. */
static bool memory_start(void)
{
	char bytes[24];

	if (!rules->bounded)
		return !unsetenv("WMAP_MEMORY");
	snprintf(bytes, sizeof(bytes), "%lu", (unsigned long)rules->memory);
	return !setenv("WMAP_MEMORY", bytes, 1) && !setenv("WMAP_SWAP", "", 1);
}

/* ---- The program's stack -----------------------------------------------------*/

/* Arguments lie on top, as after xv6's exec. */
static char *push_arguments(int argc, char **argv)
{
	char *top = (char *)(uintptr_t)STACK_HIGH;
	char *copies[ARGUMENTS + 1] = { NULL };
	size_t size;

	for (int i = 0; i < argc; i++) {
		size = strlen(argv[i]) + 1;
		top -= size;
		copies[i] = memcpy(top, argv[i], size);
	}
	size = ((size_t)argc + 1) * sizeof(char *);
	top = (char *)(((uintptr_t)top - size) & ~(uintptr_t)15);
	started.argc = argc;
	started.argv = memcpy(top, copies, size);
	return top;
}

static size_t bytes_of(int argc, char **argv)
{
	size_t bytes = 0;

	for (int i = 0; i < argc; i++)
		bytes += strlen(argv[i]) + 1 + sizeof(char *);
	return bytes;
}

static long end(long status, long unused, long unused_too)
{
	(void)unused;
	(void)unused_too;
	call_exit((int)status);
}

/* Falling off main's end is as good as exit. */
static void run_main(void)
{
	started.main(started.argc, started.argv);
	layer_run(end, 0, 0, 0);
}

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static int fail(const char *what)
{
	complain("xv6: %s: %s\n", what, strerror(errno));
	return 126;
}

int xv6_start(int argc, char **argv, unsigned term, int forks,
	      void (*program_main)(int argc, char **argv));

/* Called by crt.c; returns only where the program cannot be run. */
__attribute__((visibility("default"))) int
xv6_start(int argc, char **argv, unsigned term, int forks,
	  void (*program_main)(int argc, char **argv))
{
	bool inherited = getenv("XV6_EXEC") != NULL;

	mallopt(M_MMAP_THRESHOLD, 0);
	rules = rules_of(term);
	errno = E2BIG;
	if (argc > ARGUMENTS || bytes_of(argc, argv) > PAGE_BYTES)
		return fail("its arguments are too long");
	prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0); /* frames would be exchanged */
	program.name = base_name(argc ? argv[0] : "?");
	if (!rules || !stack_start() || !addresses_start())
		return fail("its addresses below 0x80000000 cannot be had");
	if (!memory_start())
		return fail("no environment for the program");
	if (files_start(inherited) || family_start(inherited))
		return fail("no descriptors for the program");
	if (traps_start())
		return fail("no signals for the program");
	show_start();
	program.forks = forks;
	started.main = program_main;
	layer_go(push_arguments(argc, argv), run_main);
}
