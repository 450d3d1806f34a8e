/* SPDX-License-Identifier: MIT */
/*
 * wmap top: wmap ps, live in a terminal, with rates per second
 *
 * The alternate screen, line by line anew: what a terminal has had since the
 * VT100, without a library. q, SIGINT, SIGTERM and the like end it; before it
 * is stopped, and at each end, the terminal is as it was.
 */
#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "daemon.h"
#include "wmapds.h"

typedef unsigned long long ull;

/* What a process had when it was last looked at. */
struct before {
	uint64_t number;
	char address[sizeof(struct sockaddr_un)];
	uint64_t faults, bytes;
};

struct top {
	struct question question;
	double interval, passed; /* seconds */
	struct timespec at;
	struct before *before;
	size_t n_before;
	int rows, columns;
	char *text; /* the screen, and its lines so far */
	size_t size;
	int line;
	FILE *to;
	struct termios terminal;
	int signals;
};

/* ---- The terminal ------------------------------------------------------- */

static void put(const char *text)
{
	size_t length = strlen(text);

	while (length) {
		ssize_t n = write(STDOUT_FILENO, text, length);

		if (n < 0 && errno != EINTR)
			return;
		if (n > 0) {
			text += n;
			length -= (size_t)n;
		}
	}
}

static void enter(struct top *top)
{
	struct termios raw = top->terminal;

	raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
	raw.c_cc[VMIN] = 0;
	raw.c_cc[VTIME] = 0;
	tcsetattr(STDIN_FILENO, TCSADRAIN, &raw);
	put("\033[?1049h\033[?25l\033[2J");
}

static void leave(const struct top *top)
{
	put("\033[?25h\033[?1049l");
	tcsetattr(STDIN_FILENO, TCSADRAIN, &top->terminal);
}

static void measure(struct top *top)
{
	struct winsize size;

	top->rows = 24;
	top->columns = 80;
	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row &&
	    size.ws_col) {
		top->rows = size.ws_row;
		top->columns = size.ws_col;
	}
}

/* ---- The screen --------------------------------------------------------- */

static void screen_begin(struct top *top)
{
	top->line = 0;
	top->to = open_memstream(&top->text, &top->size);
	if (top->to)
		fputs("\033[H", top->to);
}

/* One line, cut at the right; false: the screen is full. */
static bool screen_line(struct top *top, const char *line)
{
	int column = 0;

	if (top->line == top->rows)
		return false;
	if (top->line++)
		fputs("\r\n", top->to);
	for (; *line; line++) {
		bool first = (*line & 0xc0) != 0x80; /* of a character */

		if (first && ++column > top->columns)
			break;
		fputc((unsigned char)*line < 0x20 || *line == 0x7f ? '?' :
								     *line,
		      top->to);
	}
	fputs("\033[K", top->to);
	return top->line < top->rows;
}

static void screen_end(struct top *top)
{
	fputs("\033[J", top->to);
	if (fclose(top->to) == 0)
		put(top->text);
	free(top->text);
	top->text = NULL;
}

/* ---- Rates -------------------------------------------------------------- */

static uint64_t bytes_of(const struct wmap_stats *stats)
{
	return stats->bytes_read + stats->bytes_written;
}

static const struct before *find(const struct top *top,
				 const struct told_wmapd *wmapd,
				 const struct told_process *process)
{
	for (size_t i = 0; i < top->n_before; i++)
		if (top->before[i].number == process->space.number &&
		    !strcmp(top->before[i].address, wmapd->address))
			return &top->before[i];
	return NULL;
}

/* Of a process that was not there all that time, or whose wmapd was not: 0. */
static double rate(const struct top *top, uint64_t now, uint64_t before)
{
	return now < before || top->passed <= 0 ?
		       0 :
		       (double)(now - before) / top->passed;
}

