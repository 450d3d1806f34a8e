/* SPDX-License-Identifier: MIT */
/* Pinned ranges (pin.h) */
#include "books.h"
#include "ledger.h"
#include "mem.h"
#include "pin.h"
#include "window.h"

/* Of another process, against who would have all of them looked at. */
#define PINS_MAX 1024

struct pin {
	struct list link; /* object.pins */
	struct space *space;
	struct share *share; /* that pays */
	uint64_t first, end; /* pages */
	uint32_t slot;	     /* in the ledger, or 0 */
};

/* Of pages: those that may be pinned. */
static uint64_t most_of(uint64_t limit)
{
	return limit == BUDGET_NONE ? UINT64_MAX :
				      (limit >> PAGE_SHIFT) / 4 * 3;
}

/* May @share have @pages pinned beside those that it has? */
static bool fits(const struct pager *pager, const struct share *share,
		 uint64_t pages)
{
	return share->pinned + pages <= most_of(share_most(pager, share)) &&
	       share->whole->pinned + pages <=
		       most_of(share_most(pager, share->whole));
}

bool pin_fit_all(const struct pager *pager, uint64_t limit)
{
	list_for_each(share, &pager->budget.shares, const struct share, link)
		if (share->pinned > most_of(share_part_of(pager, share, limit)))
			return false;
	return true;
}

static const struct pin *find(const struct object *object, uint64_t index)
{
	list_for_each(pin, &object->pins, const struct pin, link)
		if (index >= pin->first && index < pin->end)
			return pin;
	return NULL;
}

struct share *pin_share(const struct object *object, uint64_t index)
{
	const struct pin *pin = find(object, index);

	return pin ? pin->share : NULL;
}

bool pin_holds(const struct object *object, uint64_t index)
{
	const struct pin *pin = find(object, index);

	return pin && fits(object->pager, pin->share, 0);
}

/* What is there already. */
static void charge(struct object *object, const struct pin *pin)
{
	struct page page;
	uint64_t cursor = 0;

	if (!share_is_counted(object->pager, pin->share))
		return;
	while (pages_next(&object->pages, pin->first, pin->end, &cursor, &page))
		if (page_is(page, STATES_PRESENT)) {
			window_remove(object, page.index);
			window_add(object, page.index, pin->share);
		}
}

/* It is in the ledger. */
static int book(struct object *object, struct space *space, struct share *share,
		uint64_t first, uint64_t end, uint32_t slot)
{
	struct pin *pin = NULL;

	if (space->home || space->n_pins < PINS_MAX)
		pin = mem_alloc(sizeof(*pin));
	if (!pin)
		return -ENOMEM;
	pin->space = space;
	pin->share = share;
	pin->first = first;
	pin->end = end;
	pin->slot = slot;
	space->n_pins++;
	list_add(&object->pins, &pin->link);
	share_pinned(share, (int64_t)(end - first));
	charge(object, pin);
	return 0;
}

static int add(struct object *object, struct space *space, struct share *share,
	       uint64_t first, uint64_t end)
{
	uint32_t slot;
	int error = ledger_pin(space, object, first, end, &slot);

	if (error)
		return error;
	error = book(object, space, share, first, end, slot);
	if (error)
		ledger_drop(object->ledger, slot);
	return error;
}

static void drop(struct object *object, struct pin *pin)
{
	ledger_drop(object->ledger, pin->slot);
	pin->space->n_pins--;
	list_del(&pin->link);
	mem_free(pin, sizeof(*pin));
}

void pin_charge(struct mapping *mapping)
{
	list_for_each(pin, &mapping->object->pins, struct pin, link) {
		int64_t pages = (int64_t)(pin->end - pin->first);

		if (pin->space != mapping->space ||
		    pin->first >= mapping_end_page(mapping) ||
		    pin->end <= mapping->first)
			continue;
		share_pinned(pin->share, -pages);
		pin->share = mapping_share(mapping);
		share_pinned(pin->share, pages);
	}
}

