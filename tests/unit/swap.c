/* SPDX-License-Identifier: MIT */
/*
 * Swap: what is written is there again, in blocks that are used again, as it is
 * and compressed; and directories that will not do
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "loops.h"
#include "swap.h"

#define SPAN 16 /* pages of one transfer */

static struct loop *loop;
static struct swap *swap;
static struct wmap_store *store;
static char buffer[PAGES(SPAN)] __attribute__((aligned(4096)));

static const char *const ways[] = { "/var/tmp", "/var/tmp:lz4",
				    "/var/tmp:zstd" };

static void begin_test(void)
{
	loop = loop_open(0);
	swap = swap_create();
	ck_assert_ptr_nonnull(swap);
}

static void end_test(void)
{
	wmap_store_put(store);
	store = NULL;
	ck_assert_uint_eq(swap_buffers(swap), 0);
	swap_destroy(swap);
	loop_destroy(loop);
}

static void open_by(const char *way)
{
	ck_assert_int_eq(swap_set(swap, way), 0);
	ck_assert_int_eq(swap_store_create(swap, 0, false, &store), 0);
}

static int64_t transfer(struct wmap_store *of, enum io_operation operation,
			size_t first, size_t count)
{
	return transfer_with(loop, of, operation, buffer, PAGES(count),
			     PAGES(first));
}

/* Every third page does not become smaller, the others do, by seed. */
static void make_page(char *page, unsigned seed)
{
	memset(page, (int)seed, PAGE);
	pattern_fill(page, seed % 3 ? seed % 700 : PAGE, seed, 0);
}

static void put(struct wmap_store *to, size_t first, size_t count,
		unsigned seed)
{
	for (size_t i = 0; i < count; i++)
		make_page(buffer + PAGES(i), seed + (unsigned)i);
	ck_assert_int_eq(transfer(to, IO_WRITE, first, count), PAGES(count));
}

static bool has(struct wmap_store *in, size_t first, size_t count,
		unsigned seed)
{
	static char page[PAGE];

	memset(buffer, 0xaa, sizeof(buffer));
	if (transfer(in, IO_READ, first, count) != (int64_t)PAGES(count))
		return false;
	for (size_t i = 0; i < count; i++) {
		make_page(page, seed + (unsigned)i);
		if (memcmp(page, buffer + PAGES(i), PAGE) != 0)
			return false;
	}
	return true;
}

/* The swap file of this process: the one of /var/tmp without a name. */
static int64_t size_on_disk(void)
{
	char link[64], name[256];
	struct stat stat;

	for (int fd = 0; fd < 64; fd++) {
		ssize_t n;

		snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
		n = readlink(link, name, sizeof(name) - 1);
		if (n < 9 || memcmp(name, "/var/tmp/", 9) || fstat(fd, &stat))
			continue;
		return stat.st_size;
	}
	return -1;
}

START_TEST(what_was_written_is_read_again)
{
	open_by(ways[_i]);
	put(store, 100, SPAN, 1);
	put(store, 7, 1, 50);
	ck_assert(has(store, 100, SPAN, 1));
	ck_assert(has(store, 103, 5, 4));
	ck_assert(has(store, 7, 1, 50));
	ck_assert_uint_eq(swap_count(store), SPAN + 1);
	ck_assert(swap_has(store, 115));
	ck_assert(!swap_has(store, 116));
	ck_assert_int_eq(store_length(store), INT64_MAX);
}
END_TEST

START_TEST(what_never_was_is_zeros)
{
	open_by(ways[_i]);
	put(store, 2, 1, 1);
	memset(buffer, 1, sizeof(buffer));
	ck_assert_int_eq(transfer(store, IO_READ, 0, 4), PAGES(4));
	ck_assert(pattern_zeros(buffer, PAGES(2)));
	ck_assert(pattern_zeros(buffer + PAGES(3), PAGE));
	ck_assert(!pattern_zeros(buffer + PAGES(2), PAGE));
}
END_TEST

