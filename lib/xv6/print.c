/* SPDX-License-Identifier: MIT */
/*
 * printf, as xv6's knows it
 *
 *   x86      %d %x %p %s %c %%        %x and %p without 0x, in capitals
 *   RISC-V   %d %u %x, each also of l and ll, %s %c %%; %p is 0x and 16 digits
 *
 * What is no conversion is printed as it stands. A call's output goes out in one
 * write, or in pieces of the buffer's size; nothing is kept.
 */
#include <string.h>

#include "layer.h"

struct output {
	int fd;
	bool wide; /* RISC-V's */
	size_t n;
	char text[2048];
};

static void flush(struct output *out)
{
	size_t done = 0;
	int n;

	while (done < out->n) {
		n = call_write(out->fd, out->text + done, (int)(out->n - done));
		if (n <= 0)
			break;
		done += (size_t)n;
	}
	out->n = 0;
}

static void put(struct output *out, char c)
{
	if (out->n == sizeof(out->text))
		flush(out);
	out->text[out->n++] = c;
}

static void put_text(struct output *out, const char *text)
{
	for (text = text ? text : "(null)"; *text; text++)
		put(out, *text);
}

static void put_number(struct output *out, uint64_t value, unsigned base)
{
	char digits[24], *at = digits + sizeof(digits) - 1;

	*at = 0;
	do {
		*--at = "0123456789ABCDEF"[value % base];
		value /= base;
	} while (value);
	put_text(out, at);
}

static void put_signed(struct output *out, int64_t value)
{
	if (value < 0)
		put(out, '-');
	put_number(out, value < 0 ? -(uint64_t)value : (uint64_t)value, 10);
}

static void put_pointer(struct output *out, uint64_t value)
{
	put_text(out, "0x");
	for (int shift = 60; shift >= 0; shift -= 4)
		put(out, "0123456789ABCDEF"[value >> shift & 15]);
}

/* Past the l's; *@longs says whether there was one. */
static const char *skip_longs(const char *at, bool *longs)
{
	const char *start = at;

	while (*at == 'l' && at - start < 2)
		at++;
	*longs = at > start;
	return at;
}

static uint64_t next_number(va_list *args, bool longs, bool negative)
{
	if (longs)
		return va_arg(*args, uint64_t);
	if (negative)
		return (uint64_t)(int64_t)va_arg(*args, int);
	return va_arg(*args, uint);
}

static bool convert_number(struct output *out, char c, bool longs,
			   va_list *args)
{
	switch (c) {
	case 'd':
		put_signed(out, (int64_t)next_number(args, longs, true));
		return true;
	case 'u':
		if (!out->wide)
			return false;
		put_number(out, next_number(args, longs, false), 10);
		return true;
	case 'x':
		put_number(out, next_number(args, longs, false), 16);
		return true;
	case 'p':
		if (out->wide)
			put_pointer(out, va_arg(*args, uint64_t));
		else
			put_number(out, va_arg(*args, uint), 16);
		return true;
	default:
		return false;
	}
}

/* What @at, behind the %, stands for; the place of its last character. */
static const char *convert(struct output *out, const char *at, va_list *args)
{
	const char *start = at;
	bool longs = false;

	if (out->wide)
		at = skip_longs(at, &longs);
	if (convert_number(out, *at, longs, args))
		return at;
	switch (*start) {
	case 's':
		put_text(out, va_arg(*args, const char *));
		break;
	case 'c':
		put(out, (char)va_arg(*args, int));
		break;
	case '%':
		put(out, '%');
		break;
	default:
		put(out, '%');
		put(out, *start);
	}
	return start;
}

static void print(struct output *out, const char *format, va_list *args)
{
	for (; *format; format++) {
		if (*format != '%')
			put(out, *format);
		else if (format[1])
			format = convert(out, format + 1, args);
	}
	flush(out);
}

static long print_on_stack(long fd, long format, long args)
{
	struct output out = {
		.fd = (int)(fd & 0xffff),
		.wide = fd >> 16,
	};

	print(&out, (const char *)format, (va_list *)args);
	return 0;
}

#define API __attribute__((visibility("default")))

/* Called on the program's stack, where its arguments are. */
API int xv6_printf(int fd, const char *format, ...);
API int xv6_printf_wide(const char *format, ...);
API int xv6_fprintf_wide(int fd, const char *format, ...);

API int xv6_printf(int fd, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	layer_run(print_on_stack, fd & 0xffff, (long)format, (long)&args);
	va_end(args);
	return 0;
}

API int xv6_printf_wide(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	layer_run(print_on_stack, 1 | 1 << 16, (long)format, (long)&args);
	va_end(args);
	return 0;
}

API int xv6_fprintf_wide(int fd, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	layer_run(print_on_stack, (fd & 0xffff) | 1 << 16, (long)format,
		  (long)&args);
	va_end(args);
	return 0;
}
