/* SPDX-License-Identifier: MIT */
/*
 * A store that fails: SIGBUS on that page only, which heals when the store
 * does; a failing write-back is reported by the next sync and lost by none
 */
#include "support.h"

#include <string.h>
#include <unistd.h>

#define READ_FAILS  WMAP_FAIL_READ
#define WRITE_FAILS WMAP_FAIL_WRITE
#define FLUSH_FAILS WMAP_FAIL_FLUSH

/* A file of 16 pages, of pattern 3, behind a failing store. */
struct scene {
	int fd;
	struct wmap_store *store;
	char *at;
};

static struct scene set_up(int flags, size_t grain)
{
	struct scene scene = { .fd = file_with(3, PAGES(16)) };
	struct wmap_store *file = wmap_store_file(scene.fd, 0);
	struct wmap_map_options options = { .size = sizeof options,
					    .grain = grain };

	ck_assert_ptr_nonnull(file);
	options.store = scene.store = wmap_store_failing(file);
	ck_assert_ptr_nonnull(scene.store);
	wmap_store_put(file);
	scene.at =
		wmap_map(NULL, PAGES(16), READ_WRITE, flags, -1, 0, &options);
	ck_assert_ptr_ne(scene.at, WMAP_FAILED);
	return scene;
}

static void spoil(struct scene *scene, struct wmap_failure failure)
{
	failure.size = sizeof failure;
	if (!failure.error)
		failure.error = EIO;
	ck_assert_int_eq(wmap_store_fail(scene->store, &failure), 0);
}

static void heal(struct scene *scene)
{
	ck_assert_int_eq(wmap_store_fail(scene->store, NULL), 0);
}

static int sync_all(struct scene *scene)
{
	return wmap_sync(scene->at, PAGES(16), WMAP_SYNC_WAIT);
}

static bool page_holds(struct scene *scene, size_t page)
{
	return pattern_holds(scene->at + PAGES(page), PAGE, 3, PAGES(page));
}

static const int kinds[] = { WMAP_SHARED, WMAP_PRIVATE };
static const size_t grains[] = { 4 * KIB, 64 * KIB };
static const int errors[] = { EIO, ENOSPC, ESTALE, EACCES, ENOMEM, EINTR };

/* Page 5 cannot be read. */
#define PAGE_5 .offset = PAGES(5), .length = PAGE

/* ---- Reading ------------------------------------------------------------- */

START_TEST(nothing_fails_until_told_so)
{
	struct scene scene = set_up(kinds[_i], 0);

	ck_assert(pattern_holds(scene.at, PAGES(16), 3, 0));
	memory_store(scene.at, 16, 1);
	ck_assert_int_eq(sync_all(&scene), 0);
}
END_TEST

/* Also with a grain that brings the page together with its neighbours. */
START_TEST(a_failed_read_is_sigbus_on_that_page_only)
{
	struct scene scene = set_up(kinds[_i % 2], grains[_i / 2]);

	spoil(&scene,
	      (struct wmap_failure){ .operations = READ_FAILS, PAGE_5 });
	for (size_t i = 0; i < 16; i++) {
		int raised = process_load(scene.at + PAGES(i));

		ck_assert_msg(raised == (i == 5 ? SIGBUS : 0),
			      "page %zu: signal %d", i, raised);
		ck_assert(i == 5 || page_holds(&scene, i));
	}
	ck_assert_uint_ge(memory_info(scene.at).errors, 1);
}
END_TEST

START_TEST(a_store_to_a_page_that_cannot_be_read_is_sigbus)
{
	struct scene scene = set_up(kinds[_i], 0);

	spoil(&scene,
	      (struct wmap_failure){ .operations = READ_FAILS, PAGE_5 });
	ck_assert_int_eq(process_store(scene.at + PAGES(5), 1), SIGBUS);
	heal(&scene);
	ck_assert_int_eq(sync_all(&scene), 0);
	ck_assert(page_holds(&scene, 5));
}
END_TEST

START_TEST(any_error_is_sigbus)
{
	struct scene scene = set_up(WMAP_SHARED, 0);

	spoil(&scene, (struct wmap_failure){ .operations = READ_FAILS,
					     .error = errors[_i] });
	ck_assert_int_eq(process_load(scene.at), SIGBUS);
}
END_TEST

START_TEST(the_page_heals_at_sync)
{
	struct scene scene = set_up(kinds[_i % 2], grains[_i / 2]);

	spoil(&scene,
	      (struct wmap_failure){ .operations = READ_FAILS, PAGE_5 });
	ck_assert_int_eq(process_load(scene.at + PAGES(5)), SIGBUS);
	heal(&scene);
	ck_assert_int_eq(sync_all(&scene), 0);
	ck_assert_int_eq(process_load(scene.at + PAGES(5)), 0);
	ck_assert(page_holds(&scene, 5));
}
END_TEST

