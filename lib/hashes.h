/* SPDX-License-Identifier: MIT */
/*
 * Hashes of pages, by page
 *
 * NH, a universal hash: each pair of words of a page is added to a pair of words of
 * a random key, and the products are summed up, modulo 2^128. Whatever two
 * different pages are, one key in 2^64 gives them the same hash; who does not know
 * the key cannot do better. A hash costs 16 bytes, and as much again as a page in
 * the table of states (pages.h).
 */
#ifndef WMAP_HASHES_H
#define WMAP_HASHES_H

#include "wmap/wmap.h"
#include "pages.h"

struct hash {
	uint64_t low, high;
};

struct hash_key {
	uint64_t words[WMAP_PAGE_SIZE / 8];
};

/* A random one; 0 or a negative errno. */
int hash_key_draw(struct hash_key *key);

/* @page: aligned to 8 bytes. */
struct hash hash_page(const void *page, const struct hash_key *key);

static inline bool hash_equal(struct hash a, struct hash b)
{
	return a.low == b.low && a.high == b.high;
}

/* All zeros while there are none. */
struct hashes {
	struct pages numbers; /* by page; as views, which of all is its hash */
	struct hash *all;
	size_t room, n_taken; /* of all; those never taken are behind */
	uint32_t free; /* one more than the first that was given back, which
				 has the next in low; 0: none */
};

static inline size_t hashes_count(const struct hashes *hashes)
{
	return hashes->numbers.n_used;
}

void hashes_destroy(struct hashes *hashes);

/* Room for @n more, so that hashes_put cannot fail. -ENOMEM. */
int hashes_reserve(struct hashes *hashes, size_t n);

/* Of a page that has none. */
void hashes_put(struct hashes *hashes, uint64_t index, struct hash hash);

/* Of a page that has one. */
struct hash hashes_get(const struct hashes *hashes, uint64_t index);

void hashes_remove(struct hashes *hashes, uint64_t index);

#endif
