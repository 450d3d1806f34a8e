/* SPDX-License-Identifier: MIT */
/*
 * Huge pages: 2 MiB of zeros that are put in place at once
 *
 * A piece of the pager's own memory is populated, as one huge page where the kernel
 * has one to give, and moved into the mapping, where it stays one. If it has none,
 * 512 pages are moved, which costs no more than to copy them.
 *
 * For private anonymous memory in the pager's own process that may be stored to.
 * Its mapping is told that it may have huge pages (MADV_HUGEPAGE, client_map.c): else
 * the kernel would prepare it for small ones before it sends the message. Where one
 * page is there already the others come as ever.
 */
#ifndef WMAP_HUGE_H
#define WMAP_HUGE_H

#include "internal.h"

struct mapping;

#define HUGE_PAGES (UINT64_C(512))

/* May [address, address + count pages) of plain memory come so? */
bool huge_fits(const struct mapping *mapping, uint64_t address, uint64_t count);

/* Put HUGE_PAGES pages of zeros there, and wake who sleeps. *@done: bytes; on an
   error perhaps less. */
int huge_put(const struct mapping *mapping, uint64_t address, uint64_t *done);

#endif
