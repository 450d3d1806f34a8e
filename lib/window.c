/* SPDX-License-Identifier: MIT */
/* Windows: found, filled, queued, charged (window.h) */
#include "mem.h"
#include "window.h"

static struct budget *budget_of(const struct window *window)
{
	return &window->object->pager->budget;
}

/* ---- Sums ------------------------------------------------------------------*/

/* @pages more or fewer are in the window's place. */
static void sum(const struct window *window, struct share *share, int64_t pages)
{
	share->present += pages;
	if (window->place == WINDOW_RESTING)
		share->n_resting += pages;
	else if (window->place == WINDOW_WATCHED)
		share->n_watched += pages;
	else if (window->place == WINDOW_WRITING)
		share->n_writing += pages;
	if (share->whole != share)
		sum(window, share->whole, pages);
}

static void count(const struct window *window, struct share *share, int by)
{
	if (window->place == WINDOW_KEPT)
		return;
	assert(by > 0 || share->n_windows);
	share->n_windows += by;
	if (share->whole != share)
		count(window, share->whole, by);
}

/* ---- Places ----------------------------------------------------------------*/

static struct list *queue_of(struct window *window)
{
	if (window->place == WINDOW_RESTING)
		return &window->share->resting;
	return window->place == WINDOW_WATCHED ? &window->share->watched : NULL;
}

static void take_out(struct window *window)
{
	sum(window, window->share, -(int64_t)window->present);
	count(window, window->share, -1);
	list_del(&window->link);
}

static void put_in(struct window *window)
{
	struct list *queue = queue_of(window);

	sum(window, window->share, window->present);
	count(window, window->share, 1);
	if (queue)
		list_add(queue, &window->link);
}

void window_move_to(struct window *window, enum window_place place)
{
	take_out(window);
	window->place = place;
	window->since = ++budget_of(window)->clock;
	put_in(window);
}

void window_first(struct window *window)
{
	window_move_to(window, WINDOW_WATCHED);
	window->next = 0;
	window->since = 0;
	list_del(&window->link);
	list_add(window->share->watched.next, &window->link);
}

void window_charge(struct window *window, struct share *share)
{
	take_out(window);
	window->share = share;
	put_in(window);
}

static bool is_older(const struct window *window, const struct window *than)
{
	return !than || window->since < than->since;
}

struct window *window_oldest(const struct share *share, enum window_place place)
{
	const struct list *queue = place == WINDOW_RESTING ? &share->resting :
							     &share->watched;
	struct window *oldest = NULL;

	if (!list_empty(queue))
		oldest = list_first(queue, struct window, link);
	list_for_each(part, &share->parts, const struct share, link) {
		struct window *window = window_oldest(part, place);

		if (window && is_older(window, oldest))
			oldest = window;
	}
	return oldest;
}

/* Of the newest of @share's own, after *@newer pages. */
static struct window *find_passed(const struct share *share, uint64_t *newer)
{
	struct list *link = share->resting.prev;

	for (; link != &share->resting; link = link->prev) {
		struct window *window = list_entry(link, struct window, link);

		if (!*newer && !window->asked)
			return window;
		*newer -= min_u64(*newer, window->present);
	}
	return NULL;
}

struct window *window_passed(const struct share *share)
{
	uint64_t newer = (share->n_resting + share->n_watched) / 4;
	struct window *window = find_passed(share, &newer);

	list_for_each(part, &share->parts, const struct share, link)
		if (!window)
			window = find_passed(part, &newer);
	return window;
}

static bool may_be_written(const struct list *queue)
{
	list_for_each(window, queue, const struct window, link) {
		const struct object *object = window->object;

		if (object->n_dirty && swapout_writable(object))
			return true;
		if (!object->store && object->pager->swapout.n_writing)
			return true;
	}
	return false;
}

bool window_hopes(const struct share *share)
{
	if (share->n_writing)
		return true;
	if (may_be_written(&share->resting) || may_be_written(&share->watched))
		return true;
	list_for_each(part, &share->parts, const struct share, link)
		if (window_hopes(part))
			return true;
	return false;
}

/* ---- Finding ---------------------------------------------------------------*/

