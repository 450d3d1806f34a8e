/* SPDX-License-Identifier: MIT */
/*
 * Random operations against a model
 *
 * A window of addresses is used by wmap_* calls chosen at random; a table has,
 * for each page of the window, what mmap(2)'s rules say must be there: nothing,
 * or a page of a subject (a file or shared anonymous memory, with its bytes),
 * or bytes of its own (private memory that was stored to). Each operation is
 * made on both; then pages are compared, in memory and, after a sync, in the
 * file. A failure prints the seed and the step: WMAP_SEED repeats it.
 *
 * All calls name addresses in the window (WMAP_FIXED), so that the model is
 * this table and nothing else.
 *
 * Invariant: what a load of a page gives, or the signal it raises, is what
 * expected() says.
 */
#include "support.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WINDOW	 192 /* pages */
#define SUBJECTS 4   /* the first FILES of them are files */
#define FILES	 3
#define SUBJECT	 64 /* pages of each */
#define LONGEST	 24 /* pages of one operation */

struct subject {
	int fd; /* -1: shared anonymous memory */
	char bytes[SUBJECT * WMAP_PAGE_SIZE];
};

/* What is at a page of the window. */
struct slot {
	int kind;		 /* 0: nothing; else WMAP_SHARED or _PRIVATE */
	struct subject *subject; /* NULL: private anonymous memory */
	size_t page;		 /* of the subject */
	int prot;
	unsigned piece; /* pages of one mapping, alike and side by side */
	char *own;	/* of private memory that was stored to, else NULL */
};

static struct model {
	uint64_t random;
	unsigned step, features;
	const char *doing;
	char *window;
	unsigned pieces;
	struct subject subjects[SUBJECTS];
	struct slot slots[WINDOW];
} model;

static const char zeros[WMAP_PAGE_SIZE];

