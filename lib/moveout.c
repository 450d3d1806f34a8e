/* SPDX-License-Identifier: MIT */
/*
 * Moving out: a pager thread becomes a pager process, before the first fork
 *
 *      forking thread             pager thread              wmapd
 *   1  starts it, with a keeper                             listens
 *   2  has all calls wait, and
 *      waits until none is under way
 *   3  LEAVE ──────────────────►  reads no fault any more,
 *      ◄───────────────── done    ends what is being read
 *                                 and written, then idles
 *   4  MOVE_IN ──────────────────────────────────────────►  a space without uffd
 *      each object: memfd, page states, file ────────────►  adopts it
 *      each mapping: addresses, pages touched ───────────►  books it
 *   5  ATTACH: the uffd ─────────────────────────────────►  reads faults; wakes
 *                                                           everybody once
 *   6  ABANDON ────────────────►  lets go of everything,
 *                                 ends
 *   7  calls go to wmapd
 *
 * A thread that faults after 3 sleeps until 5. Before 5 wmapd has changed
 * nothing that is seen here: whatever fails up to there closes the connection,
 * and the thread reads faults again (STAY). The answer to ATTACH decides: from
 * then on the pages are wmapd's.
 *
 * What is not a file or zeros (a store of the program's own functions) cannot be
 * had in another process: then nothing moves.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "io.h"
#include "keep.h"
#include "mem.h"
#include "moveout.h"
#include "pager.h"
#include "remote.h"
#include "states.h"
#include "sys.h"
#include "wire.h"

/* Objects told of so far, by number from 1. */
struct told {
	const struct object **objects;
	size_t n, room;
};

/* ---- Objects ----------------------------------------------------------------------- */

static int tell_object(const struct object *object, uint64_t number)
{
	int fds[3] = { object->memfd, states_open(object->n_pages), -1 };
	int error = fds[1] < 0 ? fds[1] : states_write(object, fds[1]);

	if (object->store)
		fds[2] = store_file_descriptor(object->store);
	if (!error)
		error = remote_adopt_object(number, fds, fds[2] >= 0 ? 3 : 2);
	if (fds[1] >= 0)
		sys_call(SYS_close, fds[1]);
	return error;
}

static uint64_t number_of(const struct told *told, const struct object *object)
{
	for (size_t i = 0; i < told->n; i++)
		if (told->objects[i] == object)
			return i + 1;
	return 0;
}

/* *@number: 0 for plain memory, which needs no telling. */
static int tell_once(struct told *told, const struct object *object,
		     uint64_t *number)
{
	*number = object->memfd < 0 ? 0 : number_of(told, object);
	if (*number || object->memfd < 0)
		return 0;
	told->objects[told->n++] = object;
	*number = told->n;
	return tell_object(object, *number);
}

/* ---- Mappings ---------------------------------------------------------------------- */

static int tell_mapping(struct told *told, const struct mapping *mapping)
{
	uint64_t number = 0;
	int error = tell_once(told, mapping->object, &number), fd;

	if (error)
		return error;
	fd = states_open((mapping->end - mapping->start) >> PAGE_SHIFT);
	if (fd < 0)
		return fd;
	error = states_write_touched(mapping, fd);
	if (!error)
		error = remote_adopt_mapping(mapping, number, fd);
	sys_call(SYS_close, fd);
	return error;
}

/* ---- All of it --------------------------------------------------------------------- */

static bool can_move(const struct space *space)
{
	for (size_t i = 0; i < space->n; i++) {
		const struct object *object = space->entries[i].mapping->object;

		if (object->store && store_file_descriptor(object->store) < 0)
			return false;
	}
	return true;
}

/* Another pager may write to the files, or again we. */
static void own_files(const struct space *space, bool own)
{
	for (size_t i = 0; i < space->n; i++) {
		struct object *object = space->entries[i].mapping->object;

		if (!object->locked)
			continue;
		if (own)
			store_file_lock(object->store);
		else
			store_file_unlock(object->store);
	}
}

static int tell_all(const struct space *space)
{
	size_t size = (space->n + 1) * sizeof(struct object *);
	struct told told = { .objects = mem_alloc(size) };
	int error = told.objects ? 0 : -ENOMEM;

	for (size_t i = 0; i < space->n && !error; i++)
		error = tell_mapping(&told, space->entries[i].mapping);
	mem_free(told.objects, size);
	return error;
}

int moveout(struct pager *pager, const struct hints **hints)
{
	const struct space *space = pager->home;
	char address[KEEP_ADDRESS_SIZE];
	int error, keeper;

	if (!can_move(space))
		return -EOPNOTSUPP;
	keeper = keep_start(address);
	if (keeper < 0)
		return keeper;
	error = remote_move_in(address);
	if (!error) {
		own_files(space, false);
		error = tell_all(space);
	}
	if (!error)
		error = remote_attach(space->uffd, hints);
	if (error) {
		remote_stop();
		own_files(space, true);
	}
	sys_call(SYS_close, keeper);
	return error;
}
