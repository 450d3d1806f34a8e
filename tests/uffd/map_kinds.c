/* SPDX-License-Identifier: MIT */
/*
 * wmap_map: every kind of memory, with every grain
 *
 * The tables: a kind of memory says what it shows at first and where its
 * stores go; each fact is looked at for each kind and each grain.
 */
#include "support.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

/* No multiple of a grain, and no multiple of a page. */
#define LENGTH (PAGES(700) - 300)

enum source { FILE_SOURCE, STORE_SOURCE, DIRECT_SOURCE, NO_SOURCE };

static const struct kind {
	int flags;
	enum source source;
} kinds[] = {
	{ WMAP_SHARED, FILE_SOURCE },
	{ WMAP_PRIVATE, FILE_SOURCE },
	{ WMAP_SHARED | WMAP_DIRECT, DIRECT_SOURCE },
	{ WMAP_SHARED, STORE_SOURCE },
	{ WMAP_PRIVATE, STORE_SOURCE },
	{ WMAP_SHARED | WMAP_ANONYMOUS, NO_SOURCE },
	{ WMAP_PRIVATE | WMAP_ANONYMOUS, NO_SOURCE },
};

static const size_t grains[] = { 0, 4 * KIB, 64 * KIB, 2 * MIB };

#define ALL (COUNT(kinds) * COUNT(grains))

struct fixture {
	const struct kind *kind;
	size_t grain;
	int fd;
	char *at;
};

/* A file system without O_DIRECT says so by EINVAL; then without. */
static char *map(struct fixture *fixture, int prot)
{
	struct wmap_map_options options = {
		.size = sizeof options,
		.grain = fixture->grain,
	};
	int flags = fixture->kind->flags, fd = fixture->fd;
	char *at;

	if (fixture->kind->source == STORE_SOURCE) {
		options.store = wmap_store_file(fd, 0);
		ck_assert_ptr_nonnull(options.store);
		fd = -1;
	}
	at = wmap_map(NULL, LENGTH, prot, flags, fd, 0, &options);
	if (at == WMAP_FAILED && flags & WMAP_DIRECT && errno == EINVAL)
		at = wmap_map(NULL, LENGTH, prot, flags & ~WMAP_DIRECT, fd, 0,
			      &options);
	ck_assert_msg(at != WMAP_FAILED, "wmap_map: %s", strerror(errno));
	wmap_store_put(options.store);
	return at;
}

static struct fixture set_up(int i, int prot)
{
	struct fixture fixture = {
		.kind = &kinds[(size_t)i % COUNT(kinds)],
		.grain = grains[(size_t)i / COUNT(kinds)],
		.fd = -1,
	};

	if (fixture.kind->source != NO_SOURCE)
		fixture.fd = file_with(3, LENGTH);
	fixture.at = map(&fixture, prot);
	return fixture;
}

/* Does [@page, @page + @pages) show what was there at first? */
static bool untouched(const struct fixture *fixture, size_t page, size_t pages)
{
	const char *at = fixture->at + PAGES(page);

	if (fixture->kind->source == NO_SOURCE)
		return pattern_zeros(at, PAGES(pages));
	return pattern_holds(at, PAGES(pages), 3, PAGES(page));
}

START_TEST(it_shows_its_first_bytes_in_any_order_of_touching)
{
	struct fixture fixture = set_up(_i, PROT_READ);

	for (size_t i = 0; i < 699; i++)
		ck_assert_msg(untouched(&fixture, i * 37 % 699, 1),
			      "page %zu is wrong", i * 37 % 699);
}
END_TEST

START_TEST(the_last_partial_page_ends_in_zeros)
{
	struct fixture fixture = set_up(_i, PROT_READ);

	ck_assert(pattern_zeros(fixture.at + LENGTH, 300));
}
END_TEST

START_TEST(a_store_is_seen_and_changes_nothing_else)
{
	struct fixture fixture = set_up(_i, READ_WRITE);

	memset(fixture.at + PAGES(333), 's', PAGE);
	ck_assert(untouched(&fixture, 300, 33));
	ck_assert_int_eq(fixture.at[PAGES(334) - 1], 's');
	ck_assert(untouched(&fixture, 334, 300));
}
END_TEST

