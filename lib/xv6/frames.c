/* SPDX-License-Identifier: MIT */
/*
 * Frames: va2pa and getpgdirinfo
 *
 * What the hardware does is asked of the native va2pa; the frame gets the
 * family's number, so that equal stays equal and different different. Only the
 * program's own memory counts, which lies in these ranges:
 *
 *   image   code and data, all there since the start
 *   stack   as far as it was touched
 *   heap    all there
 *   window  what is loaded of mappings
 *
 * Address 0 stands for the first page of code, as the image would begin there.
 */
#include <errno.h>
#include <sys/mman.h>

#include "pagemap.h"
#include "internal.h"
#include "layer.h"
#include "maps.h"
#include "mem.h"

#define NO_ADDRESS UINT32_MAX

static uint physical(uint64_t address)
{
	uint64_t real = va2pa((void *)address);
	uint number;

	if (real == UINT64_MAX && errno == EPERM)
		complain("xv6: va2pa: frame numbers are hidden from this "
			 "process; reading them takes CAP_SYS_ADMIN (be "
			 "root)\n");
	if (real == UINT64_MAX)
		return NO_ADDRESS;
	number = family_number(real >> PAGE_SHIFT);
	if (!number)
		complain("xv6: va2pa: more frames than xv6's physical memory "
			 "has were asked for\n");
	return number ? number + (uint)(real % PAGE) : NO_ADDRESS;
}

/* Code and data may have been dropped from memory: no part of the meaning. */
static uint ordinary(uint64_t address)
{
	volatile const char *byte = (const char *)address;
	uint64_t frame;

	if (address < program.image_end &&
	    pagemap_frame(address, &frame) == -EFAULT)
		(void)*byte;
	return physical(address);
}

static bool is_own(uint64_t address)
{
	return (address >= program.image && address < program.image_end) ||
	       (address >= STACK_LOW && address < page_up(program.brk));
}

uint call_va2pa(uint va)
{
	uint64_t address = va < PAGE_BYTES ? program.code + va : va;

	if (is_own(address))
		return ordinary(address);
	return va >= WINDOW_LOW && va < WINDOW_HIGH ? physical(va) : NO_ADDRESS;
}

/* ---- The page directory --------------------------------------------------------- */

#define TOLD 32

struct pgdirinfo {
	uint n_upages;
	uint va[TOLD];
	uint pa[TOLD];
};

/* One more page is there. */
static void tell(struct pgdirinfo *told, uint64_t address)
{
	uint i = told->n_upages++;

	if (i >= TOLD)
		return;
	told->va[i] = address == program.code ? 0 : (uint)address;
	told->pa[i] = call_va2pa((uint)address);
}

/* All of [start, end) is there; what is beyond the first 32 is only counted. */
static void tell_all(struct pgdirinfo *told, uint64_t start, uint64_t end)
{
	while (start < end && told->n_upages < TOLD) {
		tell(told, start);
		start += PAGE;
	}
	told->n_upages += (uint)((end - start) / PAGE);
}

static bool is_present(uint64_t address)
{
	uint64_t frame;

	return pagemap_frame(address, &frame) != -EFAULT;
}

static void tell_stack(struct pgdirinfo *told)
{
	for (uint64_t at = STACK_LOW; at < STACK_HIGH; at += PAGE)
		if (is_present(at))
			tell(told, at);
}

/* Pages in memory that are not this mapping's are those that it has not
   touched, and another one shows. */
static void tell_loaded(struct pgdirinfo *told,
			const struct wmap_mapping_info *info,
			const unsigned char *resident)
{
	uint64_t pages = page_up(info->length) / PAGE, found = 0;
	bool all = info->resident == info->loaded;

	for (uint64_t i = 0; i < pages && told->n_upages < TOLD; i++) {
		uint64_t at = (uint64_t)info->addr + i * PAGE;

		if (!(resident[i] & 1) || (!all && !is_present(at)))
			continue;
		tell(told, at);
		found++;
	}
	if (info->loaded > found)
		told->n_upages += (uint)(info->loaded - found);
}

static void tell_mapping(struct pgdirinfo *told,
			 const struct wmap_mapping_info *info)
{
	uint64_t pages = page_up(info->length) / PAGE;
	unsigned char *resident = mem_alloc(pages);

	if (resident && !wmap_residency(info->addr, pages * PAGE, resident))
		tell_loaded(told, info, resident);
	mem_free(resident, pages);
}

int call_getpgdirinfo(void *info)
{
	struct pgdirinfo told = { 0 };
	struct wmap_mapping_info *infos;
	size_t n;

	if (call_va2pa(0) == NO_ADDRESS)
		return -1;
	tell_all(&told, program.code, program.image_end);
	tell_stack(&told);
	tell_all(&told, HEAP_LOW, page_up(program.brk));
	n = maps_list(&infos);
	for (size_t i = 0; i < n; i++)
		tell_mapping(&told, &infos[i]);
	maps_free(infos, n);
	return copy_out(info, &told, sizeof(told)) ? 0 : -1;
}
