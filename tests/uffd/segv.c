/* SPDX-License-Identifier: MIT */
/*
 * The report of stray accesses with mappings around: which one it names, and
 * that what was stored reaches its file before the process dies.
 */
#include "support.h"

#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define ANON (WMAP_PRIVATE | WMAP_ANONYMOUS)

static char said[4096];

static bool died(int status)
{
	return WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV;
}

/* The child says where its mapping is, as the first line, and then what the
   report says: "@distance", the mapping, "@behind". */
static void says_and_dies(void (*run)(void *), void *arg, const char *distance,
			  const char *behind)
{
	int status = stray_child(run, arg, said, sizeof said);
	uint64_t start, end;
	char words[256];

	ck_assert_msg(sscanf(said, "%" SCNx64 " %" SCNx64, &start, &end) == 2,
		      "%s", said);
	snprintf(words, sizeof words,
		 "): %s mapping 0x%" PRIx64 "-0x%" PRIx64 " (%s", distance,
		 start, end, behind);
	ck_assert_msg(strstr(said, words) != NULL, "\"%s\" lacks \"%s\"", said,
		      words);
	ck_assert_msg(died(status), "status %#x", (unsigned)status);
}

static void tell(char *at, size_t pages)
{
	fprintf(stderr, "%" PRIxPTR " %" PRIxPTR "\n", (uintptr_t)at,
		(uintptr_t)(at + PAGES(pages)));
}

/* Where 50 free pages lie on either side, whatever else has been mapped. */
static char *map_and_tell(size_t pages)
{
	char *at = memory_free_range(PAGES(100 + pages)) + PAGES(50);

	if (wmap_map(at, PAGES(pages), READ_WRITE, ANON | WMAP_FIXED, -1, 0,
		     NULL) != at)
		_exit(98);
	tell(at, pages);
	return at;
}

static void read_above(void *distance)
{
	char *at = map_and_tell(20);

	memory_store(at, 10, 1);
	stray_read(at + PAGES(20) + (uintptr_t)distance);
}

START_TEST(an_access_above_names_the_mapping_below)
{
	says_and_dies(read_above, (void *)0x234, "0x234 bytes above",
		      "10 of 20 pages loaded, ");
	ck_assert_ptr_nonnull(strstr(said, "wmap: stray read of 0x"));
}
END_TEST

static void write_below(void *unused)
{
	(void)unused;
	stray_write(map_and_tell(20) - 16);
}

START_TEST(an_access_below_names_the_mapping_above)
{
	says_and_dies(write_below, NULL, "0x10 bytes below",
		      "0 of 20 pages loaded, ");
}
END_TEST

static void write_where_forbidden(void *unused)
{
	char *at = map_and_tell(4);

	(void)unused;
	memory_load(at, 4);
	wmap_protect(at, PAGES(4), PROT_READ);
	stray_write(at + PAGES(3) + 5);
}

START_TEST(a_forbidden_access_names_its_mapping)
{
	says_and_dies(write_where_forbidden, NULL, "inside",
		      "4 of 4 pages loaded, ");
	ck_assert_ptr_nonnull(strstr(said, "), not allowed by its "
					   "protection\n"));
}
END_TEST

static void read_nearer_to_the_second(void *unused)
{
	char *at = memory_free_range(PAGES(100));
	int flags = ANON | WMAP_FIXED;

	(void)unused;
	if (wmap_map(at, PAGES(10), READ_WRITE, flags, -1, 0, NULL) != at ||
	    wmap_map(at + PAGES(90), PAGES(10), READ_WRITE, flags, -1, 0,
		     NULL) != at + PAGES(90))
		_exit(98);
	tell(at + PAGES(90), 10);
	stray_read(at + PAGES(80));
}

START_TEST(of_two_mappings_the_nearer_is_named)
{
	says_and_dies(read_nearer_to_the_second, NULL, "0xa000 bytes below",
		      "0 of 10 pages loaded, ");
}
END_TEST

static void store_and_stray(void *fd)
{
	char *at = memory_map(PAGES(4), READ_WRITE, WMAP_SHARED, *(int *)fd, 0);

	at[PAGES(2) + 7] = 's';
	stray_write(NULL);
}

START_TEST(what_was_stored_reaches_the_file)
{
	int fd = file_with(3, PAGES(4));

	ck_assert(died(stray_child(store_and_stray, &fd, said, sizeof said)));
	ck_assert(file_has(fd, PAGES(2) + 7, "s", 1));
	ck_assert(file_holds(fd, 3, 0, PAGES(2) + 7));
}
END_TEST

