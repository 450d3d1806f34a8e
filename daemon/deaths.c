/* SPDX-License-Identifier: MIT */
/* wmapd's deaths */
#include <stdio.h>
#include <time.h>

#include "deaths.h"
#include "spawn.h"

#define PERIOD_MS 10000
#define ROW_MAX	  20
#define ALL_MAX	  2000

int64_t deaths_now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static unsigned count(struct deaths_count *count)
{
	int64_t now = deaths_now_ms();

	if (!count->n || now - count->since > PERIOD_MS)
		*count = (struct deaths_count){ .since = now };
	return ++count->n;
}

bool deaths_too_many(struct deaths *deaths, const siginfo_t *info, bool ready)
{
	bool killed = info->si_code == CLD_KILLED && info->si_status == SIGKILL;

	if (count(&deaths->all) > ALL_MAX)
		return true;
	return !ready && !killed && count(&deaths->row) > ROW_MAX;
}

void deaths_end_row(struct deaths *deaths)
{
	deaths->row.n = 0;
}

void deaths_describe(const siginfo_t *info, char text[DEATHS_TEXT])
{
	if (info->si_code != CLD_EXITED)
		snprintf(text, DEATHS_TEXT,
			 "dies again and again (last by signal %d)",
			 info->si_status);
	else if (info->si_status == SPAWN_NOT_EXECUTED)
		snprintf(text, DEATHS_TEXT, "cannot be run");
	else
		snprintf(text, DEATHS_TEXT,
			 "ends again and again (last with status %d)",
			 info->si_status);
}
