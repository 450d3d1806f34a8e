/* SPDX-License-Identifier: MIT */
/* Hashes of pages: kept by page, and told apart */
#include "support.h"

#include <string.h>

#include "hashes.h"
#include "mem.h"

#define ALL 5000

static struct hashes hashes;

static struct hash some(uint64_t i)
{
	return (struct hash){ i * 3, ~i };
}

START_TEST(each_page_has_its_own)
{
	static bool has[ALL];
	size_t before = mem_used();
	uint64_t random = random_seed();

	for (size_t turn = 0; turn < 20 * ALL; turn++) {
		size_t i = random_below(&random, ALL);

		if (!has[i]) {
			ck_assert_int_eq(hashes_reserve(&hashes, 1), 0);
			hashes_put(&hashes, i * 7, some(i));
		} else if (!hash_equal(hashes_get(&hashes, i * 7), some(i))) {
			ck_abort_msg("another's hash");
		} else {
			hashes_remove(&hashes, i * 7);
		}
		has[i] = !has[i];
	}
	ck_assert_uint_le(mem_used() - before, 2 * ALL * 32);
	for (size_t i = 0; i < ALL; i++)
		if (has[i])
			hashes_remove(&hashes, i * 7);
	ck_assert_uint_eq(mem_used(), before);
}
END_TEST

START_TEST(each_byte_counts)
{
	static _Alignas(8) char page[WMAP_PAGE_SIZE];
	static struct hash_key key;
	struct hash before;
	bool same = false;

	ck_assert_int_eq(hash_key_draw(&key), 0);
	before = hash_page(page, &key);
	for (size_t i = 0; i < sizeof(page); i++) {
		page[i] = 1;
		same |= hash_equal(hash_page(page, &key), before);
		page[i] = 0;
	}
	ck_assert(!same);
	ck_assert(hash_equal(hash_page(page, &key), before));
	key.words[1]++;
	ck_assert(!hash_equal(hash_page(page, &key), before));
}
END_TEST

int main(void)
{
	TCase *facts = facts_case("hashes", 30);

	tcase_add_test(facts, each_page_has_its_own);
	tcase_add_test(facts, each_byte_counts);
	return facts_run_anywhere(facts);
}
