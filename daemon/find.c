/* SPDX-License-Identifier: MIT */
/* What was installed with this command */
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon.h"

static bool beside(const char *executable, const char *relative, char *path)
{
	char candidate[2 * PATH_MAX];
	const char *slash = strrchr(executable, '/');

	if (!slash)
		return false;
	snprintf(candidate, sizeof(candidate), "%.*s/%s",
		 (int)(slash - executable), executable, relative);
	return realpath(candidate, path) != NULL;
}

bool find_beside(const char *relative, const char *installed, char *path)
{
	char executable[PATH_MAX];
	ssize_t length =
		readlink("/proc/self/exe", executable, sizeof(executable) - 1);

	if (length > 0) {
		executable[length] = '\0';
		if (beside(executable, relative, path))
			return true;
	}
	return realpath(installed, path) != NULL;
}
