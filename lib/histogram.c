/* SPDX-License-Identifier: MIT */
/*
 * Counting latencies
 *
 * Buckets 0 to 7 are 2 ns wide each; from 16 ns on every doubling has 8 of
 * equal width, so a bucket is an eighth of its start wide at most and its
 * middle is within 6.25 % of all it counts. The last begins at 32 s and has no
 * end.
 *
 *   bucket   0   1  …   7    8    9  …  15   16  …  255
 *   start    0   2  …  14   16   18  …  30   32  …  2^35 - 2^31
 */
#include "histogram.h"
#include "internal.h"

#define PER_DOUBLING_SHIFT 3
#define PER_DOUBLING	   (1u << PER_DOUBLING_SHIFT)
#define LINEAR_BITS	   4 /* below 2^4 ns all are 2 ns wide */

unsigned histogram_bucket(uint64_t ns)
{
	unsigned bits, bucket;

	if (ns < 1u << LINEAR_BITS)
		return (unsigned)ns / 2;
	bits = 63 - (unsigned)__builtin_clzll(ns);
	bucket = (bits - LINEAR_BITS + 1) * PER_DOUBLING;
	bucket += (unsigned)(ns >> (bits - PER_DOUBLING_SHIFT)) % PER_DOUBLING;
	return bucket < WMAP_BUCKETS ? bucket : WMAP_BUCKETS - 1;
}

/* WMAP_BUCKETS and above: where the last one would end. */
uint64_t wmap_bucket_start(unsigned bucket)
{
	uint64_t steps;

	if (bucket > WMAP_BUCKETS)
		bucket = WMAP_BUCKETS;
	if (bucket < PER_DOUBLING)
		return bucket * 2;
	steps = PER_DOUBLING + bucket % PER_DOUBLING;
	return steps << (bucket / PER_DOUBLING);
}

/* The least number of faults that is @q of @total, 1 to @total. */
static uint64_t rank_of(double q, uint64_t total)
{
	double wanted = q * (double)total;
	uint64_t rank;

	if (!(wanted > 1))
		return 1;
	if (wanted >= (double)total)
		return total;
	rank = (uint64_t)wanted;
	return rank + ((double)rank < wanted);
}

/* The bucket of the fault that is @rank'th in order of latency. */
static unsigned bucket_of_rank(const uint64_t *latency, uint64_t rank)
{
	unsigned bucket = 0;

	while (rank > latency[bucket])
		rank -= latency[bucket++];
	return bucket;
}

uint64_t wmap_stats_quantile(const struct wmap_stats *stats, double q)
{
	uint64_t total = 0, rank, middle;
	unsigned bucket;

	for (unsigned i = 0; i < WMAP_BUCKETS; i++)
		total += stats->latency[i];
	if (!total)
		return 0;
	rank = rank_of(q, total);
	bucket = bucket_of_rank(stats->latency, rank);
	if (rank == total || bucket == WMAP_BUCKETS - 1)
		return stats->latency_max_ns;
	middle =
		(wmap_bucket_start(bucket) + wmap_bucket_start(bucket + 1)) / 2;
	return min_u64(middle, stats->latency_max_ns);
}
