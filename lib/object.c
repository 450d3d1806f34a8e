/* SPDX-License-Identifier: MIT */
/* Objects: memory, page states, views (object.h has the model) */
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "budget.h"
#include "ledger.h"
#include "account.h"
#include "mem.h"
#include "object.h"
#include "sys.h"

/* ---- Memory ----------------------------------------------------------------*/

/* Only this user, and nobody shrinks it under a pager that reads it. */
static int restrict_memfd(int memfd)
{
	int error = (int)sys_call(SYS_fchmod, memfd, 0600);

	if (error)
		return error;
	return (int)sys_call(SYS_fcntl, memfd, F_ADD_SEALS,
			     F_SEAL_SHRINK | F_SEAL_SEAL);
}

static int memfd_open(void)
{
	unsigned flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
	int memfd = (int)sys_call(SYS_memfd_create, "wmap",
				  flags | MFD_NOEXEC_SEAL);
	int error;

	if (memfd == -EINVAL)
		memfd = (int)sys_call(SYS_memfd_create, "wmap", flags);
	if (memfd < 0)
		return memfd;
	error = restrict_memfd(memfd);
	if (error) {
		sys_call(SYS_close, memfd);
		return error;
	}
	return memfd;
}

static int create(struct wmap_store *store, int memfd, struct object **result)
{
	struct object *object = mem_alloc(sizeof(*object));
	int64_t length = store ? store_length(store) : 0;

	if (!object)
		return -ENOMEM;
	list_init(&object->link);
	list_init(&object->mappings);
	list_init(&object->fills);
	list_init(&object->writebacks);
	list_init(&object->writes);
	list_init(&object->sick);
	list_init(&object->of_pager);
	list_init(&object->of_maker);
	list_init(&object->windows);
	list_init(&object->pins);
	list_init(&object->leavings);
	pages_init(&object->pages);
	pages_init(&object->errors);
	object->references = 1;
	object->memfd = memfd;
	object->box = -1;
	object->store = store ? wmap_store_get(store) : NULL;
	object->length = length > 0 ? (uint64_t)length : 0;
	*result = object;
	return 0;
}

int object_create(struct wmap_store *store, bool plain, struct object **result)
{
	int error, memfd = plain ? -1 : memfd_open();

	if (!plain && memfd < 0)
		return memfd;
	error = create(store, memfd, result);
	if (error && !plain)
		sys_call(SYS_close, memfd);
	return error;
}

/* How many pages a memfd has; or a negative errno. */
static int64_t count_pages(int memfd)
{
	struct stat stat;
	int error = (int)sys_call(SYS_fstat, memfd, &stat);

	return error ? error : stat.st_blocks * 512 >> PAGE_SHIFT;
}

int object_find(struct object *object, enum page_state state)
{
	int64_t n = count_pages(object->memfd);
	int error = n < 0 ? (int)n : 0;
	long from = 0, to;

	if ((uint64_t)n == object->n_present)
		return 0;

	while (!error) {
		from = sys_call(SYS_lseek, object->memfd, from, SEEK_DATA);
		if (from < 0)
			return from == -ENXIO ? 0 : (int)from;
		to = sys_call(SYS_lseek, object->memfd, from, SEEK_HOLE);
		if (to < 0)
			return (int)to;
		for (; from < to && !error; from += (long)PAGE) {
			struct page page = pages_get(
				&object->pages, (uint64_t)from >> PAGE_SHIFT);

			if (!page_is(page, STATES_PRESENT))
				error = object_set(object, page, state, 0);
		}
	}
	return error;
}

int object_adopt(struct wmap_store *store, int memfd, struct object **result)
{
	struct stat stat;
	int error = (int)sys_call(SYS_fstat, memfd, &stat);

	if (!error)
		error = create(store, memfd, result);
	if (error) {
		sys_call(SYS_close, memfd);
		return error;
	}
	(*result)->n_pages = (uint64_t)stat.st_size >> PAGE_SHIFT;
	error = pages_reserve(&(*result)->pages,
			      (uint64_t)stat.st_blocks * 512 >> PAGE_SHIFT);
	if (error)
		object_put(*result);
	return error;
}

