/* SPDX-License-Identifier: MIT */
/*
 * --check: a directory of tests, one line each
 *
 * A test is a program, NAME.c, and what it should print, NAME.out beside it. For
 * test_7.c 7.out will do. Each is seen to by a process of its own, which writes
 * its line to a file; they are printed in order.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "run.h"

struct test {
	char source[PATH_MAX], expected[PATH_MAX];
	char name[NAME_MAX + 1];
	pid_t worker; /* 0: not begun; -1: done */
	int result;   /* a file that has its line */
	bool passed;
};

struct tests {
	const struct check *how;
	const char *term;
	char work[PATH_MAX], compiler[PATH_MAX];
	struct test *all;
	size_t n;
};

/* ---- Which tests ---------------------------------------------------------------*/

static bool is_file(const char *path)
{
	struct stat status;

	return !stat(path, &status) && S_ISREG(status.st_mode);
}

/* NAME.out, or what is behind the last _ of it. */
static void find_expected(struct test *test)
{
	size_t length = strlen(test->source) - 2;
	size_t directory = (size_t)(base_name(test->source) - test->source);
	const char *number = strrchr(test->name, '_');

	snprintf(test->expected, PATH_MAX, "%.*s.out", (int)length,
		 test->source);
	if (!is_file(test->expected) && number)
		snprintf(test->expected, PATH_MAX, "%.*s%s.out", (int)directory,
			 test->source, number + 1);
}

static bool add(struct tests *tests, const char *directory, const char *name)
{
	size_t length = strlen(name);
	struct test *more, *test;

	if (length < 3 || strcmp(name + length - 2, ".c") || *name == '.')
		return true;
	more = realloc(tests->all, (tests->n + 1) * sizeof(*more));
	if (!more)
		return false;
	tests->all = more;
	test = &more[tests->n++];
	memset(test, 0, sizeof(*test));
	snprintf(test->source, PATH_MAX, "%s/%s", directory, name);
	snprintf(test->name, sizeof(test->name), "%.*s", (int)length - 2, name);
	find_expected(test);
	return true;
}

static int by_name(const void *a, const void *b)
{
	return strverscmp(((const struct test *)a)->name,
			  ((const struct test *)b)->name);
}

static bool add_directory(struct tests *tests, const char *path)
{
	DIR *directory = opendir(path);
	struct dirent *entry;
	bool done = true;

	if (!directory)
		return false;
	while (done && (entry = readdir(directory)))
		done = add(tests, path, entry->d_name);
	closedir(directory);
	if (tests->n)
		qsort(tests->all, tests->n, sizeof(*tests->all), by_name);
	return done;
}

/* The term of that name, or NULL. */
static const char *find_term(const char *name)
{
	static const char *const terms[] = { "f24", "s24", "f23", "s26" };

	for (size_t i = 0; i < sizeof(terms) / sizeof(terms[0]); i++)
		if (!strcmp(name, terms[i]))
			return terms[i];
	return NULL;
}

/* The directory of the tests; its name may be a term's. */
static bool find_tests(struct tests *tests, const char *path)
{
	char directory[PATH_MAX];
	bool one = is_file(path), done;

	if (!realpath(path, directory))
		return false;
	if (one) {
		*strrchr(directory, '/') = 0;
		done = add(tests, directory, base_name(path));
	} else {
		done = add_directory(tests, directory);
	}
	tests->term = tests->how->term;
	if (!tests->term)
		tests->term = find_term(base_name(directory));
	if (!tests->term)
		tests->term = "f24";
	return done;
}

