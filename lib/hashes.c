/* SPDX-License-Identifier: MIT */
/* Hashes of pages (hashes.h) */
#include "hashes.h"
#include "internal.h"
#include "mem.h"
#include "sys.h"

#define ROOM_MIN 64

int hash_key_draw(struct hash_key *key)
{
	char *to = (char *)key;
	size_t left = sizeof(*key);

	while (left) {
		long n = sys_call(SYS_getrandom, to, left, 0);

		if (n == -EINTR)
			continue;
		if (n <= 0)
			return n ? (int)n : -EIO;
		to += n;
		left -= (size_t)n;
	}
	return 0;
}

__extension__ typedef unsigned __int128 wide;

struct hash hash_page(const void *page, const struct hash_key *key)
{
	const uint64_t *words = page;
	wide even = 0, odd = 0; /* the processor adds to both at once */

	for (size_t i = 0; i < lengthof(key->words); i += 4) {
		even += (wide)(words[i] + key->words[i]) *
			(words[i + 1] + key->words[i + 1]);
		odd += (wide)(words[i + 2] + key->words[i + 2]) *
		       (words[i + 3] + key->words[i + 3]);
	}
	even += odd;
	return (struct hash){ (uint64_t)even, (uint64_t)(even >> 64) };
}

void hashes_destroy(struct hashes *hashes)
{
	pages_destroy(&hashes->numbers);
	mem_free(hashes->all, hashes->room * sizeof(*hashes->all));
	*hashes = (struct hashes){ 0 };
}

static int grow(struct hashes *hashes, size_t room)
{
	struct hash *all = mem_resize(hashes->all, hashes->room * sizeof(*all),
				      room * sizeof(*all));

	if (!all)
		return -ENOMEM;
	hashes->all = all;
	hashes->room = room;
	return 0;
}

int hashes_reserve(struct hashes *hashes, size_t n)
{
	size_t used = hashes_count(hashes) + n;

	/* A number has to fit into a page's views. */
	if (used >= 1u << PAGES_VIEWS)
		return -ENOMEM;
	if (used > hashes->room) {
		size_t room = max_u64(used + used / 2, ROOM_MIN);
		int error = grow(hashes, room);

		if (error)
			return error;
	}
	return pages_reserve(&hashes->numbers, n);
}

static uint32_t take_number(struct hashes *hashes)
{
	uint32_t number = hashes->free;

	if (!number)
		return (uint32_t)hashes->n_taken++;
	hashes->free = (uint32_t)hashes->all[number - 1].low;
	return number - 1;
}

void hashes_put(struct hashes *hashes, uint64_t index, struct hash hash)
{
	uint32_t number = take_number(hashes);

	hashes->all[number] = hash;
	pages_put(&hashes->numbers, (struct page){ index, PAGE_CLEAN, number });
}

struct hash hashes_get(const struct hashes *hashes, uint64_t index)
{
	struct page page = pages_get(&hashes->numbers, index);

	assert(page.state != PAGE_ABSENT);
	return hashes->all[page.views];
}

void hashes_remove(struct hashes *hashes, uint64_t index)
{
	struct page page = pages_get(&hashes->numbers, index);

	assert(page.state != PAGE_ABSENT);
	hashes->all[page.views].low = hashes->free;
	hashes->free = page.views + 1;
	page.state = PAGE_ABSENT;
	pages_put(&hashes->numbers, page);
	if (!hashes_count(hashes))
		hashes_destroy(hashes);
}
