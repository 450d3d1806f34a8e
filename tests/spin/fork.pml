/* SPDX-License-Identifier: MIT */
/*
 * fork with a pager that may be killed: a model for spin (handover.pml tells of
 * the rest; pagers.pml of kills; calls.pml of requests)
 *
 *   parent   makes a connection; FORK and its pager's end ──► pager: an embryo,
 *            fork(2) meanwhile, the child has its own end       in the ledger
 *   pager    answers the child, then the parent, and only then takes FORK out of
 *            its socket
 *   child    waits for its answer, the mappings; ATTACH, for whose answer it does
 *            not wait ──► pager: the ledger says attached, and only then ATTACH
 *            is taken out
 *   pager    an embryo, or a process, whose connection's end nobody has any
 *            more is forgotten, or one that is dead, after what it has left in
 *            the socket
 *
 * Connection 0 is the parent's, 1 the child's. Who holds the client's end of one
 * is counted: the child has the parent's, too, until it closes it. Parent and
 * child may be killed before each of their steps.
 *
 * What is checked: a child is given its parent's mappings, and its faults are
 * heard in the end; no call waits for ever; at the end, everybody gone, the
 * ledger knows nobody.
 *
 * Not in it: a parent that maps between FORK and its answer, which the library's
 * gate prevents; vfork and bare clone; grandchildren.
 *
 * Mutants; each must be found wrong:
 *   FORK_TAKEN    FORK is taken out before the ledger knows
 *   ATTACH_TAKEN  likewise ATTACH
 *   NOT_HEARD     a dead parent is forgotten with what is in its socket
 *   NO_RESTARTED  a successor says nothing
 *   NOT_CLOSED    the parent does not close the child's end
 *   UNWATCHED     a successor does not look for ends that closed before it
 */
#define N	2 /* connections */
#define THREADS 2
#define RIGHT	(known[0] != KNOWN && known[1] != KNOWN)

mtype:what = { ANSWER, RESTARTED };
mtype:record = { NEVER, KNOWN, FORGOTTEN };
mtype:asked = { FORK, INHERITED, ATTACH };

byte holders[N];
bool parent_dead;
mtype:record known[N] = NEVER; /* the ledger */
byte mappings[N];	       /* the ledger */
bool attached;		       /* the ledger: the child is */
chan to_pager[N] = [6] of { mtype:asked };
chan to_client[N] = [6] of { mtype:what, byte };

#include "pagers.pml"

/* The answer to a request that is under way. */
inline await(k, request, got)
{
	do
	:: to_client[k]?RESTARTED, _ -> to_pager[k]!request
	:: to_client[k]?ANSWER, got -> break
	od
}

/* The last holder is gone: what is in the socket goes, too. */
inline let_go(k)
{
	holders[k]--;
	do
	:: holders[k] == 0 && nempty(to_client[k]) -> to_client[k]?_, _
	:: else -> break
	od
}

proctype Child()
{
	byte answer;

	atomic { let_go(0) };
	if
	:: true ->
		await(1, INHERITED, answer);
		assert(answer == 7);
		to_pager[1]!ATTACH;
		if
		:: true -> attached /* a fault */
		:: true /* killed before */
		fi
	:: true /* killed before it is there */
	fi;
	atomic { let_go(1); ended++ }
}

active proctype Parent()
{
	byte answer;

	atomic {
		holders[0] = 1;
		holders[1] = 1;
		known[0] = KNOWN;
		mappings[0] = 7
	};
	to_pager[0]!FORK;
	if
	:: atomic { true -> holders[0]++; holders[1]++; run Child() }
	:: ended++ /* killed before */
	fi;
#ifndef NOT_CLOSED
	atomic { let_go(1) };
#endif
	if
	:: await(0, FORK, answer)
	:: true /* killed before */
	fi;
	atomic { let_go(0); parent_dead = true; ended++ }
}

inline say_restarted(k)
{
	STEP {
		LIVES;
		if
		:: me > 0 && known[k] == KNOWN && holders[k] > 0 ->
			to_client[k]!RESTARTED, 0
		:: else
		fi
	}
}

inline answer(k, what)
{
	STEP {
		LIVES;
		if
		:: holders[k] > 0 -> to_client[k]!ANSWER, what
		:: else
		fi
	}
}

/* It is the child's first request, as if it had been asked. */
inline enter()
{
	STEP { LIVES; known[1] = KNOWN; mappings[1] = mappings[0] };
	handled = handled | 2;
	answer(1, mappings[1])
}

inline take_out(k)
{
	STEP { LIVES; to_pager[k]?_ }
}

#ifdef UNWATCHED
#define WATCHES (me == 0)
#else
#define WATCHES true
#endif

#define IS_LEFT(k) \
	(known[k] == KNOWN && holders[k] == 0 && empty(to_pager[k]) && WATCHES)
#define IS_ASKED(k, what) \
	(!KILLED && known[k] == KNOWN && to_pager[k]?[what])

proctype Pager(byte me; bool is_candidate; byte old)
{
	byte handled; /* bit by bit: the first request of a connection */

#ifndef NO_RESTARTED
	say_restarted(0);
	say_restarted(1);
#endif
end:
	do
	:: KILLED -> break
	:: IS_ASKED(0, FORK) ->
#ifdef FORK_TAKEN
		take_out(0);
#endif
		if
		:: handled & 1
		:: else ->
			handled = handled | 1;
			if
			:: known[1] == KNOWN
			:: else -> enter()
			fi;
			answer(0, 0)
		fi;
#ifndef FORK_TAKEN
		take_out(0)
#endif
	:: STEP { IS_ASKED(1, INHERITED) -> to_pager[1]?INHERITED };
		if
		:: handled & 2
		:: else ->
			handled = handled | 2;
			answer(1, mappings[1])
		fi
	:: IS_ASKED(1, ATTACH) ->
#ifdef ATTACH_TAKEN
		take_out(1);
		STEP { LIVES; attached = true }
#else
		STEP { LIVES; attached = true };
		take_out(1)
#endif
	:: STEP { !KILLED && IS_LEFT(0) -> known[0] = FORGOTTEN }
	:: STEP { !KILLED && IS_LEFT(1) -> known[1] = FORGOTTEN }
#ifdef NOT_HEARD
	:: STEP { !KILLED && known[0] == KNOWN && parent_dead ->
		known[0] = FORGOTTEN }
#else
	:: STEP { !KILLED && known[0] == KNOWN && parent_dead &&
		empty(to_pager[0]) -> known[0] = FORGOTTEN }
#endif
	od;
killed:
	atomic { bury(me); handled = 0 }
}
