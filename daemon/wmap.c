/* SPDX-License-Identifier: MIT */
/* wmap: the command line */
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "budget.h"
#include "daemon.h"

#define GRAIN_MIN 4096u

static const char help[] =
	"usage: wmap run [option …] [--] program [argument …]\n"
	"       wmap ps [-m] [--socket NAME] [--json]\n"
	"       wmap top [--socket NAME] [--interval SECONDS]\n"
	"       wmap info [--socket NAME] [--json] PID\n"
	"       wmap recording [--runs] FILE\n"
	"       wmap --help | --version\n"
	"\n"
	"run: a program on memory that wmap's pager fills: the files that it\n"
	"maps with mmap(2), all of them or those named. At the end a summary\n"
	"on standard error tells what was loaded, and how fast.\n"
	"\n"
	"  --map GLOB   only files whose path matches; may be repeated.\n"
	"               * matches / too; a GLOB without / is for the last part\n"
	"  --grain N    bytes that one fault brings: a power of two from 4096\n"
	"               (the default) to 2M\n"
	"  --memory N   at most that much memory for them, 256K or more (say,\n"
	"               256M); what is too much goes back to the files\n"
	"  --json FILE  writes the summary there, too, as JSON\n"
	"  --record FILE  writes down which pages are touched, in what order;\n"
	"               if there is a recording already, adds to it\n"
	"  --replay FILE  brings what was recorded, before it is touched\n"
	"  --help, --version\n"
	"\n"
	"ps, top, info: the processes that wmapds serve: $WMAP_SOCKET's, the\n"
	"user's, the system's and those of wmap run, or the one at NAME.\n"
	"\n"
	"  -m           their mappings, too\n"
	"  --json       for programs to read\n"
	"\n"
	"recording: what is in a recording; --runs: all of it.\n"
	"\n"
	"The exit status is the program's; if a signal killed it, wmap ends\n"
	"by the same signal. 125: wmap failed; 126: the program cannot be\n"
	"run; 127: there is no such program.\n";

static int print_version(void)
{
	puts("wmap " WMAP_VERSION);
	return EXIT_SUCCESS;
}

static int print_help(void)
{
	fputs(help, stdout);
	return EXIT_SUCCESS;
}

static int see_help(void)
{
	fputs("Try 'wmap --help'.\n", stderr);
	return EXIT_OURS;
}

static unsigned shift_of(char suffix)
{
	switch (suffix) {
	case 'K':
	case 'k':
		return 10;
	case 'M':
	case 'm':
		return 20;
	default:
		return 0;
	}
}

/* "64K" becomes 65536; 0 if it is no grain. */
static uint64_t parse_grain(const char *text)
{
	uint64_t n;
	char *end;

	if (*text < '0' || *text > '9')
		return 0;
	errno = 0;
	n = strtoull(text, &end, 10);
	if (errno || n > GRAIN_MAX)
		return 0;
	if (*end && shift_of(*end))
		n <<= shift_of(*end++);
	if (*end || n < GRAIN_MIN || n > GRAIN_MAX || n & (n - 1))
		return 0;
	return n;
}

/* "run"'s options, as they come. */
struct parsed {
	struct run_options options;
	char grain[24];
};

static bool set_grain(struct parsed *parsed, const char *text)
{
	uint64_t grain = parse_grain(text);

	if (!grain) {
		say("--grain %s: not a power of two from 4096 to 2M", text);
		return false;
	}
	snprintf(parsed->grain, sizeof(parsed->grain), "%llu",
		 (unsigned long long)grain);
	parsed->options.grain = parsed->grain;
	return true;
}

static bool set_memory(struct parsed *parsed, const char *name,
		       const char *text)
{
	uint64_t bytes = budget_parse(text);

	if (bytes < BUDGET_MIN || bytes > budget_most()) {
		say("%s %s: not a size from %lluK to what the machine has, "
		    "%lluM",
		    name, text, (unsigned long long)BUDGET_MIN >> 10,
		    (unsigned long long)budget_most() >> 20);
		return false;
	}
	parsed->options.memory = text;
	return true;
}

