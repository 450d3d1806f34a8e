/* SPDX-License-Identifier: MIT */
/*
 * How one pager takes a page over from another: a model for spin
 *
 * One page of one object, shown by two mappings (two spaces, two uffds): Storer
 * stores 1, 2 through the first, Loader loads through the second. The pager
 * fills, answers faults, writes back, evicts. It is killed twice, at any step,
 * and once, at any time, a candidate asks it to hand over in order. (calls.pml:
 * requests; fork.pml: fork. models.sh runs all of them, and the mutants.)
 *
 *   the old pager                        the candidate
 *   stops reading faults
 *   lets what is under way end
 *   sends descriptors and states ──────► has them
 *   (acts no more)               ◄────── says so: it is the owner from here on
 *   ends                                 acts
 *   ... or sees the end of the candidate's socket, with no answer before it:
 *   goes on, with the states that it has
 *
 * What is checked
 *   no store is lost and no page gets older: whoever loads or stores finds in
 *     memory what was stored last, and at the end it is in the file
 *   no page has two owners: who installs, protects, punches or writes is the
 *     only one that is active; who was killed is, until it is dead for good
 *   no wake-up is lost: no run ends with a sleeper
 *
 * How the kernel is seen: a fault and its message are one step. A message is
 * UNREAD or READ; WAKE wakes either, and the thread faults again. What a dead
 * pager had READ comes to nobody else. COPY, PUNCH and writes to the file are
 * begun, and done some time later; of a pager that was killed they may still be
 * done, or not, until it is dead for good. COPY over a page that is present
 * does nothing. The end of a socket is seen behind what was sent before it.
 *
 * Not in it: several pages or objects, private memory, errors of stores, time,
 * pages in part, the keeper's death, clients that lie. A mapping is known to
 * pager and keeper from the start.
 *
 * Mutants; each must be found wrong:
 *   NO_WAKE         a successor wakes nobody
 *   EARLY           it starts when the old one is killed, not dead
 *   TAKEN_AS_CLEAN  it takes a present page as clean
 *   EAGER_KEEPER    another starts although a candidate has taken over
 *   FORGOTTEN_ASIDE who faults during a write-back is not woken behind it
 *   UNPROTECTED     a page is written back without protecting it
 *   NO_DRAIN        handed over with a write under way
 *   DROPPED_FAULT   handed over with a fill under way, its sleeper forgotten
 *   ACTS_UNACKED    the candidate acts before it says that it has all
 *   EOF_FIRST       the old one looks for the socket's end before the answer
 *   RESUMES         it goes on although the candidate lives (a time-out)
 *   ENDLESS         evictions are not counted: a run may go round for ever
 */
mtype:state = { ABSENT, FILLING, CLEAN, DIRTY, WRITING };
mtype:table = { NONE, READ_ONLY, WRITABLE };
mtype:thread = { AWAKE, UNREAD, READ };
mtype:access = { TOUCH, PROTECTED };
mtype:order = { NOTHING, COPY, PUNCH, WRITE };

#define STORES 2
#define LOADS  1

#define THREADS 2
#define RIGHT	(file == STORES)

byte file, memory, done; /* numbers of stores */
bool present;
mtype:table pte[2] = NONE;
mtype:thread sleeper[2] = AWAKE;
mtype:access fault[2];
mtype:order op[4] = NOTHING;
byte op_value[4], op_mapping[4];
byte evictions = 1, writes = 1; /* still allowed; more writes at the end */

bool wanted, acked;
byte candidate = 255, asked = 255;
chan states = [1] of { mtype:state };

#include "pagers.pml"

/* ---- The kernel ---------------------------------------------------------- */

/* What no longer matters is set to 0 everywhere: fewer states. */
inline forget(p)
{
	op[p] = NOTHING;
	op_value[p] = 0;
	op_mapping[p] = 0
}

inline perform(p)
{
	is_owner(p);
	if
	:: op[p] == COPY && !present ->
		memory = op_value[p];
		present = true;
		pte[op_mapping[p]] = READ_ONLY
	:: op[p] == COPY && present
	:: op[p] == PUNCH ->
		memory = 0;
		present = false;
		pte[0] = NONE;
		pte[1] = NONE
	:: op[p] == WRITE -> file = op_value[p]
	fi;
	forget(p)
}

