/* SPDX-License-Identifier: MIT */
/*
 * Messages between processes: how a client's call travels to wmapd
 *
 * A connection is a SOCK_SEQPACKET socket with one packet for a request and one
 * for its answer, in turns. A process opens as many as it has calls at a time;
 * the first one says HELLO (or ATTACH, in a fork's child), later ones JOIN. Who
 * only asks for the HINTS need say nothing before, and hangs up.
 * Descriptors travel beside the packets.
 *
 *   kind       with it             answered with
 *   HELLO      uffd                a token for JOIN; the hints (hints.h)
 *   JOIN
 *   HINTS                          the hints, for who has no mapping yet
 *   FORK       wmapd's end of the
 *              connection of a
 *              child to be, and a
 *              token for its JOIN
 *   INHERITED  how many at most    pieces to place, and their memfds; whether
 *                                  there are more. FORK has asked the first
 *                                  of these for the child
 *   ATTACH     uffd; whether       as HELLO, or nothing at all
 *              nobody waits
 *   MOVE_IN                        as HELLO, but the hints; then, before ATTACH:
 *   ADOPT_OBJECT   memfd, bytes by page (WIRE_PAGE_*), file if it has one
 *   ADOPT_MAPPING  bytes by page: touched
 *   MAP        file, if it has one memfd, if it has one
 *   MOVE                           memfd, if it has one
 *   FRAME                          memfd
 *   GROW, REGROW                   memfd, if what is to be placed has one
 *   FILE_*     the file, as proof
 *   PREFETCH   memfd: ranges       its number
 *   GUARD      as JOIN             the ledger's mirror, the hints, the uffd; then,
 *                                  unasked: KEEP and DROP (below);
 *                                  or HIDE, GROW, LEAVE and TAKE, for who is
 *                                  refused the rest, too
 *   HIDDEN     page map, or none   nothing at all
 *   LEFT, TAKEN                    likewise
 *   UNGUARD                        nothing; its process's guard is hung up on
 *   RESCUE     uffd, mirror, hints 0: hand over what you have; after HANDED a
 *                                  RESTARTED comes when all is served again.
 *                                  Without a mirror: -EAGAIN until another has
 *                                  brought one
 *   HAND       memfd, file if any
 *   HANDED                         that was all of this process
 *   SPACES                         what wmap ps shows, process by process
 *   MAPPINGS                       of one of them: as LIST
 *   all else   as in message.h     likewise; LIST, STATS, RESIDENCY with bytes
 *
 * A number that only a liar would send makes the whole packet bad. Whether what
 * a good one asks for can be had is for the books to say.
 */
#ifndef WMAP_WIRE_H
#define WMAP_WIRE_H

#include "internal.h"
#include "message.h"
#include "share.h"

#define WIRE_MAGIC   0x34706d77u /* "wmp4": the version is in it */
#define WIRE_PAYLOAD ((size_t)48 << 10)
#define WIRE_FDS     64 /* of one packet */
#define WIRE_RANGES  1024
#define WIRE_LIST    WMAP_PREFETCH_REMOTE_MAX /* ranges, of PREFETCH */
#define WIRE_ARGS    10

/* Kinds, beside those of message.h. */
enum {
	WIRE_HELLO = MESSAGE_KINDS,
	WIRE_JOIN,
	WIRE_FORK,
	WIRE_ATTACH,
	WIRE_INHERITED,
	WIRE_SPACES, /* of all processes: wmap ps */
	WIRE_HINTS,
	WIRE_MOVE_IN,
	WIRE_ADOPT_OBJECT,
	WIRE_ADOPT_MAPPING,
	WIRE_MAPPINGS, /* of one of those that SPACES told of */
	WIRE_REPLACE,  /* make room for a successor: wmapd --replace */
	WIRE_GUARD,    /* a guard's connection: lib/guard.h */
	WIRE_UNGUARD,
	WIRE_RESCUE, /* of id args[0], whose token is args[1], args[2] */
	WIRE_HAND,   /* object args[0]; args[1]: its file is open for writing */
	WIRE_HANDED,
	WIRE_HIDDEN, /* the ranges of HIDE args[0] */
	WIRE_LEFT,   /* args[1] pages, for LEAVE args[0] */
	WIRE_TAKEN, /* for TAKE args[0]; bit i of args[1]: range i is not gone */
	WIRE_KINDS
};

/* What a byte says of a page. */
enum { WIRE_PAGE_NONE, WIRE_PAGE_CLEAN, WIRE_PAGE_DIRTY, WIRE_PAGE_ERROR };

/* flags of a request: it was sent before, to a pager that has died. */
#define WIRE_AGAIN 0x1

/* flags of a reply: it answers nothing, but says that a new pager is there. */
#define WIRE_RESTARTED 0x1

/* likewise: a guard's process shows object args[0] from now on, whose memfd and
   file (args[1]: for writing) come with it; or does not any more. */