static struct list *hash_of(struct budget *budget, const struct object *object,
			    uint64_t number)
{
	uint64_t hash = ((uintptr_t)object >> 6) + number;

	return &budget->hashes[hash * UINT64_C(0x9e3779b97f4a7c15) >> 54];
}

static bool is_of(const struct window *window, const struct object *object,
		  uint64_t number)
{
	return window && window->object == object && window->number == number;
}

struct window *window_of(struct object *object, uint64_t index)
{
	struct budget *budget = &object->pager->budget;
	uint64_t number = index >> WINDOW_SHIFT;
	unsigned i = index % WINDOW_PAGES;

	if (is_of(budget->last, object, number) && window_has(budget->last, i))
		return budget->last;
	list_for_each(window, hash_of(budget, object, number), struct window,
		      hash)
		if (is_of(window, object, number) && window_has(window, i))
			return budget->last = window;
	return NULL;
}

/* The one of @share to which a page may be added. */
static struct window *find(struct object *object, uint64_t number,
			   const struct share *share)
{
	struct budget *budget = &object->pager->budget;

	if (is_of(budget->last, object, number) && budget->last->share == share)
		return budget->last;
	list_for_each(window, hash_of(budget, object, number), struct window,
		      hash)
		if (is_of(window, object, number) && window->share == share)
			return budget->last = window;
	return NULL;
}

/* NULL: no memory. */
static struct window *create(struct object *object, uint64_t number,
			     struct share *share)
{
	struct budget *budget = &object->pager->budget;
	struct window *window = mem_alloc(sizeof(*window));

	if (!window)
		return NULL;
	list_init(&window->link);
	window->object = object;
	window->number = number;
	window->share = share;
	window->asked = !object->streaming;
	window->place = object->store || swapout_can(object) ? WINDOW_RESTING :
							       WINDOW_KEPT;
	window->since = ++budget->clock;
	put_in(window);
	list_add(hash_of(budget, object, number), &window->hash);
	list_add(&object->windows, &window->of_object);
	if (object->streaming)
		evict_returned(object, number);
	return budget->last = window;
}

void window_destroy(struct window *window)
{
	struct budget *budget = budget_of(window);

	if (budget->last == window)
		budget->last = NULL;
	take_out(window);
	list_del(&window->hash);
	list_del(&window->of_object);
	mem_free(window, sizeof(*window));
}

static void empty(struct window *window)
{
	take_out(window);
	window->present = 0;
	put_in(window);
	for (unsigned i = 0; i < lengthof(window->bits); i++)
		window->bits[i] = 0;
}

/* One that is written goes when it has been. */
void window_forget(struct window *window)
{
	if (window->place == WINDOW_WRITING)
		empty(window);
	else
		window_destroy(window);
}

/* ---- Pages -----------------------------------------------------------------*/

void window_add(struct object *object, uint64_t index, struct share *share)
{
	uint64_t number = index >> WINDOW_SHIFT;
	struct window *window = find(object, number, share);
	unsigned i = index % WINDOW_PAGES;

	if (!window)
		window = create(object, number, share);
	if (!window)
		return;
	window->bits[i / 64] |= UINT64_C(1) << i % 64;
	window->present++;
	sum(window, share, 1);
}

void window_asked(struct object *object, uint64_t first, uint64_t count)
{
	struct window *window;

	if (!object->pager || list_empty(&object->windows))
		return;
	for (uint64_t i = first; i < first + count;
	     i = (i | (WINDOW_PAGES - 1)) + 1) {
		window = window_of(object, i);
		if (window)
			window->asked = true;
	}
}

void window_remove(struct object *object, uint64_t index)
{
	struct window *window = window_of(object, index);
	unsigned i = index % WINDOW_PAGES;

	if (!window)
		return;
	window->bits[i / 64] &= ~(UINT64_C(1) << i % 64);
	window->present--;
	sum(window, window->share, -1);
	/* One that is written, or judged right now, goes then. */
	if (!window->present &&
	    (window->place == WINDOW_RESTING || window->place == WINDOW_KEPT))
		window_destroy(window);
}
