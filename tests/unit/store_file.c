/* SPDX-License-Identifier: MIT */
/*
 * The file store: tails, ends, O_DIRECT, and descriptors of its own
 *
 * Each way: without and with io_uring, and both with what the page cache has
 * brought at once or, as if it had nothing, by a transfer.
 */
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "loops.h"

#define LENGTH ((size_t)10000) /* two pages and a tail */

static struct loop *loop;
static struct wmap_store *store;
static char *buffer; /* page-aligned */

static long nothing_cached(long number)
{
	return number == SYS_preadv2 ? -EAGAIN : 0;
}

static void begin_test(void)
{
	buffer = mem_alloc(PAGES(8));
	ck_assert_ptr_nonnull(buffer);
	loop = NULL;
	store = NULL;
}

static void end_test(void)
{
	hook_set(NULL);
	wmap_store_put(store);
	if (loop)
		loop_destroy(loop);
	mem_free(buffer, PAGES(8));
}

/* 0, 1: without io_uring; 2, 3: with it; odd: nothing cached. */
static void open_way(int way, int fd, int flags)
{
	loop = loop_open(way / 2);
	if (way % 2)
		hook_set(nothing_cached);
	store = wmap_store_file(fd, flags);
}

static int64_t transfer(enum io_operation operation, size_t length,
			uint64_t offset)
{
	return transfer_with(loop, store, operation, buffer, length, offset);
}

/* Reads of every shape: whole, at the tail, at the end and beyond. */
static void check_reads(unsigned seed)
{
	ck_assert_int_eq(transfer(IO_READ, PAGE, 0), PAGE);
	ck_assert(pattern_holds(buffer, PAGE, seed, 0));
	ck_assert_int_eq(transfer(IO_READ, PAGES(4), 0), LENGTH);
	ck_assert(pattern_holds(buffer, LENGTH, seed, 0));
	ck_assert_int_eq(transfer(IO_READ, PAGE, PAGES(2)), LENGTH - PAGES(2));
	ck_assert(pattern_holds(buffer, LENGTH - PAGES(2), seed, PAGES(2)));
	ck_assert_int_eq(transfer(IO_READ, PAGE, PAGES(3)), 0);
	ck_assert_int_eq(transfer(IO_READ, PAGE, GIB), 0);
}

START_TEST(a_read_brings_the_file_up_to_its_end)
{
	int fd = file_with(1, LENGTH);

	open_way(_i, fd, 0);
	check_reads(1);
	close(fd);
}
END_TEST

static void check_write(int fd, size_t length, uint64_t offset)
{
	pattern_fill(buffer, length, 2, offset);
	ck_assert_int_eq(transfer(IO_WRITE, length, offset), (int64_t)length);
	ck_assert(file_holds(fd, 2, offset, length));
}

/* The tail first: what a later write does beyond its end would show. */
static void check_writes(int fd)
{
	check_write(fd, 1, PAGES(2));
	ck_assert_uint_eq(file_length(fd), PAGES(2) + 1);
	check_write(fd, LENGTH - PAGES(2), PAGES(2));
	check_write(fd, PAGE, PAGE);
	check_write(fd, PAGES(2), 0);
	ck_assert_uint_eq(file_length(fd), LENGTH);
	check_write(fd, LENGTH, 0);
	ck_assert_uint_eq(file_length(fd), LENGTH);
	ck_assert_int_eq(transfer(IO_FLUSH, 0, 0), 0);
	ck_assert(file_holds(fd, 2, 0, LENGTH));
}

START_TEST(a_write_changes_these_bytes_and_no_others)
{
	int fd = file_empty();

	open_way(_i, fd, 0);
	check_writes(fd);
	close(fd);
}
END_TEST

/* ---- O_DIRECT ------------------------------------------------------------ */

/* False, and said: this file system has none. */
static bool open_direct(int way, int fd)
{
	open_way(way, fd, WMAP_FILE_DIRECT);
	if (!store && errno == EINVAL)
		fprintf(stderr, "skipped: no O_DIRECT here\n");
	else
		ck_assert_ptr_nonnull(store);
	return store != NULL;
}

