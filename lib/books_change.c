/* SPDX-License-Identifier: MIT */
/* Changing what is booked: place, length, protection, room to grow */
#include <sys/mman.h>

#include "books.h"
#include "copies.h"
#include "ledger.h"
#include "sys.h"

/* ---- Moving and resizing -----------------------------------------------------------*/

static int find_whole(struct space *space, const struct message *message,
		      struct mapping **result)
{
	struct mapping *mapping = space_find(space, message->address);
	bool exact = message->move.exact;

	if (!mapping || message->address >= mapping->end)
		return exact ? -EINVAL : -EFAULT;
	if (exact && (mapping->start != message->address ||
		      mapping->length != message->length))
		return -EINVAL;
	if (message_end(message) > mapping->end)
		return -EFAULT;
	*result = mapping;
	return 0;
}

void books_stop_growing(struct mapping *mapping)
{
	if (mapping->growing)
		mapping_give_up_growth(mapping);
}

static void describe(struct mapping *mapping, struct message *message)
{
	message->move.prot = mapping->prot;
	message->move.flags = mapping->flags;
	message->move.memfd = mapping->object->memfd;
	message->move.memfd_offset = mapping_page(mapping, message_end(message))
				     << PAGE_SHIFT;
	message->move.modes = mapping_modes(mapping);
	message->move.shared = mapping->shared;
	message->move.inherit = mapping->object->memfd < 0 &&
				!mapping->unforked;
}

/* What does not reach the mapping's end can only stay as it is. */
static int resize_in_place(struct mapping *mapping,
			   const struct message *message)
{
	uint64_t before = message->address - mapping->start;
	uint64_t pages = page_up(message->move.new_length);

	if (message_end(message) < mapping->end)
		return pages == page_up(message->length) ? 0 : -ENOMEM;
	return space_move(mapping, mapping->start,
			  before + message->move.new_length);
}

/* Would it lie over another mapping, or over the page another grows into? */
static bool is_taken(const struct message *message,
		     const struct mapping *mapping)
{
	const struct space *space = message->space;
	uint64_t start = message->move.new_address;
	uint64_t end = start + page_up(message->move.new_length);
	uint64_t leaves = message->address, left = message_end(message);

	for (size_t i = space_lower(space, start);
	     i < space->n && space->entries[i].start < end; i++) {
		const struct space_entry *entry = &space->entries[i];

		/* What stays of itself is in the way, too. */
		if (entry->mapping != mapping ||
		    (max_u64(entry->start, start) < min_u64(entry->end, end) &&
		     (max_u64(entry->start, start) < leaves ||
		      min_u64(entry->end, end) > left)))
			return true;
	}
	return false;
}

static int move_elsewhere(struct mapping *mapping,
			  const struct message *message)
{
	struct space *space = message->space;
	uint64_t start = message->address, end = message_end(message);
	int error = 0;

	if (mapping->start != start || mapping->end != end) {
		error = books_cut(space, start);
		if (!error)
			error = books_cut(space, end);
		mapping = space_find(space, start);
	}
	if (error)
		return error;
	books_stop_growing(mapping);
	if (swapaway_is(mapping->object)) /* its protection is not moved */
		swapaway_return(mapping->object);
	/* Who waits for a page there would be taken for a sleeper of whatever
	   is mapped at that address when the page comes. */
	fills_forget(mapping);
	error = space_move(mapping, message->move.new_address,
			   message->move.new_length);
	mapping->moving |= !error;
	uffd_wake(space->uffd, start, end - start);
	return error;
}

/* A pager that has died may have done it. */
static bool is_done(const struct message *message)
{
	const struct mapping *mapping =
		space_find(message->space, message->move.new_address);

	return message->move.commit && mapping &&
	       mapping->start == message->move.new_address &&
	       mapping->length == message->move.new_length &&
	       (message->move.new_address != message->address ||
		message->length != message->move.new_length);
}

void books_move(struct message *message)
{
	struct mapping *mapping;
	int error;

	if (message->again && is_done(message)) {
		message_answer(message, 0);
		return;
	}
	error = find_whole(message->space, message, &mapping);
	if (error) {
		message_answer(message, error);
		return;
	}
	if (mapping->closing || swapaway_must_wait(mapping->object)) {
		books_put_off(message);
		return;
	}
	if (!message->move.commit) {
		if (page_up(message->move.new_length) >
			    page_up(message->length) &&
		    message->space->home)
			books_stop_growing(mapping);
		mapping_mend(mapping);
		describe(mapping, message);
	} else if (is_taken(message, mapping)) {
		error = -EEXIST;
	} else if (message->move.new_address == message->address) {
		error = resize_in_place(mapping, message);
	} else {
		error = move_elsewhere(mapping, message);
	}
	books_cut_answer(message, error);
}

/* ---- Protecting --------------------------------------------------------------------*/

static int protect_mapping(struct mapping *mapping, int prot)
{
	int error = 0;

	if (mapping->prot == prot)
		return 0;
	if (books_tracks(mapping->object, prot, mapping->flags)) {
		if (!mapping->may_write)
			return -EACCES;
		error = books_lock(mapping->object);
		if (!error)
			error = mapping_track(mapping);
	}
	if (error)
		return error;
	mapping->prot = prot;
	copies_begin(mapping);
	return ledger_mapping(mapping);
}

static int cut_from_other(struct space *space, uint64_t address, int prot)
{
	const struct mapping *mapping = space_find(space, address);

	return mapping && mapping->prot != prot ? books_cut(space, address) : 0;
}

/* As the kernel does it: a program that protects page after page, and back, must
   not be left with a mapping for each. */
