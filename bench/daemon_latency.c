/* SPDX-License-Identifier: MIT */
/*
 * What does it cost that wmapd serves a fault, and not the pager's thread?
 *
 * Measured: single first touches (loads) of 4 KiB pages of a file in the page
 * cache, mapped shared for reading, in shuffled order, the clock read before and
 * after each by who touches; in turns, round by round, in one run:
 *
 *   thread_1  one process with a thread that touches, and its pager's thread
 *   daemon_1  the same, served by wmapd
 *   thread_8  one process with eight threads that touch, and its pager's thread
 *   daemon_8  eight processes that touch, served by one wmapd
 *
 * Each way has a pager of its own: who has one client has no others in between.
 * Each process of "8" touches its own mapping of a file of its own, as each
 * thread does. Those that are not in turn sleep. Each touch's data is checked.
 *
 * Not measured: reading from a disk, stores, calls.
 *
 * The last lines give p50 by wmapd by p50 by the thread; 1.15 is the limit.
 */
#include "bench.h"

#include <wmap/wmap.h>

#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE	((size_t)WMAP_PAGE_SIZE)
#define CLIENTS 8

static uint32_t pages = 1024;
static unsigned rounds = 16;
static int files[CLIENTS]; /* each page begins with its number plus one */

/* A process that touches on demand: who is where, and what it measured. */
struct toucher {
	pid_t pid;
	int go, done;  /* pipes: a byte each */
	unsigned n;    /* threads */
	unsigned file; /* the first one's */
	uint64_t *ns;  /* shared memory: n * pages */
};

static struct way {
	const char *what;
	bool daemon;
	unsigned processes, threads;
	pid_t wmapd;
	struct toucher touchers[CLIENTS];
	struct bench_samples samples;
} ways[] = {
	{ .what = "thread_1", .processes = 1, .threads = 1 },
	{ .what = "daemon_1", .daemon = true, .processes = 1, .threads = 1 },
	{ .what = "thread_8", .processes = 1, .threads = CLIENTS },
	{ .what = "daemon_8",
	  .daemon = true,
	  .processes = CLIENTS,
	  .threads = 1 },
};

#define WAYS (sizeof ways / sizeof *ways)

/* ---- Touching, in a process of its own ----------------------------------- */

struct thread {
	pthread_t id;
	char *at;
	uint64_t *ns;
	pthread_barrier_t *start;
};

static void *touch_all(void *arg)
{
	struct thread *thread = arg;
	uint32_t *order = malloc(pages * sizeof *order);

	if (!order)
		bench_die("order");
	bench_shuffle(order, pages);
	pthread_barrier_wait(thread->start);
	for (uint32_t i = 0; i < pages; i++) {
		volatile uint32_t *word =
			(void *)(thread->at + order[i] * PAGE);
		uint64_t start = bench_now();
		uint32_t got = *word;

		thread->ns[i] = bench_now() - start;
		if (got != order[i] + 1) {
			fprintf(stderr, "page %u has wrong data\n", order[i]);
			exit(EXIT_FAILURE);
		}
	}
	free(order);
	return NULL;
}

static char *map(int file)
{
	char *at = wmap_map(NULL, pages * PAGE, PROT_READ, WMAP_SHARED, file, 0,
			    NULL);

	if (at == WMAP_FAILED)
		bench_die("wmap_map");
	wmap_advise(at, pages * PAGE, WMAP_ADVICE_RANDOM);
	return at;
}

static void touch_once(const struct toucher *toucher)
{
	struct thread threads[CLIENTS];
	pthread_barrier_t start;

	pthread_barrier_init(&start, NULL, toucher->n);
	for (unsigned i = 0; i < toucher->n; i++) {
		threads[i].at = map(files[toucher->file + i]);
		threads[i].ns = toucher->ns + (size_t)i * pages;
		threads[i].start = &start;
	}
	for (unsigned i = 0; i < toucher->n; i++)
		if (pthread_create(&threads[i].id, NULL, touch_all,
				   &threads[i]))
			bench_die("pthread_create");
	for (unsigned i = 0; i < toucher->n; i++) {
		pthread_join(threads[i].id, NULL);
		if (wmap_unmap(threads[i].at, pages * PAGE))
			bench_die("wmap_unmap");
	}
}

static void be_toucher(const struct toucher *toucher, const char *address)
{
	char byte;

	if (address)
		setenv("WMAP_SOCKET", address, 1);
	else
		unsetenv("WMAP_SOCKET");
	if (wmap_start(NULL))
		bench_die("wmap_start");
	while (read(toucher->go, &byte, 1) == 1) {
		touch_once(toucher);
		if (write(toucher->done, &byte, 1) != 1)
			break;
	}
	exit(EXIT_SUCCESS);
}

/* ---- The processes ------------------------------------------------------- */

static void start_toucher(struct way *way, unsigned i, const char *address)
{
	struct toucher *toucher = &way->touchers[i];
	int go[2], done[2];

	toucher->n = way->threads;
	toucher->file = i;
	toucher->ns = mmap(NULL, way->threads * pages * sizeof *toucher->ns,
			   PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
			   -1, 0);
	if (toucher->ns == MAP_FAILED || pipe2(go, O_CLOEXEC) ||
	    pipe2(done, O_CLOEXEC))
		bench_die("toucher");
	toucher->pid = fork();
	if (toucher->pid < 0)
		bench_die("fork");
	if (!toucher->pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(go[1]);
		close(done[0]);
		toucher->go = go[0];
		toucher->done = done[1];
		be_toucher(toucher, way->daemon ? address : NULL);
	}
	close(go[0]);
	close(done[1]);
	toucher->go = go[1];
	toucher->done = done[0];
}

