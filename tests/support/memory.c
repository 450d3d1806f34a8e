/* SPDX-License-Identifier: MIT */
/*
 * Addresses, and what is mapped there: the calls that a test needs to succeed
 * before its own fact can be looked at.
 */
#include "support.h"

#include <stdio.h>
#include <string.h>

/*
 * mmap(2) takes the highest gap that fits, so the low end of a large gap is
 * the last to be given away. The pager is started first: its own mappings
 * shall not come later.
 */
char *memory_free_range(size_t length)
{
	size_t gap = length + GIB;
	char *addr;

	ck_assert_int_eq(wmap_start(NULL), 0);
	addr = mmap(NULL, gap, PROT_NONE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	ck_assert_ptr_ne(addr, MAP_FAILED);
	munmap(addr, gap);
	return addr + 2 * MIB;
}

char *memory_wmap(void *addr, size_t length, int flags, int fd)
{
	char *at;

	if (addr)
		flags |= WMAP_FIXED;
	at = wmap(addr, length, flags, fd);
	ck_assert_msg(at != WMAP_FAILED, "wmap: %s", strerror(errno));
	return at;
}

char *memory_map(size_t length, int prot, int flags, int fd, off_t offset)
{
	char *at = wmap_map(NULL, length, prot, flags, fd, offset, NULL);

	ck_assert_msg(at != WMAP_FAILED, "wmap_map: %s", strerror(errno));
	return at;
}

char *memory_map_store(size_t length, int prot, int flags,
		       struct wmap_store *store, unsigned deadline_ms)
{
	struct wmap_map_options options = {
		.size = sizeof options,
		.store = store,
		.deadline_ms = deadline_ms,
	};
	char *at = wmap_map(NULL, length, prot, flags, -1, 0, &options);

	ck_assert_msg(at != WMAP_FAILED, "wmap_map: %s", strerror(errno));
	return at;
}

struct wmap_mapping_info memory_info(const void *addr)
{
	struct wmap_mapping_info info = { .size = sizeof info };
	int failed = wmap_mapping_find(addr, &info);

	ck_assert_msg(!failed, "wmap_mapping_find: %s", strerror(errno));
	return info;
}

size_t memory_loaded(const void *addr)
{
	struct wmapinfo info;

	ck_assert_int_eq(getwmapinfo(&info), 0);
	for (int i = 0; i < info.total_mmaps && i < WMAP_MAX_INFO; i++)
		if (info.addr[i] == (uintptr_t)addr)
			return info.n_loaded_pages[i];
	ck_abort_msg("getwmapinfo does not know the mapping");
	return SIZE_MAX;
}

struct wmap_stats memory_stats(void)
{
	struct wmap_stats stats = { .size = sizeof stats };

	ck_assert_int_eq(wmap_stats_get(&stats), 0);
	return stats;
}

size_t memory_smaps(const void *addr, size_t length, const char *field)
{
	unsigned long start = (unsigned long)addr, from, to, kib;
	FILE *maps = fopen("/proc/self/smaps", "r");
	size_t sum = 0, n = strlen(field);
	bool inside = false;
	char line[256];

	ck_assert_ptr_nonnull(maps);
	while (fgets(line, sizeof(line), maps)) {
		if (sscanf(line, "%lx-%lx ", &from, &to) == 2)
			inside = from >= start && to <= start + length;
		else if (inside && !strncmp(line, field, n) &&
			 sscanf(line + n, ": %lu", &kib) == 1)
			sum += kib * KIB;
	}
	fclose(maps);
	return sum;
}

size_t memory_anonymous(const void *addr, size_t length)
{
	return memory_smaps(addr, length, "Anonymous");
}

bool memory_is_there(void *addr, size_t pages)
{
	unsigned char there[1024];

	ck_assert_uint_le(pages, sizeof(there));
	ck_assert_int_eq(wmap_residency(addr, PAGES(pages), there), 0);
	for (size_t i = 0; i < pages; i++)
		if (!(there[i] & 1))
			return false;
	return true;
}

void memory_load(const char *addr, size_t pages)
{
	for (size_t i = 0; i < pages; i++)
		(void)*(const volatile char *)(addr + PAGES(i));
}

void memory_store(char *addr, size_t pages, char value)
{
	for (size_t i = 0; i < pages; i++)
		*(volatile char *)(addr + PAGES(i)) = value;
}

struct part {
	char *at;
	size_t pages;
	unsigned rounds, number;
	bool wrong;
};

/* Each thread has every eighth page. */
static void *hammer(void *arg)
{
	static uint32_t oracle[HAMMER_PAGES];
	struct part *part = arg;
	uint64_t random = part->number + 1;

	for (unsigned i = 0; i < part->rounds; i++) {
		size_t page = random_below(&random, part->pages / 8) * 8 +
			      part->number;
		uint32_t *there = (void *)(part->at + PAGES(page) + 8);

		part->wrong |= *there != oracle[page];
		*there = oracle[page] = (uint32_t)random_next(&random);
	}
	return NULL;
}

bool memory_hammer(char *at, size_t pages, unsigned rounds)
{
	struct part parts[8];
	pthread_t threads[8];
	bool right = true;

	ck_assert_uint_le(pages, HAMMER_PAGES);
	for (unsigned i = 0; i < 8; i++) {
		parts[i] = (struct part){ at, pages, rounds, i, false };
		ck_assert(
			!pthread_create(&threads[i], NULL, hammer, &parts[i]));
	}
	for (unsigned i = 0; i < 8; i++) {
		ck_assert(!pthread_join(threads[i], NULL));
		right &= !parts[i].wrong;
	}
	return right;
}
