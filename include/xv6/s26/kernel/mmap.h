/* SPDX-License-Identifier: MIT */
/* The calls of term S26 and their numbers: xv6cc(1) says what they mean */
#ifndef XV6_MMAP_H
#define XV6_MMAP_H

#define MAP_SHARED    0x0002
#define MAP_ANONYMOUS 0x0004
#define MAP_FIXED     0x0008

#define FAILED	-1
#define SUCCESS 0

#define MAX_MMAPS      64
#define MAX_MMAP_INFO  MAX_MMAPS
#define MAX_WMMAP_INFO MAX_MMAPS

struct mmapinfo {
	uint64 total_mmaps;
	void *addr[MAX_MMAPS];
	uint64 length[MAX_MMAPS]; /* bytes, of whole pages */
	uint64 n_loaded_pages[MAX_MMAPS];
};

#endif
