/* SPDX-License-Identifier: MIT */
/*
 * activate PATH PROGRAM ARGUMENT…
 *
 * Plays systemd's part: listens for packets at PATH, starts the program with
 * that socket (LISTEN_FDS, named "wmapd.socket" as systemd does by itself) and
 * with NOTIFY_SOCKET, prints each line of what the program says there, and ends
 * as it does. SIGTERM is passed on.
 */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static volatile pid_t child;

static void pass_on(int signal)
{
	kill(child, signal);
}

static int bound(int type, const char *name)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", name);
	if (fd < 0 ||
	    bind(fd, (struct sockaddr *)&address, sizeof(address)) != 0) {
		perror(name);
		exit(125);
	}
	return fd;
}

static void become(int listening, const char *notify, char **argv)
{
	char pid[16];

	snprintf(pid, sizeof(pid), "%d", (int)getpid());
	setenv("LISTEN_PID", pid, 1);
	setenv("LISTEN_FDS", "1", 1);
	setenv("LISTEN_FDNAMES", "wmapd.socket", 1);
	setenv("NOTIFY_SOCKET", notify, 1);
	if (listening == 3)
		fcntl(3, F_SETFD, 0);
	else
		dup2(listening, 3);
	execvp(argv[0], argv);
	perror(argv[0]);
	_exit(127);
}

/* Datagrams until the program has ended. */
static int listen_to(int notified)
{
	struct pollfd fd = { .fd = notified, .events = POLLIN };
	char text[4096];
	int status;

	for (;;) {
		if (poll(&fd, 1, 100) > 0) {
			ssize_t n = recv(notified, text, sizeof(text) - 1, 0);

			text[n > 0 ? n : 0] = '\0';
			puts(text);
			fflush(stdout);
		} else if (waitpid(child, &status, WNOHANG) == child) {
			return WIFEXITED(status) ? WEXITSTATUS(status) :
						   128 + WTERMSIG(status);
		}
	}
}

int main(int argc, char **argv)
{
	char notify[256];
	int listening, notified;

	if (argc < 3)
		return 2;
	snprintf(notify, sizeof(notify), "%s.notify", argv[1]);
	listening = bound(SOCK_SEQPACKET, argv[1]);
	if (listen(listening, 16) != 0)
		return 125;
	notified = bound(SOCK_DGRAM, notify);
	child = fork();
	if (!child)
		become(listening, notify, argv + 2);
	signal(SIGTERM, pass_on);
	return listen_to(notified);
}
