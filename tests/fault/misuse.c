/* SPDX-License-Identifier: MIT */
/* Stores that are made or told what makes no sense: EINVAL, and no change. */
#include "support.h"

static const struct wmap_failure misuses[] = {
	{ .size = 1, .operations = WMAP_FAIL_READ, .error = EIO },
	{ .size = sizeof(struct wmap_failure), .error = EIO },
	{ .size = sizeof(struct wmap_failure), .operations = 8, .error = EIO },
	{ .size = sizeof(struct wmap_failure), .operations = WMAP_FAIL_READ },
	{ .size = sizeof(struct wmap_failure),
	  .operations = WMAP_FAIL_READ,
	  .error = -5 },
};

START_TEST(what_makes_no_sense_is_refused)
{
	struct wmap_store *zero = wmap_store_zero();
	struct wmap_store *failing = wmap_store_failing(zero);
	char *at = memory_map_store(PAGE, READ_WRITE, WMAP_SHARED, failing, 0);

	ck_assert_int_eq(wmap_store_fail(failing, &misuses[_i]), -1);
	ck_assert_int_eq(errno, EINVAL);
	ck_assert_int_eq(process_load(at), 0);
}
END_TEST

START_TEST(a_store_that_does_not_fail_cannot_be_told_to)
{
	struct wmap_failure failure = { .size = sizeof failure,
					.operations = WMAP_FAIL_READ,
					.error = EIO };
	struct wmap_store *zero = wmap_store_zero();

	ck_assert_int_eq(wmap_store_fail(zero, &failure), -1);
	ck_assert_int_eq(errno, EINVAL);
	wmap_store_put(zero);
}
END_TEST

START_TEST(only_a_slow_store_can_be_delayed)
{
	struct wmap_store *zero = wmap_store_zero();

	ck_assert_int_eq(wmap_store_delay(zero, 1, 1), -1);
	ck_assert_int_eq(errno, EINVAL);
	wmap_store_put(zero);
}
END_TEST

START_TEST(a_store_must_be_able_to_read)
{
	struct wmap_store_ops ops = array_ops;

	ops.read = NULL;
	ck_assert_ptr_null(wmap_store_create(&ops, &array, 0));
	ck_assert_int_eq(errno, EINVAL);
	ops = array_ops;
	ops.size = 3;
	ck_assert_ptr_null(wmap_store_create(&ops, &array, 0));
	ck_assert_int_eq(errno, EINVAL);
	ck_assert_ptr_null(wmap_store_create(&array_ops, &array, 65));
	ck_assert_int_eq(errno, EINVAL);
}
END_TEST

int main(void)
{
	TCase *facts = facts_case("misuse of stores", 30);

	tcase_add_loop_test(facts, what_makes_no_sense_is_refused, 0,
			    COUNT(misuses));
	tcase_add_test(facts, a_store_that_does_not_fail_cannot_be_told_to);
	tcase_add_test(facts, only_a_slow_store_can_be_delayed);
	tcase_add_test(facts, a_store_must_be_able_to_read);
	return facts_run(facts);
}
