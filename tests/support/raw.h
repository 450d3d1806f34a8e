/* SPDX-License-Identifier: MIT */
/*
 * A wmapd of the test's own, and clients of it that can say anything
 *
 * For programs that speak the protocol by themselves: what they expect and do not
 * get ends them with 1.
 */
#ifndef TESTS_RAW_H
#define TESTS_RAW_H

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "sys.h"
#include "wire.h"

static char socket_name[64];
static pid_t wmapd;

static inline socklen_t address_of(struct sockaddr_un *address)
{
	memset(address, 0, sizeof(*address));
	address->sun_family = AF_UNIX;
	memcpy(address->sun_path, socket_name, strlen(socket_name));
	address->sun_path[0] = '\0';
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) +
			   strlen(socket_name));
}

static inline int dial(void)
{
	struct timeval patience = { .tv_sec = 10 };
	struct sockaddr_un address;
	socklen_t size = address_of(&address);
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	if (!connect(fd, (struct sockaddr *)&address, size))
		return fd;
	close(fd);
	return -1;
}

struct answer {
	struct wire_reply reply;
	char bytes[WIRE_PAYLOAD];
	int fds[WIRE_FDS];
	unsigned n_fds;
};

static uint64_t last_id;

static inline int say_to(int fd, struct wire_request *request, const int *fds,
			 unsigned n_fds)
{
	request->magic = WIRE_MAGIC;
	request->id = ++last_id;
	return wire_send(fd, request, sizeof(*request), NULL, 0, fds, n_fds, 0);
}

/* The result; -ENOTCONN: cut off; -EAGAIN: no answer for long. */
static inline int hear(int fd, struct answer *answer)
{
	int n;

	answer->n_fds = WIRE_FDS;
	n = wire_receive(fd, &answer->reply, sizeof(answer->reply),
			 answer->bytes, sizeof(answer->bytes), answer->fds,
			 &answer->n_fds, NULL, 0);
	if (n == -EAGAIN)
		return -EAGAIN;
	return n <= 0 ? -ENOTCONN : (int)answer->reply.result;
}

static inline int ask_keep(int fd, struct wire_request request, int with,
			   struct answer *answer)
{
	if (say_to(fd, &request, &with, with >= 0))
		return -ENOTCONN;
	return hear(fd, answer);
}

/* The descriptors that came with it. */
static inline void let_go(struct answer *answer)
{
	while (answer->n_fds)
		close(answer->fds[--answer->n_fds]);
}

static inline int ask(int fd, struct wire_request request, int with)
{
	static struct answer answer;
	int result = ask_keep(fd, request, with, &answer);

	if (result != -EAGAIN && result != -ENOTCONN)
		let_go(&answer);
	return result;
}

#define REQUEST(kind_, ...) \
	((struct wire_request){ .kind = (kind_), ##__VA_ARGS__ })

static inline struct wire_request map_at(uint64_t address, uint64_t pages,
					 int flags)
{
	return REQUEST(MESSAGE_MAP, .address = address, .length = pages * PAGE,
		       .args = { PROT_READ | PROT_WRITE, (uint64_t)flags, 0, 1,
				 10000000000u });
}

/* Ends the program where wmapd serves nobody: it is skipped. */
static inline void need_pager(void)
{
	unsigned features;
	int fd = sys_uffd_open(&features);

	if (fd < 0 || !(features & WMAP_FEATURE_POISON)) {
		printf("skipped: without userfaultfd, or poison, wmapd serves "
		       "nobody\n");
		exit(77);
	}
	close(fd);
}

static inline int uffd_new(void)
{
	unsigned features;
	int fd = sys_uffd_open(&features);

	if (fd < 0) {
		printf("no userfaultfd: %s\n", strerror(-fd));
		exit(77);
	}
	return fd;
}

#define TOKEN 2 /* words */

/* A session, from a process that has said HELLO as it should: its first connection,
   and its token; or -1. */
static inline int enter_with(int uffd, uint64_t *token)
{
	static struct answer answer;
	int fd = dial();

	if (fd < 0)
		return -1;
	if (ask_keep(fd, REQUEST(WIRE_HELLO), uffd, &answer)) {
		close(fd);
		return -1;
	}
	memcpy(token, answer.reply.args, TOKEN * sizeof(*token));
	let_go(&answer);
	return fd;
}

static inline int enter(void)
{
	uint64_t token[TOKEN];
	int uffd = uffd_new(), fd = enter_with(uffd, token);

	close(uffd);
	return fd;
}

static inline int enter_surely(void)
{
	for (int i = 0; i < 100; i++) {
		int fd = enter();

		if (fd >= 0)
			return fd;
		usleep(20000);
	}
	printf("cannot enter\n");
	exit(1);
}

static inline void expect(bool fact, const char *what)
{
	if (fact)
		return;
	printf("FAILED: %s\n", what);
	fflush(stdout);
	exit(1);
}

static inline struct wire_request ask_to_guard(const uint64_t *token)
{
	return REQUEST(WIRE_GUARD, .args = { token[0], token[1] });
}

/* The connection of a session's guard; what it is given is in *@answer. */
static inline int guard_of(const uint64_t *token, struct answer *answer)
{
	int guard = dial();

	expect(!ask_keep(guard, ask_to_guard(token), -1, answer), "a guard");
	return guard;
}

/* @keeper: and who starts another one if it is killed, who is in its place here. */
static inline void start_wmapd_with(bool keeper)
{
	char program[512];
	int tries = 500, fd;

	snprintf(socket_name, sizeof(socket_name), "@wmap-hostile-%d",
		 (int)getpid());
	snprintf(program, sizeof(program), "%s/wmapd", getenv("WMAP_BIN"));
	wmapd = fork();
	if (!wmapd) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		execl(program, "wmapd", "--socket", socket_name,
		      keeper ? NULL : "--alone", NULL);
		perror(program);
		_exit(1);
	}
	while ((fd = dial()) < 0 && tries--)
		usleep(20000);
	if (fd < 0) {
		printf("wmapd does not start\n");
		exit(1);
	}
	close(fd);
}

static inline void start_wmapd(void)
{
	start_wmapd_with(false);
}

#endif
