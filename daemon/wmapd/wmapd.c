/* SPDX-License-Identifier: MIT */
/* wmapd: the order of it all */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <libgen.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "../notify.h"
#include "lock.h"
#include "mem.h"
#include "record.h"
#include "replay.h"
#include "trace.h"
#include "wmap/wmap.h"
#include "wmapd.h"

struct options {
	const char *socket; /* "@name", a path, or NULL */
	bool private;	    /* end with the last client, once told to */
	const char *orphans;
	const char *metrics; /* where, or NULL */
	int ready_fd;	     /* or -1 */
	bool alone;	     /* without a keeper */
	bool replace;	     /* another one, and end */
	bool rescue;	     /* guards will come */
	bool unconfined;
};

static const char help[] =
	"usage: wmapd [options]\n"
	"Page for the processes that connect.\n"
	"\n"
	"  --socket NAME    listen at this path, or at \"@NAME\" (abstract);\n"
	"                   default: $XDG_RUNTIME_DIR/wmap.sock, for root\n"
	"                   /run/wmap.sock; or as started by systemd\n"
	"  --alone          without a keeper, that starts another one if this one\n"
	"                   is killed: its clients then do\n"
	"  --replace        have the wmapd that listens there make room for what is\n"
	"                   installed now, which goes on with its clients\n"
	"  --private        end when told to and no client is left\n"
	"  --ready-fd N     write a byte to this descriptor when clients can\n"
	"                   connect, and close it\n"
	"  --metrics WHERE  serve http://WHERE/metrics for Prometheus, at a\n"
	"                   path, 127.0.0.1:PORT or [::1]:PORT\n"
	"  --no-seccomp     may make any system call\n"
	"  --help, --version\n";

/* ---- The command line ------------------------------------------------------------ */

static void set_ready_fd(struct options *options, const char *text)
{
	char *end;
	long n = strtol(text, &end, 10);

	if (end == text || *end || n < 1 || n > 1 << 20 ||
	    fcntl((int)n, F_GETFD) < 0) {
		say("--ready-fd %s: not an open descriptor", text);
		exit(2);
	}
	options->ready_fd = (int)n;
}

static void options_read(int argc, char **argv, struct options *options)
{
	static const struct option names[] = {
		{ "socket", required_argument, NULL, 's' },
		{ "private", no_argument, NULL, 'p' },
		{ "orphans", required_argument, NULL, 'o' },
		{ "alone", no_argument, NULL, 'a' },
		{ "replace", no_argument, NULL, 'R' },
		{ "rescue", no_argument, NULL, 'g' },
		{ "ready-fd", required_argument, NULL, 'r' },
		{ "metrics", required_argument, NULL, 'm' },
		{ "no-seccomp", no_argument, NULL, 'S' },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'v' },
		{ 0 },
	};
	int c;

	while ((c = getopt_long(argc, argv, "", names, NULL)) != -1) {
		switch (c) {
		case 's':
			options->socket = optarg;
			break;
		case 'p':
			options->private = true;
			break;
		case 'o':
			options->orphans = optarg;
			break;
		case 'R':
			options->replace = true;
			break;
		case 'g':
			options->rescue = true;
			break;
		case 'a':
			options->alone = true;
			break;
		case 'r':
			set_ready_fd(options, optarg);
			break;
		case 'm':
			options->metrics = optarg;
			break;
		case 'S':
			options->unconfined = true;
			break;
		case 'h':
			fputs(help, stdout);
			exit(0);
		case 'v':
			puts("wmapd " WMAP_VERSION);
			exit(0);
		default:
			fputs("wmapd: --help tells the options\n", stderr);
			exit(2);
		}
	}
	if (optind < argc) {
		say("%s: no argument is expected", argv[optind]);
		exit(2);
	}
}

/* ---- The socket ------------------------------------------------------------------ */

#define TRIES 1000 /* one each ms */

