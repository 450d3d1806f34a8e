/* SPDX-License-Identifier: MIT */
/*
 * Unmapping: first the store has what was changed, then the books forget
 *
 * While the write-back runs the mappings are closing: a thread that stores to
 * a page that is protected is held, so that nothing changes after it was
 * written; a failure lets it go on, and everything is as it was.
 *
 * With its last mapping an object's file is closed before the answer: if the pager
 * is a thread, who unmaps may execute it then, or unmount it. A read under way
 * still keeps it open, but not from another pager.
 */
#include "books.h"
#include "mem.h"
#include "swapout.h"

/* ---- Unmapping -------------------------------------------------------------------*/

struct unmapping {
	struct join join;
	struct pager *pager;
	struct message *message;
	unsigned rounds; /* of writing */
	bool wrote;	 /* in any of them */
	struct post written;
};

#define ROUNDS 8 /* at most: other mappings may go on storing for ever */

#define TAKE_UP_AFTER 100000000ull /* ns: there may be memory meanwhile */

void books_put_off(struct message *message)
{
	struct pager *pager = message->pager;

	if (!pager->deferred)
		loop_timer_start(pager->loop, &pager->take_up,
				 time_now() + TAKE_UP_AFTER);
	message->post.next = pager->deferred;
	pager->deferred = &message->post;
}

void books_take_up(struct pager *pager)
{
	struct post *post = pager->deferred, *next;

	pager->deferred = NULL;
	for (; post; post = next) {
		next = post->next;
		loop_post(pager->loop, post);
	}
}

bool books_closing(struct space *space, uint64_t start, uint64_t end)
{
	struct mapping *mapping;

	for_each_in(mapping, space, start, end)
		if (mapping->closing)
			return true;
	return false;
}

bool books_must_wait(struct space *space, uint64_t start, uint64_t end)
{
	struct mapping *mapping;

	for_each_in(mapping, space, start, end)
		if (swapaway_must_wait(mapping->object))
			return true;
	return false;
}

#define LOOKS 64

/* Does any other mapping show pages of [first, end)? Of an object in very many
   pieces that is not found out (each piece that goes would look at all others):
   the pages stay until the object goes. */
static bool shown_elsewhere(const struct mapping *except, uint64_t first,
			    uint64_t end)
{
	unsigned looks = 0;

	list_for_each(mapping, &except->object->mappings, struct mapping,
		      of_object)
		if (++looks > LOOKS ||
		    (mapping != except && mapping->first < end &&
		     mapping_end_page(mapping) > first))
			return true;
	return false;
}

/* The last one of its object takes all memory with it; else what nobody shows
   any more is dropped. */
static void remove_mapping(struct mapping *mapping)
{
	struct object *object = mapping->object;
	uint64_t first = mapping->first, end = mapping_end_page(mapping);
	bool last = object->mappings.next->next == &object->mappings;

	fills_forget(mapping);
	faults_release(mapping);
	if (last) {
		books_unlock(object);
	} else if (object->memfd >= 0 &&
		   !shown_elsewhere(mapping, first, end)) {
		if (object->store)
			object_drop(object, first, end);
		else
			object_forget(object, first, end);
	}
	space_remove(mapping);
}

int books_cut(struct space *space, uint64_t address)
{
	size_t i = space_lower(space, address);
	struct mapping *mapping;

	if (i == space->n)
		return 0;
	mapping = space->entries[i].mapping;
	if (mapping->start >= address)
		return 0;
	if (swapout_must_stay(mapping->object) ||
	    (mapping->copies && swapout_must_stay(mapping->copies)))
		return -EINPROGRESS;
	return space_split(mapping, address);
}

void books_cut_answer(struct message *message, int result)
{
	if (result == -EINPROGRESS)
		books_put_off(message);
	else
		message_answer(message, result);
}

