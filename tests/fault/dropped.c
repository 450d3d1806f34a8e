/* SPDX-License-Identifier: MIT */
/*
 * A page that was protected, dropped, and then cannot be read
 *
 * The protection leaves a mark in the page table, and UFFDIO_POISON refuses to
 * go over it: the fault came again and again, without an end.
 */
#include <sys/mman.h>

#include "support.h"
#include "wmap/store.h"

#define LENGTH PAGES(8)

static const struct wmap_failure reads_fail = {
	.size = sizeof(reads_fail),
	.operations = WMAP_FAIL_READ,
	.error = EIO,
};

static struct wmap_store *failing_over(struct wmap_store *inner)
{
	struct wmap_store *failing = wmap_store_failing(inner);

	ck_assert_ptr_nonnull(failing);
	wmap_store_put(inner);
	return failing;
}

START_TEST(a_dropped_page_that_cannot_be_read_is_sigbus)
{
	struct wmap_store *failing =
		failing_over(wmap_store_file(file_with(3, LENGTH), 0));
	char *at = memory_map_store(LENGTH, PROT_READ | PROT_WRITE, WMAP_SHARED,
				    failing, 0);

	memory_store(at, 8, 'd');
	ck_assert_int_eq(wmap_advise(at, LENGTH, WMAP_ADVICE_DONTNEED), 0);
	ck_assert_int_eq(wmap_store_fail(failing, &reads_fail), 0);
	ck_assert_int_eq(process_load(at + PAGES(5)), SIGBUS);
	ck_assert_int_eq(process_store(at + PAGES(6), 'x'), SIGBUS);
	ck_assert_int_eq(wmap_store_fail(failing, NULL), 0);
	ck_assert_int_eq(wmap_sync(at, LENGTH, WMAP_SYNC_WAIT), 0);
	ck_assert_int_eq(at[PAGES(5)], 'd');
	ck_assert_int_eq(at[PAGES(6)], 'd');
	wmap_store_put(failing);
}
END_TEST

int main(void)
{
	TCase *facts = facts_case("a dropped page", 20);

	tcase_add_test(facts, a_dropped_page_that_cannot_be_read_is_sigbus);
	return facts_run(facts);
}
