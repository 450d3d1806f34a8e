/* SPDX-License-Identifier: MIT */
/*
 * Evicting: second chance, by windows (budget.h has the model)
 *
 * A clean page is write-protected wherever it could be stored to, so punching it
 * loses nothing: a thread that stores meanwhile gets a write-protect fault, finds
 * the page gone, is woken, and faults again for a missing page. A changed page is
 * written back first, by a write-back like any other, and judged again when it is
 * clean.
 *
 * Taking a window out of the page tables (MADV_DONTNEED of shared memory) loses
 * nothing either: the memfd has the bytes, and the kernel keeps the marks of
 * write-protected pages.
 */
#include <sys/mman.h>

#include "budget.h"
#include "mem.h"
#include "pager.h"
#include "pin.h"
#include "sys.h"

#define WINDOW_SHIFT 9
#define WINDOW_PAGES (1u << WINDOW_SHIFT)
#define SLICE	     128 /* pages evicted at one go in the background */
#define AGAIN_AFTER  100000000ull /* ns */

enum window_place { WINDOW_RESTING, WINDOW_WATCHED, WINDOW_WRITING };

struct window {
	struct list link;      /* resting, watched; in none while written */
	struct list hash;      /* budget.hashes */
	struct list of_object; /* object.windows */
	struct object *object; /* a reference only while it is written */
	uint64_t number;
	unsigned present; /* pages in memory */
	unsigned next;	  /* to be judged */
	enum window_place place;
	/* in WINDOW_WRITING */
	struct writeback writeback;
	unsigned n_writing;
};

/* ---- Windows ---------------------------------------------------------------*/

static struct list *hash_of(struct budget *budget, const struct object *object,
			    uint64_t number)
{
	uint64_t hash = ((uintptr_t)object >> 6) + number;

	return &budget->hashes[hash * UINT64_C(0x9e3779b97f4a7c15) >> 54];
}

static struct window *find(struct budget *budget, struct object *object,
			   uint64_t number)
{
	struct window *last = budget->last;

	if (last && last->object == object && last->number == number)
		return last;
	list_for_each(window, hash_of(budget, object, number), struct window,
		      hash)
		if (window->object == object && window->number == number)
			return budget->last = window;
	return NULL;
}

static uint64_t *sum_of(struct budget *budget, const struct window *window)
{
	if (window->place == WINDOW_RESTING)
		return &budget->n_resting;
	return window->place == WINDOW_WATCHED ? &budget->n_watched : NULL;
}

/* Out of its queue, or into one at its end. */
static void move_to(struct budget *budget, struct window *window,
		    enum window_place place)
{
	uint64_t *sum = sum_of(budget, window);

	if (sum)
		*sum -= window->present;
	list_del(&window->link);
	window->place = place;
	sum = sum_of(budget, window);
	if (!sum)
		return;
	*sum += window->present;
	list_add(place == WINDOW_RESTING ? &budget->resting : &budget->watched,
		 &window->link);
}

/* NULL: no memory. Its pages are not evicted then. */
static struct window *create(struct budget *budget, struct object *object,
			     uint64_t number)
{
	struct window *window = mem_alloc(sizeof(*window));

	if (!window)
		return NULL;
	list_init(&window->link);
	window->object = object;
	window->number = number;
	window->place = WINDOW_RESTING;
	list_add(&budget->resting, &window->link);
	list_add(hash_of(budget, object, number), &window->hash);
	list_add(&object->windows, &window->of_object);
	budget->n_windows++;
	return budget->last = window;
}

static void destroy(struct budget *budget, struct window *window)
{
	uint64_t *sum = sum_of(budget, window);

	if (sum)
		*sum -= window->present;
	if (budget->last == window)
		budget->last = NULL;
	list_del(&window->link);
	list_del(&window->hash);
	list_del(&window->of_object);
	budget->n_windows--;
	mem_free(window, sizeof(*window));
}