active proctype Kernel()
{
end:
	do
	:: d_step { op[0] != NOTHING -> perform(0) }
	:: d_step { op[1] != NOTHING -> perform(1) }
	:: d_step { op[2] != NOTHING -> perform(2) }
	:: d_step { op[3] != NOTHING -> perform(3) }
	od
}

/* ---- The program --------------------------------------------------------- */

inline sleep(m, why)
{
	fault[m] = why;
	sleeper[m] = UNREAD
}

active proctype Storer()
{
	do
	:: d_step { done < STORES && pte[0] == WRITABLE ->
		assert(memory == done);
		done++;
		memory = done }
	:: d_step { done < STORES && pte[0] == READ_ONLY ->
		sleep(0, PROTECTED) };
		sleeper[0] == AWAKE
	:: d_step { done < STORES && pte[0] == NONE -> sleep(0, TOUCH) };
		sleeper[0] == AWAKE
	:: done == STORES -> break
	od;
	ended++
}

active proctype Loader()
{
	byte loads;

	do
	:: d_step { loads < LOADS && pte[1] != NONE ->
		assert(memory == done);
		loads++ }
	:: d_step { loads < LOADS && pte[1] == NONE -> sleep(1, TOUCH) };
		sleeper[1] == AWAKE
	:: loads == LOADS -> break
	od;
	ended++
}

/* ---- The pager ----------------------------------------------------------- */

#define set_aside(m) aside = aside | (1 << m)

inline wake(m)
{
	sleeper[m] = AWAKE;
	fault[m] = TOUCH
}

/* Whoever settles a page owes a wake to the faults set aside meanwhile. */
inline wake_aside()
{
	if
	:: aside & 1 -> wake(0)
	:: else
	fi;
	if
	:: aside & 2 -> wake(1)
	:: else
	fi;
	aside = 0
}

/* CONTINUE, WRITEPROTECT: nothing happens to what is not there. */
inline move_pte(m, from, to)
{
	is_owner(me);
	if
	:: present && pte[m] == from -> pte[m] = to
	:: else
	fi
}

inline answer(m)
{
	if
	:: page == ABSENT && fault[m] == TOUCH ->
		STEP { LIVES; page = FILLING; set_aside(m) }
	:: page == ABSENT && fault[m] == PROTECTED -> STEP { LIVES; wake(m) }
	:: page == FILLING -> set_aside(m)
	:: page == WRITING && fault[m] == PROTECTED -> set_aside(m)
	:: (page == CLEAN || page == DIRTY) && fault[m] == PROTECTED ->
		STEP { LIVES; page = DIRTY; move_pte(m, READ_ONLY, WRITABLE) };
		STEP { LIVES; wake(m) }
	:: (page == CLEAN || page == DIRTY || page == WRITING) &&
	   fault[m] == TOUCH ->
		STEP { LIVES; move_pte(m, NONE, READ_ONLY) };
		STEP { LIVES; wake(m) }
	:: KILLED -> goto killed
	fi
}

/* Without states: from the ledger and from what is in memory. */
inline begin_anew()
{
	STEP {
		LIVES;
#ifdef TAKEN_AS_CLEAN
		page = (present -> CLEAN : ABSENT);
#else
		page = (present -> DIRTY : ABSENT);
#endif
		acts[me] = true
	}
#ifndef NO_WAKE
	STEP { LIVES; wake(0) };
	STEP { LIVES; wake(1) }
#endif
}

/* A candidate: it acts only when it has all and has said so. */
inline take_over()
{
	if
	:: STEP { !KILLED && nempty(states) -> states?page }
	:: STEP { !KILLED && empty(states) && SHOT(old) ->
		wanted = false;
		alive[me] = false };
		goto killed
	:: KILLED -> goto killed
	fi;
#ifdef ACTS_UNACKED
	STEP { LIVES; acts[me] = true }
#else
	STEP { LIVES; acked = true; wanted = false; acts[me] = true }
#endif
}

