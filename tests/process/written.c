/* SPDX-License-Identifier: MIT */
/*
 * write(2) to a file that is mapped under wmapd: memory shows it, and what is
 * stored then is stored to that
 *
 * The file is on a disk, or in a file system of our own (FUSE), which wmapd does not
 * wait for; where there is none the latter is not tried.
 */
#include "support.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "client.h"

#define LENGTH FUSE_LENGTH

static int open_in_fuse(void)
{
	if (!fuse_place()) {
		puts("no file system of our own: nothing is tried");
		exit(0);
	}
	fuse_serve(0);
	return fuse_open(0, O_RDWR);
}

/* Of zeros, and served by wmapd. */
static int open_file(int in_fuse)
{
	int fd = in_fuse ? open_in_fuse() : file_sparse(LENGTH);

	wmapd_start();
	return fd;
}

static void write_some(int fd, const char *bytes, size_t n, size_t offset)
{
	void *before = wmap_file_before_write(fd);

	ck_assert_int_eq(pwrite(fd, bytes, n, (off_t)offset), (ssize_t)n);
	wmap_file_after_write(fd, before, offset, n);
}

/* In memory are a few of the pages that are written. */
START_TEST(all_of_it_is_shown)
{
	static char bytes[LENGTH];
	int fd = open_file(_i);
	char *at = memory_map(PAGES(16), READ_WRITE, WMAP_SHARED, fd, PAGES(8));

	memory_load(at, 16);
	pattern_fill(bytes, LENGTH, 5, 0);
	write_some(fd, bytes, LENGTH, 0);
	ck_assert(pattern_holds(at, PAGES(16), 5, PAGES(8)));
}
END_TEST

#define FEW ((size_t)9) /* stored to, two more are presumed (lib/presume.c) */

/* What is stored is what was there before. */
START_TEST(a_store_to_what_was_written_is_seen)
{
	int fd = open_file(_i);
	char *at = memory_map(LENGTH, READ_WRITE, WMAP_SHARED, fd, 0);
	uint64_t before;

	memory_load(at, FEW + 2);
	memory_store(at, FEW, 's');
	write_some(fd, "w", 1, PAGES(FEW));
	ck_assert_int_eq(at[PAGES(FEW)], 'w');
	at[PAGES(FEW)] = 0;
	before = memory_stats().faults;
	at[PAGES(FEW + 1)] = 's'; /* is presumed, as that was */
	ck_assert_uint_eq(memory_stats().faults, before);
	ck_assert_int_eq(wmap_sync(at, LENGTH, WMAP_SYNC_WAIT), 0);
	ck_assert(file_has(fd, PAGES(FEW), "", 1));
	ck_assert(file_has(fd, PAGES(FEW + 1), "s", 1));
}
END_TEST

int main(void)
{
	TCase *facts = facts_case("written", 60);

	tcase_add_loop_test(facts, all_of_it_is_shown, 0, 2);
	tcase_add_loop_test(facts, a_store_to_what_was_written_is_seen, 0, 2);
	return facts_run(facts);
}
