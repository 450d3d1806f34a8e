/* SPDX-License-Identifier: MIT */
/*
 * The map of wmapd: the pager of lib/ in a process of its own
 *
 *   client ══ connection ══► conn ──► session ──► books (lib/) ──► answer
 *   client's uffd ─────────────────► space ──► faults (lib/)
 *
 *   options    the command line
 *   server     the listening socket, the pager, what all sessions share
 *   conn       packets: one request at a time, its answer
 *   session    one client process: its space, its connections, its end
 *   request    what each kind of request does
 *   looking    whether what a client has sent is a file that may be mapped
 *   guarded    what the guards of its clients hold
 *   agent      what they do inside their processes
 *   growth     one of that: mappings that grow
 *   takeover   what its keeper has of a predecessor
 *   counts     one of that: what it has counted
 *   rescue     what the guards have, if there is no keeper any more
 *   telling    what wmap ps asks: who is served, and how
 *   obituary   what wmap run shall know of who does not tell it
 *   metrics    the same in sums, for Prometheus; a thread, and off by default
 *   notify     readiness and descriptors, for whoever supervises (systemd's
 *              protocol)
 *   confine    the system calls that it may make, and no others
 *   wmapd      the order of it all
 *
 * One thread does everything, as in a program with a pager thread; that of the
 * metrics only asks it, and those that wait for a file's server know nothing of it.
 */
#ifndef WMAPD_H
#define WMAPD_H

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "elsewhere.h"
#include "internal.h"
#include "list.h"
#include "pager.h"
#include "wire.h"

/* Of one session, of one user; against who takes all there is. */
#define CONNS_MAX     64
#define PROMISES_MAX  4096
#define MAPPINGS_MAX  65536
#define SESSIONS_MAX  2048
#define STRANGERS_MAX 256 /* of all users */

struct record;

/* rescue.c's own. */
struct rescue {
	bool expected; /* guards will come: nobody else is heard until then */
	bool going;    /* one has come */
	int mirror, hints; /* the predecessor's, or -1 */
	struct record *records;
	size_t n, size;
	uint64_t writer;    /* as its mirror said */
	struct list taken;  /* struct taken: as a keeper has them */
	struct list comers; /* the guards that have come */
	struct timer timer;
	uint64_t until;
};

struct server {
	struct pager *pager;
	unsigned features;   /* of the loop */
	int hints;	     /* the memfd of what clients may look at */
	struct hints *shown; /* it */
	struct ledger *ledger;
	struct watch listen; /* the socket */
	uint64_t writer;     /* ghost.c: our number, or 0 */
	struct timer ghost;  /* is it there still? */
	uint64_t ghost_until;
	struct list sessions;
	struct list strangers; /* conns without a session so far */
	unsigned n_strangers;
	struct list accounts;
	size_t descriptors; /* that we may have */
	int spare;	    /* a descriptor for when there is no other */
	struct post accept; /* more of them */
	bool accepting;
	bool replaced; /* by another, which is to be started */
	bool ending;   /* when the last session has ended */
	uint64_t sessions_ever;
	const char *report;	/* `wmap run`'s file, or NULL */
	struct wmap_stats past; /* counters of sessions that are over */
	struct list asked;	/* conn.asked: those who wait to be told */
	struct timer tell;
	uint64_t tell_at; /* not before */
	struct rescue rescue;
};

struct session {
	struct list link; /* server.sessions */
	struct server *server;
	struct space *space;
	uint64_t number; /* rises */
	struct list conns;
	unsigned n_conns;
	unsigned references; /* conns, requests under way, its end */
	uid_t uid;
	pid_t pid;
	struct watch process; /* its pidfd, while watched */
	bool watched;
	struct timer look; /* is it there, without connections? */
	uint64_t token[2];
	uint32_t slot; /* in the ledger; the number there is space->id */
	uint64_t conns_ever;
	bool embryo; /* of a fork: no process is attached yet */
	bool ending;
	struct message end;
	uint64_t died;		 /* ns, if its obituary is written; else 0 */
	uint64_t obituaries;	 /* mappings in it */
	struct list adopted;	 /* objects that moved in, until ATTACH */
	struct conn *guard;	 /* of conns, or NULL */
	struct guarded *guarded; /* what it holds: guarded.c's own */
	struct agent *agent;	 /* agent.c's own, or NULL */
	struct leaver *leaver;	 /* away.c's own, or NULL */
	uint64_t parent; /* of an embryo: the number of its space; or 0 */
	bool agent_is_late;
	unsigned times_late;
	struct list wanting; /* mapping.wanting: growth.c's own, all of it */
	struct timer ask_again;
	uint64_t pause; /* ns, until then */
	uint64_t alone; /* the last time that an agent was there */
	struct list
		promises; /* of FILE_WRITTEN, by those who said FILE_WRITING */
	uint64_t promised;
	unsigned n_promises;
};

