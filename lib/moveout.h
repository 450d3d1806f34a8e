/* SPDX-License-Identifier: MIT */
/* The pager's thread moves out into a process (moveout.c has the steps) */
#ifndef WMAP_MOVEOUT_H
#define WMAP_MOVEOUT_H

struct hints;
struct pager;

/*
 * The pager of this process's thread, which does nothing meanwhile, is handed
 * over to a wmapd of its own. 0 and *@hints: it has all of it, and nothing here
 * is to be touched any more. -errno: it has nothing.
 */
int moveout(struct pager *pager, const struct hints **hints);

#endif
