/* SPDX-License-Identifier: MIT */
/* xv6's user library: strings and memory. Sizes are 32 bits wide. */
#include <string.h>

#include "layer.h"

char *call_strcpy(char *to, const char *from)
{
	return strcpy(to, from);
}

void *call_memmove(void *to, const void *from, int n)
{
	return n > 0 ? memmove(to, from, (size_t)n) : to;
}

char *call_strchr(const char *text, char c)
{
	return c ? strchr(text, c) : NULL;
}

int call_strcmp(const char *a, const char *b)
{
	while (*a && *a == *b) {
		a++;
		b++;
	}
	return (unsigned char)*a - (unsigned char)*b;
}

uint call_strlen(const char *text)
{
	return (uint)strlen(text);
}

void *call_memset(void *to, int c, uint n)
{
	return memset(to, c, n);
}

int call_memcmp(const void *a, const void *b, uint n)
{
	const unsigned char *x = a, *y = b;

	for (uint i = 0; i < n; i++)
		if (x[i] != y[i])
			return x[i] - y[i];
	return 0;
}

/* Digits only: xv6's knows no sign. */
int call_atoi(const char *text)
{
	uint n = 0;

	while (*text >= '0' && *text <= '9')
		n = n * 10 + (uint)(*text++ - '0');
	return (int)n;
}

/* A line with its end, as far as there is room. */
char *call_gets(char *buffer, int size)
{
	int n = 0;
	char c;

	while (n + 1 < size && call_read(0, &c, 1) == 1) {
		buffer[n++] = c;
		if (c == '\n' || c == '\r')
			break;
	}
	buffer[n] = 0;
	return buffer;
}
