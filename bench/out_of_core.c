/* SPDX-License-Identifier: MIT */
/*
 * Data larger than memory: how fast is a program on a file four times the memory
 * that it may use?
 *
 * One access code over a pointer, which does not know where it came from. The
 * ways: wmap with a budget, no advice given; mmap with default advice, with
 * MADV_RANDOM and with MADV_SEQUENTIAL; and, for random accesses and for one
 * reader upwards, the smallest pagers (bare.h), which say what the mechanism
 * takes. All run in a memory cgroup of that size (and SPARE bytes for the process
 * itself; v1 or v2), which is gone afterwards.
 *
 * Each measurement is a process of its own. Before it the page cache is
 * dropped; random, hot and zipf first fill memory, untimed, with 16 threads. Every
 * word that is loaded is compared with what must be there, and after stores the
 * file is read again: each page must hold exactly what was stored last.
 *
 * cold is the start of a program that touches runs of 1 to 8 pages here and there,
 * each once, with a recording of the same made before, untimed; cold_wrong has one
 * of other runs. There wmap_none is wmap without a recording.
 *
 * Of the others, loop goes upwards over a quarter more than the memory, four times;
 * gaps downwards, past a quarter of the pages; think upwards, with 10 us of
 * something else after each page; blocks reads aligned 64 KiB in an order without a
 * pattern; hot has nine accesses of ten in a tenth of the pages, which lie apart.
 *
 * A rate is of bytes for patterns that read whole pages, else of accesses to 8
 * bytes, a second. cpu_seconds is of the process, threads and system calls
 * included; faults are the kernel's, or wmap's messages. Rounds take turns, and
 * the last line of each combination is the medians.
 *
 *   out_of_core [--file PATH] [--size MIB] [--memory MIB] [--rounds N]
 *               [--pattern P,P] [--stores 0,50] [--threads 1,4,16] [--way W,W]
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include <wmap/wmap.h>

#include "bare.h"
#include "bench.h"

#define PAGE  4096u
#define WORDS (PAGE / 8)
#define MARK  (WORDS - 1) /* the word of a page that stores change */
#define SPARE (8u << 20)  /* code, stacks, page tables, bookkeeping */

enum pattern {
	UP,
	DOWN,
	STRIDED,
	STREAMS,
	LOOP,
	GAPS,
	THINK,
	BLOCKS,
	RANDOM,
	HOT,
	ZIPF,
	KNOWN,
	COLD,
	COLD_WRONG,
	PATTERNS
};
enum way { WMAP, MMAP, MMAP_RANDOM, MMAP_SEQUENTIAL, BARE, WMAP_NONE, WAYS };

static const char *const pattern_names[] = {
	"up",	  "down",   "strided", "streams", "loop",  "gaps", "think",
	"blocks", "random", "hot",     "zipf",	  "known", "cold", "cold_wrong"
};
static const char *const way_names[] = { "wmap",	"mmap",
					 "mmap_random", "mmap_sequential",
					 "bare",	"wmap_none" };

struct result {
	double rate, cpu_seconds, seconds;
	uint64_t faults, peak_bytes, io_bytes;
	bool wrong;
};

static struct bench {
	char path[4096];
	char tape[4096 + 16]; /* the recording's */
	size_t size, memory, pages;
	unsigned rounds;
	double theta;
	uint32_t run; /* number of this measurement: what stores store */
	/* shared with the children */
	uint32_t *stored; /* by page: the run that stored there last, or 0 */
	struct result *result;
	char cgroup[256];
	pid_t child; /* that is measuring, or 0 */
	bool v2;
} bench;

/* ---- What must be there ---------------------------------------------------*/

static uint64_t word_at(size_t page, unsigned word)
{
	return ((uint64_t)page * WORDS + word + 1) * 0x9e3779b97f4a7c15u;
}

static uint64_t mark_at(size_t page, uint32_t run)
{
	return word_at(page, MARK) + run;
}

