/* SPDX-License-Identifier: MIT */
/* The calls of term S24 and their numbers: xv6cc(1) says what they mean */
#ifndef XV6_WMAP_H
#define XV6_WMAP_H

#define MAP_PRIVATE   0x0001
#define MAP_SHARED    0x0002
#define MAP_ANONYMOUS 0x0004
#define MAP_FIXED     0x0008

#define MREMAP_MAYMOVE 0x1

#define FAILED	-1
#define SUCCESS 0

#define MAX_UPAGE_INFO 32

struct pgdirinfo {
	uint n_upages;		 /* all there are */
	uint va[MAX_UPAGE_INFO]; /* the first of them, ascending */
	uint pa[MAX_UPAGE_INFO];
};

#define MAX_WMMAP_INFO 16

struct wmapinfo {
	int total_mmaps;
	int addr[MAX_WMMAP_INFO];
	int length[MAX_WMMAP_INFO]; /* bytes, as requested */
	int n_loaded_pages[MAX_WMMAP_INFO];
};

#endif
