/* SPDX-License-Identifier: MIT */
/*
 * The summary for machines: one JSON object (RFC 8259)
 *
 * A file's name is bytes, JSON is Unicode: bytes that are no UTF-8 appear as
 * U+FFFD, one for each.
 */
#include "daemon.h"

/* Bytes of the UTF-8 character at @s, or 0 if there is none. */
static unsigned character(const unsigned char *s)
{
	static const struct {
		unsigned char first, last, low, high; /* of the next byte */
		unsigned length;
	} forms[] = {
		{ 0x01, 0x7f, 0x00, 0x00, 1 }, { 0xc2, 0xdf, 0x80, 0xbf, 2 },
		{ 0xe0, 0xe0, 0xa0, 0xbf, 3 }, { 0xe1, 0xec, 0x80, 0xbf, 3 },
		{ 0xed, 0xed, 0x80, 0x9f, 3 }, { 0xee, 0xef, 0x80, 0xbf, 3 },
		{ 0xf0, 0xf0, 0x90, 0xbf, 4 }, { 0xf1, 0xf3, 0x80, 0xbf, 4 },
		{ 0xf4, 0xf4, 0x80, 0x8f, 4 },
	};
	unsigned i, k;

	for (i = 0; i < sizeof(forms) / sizeof(*forms); i++) {
		if (*s < forms[i].first || *s > forms[i].last)
			continue;
		if (forms[i].length > 1 &&
		    (s[1] < forms[i].low || s[1] > forms[i].high))
			return 0;
		for (k = 2; k < forms[i].length; k++) {
			if (s[k] < 0x80 || s[k] > 0xbf)
				return 0;
		}
		return forms[i].length;
	}
	return 0;
}

void json_string(FILE *to, const char *string)
{
	const unsigned char *s = (const unsigned char *)string;
	unsigned length;

	fputc('"', to);
	for (; *s; s += length) {
		length = character(s);
		if (!length) {
			fputs("\\ufffd", to);
			length = 1;
		} else if (*s < 0x20 || *s == 0x7f) {
			fprintf(to, "\\u%04x", *s);
		} else {
			if (*s == '"' || *s == '\\')
				fputc('\\', to);
			fwrite(s, 1, length, to);
		}
	}
	fputc('"', to);
}

static void print_mapping(FILE *to, const struct figures_mapping *mapping)
{
	fputs("\n\t\t{ \"file\": ", to);
	json_string(to, mapping->file);
	fprintf(to,
		", \"length\": %llu, \"loaded_pages\": %llu, "
		"\"faults\": %llu, \"count\": %llu }",
		(unsigned long long)mapping->length,
		(unsigned long long)mapping->loaded,
		(unsigned long long)mapping->faults,
		(unsigned long long)mapping->count);
}

static void print_mappings(FILE *to, const struct figures *figures)
{
	size_t i;

	fputs("\t\"mappings\": [", to);
	for (i = 0; i < figures->n; i++) {
		if (i)
			fputc(',', to);
		print_mapping(to, &figures->mappings[i]);
	}
	fputs(figures->n ? "\n\t],\n" : "],\n", to);
}

static void print_number(FILE *to, const char *name, uint64_t n)
{
	fprintf(to, "\t\"%s\": %llu,\n", name, (unsigned long long)n);
}

bool json_print(FILE *to, const struct figures *figures)
{
	const struct wmap_stats *stats = &figures->stats;

	fputs("{\n", to);
	print_mappings(to, figures);
	print_number(to, "processes", figures->processes);
	print_number(to, "unreadable_reports", figures->unreadable);
	print_number(to, "faults", stats->faults);
	fprintf(to,
		"\t\"latency_ns\": { \"p50\": %llu, \"p99\": %llu, "
		"\"max\": %llu },\n",
		(unsigned long long)wmap_stats_quantile(stats, 0.5),
		(unsigned long long)wmap_stats_quantile(stats, 0.99),
		(unsigned long long)stats->latency_max_ns);
	print_number(to, "errors", stats->errors);
	print_number(to, "bytes_read", stats->bytes_read);
	fprintf(to, "\t\"bytes_written\": %llu\n}\n",
		(unsigned long long)stats->bytes_written);
	return fflush(to) == 0 && !ferror(to);
}
