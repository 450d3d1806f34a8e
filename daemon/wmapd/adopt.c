/* SPDX-License-Identifier: MIT */
/*
 * A thread's pager moves in (lib/moveout.c): its objects and mappings
 *
 * Its memory is what the other one says it is, so this is for one's own user
 * only, and for files that are not mapped here yet: nobody else's pages can be
 * forged. A memfd that could shrink is refused, as reading it would then fail.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "books.h"
#include "fill.h"
#include "ledger.h"
#include "mem.h"
#include "states.h"
#include "wmapd.h"

struct adopted {
	struct list link;
	struct object *object;
	uint64_t number;
};

/* ---- Objects ----------------------------------------------------------------------- */

static int take_state(void *context, uint64_t at, size_t n, unsigned char byte)
{
	static const enum page_state states[] = {
		[WIRE_PAGE_CLEAN] = PAGE_CLEAN,
		[WIRE_PAGE_DIRTY] = PAGE_DIRTY,
		[WIRE_PAGE_ERROR] = PAGE_ERROR,
	};
	struct object *object = context;
	int error = 0;

	if (at + n > object->n_pages || byte >= lengthof(states))
		return -EINVAL;
	if (states[byte] != PAGE_ERROR)
		return object_come(object, at, n, states[byte]);
	for (uint64_t end = at + n; at < end && !error; at++)
		error = object_set(object, (struct page){ .index = at },
				   PAGE_ERROR, 0);
	return error;
}

/* A page that came without a state is what its memory says. */
static int take_states(struct object *object, int fd)
{
	int error = states_read(fd, object, take_state);

	return error ? error : object_find(object, PAGE_CLEAN);
}

static int find_file(struct server *server, int fd, struct stat *stat,
		     bool *writable)
{
	int flags = fcntl(fd, F_GETFL);
	int error = flags < 0 ? -errno : elsewhere_stat(fd, stat);

	if (error)
		return error;
	if (!S_ISREG(stat->st_mode) || flags & (O_PATH | O_APPEND) ||
	    (flags & O_ACCMODE) == O_WRONLY)
		return -EACCES;
	*writable = (flags & O_ACCMODE) == O_RDWR;
	return books_find_file(server->pager, stat->st_dev, stat->st_ino) ?
		       -EBUSY :
		       0;
}

/* The store of a file, which is taken over if this succeeds. */
static int open_store(struct session *session, int file, struct stat *stat,
		      struct wmap_store **store)
{
	bool writable = false;
	int error = find_file(session->server, file, stat, &writable);

	if (!error)
		error = store_file_create(file, -1, writable, NULL, store);
	if (!error)
		store_file_set_whom(*store, session->uid);
	return error;
}

/* Of the memory @fds[0] and, of three, the file @fds[2]: what is taken over is -1
   then. */
static int create_object(struct session *session, int *fds, unsigned n_fds,
			 struct object **result)
{
	struct server *server = session->server;
	struct wmap_store *store = NULL;
	int memfd = fds[0], file = n_fds == 3 ? fds[2] : -1, error = 0;
	struct stat stat;

	if (file >= 0)
		error = open_store(session, file, &stat, &store);
	if (error)
		return error;
	fds[0] = -1;
	if (file >= 0)
		fds[2] = -1;
	error = object_adopt(store, memfd, result);
	wmap_store_put(store);
	if (error)
		return error;
	if (file >= 0)
		books_file_known(server->pager, *result, stat.st_dev,
				 stat.st_ino);
	error = ledger_object(server->ledger, *result);
	if (!error && file >= 0)
		error = ledger_file(*result, file);
	if (error)
		object_put(*result);
	return error;
}

static int adopt_object(struct session *session, uint64_t number, int *fds,
			unsigned n_fds)
{
	struct adopted *adopted = mem_alloc(sizeof(*adopted));
	int error;

	if (!adopted)
		return -ENOMEM;
	error = create_object(session, fds, n_fds, &adopted->object);
	if (!error) {
		error = take_states(adopted->object, fds[1]);
		if (error)
			object_put(adopted->object);
	}
	if (error) {
		mem_free(adopted, sizeof(*adopted));
		return error;
	}
	adopted->number = number;
	list_add(&session->adopted, &adopted->link);
	return 0;
}

