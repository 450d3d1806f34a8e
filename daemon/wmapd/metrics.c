/* SPDX-License-Identifier: MIT */
/*
 * Metrics for Prometheus: sums over all processes, in its text format
 *
 *   scraper ── HTTP ──► microhttpd's thread ── post ──► the pager's thread
 *                              ▲                              │ counts
 *                              └────────── semaphore ─────────┘
 *
 * All that a scraper can keep waiting is the thread here, which owns the text
 * and asks for new figures EVERY ns at most. The pager's thread counts in steps
 * of a few thousand mappings, others' work between them; the counters are added
 * up in the last step, all at once, so that no session ends halfway and none of
 * them ever goes down.
 */
#include <arpa/inet.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "wmapd.h"

#define EVERY	  50000000ull /* ns */
#define LOOKED_AT 4096	      /* mappings, in one step */
#define CLIENTS	  16
#define SECONDS	  5 /* that a client may be silent */

struct figures {
	uint64_t processes, sessions_ever;
	uint64_t mappings, resident, dirty, objects, bookkeeping;
	uint64_t memory, memory_limit, above_share;
	struct wmap_stats sums;
};

static struct {
	struct server *server;
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)]; /* or "" */
	/* A request for figures; the thread's but while it waits for done. */
	struct post post;
	uint64_t cursor; /* sessions up to here are counted */
	struct figures figures;
	sem_t done;
	/* the thread's */
	char *text;
	size_t size;
	uint64_t at; /* when it was made */
} metrics;

/* ---- The pager's thread: counting ---------------------------------------------- */

static void add_sums(struct figures *figures)
{
	struct server *server = metrics.server;

	figures->sessions_ever = server->sessions_ever;
	figures->sums = server->past;
	telling_add(&figures->sums, &server->pager->stats);
	list_for_each(session, &server->sessions, struct session, link)
		telling_add(&figures->sums, &session->space->stats);
}

static void add_session(struct figures *figures, const struct session *session)
{
	struct wmap_stats stats;

	telling_stats(session, &stats);
	figures->processes++;
	figures->mappings += stats.mappings;
	figures->objects += stats.objects;
	figures->resident += stats.resident;
	figures->dirty += stats.dirty;
	figures->bookkeeping = stats.bookkeeping;
	figures->memory = stats.memory;
	figures->memory_limit = stats.memory_limit;
	figures->above_share += stats.memory_own > stats.memory_share;
}

static void count(struct post *post)
{
	struct server *server = metrics.server;
	size_t looked_at = 0;

	list_for_each(session, &server->sessions, struct session, link) {
		if (session->number <= metrics.cursor)
			continue;
		if (looked_at > LOOKED_AT) {
			loop_post(server->pager->loop, post);
			return;
		}
		looked_at += session->space->n + 1;
		metrics.cursor = session->number;
		if (!session->embryo)
			add_session(&metrics.figures, session);
	}
	add_sums(&metrics.figures);
	sem_post(&metrics.done);
}

/* ---- The thread: the text -------------------------------------------------------- */

static void print_one(FILE *to, const char *name, const char *type,
		      const char *help, uint64_t value)
{
	fprintf(to, "# HELP %s %s\n# TYPE %s %s\n%s %llu\n", name, help, name,
		type, name, (unsigned long long)value);
}

static void print_numbers(FILE *to, const struct figures *figures)
{
	const struct wmap_stats *sums = &figures->sums;
	const struct {
		const char *name, *type, *help;
		uint64_t value;
	} all[] = {
		{ "wmap_processes", "gauge", "Processes that are served now.",
		  figures->processes },
		{ "wmap_processes_total", "counter", "Processes served so far.",
		  figures->sessions_ever },
		{ "wmap_mappings", "gauge", "Mappings of all processes.",
		  figures->mappings },
		{ "wmap_objects", "gauge", "Files and memory that they show.",
		  figures->objects },
		{ "wmap_resident_bytes", "gauge", "Loaded pages, each once.",
		  figures->resident * PAGE },
		{ "wmap_dirty_bytes", "gauge", "Pages to be written back.",
		  figures->dirty * PAGE },
		{ "wmap_bookkeeping_bytes", "gauge",
		  "Memory of wmapd itself for all of it.",
		  figures->bookkeeping },
		{ "wmap_memory_bytes", "gauge", "What of the budget is used.",
		  figures->memory },
		{ "wmap_memory_limit_bytes", "gauge",
		  "The budget; 2^64 - 1: there is none.",
		  figures->memory_limit },
		{ "wmap_processes_above_share", "gauge",
		  "Processes that use more than their share of it.",
		  figures->above_share },
		{ "wmap_faults_total", "counter", "Faults.", sums->faults },
		{ "wmap_fills_total", "counter", "Pages brought.",
		  sums->fills },
		{ "wmap_writebacks_total", "counter", "Pages written back.",
		  sums->writebacks },
		{ "wmap_errors_total", "counter",
		  "Faults that ended in SIGBUS, writes that failed.",
		  sums->errors },
		{ "wmap_read_bytes_total", "counter", "Bytes read from stores.",
		  sums->bytes_read },
		{ "wmap_written_bytes_total", "counter",
		  "Bytes written to stores.", sums->bytes_written },
	};

	for (size_t i = 0; i < lengthof(all); i++)
		print_one(to, all[i].name, all[i].type, all[i].help,
			  all[i].value);
}

