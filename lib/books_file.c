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
static void retry_and_answer(struct object *object, struct message *message,
			     int error)
{
	struct file_sync *sync = object->n_errors ? mem_alloc(sizeof(*sync)) :
						    NULL;

	if (!sync) {
		message_answer(message, error);
		return;
	}
	sync->message = message;
	sync->join.pending = 1;
	sync->join.error = error;
	sync->join.done = file_synced;
	object_retry(message->pager, object, SIZE_MAX, &sync->join);
	join_end(&sync->join, 0);
}

/* ---- After writing: from the file into memory -------------------------------- */

/* Bytes of a file; none, if @end is not behind @at. */
struct span {
	uint64_t at, end;
};

/* The next page that is in memory; and what of @span lies in it. */
static bool next_present(const struct object *object, struct span span,
			 uint64_t *cursor, struct page *page, struct span *part)
{
	while (pages_next(&object->pages, span.at >> PAGE_SHIFT,
			  page_up(span.end) >> PAGE_SHIFT, cursor, page)) {
		uint64_t start = page->index << PAGE_SHIFT;

		if (!page_is(*page, STATES_PRESENT))
			continue;
		part->at = max_u64(span.at, start);
		part->end = min_u64(span.end, start + PAGE);
		return true;
	}
	return false;
}

/* @bytes are what the file has there, in this page. */
static int show(struct object *object, struct page page, struct span part,
		const char *bytes)
{
	page = presume_settle(object, page);
	if (page.state == PAGE_WRITING)
		object_set(object, page, PAGE_REDIRTIED, page.views);
	return object_patch(object, part.at, bytes, part.end - part.at);
}

/* @bytes are @span's, in the file: those of pages in memory go there. */
static int put_in(struct object *object, struct span span, const char *bytes)
{
	uint64_t cursor = 0;
	struct page page;
	struct span part;
	int error = 0;

	while (!error && next_present(object, span, &cursor, &page, &part))
		error = show(object, page, part, bytes + (part.at - span.at));
	return error;
}

/* Read on the spot. */
static int copy_in(struct object *object, struct span span)
{
	char bytes[PAGE];
	uint64_t cursor = 0;
	struct page page;
	struct span part;
	int error = 0;

	while (!error && next_present(object, span, &cursor, &page, &part)) {
		int64_t n = store_file_peek(object->store, bytes,
					    part.end - part.at, part.at);

		part.end = part.at + (uint64_t)n;
		error = n < 0 ? (int)n : show(object, page, part, bytes);
	}
	return error;
}

/* Answer; @promised: by FILE_WRITING. */
static void finish(struct object *object, struct message *message,
		   bool promised, int error)
{
	retry_and_answer(object, message, error);
	if (promised)
		books_file_writing_over(object);
}

/* ---- The same, where the file's server may be silent ------------------------- */

#define PEEK_PAGES 16

/* What is on its way from the file into the pages in memory. */
struct peek {
	struct io io;
	struct message *message; /* to be answered, or NULL */
	struct object *object;	 /* referenced */
	bool promised;
	struct span span;  /* what is left */
	uint64_t *indexes; /* the pages of it that were in memory, ascending */
	size_t n, next;
	char bytes[PEEK_PAGES * PAGE];
};

static void peek_answer(struct peek *peek, int error)
{
	struct message *message = peek->message;

	peek->message = NULL;
	if (message)
		finish(peek->object, message, peek->promised, error);
}

static void peek_end(struct peek *peek)
{
	peek_answer(peek, 0);
	object_put(peek->object);
	mem_free(peek->indexes, peek->n * sizeof(*peek->indexes));
	mem_free(peek, sizeof(*peek));
}

/* The end of the file ends it, too. */
static void peek_done(struct io *io)
{
	struct peek *peek = container_of(io, struct peek, io);
	int64_t n = io->result;
	struct span read = { peek->span.at, peek->span.at + (uint64_t)n };
	int error = n < 0 ? (int)n : put_in(peek->object, read, peek->bytes);

	if (error)
		peek_answer(peek, error);
	peek->span.at = n < (int64_t)io->pub.length ? peek->span.end : read.end;
}

/* To the next page that was there; false: there is none. What has come since was
   read when all was written. */