static void store_and_be_killed(void *fd)
{
	char *at = memory_map(PAGES(4), READ_WRITE, WMAP_SHARED, *(int *)fd, 0);

	at[0] = 's';
	kill(getpid(), SIGSEGV);
}

START_TEST(so_it_does_when_the_signal_is_sent)
{
	int fd = file_with(3, PAGES(4));

	ck_assert(
		died(stray_child(store_and_be_killed, &fd, said, sizeof said)));
	ck_assert(file_has(fd, 0, "s", 1));
}
END_TEST

static void name_the_file(void *fd)
{
	char *at = memory_map(PAGE, PROT_READ, WMAP_SHARED, *(int *)fd, 0);

	tell(at, 1);
	stray_write(at);
}

START_TEST(the_file_is_named)
{
	char path[] = "/tmp/wmap-segv-XXXXXX", behind[64];
	int fd = mkstemp(path);

	ck_assert_int_eq(ftruncate(fd, PAGE), 0);
	snprintf(behind, sizeof behind, "0 of 1 pages loaded, %s)", path);
	says_and_dies(name_the_file, &fd, "inside", behind);
	unlink(path);
}
END_TEST

static void *stray(void *at)
{
	stray_write(at);
	return NULL;
}

static void stray_in_many_threads(void *fd)
{
	char *at = memory_map(PAGES(4), READ_WRITE, WMAP_SHARED, *(int *)fd, 0);
	pthread_t threads[8];

	memory_store(at, 4, 's');
	for (int i = 0; i < 8; i++)
		pthread_create(&threads[i], NULL, stray, NULL);
	for (int i = 0; i < 8; i++)
		pthread_join(threads[i], NULL);
}

START_TEST(many_threads_that_stray_at_once_do_not_hang)
{
	int fd = file_with(3, PAGES(4));

	ck_assert(died(
		stray_child(stray_in_many_threads, &fd, said, sizeof said)));
	ck_assert(file_has(fd, PAGES(3), "s", 1));
}
END_TEST

static void stray_on_the_pagers_thread(void *unused, struct wmap_io *io)
{
	(void)unused;
	(void)io;
	stray_write(NULL);
}

static void touch_a_straying_store(void *unused)
{
	static const struct wmap_store_ops ops = {
		.size = sizeof ops,
		.name = "straying",
		.read = stray_on_the_pagers_thread,
	};
	struct wmap_store *store = wmap_store_create(&ops, NULL, 0);
	char *at = memory_map_store(PAGE, PROT_READ, WMAP_SHARED, store, 0);

	(void)unused;
	memory_load(at, 1);
}

/* No handler runs there: all signals are blocked, so it is death at once. */
START_TEST(a_stray_access_on_the_pagers_thread_kills)
{
	ck_assert(died(
		stray_child(touch_a_straying_store, NULL, said, sizeof said)));
}
END_TEST

static void stray_in_a_forked_child(void *unused)
{
	char *at = map_and_tell(4);

	(void)unused;
	memory_store(at, 4, 1);
	if (fork() == 0)
		stray_write(NULL);
	else
		wait(NULL);
}

START_TEST(a_forked_child_reports_too)
{
	stray_child(stray_in_a_forked_child, NULL, said, sizeof said);
	ck_assert_ptr_nonnull(strstr(said, "wmap: stray write to 0x0"));
}
END_TEST

int main(void)
{
	TCase *facts = facts_case("segv: mappings", 60);

	tcase_add_test(facts, an_access_above_names_the_mapping_below);
	tcase_add_test(facts, an_access_below_names_the_mapping_above);
	tcase_add_test(facts, a_forbidden_access_names_its_mapping);
	tcase_add_test(facts, of_two_mappings_the_nearer_is_named);
	tcase_add_test(facts, what_was_stored_reaches_the_file);
	tcase_add_test(facts, so_it_does_when_the_signal_is_sent);
	tcase_add_test(facts, the_file_is_named);
	tcase_add_test(facts, many_threads_that_stray_at_once_do_not_hang);
	tcase_add_test(facts, a_stray_access_on_the_pagers_thread_kills);
	tcase_add_test(facts, a_forked_child_reports_too);
	return facts_run(facts);
}