struct object *object_get(struct object *object)
{
	object->references++;
	return object;
}

void object_put(struct object *object)
{
	if (--object->references)
		return;
	assert(list_empty(&object->mappings) && list_empty(&object->fills) &&
	       list_empty(&object->writebacks) &&
	       list_empty(&object->leavings));
	ledger_object_gone(object);
	list_del(&object->link);
	list_del(&object->sick);
	budget_forget(object);
	list_del(&object->of_pager);
	for (int i = 0; i < 2 && object->counts[i]; i++)
		atomic_fetch_sub_explicit(object->counts[i], 1,
					  memory_order_relaxed);
	if (object->memfd >= 0)
		sys_call(SYS_close, object->memfd);
	if (object->account)
		object->account->n_objects--;
	list_del(&object->of_maker);
	if (object->made)
		--*object->made;
	account_put(object->account);
	wmap_store_put(object->store);
	wmap_store_put(object->swap);
	pages_destroy(&object->pages);
	pages_destroy(&object->errors);
	hashes_destroy(&object->presumed);
	mem_free(object, sizeof(*object));
}

int object_reach(struct object *object, uint64_t n_pages)
{
	int error = 0;

	if (n_pages <= object->n_pages)
		return 0;
	if (n_pages > PAGES_LIMIT)
		return -ENOMEM;
	if (object->memfd >= 0)
		error = (int)sys_call(SYS_ftruncate, object->memfd,
				      n_pages << PAGE_SHIFT);
	if (!error)
		object->n_pages = n_pages;
	return error;
}

int object_read(struct object *object, uint64_t first, uint64_t count,
		void *buffer)
{
	char *to = buffer;
	uint64_t left = count << PAGE_SHIFT, at = first << PAGE_SHIFT;

	while (left) {
		long n = sys_call(SYS_pread64, object->memfd, to, left, at);

		if (n == -EINTR)
			continue;
		if (n <= 0)
			return n ? (int)n : -EIO;
		to += n;
		at += n;
		left -= n;
	}
	return 0;
}

static int write_all(int memfd, const char *from, uint64_t left, uint64_t at)
{
	while (left) {
		long n = sys_call(SYS_pwrite64, memfd, from, left, at);

		if (n == -EINTR)
			continue;
		if (n <= 0)
			return n ? (int)n : -EIO;
		from += n;
		at += n;
		left -= n;
	}
	return 0;
}

int object_write(struct object *object, uint64_t first, uint64_t count,
		 const void *buffer)
{
	return write_all(object->memfd, buffer, count << PAGE_SHIFT,
			 first << PAGE_SHIFT);
}

int object_patch(struct object *object, uint64_t offset, const void *bytes,
		 uint64_t length)
{
	return write_all(object->memfd, bytes, length, offset);
}

int object_punch(struct object *object, uint64_t first, uint64_t count)
{
	if (object->memfd < 0)
		return 0;
	return (int)sys_call(SYS_fallocate, object->memfd,
			     FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			     first << PAGE_SHIFT, count << PAGE_SHIFT);
}

/* ---- States ----------------------------------------------------------------*/

static void count(struct object *object, struct page page, long by)
{
	if (page_is(page, STATES_PRESENT))
		object->n_present += by;
	if (page_is(page, STATES_DIRTY))
		object->n_dirty += by;
	if (page.state == PAGE_ERROR)
		object->n_errors += by;
}

/* What shows SIGBUS does so until it is tried again, and not while it is. */
static void note_error(struct object *object, struct page after)
{
	if (after.state == PAGE_ERROR)
		ledger_error(object, after.index, true);
	else if (object->errors.n_used && after.state != PAGE_FILLING)
		ledger_error(object, after.index, false);
}