START_TEST(zeros_take_no_room)
{
	open_by(ways[_i]);
	put(store, 0, 8, 1);
	memset(buffer, 0, sizeof(buffer));
	make_page(buffer + PAGES(2), 33);
	ck_assert_int_eq(transfer(store, IO_WRITE, 0, 4), PAGES(4));
	ck_assert_uint_eq(swap_count(store), 5);
	ck_assert(has(store, 2, 1, 33));
	ck_assert(has(store, 4, 4, 5));
	ck_assert_int_eq(transfer(store, IO_READ, 0, 2), PAGES(2));
	ck_assert(pattern_zeros(buffer, PAGES(2)));
	ck_assert_int_eq(transfer(store, IO_WRITE, 4, 2), PAGES(2));
	ck_assert_uint_eq(swap_count(store), 3);
}
END_TEST

START_TEST(what_is_dropped_is_gone)
{
	open_by(ways[_i]);
	put(store, 0, SPAN, 1);
	swap_drop(store, 3, 4);
	swap_drop(store, 5, 900);
	ck_assert_uint_eq(swap_count(store), 4);
	ck_assert(has(store, 0, 3, 1));
	ck_assert(has(store, 4, 1, 5));
	ck_assert(!swap_has(store, 3));
	ck_assert(!swap_has(store, 5));
}
END_TEST

/* The second half lies elsewhere than the first, and one page again. */
START_TEST(one_read_gathers_what_was_written_apart)
{
	open_by(ways[_i]);
	put(store, 8, 8, 9);
	put(store, 0, 8, 1);
	put(store, 5, 1, 6);
	ck_assert(has(store, 0, SPAN, 1));
}
END_TEST

START_TEST(blocks_are_used_again)
{
	int64_t size;

	open_by(ways[_i]);
	for (unsigned i = 0; i < 8; i++)
		put(store, i * SPAN, SPAN, i);
	size = size_on_disk();
	ck_assert_int_gt(size, 0);
	ck_assert_int_le(size, PAGES(8 * SPAN));
	if (_i)
		ck_assert_int_lt(size, PAGES(8 * SPAN / 2));
	for (unsigned i = 0; i < 200; i++)
		put(store, i % 8 * SPAN, SPAN, i);
	/* a write takes its blocks before it lets go of the old ones */
	ck_assert_int_le(size_on_disk(), size + PAGES(2 * SPAN));
	for (unsigned i = 192; i < 200; i++)
		ck_assert(has(store, i % 8 * SPAN, SPAN, i));
}
END_TEST

START_TEST(random_pages_keep_their_bytes)
{
	static unsigned oracle[512];
	uint64_t random = random_seed();
	unsigned rounds = getenv("WMAP_VALGRIND") ? 600 : 3000;
	bool right = true;

	open_by(ways[_i]);
	for (unsigned i = 1; i < rounds; i++) {
		size_t count = 1 + random_below(&random, SPAN);
		size_t first = random_below(&random, COUNT(oracle) - count);

		if (i % 3) {
			put(store, first, count, i);
			for (size_t k = 0; k < count; k++)
				oracle[first + k] = i + (unsigned)k;
		} else if (i % 2) {
			swap_drop(store, first, first + count);
			memset(&oracle[first], 0, count * sizeof(*oracle));
		}
		first = random_below(&random, COUNT(oracle));
		right &= swap_has(store, first) == (oracle[first] != 0);
		if (oracle[first])
			right &= has(store, first, 1, oracle[first]);
	}
	ck_assert(right);
}
END_TEST

START_TEST(a_part_may_be_given_to_another)
{
	struct wmap_store *other;

	open_by(ways[_i]);
	ck_assert_int_eq(swap_store_create(swap, 0, false, &other), 0);
	put(store, 0, SPAN, 1);
	put(other, 0, 1, 70);
	ck_assert_int_eq(swap_split(store, other, 4, 12), 0);
	ck_assert_uint_eq(swap_count(store), 8);
	ck_assert_uint_eq(swap_count(other), 9);
	ck_assert(has(other, 4, 8, 5));
	ck_assert(has(other, 0, 1, 70));
	wmap_store_put(store);
	store = other;
	ck_assert(has(store, 4, 8, 5));
}
END_TEST

