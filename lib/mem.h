/* SPDX-License-Identifier: MIT */
/*
 * Memory for the pager and for what it frees
 *
 * malloc may live in memory that we page (a preloaded program's allocator), or
 * hold a lock while it touches such memory: the pager that waited for it would
 * wait for itself. So this memory comes from mmap in slabs, by size class.
 *
 * Threads: any. The lock inside is held for a few instructions, with all
 * signals blocked, and never while anything is touched that we page.
 */
#ifndef WMAP_MEM_H
#define WMAP_MEM_H

#include <stddef.h>

/* Zeroed memory, aligned to 16 bytes, to 4096 from 4096 bytes up; or NULL. */
void *mem_alloc(size_t size);

/* As realloc(3): @memory of @size bytes has @larger, in another place. NULL: there
   are none, and it stays. */
void *mem_resize(void *memory, size_t size, size_t larger);

/* @size is what it was allocated with. NULL does nothing. */
void mem_free(void *memory, size_t size);

/* Bytes handed out and not freed. */
size_t mem_used(void);

/* In a fork's child, before anything else: the lock may have been held. */
void mem_child(void);

#endif
