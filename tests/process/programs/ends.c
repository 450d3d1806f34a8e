/* SPDX-License-Identifier: MIT */
/* Ways to end with stores on the way, children, and signals */
#include <pthread.h>
#include <sys/resource.h>

#include "scenario.h"

/* A mapping with a store that nobody syncs. */
static char *stored(const char *path)
{
	char *p = map_new(path, MAP_SHARED);

	p[0] = 'a';
	p[7 * PAGE + 3] = 'b';
	return p;
}

static void returns(const char *path)
{
	stored(path);
}

static void exits(const char *path)
{
	stored(path);
	exit(3);
}

static char *late;

static void store_late(void)
{
	late[3 * PAGE] = 'l';
}

static void stores_in_atexit(const char *path)
{
	late = stored(path);
	atexit(store_late);
	exit(0);
}

static void *store_last(void *memory)
{
	for (int i = 0; i < 30; i++) {
		((char *)memory)[i] = 'l';
		usleep(10000);
	}
	printf("last\n");
	return NULL;
}

/* The process ends when its last thread does. */
static void leave_by_the_main_thread(char *memory)
{
	pthread_t thread;

	pthread_create(&thread, NULL, store_last, memory);
	pthread_exit(NULL);
}

static void leaves_by_its_main_thread(const char *path)
{
	leave_by_the_main_thread(map_new(path, MAP_SHARED));
}

static void child_leaves_by_its_main_thread(const char *path)
{
	char *memory = map_new(path, MAP_SHARED);
	int status = 1;
	pid_t child;

	fflush(stdout);
	child = fork();
	if (!child)
		leave_by_the_main_thread(memory);
	waitpid(child, &status, 0);
	printf("%d %c\n", status, memory[29]);
}

/* All threads have the new user, those that the library has as well. */
static void becomes_nobody(const char *path)
{
	char *memory = map_new(path, MAP_SHARED);

	memory[0] = 'n';
	printf("%d\n", setresuid(65534, 65534, 65534) && errno != EPERM);
}

static void underscore_exits(const char *path)
{
	stored(path);
	_exit(4);
}

static void underscore_Exits(const char *path)
{
	stored(path);
	_Exit(5);
}

static void quick_exits(const char *path)
{
	late = stored(path);
	at_quick_exit(store_late);
	quick_exit(6);
}

static char echo[] = "echo", hello[] = "hello", from[] = "FROM=execle";
static char *const arguments[] = { echo, hello, NULL };

static void execs_v(const char *path)
{
	stored(path);
	execv("/bin/echo", arguments);
}

static void execs_ve(const char *path)
{
	stored(path);
	execve("/bin/echo", arguments, environ);
}

static void execs_vp(const char *path)
{
	stored(path);
	execvp("echo", arguments);
}

static void execs_vpe(const char *path)
{
	stored(path);
	execvpe("echo", arguments, environ);
}

static void execs_f(const char *path)
{
	int fd = open("/bin/echo", O_RDONLY);

	stored(path);
	fexecve(fd, arguments, environ);
}

static void execs_l(const char *path)
{
	stored(path);
	execl("/bin/echo", "echo", "one", "two", "three", NULL);
}

static void execs_lp(const char *path)
{
	stored(path);
	execlp("echo", "echo", "one", "two", "three", NULL);
}

static void execs_le(const char *path)
{
	char *const environment[] = { from, NULL };

	stored(path);
	execle("/bin/sh", "sh", "-c", "echo $FROM", NULL, environment);
}

static void execs_in_vain(const char *path)
{
	char *p = stored(path);

	print_result("execv", execv("/nonexistent", arguments));
	print_result("execl", execl("/nonexistent", "echo", NULL));
	print_file(path);
	p[PAGE] = 'c';
	_exit(7);
}

static void vforks(const char *path)
{
	char *p = stored(path);
	pid_t pid = vfork();
	int status;

	if (pid == 0) {
		execv("/bin/echo", arguments);
		_exit(1);
	}
	waitpid(pid, &status, 0);
	p[2 * PAGE] = 'c';
	print_sum("seen", p, PAGES * PAGE);
	pid = vfork();
	if (pid == 0)
		_exit(9);
	waitpid(pid, &status, 0);
	printf("status %d\n", WEXITSTATUS(status));
	p[3 * PAGE] = 'd';
}

static void runs_a_shell(const char *path)
{
	stored(path);
	printf("system: %d\n", system("echo hello; exit 3"));
	print_result("msync", 0);
}

static void child_maps_for_itself(const char *path)
{
	char *p = stored(path);
	pid_t pid;
	int status;

	REQUIRE(msync(p, PAGES * PAGE, MS_SYNC) == 0);
	pid = fork();
	if (pid == 0) {
		int fd = open(path, O_RDONLY);

		p = mmap(NULL, PAGES * PAGE, PROT_READ, MAP_SHARED, fd, 0);
		REQUIRE(p != MAP_FAILED);
		print_sum("child", p, PAGES * PAGE);
		_exit(munmap(p, PAGES * PAGE) == 0 ? 8 : 9);
	}
	waitpid(pid, &status, 0);
	printf("status %d\n", WEXITSTATUS(status));
	print_sum("parent", p, PAGES * PAGE);
}

