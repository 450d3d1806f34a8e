/* SPDX-License-Identifier: MIT */
/*
 * Moving out: a pager thread becomes a pager process, before the first fork
 *
 *      forking thread             pager thread              wmapd
 *   1  has all calls wait, and
 *      waits until none is under way
 *   2  LEAVE ──────────────────►  reads no fault any more,
 *      ◄───────────────── done    ends what is being read
 *                                 and written, then idles
 *   3  starts it, with a keeper;
 *      notes the states meanwhile                           listens
 *   4  MOVE_IN ──────────────────────────────────────────►  a space without uffd
 *      each object: memfd, page states, file ────────────►  adopts it
 *      each mapping: addresses, pages touched, pins ─────►  books it
 *   5  ATTACH: the uffd ─────────────────────────────────►  reads faults; wakes
 *                                                           everybody once
 *   6  ABANDON ────────────────►  lets go of everything,
 *                                 ends
 *   7  calls go to wmapd
 *
 * A thread that faults after 2 sleeps until 5. Before 5 wmapd has changed
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
#include "pin.h"
#include "remote.h"
#include "states.h"
#include "sys.h"
#include "wire.h"

/* Objects told of so far, by number from 1. */
struct told {
	const struct object **objects;
	size_t n;
};

/* States that are noted while wmapd starts: of the first mappings alone, as each
   takes two descriptors. */
struct noted {
	int object, touched; /* memfds, or -1 */
};

#define NOTED 4

/* ---- Objects ----------------------------------------------------------------------- */

/* A memfd, or a negative errno. */
static int note_object(const struct object *object)
{
	int fd = states_open(object->n_pages);
	int error = fd < 0 ? fd : states_write(object, fd);

	if (error && fd >= 0)
		sys_call(SYS_close, fd);
	return error ? error : fd;
}

static int note_touched(const struct mapping *mapping)
{
	int fd = states_open((mapping->end - mapping->start) >> PAGE_SHIFT);
	int error = fd < 0 ? fd : states_write_touched(mapping, fd);

	if (error && fd >= 0)
		sys_call(SYS_close, fd);
	return error ? error : fd;
}

static int tell_object(const struct object *object, uint64_t number,
		       struct noted *noted)
{
	int fds[3] = { object->memfd, -1, -1 };

	if (noted->object < 0)
		noted->object = note_object(object);
	if (noted->object < 0)
		return noted->object;
	fds[1] = noted->object;
	if (object->store)
		fds[2] = store_file_descriptor(object->store);
	return remote_adopt_object(number, fds, fds[2] >= 0 ? 3 : 2);
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
		     struct noted *noted, uint64_t *number)
{
	*number = object->memfd < 0 ? 0 : number_of(told, object);
	if (*number || object->memfd < 0)
		return 0;
	told->objects[told->n++] = object;
	*number = told->n;
	return tell_object(object, *number, noted);
}

/* ---- Mappings ---------------------------------------------------------------------- */

/* What there may not be as many of is let go. */
static int tell_pin(void *context, uint64_t offset, uint64_t length)
{
	const struct mapping *mapping = context;
	int error = remote_adopt_pin(mapping->start + offset, length);

	if (error == -ENOMEM)
		log_line("%lu bytes are no longer pinned", length);
	return error == -ENOMEM ? 0 : error;
}

static int tell_mapping(struct told *told, struct mapping *mapping,
			struct noted *noted)
{
	uint64_t number = 0;
	int error = tell_once(told, mapping->object, noted, &number);

	if (error)
		return error;
	if (noted->touched < 0)
		noted->touched = note_touched(mapping);
	if (noted->touched < 0)
		return noted->touched;
	error = remote_adopt_mapping(mapping, number, noted->touched);
	return error ? error : pin_each(mapping, mapping, tell_pin);
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

/* Without a descriptor for it, it is noted when it is told. */
static void note(const struct space *space, struct noted *noted)
{
	const struct object *before = NULL;

	for (size_t i = 0; i < NOTED; i++)
		noted[i] = (struct noted){ -1, -1 };
	for (size_t i = 0; i < NOTED && i < space->n; i++) {
		const struct mapping *mapping = space->entries[i].mapping;

		if (mapping->object != before && mapping->object->memfd >= 0)
			noted[i].object = note_object(mapping->object);
		noted[i].touched = note_touched(mapping);
		before = mapping->object;
	}
}

static void let_go(struct noted *noted)
{
	if (noted->object >= 0)
		sys_call(SYS_close, noted->object);
	if (noted->touched >= 0)
		sys_call(SYS_close, noted->touched);
	*noted = (struct noted){ -1, -1 };
}

static int tell_all(const struct space *space, struct noted *noted)
{
	size_t size = (space->n + 1) * sizeof(struct object *);
	struct told told = { .objects = mem_alloc(size) };
	int error = told.objects ? 0 : -ENOMEM;

	for (size_t i = 0; i < space->n && !error; i++) {
		struct noted none = { -1, -1 };
		struct noted *mine = i < NOTED ? &noted[i] : &none;

		error = tell_mapping(&told, space->entries[i].mapping, mine);
		let_go(mine);
	}
	mem_free(told.objects, size);
	return error;
}

static int move_to(const char *address, const struct space *space,
		   struct noted *noted, const struct hints **hints)
{
	int error = remote_move_in(address);

	if (!error) {
		own_files(space, false);
		error = tell_all(space, noted);
	}
	if (!error)
		error = remote_attach(space->uffd, hints);
	if (error) {
		remote_stop();
		own_files(space, true);
	}
	return error;
}

int moveout(struct pager *pager, const struct hints **hints)
{
	const struct space *space = pager->home;
	char address[KEEP_ADDRESS_SIZE];
	struct noted noted[NOTED];
	int error, keeper;

	if (!can_move(space))
		return -EOPNOTSUPP;
	keeper = keep_begin(address);
	note(space, noted);
	keeper = keep_await(keeper);
	error = keeper < 0 ? keeper : move_to(address, space, noted, hints);
	for (size_t i = 0; i < NOTED; i++)
		let_go(&noted[i]);
	if (keeper >= 0)
		sys_call(SYS_close, keeper);
	return error;
}
