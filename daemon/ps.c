/* SPDX-License-Identifier: MIT */
/*
 * wmap ps: a line for each process that a wmapd serves
 * wmap info PID: all that is known of one
 */
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "daemon.h"
#include "wmapds.h"

struct options {
	struct question question;
	bool json;
};

typedef unsigned long long ull;

/* ---- For people --------------------------------------------------------- */

static struct text latency(const struct wmap_stats *stats, double q)
{
	return stats->faults ? text_duration(wmap_stats_quantile(stats, q)) :
			       (struct text){ "-" };
}

static void print_head(void)
{
	printf("%8s %-15s %8s %10s %10s %10s %9s %9s %9s\n", "PID", "COMMAND",
	       "MAPPINGS", "LOADED", "DIRTY", "TOTAL", "FAULTS", "P50", "P99");
}

/* "µ" is two bytes of one column. */
static void print_time(struct text time)
{
	printf(" %*s", strstr(time.text, "µ") ? 10 : 9, time.text);
}

static void print_process(const struct told_process *process)
{
	const struct wire_space *space = &process->space;
	size_t width = strlen(process->command);

	printf("%8u ", space->pid);
	say_name(stdout, process->command);
	printf("%*s %8llu %10s %10s %10s %9llu",
	       width < 15 ? 15 - (int)width : 0, "", (ull)space->stats.mappings,
	       text_bytes(space->loaded * WMAP_PAGE_SIZE).text,
	       text_bytes(space->dirty * WMAP_PAGE_SIZE).text,
	       text_bytes(space->total * WMAP_PAGE_SIZE).text,
	       (ull)space->stats.faults);
	print_time(latency(&space->stats, 0.5));
	print_time(latency(&space->stats, 0.99));
	putchar('\n');
}

static void print_mapping(const struct wmap_mapping_info *info)
{
	printf("         0x%012llx %c%c%c%c %10s, %10s loaded, %10s dirty, "
	       "%llu fault%s  ",
	       (ull)(uintptr_t)info->addr, info->prot & 1 ? 'r' : '-',
	       info->prot & 2 ? 'w' : '-', info->prot & 4 ? 'x' : '-',
	       info->flags & WMAP_SHARED ? 's' : 'p',
	       text_bytes(info->length).text,
	       text_bytes(info->loaded * WMAP_PAGE_SIZE).text,
	       text_bytes(info->dirty * WMAP_PAGE_SIZE).text, (ull)info->faults,
	       info->faults == 1 ? "" : "s");
	say_name(stdout, info->name);
	putchar('\n');
}

/* What it may hold, and does; each process tells it. */
static void print_budget(const struct told_wmapd *wmapd)
{
	const struct wmap_stats *stats = &wmapd->processes[0].space.stats;

	if (stats->memory_limit != UINT64_MAX)
		printf(", %s of %s used", text_bytes(stats->memory).text,
		       text_bytes(stats->memory_limit).text);
	putchar('\n');
}

static void print_wmapd(const struct told_wmapd *wmapd)
{
	printf("wmapd %d at ", (int)wmapd->pid);
	say_name(stdout, wmapd->address);
	if (wmapd->n)
		print_budget(wmapd);
	else
		puts(": no process");
	if (wmapd->n)
		print_head();
	for (size_t i = 0; i < wmapd->n; i++) {
		print_process(&wmapd->processes[i]);
		for (size_t k = 0; k < wmapd->processes[i].n; k++)
			print_mapping(&wmapd->processes[i].infos[k]);
	}
}

/* Does it say what its process uses, so that that stays? */
static const char *agent_of(const struct wire_space *space)
{
	if (space->agent == WIRE_AGENT_NONE)
		return "none";
	return space->agent == WIRE_AGENT_LATE ? "late" : "serves";
}

