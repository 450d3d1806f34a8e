/* SPDX-License-Identifier: MIT */
/*
 * A range of addresses, split into wmap's pieces and the kernel's
 *
 * A program may name any range in munmap and its family: a part of a mapping,
 * several, and other memory between them. Each piece goes to whom it belongs,
 * in ascending order. A piece of wmap's lies in one mapping.
 */
#include <errno.h>

#include "../client.h"
#include "preload.h"

/* The range in whole pages, or false if the kernel would not call it one. */
static bool is_range(const void *addr, size_t *length)
{
	uintptr_t start = (uintptr_t)addr;
	size_t pages = (*length + WMAP_PAGE_SIZE - 1) & -(size_t)WMAP_PAGE_SIZE;

	if (start % WMAP_PAGE_SIZE || !pages || start + pages < start)
		return false;
	*length = pages;
	return true;
}

bool ranges_ours(const void *addr, size_t length)
{
	return is_range(addr, &length) && wmap_range_ours(addr, length);
}

/* The first piece of [at, end): is it ours, and where does it end? */
static bool piece(char *at, char *end, char **piece_end)
{
	void *start;
	size_t length;

	if (!wmap_range_next(at, (size_t)(end - at), &start, &length)) {
		*piece_end = end;
		return false;
	}
	if ((char *)start > at) {
		*piece_end = start;
		return false;
	}
	*piece_end = at + length;
	return true;
}

int ranges_each(void *addr, size_t length, struct ranges_call *call)
{
	char *at = addr, *end, *next;
	int result = 0;

	is_range(addr, &length);
	call->start = addr;
	for (end = at + length; at < end; at = next) {
		int failed;

		if (piece(at, end, &next))
			failed = call->ours(at, (size_t)(next - at), call);
		else
			failed = call->kernel(at, (size_t)(next - at), call);
		if (failed && !(call->go_on && errno == ENOMEM))
			return -1;
		if (failed)
			result = -1;
	}
	if (result)
		errno = ENOMEM;
	return result;
}

/* ---- Unmapping ---------------------------------------------------------- */

static bool find(const void *addr, struct wmap_mapping_info *info)
{
	info->size = sizeof(*info);
	return wmap_mapping_find(addr, info) == 0;
}

static uint64_t less(uint64_t a, uint64_t b)
{
	return a > b ? a - b : 0;
}

/* Take what is still mapped at @addr off what is gone. */
static void keep(struct wmap_mapping_info *gone, const void *addr)
{
	struct wmap_mapping_info rest;

	if (!find(addr, &rest))
		return;
	gone->loaded = less(gone->loaded, rest.loaded);
	gone->faults = less(gone->faults, rest.faults);
}

/* [start, end) of the mapping @was has been unmapped: report that part. */
static void note_gone(struct wmap_mapping_info *was, char *start, char *end)
{
	char *was_start = was->addr, *was_end = was_start + was->length;

	if (was_start < start)
		keep(was, was_start);
	if (end < was_end)
		keep(was, end);
	if (end > was_end)
		end = was_end;
	was->length = (size_t)(end - start);
	report_gone(was);
}

int ranges_unmap_piece(void *addr, size_t length,
		       const struct ranges_call *call)
{
	struct wmap_mapping_info info;
	bool known = find(addr, &info);

	if ((call->keep ? wmap_range_vacate : wmap_unmap)(addr, length) != 0)
		return -1;
	if (known)
		note_gone(&info, addr, (char *)addr + length);
	return 0;
}

static int leave(void *addr, size_t length, const struct ranges_call *call)
{
	(void)addr;
	(void)length;
	(void)call;
	return 0;
}

int ranges_unmap_ours(void *addr, size_t length)
{
	struct ranges_call call = { .ours = ranges_unmap_piece,
				    .kernel = leave };

	return ranges_ours(addr, length) ? ranges_each(addr, length, &call) : 0;
}

int ranges_vacate_ours(void *addr, size_t length)
{
	struct ranges_call call = { .ours = ranges_unmap_piece,
				    .kernel = leave,
				    .keep = true };

	return ranges_ours(addr, length) ? ranges_each(addr, length, &call) : 0;
}