static void remember(struct top *top, const struct told *told)
{
	size_t n = 0;

	for (size_t i = 0; i < told->n; i++)
		n += told->wmapds[i].n;
	free(top->before);
	top->n_before = 0;
	top->before = calloc(n + 1, sizeof(*top->before));
	for (size_t i = 0; top->before && i < told->n; i++)
		for (size_t k = 0; k < told->wmapds[i].n; k++) {
			const struct wire_space *space =
				&told->wmapds[i].processes[k].space;
			struct before *before = &top->before[top->n_before++];

			before->number = space->number;
			strcpy(before->address, told->wmapds[i].address);
			before->faults = space->stats.faults;
			before->bytes = bytes_of(&space->stats);
		}
}

static void clock_on(struct top *top)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	top->passed = (double)(now.tv_sec - top->at.tv_sec) +
		      (double)(now.tv_nsec - top->at.tv_nsec) / 1e9;
	top->at = now;
}

/* ---- One look ----------------------------------------------------------- */

static bool show_process(struct top *top, const struct told_wmapd *wmapd,
			 const struct told_process *process)
{
	const struct wire_space *space = &process->space;
	const struct before *before = find(top, wmapd, process);
	struct text p50 =
		text_duration(wmap_stats_quantile(&space->stats, 0.5));
	struct text p99 =
		text_duration(wmap_stats_quantile(&space->stats, 0.99));
	char line[512];

	snprintf(line, sizeof(line),
		 "%8u %-15s %8llu %10s %10s %10s %9.0f %10s %*s %*s",
		 space->pid, process->command, (ull)space->stats.mappings,
		 text_bytes(space->loaded * WMAP_PAGE_SIZE).text,
		 text_bytes(space->dirty * WMAP_PAGE_SIZE).text,
		 text_bytes(space->total * WMAP_PAGE_SIZE).text,
		 before ? rate(top, space->stats.faults, before->faults) : 0,
		 text_bytes(
			 (uint64_t)(before ? rate(top, bytes_of(&space->stats),
						  before->bytes) :
					     0))
			 .text,
		 strstr(p50.text, "µ") ? 10 : 9, p50.text,
		 strstr(p99.text, "µ") ? 10 : 9, p99.text);
	return screen_line(top, line);
}

static void show(struct top *top, const struct told *told)
{
	char line[512];
	size_t n = 0;
	bool room;

	for (size_t i = 0; i < told->n; i++)
		n += told->wmapds[i].n;
	snprintf(line, sizeof(line),
		 "wmap top: %zu process%s, %zu wmapd%s; "
		 "q quits",
		 n, n == 1 ? "" : "es", told->n, told->n == 1 ? "" : "s");
	room = screen_line(top, line);
	snprintf(line, sizeof(line),
		 "%8s %-15s %8s %10s %10s %10s %9s %10s %9s %9s", "PID",
		 "COMMAND", "MAPPINGS", "LOADED", "DIRTY", "TOTAL", "FAULTS/s",
		 "BYTES/s", "P50", "P99");
	room = room && screen_line(top, line);
	for (size_t i = 0; i < told->n; i++)
		for (size_t k = 0; k < told->wmapds[i].n && room; k++)
			room = show_process(top, &told->wmapds[i],
					    &told->wmapds[i].processes[k]);
}

/* No wmapd is no error here: one may come. */
static void look(struct top *top)
{
	struct told told;
	bool there = wmapds_ask(&top->question, true, &told);

	clock_on(top);
	screen_begin(top);
	if (top->to && there)
		show(top, &told);
	else if (top->to)
		screen_line(top, "wmap top: no wmapd answers; q quits");
	if (top->to)
		screen_end(top);
	if (!there)
		return;
	remember(top, &told);
	wmapds_free(&told);
}

/* ---- Until the end ------------------------------------------------------ */

