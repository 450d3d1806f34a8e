/* SPDX-License-Identifier: MIT */
/*
 * Following: the pager's thread runs where its faults come from
 *
 * A fault is handed over twice, to the pager and back. On one CPU that is two
 * switches between threads; between two it is two wake-ups of a CPU that has
 * gone to sleep, in a virtual machine two interrupts from one to the other, and
 * five times as dear. So a pager whose faults nearly all come from one thread
 * binds itself to the CPU that this thread runs on.
 *
 *   FREE -> FOLLOWING    judge(): a period of faults of one thread
 *   FOLLOWING -> FREE    judge(): others fault as well; or the pager had to wait
 *                        for the CPU, as somebody else uses it, or the thread
 *                        never stays, or others fault soon after a long nap:
 *                        then it is free for a while, each time for twice as
 *                        long
 *                        follow_ahead(): there is work that nobody sleeps for,
 *                        and that the program can run beside
 *                        follow_none(): a process forks
 *
 * While it is free the pager may run wherever it was allowed to. Who changes the
 * CPUs of the pager's thread, or of the program, while it follows has the last
 * word.
 *
 * How long the pager waits for its CPU tells where the thread is: on the same
 * one it has to go to sleep first, which takes a microsecond or so; on another
 * one nobody is in the way; and many microseconds are somebody else's.
 */
#ifndef WMAP_FOLLOW_H
#define WMAP_FOLLOW_H

#include <sched.h>
#include <stdbool.h>
#include <stdint.h>

struct follow {
	int pager;  /* its thread; 0: it does not run yet */
	int delays; /* what /proc says of it, or -1: it never follows */
	bool following;
	int cpu;	    /* FOLLOWING: this one */
	cpu_set_t own;	    /* where the pager might run before */
	cpu_set_t program;  /* and where the program's first thread might */
	uint32_t thread;    /* whose faults are counted, or 0 */
	unsigned n, others; /* faults in this period; those of other threads */
	unsigned ahead;	    /* pages in it that nobody slept for */
	uint64_t waited;    /* for a CPU, ever, before this period; ns */
	unsigned moves;	    /* periods in a row that found them apart */
	unsigned stayed;    /* FOLLOWING: periods since it last moved */
	uint64_t nap;	    /* that it takes after a move, ns */
	unsigned rest;	    /* periods that it stays FREE */
	unsigned next_rest;
};

/* On the pager's thread. */
void follow_start(struct follow *follow);

/* It has ended; or it is the parent's, and this a fork's child. */
void follow_stop(struct follow *follow);

/* @thread of @process (0: the pager's own) has faulted. On the pager's thread. */
void follow_fault(struct follow *follow, uint32_t process, uint32_t thread);

/* @pages are brought that nobody sleeps for. */
void follow_ahead(struct follow *follow, uint64_t pages);

/* A process forks: what the pager does for that its processes run beside. */
void follow_none(struct follow *follow);

#endif
