/* SPDX-License-Identifier: MIT */
/* The calls of wmap_*: arguments checked, errno set */
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "api.h"
#include "budget.h"
#include "mem.h"
#include "message.h"
#include "space.h"
#include "sys.h"

#define PROTS (PROT_READ | PROT_WRITE | PROT_EXEC)

int api_result(int error)
{
	if (!error)
		return 0;
	errno = -error;
	return -1;
}

void *api_pointer(int error, uint64_t address)
{
	if (!error)
		return (void *)address;
	errno = -error;
	return WMAP_FAILED;
}

bool api_length_ok(uint64_t length)
{
	return length && length <= PTRDIFF_MAX;
}

/* ---- Mapping -----------------------------------------------------------------*/

static uint64_t default_deadline(void)
{
	const char *text = getenv("WMAP_DEADLINE_MS");
	unsigned long long ms = text ? strtoull(text, NULL, 10) : 0;

	return (ms ? ms : 30000) * 1000000;
}

static bool place_ok(const struct client_map *map)
{
	if (!(map->flags & WMAP_FIXED))
		return true;
	return map->address && !(map->address % PAGE);
}

static bool sharing_ok(int flags)
{
	return !(flags & WMAP_PRIVATE) != !(flags & WMAP_SHARED);
}

void *api_map(struct client_map *map)
{
	uint64_t address = 0;
	int error;

	if (!api_length_ok(map->length) || !sharing_ok(map->flags) ||
	    !place_ok(map))
		return api_pointer(-EINVAL, 0);
	if (page_up(map->length) > UINT64_MAX - map->address)
		return api_pointer(-ENOMEM, 0);
	if (!map->deadline)
		map->deadline = default_deadline();
	do { /* again, if the pager was stopped in between */
		error = client_start();
		if (!error)
			error = client_map(map, &address);
	} while (error == -ESRCH);
	return api_pointer(error, address);
}

static int check_memory(uint64_t bytes)
{
	if (bytes == BUDGET_NONE)
		return 0;
	return bytes < BUDGET_MIN || bytes > budget_most() ? -EINVAL : 0;
}

static int take_options(struct client_map *map,
			const struct wmap_map_options *options)
{
	uint64_t grain;

	map->grain = 1;
	if (!options)
		return 0;
	if (options->size != sizeof(*options))
		return -EINVAL;
	grain = options->grain ? options->grain : PAGE;
	if (grain & (grain - 1) || grain < PAGE || grain > GRAIN_MAX)
		return -EINVAL;
	if (options->store && map->flags & (WMAP_ANONYMOUS | WMAP_DIRECT))
		return -EINVAL;
	map->grain = grain >> PAGE_SHIFT;
	map->store = options->store;
	map->deadline = options->deadline_ms * 1000000ull;
	if (!options->memory || options->memory == WMAP_MEMORY_UNLIMITED)
		return 0;
	map->memory = options->memory;
	return check_memory(map->memory);
}

/* The largest object: page numbers have 36 bits. */
#define OBJECT_MAX (PAGE << 36)

/* A length that is too long in itself is for the address space to refuse. */
static int check_offset(off_t offset, size_t length)
{
	uint64_t most = min_u64(length, OBJECT_MAX);

	if (offset % (off_t)PAGE)
		return -EINVAL;
	if (offset < 0 || (uint64_t)offset > OBJECT_MAX - most)
		return -EOVERFLOW;
	return 0;
}

#define FLAGS \
	(WMAP_PRIVATE | WMAP_SHARED | WMAP_ANONYMOUS | WMAP_FIXED | \
	 WMAP_REPLACE | WMAP_DIRECT)