/* One for each doubling from a microsecond to 17 s; the sum is of the buckets'
   middles, and within 6.25 %. */
static void print_latency(FILE *to, const struct wmap_stats *sums)
{
	static const char name[] = "wmap_fault_latency_seconds";
	uint64_t n = 0;
	double seconds = 0;

	fprintf(to,
		"# HELP %s From a fault's message to its thread's wake; the "
		"sum is an estimate.\n# TYPE %s histogram\n",
		name, name);
	for (unsigned i = 0; i < WMAP_BUCKETS; i++) {
		uint64_t start = wmap_bucket_start(i);

		if (start >= 1024 && start <= 1ull << 34 &&
		    !(start & (start - 1)))
			fprintf(to, "%s_bucket{le=\"%.9f\"} %llu\n", name,
				(double)start / 1e9, (unsigned long long)n);
		n += sums->latency[i];
		seconds += (double)sums->latency[i] / 2e9 *
			   (double)(start + wmap_bucket_start(i + 1));
	}
	fprintf(to, "%s_bucket{le=\"+Inf\"} %llu\n%s_sum %.9f\n%s_count %llu\n",
		name, (unsigned long long)n, name, seconds, name,
		(unsigned long long)n);
}

static void print_all(FILE *to, const struct figures *figures)
{
	fputs("# HELP wmap_build_info The version of wmapd.\n"
	      "# TYPE wmap_build_info gauge\n"
	      "wmap_build_info{version=\"" WMAP_VERSION "\"} 1\n",
	      to);
	print_numbers(to, figures);
	print_latency(to, &figures->sums);
}

static bool renew(void)
{
	FILE *to;

	memset(&metrics.figures, 0, sizeof(metrics.figures));
	metrics.cursor = 0;
	loop_post(metrics.server->pager->loop, &metrics.post);
	while (sem_wait(&metrics.done) != 0)
		;
	free(metrics.text);
	metrics.text = NULL;
	to = open_memstream(&metrics.text, &metrics.size);
	if (!to)
		return false;
	print_all(to, &metrics.figures);
	metrics.at = time_now();
	return fclose(to) == 0;
}

/* ---- The thread: HTTP ------------------------------------------------------------ */

static enum MHD_Result respond(struct MHD_Connection *connection,
			       unsigned status, const char *text, size_t size)
{
	struct MHD_Response *response = MHD_create_response_from_buffer(
		size, (char *)(uintptr_t)text, MHD_RESPMEM_MUST_COPY);
	enum MHD_Result result;

	if (!response)
		return MHD_NO;
	MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE,
				"text/plain; version=0.0.4; charset=utf-8");
	if (status == MHD_HTTP_METHOD_NOT_ALLOWED)
		MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW,
					"GET, HEAD");
	result = MHD_queue_response(connection, status, response);
	MHD_destroy_response(response);
	return result;
}

static enum MHD_Result refuse(struct MHD_Connection *connection,
			      unsigned status, const char *line)
{
	return respond(connection, status, line, strlen(line));
}

static enum MHD_Result handle(void *argument, struct MHD_Connection *connection,
			      const char *url, const char *method,
			      const char *version, const char *upload,
			      size_t *upload_size, void **context)
{
	(void)argument;
	(void)version;
	(void)upload;
	(void)upload_size;
	(void)context;
	if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0)
		return refuse(connection, MHD_HTTP_METHOD_NOT_ALLOWED,
			      "only GET\n");
	if (strcmp(url, "/metrics") != 0)
		return refuse(connection, MHD_HTTP_NOT_FOUND,
			      "only /metrics\n");
	if ((!metrics.text || time_now() - metrics.at > EVERY) && !renew())
		return refuse(connection, MHD_HTTP_INTERNAL_SERVER_ERROR,
			      "no memory\n");
	return respond(connection, MHD_HTTP_OK, metrics.text, metrics.size);
}

