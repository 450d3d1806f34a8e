/* SPDX-License-Identifier: MIT */
/*
 * Stores that are told from each other: one byte of each page that holds a pattern
 * is turned over
 */
#include "support.h"

#include <unistd.h>

#define MASK 0x55

void marks_store(char *at, size_t first, size_t end)
{
	for (size_t i = first; i < end; i++)
		at[PAGES(i) + MARK_AT] ^= MASK;
}

bool marks_are_in(int fd, unsigned seed, size_t first, size_t end)
{
	char page[PAGE];

	for (size_t i = first; i < end; i++) {
		ck_assert_int_eq(pread(fd, page, PAGE, (off_t)PAGES(i)), PAGE);
		page[MARK_AT] ^= MASK;
		if (!pattern_holds(page, PAGE, seed, PAGES(i)))
			return false;
	}
	return true;
}