static bool readable(void *at)
{
	return !process_load(at);
}

START_TEST(the_page_heals_by_itself)
{
	struct scene scene = set_up(kinds[_i], 0);

	spoil(&scene,
	      (struct wmap_failure){ .operations = READ_FAILS, PAGE_5 });
	ck_assert_int_eq(process_load(scene.at + PAGES(5)), SIGBUS);
	heal(&scene);
	ck_assert(process_wait(readable, scene.at + PAGES(5), 20));
	ck_assert(page_holds(&scene, 5));
}
END_TEST

START_TEST(a_page_that_does_not_heal_stays_sigbus)
{
	struct scene scene = set_up(WMAP_SHARED, 0);

	spoil(&scene,
	      (struct wmap_failure){ .operations = READ_FAILS, PAGE_5 });
	for (int i = 0; i < 30; i++) {
		ck_assert_int_eq(process_load(scene.at + PAGES(5)), SIGBUS);
		process_sleep_ms(100);
	}
}
END_TEST

START_TEST(a_healed_page_can_be_stored_to_and_synced)
{
	struct scene scene = set_up(WMAP_SHARED, 0);

	spoil(&scene,
	      (struct wmap_failure){ .operations = READ_FAILS, PAGE_5 });
	ck_assert_int_eq(process_load(scene.at + PAGES(5)), SIGBUS);
	heal(&scene);
	ck_assert_int_eq(sync_all(&scene), 0);
	scene.at[PAGES(5)] = 'h';
	ck_assert_uint_eq(memory_info(scene.at).dirty, 1);
	ck_assert_int_eq(sync_all(&scene), 0);
	ck_assert(file_has(scene.fd, PAGES(5), "h", 1));
}
END_TEST

START_TEST(a_failed_page_is_a_failed_page_in_every_mapping)
{
	struct scene scene = set_up(WMAP_SHARED, 0);
	char *other = memory_map_store(PAGES(16), PROT_READ, WMAP_PRIVATE,
				       scene.store, 0);

	spoil(&scene,
	      (struct wmap_failure){ .operations = READ_FAILS, PAGE_5 });
	ck_assert_int_eq(process_load(scene.at + PAGES(5)), SIGBUS);
	ck_assert_int_eq(process_load(other + PAGES(5)), SIGBUS);
	heal(&scene);
	ck_assert_int_eq(sync_all(&scene), 0);
	ck_assert_int_eq(process_load(scene.at + PAGES(5)), 0);
	ck_assert(process_wait(readable, other + PAGES(5), 20));
	ck_assert(pattern_holds(other, PAGES(16), 3, 0));
}
END_TEST

START_TEST(the_nth_read_fails_and_no_other)
{
	struct scene scene = set_up(WMAP_SHARED, 0);

	ck_assert_int_eq(wmap_advise(scene.at, PAGES(16), WMAP_ADVICE_RANDOM),
			 0);
	spoil(&scene, (struct wmap_failure){ .operations = READ_FAILS,
					     .first = 3,
					     .count = 2 });
	for (size_t i = 0; i < 8; i++)
		ck_assert_int_eq(process_load(scene.at + PAGES(i)),
				 i == 2 || i == 3 ? SIGBUS : 0);
}
END_TEST

START_TEST(a_system_call_gets_efault_from_a_failed_page)
{
	struct scene scene = set_up(kinds[_i], 0);

	spoil(&scene,
	      (struct wmap_failure){ .operations = READ_FAILS, PAGE_5 });
	ck_assert_int_eq(pwrite(file_empty(), scene.at + PAGES(5), 10, 0), -1);
	ck_assert_int_eq(errno, EFAULT);
}
END_TEST

/* ---- Writing back -------------------------------------------------------- */

static void store_all(struct scene *scene)
{
	for (size_t i = 0; i < 16; i++)
		memset(scene->at + PAGES(i), (int)i + 'a', PAGE);
}

static bool all_in_file(struct scene *scene)
{
	return file_has(scene->fd, 0, scene->at, PAGES(16));
}

START_TEST(a_failed_write_is_reported_by_sync)
{
	struct scene scene = set_up(WMAP_SHARED, 0);

	store_all(&scene);
	spoil(&scene, (struct wmap_failure){ .operations = WRITE_FAILS,
					     .error = errors[_i] });
	ck_assert_int_eq(sync_all(&scene), -1);
	ck_assert_int_eq(errno, errors[_i]);
	ck_assert_uint_eq(memory_info(scene.at).dirty, 16);
}
END_TEST

