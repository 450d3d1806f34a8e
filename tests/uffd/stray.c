/* SPDX-License-Identifier: MIT */
/*
 * What a stray access does: it kills by SIGSEGV, in silence; after
 * wmap_report_segv it says one line first and writes shared pages back
 *
 * Each test runs its victim in a child, whose standard error it reads.
 */
#include "support.h"

#include <string.h>
#include <unistd.h>

struct victim {
	int fd;	     /* of the file it maps */
	int message; /* where its standard error goes */
	bool handler;
	char text[2048];
};

static struct victim set_up(bool handler)
{
	return (struct victim){
		.fd = file_with(3, PAGES(4)),
		.message = file_empty(),
		.handler = handler,
	};
}

static void read_text(struct victim *victim)
{
	ssize_t n = pread(victim->message, victim->text,
			  sizeof victim->text - 1, 0);

	ck_assert_int_ge(n, 0);
	victim->text[n] = 0;
}

static void exit_7(int signal)
{
	(void)signal;
	_exit(7);
}

/* Map below a gap, and store one byte; returns the mapping's start. */
static char *map_and_store(struct victim *victim)
{
	char *area = memory_free_range(PAGES(16));

	dup2(victim->message, STDERR_FILENO);
	memory_wmap(area, PAGES(4), WMAP_SHARED, victim->fd);
	area[PAGE] = 'w';
	return area;
}

static char *prepare(struct victim *victim)
{
	if (victim->handler)
		signal(SIGSEGV, exit_7);
	ck_assert_int_eq(wmap_report_segv(), 0);
	return map_and_store(victim);
}

static void stray_load(void *victim)
{
	memory_load(prepare(victim) + PAGES(5), 1);
}

static void stray_store(void *victim)
{
	memory_store(prepare(victim) + PAGES(5), 1, 1);
}

/* UBSan would end it before the kernel can. */
__attribute__((no_sanitize("undefined"))) static void store_null(void *victim)
{
	prepare(victim);
	*(volatile char *)NULL = 1;
}

static void (*const strays[])(void *) = { stray_load, stray_store, store_null };

START_TEST(it_still_dies_by_sigsegv)
{
	struct victim victim = set_up(false);

	process_dies(SIGSEGV, strays[_i], &victim);
}
END_TEST

START_TEST(it_says_one_line)
{
	struct victim victim = set_up(false);
	char *newline;

	process_child(strays[_i], &victim);
	read_text(&victim);
	newline = strchr(victim.text, '\n');
	ck_assert_ptr_nonnull(newline);
	ck_assert_int_eq(newline[1], 0);
}
END_TEST

START_TEST(it_says_whether_it_was_a_load_or_a_store)
{
	struct victim victim = set_up(false);

	process_child(strays[_i], &victim);
	read_text(&victim);
	ck_assert_ptr_nonnull(strstr(victim.text, _i ? "write" : "read"));
}
END_TEST

START_TEST(shared_pages_are_written_back)
{
	struct victim victim = set_up(false);

	process_child(strays[_i], &victim);
	ck_assert(file_has(victim.fd, PAGE, "w", 1));
	ck_assert(file_holds(victim.fd, 3, PAGE + 1, PAGES(3) - 1));
}
END_TEST

START_TEST(a_handler_installed_before_follows)
{
	struct victim victim = set_up(true);

	ck_assert_int_eq(process_child(strays[_i], &victim), 7 << 8);
	read_text(&victim);
	ck_assert_int_ne(victim.text[0], 0);
	ck_assert(file_has(victim.fd, PAGE, "w", 1));
}
END_TEST

static void stray_without_report(void *victim)
{
	memory_load(map_and_store(victim) + PAGES(5), 1);
}

START_TEST(it_is_silent_unless_asked)
{
	struct victim victim = set_up(false);

	process_dies(SIGSEGV, stray_without_report, &victim);
	read_text(&victim);
	ck_assert_str_eq(victim.text, "");
}
END_TEST

static void grow(void *arg)
{
	const int flags = WMAP_PRIVATE | WMAP_ANONYMOUS | WMAP_GROWSUP;
	char *area;

	(void)arg;
	ck_assert_int_eq(wmap_report_segv(), 0);
	area = memory_free_range(PAGES(16));
	memory_wmap(area, PAGE, flags, -1);
	area[PAGE] = 1;
	ck_assert_int_eq(area[PAGE], 1);
}

START_TEST(growing_is_no_stray_access)
{
	ck_assert_int_eq(process_child(grow, NULL), 0);
}
END_TEST

int main(void)
{
	TCase *facts = facts_case("stray accesses", 30);

	tcase_add_loop_test(facts, it_still_dies_by_sigsegv, 0, COUNT(strays));
	tcase_add_loop_test(facts, it_says_one_line, 0, COUNT(strays));
	tcase_add_loop_test(facts, it_says_whether_it_was_a_load_or_a_store, 0,
			    COUNT(strays));
	tcase_add_loop_test(facts, shared_pages_are_written_back, 0,
			    COUNT(strays));
	tcase_add_loop_test(facts, a_handler_installed_before_follows, 0,
			    COUNT(strays));
	tcase_add_test(facts, it_is_silent_unless_asked);
	tcase_add_test(facts, growing_is_no_stray_access);
	return facts_run(facts);
}
