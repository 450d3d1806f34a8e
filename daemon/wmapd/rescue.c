/* SPDX-License-Identifier: MIT */
/*
 * Rescue: what a wmapd served that died with its keeper, from its clients' hands
 *
 * Each client's guard (lib/guard.h) has what its process shows. A wmapd that
 * serves nobody yet takes it from all of them, and then takes over as from a
 * keeper (takeover.c):
 *
 *   guard A                      wmapd                         guard B
 *   RESCUE: uffd, mirror  ────►  reads who there was; waits
 *                                for those who live
 *   HAND: memfd, file     ────►                           ◄──── RESCUE: uffd …
 *   HANDED                ────►                           ◄──── HAND, HANDED
 *                                that was the last: all goes to the keeper, the
 *                                records to the ledger; takeover()
 *   RESTARTED             ◄────                           ────► RESTARTED
 *
 * Up to the last step nothing is seen of it: if this one dies as well its
 * successor is handed everything anew. Others are heard after it, so that nobody
 * maps a file of which there is changed memory on its way. tests/spin/rescue.pml is
 * this as a model.
 *
 * Guards lie as all clients do. Only one's own user has any; a space is handed
 * over by its process alone (the kernel says who that is), a file by who has it
 * open, and its number must be the one that the records have. Records are those
 * of a sealed memfd, and each must be one that there can be. Who hands over memory
 * that it has forged could have changed what it is shown as well.
 *
 * Who does not come within PATIENCE, because it is stopped perhaps, is left out.
 * A fork's child whose ATTACH was not heard has FORK_PATIENCE; its guard, which
 * has no mirror, proves by the token who it is.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../notify.h"
#include "ledger.h"
#include "mem.h"
#include "slots.h"
#include "wmapd.h"

#define LOOK_AGAIN     5000000ull     /* ns */
#define PATIENCE       10000000000ull /* of those who have come, for the others */
#define FIRST_PATIENCE 3000000000ull /* for anybody to come */
#define FORK_PATIENCE  1000000000ull /* for a fork's child that may be there */

/* A guard that hands over. */
struct comer {
	struct list link;
	struct conn *conn;
	struct record *space; /* its record */
	int uffd;
	uint64_t id; /* of the object whose file is being looked at */
	bool handed;
};

/* What it had to say who is not heard yet. */
struct parked {
	struct wire_request request;
	int fds[WIRE_FDS];
	unsigned n_fds;
	pid_t pid;
};

/* ---- Records --------------------------------------------------------------------- */

static bool record_ok(const struct record *record)
{
	const uint64_t args[] = {
		record->of_mapping.first,
		(uint64_t)record->of_mapping.prot,
		(uint64_t)record->of_mapping.flags,
		record->of_mapping.grain,
		record->of_mapping.deadline,
	};

	if (record->kind == RECORD_ERRORS)
		return record->id &&
		       record->of_errors.first % ERRORS_PAGES == 0 &&
		       record->of_errors.first < PAGES_LIMIT;
	if (record->kind == RECORD_PIN)
		return record->id && record->object &&
		       record->of_pin.first < record->of_pin.end &&
		       record->of_pin.end <= PAGES_LIMIT;
	if (record->kind != RECORD_MAPPING)
		return record->id && (record->kind == RECORD_OBJECT ||
				      record->kind == RECORD_SPACE);
	return wire_mapping_ok(record->of_mapping.start,
			       record->of_mapping.length, args) &&
	       record->of_mapping.end ==
		       record->of_mapping.start +
			       page_up(record->of_mapping.length);
}

static int read_records(struct rescue *rescue, int mirror)
{
	size_t n, good = 0;
	int error = ledger_read(mirror, &rescue->records, &n, &rescue->size,
				&rescue->writer);

	for (size_t i = 0; i < n && !error; i++)
		if (record_ok(&rescue->records[i]))
			memmove(&rescue->records[good++], &rescue->records[i],
				sizeof(*rescue->records));
	rescue->n = error ? 0 : good;
	return error;
}

static struct record *find_record(const struct rescue *rescue,
				  enum record_kind kind, uint64_t id)
{
	for (size_t i = 0; i < rescue->n; i++)
		if (rescue->records[i].kind == kind &&
		    rescue->records[i].id == id)
			return &rescue->records[i];
	return NULL;
}

static bool is_embryo(const struct record *record)
{
	return record->kind == RECORD_SPACE &&
	       !(record->bits & RECORD_ATTACHED) &&
	       record->of_space.uid == geteuid();
}

static struct record *find_process(const struct rescue *rescue, pid_t pid)
{
	for (size_t i = 0; i < rescue->n; i++)
		if (rescue->records[i].kind == RECORD_SPACE &&
		    rescue->records[i].bits & RECORD_ATTACHED &&
		    (pid_t)rescue->records[i].of_space.pid == pid)
			return &rescue->records[i];
	return NULL;
}