struct conn {
	struct list link; /* session.conns, or server.strangers */
	struct server *server;
	struct session *session; /* or NULL */
	struct session *asking;	 /* of the message under way */
	struct watch watch;
	uid_t uid; /* who connected; of a session's, who pays for it */
	pid_t pid;
	bool estranged;	 /* by then its process was another user's */
	bool busy;	 /* a request is under way */
	bool closed;	 /* nobody hears the answer */
	bool gone;	 /* by the loop, too */
	bool adopted;	 /* a predecessor may have done its first request */
	bool kept;	 /* the request under way is still in the socket */
	bool posted;	 /* again */
	bool put_off;	 /* it is not under way, but busy: later */
	uint64_t number; /* in the session */
	uint64_t id;	 /* of the last request that was handled */
	struct message message;
	void *bytes; /* the answer's payload, or NULL */
	size_t room;
	struct post again;  /* look for another request */
	struct timer later; /* for the same one */
	struct list asked;  /* server.asked, with the question */
	struct wire_request question;
	struct look *look;     /* looking.c's, or NULL */
	struct comer *comer;   /* rescue.c's, or NULL */
	struct parked *parked; /* likewise */
};

/* ---- conn.c ---------------------------------------------------------------- */

/* A new one; takes @fd over, also on failure. */
int conn_create(struct server *server, int fd, uid_t uid, pid_t pid,
		struct conn **conn);

/* Cut it off. */
void conn_close(struct conn *conn);

/* Answer the request under way, which is over. @fds are not taken over. */
void conn_answer(struct conn *conn, struct wire_reply *reply, size_t size,
		 const int *fds, unsigned n_fds);

/* It is over, and nobody waits for an answer. */
void conn_silent(struct conn *conn);

/* It cannot be done now: again in a while. Of one that is in the socket still. */
void conn_later(struct conn *conn);

/* Close what it has sent; -1 is nothing. */
void conn_drop(const struct conn *conn, const int *fds, unsigned n);

/* A request as if it had come by @conn, its first. */
void conn_ask(struct conn *conn, const struct wire_request *request);

/* Whose process has ended may have left a FORK, on which a child depends; who joins
   an embryo may be quicker than its ATTACH. */
void conn_hear_last(struct conn *conn);

/* ---- session.c ------------------------------------------------------------- */

/* For a process whose uffd it is, taken over if this succeeds; -1: an embryo.
   @token: by which others join; NULL: a new one. */
int session_create(struct server *server, uid_t uid, pid_t pid, int uffd,
		   const uint64_t *token, struct session **session);
void session_get(struct session *session);
void session_put(struct session *session);

/* A predecessor's; its uffd comes later. */
int session_adopt(struct server *server, const struct record *record,
		  struct session **session);

/* @conn belongs to it from now on; -EMFILE. */
int session_take(struct session *session, struct conn *conn);

/* Without its last connection it ends, unless its process shows what it has. */
void session_leave(struct conn *conn);

/* That may be so. */
void session_left(struct session *session);

/* By its token; may @conn, whose token that is, join it? */
struct session *session_find(struct server *server, const uint64_t token[2]);
bool session_admits(const struct session *session, const struct conn *conn);

/* By the number of its space; NULL: it is not there. */
struct session *session_of_space(struct server *server, uint64_t id);

/* Its mappings go, after what was stored through them has been written. */
void session_end(struct session *session);

