/* SPDX-License-Identifier: MIT */
/* xv6's names of integers, and those that mmap has */
#ifndef XV6_F23_TYPES_H
#define XV6_F23_TYPES_H

#include "../x86/types.h"

typedef __SIZE_TYPE__ size_t;
typedef long off_t;

#endif
