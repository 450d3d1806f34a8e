/* SPDX-License-Identifier: MIT */
/*
 * One line to the program's log callback
 *
 * Without malloc and without streams, as the pager needs it: a line is put
 * together on the stack, cut off at LINE_SIZE.
 */
#include <stdarg.h>
#include <stdio.h>

#include "internal.h"

#define LINE_SIZE 512

/* [a] the callback is stored after its argument, release, and loaded before it,
   acquire. */
static void (*_Atomic callback)(void *arg, const char *line);
static void *_Atomic argument;

void wmap_log_set(void (*log)(void *arg, const char *line), void *arg)
{
	atomic_store_explicit(&argument, arg, memory_order_relaxed);
	atomic_store_explicit(&callback, log, memory_order_release);
}

void log_line(const char *format, ...)
{
	void (*log)(void *arg, const char *line) =
		atomic_load_explicit(&callback, memory_order_acquire);
	char line[LINE_SIZE];
	int saved = errno;
	va_list args;

	if (!log)
		return;
	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	log(atomic_load_explicit(&argument, memory_order_relaxed), line);
	errno = saved;
}