START_TEST(a_shared_store_reaches_the_file_and_a_private_one_does_not)
{
	struct fixture fixture = set_up(_i, READ_WRITE);
	bool shared = fixture.kind->flags & WMAP_SHARED;

	if (fixture.kind->source == NO_SOURCE)
		return;
	memset(fixture.at, 's', LENGTH);
	ck_assert_int_eq(wmap_sync(fixture.at, LENGTH, WMAP_SYNC_WAIT), 0);
	ck_assert(file_has(fixture.fd, 0, fixture.at, LENGTH) == shared);
	ck_assert(file_holds(fixture.fd, 3, 0, LENGTH) == !shared);
	ck_assert_uint_eq(file_length(fixture.fd), LENGTH);
}
END_TEST

START_TEST(unmapping_writes_what_is_shared_back)
{
	struct fixture fixture = set_up(_i, READ_WRITE);
	bool shared = fixture.kind->flags & WMAP_SHARED;

	if (fixture.kind->source == NO_SOURCE)
		return;
	pattern_fill(fixture.at, LENGTH, 5, 0);
	ck_assert_int_eq(wmap_unmap(fixture.at, LENGTH), 0);
	ck_assert(file_holds(fixture.fd, shared ? 5 : 3, 0, LENGTH));
	ck_assert_uint_eq(file_length(fixture.fd), LENGTH);
}
END_TEST

START_TEST(one_fault_brings_a_grain)
{
	struct fixture fixture = set_up(_i, PROT_READ);
	size_t grain = fixture.grain ? fixture.grain : 4 * KIB;
	size_t here = PAGES(10) / grain * grain;
	size_t end = here + grain < PAGES(700) ? here + grain : PAGES(700);
	struct wmap_mapping_info info;

	wmap_advise(fixture.at, LENGTH, WMAP_ADVICE_RANDOM);
	memory_load(fixture.at + PAGES(10), 1);
	info = memory_info(fixture.at);
	ck_assert_uint_eq(info.loaded, (end - here) / PAGE);
	ck_assert_uint_eq(info.faults, 1);
	ck_assert_uint_eq(info.grain, grain);
}
END_TEST

START_TEST(what_may_not_be_read_is_a_segmentation_fault)
{
	struct fixture fixture = set_up(_i, PROT_NONE);

	ck_assert_int_eq(process_load(fixture.at + PAGES(5)), SIGSEGV);
	ck_assert_int_eq(process_store(fixture.at + PAGES(5), 1), SIGSEGV);
}
END_TEST

START_TEST(what_may_not_be_written_is_a_segmentation_fault)
{
	struct fixture fixture = set_up(_i, PROT_READ);

	ck_assert_int_eq(process_store(fixture.at + PAGES(5), 1), SIGSEGV);
	ck_assert(untouched(&fixture, 5, 1));
	ck_assert_int_eq(process_store(fixture.at + PAGES(5), 1), SIGSEGV);
}
END_TEST

START_TEST(a_mapping_of_a_later_offset_shows_that_part)
{
	int fd = file_with(3, PAGES(20));
	char *at = memory_map(PAGES(4), READ_WRITE, kinds[_i].flags, fd,
			      (off_t)PAGES(13));

	ck_assert(pattern_holds(at, PAGES(4), 3, PAGES(13)));
	at[PAGE] = 'o';
	ck_assert_int_eq(wmap_unmap(at, PAGES(4)), 0);
	ck_assert(file_holds(fd, 3, 0, PAGES(14)));
	ck_assert(file_has(fd, PAGES(14), "o", 1) == (_i == 0));
}
END_TEST

START_TEST(a_read_only_file_may_be_shared_for_reading)
{
	int fd = file_reopen(file_with(3, PAGES(2)), O_RDONLY);
	char *at = memory_map(PAGES(2), PROT_READ, WMAP_SHARED, fd, 0);

	ck_assert(pattern_holds(at, PAGES(2), 3, 0));
}
END_TEST

