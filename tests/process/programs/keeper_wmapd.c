/* SPDX-License-Identifier: MIT */
/*
 * Plays wmapd for a keeper, and its clients
 *
 *   ask ADDRESS REQUEST   send it and print the answer; "gone" if none comes
 *   hold ADDRESS          be a client till wmapd lets go; prints "held", "gone"
 *   forge ADDRESS TEXT    to the keeper, as a stranger, with a descriptor
 *   await PID…            until these processes have ended
 *   (else)                be wmapd, as it is started; the requests are below
 *
 * Whoever asks while wmapd is away waits, so that a script needs no sleep.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "notify.h"

#define CONNECTIONS 16
#define MESSAGE	    4096

static struct {
	int listening, signals;
	int connections[CONNECTIONS];
	char names[CONNECTIONS][32]; /* by which one is stored, or "" */
	char got[MESSAGE];	     /* what came at the start */
	char notify[128];
	const char *option;
	int terminating;
} self;

/* ---- Descriptors -------------------------------------------------------- */

static void note(const char *format, ...) __attribute__((format(printf, 1, 2)));

static void note(const char *format, ...)
{
	size_t used = strlen(self.got);
	va_list args;

	va_start(args, format);
	vsnprintf(self.got + used, sizeof(self.got) - used, format, args);
	va_end(args);
}

static void adopt(int fd, const char *name)
{
	int i;

	for (i = 0; i < CONNECTIONS; i++) {
		if (self.connections[i] >= 0)
			continue;
		self.connections[i] = fd;
		snprintf(self.names[i], sizeof(self.names[i]), "%s", name);
		return;
	}
	close(fd);
}

static void take(void *context, const char *name, int fd)
{
	char text[64] = "";
	struct stat st;
	int bytes;

	(void)context;
	fstat(fd, &st);
	if (!strcmp(name, "listen")) {
		self.listening = fd;
	} else if (!strncmp(name, "conn", 4)) {
		adopt(fd, name);
	} else if (S_ISFIFO(st.st_mode)) {
		ioctl(fd, FIONREAD, &bytes);
		note(" %s=pipe:%d", name, bytes);
	} else {
		if (pread(fd, text, sizeof(text) - 1, 0) < 0)
			note(" unreadable");
		note(" %s=%s", name, text);
	}
}

static void store_memfd(const char *name, const char *text)
{
	int fd = memfd_create("test", MFD_CLOEXEC);

	if (write(fd, text, strlen(text)) < 0 || notify_store(name, fd) != 0)
		abort();
	close(fd);
}

static void store_pipe(const char *name, const char *text)
{
	int fds[2];

	if (pipe(fds) != 0 || write(fds[1], text, strlen(text)) < 0 ||
	    notify_store(name, fds[0]) != 0)
		abort();
	close(fds[0]);
	close(fds[1]);
}

/* ---- wmapd: requests ---------------------------------------------------- */

static void store_many_and_die(int n)
{
	char name[16];
	int i;

	for (i = 0; i < n; i++) {
		snprintf(name, sizeof(name), "s%d", i);
		store_memfd(name, "s");
	}
	raise(SIGKILL);
}

static void hold(int i, char *answer, size_t size)
{
	snprintf(self.names[i], sizeof(self.names[i]), "conn%d.%d", getpid(),
		 i);
	snprintf(answer, size, "held");
	if (notify_store(self.names[i], self.connections[i]) != 0)
		abort();
}

static void print_limit(char *answer, size_t size)
{
	struct rlimit limit;

	getrlimit(RLIMIT_NOFILE, &limit);
	snprintf(answer, size,
		 limit.rlim_cur == limit.rlim_max ? "raised" : "low");
}

static void do_request(int i, char *request, char *answer, size_t size)
{
	char *verb = strsep(&request, " ");
	char *one = request ? strsep(&request, " ") : NULL, *two = request;

	snprintf(answer, size, "done");
	if (!strcmp(verb, "memfd") && two)
		store_memfd(one, two);
	else if (!strcmp(verb, "pipe") && two)
		store_pipe(one, two);
	else if (!strcmp(verb, "remove") && one)
		notify_remove(one);
	else if (!strcmp(verb, "many") && one)
		store_many_and_die(atoi(one));
	else if (!strcmp(verb, "die"))
		raise(SIGKILL);
	else if (!strcmp(verb, "exit") && one)
		_exit(atoi(one));
	else if (!strcmp(verb, "hold"))
		hold(i, answer, size);
	else if (!strcmp(verb, "list"))
		snprintf(answer, size, "got%s", self.got);
	else if (!strcmp(verb, "pid"))
		snprintf(answer, size, "%d", getpid());
	else if (!strcmp(verb, "keeper"))
		snprintf(answer, size, "%d", getppid());
	else if (!strcmp(verb, "option"))
		snprintf(answer, size, "%s", self.option);
	else if (!strcmp(verb, "notify"))
		snprintf(answer, size, "%s", self.notify);
	else if (!strcmp(verb, "limit"))
		print_limit(answer, size);
	else
		snprintf(answer, size, "what?");
}

