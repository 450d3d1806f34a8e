/* SPDX-License-Identifier: MIT */
/* The course's calls as each term has them: their integers and structs */
#include <string.h>

#include "internal.h"
#include "layer.h"
#include "maps.h"

/* ---- F24 and S24 ----------------------------------------------------------------*/

/* A negative length fails. */
static uint64_t length_of(int length)
{
	return length > 0 ? (uint64_t)length : 0;
}

uint call_wmap(uint addr, int length, int flags, int fd)
{
	struct wanted wanted = {
		.address = addr,
		.length = length_of(length),
		.flags = (unsigned)flags,
		.fd = fd,
	};

	return (uint)maps_map(&wanted);
}

int call_wunmap(uint addr)
{
	return maps_unmap(addr);
}

uint call_wremap(uint oldaddr, int oldsize, int newsize, int flags)
{
	if (oldsize <= 0 || newsize <= 0)
		return (uint)rules->failure;
	return (uint)maps_remap(oldaddr, (uint64_t)oldsize, (uint64_t)newsize,
				(unsigned)flags);
}

struct info32 {
	int total_mmaps;
	int addr[16];
	int length[16];
	int n_loaded_pages[16];
};

int call_getwmapinfo(void *info)
{
	struct wmapinfo native;
	struct info32 told = { 0 };

	if (getwmapinfo(&native))
		return -1;
	told.total_mmaps = native.total_mmaps;
	for (int i = 0; i < 16; i++) {
		told.addr[i] = (int)native.addr[i];
		told.length[i] = (int)native.length[i];
		told.n_loaded_pages[i] = (int)native.n_loaded_pages[i];
	}
	if (!copy_out(info, &told, sizeof(told)))
		return -1;
	show_map("getwmapinfo");
	return 0;
}

/* ---- F23 ------------------------------------------------------------------------*/

/* Protections are legal, and memory is always readable and writable. */
void *call_mmap(uint addr, uint length, int prot, int flags, int fd,
		uint offset)
{
	struct wanted wanted = {
		.address = addr,
		.length = length,
		.offset = offset,
		.flags = (unsigned)flags,
		.fd = fd,
	};

	(void)prot;
	if (offset % PAGE_BYTES)
		return (void *)rules->failure;
	return (void *)maps_map(&wanted);
}

int call_munmap(uint addr, uint length)
{
	return maps_unmap_range(addr, length);
}

/* ---- S26 ------------------------------------------------------------------------*/

void *call_mmap64(uint64_t addr, uint64_t length, uint flags)
{
	struct wanted wanted = {
		.address = addr,
		.length = length,
		.flags = flags,
		.fd = -1,
	};

	return (void *)maps_map(&wanted);
}

int call_munmap64(uint64_t addr)
{
	return maps_unmap(addr);
}

struct info64 {
	uint64_t total_mmaps;
	uint64_t addr[64];
	uint64_t length[64];
	uint64_t n_loaded_pages[64];
};

int call_getmmapinfo(void *info)
{
	struct wmap_mapping_info *infos;
	struct info64 told = { 0 };
	size_t n = maps_list(&infos);

	told.total_mmaps = n;
	for (size_t i = 0; i < min_u64(n, 64); i++) {
		told.addr[i] = (uint64_t)infos[i].addr;
		told.length[i] = rules->whole_pages ? page_up(infos[i].length) :
						      infos[i].length;
		told.n_loaded_pages[i] = rules->common_counts ?
						 infos[i].resident :
						 infos[i].loaded;
	}
	maps_free(infos, n);
	if (!copy_out(info, &told, sizeof(told)))
		return -1;
	show_map("getmmapinfo");
	return 0;
}
