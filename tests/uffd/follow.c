/* SPDX-License-Identifier: MIT */
/* Where the pager's thread runs: with the one thread that faults, else anywhere */
#include "support.h"

#include <dirent.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PERIOD \
	140 /* faults: more than one of the pager's periods, but not two */
#define LARGE PAGES(8192)

static cpu_set_t all; /* where this process may run */

static bool is_pager(const char *task)
{
	char path[64], name[32] = "";
	FILE *file;

	snprintf(path, sizeof(path), "/proc/self/task/%.10s/comm", task);
	file = fopen(path, "r");
	if (file && !fgets(name, sizeof(name), file))
		*name = '\0';
	if (file)
		fclose(file);
	return !strncmp(name, "wmap-pager", 10);
}

static int find_pager(void)
{
	DIR *tasks = opendir("/proc/self/task");
	struct dirent *task;
	int pager = 0;

	ck_assert_ptr_nonnull(tasks);
	while (!pager && (task = readdir(tasks)))
		if (is_pager(task->d_name))
			pager = atoi(task->d_name);
	closedir(tasks);
	ck_assert_int_gt(pager, 0);
	return pager;
}

static cpu_set_t cpus_of_pager(void)
{
	cpu_set_t cpus;

	ck_assert_int_eq(sched_getaffinity(find_pager(), sizeof(cpus), &cpus),
			 0);
	return cpus;
}

static bool is_free(void)
{
	cpu_set_t now = cpus_of_pager();

	return CPU_EQUAL(&now, &all);
}

static bool is_bound_to(int cpu)
{
	cpu_set_t now = cpus_of_pager();

	return CPU_COUNT(&now) == 1 && CPU_ISSET(cpu, &now);
}

/* The first, or the last, where this process may run. */
static int some_cpu(bool last)
{
	int found = -1;

	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET(cpu, &all) && (found < 0 || last))
			found = cpu;
	return found;
}

static void bind_thread(int thread, int cpu)
{
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	ck_assert_int_eq(sched_setaffinity(thread, sizeof(one), &one), 0);
}

static char *map_zeros(void)
{
	return memory_map(LARGE, READ_WRITE, WMAP_PRIVATE | WMAP_ANONYMOUS, -1,
			  0);
}

/* Memory that this thread alone has touched so far, bound to @cpu. */
static char *touch_alone(int cpu)
{
	char *at = map_zeros();

	bind_thread(0, cpu);
	memory_store(at, PERIOD, 1);
	return at;
}

static void *touch(void *at)
{
	memory_store(at, PERIOD, 2);
	return NULL;
}

static void touch_by_another(char *at)
{
	pthread_t thread;

	ck_assert(!pthread_create(&thread, NULL, touch, at));
	ck_assert(!pthread_join(thread, NULL));
}

START_TEST(it_runs_where_the_one_thread_that_faults_does)
{
	int cpu = some_cpu(_i);

	touch_alone(cpu);
	ck_assert(is_bound_to(cpu));
}
END_TEST

START_TEST(it_is_free_when_others_fault_as_well)
{
	char *at = touch_alone(some_cpu(false));

	touch_by_another(at + PAGES(1000));
	ck_assert(is_free());
}
END_TEST

START_TEST(it_is_free_when_it_works_ahead)
{
	int fd = file_sparse(LARGE);
	char *file = memory_map(LARGE, PROT_READ, WMAP_SHARED, fd, 0);
	struct wmap_range range = { file, PAGES(1024) };
	int64_t id;

	touch_alone(some_cpu(false));
	id = wmap_prefetch(&range, 1);
	ck_assert_int_ge(id, 0);
	ck_assert_int_eq(wmap_prefetch_wait(id), 0);
	ck_assert(is_free());
}
END_TEST

START_TEST(whom_the_program_binds_stays_bound)
{
	int cpu = some_cpu(true);
	char *at = map_zeros();

	bind_thread(find_pager(), cpu);
	bind_thread(0, some_cpu(false));
	memory_store(at, PERIOD, 1);
	ck_assert(is_bound_to(cpu));
}
END_TEST

static void *touch_bound(void *at)
{
	bind_thread(0, some_cpu(false));
	return touch(at);
}

/* All threads, while it follows one of them: the first one's CPUs tell. */
START_TEST(whom_the_program_binds_meanwhile_stays_bound)
{
	int cpu = some_cpu(false);
	char *at = map_zeros();
	pthread_t thread;

	ck_assert(!pthread_create(&thread, NULL, touch_bound, at));
	ck_assert(!pthread_join(thread, NULL));
	ck_assert(is_bound_to(cpu));
	bind_thread(getpid(), cpu);
	bind_thread(find_pager(), cpu);
	touch(at + PAGES(1000));
	ck_assert(is_bound_to(cpu));
}
END_TEST

static _Atomic bool enough;

static void *use_the_cpu(void *none)
{
	bind_thread(0, some_cpu(false));
	while (!atomic_load(&enough))
		;
	return none;
}

START_TEST(it_leaves_a_cpu_that_somebody_else_uses)
{
	char *at = touch_alone(some_cpu(false));
	pthread_t threads[2];
	size_t page = PERIOD;

	ck_assert(is_bound_to(some_cpu(false)));
	for (size_t i = 0; i < COUNT(threads); i++)
		ck_assert(
			!pthread_create(&threads[i], NULL, use_the_cpu, NULL));
	while (!is_free() && page + 8 < LARGE / PAGE) {
		memory_store(at + PAGES(page), 8, 3);
		page += 8;
	}
	ck_assert(is_free());
	atomic_store(&enough, true);
	for (size_t i = 0; i < COUNT(threads); i++)
		ck_assert(!pthread_join(threads[i], NULL));
}
END_TEST

int main(void)
{
	TCase *facts = facts_case("follow", 60);

	sched_getaffinity(0, sizeof(all), &all);
	if (CPU_COUNT(&all) < 2 ||
	    access("/proc/thread-self/schedstat", R_OK)) {
		printf("skipped: one CPU, or a kernel that does not say how long "
		       "a thread has waited for it\n");
		return FACTS_SKIPPED;
	}
	tcase_add_loop_test(
		facts, it_runs_where_the_one_thread_that_faults_does, 0, 2);
	tcase_add_test(facts, it_is_free_when_others_fault_as_well);
	tcase_add_test(facts, it_is_free_when_it_works_ahead);
	tcase_add_test(facts, whom_the_program_binds_stays_bound);
	tcase_add_test(facts, whom_the_program_binds_meanwhile_stays_bound);
	tcase_add_test(facts, it_leaves_a_cpu_that_somebody_else_uses);
	return facts_run(facts);
}
