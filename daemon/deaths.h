/* SPDX-License-Identifier: MIT */
/*
 * wmapd's deaths: is it worth while to start another?
 *
 * Deaths in a row, none of them after a READY, count, unless it was somebody
 * else's doing (SIGKILL): a wmapd that cannot start will not. All of them count
 * for a much higher limit: then they are so close that no work lies between.
 */
#ifndef WMAP_DEATHS_H
#define WMAP_DEATHS_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

struct deaths_count {
	unsigned n;
	int64_t since; /* ms; a count is of ten seconds */
};

/* All zeros in the beginning. */
struct deaths {
	struct deaths_count row, all;
};

/* A monotonic clock. */
int64_t deaths_now_ms(void);

/* Count one more, that @info tells of. */
bool deaths_too_many(struct deaths *deaths, const siginfo_t *info, bool ready);

/* It is READY. */
void deaths_end_row(struct deaths *deaths);

#define DEATHS_TEXT 80

/* The last one, for a message after wmapd's path. */
void deaths_describe(const siginfo_t *info, char text[DEATHS_TEXT]);

#endif