static bool default_path(char *path, size_t size)
{
	const char *directory = getenv("XDG_RUNTIME_DIR");

	if (geteuid() == 0)
		directory = "/run";
	if (!directory || !*directory) {
		say("XDG_RUNTIME_DIR is not set: --socket says where to listen");
		return false;
	}
	return (size_t)snprintf(path, size, "%s/wmap.sock", directory) < size;
}

socklen_t address_of(const char *name, struct sockaddr_un *address)
{
	size_t length = strlen(name);

	memset(address, 0, sizeof(*address));
	address->sun_family = AF_UNIX;
	if (length >= sizeof(address->sun_path))
		return 0;
	memcpy(address->sun_path, name, length);
	if (*name != '@')
		return (socklen_t)(offsetof(struct sockaddr_un, sun_path) +
				   length + 1);
	address->sun_path[0] = '\0';
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
}

/* Is it the socket of a process that has ended? Its ring lets go of it in a while,
   and until then it can be connected to. */
static bool is_leaving(int connected)
{
	struct ucred peer;
	socklen_t size = sizeof(peer);

	return !getsockopt(connected, SOL_SOCKET, SO_PEERCRED, &peer, &size) &&
	       peer.pid > 0 && kill(peer.pid, 0) != 0 && errno == ESRCH;
}

/* The address is in use: may it be tried again? A path that nobody listens at any
   more is in the way; a name is let go of by itself. */
static bool make_free(const struct sockaddr_un *address, socklen_t size)
{
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	bool free = false;

	if (fd < 0)
		return false;
	if (!connect(fd, (const struct sockaddr *)address, size))
		free = is_leaving(fd) && !usleep(1000);
	else if (errno == ECONNREFUSED)
		free = !(address->sun_path[0] ? unlink(address->sun_path) :
						usleep(1000));
	close(fd);
	return free;
}

/* 0 or a negative errno. */
static int bind_to(int fd, const struct sockaddr_un *address, socklen_t size)
{
	for (int i = 0; i < TRIES; i++) {
		if (!bind(fd, (const struct sockaddr *)address, size))
			return listen(fd, 4096) ? -errno : 0;
		if (errno != EADDRINUSE)
			return -errno;
		if (!make_free(address, size))
			break;
	}
	return -EADDRINUSE;
}

/* Who finds a path that nobody listens at does not remove that of another one who
   has found it, too, or binds it and does not listen yet. Who locks it for long, as
   anybody may, is not waited for. -1: it cannot be. */
static int lock_directory_of(const struct sockaddr_un *address)
{
	char path[sizeof(address->sun_path) + 1] = "";
	int fd;

	if (!address->sun_path[0])
		return -1;
	memcpy(path, address->sun_path, sizeof(address->sun_path));
	fd = open(dirname(path), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	for (int i = 0; fd >= 0 && i < TRIES; i++)
		if (flock(fd, LOCK_EX | LOCK_NB) != 0)
			usleep(1000);
		else
			break;
	return fd;
}

static int listen_at(const char *name)
{
	struct sockaddr_un address;
	socklen_t size = address_of(name, &address);
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK,
			0);
	int error, lock;

	if (!size) {
		say("%s: too long for a socket's name", name);
		return -1;
	}
	lock = lock_directory_of(&address);
	error = bind_to(fd, &address, size);
	if (lock >= 0)
		close(lock);
	if (!error)
		return fd;
	say("%s: %s", name,
	    error == -EADDRINUSE ? "another wmapd listens there" :
				   strerror(-error));
	close(fd);
	return -1;
}

/* ---- What was inherited ---------------------------------------------------------- */

struct received {
	int listen, hints, ledger; /* or -1 */
	int journal, recording;	   /* likewise */
	struct list rest;	   /* struct taken: a predecessor's */
};

static void take_rest(struct received *received, const char *name, int fd)
{
	struct taken *taken = mem_alloc(sizeof(*taken));

	if (!taken || strlen(name) >= sizeof(taken->name)) {
		say("a descriptor named %s is of no use", name);
		close(fd);
		mem_free(taken, sizeof(*taken));
		return;
	}
	strcpy(taken->name, name);
	taken->fd = fd;
	list_add(&received->rest, &taken->link);
}

