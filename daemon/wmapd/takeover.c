/* SPDX-License-Identifier: MIT */
/*
 * Taking over: what a wmapd that has died served is served on
 *
 *   ledger + descriptors ──► objects ──► spaces, connections ──► mappings
 *        ──► every connection is told · every sleeper is woken
 *
 * The keeper starts a successor when its predecessor is dead for good, so that
 * nobody else has its names. What it had begun to write may still be on its way:
 * nothing is written before that has ended (ghost.c).
 * A fault that it had read and not answered is raised again by the wake; a
 * request by its sender, which is told (wire.h). tests/spin/handover.pml is this
 * as a model.
 *
 * Without a keeper the same comes from the clients' hands (rescue.c).
 *
 * Anonymous pages that are in no memory are in swap (lib/swapshared.c), which comes
 * first; without it the objects that it had pages of are lost.
 *
 * What is in a memfd of which a mapping may have stored counts as changed, but for
 * what one that was replaced has told at its end (s7: the states of object 7); what
 * could not be had is tried again. What is nobody's any more is let go of.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../notify.h"
#include "books.h"
#include "box.h"
#include "ledger.h"
#include "mem.h"
#include "pin.h"
#include "presume.h"
#include "states.h"
#include "sys.h"
#include "wmapd.h"

struct all {
	struct server *server;
	struct list *taken;
	struct record *records; /* copies, by slot of the copy */
	size_t n;
	struct object **objects; /* of records, or NULL */
};

/* ---- Descriptors ----------------------------------------------------------------- */

int taken_find(struct list *taken, const char *name)
{
	int fd = -1;

	list_for_each(one, taken, struct taken, link) {
		if (strcmp(one->name, name) != 0)
			continue;
		store_file_close(fd);
		fd = one->fd;
		list_del(&one->link);
		mem_free(one, sizeof(*one));
	}
	return fd;
}

static int find_by_id(struct list *taken, char kind, uint64_t id)
{
	char name[48];

	snprintf(name, sizeof(name), "%c%lu", kind, id);
	return taken_find(taken, name);
}

/* The next of those named "c3.5", with 5 in *@n: the highest; or -1. */
static int find_part(struct list *taken, char kind, uint64_t id, uint64_t *n)
{
	struct taken *best = NULL;
	char start[48];
	size_t length;
	int fd;

	length = (size_t)snprintf(start, sizeof(start), "%c%lu.", kind, id);
	*n = 0;
	list_for_each(one, taken, struct taken, link)
		if (!strncmp(one->name, start, length) &&
		    strtoul(one->name + length, NULL, 10) > *n) {
			best = one;
			*n = strtoul(one->name + length, NULL, 10);
		}
	if (!best)
		return -1;
	fd = best->fd;
	list_del(&best->link);
	mem_free(best, sizeof(*best));
	return fd;
}

/* Nobody's: neither here nor with the keeper. */
static void let_go(struct list *taken)
{
	list_for_each(one, taken, struct taken, link) {
		if (*one->name == 'f')
			box_empty(one->fd);
		notify_remove(one->name);
		store_file_close(one->fd);
		list_del(&one->link);
		mem_free(one, sizeof(*one));
	}
}

/* ---- Records ----------------------------------------------------------------------- */

static bool is_replaced(const struct all *all, const struct record *record)
{
	for (size_t i = 0; record->replaces && i < all->n; i++)
		if (all->records[i].slot == record->replaces &&
		    all->records[i].serial == record->replaces_serial)
			return true;
	return false;
}

/* Kinds in the order of their use; the mappings of a space by age, newest first. */
static int compare(const void *one, const void *other)
{
	const struct record *a = one, *b = other;

	if (a->kind != b->kind)
		return a->kind < b->kind ? -1 : 1;
	return a->serial > b->serial ? -1 : a->serial < b->serial;
}

