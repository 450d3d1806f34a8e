/* SPDX-License-Identifier: MIT */
/* Counting latencies in logarithmic buckets, 8 a doubling */
#ifndef WMAP_HISTOGRAM_H
#define WMAP_HISTOGRAM_H

#include <stdint.h>

/* The bucket of a latency: the last b with wmap_bucket_start(b) <= @ns. */
unsigned histogram_bucket(uint64_t ns);

#endif