START_TEST(a_direct_read_brings_the_file_up_to_its_end)
{
	int fd = file_with(3, LENGTH);

	if (open_direct(_i, fd))
		check_reads(3);
	close(fd);
}
END_TEST

START_TEST(a_direct_write_may_have_a_tail)
{
	int fd = file_empty();

	if (open_direct(_i, fd))
		check_writes(fd);
	close(fd);
}
END_TEST

/* How many pages of the file are in the page cache. */
static unsigned cached(int fd, unsigned pages)
{
	unsigned char in[16];
	void *map = mmap(NULL, PAGES(pages), PROT_READ, MAP_SHARED, fd, 0);
	unsigned n = 0;

	ck_assert_ptr_ne(map, MAP_FAILED);
	ck_assert_int_eq(mincore(map, PAGES(pages), in), 0);
	for (unsigned i = 0; i < pages; i++)
		n += in[i] & 1;
	munmap(map, PAGES(pages));
	return n;
}

START_TEST(whole_blocks_go_around_the_page_cache)
{
	int fd = file_empty();

	if (open_direct(_i, fd)) {
		pattern_fill(buffer, LENGTH, 4, 0);
		ck_assert_int_eq(transfer(IO_WRITE, LENGTH, 0), LENGTH);
		ck_assert_uint_eq(cached(fd, 3), 1);
	}
	close(fd);
}
END_TEST

static unsigned refused;

/* As a device with larger blocks would; without io_uring it is sys_call's. */
static long refuse_once(long number)
{
	bool first = (number == SYS_pread64 || number == SYS_pwrite64) &&
		     !refused++;

	return first ? -EINVAL : 0;
}

START_TEST(what_o_direct_refuses_goes_through_the_page_cache)
{
	int fd = file_with(5, LENGTH);

	if (open_direct(0, fd)) {
		hook_set(refuse_once);
		refused = 0;
		ck_assert_int_eq(transfer(IO_READ, PAGES(4), 0), LENGTH);
		ck_assert(pattern_holds(buffer, LENGTH, 5, 0));
		refused = 0;
		ck_assert_int_eq(transfer(IO_WRITE, PAGES(2), 0), PAGES(2));
		ck_assert_uint_ge(refused, 2);
	}
	close(fd);
}
END_TEST

static unsigned opened;

static long no_direct(long number)
{
	return number == SYS_openat && ++opened == 2 ? -EINVAL : 0;
}

START_TEST(without_o_direct_it_is_einval_and_nothing_is_left)
{
	int fd = file_with(6, LENGTH);
	unsigned descriptors = process_descriptors(0);
	size_t used = mem_used();

	opened = 0;
	hook_set(no_direct);
	ck_assert_ptr_null(wmap_store_file(fd, WMAP_FILE_DIRECT));
	ck_assert_int_eq(errno, EINVAL);
	ck_assert_uint_eq(process_descriptors(0), descriptors);
	ck_assert_uint_eq(mem_used(), used);
	close(fd);
}
END_TEST

/* ---- Errors -------------------------------------------------------------- */

static unsigned interruptions;

static long interrupt(long number)
{
	bool transfer = number == SYS_pread64 || number == SYS_pwrite64 ||
			number == SYS_fdatasync;

	if (number == SYS_preadv2)
		return -EAGAIN;
	if (!transfer || !interruptions)
		return 0;
	return interruptions-- % 2 ? -EINTR : -EAGAIN;
}

START_TEST(an_interrupted_transfer_goes_on)
{
	static const enum io_operation operations[] = { IO_READ, IO_WRITE,
							IO_FLUSH };
	int fd = file_with(7, LENGTH);
	size_t length = operations[_i] == IO_FLUSH ? 0 : PAGE;

	open_way(0, fd, 0);
	hook_set(interrupt);
	interruptions = 5;
	ck_assert_int_eq(transfer(operations[_i], length, 0), (int64_t)length);
	ck_assert_uint_eq(interruptions, 0);
	close(fd);
}
END_TEST

