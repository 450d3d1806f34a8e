/* SPDX-License-Identifier: MIT */
/*
 * A program's own SIGSEGV handler, behind wmap's report
 *
 * Under `wmap run` a stray access says one line before anything else happens.
 * So a handler that the program installs once that is on does not go to the
 * kernel but to wmap, which calls it after the line; one installed before is
 * taken over when it is switched on. A handler stays across fork, and so does
 * the switch, which is therefore not among what a child forgets.
 *
 *   program's sigaction(SIGSEGV) ──► wmap_segv_sigaction, which keeps it
 *   SIGSEGV ──► wmap: the line, write-back ──► the program's handler, or
 *               last_words(): the report, then death as ever
 */
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "../segv.h"
#include "preload.h"

static atomic_bool on; /* released after the report is on */

static int real(int number, const struct sigaction *act, struct sigaction *old)
{
	static int (*_Atomic next)(int, const struct sigaction *,
				   struct sigaction *);

	if (!next)
		next = (int (*)(int, const struct sigaction *,
				struct sigaction *))dlsym(RTLD_NEXT,
							  "sigaction");
	return next(number, act, old);
}

static const struct sigaction by_default = { .sa_handler = SIG_DFL };

/*
 * In the place of the default action: then that. The instruction faults again
 * when this returns; a signal that was sent has to be sent again.
 */
static void last_words(int number, siginfo_t *info, void *context)
{
	(void)context;
	report_file();
	real(number, &by_default, NULL);
	if (info->si_code <= 0)
		syscall(SYS_tgkill, getpid(), gettid(), number);
}

static const struct sigaction in_its_place = {
	.sa_sigaction = last_words,
	.sa_flags = SA_SIGINFO,
};

static bool is_ours(const struct sigaction *act)
{
	return act->sa_flags & SA_SIGINFO && act->sa_sigaction == last_words;
}

/* The program sets and sees the default action where last_words stands. */
static int act_on_segv(const struct sigaction *act, struct sigaction *old)
{
	int result;

	if (act && act->sa_handler == SIG_DFL)
		act = &in_its_place;
	result = wmap_segv_sigaction(act, old);
	if (result == 0 && old && is_ours(old))
		*old = by_default;
	return result;
}

static int act_on(int number, const struct sigaction *act,
		  struct sigaction *old)
{
	if (number == SIGSEGV && atomic_load(&on))
		return act_on_segv(act, old);
	return real(number, act, old);
}

/* What the program has installed so far stays, behind the line. */
void signals_report_segv(void)
{
	struct sigaction now;

	if (!getenv("WMAP_REPORT") || atomic_load(&on) ||
	    real(SIGSEGV, NULL, &now) != 0 || wmap_report_segv() != 0)
		return;
	if (now.sa_handler == SIG_DFL)
		wmap_segv_sigaction(&in_its_place, NULL);
	atomic_store(&on, true);
}

HOOK int sigaction(int number, const struct sigaction *act,
		   struct sigaction *old)
{
	return act_on(number, act, old);
}

static sighandler_t install(int number, sighandler_t handler, int flags)
{
	struct sigaction act = { .sa_handler = handler, .sa_flags = flags },
			 old;

	if (handler == SIG_ERR) {
		errno = EINVAL;
		return SIG_ERR;
	}
	sigemptyset(&act.sa_mask);
	if (!(flags & SA_NODEFER))
		sigaddset(&act.sa_mask, number);
	return act_on(number, &act, &old) == 0 ? old.sa_handler : SIG_ERR;
}

/* siginterrupt(3) is the C library's to know; for SIGSEGV it means nothing. */
HOOK sighandler_t signal(int number, sighandler_t handler)
{
	static sighandler_t (*_Atomic next)(int, sighandler_t);

	if (number == SIGSEGV)
		return install(number, handler, SA_RESTART);
	if (!next)
		next = (sighandler_t(*)(int, sighandler_t))dlsym(RTLD_NEXT,
								 "signal");
	return next(number, handler);
}

sighandler_t bsd_signal(int number, sighandler_t handler);
sighandler_t __sysv_signal(int number, sighandler_t handler);
sighandler_t sysv_signal(int number, sighandler_t handler);

HOOK sighandler_t bsd_signal(int number, sighandler_t handler)
{
	return signal(number, handler);
}

HOOK sighandler_t ssignal(int number, sighandler_t handler)
{
	return signal(number, handler);
}

HOOK sighandler_t __sysv_signal(int number, sighandler_t handler)
{
	return install(number, handler, SA_RESETHAND | SA_NODEFER);
}

HOOK sighandler_t sysv_signal(int number, sighandler_t handler)
	__attribute__((alias("__sysv_signal")));
