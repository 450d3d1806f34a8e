/* SPDX-License-Identifier: MIT */
/* Where xv6 has what */
#ifndef XV6_MEMLAYOUT_H
#define XV6_MEMLAYOUT_H

#define EXTMEM	 0x100000  /* physical memory above this */
#define PHYSTOP	 0xE000000 /* and below this */
#define DEVSPACE 0xFE000000
#define KERNBASE 0x80000000 /* the kernel's addresses begin */
#define KERNLINK (KERNBASE + EXTMEM)

#define V2P(a)	  (((uint)(a)) - KERNBASE)
#define P2V(a)	  ((void *)(unsigned long)(((uint)(a)) + KERNBASE))
#define V2P_WO(x) ((x)-KERNBASE)
#define P2V_WO(x) ((x) + KERNBASE)

#endif
