/* SPDX-License-Identifier: MIT */
/* What a program of term S24 may call */
#ifndef XV6_USER_H
#define XV6_USER_H

#include "calls.h"

struct wmapinfo;
struct pgdirinfo;

uint wmap(uint addr, int length, int flags, int fd);
int wunmap(uint addr);
uint wremap(uint oldaddr, int oldsize, int newsize, int flags);
int getpgdirinfo(struct pgdirinfo *info);
int getwmapinfo(struct wmapinfo *info);

#endif
