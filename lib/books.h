/* SPDX-License-Identifier: MIT */
/*
 * The books: what each message of a client does to what is mapped
 *
 * The pager books; the client, before or after, does to its addresses what has
 * to be done (client.h shows both sides). A message whose range lies in a
 * mapping that is just being unmapped is put off until that is over.
 */
#ifndef WMAP_BOOKS_H
#define WMAP_BOOKS_H

#include <sys/mman.h>

#include "pager.h"

/* The mappings that [low, high) touches. */
#define for_each_in(item, space, low, high) \
	for (size_t i_ = space_lower(space, low); \
	     i_ < (space)->n && \
	     (item = (space)->entries[i_].mapping)->start < (high); \
	     i_++)

static inline uint64_t message_end(const struct message *message)
{
	return message->address + page_up(message->length);
}

/* Are stores through such a mapping seen, and written back? */
static inline bool books_tracks(const struct object *object, int prot,
				int flags)
{
	return object_source(object) && flags & WMAP_SHARED &&
	       prot & PROT_WRITE;
}

/* Run a message again when that may be of use: a mapping has been unmapped, or
   what left one is written. */
void books_put_off(struct message *message);
void books_take_up(struct pager *pager);

/* May private memory of another process go from [start, end) at any moment? */
bool books_must_wait(struct space *space, uint64_t start, uint64_t end);

bool books_closing(struct space *space, uint64_t start, uint64_t end);

/* The object of a file that is mapped, or NULL. */
struct object *books_find_file(struct pager *pager, uint64_t dev, uint64_t ino);

/* @object is the file's from now on: it is found, and hinted at. */
void books_file_known(struct pager *pager, struct object *object, uint64_t dev,
		      uint64_t ino);

/* From the first mapping that may store on, no other pager writes back. */
int books_lock(struct object *object);

/* With the last one it may, though a read under way keeps the object; unless a
   write does. */
void books_unlock(struct object *object);

/* writeback.done where the owner is a join; frees the write-back. */
void books_written(struct writeback *writeback);

/* Write the part of a mapping that lies in [start, end) back. */
void books_write(struct pager *pager, const struct mapping *mapping,
		 uint64_t start, uint64_t end, bool flush, struct join *join);

/* Cut the mapping that @address is inside of in two. -EINPROGRESS: what comes back
   of it is being written, and has no room beside that: the message waits. */
int books_cut(struct space *space, uint64_t address);

/* Answer a message that cut something; or, if it has to wait, put it off. */
void books_cut_answer(struct message *message, int result);

/* The last mapping below @address, or NULL. */
struct mapping *books_below(struct space *space, uint64_t address);

/* Give up the growth page, which is unmapped. */
void books_stop_growing(struct mapping *mapping);

/* Who was in write(2) to its file is no longer; drops FILE_WRITING's reference. */
void books_file_writing_over(struct object *object);

/* The messages, by kind; each answers, now or later. */
void books_map(struct message *message);
void books_unmap(struct message *message);
void books_move(struct message *message);
void books_protect(struct message *message);
void books_yield(struct message *message);
void books_regrow(struct message *message);
void books_grow(struct message *message);
void books_sync(struct message *message);
void books_advise(struct message *message);
void books_residency(struct message *message);
void books_list(struct message *message);
void books_stats(struct message *message);
void books_file_sync(struct message *message);
void books_file_writing(struct message *message);
void books_file_written(struct message *message);
void books_file_length(struct message *message);
void books_frame(struct message *message);
void books_leave(struct message *message);
void books_stay(struct message *message);
void books_abandon(struct message *message);

#endif
