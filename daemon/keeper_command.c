/* SPDX-License-Identifier: MIT */
/*
 * wmap keeper --socket NAME [--ready-fd N] [--journal-fd N] [--recording-fd N]
 * [--rescue] [--foreground [OPTION...]]: a keeper by itself
 *
 * For the library, which starts it when a process that has a pager thread forks
 * for the first time. It forks itself away: the starter waits for a process
 * that ends when the socket can be connected to (or with 125, after a message).
 * One byte goes to descriptor N when wmapd is ready; an end of file without one
 * tells that it never was.
 *
 * The descriptors of what is recorded and replayed are for wmapd (recall.h).
 *
 * N stays open, and somebody has its other end. As long as that is open wmapd
 * waits for clients; afterwards it ends with its last one, and the keeper, too.
 * So who has connected closes it, and who dies before that leaves nothing
 * behind. SIGTERM means the same; signals of a terminal mean nothing here.
 *
 * With --rescue wmapd is told that clients of another one, that died with its
 * keeper, will come (lib/guard.h).
 *
 * With --foreground it is what a wmapd becomes that somebody starts by hand: it
 * stays, wmapd has the OPTIONs that follow, and SIGTERM and ^C end both at once.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon.h"
#include "keeper.h"

struct request {
	const char *socket;
	int ready_fd;		      /* or -1 */
	int journal_fd, recording_fd; /* wmapd's, or -1 */
	bool rescue, foreground;
	char *const *options; /* of wmapd, in the foreground */
};

/* ---- The command line --------------------------------------------------- */

static bool set_fd(const char *option, const char *text, int *fd)
{
	char *end;
	long n;

	errno = 0;
	n = strtol(text, &end, 10);
	if (errno || end == text || *end || n < 3 || n > INT_MAX ||
	    fcntl((int)n, F_SETFD, FD_CLOEXEC) != 0) {
		say("--%s %s: not an open descriptor above 2", option, text);
		return false;
	}
	*fd = (int)n;
	return true;
}

static bool set_option(struct request *request, int option, const char *name)
{
	switch (option) {
	case 's':
		request->socket = optarg;
		return true;
	case 'g':
		request->rescue = true;
		return true;
	case 'f':
		request->foreground = true;
		return true;
	case 'r':
		return set_fd(name, optarg, &request->ready_fd);
	case 'j':
		return set_fd(name, optarg, &request->journal_fd);
	case 'R':
		return set_fd(name, optarg, &request->recording_fd);
	default:
		return false;
	}
}

static bool parse(int argc, char **argv, struct request *request)
{
	static const struct option options[] = {
		{ "socket", required_argument, NULL, 's' },
		{ "ready-fd", required_argument, NULL, 'r' },
		{ "journal-fd", required_argument, NULL, 'j' },
		{ "recording-fd", required_argument, NULL, 'R' },
		{ "rescue", no_argument, NULL, 'g' },
		{ "foreground", no_argument, NULL, 'f' },
		{ NULL, 0, NULL, 0 },
	};
	int option, i = 0;

	opterr = 0;
	while ((option = getopt_long(argc, argv, "+:", options, &i)) != -1)
		if (!set_option(request, option, options[i].name))
			goto err_usage;
	request->options = argv + optind;
	if (request->socket && (request->foreground || optind == argc))
		return true;
err_usage:
	say("usage: wmap keeper --socket NAME [--ready-fd N] [--rescue] "
	    "[--foreground [OPTION...]]");
	return false;
}

/* ---- In the background -------------------------------------------------- */

/* A signalfd of SIGTERM; -1: then it ends the keeper as it ends others. */
static int take_signals(void)
{
	static const int ignored[] = { SIGHUP,	SIGINT,	 SIGQUIT, SIGTSTP,
				       SIGTTIN, SIGTTOU, SIGPIPE };
	sigset_t set;
	size_t i;
	int fd;

	for (i = 0; i < sizeof(ignored) / sizeof(*ignored); i++)
		signal(ignored[i], SIG_IGN);
	signal(SIGCHLD, SIG_DFL);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	fd = signalfd(-1, &set, SFD_CLOEXEC);
	if (fd >= 0)
		sigprocmask(SIG_SETMASK, &set, NULL);
	return fd;
}

/* Anything but EINTR means that nobody waits for it. */
static void tell_ready(int fd)
{
	while (write(fd, "1", 1) < 0 && errno == EINTR)
		;
}