#define WIRE_KEEP 0x2
#define WIRE_DROP 0x4

/* likewise: a guard's process is to take the ranges of the payload out of its page
   tables, and to say HIDDEN args[0] then, with its page map if args[1]
   (daemon/wmapd/agent.c). */
#define WIRE_HIDE 0x8

/* likewise: a touch of args[0], the page above a mapping, waits for the process to
   place the next one (lib/growth.h). */
#define WIRE_GROW 0x10

/* likewise: a guard's process is to copy what is in memory, up to the first page
   that is not, of the first range of each pair in the payload to the memory that
   comes with it, and to keep the mapping, which is the second one, out of forks that
   run no handlers; then to say LEFT args[0]. To drop the ranges of the payload; then
   TAKEN args[0] (lib/swapaway.h). */
#define WIRE_LEAVE 0x20
#define WIRE_TAKE  0x40

struct wire_request {
	uint32_t magic;
	uint16_t kind, flags;
	uint64_t id; /* the connection's count, from 1 */
	uint64_t address, length;
	uint64_t args[WIRE_ARGS];
};

struct wire_reply {
	uint32_t magic;
	uint16_t kind, flags;
	uint64_t id;
	int64_t result; /* 0 or a negative errno */
	uint64_t args[WIRE_ARGS];
	/* and up to WIRE_PAYLOAD bytes */
};

/* What a child has to place: the payload of INHERITED. */
struct wire_piece {
	uint64_t start, length, offset, modes;
	uint32_t prot;
	uint16_t shared;  /* to be mapped from the memfd; else it is there */
	uint16_t growing; /* and the page above it */
	int32_t memfd;	 /* number among the packet's descriptors, or -1: it has
			     none */
	uint32_t booked; /* bytes are ours; else only the growth page */
};

struct wire_range {
	uint64_t start, length;
};

/* args[5] of ADOPT_MAPPING. */
#define WIRE_MAY_WRITE 0x1
#define WIRE_TRACKED   0x2
#define WIRE_GROWING   0x4
#define WIRE_ALONE     0x8
#define WIRE_BITS      0xf

enum { WIRE_AGENT_NONE, WIRE_AGENT_SERVES, WIRE_AGENT_LATE };

/* A budget as it travels: 0 is none. */
static inline uint64_t wire_memory(uint64_t limit)
{
	return limit == BUDGET_NONE ? 0 : limit;
}

static inline uint64_t wire_limit(uint64_t memory)
{
	return memory ? memory : BUDGET_NONE;
}

/*
 * What is told of a process, without a session too: the payload of SPACES, which
 * asks for those numbered above address; args[0]: of this pid only, or 0. The
 * answer's args[0]: there are more; args[1]: wmapd's pid.
 *
 * MAPPINGS asks for those that end above address, of the one whose number is
 * args[0]. The answer's args[0]: how many it has; args[1]: where to go on.
 */
struct wire_space {
	uint64_t number; /* later ones have larger ones */
	uint32_t pid, uid;
	uint64_t loaded, total; /* pages: touched by its mappings, of them */
	/* Of its ranges, whoever brought or changed them; too many where several
	   mappings of one file do not show all of it. */
	uint64_t resident, dirty;
	uint32_t agent;	     /* WIRE_AGENT_* */
	uint32_t times_late; /* that it was */
	/* Each object is counted there for one process only, so the sum over
	   all is what is in memory. */
	struct wmap_stats stats;
};

/*
 * Is this a request? A pure function of its arguments. 0, or -EPROTO. The bytes
 * may be anything and need no alignment; @n_fds came with them.
 */
int wire_parse(const void *bytes, size_t size, unsigned n_fds,
	       struct wire_request *request);

/* Is this what a mapping can be? @args: first, prot, flags, grain, deadline. */
bool wire_mapping_ok(uint64_t address, uint64_t length, const uint64_t *args);

/* The client's side: what goes out, what came back. */
void wire_ask(const struct message *message, struct wire_request *request);
void wire_take(const struct wire_reply *reply, struct message *message);

/* The pager's side. Only after wire_parse; pointers and descriptors are the
   caller's to set. */
void wire_heard(const struct wire_request *request, struct message *message);
void wire_answer(const struct message *message, struct wire_reply *reply);

/*
 * One packet, with descriptors. Signals may interrupt, packets come whole.
 * wire_receive: bytes, 0 at the end, or a negative errno (-EMSGSIZE: longer than
 * @size, or more descriptors). *@n_fds: room, and then how many came, in any case.
 * *@pid (unless NULL): the sender, if the socket has SO_PASSCRED.
 */
int wire_send(int socket, const void *head, size_t head_size, const void *bytes,
	      size_t size, const int *fds, unsigned n_fds, int flags);
int wire_receive(int socket, void *head, size_t head_size, void *bytes,
		 size_t size, int *fds, unsigned *n_fds, int *pid, int flags);

#endif
