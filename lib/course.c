/* SPDX-License-Identifier: MIT */
/*
 * The course's calls, in 64 bits
 *
 * They differ from wmap_* in their mappings' flag MAPPING_COURSE: each touch
 * loads one page and is counted, past the end of a file are zeros, and a store
 * there makes it longer, as far as the mapping goes.
 */
#include <string.h>
#include <sys/mman.h>

#include "api.h"
#include "client.h"
#include "mem.h"
#include "message.h"
#include "space.h"

#define FLAGS \
	(WMAP_PRIVATE | WMAP_SHARED | WMAP_ANONYMOUS | WMAP_FIXED | \
	 WMAP_GROWSUP)

void *wmap(void *addr, size_t length, int flags, int fd)
{
	struct client_map map = {
		.address = flags & WMAP_FIXED ? (uint64_t)addr : 0,
		.length = length,
		.prot = PROT_READ | PROT_WRITE,
		.flags = flags | MAPPING_COURSE,
		.fd = flags & WMAP_ANONYMOUS ? -1 : fd,
		.grain = 1,
	};

	if (flags & ~FLAGS)
		return api_pointer(-EINVAL, 0);
	if (!(flags & WMAP_ANONYMOUS) && fd < 0)
		return api_pointer(-EBADF, 0);
	return api_map(&map);
}

int wunmap(void *addr)
{
	return api_result(client_unmap_exact((uint64_t)addr));
}

void *wremap(void *oldaddr, size_t oldsize, size_t newsize, int flags)
{
	uint64_t address = 0;
	int error = -EINVAL;

	if (oldsize && api_length_ok(oldsize) && api_length_ok(newsize) &&
	    !(flags & ~WMAP_MAYMOVE))
		error = client_remap((uint64_t)oldaddr, oldsize, newsize, flags,
				     true, &address);
	return api_pointer(error, address);
}

static void collect(struct wmapinfo *out, const struct wmap_mapping_info *infos,
		    size_t n)
{
	for (size_t i = 0; i < n; i++) {
		out->addr[i] = (uint64_t)infos[i].addr;
		out->length[i] = infos[i].length;
		out->n_loaded_pages[i] = infos[i].loaded;
	}
}

int getwmapinfo(struct wmapinfo *info)
{
	struct wmap_mapping_info infos[WMAP_MAX_INFO];
	struct message message = {
		.kind = MESSAGE_LIST,
		.list = { .infos = infos, .room = WMAP_MAX_INFO },
	};
	struct wmapinfo out;
	int error = client_call(&message);

	if (error && error != -ESRCH)
		return api_result(error);
	memset(&out, 0, sizeof(out));
	if (!error) {
		out.total_mmaps = (int)message.list.total;
		collect(&out, infos,
			min_u64(message.list.total, WMAP_MAX_INFO));
	}
	return api_result(client_copy_out(info, &out, sizeof(out)));
}