START_TEST(a_later_sync_writes_what_failed)
{
	struct scene scene = set_up(WMAP_SHARED, 0);

	store_all(&scene);
	spoil(&scene,
	      (struct wmap_failure){ .operations = WRITE_FAILS, PAGE_5 });
	ck_assert_int_eq(sync_all(&scene), -1);
	ck_assert_uint_ge(memory_info(scene.at).dirty, 1);
	heal(&scene);
	ck_assert_int_eq(sync_all(&scene), 0);
	ck_assert_uint_eq(memory_info(scene.at).dirty, 0);
	ck_assert(all_in_file(&scene));
}
END_TEST

START_TEST(a_write_that_failed_once_is_lost_by_none)
{
	struct scene scene = set_up(WMAP_SHARED, 0);

	store_all(&scene);
	spoil(&scene, (struct wmap_failure){ .operations = WRITE_FAILS,
					     .first = 1,
					     .count = 1 });
	ck_assert_int_eq(sync_all(&scene), -1);
	ck_assert_int_eq(errno, EIO);
	ck_assert_int_eq(sync_all(&scene), 0);
	ck_assert(all_in_file(&scene));
}
END_TEST

START_TEST(a_store_after_a_failed_write_is_written_too)
{
	struct scene scene = set_up(WMAP_SHARED, 0);

	store_all(&scene);
	spoil(&scene, (struct wmap_failure){ .operations = WRITE_FAILS });
	ck_assert_int_eq(sync_all(&scene), -1);
	scene.at[PAGES(7)] = '7';
	heal(&scene);
	ck_assert_int_eq(sync_all(&scene), 0);
	ck_assert(all_in_file(&scene));
	ck_assert(file_has(scene.fd, PAGES(7), "7", 1));
}
END_TEST

static bool counts_an_error(void *at)
{
	return memory_info(at).errors > 0;
}

START_TEST(a_failed_write_in_the_background_is_reported_by_sync)
{
	struct scene scene = set_up(WMAP_SHARED, 0);

	store_all(&scene);
	spoil(&scene, (struct wmap_failure){ .operations = WRITE_FAILS });
	ck_assert_int_eq(wmap_sync(scene.at, PAGES(16), WMAP_SYNC_START), 0);
	ck_assert(process_wait(counts_an_error, scene.at, 20));
	heal(&scene);
	ck_assert_int_eq(sync_all(&scene), -1);
	ck_assert_int_eq(errno, EIO);
	ck_assert_int_eq(sync_all(&scene), 0);
	ck_assert(all_in_file(&scene));
}
END_TEST

START_TEST(unmapping_fails_and_keeps_the_mapping)
{
	struct scene scene = set_up(WMAP_SHARED, 0);

	store_all(&scene);
	spoil(&scene, (struct wmap_failure){ .operations = WRITE_FAILS,
					     .error = errors[_i] });
	ck_assert_int_eq(wmap_unmap(scene.at, PAGES(16)), -1);
	ck_assert_int_eq(errno, errors[_i]);
	ck_assert_uint_eq(memory_info(scene.at).length, PAGES(16));
	ck_assert_int_eq(scene.at[PAGES(15)], 'p');
	scene.at[0] = 'A';
	heal(&scene);
	ck_assert_int_eq(wmap_unmap(scene.at, PAGES(16)), 0);
	ck_assert(file_has(scene.fd, 0, "Aaaa", 4));
	ck_assert(file_has(scene.fd, PAGES(15), "pppp", 4));
}
END_TEST

START_TEST(unmapping_a_part_that_cannot_be_written_fails_whole)
{
	struct scene scene = set_up(WMAP_SHARED, 0);

	store_all(&scene);
	spoil(&scene,
	      (struct wmap_failure){ .operations = WRITE_FAILS, PAGE_5 });
	ck_assert_int_eq(wmap_unmap(scene.at + PAGES(4), PAGES(4)), -1);
	for (size_t i = 0; i < 16; i++)
		ck_assert_int_eq(process_load(scene.at + PAGES(i)), 0);
	ck_assert_int_eq(wmap_mapping_list(NULL, 0), 1);
}
END_TEST

START_TEST(a_part_without_changes_can_be_unmapped_all_the_same)
{
	struct scene scene = set_up(WMAP_SHARED, 0);

	memory_load(scene.at, 16);
	scene.at[PAGES(5)] = '5';
	spoil(&scene, (struct wmap_failure){ .operations = WRITE_FAILS });
	ck_assert_int_eq(wmap_unmap(scene.at + PAGES(8), PAGES(8)), 0);
	ck_assert_int_eq(scene.at[PAGES(5)], '5');
}
END_TEST

