/* SPDX-License-Identifier: MIT */
/* Where xv6 has what, on RISC-V */
#ifndef XV6_MEMLAYOUT_H
#define XV6_MEMLAYOUT_H

#define KERNBASE 0x80000000L
#define PHYSTOP	 (KERNBASE + 128 * 1024 * 1024)

#define TRAMPOLINE (MAXVA - PGSIZE)
#define TRAPFRAME  (TRAMPOLINE - PGSIZE)

#endif
