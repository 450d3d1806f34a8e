/* SPDX-License-Identifier: MIT */
/*
 * The rescue: a pager has died with its keeper, and guards hand over what they
 * have: a model for spin (lib/guard.h, daemon/wmapd/rescue.c)
 *
 * One page of one file, shown by process A; Storer stores 1, 2 there. Process B
 * shows something else. Newcomer, who shows nothing yet, maps the file and loads.
 * The pager is killed with its keeper, at any step, and so is who comes after it.
 * (pagers.pml's keeper is handover.pml's matter.)
 *
 *   guards A and B                       pager
 *   hung up: the old one is dead
 *   nobody listens: start one ─────────► listens, serves nobody
 *   RESCUE, HAND, HANDED      ─────────► has them, and does nothing with them
 *                                        all are there: acts on pages, wakes
 *   (done)                    ◄───────── RESTARTED
 *   ... or hung up again: from the beginning
 *
 * What is checked
 *   no page has two owners: who acts is the only one; who was killed may still
 *     do what it has begun until it is dead for good
 *   no wake-up is lost: no run ends with a sleeper
 *   no store is lost: Newcomer finds what was stored before it asked, and at the
 *     end it is in the file
 *
 * Not in it: guards that lie, or do not come (PATIENCE: they lose what they
 * show), forks, descriptors, more than one object.
 *
 * Mutants; each must be found wrong:
 *   NO_WAKE         nobody is woken after it
 *   EARLY           guards turn to another when the old one is killed, not dead
 *   TAKEN_AS_CLEAN  what is handed over is taken as clean
 *   NOT_AWAITED     it is over when one guard has handed over
 *   NOT_PARKED      who maps a file meanwhile is heard at once
 *   ONCE            a guard that has handed over does not do it again
 *   EACH_ITS_OWN    a guard starts one although another listens
 */
#ifndef KILLS
#define KILLS 2
#endif
#define PAGERS 3 /* the first, one for each kill */
#define NOBODY 255
#define STORES 2
#define A      0
#define B      1

mtype:thread = { AWAKE, UNREAD, READ }; /* by a pager: nobody else hears of it */

bool alive[PAGERS], dead[PAGERS], acts[PAGERS], over[PAGERS];
byte started, kills, listener;
byte handed[2] = NOBODY; /* to whom */

byte file, memory, done; /* numbers of stores */
bool writable;		 /* A's page table; else a store is a fault */
bool dirty;		 /* what the owner knows */
mtype:thread sleeper = AWAKE;
byte writes = 1; /* while there are stores to come */
bool ended, loaded;

bool asked;
byte least; /* what Newcomer may find */

#define OWNERS	   (acts[0] + acts[1] + acts[2])
#define IS_OWNER   assert(acts[me] && OWNERS == 1)
#define ALL_THERE  (handed[A] == me && handed[B] == me)
#define SOME_THERE (handed[A] == me || handed[B] == me)
#ifdef NOT_AWAITED
#define COMPLETE SOME_THERE
#else
#define COMPLETE ALL_THERE
#endif
#ifdef EARLY
#define GONE(p) (!alive[p])
#else
#define GONE(p) (dead[p])
#endif

#ifdef EACH_ITS_OWN
#define MAY_START (started < PAGERS)
#else
#define MAY_START GONE(listener)
#endif

/* ---- The pager ------------------------------------------------------------- */

inline take_over()
{
	acts[me] = true;
	over[me] = true;
	has_page = handed[A] == me;
#ifdef TAKEN_AS_CLEAN
	dirty = false;
#else
	dirty = has_page;
#endif
	if
	:: has_page ->
		writable = false;
#ifndef NO_WAKE
		sleeper = AWAKE
#endif
	:: else
	fi
}

/* Where it has the page from memory, else from the file. */
inline serve_newcomer()
{
	assert((has_page -> memory : file) >= least);
	loaded = true;
	asked = false
}

proctype Pager(byte me; bool first)
{
	bool has_page = first, writing, answers;
	byte value;

	if
	:: first
	:: else ->
end_waits:
		do
		:: d_step { alive[me] && COMPLETE -> take_over() }; break
#ifdef NOT_PARKED
		:: d_step { alive[me] && asked -> serve_newcomer() }
#endif
		:: !alive[me] -> goto killed
		od
	fi;
end_serves:
	do
	:: d_step { alive[me] && has_page && sleeper == UNREAD ->
		IS_OWNER;
		answers = true;
		sleeper = READ }
	:: d_step { alive[me] && answers ->
		IS_OWNER;
		answers = false;
		dirty = true;
		writable = true;
		sleeper = AWAKE }
	/* Protected first; what it holds then is what is written. */
	:: d_step { alive[me] && dirty && !writing && (writes || ended) ->
		IS_OWNER;
		writes = (writes -> writes - 1 : 0);
		writable = false;
		dirty = false;
		value = memory;
		writing = true }
	:: d_step { writing -> IS_OWNER; file = value; writing = false }
	:: d_step { alive[me] && asked -> serve_newcomer() }
	:: !alive[me] -> break
	od;
killed:
	/* What was begun is done, or not. */
	if
	:: d_step { writing -> IS_OWNER; file = value; writing = false }
	:: true
	fi;
	d_step {
		writing = false;
		answers = false;
		value = 0;
		has_page = false;
		acts[me] = false;
		dead[me] = true
	}
}

/* ---- Guards ---------------------------------------------------------------- */

inline start_one()
{
	alive[started] = true;
	listener = started;
	run Pager(started, started == 0);
	started++
}

proctype Guard(byte me)
{
	byte mine = 0; /* the pager that it is connected to */

end:
	do
	:: atomic { GONE(mine) ->
		if
		:: MAY_START -> start_one()
		:: else
		fi;
		mine = listener }
		if
		:: d_step { !over[mine] -> handed[me] = mine }
		:: else -> break /* it serves already: all is lost */
		fi;
#ifdef ONCE
		break
#endif
	od
}

/* ---- The program ----------------------------------------------------------- */

active proctype Storer()
{
	do
	:: d_step { done < STORES && writable -> done++; memory = done }
	:: d_step { done < STORES && !writable -> sleeper = UNREAD };
		sleeper == AWAKE
	:: done == STORES -> break
	od;
	ended = true
}

active proctype Newcomer()
{
	d_step { least = done; asked = true };
	loaded
}

active proctype Killer()
{
end:
	do
	:: d_step { kills < KILLS && alive[listener] ->
		kills++;
		alive[listener] = false }
	od
}

active proctype Judge()
{
	ended && loaded && file == STORES
}

init
{
	atomic {
		over[0] = true;
		acts[0] = true;
		start_one();
		run Guard(A);
		run Guard(B)
	}
}