static int read_records(struct all *all)
{
	struct ledger *ledger = all->server->ledger;
	const struct record *record;
	uint32_t slot = 0;
	size_t n = 0;

	while (ledger_next(ledger, &slot))
		n++;
	all->records = calloc(n + 1, sizeof(*all->records));
	all->objects = calloc(n + 1, sizeof(struct object *));
	if (!all->records || !all->objects)
		return -ENOMEM;
	slot = 0;
	while ((record = ledger_next(ledger, &slot)))
		memcpy(&all->records[all->n++], record, sizeof(*record));
	qsort(all->records, all->n, sizeof(*all->records), compare);
	return 0;
}

/* ---- Swap ------------------------------------------------------------------------ */

static void adopt_swap(struct all *all)
{
	int slots = taken_find(all->taken, "slots");
	int file = taken_find(all->taken, "swap");
	int error = 0;

	if (slots >= 0 && file >= 0)
		error = swapout_adopt(all->server->pager, slots, file);
	if (error)
		say("swap is lost: %s", strerrordesc_np(-error));
	if (error || slots < 0 || file < 0) {
		notify_remove("slots");
		notify_remove("swap");
	}
	if (slots >= 0)
		close(slots);
	if (file >= 0)
		close(file);
}

/* ---- Objects ----------------------------------------------------------------------- */

static bool was_stored_to(const struct all *all, uint64_t id)
{
	for (size_t i = 0; i < all->n; i++)
		if (all->records[i].kind == RECORD_MAPPING &&
		    all->records[i].object == id &&
		    all->records[i].bits & RECORD_TRACKED)
			return true;
	return false;
}

static void close_box(int *box)
{
	if (*box >= 0)
		close(*box);
	*box = -1;
}

/* Takes @fd over: it is in *@box, or that is -1 and nothing is in a box. */
static int take_file(int fd, int *box)
{
	int file = box_file(fd);

	*box = -1;
	if (file == -ENOTSOCK)
		return fd;
	if (file >= 0)
		*box = fd;
	else
		store_file_close(fd);
	return file;
}

/* Likewise. */
static int open_store(int fd, struct wmap_store **store, int *box)
{
	int file = take_file(fd, box), error;
	bool writable;

	if (file < 0)
		return file;
	writable = (fcntl(file, F_GETFL) & O_ACCMODE) == O_RDWR;
	error = store_file_create(file, -1, writable, NULL, store);
	if (error) {
		store_file_close(file);
		close_box(box);
	}
	return error;
}

/* As the keeper has it from now on: in a box, if it is written to. */
static void keep_file(struct object *object, uint64_t opened, int box)
{
	object->opened = opened;
	if (box >= 0)
		ledger_box(object, box);
	else if (object->store && object->store->writable)
		ledger_file(object, store_file_descriptor(object->store));
}

/* Who was replaced has told, at its end, which of what may have been stored to was
   not. It is so no longer when clients are served: nobody is told that again. */
static int take_clean(void *context, uint64_t at, size_t n, unsigned char byte)
{
	struct object *object = context;
	int error = 0;

	if (byte != WIRE_PAGE_CLEAN)
		return 0;
	for (uint64_t end = at + n; at < end && !error; at++) {
		struct page page = pages_get(&object->pages, at);

		if (page.state == PAGE_DIRTY)
			error = object_set(object, page, PAGE_CLEAN,
					   page.views);
	}
	return error;
}

static int take_states(struct all *all, struct object *object, uint64_t id)
{
	int fd = find_by_id(all->taken, 's', id);
	int error = fd < 0 ? 0 : states_read(fd, object, take_clean);
	char name[48];

	if (fd < 0)
		return 0;
	close(fd);
	snprintf(name, sizeof(name), "s%lu", id);
	notify_remove(name);
	return error;
}

static int adopt_memory(struct wmap_store *store, struct wmap_store *swap,
			int memfd, bool dirty, struct object **result)
{
	struct object *object;
	int error = object_adopt(store, memfd, &object);

	if (error)
		return error;
	object->swap = swap ? wmap_store_get(swap) : NULL;
	error = object_find(object, dirty ? PAGE_DIRTY : PAGE_CLEAN);
	if (error)
		object_put(object);
	else
		*result = object;
	return error;
}

