/* SPDX-License-Identifier: MIT */
/*
 * wmap run: an existing program on memory that wmap's pager fills
 *
 * All that can be wrong is looked for before the program starts: then nothing
 * has happened yet, and --json has not been touched. Afterwards wmap ends as
 * the program did, whatever becomes of the report.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon.h"
#include "journal.h"
#include "keeper.h"
#include "recordings.h"

#define LIBRARY "libwmap-preload.so"

struct run {
	char *program;
	char library[PATH_MAX];
	char report[PATH_MAX]; /* a temporary file's name */
	int report_fd;
	FILE *json; /* or NULL */
	char wmapd[PATH_MAX];
	struct keeper *keeper;	 /* or NULL: there is no wmapd */
	struct journal *journal; /* of what is recorded by it, or NULL */
};

#define END_MS 50 /* what the end may wait for wmapd's */

/* ---- Before ------------------------------------------------------------- */

static bool check_library(struct run *run)
{
	if (!find_beside("../lib/" LIBRARY, WMAP_PRELOAD_PATH, run->library)) {
		say("the preload library is missing: it is neither in ../lib "
		    "of this command nor " WMAP_PRELOAD_PATH);
		return false;
	}
	if (strpbrk(run->library, " :")) {
		say("%s: a space or a colon in this name cannot be preloaded",
		    run->library);
		return false;
	}
	return true;
}

static void say_no_pager(int error)
{
	if (error == EPERM || error == EACCES)
		say("userfaultfd is not permitted: it takes access to "
		    "/dev/userfaultfd, CAP_SYS_PTRACE, or the sysctl "
		    "vm.unprivileged_userfaultfd=1");
	else if (error == ENOSYS)
		say("this kernel has no userfaultfd that serves: it takes "
		    "Linux 6.1 or later, with CONFIG_USERFAULTFD");
	else
		say("no pager can be started: %s", strerror(error));
}

static void say_log(void *unused, const char *line)
{
	(void)unused;
	say("%s", line);
}

/* Can the program's processes have a pager? They are like this one. */
static bool check_pager(void)
{
	unsigned features;

	wmap_log_set(say_log, NULL);
	if (wmap_start(&features) != 0) {
		say_no_pager(errno);
		return false;
	}
	wmap_stop();
	if (!(features & WMAP_FEATURE_KERNEL_FAULTS))
		say("only user-mode faults are permitted: system calls on "
		    "memory that the program has not touched yet fail with "
		    "EFAULT (access to /dev/userfaultfd would mend that)");
	return true;
}

static bool make_report(struct run *run)
{
	const char *directory = getenv("TMPDIR");
	char absolute[PATH_MAX];

	if (!directory || !*directory)
		directory = "/tmp";
	run->report_fd = -1;
	if (realpath(directory, absolute) &&
	    (size_t)snprintf(run->report, sizeof(run->report),
			     "%s/wmap-report-XXXXXX",
			     absolute) < sizeof(run->report))
		run->report_fd = mkostemp(run->report, O_CLOEXEC);
	if (run->report_fd < 0)
		say("no temporary file can be made in %s: %s", directory,
		    strerror(errno));
	return run->report_fd >= 0;
}

static void remove_report(struct run *run)
{
	unlink(run->report);
	close(run->report_fd);
}

/* What is in it stays until there is something to replace it with. */
static bool open_json(struct run *run, const char *path)
{
	int fd;

	run->json = NULL;
	if (!path)
		return true;
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
	if (fd >= 0)
		run->json = fdopen(fd, "w");
	if (!run->json)
		say("%s cannot be written: %s", path, strerror(errno));
	return run->json != NULL;
}

/* Without wmapd each process has its own pager. */
static bool make_keeper(struct run *run)
{
	run->keeper = NULL;
	if (!find_beside(WMAPD, WMAP_WMAPD_PATH, run->wmapd))
		return true;
	run->keeper = keeper_create(run->wmapd, NULL, false);
	return run->keeper != NULL;
}

