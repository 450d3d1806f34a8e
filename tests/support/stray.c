/* SPDX-License-Identifier: MIT */
/* Accesses that raise SIGSEGV, and what is said about them. */
#include "support.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

void stray_read(const void *addr)
{
	__asm__ volatile("movb (%0), %%al" : : "r"(addr) : "rax", "memory");
}

void stray_write(void *addr)
{
	__asm__ volatile("movb $1, (%0)" : : "r"(addr) : "memory");
}

void stray_jump(void *addr)
{
	__asm__ volatile("call *%0" : : "r"(addr) : "memory");
}

struct reported {
	void (*run)(void *);
	void *arg;
	int to;
};

static void run_reported(void *arg)
{
	struct reported *reported = arg;

	dup2(reported->to, STDERR_FILENO);
	if (wmap_report_segv())
		_exit(99);
	reported->run(reported->arg);
}

int stray_child(void (*run)(void *), void *arg, char *said, size_t size)
{
	struct reported reported = { run, arg, memfd_create("said", 0) };
	ssize_t length;
	int status;

	ck_assert_int_ge(reported.to, 0);
	status = process_child(run_reported, &reported);
	length = pread(reported.to, said, size - 1, 0);
	ck_assert_int_ge(length, 0);
	said[length] = 0;
	close(reported.to);
	return status;
}