/* systemd names the socket after its unit, or not at all. */
static void take(void *context, const char *name, int fd)
{
	struct received *received = context;

	if (received->listen < 0 &&
	    (!strcmp(name, "listen") || !strcmp(name, "wmapd.socket") ||
	     !strcmp(name, "unknown")))
		received->listen = fd;
	else if (received->hints < 0 && !strcmp(name, "hints"))
		received->hints = fd;
	else if (received->ledger < 0 && !strcmp(name, "ledger"))
		received->ledger = fd;
	else if (received->journal < 0 && !strcmp(name, "journal"))
		received->journal = fd;
	else if (received->recording < 0 && !strcmp(name, "recording"))
		received->recording = fd;
	else
		take_rest(received, name, fd);
}

/* Where to listen if no socket was inherited; false: nowhere, it was said. */
static bool listen_anew(const struct options *options,
			struct received *received, char *path, size_t size)
{
	if (options->socket)
		snprintf(path, size, "%s", options->socket);
	else if (!default_path(path, size))
		return false;
	received->listen = listen_at(path);
	return received->listen >= 0;
}

/* ---- A keeper -------------------------------------------------------------------- */

/* An absolute name, as the keeper lives in /. */
static bool make_absolute(const char *name, char *path, size_t size)
{
	char directory[PATH_MAX];

	if (*name == '/' || *name == '@' || strchr(name, ':'))
		return (size_t)snprintf(path, size, "%s", name) < size;
	return getcwd(directory, sizeof(directory)) &&
	       (size_t)snprintf(path, size, "%s/%s", directory, name) < size;
}

/*
 * Whoever starts wmapd by hand, and not as a supervisor does, has a keeper in its
 * place, which starts it, and again when it dies. Returns if that cannot be.
 */
static void become_keeper(const struct options *options)
{
	char command[PATH_MAX + 8], socket[PATH_MAX], metrics[PATH_MAX];
	char ready_fd[16];
	const char *argv[12] = { command, "keeper", "--foreground", "--socket",
				 socket };
	ssize_t n = readlink("/proc/self/exe", command, PATH_MAX - 1);
	size_t i = 5;

	command[n > 0 ? n : 0] = '\0';
	if (!strrchr(command, '/'))
		return;
	strcpy(strrchr(command, '/'), "/wmap");
	if (!(options->socket ?
		      make_absolute(options->socket, socket, sizeof(socket)) :
		      default_path(socket, sizeof(socket))))
		return;
	if (options->ready_fd >= 0) {
		snprintf(ready_fd, sizeof(ready_fd), "%d", options->ready_fd);
		argv[i++] = "--ready-fd";
		argv[i++] = ready_fd;
	}
	argv[i++] = "--";
	if (options->metrics &&
	    make_absolute(options->metrics, metrics, sizeof(metrics))) {
		argv[i++] = "--metrics";
		argv[i++] = metrics;
	}
	if (options->private)
		argv[i++] = "--private";
	argv[i] = NULL;
	execv(command, (char **)(uintptr_t)argv);
	say("%s: %s: without a keeper", command, strerror(errno));
}

/* ---- Signals --------------------------------------------------------------------- */

struct signals {
	struct watch watch;
	struct server *server;
	bool patient; /* to end means: when nobody is served any more */
};

static void signalled(struct watch *watch)
{
	struct signals *signals = container_of(watch, struct signals, watch);
	struct signalfd_siginfo info;

	while (read(watch->fd, &info, sizeof(info)) == sizeof(info)) {
		if (signals->patient)
			server_end(signals->server);
		else
			server_quit(signals->server);
	}
}

static int watch_signals(struct signals *signals)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	signals->watch.fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	signals->watch.run = signalled;
	return loop_watch(signals->server->pager->loop, &signals->watch);
}

