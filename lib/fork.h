/* SPDX-License-Identifier: MIT */
/* Around fork(2): what a child inherits (fork.c has the plan) */
#ifndef WMAP_FORK_H
#define WMAP_FORK_H

/* Have the handlers run at every fork from now on; -ENOMEM. */
int fork_prepare(void);

#endif