int object_set(struct object *object, struct page page, enum page_state state,
	       uint32_t views)
{
	struct page after = { page.index, state, views };
	int error = pages_put(&object->pages, after);

	if (error)
		return error;
	if (page.state == PAGE_PRESUMED && state != PAGE_PRESUMED)
		hashes_remove(&object->presumed, page.index);
	count(object, page, -1);
	count(object, after, 1);
	note_error(object, after);
	if (page_is(page, STATES_PRESENT) == page_is(after, STATES_PRESENT))
		return 0;
	if (page_is(after, STATES_PRESENT))
		budget_came(object, page.index, 1);
	else
		budget_went(object, page.index);
	return 0;
}

int object_come(struct object *object, uint64_t first, size_t n,
		enum page_state state)
{
	struct page page = { first, state, 0 };
	int error = pages_put_new(&object->pages, first, n, state);

	if (error)
		return error;
	count(object, page, (long)n);
	budget_came(object, first, n);
	return 0;
}

void object_presume(struct object *object, struct page page, uint32_t views,
		    struct hash hash)
{
	assert(page.state != PAGE_ABSENT && page.state != PAGE_PRESUMED);
	hashes_put(&object->presumed, page.index, hash);
	object_set(object, page, PAGE_PRESUMED, views);
}

int object_split(struct object *object, struct object *other, uint64_t first,
		 uint64_t end)
{
	uint64_t *indexes;
	size_t n;
	int error =
		pages_collect(&object->pages, first, end, ~0u, &indexes, &n);

	for (size_t i = 0; i < n && !error; i++) {
		struct page page = pages_get(&object->pages, indexes[i]);
		struct page none = { page.index, PAGE_ABSENT, 0 };

		error = object_set(other, none, page.state, page.views);
	}
	for (size_t i = 0; i < n && !error; i++)
		object_set(object, pages_get(&object->pages, indexes[i]),
			   PAGE_ABSENT, 0);
	other->n_pages = object->n_pages;
	mem_free(indexes, n * sizeof(*indexes));
	return error;
}

/* ---- Views -----------------------------------------------------------------*/

int view_create(struct object *object, uint64_t first, uint64_t end,
		struct view **result)
{
	struct view *view = mem_alloc(sizeof(*view));
	uint32_t free_numbers = ~object->views & ((1u << PAGES_VIEWS) - 1);

	if (!view)
		return -ENOMEM;
	view->object = object_get(object);
	view->references = 1;
	view->number = VIEW_OWN;
	view->first = first;
	view->end = end;
	view->low = UINT64_MAX;
	pages_init(&view->own);
	if (free_numbers) {
		view->number = (unsigned)__builtin_ctz(free_numbers);
		object->views |= 1u << view->number;
	}
	*result = view;
	return 0;
}

struct view *view_get(struct view *view)
{
	view->references++;
	return view;
}

/* A number that is given to another view later must be on no page. */
static void give_number_back(struct object *object, const struct view *view)
{
	uint32_t bit = view_bit(view);
	struct page page;
	uint64_t cursor = 0;

	while (view->low < view->high && pages_next(&object->pages, view->low,
						    view->high, &cursor, &page))
		if (page.views & bit)
			object_set(object, page, page.state, page.views & ~bit);
	object->views &= ~bit;
}

void view_put(struct view *view)
{
	struct object *object = view->object;

	if (--view->references)
		return;
	/* The last holder of the object takes its pages with it. */
	if (view->number < VIEW_OWN && object->references > 1)
		give_number_back(object, view);
	pages_destroy(&view->own);
	mem_free(view, sizeof(*view));
	object_put(object);
}

bool view_has(const struct view *view, struct page page)
{
	if (view->number < VIEW_OWN)
		return page.views & view_bit(view);
	return pages_get(&view->own, page.index).state != PAGE_ABSENT;
}

int view_note(struct view *view, uint64_t index, bool touched)
{
	struct page page = { index, touched ? PAGE_CLEAN : PAGE_ABSENT, 0 };

	if (touched) {
		view->low = min_u64(view->low, index);
		view->high = max_u64(view->high, index + 1);
	}
	if (view->number < VIEW_OWN)
		return 0;
	return pages_put(&view->own, page);
}