static long fail_all(long number)
{
	if (number == SYS_preadv2 || number == SYS_pread64)
		return -EIO;
	if (number == SYS_pwrite64)
		return -ENOSPC;
	return number == SYS_fdatasync ? -EDQUOT : 0;
}

START_TEST(an_error_is_the_answer)
{
	int fd = file_with(8, LENGTH);

	open_way(0, fd, 0);
	hook_set(fail_all);
	ck_assert_int_eq(transfer(IO_READ, PAGE, 0), -EIO);
	ck_assert_int_eq(transfer(IO_WRITE, PAGE, 0), -ENOSPC);
	ck_assert_int_eq(transfer(IO_FLUSH, 0, 0), -EDQUOT);
	close(fd);
}
END_TEST

START_TEST(a_file_open_for_reading_is_not_written)
{
	int fd = file_with(9, LENGTH);
	int reader = file_reopen(fd, O_RDONLY);

	open_way(_i, reader, 0);
	ck_assert(!store->writable);
	ck_assert_int_eq(transfer(IO_WRITE, PAGE, 0), -EROFS);
	ck_assert(file_holds(fd, 9, 0, LENGTH));
	close(reader);
	close(fd);
}
END_TEST

static int closed_fd(void)
{
	int fd = file_empty();

	close(fd);
	return fd;
}

static int path_fd(void)
{
	return file_reopen(file_empty(), O_PATH);
}

static int writer_fd(void)
{
	return file_reopen(file_empty(), O_WRONLY);
}

static int directory_fd(void)
{
	return open("/", O_RDONLY | O_DIRECTORY);
}

static int pipe_fd(void)
{
	int pipes[2];

	ck_assert_int_eq(pipe(pipes), 0);
	return pipes[0];
}

static int socket_fd(void)
{
	return socket(AF_UNIX, SOCK_STREAM, 0);
}

static int device_fd(void)
{
	return open("/dev/zero", O_RDWR);
}

static const struct {
	int (*open)(void);
	int error;
} bad[] = {
	{ closed_fd, EBADF },	  { path_fd, EBADF },  { writer_fd, EACCES },
	{ directory_fd, ENODEV }, { pipe_fd, ENODEV }, { socket_fd, ENODEV },
	{ device_fd, ENODEV },
};

START_TEST(what_is_no_readable_file_is_refused)
{
	int fd = bad[_i].open();
	unsigned descriptors = process_descriptors(0);

	ck_assert_ptr_null(wmap_store_file(fd, 0));
	ck_assert_int_eq(errno, bad[_i].error);
	ck_assert_uint_eq(process_descriptors(0), descriptors);
}
END_TEST

START_TEST(an_unknown_flag_is_refused)
{
	ck_assert_ptr_null(wmap_store_file(file_empty(), 0x80));
	ck_assert_int_eq(errno, EINVAL);
}
END_TEST

static unsigned calls, failing_call;

static long fail_nth(long number)
{
	if (number == SYS_close) /* the kernel closes, whatever it says */
		return 0;
	return ++calls == failing_call ? -ENFILE : 0;
}

/* One after the other, until so many calls are not made. */
START_TEST(whichever_call_fails_nothing_is_left)
{
	int fd = file_with(10, LENGTH);
	unsigned descriptors = process_descriptors(0);
	size_t used = mem_used();

	hook_set(fail_nth);
	for (failing_call = 1; failing_call < 100; failing_call++) {
		calls = 0;
		wmap_store_put(wmap_store_file(fd, WMAP_FILE_DIRECT));
		if (calls < failing_call)
			break;
	}
	ck_assert_uint_lt(failing_call, 100);
	ck_assert_uint_gt(failing_call, 5);
	ck_assert_uint_eq(process_descriptors(0), descriptors);
	ck_assert_uint_eq(mem_used(), used);
	close(fd);
}
END_TEST

/* ---- Its own descriptor -------------------------------------------------- */

