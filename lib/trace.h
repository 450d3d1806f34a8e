/* SPDX-License-Identifier: MIT */
/*
 * Tracing: what the pager does, told as it happens
 *
 * For teaching (xv6run --trace). The hook is called by the pager, so it must not
 * touch mapped memory, nor wait for who does. It is set before the pager starts.
 */
#ifndef WMAP_TRACE_H
#define WMAP_TRACE_H

#include <stdarg.h>
#include <stdint.h>

enum trace_kind {
	TRACE_READ,   /* a page is missing: a load */
	TRACE_WRITE,  /* likewise: a store */
	TRACE_STORE,  /* a loaded page is stored to for the first time */
	TRACE_LOAD,   /* a mapping has a page now */
	TRACE_UNLOAD, /* and has it no more */
};

extern void (*trace_hook)(enum trace_kind kind, uint64_t address);

static inline void trace(enum trace_kind kind, uint64_t address)
{
	if (trace_hook)
		trace_hook(kind, address);
}

/*
 * Trace to @fd, with the time since @began (CLOCK_MONOTONIC, ns). If @began is
 * 0, as $WMAP_TRACE says: "FILE BEGAN"; without it there is no trace.
 */
void trace_to(int fd, uint64_t began);

/* One line by somebody else, in the same form. */
void trace_line(const char *who, const char *format, va_list args)
	__attribute__((format(printf, 2, 0)));

#endif
