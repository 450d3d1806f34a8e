/* SPDX-License-Identifier: MIT */
/*
 * Pagers, who are killed, and the keeper that starts their successors
 *
 * Each model here includes this, and says before it
 *   THREADS   how many threads have something to do
 *   RIGHT     what must hold when nothing can go on any more
 *
 *   alive ── killed, at any step ──► dying ── killed: ──► dead for good
 *
 * Everything that happens is counted down: stores, requests, kills. So a run
 * has an end, and that nothing hangs is that at the end all threads are at
 * theirs; `pan -l` checks that no run goes round for ever.
 *
 * Rule: the keeper starts a pager when of all that it knows of, candidates
 * included, each is dead for good. (Not when the one dies that it takes for the
 * owner: EAGER_KEEPER. Not when it has been killed: EARLY.)
 */
#ifndef KILLS
#define KILLS 2
#endif
#define PAGERS 4 /* the first, one for each kill, a candidate */
#define NOBODY 255

byte started;	     /* how many pagers */
bool alive[PAGERS];  /* not killed */
bool dead[PAGERS];   /* for good */
bool acts[PAGERS];   /* it acts on pages: see is_owner() */
byte kills;
byte ended; /* threads that have done all */

/* What a pager does, it does in steps, each of them if it still lives. */
#define STEP   atomic
#define KILLED (!alive[me])
#define LIVES \
	if \
	:: KILLED -> goto killed \
	:: else \
	fi

#define OVER (ended == THREADS)

/* No page has two owners. */
#define OWNERS	    (acts[0] + acts[1] + acts[2] + acts[3])
#define is_owner(p) assert(acts[p] && OWNERS == 1)

#define GONE(p)	 (p >= started || dead[p])
#define SHOT(p)	 (p >= started || !alive[p])
#define ALL_GONE (GONE(0) && GONE(1) && GONE(2) && GONE(3))
#define ALL_SHOT (SHOT(0) && SHOT(1) && SHOT(2) && SHOT(3))

#if defined(EARLY)
#define MAY_START ALL_SHOT
#elif defined(EAGER_KEEPER)
#define MAY_START \
	(ALL_GONE || (owner != NOBODY && was_shot[owner] && dead[owner]))
byte owner = NOBODY; /* the last that the keeper has started itself */
bool was_shot[PAGERS];
#else
#define MAY_START ALL_GONE
#endif

inline start(is_candidate, old)
{
	alive[started] = true;
	run Pager(started, is_candidate, old);
	started++
}

active proctype Keeper()
{
end:
	do
	:: atomic { started < PAGERS && MAY_START ->
#ifdef EAGER_KEEPER
		owner = started;
#endif
		start(false, NOBODY) }
	od
}

inline kill(p)
{
	kills++;
#ifdef EAGER_KEEPER
	was_shot[p] = true;
#endif
	alive[p] = false
}

active proctype Killer()
{
end:
	do
	:: d_step { kills < KILLS && alive[0] -> kill(0) }
	:: d_step { kills < KILLS && alive[1] -> kill(1) }
	:: d_step { kills < KILLS && alive[2] -> kill(2) }
	:: d_step { kills < KILLS && alive[3] -> kill(3) }
	od
}

/* The last step of a pager, at any time after it was killed: until then what it
   has begun may happen. Its own variables do not matter any more. */
inline bury(p)
{
	dead[p] = true;
	acts[p] = false
}

active proctype Judge()
{
	OVER && RIGHT
}
