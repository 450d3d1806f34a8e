/* SPDX-License-Identifier: MIT */
/* Mappings by a term's rules, in 64 bits: below the calls of all terms */
#ifndef WMAP_XV6_MAPS_H
#define WMAP_XV6_MAPS_H

#include <stddef.h>
#include <stdint.h>

#include "wmap/wmap.h"

struct wanted {
	uint64_t address, length, offset;
	unsigned flags; /* the course's, as they came */
	int fd;		/* the program's; ignored if anonymous */
};

/* The address, or what the term has for failure. */
uint64_t maps_map(const struct wanted *wanted);
uint64_t maps_remap(uint64_t address, uint64_t old_length, uint64_t new_length,
		    unsigned flags);

/* 0 or -1. */
int maps_unmap(uint64_t address);
int maps_unmap_range(uint64_t address, uint64_t length);

/* All mappings, ascending, to be freed with their number. */
size_t maps_list(struct wmap_mapping_info **infos);
void maps_free(struct wmap_mapping_info *infos, size_t n);

/* One beyond the mapping's last page. */
uint64_t maps_end(const struct wmap_mapping_info *info);

#endif