/* ---- All of it ------------------------------------------------------------------- */

static void log_to_stderr(void *argument, const char *line)
{
	(void)argument;
	say("%s", line);
}

/* Descriptors come from clients; memory of theirs is in none of ours. */
static void prepare(void)
{
	struct rlimit files;
	sigset_t all;

	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	prctl(PR_SET_NAME, "wmapd");
	lock_signals_are_blocked();
	wmap_log_set(log_to_stderr, NULL);
	trace_to(-1, 0);
}

/* The one that --socket names, $WMAP_SOCKET, or the user's. */
static bool replace_there(const struct options *options)
{
	const char *name = options->socket ? options->socket :
					     getenv("WMAP_SOCKET");
	char path[PATH_MAX];

	if (!name && !default_path(path, sizeof(path)))
		return false;
	return replace(name ? name : path);
}

/* Who serves without is better than who does not serve. */
static void start_recording(struct pager *pager, int journal)
{
	int error = journal < 0 ? 0 : record_start(pager, journal);

	if (error)
		say("nothing is recorded: %s", strerror(-error));
	if (journal >= 0)
		close(journal);
}

static void start_replaying(struct pager *pager, int fd)
{
	struct recording *recording;
	const char *why;
	int error = fd < 0 ? 0 : recording_read_open(fd, &recording, &why);

	if (error)
		say("nothing is replayed: %s", why ? why : strerror(-error));
	else if (fd >= 0)
		replay_set(pager, replay_create(recording));
	if (fd >= 0)
		close(fd);
}

static int start(struct server *server, struct signals *signals,
		 struct received *received)
{
	int error = server_create(received->listen, received->hints,
				  received->ledger, server);

	if (!error)
		error = watch_signals(signals);
	if (!error) {
		start_recording(server->pager, received->journal);
		start_replaying(server->pager, received->recording);
	}
	if (!error)
		error = takeover_adopt(server, &received->rest);
	if (!error)
		takeover_resume(server);
	if (error)
		say("cannot start: %s", strerror(-error));
	return error;
}

/* A pipe whose reader is gone is no reason to end. */
static void tell_ready(int fd)
{
	if (fd < 0)
		return;
	if (write(fd, "1", 1) < 0)
		say("--ready-fd %d: %s", fd, strerror(errno));
	close(fd);
}

int main(int argc, char **argv)
{
	struct options options = { .ready_fd = -1 };
	struct received received = {
		.listen = -1,
		.hints = -1,
		.ledger = -1,
		.journal = -1,
		.recording = -1,
	};
	struct server server;
	struct signals signals = { .server = &server };
	char path[128] = "";
	int error;

	options_read(argc, argv, &options);
	if (options.replace)
		return !replace_there(&options);
	if (!options.alone && !getenv("NOTIFY_SOCKET") && !getenv("LISTEN_FDS"))
		become_keeper(&options);
	prepare();
	list_init(&received.rest);
	if (notify_open() || notify_received(take, &received) < 0)
		return 1;
	if (received.listen < 0 &&
	    !listen_anew(&options, &received, path, sizeof(path)))
		return 1;
	fcntl(received.listen, F_SETFL, O_NONBLOCK);
	signals.patient = options.private;
	if (start(&server, &signals, &received))
		return 1;
	server.report = options.private ? getenv("WMAP_REPORT") : NULL;
	if (options.rescue)
		rescue_expect(&server);
	server.pager->refusing = options.orphans &&
				 !strcmp(options.orphans, "sigbus");
	if (options.metrics && !metrics_start(&server, options.metrics))
		return 1;
	error = options.unconfined ? 0 : confine();
	if (error) {
		say("cannot give up system calls: %s", strerror(-error));
		return 1;
	}
	notify_ready();
	tell_ready(options.ready_fd);
	server_run(&server);
	metrics_end();
	if (server.replaced) {
		takeover_prepare(&server);
		return STATUS_REPLACED;
	}
	if (*path && *path != '@')
		unlink(path);
	return 0;
}
