/* SPDX-License-Identifier: MIT */
/*
 * Saying more about stray accesses before they kill
 *
 *   SIGSEGV ─► report ─► one line to standard error
 *                     ─► shared pages back to their stores
 *                     ─► the program's handler, called as the kernel would;
 *                        or, if it has none, death: the default action is put
 *                        back and the handler returns, so that the instruction
 *                        faults again and the core dump shows it
 *
 * While the report runs SIGSEGV is blocked: a fault in the report itself is
 * death at once, as the kernel has it. Nothing here allocates, uses stdio, or
 * takes a lock that a fault can be met under.
 *
 * What follows the report is kept under a spin lock that is held, with all
 * signals blocked, for the copying of a struct.
 */
#include <linux/prctl.h>
#include <signal.h>
#include <string.h>
#include <ucontext.h>
#include <unistd.h>

#include "client.h"
#include "internal.h"
#include "message.h"
#include "segv.h"
#include "sys.h"

/* glibc's own sigaction: the other may be that of the preload library. */
int __sigaction(int signal, const struct sigaction *act, struct sigaction *old);

#define MASK_SIZE 8 /* of the kernel's signal set, the first bytes of glibc's */

/* The kernel's error code of a page fault, as it is on x86. */
#define FAULT_WRITE 0x2
#define FAULT_JUMP  0x10

static struct {
	atomic_flag lock; /* acquire in follow_lock, release in follow_unlock */
	bool on;	  /* [lock] */
	struct sigaction next; /* [lock] follows the report */
} follow = { .lock = ATOMIC_FLAG_INIT };

static void set_mask(const sigset_t *mask, sigset_t *before)
{
	sys_call(SYS_rt_sigprocmask, SIG_SETMASK, mask, before, MASK_SIZE);
}

static void follow_lock(sigset_t *before)
{
	sigset_t all;

	memset(&all, 0xff, sizeof(all));
	set_mask(&all, before);
	while (atomic_flag_test_and_set_explicit(&follow.lock,
						 memory_order_acquire))
		sys_call(SYS_sched_yield);
}

static void follow_unlock(const sigset_t *before)
{
	atomic_flag_clear_explicit(&follow.lock, memory_order_release);
	set_mask(before, NULL);
}

/* ---- A line without stdio -----------------------------------------------*/

struct line {
	char text[512];
	size_t length;
};

static void add(struct line *line, const char *text)
{
	size_t n = strlen(text), room = sizeof(line->text) - line->length;

	n = min_u64(n, room - 1); /* of which the newline takes one */
	memcpy(line->text + line->length, text, n);
	line->length += n;
}

static void add_number(struct line *line, uint64_t value, unsigned base)
{
	char digits[24];
	char *at = digits + sizeof(digits) - 1;

	*at = 0;
	do {
		*--at = "0123456789abcdef"[value % base];
		value /= base;
	} while (value);
	if (base == 16)
		add(line, "0x");
	add(line, at);
}

/* A pipe that nobody reads must not make it death by SIGPIPE. That is blocked
   here: if our write made it pend, it is taken away again. */
static void write_line(struct line *line)
{
	const struct timespec at_once = { 0 };
	sigset_t pipe;
	long result;

	line->text[line->length++] = '\n';
	result = sys_call(SYS_write, STDERR_FILENO, line->text, line->length);
	if (result != -EPIPE)
		return;
	sigemptyset(&pipe);
	sigaddset(&pipe, SIGPIPE);
	sys_call(SYS_rt_sigtimedwait, &pipe, NULL, &at_once, MASK_SIZE);
}

/* ---- What it says -------------------------------------------------------*/

/* Sent by a process, not raised by an instruction. */
static bool is_sent(const siginfo_t *info)
{
	return info->si_code <= 0;
}

static void add_thread(struct line *line)
{
	char name[17] = "";

	sys_call(SYS_prctl, PR_GET_NAME, name);
	add(line, "thread ");
	add_number(line, sys_call(SYS_gettid), 10);
	add(line, " (");
	add(line, name);
	add(line, ")");
}

static void add_access(struct line *line, const ucontext_t *context)
{
	long long code = context->uc_mcontext.gregs[REG_ERR];

	if (code & FAULT_JUMP)
		add(line, "stray jump to ");
	else if (code & FAULT_WRITE)
		add(line, "stray write to ");
	else
		add(line, "stray read of ");
}

/* The mapping at @address, else the one nearest to it. */
static bool find_nearest(uint64_t address, struct wmap_mapping_info *info)
{
	struct message message = {
		.kind = MESSAGE_LIST,
		.address = page_down(address),
		.list = { .infos = info, .room = 1, .nearest = true },
	};

	info->size = sizeof(*info);
	return !client_call(&message) && message.list.total > 0;
}

static void add_place(struct line *line, uint64_t address, uint64_t start,
		      uint64_t end)
{
	if (address >= start && address < end) {
		add(line, "inside ");
		return;
	}
	add_number(line, address < start ? start - address : address - end, 16);
	add(line, address < start ? " bytes below " : " bytes above ");
}

