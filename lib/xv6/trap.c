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

#include "client.h"
#include "internal.h"
#include "layer.h"
#include "maps.h"

#define STACK (64u << 10)

static void say(const char *text)
{
	ssize_t n = write(FD_CONSOLE, text, strlen(text));

	(void)n;
}

static bool is_free(uint64_t page)
{
	void *at = mmap((void *)page, PAGE, PROT_NONE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1,
			0);

	return at != MAP_FAILED && !munmap(at, PAGE);
}

/*
 * A pager in another process has the guard's thread put the page above a mapping
 * that grows. Where there is none (ThreadSanitizer lets it have no stack) that is
 * done here, as it would be there. What was grown into belongs to the file.
 */
static bool grow_to(uint64_t page)
{
	struct wmap_mapping_info info = { .size = sizeof(info) };
	volatile char *byte = (volatile char *)page;

	if (wmap_mapping_find((void *)(page - PAGE), &info) ||
	    !(info.flags & WMAP_GROWSUP) || maps_end(&info) != page ||
	    !is_free(page + PAGE))
		return false;
	if (wmap_remap(info.addr, page - (uint64_t)info.addr,
		       page + PAGE - (uint64_t)info.addr, 0,
		       NULL) == WMAP_FAILED)
		return false;
	if (info.ino && info.flags & WMAP_SHARED)
		*byte = *byte;
	return true;
}

static void stray(int signal, siginfo_t *info, void *context)
{
	(void)signal;
	(void)context;
	if (client_is_remote() && grow_to(page_down((uint64_t)info->si_addr)))
		return;
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
