/* SPDX-License-Identifier: MIT */
/*
 * --map GLOB, as the preload library reads it ($WMAP_MAP)
 *
 * The library compares a pattern with a file's absolute path, or with its last
 * part if the pattern has no slash (lib/preload/rules.c). People name files as
 * they see them: a GLOB that is the name of a file stands for that file, by its
 * real path too; a relative one with a slash in it begins in this directory.
 */
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon.h"

/* @text with a backslash before each of @special; malloc'd, or NULL. */
static char *escape(const char *text, const char *special)
{
	char *result = malloc(2 * strlen(text) + 1), *to = result;

	if (!result)
		return NULL;
	for (; *text; text++) {
		if (strchr(special, *text))
			*to++ = '\\';
		*to++ = *text;
	}
	*to = '\0';
	return result;
}

/* Append one pattern to the list. */
static bool append(char **patterns, const char *pattern)
{
	char *escaped = escape(pattern, "\\:"), *longer;
	int length = -1;

	if (escaped)
		length = asprintf(&longer, "%s%s%s", *patterns ? *patterns : "",
				  *patterns ? ":" : "", escaped);
	free(escaped);
	if (length < 0)
		return false;
	free(*patterns);
	*patterns = longer;
	return true;
}

static bool append_file(char **patterns, const char *path)
{
	char *literal = escape(path, "\\*?[");
	bool done = literal && append(patterns, literal);

	free(literal);
	return done;
}

static bool append_relative(char **patterns, const char *glob)
{
	char *here = getcwd(NULL, 0), *literal, *absolute = NULL;
	bool done;

	if (!here)
		return append(patterns, glob);
	while (!strncmp(glob, "./", 2))
		glob += 2;
	literal = escape(here, "\\*?[");
	done = literal && asprintf(&absolute, "%s/%s", literal, glob) >= 0 &&
	       append(patterns, absolute);
	free(absolute);
	free(literal);
	free(here);
	return done;
}

bool patterns_add(char **patterns, const char *glob)
{
	char real[PATH_MAX];

	if (realpath(glob, real) && !append_file(patterns, real))
		return false;
	if (strchr(glob, '/') && *glob != '/' && *glob != '*')
		return append_relative(patterns, glob);
	return append(patterns, glob);
}