static void make_file(void)
{
	uint64_t *chunk = malloc(1 << 20);
	struct stat stat;
	int fd = open(bench.path, O_RDWR | O_CREAT, 0600);

	if (fd < 0 || !chunk || fstat(fd, &stat))
		bench_die(bench.path);
	for (size_t page = 0; page < bench.pages; page += 256) {
		for (size_t i = 0; i < 256 * WORDS; i++)
			chunk[i] = word_at(page + i / WORDS, i % WORDS);
		if (pwrite(fd, chunk, 1 << 20, (off_t)(page * PAGE)) != 1 << 20)
			bench_die(bench.path);
	}
	fsync(fd);
	close(fd);
	free(chunk);
}

static void drop_caches(int fd)
{
	int all = bench_is_brief() ? -1 :
				     open("/proc/sys/vm/drop_caches", O_WRONLY);

	fdatasync(fd);
	posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	if (all >= 0 && write(all, "1\n", 2) < 0)
		errno = 0;
	if (all >= 0)
		close(all);
}

/* After stores: the file holds what was stored last, and nothing else. */
static bool file_is_right(void)
{
	uint64_t *chunk = malloc(1 << 20);
	int fd = open(bench.path, O_RDONLY);
	bool right = true;

	for (size_t page = 0; page < bench.pages; page += 256) {
		if (pread(fd, chunk, 1 << 20, (off_t)(page * PAGE)) != 1 << 20)
			bench_die(bench.path);
		for (size_t i = 0; i < 256; i++)
			right &= chunk[i * WORDS + MARK] ==
					 mark_at(page + i,
						 bench.stored[page + i]) &&
				 chunk[i * WORDS] == word_at(page + i, 0);
	}
	close(fd);
	free(chunk);
	return right;
}

/* ---- The accesses ----------------------------------------------------------*/

struct worker {
	pthread_t thread;
	volatile uint64_t *data;
	enum pattern pattern;
	size_t first, end; /* pages */
	size_t n;	   /* accesses */
	uint64_t random;
	unsigned stores; /* per cent */
	uint32_t run;
	uint32_t *order;	   /* of KNOWN, COLD, COLD_WRONG */
	struct wmap_range *ranges; /* the same, for wmap_prefetch */
	bool prefetches;
	bool wrong;
	uint64_t bytes;
};

static uint64_t next_random(uint64_t *state)
{
	uint64_t x = *state;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	*state = x;
	return x * 0x2545f4914f6cdd1du;
}

/* A store changes the mark, once in a run: its old value is known before. */
static void store(struct worker *worker, size_t page)
{
	worker->data[page * WORDS + MARK] = mark_at(page, worker->run);
	__atomic_store_n(&bench.stored[page], worker->run, __ATOMIC_RELAXED);
}

static bool is_store(struct worker *worker, size_t n)
{
	return worker->stores && n % 100 < worker->stores;
}

static void visit_page(struct worker *worker, size_t page, size_t n)
{
	volatile uint64_t *at = worker->data + page * WORDS;
	bool wrong = false;

	for (unsigned i = 0; i < MARK; i++)
		wrong |= at[i] != word_at(page, i);
	worker->wrong |= wrong;
	worker->bytes += PAGE;
	if (is_store(worker, n * 37))
		store(worker, page);
}

static void visit_word(struct worker *worker, size_t page, size_t n)
{
	unsigned i = (unsigned)(next_random(&worker->random) >> 32) % MARK;

	worker->wrong |= worker->data[page * WORDS + i] != word_at(page, i);
	if (is_store(worker, n * 37))
		store(worker, page);
}

static void think(void)
{
	uint64_t until = bench_now() + 10000;

	while (bench_now() < until)
		;
}

#define BLOCK 16u /* pages */

