/* SPDX-License-Identifier: MIT */
/*
 * fork with a pager that may be killed: a model for spin (handover.pml tells of
 * the rest; pagers.pml of kills; calls.pml of requests)
 *
 *   parent   FORK ──► pager: an embryo, connection c; in the ledger; answer c
 *            fork(2), the child has c too; the parent closes c
 *   child    ATTACH on c ──► pager: the ledger says attached; the mappings
 *   pager    an embryo, or a process, whose connection's end nobody has any
 *            more is forgotten
 *
 * Connection 0 is the parent's. Who holds the client's end of a connection is
 * counted: parent, child, an answer under way in a socket, the pager that has
 * made it and not yet let go of it. A socket that is closed gives up what is in
 * it. The keeper has the pager's ends alone. Parent and child may be killed
 * before each of their steps.
 *
 * What is checked: a child is given its parent's mappings, and attached; no call
 * waits for ever; at the end, everybody gone, the ledger knows nobody.
 *
 * Not in it: a parent that maps between FORK and fork(2), which the preload
 * library's lock prevents; vfork and bare clone; grandchildren.
 *
 * Mutants; each must be found wrong:
 *   KEPT_END      the keeper has a duplicate of the client's end, too
 *   ANSWER_FIRST  the answer before the ledger
 *   NO_RESTARTED  a successor says nothing
 *   NOT_CLOSED    the parent does not close c
 *   UNWATCHED     a successor does not look for ends that closed before it
 */
#define N	4 /* connections: the parent's, and one a FORK, sent again */
#define THREADS 2
#define RIGHT \
	(known[0] != KNOWN && known[1] != KNOWN && known[2] != KNOWN && \
	 known[3] != KNOWN)

mtype:what = { ANSWER, RESTARTED };
mtype:record = { NEVER, KNOWN, FORGOTTEN };

byte holders[N], made = 1;
mtype:record known[N] = NEVER; /* the ledger */
byte mappings[N];	       /* the ledger */
chan to_pager[N] = [6] of { byte };
chan to_client[N] = [6] of { mtype:what, byte };

#include "pagers.pml"

/* A request until its answer. */
inline call(k, got)
{
	to_pager[k]!1;
	do
	:: to_client[k]?RESTARTED, _ -> to_pager[k]!1
	:: to_client[k]?ANSWER, got -> break
	od
}

/* The last holder is gone: what is in the socket goes, too. */
inline let_go(k)
{
	holders[k]--;
	do
	:: holders[k] == 0 && to_client[k]?[ANSWER, _] ->
		to_client[k]?ANSWER, e;
		if
		:: k == 0 -> holders[e]--
		:: else
		fi;
		e = 0
	:: holders[k] == 0 && to_client[k]?[RESTARTED, _] ->
		to_client[k]?RESTARTED, _
	:: else -> break
	od
}

proctype Child(byte c)
{
	byte answer, e;

	if
	:: true ->
		call(c, answer);
		assert(answer == 7)
	:: true /* killed before it has attached */
	:: true -> to_pager[c]!1 /* or while it does */
	fi;
	atomic { let_go(c); ended++ }
}

active proctype Parent()
{
	byte c, e;

	atomic { holders[0] = 1; known[0] = KNOWN; mappings[0] = 7 };
	if
	:: true ->
		call(0, c);
		if
		:: atomic { true -> holders[c]++; run Child(c) }
		:: true -> ended++ /* killed before the fork */
		fi;
#ifndef NOT_CLOSED
		atomic { let_go(c) }
#endif
	:: true -> to_pager[0]!1; ended++ /* killed before the answer */
	fi;
	atomic { let_go(0); ended++ }
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
		:: holders[k] == 0 && k == 0 -> holders[what]--
		:: else
		fi;
#ifdef KEPT_END
		if
		:: k == 0 -> holders[what]++
		:: else
		fi;
#endif
		unsent = 0
	}
}

inline enter(k)
{
	STEP { LIVES; known[k] = KNOWN; mappings[k] = mappings[0] }
}

inline make_embryo()
{
	STEP { LIVES; unsent = made; made++; holders[unsent] = 1; c = unsent };
#ifdef ANSWER_FIRST
	answer(0, c);
	enter(c)
#else
	enter(c);
	answer(0, c)
#endif
}

#ifdef UNWATCHED
#define WATCHES(c) (me == 0)
#else
#define WATCHES(c) true
#endif

#define IS_LEFT(c) \
	(known[c] == KNOWN && holders[c] == 0 && empty(to_pager[c]) && \
	 WATCHES(c))
#define IS_ASKED(c) (known[c] == KNOWN && nempty(to_pager[c]))

proctype Pager(byte me; bool is_candidate; byte old)
{
	byte c, e, unsent, handled;

#ifndef NO_RESTARTED
	say_restarted(0);
	say_restarted(1);
	say_restarted(2);
	say_restarted(3);
#endif
end:
	do
	:: KILLED -> break
	:: STEP { !KILLED && IS_ASKED(0) -> to_pager[0]?_ };
		if
		:: handled & 1
		:: else -> handled = handled | 1; make_embryo(); c = 0
		fi
	:: STEP { !KILLED && IS_ASKED(1) -> to_pager[1]?_; c = 1 };
		goto attach
	:: STEP { !KILLED && IS_ASKED(2) -> to_pager[2]?_; c = 2 };
		goto attach
	:: STEP { !KILLED && IS_ASKED(3) -> to_pager[3]?_; c = 3 };
attach:
		if
		:: handled & (1 << c)
		:: else ->
			handled = handled | (1 << c);
			answer(c, mappings[c])
		fi;
		c = 0
	:: STEP { !KILLED && IS_LEFT(0) -> known[0] = FORGOTTEN }
	:: STEP { !KILLED && IS_LEFT(1) -> known[1] = FORGOTTEN }
	:: STEP { !KILLED && IS_LEFT(2) -> known[2] = FORGOTTEN }
	:: STEP { !KILLED && IS_LEFT(3) -> known[3] = FORGOTTEN }
	od;
killed:
	atomic {
		bury(me);
		if
		:: unsent > 0 -> holders[unsent]--
		:: else
		fi;
		unsent = 0;
		handled = 0;
		c = 0
	}
}
