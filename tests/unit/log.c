/* SPDX-License-Identifier: MIT */
/* A line reaches the program's callback, whole or cut off; or nobody. */
#include "support.h"

#include <string.h>

void log_line(const char *format, ...) __attribute__((format(printf, 1, 2)));

static char heard[2048];
static void *heard_with;

static void hear(void *arg, const char *line)
{
	heard_with = arg;
	strncpy(heard, line, sizeof heard - 1);
	errno = EBADF;
}

START_TEST(a_line_is_heard_with_its_argument)
{
	wmap_log_set(hear, &heard);
	log_line("%s of %d at %#llx", "page", 7, 0x7f00ULL);
	ck_assert_str_eq(heard, "page of 7 at 0x7f00");
	ck_assert_ptr_eq(heard_with, &heard);
}
END_TEST

START_TEST(nobody_need_listen)
{
	strcpy(heard, "nothing");
	wmap_log_set(NULL, NULL);
	log_line("something");
	ck_assert_str_eq(heard, "nothing");
}
END_TEST

START_TEST(a_line_too_long_is_cut_off)
{
	char line[2000];

	memset(line, 'x', sizeof line - 1);
	line[sizeof line - 1] = 0;
	wmap_log_set(hear, NULL);
	log_line("%s", line);
	ck_assert_uint_ge(strlen(heard), 256);
	ck_assert_uint_lt(strlen(heard), 1024);
}
END_TEST

START_TEST(errno_stays)
{
	wmap_log_set(hear, NULL);
	errno = EAGAIN;
	log_line("something");
	ck_assert_int_eq(errno, EAGAIN);
}
END_TEST

int main(void)
{
	TCase *facts = facts_case("log", 30);

	tcase_add_test(facts, a_line_is_heard_with_its_argument);
	tcase_add_test(facts, nobody_need_listen);
	tcase_add_test(facts, a_line_too_long_is_cut_off);
	tcase_add_test(facts, errno_stays);
	return facts_run_anywhere(facts);
}
