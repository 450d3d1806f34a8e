/* SPDX-License-Identifier: MIT */
/* A run of pages that leave, of whichever process: it begins, is written, and ends
   (leaving.h) */
#include <sys/mman.h>

#include "copies.h"
#include "leaving.h"
#include "mem.h"
#include "sys.h"

/* ---- Its beginning and its end --------------------------------------------------- */

struct leaving *leaving_create(struct object *object, uint64_t first,
			       uint64_t count)
{
	struct leaving *leaving = mem_alloc(sizeof(*leaving));

	if (!leaving)
		return NULL;
	leaving->pager = object->pager;
	leaving->object = object_get(object);
	leaving->first = first;
	leaving->count = count;
	list_init(&leaving->link);
	list_init(&leaving->of_object);
	return leaving;
}

int leaving_map(struct leaving *leaving)
{
	long memory =
		sys_map(0, leaving->count << PAGE_SHIFT, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (sys_failed(memory))
		return (int)memory;
	leaving->memory = (char *)memory;
	return 0;
}

void leaving_unmap(struct leaving *leaving)
{
	if (leaving->memory)
		sys_unmap((uint64_t)leaving->memory,
			  leaving->count << PAGE_SHIFT);
	leaving->memory = NULL;
}

void leaving_destroy(struct leaving *leaving)
{
	list_del(&leaving->link);
	list_del(&leaving->of_object);
	leaving_unmap(leaving);
	leaving_unhold(leaving, ~UINT64_C(0));
	object_put(leaving->object);
	mem_free(leaving, sizeof(*leaving));
}

void leaving_begin(struct leaving *leaving, uint64_t n, struct list *list)
{
	struct object *object = leaving->object;

	for (uint64_t i = leaving->first; i < leaving->first + n; i++) {
		object_leave(object, pages_get(&object->pages, i));
		leaving->alive |= leaving_bit(leaving, i);
	}
	leaving->held = leaving->alive;
	leaving->pager->swapout.held += n << PAGE_SHIFT;
	list_add(list, &leaving->link);
	list_add(&object->leavings, &leaving->of_object);
}

/* ---- Its write ------------------------------------------------------------------- */

void leaving_choose(struct leaving *leaving)
{
	unsigned low = (unsigned)__builtin_ctzll(leaving->alive);
	uint64_t rest = ~(leaving->alive >> low);

	leaving->from = leaving->first + low;
	leaving->n = rest ? (unsigned)__builtin_ctzll(rest) : LEAVING_PAGES;
}

void leaving_write(struct leaving *leaving, char *bytes,
		   void (*done)(struct io *io), void (*release)(struct io *io))
{
	struct object *object = leaving->object;
	struct pager *pager = leaving->pager;
	struct io *io = &leaving->io;

	list_del(&leaving->link);
	list_add(&pager->swapout.retiring, &leaving->link);
	leaving->begun = time_now();
	io->pub.buffer = bytes;
	io->pub.offset = leaving->from << PAGE_SHIFT;
	io->pub.length = leaving->n << PAGE_SHIFT;
	io->operation = IO_WRITE;
	io->done = done;
	io->release = release;
	io_start(io, pager->loop, object->swap,
		 object_mapping(object)->deadline);
}
