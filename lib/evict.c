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
 * What a stream brought it has passed: such pages go without a second chance, and
 * without the pains to see whether they are used. Who needs them again asks for
 * them, and that is seen.
 *
 * What goes round and round in more than there is memory for finds nothing of what
 * it had, if the oldest goes first. So it is noted which windows of streams went,
 * and if most of them come back before twice the memory has been evicted, what a
 * stream has just passed goes, and the rest stays for the next round.
 *
 * Taking a window out of the page tables (MADV_DONTNEED of shared memory) loses
 * nothing either: the memfd has the bytes, and the kernel keeps the marks of
 * write-protected pages. In another process its agent does it, in a while; until
 * then nothing is known of what it uses.
 *
 * Private anonymous pages are in windows too, but are not watched: they leave
 * (swapout.h), and those that are used come back before they are written.
 */
#include <sys/mman.h>

#include "budget.h"
#include "mem.h"
#include "pagemap.h"
#include "pager.h"
#include "pin.h"
#include "presume.h"
#include "swap.h"
#include "sys.h"
#include "window.h"

#define SLICE	    128 /* pages evicted at one go in the background */
#define LOOKS_MAX   64	/* at windows in which all is used, at one go */
#define AGAIN_AFTER 100000000ull /* ns */

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

/*
 * Can the page map tell what is used through it? Where what comes back is a
 * message, each touch costs one: it is worth that in other processes, where all
 * that may be stored to is so.
 */
static bool tells(const struct mapping *mapping)
{
	const struct space *space = mapping->space;

	if (!mapping->shared || mapping->exact)
		return false;
	return space->hide ||
	       (space->pagemap >= 0 &&
		!(mapping_modes(mapping) & UFFDIO_REGISTER_MODE_MINOR));
}

static void hide(const struct mapping *mapping, uint64_t first, uint64_t end)
{
	uint64_t address = mapping_address(mapping, first);
	uint64_t length = (end - first) << PAGE_SHIFT;

	if (first == end)
		return;
	if (mapping->space->hide)
		mapping->space->hide(mapping->space, address, length);
	else
		sys_call(SYS_madvise, address, length, MADV_DONTNEED);
}

/* To touch what is pinned costs nothing, not even a message. */
static void hide_unpinned(const struct mapping *mapping,
			  const struct part *part)
{
	const struct object *object = mapping->object;
	uint64_t first = part->first, i;

	for (i = first; i < part->end && !list_empty(&object->pins); i++)
		if (pin_holds(object, i)) {
			hide(mapping, first, i);
			first = i + 1;
		}
	hide(mapping, first, part->end);
}

static void watch(struct window *window)
{
	struct part part;

	list_for_each(mapping, &window->object->mappings, struct mapping,
		      of_object)
		if (window->asked && tells(mapping) &&
		    part_of(mapping, window, &part))
			hide_unpinned(mapping, &part);
	window->next = 0;
	window_move_to(window, WINDOW_WATCHED);
	window->hidden = window->since;
}