static void add_mapping(struct line *line, uint64_t address,
			const struct wmap_mapping_info *info)
{
	uint64_t start = (uint64_t)info->addr;
	uint64_t end = start + page_up(info->length);

	add_place(line, address, start, end);
	add(line, "mapping ");
	add_number(line, start, 16);
	add(line, "-");
	add_number(line, end, 16);
	add(line, " (");
	add_number(line, info->loaded, 10);
	add(line, " of ");
	add_number(line, (end - start) / PAGE, 10);
	add(line, " pages loaded, ");
	add(line, info->name);
	add(line, ")");
	if (address >= start && address < end)
		add(line, ", not allowed by its protection");
}

static void add_surroundings(struct line *line, uint64_t address)
{
	struct wmap_mapping_info info = { 0 };

	if (address < PAGE)
		add(line, "a null pointer");
	else if (find_nearest(address, &info))
		add_mapping(line, address, &info);
	else
		add(line, "no mapping of wmap's");
}

static void describe(struct line *line, const siginfo_t *info,
		     const ucontext_t *context)
{
	uint64_t address = (uint64_t)info->si_addr;

	add(line, "wmap: ");
	if (is_sent(info)) {
		add(line, "SIGSEGV sent by process ");
		add_number(line, (uint64_t)info->si_pid, 10);
		add(line, " to ");
		add_thread(line);
	} else if (info->si_code == SI_KERNEL) {
		add(line, "stray access to no possible address by ");
		add_thread(line);
	} else {
		add_access(line, context);
		add_number(line, address, 16);
		add(line, " by ");
		add_thread(line);
		add(line, ": ");
		add_surroundings(line, address);
	}
}

/* ---- What follows -------------------------------------------------------*/

/* What follows now; a SA_RESETHAND handler follows once. */
static struct sigaction take_next(void)
{
	struct sigaction next;
	sigset_t before;

	follow_lock(&before);
	next = follow.next;
	if (next.sa_flags & (int)SA_RESETHAND)
		follow.next = (struct sigaction){ .sa_handler = SIG_DFL };
	follow_unlock(&before);
	return next;
}

/* By the default action: when the instruction faults again, or as sent. */
static void die(const siginfo_t *info)
{
	struct sigaction none = { .sa_handler = SIG_DFL };

	__sigaction(SIGSEGV, &none, NULL);
	if (is_sent(info))
		sys_call(SYS_tgkill, getpid(), sys_call(SYS_gettid), SIGSEGV);
}

/* The signals blocked while a handler runs, as the kernel has it. */
static sigset_t mask_of(const struct sigaction *action,
			const ucontext_t *context)
{
	sigset_t mask;

	sigorset(&mask, &context->uc_sigmask, &action->sa_mask);
	if (!(action->sa_flags & SA_NODEFER))
		sigaddset(&mask, SIGSEGV);
	return mask;
}

static void call(const struct sigaction *next, int signal, siginfo_t *info,
		 void *context)
{
	sigset_t mask = mask_of(next, context);

	set_mask(&mask, NULL);
	if (next->sa_flags & SA_SIGINFO)
		next->sa_sigaction(signal, info, context);
	else
		next->sa_handler(signal);
}

/* Only a SIGSEGV that was sent can be ignored. */
static void chain(int signal, siginfo_t *info, void *context)
{
	struct sigaction next = take_next();
	bool function = next.sa_handler != SIG_DFL &&
			next.sa_handler != SIG_IGN;

	if (function)
		call(&next, signal, info, context);
	else if (next.sa_handler == SIG_DFL || !is_sent(info))
		die(info);
}

static void report(int signal, siginfo_t *info, void *context)
{
	struct line line = { .length = 0 };
	int saved = errno;

	describe(&line, info, context);
	write_line(&line);
	wmap_sync_all();
	errno = saved;
	chain(signal, info, context);
}

/* ---- Setting it up ------------------------------------------------------*/

int wmap_report_segv(void)
{
	struct sigaction ours = { .sa_sigaction = report }, old;
	sigset_t before;
	int result;

	ours.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART;
	sigemptyset(&ours.sa_mask);
	sigaddset(&ours.sa_mask, SIGPIPE);
	follow_lock(&before);
	result = __sigaction(SIGSEGV, &ours, &old);
	if (!result && old.sa_sigaction != report)
		follow.next = old;
	follow.on = !result;
	follow_unlock(&before);
	return result;
}

int wmap_segv_sigaction(const struct sigaction *act, struct sigaction *old)
{
	struct sigaction next = { .sa_handler = SIG_DFL }, was;
	sigset_t before;
	bool on;

	if (act)
		next = *act; /* here: the caller's memory may fault */
	follow_lock(&before);
	on = follow.on;
	was = follow.next;
	if (on && act)
		follow.next = next;
	follow_unlock(&before);
	if (!on)
		return __sigaction(SIGSEGV, act, old);
	if (old)
		*old = was;
	return 0;
}
