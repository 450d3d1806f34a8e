/* SPDX-License-Identifier: MIT */
/*
 * wmapd is killed in the middle of a call: before the Nth packet that it would send
 * (to its keeper, or the answer), for N = 1, 2, 3 … until the call needs no more
 *
 * A thread traces it, which takes root. The call is made again to the next wmapd, and
 * must have done what it does, once.
 */
#include "support.h"

#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define SEED	     9
#define ROOM	     64 /* pages that the test has for itself */
#define PAGES_MAPPED 4

/* ---- The killer ------------------------------------------------------------------- */

static struct {
	pthread_t thread;
	pthread_barrier_t ready;
	unsigned n; /* packets until it dies */
	bool may, shot;
	atomic_bool over;
} killer;

/* Its next stop; 0: it is over, or it has ended: its parent hears of that after us. */
static int next_stop(int how)
{
	int status = 0;

	ptrace(how, served_by.pid, NULL, NULL);
	while (!waitpid(served_by.pid, &status, WNOHANG | __WALL))
		if (killer.over && !killer.shot)
			return 0;
		else
			sched_yield();
	return WIFSTOPPED(status) ? status : 0;
}

static bool is_about_to_send(void)
{
	struct __ptrace_syscall_info info;

	return ptrace(PTRACE_GET_SYSCALL_INFO, served_by.pid,
		      (void *)sizeof(info), &info) > 0 &&
	       info.op == PTRACE_SYSCALL_INFO_ENTRY &&
	       info.entry.nr == SYS_sendmsg;
}

static void *follow(void *unused)
{
	int status = 0;

	if (!ptrace(PTRACE_SEIZE, served_by.pid, NULL,
		    (void *)PTRACE_O_TRACESYSGOOD))
		status = next_stop(PTRACE_INTERRUPT);
	killer.may = status;
	pthread_barrier_wait(&killer.ready);
	while (status) {
		if (WSTOPSIG(status) == (SIGTRAP | 0x80) &&
		    is_about_to_send() && !--killer.n) {
			killer.shot = true;
			kill(served_by.pid, SIGKILL);
		}
		status = next_stop(PTRACE_SYSCALL);
	}
	return unused;
}

static bool begins(void *unused)
{
	(void)unused;
	wmapd_find();
	pthread_barrier_init(&killer.ready, NULL, 2);
	ck_assert(!pthread_create(&killer.thread, NULL, follow, NULL));
	pthread_barrier_wait(&killer.ready);
	if (!killer.may)
		pthread_join(killer.thread, NULL);
	return killer.may;
}

/* One that was shot after its last answer may be there still. */
static void begin(unsigned n)
{
	killer.n = n;
	killer.over = killer.shot = false;
	ck_assert(process_wait(begins, NULL, 10));
}

/* A thread that traces lets go of whom it traces when it ends. */
static bool end(void)
{
	killer.over = true;
	pthread_join(killer.thread, NULL);
	return killer.shot;
}

static bool may_trace(void)
{
	served_by.pid = fork();
	if (!served_by.pid) {
		pause();
		_exit(0);
	}
	killer.may = !geteuid() &&
		     !ptrace(PTRACE_SEIZE, served_by.pid, NULL, NULL);
	kill(served_by.pid, SIGKILL);
	waitpid(served_by.pid, NULL, __WALL);
	return killer.may;
}

/* ---- Calls ------------------------------------------------------------------------ */

static const int kinds[] = {
	WMAP_SHARED,
	WMAP_SHARED | WMAP_GROWSUP,
	WMAP_PRIVATE | WMAP_GROWSUP,
	WMAP_SHARED | WMAP_ANONYMOUS | WMAP_GROWSUP,
	WMAP_PRIVATE | WMAP_ANONYMOUS | WMAP_GROWSUP,
};

static char *area; /* ROOM pages, free */
static int kind;

static char *map_it(void)
{
	int fd = kind & WMAP_ANONYMOUS ? -1 :
					 file_with(SEED, PAGES(PAGES_MAPPED));
	void *at = wmap(area + PAGES(8), PAGES(PAGES_MAPPED), kind | WMAP_FIXED,
			fd);

	ck_assert_ptr_eq(at, area + PAGES(8));
	if (fd >= 0)
		close(fd);
	return at;
}

