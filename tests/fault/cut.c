/* SPDX-License-Identifier: MIT */
/*
 * A mapping that is cut while pages of it are being read
 *
 *   fault on page 12 of 16, grain 8   the read of pages 8 to 15 begins
 *   pages 8 to 15 are unmapped        and other memory takes their addresses
 *   the read ends                     and must not land there
 *
 * The thread that slept looks again, and finds the other memory.
 */
#include <pthread.h>
#include <sys/mman.h>

#include "support.h"
#include "wmap/store.h"

#define LENGTH PAGES(16)

static char *at;
static char loaded;

static void *load(void *arg)
{
	(void)arg;
	/* Between the two there is nothing. */
	while (process_load(at + PAGES(12)))
		;
	loaded = *(volatile char *)(at + PAGES(12));
	return NULL;
}

static bool all_is_read(void *arg)
{
	struct wmap_stats stats = { .size = sizeof(stats) };

	(void)arg;
	return !wmap_stats_get(&stats) && stats.bytes_read > LENGTH;
}

/* Another file, in which stores are seen too. */
static char *map_over(char *where)
{
	return wmap_map(where, LENGTH / 2, PROT_READ | PROT_WRITE,
			WMAP_SHARED | WMAP_FIXED | WMAP_REPLACE,
			file_with(5, LENGTH / 2), 0, NULL);
}

START_TEST(what_was_read_does_not_land_in_its_successor)
{
	struct wmap_store *file = wmap_store_file(file_with(3, LENGTH), 0);
	struct wmap_store *slow = wmap_store_slow(file, WMAP_DELAY_FOREVER, 0);
	struct wmap_map_options options = {
		.size = sizeof(options),
		.grain = LENGTH / 2,
		.store = slow,
	};
	struct wmap_mapping_info info = { .size = sizeof(info) };
	char *upper;
	pthread_t thread;

	at = wmap_map(NULL, LENGTH, PROT_READ | PROT_WRITE,
		      _i ? WMAP_SHARED : WMAP_PRIVATE, -1, 0, &options);
	ck_assert_ptr_ne(at, WMAP_FAILED);
	ck_assert_int_eq(pthread_create(&thread, NULL, load, NULL), 0);
	do
		ck_assert_int_eq(wmap_mapping_find(at, &info), 0);
	while (!info.faults);
	upper = at + LENGTH / 2;
	ck_assert_ptr_eq(map_over(upper), upper);
	ck_assert_int_eq(wmap_store_delay(slow, 0, 0), 0);
	pthread_join(thread, NULL);
	ck_assert_int_eq(loaded, (char)pattern_byte(5, PAGES(4)));
	ck_assert(pattern_holds(at, LENGTH / 2, 3, 0));
	ck_assert(process_wait(all_is_read, NULL, 10));
	ck_assert(pattern_holds(upper, LENGTH / 2, 5, 0));
	wmap_store_put(slow);
	wmap_store_put(file);
}
END_TEST

int main(void)
{
	TCase *facts = facts_case("cut while it is read", 20);

	tcase_add_loop_test(facts, what_was_read_does_not_land_in_its_successor,
			    0, 2);
	return facts_run(facts);
}
