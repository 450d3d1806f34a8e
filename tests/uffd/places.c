/* SPDX-License-Identifier: MIT */
/* Where a pager runs: as a thread, in a process of its own, in a daemon */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support.h"

static int fails_with(const char *where)
{
	return wmap_pager_set(where) ? errno : 0;
}

START_TEST(a_place_has_a_name)
{
	char long_name[200] = "/";

	memset(long_name + 1, 'x', sizeof(long_name) - 2);
	ck_assert_int_eq(fails_with(""), EINVAL);
	ck_assert_int_eq(fails_with("@"), EINVAL);
	ck_assert_int_eq(fails_with("/"), EINVAL);
	ck_assert_int_eq(fails_with("process"), EINVAL);
	ck_assert_int_eq(fails_with(NULL), EINVAL);
	ck_assert_int_eq(fails_with(long_name), ENAMETOOLONG);
	ck_assert_int_eq(fails_with("thread"), 0);
	memory_map(PAGES(1), READ_WRITE, WMAP_PRIVATE | WMAP_ANONYMOUS, -1, 0);
	ck_assert_int_eq(fails_with("private"), EBUSY);
}
END_TEST

static int start_errno(void)
{
	return wmap_start(NULL) ? errno : 0;
}

START_TEST(where_nobody_listens_is_told)
{
	ck_assert_int_eq(fails_with("@wmap-test-nobody"), 0);
	ck_assert_int_eq(start_errno(), ECONNREFUSED);
	ck_assert_int_eq(fails_with("/nonexistent/socket"), 0);
	ck_assert_int_eq(start_errno(), ENOENT);
	setenv("WMAP_COMMAND", "/nonexistent/wmap", 1);
	ck_assert_int_eq(fails_with("private"), 0);
	ck_assert_int_eq(start_errno(), ENOENT);
	/* and then it can be had after all */
	ck_assert_int_eq(fails_with("thread"), 0);
	ck_assert_int_eq(start_errno(), 0);
}
END_TEST

START_TEST(an_environment_that_makes_no_sense_is_einval)
{
	setenv("WMAP_PAGER", "quark", 1);
	ck_assert_int_eq(start_errno(), EINVAL);
	ck_assert_ptr_eq(wmap_map(NULL, PAGES(1), READ_WRITE,
				  WMAP_PRIVATE | WMAP_ANONYMOUS, -1, 0, NULL),
			 WMAP_FAILED);
	ck_assert_int_eq(errno, EINVAL);
}
END_TEST

static void store_and_die(void *arg)
{
	int fd = *(int *)arg;
	char *at;

	setenv("WMAP_PAGER", "private", 1);
	at = memory_map(PAGES(8), READ_WRITE, WMAP_SHARED, fd, 0);
	at[0] = 'k';
	at[PAGES(7)] = 'l';
	raise(SIGKILL);
}

static bool has_both(void *arg)
{
	int fd = *(int *)arg;

	return file_has(fd, 0, "k", 1) && file_has(fd, PAGES(7), "l", 1);
}

START_TEST(what_a_killed_program_stored_is_in_the_file)
{
	int fd = file_with(3, PAGES(8));

	process_dies(SIGKILL, store_and_die, &fd);
	ck_assert(process_wait(has_both, &fd, 20));
	ck_assert(file_holds(fd, 3, PAGES(1), PAGES(6)));
}
END_TEST

static void read_none(void *self, struct wmap_io *io)
{
	(void)self;
	wmap_io_done(io, 0);
}

START_TEST(a_store_of_the_program_is_in_no_other_process)
{
	struct wmap_store_ops ops = { .size = sizeof(ops), .read = read_none };
	struct wmap_store *store = wmap_store_create(&ops, NULL, 0);
	struct wmap_map_options options = { .size = sizeof(options),
					    .store = store };

	ck_assert_int_eq(fails_with("private"), 0);
	ck_assert_ptr_eq(wmap_map(NULL, PAGES(1), PROT_READ, WMAP_SHARED, -1, 0,
				  &options),
			 WMAP_FAILED);
	ck_assert_int_eq(errno, EOPNOTSUPP);
	wmap_store_put(store);
	ck_assert_int_eq(wmap_stop(), 0);
}
END_TEST

/* The course's calls mean the same there. */
START_TEST(the_course_elsewhere)
{
	int fd = file_with(3, PAGES(6));
	char *at;

	ck_assert_int_eq(fails_with("private"), 0);
	at = memory_wmap(NULL, PAGES(6) - 100, WMAP_SHARED, fd);
	ck_assert_uint_eq(memory_loaded(at), 0);
	memory_load(at, 2);
	at[PAGES(4)] = 'x';
	ck_assert_uint_eq(memory_loaded(at), 3);
	ck_assert_int_eq(wunmap(at + PAGE), -1);
	ck_assert_int_eq(errno, EINVAL);
	ck_assert_int_eq(wunmap(at), 0);
	ck_assert(file_has(fd, PAGES(4), "x", 1));
	ck_assert_int_eq(wmap_stop(), 0);
	ck_assert_int_eq(wmap_pager_set("thread"), 0);
}
END_TEST

int main(void)
{
	TCase *facts = facts_case("places", 60);

	tcase_add_test(facts, a_place_has_a_name);
	tcase_add_test(facts, an_environment_that_makes_no_sense_is_einval);
	/* Else a thread pages in any case. */
	if (!facts_possible(WMAP_FEATURE_POISON))
		return facts_run(facts);
	tcase_add_test(facts, where_nobody_listens_is_told);
	tcase_add_test(facts, what_a_killed_program_stored_is_in_the_file);
	tcase_add_test(facts, a_store_of_the_program_is_in_no_other_process);
	tcase_add_test(facts, the_course_elsewhere);
	return facts_run(facts);
}