/* From the end, so that of a space that ends nothing has to close up. */
static int remove_range(struct space *space, uint64_t start, uint64_t end)
{
	int error = books_cut(space, start);
	size_t low, i;

	if (!error)
		error = books_cut(space, end);
	if (error)
		return error;
	low = space_lower(space, start);
	for (i = low; i < space->n && space->entries[i].start < end;)
		i++;
	while (i > low)
		remove_mapping(space->entries[--i].mapping);
	return 0;
}

/* What the client unmaps: the range, and a growth page at its end. */
static uint64_t bytes_to_unmap(struct space *space, uint64_t start,
			       uint64_t end)
{
	struct mapping *mapping;
	uint64_t bytes = end - start;

	for_each_in(mapping, space, start, end)
		if (mapping->growing && mapping->end == end)
			bytes += PAGE;
	return bytes;
}

struct mapping *books_below(struct space *space, uint64_t address)
{
	size_t i = space_lower(space, address);

	return i ? space->entries[i - 1].mapping : NULL;
}

void books_written(struct writeback *writeback)
{
	struct join *join = writeback->owner;
	int error = writeback->error;

	/* Where nobody waits it is kept for the next who does. */
	if (error && join->alone)
		writeback->object->error = error;
	mem_free(writeback, sizeof(*writeback));
	join_end(join, error);
}

/* Write the pages [first, end) of a mapping's object back. */
static void write_pages(struct pager *pager, const struct mapping *mapping,
			uint64_t first, uint64_t end, bool flush,
			struct join *join)
{
	struct writeback *writeback = mem_alloc(sizeof(*writeback));

	if (!writeback) {
		if (!join->error)
			join->error = -ENOMEM;
		return;
	}
	join->pending++;
	writeback->object = mapping->object;
	writeback->first = first;
	writeback->end = end;
	writeback->flush = flush;
	writeback->deadline = mapping->deadline;
	writeback->owner = join;
	writeback->done = books_written;
	writeback_start(pager, writeback);
}

/* Write the part of a mapping that lies in [start, end) back. */
void books_write(struct pager *pager, const struct mapping *mapping,
		 uint64_t start, uint64_t end, bool flush, struct join *join)
{
	write_pages(pager, mapping,
		    mapping_page(mapping, max_u64(start, mapping->start)),
		    mapping_page(mapping, min_u64(end, mapping->end)), flush,
		    join);
}

/* Will another mapping write all of [first, end) back when it goes? */
static bool left_to_another(const struct mapping *except, uint64_t first,
			    uint64_t end)
{
	list_for_each(mapping, &except->object->mappings, struct mapping,
		      of_object)
		if (mapping != except && mapping->tracked &&
		    !mapping->closing && mapping->first <= first &&
		    mapping_end_page(mapping) >= end)
			return true;
	return false;
}

/*
 * What is to be in the store before [start, end) of a mapping is gone: all of it
 * or, where another one goes on showing all of it, what this one may have changed.
 * A fork's child that touched nothing costs no write.
 */
static bool changed_pages(const struct mapping *mapping, uint64_t start,
			  uint64_t end, uint64_t *first, uint64_t *last)
{
	if (!mapping->tracked || !mapping->object->store ||
	    !mapping->object->n_dirty)
		return false;
	*first = mapping_page(mapping, max_u64(start, mapping->start));
	*last = mapping_page(mapping, min_u64(end, mapping->end));
	if (left_to_another(mapping, *first, *last)) {
		*first = max_u64(*first, mapping->view->low);
		*last = min_u64(*last, mapping->view->high);
	}
	return *first < *last;
}

static bool is_dirty(struct space *space, uint64_t start, uint64_t end)
{
	struct mapping *mapping;
	uint64_t first, last;

	for_each_in(mapping, space, start, end)
		if (changed_pages(mapping, start, end, &first, &last) &&
		    pages_count(&mapping->object->pages, first, last,
				STATES_DIRTY, 0))
			return true;
	return false;
}