void evict_soon(struct object *object, uint64_t first, uint64_t end)
{
	list_for_each(window, &object->windows, struct window, of_object) {
		uint64_t at = window->number << WINDOW_SHIFT;

		if (at >= end || at + WINDOW_PAGES <= first ||
		    window->place == WINDOW_WRITING ||
		    window->place == WINDOW_KEPT)
			continue;
		watch(window);
		window_first(window);
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

static void look_at(const struct mapping *mapping, const struct part *part,
		    unsigned offset, struct usage *usage)
{
	uint64_t entries[WINDOW_PAGES];
	uint64_t n = pagemap_read(mapping->space->pagemap,
				  mapping_address(mapping, part->first),
				  part->end - part->first, entries);

	for (unsigned i = 0; i < n; i++)
		if (entries[i] & PAGEMAP_PRESENT)
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
		if (tells(mapping) &&
		    window->hidden <= mapping->space->hidden &&
		    part_of(mapping, window, &part))
			look_at(mapping, &part, (unsigned)(part.first - first),
				usage);
}

/* ---- What comes back ---------------------------------------------------------*/

#define RETURNS 64

static struct gone *gone_of(struct budget *budget, const struct object *object,
			    uint64_t number)
{
	uint64_t hash = ((uintptr_t)object >> 6) + number;

	return &budget->gone[hash * UINT64_C(0x9e3779b97f4a7c15) >> 54];
}

static bool is_soon(const struct budget *budget, const struct gone *gone)
{
	return budget->evicted - gone->evicted <
	       2 * (budget->limit >> PAGE_SHIFT);
}

/* One that may still come back soon is not given up for another: where there are
   more than can be noted, some of them tell of all. */
static void note_gone(struct budget *budget, const struct window *window)
{
	struct gone *gone = gone_of(budget, window->object, window->number);

	if (gone->object && is_soon(budget, gone))
		return;
	if (gone->object)
		budget->returns -= (budget->returns + 7) / 8;
	*gone = (struct gone){ window->object, window->number,
			       budget->evicted };
}

void evict_returned(const struct object *object, uint64_t number)
{
	struct budget *budget = &object->pager->budget;
	struct gone *gone = gone_of(budget, object, number);

	if (gone->object != object || gone->number != number)
		return;
	if (is_soon(budget, gone))
		budget->returns += (RETURNS - budget->returns + 7) / 8;
	gone->object = NULL;
}

/* Have the one judged next that is needed last; but one at a time. */
static void choose_passed(const struct share *share)
{
	struct window *window = window_oldest(share, WINDOW_WATCHED);

	if (window && window->next && window->next < WINDOW_PAGES)
		return;
	window = window_passed(share);
	if (!window)
		return;
	watch(window);
	window_first(window);
}

/* ---- Judging ----------------------------------------------------------------*/

struct judgement {
	struct pager *pager;
	struct window *window;
	struct usage usage;
	bool pins;		/* some of the object's pages are pinned */
	bool kept;		/* all of them stay, for now */
	uint64_t want, evicted; /* pages */
	uint64_t *dirty;	/* pages to be written; room for the window */
	unsigned n_dirty;
	uint64_t first, end; /* the run to be punched */
	unsigned n;	     /* pages in it that are in memory */
	uint64_t left;	     /* pages that were taken out of their mapping */
};

/* Private anonymous pages leave by themselves (swapout.h). */
static void take_out(struct judgement *judgement)
{
	uint64_t n;

	for (uint64_t i = judgement->first; i < judgement->end; i += n) {
		n = swapout_take(judgement->window->object, i,
				 judgement->end - i);
		judgement->left += n;
		n = max_u64(n, 1);
	}
}

static void punch(struct judgement *judgement)
{
	struct object *object = judgement->window->object;
	uint64_t first = judgement->first, end = judgement->end;

	if (!judgement->n)
		return;
	judgement->n = 0;
	if (object->memfd < 0) {
		take_out(judgement);
		return;
	}
	if (object_punch(object, first, end - first))
		return;
	for (uint64_t i = first; i < end; i++) {
		struct page page = pages_get(&object->pages, i);

		if (page.state != PAGE_CLEAN)
			continue;
		object_unload(object, page);
		judgement->evicted++;
		judgement->pager->swapout.out += swap_has(object->swap, i);
	}
}

/* Copies are pinned with what they are copies of. */
static const struct object *pinned(const struct object *object)
{
	return object->owner ? object->owner->object : object;
}

/* Of those that may have been stored to all that are left are judged together. */
static struct page page_of(const struct window *window, unsigned i)
{
	struct object *object = window->object;
	uint64_t first = window->number << WINDOW_SHIFT;
	struct page page = pages_get(&object->pages, first + i);

	if (page.state != PAGE_PRESUMED)
		return page;
	presume_judge(object, first + i, first + WINDOW_PAGES);
	return pages_get(&object->pages, first + i);
}

static void judge_page(struct judgement *judgement, unsigned i)
{
	struct window *window = judgement->window;
	uint64_t index = (window->number << WINDOW_SHIFT) + i;
	struct page page = page_of(window, i);
	bool used =
		judgement->kept || is_used(&judgement->usage, i) ||
		(judgement->pins && pin_holds(pinned(window->object), index));

	/* What is not in memory is no obstacle to a run that is punched; what
	   others pay for is, and stays. */
	if (!page_is(page, STATES_PRESENT)) {
		if (window->object->memfd < 0)
			punch(judgement);
		return;
	}
	if (!window_has(window, i)) {
		punch(judgement);
		return;
	}
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
		pager->swapout.errors += !object->store;
	}
	/* If all is well it was judged already. */
	if (!window->present)
		window_destroy(window);
	else if (writeback->error)
		window_move_to(window, WINDOW_RESTING);
	else
		window_first(window);
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

	window_move_to(window, WINDOW_WRITING);
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
	return swapout_writable(object) && !list_empty(&object->mappings) &&
	       (!object->unwritable || object->unwritable < time_now()) &&
	       budget_may_write(pager);
}

/* Before a fork what is anonymous stays; and until its changes are seen. */
static bool must_keep(struct object *object)
{
	if (object->store)
		return false;
	if (object->memfd >= 0)
		swapout_begin(object);
	return object->pager->swapout.forbidden ||
	       (object->memfd >= 0 && !object->swap);
}

/*
 * Evict what is clean and unused of a watched window, and write back what is
 * changed and unused. @harsh: whatever is used, too.
 */
static void judge(struct pager *pager, struct window *window, uint64_t want,
		  bool harsh)
{
	struct budget *budget = &pager->budget;
	struct object *object = window->object;
	struct judgement judgement = {
		.pager = pager,
		.window = window,
		.want = want,
		.pins = !list_empty(&pinned(object)->pins),
	};
	size_t room = WINDOW_PAGES * sizeof(uint64_t);

	judgement.kept = must_keep(object);
	if (!harsh && window->asked)
		look(window, &judgement.usage);
	if (object->n_dirty && may_write(pager, object))
		judgement.dirty = mem_alloc(room);
	while (window->next < WINDOW_PAGES &&
	       judgement.evicted + judgement.left + judgement.n < want)
		judge_page(&judgement, window->next++);
	punch(&judgement);
	budget->evicted += judgement.evicted;
	if (judgement.n_dirty) {
		write_back(&judgement);
	} else if (!window->present) {
		if (!window->asked)
			note_gone(budget, window);
		window_destroy(window);
	} else if (window->next == WINDOW_PAGES) {
		window_move_to(window, WINDOW_RESTING);
	}
	mem_free(judgement.dirty, room);
}

/* ---- Evicting ----------------------------------------------------------------*/

/* A quarter of all is watched at a time, so that what is in use has time to
   show it. */
static void watch_enough(const struct share *share, uint64_t want)
{
	struct window *window;

	while ((share->n_watched < want ||
		share->n_watched < share->n_resting / 3) &&
	       (window = window_oldest(share, WINDOW_RESTING)))
		watch(window);
}

uint64_t evict_of(struct pager *pager, struct share *share, uint64_t want)
{
	struct budget *budget = &pager->budget;
	uint64_t before = budget->evicted, due = swapout_due(pager);
	uint64_t looks = 0, mild = min_u64(share->n_windows, LOOKS_MAX);
	uint64_t most = mild + share->n_windows;
	struct window *window;

	while (due < want && looks <= most) {
		if (budget->returns > RETURNS / 2)
			choose_passed(share);
		watch_enough(share, want - due);
		window = window_oldest(share, WINDOW_WATCHED);
		if (!window)
			break;
		judge(pager, window, want - due, looks > mild);
		due = budget->evicted - before + swapout_due(pager);
		looks++;
	}
	if (budget->evicted - before < want)
		swapout_write(pager, want - (budget->evicted - before));
	return budget->evicted - before;
}

/* Pages that it uses above what is due to it. */
static uint64_t excess(const struct pager *pager, const struct share *share)
{
	uint64_t used = share_used(share), due = share_due(pager, share);

	return used > due ? page_up(used - due) >> PAGE_SHIFT : 0;
}

/* Who gives, of those who were not asked in vain; NULL: nobody. */
static struct share *find_giver(struct pager *pager, struct share *asking,
				uint64_t *most)
{
	struct budget *budget = &pager->budget;
	struct share *giver = NULL;

	*most = 0;
	list_for_each(share, &budget->shares, struct share, link) {
		uint64_t above;

		if (!(share->n_resting + share->n_watched) ||
		    share->asked == budget->asked)
			continue;
		above = excess(pager, share);
		if (above > *most) {
			*most = above;
			giver = share;
		}
	}
	if (giver || !asking || asking->whole->asked == budget->asked)
		return giver;
	*most = UINT64_MAX;
	return asking->whole;
}

uint64_t evict_now(struct pager *pager, struct share *asking, uint64_t want)
{
	uint64_t evicted = 0, most;
	struct share *giver;

	pager->budget.asked++;
	while (evicted < want && (giver = find_giver(pager, asking, &most))) {
		uint64_t n =
			evict_of(pager, giver, min_u64(want - evicted, most));

		if (!n)
			giver->asked = pager->budget.asked;
		evicted += n;
	}
	return evicted;
}

bool evict_gives(const struct pager *pager)
{
	list_for_each(share, &pager->budget.shares, const struct share, link)
		if (share->n_resting + share->n_watched && excess(pager, share))
			return true;
	return false;
}

bool evict_hopes(const struct pager *pager)
{
	list_for_each(object, &pager->all, struct object, of_pager)
		if (object->n_dirty && swapout_writable(object))
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
	uint64_t limit = budget_limit(pager), used;

	if (!budget_is_set(budget))
		return 0;
	used = budget_load(pager) + times * reserve(budget) +
	       pager->ahead_wants;
	return used > limit ? page_up(used - limit) >> PAGE_SHIFT : 0;
}

static void evict_again(struct timer *timer)
{
	struct pager *pager = container_of(timer, struct pager, budget.again);

	pager->budget.stuck = false;
	evict_kick(pager);
}

/* Who has a limit of its own makes room below it; returns how many went. */
static uint64_t evict_scarce(struct pager *pager, uint64_t *want)
{
	uint64_t evicted = 0;

	list_for_each(share, &pager->budget.scarce, struct share, scarce) {
		uint64_t missing = share_missing(pager, share, 2);

		*want += missing;
		if (!missing && list_empty(&share->hungry))
			list_del(&share->scarce);
		else if (missing)
			evicted +=
				evict_of(pager, share, min_u64(missing, SLICE));
	}
	return evicted;
}

/* Does somebody wait for memory? He may need more than is kept free. */
static bool is_awaited(const struct pager *pager)
{
	list_for_each(share, &pager->budget.scarce, struct share, scarce)
		if (!list_empty(&share->hungry))
			return true;
	return !list_empty(&pager->hungry) || !list_empty(&pager->thirsty);
}

static void evict_idle(struct post *post)
{
	struct pager *pager = container_of(post, struct pager, budget.idle);
	struct budget *budget = &pager->budget;
	uint64_t evicted, want = 0, all;

	budget->scheduled = false;
	evicted = evict_scarce(pager, &want);
	all = missing(pager, 2);
	if (all)
		evicted += evict_now(pager, NULL, min_u64(all, SLICE));
	want += all;
	if (!want && !is_awaited(pager))
		return;
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

static bool is_short(const struct pager *pager)
{
	list_for_each(share, &pager->budget.scarce, struct share, scarce)
		if (share_missing(pager, share, 1))
			return true;
	return missing(pager, 1) || is_awaited(pager);
}

void evict_kick(struct pager *pager)
{
	struct budget *budget = &pager->budget;

	if (budget->scheduled || budget->stuck || !is_short(pager))
		return;
	budget->scheduled = true;
	loop_idle(pager->loop, &budget->idle);
}

void evict_init(struct pager *pager)
{
	struct budget *budget = &pager->budget;

	budget->idle.run = evict_idle;
	timer_init(&budget->again, evict_again);
}
