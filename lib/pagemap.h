/* SPDX-License-Identifier: MIT */
/* The page map: what page tables have, as /proc/PID/pagemap tells it */
#ifndef WMAP_PAGEMAP_H
#define WMAP_PAGEMAP_H

#include <stdint.h>

/* Of an entry; linux/fs.h has no names for them. */
#define PAGEMAP_PRESENT (UINT64_C(1) << 63)
#define PAGEMAP_SWAPPED (UINT64_C(1) << 62) /* by the kernel; or a mark alone */
#define PAGEMAP_FILE	(UINT64_C(1) << 61) /* of a file, or shared: no copy */

/*
 * The entries of @count pages from @address on, of the process whose map @fd is;
 * touches nothing. How many could be read, from the first on: 0 if @fd is none.
 */
uint64_t pagemap_read(int fd, uint64_t address, uint64_t count,
		      uint64_t *entries);

/*
 * The number of the frame that the page table of this process has at @address;
 * touches nothing. -EFAULT: none. -EPERM: numbers are not shown to us.
 */
int pagemap_frame(uint64_t address, uint64_t *frame);

#endif