static void write_changed(struct unmapping *unmapping)
{
	struct message *message = unmapping->message;
	struct space *space = message->space;
	uint64_t start = message->address, end = message_end(message);
	struct mapping *mapping;
	uint64_t first, last;

	unmapping->rounds++;
	unmapping->join.pending = 1;
	for_each_in(mapping, space, start, end) {
		mapping->closing = mapping->tracked;
		if (!changed_pages(mapping, start, end, &first, &last))
			continue;
		unmapping->wrote = true;
		write_pages(unmapping->pager, mapping, first, last, false,
			    &unmapping->join);
	}
	join_end(&unmapping->join, 0);
}

static void unmap_finish(struct unmapping *unmapping)
{
	struct message *message = unmapping->message;
	struct pager *pager = unmapping->pager;
	struct space *space = message->space;
	uint64_t start = message->address, end = message_end(message);
	struct mapping *mapping;
	bool force = message->unmap.force;
	int error = unmapping->join.error, removed = 0;

	/* A write(2) to a page on its way made it dirty again: it may have been
	   overtaken in the file. */
	if (!error && unmapping->rounds < ROUNDS &&
	    is_dirty(space, start, end)) {
		write_changed(unmapping);
		return;
	}
	mem_free(unmapping, sizeof(*unmapping));
	for_each_in(mapping, space, start, end)
		mapping->closing = false;
	if (!force && books_must_wait(space, start, end)) {
		for_each_in(mapping, space, start, end)
			faults_release(mapping);
		books_put_off(message);
		return;
	}
	message->unmap.mapped = bytes_to_unmap(space, start, end);
	if (!error || force)
		removed = remove_range(space, start, end);
	for_each_in(mapping, space, start - (start != 0), end + 1)
		faults_release(mapping);
	mapping = books_below(space, start);
	message->unmap.regrow = mapping && mapping->flags & WMAP_GROWSUP;
	books_take_up(pager);
	books_cut_answer(message, error ? error : removed);
}

static void written(struct post *post)
{
	unmap_finish(container_of(post, struct unmapping, written));
}

/*
 * Who tells of a write holds the object and its store until he has told. Were the
 * mapping to go from in here, its client could run before they do:
 *
 *   pager                     client
 *   the last write is answered
 *   takes the mapping out, answers
 *                             closes the file, executes it: ETXTBSY
 *   puts the object, the store: closes the file
 */
static void unmap_written(struct join *join)
{
	struct unmapping *unmapping =
		container_of(join, struct unmapping, join);

	if (!unmapping->wrote) {
		unmap_finish(unmapping);
		return;
	}
	unmapping->written.run = written;
	loop_post(unmapping->pager->loop, &unmapping->written);
}

static int exact_range(struct space *space, struct message *message)
{
	struct mapping *mapping = space_find(space, message->address);

	if (!mapping || mapping->start != message->address)
		return -EINVAL;
	message->length = mapping->end - mapping->start;
	return 0;
}

void books_unmap(struct message *message)
{
	struct pager *pager = message->pager;
	struct space *space = message->space;
	struct unmapping *unmapping;
	uint64_t start = message->address;
	int error = 0;

	if (message->unmap.exact)
		error = exact_range(space, message);
	if (!error && (books_closing(space, start, message_end(message)) ||
		       (!message->unmap.force &&
			books_must_wait(space, start, message_end(message))))) {
		books_put_off(message);
		return;
	}
	/* Nothing to write, and perhaps no memory to wait with. */
	if (!error && message->unmap.unshown) {
		books_cut_answer(message, remove_range(space, start,
						       message_end(message)));
		return;
	}
	unmapping = error ? NULL : mem_alloc(sizeof(*unmapping));
	if (!unmapping) {
		message_answer(message, error ? error : -ENOMEM);
		return;
	}
	unmapping->pager = pager;
	unmapping->message = message;
	unmapping->join.done = unmap_written;
	write_changed(unmapping);
}