START_TEST(a_part_that_is_dropped_while_it_is_read_is_read_whole)
{
	struct counted counted = { .io = { .operation = IO_READ } };

	open_by(ways[_i]);
	put(store, 0, 1, 1);
	counted.io.pub.buffer = buffer;
	counted.io.pub.length = PAGE;
	counted_start(&counted, loop, store, 0);
	swap_drop(store, 0, 1);
	/* would lie where that page was */
	{
		static char others[PAGE] __attribute__((aligned(4096)));

		memset(others, 'x', PAGE);
		ck_assert_int_eq(transfer_with(loop, store, IO_WRITE, others,
					       PAGE, PAGES(9)),
				 PAGE);
	}
	turn_until(loop, &counted.releases, 1);
	ck_assert_int_eq(counted.result, PAGE);
	ck_assert_int_ne(buffer[PAGE - 1], 'x');
	ck_assert(has(store, 0, 1, 1) == false);
}
END_TEST

START_TEST(what_is_dropped_while_it_is_written_is_not_there)
{
	struct counted counted = { .io = { .operation = IO_WRITE } };

	open_by(ways[_i]);
	put(store, 2, 2, 60);
	for (unsigned i = 0; i < 8; i++)
		make_page(buffer + PAGES(i), i + 1);
	counted.io.pub.buffer = buffer;
	counted.io.pub.length = PAGES(8);
	counted_start(&counted, loop, store, 0);
	swap_drop(store, 3, 4);
	swap_drop(store, 5, 900);
	turn_until(loop, &counted.releases, 1);
	ck_assert_int_eq(counted.result, PAGES(8));
	ck_assert_uint_eq(swap_count(store), 4);
	ck_assert(!swap_has(store, 3));
	ck_assert(!swap_has(store, 5));
	ck_assert(has(store, 0, 3, 1));
	ck_assert(has(store, 4, 1, 5));
}
END_TEST

/* ---- A successor ------------------------------------------------------------ */

/* All descriptors of swap files, but for @file. */
static void close_others(int file)
{
	char link[64], name[256];

	for (int fd = 3; fd < 64; fd++) {
		ssize_t n;

		snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
		n = readlink(link, name, sizeof(name) - 1);
		if (fd != file && n >= 9 && !memcmp(name, "/var/tmp/", 9))
			close(fd);
	}
}

/* Another pager's, which has the descriptors that this one has kept; @dead: and
   nobody has the others any more. */
static void succeed(bool dead)
{
	int slots, file;

	ck_assert(swap_descriptors(swap, &slots, &file));
	if (dead)
		close_others(file);
	swap = swap_create();
	ck_assert_ptr_nonnull(swap);
	ck_assert_int_eq(swap_adopt(swap, slots, file), 0);
}

static void keep_by(const char *way)
{
	ck_assert_int_eq(swap_set(swap, way), 0);
	ck_assert_int_eq(swap_keep(swap), 0);
	ck_assert_int_eq(swap_store_create(swap, 7, false, &store), 0);
}

START_TEST(a_successor_has_what_was_written_last)
{
	struct wmap_store *of_other, *none;

	keep_by(ways[_i]);
	ck_assert_int_eq(swap_store_create(swap, 8, false, &of_other), 0);
	put(store, 100, SPAN, 1);
	put(of_other, 100, 4, 40);
	put(store, 103, 2, 80);
	swap_drop(store, 110, 112);
	succeed(true);
	ck_assert_int_eq(swap_store_adopt(swap, 7, &store), 0);
	ck_assert_int_eq(swap_store_adopt(swap, 8, &of_other), 0);
	ck_assert_int_eq(swap_store_adopt(swap, 9, &none), 0);
	swap_forget_found(swap);
	ck_assert_uint_eq(swap_count(none), 0);
	ck_assert_uint_eq(swap_count(store), SPAN - 2);
	ck_assert(!swap_has(store, 110));
	ck_assert(has(store, 100, 3, 1));
	ck_assert(has(store, 103, 2, 80));
	ck_assert(has(store, 105, 5, 6));
	ck_assert(has(of_other, 100, 4, 40));
	wmap_store_put(of_other);
	wmap_store_put(none);
}
END_TEST

