/* SPDX-License-Identifier: MIT */
/* Tracing: the hook, and lines with their time (trace.h) */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

#include "internal.h"
#include "loop.h"
#include "sys.h"
#include "trace.h"

void (*trace_hook)(enum trace_kind kind, uint64_t address) = NULL;

static int trace_fd = -1; /* [c] while the pager runs; began too */
static uint64_t trace_began;

void trace_line(const char *who, const char *format, va_list args)
{
	uint64_t time = (time_now() - trace_began) / 1000;
	char line[256];
	int n = snprintf(line, sizeof(line), "[%4u.%06u %s] ",
			 (unsigned)(time / 1000000), (unsigned)(time % 1000000),
			 who);

	n += vsnprintf(line + n, sizeof(line) - (size_t)n - 1, format, args);
	n = n < (int)sizeof(line) - 2 ? n : (int)sizeof(line) - 2;
	line[n++] = '\n';
	sys_call(SYS_write, trace_fd, line, n);
}

__attribute__((format(printf, 1, 2))) static void pager_line(const char *format,
							     ...)
{
	va_list args;

	va_start(args, format);
	trace_line("pager", format, args);
	va_end(args);
}

static void tell(enum trace_kind kind, uint64_t address)
{
	static const char *const names[] = {
		[TRACE_READ] = "fault: read of",
		[TRACE_WRITE] = "fault: write to",
		[TRACE_STORE] = "fault: first store to",
		[TRACE_LOAD] = "loaded:",
		[TRACE_UNLOAD] = "unloaded:",
	};

	pager_line("%s 0x%lx", names[kind], (unsigned long)address);
}

void trace_to(int fd, uint64_t began)
{
	const char *wish = getenv("WMAP_TRACE");
	char path[64];
	unsigned long since;

	if (!began && wish && sscanf(wish, "%63s %lu", path, &since) == 2) {
		fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
		began = since;
	}
	if (!began || fd < 0)
		return;
	trace_fd = fd;
	trace_began = began;
	trace_hook = tell;
}
