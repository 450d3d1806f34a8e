/* SPDX-License-Identifier: MIT */
/*
 * Traps: what the program may not do ends it, with a word on the console
 *
 * A touch outside every mapping and a store to read-only memory are the course's
 * "Segmentation Fault"; other exceptions have xv6's own words. Before it ends,
 * shared files are written back, as when a process of xv6's ends. SIGTERM is
 * xv6's kill.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#include "layer.h"

#define STACK (64u << 10)

static void say(const char *text)
{
	ssize_t n = write(FD_CONSOLE, text, strlen(text));

	(void)n;
}

static void stray(int signal, siginfo_t *info, void *context)
{
	(void)signal;
	(void)context;
	say("Segmentation Fault\n");
	if (show_tracing)
		show_trace("trap: stray access to 0x%lx",
			   (unsigned long)info->si_addr);
	show_map("trap");
	leave(255);
}

/* The x86's number of the exception that gave the signal. */
static int number_of(int signal)
{
	switch (signal) {
	case SIGFPE:
		return 0;
	case SIGTRAP:
		return 3;
	default:
		return 6;
	}
}

static void other(int signal, siginfo_t *info, void *context)
{
	const ucontext_t *at = context;
	char line[160];

	snprintf(line, sizeof(line),
		 "pid %d %s: trap %d err 0 on cpu 0 eip 0x%x addr 0x%x--kill "
		 "proc\n",
		 (int)getpid(), program.name, number_of(signal),
		 (uint)at->uc_mcontext.gregs[REG_RIP],
		 (uint)(uintptr_t)info->si_addr);
	say(line);
	leave(255);
}

static void killed(int signal)
{
	(void)signal;
	leave(255);
}

static int catch (int signal, void (*handler)(int, siginfo_t *, void *))
{
	struct sigaction action = { .sa_sigaction = handler };

	action.sa_flags = SA_SIGINFO | SA_ONSTACK;
	sigemptyset(&action.sa_mask);
	sigaddset(&action.sa_mask, SIGTERM);
	return sigaction(signal, &action, NULL);
}

static int catch_kill(void)
{
	struct sigaction action = { .sa_handler = killed };

	action.sa_flags = SA_ONSTACK;
	sigemptyset(&action.sa_mask);
	return sigaction(SIGTERM, &action, NULL);
}

/* What was blocked or ignored before is not inherited: xv6 knows no signals. */
static int unblock(void)
{
	sigset_t none;

	sigemptyset(&none);
	signal(SIGPIPE, SIG_IGN); /* write fails instead */
	signal(SIGCHLD, SIG_DFL);
	return sigprocmask(SIG_SETMASK, &none, NULL);
}

int traps_start(void)
{
	stack_t stack = { .ss_size = STACK };

	stack.ss_sp = mmap(NULL, STACK, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (stack.ss_sp == MAP_FAILED || sigaltstack(&stack, NULL))
		return -1;
	if (catch (SIGSEGV, stray) || catch (SIGBUS, stray) ||
	    catch (SIGFPE, other) || catch (SIGILL, other) ||
	    catch (SIGTRAP, other))
		return -1;
	return catch_kill() || unblock() ? -1 : 0;
}