/* If the program left processes behind, wmapd stays for them, and a keeper. */
static void end_keeper(struct run *run)
{
	if (!run->keeper)
		return;
	keeper_end(run->keeper);
	keeper_wait(run->keeper, END_MS);
	if (keeper_is_over(run->keeper) || !keeper_continue_apart(run->keeper))
		keeper_destroy(run->keeper);
}

/* ---- The program's environment ------------------------------------------ */

static bool set(const char *name, const char *value)
{
	return value ? setenv(name, value, 1) == 0 : unsetenv(name) == 0;
}

static bool set_preload(const char *library)
{
	const char *others = getenv("LD_PRELOAD");
	char *all;
	bool done;

	if (!others || !*others)
		return set("LD_PRELOAD", library);
	if (asprintf(&all, "%s:%s", library, others) < 0)
		return false;
	done = set("LD_PRELOAD", all);
	free(all);
	return done;
}

static bool set_environment(const struct run *run,
			    const struct run_options *options)
{
	if (set_preload(run->library) && set("WMAP_REPORT", run->report) &&
	    set("WMAP_MAP", options->patterns) &&
	    set("WMAP_GRAIN", options->grain) &&
	    (!run->keeper || set("WMAP_SOCKET", keeper_address(run->keeper))) &&
	    (!options->memory || set("WMAP_MEMORY", options->memory)) &&
	    set("WMAP_RECORD", run->keeper ? NULL : options->record) &&
	    set("WMAP_REPLAY", run->keeper ? NULL : options->replay))
		return true;
	say("%s", strerror(errno));
	return false;
}

/* ---- After -------------------------------------------------------------- */

static bool write_json(FILE *json, const struct figures *figures)
{
	struct stat st;

	if (fstat(fileno(json), &st) != 0)
		return false;
	if (S_ISREG(st.st_mode) && ftruncate(fileno(json), 0) != 0)
		return false;
	return json_print(json, figures);
}

static bool tell(struct run *run, const char *json_path)
{
	struct figures figures;
	bool done = true;

	if (!figures_read(&figures, run->report_fd)) {
		say("the report cannot be read: %s", strerror(errno));
		return false;
	}
	if (run->json && !write_json(run->json, &figures)) {
		say("%s cannot be written: %s", json_path, strerror(errno));
		done = false;
	}
	summary_print(stderr, &figures);
	figures_free(&figures);
	return done;
}

/* 0 and what became of the program, or the status to exit with. */
static int run_and_tell(struct run *run, const struct run_options *options,
			int *ended)
{
	int error = child_run(run->program, options->argv, run->keeper, ended);
	bool saved = true;

	end_keeper(run);
	run->keeper = NULL;
	if (error)
		return error;
	if (run->journal && !recordings_save(options->record, run->journal))
		saved = false;
	return (tell(run, options->json) && saved) || *ended ? 0 : EXIT_OURS;
}

static int run_prepared(struct run *run, const struct run_options *options,
			int *ended)
{
	int status = EXIT_OURS;

	run->journal = NULL;
	if (!recordings_check(options->record, options->replay) ||
	    !make_keeper(run))
		return EXIT_OURS;
	if (run->keeper && !recordings_give(options->record, options->replay,
					    run->keeper, &run->journal))
		goto err_keeper;
	if (!make_report(run))
		goto err_keeper;
	if (set_environment(run, options) && open_json(run, options->json))
		status = run_and_tell(run, options, ended);
	remove_report(run);
err_keeper:
	journal_close(run->journal);
	keeper_destroy(run->keeper);
	return status;
}

int run(const struct run_options *options)
{
	struct run run;
	int ended = 0, status = program_find(options->argv[0], &run.program);

	if (status)
		return status;
	status = EXIT_OURS;
	if (check_library(&run) && check_pager())
		status = run_prepared(&run, options, &ended);
	free(run.program);
	return status ? status : child_end_like(ended);
}
