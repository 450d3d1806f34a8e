/* SPDX-License-Identifier: MIT */
/*
 * A mapped file that is read and written by system calls too
 *
 * Whoever reads, writes or truncates a mapped file tells the pager (client.h:
 * wmap_file_*), so that memory and file agree:
 *
 *   before read, truncate   what is dirty is written back
 *   before write, truncate  its length is asked for: stores past it are no part of
 *                           the file, also when it grows over them
 *   before write            no older bytes of ours are on their way, nor set out
 *   after write             what was written goes into the pages in memory
 *   after truncate          pages past the end go, and what private mappings have
 *                           changed there; the rest of the last one is zeros;
 *                           what was past the end and no longer is heals
 *
 * Where the file's server may be silent, what was written is read as for a fault,
 * and the answer waits for that, until its deadline. A page that is being read at
 * the moment is read again. One that is being
 * written back for longer than its deadline is not waited for, but written again,
 * for the old bytes may overtake the new ones.
 */
#include <string.h>
#include <sys/mman.h>

#include "books.h"
#include "copies.h"
#include "mem.h"
#include "presume.h"
#include "sys.h"

/* ---- Before reading --------------------------------------------------------- */

struct file_sync {
	struct join join;
	struct message *message;
};

static void file_synced(struct join *join)
{
	struct file_sync *sync = container_of(join, struct file_sync, join);
	struct message *message = sync->message;
	int error = join->error;

	mem_free(sync, sizeof(*sync));
	message_answer(message, error);
}

static uint64_t first_page(const struct message *message)
{
	return message->file.offset >> PAGE_SHIFT;
}

static uint64_t end_page(const struct message *message)
{
	uint64_t end = message->file.offset + message->file.length;

	if (end < message->file.offset || end > INT64_MAX)
		return UINT64_MAX;
	return page_up(end) >> PAGE_SHIFT;
}

static int sync_start(struct pager *pager, struct object *object,
		      struct file_sync *sync)
{
	struct writeback *writeback = mem_alloc(sizeof(*writeback));

	if (!writeback)
		return -ENOMEM;
	sync->join.pending++;
	writeback->object = object;
	writeback->first = first_page(sync->message);
	writeback->end = end_page(sync->message);
	writeback->deadline =
		list_first(&object->mappings, struct mapping, of_object)
			->deadline;
	writeback->owner = &sync->join;
	writeback->done = books_written;
	writeback_start(pager, writeback);
	return 0;
}

void books_file_sync(struct message *message)
{
	struct pager *pager = message->pager;
	struct object *object =
		books_find_file(pager, message->file.dev, message->file.ino);
	struct file_sync *sync;
	int error;

	if (object && end_page(message) == UINT64_MAX)
		object_measure(object);
	if (!object || !object->n_dirty || list_empty(&object->mappings)) {
		message_answer(message, 0);
		return;
	}
	sync = mem_alloc(sizeof(*sync));
	if (!sync) {
		message_answer(message, -ENOMEM);
		return;
	}
	sync->message = message;
	sync->join.pending = 1;
	sync->join.done = file_synced;
	error = sync_start(pager, object, sync);
	join_end(&sync->join, error);
}

/*
 * Answer when the pages that gave SIGBUS have been tried again: who made the
 * file longer may touch them at once.
 */
static void retry_and_answer(struct pager *pager, struct object *object,
			     struct message *message, int error)
{
	struct file_sync *sync =
		object && object->n_errors ? mem_alloc(sizeof(*sync)) : NULL;

	if (!sync) {
		message_answer(message, error);
		return;
	}
	sync->message = message;
	sync->join.pending = 1;
	sync->join.error = error;
	sync->join.done = file_synced;
	object_retry(pager, object, SIZE_MAX, &sync->join);
	join_end(&sync->join, 0);
}

/* ---- Around writing ---------------------------------------------------------- */

/* The bytes [from, to) of one page, from the file into memory. */
static int copy_in(struct object *object, uint64_t from, uint64_t to)
{
	char buffer[PAGE];
	int64_t n = store_file_peek(object->store, buffer, to - from, from);

	if (n > 0)
		return object_patch(object, from, buffer, (uint64_t)n);
	return (int)n;
}

static int refresh(struct object *object, struct page page, uint64_t from,
		   uint64_t to)
{
	page = presume_settle(object, page);
	if (page.state == PAGE_WRITING)
		object_set(object, page, PAGE_REDIRTIED, page.views);
	return copy_in(object, from, to);
}

static int refresh_page(struct object *object, struct page page,
			const struct message *message)
{
	uint64_t start = page.index << PAGE_SHIFT;
	uint64_t from = max_u64(start, message->file.offset);
	uint64_t to = min_u64(start + PAGE,
			      message->file.offset + message->file.length);

	return refresh(object, page, from, to);
}

