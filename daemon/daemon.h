/* SPDX-License-Identifier: MIT */
/*
 * The map of the `wmap` command
 *
 *   wmap run ──fork──► program, with the preload library in each process
 *      │  ▲                │
 *      │  └── $WMAP_REPORT ◄┘ a temporary file, appended to at every exit,
 *      │                     by the process, else by wmapd
 *      └──► the summary, --json
 *
 *   say          messages
 *   find         what is installed with this command
 *   patterns     --map, as the preload library reads it
 *   program      is it one that can be run, and preloaded?
 *   child        start it, forward signals, wait
 *   keeper       has wmapd running, and what must outlive it:
 *     kept       the descriptors
 *     sockets    where clients connect, where wmapd sends word
 *     spawn      starting a wmapd
 *     deaths     is it worth while to start another?
 *     detach     into the background
 *   keeper_command  `wmap keeper`, which the library starts
 *   notify       wmapd's half of the keeper's protocol
 *   report_read  what its processes left, added up; believes nothing
 *   summary      for people
 *   json         for machines
 *   recordings   --record, --replay; `wmap recording`
 *   run          `wmap run`: the order of it all
 *   ask          questions to a wmapd
 *   wmapds       which wmapds there are
 *   ps, top      `wmap ps`, `wmap info`; `wmap top`
 *   wmap         the command line
 */
#ifndef WMAP_DAEMON_H
#define WMAP_DAEMON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "wmap/wmap.h"

/* As env(1), timeout(1) and the shell have it. */
#define EXIT_OURS	    125 /* wmap itself failed */
#define EXIT_NOT_EXECUTABLE 126
#define EXIT_NOT_FOUND	    127

/* "wmap: " and one line on standard error. */
void say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* A name as it can be shown: control characters escaped. */
void say_name(FILE *to, const char *name);

/* ---- find --------------------------------------------------------------- */

/*
 * A file that was installed with this command: @relative to its directory, so
 * that a tree can be moved; else @installed. False: neither is there. @path has
 * room for PATH_MAX bytes.
 */
bool find_beside(const char *relative, const char *installed, char *path);

/* ---- patterns ----------------------------------------------------------- */

/* Append what a --map GLOB means to $WMAP_MAP, malloc'd or NULL.
   False: errno. */
bool patterns_add(char **patterns, const char *glob);

/* ---- program ------------------------------------------------------------ */

/*
 * Find @name as execvp(3) does, and see that the preload library will work in
 * it. 0, or the status to exit with, after a message. *@path is malloc'd.
 */
int program_find(const char *name, char **path);

struct keeper; /* keeper.h */

/* ---- child -------------------------------------------------------------- */

/*
 * Run @path with @argv, forward signals to it and wait; meanwhile have @keeper,
 * which may be NULL, keep wmapd. 0 and *@status, as waitpid(2) tells it; or the
 * status to exit with, after a message.
 */
int child_run(const char *path, char *const argv[], struct keeper *keeper,
	      int *status);

/* End as the program did. Returns its exit status, or does not. */
int child_end_like(int status);

/* ---- report_read -------------------------------------------------------- */

struct figures_mapping {
	char *file;
	uint64_t length, loaded, faults;
	uint64_t count; /* of mappings added up here */
};

struct figures {
	struct figures_mapping *mappings; /* most loaded first */
	size_t n;
	uint64_t processes;
	uint64_t unreadable;	 /* reports, or parts of them, that were not */
	struct wmap_stats stats; /* sums; the largest latency_max_ns */
};

/* All of @fd. False, errno: it cannot be read, or memory ran out. */
bool figures_read(struct figures *figures, int fd);
void figures_free(struct figures *figures);

/* Add up by file; the order is made anew. */
void figures_merge_files(struct figures *figures);

/* ---- text --------------------------------------------------------------- */

struct text {
	char text[32];
};

/* "1.5 MiB", "17.4 µs" */
struct text text_bytes(uint64_t n);
struct text text_duration(uint64_t ns);

/* ---- summary, json ------------------------------------------------------ */

/* May merge @figures. */
void summary_print(FILE *to, struct figures *figures);

/* False, errno: it could not be written. */
bool json_print(FILE *to, const struct figures *figures);

/* Quoted, escaped. */
void json_string(FILE *to, const char *string);

/* ---- keeper_command ----------------------------------------------------- */

/* wmapd's place beside this command. */
#define WMAPD "wmapd"

/* `wmap keeper …`. Returns the status to exit with. */
int keeper_command(int argc, char **argv);

/* ---- ps, top ------------------------------------------------------------ */

/* Return the status to exit with. */
int ps_command(int argc, char **argv);
int info_command(int argc, char **argv);
int top_command(int argc, char **argv);

/* ---- recordings --------------------------------------------------------- */

/* `wmap recording FILE`. Returns the status to exit with. */
int recording_command(int argc, char **argv);

/* ---- run ---------------------------------------------------------------- */

struct run_options {
	char *patterns;	    /* $WMAP_MAP, or NULL; malloc'd */
	const char *grain;  /* $WMAP_GRAIN, or NULL */
	const char *memory; /* $WMAP_MEMORY, or NULL */
	const char *json;   /* a file, or NULL */
	const char *record; /* likewise */
	const char *replay;
	char **argv; /* the program and its arguments */
};

/* Returns the status to exit with. */
int run(const struct run_options *options);

#endif