/* ---- The address ------------------------------------------------------------------ */

union address {
	struct sockaddr any;
	struct sockaddr_un un;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
};

/* "port" after the last colon; 0: it is none. */
static uint16_t port_of(const char *text)
{
	char *end;
	unsigned long port;

	if (*text < '0' || *text > '9')
		return 0;
	port = strtoul(text, &end, 10);
	return *end || port > UINT16_MAX ? 0 : htons((uint16_t)port);
}

static socklen_t parse_path(const char *text, union address *address)
{
	if (strlen(text) >= sizeof(address->un.sun_path))
		return 0;
	address->un.sun_family = AF_UNIX;
	strcpy(address->un.sun_path, text);
	return sizeof(address->un);
}

/* Only this machine: everybody else is refused by not listening. */
static socklen_t parse(const char *text, union address *address)
{
	const char *colon = strrchr(text, ':');
	char host[64];
	uint16_t port = colon ? port_of(colon + 1) : 0;

	memset(address, 0, sizeof(*address));
	if (*text == '/')
		return parse_path(text, address);
	if (!port || (size_t)(colon - text) >= sizeof(host))
		return 0;
	snprintf(host, sizeof(host), "%.*s", (int)(colon - text), text);
	if (!strcmp(host, "[::1]")) {
		address->in6.sin6_family = AF_INET6;
		address->in6.sin6_addr = in6addr_loopback;
		address->in6.sin6_port = port;
		return sizeof(address->in6);
	}
	address->in.sin_family = AF_INET;
	address->in.sin_port = port;
	if (inet_pton(AF_INET, host, &address->in.sin_addr) != 1 ||
	    ntohl(address->in.sin_addr.s_addr) >> 24 != 127)
		return 0;
	return sizeof(address->in);
}

/* A path that nobody listens at any more is in the way. */
static void remove_stale(const union address *address, socklen_t size)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (connect(fd, &address->any, size) != 0 && errno == ECONNREFUSED)
		unlink(address->un.sun_path);
	close(fd);
}

/* A path is for this user only, a port for whoever is on this machine. */
static int listen_at(const union address *address, socklen_t size)
{
	int fd = socket(address->any.sa_family,
			SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	mode_t mask = umask(0177);
	int on = 1, error;

	if (address->any.sa_family == AF_UNIX)
		remove_stale(address, size);
	else
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	error = bind(fd, &address->any, size) || listen(fd, CLIENTS);
	umask(mask);
	if (!error)
		return fd;
	error = errno;
	close(fd);
	errno = error;
	return -1;
}

/* ---- Beginning and end ------------------------------------------------------------ */

static bool serve(int fd)
{
	return MHD_start_daemon(MHD_USE_AUTO_INTERNAL_THREAD, 0, NULL, NULL,
				handle, NULL, MHD_OPTION_LISTEN_SOCKET, fd,
				MHD_OPTION_CONNECTION_LIMIT, CLIENTS,
				MHD_OPTION_CONNECTION_MEMORY_LIMIT,
				(size_t)16 << 10, MHD_OPTION_CONNECTION_TIMEOUT,
				SECONDS, MHD_OPTION_END) != NULL;
}

bool metrics_start(struct server *server, const char *text)
{
	union address address;
	socklen_t size = parse(text, &address);
	int fd;

	if (!size) {
		say("--metrics %s: neither a path nor 127.0.0.1:PORT nor "
		    "[::1]:PORT",
		    text);
		return false;
	}
	fd = listen_at(&address, size);
	if (fd < 0) {
		say("--metrics %s: %s", text, strerror(errno));
		return false;
	}
	metrics.server = server;
	metrics.post.run = count;
	sem_init(&metrics.done, 0, 0);
	if (!serve(fd)) {
		say("--metrics %s: cannot be served", text);
		close(fd);
		return false;
	}
	if (*text == '/')
		strcpy(metrics.path, address.un.sun_path);
	return true;
}

void metrics_end(void)
{
	if (*metrics.path)
		unlink(metrics.path);
}