static bool set_map(struct parsed *parsed, const char *glob)
{
	if (!*glob) {
		say("--map: the pattern is empty");
		return false;
	}
	if (!patterns_add(&parsed->options.patterns, glob)) {
		say("%s", strerror(errno));
		return false;
	}
	return true;
}

static bool set_path(const char *option, const char *path, const char **to)
{
	*to = path;
	if (!*path)
		say("%s: the name is empty", option);
	return *path;
}

enum { MAP = 256, GRAIN, MEMORY, JSON, RECORD, REPLAY, HELP, VERSION };

static const struct option long_options[] = {
	{ "map", required_argument, NULL, MAP },
	{ "grain", required_argument, NULL, GRAIN },
	{ "memory", required_argument, NULL, MEMORY },
	{ "json", required_argument, NULL, JSON },
	{ "record", required_argument, NULL, RECORD },
	{ "replay", required_argument, NULL, REPLAY },
	{ "help", no_argument, NULL, HELP },
	{ "version", no_argument, NULL, VERSION },
	{ NULL, 0, NULL, 0 },
};

static bool set_option(struct parsed *parsed, int option, char **argv)
{
	switch (option) {
	case MAP:
		return set_map(parsed, optarg);
	case GRAIN:
		return set_grain(parsed, optarg);
	case MEMORY:
		return set_memory(parsed, "--memory", optarg);
	case JSON:
		return set_path("--json", optarg, &parsed->options.json);
	case RECORD:
		return set_path("--record", optarg, &parsed->options.record);
	case REPLAY:
		return set_path("--replay", optarg, &parsed->options.replay);
	case ':':
		say("%s: its value is missing", argv[optind - 1]);
		break;
	default:
		say("%s: no such option, or no such use of it",
		    argv[optind - 1]);
		break;
	}
	see_help();
	return false;
}

/* Without the option the environment has it. */
static void default_path(const char *variable, const char **path)
{
	const char *value = getenv(variable);

	if (!*path && value && *value)
		*path = value;
}

/* What this run will record first cannot be replayed yet. */
static void drop_missing(struct run_options *options)
{
	if (options->record && options->replay &&
	    !strcmp(options->record, options->replay) &&
	    access(options->replay, F_OK) != 0 && errno == ENOENT)
		options->replay = NULL;
}

static int run_command(int argc, char **argv)
{
	struct parsed parsed = { 0 };
	int option, status;

	opterr = 0;
	while ((option = getopt_long(argc, argv, "+:", long_options, NULL)) !=
	       -1) {
		if (option == HELP)
			return print_help();
		if (option == VERSION)
			return print_version();
		if (!set_option(&parsed, option, argv))
			return EXIT_OURS;
	}
	if (!parsed.options.memory && getenv("WMAP_MEMORY") &&
	    !set_memory(&parsed, "WMAP_MEMORY", getenv("WMAP_MEMORY")))
		return EXIT_OURS;
	default_path("WMAP_RECORD", &parsed.options.record);
	default_path("WMAP_REPLAY", &parsed.options.replay);
	drop_missing(&parsed.options);
	if (optind == argc) {
		say("run: which program?");
		return see_help();
	}
	parsed.options.argv = argv + optind;
	status = run(&parsed.options);
	free(parsed.options.patterns);
	return status;
}

int main(int argc, char **argv)
{
	const char *command = argc > 1 ? argv[1] : "";

	if (!strcmp(command, "run"))
		return run_command(argc - 1, argv + 1);
	if (!strcmp(command, "keeper"))
		return keeper_command(argc - 1, argv + 1);
	if (!strcmp(command, "ps"))
		return ps_command(argc - 1, argv + 1);
	if (!strcmp(command, "info"))
		return info_command(argc - 1, argv + 1);
	if (!strcmp(command, "top"))
		return top_command(argc - 1, argv + 1);
	if (!strcmp(command, "recording"))
		return recording_command(argc - 1, argv + 1);
	if (!strcmp(command, "--help"))
		return print_help();
	if (!strcmp(command, "--version"))
		return print_version();
	if (*command)
		say("%s: no such command", command);
	else
		say("run what?");
	return see_help();
}