/* Who says FILE_WRITING gets a number in the object's place, and gives it back
   with FILE_WRITTEN; what is never given back is so at the session's end. */
struct object *session_promise(struct session *session,
			       const struct message *message);
struct object *session_redeem(struct session *session, uint64_t number);

/* It ends with its process, whoever else has inherited the connections. */
void session_watch(struct session *session);

/* adopt.c: what moves in, into an embryo. What it takes over of @fds is -1 then;
   @touched stays the caller's. */
int session_adopt_object(struct session *session, uint64_t number, int *fds,
			 unsigned n_fds);
int session_adopt_mapping(struct session *session,
			  const struct wire_request *request, int touched);
void session_adopted(struct session *session);

/* The embryo's process is there. */
int session_attach(struct session *session, pid_t pid, int uffd);

/* ---- guarded.c -------------------------------------------------------------- */

/* Before its space shows anything. */
void guarded_open(struct session *session);

/* It has no guard any more. */
void guarded_end(struct session *session);

/* There is swap from now on: each guard gets it. */
void guarded_swap(struct pager *pager);

/* GUARD and UNGUARD; the connection is of a session, for the former. */
void guarded_by(struct conn *conn);
void guarded_no_more(struct conn *conn);

/* ---- agent.c ---------------------------------------------------------------- */

/* The guard of a session does what it is asked from now on. */
void agent_begin(struct conn *conn);

/* It has none any more. */
void agent_end(struct session *session);

/* Its connection, or NULL. */
struct conn *agent_conn(const struct session *session);

/* HIDDEN; takes @pagemap over, or -1. */
void agent_has_hidden(struct conn *conn, uint64_t number, int pagemap);

/* ---- away.c ----------------------------------------------------------------- */

/* Private memory of its process may leave from now on; or not any more. */
void away_begin(struct conn *conn);
void away_end(struct session *session);

/* LEFT and TAKEN. */
void away_left(struct conn *conn, uint64_t number, uint64_t pages);
void away_taken(struct conn *conn, uint64_t number, uint64_t failed);

/* A fork: before what is known is copied; and its child is there, or will not be.
   Those that a predecessor has seen begin. */
void away_forks(struct session *parent, struct session *child);
void away_forked(struct session *child);
void away_adopt(struct server *server);

/* ---- growth.c --------------------------------------------------------------- */

/* What its space shows may grow from now on; or it shows nothing any more. */
void growth_open(struct session *session);
void growth_close(struct session *session);

/* ---- request.c ------------------------------------------------------------- */

/* @fds are the request's, taken over. The answer comes by conn_answer. */
void request_handle(struct conn *conn, const struct wire_request *request,
		    int *fds, unsigned n_fds, pid_t pid);

/* Is it a uffd that can be read? */
int request_check_uffd(int fd);

/* Is it memory that stays as large as it is? */
bool request_is_memory(int memfd);

/* Of a request that stays in the socket while it is under way: nobody can be
   waited for when this goes with it. */
bool request_may_stay(int fd);

/* ---- looking.c ------------------------------------------------------------- */

struct look {
	struct elsewhere work;
	struct loop *loop;
	struct conn *conn; /* or NULL: it has hung up */
	int (*check)(struct look *look);
	void (*done)(struct conn *conn, const struct look *look);
	uid_t whom;
	uint64_t server;
	struct timer again; /* no thread was free, */
	unsigned times;	    /* so often */
	int error;
	int fd;		   /* looked at; *@done takes it over, if no error */
	bool wants_direct; /* looking_for_file: with O_DIRECT, too */
	int direct;	   /* that, or an error */
	bool writable;	   /* looking_for_file, as @stat */
	struct stat stat;
};

/*
 * Have @check look at a descriptor, which is taken over, of the request under way;
 * then @done goes on with it. Both may be called from in here. @check may wait for
 * the file's server, and knows nothing of the pager.
 */
void looking_at(struct conn *conn, int fd, int (*check)(struct look *look),
		bool wants_direct,
		void (*done)(struct conn *conn, const struct look *look));