void *wmap_map(void *addr, size_t length, int prot, int flags, int fd,
	       off_t offset, const struct wmap_map_options *options)
{
	struct client_map map = {
		.address = (uint64_t)addr,
		.length = length,
		.offset = (uint64_t)offset,
		.prot = prot,
		.flags = flags,
		.fd = fd,
	};
	int error = check_offset(offset, length);

	if (flags & ~FLAGS || prot & ~PROTS ||
	    (flags & WMAP_REPLACE && !(flags & WMAP_FIXED)))
		error = -EINVAL;
	if (!error)
		error = take_options(&map, options);
	if (flags & WMAP_ANONYMOUS || map.store)
		map.fd = -1;
	else if (!error && fd < 0)
		error = -EBADF;
	if (error)
		return api_pointer(error, 0);
	if (flags & WMAP_ANONYMOUS)
		map.offset = 0;
	return api_map(&map);
}

/* A page-aligned range that does not wrap; @length may be 0. */
static bool range_ok(const void *addr, size_t length)
{
	uint64_t start = (uint64_t)addr;

	return !(start % PAGE) && length <= PTRDIFF_MAX &&
	       start + page_up(length) >= start;
}

int wmap_unmap(void *addr, size_t length)
{
	uint64_t start = (uint64_t)addr;

	if (!length || !range_ok(addr, length))
		return api_result(-EINVAL);
	return api_result(client_unmap(start, start + page_up(length)));
}

void *wmap_remap(void *oldaddr, size_t oldlength, size_t newlength, int flags,
		 void *newaddr)
{
	uint64_t old = (uint64_t)oldaddr, address = (uint64_t)newaddr;
	bool fixed = flags & WMAP_FIXED;
	int error = -EINVAL;

	if (!oldlength || !newlength || !range_ok(oldaddr, oldlength) ||
	    newlength > PTRDIFF_MAX || flags & ~(WMAP_MAYMOVE | WMAP_FIXED) ||
	    (fixed && !(flags & WMAP_MAYMOVE)))
		return api_pointer(error, 0);
	if (fixed && (!range_ok(newaddr, newlength) || !newaddr ||
		      (address < old + page_up(oldlength) &&
		       old < address + page_up(newlength))))
		return api_pointer(error, 0);
	error = client_remap(old, oldlength, newlength, flags, false, &address);
	return api_pointer(error, address);
}

/* A message about a range; where no pager runs nothing is mapped. */
static int call_range(struct message *message, const void *addr, size_t length)
{
	int error;

	if (!range_ok(addr, length))
		return -EINVAL;
	message->address = (uint64_t)addr;
	message->length = length;
	error = client_call(message);
	return error == -ESRCH ? (length ? -ENOMEM : 0) : error;
}

int wmap_protect(void *addr, size_t length, int prot)
{
	uint64_t start = (uint64_t)addr;

	if (prot & ~PROTS || !range_ok(addr, length))
		return api_result(-EINVAL);
	if (!length)
		return 0;
	return api_result(client_protect(start, page_up(length), prot));
}

int wmap_sync(void *addr, size_t length, int flags)
{
	struct message message = {
		.kind = MESSAGE_SYNC,
		.sync = {
			.wait = flags == WMAP_SYNC_WAIT,
			.flush = flags == WMAP_SYNC_WAIT,
		},
	};

	if (flags != WMAP_SYNC_WAIT && flags != WMAP_SYNC_START)
		return api_result(-EINVAL);
	return api_result(call_range(&message, addr, length));
}

int wmap_advise(void *addr, size_t length, int advice)
{
	struct message message = {
		.kind = MESSAGE_ADVISE,
		.advise.advice = advice,
	};
	int error = -EINVAL;

	if (advice >= WMAP_ADVICE_NORMAL && advice <= WMAP_ADVICE_PAGEOUT)
		error = call_range(&message, addr, length);
	if (!error && length && message.advise.drop)
		error = (int)sys_call(SYS_madvise, addr, page_up(length),
				      MADV_DONTNEED);
	return api_result(error);
}

/* ---- Memory ----------------------------------------------------------------------*/

int wmap_memory_set(size_t bytes)
{
	struct message message = {
		.kind = MESSAGE_MEMORY,
		.memory.limit = bytes,
	};
	int error = client_start();

	if (!error)
		error = check_memory(bytes);
	if (!error)
		error = client_call(&message);
	return api_result(error);
}

