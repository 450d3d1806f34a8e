/* SPDX-License-Identifier: MIT */
/*
 * Fork: what a child has of its parent's mappings, and what each sees of the
 * other's stores
 *
 * Everybody tells what was seen by his exit status or in plain shared memory
 * ("board"), which wmap leaves to the kernel; the first process prints.
 */
#include <dlfcn.h>
#include <grp.h>
#include <pthread.h>
#include <sched.h>
#include <spawn.h>
#include <stdatomic.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>

#include "scenario.h"

#define LENGTH (PAGES * PAGE)

extern char **environ;

/* ---- Processes ------------------------------------------------------------------- */

struct board {
	_Atomic int step;
	_Atomic int stop;
	_Atomic unsigned long wrong;
	_Atomic long values[64];
};

static struct board *make_board(void)
{
	struct board *board = mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
				   MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	REQUIRE(board != MAP_FAILED);
	return board;
}

/* Each side does its steps when it is its turn. */
static void await(const struct board *board, int step)
{
	while (atomic_load(&board->step) < step)
		sched_yield();
}

static void done(struct board *board, int step)
{
	atomic_store(&board->step, step);
}

static int end_of(pid_t pid)
{
	int status;

	REQUIRE(pid > 0);
	REQUIRE(waitpid(pid, &status, 0) == pid);
	return status;
}

static void print_end(const char *what, pid_t pid)
{
	int status = end_of(pid);

	if (WIFSIGNALED(status))
		printf("%s: %s\n", what, sigabbrev_np(WTERMSIG(status)));
	else
		printf("%s: %d\n", what, WEXITSTATUS(status));
}

#define IN_CHILD(pid, ...) \
	do { \
		(pid) = fork(); \
		REQUIRE((pid) >= 0); \
		if (!(pid)) { \
			__VA_ARGS__; \
			_exit(0); \
		} \
	} while (0)

/* A number that tells the bytes from others: fits an exit status. */
static int digest(const void *p, size_t length)
{
	return (int)(sum(p, length) % 251);
}

/* How many of the file's bytes are not what a new FILE has? */
static unsigned long wrong_bytes(const char *p, size_t length)
{
	unsigned long wrong = 0;

	for (size_t i = 0; i < length; i++)
		wrong += (unsigned char)p[i] != byte_at(i);
	return wrong;
}

/* ---- Shared ---------------------------------------------------------------------- */

/* Untouched before; the child looks first, the parent after it. */
static void child_touches_first(const char *path)
{
	char *p = map_new(path, MAP_SHARED);
	pid_t pid;

	IN_CHILD(pid, _exit(digest(p, LENGTH)));
	print_end("child", pid);
	print_sum("parent", p, LENGTH);
}

static void parent_touches_first(const char *path)
{
	char *p = map_new(path, MAP_SHARED);
	pid_t pid;

	print_sum("parent", p, LENGTH);
	IN_CHILD(pid, _exit(digest(p, LENGTH)));
	print_end("child", pid);
}

/* Each stores and waits to see the other's, with nothing in between. */
static void play(struct board *board, char *p, int me)
{
	for (int round = 0; round < 200; round++) {
		size_t at = (size_t)(round * 331) % LENGTH;

		if (round % 2 != me) {
			await(board, round + 1);
			if (p[at] != (char)round)
				board->wrong++;
		} else {
			await(board, round);
			p[at] = (char)round;
			done(board, round + 1);
		}
	}
}

static void stores_are_seen_at_once(const char *path)
{
	struct board *board = make_board();
	char *p = map_new(path, MAP_SHARED);
	pid_t pid;

	IN_CHILD(pid, play(board, p, 1));
	play(board, p, 0);
	print_end("child", pid);
	printf("wrong: %lu\n", board->wrong);
	print_sum("memory", p, LENGTH);
	print_file(path);
}

/* All touch every page at once, each stores a byte of its own into each. */
static void everybody_at_once(const char *path)
{
	struct board *board = make_board();
	char *p = map_new(path, MAP_SHARED);
	pid_t pids[8];

	for (int i = 0; i < 8; i++)
		IN_CHILD(pids[i], await(board, 1);
			 for (size_t page = 0; page < PAGES; page++)
				 p[page * PAGE + 512 * i] = (char)(i + 1););
	done(board, 1);
	for (size_t page = 0; page < PAGES; page++)
		p[page * PAGE + 8] = 99;
	for (int i = 0; i < 8; i++)
		print_end("child", pids[i]);
	print_sum("memory", p, LENGTH);
	print_file(path);
}

static int descend(char *p, int depth)
{
	pid_t pid;
	int status;

	p[depth * PAGE + 1] = (char)(100 + depth);
	if (depth == 10)
		return digest(p, LENGTH);
	pid = fork();
	if (pid == 0)
		_exit(descend(p, depth + 1));
	status = end_of(pid);
	p[depth * PAGE + 2] = (char)(50 + depth);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 255;
}

static void ten_deep(const char *path)
{
	char *p = map_new(path, MAP_SHARED);

	printf("deepest: %d\n", descend(p, 0));
	print_sum("memory", p, LENGTH);
	print_file(path);
}

