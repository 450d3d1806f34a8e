/* SPDX-License-Identifier: MIT */
/*
 * Putting pages in place
 *
 * Through a mapping that shows the object's own memory UFFDIO_COPY puts a page
 * into the object and its page table at once, and wakes who sleeps there. Else
 * the page is written to the memfd, whole, and shown afterwards. A page that is
 * there already stays as it is.
 */
#include "copies.h"
#include "fill.h"
#include "huge.h"
#include "swap.h"
#include "sys.h"
#include "trace.h"

/* What an anonymous page is filled with. */
static const char nothing[GRAIN_MAX] __attribute__((aligned(4096)));

/* ---- Putting pages in place --------------------------------------------------*/

static int set(struct object *object, struct page page, enum page_state state,
	       uint32_t views, const void *bytes)
{
	if (state != PAGE_PRESUMED)
		return object_set(object, page, state, views);
	object_presume(object, page, views,
		       hash_page(bytes, &object->pager->key));
	return 0;
}

/* The page is in memory with these bytes, and @via (or NULL) shows it. */
static void landed(struct object *object, struct mapping *via, uint64_t index,
		   enum page_state state, const void *bytes)
{
	struct page page = pages_get(&object->pages, index);
	uint32_t views = page.views;
	bool had = via && page_is(page, STATES_PRESENT) &&
		   view_has(via->view, page);

	/* It was there, or is not claimed: what it was is not known. */
	if (state == PAGE_PRESUMED && page.state != PAGE_FILLING)
		state = PAGE_DIRTY;
	/* What is stored to plain memory from now on is not seen. */
	if (object->memfd < 0)
		swap_drop(object->swap, index, index + 1);
	if (via) {
		views |= view_bit(via->view);
		view_note(via->view, index, true);
	}
	if (!set(object, page, state, views, bytes) && via && !had) {
		via->n_loaded++;
		trace(TRACE_LOAD, mapping_address(via, index));
	}
}

/* A page that is there already stays as it is. */
static void found(struct object *object, uint64_t index)
{
	struct page page = pages_get(&object->pages, index);

	if (!page_is(page, STATES_PRESENT))
		object_set(object, page, PAGE_CLEAN, page.views);
	if (object->memfd < 0)
		swap_drop(object->swap, index, index + 1);
}

/* What a page that is put in place through a mapping is then. */
static enum page_state arrives_as(const struct object *object,
				  const struct mapping *via, bool write)
{
	if (write && via->tracked)
		return PAGE_DIRTY;
	return object->presuming ? PAGE_PRESUMED : PAGE_CLEAN;
}

static int put_one_run(const struct object *object, struct mapping *via,
		       uint64_t first, uint64_t count, const char *buffer,
		       bool write, uint64_t *done)
{
	uint64_t address = mapping_address(via, first), bytes;
	int uffd = via->space->uffd, error;
	bool protect = via->tracked &&
		       arrives_as(object, via, write) == PAGE_CLEAN;
	bool zero_page = buffer == nothing && object->memfd < 0 && !write &&
			 !(via->flags & MAPPING_COURSE);

	/* If it cannot be had the pages come one by one. */
	if (buffer == nothing && object->memfd < 0 && write &&
	    huge_fits(via, address, count)) {
		error = huge_put(via, address, &bytes);
		*done = bytes >> PAGE_SHIFT;
		if (!error || bytes)
			return error ? -EAGAIN : 0;
	}
	if (zero_page)
		error = uffd_zeropage(uffd, address, count << PAGE_SHIFT,
				      &bytes);
	else
		error = uffd_copy(uffd, address, buffer, count << PAGE_SHIFT,
				  protect ? UFFDIO_COPY_MODE_WP : 0, &bytes);
	*done = bytes >> PAGE_SHIFT;
	return error;
}

/*
 * Copy pages in through a mapping; *@done of them are there, also those that
 * were before: then not every sleeper is awake. -ENOENT: the mapping is not in
 * place.
 */
static int put_through(struct object *object, struct mapping *via,
		       uint64_t first, uint64_t count, const char *buffer,
		       bool write, uint64_t *done, bool *woken)
{
	enum page_state state = arrives_as(object, via, write);
	uint64_t at = 0, n;
	int error = 0;

	while (at < count) {
		error = put_one_run(object, via, first + at, count - at,
				    buffer == nothing ?
					    nothing :
					    buffer + (at << PAGE_SHIFT),
				    write, &n);
		for (uint64_t i = at; i < at + n; i++)
			landed(object, object->owner ? NULL : via, first + i,
			       state, buffer + (i << PAGE_SHIFT));
		at += n;
		if (error == -EEXIST) {
			found(object, first + at++);
			*woken = false;
		} else if (error && error != -EAGAIN)
			break;
	}
	*woken &= at == count;
	*done = at;
	return at < count ? error : 0;
}

/* Write pages to the memfd; whoever waits for them is shown them then. */
static int put_behind(struct object *object, uint64_t first, uint64_t count,
		      const char *buffer)
{
	/* Where a mapping would not see a first touch, its first store must
	   be seen all the same. */
	int error = object_protect(object, first, count);

	if (!error)
		error = object_write(object, first, count, buffer);

	for (uint64_t i = 0; i < count && !error; i++)
		landed(object, NULL, first + i, PAGE_CLEAN, NULL);
	return error;
}

static bool show_part(struct mapping *via, uint64_t first, uint64_t count)
{
	uint64_t done;

	mapping_continue(via, first, count, via->copies, &done);
	for (uint64_t i = first; i < first + done; i++)
		mapping_loaded(via, pages_get(&via->object->pages, i));
	return done == count;
}

/* Show a run that was written to the memfd through a private mapping, but where it
   has a copy. */
static bool show_run(struct mapping *via, uint64_t first, uint64_t count)
{
	bool all = true;
	uint64_t n;

	for (uint64_t at = first; at < first + count; at += n + 1) {
		n = 0;
		while (at + n < first + count && !copies_have(via, at + n))
			n++;
		all &= (!n || show_part(via, at, n)) && at + n == first + count;
	}
	return all;
}

/* A first store through a private mapping: only its copy is needed. */
static bool put_copy(struct object *object, struct mapping *via, uint64_t index,
		     const char *buffer)
{
	if (!via->copies || object->owner || copies_put(via, index, buffer))
		return false;
	object_set(object, pages_get(&object->pages, index), PAGE_ABSENT, 0);
	return true;
}

/* A mapping may have been cut since the run was chosen, and something else be
   where its upper part was. */
static bool shows_run(const struct mapping *mapping, uint64_t first,
		      uint64_t count)
{
	return first >= mapping->first &&
	       first + count <= mapping_end_page(mapping);
}

int fill_put(struct object *object, struct mapping *via, uint64_t first,
	     uint64_t count, const char *buffer, bool write, bool *woken)
{
	uint64_t done = 0;
	int error;

	if (!buffer)
		buffer = nothing;
	if (via && !shows_run(via, first, count))
		via = NULL;
	if (!via && object->memfd < 0)
		return -ENOENT;
	*woken = via && (object->memfd < 0 || via->shared);
	if (write && via && put_copy(object, via, first, buffer)) {
		*woken = true;
		return 0;
	}
	if (*woken) {
		error = put_through(object, via, first, count, buffer, write,
				    &done, woken);
		if (!error || object->memfd < 0)
			return error;
	}
	error = put_behind(object, first + done, count - done,
			   buffer + (done << PAGE_SHIFT));
	if (!error && via && !(via->shared))
		*woken = show_run(via, first, count);
	return error;
}
