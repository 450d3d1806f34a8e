/* SPDX-License-Identifier: MIT */
/*
 * What does fork cost a process that has 1 GiB loaded in shared mappings?
 *
 * fork, _exit in the child, wait: over a mapping of wmap's whose pager is wmapd,
 * over plain MAP_SHARED memory of the same size, and over neither. Each has a
 * process of its own, and these take turns, fork by fork. Then once more, with
 * a child that loads a byte of every 64th page: reported, without a limit.
 *
 * And the first fork of a process whose pager is a thread till then, and moves
 * out: how long fork takes, of a process each. Its pages were loaded, not stored
 * to.
 *
 * Starts the wmapd of the build beside it. Exit status 1 if the ratio of the
 * medians, fork alone, is above 1.5, or the median of first forks above 30 ms.
 */
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#include <wmap/wmap.h>

#include "bench.h"

#define PAGE  4096u
#define LIMIT 1.5
#define FIRST 30.0 /* ms */

static size_t length;
static int rounds, firsts;

/* ---- A process that forks when it is told to ---------------------------------- */

enum way { NOTHING, PLAIN, WMAP, WAYS };
static const char *const names[WAYS] = { "nothing", "plain", "wmap" };

struct forker {
	pid_t pid;
	int ask, hear;
};

static char *map_file(void)
{
	char path[] = "/tmp/wmap-fork-XXXXXX";
	int fd = mkostemp(path, O_CLOEXEC);
	char *at;

	if (fd < 0 || unlink(path) != 0 || ftruncate(fd, (off_t)length) != 0)
		bench_die("file");
	at = wmap_map(NULL, length, PROT_READ | PROT_WRITE, WMAP_SHARED, fd, 0,
		      NULL);
	if (at == MAP_FAILED)
		bench_die("map");
	close(fd);
	return at;
}

static char *memory_of(enum way way)
{
	char *at;

	if (way == NOTHING)
		return NULL;
	if (way == PLAIN)
		at = mmap(NULL, length, PROT_READ | PROT_WRITE,
			  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	else
		at = map_file();
	if (at == MAP_FAILED)
		bench_die("map");
	for (size_t i = 0; i < length; i += PAGE)
		at[i] = 1;
	return at;
}

static uint64_t fork_once(const volatile char *at, bool look)
{
	uint64_t begin = bench_now();
	int status;
	pid_t pid = fork();

	if (pid < 0)
		bench_die("fork");
	if (pid == 0) {
		int sum = 0;

		for (size_t i = 0; look && at && i < length; i += 64 * PAGE)
			sum += at[i] != 1;
		_exit(sum ? 1 : 0);
	}
	if (waitpid(pid, &status, 0) != pid || status)
		bench_die("the child saw other bytes");
	return bench_now() - begin;
}

__attribute__((noreturn)) static void forker_run(enum way way, int ask,
						 int answer)
{
	char *at = memory_of(way), what = 0;
	uint64_t ns = 0;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (way == NOTHING)
		length = 0;
	while (write(answer, &ns, sizeof(ns)) == sizeof(ns) &&
	       read(ask, &what, 1) == 1)
		ns = fork_once(at, what == 'l');
	_exit(0);
}

static uint64_t forker_hear(const struct forker *forker)
{
	uint64_t ns;

	if (read(forker->hear, &ns, sizeof(ns)) != sizeof(ns)) {
		fputs("a forking process has died\n", stderr);
		exit(EXIT_FAILURE);
	}
	return ns;
}

static void forker_start(struct forker *forker, enum way way)
{
	int ask[2], answer[2];

	if (pipe2(ask, O_CLOEXEC) != 0 || pipe2(answer, O_CLOEXEC) != 0)
		bench_die("pipe");
	forker->pid = fork();
	if (forker->pid == 0) {
		close(ask[1]);
		close(answer[0]);
		forker_run(way, ask[0], answer[1]);
	}
	close(ask[0]);
	close(answer[1]);
	forker->ask = ask[1];
	forker->hear = answer[0];
	forker_hear(forker);
}

static uint64_t forker_ask(const struct forker *forker, char what)
{
	if (write(forker->ask, &what, 1) != 1)
		bench_die("ask");
	return forker_hear(forker);
}

/* ---- The first fork --------------------------------------------------------------- */

static bool ends_well(pid_t pid)
{
	int status;

	return waitpid(pid, &status, 0) == pid && !status;
}

__attribute__((noreturn)) static void move_out(int answer)
{
	const volatile char *at;
	uint64_t ns;
	pid_t pid;

	if (wmap_pager_set("thread") != 0)
		bench_die("wmap_pager_set");
	at = map_file();
	for (size_t i = 0; i < length; i += PAGE)
		if (at[i])
			bench_die("the file's bytes are others");
	ns = bench_now();
	pid = fork();
	if (pid == 0)
		_exit(at[length - PAGE]);
	ns = bench_now() - ns;
	if (pid < 0 || !ends_well(pid))
		bench_die("the first fork");
	_exit(write(answer, &ns, sizeof(ns)) != sizeof(ns));
}

static double measure_first(void)
{
	static struct bench_samples samples;
	int answer[2];

	if (pipe(answer) != 0)
		bench_die("pipe");
	for (int i = 0; i < firsts; i++) {
		pid_t pid = fork();
		uint64_t ns = 0;

		if (pid == 0)
			move_out(answer[1]);
		if (pid < 0 || !ends_well(pid) ||
		    read(answer[0], &ns, sizeof(ns)) != sizeof(ns))
			bench_die("a process that forks first");
		bench_add(&samples, ns);
	}
	bench_print("first fork", false, "forks", &samples);
	return (double)bench_quantile(&samples, 0.5) / 1e6;
}

/* ---- wmapd ----------------------------------------------------------------------- */

static pid_t start_wmapd(void)
{
	char path[4096], name[64];
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 32);
	int ready[2];
	char *slash;
	pid_t pid;

	if (n <= 0)
		bench_die("/proc/self/exe");
	path[n] = '\0';
	slash = strrchr(path, '/');
	strcpy(slash, "/../bin/wmapd");
	snprintf(name, sizeof(name), "@wmap-bench-%d", (int)getpid());
	setenv("WMAP_SOCKET", name, 1);
	if (access(path, X_OK) != 0)
		exit(BENCH_SKIPPED);
	if (pipe(ready) != 0)
		bench_die("pipe");
	pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGTERM);
		execl(path, "wmapd", "--socket", name, (char *)NULL);
		_exit(127);
	}
	close(ready[0]);
	close(ready[1]);
	return pid;
}