/* An object without its memfd was never shown to anybody. */
static int adopt_object(struct all *all, const struct record *record,
			struct object **result)
{
	struct list *taken = all->taken;
	int memfd = find_by_id(taken, 'm', record->id), file, box = -1;
	struct wmap_store *store = NULL, *swap = NULL;
	struct object *object;
	uint64_t opened;
	int error = 0;
	bool dirty;

	if (memfd < 0)
		return -ENOENT;
	file = find_part(taken, 'f', record->id, &opened);
	if (file >= 0)
		error = open_store(file, &store, &box);
	else if (record->bits & RECORD_SWAPPED)
		error = swapout_adopt_object(all->server->pager, record->id,
					     &swap);
	if (error) {
		close(memfd);
		return error;
	}
	dirty = swap ||
		(was_stored_to(all, record->id) && (!store || store->writable));
	error = adopt_memory(store, swap, memfd, dirty, &object);
	wmap_store_put(store); /* the object has it, if there is one */
	wmap_store_put(swap);
	if (error) {
		close_box(&box);
		return error;
	}
	error = take_states(all, object, record->id);
	object->ledger = all->server->ledger;
	object->slot = record->slot;
	object->id = record->id;
	keep_file(object, opened, box);
	if (record->of_object.ino)
		books_file_known(all->server->pager, object,
				 record->of_object.dev, record->of_object.ino);
	if (!error && dirty && store)
		error = books_lock(object);
	*result = object;
	return error;
}

static struct object *object_of(const struct all *all, uint64_t id)
{
	for (size_t i = 0; i < all->n && id; i++)
		if (all->records[i].kind == RECORD_OBJECT &&
		    all->records[i].id == id)
			return all->objects[i];
	return NULL;
}

/* ---- Spaces and connections -------------------------------------------------------- */

/* Nobody, where that cannot be had: then it is estranged. */
static uid_t who_connected(int fd)
{
	struct ucred peer = { .uid = (uid_t)-1 };
	socklen_t size = sizeof(peer);

	getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size);
	return peer.uid;
}

static void adopt_conns(struct all *all, struct session *session)
{
	uint64_t number;
	int fd;

	while ((fd = find_part(all->taken, 'c', session->space->id, &number)) >=
	       0) {
		struct conn *conn;

		if (conn_create(all->server, fd, who_connected(fd),
				session->pid, &conn))
			continue;
		conn->number = number;
		conn->adopted = true;
		session_take(session, conn);
	}
}

static int adopt_space(struct all *all, const struct record *record)
{
	struct session *session;
	int uffd = find_by_id(all->taken, 'u', record->id);
	int error = session_adopt(all->server, record, &session);

	if (error)
		return error;
	if (uffd >= 0) {
		error = pager_space_attach(session->space, uffd);
		session->embryo = false;
		session_watch(session);
	}
	session->space->away.unknown = true;
	adopt_conns(all, session);
	if (!error && record->of_space.memory != BUDGET_NONE)
		error = share_bound_process(session->space,
					    record->of_space.memory);
	return error;
}

static struct space *space_of(const struct all *all, uint64_t id)
{
	const struct session *session = session_of_space(all->server, id);

	return session ? session->space : NULL;
}

/* ---- Mappings ---------------------------------------------------------------------- */

/* What newer mappings have left of it: its lower part, or nothing. */
static bool trim(const struct space *space, struct record *record)
{
	size_t i = space_lower(space, record->of_mapping.start);
	uint64_t next;

	if (i == space->n)
		return true;
	next = space->entries[i].start;
	if (next >= record->of_mapping.end)
		return true;
	if (next <= record->of_mapping.start)
		return false;
	record->of_mapping.end = next;
	record->of_mapping.length = next - record->of_mapping.start;
	return true;
}