/* Each once: the factor is a prime. */
static void in_blocks(struct worker *worker, size_t n)
{
	size_t blocks = n / BLOCK;

	for (size_t i = 0; i < blocks * BLOCK; i++)
		visit_page(worker,
			   worker->first +
				   i / BLOCK * 2654435761u % blocks * BLOCK +
				   i % BLOCK,
			   i);
}

static void around(struct worker *worker, size_t n)
{
	size_t most = bench.memory / PAGE / 4 * 5 * n / bench.pages;

	for (size_t i = 0; i < 4 * most; i++)
		visit_page(worker, worker->first + i % most, i);
}

static bool is_gap(size_t page)
{
	return word_at(page, 0) >> 62 == 0;
}

static void in_order(struct worker *worker)
{
	size_t n = worker->end - worker->first, k = 0;

	if (worker->pattern == LOOP)
		around(worker, n);
	else if (worker->pattern == BLOCKS)
		in_blocks(worker, n);
	else if (worker->pattern == GAPS)
		for (size_t i = 0; i < n; i++) {
			if (!is_gap(worker->end - 1 - i))
				visit_page(worker, worker->end - 1 - i, i);
		}
	else if (worker->pattern == THINK)
		for (size_t i = 0; i < n; i++) {
			visit_page(worker, worker->first + i, i);
			think();
		}
	else if (worker->pattern == UP)
		for (size_t i = 0; i < n; i++)
			visit_page(worker, worker->first + i, i);
	else if (worker->pattern == DOWN)
		for (size_t i = 0; i < n; i++)
			visit_page(worker, worker->end - 1 - i, i);
	else if (worker->pattern == STRIDED)
		for (size_t start = 0; start < 16; start += 8)
			for (size_t i = start; i < n; i += 16)
				visit_page(worker, worker->first + i, k++);
	else
		for (size_t i = 0; i < n / 4; i++)
			for (size_t stream = 0; stream < 4; stream++)
				visit_page(worker,
					   worker->first + stream * (n / 4) + i,
					   i);
}

/* Gray's generator; rank 0 is the most frequent. */
static struct {
	double zetan, alpha, eta, half;
} zipf;

static void zipf_prepare(void)
{
	double n = (double)bench.pages, zeta2 = 1 + pow(0.5, bench.theta);

	for (size_t i = 1; i <= bench.pages; i++)
		zipf.zetan += 1 / pow((double)i, bench.theta);
	zipf.alpha = 1 / (1 - bench.theta);
	zipf.eta = (1 - pow(2 / n, 1 - bench.theta)) / (1 - zeta2 / zipf.zetan);
	zipf.half = zeta2;
}

static size_t zipf_page(uint64_t *random)
{
	double u = (double)(next_random(random) >> 11) * 0x1p-53;
	double uz = u * zipf.zetan;
	size_t rank;

	if (uz < 1)
		rank = 0;
	else if (uz < zipf.half)
		rank = 1;
	else
		rank = (size_t)((double)bench.pages *
				pow(zipf.eta * u - zipf.eta + 1, zipf.alpha));
	if (rank >= bench.pages)
		rank = bench.pages - 1;
	/* an odd factor: another page for each rank */
	return (rank * 0x9e3779b1u + 12345) % bench.pages;
}

/* Nine times of ten one of the first tenth, by rank. */
static size_t hot_page(uint64_t *random)
{
	uint64_t r = next_random(random) >> 20;
	size_t tenth = bench.pages / 10, rank = r / 10 % tenth;

	if (r % 10 == 0)
		rank = tenth + r / 10 % (bench.pages - tenth);
	return (rank * 0x9e3779b1u + 12345) % bench.pages;
}

static size_t pick(struct worker *worker, size_t n)
{
	if (worker->order)
		return worker->order[n];
	if (worker->pattern == ZIPF)
		return zipf_page(&worker->random);
	if (worker->pattern == HOT)
		return hot_page(&worker->random);
	return (size_t)(next_random(&worker->random) >> 20) % bench.pages;
}