int session_adopt_object(struct session *session, uint64_t number, int *fds,
			 unsigned n_fds)
{
	if (session && session->embryo && !session->space->foreign &&
	    request_is_memory(fds[0]) && !elsewhere_server(fds[1]))
		return adopt_object(session, number, fds, n_fds);
	return -EPERM;
}

static struct object *find(struct session *session, uint64_t number)
{
	list_for_each(adopted, &session->adopted, struct adopted, link)
		if (adopted->number == number)
			return adopted->object;
	return NULL;
}

void session_adopted(struct session *session)
{
	list_for_each(adopted, &session->adopted, struct adopted, link) {
		list_del(&adopted->link);
		object_put(adopted->object);
		mem_free(adopted, sizeof(*adopted));
	}
}

/* ---- Mappings ---------------------------------------------------------------------- */

static int take_sick(struct mapping *mapping, struct page page)
{
	struct object *object = mapping->object;

	object_sicken(mapping->space->pager, object);
	view_note(mapping->view, page.index, true);
	return object_set(object, page, PAGE_ERROR,
			  page.views | view_bit(mapping->view));
}

static int take_touched(void *context, uint64_t at, size_t n,
			unsigned char byte)
{
	struct mapping *mapping = context;
	struct object *object = mapping->object;
	uint64_t first = mapping->first + at;
	int error = 0;

	(void)byte;
	if (first + n > mapping_end_page(mapping))
		return -EINVAL;
	if (object->memfd < 0) /* its alone, and none was known */
		error = object_come(object, first, n, PAGE_CLEAN);
	if (!error)
		mapping_loaded_all(mapping, first, n);
	for (uint64_t i = first; i < first + n && object->n_errors && !error;
	     i++) {
		struct page page = pages_get(&object->pages, i);

		if (page.state == PAGE_ERROR)
			error = take_sick(mapping, page);
	}
	return error;
}

static void describe(const struct wire_request *request,
		     struct mapping *mapping)
{
	const uint64_t *args = request->args;

	mapping->start = request->address;
	mapping->end = request->address + page_up(request->length);
	mapping->length = request->length;
	mapping->first = args[0];
	mapping->prot = (int)args[1];
	mapping->flags = (int)args[2];
	mapping->grain = args[3];
	mapping->deadline = args[4];
	mapping->may_write = args[5] & WIRE_MAY_WRITE;
	mapping->tracked = args[5] & WIRE_TRACKED;
	mapping->growing = args[5] & WIRE_GROWING;
	mapping->alone = args[5] & WIRE_ALONE;
	mapping->shared = mapping->flags & WMAP_SHARED;
}

static int check(const struct session *session, const struct mapping *mapping,
		 const struct object *object)
{
	const struct space *space = session->space;
	size_t i = space_lower(space, mapping->start);
	bool stores = mapping->prot & PROT_WRITE && object->store &&
		      mapping->shared;

	if (i < space->n && space->entries[i].start < mapping->end)
		return -EEXIST;
	if (mapping->may_write && object->store && !object->store->writable)
		return -EACCES;
	return stores && !mapping->tracked ? -EINVAL : 0;
}

static int create_mapping(struct session *session, struct mapping *mapping,
			  struct object *object, int touched, uint64_t memory)
{
	int error = check(session, mapping, object);

	if (!error)
		error = object_reach(object, mapping_end_page(mapping) +
						     mapping->growing);
	if (!error && mapping->tracked)
		error = books_lock(object);
	if (error)
		return error;
	mapping->object = object_get(object);
	error = space_add(session->space, mapping);
	if (error) {
		object_put(object);
		return error;
	}
	/* It is the space's from here on. */
	states_read(touched, mapping, take_touched);
	share_bound_mapping(mapping, memory);
	return 0;
}

int session_adopt_mapping(struct session *session,
			  const struct wire_request *request, int touched)
{
	uint64_t number = request->args[6];
	struct mapping *mapping = NULL;
	struct object *object = NULL;
	int error = -EPERM;

	if (session && session->embryo && !session->space->foreign &&
	    !elsewhere_server(touched))
		mapping = mem_alloc(sizeof(*mapping));
	if (mapping && number)
		object = find(session, number);
	else if (mapping)
		error = object_create(NULL, true, &object); /* plain memory */
	if (object) {
		describe(request, mapping);
		error = create_mapping(session, mapping, object, touched,
				       wire_limit(request->args[7]));
		if (!number)
			object_put(object);
	}
	if (error)
		mem_free(mapping, sizeof(*mapping));
	return error;
}
