/* SPDX-License-Identifier: MIT */
/*
 * Pins: ranges of an object that stay in memory whatever the budget
 *
 * A pin belongs to a space and goes with its mapping. Those of one space do not
 * overlap; together all pins have at most three quarters of the budget.
 */
#ifndef WMAP_PIN_H
#define WMAP_PIN_H

#include "pager.h"

/* MESSAGE_PIN: answers. */
void pin_change(struct message *message);

/* Is a page pinned? */
bool pin_holds(const struct object *object, uint64_t index);

/* Let go of what @mapping's space has pinned of [first, end). */
void pin_forget(struct mapping *mapping, uint64_t first, uint64_t end);

/* May the budget be @limit? */
bool pin_fits(const struct pager *pager, uint64_t pages, uint64_t limit);

#endif