static bool nothing_is_left(void)
{
	void *at = mmap(area, PAGES(ROOM), PROT_NONE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1,
			0);

	if (at != area)
		return false;
	ck_assert_int_eq(munmap(area, PAGES(ROOM)), 0);
	return true;
}

/* What it shows is what was stored; it grows if it is to. */
static void is_whole(char *at, size_t pages)
{
	ck_assert_uint_eq(memory_info(at).length, PAGES(pages));
	ck_assert_int_eq(at[1], 'a');
	ck_assert_int_eq(at[PAGES(2) + 1], 'b');
	if (kind & WMAP_GROWSUP) {
		at[PAGES(pages)] = 'c';
		ck_assert_uint_eq(memory_info(at).length, PAGES(pages + 1));
	}
}

static void do_map(void)
{
	map_it();
}

static void do_unmap(void)
{
	ck_assert_int_eq(wunmap(area + PAGES(8)), 0);
}

static void do_unmap_end(void)
{
	ck_assert_int_eq(wmap_unmap(area + PAGES(11), PAGE), 0);
}

static void do_grow(void)
{
	area[PAGES(12)] = 'c';
}

static void do_lengthen(void)
{
	ck_assert_ptr_eq(wremap(area + PAGES(8), PAGES(PAGES_MAPPED), PAGES(6),
				0),
			 area + PAGES(8));
}

static void do_shorten(void)
{
	ck_assert_ptr_eq(wremap(area + PAGES(8), PAGES(PAGES_MAPPED), PAGES(3),
				0),
			 area + PAGES(8));
}

static void do_move(void)
{
	ck_assert_ptr_eq(wmap_remap(area + PAGES(8), PAGES(PAGES_MAPPED),
				    PAGES(PAGES_MAPPED),
				    WMAP_MAYMOVE | WMAP_FIXED,
				    area + PAGES(32)),
			 area + PAGES(32));
}

/* How many pages are where then; 0: none. */
static const struct call {
	void (*run)(void);
	size_t at, pages;
	bool growing, fresh;
} calls[] = {
	{ .run = do_map, .at = 8, .pages = 4, .fresh = true },
	{ .run = do_unmap, .at = 8 },
	{ .run = do_unmap_end, .at = 8, .pages = 3 },
	{ .run = do_grow, .at = 8, .pages = 5, .growing = true },
	{ .run = do_lengthen, .at = 8, .pages = 6 },
	{ .run = do_shorten, .at = 8, .pages = 3 },
	{ .run = do_move, .at = 32, .pages = 4 },
};

static bool one_round(const struct call *call, unsigned n)
{
	char *at;
	bool shot;

	if (!call->fresh) {
		at = map_it();
		at[1] = 'a';
		at[PAGES(2) + 1] = 'b';
	}
	begin(n);
	call->run();
	shot = end();
	at = area + PAGES(call->at);
	if (call->fresh) {
		at[1] = 'a';
		at[PAGES(2) + 1] = 'b';
	}
	if (call->pages) {
		is_whole(at, call->pages);
		ck_assert_int_eq(wunmap(at), 0);
	}
	ck_assert(nothing_is_left());
	return shot;
}

START_TEST(a_call_is_whole_whenever_wmapd_is_killed)
{
	const struct call *call = &calls[(size_t)_i / COUNT(kinds)];
	unsigned n = 0;

	kind = kinds[(size_t)_i % COUNT(kinds)];
	if (call->growing && !(kind & WMAP_GROWSUP))
		return;
	wmapd_start();
	area = memory_free_range(PAGES(ROOM));
	while (one_round(call, n + 1))
		n++;
	ck_assert_uint_ge(n, 1);
}
END_TEST

int main(void)
{
	TCase *facts = facts_case("killed_between", 60);

	/* ThreadSanitizer wants more stack than a guard has: nothing grows. */
	if (!facts_possible(WMAP_FEATURE_POISON) || THREAD_SANITIZED)
		return facts_run(facts);
	if (!may_trace()) {
		fprintf(stderr, "skipped: wmapd may not be traced\n");
		return FACTS_SKIPPED;
	}
	tcase_add_loop_test(facts, a_call_is_whole_whenever_wmapd_is_killed, 0,
			    (int)(COUNT(calls) * COUNT(kinds)));
	return facts_run(facts);
}