START_TEST(the_callers_descriptor_is_left_alone)
{
	int fd = file_with(11, LENGTH);
	int appending = file_reopen(fd, O_RDWR | O_APPEND);

	open_way(_i, appending, 0);
	ck_assert_int_eq(lseek(appending, 77, SEEK_SET), 77);
	check_reads(11);
	check_write(fd, PAGE, 0);
	ck_assert_uint_eq(file_length(fd), LENGTH);
	ck_assert_int_eq(lseek(appending, 0, SEEK_CUR), 77);
	close(appending);
	check_write(fd, PAGE, PAGE);
	close(fd);
}
END_TEST

static long no_proc(long number)
{
	return number == SYS_openat ? -ENOENT : 0;
}

static const struct {
	int flags, error;
} without_proc[] = {
	{ O_RDWR, 0 },
	{ O_RDONLY, 0 },
	{ O_RDONLY | O_APPEND, 0 },
	{ O_RDWR | O_APPEND, EACCES },
	{ O_RDWR | O_DIRECT, EACCES },
};

START_TEST(without_proc_a_duplicate_does_where_it_can)
{
	int fd = file_with(12, LENGTH);
	int given = file_reopen(fd, without_proc[_i].flags);

	loop = loop_open(0);
	hook_set(no_proc);
	store = wmap_store_file(given, 0);
	ck_assert_int_eq(store ? 0 : errno, without_proc[_i].error);
	close(given);
	if (store)
		check_reads(12);
	close(fd);
}
END_TEST

START_TEST(its_length_is_that_of_the_file_now)
{
	int fd = file_with(13, LENGTH);

	open_way(0, fd, 0);
	ck_assert_int_eq(store_length(store), LENGTH);
	ck_assert_int_eq(ftruncate(fd, 5), 0);
	ck_assert_int_eq(store_length(store), 5);
	close(fd);
}
END_TEST

START_TEST(its_name_is_its_path)
{
	int fd = open("/proc/self/exe", O_RDONLY);
	char path[4096] = { 0 };

	ck_assert_int_gt(readlink("/proc/self/exe", path, sizeof(path) - 1), 0);
	store = wmap_store_file(fd, 0);
	ck_assert_ptr_nonnull(store);
	ck_assert_uint_gt(strlen(store->name), 0);
	ck_assert_str_eq(store->name,
			 path + strlen(path) - strlen(store->name));
	close(fd);
}
END_TEST

int main(void)
{
	TCase *facts = facts_case("store_file", 60);
	int ways = 2 * loop_kinds();

	hook_install();
	tcase_add_checked_fixture(facts, begin_test, end_test);
	tcase_add_loop_test(facts, a_read_brings_the_file_up_to_its_end, 0,
			    ways);
	tcase_add_loop_test(facts, a_write_changes_these_bytes_and_no_others, 0,
			    ways);
	tcase_add_loop_test(facts, a_direct_read_brings_the_file_up_to_its_end,
			    0, ways);
	tcase_add_loop_test(facts, a_direct_write_may_have_a_tail, 0, ways);
	tcase_add_loop_test(facts, whole_blocks_go_around_the_page_cache, 0,
			    ways);
	tcase_add_test(facts,
		       what_o_direct_refuses_goes_through_the_page_cache);
	tcase_add_test(facts,
		       without_o_direct_it_is_einval_and_nothing_is_left);
	tcase_add_loop_test(facts, an_interrupted_transfer_goes_on, 0, 3);
	tcase_add_test(facts, an_error_is_the_answer);
	tcase_add_loop_test(facts, a_file_open_for_reading_is_not_written, 0,
			    ways);
	tcase_add_loop_test(facts, what_is_no_readable_file_is_refused, 0,
			    lengthof(bad));
	tcase_add_test(facts, an_unknown_flag_is_refused);
	tcase_add_test(facts, whichever_call_fails_nothing_is_left);
	tcase_add_loop_test(facts, the_callers_descriptor_is_left_alone, 0,
			    ways);
	tcase_add_loop_test(facts, without_proc_a_duplicate_does_where_it_can,
			    0, lengthof(without_proc));
	tcase_add_test(facts, its_length_is_that_of_the_file_now);
	tcase_add_test(facts, its_name_is_its_path);
	return facts_run_anywhere(facts);
}
