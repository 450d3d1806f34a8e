/* SPDX-License-Identifier: MIT */
/*
 * Recording: the pager notes each page of a file that is touched first
 *
 * A touch that nothing tells of would be missed, and what was only read ahead
 * must not be taken for touched. So while a pager records, each first touch is a
 * message (mapping.exact): what is brought before it was asked for is put into the
 * object's memory and into no page table, and a minor fault tells when it is used.
 * Reading ahead goes on, in reads as large as ever; a touch of what it has brought
 * costs a message that it would not else. To read nothing ahead would
 * be simpler, and cost a read of the store for each page.
 *
 * Recorded are faults of all processes that the pager serves, each page once.
 */
#ifndef WMAP_RECORD_H
#define WMAP_RECORD_H

#include "internal.h"

struct mapping;
struct object;
struct pager;

/* From now on, into the journal in @fd, which stays the caller's; goes on with what
   is in it. -EALREADY: it records. */
int record_start(struct pager *pager, int fd);

/* No more; does nothing where nothing is recorded. */
void record_stop(struct pager *pager);

/* Shall each first touch of the object be a message? */
bool record_wants(const struct pager *pager, const struct object *object);

/* A fault on a page of the mapping's object. */
void record_touched(struct mapping *mapping, uint64_t page);

#endif