int wmap_swap_set(const char *where)
{
	char copy[PATH_MAX + 8];
	struct message message = { .kind = MESSAGE_SWAP, .swap.where = copy };
	int error = where ? 0 : -EINVAL;

	if (!error && strlen(where) >= sizeof(copy))
		error = -ENAMETOOLONG;
	if (!error)
		error = client_start();
	if (!error) {
		strcpy(copy, where);
		error = client_call(&message);
	}
	return api_result(error);
}

int wmap_mapping_bound(void *addr, size_t bytes)
{
	struct message message = {
		.kind = MESSAGE_MEMORY,
		.address = (uint64_t)addr,
		.memory = { .mapping = true, .limit = bytes },
	};
	int error = check_memory(bytes);

	if (!error)
		error = client_call(&message);
	return api_result(error == -ESRCH ? -ENOENT : error);
}

static int prefetch(struct message *message)
{
	struct wmap_range *ranges = message->prefetch.ranges;
	size_t n = message->prefetch.n;
	int error = message_check_ranges(ranges, n);

	if (!error)
		error = client_call(message);
	if (error)
		mem_free(ranges, n * sizeof(*ranges));
	return error == -ESRCH ? 0 : error;
}

int64_t wmap_prefetch(const struct wmap_range *ranges, size_t n)
{
	struct message message = { .kind = MESSAGE_PREFETCH, .prefetch.n = n };
	size_t size = n * sizeof(*ranges);
	int error;

	if (n > WMAP_PREFETCH_MAX)
		return api_result(-EINVAL);
	if (!n)
		return 0;
	message.prefetch.ranges = mem_alloc(size);
	if (!message.prefetch.ranges)
		return api_result(-ENOMEM);
	error = client_copy_in(message.prefetch.ranges, ranges, size);
	if (error)
		mem_free(message.prefetch.ranges, size);
	else
		error = prefetch(&message);
	return error ? api_result(error) : (int64_t)message.prefetch.id;
}

static int prefetch_end(int64_t id, bool cancel)
{
	struct message message = {
		.kind = MESSAGE_PREFETCH_WAIT,
		.prefetch = { .id = (uint64_t)id, .cancel = cancel },
	};
	int error = client_call(&message);

	return api_result(error == -ESRCH ? 0 : error);
}

int wmap_prefetch_wait(int64_t id)
{
	return prefetch_end(id, false);
}

int wmap_prefetch_cancel(int64_t id)
{
	return prefetch_end(id, true);
}

static int pin(void *addr, size_t length, bool keep)
{
	struct message message = { .kind = MESSAGE_PIN, .pin.pin = keep };

	return call_range(&message, addr, length);
}

int wmap_pin(void *addr, size_t length)
{
	struct wmap_range range = { addr, length };
	int error = pin(addr, length, true);
	char byte;

	if (error)
		return api_result(error);
	wmap_prefetch(&range, length ? 1 : 0);
	/* Past the end of the store, and where nothing may be read, it fails. */
	for (size_t i = 0; i < length; i += PAGE)
		client_copy_in(&byte, (char *)addr + i, 1);
	return 0;
}

int wmap_unpin(void *addr, size_t length)
{
	return api_result(pin(addr, length, false));
}

/* ---- Information ---------------------------------------------------------------*/

/* Pages told in one message. */
#define TOLD ((size_t)32 << 10)

/* By its parts; fills message->residency.vector, and moves it. */
static int residency(struct message *message, const char *addr, size_t length)
{
	unsigned char *vector = message->residency.vector;
	int error;

	do {
		size_t part = min_u64(length, TOLD << PAGE_SHIFT);

		error = call_range(message, addr, part);
		addr += part;
		length -= part;
		message->residency.vector += page_up(part) >> PAGE_SHIFT;
	} while (!error && length);
	message->residency.vector = vector;
	return error;
}

