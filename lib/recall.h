/* SPDX-License-Identifier: MIT */
/*
 * What this process has its pager record and replay
 *
 * As wmap_record_start and wmap_replay said, else $WMAP_RECORD and $WMAP_REPLAY. A
 * pager is told when it starts: a thread by messages, a process of its own by
 * descriptors that it inherits. The journal is memory that both have, so a pager
 * that moves out, or dies, costs no recording; this process writes the file.
 */
#ifndef WMAP_RECALL_H
#define WMAP_RECALL_H

#include <stdbool.h>

/* In a fork's child, before anything else. */
void recall_child(void);

/* The environment is looked at. Before a pager is started. */
void recall_prepare(void);

/* The thread that is the pager hears of it. */
void recall_tell(void);

/* The pager is somebody else's, who does not hear of it. */
void recall_refused(void);

/* For a pager that is a process of its own: descriptors, or -1. */
void recall_descriptors(int *journal, int *recording);

/* The lowest of ours from @from on, or INT_MAX; @fd, if it is ours, gets another
   number. */
int recall_fd(int from);
void recall_fd_yield(int fd);

/* What is recorded is written to its file, as the program ends. */
void recall_end(void);

#endif