static void fill_in(struct mapping *mapping, const struct record *record)
{
	mapping->slot = record->slot;
	mapping->start = record->of_mapping.start;
	mapping->end = record->of_mapping.end;
	mapping->length = record->of_mapping.length;
	mapping->first = record->of_mapping.first;
	mapping->grain = record->of_mapping.grain;
	mapping->deadline = record->of_mapping.deadline;
	mapping->prot = record->of_mapping.prot;
	mapping->flags = record->of_mapping.flags;
	mapping->may_write = record->bits & RECORD_MAY_WRITE;
	mapping->tracked = record->bits & RECORD_TRACKED;
	mapping->shared = record->bits & RECORD_SHARED;
	mapping->growing = record->bits & RECORD_GROWING;
	mapping->alone = record->bits & RECORD_ALONE;
}

static int plain_object(const struct record *record, struct object **object)
{
	uint64_t pages =
		(record->of_mapping.end - record->of_mapping.start) / PAGE;
	int error = object_create(NULL, true, object);

	if (!error)
		error = object_reach(*object,
				     record->of_mapping.first + pages + 1);
	return error;
}

/* Without its part of swap it is as good as lost. */
static int swapped_object(struct all *all, const struct record *record,
			  struct mapping *mapping)
{
	int error = plain_object(record, &mapping->object);

	if (error)
		return error;
	mapping->object->id = record->object;
	mapping->tracked = false; /* private, whatever a client says */
	mapping->refused = swapout_adopt_object(
		all->server->pager, record->object, &mapping->object->swap);
	return 0;
}

/* What only a client that lies has (rescue.c). */
static int check(const struct mapping *mapping)
{
	const struct object *object = mapping->object;
	bool stores = mapping->shared &&
		      books_tracks(object, mapping->prot, mapping->flags);

	if (object->store && !object->store->writable &&
	    (mapping->may_write || mapping->tracked))
		return -EACCES;
	return stores && !mapping->tracked ? -EINVAL : 0;
}

/* Without what it shows it shows nothing but SIGBUS. */
static int find_object(struct all *all, const struct record *record,
		       struct mapping *mapping)
{
	struct object *object = object_of(all, record->object);

	if (record->bits & RECORD_SWAPPED)
		return swapped_object(all, record, mapping);
	mapping->object = object ? object_get(object) : NULL;
	if (!object && !record->object)
		return plain_object(record, &mapping->object);
	if (object && !check(mapping))
		return object_reach(object, mapping_end_page(mapping));
	if (object)
		object_put(object);
	mapping->refused = true;
	mapping->tracked = mapping->may_write = false;
	return plain_object(record, &mapping->object);
}

static int adopt_mapping(struct all *all, struct record *record)
{
	struct space *space = space_of(all, record->id);
	struct mapping *mapping;
	int error;

	if (!space || is_replaced(all, record) || !trim(space, record)) {
		ledger_drop(all->server->ledger, record->slot);
		return 0;
	}
	mapping = mem_alloc(sizeof(*mapping));
	if (!mapping)
		return -ENOMEM;
	fill_in(mapping, record);
	error = find_object(all, record, mapping);
	if (!error)
		error = space_add(space, mapping);
	if (error) {
		if (mapping->object)
			object_put(mapping->object);
		mem_free(mapping, sizeof(*mapping));
		ledger_drop(all->server->ledger, record->slot);
		return error;
	}
	view_touched_any(mapping->view);
	/* An embryo's process is asked nothing. */
	space->away.in_doubt |= record->bits & RECORD_SWAPPED &&
				space->has_agent && space->uffd >= 0;
	if (mapping->refused)
		return -ENODATA;
	return share_bound_mapping(mapping, record->of_mapping.memory);
}

/* ---- Pins -------------------------------------------------------------------------- */

static int adopt_pin(const struct all *all, const struct record *record)
{
	struct space *space = space_of(all, record->id);
	struct object *object = object_of(all, record->object);
	int error = space && object ? pin_adopt(space, object, record) :
				      -ENOENT;

	if (error)
		ledger_drop(all->server->ledger, record->slot);
	return error;
}