static void stop_touchers(struct way *way)
{
	for (unsigned i = 0; i < way->processes; i++)
		kill(way->touchers[i].pid, SIGKILL);
	for (unsigned i = 0; i < way->processes; i++)
		waitpid(way->touchers[i].pid, NULL, 0);
	if (!way->daemon)
		return;
	kill(way->wmapd, SIGKILL);
	waitpid(way->wmapd, NULL, 0);
}

static void measure(struct way *way, bool counted)
{
	char byte = 1;

	for (unsigned i = 0; i < way->processes; i++)
		if (write(way->touchers[i].go, &byte, 1) != 1)
			bench_die("a process that touches");
	for (unsigned i = 0; i < way->processes; i++) {
		const struct toucher *toucher = &way->touchers[i];

		if (read(toucher->done, &byte, 1) != 1)
			bench_die("a process that touches");
		for (size_t k = 0; counted && k < toucher->n * pages; k++)
			bench_add(&way->samples, toucher->ns[k]);
	}
}

/* ---- wmapd --------------------------------------------------------------- */

/* Beside this program, in ../bin. */
static void wmapd_path(char *path, size_t size)
{
	ssize_t n = readlink("/proc/self/exe", path, size - 20);
	char *slash;

	path[n > 0 ? n : 0] = '\0';
	slash = strrchr(path, '/');
	strcpy(slash ? slash : path, "/../bin/wmapd");
}

static pid_t start_wmapd(const char *address)
{
	char path[PATH_MAX], byte;
	int ready[2];
	pid_t pid;

	wmapd_path(path, sizeof path);
	if (access(path, X_OK)) {
		fprintf(stderr, "skipped: there is no %s\n", path);
		exit(BENCH_SKIPPED);
	}
	if (pipe(ready))
		bench_die("pipe");
	pid = fork();
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(ready[1], 3);
		execl(path, "wmapd", "--socket", address, "--ready-fd", "3",
		      NULL);
		_exit(EXIT_FAILURE);
	}
	close(ready[1]);
	if (read(ready[0], &byte, 1) != 1) {
		fprintf(stderr, "skipped: wmapd does not start here\n");
		exit(BENCH_SKIPPED);
	}
	close(ready[0]);
	return pid;
}

/* ---- Results, setting up ------------------------------------------------- */

static void print_ratio(const char *what, struct way *thread,
			struct way *daemon)
{
	printf("{\"what\": \"%s\", \"ratio\": %.3f, \"limit\": 1.15}\n", what,
	       (double)bench_quantile(&daemon->samples, 0.5) /
		       (double)bench_quantile(&thread->samples, 0.5));
}

static int make_file(void)
{
	char path[] = "/tmp/wmap-bench-XXXXXX";
	uint32_t words[WMAP_PAGE_SIZE / 4] = { 0 };
	int file = mkostemp(path, O_CLOEXEC);

	if (file < 0)
		bench_die(path);
	unlink(path);
	for (uint32_t i = 0; i < pages; i++) {
		words[0] = i + 1;
		if (write(file, words, PAGE) != (ssize_t)PAGE)
			bench_die("write");
	}
	fsync(file);
	return file;
}

static void usage(FILE *to)
{
	fprintf(to,
		"usage: daemon_latency [--pages N] [--rounds N]\n"
		"Measure faults served by wmapd and by a thread; print lines "
		"of JSON, in ns.\n"
		"  --pages N   pages touched by each in each round (1024)\n"
		"  --rounds N  rounds, in which all ways take turns (16)\n"
		"  --help      this\n"
		"WMAP_BENCH_BRIEF=1 in the environment: only for a moment.\n");
}

static unsigned number(const char *text)
{
	char *end;
	unsigned long n = strtoul(text, &end, 10);

	if (*end || end == text || !n || n > 1u << 20) {
		fprintf(stderr, "daemon_latency: not a count: %s\n", text);
		exit(2);
	}
	return (unsigned)n;
}

static void read_options(int argc, char **argv)
{
	static const struct option options[] = {
		{ "pages", required_argument, NULL, 'p' },
		{ "rounds", required_argument, NULL, 'r' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) >= 0)
		switch (option) {
		case 'p':
			pages = number(optarg);
			break;
		case 'r':
			rounds = number(optarg);
			break;
		case 'h':
			usage(stdout);
			exit(0);
		default:
			usage(stderr);
			exit(2);
		}
}

static void start(struct way *way)
{
	char address[64];

	snprintf(address, sizeof address, "@wmap-bench-%d-%s", (int)getpid(),
		 way->what);
	if (way->daemon)
		way->wmapd = start_wmapd(address);
	for (unsigned i = 0; i < way->processes; i++)
		start_toucher(way, i, address);
}

int main(int argc, char **argv)
{
	if (bench_is_brief()) {
		pages = 64;
		rounds = 1;
	}
	read_options(argc, argv);
	for (unsigned i = 0; i < CLIENTS; i++)
		files[i] = make_file();
	for (size_t i = 0; i < WAYS; i++)
		start(&ways[i]);
	for (unsigned round = 0; round <= rounds; round++)
		for (size_t i = 0; i < WAYS; i++)
			measure(&ways[i], round > 0); /* the first warms up */
	for (size_t i = 0; i < WAYS; i++) {
		bench_print(ways[i].what, false, "pages", &ways[i].samples);
		stop_touchers(&ways[i]);
	}
	print_ratio("ratio_1", &ways[0], &ways[1]);
	print_ratio("ratio_8", &ways[2], &ways[3]);
	return 0;
}
