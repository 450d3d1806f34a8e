/* SPDX-License-Identifier: MIT */
/* A child that touches what its parent mapped */
#include "scenario.h"

static void touch_in_child(const char *p)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		printf("a byte: %d\n", *(const volatile char *)p);
		_exit(0);
	}
	waitpid(pid, &status, 0);
	if (WIFSIGNALED(status))
		printf("killed by %s\n", sigabbrev_np(WTERMSIG(status)));
	else
		printf("status %d\n", WEXITSTATUS(status));
}

static void touches_in_a_child(const char *path)
{
	char *p = map_new(path, MAP_SHARED);

	print_sum("parent", p, PAGE);
	touch_in_child(p);
	touch_in_child(p + PAGE);
	print_sum("parent", p, PAGES * PAGE);
}

static void wants_it_in_a_child(const char *path)
{
	char *p = map_new(path, MAP_PRIVATE);

	print_result("madvise", madvise(p, PAGES * PAGE, MADV_DOFORK));
	touch_in_child(p + 2 * PAGE);
}

const struct scenario scenarios[] = {
	{ "touches_in_a_child", touches_in_a_child },
	{ "wants_it_in_a_child", wants_it_in_a_child },
	{ NULL, NULL },
};