static void serve(struct keeper *keeper, int ready_fd, int signals)
{
	enum { READY_FD = KEEPER_FDS, SIGNALS, ALL };
	struct pollfd fds[ALL];
	bool told = ready_fd < 0;

	while (!keeper_is_over(keeper)) {
		keeper_poll(keeper, fds);
		fds[READY_FD] = (struct pollfd){ .fd = ready_fd };
		fds[SIGNALS] =
			(struct pollfd){ .fd = signals, .events = POLLIN };
		if (poll(fds, ALL, -1) <= 0)
			continue;
		keeper_handle(keeper);
		if (!told && keeper_was_ready(keeper)) {
			tell_ready(ready_fd);
			told = true;
		}
		if (fds[READY_FD].revents || fds[SIGNALS].revents) {
			keeper_end(keeper);
			keeper_wait(keeper, -1);
		}
	}
}

/* What is recorded and replayed. */
static void give_all(struct keeper *keeper, const struct request *request)
{
	if (request->journal_fd >= 0)
		keeper_give(keeper, "journal", request->journal_fd);
	if (request->recording_fd >= 0)
		keeper_give(keeper, "recording", request->recording_fd);
}

static void keep(struct keeper *keeper, const struct request *request)
{
	int signals;

	give_all(keeper, request);
	keeper_detach(keeper, request->ready_fd);
	signals = take_signals();
	if (keeper_start(keeper))
		serve(keeper, request->ready_fd, signals);
	keeper_destroy(keeper);
}

/* ---- In the foreground -------------------------------------------------- */

static int take_ends(void)
{
	sigset_t set;

	signal(SIGPIPE, SIG_IGN);
	signal(SIGCHLD, SIG_DFL);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_SETMASK, &set, NULL);
	return signalfd(-1, &set, SFD_CLOEXEC);
}

static bool wait_for_end(struct keeper *keeper, int signals, int ready_fd)
{
	struct pollfd fds[KEEPER_FDS + 1];

	while (!keeper_is_over(keeper)) {
		keeper_poll(keeper, fds);
		fds[KEEPER_FDS] =
			(struct pollfd){ .fd = signals, .events = POLLIN };
		if (poll(fds, KEEPER_FDS + 1, -1) <= 0)
			continue;
		keeper_handle(keeper);
		if (ready_fd >= 0 && keeper_was_ready(keeper)) {
			tell_ready(ready_fd);
			close(ready_fd);
			ready_fd = -1;
		}
		if (fds[KEEPER_FDS].revents) {
			keeper_end(keeper);
			keeper_wait(keeper, -1);
			return true;
		}
	}
	return false;
}

/* It is over by itself only if it has given up. */
static int keep_here(struct keeper *keeper, const struct request *request)
{
	int signals = take_ends();
	bool asked = false;

	keeper_set_options(keeper, request->options);
	if (signals >= 0 && keeper_start(keeper))
		asked = wait_for_end(keeper, signals, request->ready_fd);
	keeper_destroy(keeper);
	return asked ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* 0: this is the keeper; 1: its starter; -1: it could not be forked. */
static int fork_away(void)
{
	pid_t pid = fork();
	int status = 0;

	if (pid > 0 && waitpid(pid, &status, 0) == pid)
		return status ? -1 : 1;
	if (pid != 0)
		return -1;
	setsid();
	pid = fork();
	if (pid != 0)
		_exit(pid < 0 ? EXIT_OURS : 0);
	return 0;
}

int keeper_command(int argc, char **argv)
{
	struct request request = {
		.ready_fd = -1,
		.journal_fd = -1,
		.recording_fd = -1,
	};
	char wmapd[PATH_MAX];
	struct keeper *keeper;
	int forked;

	if (!parse(argc, argv, &request))
		return EXIT_OURS;
	if (!find_beside(WMAPD, WMAP_WMAPD_PATH, wmapd)) {
		say("there is no wmapd, neither beside this command nor "
		    "as " WMAP_WMAPD_PATH);
		return EXIT_OURS;
	}
	keeper = keeper_create(wmapd, request.socket, !request.foreground);
	if (!keeper)
		return request.foreground ? EXIT_FAILURE : EXIT_OURS;
	if (request.rescue)
		keeper_expect_guards(keeper);
	if (request.foreground)
		return keep_here(keeper, &request);
	forked = fork_away();
	if (forked == 0) {
		keep(keeper, &request);
	} else if (forked > 0) {
		keeper_leave(keeper);
	} else {
		say("a keeper cannot be forked");
		keeper_destroy(keeper);
	}
	return forked < 0 ? EXIT_OURS : EXIT_SUCCESS;
}
