/* SPDX-License-Identifier: MIT */
/* Pages and page tables of the 32-bit x86 */
#ifndef XV6_MMU_H
#define XV6_MMU_H

#define FL_IF 0x00000200

#define NPDENTRIES 1024
#define NPTENTRIES 1024
#define PGSIZE	   4096

#define PTXSHIFT 12
#define PDXSHIFT 22

#define PDX(va)		(((uint)(va) >> PDXSHIFT) & 0x3FF)
#define PTX(va)		(((uint)(va) >> PTXSHIFT) & 0x3FF)
#define PGADDR(d, t, o) ((uint)((d) << PDXSHIFT | (t) << PTXSHIFT | (o)))

#define PGROUNDUP(sz)  (((sz) + PGSIZE - 1) & ~(PGSIZE - 1))
#define PGROUNDDOWN(a) (((a)) & ~(PGSIZE - 1))

#define PTE_P  0x001 /* present */
#define PTE_W  0x002 /* writable */
#define PTE_U  0x004 /* the program's */
#define PTE_A  0x020 /* accessed */
#define PTE_D  0x040 /* dirty */
#define PTE_PS 0x080 /* a large page */

#define PTE_ADDR(pte)  ((uint)(pte) & ~0xFFF)
#define PTE_FLAGS(pte) ((uint)(pte)&0xFFF)

#endif
