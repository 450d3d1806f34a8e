/* SPDX-License-Identifier: MIT */
/* Which process is the wmapd that serves us, and which its keeper */
#include "support.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

struct served_by served_by;

/* Where we are connected to, as the keeper was told. */
static void find_address(void)
{
	for (int fd = 3; fd < 64; fd++) {
		struct sockaddr_un peer = { 0 };
		socklen_t size = sizeof(peer);

		if (getpeername(fd, (struct sockaddr *)&peer, &size) ||
		    strncmp(peer.sun_path + 1, "wmap-", 5) != 0)
			continue;
		snprintf(served_by.address, sizeof(served_by.address),
			 "@%.100s", peer.sun_path + 1);
		return;
	}
}

static bool was_told_address(const char *pid)
{
	char path[300], line[512];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/%.200s/cmdline", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd >= 0 ? read(fd, line, sizeof(line)) : -1;
	if (fd >= 0)
		close(fd);
	return n > 0 && memmem(line, (size_t)n, served_by.address,
			       strlen(served_by.address));
}

static bool is_wmapd(pid_t pid)
{
	char path[64], name[32] = "";
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/comm", (int)pid);
	file = fopen(path, "re");
	if (file && !fgets(name, sizeof(name), file))
		name[0] = '\0';
	if (file)
		fclose(file);
	return !strcmp(name, "wmapd\n");
}

/* Those that it was started by have its command line too, for a moment. */
static bool find_keeper(void *unused)
{
	DIR *all = opendir("/proc");
	struct dirent *one;

	(void)unused;
	ck_assert_ptr_nonnull(all);
	served_by.keeper = 0;
	while (!served_by.keeper && (one = readdir(all))) {
		if (!was_told_address(one->d_name))
			continue;
		served_by.pid = process_only_child(atoi(one->d_name));
		if (served_by.pid && is_wmapd(served_by.pid))
			served_by.keeper = atoi(one->d_name);
	}
	closedir(all);
	return served_by.keeper;
}

void wmapd_find(void)
{
	find_address();
	ck_assert_str_ne(served_by.address, "");
	ck_assert(process_wait(find_keeper, NULL, 10));
}

void wmapd_start(void)
{
	ck_assert_int_eq(wmap_pager_set("private"), 0);
	ck_assert_int_eq(wmap_start(NULL), 0);
	wmapd_find();
}

void wmapd_replace(void)
{
	char command[PATH_MAX];

	snprintf(command, sizeof(command), "%s/wmapd --replace --socket %s",
		 getenv("WMAP_BIN"), served_by.address);
	ck_assert_int_eq(system(command), 0);
}

void wmapd_kill(void)
{
	kill(served_by.pid, SIGKILL);
}

void wmapd_kill_both(void)
{
	kill(served_by.keeper, SIGKILL);
	wmapd_kill();
}

static void (*const ends[WMAPD_ENDS])(void) = { wmapd_kill, wmapd_replace,
						wmapd_kill_both };

void wmapd_end(int way, const atomic_uint *rounds, bool (*went_on)(void *),
	       uint64_t *random)
{
	unsigned before = *rounds;

	ck_assert(process_wait(went_on, &before, 60));
	process_sleep_ms((unsigned)random_below(random, 50));
	ends[way]();
	before = *rounds;
	ck_assert(process_wait(went_on, &before, 60));
	wmapd_find();
}