void evict_count(struct object *object, uint64_t index, int by)
{
	struct budget *budget = &object->pager->budget;
	uint64_t number = index >> WINDOW_SHIFT, *sum;
	struct window *window;

	if (!object->store)
		return;
	window = find(budget, object, number);
	if (!window && by > 0)
		window = create(budget, object, number);
	if (!window || (by < 0 && !window->present))
		return;
	window->present += by;
	budget->stuck = false;
	sum = sum_of(budget, window);
	if (sum)
		*sum += by;
	/* One that is written, or judged right now, goes then. */
	if (!window->present && window->place == WINDOW_RESTING)
		destroy(budget, window);
}

void evict_forget(struct object *object)
{
	struct budget *budget = &object->pager->budget;

	list_for_each(window, &object->windows, struct window, of_object)
		if (window->place == WINDOW_WRITING)
			window->present = 0; /* written() destroys it */
		else
			destroy(budget, window);
}

/* ---- What is used -----------------------------------------------------------*/

struct part {
	uint64_t first, end; /* pages */
};

/* What @mapping shows of @window; false: nothing. */
static bool part_of(const struct mapping *mapping, const struct window *window,
		    struct part *part)
{
	uint64_t first = window->number << WINDOW_SHIFT;

	part->first = max_u64(first, mapping->first);
	part->end = min_u64(first + WINDOW_PAGES, mapping_end_page(mapping));
	return part->first < part->end;
}

/* Can the page map tell what is used through it? */
static bool tells(const struct mapping *mapping)
{
	return mapping->space->pagemap >= 0 && mapping->flags & WMAP_SHARED &&
	       !(mapping_modes(mapping) & UFFDIO_REGISTER_MODE_MINOR);
}

static void watch(struct budget *budget, struct window *window)
{
	struct part part;

	list_for_each(mapping, &window->object->mappings, struct mapping,
		      of_object)
		if (tells(mapping) && part_of(mapping, window, &part))
			sys_call(SYS_madvise,
				 mapping_address(mapping, part.first),
				 (part.end - part.first) << PAGE_SHIFT,
				 MADV_DONTNEED);
	window->next = 0;
	move_to(budget, window, WINDOW_WATCHED);
}

void evict_soon(struct object *object, uint64_t first, uint64_t end)
{
	struct budget *budget = &object->pager->budget;

	list_for_each(window, &object->windows, struct window, of_object) {
		uint64_t at = window->number << WINDOW_SHIFT;

		if (at >= end || at + WINDOW_PAGES <= first ||
		    window->place == WINDOW_WRITING)
			continue;
		watch(budget, window);
		list_del(&window->link);
		list_add(budget->watched.next, &window->link);
	}
}

/* Bit i: page i of the window is in a page table. */
struct usage {
	uint64_t bits[WINDOW_PAGES / 64];
};

static bool is_used(const struct usage *usage, unsigned i)
{
	return usage->bits[i / 64] >> i % 64 & 1;
}

#define IN_MEMORY (UINT64_C(1) << 63) /* of a page map's entry */

static void look_at(const struct mapping *mapping, const struct part *part,
		    unsigned offset, struct usage *usage)
{
	uint64_t entries[WINDOW_PAGES];
	uint64_t n = part->end - part->first;
	long got =
		sys_call(SYS_pread64, mapping->space->pagemap, entries,
			 n * sizeof(*entries),
			 (mapping_address(mapping, part->first) >> PAGE_SHIFT) *
				 sizeof(*entries));

	for (unsigned i = 0; got > 0 && i < (uint64_t)got / 8; i++)
		if (entries[i] & IN_MEMORY)
			usage->bits[(offset + i) / 64] |= UINT64_C(1)
							  << (offset + i) % 64;
}

static void look(const struct window *window, struct usage *usage)
{
	uint64_t first = window->number << WINDOW_SHIFT;
	struct part part;

	*usage = (struct usage){ 0 };
	list_for_each(mapping, &window->object->mappings, struct mapping,
		      of_object)
		if (tells(mapping) && part_of(mapping, window, &part))
			look_at(mapping, &part, (unsigned)(part.first - first),
				usage);
}

/* ---- Judging ----------------------------------------------------------------*/

