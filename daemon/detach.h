/* SPDX-License-Identifier: MIT */
/* Becoming a process of the background */
#ifndef WMAP_DETACH_H
#define WMAP_DETACH_H

#include <stddef.h>

/* Close all but the @n of @fds, which become sorted, and the standard three. */
void detach_close_others(int *fds, size_t n);

/* No terminal, standard descriptors or directory of anybody's. */
void detach_terminal(void);

#endif