static void *work(void *arg)
{
	struct worker *worker = arg;

	if (worker->prefetches && wmap_prefetch(worker->ranges, worker->n) < 0)
		bench_die("wmap_prefetch");
	if (worker->pattern < RANDOM)
		in_order(worker);
	else
		for (size_t n = 0; n < worker->n; n++)
			visit_word(worker, pick(worker, n), n);
	return NULL;
}

static bool run_workers(struct worker *workers, unsigned n)
{
	bool wrong = false;

	for (unsigned i = 0; i < n; i++)
		if (pthread_create(&workers[i].thread, NULL, work, &workers[i]))
			bench_die("pthread_create");
	for (unsigned i = 0; i < n; i++) {
		pthread_join(workers[i].thread, NULL);
		wrong |= workers[i].wrong;
	}
	return wrong;
}

/* ---- One measurement, in a child -------------------------------------------*/

struct plan {
	enum pattern pattern;
	enum way way;
	unsigned stores, threads;
	bool records; /* what is to be replayed then */
};

static bool is_cold(const struct plan *plan)
{
	return plan->pattern == COLD || plan->pattern == COLD_WRONG;
}

static bool is_wmap(const struct plan *plan)
{
	return plan->way == WMAP || plan->way == WMAP_NONE;
}

static void *map(const struct plan *plan, int fd)
{
	int prot = PROT_READ | (plan->stores ? PROT_WRITE : 0);
	void *data;

	if (plan->way == BARE)
		return bare_map(bench.path, bench.size, bench.memory,
				plan->stores, plan->pattern == UP);
	if (is_wmap(plan)) {
		if (wmap_memory_set(bench.memory))
			bench_die("wmap_memory_set");
		if (plan->records && wmap_record_start(bench.tape))
			bench_die("wmap_record_start");
		if (is_cold(plan) && plan->way == WMAP && !plan->records &&
		    wmap_replay(bench.tape))
			bench_die("wmap_replay");
		data = wmap_map(NULL, bench.size, prot, WMAP_SHARED, fd, 0,
				NULL);
	} else {
		data = mmap(NULL, bench.size, prot, MAP_SHARED, fd, 0);
	}
	if (data == MAP_FAILED)
		bench_die("map");
	if (plan->way == MMAP_RANDOM)
		madvise(data, bench.size, MADV_RANDOM);
	if (plan->way == MMAP_SEQUENTIAL)
		madvise(data, bench.size, MADV_SEQUENTIAL);
	return data;
}

