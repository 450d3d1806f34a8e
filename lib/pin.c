/* SPDX-License-Identifier: MIT */
/* Pinned ranges (pin.h) */
#include "books.h"
#include "mem.h"
#include "pin.h"

struct pin {
	struct list link; /* object.pins */
	struct space *space;
	uint64_t first, end; /* pages */
};

bool pin_fits(const struct pager *pager, uint64_t pages, uint64_t limit)
{
	return limit == BUDGET_NONE ||
	       pager->budget.pinned + pages <= (limit >> PAGE_SHIFT) / 4 * 3;
}

bool pin_holds(const struct object *object, uint64_t index)
{
	list_for_each(pin, &object->pins, const struct pin, link)
		if (index >= pin->first && index < pin->end)
			return true;
	return false;
}

static int add(struct pager *pager, struct object *object, struct space *space,
	       uint64_t first, uint64_t end)
{
	struct pin *pin = mem_alloc(sizeof(*pin));

	if (!pin)
		return -ENOMEM;
	pin->space = space;
	pin->first = first;
	pin->end = end;
	list_add(&object->pins, &pin->link);
	pager->budget.pinned += end - first;
	return 0;
}

/* Without memory for a second piece the upper one is let go, too. */
static void cut(struct pager *pager, struct object *object, struct pin *pin,
		uint64_t first, uint64_t end)
{
	uint64_t upper = pin->end;

	pager->budget.pinned -= pin->end - pin->first;
	pin->end = min_u64(pin->end, max_u64(first, pin->first));
	pager->budget.pinned += pin->end - pin->first;
	if (upper > end)
		add(pager, object, pin->space, end, upper);
	if (pin->end > pin->first)
		return;
	list_del(&pin->link);
	mem_free(pin, sizeof(*pin));
}

void pin_forget(struct mapping *mapping, uint64_t first, uint64_t end)
{
	struct object *object = mapping->object;

	list_for_each(pin, &object->pins, struct pin, link)
		if (pin->space == mapping->space && pin->first < end &&
		    pin->end > first)
			cut(object->pager, object, pin,
			    max_u64(first, pin->first), min_u64(end, pin->end));
}

/* What [start, end) has in common with a mapping, in pages. */
static uint64_t first_in(const struct mapping *mapping, uint64_t start)
{
	return mapping_page(mapping, max_u64(start, mapping->start));
}

static uint64_t end_in(const struct mapping *mapping, uint64_t end)
{
	return mapping_page(mapping, min_u64(end, mapping->end));
}

static int pin_all(struct message *message)
{
	uint64_t start = message->address, end = message_end(message);
	struct mapping *mapping;
	int error = 0;

	for_each_in(mapping, message->space, start, end)
		if (!error)
			error = add(message->pager, mapping->object,
				    message->space, first_in(mapping, start),
				    end_in(mapping, end));
	return error;
}

static void unpin_all(struct message *message)
{
	uint64_t start = message->address, end = message_end(message);
	struct mapping *mapping;

	for_each_in(mapping, message->space, start, end)
		pin_forget(mapping, first_in(mapping, start),
			   end_in(mapping, end));
}

void pin_change(struct message *message)
{
	uint64_t start = message->address, end = message_end(message);
	struct pager *pager = message->pager;
	int error = 0;

	if (!space_covers(message->space, start, end)) {
		message_answer(message, -ENOMEM);
		return;
	}
	unpin_all(message); /* what was pinned already counts once */
	if (message->pin.pin &&
	    !pin_fits(pager, (end - start) >> PAGE_SHIFT, pager->budget.limit))
		error = -ENOMEM;
	else if (message->pin.pin)
		error = pin_all(message);
	if (error)
		unpin_all(message);
	evict_kick(pager);
	message_answer(message, error);
}