static bool has_course(const struct object *object)
{
	list_for_each(mapping, &object->mappings, struct mapping, of_object)
		if (mapping->flags & MAPPING_COURSE)
			return true;
	return false;
}

static void clear_tail(struct object *object, uint64_t length)
{
	static const char zeros[PAGE];
	struct page page = pages_get(&object->pages, length >> PAGE_SHIFT);

	if (!(length % PAGE) || !page_is(page, STATES_PRESENT))
		return;
	presume_settle(object, page);
	object_patch(object, length, zeros, PAGE - length % PAGE);
}

/* What was stored past the old end, in its page, is not in the file; it would be,
   by the next write-back. */
static bool must_show_growth(const struct object *object, uint64_t length)
{
	uint64_t old = object->length;
	struct page page = pages_get(&object->pages, old >> PAGE_SHIFT);

	return length > old && old % PAGE && page_is(page, STATES_PRESENT) &&
	       !has_course(object);
}

static int show_growth(struct object *object, uint64_t length)
{
	uint64_t old = object->length;

	if (!must_show_growth(object, length))
		return 0;
	clear_tail(object, old);
	return refresh(object, pages_get(&object->pages, old >> PAGE_SHIFT),
		       old, page_up(old));
}

/* ---- Around writing, where the file's server may be silent ------------------- */

#define PEEK_PAGES 16

/* The bytes [at, end) on their way from the file into the pages in memory. */
struct peek {
	struct io io;
	struct message *message; /* to be answered, or NULL */
	struct object *object;	 /* referenced */
	bool promised;		 /* by FILE_WRITING */
	uint64_t at, end;
	uint64_t *indexes; /* the pages of it that were in memory, ascending */
	size_t n, next;
	char bytes[PEEK_PAGES * PAGE];
};

static void peek_answer(struct peek *peek, int error)
{
	struct message *message = peek->message;

	if (!message)
		return;
	peek->message = NULL;
	retry_and_answer(message->pager, peek->object, message, error);
	if (peek->promised)
		books_file_writing_over(peek->object);
}

static void peek_end(struct peek *peek, int error)
{
	peek_answer(peek, error);
	object_put(peek->object);
	mem_free(peek->indexes, peek->n * sizeof(*peek->indexes));
	mem_free(peek, sizeof(*peek));
}

/* Of what was read, what belongs to pages that are there now. */
static int put_in(struct peek *peek, uint64_t n)
{
	struct object *object = peek->object;
	uint64_t start = peek->at, end = start + n;
	uint64_t cursor = 0;
	struct page page;
	int error = 0;

	while (!error &&
	       pages_next(&object->pages, start >> PAGE_SHIFT,
			  page_up(end) >> PAGE_SHIFT, &cursor, &page)) {
		uint64_t from = max_u64(start, page.index << PAGE_SHIFT);
		uint64_t to = min_u64(end, (page.index + 1) << PAGE_SHIFT);

		if (!page_is(page, STATES_PRESENT))
			continue;
		page = presume_settle(object, page);
		if (page.state == PAGE_WRITING)
			object_set(object, page, PAGE_REDIRTIED, page.views);
		error = object_patch(object, from, peek->bytes + (from - start),
				     to - from);
	}
	return error;
}

/* The end of the file ends it, too. */
static void peek_done(struct io *io)
{
	struct peek *peek = container_of(io, struct peek, io);
	int64_t n = io->result;
	int error = n < 0 ? (int)n : put_in(peek, (uint64_t)n);

	if (error)
		peek_answer(peek, error);
	if (n < (int64_t)io->pub.length)
		peek->at = peek->end;
	else
		peek->at += (uint64_t)n;
}

/* To the next page that was there; false: there is none. What has come since was
   read when all was written. */
static bool peek_seek(struct peek *peek)
{
	while (peek->next < peek->n &&
	       peek->indexes[peek->next] < peek->at >> PAGE_SHIFT)
		peek->next++;
	if (peek->next == peek->n || list_empty(&peek->object->mappings))
		return false;
	peek->at = max_u64(peek->at, peek->indexes[peek->next] << PAGE_SHIFT);
	return true;
}

static void peek_next(struct io *io)
{
	struct peek *peek = container_of(io, struct peek, io);
	struct object *object = peek->object;
	uint64_t most = sizeof(peek->bytes) - peek->at % PAGE;

	if (!peek->message || peek->at >= peek->end || !peek_seek(peek)) {
		peek_end(peek, 0);
		return;
	}
	*io = (struct io){
		.pub = { .buffer = peek->bytes,
			 .offset = peek->at,
			 .length = min_u64(most, peek->end - peek->at) },
		.operation = IO_READ,
		.done = peek_done,
		.release = peek_next,
	};
	io_start(io, peek->message->pager->loop, object->store,
		 list_first(&object->mappings, struct mapping, of_object)
			 ->deadline);
}