static void print_info(const struct told_wmapd *wmapd,
		       const struct told_process *process)
{
	const struct wire_space *space = &process->space;
	const struct wmap_stats *stats = &space->stats;

	printf("process    %u (", space->pid);
	say_name(stdout, process->command);
	printf(") of user %u\nwmapd      %d at ", space->uid, (int)wmapd->pid);
	say_name(stdout, wmapd->address);
	printf("\nloaded     %s of %s\n",
	       text_bytes(space->loaded * WMAP_PAGE_SIZE).text,
	       text_bytes(space->total * WMAP_PAGE_SIZE).text);
	printf("in memory  %s, %s of it dirty\n",
	       text_bytes(space->resident * WMAP_PAGE_SIZE).text,
	       text_bytes(space->dirty * WMAP_PAGE_SIZE).text);
	if (stats->memory_limit != UINT64_MAX)
		printf("budget     %s used, share %s of %s\n",
		       text_bytes(stats->memory_own).text,
		       text_bytes(stats->memory_share).text,
		       text_bytes(stats->memory_limit).text);
	printf("agent      %s", agent_of(space));
	if (space->times_late)
		printf(", was late %u time%s", space->times_late,
		       space->times_late == 1 ? "" : "s");
	printf("\nfaults     %llu", (ull)stats->faults);
	if (stats->faults)
		printf(": p50 %s, p99 %s, max %s", latency(stats, 0.5).text,
		       latency(stats, 0.99).text,
		       text_duration(stats->latency_max_ns).text);
	printf("\npages      %llu brought, %llu written back\n",
	       (ull)stats->fills, (ull)stats->writebacks);
	printf("bytes      %s read, %s written\n",
	       text_bytes(stats->bytes_read).text,
	       text_bytes(stats->bytes_written).text);
	printf("errors     %llu\nmappings   %zu\n", (ull)stats->errors,
	       process->n);
	for (size_t i = 0; i < process->n; i++)
		print_mapping(&process->infos[i]);
}

/* ---- For machines ------------------------------------------------------- */

static void json_number(const char *name, uint64_t n)
{
	printf(", \"%s\": %llu", name, (ull)n);
}

static void json_mapping(const struct wmap_mapping_info *info)
{
	printf("{ \"address\": %llu", (ull)(uintptr_t)info->addr);
	json_number("length", info->length);
	json_number("offset", info->offset);
	json_number("prot", (uint64_t)info->prot);
	printf(", \"shared\": %s",
	       info->flags & WMAP_SHARED ? "true" : "false");
	json_number("grain", info->grain);
	json_number("loaded_pages", info->loaded);
	json_number("resident_pages", info->resident);
	json_number("dirty_pages", info->dirty);
	json_number("faults", info->faults);
	json_number("fills", info->fills);
	json_number("errors", info->errors);
	fputs(", \"name\": ", stdout);
	json_string(stdout, info->name);
	fputs(" }", stdout);
}

static void json_mappings(const struct told_process *process)
{
	fputs(",\n\t\t\t\t\"mapped\": [", stdout);
	for (size_t i = 0; i < process->n; i++) {
		fputs(i ? ",\n\t\t\t\t\t" : "\n\t\t\t\t\t", stdout);
		json_mapping(&process->infos[i]);
	}
	putchar(']');
}

static void json_process(const struct told_process *process, bool mappings)
{
	const struct wire_space *space = &process->space;
	const struct wmap_stats *stats = &space->stats;

	printf("{ \"pid\": %u, \"uid\": %u, \"command\": ", space->pid,
	       space->uid);
	json_string(stdout, process->command);
	json_number("mappings", stats->mappings);
	json_number("loaded_pages", space->loaded);
	json_number("resident_pages", space->resident);
	json_number("dirty_pages", space->dirty);
	json_number("total_pages", space->total);
	json_number("charged_pages", stats->resident);
	json_number("charged_dirty_pages", stats->dirty);
	json_number("faults", stats->faults);
	json_number("fills", stats->fills);
	json_number("writebacks", stats->writebacks);
	json_number("errors", stats->errors);
	json_number("memory_limit", stats->memory_limit);
	json_number("memory", stats->memory);
	json_number("memory_own", stats->memory_own);
	json_number("memory_share", stats->memory_share);
	json_number("bytes_read", stats->bytes_read);
	json_number("bytes_written", stats->bytes_written);
	printf(", \"agent\": \"%s\"", agent_of(space));
	json_number("agent_late", space->times_late);
	printf(", \"latency_ns\": { \"p50\": %llu, \"p99\": %llu, "
	       "\"max\": %llu }",
	       (ull)wmap_stats_quantile(stats, 0.5),
	       (ull)wmap_stats_quantile(stats, 0.99),
	       (ull)stats->latency_max_ns);
	if (mappings)
		json_mappings(process);
	fputs(" }", stdout);
}

