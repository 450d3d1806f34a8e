/* SPDX-License-Identifier: MIT */
/* Buffers: kept, counted, and in blocks where they are large. */
#include "support.h"

#include <string.h>

#include "mem.h"
#include "staging.h"

#define LARGE	   ((size_t)256 << 10)
#define IN_A_BLOCK (STAGING_BLOCK / LARGE)

static struct staging staging;

static void begin(size_t keep)
{
	memset(&staging, 0, sizeof staging);
	staging.keep = keep;
}

/* What is out and idle is what is there. */
static void check_sum(size_t before)
{
	ck_assert_uint_eq(staging.out + staging.idle, mem_used() - before);
}

static void get_block(char *buffers[IN_A_BLOCK])
{
	staging_grow(&staging, LARGE);
	for (size_t i = 0; i < IN_A_BLOCK; i++) {
		buffers[i] = staging_get(&staging, LARGE);
		ck_assert_ptr_nonnull(buffers[i]);
		memset(buffers[i], (int)i, LARGE);
	}
}

START_TEST(the_buffers_of_a_block_lie_together)
{
	size_t before = mem_used();
	char *buffers[IN_A_BLOCK];

	begin(STAGING_BLOCK);
	get_block(buffers);
	for (size_t i = 0; i < IN_A_BLOCK; i++) {
		ck_assert_ptr_eq(buffers[i], buffers[0] + i * LARGE);
		ck_assert_int_eq(buffers[i][LARGE - 1], (int)i);
	}
	ck_assert_uint_eq(staging.out, STAGING_BLOCK);
	check_sum(before);
}
END_TEST

START_TEST(a_block_stays_while_one_of_its_buffers_is_out)
{
	size_t before = mem_used();
	char *buffers[IN_A_BLOCK];

	begin(STAGING_BLOCK);
	get_block(buffers);
	for (size_t i = 1; i < IN_A_BLOCK; i++)
		staging_put(&staging, buffers[i], LARGE);
	staging_trim(&staging);
	ck_assert_uint_eq(staging.idle, STAGING_BLOCK - LARGE);
	check_sum(before);
	ck_assert_ptr_eq(staging_get(&staging, LARGE), buffers[1]);
	staging_put(&staging, buffers[1], LARGE);
	staging_put(&staging, buffers[0], LARGE);
	staging_trim(&staging);
	ck_assert_uint_eq(staging.idle, 0);
	check_sum(before);
}
END_TEST

START_TEST(a_block_goes_when_so_much_may_not_be_kept)
{
	size_t before = mem_used();
	char *buffers[IN_A_BLOCK];

	begin(STAGING_BLOCK);
	get_block(buffers);
	staging.keep = 0;
	for (size_t i = 0; i < IN_A_BLOCK; i++)
		staging_put(&staging, buffers[i], LARGE);
	ck_assert_uint_eq(staging.idle, 0);
	check_sum(before);
}
END_TEST

START_TEST(where_it_could_not_be_kept_there_is_no_block)
{
	size_t before = mem_used();

	begin(STAGING_BLOCK / 2);
	staging_grow(&staging, LARGE);
	ck_assert_uint_eq(staging.idle, 0);
	ck_assert_uint_eq(staging_needs(&staging, LARGE), LARGE);
	check_sum(before);
}
END_TEST

START_TEST(small_buffers_lie_in_no_block)
{
	begin(STAGING_KEPT);
	staging_grow(&staging, 4096);
	ck_assert_uint_eq(staging.idle, 0);
}
END_TEST

START_TEST(an_idle_buffer_needs_nothing)
{
	begin(STAGING_KEPT);
	staging_grow(&staging, LARGE);
	ck_assert_uint_eq(staging_needs(&staging, LARGE), 0);
	ck_assert_uint_eq(staging_needs(&staging, 2 * LARGE), 2 * LARGE);
	staging_grow(&staging, LARGE);
	ck_assert_uint_eq(staging.idle, STAGING_BLOCK);
}
END_TEST

static void destroy(void)
{
	staging_destroy(&staging);
}

int main(void)
{
	TCase *facts = facts_case("staging", 30);

	tcase_add_checked_fixture(facts, NULL, destroy);
	tcase_add_test(facts, the_buffers_of_a_block_lie_together);
	tcase_add_test(facts, a_block_stays_while_one_of_its_buffers_is_out);
	tcase_add_test(facts, a_block_goes_when_so_much_may_not_be_kept);
	tcase_add_test(facts, where_it_could_not_be_kept_there_is_no_block);
	tcase_add_test(facts, small_buffers_lie_in_no_block);
	tcase_add_test(facts, an_idle_buffer_needs_nothing);
	return facts_run_anywhere(facts);
}
