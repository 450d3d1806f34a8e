/* SPDX-License-Identifier: MIT */
/* Pages and page tables of RISC-V's Sv39; none of its instructions */
#ifndef XV6_RISCV_H
#define XV6_RISCV_H

typedef uint64 pte_t;
typedef uint64 *pagetable_t;

#define PGSIZE	4096
#define PGSHIFT 12

#define PGROUNDUP(sz)  (((sz) + PGSIZE - 1) & ~(PGSIZE - 1))
#define PGROUNDDOWN(a) (((a)) & ~(PGSIZE - 1))

#define PTE_V (1L << 0) /* valid */
#define PTE_R (1L << 1)
#define PTE_W (1L << 2)
#define PTE_X (1L << 3)
#define PTE_U (1L << 4) /* the program's */

#define PA2PTE(pa)     ((((uint64)(pa)) >> 12) << 10)
#define PTE2PA(pte)    (((pte) >> 10) << 12)
#define PTE_FLAGS(pte) ((pte)&0x3FF)

#define PXMASK	       0x1FF
#define PXSHIFT(level) (PGSHIFT + (9 * (level)))
#define PX(level, va)  ((((uint64)(va)) >> PXSHIFT(level)) & PXMASK)

/* One beyond the highest address: 38 bits. */
#define MAXVA (1L << (9 + 9 + 9 + 12 - 1))

#endif
