/* SPDX-License-Identifier: MIT */
/*
 * Swapping out anonymous memory that is shared
 *
 * An object without a store gets one when its first page is to go: from then on
 * it is as that of a file, written back to swap, punched, and read again. Until
 * then nobody saw what was stored to: so all that is in memory counts as changed,
 * and its mappings are tracked from now on.
 *
 * wmapd's successor goes on with it. What it needs, and who holds it:
 *
 *                     wmapd   keeper   guards
 *   the bytes          file   "swap"   KEEP of LEDGER_SWAP   before the first page
 *   what is where     slots   "slots"  likewise            is written
 *   whose it is       the ledger: RECORD_SWAPPED           before it is punched
 *
 * A page goes in this order: its bytes are in the file, its slot says so, its
 * memory is punched. It comes back in this: its memory has it, and then the slot
 * may go, or be out of date. So whenever wmapd is killed the successor finds it
 * in memory, where it counts as changed; or else where its slot says; and what has
 * neither is zeros. Without the slots or the file what had begun is lost, and
 * SIGBUS, never zeros (takeover.c).
 */
#include "books.h"
#include "ledger.h"
#include "swap.h"
#include "swapout.h"

static void dirty_all(struct object *object)
{
	struct page page;
	uint64_t cursor = 0;

	while (pages_next(&object->pages, 0, UINT64_MAX, &cursor, &page))
		object_dirtied(object, page);
}

/* One of them may not be in place yet, as that of a fork's child, who may have been
   told already how to register it: then it is tried again. */
static int track_all(struct object *object)
{
	int error = 0;

	list_for_each(mapping, &object->mappings, struct mapping, of_object) {
		if (error || !(mapping->flags & WMAP_SHARED) ||
		    !(mapping->prot & PROT_WRITE))
			continue;
		error = mapping_track(mapping);
		if (!error)
			error = ledger_mapping(mapping);
	}
	return error;
}

bool swapout_keep(struct pager *pager)
{
	struct swapout *swapout = &pager->swapout;
	int slots, file, error;

	if (swapout->kept || !pager->ledger)
		return true;
	error = swap_keep(swapout->swap);
	if (!error && swap_descriptors(swapout->swap, &slots, &file))
		error = ledger_swap(pager->ledger, slots, file);
	if (error) {
		swapout_failed(swapout, "nobody else has it", error);
		return false;
	}
	swapout->kept = true;
	if (swapout->opened)
		swapout->opened(pager);
	return true;
}

void swapout_begin(struct object *object)
{
	struct pager *pager = object->pager;

	if (object->swap || !swapout_ready(pager) || !swapout_keep(pager))
		return;
	dirty_all(object);
	if (track_all(object))
		return;
	if (!swap_store_create(pager->swapout.swap, object->id, false,
			       &object->swap))
		ledger_swapped(object);
}

int swapout_adopt(struct pager *pager, int slots, int file)
{
	struct swapout *swapout = &pager->swapout;
	int error = swap_adopt(swapout->swap, slots, file);

	swapout->kept = !error;
	return error;
}

int swapout_adopt_object(struct pager *pager, uint64_t id,
			 struct wmap_store **store)
{
	struct swapout *swapout = &pager->swapout;

	if (!swapout->kept)
		return -ENODATA;
	return swap_store_adopt(swapout->swap, id, store);
}

void swapout_adopted(struct pager *pager)
{
	swap_forget_found(pager->swapout.swap);
}
