/* SPDX-License-Identifier: MIT */
/* What the public calls have in common */
#ifndef WMAP_API_H
#define WMAP_API_H

#include <stdbool.h>
#include <stdint.h>

#include "client.h"

/* 0, or -1 and errno, of 0 or a negative errno. */
int api_result(int error);

/* @address, or WMAP_FAILED and errno. */
void *api_pointer(int error, uint64_t address);

/* > 0, and not "negative" */
bool api_length_ok(uint64_t length);

/* Start the pager, and map; checks what all kinds of mapping must have. */
void *api_map(struct client_map *map);

#endif