#define check(fact) \
	ck_assert_msg(fact, "step %u, %s: not so: %s (errno %d)", model.step, \
		      model.doing, #fact, errno)

#define below(n) random_below(&model.random, n)

static char *address(size_t slot)
{
	return model.window + PAGES(slot);
}

/* A range of the window, never empty. */
static size_t pick(size_t *pages)
{
	size_t first = below(WINDOW), most = WINDOW - first;

	*pages = 1 + below(most < LONGEST ? most : LONGEST);
	return first;
}

/* ---- The model ----------------------------------------------------------- */

/* Pages of a subject end with it: beyond is SIGBUS. */
static bool beyond(const struct slot *slot)
{
	return slot->subject && slot->page >= SUBJECT;
}

/* The bytes that a load must give; only if it raises no signal. */
static const char *expected(const struct slot *slot)
{
	if (slot->own)
		return slot->own;
	if (!slot->subject)
		return zeros;
	return slot->subject->bytes + PAGES(slot->page);
}

static int expected_signal(const struct slot *slot, int prot)
{
	if (!slot->kind || !(slot->prot & prot))
		return SIGSEGV;
	return beyond(slot) ? SIGBUS : 0;
}

static void drop_own(struct slot *slot)
{
	free(slot->own);
	slot->own = NULL;
}

static void empty(size_t first, size_t pages)
{
	for (size_t i = first; i < first + pages; i++) {
		drop_own(&model.slots[i]);
		model.slots[i] = (struct slot){ 0 };
	}
}

/* Where a store to this page goes. */
static char *stored_bytes(struct slot *slot)
{
	if (slot->kind == WMAP_SHARED)
		return slot->subject->bytes + PAGES(slot->page);
	if (!slot->own) {
		char *own = malloc(PAGE);

		memcpy(own, expected(slot), PAGE);
		slot->own = own;
	}
	return slot->own;
}

static bool all_mapped(size_t first, size_t pages)
{
	while (pages && model.slots[first].kind)
		first++, pages--;
	return !pages;
}

/* A range becomes a piece of its own; what follows it in the old one, too. */
static void split(size_t first, size_t pages)
{
	unsigned old = model.slots[first].piece, now = ++model.pieces;
	size_t end = first + pages;

	for (size_t i = first; i < end; i++) {
		old = model.slots[i].piece;
		model.slots[i].piece = now;
	}
	now = ++model.pieces;
	for (size_t i = end; i < WINDOW && model.slots[i].piece == old; i++)
		model.slots[i].piece = now;
}

/* How many pages from @first on, below @end, are of its piece. */
static size_t same_piece(size_t first, size_t end)
{
	const struct slot *slot = &model.slots[first];
	size_t n = 1;

	while (first + n < end && slot[n].kind && slot[n].piece == slot->piece)
		n++;
	return n;
}

/* ---- The operations ------------------------------------------------------ */

static const int prots[] = { PROT_NONE, PROT_READ, READ_WRITE, READ_WRITE,
			     READ_WRITE };

static const size_t grains[] = { 0, 4 * KIB, 16 * KIB, 2 * MIB };

/* Shared anonymous memory is one mapping's alone: the last subject is mapped
   whole, and only where it is not mapped yet. */
static bool anonymous_is_free(void)
{
	for (size_t i = 0; i < WINDOW; i++)
		if (model.slots[i].subject == &model.subjects[SUBJECTS - 1])
			return false;
	return true;
}

static void map(void)
{
	struct wmap_map_options options = { .size = sizeof options,
					    .grain = grains[below(4)] };
	int kind = below(2) ? WMAP_SHARED : WMAP_PRIVATE;
	struct subject *subject = &model.subjects[below(FILES)];
	int prot = prots[below(COUNT(prots))], fd = subject->fd;
	size_t pages, first = pick(&pages), page = below(SUBJECT - 4);
	int flags = kind | WMAP_FIXED;

	if (!below(3)) {
		flags |= WMAP_ANONYMOUS;
		fd = -1;
		page = 0;
		subject = kind == WMAP_SHARED ? &model.subjects[SUBJECTS - 1] :
						NULL;
		if (subject && !anonymous_is_free())
			return;
		if (subject)
			memset(subject->bytes, 0, sizeof subject->bytes);
	}
	for (size_t i = first; i < first + pages; i++)
		if (model.slots[i].kind)
			flags |= WMAP_REPLACE;
	check(wmap_map(address(first), PAGES(pages), prot, flags, fd,
		       (off_t)PAGES(page), &options) == address(first));
	empty(first, pages);
	split(first, pages);
	for (size_t i = 0; i < pages; i++)
		model.slots[first + i] = (struct slot){
			.kind = kind,
			.subject = subject,
			.page = page + i,
			.prot = prot,
			.piece = model.slots[first].piece,
		};
}

static void unmap(void)
{
	size_t pages, first = pick(&pages);

	check(!wmap_unmap(address(first), PAGES(pages)));
	split(first, pages);
	empty(first, pages);
}

static void protect(void)
{
	size_t pages, first = pick(&pages);
	int prot = prots[below(COUNT(prots))];

	if (!all_mapped(first, pages)) {
		check(wmap_protect(address(first), PAGES(pages), prot) == -1);
		check(errno == ENOMEM);
		return;
	}
	check(!wmap_protect(address(first), PAGES(pages), prot));
	for (size_t i = first, run; i < first + pages; i += run) {
		run = same_piece(i, first + pages);
		split(i, run);
	}
	for (size_t i = first; i < first + pages; i++)
		model.slots[i].prot = prot;
}

/* Every page of a file that a synced page shows is as in memory. */
static void compare_file(const struct slot *slot)
{
	if (slot->kind == WMAP_SHARED && slot->subject->fd >= 0 &&
	    !beyond(slot))
		check(file_has(slot->subject->fd, PAGES(slot->page),
			       expected(slot), PAGE));
}

static void sync_range(void)
{
	size_t pages, first = pick(&pages);

	if (!all_mapped(first, pages)) {
		check(wmap_sync(address(first), PAGES(pages), WMAP_SYNC_WAIT) ==
		      -1);
		check(errno == ENOMEM);
		return;
	}
	check(!wmap_sync(address(first), PAGES(pages), WMAP_SYNC_WAIT));
	for (size_t i = first; i < first + pages; i++)
		compare_file(&model.slots[i]);
}

static void start_sync(void)
{
	size_t pages, first = pick(&pages);

	if (all_mapped(first, pages))
		check(!wmap_sync(address(first), PAGES(pages),
				 WMAP_SYNC_START));
}

static void advise(void)
{
	size_t pages, first = pick(&pages);
	int advice = (int)below(5);

	if (!all_mapped(first, pages)) {
		check(wmap_advise(address(first), PAGES(pages), advice) == -1);
		check(errno == ENOMEM);
		return;
	}
	check(!wmap_advise(address(first), PAGES(pages), advice));
	for (size_t i = first; i < first + pages; i++)
		if (advice == WMAP_ADVICE_DONTNEED)
			drop_own(&model.slots[i]);
}

/* Move a part of one piece to somewhere else in the window, as long as it was
   or shorter. */
static void move(void)
{
	size_t pages, first = pick(&pages), same, to, now;
	struct slot moved[LONGEST];

	if (!model.slots[first].kind)
		return;
	same = same_piece(first, first + pages);
	now = 1 + below(same);
	to = below(WINDOW - now + 1);
	if (to < first + same && first < to + now)
		return;
	check(wmap_remap(address(first), PAGES(same), PAGES(now),
			 WMAP_MAYMOVE | WMAP_FIXED,
			 address(to)) == address(to));
	split(first, same);
	memcpy(moved, &model.slots[first], now * sizeof *moved);
	memset(&model.slots[first], 0, now * sizeof *moved);
	empty(first, same);
	split(to, now);
	empty(to, now);
	memcpy(&model.slots[to], moved, now * sizeof *moved);
	for (size_t i = to; i < to + now; i++)
		model.slots[i].piece = model.pieces + 1;
	model.pieces++;
}

/* ---- Loads and stores ---------------------------------------------------- */

static void load(void)
{
	size_t at = below(WINDOW);
	const struct slot *slot = &model.slots[at];
	int signal = expected_signal(slot, PROT_READ);

	check(process_load(address(at) + below(PAGE)) == signal);
	if (!signal)
		check(!memcmp(address(at), expected(slot), PAGE));
}

static void store(void)
{
	size_t at = below(WINDOW), offset = below(PAGE);
	size_t length = 1 + below(PAGE - offset);
	struct slot *slot = &model.slots[at];
	char value = (char)below(256);
	int signal = expected_signal(slot, PROT_WRITE);

	check(process_store(address(at) + offset, value) == signal);
	if (signal)
		return;
	memset(address(at) + offset, value, length);
	memset(stored_bytes(slot) + offset, value, length);
}

/* A system call loads from one page and stores to another. */
static void copy_by_system_call(void)
{
	size_t from = below(WINDOW), to = below(WINDOW);
	struct slot *source = &model.slots[from], *target = &model.slots[to];
	char bytes[WMAP_PAGE_SIZE];
	int pair[2];

	if (!(model.features & WMAP_FEATURE_KERNEL_FAULTS) ||
	    expected_signal(source, PROT_READ) ||
	    expected_signal(target, PROT_WRITE))
		return;
	memcpy(bytes, expected(source), PAGE);
	ck_assert_int_eq(pipe(pair), 0);
	check(write(pair[1], address(from), PAGE) == (ssize_t)PAGE);
	check(read(pair[0], address(to), PAGE) == (ssize_t)PAGE);
	memcpy(stored_bytes(target), bytes, PAGE);
	close(pair[0]);
	close(pair[1]);
}

/* What the list says about one mapping is what the table says of its pages;
   returns how many these are. */
static size_t compare_listed(const struct wmap_mapping_info *info)
{
	size_t first = (size_t)((char *)info->addr - model.window) / PAGE;
	size_t pages = (info->length + PAGE - 1) / PAGE;

	for (size_t i = first; i < first + pages; i++)
		ck_assert_msg(model.slots[i].kind & info->flags &&
				      model.slots[i].prot == info->prot,
			      "step %u: page %zu is listed in %zu + %zu, flags "
			      "%#x, prot %d; not %d, %d",
			      model.step, i, first, pages,
			      (unsigned)info->flags, info->prot,
			      model.slots[i].kind, model.slots[i].prot);
	return pages;
}

/* The list has each mapped page once. */
static void list(void)
{
	static struct wmap_mapping_info infos[WINDOW];
	size_t listed = 0, mapped = 0;
	const char *end = NULL;
	ssize_t n;

	infos[0].size = sizeof *infos;
	n = wmap_mapping_list(infos, WINDOW);
	check(n >= 0 && n <= WINDOW);
	for (ssize_t i = 0; i < n; i++) {
		check((char *)infos[i].addr >= end);
		end = (char *)infos[i].addr + infos[i].length;
		listed += compare_listed(&infos[i]);
	}
	for (size_t i = 0; i < WINDOW; i++)
		mapped += model.slots[i].kind != 0;
	check(listed == mapped);
}

static const struct {
	const char *name;
	void (*run)(void);
	unsigned often;
} operations[] = {
	{ "map", map, 6 },
	{ "unmap", unmap, 3 },
	{ "protect", protect, 4 },
	{ "sync", sync_range, 6 },
	{ "start sync", start_sync, 3 },
	{ "advise", advise, 8 },
	{ "move", move, 4 },
	{ "load", load, 60 },
	{ "store", store, 60 },
	{ "system call", copy_by_system_call, 10 },
	{ "list", list, 2 },
};

/* ---- The run ------------------------------------------------------------- */

static void begin(void)
{
	ck_assert_int_eq(wmap_start(&model.features), 0);
	model.window = memory_free_range(PAGES(WINDOW));
	for (unsigned i = 0; i < SUBJECTS; i++) {
		struct subject *subject = &model.subjects[i];

		subject->fd = i < FILES ? file_with(i, PAGES(SUBJECT)) : -1;
		if (i < FILES)
			pattern_fill(subject->bytes, PAGES(SUBJECT), i, 0);
	}
}

static void step(void)
{
	unsigned sum = 0, drawn;
	size_t i = 0;

	for (size_t j = 0; j < COUNT(operations); j++)
		sum += operations[j].often;
	drawn = (unsigned)below(sum);
	while (drawn >= operations[i].often)
		drawn -= operations[i++].often;
	model.doing = operations[i].name;
	operations[i].run();
}

static void compare_all(void)
{
	model.doing = "comparing all";
	for (size_t i = 0; i < WINDOW; i++)
		if (!expected_signal(&model.slots[i], PROT_READ))
			check(!memcmp(address(i), expected(&model.slots[i]),
				      PAGE));
}

/* With the last mapping gone, each file has what its subject has. */
static void end(void)
{
	model.doing = "ending";
	check(!wmap_unmap(model.window, PAGES(WINDOW)));
	empty(0, WINDOW);
	for (unsigned i = 0; i < FILES; i++)
		check(file_has(model.subjects[i].fd, 0, model.subjects[i].bytes,
			       PAGES(SUBJECT)));
	check(wmap_mapping_list(NULL, 0) == 0);
}

START_TEST(memory_is_as_the_model_says)
{
	unsigned steps = facts_scaled(SANITIZED ? 8000 : 40000);

	model.random = random_seed() + (unsigned)_i;
	/* what the window shows, and the subjects, come and go */
	if (_i % 2)
		check(!wmap_memory_set(WMAP_MEMORY_MIN));
	begin();
	for (model.step = 0; model.step < steps; model.step++) {
		step();
		if (model.step % 1000 == 999)
			compare_all();
	}
	compare_all();
	end();
}
END_TEST

int main(void)
{
	TCase *facts = facts_case("model", 120);

	tcase_add_loop_test(facts, memory_is_as_the_model_says, 0, 4);
	return facts_run(facts);
}
