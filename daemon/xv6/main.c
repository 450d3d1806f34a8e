/* SPDX-License-Identifier: MIT */
/* xv6run: the command line */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "run.h"

static const char help[] =
	"usage: xv6run [--trace] [--map] [--timeout N] program [argument …]\n"
	"       xv6run --check [--term T] [--jobs N] [--timeout N] path …\n"
	"\n"
	"Runs a program that xv6cc has made, as xv6's shell would: in a fresh\n"
	"directory that is its file system, its console on standard output.\n"
	"\n"
	"  --trace      each wmap, fault, load and unmap, with its time, on\n"
	"               standard error\n"
	"  --map        draws the window whenever the program asks what is\n"
	"               mapped, and at its end, on standard error\n"
	"  --check      compiles and runs the tests of a directory (or one):\n"
	"               NAME.c, whose output should be that in NAME.out\n"
	"  --term T     of the tests: f24, s24, f23 or s26; without it the\n"
	"               name of their directory, if it is one, else f24\n"
	"  --jobs N     tests at the same time; without it one a processor\n"
	"  --timeout N  seconds that a program may take; a test 30\n"
	"  --help\n"
	"\n"
	"The exit status is 0, whatever became of the program, as xv6 knows\n"
	"none; 125: it could not be run. With --check it is 1 if a test\n"
	"failed.\n";

struct options {
	bool check;
	struct check how;
	struct run run;
};

enum { TRACE = 256, MAP, CHECK, TERM, JOBS, TIMEOUT, HELP };

static const struct option long_options[] = {
	{ "trace", no_argument, NULL, TRACE },
	{ "map", no_argument, NULL, MAP },
	{ "check", no_argument, NULL, CHECK },
	{ "term", required_argument, NULL, TERM },
	{ "jobs", required_argument, NULL, JOBS },
	{ "timeout", required_argument, NULL, TIMEOUT },
	{ "help", no_argument, NULL, HELP },
	{ NULL, 0, NULL, 0 },
};

static bool number_of(const char *name, const char *text, unsigned *result)
{
	char *end;
	unsigned long n = strtoul(text, &end, 10);

	if (*end || *text < '0' || *text > '9' || !n || n > 100000) {
		say("--%s %s: not a number from 1 to 100000", name, text);
		return false;
	}
	*result = (unsigned)n;
	return true;
}

static bool set_option(struct options *options, int option, char **argv)
{
	switch (option) {
	case TRACE:
		options->run.trace = true;
		return true;
	case MAP:
		options->run.map = true;
		return true;
	case CHECK:
		options->check = true;
		return true;
	case TERM:
		options->how.term = optarg;
		return true;
	case JOBS:
		return number_of("jobs", optarg, &options->how.jobs);
	case TIMEOUT:
		return number_of("timeout", optarg, &options->run.seconds);
	default:
		say("%s: %s; try --help", argv[optind - 1],
		    option == ':' ? "its value is missing" : "no such option");
		return false;
	}
}

bool find_program(const char *name, char path[PATH_MAX])
{
	const char *paths = getenv("PATH");
	char one[PATH_MAX];

	if (realpath(name, path) && !access(path, X_OK))
		return true;
	while (!strchr(name, '/') && paths && *paths) {
		int length = (int)strcspn(paths, ":");

		snprintf(one, sizeof(one), "%.*s/%s", length, paths, name);
		if (!access(one, X_OK) && realpath(one, path))
			return true;
		paths += length + (paths[length] == ':');
	}
	return false;
}

/* Its name is the one by which it finds itself in its own file system. */
static int run_one(struct options *options, char **argv)
{
	char path[PATH_MAX], name[NAME_MAX + 1];

	if (!find_program(argv[0], path)) {
		say("%s: %s", argv[0],
		    access(argv[0], F_OK) ? "there is no such program" :
					    "no program; has xv6cc made it?");
		return EXIT_OURS;
	}
	snprintf(name, sizeof(name), "%s", base_name(path));
	options->run.program = path;
	options->run.argv = argv;
	argv[0] = name;
	if (!run_program(&options->run))
		return EXIT_OURS;
	if (options->run.late)
		say("%s: killed after %u seconds", name, options->run.seconds);
	return run_interrupted() ? EXIT_OURS : EXIT_SUCCESS;
}

static int check_all(struct options *options, char **paths)
{
	int status = EXIT_SUCCESS, one;

	options->how.seconds = options->run.seconds ? options->run.seconds : 30;
	for (; *paths && status < EXIT_OURS; paths++) {
		one = check(&options->how, *paths);
		status = one > status ? one : status;
	}
	return status;
}

/* Who has closed one of them means: nothing to read, nobody to tell. */
static void open_standard(void)
{
	for (int fd = 0; fd <= STDERR_FILENO; fd++)
		if (fcntl(fd, F_GETFD) < 0)
			open("/dev/null", O_RDWR);
}

int main(int argc, char **argv)
{
	struct options options = { .run.console = STDOUT_FILENO };
	int option;

	open_standard();
	opterr = 0;
	while ((option = getopt_long(argc, argv, "+:", long_options, NULL)) !=
	       -1) {
		if (option == HELP) {
			fputs(help, stdout);
			return EXIT_SUCCESS;
		}
		if (!set_option(&options, option, argv))
			return EXIT_OURS;
	}
	if (optind == argc) {
		say("run what? Try --help");
		return EXIT_OURS;
	}
	if (options.check)
		return check_all(&options, argv + optind);
	return run_one(&options, argv + optind);
}