/* Without memory for a second piece the upper one is let go, too. In the ledger it
   comes first: a successor may find both (pin_adopt). */
static void cut(struct object *object, struct pin *pin, uint64_t first,
		uint64_t end)
{
	uint64_t upper = pin->end;

	share_pinned(pin->share, -(int64_t)(pin->end - pin->first));
	pin->end = min_u64(pin->end, max_u64(first, pin->first));
	share_pinned(pin->share, (int64_t)(pin->end - pin->first));
	if (upper > end)
		add(object, pin->space, pin->share, end, upper);
	if (pin->end > pin->first)
		ledger_pin_end(object->ledger, pin->slot, pin->end);
	else
		drop(object, pin);
}

void pin_forget(struct mapping *mapping, uint64_t first, uint64_t end)
{
	struct object *object = mapping->object;

	list_for_each(pin, &object->pins, struct pin, link)
		if (pin->space == mapping->space && pin->first < end &&
		    pin->end > first)
			cut(object, pin, max_u64(first, pin->first),
			    min_u64(end, pin->end));
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

static int pin_part(struct mapping *mapping, uint64_t start, uint64_t end)
{
	struct share *share = mapping_share(mapping);
	uint64_t first = first_in(mapping, start);

	end = end_in(mapping, end);
	if (!fits(mapping->space->pager, share, end - first))
		return -ENOMEM;
	return add(mapping->object, mapping->space, share, first, end);
}

static int pin_all(struct message *message)
{
	uint64_t start = message->address, end = message_end(message);
	struct mapping *mapping;
	int error = 0;

	for_each_in(mapping, message->space, start, end)
		if (!error)
			error = pin_part(mapping, start, end);
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
	int error = 0;

	if (!space_covers(message->space, start, end)) {
		message_answer(message, -ENOMEM);
		return;
	}
	unpin_all(message); /* what was pinned already counts once */
	if (message->pin.pin)
		error = pin_all(message);
	if (error)
		unpin_all(message);
	evict_kick(message->pager);
	message_answer(message, error);
}

/* ---- For another pager, and from one -------------------------------------------- */

int pin_each(const struct mapping *mapping, void *context,
	     int (*tell)(void *context, uint64_t offset, uint64_t length))
{
	int error = 0;

	list_for_each(pin, &mapping->object->pins, const struct pin, link) {
		uint64_t first = max_u64(pin->first, mapping->first);
		uint64_t end = min_u64(pin->end, mapping_end_page(mapping));

		if (!error && pin->space == mapping->space && first < end)
			error = tell(context,
				     (first - mapping->first) << PAGE_SHIFT,
				     (end - first) << PAGE_SHIFT);
	}
	return error;
}

static struct mapping *shown_by(const struct space *space,
				const struct object *object, uint64_t index)
{
	list_for_each(mapping, &object->mappings, struct mapping, of_object)
		if (mapping->space == space && index >= mapping->first &&
		    index < mapping_end_page(mapping))
			return mapping;
	return NULL;
}

/* Up to where the space shows the object from @first on. */
static uint64_t shown_end(const struct space *space,
			  const struct object *object, uint64_t first)
{
	const struct mapping *mapping;

	while ((mapping = shown_by(space, object, first)))
		first = mapping_end_page(mapping);
	return first;
}

/* Of one that was being cut the newer piece counts. */
int pin_adopt(struct space *space, struct object *object,
	      const struct record *record)
{
	uint64_t first = record->of_pin.first;
	uint64_t end =
		min_u64(record->of_pin.end, shown_end(space, object, first));

	list_for_each(pin, &object->pins, const struct pin, link)
		if (pin->space == space && pin->first < end && pin->end > first)
			end = max_u64(first, pin->first);
	if (first == end)
		return -ENOENT;
	ledger_pin_end(object->ledger, record->slot, end);
	return book(object, space,
		    mapping_share(shown_by(space, object, first)), first, end,
		    record->slot);
}
