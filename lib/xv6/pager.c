/* SPDX-License-Identifier: MIT */
/*
 * One pager for a family of processes
 *
 * Processes that fork need a pager that is none of them, and those that map one
 * file by themselves need the same one. So before the first mapping or fork of
 * the first process a wmapd is started for the family, by `wmap keeper`; the
 * native library finds it by $WMAP_SOCKET, which children inherit.
 *
 * Everybody has one end of a pipe, over fork and exec, whose other end is the
 * keeper's: when the last one has gone, however it went, wmapd and keeper end.
 *
 * A program without a call of fork has its pager as a thread: that starts sooner.
 * Where no wmapd can be had the pager is a thread, and a child has not all of its
 * parent's mappings.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "budget.h"
#include "internal.h"
#include "keep.h"
#include "layer.h"

/* Opened anew, as descriptors are not kept. */
static bool set_trace(void)
{
	char wish[64];

	snprintf(wish, sizeof(wish), "/proc/%d/fd/%d %lu", (int)getpid(),
		 FD_TRACE, (unsigned long)family_began());
	return !show_tracing || !setenv("WMAP_TRACE", wish, 1);
}

/* 0 or a negative errno. */
static int start(void)
{
	char address[KEEP_ADDRESS_SIZE];
	uint64_t limit;
	int life = -ENOMEM;
	bool done;

	if (set_trace() && !budget_from_environment(&limit))
		life = keep_start(address);
	if (life < 0)
		return life;
	done = dup2(life, FD_LIFE) >= 0 && !setenv("WMAP_SOCKET", address, 1);
	close(life);
	return done ? 0 : -errno;
}

void pager_start(bool alone)
{
	static bool begun;
	int error;

	if (begun || !program.forks || getenv("WMAP_SOCKET"))
		return;
	begun = true;
	error = alone ? 0 : start();
	if (error)
		complain("xv6: no wmapd can be started (%s): processes do not "
			 "share what they map\n",
			 strerror(-error));
}
