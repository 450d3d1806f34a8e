/* SPDX-License-Identifier: MIT */
/*
 * Mappings: a term's rules, then the native call
 *
 * Nothing is kept here: the native library knows what is mapped. What it does not
 * know is the window, from which the layer chooses a place where the term leaves
 * that to the system. Sums are done in 64 bits.
 */
#include <sys/mman.h>
#include <unistd.h>

#include "api.h"
#include "client.h"
#include "internal.h"
#include "layer.h"
#include "maps.h"
#include "mem.h"
#include "space.h"

/* ---- What is mapped -----------------------------------------------------------*/

size_t maps_list(struct wmap_mapping_info **infos)
{
	ssize_t n = wmap_mapping_list(NULL, 0);

	*infos = NULL;
	if (n <= 0)
		return 0;
	*infos = mem_alloc((size_t)n * sizeof(**infos));
	if (!*infos)
		return 0;
	(*infos)->size = sizeof(**infos);
	return (size_t)wmap_mapping_list(*infos, (size_t)n);
}

void maps_free(struct wmap_mapping_info *infos, size_t n)
{
	mem_free(infos, n * sizeof(*infos));
}

uint64_t maps_end(const struct wmap_mapping_info *info)
{
	return (uint64_t)info->addr + page_up(info->length);
}

/* ---- A place --------------------------------------------------------------------*/

/* Pages left free above a mapping that grows, as long as there is room. */
#define GROWTH (64 * PAGE)

static uint64_t end_of(const struct wmap_mapping_info *info, bool tight)
{
	bool grows = info->flags & WMAP_GROWSUP && !tight;

	return maps_end(info) + (grows ? GROWTH : 0);
}

/* The lowest place in the window, or 0. */
static uint64_t lowest_fit(const struct wmap_mapping_info *infos, size_t n,
			   uint64_t length, bool tight)
{
	uint64_t at = WINDOW_LOW;

	for (size_t i = 0; i < n; i++) {
		if (maps_end(&infos[i]) <= at)
			continue;
		if (at + length <= (uint64_t)infos[i].addr)
			break;
		at = max_u64(at, end_of(&infos[i], tight));
	}
	return at + length <= WINDOW_HIGH ? at : 0;
}

static uint64_t lowest(const struct wmap_mapping_info *infos, size_t n,
		       uint64_t length)
{
	uint64_t at = lowest_fit(infos, n, length, false);

	return at ? at : lowest_fit(infos, n, length, true);
}

/* The highest place, or 0. */
static uint64_t highest(const struct wmap_mapping_info *infos, size_t n,
			uint64_t length)
{
	uint64_t end = rules->high;

	for (; n && end - maps_end(&infos[n - 1]) < length; n--)
		end = (uint64_t)infos[n - 1].addr;
	return end - rules->low >= length ? end - length : 0;
}

/* Where addresses are not scarce: far from the heap, which grows upwards. */
static uint64_t choose(uint64_t length)
{
	struct wmap_mapping_info *infos;
	size_t n = maps_list(&infos);
	uint64_t at = rules->place == PLACE_HINT ? highest(infos, n, length) :
						   lowest(infos, n, length);

	maps_free(infos, n);
	return at;
}

static bool inside(uint64_t address, uint64_t length)
{
	return !(address % PAGE) && address >= rules->low &&
	       address <= rules->high && length <= rules->high - address;
}

/* ---- Mapping --------------------------------------------------------------------*/

static bool flags_ok(unsigned flags)
{
	bool private = flags & WMAP_PRIVATE, shared = flags & WMAP_SHARED;

	if (rules->strict && flags & ~rules->legal)
		return false;
	if ((flags & rules->required) != rules->required ||
	    flags & rules->forbidden)
		return false;
	return !rules->one_kind || private != shared;
}

static bool room_for_one(void)
{
	return !rules->limit ||
	       wmap_mapping_list(NULL, 0) < (ssize_t)rules->limit;
}

static uint64_t map_at(const struct wanted *wanted, uint64_t address)
{
	struct client_map map = {
		.address = address,
		.length = wanted->length,
		.offset = wanted->offset,
		.prot = PROT_READ | PROT_WRITE,
		.flags = (int)(wanted->flags & rules->legal) | WMAP_FIXED |
			 MAPPING_COURSE | (rules->bounded ? MAPPING_BOUND : 0),
		.fd = -1,
		.grain = 1,
	};
	void *at;

	if (!(wanted->flags & WMAP_ANONYMOUS))
		map.fd = files_real(wanted->fd);
	if (!(wanted->flags & WMAP_ANONYMOUS) && map.fd < 0)
		return 0;
	at = api_map(&map);
	return at == WMAP_FAILED ? 0 : (uint64_t)at;
}

