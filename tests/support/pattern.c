/* SPDX-License-Identifier: MIT */
/*
 * Bytes that know where they belong
 *
 * The byte at an offset follows from a seed and that offset, so that a page
 * which shows another page's bytes, or another file's, is found out.
 */
#include "support.h"

/* The finalizer of splitmix64: each bit of the input reaches each bit. */
static uint64_t mix(uint64_t x)
{
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
	return x ^ (x >> 31);
}

static uint64_t word(unsigned seed, uint64_t index)
{
	return mix(index + ((uint64_t)seed << 48) + 0x9e3779b97f4a7c15u);
}

uint8_t pattern_byte(unsigned seed, uint64_t offset)
{
	return (uint8_t)(word(seed, offset / 8) >> (offset % 8 * 8));
}

void pattern_fill(void *to, size_t length, unsigned seed, uint64_t offset)
{
	uint8_t *bytes = to;

	for (size_t i = 0; i < length; i++)
		bytes[i] = pattern_byte(seed, offset + i);
}

bool pattern_holds(const void *bytes, size_t length, unsigned seed,
		   uint64_t offset)
{
	const uint8_t *b = bytes;

	for (size_t i = 0; i < length; i++)
		if (b[i] != pattern_byte(seed, offset + i))
			return false;
	return true;
}

bool pattern_zeros(const void *bytes, size_t length)
{
	const uint8_t *b = bytes;

	for (size_t i = 0; i < length; i++)
		if (b[i])
			return false;
	return true;
}
