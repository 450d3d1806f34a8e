/* SPDX-License-Identifier: MIT */
/* What a program of term F24 may call */
#ifndef XV6_USER_H
#define XV6_USER_H

#include "calls.h"

struct wmapinfo;

uint wmap(uint addr, int length, int flags, int fd);
int wunmap(uint addr);
uint va2pa(uint va);
int getwmapinfo(struct wmapinfo *info);

#endif
