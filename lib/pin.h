/* SPDX-License-Identifier: MIT */
/*
 * Pins: ranges of an object that stay in memory whatever the budget
 *
 * A pin belongs to a space and goes with its mapping. Those of one space do not
 * overlap; together they have at most three quarters of what its process has of
 * the budget (share.h), and of a limit of its own. Should that become less, as
 * more processes come, pins keep nothing until they fit again.
 *
 * What is pinned its pinner pays for. Pins of memory that outlives the pager are
 * in its ledger, for its successor; a pager that moves out takes all along.
 */
#ifndef WMAP_PIN_H
#define WMAP_PIN_H

#include "pager.h"

struct record;

/* MESSAGE_PIN: answers. */
void pin_change(struct message *message);

/* Is a page kept by a pin? */
bool pin_holds(const struct object *object, uint64_t index);

/* Let go of what @mapping's space has pinned of [first, end). */
void pin_forget(struct mapping *mapping, uint64_t first, uint64_t end);

/* Who has pinned a page, or NULL. */
struct share *pin_share(const struct object *object, uint64_t index);

/* What bounds @mapping's pages has changed. */
void pin_charge(struct mapping *mapping);

/* Call @tell for what @mapping's space has pinned of it, in bytes from its start,
   until it returns an error. */
int pin_each(const struct mapping *mapping, void *context,
	     int (*tell)(void *context, uint64_t offset, uint64_t length));

/* A predecessor's of @space, whose record is its own from now on. -ENOENT: the space
   does not show that any more; -ENOMEM. */
int pin_adopt(struct space *space, struct object *object,
	      const struct record *record);

/* May the budget be @limit? */
bool pin_fit_all(const struct pager *pager, uint64_t limit);

#endif
