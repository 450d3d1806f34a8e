/* SPDX-License-Identifier: MIT */
/* Questions to a wmapd (ask.h) */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "ask.h"

/* ---- Connecting --------------------------------------------------------- */

static socklen_t address_of(const char *name, struct sockaddr_un *address)
{
	size_t length = strlen(name);

	memset(address, 0, sizeof(*address));
	address->sun_family = AF_UNIX;
	if (!length || length >= sizeof(address->sun_path))
		return 0;
	memcpy(address->sun_path, name, length);
	length += offsetof(struct sockaddr_un, sun_path);
	if (*name != '@')
		return (socklen_t)length + 1;
	address->sun_path[0] = '\0';
	return (socklen_t)length;
}

/* An abstract name is anybody's who is first. */
static int check_owner(int fd)
{
	struct ucred owner;
	socklen_t size = sizeof(owner);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &owner, &size) != 0)
		return -errno;
	return owner.uid == geteuid() || !owner.uid || !geteuid() ? 0 : -EPERM;
}

int ask_open(struct asked *asked, const char *name)
{
	const struct timeval limit = { .tv_sec = ASK_SECONDS };
	struct sockaddr_un address;
	socklen_t size = address_of(name, &address);
	int fd, error = 0;

	if (!size)
		return -ENAMETOOLONG;
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	if (connect(fd, (struct sockaddr *)&address, size) != 0)
		error = errno == EAGAIN ? -ETIMEDOUT : -errno;
	if (!error)
		error = check_owner(fd);
	if (error) {
		close(fd);
		return error;
	}
	*asked = (struct asked){ .fd = fd };
	return 0;
}

void ask_close(struct asked *asked)
{
	close(asked->fd);
}

/* ---- Question and answer ------------------------------------------------ */

/* Bytes that came with the answer, or a negative errno. */
static int hear(struct asked *asked, struct wire_reply *reply, void *bytes)
{
	int fds[WIRE_FDS];
	unsigned n_fds;
	int n;

	do {
		n_fds = WIRE_FDS;
		n = wire_receive(asked->fd, reply, sizeof(*reply), bytes,
				 WIRE_PAYLOAD, fds, &n_fds, NULL, 0);
		for (unsigned i = 0; i < n_fds; i++)
			close(fds[i]);
		if (n == -EAGAIN)
			return -ETIMEDOUT;
		if (n < (int)sizeof(*reply) || reply->magic != WIRE_MAGIC)
			return n < 0 ? n : -EPROTO;
	} while (reply->id != asked->id); /* of a wmapd that died meanwhile */
	return n - (int)sizeof(*reply);
}

static int ask(struct asked *asked, struct wire_request *request,
	       struct wire_reply *reply, void *bytes)
{
	int n;

	request->magic = WIRE_MAGIC;
	request->id = ++asked->id;
	n = wire_send(asked->fd, request, sizeof(*request), NULL, 0, NULL, 0,
		      0);
	if (n == -EAGAIN)
		return -ETIMEDOUT;
	if (!n)
		n = hear(asked, reply, bytes);
	if (n >= 0 && reply->result)
		return reply->result < 0 ? (int)reply->result : -EPROTO;
	return n;
}

/* One page after the other of an answer, in elements of @size bytes. */
struct pages_of {
	char *all; /* malloc'd */
	size_t n, size;
	char *bytes; /* WIRE_PAYLOAD */
};

static int begin(struct pages_of *pages, size_t size)
{
	*pages = (struct pages_of){ .size = size };
	pages->bytes = malloc(WIRE_PAYLOAD);
	return pages->bytes ? 0 : -ENOMEM;
}

/* @got: bytes, or a negative errno. The number of new elements, or that. */
static int append(struct pages_of *pages, int got)
{
	size_t n = got > 0 ? (size_t)got / pages->size : 0;
	char *all;

	if (got < 0 || !n)
		return got < 0 ? got : 0;
	if ((size_t)got % pages->size)
		return -EPROTO;
	all = realloc(pages->all, (pages->n + n) * pages->size);
	if (!all)
		return -ENOMEM;
	memcpy(all + pages->n * pages->size, pages->bytes, n * pages->size);
	pages->all = all;
	pages->n += n;
	return (int)n;
}

static int end(struct pages_of *pages, int error)
{
	free(pages->bytes);
	if (error < 0)
		free(pages->all);
	return error < 0 ? error : 0;
}

/* ---- Which there are ---------------------------------------------------- */

int ask_spaces(struct asked *asked, pid_t pid, struct wire_space **spaces,
	       size_t *n)
{
	struct wire_request request = { .kind = WIRE_SPACES,
					.args = { (uint64_t)pid } };
	struct wire_reply reply = { 0 };
	struct pages_of pages;
	int error = begin(&pages, sizeof(**spaces)), got;

	while (!error) {
		const struct wire_space *last;

		got = append(&pages, ask(asked, &request, &reply, pages.bytes));
		asked->pid = (pid_t)reply.args[1];
		if (got <= 0) {
			error = got;
			break;
		}
		last = (struct wire_space *)(void *)pages.all + pages.n - 1;
		if (last->number <= request.address)
			error = -EPROTO;
		request.address = last->number;
		if (!reply.args[0])
			break;
	}
	error = end(&pages, error);
	if (error)
		return error;
	*spaces = (struct wire_space *)(void *)pages.all;
	*n = pages.n;
	return 0;
}

int ask_mappings(struct asked *asked, uint64_t number,
		 struct wmap_mapping_info **infos, size_t *n)
{
	struct wire_request request = { .kind = WIRE_MAPPINGS,
					.args = { number } };
	struct wire_reply reply = { 0 };
	struct pages_of pages;
	int error = begin(&pages, sizeof(**infos)), got;

	while (!error) {
		got = append(&pages, ask(asked, &request, &reply, pages.bytes));
		if (got <= 0) {
			error = got;
			break;
		}
		if (reply.args[1] <= request.address)
			error = -EPROTO;
		request.address = reply.args[1];
	}
	error = end(&pages, error);
	if (error)
		return error;
	*infos = (struct wmap_mapping_info *)(void *)pages.all;
	*n = pages.n;
	for (size_t i = 0; i < *n; i++)
		(*infos)[i].name[sizeof((*infos)[i].name) - 1] = '\0';
	return 0;
}
