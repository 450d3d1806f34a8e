/* SPDX-License-Identifier: MIT */
/* A program's file system: a fresh directory with what programs expect in it */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "run.h"

/* Something to read and to map: a text of more than half a page. */
static const char readme[] =
	"This is the file README of a small file system.\n"
	"\n"
	"It belongs to one run of one program. When the program starts, the\n"
	"file system holds this file, the program itself, cat and echo; when it\n"
	"ends, the file system is removed with all that the program has put\n"
	"there.\n"
	"\n"
	"A program written for xv6, the teaching kernel, looks for a file of\n"
	"this name when it wants something to read. It may count its words,\n"
	"copy it, map it into memory and change it: the next run begins with\n"
	"a README that nobody has touched.\n"
	"\n"
	"WHAT A MAPPING OF IT SHOWS\n"
	"\n"
	"The first page of a mapping of this file shows these lines, and zeros\n"
	"behind the last of them, up to the end of the page. No page is loaded\n"
	"before the program touches it. What the program stores in a shared\n"
	"mapping is in the file after the mapping is gone; what it stores in a\n"
	"private one is the program's own, and never in the file. The file\n"
	"becomes no longer than the mapping was asked to be, and a page that\n"
	"was not loaded is not written.\n"
	"\n"
	"THINGS TO TRY\n"
	"\n"
	"  Map the file twice, and store through one of the mappings.\n"
	"  Close its descriptor before the first touch.\n"
	"  Fork, let the child store, and look from the parent.\n"
	"  Map more than the file is long, and look behind its end.\n"
	"  Let a child unmap what its parent still uses.\n"
	"  Touch one byte above the last page of a mapping.\n"
	"\n"
	"To see what happens meanwhile, run the program with --trace: each\n"
	"mapping, fault, load and unmapping has a line, with its time. With\n"
	"--map the window of addresses is drawn whenever the program asks what\n"
	"is mapped, and when it ends: a cell is a page, or many of them, and\n"
	"shows whether it is mapped, and whether it is loaded.\n";

const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

bool place_make(char path[PATH_MAX])
{
	const char *directory = getenv("TMPDIR");
	char absolute[PATH_MAX - 16];

	if (!directory || !*directory)
		directory = "/tmp";
	if (realpath(directory, path) && strlen(path) < sizeof(absolute)) {
		strcpy(absolute, path);
		snprintf(path, PATH_MAX, "%s/xv6-XXXXXX", absolute);
		if (mkdtemp(path))
			return true;
	}
	say("no directory can be made in %s: %s", directory, strerror(errno));
	return false;
}

static bool write_file(int directory, const char *name, const char *text)
{
	int fd = openat(directory, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
	ssize_t size = (ssize_t)strlen(text);
	bool done = fd >= 0 && write(fd, text, (size_t)size) == size;

	if (fd >= 0)
		close(fd);
	return done;
}

/* Those of xv6's programs that others execute: the system's do as well. */
static bool link_programs(int directory)
{
	static const char *const names[] = { "cat", "echo" };
	char path[PATH_MAX];

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (find_program(names[i], path) &&
		    symlinkat(path, directory, names[i]) && errno != EEXIST)
			return false;
	return true;
}

bool place_fill(const char *path, const char *program)
{
	int directory = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	bool done = directory >= 0 && write_file(directory, "README", readme) &&
		    !symlinkat(program, directory, base_name(program)) &&
		    link_programs(directory);

	if (!done)
		say("%s: %s", path, strerror(errno));
	if (directory >= 0)
		close(directory);
	return done;
}

static int remove_one(const char *path, const struct stat *stat, int kind,
		      struct FTW *at)
{
	(void)stat;
	(void)kind;
	(void)at;
	remove(path);
	return 0;
}

void place_remove(const char *path)
{
	nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}
