/* SPDX-License-Identifier: MIT */
/* Sizes and times for people */
#include "daemon.h"

struct text text_bytes(uint64_t n)
{
	static const char *const units[] = { "KiB", "MiB", "GiB", "TiB" };
	double value = (double)n / 1024;
	struct text result;
	unsigned unit = 0;

	if (n < 1024) {
		snprintf(result.text, sizeof(result.text), "%u B", (unsigned)n);
		return result;
	}
	for (; value >= 1024 && unit < 3; unit++)
		value /= 1024;
	snprintf(result.text, sizeof(result.text), "%.1f %s", value,
		 units[unit]);
	return result;
}

struct text text_duration(uint64_t ns)
{
	struct text result;

	if (ns < 1000)
		snprintf(result.text, sizeof(result.text), "%u ns",
			 (unsigned)ns);
	else if (ns < 1000000)
		snprintf(result.text, sizeof(result.text), "%.1f µs",
			 (double)ns / 1e3);
	else
		snprintf(result.text, sizeof(result.text), "%.1f ms",
			 (double)ns / 1e6);
	return result;
}