START_TEST(code_may_be_executed)
{
	static const unsigned char code[] = { 0xb8, 42, 0, 0, 0, 0xc3 };
	int fd = file_empty();
	int (*run)(void);
	char *at;

	ck_assert_int_eq(write(fd, code, sizeof code), sizeof code);
	at = memory_map(PAGE, PROT_READ | PROT_EXEC, WMAP_PRIVATE, fd, 0);
	memcpy(&run, &at, sizeof run);
#ifdef __x86_64__
	ck_assert_int_eq(run(), 42);
#endif
}
END_TEST

START_TEST(a_hint_replaces_nothing)
{
	char *area = memory_free_range(PAGES(4));
	const int flags = WMAP_PRIVATE | WMAP_ANONYMOUS;
	char *first, *second;

	first = wmap_map(area, PAGE, READ_WRITE, flags, -1, 0, NULL);
	ck_assert_ptr_ne(first, WMAP_FAILED);
	second = wmap_map(first, PAGE, READ_WRITE, flags, -1, 0, NULL);
	ck_assert_ptr_ne(second, WMAP_FAILED);
	ck_assert_ptr_ne(second, first);
}
END_TEST

START_TEST(fixed_refuses_what_replace_replaces)
{
	char *at = memory_map(PAGES(4), READ_WRITE,
			      WMAP_PRIVATE | WMAP_ANONYMOUS, -1, 0);
	int flags = WMAP_PRIVATE | WMAP_ANONYMOUS | WMAP_FIXED;

	memset(at, 'r', PAGES(4));
	ck_assert_ptr_eq(wmap_map(at + PAGE, PAGES(2), READ_WRITE, flags, -1, 0,
				  NULL),
			 WMAP_FAILED);
	ck_assert_int_eq(errno, EEXIST);
	ck_assert_ptr_eq(wmap_map(at + PAGE, PAGES(2), READ_WRITE,
				  flags | WMAP_REPLACE, -1, 0, NULL),
			 at + PAGE);
	ck_assert_int_eq(at[0], 'r');
	ck_assert(pattern_zeros(at + PAGE, PAGES(2)));
	ck_assert_int_eq(at[PAGES(3)], 'r');
}
END_TEST

START_TEST(what_is_replaced_is_written_back)
{
	int fd = file_with(3, PAGES(3));
	char *at = memory_map(PAGES(3), READ_WRITE, WMAP_SHARED, fd, 0);

	memset(at, 'w', PAGES(3));
	ck_assert_ptr_eq(wmap_map(at, PAGES(3), PROT_READ,
				  WMAP_PRIVATE | WMAP_ANONYMOUS | WMAP_FIXED |
					  WMAP_REPLACE,
				  -1, 0, NULL),
			 at);
	ck_assert(file_has(fd, PAGES(3) - 1, "w", 1));
}
END_TEST

int main(void)
{
	TCase *facts = facts_case("mapping: kinds of memory", 60);

	tcase_add_loop_test(facts,
			    it_shows_its_first_bytes_in_any_order_of_touching,
			    0, ALL);
	tcase_add_loop_test(facts, the_last_partial_page_ends_in_zeros, 0, ALL);
	tcase_add_loop_test(facts, a_store_is_seen_and_changes_nothing_else, 0,
			    ALL);
	tcase_add_loop_test(
		facts,
		a_shared_store_reaches_the_file_and_a_private_one_does_not, 0,
		ALL);
	tcase_add_loop_test(facts, unmapping_writes_what_is_shared_back, 0,
			    ALL);
	tcase_add_loop_test(facts, one_fault_brings_a_grain, 0, ALL);
	tcase_add_loop_test(facts, what_may_not_be_read_is_a_segmentation_fault,
			    0, ALL);
	tcase_add_loop_test(
		facts, what_may_not_be_written_is_a_segmentation_fault, 0, ALL);
	tcase_add_loop_test(facts, a_mapping_of_a_later_offset_shows_that_part,
			    0, 2);
	tcase_add_test(facts, a_read_only_file_may_be_shared_for_reading);
	tcase_add_test(facts, code_may_be_executed);
	tcase_add_test(facts, a_hint_replaces_nothing);
	tcase_add_test(facts, fixed_refuses_what_replace_replaces);
	tcase_add_test(facts, what_is_replaced_is_written_back);
	return facts_run(facts);
}
