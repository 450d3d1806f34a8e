/* SPDX-License-Identifier: MIT */
/*
 * Limits that are reached: addresses, descriptors, kernel mappings, io_uring.
 * The call says so, nothing has changed, and all is well once there is room.
 */
#include "support.h"

#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define PRIVATE_ANON (WMAP_PRIVATE | WMAP_ANONYMOUS)

static rlim_t set_limit(int which, rlim_t to)
{
	struct rlimit limit;
	rlim_t was;

	ck_assert_int_eq(getrlimit(which, &limit), 0);
	was = limit.rlim_cur;
	limit.rlim_cur = to;
	ck_assert_int_eq(setrlimit(which, &limit), 0);
	return was;
}

static char *map_filled(void)
{
	char *at = memory_map(PAGES(4), READ_WRITE, PRIVATE_ANON, -1, 0);

	memset(at, 'f', PAGES(4));
	return at;
}

START_TEST(without_addresses_mapping_is_enomem)
{
	char *before = map_filled();
	rlim_t room = (rlim_t)process_kib(0, "VmSize") * KIB + 16 * MIB;
	rlim_t was = set_limit(RLIMIT_AS, room);
	char *at = wmap_map(NULL, GIB, READ_WRITE, PRIVATE_ANON, -1, 0, NULL);
	int error = errno;
	ssize_t mappings = wmap_mapping_list(NULL, 0);

	set_limit(RLIMIT_AS, was);
	ck_assert_ptr_eq(at, WMAP_FAILED);
	ck_assert_int_eq(error, ENOMEM);
	ck_assert_int_eq(mappings, 1);
	ck_assert_int_eq(before[PAGES(3)], 'f');
	ck_assert_int_eq(
		process_store(memory_map(GIB, READ_WRITE, PRIVATE_ANON, -1, 0),
			      1),
		0);
}
END_TEST

START_TEST(without_addresses_resizing_is_enomem)
{
	char *at = map_filled(), *moved;
	rlim_t room = (rlim_t)process_kib(0, "VmSize") * KIB + 16 * MIB;
	rlim_t was = set_limit(RLIMIT_AS, room);
	int error;

	moved = wmap_remap(at, PAGES(4), GIB, WMAP_MAYMOVE, NULL);
	error = errno;
	set_limit(RLIMIT_AS, was);
	ck_assert_ptr_eq(moved, WMAP_FAILED);
	ck_assert_int_eq(error, ENOMEM);
	ck_assert_int_eq(at[PAGES(3)], 'f');
	ck_assert_uint_eq(memory_info(at).length, PAGES(4));
}
END_TEST

/* Leave room for @n more descriptors; returns the limit that was. */
static rlim_t leave_descriptors(unsigned n)
{
	int next = dup(0);

	ck_assert_int_ge(next, 0);
	close(next);
	return set_limit(RLIMIT_NOFILE, (rlim_t)next + n);
}

START_TEST(without_descriptors_mapping_is_emfile)
{
	char *before = map_filled(), *at;
	int fd = file_with(3, PAGES(4));
	unsigned descriptors = process_descriptors(0);
	rlim_t was = leave_descriptors((unsigned)_i);
	int error;

	at = wmap_map(NULL, PAGES(4), READ_WRITE, WMAP_SHARED, fd, 0, NULL);
	error = errno;
	set_limit(RLIMIT_NOFILE, was);
	ck_assert_ptr_eq(at, WMAP_FAILED);
	ck_assert_int_eq(error, EMFILE);
	ck_assert_uint_eq(process_descriptors(0), descriptors);
	ck_assert_int_eq(wmap_mapping_list(NULL, 0), 1);
	ck_assert_int_eq(before[PAGES(3)], 'f');
	at = memory_map(PAGES(4), READ_WRITE, WMAP_SHARED, fd, 0);
	ck_assert(pattern_holds(at, PAGES(4), 3, 0));
}
END_TEST

START_TEST(without_descriptors_the_pager_does_not_start)
{
	unsigned descriptors = process_descriptors(0);
	rlim_t was = leave_descriptors((unsigned)_i);
	int failed = wmap_start(NULL), error = errno;

	set_limit(RLIMIT_NOFILE, was);
	ck_assert_int_eq(failed, -1);
	ck_assert_int_eq(error, EMFILE);
	ck_assert_uint_eq(process_descriptors(0), descriptors);
	ck_assert_int_eq(wmap_start(NULL), 0);
	ck_assert_int_eq(process_store(map_filled(), 1), 0);
}
END_TEST

START_TEST(what_is_mapped_works_without_descriptors)
{
	int fd = file_with(3, PAGES(4));
	char *at = memory_map(PAGES(4), READ_WRITE, WMAP_SHARED, fd, 0);
	rlim_t was = leave_descriptors(0);
	bool right = pattern_holds(at, PAGES(4), 3, 0);
	int failed;

	at[PAGES(2)] = 'w';
	failed = wmap_unmap(at, PAGES(4));
	set_limit(RLIMIT_NOFILE, was);
	ck_assert(right);
	ck_assert_int_eq(failed, 0);
	ck_assert(file_has(fd, PAGES(2), "w", 1));
}
END_TEST