int wmap_residency(void *addr, size_t length, unsigned char *vec)
{
	size_t pages = page_up(length) >> PAGE_SHIFT;
	struct message message = { .kind = MESSAGE_RESIDENCY };
	int error;

	if (!range_ok(addr, length))
		return api_result(-EINVAL);
	if (length && !wmap_range_ours(addr, length))
		return api_result(-ENOMEM);
	message.residency.vector = mem_alloc(pages ? pages : 1);
	if (!message.residency.vector)
		return api_result(-ENOMEM);
	error = residency(&message, addr, length);
	if (!error && pages)
		error = client_copy_out(vec, message.residency.vector, pages);
	mem_free(message.residency.vector, pages ? pages : 1);
	return api_result(error);
}

/* The first @n mappings, or the one at or nearest to @address. */
static int list_into(struct wmap_mapping_info *infos, size_t n, bool near,
		     const void *address, size_t *total)
{
	struct message message = {
		.kind = MESSAGE_LIST,
		.address = (uint64_t)address,
		.list = { .infos = infos, .room = n, .nearest = near },
	};
	int error;

	do { /* the answer may have room for a part of them */
		error = client_call(&message);
		n = message.list.count;
		message.list.infos += n;
		message.list.room -= n;
		if (!error && n)
			message.address =
				(uint64_t)message.list.infos[-1].addr +
				page_up(message.list.infos[-1].length);
	} while (!error && n && message.list.room && !near);
	*total = error ? 0 : message.list.total;
	return error == -ESRCH ? 0 : error;
}

/* The caller's size field, read without trusting its address. */
static int check_size(const void *theirs, size_t known)
{
	size_t size;
	int error = client_copy_in(&size, theirs, sizeof(size));

	if (error)
		return error;
	return size != known ? -EINVAL : 0;
}

ssize_t wmap_mapping_list(struct wmap_mapping_info *infos, size_t n)
{
	struct wmap_mapping_info *copy = NULL;
	size_t total, bytes;
	int error = n ? check_size(infos, sizeof(*infos)) : 0;

	if (!error)
		error = list_into(NULL, 0, false, NULL, &total);
	if (error)
		return api_result(error);
	n = min_u64(n, total);
	bytes = n * sizeof(*copy);
	if (n)
		copy = mem_alloc(bytes);
	if (n && !copy)
		return api_result(-ENOMEM);
	error = n ? list_into(copy, n, false, NULL, &total) : 0;
	if (!error && n)
		error = client_copy_out(infos, copy,
					min_u64(n, total) * sizeof(*copy));
	mem_free(copy, bytes);
	return error ? api_result(error) : (ssize_t)total;
}

int wmap_mapping_find(const void *addr, struct wmap_mapping_info *info)
{
	struct wmap_mapping_info found = { 0 };
	uint64_t at = (uint64_t)addr;
	size_t total = 0;
	int error = check_size(info, sizeof(*info));

	if (!error)
		error = list_into(&found, 1, true, addr, &total);
	if (!error && (!total || at < (uint64_t)found.addr ||
		       at >= (uint64_t)found.addr + page_up(found.length)))
		error = -ENOENT;
	if (!error)
		error = client_copy_out(info, &found, sizeof(found));
	return api_result(error);
}

int wmap_stats_get(struct wmap_stats *stats)
{
	struct wmap_stats copy = { .size = sizeof(copy) };
	struct message message = {
		.kind = MESSAGE_STATS,
		.stats.stats = &copy,
	};
	int error = check_size(stats, sizeof(*stats));

	if (!error)
		error = client_call(&message);
	if (!error || error == -ESRCH)
		error = client_copy_out(stats, &copy, sizeof(copy));
	return api_result(error);
}

/* ---- The pager -------------------------------------------------------------------*/

int wmap_pager_set(const char *where)
{
	return api_result(where ? client_choose(where) : -EINVAL);
}

int wmap_start(unsigned *features)
{
	int error = client_start();

	if (!error && features)
		*features = client_features();
	return api_result(error);
}

int wmap_stop(void)
{
	return api_result(client_stop());
}