/* What it writes goes where nothing is; and so again and again. */
START_TEST(a_successor_goes_on)
{
	unsigned oracle[4 * SPAN] = { 0 };
	uint64_t random = random_seed();

	keep_by(ways[_i]);
	for (unsigned i = 1; i < 300; i++) {
		size_t first = random_below(&random, 3 * SPAN);
		size_t count = 1 + random_below(&random, SPAN);

		put(store, first, count, i);
		for (size_t k = 0; k < count; k++)
			oracle[first + k] = i + (unsigned)k;
		if (i % 50)
			continue;
		succeed(i % 100);
		ck_assert_int_eq(swap_store_adopt(swap, 7, &store), 0);
	}
	for (size_t i = 0; i < COUNT(oracle); i++)
		ck_assert(oracle[i] ? has(store, i, 1, oracle[i]) :
				      !swap_has(store, i));
	ck_assert_int_le(size_on_disk(), (int64_t)PAGES(50 * SPAN));
}
END_TEST

/* An object's that is nobody's any more. */
START_TEST(what_is_not_asked_for_is_free)
{
	keep_by(ways[_i]);
	put(store, 0, SPAN, 1);
	succeed(true);
	swap_forget_found(swap);
	ck_assert_int_eq(swap_store_adopt(swap, 7, &store), 0);
	ck_assert_uint_eq(swap_count(store), 0);
	put(store, 50, SPAN, 9);
	ck_assert(has(store, 50, SPAN, 9));
	ck_assert_int_le(size_on_disk(), (int64_t)PAGES(SPAN));
}
END_TEST

/* Its writes may be on their way to where now nothing is. */
START_TEST(what_a_predecessor_may_write_to_is_left_alone)
{
	keep_by("/var/tmp");
	put(store, 0, SPAN, 1);
	swap_drop(store, 0, SPAN);
	succeed(false);
	ck_assert_int_eq(swap_store_adopt(swap, 7, &store), 0);
	put(store, 0, SPAN, 2);
	ck_assert_int_eq(size_on_disk(), (int64_t)PAGES(2 * SPAN));
	ck_assert(has(store, 0, SPAN, 2));
	/* and used again when that is over */
	succeed(true);
	ck_assert_int_eq(swap_store_adopt(swap, 7, &store), 0);
	put(store, SPAN, SPAN, 3);
	ck_assert_int_eq(size_on_disk(), (int64_t)PAGES(2 * SPAN));
	ck_assert(has(store, 0, SPAN, 2));
	ck_assert(has(store, SPAN, SPAN, 3));
}
END_TEST

START_TEST(what_is_no_swap_is_not_adopted)
{
	int slots, file, ends[2];

	ck_assert_int_eq(pipe(ends), 0);
	keep_by(ways[0]);
	put(store, 0, SPAN, 1);
	ck_assert(swap_descriptors(swap, &slots, &file));
	store = NULL;
	swap = swap_create();
	ck_assert_int_eq(swap_adopt(swap, ends[0], file), -EINVAL);
	ck_assert_int_eq(swap_adopt(swap, file, file), -EINVAL);
	ck_assert_int_eq(swap_adopt(swap, slots, ends[0]), -EINVAL);
	ck_assert_int_eq(pwrite(slots, "garbage", 8, 0), 8);
	ck_assert_int_eq(swap_adopt(swap, slots, file), -EINVAL);
	/* that of its own is none of these */
	open_by(ways[0]);
	put(store, 0, SPAN, 1);
	ck_assert(has(store, 0, SPAN, 1));
}
END_TEST

/* ---- Errors --------------------------------------------------------------- */

static long no_space(long number)
{
	return number == SYS_pwrite64 || number == SYS_pwritev2 ||
			       number == SYS_pwritev ?
		       -ENOSPC :
		       0;
}

START_TEST(a_full_disk_is_an_error_and_no_more)
{
	open_by(ways[_i]);
	put(store, 0, 4, 1);
	hook_set(no_space);
	ck_assert_int_eq(transfer(store, IO_WRITE, 2, 4), -ENOSPC);
	hook_set(NULL);
	ck_assert_uint_eq(swap_count(store), 4);
	ck_assert(has(store, 0, 4, 1));
	put(store, 2, 4, 20);
	ck_assert(has(store, 2, 4, 20));
	ck_assert(has(store, 0, 2, 1));
}
END_TEST

START_TEST(a_file_that_was_cut_is_an_error)
{
	open_by(ways[_i]);
	put(store, 0, SPAN, 1);
	file_cut_swap();
	ck_assert_int_eq(transfer(store, IO_READ, 0, SPAN), -EIO);
	/* what is written next makes it longer, and a hole */
	put(store, 50, 1, 90);
	ck_assert_int_eq(transfer(store, IO_READ, 0, SPAN), -EIO);
	ck_assert(has(store, 50, 1, 90));
}
END_TEST