#define EXHAUST_LENGTH PAGES(400000)

/* Take all the kernel mappings that a process may have (vm.max_map_count), by
   protecting each second page of an area. */
static char *exhaust(void)
{
	char *area = mmap(NULL, EXHAUST_LENGTH, PROT_NONE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	char *page = area + PAGE, *end = area + EXHAUST_LENGTH;

	ck_assert_ptr_ne(area, MAP_FAILED);
	while (page < end && !mprotect(page, PAGE, PROT_READ))
		page += PAGES(2);
	ck_assert_msg(page < end, "vm.max_map_count is too large");
	return area;
}

START_TEST(without_kernel_mappings_mapping_is_enomem)
{
	char *before = map_filled();
	int fd = file_with(3, PAGES(4));
	char *area = exhaust();
	char *at = wmap_map(NULL, PAGES(4), READ_WRITE,
			    _i ? WMAP_SHARED : PRIVATE_ANON, fd, 0, NULL);
	int error = errno;
	ssize_t mappings = wmap_mapping_list(NULL, 0);

	munmap(area, EXHAUST_LENGTH);
	ck_assert(at == WMAP_FAILED ? error == ENOMEM : mappings == 2);
	ck_assert(at != WMAP_FAILED || mappings == 1);
	ck_assert_int_eq(before[PAGES(3)], 'f');
	at = memory_map(PAGES(4), READ_WRITE, WMAP_SHARED, fd, 0);
	ck_assert(pattern_holds(at, PAGES(4), 3, 0));
}
END_TEST

START_TEST(without_kernel_mappings_a_split_is_enomem)
{
	char *at = map_filled(), *area;
	struct wmap_mapping_info info;
	int failed, error;

	area = exhaust();
	failed = _i ? wmap_unmap(at + PAGE, PAGE) :
		      wmap_protect(at + PAGE, PAGE, PROT_READ);
	error = errno;
	munmap(area, EXHAUST_LENGTH);
	ck_assert_int_eq(failed, -1);
	ck_assert_int_eq(error, ENOMEM);
	info = memory_info(at);
	ck_assert_uint_eq(info.length, PAGES(4));
	ck_assert_int_eq(info.prot, READ_WRITE);
	ck_assert_int_eq(process_store(at + PAGE, 'f'), 0);
	ck_assert_int_eq(at[PAGE + 1], 'f');
}
END_TEST

static char logged[4096];

static void keep(void *arg, const char *line)
{
	(void)arg;
	strncat(logged, line, sizeof logged - strlen(logged) - 2);
	strcat(logged, "\n");
}

static unsigned said(const char *word)
{
	unsigned n = 0;

	for (const char *at = logged; (at = strstr(at, word)); at++)
		n++;
	return n;
}

START_TEST(without_io_uring_plain_reads_do)
{
	int fd = file_with(3, PAGES(64));
	unsigned features;
	char *at;

	setenv("WMAP_KERNEL_WITHOUT", "io_uring", 1);
	ck_assert_int_eq(wmap_start(&features), 0);
	ck_assert_uint_eq(features & WMAP_FEATURE_IO_URING, 0);
	at = memory_map(PAGES(64), READ_WRITE, WMAP_SHARED, fd, 0);
	ck_assert(pattern_holds(at, PAGES(64), 3, 0));
	memset(at, 'p', PAGES(64));
	ck_assert_int_eq(wmap_unmap(at, PAGES(64)), 0);
	ck_assert(file_has(fd, PAGES(63), "pppp", 4));
}
END_TEST

START_TEST(without_io_uring_the_log_says_so_once)
{
	setenv("WMAP_KERNEL_WITHOUT", "io_uring", 1);
	wmap_log_set(keep, NULL);
	for (int i = 0; i < 3; i++)
		map_filled();
	ck_assert_uint_eq(said("io_uring"), 1);
}
END_TEST

int main(void)
{
	TCase *facts = facts_case("limits", 60);

	tcase_add_test(facts, without_addresses_mapping_is_enomem);
	tcase_add_test(facts, without_addresses_resizing_is_enomem);
	tcase_add_loop_test(facts, without_descriptors_mapping_is_emfile, 0, 1);
	tcase_add_loop_test(facts, without_descriptors_the_pager_does_not_start,
			    0, 2);
	tcase_add_test(facts, what_is_mapped_works_without_descriptors);
	if (!THREAD_SANITIZED) { /* it needs kernel mappings itself */
		tcase_add_loop_test(
			facts, without_kernel_mappings_mapping_is_enomem, 0, 2);
		tcase_add_loop_test(
			facts, without_kernel_mappings_a_split_is_enomem, 0, 2);
	}
	tcase_add_test(facts, without_io_uring_plain_reads_do);
	tcase_add_test(facts, without_io_uring_the_log_says_so_once);
	return facts_run(facts);
}
