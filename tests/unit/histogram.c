/* SPDX-License-Identifier: MIT */
/* Latencies in buckets, and quantiles of them; 12 % is what is promised. */
#include "support.h"

#include <math.h>
#include <string.h>

#include "histogram.h"

#define SECONDS UINT64_C(1000000000)

START_TEST(buckets_begin_at_zero_and_ascend)
{
	unsigned bad = 0;

	ck_assert_uint_eq(wmap_bucket_start(0), 0);
	for (unsigned b = 1; b < WMAP_BUCKETS; b++)
		bad += wmap_bucket_start(b) <= wmap_bucket_start(b - 1);
	ck_assert_uint_eq(bad, 0);
}
END_TEST

START_TEST(a_doubling_has_8_buckets)
{
	unsigned bad = 0;

	for (unsigned b = 8; b + 8 < WMAP_BUCKETS; b++)
		bad += wmap_bucket_start(b + 8) != 2 * wmap_bucket_start(b);
	ck_assert_uint_eq(bad, 0);
}
END_TEST

START_TEST(the_last_bucket_is_beyond_30_seconds)
{
	ck_assert_uint_gt(wmap_bucket_start(WMAP_BUCKETS - 1), 30 * SECONDS);
	ck_assert_uint_eq(histogram_bucket(UINT64_MAX), WMAP_BUCKETS - 1);
}
END_TEST

START_TEST(a_latency_is_in_the_last_bucket_that_starts_before_it)
{
	unsigned bad = 0;

	for (unsigned b = 0; b < WMAP_BUCKETS; b++) {
		uint64_t start = wmap_bucket_start(b);

		bad += histogram_bucket(start) != b;
		if (b)
			bad += histogram_bucket(start - 1) != b - 1;
	}
	ck_assert_uint_eq(bad, 0);
}
END_TEST

START_TEST(a_start_beyond_the_last_bucket_is_where_it_ends)
{
	uint64_t end = wmap_bucket_start(WMAP_BUCKETS);

	ck_assert_uint_gt(end, wmap_bucket_start(WMAP_BUCKETS - 1));
	ck_assert_uint_eq(wmap_bucket_start(UINT32_MAX), end);
}
END_TEST

static struct wmap_stats stats;

static void count(uint64_t ns, uint64_t times)
{
	stats.latency[histogram_bucket(ns)] += times;
	if (ns > stats.latency_max_ns)
		stats.latency_max_ns = ns;
}

START_TEST(without_faults_a_quantile_is_zero)
{
	memset(&stats, 0, sizeof stats);
	ck_assert_uint_eq(wmap_stats_quantile(&stats, 0.5), 0);
}
END_TEST

/* 1000 latencies that double 20 times from @_i ns on: each is known. */
START_TEST(a_quantile_is_right_to_12_percent)
{
	unsigned bad = 0;

	memset(&stats, 0, sizeof stats);
	for (int i = 1; i <= 1000; i++)
		count((uint64_t)(_i * exp2(i / 50.0)), 1);
	for (int i = 1; i <= 1000; i++) {
		double is = _i * exp2(i / 50.0);
		double said = (double)wmap_stats_quantile(&stats, i / 1000.0);

		bad += fabs(said - is) > 0.12 * is;
	}
	ck_assert_uint_eq(bad, 0);
}
END_TEST

START_TEST(a_quantile_counts_the_faults)
{
	memset(&stats, 0, sizeof stats);
	count(100, 90);
	count(10000, 9);
	count(1000000, 1);
	ck_assert_uint_lt(wmap_stats_quantile(&stats, 0.9), 112);
	ck_assert_uint_gt(wmap_stats_quantile(&stats, 0.91), 8800);
	ck_assert_uint_lt(wmap_stats_quantile(&stats, 0.99), 11200);
	ck_assert_uint_eq(wmap_stats_quantile(&stats, 0.991), 1000000);
}
END_TEST

START_TEST(no_quantile_is_above_the_maximum)
{
	memset(&stats, 0, sizeof stats);
	count(1025, 100);
	ck_assert_uint_eq(wmap_stats_quantile(&stats, 0.5), 1025);
	ck_assert_uint_eq(wmap_stats_quantile(&stats, 1), 1025);
}
END_TEST

START_TEST(a_latency_of_a_minute_is_its_own_quantile)
{
	memset(&stats, 0, sizeof stats);
	count(10, 1);
	count(60 * SECONDS, 3);
	ck_assert_uint_eq(wmap_stats_quantile(&stats, 0.5), 60 * SECONDS);
}
END_TEST

START_TEST(a_quantile_that_is_none_is_the_nearest_that_is)
{
	memset(&stats, 0, sizeof stats);
	count(100, 1);
	count(1000, 1);
	ck_assert_uint_lt(wmap_stats_quantile(&stats, -1), 112);
	ck_assert_uint_lt(wmap_stats_quantile(&stats, (double)NAN), 112);
	ck_assert_uint_eq(wmap_stats_quantile(&stats, 2), 1000);
}
END_TEST

int main(void)
{
	TCase *facts = facts_case("histogram", 30);

	tcase_add_test(facts, buckets_begin_at_zero_and_ascend);
	tcase_add_test(facts, a_doubling_has_8_buckets);
	tcase_add_test(facts, the_last_bucket_is_beyond_30_seconds);
	tcase_add_test(facts,
		       a_latency_is_in_the_last_bucket_that_starts_before_it);
	tcase_add_test(facts, a_start_beyond_the_last_bucket_is_where_it_ends);
	tcase_add_test(facts, without_faults_a_quantile_is_zero);
	tcase_add_loop_test(facts, a_quantile_is_right_to_12_percent, 20, 24);
	tcase_add_test(facts, a_quantile_counts_the_faults);
	tcase_add_test(facts, no_quantile_is_above_the_maximum);
	tcase_add_test(facts, a_latency_of_a_minute_is_its_own_quantile);
	tcase_add_test(facts, a_quantile_that_is_none_is_the_nearest_that_is);
	return facts_run_anywhere(facts);
}