/* A fork's, whose child has not been heard: it knows the token. */
static struct record *find_embryo(const struct rescue *rescue,
				  const uint64_t token[2])
{
	for (size_t i = 0; i < rescue->n; i++)
		if (is_embryo(&rescue->records[i]) &&
		    !memcmp(rescue->records[i].of_space.token, token,
			    2 * sizeof(*token)))
			return &rescue->records[i];
	return NULL;
}

/* ---- What is handed over --------------------------------------------------------- */

static int keep(struct rescue *rescue, int *fd, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* Takes *@fd over, which is -1 then. */
static int keep(struct rescue *rescue, int *fd, const char *format, ...)
{
	struct taken *taken = mem_alloc(sizeof(*taken));
	va_list args;

	if (!taken)
		return -ENOMEM;
	va_start(args, format);
	vsnprintf(taken->name, sizeof(taken->name), format, args);
	va_end(args);
	taken->fd = *fd;
	*fd = -1;
	list_add(&rescue->taken, &taken->link);
	return 0;
}

static int find_kept(const struct rescue *rescue, const char *name)
{
	list_for_each(taken, &rescue->taken, struct taken, link)
		if (!strcmp(taken->name, name))
			return taken->fd;
	return -1;
}

static bool is_same_file(int one, int other)
{
	struct stat a, b;

	return !elsewhere_stat(one, &a) && !elsewhere_stat(other, &b) &&
	       a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

/* Another client's of the same object must be the same memory. */
static int keep_memory(struct rescue *rescue, uint64_t id, int *fd)
{
	char name[48];
	int known;

	snprintf(name, sizeof(name), "m%lu", id);
	known = find_kept(rescue, name);
	if (!request_is_memory(*fd))
		return -EINVAL;
	if (known < 0)
		return keep(rescue, fd, "%s", name);
	return is_same_file(known, *fd) ? 0 : -EBUSY;
}

/* One for writing goes before others (takeover.c takes the highest). */
static int keep_file(struct rescue *rescue, uint64_t id,
		     const struct look *look, int *fd)
{
	const struct record *object = find_record(rescue, RECORD_OBJECT, id);
	char name[48];

	if (!object || look->stat.st_dev != object->of_object.dev ||
	    look->stat.st_ino != object->of_object.ino)
		return -EINVAL;
	snprintf(name, sizeof(name), "f%lu.%d", id, look->writable ? 2 : 1);
	if (find_kept(rescue, name) >= 0)
		return 0;
	return keep(rescue, fd, "%s", name);
}

/* Who did not get to hand it over in time is none of those who are heard. */
static void file_is_known(struct conn *conn, const struct look *look)
{
	struct rescue *rescue = &conn->server->rescue;
	struct wire_reply reply = { .result = look->error };
	int fd = look->fd; /* -1 after an error */

	if (!conn->comer)
		reply.result = -ESTALE;
	else if (!look->error)
		reply.result = keep_file(rescue, conn->comer->id, look, &fd);
	conn_drop(conn, &fd, 1);
	conn_answer(conn, &reply, 0, NULL, 0);
}

static bool is_regular(int fd)
{
	struct stat stat;

	return !elsewhere_stat(fd, &stat) && S_ISREG(stat.st_mode);
}

/* All have the same; what is in it swap.c looks at. */
static int hand_swap(struct rescue *rescue, int *fds, unsigned n_fds)
{
	int error;

	if (n_fds != 2 || !slots_are(fds[0]) || !is_regular(fds[1]))
		return -EINVAL;
	if (find_kept(rescue, "slots") >= 0)
		return 0;
	error = keep(rescue, &fds[0], "slots");
	return keep(rescue, &fds[1], "swap") ? -ENOMEM : error;
}

/* -EINPROGRESS: it is answered when its file has been looked at. */
static int hand(struct conn *conn, uint64_t id, int *fds, unsigned n_fds)
{
	struct rescue *rescue = &conn->server->rescue;
	const struct record *object = find_record(rescue, RECORD_OBJECT, id);
	int file = n_fds == 2 ? fds[1] : -1, error;

	if (!object || (file < 0) != !object->of_object.ino)
		return -EINVAL;
	error = keep_memory(rescue, id, &fds[0]);
	if (error || file < 0)
		return error;
	fds[1] = -1;
	conn->comer->id = id;
	looking_at(conn, file, looking_for_file, false, file_is_known);
	return -EINPROGRESS;
}

/* ---- Who is waited for ----------------------------------------------------------- */

static bool lives(pid_t pid)
{
	struct pollfd one = { .events = POLLIN };

	one.fd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (one.fd < 0)
		return false;
	poll(&one, 1, 0);
	close(one.fd);
	return !one.revents;
}

static struct comer *comer_of(const struct rescue *rescue,
			      const struct record *space)
{
	list_for_each(comer, &rescue->comers, struct comer, link)
		if (comer->space == space)
			return comer;
	return NULL;
}

static bool is_awaited(const struct rescue *rescue, const struct record *space)
{
	const struct comer *comer = comer_of(rescue, space);

	if (is_embryo(space))
		return time_now() < rescue->until - PATIENCE + FORK_PATIENCE;
	return space->kind == RECORD_SPACE && space->bits & RECORD_ATTACHED &&
	       space->of_space.uid == geteuid() && !(comer && comer->handed) &&
	       lives((pid_t)space->of_space.pid);
}

static bool somebody_is_awaited(const struct rescue *rescue)
{
	for (size_t i = 0; i < rescue->n; i++)
		if (is_awaited(rescue, &rescue->records[i]))
			return true;
	return false;
}

/* ---- The last step --------------------------------------------------------------- */

static void to_keeper(const struct list *taken)
{
	list_for_each(one, taken, struct taken, link)
		notify_store(one->name, one->fd);
}

static void end_comer(struct comer *comer)
{
	comer->conn->comer = NULL;
	if (comer->uffd >= 0)
		close(comer->uffd);
	list_del(&comer->link);
	mem_free(comer, sizeof(*comer));
}

/* Its connection, until then a stranger's, is the session's. */
static void settle_conn(struct comer *comer)
{
	struct conn *conn = comer->conn;
	struct session *session =
		session_of_space(conn->server, comer->space->id);

	end_comer(comer);
	if (session)
		session_take(session, conn);
}

static void hear_parked(struct server *server)
{
	list_for_each(conn, &server->strangers, struct conn, link) {
		struct parked *parked = conn->parked;

		conn->parked = NULL;
		if (parked)
			request_handle(conn, &parked->request, parked->fds,
				       parked->n_fds, parked->pid);
		mem_free(parked, sizeof(*parked));
	}
}

static void over(struct server *server)
{
	struct rescue *rescue = &server->rescue;

	loop_timer_stop(&rescue->timer);
	mem_free(rescue->records, rescue->size);
	if (rescue->mirror >= 0)
		close(rescue->mirror);
	if (rescue->hints >= 0)
		close(rescue->hints);
	rescue->records = NULL;
	rescue->n = 0;
	rescue->mirror = rescue->hints = -1;
	rescue->expected = rescue->going = false;
	hear_parked(server);
	server_ended_one(server);
}

/* All that there is, is here. */
static void finish(struct server *server)
{
	struct rescue *rescue = &server->rescue;

	list_for_each(comer, &rescue->comers, struct comer, link)
		keep(rescue, &comer->uffd, "u%lu", comer->space->id);
	to_keeper(&rescue->taken);
	server_show_hints(server, rescue->hints);
	rescue->hints = -1;
	ledger_load(server->ledger, rescue->records, rescue->n);
	ledger_set_writer(server->ledger, rescue->writer);
	takeover_adopt(server, &rescue->taken);
	list_for_each(comer, &rescue->comers, struct comer, link)
		settle_conn(comer);
	takeover_resume(server);
	server_shown(server);
	over(server);
}

static void look(struct timer *timer)
{
	struct rescue *rescue = container_of(timer, struct rescue, timer);
	struct server *server = container_of(rescue, struct server, rescue);

	if (rescue->going &&
	    (time_now() > rescue->until || !somebody_is_awaited(rescue)))
		finish(server);
	else if (!rescue->going && time_now() > rescue->until)
		over(server);
	else
		loop_timer_start(server->pager->loop, timer,
				 time_now() + LOOK_AGAIN);
}

/* ---- Requests -------------------------------------------------------------------- */

static bool serves(const struct server *server)
{
	return !ledger_is_empty(server->ledger) ||
	       !list_empty(&server->sessions);
}

static int begin(struct server *server, int mirror)
{
	struct rescue *rescue = &server->rescue;
	int error = serves(server) ? -EBUSY : read_records(rescue, mirror);

	if (error)
		return error;
	rescue->going = true;
	rescue->until = time_now() + PATIENCE;
	loop_timer_start(server->pager->loop, &rescue->timer,
			 time_now() + LOOK_AGAIN);
	return 0;
}

/* As if its ATTACH had been heard. */
static struct record *born(const struct rescue *rescue, const uint64_t token[2],
			   pid_t pid)
{
	struct record *space = find_embryo(rescue, token);

	if (space) {
		space->bits |= RECORD_ATTACHED;
		space->of_space.pid = (uint32_t)pid;
	}
	return space;
}

/* Takes what it wants of @fds, which are -1 then. */
static int come(struct conn *conn, const struct wire_request *request, int *fds,
		unsigned n_fds)
{
	struct rescue *rescue = &conn->server->rescue;
	struct record *space;
	struct comer *comer;
	int error = 0;

	if (conn->uid != geteuid() || conn->session || conn->comer)
		return -EPERM;
	if (!rescue->going && n_fds == 1)
		return serves(conn->server) ? -EBUSY : -EAGAIN;
	if (!rescue->going) {
		error = begin(conn->server, fds[1]);
		if (error)
			return error;
		rescue->mirror = fds[1];
		rescue->hints = fds[2];
		fds[1] = fds[2] = -1;
	} else if (n_fds == 3 && !is_same_file(fds[1], rescue->mirror)) {
		return -ESTALE;
	}
	space = n_fds == 3 ?
			find_record(rescue, RECORD_SPACE, request->args[0]) :
			find_process(rescue, conn->pid);
	if (!space && n_fds == 1)
		space = born(rescue, &request->args[1], conn->pid);
	if (!space || (pid_t)space->of_space.pid != conn->pid ||
	    comer_of(rescue, space))
		return -ESRCH;
	comer = mem_alloc(sizeof(*comer));
	if (!comer)
		return -ENOMEM;
	space->of_space.token[0] = request->args[1];
	space->of_space.token[1] = request->args[2];
	comer->space = space;
	comer->uffd = fds[0];
	fds[0] = -1;
	comer->conn = conn;
	conn->comer = comer;
	list_add(&rescue->comers, &comer->link);
	return 0;
}

/* Likewise. */
static int handle(struct conn *conn, const struct wire_request *request,
		  int *fds, unsigned n_fds)
{
	struct rescue *rescue = &conn->server->rescue;
	int error;

	if (request->kind == WIRE_RESCUE) {
		error = request_check_uffd(fds[0]);
		return error ? error : come(conn, request, fds, n_fds);
	}
	if (!conn->comer)
		return -EPROTO;
	if (request->kind == WIRE_HAND && request->args[0] == LEDGER_SWAP)
		return hand_swap(rescue, fds, n_fds);
	if (request->kind == WIRE_HAND)
		return hand(conn, request->args[0], fds, n_fds);
	conn->comer->handed = true;
	return 0;
}

static bool is_ours(const struct wire_request *request)
{
	return request->kind == WIRE_RESCUE || request->kind == WIRE_HAND ||
	       request->kind == WIRE_HANDED;
}

bool rescue_is_under_way(const struct server *server)
{
	return server->rescue.expected || server->rescue.going;
}

/* A guard that does not hand over had better. */
static bool must_wait(const struct conn *conn,
		      const struct wire_request *request)
{
	return rescue_is_under_way(conn->server) && !conn->session &&
	       request->kind != WIRE_GUARD;
}

/* Until the rescue is over who wants something else waits. */
static bool park(struct conn *conn, const struct wire_request *request,
		 const int *fds, unsigned n_fds, pid_t pid)
{
	struct parked *parked = mem_alloc(sizeof(*parked));

	if (!parked)
		return false;
	parked->request = *request;
	memcpy(parked->fds, fds, n_fds * sizeof(*fds));
	parked->n_fds = n_fds;
	parked->pid = pid;
	conn->parked = parked;
	return true;
}

bool rescue_handle(struct conn *conn, const struct wire_request *request,
		   int *fds, unsigned n_fds, pid_t pid)
{
	struct wire_reply reply = { 0 };

	if (!is_ours(request))
		return must_wait(conn, request) &&
		       park(conn, request, fds, n_fds, pid);
	reply.result = handle(conn, request, fds, n_fds);
	conn_drop(conn, fds, n_fds);
	if (reply.result != -EINPROGRESS)
		conn_answer(conn, &reply, 0, NULL, 0);
	return true;
}

void rescue_forget(struct conn *conn)
{
	struct parked *parked = conn->parked;

	if (conn->comer)
		end_comer(conn->comer);
	conn->parked = NULL;
	if (parked) {
		conn_drop(conn, parked->fds, parked->n_fds);
		mem_free(parked, sizeof(*parked));
		conn->busy = false;
	}
}

void rescue_open(struct server *server)
{
	struct rescue *rescue = &server->rescue;

	list_init(&rescue->taken);
	list_init(&rescue->comers);
	timer_init(&rescue->timer, look);
	rescue->mirror = rescue->hints = -1;
}

void rescue_expect(struct server *server)
{
	struct rescue *rescue = &server->rescue;

	if (!ledger_is_empty(server->ledger))
		return; /* a successor: it has all it needs */
	rescue->expected = true;
	rescue->until = time_now() + FIRST_PATIENCE;
	loop_timer_start(server->pager->loop, &rescue->timer,
			 time_now() + LOOK_AGAIN);
}
