/* SPDX-License-Identifier: MIT */
/* What each term's calls allow, and how they answer */
#include "layer.h"
#include "wmap/wmap.h"

#define MAP_PRIVATE   WMAP_PRIVATE
#define MAP_SHARED    WMAP_SHARED
#define MAP_ANONYMOUS WMAP_ANONYMOUS
#define MAP_FIXED     WMAP_FIXED
#define MAP_GROWSUP   WMAP_GROWSUP

/* But for the kernel and its tables. */
#define X86_MEMORY (PHYSICAL_HIGH - 0x400000)

const struct rules *rules;

static const struct rules terms[] = {
	{
		.name = "f24",
		.limit = 16,
		.low = WINDOW_LOW,
		.high = WINDOW_HIGH,
		.legal = MAP_PRIVATE | MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED,
		.required = MAP_SHARED | MAP_FIXED,
		.forbidden = MAP_PRIVATE,
		.place = PLACE_REQUIRED,
		.failure = UINT32_MAX,
		.memory = X86_MEMORY,
	},
	{
		.name = "s24",
		.limit = 16,
		.low = WINDOW_LOW,
		.high = WINDOW_HIGH,
		.legal = MAP_PRIVATE | MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED,
		.one_kind = true,
		.place = PLACE_IGNORED,
		.failure = UINT32_MAX,
		.memory = X86_MEMORY,
	},
	{
		.name = "f23",
		.low = WINDOW_LOW,
		.high = WINDOW_HIGH,
		.legal = MAP_PRIVATE | MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED |
			 MAP_GROWSUP,
		.one_kind = true,
		.place = PLACE_IGNORED,
		.failure = UINT64_MAX,
		.memory = X86_MEMORY,
	},
	{
		.name = "s26",
		.limit = 64,
		.low = PAGE_BYTES,
		.high = (UINT64_C(1) << 38) - 2 * PAGE_BYTES, /* TRAPFRAME */
		.legal = MAP_PRIVATE | MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED,
		.strict = true,
		.required = MAP_SHARED | MAP_ANONYMOUS, /* it has no fd */
		.forbidden = MAP_PRIVATE,
		.place = PLACE_HINT,
		.failure = 0,
		.whole_pages = true,
		.common_counts = true,
		.memory = 128 << 20,
		.bounded = true,
	},
};

const struct rules *rules_of(unsigned term)
{
	return term < sizeof(terms) / sizeof(terms[0]) ? &terms[term] : NULL;
}
