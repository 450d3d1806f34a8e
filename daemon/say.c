/* SPDX-License-Identifier: MIT */
/* Messages */
#include <stdarg.h>
#include <string.h>

#include "daemon.h"

void say(const char *format, ...)
{
	va_list args;

	fputs("wmap: ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
}

void say_name(FILE *to, const char *name)
{
	const unsigned char *c = (const unsigned char *)name;

	for (; *c; c++) {
		if (*c < 0x20 || *c == 0x7f)
			fprintf(to, "\\x%02x", *c);
		else
			fputc(*c, to);
	}
}
