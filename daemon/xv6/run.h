/* SPDX-License-Identifier: MIT */
/*
 * xv6run: the course's programs, one by itself or a directory of tests
 *
 *   main.c     the command line
 *   check.c    --check: compile, run, compare, one line each
 *   run.c      one program in a file system of its own, to its end
 *   place.c    that file system: a directory that is removed afterwards
 */
#ifndef XV6_RUN_H
#define XV6_RUN_H

#include <limits.h>
#include <stdbool.h>
#include <stdio.h>

#define EXIT_OURS 125 /* xv6run failed, not the program */

struct run {
	const char *program; /* path */
	char **argv;
	int input, console; /* its descriptors 0 and 1, which is 2 too */
	bool trace, map;    /* on standard error */
	unsigned seconds;   /* it may take; 0: as many as it wants */
	bool late;	    /* out: it took longer, and was killed */
};

/* "xv6run: …" on standard error. */
void say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/*
 * Run a program until it and all that descend from it have ended. False: it
 * could not be run, as has been said.
 */
bool run_program(struct run *run);

/* A signal to end came: what was run has been killed. */
bool run_interrupted(void);

struct check {
	const char *term; /* NULL: the directory's name, if it is one, or f24 */
	unsigned jobs;
	unsigned seconds; /* a test may take */
};

/* A directory of tests, or one of them; the exit status. */
int check(const struct check *check, const char *path);

/* A fresh directory, its name in @path; with what programs expect. */
bool place_make(char path[PATH_MAX]);
bool place_fill(const char *path, const char *program);
void place_remove(const char *path);

/* As a path, else as it is found in $PATH. */
bool find_program(const char *name, char path[PATH_MAX]);

/* The part of a path behind the last slash. */
const char *base_name(const char *path);

#endif
