/* SPDX-License-Identifier: MIT */
/*
 * Swapping out anonymous memory that is shared
 *
 * An object without a store gets one when its first page is to go: from then on
 * it is as that of a file, written back to swap, punched, and read again. Until
 * then nobody saw what was stored to: so all that is in memory counts as changed,
 * and its mappings are tracked from now on.
 *
 * Only in the pager's own process, as wmapd's successor would not know what is
 * where.
 */
#include "books.h"
#include "swap.h"
#include "swapout.h"

static void dirty_all(struct object *object)
{
	struct page page;
	uint64_t cursor = 0;

	while (pages_next(&object->pages, 0, UINT64_MAX, &cursor, &page))
		object_dirtied(object, page);
}

/* One of them may not be in place yet: then it is tried again. */
static int track_all(struct object *object)
{
	int error = 0;

	list_for_each(mapping, &object->mappings, struct mapping, of_object)
		if (!error && mapping->flags & WMAP_SHARED &&
		    mapping->prot & PROT_WRITE)
			error = mapping_track(mapping);
	return error;
}

void swapout_begin(struct object *object)
{
	struct swapout *swapout = &object->pager->swapout;

	if (object->swap || !swapout_ready(object->pager))
		return;
	dirty_all(object);
	if (!track_all(object))
		swap_store_create(swapout->swap, false, &object->swap);
}
