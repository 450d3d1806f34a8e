/* SPDX-License-Identifier: MIT */
/* Which wmapds there are, and what they tell (wmapds.h) */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ask.h"
#include "daemon.h"
#include "sockets.h"
#include "wmapds.h"

/* ---- Where they listen -------------------------------------------------- */

static bool add(struct told *told, const char *address)
{
	struct told_wmapd *wmapds;

	if (!*address || strlen(address) >= sizeof(wmapds->address))
		return true;
	for (size_t i = 0; i < told->n; i++)
		if (!strcmp(told->wmapds[i].address, address))
			return true;
	wmapds = realloc(told->wmapds, (told->n + 1) * sizeof(*wmapds));
	if (!wmapds)
		return false;
	told->wmapds = wmapds;
	memset(&wmapds[told->n], 0, sizeof(*wmapds));
	strcpy(wmapds[told->n++].address, address);
	return true;
}

/*
 * Num RefCount Protocol Flags Type St Inode Path: those that listen (flag
 * 10000) for packets (type 5). A name is what somebody chose.
 */
static bool add_private(struct told *told)
{
	FILE *from = fopen("/proc/net/unix", "re");
	char line[512], name[128];
	unsigned flags, type;
	bool done = true;

	while (from && done && fgets(line, sizeof(line), from))
		if (sscanf(line, "%*s %*s %*s %x %x %*s %*s %127s", &flags,
			   &type, name) == 3 &&
		    flags & 0x10000 && type == 5 &&
		    !strncmp(name, SOCKETS_PRIVATE, strlen(SOCKETS_PRIVATE)))
			done = add(told, name);
	if (from)
		fclose(from);
	return done;
}

static bool find_all(struct told *told)
{
	const char *chosen = getenv("WMAP_SOCKET");
	const char *directory = getenv("XDG_RUNTIME_DIR");
	char path[256] = "";

	if (directory && *directory)
		snprintf(path, sizeof(path), "%s/wmap.sock", directory);
	return add(told, chosen ? chosen : "") && add(told, path) &&
	       add(told, "/run/wmap.sock") && add_private(told);
}

/* ---- What they tell ----------------------------------------------------- */

static void name_of(pid_t pid, char *name, size_t size)
{
	char path[64];
	FILE *from;

	snprintf(path, sizeof(path), "/proc/%d/comm", (int)pid);
	from = fopen(path, "re");
	if (!from || !fgets(name, (int)size, from))
		snprintf(name, size, "?");
	name[strcspn(name, "\n")] = '\0';
	if (from)
		fclose(from);
}

/* One that is gone by now has no mappings. */
static int ask_process(struct asked *asked, const struct question *question,
		       struct told_process *process)
{
	int error = 0;

	name_of((pid_t)process->space.pid, process->command,
		sizeof(process->command));
	if (question->mappings)
		error = ask_mappings(asked, process->space.number,
				     &process->infos, &process->n);
	return error == -ESRCH ? 0 : error;
}

static int ask_all(struct asked *asked, const struct question *question,
		   struct told_wmapd *wmapd)
{
	struct wire_space *spaces;
	size_t n;
	int error = ask_spaces(asked, question->pid, &spaces, &n);

	if (error)
		return error;
	wmapd->pid = asked->pid;
	wmapd->processes = calloc(n + 1, sizeof(*wmapd->processes));
	wmapd->n = wmapd->processes ? n : 0;
	for (size_t i = 0; i < wmapd->n && !error; i++) {
		wmapd->processes[i].space = spaces[i];
		error = ask_process(asked, question, &wmapd->processes[i]);
	}
	error = wmapd->processes ? error : -ENOMEM;
	free(spaces);
	return error;
}

static int ask_one(const struct question *question, struct told_wmapd *wmapd)
{
	struct asked asked;
	int error = ask_open(&asked, wmapd->address);

	if (error)
		return error;
	error = ask_all(&asked, question, wmapd);
	ask_close(&asked);
	return error;
}

static void free_wmapd(struct told_wmapd *wmapd)
{
	for (size_t i = 0; i < wmapd->n; i++)
		free(wmapd->processes[i].infos);
	free(wmapd->processes);
}

void wmapds_free(struct told *told)
{
	for (size_t i = 0; i < told->n; i++)
		free_wmapd(&told->wmapds[i]);
	free(told->wmapds);
}

/* ---- All of it ---------------------------------------------------------- */

static void say_why(const struct question *question, const char *address,
		    int error)
{
	switch (error) {
	case -ENOENT:
	case -ECONNREFUSED:
		say("%s: no wmapd listens there", address);
		break;
	case -EPERM:
		if (question->pid)
			say("process %d is another user's", (int)question->pid);
		else
			say("%s: another user's", address);
		break;
	case -EPROTO:
	case -EPROTOTYPE:
		say("%s: no wmapd of this version", address);
		break;
	default:
		say("%s: %s", address, strerror(-error));
	}
}

/* Was there nobody, or is it just not known to anybody? */
static void say_none(const struct question *question, bool refused, size_t n)
{
	if (!question->pid)
		say("no wmapd is running that this user may ask");
	else if (refused)
		say("process %d is another user's", (int)question->pid);
	else if (n)
		say("no wmapd serves process %d", (int)question->pid);
	else
		say("no wmapd is running that could serve process %d",
		    (int)question->pid);
}

/* Those that answered stay; with a pid, those that know it. */
static void ask_each(const struct question *question, struct told *told,
		     bool *refused, size_t *answered, int *error)
{
	size_t kept = 0;

	for (size_t i = 0; i < told->n; i++) {
		struct told_wmapd *wmapd = &told->wmapds[i];

		*error = ask_one(question, wmapd);
		*refused |= *error == -EPERM && question->pid;
		*answered += !*error;
		if (*error || (question->pid && !wmapd->n))
			free_wmapd(wmapd);
		else
			told->wmapds[kept++] = *wmapd;
	}
	told->n = kept;
}

bool wmapds_ask(const struct question *question, bool quiet, struct told *told)
{
	size_t answered = 0;
	bool refused = false, found;
	int error = 0;

	*told = (struct told){ 0 };
	found = question->socket ? add(told, question->socket) : find_all(told);
	if (question->socket && !told->n && found) {
		say("--socket: no address: '%s'", question->socket);
		return false;
	}
	if (!found) {
		say("out of memory");
		wmapds_free(told);
		return false;
	}
	ask_each(question, told, &refused, &answered, &error);
	if (told->n)
		return true;
	if (!quiet && question->socket && error)
		say_why(question, question->socket, error);
	else if (!quiet)
		say_none(question, refused, answered);
	wmapds_free(told);
	return false;
}