/* A check: a file that may be mapped; our own description of it afterwards. */
int looking_for_file(struct look *look);

/* The connection is closed. Was something being looked at? */
bool looking_forget(struct conn *conn);

/* ---- telling.c ------------------------------------------------------------- */

void telling_open(struct server *server);

/* SPACES or MAPPINGS: answered when it is its turn. */
void telling_ask(struct conn *conn, const struct wire_request *request);

/* Who asked has hung up. */
void telling_forget(struct conn *conn);

/* What is counted for a process, and what it has now. */
void telling_stats(const struct session *session, struct wmap_stats *stats);

/* Add counters and latencies, not what there is now. */
void telling_add(struct wmap_stats *to, const struct wmap_stats *from);

/* ---- obituary.c ------------------------------------------------------------ */

/* What is mapped, before it is unmapped; and what was counted, behind that. */
void obituary_begin(struct session *session);
void obituary_end(struct session *session);

/* ---- metrics.c ------------------------------------------------------------- */

/*
 * Serve /metrics at a path, "127.0.0.1:port" or "[::1]:port". After
 * server_create. False: not there, it was said.
 */
bool metrics_start(struct server *server, const char *address);

/* Take the path away. */
void metrics_end(void);

/* ---- ghost.c --------------------------------------------------------------- */

/* Whoever comes after us will know whether what we began to write has ended. */
void ghost_leave(struct server *server);

/* A predecessor's ledger is there: nothing is written to files before all that it
   began has ended. */
void ghost_meet(struct server *server);

/* ---- takeover.c ------------------------------------------------------------ */

/* Descriptors by name, as the keeper gives them. */
struct taken {
	struct list link;
	char name[48];
	int fd;
};

/* The newest of that name, which becomes the caller's; or -1. */
int taken_find(struct list *taken, const char *name);

/* All that a predecessor served is served on; @taken is empty then. In two
   steps: it is known; its clients hear of it. */
int takeover_adopt(struct server *server, struct list *taken);
void takeover_resume(struct server *server);

/* The other side: nothing is done any more, tell who comes what is clean. */
void takeover_prepare(struct server *server);

/* ---- counts.c ---------------------------------------------------------------- */

/* Of a predecessor that was replaced: its sessions are known. */
void counts_take(struct server *server, struct list *taken);
void counts_tell(const struct server *server);

/* ---- rescue.c ---------------------------------------------------------------- */

void rescue_open(struct server *server);

/* Guards will come. */
void rescue_expect(struct server *server);
bool rescue_is_under_way(const struct server *server);

/* Is the request handled, or put off? The descriptors are then, too. */
bool rescue_handle(struct conn *conn, const struct wire_request *request,
		   int *fds, unsigned n_fds, pid_t pid);

/* The connection is closed. */
void rescue_forget(struct conn *conn);

/* ---- replace.c, wmapd.c ------------------------------------------------------ */

/* Have the wmapd at this address be replaced; false: it was said why not. */
bool replace(const char *name);

/* 0: the name is too long. */
struct sockaddr_un;
socklen_t address_of(const char *name, struct sockaddr_un *address);

/* ---- server.c -------------------------------------------------------------- */

/* With a predecessor's descriptors, or -1. They are taken over. */
int server_create(int listen, int hints, int ledger, struct server *server);
void server_run(struct server *server);

/* Show clients these hints from now on, a predecessor's, taken over; or -1. Until
   server_shown any file may be mapped. */
void server_show_hints(struct server *server, int hints);
void server_shown(struct server *server);

/* End as soon as nobody is served any more. */
void server_end(struct server *server);
/* Write back what is to be written, and end; clients are left alone. */
void server_quit(struct server *server);
/* End now, as it is: a successor goes on. */
void server_replaced(struct server *server);

#define STATUS_REPLACED 75 /* tells whoever supervises to start another */

void server_ended_one(struct server *server);

/* A reference to the account of a user, or NULL. */
struct account *server_account(struct server *server, uid_t uid);

/* ---- confine.c ------------------------------------------------------------- */

/* From here on only what serving needs; 0 also where it was built without. */
int confine(void);

/* What goes wrong, on standard error. */
void say(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