/* The one in the middle is gone when the grandchild looks. */
static void grandchild_outlives_child(const char *path)
{
	struct board *board = make_board();
	char *p = map_new(path, MAP_SHARED);
	pid_t pid;

	prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
	p[5] = 'p';
	IN_CHILD(
		pid, p[6] = 'c'; if (!fork()) {
			await(board, 1);
			p[7] = 'g';
			board->values[0] = digest(p, LENGTH);
			_exit(0);
		});
	print_end("child", pid);
	done(board, 1);
	wait(NULL);
	printf("grandchild: %ld, %.3s\n", board->values[0], p + 5);
	print_file(path);
}

static void parent_exits_first(const char *path)
{
	struct board *board = make_board();
	char *p = map_new(path, MAP_SHARED);
	pid_t pid;

	prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
	IN_CHILD(
		pid, pid_t parent = getpid(); p[0] = 'P'; if (!fork()) {
			while (getppid() == parent)
				sched_yield();
			p[1] = 'C';
			board->values[0] = digest(p, LENGTH);
			_exit(0);
		} exit(0));
	print_end("parent", pid);
	wait(NULL);
	printf("child: %ld\n", board->values[0]);
	print_sum("memory", p, LENGTH);
	print_file(path);
}

/* What a process that was killed had stored is there. */
static void child_is_killed(const char *path)
{
	struct board *board = make_board();
	char *p = map_new(path, MAP_SHARED);
	pid_t pid;

	IN_CHILD(pid, memset(p + PAGE, 'k', 3 * PAGE); done(board, 1);
		 for (;;) pause());
	await(board, 1);
	kill(pid, SIGKILL);
	print_end("child", pid);
	print_file(path);
	print_sum("memory", p, LENGTH);
	p[1] = 'a';
	print_sum("memory", p, LENGTH);
	print_file(path);
}

static void parent_is_killed(const char *path)
{
	struct board *board = make_board();
	char *p = map_new(path, MAP_SHARED);
	pid_t pid;

	prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
	IN_CHILD(
		pid, p[0] = 'P'; pid_t me = getpid(); if (!fork()) {
			while (getppid() == me)
				sched_yield();
			board->values[0] = p[0];
			p[2 * PAGE] = 'C';
			board->values[1] = digest(p, LENGTH);
			_exit(0);
		} kill(me, SIGKILL));
	print_end("parent", pid);
	wait(NULL);
	printf("child: %ld %ld\n", board->values[0], board->values[1]);
	print_file(path);
}

static void child_unmaps(const char *path)
{
	char *p = map_new(path, MAP_SHARED);
	pid_t pid;

	p[1] = 'b';
	IN_CHILD(pid, p[2] = 'c'; REQUIRE(!munmap(p, LENGTH)));
	print_end("child", pid);
	print_sum("memory", p, LENGTH);
	IN_CHILD(pid, REQUIRE(!munmap(p + 4 * PAGE, 4 * PAGE));
		 _exit(digest(p, 4 * PAGE) ^ digest(p + 8 * PAGE, 8 * PAGE)));
	print_end("child", pid);
	print_sum("memory", p, LENGTH);
	print_file(path);
}

static void parent_unmaps(const char *path)
{
	struct board *board = make_board();
	char *p = map_new(path, MAP_SHARED);
	pid_t pid;

	IN_CHILD(pid, await(board, 1); p[3] = 'c'; _exit(digest(p, LENGTH)));
	p[2] = 'p';
	REQUIRE(!munmap(p, LENGTH));
	done(board, 1);
	print_end("child", pid);
	print_file(path);
}

static void child_maps_more(const char *path)
{
	char *p = map_new(path, MAP_SHARED), *q;
	int fd = open(path, O_RDWR);
	pid_t pid;

	IN_CHILD(pid, q = map(fd, PAGES, MAP_SHARED); q[PAGE] = 'q';
		 REQUIRE(p[PAGE] == 'q'); p[2 * PAGE] = 'p';
		 REQUIRE(q[2 * PAGE] == 'p'); _exit(digest(q, LENGTH)));
	print_end("child", pid);
	print_sum("memory", p, LENGTH);
	print_file(path);
}

static void both_map_more(const char *path)
{
	struct board *board = make_board();
	char *p = map_new(path, MAP_SHARED), *q, *r = NULL;
	int fd = open(path, O_RDWR);
	pid_t pid;

	IN_CHILD(
		pid, for (int i = 0; i < 50; i++) {
			q = map(fd, PAGES, i % 2 ? MAP_SHARED : MAP_PRIVATE);
			q[i * PAGE % LENGTH + 9] = 'c';
			board->wrong += q[PAGE + 7] != p[PAGE + 7];
			REQUIRE(!munmap(q, LENGTH));
		});
	for (int i = 0; i < 50; i++) {
		r = map(fd, PAGES, i % 2 ? MAP_SHARED : MAP_PRIVATE);
		r[i * PAGE % LENGTH + 11] = 'p';
		REQUIRE(!munmap(r, LENGTH));
	}
	print_end("child", pid);
	printf("wrong: %lu\n", board->wrong);
	print_sum("memory", p, LENGTH);
	print_file(path);
}

static void read_only_in_the_parent(const char *path)
{
	int fd = make_file(path, LENGTH);
	char *p = mmap(NULL, LENGTH, PROT_READ, MAP_SHARED, fd, 0);
	pid_t pid;

	REQUIRE(p != MAP_FAILED);
	print_sum("page", p, PAGE);
	IN_CHILD(pid, REQUIRE(!mprotect(p, 3 * PAGE, PROT_READ | PROT_WRITE));
		 p[PAGE] = 'w'; p[2] = 'v');
	print_end("child", pid);
	print_sum("memory", p, LENGTH);
	print_file(path);
	IN_CHILD(pid, p[0] = 1);
	print_end("child that stores", pid);
}

