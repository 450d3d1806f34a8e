/* SPDX-License-Identifier: MIT */
/* Where the pager's thread runs (follow.h has the model) */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "follow.h"
#include "internal.h"
#include "sys.h"

#define PERIOD	   128 /* faults */
#define FEW	   (PERIOD / 8)
#define WAIT_LEAST 500ull   /* ns a fault: below, they are apart */
#define WAIT_MOST  25000ull /* above, somebody else has the CPU */
#define MOVES_MOST 4
#define REST_MOST  1024	    /* periods */
#define NAP	   500000   /* ns */
#define NAP_MOST   20000000 /* likewise */
#define GAIN	   30000    /* ns a fault, of being on one CPU */

/* ---- What the kernel says -----------------------------------------------------*/

/* The CPU that a thread runs on, or ran on last; -1: unknown. */
static int cpu_of(uint32_t process, uint32_t thread)
{
	char path[64], text[1024];
	const char *at;
	long n, fd;

	if (process)
		snprintf(path, sizeof(path), "/proc/%u/task/%u/stat", process,
			 thread);
	else
		snprintf(path, sizeof(path), "/proc/self/task/%u/stat", thread);
	fd = sys_call(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	n = sys_call(SYS_read, fd, text, sizeof(text) - 1);
	sys_call(SYS_close, fd);
	text[n > 0 ? n : 0] = '\0';
	at = strrchr(text, ')'); /* of the name, which may hold anything */
	for (int field = 2; at && field < 39; field++) {
		at = strchr(at, ' ');
		at += at != NULL;
	}
	return at ? atoi(at) : -1;
}

/* How long the pager has waited for a CPU since it was asked last, in ns. */
static uint64_t waited_since(struct follow *follow)
{
	uint64_t before = follow->waited;
	char text[128], *end;
	long n = sys_call(SYS_pread64, follow->delays, text, sizeof(text) - 1);

	text[n > 0 ? n : 0] = '\0';
	strtoull(text, &end, 10); /* how long it has run */
	follow->waited = strtoull(end, NULL, 10);
	return follow->waited - before;
}

static bool get_cpus(int thread, cpu_set_t *cpus)
{
	CPU_ZERO(cpus);
	return sys_call(SYS_sched_getaffinity, thread, sizeof(*cpus), cpus) > 0;
}

static bool set_cpus(int thread, const cpu_set_t *cpus)
{
	return !sys_call(SYS_sched_setaffinity, thread, sizeof(*cpus), cpus);
}

static int first_thread(void)
{
	return (int)sys_call(SYS_getpid);
}

/* ---- Following ------------------------------------------------------------------*/

/*
 * The CPU that the pager leaves looks like a good place for the thread that it
 * wakes next, which sleeps on the one that it comes to; until it has been idle
 * for a while. How long is the host's to say, if this is a virtual machine: if a
 * short nap was not enough, it takes a long one.
 */
static bool bind_to(struct follow *follow, int cpu)
{
	struct timespec nap = { .tv_nsec = (long)follow->nap };
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	if (!set_cpus(follow->pager, &one))
		return false;
	sys_call(SYS_nanosleep, &nap, NULL);
	follow->stayed = 0;
	return true;
}

/* Are its CPUs still those that it chose? */
static bool is_bound(const struct follow *follow)
{
	cpu_set_t now;

	return get_cpus(follow->pager, &now) && CPU_COUNT(&now) == 1 &&
	       CPU_ISSET(follow->cpu, &now);
}

/* The program may have been bound meanwhile, with all its threads, to the CPU
   that this one is bound to. */
static void let_go(struct follow *follow)
{
	cpu_set_t program;

	follow->following = false;
	if (!is_bound(follow))
		return;
	if (first_thread() != follow->pager &&
	    get_cpus(first_thread(), &program) &&
	    !CPU_EQUAL(&program, &follow->program))
		set_cpus(follow->pager, &program);
	else
		set_cpus(follow->pager, &follow->own);
}

static void begin(struct follow *follow, int cpu)
{
	if (!get_cpus(follow->pager, &follow->own) ||
	    !get_cpus(first_thread(), &follow->program) ||
	    CPU_COUNT(&follow->own) == 1 || !CPU_ISSET(cpu, &follow->own))
		return;
	follow->following = bind_to(follow, cpu);
	follow->cpu = cpu;
	follow->moves = 0;
}

/* The thread is at @cpu now. False: it never stays, or may not be followed. */
static bool keep_up(struct follow *follow, int cpu)
{
	if (cpu == follow->cpu) {
		follow->moves = 0;
		return true;
	}
	follow->nap = NAP_MOST;
	if (!is_bound(follow) || !CPU_ISSET(cpu, &follow->own) ||
	    ++follow->moves == MOVES_MOST)
		return false;
	follow->cpu = cpu;
	return bind_to(follow, cpu);
}

static void give_up(struct follow *follow)
{
	let_go(follow);
	follow->rest = follow->next_rest;
	follow->next_rest = (unsigned)min_u64(2 * follow->next_rest, REST_MOST);
}

/* Others fault as well. If that is soon, the nap was not worth it. */
static void leave(struct follow *follow)
{
	if ((uint64_t)follow->stayed * PERIOD * GAIN < follow->nap - NAP)
		give_up(follow);
	else
		let_go(follow);
}

/* ---- Periods --------------------------------------------------------------------*/

static void judge(struct follow *follow, uint32_t process)
{
	uint64_t waited = waited_since(follow) / follow->n;
	bool alone = follow->others <= FEW && follow->ahead <= follow->n;
	int cpu = -1;

	if (!alone) {
		if (follow->following)
			leave(follow);
		return;
	}
	follow->stayed++;
	if (follow->rest) {
		follow->rest--;
		return;
	}
	if (!follow->following || waited < WAIT_LEAST)
		cpu = cpu_of(process, follow->thread);
	if (!follow->following && cpu >= 0 && cpu < CPU_SETSIZE)
		begin(follow, cpu);
	else if (follow->following && waited > WAIT_MOST)
		give_up(follow);
	else if (follow->following && cpu >= 0 && !keep_up(follow, cpu))
		give_up(follow);
	else if (follow->next_rest > 1)
		follow->next_rest--;
}

void follow_start(struct follow *follow)
{
	follow->delays = (int)sys_call(SYS_openat, AT_FDCWD,
				       "/proc/thread-self/schedstat",
				       O_RDONLY | O_CLOEXEC);
	follow->pager = (int)sys_call(SYS_gettid);
	follow->next_rest = 1;
	follow->nap = NAP;
}

void follow_stop(struct follow *follow)
{
	if (follow->pager && follow->delays >= 0)
		sys_call(SYS_close, follow->delays);
	follow->pager = 0;
}

void follow_fault(struct follow *follow, uint32_t process, uint32_t thread)
{
	if (!follow->n)
		follow->thread = thread;
	follow->n++;
	follow->others += thread != follow->thread;
	if (follow->n < PERIOD && follow->others <= FEW)
		return;
	if (follow->thread && follow->pager && follow->delays >= 0)
		judge(follow, process);
	follow->n = follow->others = follow->ahead = 0;
}

void follow_ahead(struct follow *follow, uint64_t pages)
{
	follow->ahead += (unsigned)pages;
	if (follow->following && follow->ahead > PERIOD)
		let_go(follow);
}

void follow_none(struct follow *follow)
{
	if (follow->following)
		let_go(follow);
	follow->n = follow->others = follow->ahead = 0;
}
