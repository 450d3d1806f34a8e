/* SPDX-License-Identifier: MIT */
/* What a program of term F23 may call */
#ifndef XV6_USER_H
#define XV6_USER_H

#include "calls.h"

void *mmap(void *addr, __SIZE_TYPE__ length, int prot, int flags, int fd,
	   long offset);
int munmap(void *addr, __SIZE_TYPE__ length);

#endif