static void after_mprotect(const char *path)
{
	char *p = map_new(path, MAP_SHARED);
	pid_t pid;

	p[1] = 'm';
	REQUIRE(!mprotect(p + 2 * PAGE, 2 * PAGE, PROT_READ));
	REQUIRE(!mprotect(p + 6 * PAGE, PAGE, PROT_NONE));
	IN_CHILD(pid, p[3] = 'c'; p[5 * PAGE] = 'd'; _exit(p[3 * PAGE]));
	print_end("child", pid);
	IN_CHILD(pid, p[2 * PAGE] = 'c');
	print_end("child stores", pid);
	IN_CHILD(pid, _exit(p[6 * PAGE]));
	print_end("child loads", pid);
	IN_CHILD(pid, REQUIRE(!mprotect(p, LENGTH, PROT_READ | PROT_WRITE));
		 p[6 * PAGE] = 'e'; _exit(digest(p, LENGTH)));
	print_end("child", pid);
	print_file(path);
}

static void after_mremap(const char *path)
{
	char *p = map_new(path, MAP_SHARED), *q;
	pid_t pid;

	p[1] = 'm';
	q = mremap(p, LENGTH, LENGTH / 2, 0);
	REQUIRE(q == p);
	q = mmap(NULL, LENGTH, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	q = mremap(p, LENGTH / 2, LENGTH, MREMAP_MAYMOVE | MREMAP_FIXED, q);
	REQUIRE(q != MAP_FAILED);
	IN_CHILD(pid, q[2] = 'c'; q[10 * PAGE] = 'd'; _exit(digest(q, LENGTH)));
	print_end("child", pid);
	IN_CHILD(pid, _exit(p[0]));
	print_end("where it was", pid);
	IN_CHILD(pid, q = mremap(q, LENGTH, 2 * PAGE, 0); q[PAGE] = 'x';
		 q = mremap(q, 2 * PAGE, LENGTH, MREMAP_MAYMOVE);
		 _exit(digest(q, LENGTH)));
	print_end("child", pid);
	print_sum("memory", q, LENGTH);
	print_file(path);
}

static void after_partial_unmap(const char *path)
{
	char *p = map_new(path, MAP_SHARED), *q;
	pid_t pid;

	REQUIRE(!munmap(p + 3 * PAGE, 5 * PAGE));
	q = mmap(p + 4 * PAGE, PAGE, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	REQUIRE(q == p + 4 * PAGE);
	strcpy(q, "kernel's");
	IN_CHILD(pid, REQUIRE(!strcmp(q, "kernel's")); p[1] = 'c';
		 p[9 * PAGE] = 'd';
		 _exit(digest(p, 3 * PAGE) ^ digest(p + 8 * PAGE, 8 * PAGE)));
	print_end("child", pid);
	IN_CHILD(pid, _exit(p[3 * PAGE]));
	print_end("in the hole", pid);
	print_file(path);
}

static void past_the_end(const char *path, int flags)
{
	int fd = make_file(path, 2 * PAGE + 100);
	char *p = map(fd, 4, flags);
	pid_t pid;

	leap_from(SIGBUS);
	print_sum("file", p, 3 * PAGE);
	touch("parent", p + 3 * PAGE, 0);
	IN_CHILD(pid, touch("child", p + 3 * PAGE, 0);
		 touch("child", p + 2 * PAGE + 100, 0));
	print_end("child", pid);
	IN_CHILD(pid, REQUIRE(!ftruncate(fd, 4 * PAGE));
		 touch("child, longer", p + 3 * PAGE, 1));
	print_end("child", pid);
	touch("parent, longer", p + 3 * PAGE, 0);
	IN_CHILD(pid, touch("child, longer still", p + 3 * PAGE, 1));
	print_end("child", pid);
	REQUIRE(!ftruncate(fd, PAGE));
	IN_CHILD(pid, touch("child, shorter", p + 2 * PAGE, 0);
		 touch("child, shorter", p + 9, 0));
	print_end("child", pid);
}

static void shared_past_the_end(const char *path)
{
	past_the_end(path, MAP_SHARED);
}

static void private_past_the_end(const char *path)
{
	past_the_end(path, MAP_PRIVATE);
}

/* ---- Private --------------------------------------------------------------------- */

static void private_copies_diverge(const char *path)
{
	struct board *board = make_board();
	char *p = map_new(path, MAP_PRIVATE);
	pid_t pid;

	p[0] = 'b'; /* before */
	p[PAGE + 1] = 'b';
	print_sum("a page", p + 2 * PAGE, PAGE);
	IN_CHILD(pid, REQUIRE(p[0] == 'b'); p[1] = 'c'; p[3 * PAGE] = 'c';
		 p[2 * PAGE] = 'c'; done(board, 1); await(board, 2);
		 board->wrong += p[2] == 'p' || p[5 * PAGE] == 'p';
		 _exit(digest(p, LENGTH)));
	await(board, 1);
	printf("%d\n", p[1] == 'c' || p[3 * PAGE] == 'c');
	p[2] = 'p';
	p[5 * PAGE] = 'p';
	p[2 * PAGE + 3] = 'p';
	done(board, 2);
	print_end("child", pid);
	printf("wrong: %lu\n", board->wrong);
	print_sum("memory", p, LENGTH);
	print_file(path);
}

static void private_untouched(const char *path)
{
	char *p = map_new(path, MAP_PRIVATE);
	pid_t pid, second;

	IN_CHILD(pid, p[7] = 'c';
		 IN_CHILD(second, REQUIRE(p[7] == 'c'); p[8] = 'g';
			  REQUIRE(!wrong_bytes(p, 7));
			  _exit(digest(p, LENGTH)));
		 int status = end_of(second); REQUIRE(p[8] != 'g');
		 _exit(WEXITSTATUS(status)));
	print_end("grandchild", pid);
	print_sum("memory", p, LENGTH);
	IN_CHILD(pid, _exit(digest(p, LENGTH)));
	print_end("second child", pid);
	print_file(path);
}

static void private_changed_and_cut(const char *path)
{
	char *p = map_new(path, MAP_PRIVATE), *q;
	pid_t pid;

	for (size_t i = 0; i < PAGES; i += 2)
		p[i * PAGE + i] = 'b';
	REQUIRE(!munmap(p + 5 * PAGE, PAGE));
	REQUIRE(!mprotect(p + 8 * PAGE, 2 * PAGE, PROT_READ));
	q = mremap(p + 12 * PAGE, 4 * PAGE, 4 * PAGE,
		   MREMAP_MAYMOVE | MREMAP_FIXED,
		   mmap(NULL, 4 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS,
			-1, 0));
	REQUIRE(q != MAP_FAILED);
	IN_CHILD(pid, q[3] = 'c'; p[1] = 'c';
		 _exit(digest(p, 5 * PAGE) ^ digest(p + 6 * PAGE, 6 * PAGE) ^
		       digest(q, 4 * PAGE)));
	print_end("child", pid);
	IN_CHILD(pid, p[8 * PAGE] = 1);
	print_end("stores", pid);
	IN_CHILD(pid, _exit(p[5 * PAGE]));
	print_end("in the hole", pid);
	IN_CHILD(pid, _exit(p[12 * PAGE]));
	print_end("where it was", pid);
	print_sum("memory", p, 5 * PAGE);
	print_sum("moved", q, 4 * PAGE);
	print_file(path);
}

/* A private mapping sees the file's changes where it was not stored to. */
static void private_beside_shared(const char *path)
{
	int fd = make_file(path, LENGTH);
	char *p = map(fd, PAGES, MAP_PRIVATE), *s = map(fd, PAGES, MAP_SHARED);
	pid_t pid;

	p[0] = 'b';
	IN_CHILD(pid, s[1] = 's'; s[PAGE] = 's'; REQUIRE(p[PAGE] == 's');
		 REQUIRE(p[1] != 's'); p[2 * PAGE] = 'c');
	print_end("child", pid);
	printf("%d %d %d\n", p[1] == 's', p[PAGE], p[2 * PAGE]);
	print_sum("private", p, LENGTH);
	print_sum("shared", s, LENGTH);
	print_file(path);
}

/* ---- Ways to have a child -------------------------------------------------------- */

static void run_false(const char *how, char *p, int status)
{
	printf("%s: %d\n", how, status);
	p[0]++;
}

static void vforks(const char *path)
{
	char *p = map_new(path, MAP_SHARED);
	volatile pid_t pid;

	p[0] = 'v';
	pid = vfork();
	if (!pid)
		_exit(p[0] + p[2 * PAGE]);
	print_end("vfork", pid);
	pid = vfork();
	if (!pid) {
		execl("/bin/sh", "sh", "-c", "exit 7", NULL);
		_exit(1);
	}
	print_end("exec", pid);
	pid = vfork();
	if (!pid) {
		execl("/nonexistent", "no", NULL);
		_exit(9);
	}
	print_end("exec in vain", pid);
	p[1] = 'w';
	print_sum("memory", p, LENGTH);
	print_file(path);
}

static void spawns(const char *path)
{
	char *p = map_new(path, MAP_SHARED), *q = map_new(path, MAP_PRIVATE);
	char sh[] = "sh", c[] = "-c", line[] = "read line; echo $line";
	char *argv[] = { sh, c, line, NULL };
	posix_spawn_file_actions_t actions;
	int status;
	pid_t pid;

	memcpy(p, "one line\nmore", 13);
	REQUIRE(!msync(p, LENGTH, MS_SYNC));
	q[0] = 'q';
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, 0, path, O_RDONLY, 0);
	posix_spawn_file_actions_adddup2(&actions, 1, 5);
	REQUIRE(!posix_spawn(&pid, "/bin/sh", &actions, NULL, argv, environ));
	print_end("spawn", pid);
	status = posix_spawnp(&pid, "no-such-program", NULL, NULL, argv,
			      environ);
	printf("spawn in vain: %d\n", status);
	p[20] = 's';
	REQUIRE(q[0] == 'q');
	print_sum("memory", p, LENGTH);
	print_file(path);
}

static void systems(const char *path)
{
	char *p = map_new(path, MAP_SHARED), command[4200], line[100] = "";
	FILE *pipe;

	memset(p, 'a', PAGE);
	REQUIRE(!msync(p, LENGTH, MS_SYNC));
	run_false("system", p, system("exit 3"));
	snprintf(command, sizeof(command), "head -c 3 '%s'", path);
	pipe = popen(command, "r");
	REQUIRE(pipe && fgets(line, sizeof(line), pipe));
	run_false("popen", p, pclose(pipe));
	printf("%s\n", line);
	print_sum("memory", p, LENGTH);
	print_file(path);
}

static void child_execs(const char *path)
{
	char *p = map_new(path, MAP_SHARED), *q = map_new(path, MAP_PRIVATE);
	pid_t pid;

	p[0] = 'e';
	IN_CHILD(pid, p[1] = 'c'; q[1] = 'q';
		 execlp("sh", "sh", "-c", "exit 5", NULL));
	print_end("child", pid);
	p[2] = 'f';
	print_sum("shared", p, LENGTH);
	print_sum("private", q, LENGTH);
	print_file(path);
}

/* A child that runs no handlers has none of it, and may map for itself. */
static void raw_child_maps_for_itself(const char *path)
{
	int fd = make_file(path, LENGTH);
	char *p = map(fd, PAGES, MAP_SHARED), *q, *r;
	pid_t pid;

	p[0] = 'p';
	for (int i = 0; i < 2; i++) {
		pid = (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
		if (!pid) {
			r = mmap(NULL, LENGTH, PROT_READ | PROT_WRITE,
				 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
			memset(r, 'k', LENGTH);
			q = map(fd, PAGES, MAP_SHARED);
			REQUIRE(q[0] == 'p' && r[PAGE] == 'k');
			q[PAGE + i] = 'q';
			REQUIRE(!munmap(r, LENGTH));
			if (i)
				_exit(digest(q, LENGTH));
			IN_CHILD(pid, q[2 * PAGE] = 'g');
			REQUIRE(!end_of(pid) && q[2 * PAGE] == 'g');
			REQUIRE(!munmap(q, LENGTH));
			_exit(5);
		}
		print_end("raw child", pid);
		q = map(fd, PAGES, MAP_SHARED);
		print_sum("memory", p, LENGTH);
		print_sum("mapped again", q, LENGTH);
	}
	print_file(path);
}

static char *in_handler;
static volatile sig_atomic_t forks_done;

static void fork_in_handler(int number)
{
	int saved = errno, status = 0;
	pid_t pid = fork();

	(void)number;
	if (!pid)
		_exit(in_handler[2 * PAGE] == 'h' && in_handler[1] ? 0 : 1);
	if (pid > 0 && waitpid(pid, &status, 0) == pid && !status)
		forks_done++;
	errno = saved;
}

static void forks_in_a_handler(const char *path)
{
	in_handler = map_new(path, MAP_SHARED);
	in_handler[2 * PAGE] = 'h';
	signal(SIGUSR1, fork_in_handler);
	raise(SIGUSR1);
	raise(SIGUSR1);
	printf("%d\n", (int)forks_done);
	print_sum("memory", in_handler, LENGTH);
}

static void *pester(void *arg)
{
	struct {
		pthread_t whom;
		struct board *board;
	} *to = arg;

	while (!to->board->stop) {
		pthread_kill(to->whom, SIGUSR1);
		usleep(2000);
	}
	return NULL;
}

/* The handler interrupts mmap, munmap, faults, msync, read and write. */
static void forks_in_a_handler_of_a_busy_thread(const char *path)
{
	struct board *board = make_board();
	int fd = make_file(path, LENGTH);
	struct {
		pthread_t whom;
		struct board *board;
	} to = { pthread_self(), board };
	struct sigaction act = { .sa_handler = fork_in_handler,
				 .sa_flags = SA_RESTART };
	unsigned long wrong = 0;
	char byte, *p, *q;
	pthread_t thread;

	in_handler = map(fd, PAGES, MAP_SHARED);
	in_handler[2 * PAGE] = 'h';
	sigaction(SIGUSR1, &act, NULL);
	REQUIRE(!pthread_create(&thread, NULL, pester, &to));
	for (int i = 0; forks_done < 150 && i < 100000; i++) {
		p = map(fd, PAGES, MAP_SHARED);
		q = map(fd, PAGES, MAP_PRIVATE);
		wrong += (unsigned char)p[3 * PAGE] != byte_at(3 * PAGE);
		q[3 * PAGE] = 'q';
		p[4 * PAGE + 1] = 'p';
		wrong += msync(p, LENGTH, MS_SYNC) != 0;
		REQUIRE(pread(fd, &byte, 1, 5) == 1);
		wrong += q[3 * PAGE] != 'q';
		wrong += pwrite(fd, "w", 1, 6 * PAGE) != 1;
		wrong += q[6 * PAGE] != 'w';
		REQUIRE(!munmap(p, LENGTH) && !munmap(q, LENGTH));
	}
	board->stop = 1;
	pthread_join(thread, NULL);
	printf("%d wrong %lu\n", forks_done >= 150, wrong);
	print_sum("memory", in_handler, LENGTH);
	print_file(path);
}

/* ---- Threads --------------------------------------------------------------------- */

struct worker {
	struct board *board;
	int fd, number;
	char *shared, *private;
	char *_Atomic last; /* mapped by mmap, whole, and not yet unmapped */
};

static void *fault_on(void *arg)
{
	struct worker *w = arg;
	unsigned i = (unsigned)w->number;

	while (!w->board->stop) {
		size_t at = (i++ * 7919) % LENGTH;

		if ((unsigned char)w->shared[at] != byte_at(at))
			w->board->wrong++;
		if (i % 64 == 0)
			madvise(w->shared, LENGTH, MADV_DONTNEED);
	}
	return NULL;
}

/* What others know of is always mapped. */
static void *map_on(void *arg)
{
	struct worker *w = arg;

	while (!w->board->stop) {
		char *p = map(w->fd, PAGES,
			      w->number % 2 ? MAP_SHARED : MAP_PRIVATE);
		char *other = mmap(NULL, LENGTH, PROT_READ | PROT_WRITE,
				   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		memset(other, 'k', LENGTH);
		if ((unsigned char)p[PAGE] != byte_at(PAGE))
			w->board->wrong++;
		w->last = p;
		sched_yield();
		mprotect(p + PAGE, PAGE, PROT_READ);
		for (size_t i = 0; i < LENGTH; i++)
			if (other[i] != 'k')
				w->board->wrong++;
		w->last = NULL;
		munmap(p, LENGTH);
		munmap(other, LENGTH);
	}
	return NULL;
}

static void look_around(struct worker *workers, int n)
{
	unsigned long wrong = 0;

	for (int i = 0; i < n; i++) {
		char *last = workers[i].last;

		wrong += wrong_bytes(workers[i].shared, LENGTH);
		/* but for one byte, that was changed before */
		wrong += workers[i].private[0] != 'b';
		wrong += wrong_bytes(workers[i].private, LENGTH) != 1;
		if (last)
			wrong += wrong_bytes(last, LENGTH);
	}
	_exit(wrong ? 1 : 0);
}

static void forks_beside_threads(const char *path)
{
	enum { N = 4, ROUNDS = 150 };
	struct board *board = make_board();
	int fd = make_file(path, LENGTH), status, bad = 0;
	struct worker workers[N];
	pthread_t threads[N];
	char *p = map(fd, PAGES, MAP_SHARED), *q = map(fd, PAGES, MAP_PRIVATE);
	pid_t pid;

	q[0] = 'b';
	for (int i = 0; i < N; i++) {
		workers[i] = (struct worker){ board, fd, i, p, q, NULL };
		REQUIRE(!pthread_create(&threads[i], NULL,
					i < 2 ? map_on : fault_on,
					&workers[i]));
	}
	for (int i = 0; i < ROUNDS; i++) {
		IN_CHILD(pid, look_around(workers, N));
		status = end_of(pid);
		if (status && !bad++)
			fprintf(stderr, "round %d: %x\n", i, status);
	}
	board->stop = 1;
	for (int i = 0; i < N; i++)
		pthread_join(threads[i], NULL);
	printf("bad children %d, wrong %lu\n", bad, board->wrong);
}

static void *fork_on(void *arg)
{
	struct worker *w = arg;

	for (int i = 0; i < 40; i++) {
		pid_t pid = fork();
		int status = -1;

		if (!pid)
			look_around(w, 1);
		waitpid(pid, &status, 0);
		if (status)
			w->board->wrong++;
	}
	return NULL;
}

static void threads_fork_at_once(const char *path)
{
	enum { N = 4 };
	struct board *board = make_board();
	int fd = make_file(path, LENGTH);
	struct worker workers[N];
	pthread_t threads[N];
	char *p = map(fd, PAGES, MAP_SHARED), *q = map(fd, PAGES, MAP_PRIVATE);

	q[0] = 'b';
	for (int i = 0; i < N; i++) {
		workers[i] = (struct worker){ board, fd, i, p, q, NULL };
		REQUIRE(!pthread_create(&threads[i], NULL, fork_on,
					&workers[i]));
	}
	for (int i = 0; i < N; i++)
		pthread_join(threads[i], NULL);
	printf("wrong %lu\n", board->wrong);
}

static char *early;
static struct board *early_board;

static void early_child(void)
{
	if (early)
		early_board->values[0] = early[PAGE];
}

/* A handler that the program had before it mapped anything. */
static void a_handler_of_the_child_looks(const char *path)
{
	pid_t pid;

	early_board = make_board();
	REQUIRE(!pthread_atfork(NULL, NULL, early_child));
	early = map_new(path, MAP_SHARED);
	IN_CHILD(pid, early[1] = 'x');
	print_end("child", pid);
	printf("%ld\n", early_board->values[0]);
	print_sum("memory", early, LENGTH);
}

/* ---- Many and few ---------------------------------------------------------------- */

static void a_thousand_mappings(const char *path)
{
	enum { N = 1000 };
	static char *at[N];
	int fd = make_file(path, 4 * LENGTH);
	unsigned long wrong = 0;
	pid_t pid;

	for (int i = 0; i < N; i++) {
		off_t offset = (off_t)(i % 60) * PAGE;

		at[i] = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE,
			     i % 3 ? MAP_SHARED : MAP_PRIVATE, fd, offset);
		REQUIRE(at[i] != MAP_FAILED);
		if (i % 3 == 0)
			at[i][1] = (char)i;
	}
	IN_CHILD(
		pid, for (int i = 0; i < N; i++) {
			size_t from = (size_t)(i % 60) * PAGE;

			wrong += (unsigned char)at[i][0] != byte_at(from);
			wrong += (unsigned char)at[i][PAGE] !=
				 byte_at(from + PAGE);
			if (i % 3 == 0)
				wrong += at[i][1] != (char)i;
			else
				at[i][2] = 'c';
		} _exit(wrong ? 1 : 0));
	print_end("child", pid);
	for (int i = 0; i < N; i++)
		wrong += (at[i][2] != 'c') != (i % 3 == 0) && i % 60 % 3;
	printf("wrong %lu\n", wrong);
	print_file(path);
}

static void use_up_descriptors(int leave)
{
	struct rlimit limit = { 200, 200 };
	int fd;

	REQUIRE(!setrlimit(RLIMIT_NOFILE, &limit));
	while ((fd = dup(1)) >= 0)
		;
	for (fd = 199; leave; leave--, fd--)
		close(fd);
}

static void without_descriptors(const char *path)
{
	int fd = make_file(path, LENGTH);
	char *p = map(fd, PAGES, MAP_SHARED), *q = map(fd, PAGES, MAP_PRIVATE);
	pid_t pid;

	p[0] = q[1] = 'b';
	use_up_descriptors(0);
	IN_CHILD(pid, p[2 * PAGE] = 'c'; q[3 * PAGE] = 'c';
		 _exit(digest(p, LENGTH) ^ digest(q, LENGTH)));
	print_end("child", pid);
	IN_CHILD(
		pid, p[PAGE] = 'd'; if (!fork()) {
			p[PAGE + 1] = 'e';
			_exit(0);
		} wait(NULL));
	print_end("child", pid);
	print_sum("shared", p, LENGTH);
	print_sum("private", q, LENGTH);
}

static void with_a_few_descriptors(const char *path)
{
	enum { N = 150 };
	static char *at[N];
	int fd = make_file(path, LENGTH);
	unsigned long wrong = 0;
	pid_t pid;

	for (int i = 0; i < N; i++)
		at[i] = map(fd, PAGES, MAP_SHARED);
	use_up_descriptors(3);
	IN_CHILD(pid,
		 for (int i = 0; i < N; i++) wrong += wrong_bytes(at[i], PAGE);
		 at[7][9] = 'c'; _exit(wrong ? 1 : 0));
	print_end("child", pid);
	print_sum("memory", at[0], LENGTH);
}

/* Those that most have: every descriptor but the first three is closed. */
static void daemon_closes_all(const char *path)
{
	char *p = map_new(path, MAP_SHARED), *q = map_new(path, MAP_PRIVATE);
	pid_t pid;

	p[0] = q[0] = 'b';
	IN_CHILD(pid, for (int fd = 3; fd < 1024; fd++) close(fd);
		 p[PAGE] = 'c'; _exit(digest(p, LENGTH) ^ digest(q, LENGTH)));
	print_end("one by one", pid);
	IN_CHILD(pid, close_range(3, ~0u, 0); p[2 * PAGE] = 'd';
		 _exit(digest(p, LENGTH) ^ digest(q, LENGTH)));
	print_end("at once", pid);
	IN_CHILD(pid, closefrom(3); p[3 * PAGE] = 'e';
		 _exit(digest(p, LENGTH) ^ digest(q, LENGTH)));
	print_end("closefrom", pid);
	IN_CHILD(pid, for (int fd = 3; fd < 100; fd++) dup2(1, fd);
		 p[4 * PAGE] = 'f';
		 _exit(digest(p, LENGTH) ^ digest(q, LENGTH)));
	print_end("dup2", pid);
	closefrom(3);
	p[5 * PAGE] = 'g';
	print_sum("shared", p, LENGTH);
	print_sum("private", q, LENGTH);
	print_file(path);
}

/* Without the pager's thread: by functions that others could be in the way of. */
static void closes_all_it_finds(const char *path)
{
	char *p = map_new(path, MAP_SHARED);

	p[0] = 'b';
	for (int fd = 3; fd < 1024; fd++)
		close(fd);
	p[PAGE] = 'c';
	close_range(3, ~0u, 0);
	p[2 * PAGE] = 'd';
	closefrom(3);
	p[3 * PAGE] = 'e';
	REQUIRE(!msync(p, LENGTH, MS_SYNC));
	print_sum("shared", p, LENGTH);
	print_file(path);
}

/* By system calls that nobody can be in the way of; and then others are there. */
static void close_raw(int *others, int n)
{
	syscall(SYS_close_range, 3, ~0u, 0);
	for (int i = 0; i < n; i++)
		others[i] = i % 2 ? socket(AF_UNIX, SOCK_SEQPACKET, 0) :
				    open("/dev/null", O_RDWR);
}

/* Which of them are what they were: sockets that nobody connected, and the rest. */
static int still_open(const int *others, int n)
{
	struct sockaddr_un peer;
	int found = 0;

	for (int i = 0; i < n; i++) {
		socklen_t size = sizeof(peer);
		struct stat st;

		if (fstat(others[i], &st) != 0)
			continue;
		if (i % 2)
			found += getpeername(others[i], (void *)&peer, &size) &&
				 errno == ENOTCONN;
		else
			found += S_ISCHR(st.st_mode);
	}
	return found;
}

static void closes_all_by_system_calls(const char *path)
{
	enum { N = 100 };
	char *p = map_new(path, MAP_SHARED), *q = map_new(path, MAP_PRIVATE);
	int others[N];
	pid_t pid;

	p[0] = q[0] = 'b';
	IN_CHILD(pid, close_raw(others, N); p[PAGE] = 'c';
		 REQUIRE(!msync(p, LENGTH, MS_SYNC));
		 REQUIRE(still_open(others, N) == N);
		 _exit(digest(p, LENGTH) ^ digest(q, LENGTH)));
	print_end("child", pid);
	close_raw(others, N);
	p[2 * PAGE] = 'd';
	print_sum("shared", p, LENGTH);
	print_sum("private", q, LENGTH);
	REQUIRE(!msync(p, LENGTH, MS_SYNC));
	REQUIRE(!munmap(p + 12 * PAGE, 4 * PAGE));
	IN_CHILD(pid, p[3 * PAGE] = 'e'; _exit(digest(p, LENGTH / 2)));
	print_end("a child of it", pid);
	printf("%d are open\n", still_open(others, N));
	print_file(path);
}

/* ---- Another user's ---------------------------------------------------------------- */

#define A_WHILE 100000 /* µs: wmap has a child's thread there by then */

static void give_up_privilege(void)
{
	if (getuid() != 0)
		return;
	REQUIRE(!setgroups(0, NULL));
	REQUIRE(!setresgid(65534, 65534, 65534));
	REQUIRE(!setresuid(65534, 65534, 65534));
}

/* @pause: before memory is touched that nobody has touched. */
static void have_nobody_look(const char *path, size_t pages, useconds_t pause)
{
	int fd = make_file(path, pages * PAGE);
	char *p = map(fd, pages, MAP_SHARED), *q;
	pid_t pid, second;

	REQUIRE(!madvise(p, pages * PAGE, MADV_RANDOM));
	IN_CHILD(pid, give_up_privilege(); usleep(pause); p[0] = 'n';
		 q = map(fd, pages, MAP_SHARED); REQUIRE(q[0] == 'n');
		 q[1] = 'o';
		 IN_CHILD(second, usleep(pause); p[2] = 'g';
			  REQUIRE(q[2] == 'g'); _exit(digest(p, pages * PAGE)));
		 int status = end_of(second);
		 _exit(WIFEXITED(status) ? WEXITSTATUS(status) : 255));
	print_end("nobody", pid);
	print_sum("memory", p, pages * PAGE);
	print_file(path);
}

static void gives_up_its_privilege(const char *path)
{
	have_nobody_look(path, PAGES, 0);
}

/* The thread of the child of who is nobody comes as nobody. */
static void gives_up_its_privilege_early(const char *path)
{
	have_nobody_look(path, 16 * PAGES, A_WHILE);
}

/* More calls at a time than there were before it was another user's. */
static void map_by_threads(int fd, char *p)
{
	enum { N = 4 };
	struct board *board = make_board();
	struct worker workers[N];
	pthread_t threads[N];

	for (int i = 0; i < N; i++) {
		workers[i] = (struct worker){ board, fd, i, p, NULL, NULL };
		REQUIRE(!pthread_create(&threads[i], NULL, map_on,
					&workers[i]));
	}
	usleep(A_WHILE);
	board->stop = 1;
	for (int i = 0; i < N; i++)
		pthread_join(threads[i], NULL);
	REQUIRE(!board->wrong);
}

static void threads_without_privilege(const char *path)
{
	int fd = make_file(path, LENGTH);
	char *p = map(fd, PAGES, MAP_SHARED);
	pid_t pid;

	IN_CHILD(pid, give_up_privilege(); map_by_threads(fd, p));
	print_end("nobody", pid);
	give_up_privilege();
	map_by_threads(fd, p);
	print_sum("memory", p, LENGTH);
}

const struct scenario scenarios[] = {
	{ "child_touches_first", child_touches_first },
	{ "parent_touches_first", parent_touches_first },
	{ "stores_are_seen_at_once", stores_are_seen_at_once },
	{ "everybody_at_once", everybody_at_once },
	{ "ten_deep", ten_deep },
	{ "grandchild_outlives_child", grandchild_outlives_child },
	{ "parent_exits_first", parent_exits_first },
	{ "child_is_killed", child_is_killed },
	{ "parent_is_killed", parent_is_killed },
	{ "child_unmaps", child_unmaps },
	{ "parent_unmaps", parent_unmaps },
	{ "child_maps_more", child_maps_more },
	{ "both_map_more", both_map_more },
	{ "read_only_in_the_parent", read_only_in_the_parent },
	{ "after_mprotect", after_mprotect },
	{ "after_mremap", after_mremap },
	{ "after_partial_unmap", after_partial_unmap },
	{ "shared_past_the_end", shared_past_the_end },
	{ "private_past_the_end", private_past_the_end },
	{ "private_copies_diverge", private_copies_diverge },
	{ "private_untouched", private_untouched },
	{ "private_changed_and_cut", private_changed_and_cut },
	{ "private_beside_shared", private_beside_shared },
	{ "vforks", vforks },
	{ "spawns", spawns },
	{ "systems", systems },
	{ "child_execs", child_execs },
	{ "raw_child_maps_for_itself", raw_child_maps_for_itself },
	{ "forks_in_a_handler", forks_in_a_handler },
	{ "forks_in_a_handler_of_a_busy_thread",
	  forks_in_a_handler_of_a_busy_thread },
	{ "forks_beside_threads", forks_beside_threads },
	{ "threads_fork_at_once", threads_fork_at_once },
	{ "a_handler_of_the_child_looks", a_handler_of_the_child_looks },
	{ "a_thousand_mappings", a_thousand_mappings },
	{ "without_descriptors", without_descriptors },
	{ "with_a_few_descriptors", with_a_few_descriptors },
	{ "daemon_closes_all", daemon_closes_all },
	{ "closes_all_it_finds", closes_all_it_finds },
	{ "closes_all_by_system_calls", closes_all_by_system_calls },
	{ "gives_up_its_privilege", gives_up_its_privilege },
	{ "gives_up_its_privilege_early", gives_up_its_privilege_early },
	{ "threads_without_privilege", threads_without_privilege },
	{ NULL, NULL },
};