static void take_signals(struct top *top)
{
	static const int all[] = { SIGINT,  SIGTERM, SIGHUP,  SIGQUIT,
				   SIGTSTP, SIGCONT, SIGWINCH };
	sigset_t set;

	sigemptyset(&set);
	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++)
		sigaddset(&set, all[i]);
	sigprocmask(SIG_BLOCK, &set, NULL);
	top->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

/* 0: go on; else the signal to end by. */
static int handle_signal(struct top *top)
{
	struct signalfd_siginfo info;

	if (read(top->signals, &info, sizeof(info)) != sizeof(info))
		return 0;
	switch (info.ssi_signo) {
	case SIGWINCH:
		put("\033[2J");
		return 0;
	case SIGCONT:
		enter(top);
		return 0;
	case SIGTSTP:
		leave(top);
		raise(SIGSTOP);
		return 0;
	default:
		return (int)info.ssi_signo;
	}
}

/* 'q' was typed, or nobody can type any more. */
static bool is_over(short events)
{
	char keys[64];
	ssize_t n = events & POLLIN ? read(STDIN_FILENO, keys, sizeof(keys)) :
				      0;

	return events & (POLLHUP | POLLERR) ||
	       (n > 0 &&
		(memchr(keys, 'q', (size_t)n) || memchr(keys, 'Q', (size_t)n)));
}

static int run_top(struct top *top)
{
	for (;;) {
		struct pollfd fds[2] = {
			{ .fd = STDIN_FILENO, .events = POLLIN },
			{ .fd = top->signals, .events = POLLIN },
		};
		int signal = 0;

		measure(top);
		look(top);
		if (poll(fds, 2, (int)(top->interval * 1000)) <= 0)
			continue;
		if (fds[1].revents)
			signal = handle_signal(top);
		if (signal || is_over(fds[0].revents))
			return signal;
	}
}

/* As if the signal had never been taken. */
static int end_by(int signal_number)
{
	sigset_t set;

	if (!signal_number)
		return EXIT_SUCCESS;
	signal(signal_number, SIG_DFL);
	sigemptyset(&set);
	sigaddset(&set, signal_number);
	raise(signal_number);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
	return EXIT_OURS;
}

static bool parse_interval(struct top *top, const char *text)
{
	char *end;
	double seconds = strtod(text, &end);

	if (end == text || *end || !(seconds >= 0.1 && seconds <= 3600)) {
		say("--interval %s: not a number of seconds from 0.1 to 3600",
		    text);
		return false;
	}
	top->interval = seconds;
	return true;
}

static bool parse(int argc, char **argv, struct top *top)
{
	static const struct option options[] = {
		{ "socket", required_argument, NULL, 's' },
		{ "interval", required_argument, NULL, 'i' },
		{ NULL, 0, NULL, 0 },
	};
	int option;

	opterr = 0;
	while ((option = getopt_long(argc, argv, "+:", options, NULL)) != -1) {
		if (option == 's') {
			top->question.socket = optarg;
		} else if (option != 'i') {
			say("%s: no such option, or no such use of it",
			    argv[optind - 1]);
			return false;
		} else if (!parse_interval(top, optarg)) {
			return false;
		}
	}
	if (optind < argc)
		say("%s: no argument is expected", argv[optind]);
	return optind == argc;
}

int top_command(int argc, char **argv)
{
	struct top top = { .interval = 1 };
	struct told told;
	int ended;

	if (!parse(argc, argv, &top))
		return EXIT_OURS;
	if (!isatty(STDOUT_FILENO) ||
	    tcgetattr(STDIN_FILENO, &top.terminal) != 0) {
		say("top: this is no terminal; wmap ps is for files");
		return EXIT_OURS;
	}
	if (!wmapds_ask(&top.question, false, &told))
		return EXIT_OURS;
	wmapds_free(&told);
	take_signals(&top);
	enter(&top);
	ended = run_top(&top);
	leave(&top);
	close(top.signals);
	free(top.before);
	return end_by(ended);
}
