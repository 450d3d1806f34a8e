/* SPDX-License-Identifier: MIT */
/* The calls of term F23 and their numbers: xv6cc(1) says what they mean */
#ifndef XV6_MMAP_H
#define XV6_MMAP_H

#define PROT_READ  0x1
#define PROT_WRITE 0x2

#define MAP_PRIVATE   0x0001
#define MAP_SHARED    0x0002
#define MAP_ANONYMOUS 0x0004
#define MAP_ANON      MAP_ANONYMOUS
#define MAP_FIXED     0x0008
#define MAP_GROWSUP   0x0010

#define MAP_FAILED ((void *)-1)

#define FAILED	-1
#define SUCCESS 0

#endif