static void join_pieces(struct space *space, uint64_t start, uint64_t end)
{
	size_t i = space_lower(space, start - 1);

	while (i + 1 < space->n && space->entries[i].start < end)
		if (!space_join(space->entries[i].mapping,
				space->entries[i + 1].mapping))
			i++;
}

/* A piece that is protected differently becomes a mapping of its own. */
static int protect_range(struct space *space, const struct message *message)
{
	uint64_t start = message->address, end = message_end(message);
	int prot = message->protect.prot;
	struct mapping *mapping;
	int error = cut_from_other(space, start, prot);

	if (!error)
		error = cut_from_other(space, end, prot);
	if (error)
		return error;
	for_each_in(mapping, space, start, end)
		if (!error)
			error = protect_mapping(mapping, prot);
	if (!error)
		join_pieces(space, start, end);
	return error;
}

static int protect_again(struct space *space, const struct message *message)
{
	struct mapping *mapping;
	int error = 0;

	for_each_in(mapping, space, message->address, message_end(message)) {
		mapping->moving = false;
		if (mapping->tracked && !error)
			error = mapping_protect_clean(mapping);
		if (mapping->copies)
			copies_look(mapping, mapping->first,
				    mapping_end_page(mapping) - mapping->first);
	}
	return error;
}

void books_protect(struct message *message)
{
	struct space *space = message->space;
	uint64_t start = message->address, end = message_end(message);
	int error = 0;

	if (books_closing(space, start, end)) {
		books_put_off(message);
		return;
	}
	if (!space_covers(space, start, end))
		error = -ENOMEM;
	else if (message->protect.moved)
		error = protect_again(space, message);
	else
		error = protect_range(space, message);
	books_cut_answer(message, error);
}

/* ---- Growing ---------------------------------------------------------------*/

/*
 * A growth page of this process the pager places and unmaps itself. In another
 * one its client does, with the gate closed or from inside (client_map.c,
 * growth.h), and says so afterwards, in a way that may be said twice:
 *
 *   grow     GROW looks · place the page above the growth page · GROW: placed
 *   yield    YIELD tells of one · unmap it · GROW: gone
 *   regrow   REGROW tells of one · place it · GROW: placed
 */

/* One in the range, or NULL. */
static struct mapping *growing_into(const struct space *space, uint64_t start,
				    uint64_t end)
{
	for (size_t i = 0; i < space->n; i++) {
		struct mapping *mapping = space->entries[i].mapping;

		if (mapping->growing && mapping->end >= start &&
		    mapping->end < end)
			return mapping;
	}
	return NULL;
}

void books_yield(struct message *message)
{
	uint64_t start = message->address, end = message_end(message);
	const struct space *space = message->space;
	struct mapping *mapping = growing_into(space, start, end);
	int error = mapping ? 0 : -ENOENT;

	if (mapping && !space->home)
		message->grow.page = mapping->end;
	for (; mapping && space->home;
	     mapping = growing_into(space, start, end))
		books_stop_growing(mapping);
	message_answer(message, error);
}

static void describe_growth(const struct mapping *mapping, uint64_t page,
			    struct message *message)
{
	message->grow.page = page;
	message->grow.prot = mapping->prot;
	message->grow.memfd = mapping->object->memfd;
	message->grow.offset = mapping_page(mapping, page) << PAGE_SHIFT;
	message->grow.modes = mapping_modes(mapping);
	message->grow.inherit = mapping->object->memfd < 0;
	message->grow.shared = mapping->shared;
}

void books_regrow(struct message *message)
{
	struct mapping *mapping = books_below(message->space, message->address);

	if (mapping && message->space->home)
		mapping_regrow(mapping);
	else if (mapping && mapping->flags & WMAP_GROWSUP && !mapping->growing)
		describe_growth(mapping, mapping->end, message);
	message_answer(message, 0);
}

/* Is nothing booked where it would grow into? */
static bool is_free_above(const struct mapping *mapping)
{
	const struct space *space = mapping->space;
	size_t i = space_lower(space, mapping->end);

	return mapping->end + PAGE < (uint64_t)1 << 47 &&
	       (i == space->n || space->entries[i].start > mapping->end);
}

static int has_placed(struct mapping *mapping, uint64_t page)
{
	int error;

	if (mapping->growing && mapping->end == page) /* it was said before */
		return 0;
	if (!is_free_above(mapping))
		return -EEXIST;
	if (mapping->growing && mapping->end + PAGE == page)
		return mapping_grown(mapping);
	if (mapping->growing || mapping->end != page)
		return -ENOENT;
	error = object_reach(mapping->object, mapping_end_page(mapping) + 1);
	mapping->growing = !error;
	return error ? error : ledger_mapping(mapping);
}

static int look_to_grow(const struct mapping *mapping, struct message *message)
{
	uint64_t page = message->address;

	if (!mapping->growing || mapping->end + PAGE != page ||
	    list_empty(&mapping->wanting))
		return -ENOENT;
	describe_growth(mapping, page, message);
	return 0;
}

static int has_gone(struct mapping *mapping)
{
	mapping_not_grown(mapping);
	return 0;
}

void books_grow(struct message *message)
{
	uint64_t page = message->address;
	struct mapping *mapping = books_below(message->space, page);
	int error = -ENOENT;

	if (mapping && mapping->closing) {
		books_put_off(message);
		return;
	}
	if (message->space->home || !mapping ||
	    !(mapping->flags & WMAP_GROWSUP))
		error = -ENOENT;
	else if (!message->grow.commit)
		error = look_to_grow(mapping, message);
	else if (message->grow.placed)
		error = has_placed(mapping, page);
	else if (mapping->growing && mapping->end == page)
		error = has_gone(mapping);
	message_answer(message, error);
}