#if defined(NO_DRAIN)
#define IS_DRAINED (page != FILLING)
#define HANDED	   (page == WRITING -> CLEAN : page)
#elif defined(DROPPED_FAULT)
#define IS_DRAINED (page != WRITING)
#define HANDED	   (page == FILLING -> ABSENT : page)
#else
#define IS_DRAINED (page != FILLING && page != WRITING)
#define HANDED	   page
#endif

#if defined(EOF_FIRST)
#define HAS_FAILED SHOT(candidate)
#elif defined(RESUMES)
#define HAS_FAILED !acked
#else
#define HAS_FAILED (!acked && SHOT(candidate))
#endif

inline hand_over()
{
	STEP { LIVES; states!HANDED; acts[me] = false };
	if
	:: STEP { !KILLED && acked -> alive[me] = false }; goto killed
	:: STEP { !KILLED && HAS_FAILED ->
		if
		:: nempty(states) -> states?_
		:: empty(states)
		fi;
		wanted = false;
		stop = false;
		acts[me] = true }
	:: KILLED -> goto killed
	fi
}

inline wait_for_op()
{
	if
	:: !KILLED && op[me] == NOTHING
	:: KILLED -> goto killed
	fi
}

proctype Pager(byte me; bool is_candidate; byte old)
{
	mtype:state page = ABSENT;
	bool stop, submitted;
	byte aside, value;

	if
	:: is_candidate -> take_over()
	:: else -> begin_anew()
	fi;
end:
	do
	:: KILLED -> break
	/* faults */
	:: STEP { !KILLED && !stop && sleeper[0] == UNREAD ->
		sleeper[0] = READ };
		answer(0)
	:: STEP { !KILLED && !stop && sleeper[1] == UNREAD ->
		sleeper[1] = READ };
		answer(1)
	/* fill */
	:: STEP { !KILLED && page == FILLING && !submitted ->
		value = file;
		submitted = true }
	:: STEP { !KILLED && page == FILLING && submitted ->
		op_value[me] = value;
		value = 0;
		op_mapping[me] = (aside & 1 -> 0 : 1);
		op[me] = COPY };
		wait_for_op();
		STEP { LIVES; page = CLEAN; submitted = false; wake_aside() }
	/* write back: protect, read, write */
	:: STEP { !KILLED && !stop && page == DIRTY && (OVER || writes) ->
		writes = (OVER -> writes : writes - 1);
		page = WRITING };
#ifndef UNPROTECTED
		STEP { LIVES; move_pte(0, WRITABLE, READ_ONLY) };
#endif
		STEP { LIVES; value = memory };
		STEP {
			LIVES;
			op_value[me] = value;
			value = 0;
			op[me] = WRITE;
			submitted = true
		}
	:: STEP { !KILLED && page == WRITING && submitted &&
		  op[me] == NOTHING ->
		page = CLEAN;
		submitted = false;
#ifdef FORGOTTEN_ASIDE
		aside = 0
#else
		wake_aside()
#endif
		}
	/* evict */
	:: STEP { !KILLED && !stop && page == CLEAN && evictions ->
#ifndef ENDLESS
		evictions--;
#endif
		op[me] = PUNCH };
		wait_for_op();
		page = ABSENT
	/* hand over */
	:: STEP { !KILLED && wanted && asked == me && !stop -> stop = true }
	:: !KILLED && stop && IS_DRAINED -> hand_over()
#ifdef ACTS_UNACKED
	:: STEP { !KILLED && is_candidate && !acked ->
		acked = true;
		wanted = false }
#endif
	od;
killed:
	atomic {
		bury(me);
		forget(me);
		page = ABSENT;
		stop = false;
		submitted = false;
		aside = 0;
		value = 0
	}
}

inline ask(p)
{
	candidate = started;
	asked = p;
	wanted = true;
	start(true, p)
}

active proctype Operator()
{
	if
	:: atomic { acts[0] && alive[0] -> ask(0) }
	:: atomic { acts[1] && alive[1] -> ask(1) }
	:: atomic { acts[2] && alive[2] -> ask(2) }
	:: true /* never */
	fi
}
