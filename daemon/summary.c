/* SPDX-License-Identifier: MIT */
/* The summary for people */
#include "daemon.h"

#define LINES 16 /* of mappings, at most */

static const char *plural(uint64_t n)
{
	return n == 1 ? "" : "s";
}

static uint64_t pages(uint64_t length)
{
	return length / WMAP_PAGE_SIZE + (length % WMAP_PAGE_SIZE != 0);
}

static void print_mapping(FILE *to, const struct figures_mapping *mapping)
{
	fprintf(to, "wmap: %11s %10llu %10llu %10llu  ",
		text_bytes(mapping->length).text,
		(unsigned long long)pages(mapping->length),
		(unsigned long long)mapping->loaded,
		(unsigned long long)mapping->faults);
	say_name(to, mapping->file);
	if (mapping->count > 1)
		fprintf(to, " (%llu times)",
			(unsigned long long)mapping->count);
	fputc('\n', to);
}

static void print_mappings(FILE *to, const struct figures *figures)
{
	size_t i, n = figures->n < LINES ? figures->n : LINES;

	fprintf(to, "wmap: %11s %10s %10s %10s  file\n", "size", "pages",
		"loaded", "faults");
	for (i = 0; i < n; i++)
		print_mapping(to, &figures->mappings[i]);
	if (n < figures->n)
		fprintf(to, "wmap: … and %zu more file%s\n", figures->n - n,
			plural(figures->n - n));
}

static void print_sums(FILE *to, const struct wmap_stats *stats)
{
	fprintf(to, "wmap: %llu fault%s", (unsigned long long)stats->faults,
		plural(stats->faults));
	if (stats->faults)
		fprintf(to, ", p50 %s, p99 %s, max %s",
			text_duration(wmap_stats_quantile(stats, 0.5)).text,
			text_duration(wmap_stats_quantile(stats, 0.99)).text,
			text_duration(stats->latency_max_ns).text);
	fprintf(to, "; %s read, %s written", text_bytes(stats->bytes_read).text,
		text_bytes(stats->bytes_written).text);
	if (stats->errors)
		fprintf(to, "; %llu error%s", (unsigned long long)stats->errors,
			plural(stats->errors));
	fputc('\n', to);
}

static uint64_t count(const struct figures *figures)
{
	uint64_t n = 0;
	size_t i;

	for (i = 0; i < figures->n; i++)
		n += figures->mappings[i].count;
	return n;
}

/* Killed processes leave what was counted, and what was mapped at their end. */
static void print_none(FILE *to, const struct figures *figures)
{
	if (!figures->stats.faults) {
		fprintf(to, "wmap: no file was mapped, or no process lived to "
			    "tell\n");
		return;
	}
	fprintf(to,
		"wmap: nothing was mapped any more when %llu process%s "
		"ended\n",
		(unsigned long long)figures->processes,
		figures->processes == 1 ? "" : "es");
	print_sums(to, &figures->stats);
}

void summary_print(FILE *to, struct figures *figures)
{
	uint64_t n = count(figures);

	if (figures->unreadable)
		fprintf(to, "wmap: %llu report%s could not be read in full\n",
			(unsigned long long)figures->unreadable,
			plural(figures->unreadable));
	if (!figures->n) {
		print_none(to, figures);
		return;
	}
	fprintf(to, "wmap: %llu mapping%s in %llu process%s\n",
		(unsigned long long)n, plural(n),
		(unsigned long long)figures->processes,
		figures->processes == 1 ? "" : "es");
	if (figures->n > LINES)
		figures_merge_files(figures);
	print_mappings(to, figures);
	print_sums(to, &figures->stats);
}
