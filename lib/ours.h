/* SPDX-License-Identifier: MIT */
/*
 * Ours: which addresses of this process are ours
 *
 * The pager keeps the books, perhaps in another process; what lies where in
 * this one the client must know by itself, at once and from anywhere: every
 * munmap(2) of a preloaded program asks. So the calls that place memory and
 * take it away note it here: added before anything is placed, taken out after it
 * has gone. A fork's child inherits them.
 *
 * Any thread may change and look; looking is async-signal-safe, changing
 * blocks signals for some instructions.
 */
#ifndef WMAP_OURS_H
#define WMAP_OURS_H

#include "internal.h"

/* What a child has there. */
enum ours_kind {
	OURS_PLAIN,  /* a copy, as of all memory */
	OURS_SHARED, /* nothing, until it maps the memfd again */
	OURS_PRIVATE /* of a memfd: a copy, if it is let inherit one */
};

static inline enum ours_kind ours_kind_of(bool plain, bool shared)
{
	if (plain)
		return OURS_PLAIN;
	return shared ? OURS_SHARED : OURS_PRIVATE;
}

/* [start, end) is ours from now on, and of this kind. -ENOMEM. */
int ours_add(uint64_t start, uint64_t end, enum ours_kind kind);

/* No longer. */
void ours_remove(uint64_t start, uint64_t end);

/* The first piece of [*start, *end) that is ours; false: none. */
bool ours_next(uint64_t *start, uint64_t *end);

/* Likewise, of one kind. */
bool ours_next_of(enum ours_kind kind, uint64_t *start, uint64_t *end);

/* Do something to [start, end), if all of it is ours and of one kind, and stays so
   meanwhile; something that does not wait. */
void ours_while(enum ours_kind kind, uint64_t start, uint64_t end,
		void (*run)(uint64_t start, uint64_t end));

/* The state of all this: it is another one after each change. */
unsigned ours_state(void);

/* Likewise, if the state is still @state; false: it is not, and nothing was done. */
bool ours_while_in(unsigned state, enum ours_kind kind, uint64_t start,
		   uint64_t end, void (*run)(uint64_t start, uint64_t end));

/* Around a fork: nobody is changing them meanwhile. */
void ours_before_fork(void);
void ours_after_fork(void);

/* A child that ran no handlers: nothing is ours. */
void ours_forget(void);

#endif