static void child_exits(const char *path)
{
	char *p = stored(path);
	pid_t pid = fork();
	int status;

	if (pid == 0)
		exit(2);
	waitpid(pid, &status, 0);
	printf("status %d\n", WEXITSTATUS(status));
	p[PAGE] = 'c';
	print_sum("parent", p, PAGES * PAGE);
}

static void bus_past_the_end(const char *path)
{
	int fd = make_file(path, 2 * PAGE + 1);
	char *p = map(fd, 8, MAP_SHARED);

	leap_from(SIGBUS);
	touch("last", p + 2 * PAGE, 0);
	touch("load", p + 3 * PAGE, 0);
	touch("again", p + 3 * PAGE, 0);
	touch("store", p + 5 * PAGE + 9, 1);
	print_file(path);
}

static void bus_of_an_empty_file(const char *path)
{
	int fd = make_file(path, 0);

	leap_from(SIGBUS);
	touch("load", map(fd, 1, MAP_PRIVATE), 0);
	touch("store", map(fd, 1, MAP_SHARED), 1);
}

static void bus_kills(const char *path)
{
	int fd = make_file(path, PAGE);

	touch("load", map(fd, 2, MAP_SHARED) + PAGE, 0);
}

static void print_and_leave(int number)
{
	printf("handler: %s\n", sigabbrev_np(number));
	exit(11);
}

static void catches_with_signal(const char *path)
{
	printf("%d\n", signal(SIGSEGV, print_and_leave) == SIG_DFL);
	stored(path);
	touch("store", (char *)(uintptr_t)(8 * PAGE), 1);
}

static void catches_with_signal_later(const char *path)
{
	stored(path);
	printf("%d\n", signal(SIGSEGV, SIG_IGN) == SIG_DFL);
	printf("%d\n", signal(SIGSEGV, print_and_leave) == SIG_IGN);
	touch("store", (char *)(uintptr_t)(8 * PAGE), 1);
}

static void catches_and_goes_on(const char *path)
{
	struct sigaction old;
	char *p;

	leap_from(SIGSEGV);
	p = stored(path);
	touch("store", (char *)(uintptr_t)(8 * PAGE), 1);
	REQUIRE(sigaction(SIGSEGV, NULL, &old) == 0);
	printf("%d %x\n", old.sa_sigaction == leap, old.sa_flags & SA_SIGINFO);
	leap_from(SIGSEGV);
	touch("load", (char *)(uintptr_t)(8 * PAGE), 0);
	munmap(p + 4 * PAGE, PAGE);
	touch("unmapped", p + 4 * PAGE, 0);
	print_sum("seen", p, 4 * PAGE);
}

static void segv_kills(const char *path)
{
	char *p = stored(path);
	struct rlimit none = { 0, 0 };

	setrlimit(RLIMIT_CORE, &none);
	munmap(p + 4 * PAGE, PAGE);
	*(volatile char *)(p + 4 * PAGE) = 'x';
}

static void is_killed(const char *path)
{
	map_new(path, MAP_SHARED);
	kill(getpid(), SIGKILL);
}

static void is_terminated(const char *path)
{
	map_new(path, MAP_SHARED);
	kill(getpid(), SIGTERM);
}

const struct scenario scenarios[] = {
	{ "returns", returns },
	{ "exits", exits },
	{ "stores_in_atexit", stores_in_atexit },
	{ "leaves_by_its_main_thread", leaves_by_its_main_thread },
	{ "child_leaves_by_its_main_thread", child_leaves_by_its_main_thread },
	{ "becomes_nobody", becomes_nobody },
	{ "underscore_exits", underscore_exits },
	{ "underscore_Exits", underscore_Exits },
	{ "quick_exits", quick_exits },
	{ "execs_v", execs_v },
	{ "execs_ve", execs_ve },
	{ "execs_vp", execs_vp },
	{ "execs_vpe", execs_vpe },
	{ "execs_f", execs_f },
	{ "execs_l", execs_l },
	{ "execs_lp", execs_lp },
	{ "execs_le", execs_le },
	{ "execs_in_vain", execs_in_vain },
	{ "vforks", vforks },
	{ "runs_a_shell", runs_a_shell },
	{ "child_maps_for_itself", child_maps_for_itself },
	{ "child_exits", child_exits },
	{ "bus_past_the_end", bus_past_the_end },
	{ "bus_of_an_empty_file", bus_of_an_empty_file },
	{ "bus_kills", bus_kills },
	{ "catches_with_signal", catches_with_signal },
	{ "catches_with_signal_later", catches_with_signal_later },
	{ "catches_and_goes_on", catches_and_goes_on },
	{ "segv_kills", segv_kills },
	{ "is_killed", is_killed },
	{ "is_terminated", is_terminated },
	{ NULL, NULL },
};
