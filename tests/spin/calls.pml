/* SPDX-License-Identifier: MIT */
/*
 * Requests, answers and sending again: a model for spin (handover.pml tells of
 * the rest; pagers.pml of kills)
 *
 * One client, one connection that outlives every pager. The ledger says whether
 * something is mapped; request n asks for that if n is odd, and for its end if
 * n is even: so the effect of one in the wrong place is seen.
 *
 *   client   n ──►   waits.   RESTARTED: n again ──►   answer n: goes on
 *   pager    says RESTARTED first; has it handled this id itself: nothing;
 *            else ledger, then answer
 *
 * What is checked: behind an answer the ledger says what that request asked, and
 * so at the end; no call waits for ever.
 *
 * Rule: a client looks at the id of an answer. The pager's look alone is not
 * enough: what one has answered the next may find again in the socket, behind
 * what the client has read (ANY_ANSWER). The pager's look only spares work:
 * without it (PAGER_BLIND) all still holds.
 *
 * Not in it: requests that are not idempotent; several threads (a lock is held
 * from the request to its answer); the orderly hand-over, which answers what it
 * has read and leaves the rest in the socket, as a kill between two requests.
 *
 * Mutants; each must be found wrong:
 *   ANY_ANSWER    the client takes any answer for that to its request
 *   NO_IDS        nobody looks at ids
 *   NO_RESTARTED  a successor says nothing
 *   NO_RESEND     the client does not send again
 *   ANSWER_FIRST  the answer before the ledger
 */
#define REQUESTS 3
#define THREADS	 1
#define RIGHT	 (ledger == REQUESTS % 2)

#ifdef NO_IDS
#define ANY_ANSWER
#define PAGER_BLIND
#endif

mtype:what = { ANSWER, RESTARTED };

bool ledger;
chan to_pager = [6] of { byte };
chan to_client = [12] of { mtype:what, byte };

#include "pagers.pml"

active proctype Client()
{
	byte n = 1, id;

	do
	:: n <= REQUESTS ->
		to_pager!n;
		do
		:: to_client?RESTARTED, _ ->
#ifndef NO_RESEND
			to_pager!n
#else
			skip
#endif
		:: atomic { to_client?ANSWER, id;
			if
#ifndef ANY_ANSWER
			:: id != n
			:: id == n -> break
#else
			:: true -> break
#endif
			fi }
		od;
		assert(ledger == n % 2);
		n++
	:: else -> break
	od;
	ended++
}

proctype Pager(byte me; bool is_candidate; byte old)
{
	byte id, handled;

#ifndef NO_RESTARTED
	if
	:: STEP { me > 0 && !KILLED -> to_client!RESTARTED, 0 }
	:: me == 0
	:: KILLED -> goto killed
	fi;
#endif
end:
	do
	:: KILLED -> break
	:: STEP { !KILLED && nempty(to_pager) -> to_pager?id };
		if
#ifndef PAGER_BLIND
		:: id == handled
		:: id != handled ->
#else
		:: true ->
#endif
			handled = id;
#ifdef ANSWER_FIRST
			STEP { LIVES; to_client!ANSWER, id };
			STEP { LIVES; ledger = id % 2 }
#else
			STEP { LIVES; ledger = id % 2 };
			STEP { LIVES; to_client!ANSWER, id }
#endif
		fi;
		id = 0
	od;
killed:
	atomic { bury(me); id = 0; handled = 0 }
}
