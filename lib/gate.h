/* SPDX-License-Identifier: MIT */
/*
 * Many calls that change what is mapped where, or one fork
 *
 * What the pager books and what is at the addresses agree while nobody is
 * inside. A fork needs that: it copies the books first and the addresses after.
 *
 * Who is inside has all signals blocked, so that no handler forks in the middle
 * of a call. Entering again inside counts for nothing.
 */
#ifndef WMAP_GATE_H
#define WMAP_GATE_H

#include <stdbool.h>
#include <stdint.h>

/* @signals: for gate_leave. */
void gate_enter(uint64_t *signals);
void gate_leave(uint64_t signals);

/* Nobody is inside until it is opened. One thread at a time, signals blocked.
   False: somebody was for @patience ns (0: without limit), and it is open. */
bool gate_close(uint64_t patience);
void gate_open(void);

/* A fork's child, where nobody else is: it is open. */
void gate_child(void);

#endif