START_TEST(what_cannot_be_written_is_not_dropped)
{
	struct scene scene = set_up(WMAP_SHARED, 0);

	store_all(&scene);
	spoil(&scene, (struct wmap_failure){ .operations = WRITE_FAILS });
	ck_assert_int_eq(wmap_advise(scene.at, PAGES(16), WMAP_ADVICE_DONTNEED),
			 -1);
	ck_assert_int_eq(errno, EIO);
	for (size_t i = 0; i < 16; i++)
		ck_assert_int_eq(scene.at[PAGES(i)], (int)i + 'a');
}
END_TEST

START_TEST(replacing_what_cannot_be_written_fails)
{
	const int flags = WMAP_PRIVATE | WMAP_ANONYMOUS | WMAP_FIXED |
			  WMAP_REPLACE;
	struct scene scene = set_up(WMAP_SHARED, 0);

	store_all(&scene);
	spoil(&scene, (struct wmap_failure){ .operations = WRITE_FAILS });
	ck_assert_ptr_eq(wmap_map(scene.at, PAGES(16), READ_WRITE, flags, -1, 0,
				  NULL),
			 WMAP_FAILED);
	ck_assert_int_eq(errno, EIO);
	ck_assert_int_eq(scene.at[PAGES(15)], 'p');
}
END_TEST

START_TEST(private_memory_is_unmapped_whatever_the_store_does)
{
	struct scene scene = set_up(WMAP_PRIVATE, 0);

	store_all(&scene);
	spoil(&scene,
	      (struct wmap_failure){ .operations = WRITE_FAILS | FLUSH_FAILS });
	ck_assert_int_eq(wmap_unmap(scene.at, PAGES(16)), 0);
}
END_TEST

START_TEST(a_failed_flush_is_reported_by_sync)
{
	struct scene scene = set_up(WMAP_SHARED, 0);

	store_all(&scene);
	spoil(&scene, (struct wmap_failure){ .operations = FLUSH_FAILS,
					     .error = errors[_i] });
	ck_assert_int_eq(sync_all(&scene), -1);
	ck_assert_int_eq(errno, errors[_i]);
	heal(&scene);
	ck_assert_int_eq(sync_all(&scene), 0);
	ck_assert(all_in_file(&scene));
}
END_TEST

static void reading(TCase *facts)
{
	tcase_add_loop_test(facts, nothing_fails_until_told_so, 0, 2);
	tcase_add_loop_test(facts, a_failed_read_is_sigbus_on_that_page_only, 0,
			    4);
	tcase_add_loop_test(
		facts, a_store_to_a_page_that_cannot_be_read_is_sigbus, 0, 2);
	tcase_add_loop_test(facts, any_error_is_sigbus, 0, COUNT(errors));
	tcase_add_loop_test(facts, the_page_heals_at_sync, 0, 4);
	tcase_add_loop_test(facts, the_page_heals_by_itself, 0, 2);
	tcase_add_test(facts, a_page_that_does_not_heal_stays_sigbus);
	tcase_add_test(facts, a_healed_page_can_be_stored_to_and_synced);
	tcase_add_test(facts, a_failed_page_is_a_failed_page_in_every_mapping);
	tcase_add_test(facts, the_nth_read_fails_and_no_other);
	if (facts_possible(WMAP_FEATURE_KERNEL_FAULTS))
		tcase_add_loop_test(
			facts, a_system_call_gets_efault_from_a_failed_page, 0,
			2);
}

static void writing(TCase *facts)
{
	tcase_add_loop_test(facts, a_failed_write_is_reported_by_sync, 0,
			    COUNT(errors));
	tcase_add_test(facts, a_later_sync_writes_what_failed);
	tcase_add_test(facts, a_write_that_failed_once_is_lost_by_none);
	tcase_add_test(facts, a_store_after_a_failed_write_is_written_too);
	tcase_add_test(facts,
		       a_failed_write_in_the_background_is_reported_by_sync);
	tcase_add_loop_test(facts, unmapping_fails_and_keeps_the_mapping, 0,
			    COUNT(errors));
	tcase_add_test(facts,
		       unmapping_a_part_that_cannot_be_written_fails_whole);
	tcase_add_test(facts,
		       a_part_without_changes_can_be_unmapped_all_the_same);
	tcase_add_test(facts, what_cannot_be_written_is_not_dropped);
	tcase_add_test(facts, replacing_what_cannot_be_written_fails);
	tcase_add_test(facts,
		       private_memory_is_unmapped_whatever_the_store_does);
	tcase_add_loop_test(facts, a_failed_flush_is_reported_by_sync, 0,
			    COUNT(errors));
}

int main(void)
{
	TCase *facts = facts_case("a failing store", 40);

	reading(facts);
	writing(facts);
	return facts_run(facts);
}