static double cpu_now(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
	       1e-6 * (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

static uint64_t faults_now(const struct plan *plan)
{
	struct wmap_stats stats = { .size = sizeof stats };
	struct rusage usage;

	if (is_wmap(plan) && !wmap_stats_get(&stats))
		return stats.faults;
	if (plan->way == BARE)
		return bare.faults;
	getrusage(RUSAGE_SELF, &usage);
	return (uint64_t)(usage.ru_minflt + usage.ru_majflt);
}

static uint64_t io_now(void)
{
	FILE *file = fopen("/proc/self/io", "r");
	unsigned long long value, sum = 0;
	char name[64];

	while (file && fscanf(file, "%63s %llu", name, &value) == 2)
		if (!strcmp(name, "read_bytes:") ||
		    !strcmp(name, "write_bytes:"))
			sum += value;
	if (file)
		fclose(file);
	return sum;
}

static size_t accesses(const struct plan *plan)
{
	size_t all = plan->threads == 1 ? 12000 : 12000 * plan->threads;

	if (plan->threads > 4)
		all /= 2;
	if (plan->pattern == ZIPF || plan->pattern == HOT)
		all *= 4;
	/* where each of them reads megabytes */
	if (!is_cold(plan) &&
	    (plan->way == MMAP || plan->way == MMAP_SEQUENTIAL))
		all /= 16;
	if (bench_is_brief())
		all /= 20;
	return all / plan->threads;
}

static void prepare(struct worker *worker, const struct plan *plan, unsigned i,
		    unsigned n, void *data)
{
	worker->data = data;
	worker->pattern = plan->pattern;
	worker->first = bench.pages / n * i;
	worker->end = bench.pages / n * (i + 1);
	worker->random = bench.run * 1000003u + i * 7919u + 1;
	worker->stores = plan->stores;
	worker->run = bench.run;
	worker->prefetches = plan->pattern == KNOWN && plan->way == WMAP;
}

/* Fill memory, as it would be after a while. */
static bool warm_up(const struct plan *plan, void *data)
{
	static struct worker workers[16];

	for (unsigned i = 0; i < 16; i++) {
		prepare(&workers[i], plan, i + 100, 16, data);
		workers[i].n = bench.memory / PAGE / 16 * 2;
		/* which brings far more than it touches */
		if (plan->way == MMAP || plan->way == MMAP_SEQUENTIAL)
			workers[i].n /= 64;
		if (plan->pattern == ZIPF || plan->pattern == HOT)
			workers[i].n *= 3;
	}
	return run_workers(workers, 16);
}

static void prepare_order(struct worker *worker, uint64_t random)
{
	worker->order = malloc(worker->n * sizeof *worker->order);
	worker->ranges = malloc(worker->n * sizeof *worker->ranges);
	for (size_t i = 0; i < worker->n; i++)
		worker->order[i] = (uint32_t)(next_random(&random) >> 20) %
				   (uint32_t)bench.pages;
	for (size_t i = 0; i < worker->n; i++)
		worker->ranges[i] = (struct wmap_range){
			(char *)(uintptr_t)worker->data +
				(size_t)worker->order[i] * PAGE,
			PAGE,
		};
}

/* Runs of the thread's own part, in an order without a pattern; of the first half
   of each 16 pages, but what a wrong recording is of lies in the second. */
static void prepare_start(struct worker *worker, const struct plan *plan)
{
	size_t half = plan->records && plan->pattern == COLD_WRONG ? 8 : 0;
	size_t parts = (worker->end - worker->first) / 16, n = 0;
	uint64_t random = worker->first + 1;

	worker->order = malloc((worker->n + 8) * sizeof *worker->order);
	for (size_t i = 0; n < worker->n; i++) {
		size_t part = i * 0x9e3779b1u % parts;
		size_t pages = 1 + (next_random(&random) >> 20) % 8;

		for (size_t k = 0; k < pages; k++)
			worker->order[n++] = (uint32_t)(worker->first +
							part * 16 + half + k);
	}
}

static void measure(const struct plan *plan)
{
	static struct worker workers[64];
	struct result *result = bench.result;
	int fd = open(bench.path, plan->stores ? O_RDWR : O_RDONLY);
	double cpu;
	uint64_t start, faults, io, bytes = 0, n = 0;
	void *data;

	if (fd < 0)
		bench_die(bench.path);
	drop_caches(fd);
	data = map(plan, fd);
	if (plan->pattern == RANDOM || plan->pattern == HOT ||
	    plan->pattern == ZIPF)
		result->wrong |= warm_up(plan, data);
	for (unsigned i = 0; i < plan->threads; i++) {
		prepare(&workers[i], plan, i, plan->threads, data);
		workers[i].n = accesses(plan);
		n += workers[i].n;
		if (plan->pattern == KNOWN)
			prepare_order(&workers[i], workers[i].random);
		if (is_cold(plan))
			prepare_start(&workers[i], plan);
	}
	cpu = cpu_now();
	faults = faults_now(plan);
	io = io_now();
	start = bench_now();
	result->wrong |= run_workers(workers, plan->threads);
	result->seconds = 1e-9 * (double)(bench_now() - start);
	result->cpu_seconds = cpu_now() - cpu;
	result->faults = faults_now(plan) - faults;
	result->io_bytes = io_now() - io;
	for (unsigned i = 0; i < plan->threads; i++)
		bytes += workers[i].bytes;
	result->rate =
		(double)(plan->pattern < RANDOM ? bytes : n) / result->seconds;
	if (plan->way == BARE) {
		bare_flush();
		return; /* its thread ends with the process */
	}
	if (is_wmap(plan) ? wmap_unmap(data, bench.size) :
			    munmap(data, bench.size))
		bench_die("unmap");
	fsync(fd);
	if (plan->records && wmap_record_stop())
		bench_die("wmap_record_stop");
}

/* ---- The cgroup --------------------------------------------------------------*/

static bool put(const char *file, const char *text)
{
	char path[512];
	int fd;
	bool done;

	snprintf(path, sizeof path, "%s/%s", bench.cgroup, file);
	fd = open(path, O_WRONLY);
	done = fd >= 0 &&
	       write(fd, text, strlen(text)) == (ssize_t)strlen(text);
	if (fd >= 0)
		close(fd);
	return done;
}

static uint64_t get(const char *file)
{
	char path[512];
	unsigned long long value = 0;
	FILE *stream;

	snprintf(path, sizeof path, "%s/%s", bench.cgroup, file);
	stream = fopen(path, "r");
	if (stream && fscanf(stream, "%llu", &value) != 1)
		value = 0;
	if (stream)
		fclose(stream);
	return value;
}

static bool cgroup_make(void)
{
	char limit[32];

	snprintf(limit, sizeof limit, "%zu", bench.memory + SPARE);
	snprintf(bench.cgroup, sizeof bench.cgroup,
		 "/sys/fs/cgroup/memory/wmap-bench-%d", getpid());
	if (!mkdir(bench.cgroup, 0755) && put("memory.limit_in_bytes", limit))
		return true;
	rmdir(bench.cgroup);
	bench.v2 = true;
	snprintf(bench.cgroup, sizeof bench.cgroup,
		 "/sys/fs/cgroup/wmap-bench-%d", getpid());
	if (!mkdir(bench.cgroup, 0755) && put("memory.max", limit))
		return true;
	rmdir(bench.cgroup);
	return false;
}

/* What it holds of the page cache goes with it; a process may need a moment. */
static void cgroup_remove(void)
{
	if (!bench.v2)
		put("memory.force_empty", "0");
	for (int i = 0; i < 100 && rmdir(bench.cgroup) && errno == EBUSY; i++)
		usleep(10000);
}

static bool run_plan(const struct plan *plan, struct result *result)
{
	char pid[16];
	int status;
	pid_t child;

	*bench.result = (struct result){ 0 };
	bench.run++;
	if (!cgroup_make()) {
		fprintf(stderr, "no memory cgroup can be made\n");
		exit(BENCH_SKIPPED);
	}
	child = fork();
	if (child < 0)
		bench_die("fork");
	if (!child) {
		snprintf(pid, sizeof pid, "%d", getpid());
		if (!put("cgroup.procs", pid))
			bench_die("cgroup.procs");
		measure(plan);
		_exit(0);
	}
	bench.child = child;
	waitpid(child, &status, 0);
	bench.child = 0;
	bench.result->peak_bytes =
		get(bench.v2 ? "memory.peak" : "memory.max_usage_in_bytes");
	cgroup_remove();
	*result = *bench.result;
	if (plan->stores && !file_is_right())
		result->wrong = true;
	if (status || result->wrong)
		fprintf(stderr, "%s %s: %s (status %x)\n",
			pattern_names[plan->pattern], way_names[plan->way],
			result->wrong ? "WRONG DATA" : "failed", status);
	return !status && !result->wrong;
}

/* The program has run once before, with a recording. */
static bool run_twice(const struct plan *plan, struct result *result)
{
	struct plan before = *plan;

	unlink(bench.tape);
	before.records = true;
	return run_plan(&before, result) && run_plan(plan, result);
}

/* ---- All of them ---------------------------------------------------------------*/

static void print(const struct plan *plan, const struct result *result,
		  const char *round)
{
	printf("{\"pattern\": \"%s\", \"stores\": %u, \"threads\": %u, "
	       "\"way\": \"%s\", \"round\": %s, \"rate\": %.0f, "
	       "\"cpu_seconds\": %.3f, \"faults\": %llu, \"peak_bytes\": %llu, "
	       "\"io_bytes\": %llu, \"seconds\": %.3f}\n",
	       pattern_names[plan->pattern], plan->stores, plan->threads,
	       way_names[plan->way], round, result->rate, result->cpu_seconds,
	       (unsigned long long)result->faults,
	       (unsigned long long)result->peak_bytes,
	       (unsigned long long)result->io_bytes, result->seconds);
	fflush(stdout);
}

static int by_rate(const void *a, const void *b)
{
	const struct result *x = a, *y = b;

	return (x->rate > y->rate) - (x->rate < y->rate);
}

/* The bare pagers know random accesses, and one reader that goes upwards; what is
   without a recording elsewhere is wmap as it is. */
static bool is_senseless(const struct plan *plan)
{
	if (plan->way == WMAP_NONE)
		return !is_cold(plan);
	if (plan->way != BARE)
		return false;
	if (plan->pattern == UP)
		return plan->stores || plan->threads > 1;
	return plan->pattern != RANDOM && plan->pattern != ZIPF;
}

static bool compare_ways(struct plan plan, unsigned ways)
{
	static struct result results[WAYS][32];
	bool right = true;
	char round[16];

	for (unsigned r = 0; r < bench.rounds; r++)
		for (unsigned way = 0; way < WAYS; way++) {
			plan.way = way;
			if (!(ways >> way & 1) || is_senseless(&plan))
				continue;
			right &= is_cold(&plan) && way == WMAP ?
					 run_twice(&plan, &results[way][r]) :
					 run_plan(&plan, &results[way][r]);
			snprintf(round, sizeof round, "%u", r);
			print(&plan, &results[way][r], round);
		}
	for (unsigned way = 0; way < WAYS; way++) {
		plan.way = way;
		if (!(ways >> way & 1) || is_senseless(&plan))
			continue;
		qsort(results[way], bench.rounds, sizeof **results, by_rate);
		print(&plan, &results[way][bench.rounds / 2], "\"median\"");
	}
	return right;
}

/* The bits of the names in a list; or of numbers. */
static unsigned choose(const char *list, const char *const *names, unsigned n)
{
	unsigned chosen = 0;

	for (unsigned i = 0; i < n; i++) {
		const char *at = strstr(list, names[i]);
		size_t length = strlen(names[i]);

		while (at) {
			if ((at == list || at[-1] == ',') &&
			    (!at[length] || at[length] == ','))
				chosen |= 1u << i;
			at = strstr(at + 1, names[i]);
		}
	}
	if (!chosen) {
		fprintf(stderr, "%s: none of them\n", list);
		exit(EXIT_FAILURE);
	}
	return chosen;
}

static unsigned read_ahead_kib(void)
{
	char path[128];
	struct stat stat_of;
	unsigned kib = 0;
	FILE *file;

	if (stat(bench.path, &stat_of))
		return 0;
	snprintf(path, sizeof path, "/sys/dev/block/%u:%u/queue/read_ahead_kb",
		 major(stat_of.st_dev), minor(stat_of.st_dev));
	file = fopen(path, "r");
	if (file && fscanf(file, "%u", &kib) != 1)
		kib = 0;
	if (file)
		fclose(file);
	return kib;
}

static void *shared(size_t size)
{
	void *at = mmap(NULL, size, PROT_READ | PROT_WRITE,
			MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (at == MAP_FAILED)
		bench_die("mmap");
	return at;
}

static void remove_file(void)
{
	unlink(bench.path);
	unlink(bench.tape);
}

static void interrupted(int signal)
{
	if (bench.child > 0) {
		kill(bench.child, SIGKILL);
		waitpid(bench.child, NULL, 0);
	}
	if (*bench.cgroup)
		cgroup_remove();
	remove_file();
	_exit(128 + signal);
}

static const char *const thread_names[] = { "1", "4", "16" };
static const unsigned thread_counts[] = { 1, 4, 16 };
static const char *const store_names[] = { "0", "50" };

struct choice {
	unsigned patterns, stores, threads, ways;
};

static struct choice parse(int argc, char **argv)
{
	static const struct option options[] = {
		{ "file", 1, NULL, 'f' },    { "size", 1, NULL, 's' },
		{ "memory", 1, NULL, 'm' },  { "rounds", 1, NULL, 'r' },
		{ "pattern", 1, NULL, 'p' }, { "stores", 1, NULL, 'o' },
		{ "threads", 1, NULL, 't' }, { "way", 1, NULL, 'w' },
		{ NULL, 0, NULL, 0 },
	};
	struct choice choice = { (1u << PATTERNS) - 1, 3, 7, (1u << WAYS) - 1 };
	bool brief = bench_is_brief();
	int option;

	bench.size = (size_t)(brief ? 8 : 1024) << 20;
	bench.rounds = brief ? 1 : 3;
	bench.theta = 0.99;
	snprintf(bench.path, sizeof bench.path, "wmap-bench-%d", getpid());
	if (brief) {
		choice.threads = 2;
		choice.ways = 1u << WMAP | 1u << MMAP_RANDOM;
	}
	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1)
		switch (option) {
		case 'f':
			snprintf(bench.path, sizeof bench.path, "%s", optarg);
			break;
		case 's':
			bench.size = (size_t)atol(optarg) << 20;
			break;
		case 'm':
			bench.memory = (size_t)atol(optarg) << 20;
			break;
		case 'r':
			bench.rounds = (unsigned)atoi(optarg);
			break;
		case 'p':
			choice.patterns =
				choose(optarg, pattern_names, PATTERNS);
			break;
		case 'o':
			choice.stores = choose(optarg, store_names, 2);
			break;
		case 't':
			choice.threads = choose(optarg, thread_names, 3);
			break;
		case 'w':
			choice.ways = choose(optarg, way_names, WAYS);
			break;
		default:
			exit(EXIT_FAILURE);
		}
	if (!bench.memory)
		bench.memory = bench.size / 4;
	bench.pages = bench.size / PAGE;
	if (bench.pages < 1024 || !bench.rounds || bench.rounds > 32) {
		fprintf(stderr, "a size of 4 MiB or more, 1 to 32 rounds\n");
		exit(EXIT_FAILURE);
	}
	return choice;
}

int main(int argc, char **argv)
{
	struct choice choice = parse(argc, argv);
	bool right = true;

	bench.stored = shared(bench.pages * sizeof *bench.stored);
	bench.result = shared(sizeof *bench.result);
	signal(SIGINT, interrupted);
	signal(SIGTERM, interrupted);
	snprintf(bench.tape, sizeof bench.tape, "%s.recording", bench.path);
	make_file();
	atexit(remove_file);
	zipf_prepare();
	printf("{\"size\": %zu, \"memory\": %zu, \"spare\": %u, "
	       "\"read_ahead_kib\": %u}\n",
	       bench.size, bench.memory, SPARE, read_ahead_kib());
	for (unsigned p = 0; p < PATTERNS; p++)
		for (unsigned s = 0; s < 2; s++)
			for (unsigned t = 0; t < 3; t++)
				if (choice.patterns >> p & 1 &&
				    choice.stores >> s & 1 &&
				    choice.threads >> t & 1)
					right &= compare_ways(
						(struct plan){
							.pattern = p,
							.stores = s * 50,
							.threads =
								thread_counts[t],
						},
						choice.ways);
	return right ? EXIT_SUCCESS : EXIT_FAILURE;
}