struct judgement {
	struct pager *pager;
	struct window *window;
	struct usage usage;
	bool pins;		/* some of the object's pages are pinned */
	uint64_t want, evicted; /* pages */
	uint64_t *dirty;	/* pages to be written; room for the window */
	unsigned n_dirty;
	uint64_t first, end; /* the run to be punched */
	unsigned n;	     /* pages in it that are in memory */
};

static void punch(struct judgement *judgement)
{
	struct object *object = judgement->window->object;
	uint64_t first = judgement->first, end = judgement->end;

	if (!judgement->n)
		return;
	judgement->n = 0;
	if (object_punch(object, first, end - first))
		return;
	for (uint64_t i = first; i < end; i++) {
		struct page page = pages_get(&object->pages, i);

		if (page.state != PAGE_CLEAN)
			continue;
		object_unload(object, page);
		judgement->evicted++;
	}
}

static void judge_page(struct judgement *judgement, unsigned i)
{
	struct window *window = judgement->window;
	uint64_t index = (window->number << WINDOW_SHIFT) + i;
	struct page page = pages_get(&window->object->pages, index);
	bool used = is_used(&judgement->usage, i) ||
		    (judgement->pins && pin_holds(window->object, index));

	/* What is not in memory is no obstacle to a run. */
	if (!page_is(page, STATES_PRESENT))
		return;
	if (page.state == PAGE_CLEAN && !used) {
		if (!judgement->n++)
			judgement->first = index;
		judgement->end = index + 1;
		return;
	}
	punch(judgement);
	if (page.state == PAGE_DIRTY && !used && judgement->dirty)
		judgement->dirty[judgement->n_dirty++] = index;
}

/* The window has been written back, or could not be: it is looked at again. */
static void written(struct writeback *writeback)
{
	struct window *window =
		container_of(writeback, struct window, writeback);
	struct object *object = window->object;
	struct pager *pager = writeback->pager;
	struct budget *budget = &pager->budget;

	budget->n_writing -= window->n_writing;
	budget->stuck = false;
	if (writeback->error) {
		object->error = writeback->error;
		object->unwritable = time_now() + HEAL_EVERY;
	}
	if (!window->present || !budget_is_set(budget)) {
		destroy(budget, window);
	} else {
		move_to(budget, window,
			writeback->error ? WINDOW_RESTING : WINDOW_WATCHED);
		if (!writeback->error) {
			/* first of all: it was judged already */
			list_del(&window->link);
			list_add(budget->watched.next, &window->link);
			window->next = 0;
		}
	}
	evict_kick(pager);
	fills_feed(pager);
}

static void write_back(struct judgement *judgement)
{
	struct budget *budget = &judgement->pager->budget;
	struct window *window = judgement->window;
	struct writeback *writeback = &window->writeback;
	struct object *object = window->object;
	struct mapping *mapping =
		list_first(&object->mappings, struct mapping, of_object);

	move_to(budget, window, WINDOW_WRITING);
	window->n_writing = judgement->n_dirty;
	budget->n_writing += window->n_writing;
	*writeback = (struct writeback){
		.object = object,
		.first = window->number << WINDOW_SHIFT,
		.end = (window->number + 1) << WINDOW_SHIFT,
		.deadline = mapping->deadline,
		.done = written,
		.chosen = judgement->dirty,
		.n_chosen = judgement->n_dirty,
		.room = WINDOW_PAGES,
	};
	judgement->dirty = NULL;
	writeback_start(judgement->pager, writeback);
}

static bool may_write(const struct pager *pager, const struct object *object)
{
	const struct budget *budget = &pager->budget;

	return object->store->writable && !list_empty(&object->mappings) &&
	       (!object->unwritable || object->unwritable < time_now()) &&
	       budget->n_writing << PAGE_SHIFT < budget->limit / 8;
}

/*
 * Evict what is clean and unused of the first watched window, and write back
 * what is changed and unused. @harsh: whatever is used, too.
 */