/* Answers; @promised as books_file_writing_over. */
static void peek_start(struct object *object, struct message *message,
		       uint64_t at, uint64_t end, bool promised)
{
	struct peek *peek = mem_alloc(sizeof(*peek));
	int error = -ENOMEM;

	if (peek)
		error = pages_collect(&object->pages, at >> PAGE_SHIFT,
				      page_up(end) >> PAGE_SHIFT,
				      STATES_PRESENT, &peek->indexes, &peek->n);
	if (error) {
		mem_free(peek, sizeof(*peek));
		retry_and_answer(message->pager, object, message, error);
		if (promised)
			books_file_writing_over(object);
		return;
	}
	peek->message = message;
	peek->object = object_get(object);
	peek->promised = promised;
	peek->at = at;
	peek->end = end;
	peek_next(&peek->io);
}

/* What was written, and what there is now between the old end and that. */
static void peek_written(struct object *object, struct message *message,
			 bool promised)
{
	uint64_t from = message->file.offset;
	uint64_t end = from + message->file.length;

	if (promised && must_show_growth(object, end)) {
		clear_tail(object, object->length);
		from = min_u64(from, object->length);
	}
	object->length = max_u64(object->length, end);
	peek_start(object, message, from, end, promised);
}

/* What was made longer: the rest of the last page there was. */
static void peek_growth(struct object *object, struct message *message,
			uint64_t length)
{
	uint64_t old = object->length;
	bool grows = must_show_growth(object, length);

	if (grows)
		clear_tail(object, old);
	if (length < old)
		clear_tail(object, length);
	object->length = length;
	peek_start(object, message, old, grows ? page_up(old) : old, false);
}

/* From this page on what was read may have been nothing, and is something now. */
static uint64_t old_end(const struct object *object)
{
	return object->length >> PAGE_SHIFT;
}

void books_file_writing(struct message *message)
{
	struct pager *pager = message->pager;
	struct object *object =
		books_find_file(pager, message->file.dev, message->file.ino);

	message->file.object = object;
	if (object) {
		/* Of several who write the first finds where it ended. */
		if (!object_get(object)->writers++)
			object_measure(object);
		if (object->writing) {
			message->post.next = object->stalled;
			object->stalled = &message->post;
			return;
		}
	}
	message_answer(message, 0);
}

void books_file_writing_over(struct object *object)
{
	if (!--object->writers)
		writeback_resume(object);
	object_put(object);
}

void books_file_written(struct message *message)
{
	struct pager *pager = message->pager;
	struct object *writing = message->file.object;
	struct object *object = writing ? writing :
					  books_find_file(pager,
							  message->file.dev,
							  message->file.ino);
	uint64_t first = first_page(message), end = end_page(message);
	uint64_t written = message->file.offset + message->file.length;
	struct page page;
	uint64_t cursor = 0;
	int error = 0;

	if (object)
		fills_repeat(object, min_u64(first, old_end(object)), end);
	if (object && store_file_is_patient(object->store)) {
		peek_written(object, message, writing);
		return;
	}
	if (object) {
		if (writing)
			error = show_growth(object, written);
		while (!error &&
		       pages_next(&object->pages, first, end, &cursor, &page))
			if (page_is(page, STATES_PRESENT))
				error = refresh_page(object, page, message);
		object->length = max_u64(object->length, written);
	}
	retry_and_answer(pager, object, message, error);
	if (writing)
		books_file_writing_over(writing);
}

/* ---- After truncating ------------------------------------------------------- */

/* Changed pages of private mappings from @end on; in other processes who truncates
   has it done (client_file.c), for his own. */
static void drop_copies(struct object *object, uint64_t end)
{
	list_for_each(mapping, &object->mappings, struct mapping, of_object) {
		uint64_t first = max_u64(end, mapping->first);

		if (mapping->shared || mapping->moving ||
		    !mapping->space->home || first >= mapping_end_page(mapping))
			continue;
		copies_forget(mapping, first, mapping_end_page(mapping));
		sys_call(SYS_madvise, mapping_address(mapping, first),
			 (mapping_end_page(mapping) - first) << PAGE_SHIFT,
			 MADV_DONTNEED);
	}
}

void books_file_length(struct message *message)
{
	struct pager *pager = message->pager;
	struct object *object =
		books_find_file(pager, message->file.dev, message->file.ino);
	uint64_t length = message->file.length;
	uint64_t end = page_up(length) >> PAGE_SHIFT;
	int error = 0;

	if (object) {
		fills_repeat(object,
			     min_u64(length >> PAGE_SHIFT, old_end(object)),
			     UINT64_MAX);
		object_forget(object, end, UINT64_MAX);
		drop_copies(object, end);
	}
	if (object && store_file_is_patient(object->store)) {
		peek_growth(object, message, length);
		return;
	}
	if (object) {
		error = show_growth(object, length);
		if (length < object->length)
			clear_tail(object, length);
		object->length = length;
	}
	retry_and_answer(pager, object, message, error);
}
