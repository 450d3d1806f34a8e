/* SPDX-License-Identifier: MIT */
/* xv6's names of integers. uint is the width of an xv6 address; programs lie
   below 2 GiB, so that one holds every pointer. */
#ifndef XV6_TYPES_H
#define XV6_TYPES_H

typedef unsigned char uchar;
typedef unsigned short ushort;
typedef unsigned int uint;
typedef uint pde_t;
typedef uint pte_t;

#endif