static const struct {
	const char *where;
	int error;
} bad[] = {
	{ "", EINVAL },
	{ ":lz4", EINVAL },
	{ "/var/tmp:", EINVAL },
	{ "/var/tmp:gzip", EINVAL },
	{ "/var/tmp:LZ4", EINVAL },
	{ "/not/there", ENOENT },
	{ "/etc/passwd", ENOTDIR },
	{ "/proc", ENOENT },
	{ "/dev/shm", EOPNOTSUPP },
};

START_TEST(where_it_cannot_be_is_refused)
{
	ck_assert_int_eq(swap_set(swap, bad[_i].where), -bad[_i].error);
	setenv("WMAP_SWAP", bad[_i].where, 1);
	ck_assert_int_eq(swap_ready(swap), -bad[_i].error);
	ck_assert_int_eq(swap_set(swap, "/var/tmp"), 0);
	ck_assert_int_eq(swap_ready(swap), 0);
}
END_TEST

START_TEST(too_long_a_name_is_refused)
{
	static char name[8000];

	memset(name, 'x', sizeof(name) - 1);
	ck_assert_int_eq(swap_set(swap, name), -ENAMETOOLONG);
}
END_TEST

START_TEST(what_is_used_is_not_changed)
{
	open_by("/var/tmp");
	ck_assert_int_eq(swap_set(swap, "/var/tmp:lz4"), -EBUSY);
}
END_TEST

static bool refuses_tmpfile;

static long no_tmpfile(long number)
{
	if (number != SYS_openat || !refuses_tmpfile)
		return 0;
	refuses_tmpfile = false;
	return -EOPNOTSUPP;
}

START_TEST(a_directory_without_nameless_files_will_do)
{
	refuses_tmpfile = true;
	hook_set(no_tmpfile);
	open_by("/var/tmp");
	hook_set(NULL);
	put(store, 0, 4, 1);
	ck_assert(has(store, 0, 4, 1));
}
END_TEST

int main(void)
{
	TCase *facts = facts_case("swap", 30);
	int n = COUNT(ways);

	hook_install();
	tcase_add_checked_fixture(facts, begin_test, end_test);
	tcase_add_loop_test(facts, what_was_written_is_read_again, 0, n);
	tcase_add_loop_test(facts, a_successor_has_what_was_written_last, 0, n);
	tcase_add_loop_test(facts, a_successor_goes_on, 0, n);
	tcase_add_loop_test(facts, what_is_not_asked_for_is_free, 0, n);
	tcase_add_test(facts, what_a_predecessor_may_write_to_is_left_alone);
	tcase_add_test(facts, what_is_no_swap_is_not_adopted);
	tcase_add_loop_test(facts, what_never_was_is_zeros, 0, n);
	tcase_add_loop_test(facts, zeros_take_no_room, 0, n);
	tcase_add_loop_test(facts, what_is_dropped_is_gone, 0, n);
	tcase_add_loop_test(facts, one_read_gathers_what_was_written_apart, 0,
			    n);
	tcase_add_loop_test(facts, blocks_are_used_again, 0, n);
	tcase_add_loop_test(facts, random_pages_keep_their_bytes, 0, n);
	tcase_add_loop_test(facts, a_part_may_be_given_to_another, 0, n);
	tcase_add_loop_test(
		facts, a_part_that_is_dropped_while_it_is_read_is_read_whole, 0,
		n);
	tcase_add_loop_test(
		facts, what_is_dropped_while_it_is_written_is_not_there, 0, n);
	tcase_add_loop_test(facts, a_full_disk_is_an_error_and_no_more, 0, n);
	tcase_add_loop_test(facts, a_file_that_was_cut_is_an_error, 0, n);
	tcase_add_loop_test(facts, where_it_cannot_be_is_refused, 0,
			    COUNT(bad));
	tcase_add_test(facts, too_long_a_name_is_refused);
	tcase_add_test(facts, what_is_used_is_not_changed);
	tcase_add_test(facts, a_directory_without_nameless_files_will_do);
	return facts_run_anywhere(facts);
}