static int temporary(const char *work)
{
	return open(work, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
}

/* ---- One test --------------------------------------------------------------------*/

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static bool compile(const struct tests *tests, const struct test *test,
		    const char *program, int messages)
{
	int status = 0;
	pid_t pid = fork();

	if (!pid) {
		dup2(messages, STDERR_FILENO);
		execl(tests->compiler, "xv6cc", "--term", tests->term,
		      test->source, "-o", program, (char *)NULL);
		_exit(127);
	}
	return pid > 0 && waitpid(pid, &status, 0) == pid && !status;
}

struct text {
	const char *start, *end;
};

static bool read_text(int fd, struct text *text)
{
	off_t size = lseek(fd, 0, SEEK_END);

	text->start = text->end = "";
	if (size < 0)
		return false;
	if (!size)
		return true;
	text->start = mmap(NULL, (size_t)size, PROT_READ, MAP_PRIVATE, fd, 0);
	text->end = text->start + size;
	return text->start != MAP_FAILED;
}

static const char *line_end(const char *at, const char *end)
{
	const char *newline = memchr(at, '\n', (size_t)(end - at));

	return newline ? newline : end;
}

/* What is at the first line that differs, both shortened. */
static void tell_difference(FILE *to, struct text expected, struct text found)
{
	const char *a = expected.start, *b = found.start, *x, *y;

	for (unsigned line = 1;; line++) {
		x = line_end(a, expected.end);
		y = line_end(b, found.end);
		if (x - a != y - b || memcmp(a, b, (size_t)(x - a)) ||
		    x == expected.end || y == found.end) {
			fprintf(to, "line %u: expected \"%.*s\", got \"%.*s\"",
				line, (int)(x - a > 60 ? 60 : x - a), a,
				(int)(y - b > 60 ? 60 : y - b), b);
			return;
		}
		a = x + 1;
		b = y + 1;
	}
}

static bool compare(FILE *to, const char *path, int output)
{
	struct text expected, found;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	bool same = false;

	if (fd < 0 || !read_text(fd, &expected) || !read_text(output, &found)) {
		fprintf(to, "%s cannot be read", base_name(path));
	} else {
		same = expected.end - expected.start ==
			       found.end - found.start &&
		       !memcmp(expected.start, found.start,
			       (size_t)(found.end - found.start));
		if (!same)
			tell_difference(to, expected, found);
	}
	if (fd >= 0)
		close(fd);
	return same;
}

/* Of what the compiler said, the first line that has an error, else the last. */
static void tell_error(FILE *to, int messages)
{
	struct text text;
	const char *at, *end, *line = NULL;

	fputs("does not compile", to);
	if (!read_text(messages, &text))
		return;
	for (at = text.start; at < text.end; at = end + 1) {
		end = line_end(at, text.end);
		line = at;
		if (memmem(at, (size_t)(end - at), "error", 5))
			break;
	}
	if (line)
		fprintf(to, ": %.*s", (int)(line_end(line, text.end) - line),
			line);
}

static bool compile_or_tell(const struct tests *tests, const struct test *test,
			    const char *program, FILE *line)
{
	int messages = temporary(tests->work);
	bool done = compile(tests, test, program, messages);

	if (!done)
		tell_error(line, messages);
	close(messages);
	return done;
}

static bool run_test(const struct tests *tests, struct test *test,
		     const char *program, FILE *line)
{
	char *argv[] = { test->name, NULL };
	struct run run = {
		.program = program,
		.argv = argv,
		.input = open("/dev/null", O_RDONLY | O_CLOEXEC),
		.console = temporary(tests->work),
		.seconds = tests->how->seconds,
	};

	if (!run_program(&run)) {
		fputs("could not be run", line);
		return false;
	}
	if (run.late) {
		fprintf(line, "still running after %u s", run.seconds);
		return false;
	}
	return compare(line, test->expected, run.console);
}

/* The verdict comes first, but is known last: the line has a place for it. */
static int see_to(const struct tests *tests, struct test *test)
{
	char program[PATH_MAX + NAME_MAX + 2];
	double since = now();
	FILE *line = fdopen(test->result, "w");
	bool passed = false;

	fprintf(line, "FAIL  %-32s ", test->name);
	fflush(line);
	snprintf(program, sizeof(program), "%s/%s", tests->work, test->name);
	if (!is_file(test->expected))
		fprintf(line, "there is no %s", base_name(test->expected));
	else if (compile_or_tell(tests, test, program, line))
		passed = run_test(tests, test, program, line);
	if (passed) {
		fprintf(line, "%6.3f s", now() - since);
		fflush(line);
		pwrite(test->result, "pass", 4, 0);
	}
	fputc('\n', line);
	fclose(line);
	return !passed;
}

/* ---- All of them ---------------------------------------------------------------- */

static volatile sig_atomic_t ended;

static void end(int signal)
{
	(void)signal;
	ended = 1;
}

/* An interrupt ends the waiting, and what is left is cleared away. */
static void catch_ends(void)
{
	static const int signals[] = { SIGINT, SIGTERM, SIGHUP };
	struct sigaction action = { .sa_handler = end };

	for (size_t i = 0; i < sizeof(signals) / sizeof(*signals); i++)
		sigaction(signals[i], &action, NULL);
}

static void end_workers(const struct tests *tests)
{
	for (size_t i = 0; i < tests->n; i++)
		if (tests->all[i].worker > 0)
			kill(tests->all[i].worker, SIGTERM);
	while (wait(NULL) > 0 || errno == EINTR)
		;
}

static void begin(struct tests *tests, struct test *test)
{
	pid_t parent = getpid();

	fflush(NULL);
	test->result = temporary(tests->work);
	test->worker = test->result < 0 ? -1 : fork();
	if (!test->worker) {
		prctl(PR_SET_PDEATHSIG, SIGTERM);
		signal(SIGINT, SIG_DFL);
		signal(SIGTERM, SIG_DFL);
		signal(SIGHUP, SIG_DFL);
		if (getppid() != parent)
			_exit(1);
		exit(see_to(tests, test));
	}
}

static void print_line(const struct test *test)
{
	char text[4096];
	ssize_t n;

	lseek(test->result, 0, SEEK_SET);
	while ((n = read(test->result, text, sizeof(text))) > 0)
		fwrite(text, 1, (size_t)n, stdout);
	fflush(stdout);
	close(test->result);
}

/* False: interrupted. */
static bool reap(struct tests *tests)
{
	int status;
	pid_t pid = ended ? -1 : waitpid(-1, &status, 0);

	for (size_t i = 0; pid > 0 && i < tests->n; i++)
		if (tests->all[i].worker == pid) {
			tests->all[i].worker = -1;
			tests->all[i].passed = !status;
		}
	return pid > 0;
}

static size_t run_all(struct tests *tests)
{
	size_t begun = 0, printed = 0, passed = 0, running = 0;

	while (printed < tests->n) {
		while (begun < tests->n && running < tests->how->jobs) {
			begin(tests, &tests->all[begun++]);
			running++;
		}
		if (!reap(tests))
			break;
		running--;
		for (; printed < begun && tests->all[printed].worker == -1;
		     printed++) {
			print_line(&tests->all[printed]);
			passed += tests->all[printed].passed;
		}
	}
	return passed;
}

/* Beside this command. */
static bool find_compiler(struct tests *tests)
{
	ssize_t n = readlink("/proc/self/exe", tests->compiler, PATH_MAX - 1);

	if (n <= 0)
		return false;
	tests->compiler[n] = 0;
	strcpy(strrchr(tests->compiler, '/') + 1, "xv6cc");
	return !access(tests->compiler, X_OK);
}

int check(const struct check *how, const char *path)
{
	struct check with = *how;
	struct tests tests = { .how = &with };
	size_t passed;

	if (!with.jobs)
		with.jobs = (unsigned)sysconf(_SC_NPROCESSORS_ONLN);
	if (how->term && !find_term(how->term)) {
		say("--term %s: it is one of f24, s24, f23, s26", how->term);
		return EXIT_OURS;
	}
	if (!find_compiler(&tests)) {
		say("xv6cc is not beside this command");
		return EXIT_OURS;
	}
	if (!find_tests(&tests, path)) {
		say("%s: %s", path, strerror(errno));
		return EXIT_OURS;
	}
	if (!tests.n) {
		say("%s: no tests", path);
		return EXIT_OURS;
	}
	if (!place_make(tests.work))
		return EXIT_OURS;
	catch_ends();
	passed = run_all(&tests);
	end_workers(&tests);
	place_remove(tests.work);
	if (tests.n > 1)
		printf("%zu of %zu passed\n", passed, tests.n);
	free(tests.all);
	return ended ? EXIT_OURS : passed < tests.n;
}