static uint64_t judge(struct pager *pager, uint64_t want, bool harsh)
{
	struct budget *budget = &pager->budget;
	struct window *window =
		list_first(&budget->watched, struct window, link);
	struct object *object = window->object;
	struct judgement judgement = {
		.pager = pager,
		.window = window,
		.want = want,
		.pins = !list_empty(&object->pins),
	};
	size_t room = WINDOW_PAGES * sizeof(uint64_t);

	if (!harsh)
		look(window, &judgement.usage);
	if (object->n_dirty && may_write(pager, object))
		judgement.dirty = mem_alloc(room);
	while (window->next < WINDOW_PAGES &&
	       judgement.evicted + judgement.n < want)
		judge_page(&judgement, window->next++);
	punch(&judgement);
	budget->evicted += judgement.evicted;
	if (judgement.n_dirty) {
		write_back(&judgement);
	} else if (!window->present) {
		destroy(budget, window);
	} else if (window->next == WINDOW_PAGES) {
		move_to(budget, window, WINDOW_RESTING);
	}
	mem_free(judgement.dirty, room);
	return judgement.evicted;
}

/* ---- Evicting ----------------------------------------------------------------*/

/* A quarter of all is watched at a time, so that what is in use has time to
   show it. */
static void watch_enough(struct budget *budget, uint64_t want)
{
	while (!list_empty(&budget->resting) &&
	       (budget->n_watched < want ||
		budget->n_watched < budget->n_resting / 3))
		watch(budget,
		      list_first(&budget->resting, struct window, link));
}

uint64_t evict_now(struct pager *pager, uint64_t want)
{
	struct budget *budget = &pager->budget;
	uint64_t evicted = 0, looks = 0, once = budget->n_windows;

	while (evicted < want && looks <= 2 * once) {
		watch_enough(budget, want - evicted);
		if (list_empty(&budget->watched))
			break;
		evicted += judge(pager, want - evicted, looks > once);
		looks++;
	}
	return evicted;
}

bool evict_hopes(const struct pager *pager)
{
	list_for_each(object, &pager->all, struct object, of_pager)
		if (object->n_dirty && object->store && object->store->writable)
			return true;
	return pager->budget.n_writing;
}

/* Bytes to be kept free for who comes next; once below, twice that. */
static uint64_t reserve(const struct budget *budget)
{
	return max_u64(budget->limit / 64, 8 * PAGE);
}

static uint64_t missing(const struct pager *pager, unsigned times)
{
	const struct budget *budget = &pager->budget;
	uint64_t limit = budget_limit(pager);
	uint64_t used = budget_load(pager) + times * reserve(budget) +
			pager->ahead_wants;

	return used > limit ? page_up(used - limit) >> PAGE_SHIFT : 0;
}

static void evict_again(struct timer *timer)
{
	struct pager *pager = container_of(timer, struct pager, budget.again);

	pager->budget.stuck = false;
	evict_kick(pager);
}

static void evict_idle(struct post *post)
{
	struct pager *pager = container_of(post, struct pager, budget.idle);
	struct budget *budget = &pager->budget;
	uint64_t want = budget_is_set(budget) ? missing(pager, 2) : 0;
	uint64_t evicted;

	budget->scheduled = false;
	if (!want)
		return;
	evicted = evict_now(pager, min_u64(want, SLICE));
	if (!evicted) {
		budget->stuck = true;
		loop_timer_start(pager->loop, &budget->again,
				 time_now() + AGAIN_AFTER);
	} else if (evicted < want) {
		budget->scheduled = true;
		loop_idle(pager->loop, &budget->idle);
	}
	fills_feed(pager);
	prefetch_pump(pager);
}

void evict_kick(struct pager *pager)
{
	struct budget *budget = &pager->budget;

	if (!budget_is_set(budget) || budget->scheduled || budget->stuck ||
	    !missing(pager, 1))
		return;
	budget->scheduled = true;
	loop_idle(pager->loop, &budget->idle);
}

void evict_init(struct pager *pager)
{
	struct budget *budget = &pager->budget;

	list_init(&budget->resting);
	list_init(&budget->watched);
	for (size_t i = 0; i < BUDGET_HASHES; i++)
		list_init(&budget->hashes[i]);
	budget->idle.run = evict_idle;
	timer_init(&budget->again, evict_again);
}
