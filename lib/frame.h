/* SPDX-License-Identifier: MIT */
/* Page frames, as /proc/self/pagemap tells them */
#ifndef WMAP_FRAME_H
#define WMAP_FRAME_H

#include <stdint.h>

/*
 * The number of the frame that the page table of this process has at @address;
 * touches nothing. -EFAULT: none. -EPERM: numbers are not shown to us.
 */
int frame_read(uint64_t address, uint64_t *frame);

#endif
