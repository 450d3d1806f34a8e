/* SPDX-License-Identifier: MIT */
/*
 * A program of tests: one suite with one case, which is skipped as a whole
 * where the machine has no userfaultfd for us.
 */
#include "support.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#ifdef __SANITIZE_THREAD__
/* By default it sleeps for a second at each exit, and each test is one. */
WMAP_API const char *__tsan_default_options(void);

const char *__tsan_default_options(void)
{
	return "atexit_sleep_ms=0";
}

/* In fork handlers, where a pager moves out, it follows no synchronisation. */
WMAP_API const char *__tsan_default_suppressions(void);

const char *__tsan_default_suppressions(void)
{
	return "race:^moveout$\nrace:^thread_move_out$\n";
}
#endif

TCase *facts_case(const char *name, double seconds)
{
	TCase *facts = tcase_create(name);

	tcase_set_timeout(facts, seconds);
	return facts;
}

int facts_ask(int (*ask)(unsigned), unsigned arg)
{
	int status = 0;
	pid_t child;

	fflush(NULL);
	child = fork();
	if (!child)
		_exit(ask(arg));
	if (child < 0 || waitpid(child, &status, 0) != child)
		return -1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* 0: all there, 1: a feature is missing, 2: no pager. */
static int probe(unsigned features)
{
	unsigned have = 0;

	if (wmap_start(&have))
		return errno == EPERM || errno == ENOSYS ? 2 : 0;
	return (have & features) == features ? 0 : 1;
}

bool facts_possible(unsigned features)
{
	/* A crash is no reason to skip: the tests will say what it is. */
	return facts_ask(probe, features) <= 0;
}

int facts_run_anywhere(TCase *facts)
{
	Suite *suite = suite_create("wmap");
	SRunner *runner;
	int failed;

	suite_add_tcase(suite, facts);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

int facts_run(TCase *facts)
{
	if (facts_possible(0))
		return facts_run_anywhere(facts);
	fprintf(stderr, "skipped: no userfaultfd here\n");
	return FACTS_SKIPPED;
}

uint64_t facts_number(const char *name, uint64_t otherwise)
{
	const char *value = getenv(name);

	return value && *value ? strtoull(value, NULL, 0) : otherwise;
}

unsigned facts_scaled(unsigned n)
{
	return n * (unsigned)facts_number("WMAP_TEST_SCALE", 1);
}