static bool peek_seek(struct peek *peek)
{
	struct span *left = &peek->span;

	while (peek->next < peek->n &&
	       peek->indexes[peek->next] < left->at >> PAGE_SHIFT)
		peek->next++;
	if (peek->next == peek->n || list_empty(&peek->object->mappings))
		return false;
	left->at = max_u64(left->at, peek->indexes[peek->next] << PAGE_SHIFT);
	return left->at < left->end;
}

static void peek_next(struct io *io)
{
	struct peek *peek = container_of(io, struct peek, io);
	struct object *object = peek->object;
	const struct span *left = &peek->span;

	if (!peek->message || !peek_seek(peek)) {
		peek_end(peek);
		return;
	}
	*io = (struct io){
		.pub = { .buffer = peek->bytes,
			 .offset = left->at,
			 .length = min_u64(left->end - left->at,
					   sizeof(peek->bytes) -
						   left->at % PAGE) },
		.operation = IO_READ,
		.done = peek_done,
		.release = peek_next,
	};
	io_start(io, peek->message->pager->loop, object->store,
		 list_first(&object->mappings, struct mapping, of_object)
			 ->deadline);
}

static void peek_start(struct object *object, struct message *message,
		       struct span span, bool promised)
{
	struct peek *peek = mem_alloc(sizeof(*peek));
	int error = -ENOMEM;

	if (peek)
		error = pages_collect(&object->pages, span.at >> PAGE_SHIFT,
				      page_up(span.end) >> PAGE_SHIFT,
				      STATES_PRESENT, &peek->indexes, &peek->n);
	if (error) {
		mem_free(peek, sizeof(*peek));
		finish(object, message, promised, error);
		return;
	}
	peek->message = message;
	peek->object = object_get(object);
	peek->promised = promised;
	peek->span = span;
	peek_next(&peek->io);
}

/* ---- Around writing ---------------------------------------------------------- */

/* From the file into memory; then answer. */
static void bring(struct object *object, struct message *message,
		  struct span span, bool promised)
{
	if (store_file_is_patient(object->store))
		peek_start(object, message, span, promised);
	else
		finish(object, message, promised, copy_in(object, span));
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

/*
 * The file is @length bytes long: what has to be read of the page that it ended in
 * before. What was stored past that end is not in the file; it would be, by the next
 * write-back.
 */
static struct span grow(struct object *object, uint64_t length)
{
	uint64_t old = object->length;
	struct page page = pages_get(&object->pages, old >> PAGE_SHIFT);

	if (length <= old || !(old % PAGE) || !page_is(page, STATES_PRESENT) ||
	    has_course(object))
		return (struct span){ 0 };
	clear_tail(object, old);
	return (struct span){ old, page_up(old) };
}

/* What was written, and what there is now between the old end and that. */
static struct span span_written(struct object *object,
				const struct message *message)
{
	uint64_t at = message->file.offset;
	struct span written = { at,
				min_u64(at + message->file.length, INT64_MAX) };
	struct span grown = { 0 };

	if (message->file.object)
		grown = grow(object, written.end);
	object->length = max_u64(object->length, written.end);
	if (grown.end) {
		written.at = min_u64(written.at, grown.at);
		written.end = max_u64(written.end, grown.end);
	}
	return written;
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
	struct object *writing = message->file.object;
	struct object *object = writing ? writing :
					  books_find_file(message->pager,
							  message->file.dev,
							  message->file.ino);

	if (!object) {
		message_answer(message, 0);
		return;
	}
	fills_repeat(object, min_u64(first_page(message), old_end(object)),
		     end_page(message));
	bring(object, message, span_written(object, message), writing);
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

/* What was made longer: the rest of the last page there was. */
static struct span span_length(struct object *object, uint64_t length)
{
	struct span grown = grow(object, length);

	if (length < object->length)
		clear_tail(object, length);
	object->length = length;
	return grown;
}

void books_file_length(struct message *message)
{
	struct object *object = books_find_file(
		message->pager, message->file.dev, message->file.ino);
	uint64_t length = message->file.length;
	uint64_t end = page_up(length) >> PAGE_SHIFT;

	if (!object) {
		message_answer(message, 0);
		return;
	}
	fills_repeat(object, min_u64(length >> PAGE_SHIFT, old_end(object)),
		     UINT64_MAX);
	object_forget(object, end, UINT64_MAX);
	drop_copies(object, end);
	bring(object, message, span_length(object, length), false);
}