/* ---- wmapd: its loop ---------------------------------------------------- */

static void drop(int i)
{
	if (*self.names[i])
		notify_remove(self.names[i]);
	*self.names[i] = '\0';
	close(self.connections[i]);
	self.connections[i] = -1;
}

static void serve_connection(int i)
{
	char request[MESSAGE], answer[MESSAGE + 8];
	ssize_t n = recv(self.connections[i], request, sizeof(request) - 1, 0);

	if (n <= 0) {
		drop(i);
		return;
	}
	request[n] = '\0';
	do_request(i, request, answer, sizeof(answer));
	send(self.connections[i], answer, strlen(answer), MSG_NOSIGNAL);
}

static int clients(void)
{
	int i, n = 0;

	for (i = 0; i < CONNECTIONS; i++)
		n += self.connections[i] >= 0;
	return n;
}

static void turn(void)
{
	struct signalfd_siginfo info;
	struct pollfd fds[2 + CONNECTIONS];
	int i, fd;

	fds[0] = (struct pollfd){ .fd = self.signals, .events = POLLIN };
	fds[1] = (struct pollfd){ .fd = self.listening, .events = POLLIN };
	for (i = 0; i < CONNECTIONS; i++)
		fds[2 + i] = (struct pollfd){ .fd = self.connections[i],
					      .events = POLLIN };
	if (poll(fds, 2 + CONNECTIONS, -1) < 0)
		abort();
	if (fds[0].revents)
		self.terminating = read(self.signals, &info, sizeof(info)) > 0;
	for (i = 0; i < CONNECTIONS; i++)
		if (fds[2 + i].revents)
			serve_connection(i);
	if (fds[1].revents) {
		fd = accept4(self.listening, NULL, NULL, SOCK_CLOEXEC);
		if (fd >= 0)
			adopt(fd, "");
	}
}

static int be_wmapd(int argc, char **argv)
{
	const char *notify = getenv("NOTIFY_SOCKET");
	const char *crash = getenv("KEEPER_TEST_CRASH");
	sigset_t set;

	if (crash)
		return atoi(crash);
	memset(self.connections, -1, sizeof(self.connections));
	snprintf(self.notify, sizeof(self.notify), "%s", notify ? notify : "");
	self.option = argc > 2 ? argv[2] : "none";
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, NULL);
	self.signals = signalfd(-1, &set, SFD_CLOEXEC);
	self.listening = -1;
	if (notify_open() != 0 || notify_received(take, NULL) < 1 ||
	    self.listening < 0 || getenv("LISTEN_FDS") ||
	    getenv("LD_PRELOAD") || notify_status("it is %s", "well") != 0 ||
	    notify_ready() != 0)
		return 2;
	while (!self.terminating || clients())
		turn();
	return 0;
}

/* ---- Clients ------------------------------------------------------------ */

/* Connected to, or by a datagram socket sent to. */
static int connect_to(const char *name, int type)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
	size_t length = strlen(name);

	memcpy(address.sun_path, name, length);
	if (*name == '@')
		address.sun_path[0] = '\0';
	length += offsetof(struct sockaddr_un, sun_path);
	if (connect(fd, (struct sockaddr *)&address, (socklen_t)length) != 0) {
		printf("refused\n");
		exit(1);
	}
	return fd;
}

static void print_answer(int fd)
{
	char answer[MESSAGE];
	ssize_t n = recv(fd, answer, sizeof(answer) - 1, 0);

	if (n > 0)
		printf("%.*s\n", (int)n, answer);
	else
		printf("gone\n");
	fflush(stdout);
}

static int ask(const char *name, const char *request)
{
	int fd = connect_to(name, SOCK_SEQPACKET);

	send(fd, request, strlen(request), MSG_NOSIGNAL);
	print_answer(fd);
	return 0;
}

static int be_client(const char *name)
{
	int fd = connect_to(name, SOCK_SEQPACKET);

	send(fd, "hold", 4, MSG_NOSIGNAL);
	print_answer(fd);
	print_answer(fd);
	return 0;
}

static int forge(const char *name, const char *text)
{
	setenv("NOTIFY_SOCKET", name, 1);
	if (notify_open() != 0 || notify_store(text, 0) != 0 ||
	    notify_remove(text) != 0)
		return 1;
	return 0;
}

static int await(char **pids)
{
	for (; *pids; pids++) {
		struct pollfd fd = { .fd = pidfd_open(atoi(*pids), 0),
				     .events = POLLIN };

		if (fd.fd < 0 && errno == ESRCH)
			continue;
		if (fd.fd < 0 || poll(&fd, 1, 10000) != 1)
			return 1;
	}
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 4 && !strcmp(argv[1], "ask"))
		return ask(argv[2], argv[3]);
	if (argc == 3 && !strcmp(argv[1], "hold"))
		return be_client(argv[2]);
	if (argc == 4 && !strcmp(argv[1], "forge"))
		return forge(argv[2], argv[3]);
	if (argc > 1 && !strcmp(argv[1], "await"))
		return await(argv + 2);
	return be_wmapd(argc, argv);
}