/* ---- Errors ------------------------------------------------------------------------ */

static int adopt_errors(const struct all *all, const struct record *record)
{
	struct object *object = object_of(all, record->id);
	int error = object ? ledger_take_errors(object, record) : -ENOENT;

	if (error) {
		ledger_drop(all->server->ledger, record->slot);
		return error;
	}
	for (uint64_t i = 0; i < ERRORS_PAGES && !error; i++)
		if (record->of_errors.bits[i / 64] >> i % 64 & 1 &&
		    record->of_errors.first + i < object->n_pages)
			error = object_ail(object, record->of_errors.first + i);
	object_sicken(all->server->pager, object);
	return error;
}

/* ---- For a successor --------------------------------------------------------------- */

static int tell_states(const struct object *object)
{
	int fd = states_open(object->n_pages);
	int error = fd < 0 ? fd : states_write(object, fd);
	char name[48];

	snprintf(name, sizeof(name), "s%lu", object->id);
	if (!error)
		error = notify_store(name, fd);
	if (fd >= 0)
		close(fd);
	return error;
}

/* What is not told of counts as changed. */
void takeover_prepare(struct server *server)
{
	counts_tell(server);
	list_for_each(object, &server->pager->all, struct object, of_pager) {
		presume_judge(object, 0, UINT64_MAX);
		if (object->ledger && object->n_present > object->n_dirty &&
		    tell_states(object))
			return;
	}
}

/* ---- All of it --------------------------------------------------------------------- */

static int adopt(struct all *all, size_t i)
{
	struct record *record = &all->records[i];

	switch ((unsigned)record->kind) {
	case RECORD_OBJECT:
		return adopt_object(all, record, &all->objects[i]);
	case RECORD_SPACE:
		return adopt_space(all, record);
	case RECORD_MAPPING:
		return adopt_mapping(all, record);
	case RECORD_PIN:
		return adopt_pin(all, record);
	default:
		return adopt_errors(all, record);
	}
}

static void wake(const struct space *space)
{
	for (size_t i = 0; i < space->n && space->uffd >= 0; i++) {
		const struct mapping *mapping = space->entries[i].mapping;

		uffd_wake(space->uffd, mapping->start,
			  mapping->end - mapping->start +
				  (mapping->growing ? PAGE : 0));
	}
}

static void tell(struct session *session)
{
	struct wire_reply reply = {
		.magic = WIRE_MAGIC,
		.flags = WIRE_RESTARTED,
	};

	list_for_each(conn, &session->conns, struct conn, link) {
		int error = wire_send(conn->watch.fd, &reply, sizeof(reply),
				      NULL, 0, NULL, 0, MSG_DONTWAIT);

		/* Who has hung up may have left a request. */
		if (error == -EAGAIN)
			conn_close(conn);
	}
}

/* Sessions whose process has ended meanwhile hear it from their connections;
   those that had none from us. */
void takeover_resume(struct server *server)
{
	list_for_each(session, &server->sessions, struct session, link) {
		wake(session->space);
		if (session->n_conns)
			tell(session);
		else
			session_left(session);
	}
}

int takeover_adopt(struct server *server, struct list *taken)
{
	struct all all = { .server = server, .taken = taken };
	int error = read_records(&all);

	ghost_meet(server);
	adopt_swap(&all);
	for (size_t i = 0; i < all.n && !error; i++) {
		int one = adopt(&all, i);

		if (one && one != -ENOENT)
			say("something is lost: %s", strerrordesc_np(-one));
	}
	/* Mappings hold theirs; the others are nobody's. */
	for (size_t i = 0; i < all.n; i++)
		if (all.objects[i])
			object_put(all.objects[i]);
		else if (all.records[i].kind == RECORD_OBJECT)
			ledger_drop(server->ledger, all.records[i].slot);
	free(all.records);
	free(all.objects);
	away_adopt(server);
	counts_take(server, taken);
	swapout_adopted(server->pager);
	let_go(taken);
	return error;
}