/* Where the system has the choice. */
static uint64_t map_somewhere(const struct wanted *wanted)
{
	uint64_t growth = wanted->flags & rules->legal & WMAP_GROWSUP ? PAGE :
									0;
	uint64_t length = page_up(wanted->length), at = 0;

	if (rules->place == PLACE_HINT && wanted->address &&
	    inside(wanted->address, length))
		at = map_at(wanted, wanted->address);
	if (at)
		return at;
	at = choose(length + growth);
	return at ? map_at(wanted, at) : 0;
}

static uint64_t map(const struct wanted *wanted)
{
	/* Longer than any window, so that no sum wraps. */
	if (!wanted->length || wanted->length > rules->high ||
	    !flags_ok(wanted->flags) || !room_for_one())
		return 0;
	if (!(wanted->flags & WMAP_FIXED) && rules->place != PLACE_REQUIRED)
		return map_somewhere(wanted);
	if (!inside(wanted->address, page_up(wanted->length)))
		return 0;
	return map_at(wanted, wanted->address);
}

uint64_t maps_map(const struct wanted *wanted)
{
	uint64_t at;

	pager_start(wanted->flags & rules->legal & WMAP_GROWSUP);
	at = map(wanted);
	if (!at)
		at = rules->failure;
	if (show_tracing)
		show_trace("map(0x%lx, %lu, 0x%x, fd %d) = 0x%lx",
			   (unsigned long)wanted->address,
			   (unsigned long)wanted->length, wanted->flags,
			   wanted->fd, (unsigned long)at);
	return at;
}

/* ---- Unmapping ------------------------------------------------------------------*/

static size_t loaded_of(uint64_t address)
{
	struct wmap_mapping_info info = { .size = sizeof(info) };

	return wmap_mapping_find((void *)address, &info) ? 0 : info.loaded;
}

int maps_unmap(uint64_t address)
{
	size_t loaded = show_tracing ? loaded_of(address) : 0;
	int result = wunmap((void *)address);

	if (show_tracing)
		show_trace("unmap(0x%lx) = %d: %lu pages unloaded",
			   (unsigned long)address, result,
			   (unsigned long)(result ? 0 : loaded));
	return result;
}

/* Every page that the range intersects. */
int maps_unmap_range(uint64_t address, uint64_t length)
{
	uint64_t start = page_down(address), end = page_up(address + length);
	int result = -1;

	if (length)
		result = wmap_unmap((void *)start, end - start);
	if (show_tracing)
		show_trace("unmap(0x%lx, %lu) = %d", (unsigned long)address,
			   (unsigned long)length, result);
	return result;
}

/* ---- Resizing -------------------------------------------------------------------*/

static bool grow_in_window(uint64_t address, uint64_t new_length)
{
	return inside(address, page_up(new_length));
}

/* The native call would choose any place: here it has to be in the window. */
static void *move(uint64_t address, uint64_t old_length, uint64_t new_length)
{
	uint64_t to = choose(page_up(new_length));

	if (!to)
		return WMAP_FAILED;
	return wmap_remap((void *)address, old_length, new_length,
			  WMAP_MAYMOVE | WMAP_FIXED, (void *)to);
}

static bool is_mapping(uint64_t address, uint64_t length)
{
	struct wmap_mapping_info info = { .size = sizeof(info) };

	return !wmap_mapping_find((void *)address, &info) &&
	       (uint64_t)info.addr == address && info.length == length;
}

static void *resize(uint64_t address, uint64_t old_length, uint64_t new_length,
		    unsigned flags)
{
	void *at = WMAP_FAILED;

	if (flags & ~(unsigned)WMAP_MAYMOVE || !is_mapping(address, old_length))
		return at;
	if (grow_in_window(address, new_length))
		at = wremap((void *)address, old_length, new_length, 0);
	if (at == WMAP_FAILED && flags & WMAP_MAYMOVE)
		at = move(address, old_length, new_length);
	return at;
}

uint64_t maps_remap(uint64_t address, uint64_t old_length, uint64_t new_length,
		    unsigned flags)
{
	void *at = resize(address, old_length, new_length, flags);
	uint64_t result = at == WMAP_FAILED ? rules->failure : (uint64_t)at;

	if (show_tracing)
		show_trace("remap(0x%lx, %lu, %lu, %u) = 0x%lx",
			   (unsigned long)address, (unsigned long)old_length,
			   (unsigned long)new_length, flags,
			   (unsigned long)result);
	return result;
}