/* Nobody listens before wmapd does. */
static void await_wmapd(void)
{
	for (int i = 0; i < 500; i++) {
		pid_t pid = fork();
		int status;

		if (pid == 0)
			_exit(wmap_start(NULL) != 0);
		if (waitpid(pid, &status, 0) == pid && !status)
			return;
		usleep(10000);
	}
	fputs("wmapd does not answer\n", stderr);
	exit(BENCH_SKIPPED);
}

/* ---- Rounds ---------------------------------------------------------------------- */

static double compare(struct forker *forkers, char what, const char *kind)
{
	static struct bench_samples samples[WAYS];
	char name[64];

	for (int way = 0; way < WAYS; way++)
		samples[way].n = 0;
	for (int round = 0; round < rounds; round++)
		for (int way = 0; way < WAYS; way++)
			bench_add(&samples[way],
				  forker_ask(&forkers[way], what));
	for (int way = 0; way < WAYS; way++) {
		snprintf(name, sizeof(name), "%s, %s", kind, names[way]);
		bench_print(name, false, "forks", &samples[way]);
	}
	return (double)bench_quantile(&samples[WMAP], 0.5) /
	       (double)bench_quantile(&samples[PLAIN], 0.5);
}

int main(void)
{
	struct forker forkers[WAYS];
	double alone, looking, first;
	pid_t wmapd = start_wmapd();

	length = (size_t)(bench_is_brief() ? 32 : 1024) << 20;
	rounds = bench_is_brief() ? 20 : 200;
	firsts = bench_is_brief() ? 1 : 5;
	await_wmapd();
	for (int way = 0; way < WAYS; way++)
		forker_start(&forkers[way], (enum way)way);
	alone = compare(forkers, 'f', "fork");
	looking = compare(forkers, 'l', "fork and look");
	printf("{\"what\": \"wmap / plain\", \"MiB\": %zu, \"fork\": %.2f, "
	       "\"fork and look\": %.2f, \"limit\": %.1f}\n",
	       length >> 20, alone, looking, LIMIT);
	/* A later one has the descriptors of the earlier ones, too. */
	for (int way = 0; way < WAYS; way++)
		close(forkers[way].ask);
	for (int way = 0; way < WAYS; way++)
		waitpid(forkers[way].pid, NULL, 0);
	kill(wmapd, SIGTERM);
	waitpid(wmapd, NULL, 0);
	first = measure_first();
	printf("{\"what\": \"first fork\", \"MiB\": %zu, \"ms\": %.1f, "
	       "\"limit\": %.1f}\n",
	       length >> 20, first, FIRST);
	return !bench_is_brief() && (alone > LIMIT || first > FIRST);
}