static void json_wmapd(const struct told_wmapd *wmapd, bool mappings)
{
	fputs("{ \"address\": ", stdout);
	json_string(stdout, wmapd->address);
	printf(", \"pid\": %d, \"processes\": [", (int)wmapd->pid);
	for (size_t i = 0; i < wmapd->n; i++) {
		fputs(i ? ",\n\t\t\t" : "\n\t\t\t", stdout);
		json_process(&wmapd->processes[i], mappings);
	}
	fputs("] }", stdout);
}

static void json_all(const struct told *told, bool mappings)
{
	fputs("{\n\t\"wmapds\": [", stdout);
	for (size_t i = 0; i < told->n; i++) {
		fputs(i ? ",\n\t\t" : "\n\t\t", stdout);
		json_wmapd(&told->wmapds[i], mappings);
	}
	fputs("]\n}\n", stdout);
}

/* ---- The commands ------------------------------------------------------- */

static const struct option long_options[] = {
	{ "socket", required_argument, NULL, 's' },
	{ "json", no_argument, NULL, 'j' },
	{ NULL, 0, NULL, 0 },
};

static bool parse(int argc, char **argv, const char *short_options,
		  struct options *options)
{
	int option;

	opterr = 0;
	while ((option = getopt_long(argc, argv, short_options, long_options,
				     NULL)) != -1) {
		switch (option) {
		case 's':
			options->question.socket = optarg;
			break;
		case 'j':
			options->json = true;
			break;
		case 'm':
			options->question.mappings = true;
			break;
		case ':':
			say("%s: its value is missing", argv[optind - 1]);
			return false;
		default:
			say("%s: no such option, or no such use of it",
			    argv[optind - 1]);
			return false;
		}
	}
	return true;
}

/* Output that nobody could write is no success. */
static int finish(struct told *told)
{
	wmapds_free(told);
	if (fflush(stdout) == 0 && !ferror(stdout))
		return EXIT_SUCCESS;
	say("standard output: %s", strerror(errno));
	return EXIT_OURS;
}

int ps_command(int argc, char **argv)
{
	struct options options = { 0 };
	struct told told;

	if (!parse(argc, argv, "+:m", &options))
		return EXIT_OURS;
	if (optind < argc) {
		say("%s: no argument is expected", argv[optind]);
		return EXIT_OURS;
	}
	if (!wmapds_ask(&options.question, false, &told))
		return EXIT_OURS;
	if (options.json)
		json_all(&told, options.question.mappings);
	for (size_t i = 0; i < told.n && !options.json; i++)
		print_wmapd(&told.wmapds[i]);
	return finish(&told);
}

static bool parse_pid(const char *text, pid_t *pid)
{
	char *end;
	long n;

	errno = 0;
	n = strtol(text, &end, 10);
	if (errno || end == text || *end || n < 1 || n > INT_MAX) {
		say("%s: not a process's number", text);
		return false;
	}
	*pid = (pid_t)n;
	return true;
}

int info_command(int argc, char **argv)
{
	struct options options = { .question.mappings = true };
	struct told told;

	if (!parse(argc, argv, "+:", &options))
		return EXIT_OURS;
	if (argc - optind != 1) {
		say("info: of one process: wmap info PID");
		return EXIT_OURS;
	}
	if (!parse_pid(argv[optind], &options.question.pid) ||
	    !wmapds_ask(&options.question, false, &told))
		return EXIT_OURS;
	if (options.json)
		json_all(&told, true);
	for (size_t i = 0; i < told.n && !options.json; i++)
		for (size_t k = 0; k < told.wmapds[i].n; k++)
			print_info(&told.wmapds[i],
				   &told.wmapds[i].processes[k]);
	return finish(&told);
}
