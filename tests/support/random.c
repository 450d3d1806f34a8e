/* SPDX-License-Identifier: MIT */
/* Numbers that a seed repeats: splitmix64. */
#include "support.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

uint64_t random_seed(void)
{
	struct timespec now;
	uint64_t seed;

	clock_gettime(CLOCK_REALTIME, &now);
	seed = facts_number("WMAP_SEED", (uint64_t)now.tv_sec * 1000003u +
						 (uint64_t)now.tv_nsec);
	printf("WMAP_SEED=%" PRIu64 "\n", seed);
	fflush(stdout);
	return seed;
}

uint64_t random_next(uint64_t *state)
{
	uint64_t x = *state += 0x9e3779b97f4a7c15u;

	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
	return x ^ (x >> 31);
}

size_t random_below(uint64_t *state, size_t n)
{
	return (size_t)(random_next(state) % n);
}
