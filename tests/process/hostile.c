/* SPDX-License-Identifier: MIT */
/*
 * Hostile clients of a real wmapd, beside one that behaves
 *
 * Each attack runs in a process of its own, which then ends. All the while a
 * well-behaved client maps, loads, stores and unmaps a file: its data must be
 * right, and no round of its take longer than BOUND until it is unmapped; what it
 * and wmapd wait for a CPU, on a busy machine, does not count. After
 * all of it wmapd is the same process, serves a new client, and has no more
 * descriptors and hardly more memory than before. One attack alone: hostile NAME.
 */
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "ledger.h"
#include "pager.h"
#include "raw.h"
#include "slots.h"
#include "support.h"

#define BOUND	   2.0 /* seconds a round of the good client may take */
#define FILE_PAGES 64
#define AT	   ((uint64_t)1 << 40)

static char directory[64] = "/tmp/wmap-hostile-XXXXXX";
static int failures;

static void failed(const char *what)
{
	printf("FAILED: %s\n", what);
	failures++;
}

static void path_in(char *path, const char *name)
{
	snprintf(path, 128, "%s/%s", directory, name);
}

static int open_file(const char *name, int flags, unsigned pages)
{
	char path[128];
	int fd;

	path_in(path, name);
	fd = open(path, flags | O_CREAT | O_CLOEXEC, 0644);
	if (fd < 0 || (pages && ftruncate(fd, pages * (off_t)PAGE) != 0)) {
		perror(path);
		exit(1);
	}
	return fd;
}

/* ---- Attacks --------------------------------------------------------------------- */

static void garbage(void)
{
	char bytes[65536];

	srandom(1);
	for (int i = 0; i < 2000; i++) {
		int fd = dial();
		size_t size = i % 3 ? sizeof(struct wire_request) :
				      (size_t)random() % sizeof(bytes);

		for (size_t j = 0; j < size && j < 4096; j++)
			bytes[j] = (char)random();
		send(fd, bytes, size, MSG_NOSIGNAL);
		close(fd);
	}
}

static void sizes(void)
{
	struct wire_request request = REQUEST(MESSAGE_STATS);
	char bytes[4096] = { 0 };

	request.magic = WIRE_MAGIC;
	request.id = 1;
	memcpy(bytes, &request, sizeof(request));
	for (size_t size = 0; size < 300; size++) {
		int fd = enter_surely();
		char answer[8192];
		ssize_t n;

		send(fd, bytes, size, MSG_NOSIGNAL);
		n = recv(fd, answer, sizeof(answer), 0);
		expect(n > 0 ? size == sizeof(request) :
			       size != sizeof(request),
		       "only a packet of the right size is answered");
		close(fd);
	}
}

static int wrong(int kind)
{
	static int pair[2];
	char path[128];

	path_in(path, "wrong");
	switch (kind) {
	case 0:
		return pipe(pair) ? -1 : pair[0];
	case 1:
		return open(directory, O_RDONLY | O_DIRECTORY);
	case 2:
		return socketpair(AF_UNIX, SOCK_STREAM, 0, pair) ? -1 : pair[0];
	case 3:
		open_file("wrong", O_RDWR, 1);
		return open(path, O_PATH);
	case 4:
		return open(path, O_WRONLY);
	case 5:
		return open(path, O_RDWR | O_APPEND);
	case 6:
		return memfd_create("hostile", 0);
	case 7:
		return eventfd(0, 0);
	case 8:
		return open("/dev/null", O_RDWR);
	case 9:
		return open("/dev/zero", O_RDWR);
	case 10:
		return open("/proc/self/mem", O_RDWR);
	case 11:
		return open("/proc/self/maps", O_RDONLY);
	case 12:
		return dial(); /* its own socket */
	case 13:
		return uffd_new();
	case 14:
		return (int)syscall(SYS_userfaultfd, O_CLOEXEC);
	case 15:
		return open("/sys/kernel/mm/transparent_hugepage/enabled",
			    O_RDONLY);
	case 16:
		return open("/dev/tty", O_RDWR | O_NONBLOCK);
	default:
		return -2;
	}
}

/* Every kind of request with every kind of wrong descriptor. */
static void descriptors(void)
{
	for (int i = 0;; i++) {
		int with = wrong(i), fd = -1;

		if (with == -2)
			break;
		if (with < 0)
			continue;
		for (unsigned kind = 0; kind < WIRE_KINDS + 2; kind++) {
			struct wire_request request =
				kind == MESSAGE_MAP ?
					map_at(AT, 1, WMAP_SHARED) :
					REQUEST((uint16_t)kind, .address = AT,
						.length = PAGE);
			int result;

			if (fd < 0)
				fd = enter_surely();
			/* That has no answer. */
			if (kind == WIRE_HIDDEN &&
			    !say_to(fd, &request, &with, 1))
				request = REQUEST(MESSAGE_STATS);
			result = ask(fd, request,
				     kind == WIRE_HIDDEN ? -1 : with);
			expect(result != -EAGAIN, "an answer, or cut off");
			if (kind == MESSAGE_MAP && i != 6)
				expect(result, "no mapping of what is no file");
			if (kind == WIRE_HELLO)
				expect(result, "no second HELLO");
			if (result == -ENOTCONN) {
				close(fd);
				fd = -1;
			} else if (!result && kind == MESSAGE_MAP) {
				ask(fd,
				    REQUEST(MESSAGE_UNMAP, .address = AT,
					    .length = PAGE),
				    -1);
			}
		}
		if (fd >= 0)
			close(fd);
		close(with);
	}
}

/* As the first word: uffds that are none, or not ready. */
static void bad_uffds(void)
{
	for (int i = 0; i < 17; i++) {
		int with = wrong(i), fd;

		if (with < 0 || i == 13)
			continue;
		fd = dial();
		expect(ask(fd, REQUEST(WIRE_HELLO), with),
		       "no session without a uffd that is ready");
		close(fd);
		close(with);
	}
}

static int send_many(int fd, struct wire_request *request, int with, unsigned n)
{
	char control[CMSG_SPACE(253 * sizeof(int))] = { 0 };
	struct iovec part = { request, sizeof(*request) };
	struct msghdr packet = {
		.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = CMSG_SPACE(n * sizeof(int)),
	};
	struct cmsghdr *rights = (struct cmsghdr *)(void *)control;

	request->magic = WIRE_MAGIC;
	request->id = ++last_id;
	rights->cmsg_level = SOL_SOCKET;
	rights->cmsg_type = SCM_RIGHTS;
	rights->cmsg_len = CMSG_LEN(n * sizeof(int));
	for (unsigned i = 0; i < n; i++)
		memcpy(CMSG_DATA(rights) + i * sizeof(int), &with,
		       sizeof(with));
	return sendmsg(fd, &packet, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

static void many_descriptors(void)
{
	static const unsigned counts[] = { 2, 16, 63, 64, 65, 128, 253 };
	static struct answer answer;
	int null = open("/dev/null", O_RDWR);

	for (int round = 0; round < 50; round++)
		for (size_t i = 0; i < lengthof(counts); i++) {
			struct wire_request request =
				REQUEST((uint16_t)(round % WIRE_KINDS),
					.address = AT, .length = PAGE);
			int fd = dial();

			send_many(fd, &request, null, counts[i]);
			expect(hear(fd, &answer) == -ENOTCONN,
			       "cut off with too many descriptors");
			close(fd);
		}
}

static void wrong_order(void)
{
	int fd = enter_surely(), stranger = dial();
	struct wire_request join = REQUEST(WIRE_JOIN, .args = { 1, 2 });
	int uffd = uffd_new(), ends[2];

	expect(ask(fd, REQUEST(WIRE_ATTACH), uffd) < 0, "no embryo: no ATTACH");
	expect(ask(fd, REQUEST(WIRE_HELLO), uffd) < 0, "no second HELLO");
	expect(ask(fd, join, -1) < 0, "no JOIN of who is in");
	expect(ask(stranger, join, -1) < 0, "no JOIN with a wrong token");
	expect(ask(stranger, REQUEST(WIRE_ATTACH), uffd) < 0,
	       "no ATTACH of a stranger");
	if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends) != 0)
		exit(1);
	expect(ask(stranger, REQUEST(WIRE_FORK), ends[0]) < 0,
	       "no FORK of a stranger");
	expect(ask(stranger, REQUEST(WIRE_INHERITED), -1) < 0,
	       "nothing to inherit for a stranger");
	for (unsigned kind = 0; kind < MESSAGE_STOP; kind++)
		if (kind != MESSAGE_MAP && kind < MESSAGE_FILE_SYNC)
			expect(ask(stranger,
				   REQUEST((uint16_t)kind, .address = AT,
					   .length = PAGE),
				   -1) < 0,
			       "no books for a stranger");
	expect(ask(fd, REQUEST(MESSAGE_STATS), -1) == 0, "and still served");
}

static void raise_files(void)
{
	struct rlimit files;

	getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
}

static void strangers(void)
{
	int fds[3000];

	raise_files();
	for (size_t i = 0; i < lengthof(fds); i++)
		fds[i] = dial();
	usleep(300000);
	for (size_t i = 0; i < lengthof(fds); i++)
		close(fds[i]);
}

static void sessions(void)
{
	int fds[3000], refused = 0;

	raise_files();
	for (size_t i = 0; i < lengthof(fds); i++) {
		fds[i] = enter();
		refused += fds[i] < 0;
	}
	printf("%d of %zu sessions refused\n", refused, lengthof(fds));
	expect(refused, "a user has only so many sessions");
}

/* Requests without end, and no answer is read. */
static void flood(void)
{
	int fds[8];

	for (size_t i = 0; i < lengthof(fds); i++)
		fds[i] = enter_surely();
	for (int n = 0; n < 200000; n++) {
		struct wire_request request =
			n % 2 ? REQUEST(MESSAGE_RESIDENCY, .address = AT) :
				REQUEST(MESSAGE_STATS);
		int fd = fds[n % lengthof(fds)];

		request.magic = WIRE_MAGIC;
		request.id = ++last_id;
		send(fd, &request, sizeof(request),
		     MSG_NOSIGNAL | MSG_DONTWAIT);
	}
}

/* The same request again and again, as if another pager had had it. */
static void again(void)
{
	int fd = enter_surely();
	struct wire_request request =
		REQUEST(MESSAGE_STATS, .flags = WIRE_AGAIN);

	request.magic = WIRE_MAGIC;
	request.id = last_id;
	for (int n = 0; n < 200000; n++)
		if (send(fd, &request, sizeof(request), MSG_NOSIGNAL) < 0)
			break;
}

/* Addresses of wmapd's own, or anywhere: it maps and unmaps none of them. */
static void growing(void)
{
	static const uint64_t guesses[] = { 0x400000, 0x10000, 0x555555554000 };
	int fd = enter_surely(), file = open_file("growing", O_RDWR, 8);
	uint64_t address;
	char line[256];
	FILE *maps;

	for (size_t i = 0; i < lengthof(guesses); i++) {
		struct wire_request map =
			map_at(guesses[i], 1, WMAP_SHARED | WMAP_GROWSUP);

		map.args[5] = 1;
		ask(fd, map, file);
	}
	/* What root can know, and chance can guess: where wmapd lies. */
	snprintf(line, sizeof(line), "/proc/%d/maps", (int)wmapd);
	maps = fopen(line, "r");
	while (maps && fgets(line, sizeof(line), maps)) {
		struct wire_request map;

		address = strtoull(line, NULL, 16);
		if (address >= (uint64_t)1 << 47)
			continue;
		map = map_at(address - PAGE, 1, WMAP_SHARED | WMAP_GROWSUP);
		map.args[5] = 1;
		ask(fd, map, file);
		ask(fd, REQUEST(MESSAGE_REGROW, .address = address), -1);
		ask(fd,
		    REQUEST(MESSAGE_YIELD, .address = address - PAGE,
			    .length = 4 * PAGE),
		    -1);
		ask(fd, REQUEST(MESSAGE_REGROW, .address = address), -1);
	}
	if (maps)
		fclose(maps);
	ask(fd,
	    REQUEST(MESSAGE_YIELD, .address = 0, .length = (uint64_t)1 << 47),
	    -1);
	expect(!ask(fd, REQUEST(MESSAGE_STATS), -1), "wmapd unharmed");
}

static int placed(int fd, uint64_t page)
{
	return ask(fd, REQUEST(MESSAGE_GROW, .address = page, .args = { 1, 1 }),
		   -1);
}

/* Nobody has asked it to, nor has it placed anything. */
static void grows(void)
{
	int fd = enter_surely(), file = open_file("grows", O_RDWR, 8);
	struct wire_request map = map_at(AT, 2, WMAP_SHARED | WMAP_GROWSUP);

	map.args[5] = 1;
	expect(!ask(fd, map, file), "a mapping that grows");
	expect(ask(fd, REQUEST(MESSAGE_GROW, .address = AT + 3 * PAGE), -1) ==
		       -ENOENT,
	       "nobody wants it to");
	expect(placed(fd, AT + 3 * PAGE) == -ENOENT, "it has no such page");
	expect(!placed(fd, AT + 2 * PAGE), "it has this one");
	expect(!placed(fd, AT + 2 * PAGE), "still");
	expect(!placed(fd, AT + 3 * PAGE), "and grows by it");
	expect(!ask(fd, map_at(AT + 3 * PAGE, 1, WMAP_SHARED), file),
	       "another one");
	expect(placed(fd, AT + 4 * PAGE) == -ENOENT, "which does not grow");
	expect(placed(fd, AT + 3 * PAGE) == 0, "nor does it grow into that");
	expect(!ask(fd,
		    REQUEST(MESSAGE_UNMAP, .address = AT, .length = 64 * PAGE),
		    -1),
	       "all goes");
	expect(placed(fd, AT + 4 * PAGE) == -ENOENT, "nothing grows");
	close(file);
	close(fd);
}

/* What it has pinned above its new end goes with that, and counts no more. */
static void shrinks(void)
{
	int fd = enter_surely(), file = open_file("shrinks", O_RDWR, 128);
	struct wire_request pin = REQUEST(MESSAGE_PIN, .address = AT,
					  .length = 128 * PAGE, .args = { 1 });
	struct wire_request bound =
		REQUEST(MESSAGE_MEMORY, .args = { BUDGET_MIN });

	expect(!ask(fd, map_at(AT, 128, WMAP_SHARED), file), "a mapping");
	expect(!ask(fd, pin, -1), "pinned");
	expect(ask(fd, bound, -1) == -ENOMEM, "that is too much for a bound");
	expect(!ask(fd,
		    REQUEST(MESSAGE_MOVE, .address = AT, .length = 128 * PAGE,
			    .args = { AT, 3 * PAGE, 0, 1 }),
		    -1),
	       "it becomes shorter");
	expect(!ask(fd, bound, -1), "with little pinned");
	close(file);
	close(fd);
}

static void overlaps(void)
{
	int fd = enter_surely(), file = open_file("overlaps", O_RDWR, 8);
	struct wire_request move =
		REQUEST(MESSAGE_MOVE, .address = AT, .length = 4 * PAGE,
			.args = { AT + 16 * PAGE, 4 * PAGE, 0, 1 });

	expect(!ask(fd, map_at(AT, 4, WMAP_SHARED), file), "a mapping");
	expect(!ask(fd, map_at(AT + 16 * PAGE, 4, WMAP_SHARED), file),
	       "another");
	expect(ask(fd, map_at(AT + PAGE, 1, WMAP_SHARED), file) == -EEXIST,
	       "none over it");
	expect(ask(fd, map_at(AT - PAGE, 64, WMAP_PRIVATE | WMAP_ANONYMOUS),
		   -1) == -EEXIST,
	       "none around it");
	expect(ask(fd, move, -1) == -EEXIST, "none moves onto another");
	move.args[0] = AT + 13 * PAGE;
	expect(ask(fd, move, -1) == -EEXIST, "nor onto its begin");
	move.args[0] = AT;
	move.args[1] = 64 * PAGE;
	expect(ask(fd, move, -1) == -EEXIST, "nor grows into it");
	move.length = PAGE;
	move.args[0] = AT + 2 * PAGE;
	move.args[1] = PAGE;
	expect(ask(fd, move, -1) == -EEXIST, "nor onto the rest of itself");
	move.args[0] = AT + 40 * PAGE;
	expect(!ask(fd, move, -1), "but where nothing is");
	expect(ask(fd,
		   REQUEST(MESSAGE_PROTECT, .address = AT, .length = 2 * PAGE,
			   .args = { 1 }),
		   -1) == -ENOMEM,
	       "no PROTECT of what is not mapped");
}

static void quota(void)
{
	int fd = enter_surely();
	uint64_t n;
	int error = 0;

	for (n = 0; n < 70000 && !error; n++)
		error = ask(fd,
			    map_at(AT + n * 2 * PAGE, 1,
				   WMAP_PRIVATE | WMAP_ANONYMOUS),
			    -1);
	printf("%lu mappings, then %s\n", (unsigned long)n, strerror(-error));
	expect(error == -ENOMEM, "a process has only so many mappings");
	expect(!ask(fd,
		    REQUEST(MESSAGE_UNMAP, .address = 0,
			    .length = (uint64_t)1 << 47),
		    -1),
	       "and may give them back");
}

/* One file, mapped by many processes that never put it in place. */
static void never_placed(void)
{
	int file = open_file("never_placed", O_RDWR, 4), fds[40];

	for (size_t i = 0; i < lengthof(fds); i++)
		fds[i] = enter_surely();
	for (uint64_t i = 0; i < 100; i++)
		for (size_t j = 0; j < lengthof(fds); j++) {
			struct wire_request map =
				map_at(AT + i * 8 * PAGE, 4, WMAP_SHARED);

			say_to(fds[j], &map, &file, 1);
		}
	usleep(500000);
}

/* Pieces are mappings, too. */
static void pieces(void)
{
	int fd = enter_surely(), file = open_file("pieces", O_RDWR, 1);
	int error = 0;
	uint64_t n;

	ask(fd, map_at(AT, 1 << 18, WMAP_PRIVATE), file);
	for (n = 0; n < 70000 && !error; n++)
		error = ask(fd,
			    REQUEST(MESSAGE_PROTECT,
				    .address = AT + n * 2 * PAGE,
				    .length = PAGE, .args = { PROT_READ }),
			    -1);
	expect(error == -ENOMEM, "a process has only so many pieces");
}

/* As many as may be, and one more whenever there is room: others go on. */
static void many_files(void)
{
	int fd = enter_surely(), error;
	unsigned refused = 0;

	for (uint64_t n = 0; n < 3000 || refused < 3000; n++) {
		int file = memfd_create("many", MFD_CLOEXEC);

		if (ftruncate(file, PAGE) != 0)
			exit(1);
		error = ask(fd, map_at(AT + n * PAGE, 1, WMAP_SHARED), file);
		expect(error != -ENOTCONN, "still there");
		refused += error != 0;
		close(file);
	}
}

/* A child's connection; -1: none can be had. */
static int fork_of(int fd)
{
	int ends[2], error;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends) != 0)
		return -1;
	error = ask(fd, REQUEST(WIRE_FORK), ends[0]);
	close(ends[0]);
	if (!error)
		return ends[1];
	close(ends[1]);
	return -1;
}

static void embryos(void)
{
	int fd = enter_surely(), file = open_file("embryos", O_RDWR, 64);
	int children[500], n = 0;

	raise_files();
	for (uint64_t i = 0; i < 64; i++)
		ask(fd, map_at(AT + i * 2 * PAGE, 1, WMAP_SHARED), file);
	while (n < 500 && (children[n] = fork_of(fd)) >= 0)
		n++;
	expect(n, "an embryo");
	for (int i = 0; i < n; i += 2)
		fork_of(children[i]);
	for (int i = 0; i < n; i += 3)
		ask(children[i], REQUEST(MESSAGE_STATS), -1);
	for (int i = 0; i < n; i += 5)
		ask(children[i], REQUEST(WIRE_INHERITED), -1);
}

/* What is no connection's end, and ends that nobody but wmapd has. */
static void bad_ends(void)
{
	int fd = enter_surely(), pair[2], crossed[2], pipes[2];
	struct sockaddr_un address;
	socklen_t size = address_of(&address);
	int stream = socket(AF_UNIX, SOCK_STREAM, 0), own = dial();
	int listening = socket(AF_UNIX, SOCK_SEQPACKET, 0);

	if (pipe(pipes) != 0 || listening < 0 ||
	    socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) != 0 ||
	    socketpair(AF_UNIX, SOCK_SEQPACKET, 0, crossed) != 0)
		exit(1);
	address.sun_path[1]++;
	bind(listening, (struct sockaddr *)&address, size);
	listen(listening, 1);
	expect(ask(fd, REQUEST(WIRE_FORK), pipes[0]) < 0, "no pipe");
	expect(ask(fd, REQUEST(WIRE_FORK), stream) < 0, "no stream");
	expect(ask(fd, REQUEST(WIRE_FORK), uffd_new()) < 0, "no uffd");
	ask(fd, REQUEST(WIRE_FORK), listening);
	ask(fd, REQUEST(WIRE_FORK), own);
	for (int i = 0; i < 2; i++) {
		ask(fd, REQUEST(WIRE_FORK), crossed[i]);
		ask(fd, REQUEST(WIRE_FORK), pair[0]);
	}
	expect(!ask(fd, REQUEST(MESSAGE_STATS), -1), "still served");
}

static void promises(void)
{
	int fd = enter_surely(), file = open_file("promises", O_RDWR, 4);

	ask(fd, map_at(AT, 4, WMAP_SHARED), file);
	for (int i = 0; i < 20000; i++)
		ask(fd,
		    REQUEST(MESSAGE_FILE_WRITING, .args = { 0, 0, 0, PAGE }),
		    file);
}

/* Many unmappings at once, by several connections, of what is being written. */
static void at_once(void)
{
	int file = open_file("at_once", O_RDWR, 256), uffd = uffd_new();
	uint64_t token[TOKEN];
	int fds[8] = { enter_with(uffd, token) };
	const size_t length = 256 * PAGE;
	/* a place of its own: a sanitizer keeps AT for itself */
	char *place = mmap(NULL, length, PROT_NONE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	const uint64_t at = (uintptr_t)place;

	expect(place != MAP_FAILED, "a place");
	for (size_t i = 1; i < lengthof(fds); i++) {
		struct wire_request join =
			REQUEST(WIRE_JOIN, .args = { token[0], token[1] });

		fds[i] = dial();
		expect(!ask(fds[i], join, -1), "a JOIN");
	}
	for (int round = 0; round < 200; round++) {
		struct wire_request unmap =
			REQUEST(MESSAGE_UNMAP, .address = at, .length = length);
		struct wire_request sync = REQUEST(MESSAGE_SYNC, .address = at,
						   .length = length,
						   .args = { 1, 1, 0 });
		static struct answer mapped;
		struct uffdio_register range = {
			.range = { .start = at, .len = length },
		};
		char *memory = MAP_FAILED;

		mapped.n_fds = 0;
		if (!ask_keep(fds[0], map_at(at, 256, WMAP_SHARED), file,
			      &mapped) &&
		    mapped.n_fds == 1)
			memory = mmap(place, length, PROT_READ | PROT_WRITE,
				      MAP_SHARED | MAP_FIXED, mapped.fds[0], 0);
		if (mapped.n_fds)
			close(mapped.fds[0]);
		expect(memory == place, "a mapping");
		range.mode = mapped.reply.args[0];
		expect(!ioctl(uffd, UFFDIO_REGISTER, &range), "registered");
		for (int i = 0; i < 256; i++)
			memory[(uint64_t)i * PAGE] = (char)round;
		for (size_t i = 0; i < lengthof(fds); i++) {
			say_to(fds[i], i % 2 ? &unmap : &sync, NULL, 0);
			if (i % 3 == 2)
				say_to(fds[i], &unmap, NULL, 0);
		}
		for (size_t i = 0; i < lengthof(fds); i++) {
			hear(fds[i], &mapped);
			if (i % 3 == 2)
				hear(fds[i], &mapped);
		}
		expect(mmap(place, length, PROT_NONE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1,
			    0) == place,
		       "the place again");
	}
	expect(!ask(fds[0], REQUEST(MESSAGE_STATS), -1), "still served");
}

static void truncated(void)
{
	int file = open_file("truncated", O_RDWR, 256), fd = enter_surely();

	for (int i = 0; i < 300; i++) {
		ask(fd, map_at(AT, 256, WMAP_SHARED), file);
		ask(fd,
		    REQUEST(MESSAGE_ADVISE, .address = AT, .length = 256 * PAGE,
			    .args = { WMAP_ADVICE_WILLNEED }),
		    -1);
		if (ftruncate(file, i % 2 ? 0 : 256 * (off_t)PAGE) != 0)
			exit(1);
		ask(fd, REQUEST(MESSAGE_FILE_LENGTH), file);
		ask(fd,
		    REQUEST(MESSAGE_UNMAP, .address = AT, .length = 256 * PAGE),
		    -1);
	}
}

static void huge(void)
{
	int file = open_file("huge", O_RDWR, 1), fd = enter_surely();
	struct wire_request map = map_at(PAGE, 1, WMAP_SHARED);

	map.length = ((uint64_t)1 << 47) - 2 * PAGE;
	expect(!ask(fd, map, file), "as long as addresses go");
	for (int advice = 0; advice < 65; advice++)
		ask(fd,
		    REQUEST(MESSAGE_ADVISE, .address = PAGE,
			    .length = map.length, .args = { (uint64_t)advice }),
		    -1);
	ask(fd, REQUEST(MESSAGE_SYNC, .args = { 1, 1, 1 }), -1);
	ask(fd, REQUEST(MESSAGE_FILE_WRITTEN, .args = { 0, 0, 0, UINT64_MAX }),
	    file);
	ask(fd,
	    REQUEST(MESSAGE_RESIDENCY, .address = PAGE,
		    .length = WIRE_PAYLOAD * PAGE),
	    -1);
	for (int i = 0; i < 500; i++)
		ask(fd, REQUEST(MESSAGE_LIST, .args = { UINT64_MAX, 0 }), -1);
	expect(!ask(fd, REQUEST(MESSAGE_STATS), -1), "still served");
}

static void *touch(void *memory)
{
	(void)*(volatile char *)memory;
	return NULL;
}

/*
 * wmapd must not wait in read(2) for a uffd whose O_NONBLOCK the client takes
 * away again and again, nor for a message that the client reads itself.
 */
static void blocking(void)
{
	int fd = dial(), uffd = uffd_new();
	double end = 2.0;
	struct timespec begin, now;
	void *memory = mmap(NULL, 64 * PAGE, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct uffdio_register range = {
		.range = { (uint64_t)memory, 64 * PAGE },
		.mode = UFFDIO_REGISTER_MODE_MISSING,
	};
	pthread_t toucher;

	expect(!ask(fd, REQUEST(WIRE_HELLO), uffd), "a session");
	ioctl(uffd, UFFDIO_REGISTER, &range);
	/* A thread's fault here is woken by wmapd, which knows no mapping, and
	   comes again: messages without end. */
	pthread_create(&toucher, NULL, touch, memory);
	clock_gettime(CLOCK_MONOTONIC, &begin);
	do {
		struct uffd_msg message;

		fcntl(uffd, F_SETFL, 0);
		for (int i = 0; i < 50; i++) {
			struct pollfd poll_uffd = { uffd, POLLIN, 0 };

			if (poll(&poll_uffd, 1, 0) == 1) {
				fcntl(uffd, F_SETFL, O_NONBLOCK);
				if (read(uffd, &message, sizeof(message)) < 0)
					message.event = 0;
				fcntl(uffd, F_SETFL, 0);
			}
		}
		clock_gettime(CLOCK_MONOTONIC, &now);
	} while ((double)(now.tv_sec - begin.tv_sec) < end);
	expect(!ask(fd, REQUEST(MESSAGE_STATS), -1), "still served");
}

/* A uffd that tells of forks: each such message brings who reads it a
   descriptor. Needs a privilege. */
static void fork_events(void)
{
	struct uffdio_api api = { .api = UFFD_API,
				  .features = UFFD_FEATURE_EVENT_FORK |
					      UFFD_FEATURE_EVENT_REMAP };
	int uffd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	void *memory = mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct uffdio_register range = {
		.range = { (uint64_t)memory, PAGE },
		.mode = UFFDIO_REGISTER_MODE_MISSING,
	};
	int fd = dial();

	if (uffd < 0 || ioctl(uffd, UFFDIO_API, &api) != 0)
		return;
	expect(!ask(fd, REQUEST(WIRE_HELLO), uffd), "a session");
	ioctl(uffd, UFFDIO_REGISTER, &range);
	for (int i = 0; i < 300; i++) {
		pid_t child = fork();

		if (!child)
			_exit(0);
		waitpid(child, NULL, 0);
	}
	expect(!ask(fd, REQUEST(MESSAGE_STATS), -1), "still served");
}

/* The uffd of a process that is gone, or of one that never told. */
static void foreign_uffd(void)
{
	int pair[2], got = -1, n;
	unsigned n_fds = 1;
	char byte = 0;
	pid_t child;
	int fd = dial();

	if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) != 0)
		exit(1);
	child = fork();
	if (!child) {
		int uffd = uffd_new();

		wire_send(pair[1], &byte, 1, NULL, 0, &uffd, 1, 0);
		_exit(0);
	}
	n = wire_receive(pair[0], &byte, 1, NULL, 0, &got, &n_fds, NULL, 0);
	waitpid(child, NULL, 0);
	expect(n == 1 && n_fds == 1, "a uffd");
	ask(fd, REQUEST(WIRE_HELLO), got);
	ask(fd, map_at(AT, 4, WMAP_SHARED), open_file("foreign", O_RDWR, 4));
	ask(fd,
	    REQUEST(MESSAGE_PROTECT, .address = AT, .length = PAGE,
		    .args = { 1 }),
	    -1);
	ask(fd,
	    REQUEST(MESSAGE_ADVISE, .address = AT, .length = 4 * PAGE,
		    .args = { WMAP_ADVICE_WILLNEED }),
	    -1);
	ask(fd, REQUEST(MESSAGE_UNMAP, .address = AT, .length = 4 * PAGE), -1);
}

/* Open for reading alone: nothing that stores. */
static void read_only(void)
{
	char path[128];
	int fd = enter_surely(), file;
	struct wire_request map = map_at(AT, 4, WMAP_SHARED);

	path_in(path, "good");
	file = open(path, O_RDONLY);
	expect(ask(fd, map, file) == -EACCES, "no store to what is read-only");
	map.args[0] = PROT_READ;
	expect(!ask(fd, map, file), "but to look at it");
	expect(ask(fd,
		   REQUEST(MESSAGE_PROTECT, .address = AT, .length = PAGE,
			   .args = { PROT_READ | PROT_WRITE }),
		   -1) == -EACCES,
	       "nor later");
	expect(ask(fd, REQUEST(MESSAGE_FILE_WRITING, .args = { 0, 0, 0, 9 }),
		   file) == -EACCES,
	       "no WRITING");
	expect(ask(fd,
		   REQUEST(MESSAGE_FILE_WRITTEN,
			   .args = { 0, 0, 0, FILE_PAGES * PAGE }),
		   file) == -EACCES,
	       "no WRITTEN");
}

/* Its descriptor's flags are changed while another maps the same file. */
static void flags_later(void)
{
	int fd = enter_surely(), file = open_file("good", O_RDWR, 0);

	int error = ask(fd, map_at(AT, 4, WMAP_SHARED), file);

	if (error)
		printf("%s\n", strerror(-error));
	expect(!error, "a mapping");
	for (int i = 0; i < 100; i++) {
		fcntl(file, F_SETFL, i % 2 ? O_APPEND : O_DIRECT | O_NONBLOCK);
		usleep(5000);
	}
}

/* Hangs up in the middle of everything. */
static void half_finished(void)
{
	for (int i = 0; i < 300; i++) {
		int fd = enter_surely();
		struct wire_request map = map_at(AT, 4, WMAP_SHARED);
		struct wire_request sync =
			REQUEST(MESSAGE_SYNC, .args = { 1, 1, 1 });
		struct wire_request fork_ = REQUEST(WIRE_FORK);
		int file = open_file("half", O_RDWR, 4), ends[2];

		if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends) != 0)
			exit(1);
		say_to(fd, &map, &file, 1);
		if (i % 2)
			say_to(fd, &sync, NULL, 0);
		else
			say_to(fd, &fork_, ends, 1);
		close(ends[0]);
		close(ends[1]);
		close(file);
		close(fd);
	}
}

/* ---- Moving in (daemon/wmapd/adopt.c) --------------------------------------------- */

/* A process moves in with anonymous memory of eight pages, of which it has four,
   and with these states; the result. */
static int move_in(int fd, const char *states, long size)
{
	struct wire_request object = REQUEST(WIRE_ADOPT_OBJECT, .args = { 1 });
	static struct answer answer;
	static const char bytes[4 * PAGE];
	int fds[2] = { memfd_create("memory", MFD_ALLOW_SEALING),
		       memfd_create("states", 0) };
	int result;

	expect(!ftruncate(fds[0], 8 * PAGE) &&
		       write(fds[0], bytes, sizeof(bytes)) == sizeof(bytes) &&
		       !fcntl(fds[0], F_ADD_SEALS, F_SEAL_SHRINK) &&
		       write(fds[1], states, (size_t)size) == size,
	       "memory and states");
	expect(!ask(fd, REQUEST(WIRE_MOVE_IN), -1), "it moves in");
	expect(!say_to(fd, &object, fds, 2), "with memory");
	result = hear(fd, &answer);
	close(fds[0]);
	close(fds[1]);
	return result;
}

/* States that there are not are refused; a page without one is what its memory
   says, whatever is claimed of others. */
static void states(void)
{
	static struct answer answer;
	int touched = memfd_create("touched", 0), uffd = uffd_new();
	int fd = dial(), other = dial();

	expect(move_in(fd, "\1\11", 2) == -EINVAL, "no state");
	close(fd);
	fd = dial();
	expect(move_in(fd, "\1\0\0\0\0\0\0\0\1", 9) == -EINVAL,
	       "no page of it");
	close(fd);
	expect(!move_in(other, "\1\0\0\0\0\1", 6), "states");
	expect(!ask(other,
		    REQUEST(WIRE_ADOPT_MAPPING, .address = AT,
			    .length = 8 * PAGE,
			    .args = { 0, PROT_READ | PROT_WRITE,
				      WMAP_SHARED | WMAP_ANONYMOUS, 1,
				      10000000000u, WIRE_MAY_WRITE, 1 }),
		    touched),
	       "a mapping of it");
	expect(!ask(other, REQUEST(WIRE_ATTACH), uffd), "its process");
	expect(!ask_keep(other,
			 REQUEST(MESSAGE_RESIDENCY, .address = AT,
				 .length = 8 * PAGE),
			 -1, &answer),
	       "what is in memory");
	expect(answer.bytes[0] && answer.bytes[1] && answer.bytes[2] &&
		       answer.bytes[3],
	       "is all that its memory has");
	expect(!answer.bytes[4] && !answer.bytes[7], "and no more");
	close(uffd);
	close(touched);
	close(other);
}

/* ---- Guards (lib/guard.h) -------------------------------------------------------- */

#define SLOTS  4000 /* of a forged mirror */
#define MEMORY ((uint64_t)1 << 20)
#define SEALS  (F_SEAL_FUTURE_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

static int say_with(int fd, struct wire_request request, const int *fds,
		    unsigned n_fds)
{
	static struct answer answer;

	if (say_to(fd, &request, fds, n_fds))
		return -ENOTCONN;
	return hear(fd, &answer);
}

/* A session's first connection; its guard's, and what that is given. */
static int enter_guarded(int *guard, struct answer *answer)
{
	uint64_t token[TOKEN];
	int uffd = uffd_new(), fd = enter_with(uffd, token);

	expect(fd >= 0, "a session");
	*guard = guard_of(token, answer);
	expect(answer->n_fds == 3, "has three descriptors");
	close(uffd);
	return fd;
}

/* What a guard is given, and hands over, is no way to write to wmapd's books. */
static void guards(void)
{
	static struct answer answer;
	int guard, fd = enter_guarded(&guard, &answer), stranger = dial();
	struct wire_request rescue = REQUEST(WIRE_RESCUE, .args = { 1 });
	struct wire_request hand = REQUEST(WIRE_HAND, .args = { 1 });
	int three[3];

	memcpy(three, answer.fds, sizeof(three));
	expect(mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, three[0],
		    0) == MAP_FAILED,
	       "a mirror is not to be changed");
	expect(pwrite(three[0], "x", 1, 0) < 0, "nor written");
	expect(ftruncate(three[0], 0) != 0, "nor cut off");
	expect(write(three[1], "x", 1) < 0, "the hints are not, either");
	expect(say_with(stranger, hand, three, 1) == -EPROTO,
	       "no HAND of who has not come");
	expect(ask(stranger, REQUEST(WIRE_HANDED), -1) == -EPROTO,
	       "nor HANDED");
	three[2] = three[0];
	three[0] = uffd_new();
	three[1] = three[2];
	expect(say_with(stranger, rescue, three, 3) == -EBUSY,
	       "no RESCUE while others are served");
	expect(say_with(fd, rescue, three, 3) == -EPERM, "nor by a session");
	expect(say_with(stranger, rescue, three + 1, 1) == -EINVAL,
	       "nor without a uffd");
	for (int i = 0; i < 200; i++) {
		enter_guarded(&guard, &answer);
		ask(i % 2 ? fd : guard, REQUEST(WIRE_UNGUARD), -1);
		let_go(&answer);
	}
}

/* Who asks to be a guard, and has hung up before it is answered, is none. */
static void unheard_guards(void)
{
	int file = open_file("unheard", O_RDWR, 4);

	for (int i = 0; i < 20; i++) {
		uint64_t token[TOKEN];
		int uffd = uffd_new(), fd = enter_with(uffd, token);
		int guard = dial();
		struct wire_request request = ask_to_guard(token);

		expect(fd >= 0, "a session");
		expect(!ask(fd, map_at(AT, 4, WMAP_SHARED), file),
		       "with a mapping that a guard has to show");
		expect(!say_to(guard, &request, NULL, 0), "GUARD");
		close(guard);
		/* Time to try again, and again, to tell it of that. */
		for (int j = 0; j < 3; j++, usleep(10000))
			expect(!ask(fd, REQUEST(MESSAGE_STATS), -1),
			       "still served");
		close(fd);
		close(uffd);
	}
}

/* ---- Agents (daemon/wmapd/agent.c) ------------------------------------------------ */

#define AGENT_PAGES 1024
#define AGENT_LIES  4

struct lying {
	int fd, guard, uffd, file;
	unsigned lie;
	unsigned asked; /* how often */
};

/* Does what is asked of it wrong, or not at all. */
static void lie_about(struct lying *lying, uint64_t number)
{
	int with = wrong((int)(lying->asked++ % 17));

	switch (lying->lie) {
	case 0: /* never answers */
		break;
	case 1: /* what is not due, or not yet */
		for (uint64_t i = 0; i < 20; i++)
			say_to(lying->guard,
			       &REQUEST(WIRE_HIDDEN,
					.args = { number + 7 * i - 71 }),
			       &with, with >= 0);
		break;
	case 2: /* a page map that is none */
		say_to(lying->guard, &REQUEST(WIRE_HIDDEN, .args = { number }),
		       &with, with >= 0);
		break;
	default: /* all that it has looks used */
		close(with);
		with = open("/proc/self/pagemap", O_RDONLY);
		say_to(lying->guard, &REQUEST(WIRE_HIDDEN, .args = { number }),
		       &with, 1);
	}
	if (with >= 0)
		close(with);
}

/* All that came to the guard so far. */
static void be_asked(struct lying *lying)
{
	static struct answer answer;
	struct pollfd one = { .fd = lying->guard, .events = POLLIN };

	while (poll(&one, 1, 0) == 1) {
		expect(hear(lying->guard, &answer) != -ENOTCONN,
		       "a liar is not cut off");
		let_go(&answer);
		if (answer.reply.flags & WIRE_HIDE)
			lie_about(lying, answer.reply.args[0]);
	}
}

static const uint64_t *map_for(struct lying *lying)
{
	static struct answer answer;
	const size_t length = AGENT_PAGES * PAGE;
	uint64_t token[TOKEN];
	void *memory = mmap(NULL, length, PROT_NONE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint64_t at = (uint64_t)memory;

	expect(memory != MAP_FAILED, "addresses");
	lying->uffd = uffd_new();
	lying->fd = enter_with(lying->uffd, token);
	expect(lying->fd >= 0, "a session");
	lying->guard = guard_of(token, &answer);
	expect(answer.reply.args[1], "which is its agent");
	let_go(&answer);
	expect(!ask_keep(lying->fd, map_at(at, AGENT_PAGES, WMAP_SHARED),
			 lying->file, &answer),
	       "a mapping");
	memory = mmap(memory, length, PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_FIXED, answer.fds[0], 0);
	expect(memory != MAP_FAILED && !uffd_register(lying->uffd, at, length,
						      answer.reply.args[0]),
	       "its memory");
	close(answer.fds[0]);
	return memory;
}

/* What wmapd says of this process's last session. */
static struct wire_space told_of_us(void)
{
	static struct answer answer;
	static struct wire_space spaces[8];
	unsigned last = 7;
	int fd = dial();

	memset(&answer.bytes, 0, sizeof(answer.bytes));
	expect(!ask_keep(fd,
			 REQUEST(WIRE_SPACES, .args = { (uint64_t)getpid() }),
			 -1, &answer),
	       "wmapd tells");
	close(fd);
	memcpy(spaces, answer.bytes, sizeof(spaces));
	while (last && !spaces[last].number)
		last--;
	return spaces[last];
}

static unsigned agent_said_of(unsigned lie)
{
	return lie <= 1 ? WIRE_AGENT_LATE :
	       lie == 2 ? WIRE_AGENT_NONE :
			  WIRE_AGENT_SERVES;
}

/* Its pages are right, and no more than may be, whatever it says of them. */
static void lie(unsigned number, int file)
{
	struct lying lying = { .lie = number, .file = file };
	const volatile uint64_t *memory = map_for(&lying);
	struct wire_space told;
	unsigned page = 0;

	for (unsigned i = 0; i < 20000; i++) {
		page = (page + 397) % AGENT_PAGES;
		expect(memory[page * PAGE / 8] == page, "its bytes");
		be_asked(&lying);
	}
	expect(lying.asked, "it is asked");
	told = told_of_us();
	for (int i = 0; i < 500 && told.agent != agent_said_of(number); i++) {
		usleep(10000);
		told = told_of_us();
	}
	expect(told.agent == agent_said_of(number), "wmapd says so");
	expect(told.times_late == (number <= 1), "and how often it was late");
	expect(told.stats.memory_peak <= MEMORY && told.stats.evicted > 1000,
	       "the budget is kept");
	munmap((void *)(uintptr_t)memory, AGENT_PAGES * PAGE);
	close(lying.guard);
	close(lying.fd);
	close(lying.uffd);
}

/* To a wmapd of its own, which has a budget. */
static void agents(void)
{
	int file = open_file("agents", O_RDWR, AGENT_PAGES);

	for (uint64_t i = 0; i < AGENT_PAGES; i++)
		expect(pwrite(file, &i, sizeof(i), (off_t)(i * PAGE)) == 8,
		       "a file");
	setenv("WMAP_MEMORY", "1M", 1);
	start_wmapd();
	for (unsigned i = 0; i < AGENT_LIES; i++)
		lie(i, file);
	kill(wmapd, SIGTERM);
	expect(waitpid(wmapd, &(int){ 0 }, 0) == wmapd, "it ends");
}

/* ---- Lists (MESSAGE_PREFETCH) ---------------------------------------------------- */

static int list_of(size_t n, uint64_t start, uint64_t length, int seals)
{
	int fd = memfd_create("hostile", MFD_ALLOW_SEALING);
	struct wmap_range *ranges = malloc(n * sizeof(*ranges));
	ssize_t size = (ssize_t)(n * sizeof(*ranges));

	for (size_t i = 0; i < n; i++)
		ranges[i] = (struct wmap_range){ (void *)start, length };
	if (pwrite(fd, ranges, (size_t)size, 0) != size)
		exit(1);
	free(ranges);
	fcntl(fd, F_ADD_SEALS, seals);
	return fd;
}

static int prefetch(int fd, size_t n, int list)
{
	int result = ask(fd, REQUEST(MESSAGE_PREFETCH, .args = { n }), list);

	close(list);
	return result;
}

/* Some that are none, and some that would take for ever. */
static void lists(void)
{
	const int seal = F_SEAL_SHRINK;
	int fd = enter_surely(), file = open_file("lists", O_RDWR, 4096);

	expect(prefetch(fd, 1, list_of(1, AT, PAGE, 0)) == -EINVAL,
	       "no list that could be cut off");
	expect(prefetch(fd, 2, list_of(1, AT, PAGE, seal)) == -EINVAL,
	       "nor one that is shorter");
	expect(prefetch(fd, 1, list_of(1, AT, SIZE_MAX, seal)) == -EINVAL,
	       "nor one that wraps");
	expect(prefetch(fd, 1, list_of(1, UINT64_MAX, 1, seal)) == -EINVAL,
	       "wherever");
	expect(prefetch(fd, 1, open_file("lists", O_RDWR, 1)) == -EINVAL,
	       "nor what is no memory");
	expect(!prefetch(fd, 1, list_of(1, 1, PTRDIFF_MAX, seal)),
	       "what is not mapped is passed by");
	expect(!ask(fd,
		    REQUEST(MESSAGE_PREFETCH_WAIT, .args = { UINT64_MAX, 1 }),
		    -1),
	       "what was never asked for is not waited for");
	expect(!ask(fd, map_at(AT, 4096, WMAP_SHARED), file), "a mapping");
	for (int i = 0; i < 40; i++)
		prefetch(fd, WIRE_LIST,
			 list_of(WIRE_LIST, AT, 4096 * PAGE, seal));
	expect(prefetch(fd, WIRE_LIST + 1, list_of(1, AT, PAGE, seal)) ==
		       -ENOTCONN,
	       "cut off");
}

/* A record that may be anything, but for a mapping's addresses. */
static void forge(struct record *record, uint32_t slot)
{
	for (size_t i = 0; i < sizeof(*record); i++)
		((unsigned char *)record)[i] = (unsigned char)random();
	record->slot = slot;
	record->kind = (uint32_t)random() % (RECORD_PIN + 1);
	record->id = 2 + (uint64_t)random() % 50;
	record->object = (uint64_t)random() % 50;
	record->replaces = (uint32_t)random() % SLOTS;
	if (record->kind == RECORD_SPACE)
		record->bits &= ~(uint32_t)RECORD_ATTACHED;
	if (record->kind == RECORD_PIN)
		record->of_pin.first %= UINT64_C(1) << 38;
	if (record->kind == RECORD_PIN)
		record->of_pin.end %= UINT64_C(1) << 38;
	if (record->kind != RECORD_MAPPING)
		return;
	record->id = 1;
	record->of_mapping.start = AT + (uint64_t)(random() % 9000) * PAGE;
	record->of_mapping.length = (uint64_t)(1 + random() % 9) * PAGE;
	record->of_mapping.end =
		record->of_mapping.start + record->of_mapping.length;
	record->of_mapping.first = (uint64_t)random();
	record->of_mapping.prot &= PROT_READ | PROT_WRITE;
	record->of_mapping.flags = slot % 2 ? WMAP_SHARED : WMAP_PRIVATE;
	record->of_mapping.grain = 1;
	record->of_mapping.deadline = 1;
	record->of_mapping.memory = BUDGET_NONE;
}

/* Sealed or not; slot 1 is this process's space, slot 2 another's. */
static int mirror(int of, size_t size, int seals)
{
	int fd = memfd_create("wmap-mirror", MFD_ALLOW_SEALING);
	struct record *records;

	if (fd < 0 || ftruncate(fd, (off_t)size) != 0)
		exit(1);
	records = mmap(NULL, SLOTS * sizeof(*records), PROT_READ | PROT_WRITE,
		       MAP_SHARED, fd, 0);
	if (records == MAP_FAILED || pread(of, records, 8, 0) != 8)
		exit(1);
	((uint64_t *)(void *)records)[1] = UINT64_MAX;
	for (uint32_t i = 1; i < SLOTS; i++)
		forge(&records[i], i);
	for (uint32_t i = 1; i < 3; i++) {
		records[i].kind = RECORD_SPACE;
		records[i].id = i;
		records[i].replaces = 0;
		records[i].bits = i == 1 ? RECORD_ATTACHED : 0;
		records[i].of_space.uid = geteuid();
		records[i].of_space.pid = i == 1 ? (uint32_t)getpid() : 1;
		records[i].of_space.memory = BUDGET_NONE;
	}
	munmap(records, SLOTS * sizeof(*records));
	fcntl(fd, F_ADD_SEALS, seals);
	return fd;
}

static int come(int fd, uint64_t id, int records)
{
	int fds[3] = { uffd_new(), records, open_file("hints", O_RDWR, 1) };
	int result = say_with(fd, REQUEST(WIRE_RESCUE, .args = { id, 1, 2 }),
			      fds, 3);

	close(fds[0]);
	close(fds[2]);
	return result;
}

/* Swap that has what never was, in a file of a few pages. */
static void hand_swap(int fd, int file)
{
	struct wire_request hand =
		REQUEST(WIRE_HAND, .args = { LEDGER_SWAP, 0 });
	int memory = memfd_create("hostile", MFD_ALLOW_SEALING);
	struct slots *slots;
	int both[2] = { memory, file };

	fcntl(memory, F_ADD_SEALS, F_SEAL_SHRINK);
	expect(say_with(fd, hand, both, 2) == -EINVAL, "no swap of any size");
	close(memory);
	if (slots_create(0, &slots))
		exit(1);
	for (uint32_t i = 1; i < 10000; i++)
		slots_put(slots, i, (uint64_t)random() % 64,
			  (uint64_t)random() >> random() % 32,
			  (uint64_t)random() << random() % 32 >> random() % 32);
	both[0] = slots_descriptor(slots);
	both[1] = slots_descriptor(slots);
	expect(say_with(fd, hand, both, 1) == -EINVAL, "none without a file");
	both[1] = file;
	expect(!say_with(fd, hand, both, 2), "swap, as it is");
	slots_close(slots);
}

/* A wmapd that serves nobody is handed what never was. */
static void forged(void)
{
	const size_t size = ((size_t)1 << 20) * sizeof(struct record);
	static struct answer answer;
	int guard, fd = enter_guarded(&guard, &answer), of = answer.fds[0];
	int file = open_file("forged", O_RDWR, 4);

	srandom(2);
	start_wmapd();
	fd = dial();
	expect(come(fd, 1, file) == -EINVAL, "no mirror that is a file");
	expect(come(fd, 1, mirror(of, size, 0)) == -EINVAL,
	       "nor one without seals");
	expect(come(fd, 1, mirror(of, size, F_SEAL_SHRINK)) == -EINVAL,
	       "nor without one of them");
	expect(come(fd, 1, mirror(of, size / 2, SEALS)) == -EINVAL,
	       "nor half of one");
	of = mirror(of, size, SEALS);
	expect(come(fd, 2, of) == -ESRCH, "nobody comes for another process");
	expect(come(fd, 9999, of) == -ESRCH, "nor for none");
	expect(!come(fd, 1, of), "a process comes for itself");
	expect(come(fd, 1, of) == -EPERM, "once");
	for (uint64_t id = 1; id < 60; id++) {
		int memory = memfd_create("hostile", MFD_ALLOW_SEALING);
		int both[2] = { memory, file };
		struct wire_request hand =
			REQUEST(WIRE_HAND, .args = { id, id % 2 });

		expect(say_with(fd, hand, both, 1) == -EINVAL,
		       "no memory that can be cut off");
		fcntl(memory, F_ADD_SEALS, F_SEAL_SHRINK);
		expect(say_with(fd, hand, both, 2) < 0,
		       "no file but the one that was mapped");
		close(memory);
	}
	hand_swap(fd, file);
	expect(!ask(fd, REQUEST(WIRE_HANDED), -1), "that was all");
	hear(fd, &answer);
	expect(!ask(fd, REQUEST(MESSAGE_STATS), -1), "served, as it is");
	close(fd);
	expect(!ask(enter_surely(), REQUEST(MESSAGE_STATS), -1),
	       "and others are");
	kill(wmapd, SIGTERM);
	expect(waitpid(wmapd, &(int){ 0 }, 0) == wmapd, "it ends");
}

static const struct attack {
	const char *name;
	void (*run)(void);
} attacks[] = {
	{ "garbage", garbage },
	{ "sizes", sizes },
	{ "descriptors", descriptors },
	{ "bad_uffds", bad_uffds },
	{ "many_descriptors", many_descriptors },
	{ "wrong_order", wrong_order },
	{ "strangers", strangers },
	{ "sessions", sessions },
	{ "flood", flood },
	{ "again", again },
	{ "growing", growing },
	{ "grows", grows },
	{ "shrinks", shrinks },
	{ "overlaps", overlaps },
	{ "quota", quota },
	{ "never_placed", never_placed },
	{ "pieces", pieces },
	{ "many_files", many_files }, /* and the end of many pieces */
	{ "embryos", embryos },
	{ "bad_ends", bad_ends },
	{ "promises", promises },
	{ "at_once", at_once },
	{ "truncated", truncated },
	{ "huge", huge },
	{ "blocking", blocking },
	{ "fork_events", fork_events },
	{ "foreign_uffd", foreign_uffd },
	{ "read_only", read_only },
	{ "flags_later", flags_later },
	{ "half_finished", half_finished },
	{ "states", states },
	{ "guards", guards },
	{ "unheard guards", unheard_guards },
	{ "agents", agents },
	{ "lists", lists },
	{ "forged", forged },
};

/* ---- The one that behaves ----------------------------------------------------- */

static struct shared {
	_Atomic unsigned rounds;
	_Atomic unsigned wrong;
	_Atomic uint64_t longest; /* ns */
	_Atomic bool stop;
} * shared;

/* ns that a thread has waited for a CPU. */
static uint64_t waited_for_cpu(const char *thread)
{
	char path[64];
	unsigned long long waited = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%s/schedstat", thread);
	file = fopen(path, "r");
	if (file && fscanf(file, "%*u %llu", &waited) != 1)
		waited = 0;
	if (file)
		fclose(file);
	return waited;
}

/* The time, as it goes while neither the good client nor wmapd waits for a CPU:
   they take turns. */
static uint64_t time_served(void)
{
	char thread[16];

	snprintf(thread, sizeof(thread), "%d", (int)wmapd);
	return time_now() - waited_for_cpu("thread-self") -
	       waited_for_cpu(thread);
}

static void note(int64_t took)
{
	if (took > (int64_t)shared->longest)
		shared->longest = (uint64_t)took;
}

/* How long it waits for wmapd is noted; not for the disk, at the end. */
static bool good_round(int fd, unsigned round)
{
	uint64_t begin = time_served();
	uint64_t *memory = wmap_map(NULL, FILE_PAGES * PAGE,
				    PROT_READ | PROT_WRITE, WMAP_SHARED, fd, 0,
				    NULL);
	bool right = memory != MAP_FAILED;

	for (uint64_t i = 0; right && i < FILE_PAGES; i++) {
		uint64_t *page = memory + i * PAGE / sizeof(*memory);

		right = page[0] == i && page[1] == (round ? round - 1 : 0);
		page[1] = round;
	}
	note((int64_t)(time_served() - begin));
	return right && !wmap_unmap(memory, FILE_PAGES * PAGE);
}

static void behave(void)
{
	int fd = open_file("good", O_RDWR, FILE_PAGES);

	prctl(PR_SET_PDEATHSIG, SIGKILL); /* it would go on for ever */
	for (uint64_t i = 0; i < FILE_PAGES; i++)
		if (pwrite(fd, &i, sizeof(i), (off_t)(i * PAGE)) != sizeof(i))
			exit(1);
	for (unsigned round = 0; !shared->stop; round++) {
		if (!good_round(fd, round)) {
			shared->wrong++;
			perror("the good client");
			exit(1);
		}
		shared->rounds++;
		usleep(1000);
	}
	exit(0);
}

/* ---- All of it ------------------------------------------------------------------- */

static bool wmapd_lives(void)
{
	int status;

	if (waitpid(wmapd, &status, WNOHANG) == 0)
		return true;
	printf("wmapd has ended: status %x\n", status);
	return false;
}

static bool run_attack(const struct attack *attack)
{
	unsigned rounds = shared->rounds;
	uint64_t begin = time_now(), longest;
	int status, wait = 6000;
	pid_t pid;

	shared->longest = 0;
	fflush(stdout);
	pid = fork();
	if (!pid) {
		alarm(60);
		attack->run();
		fflush(stdout);
		_exit(0);
	}
	waitpid(pid, &status, 0);
	while (shared->rounds < rounds + 2 && wait--)
		usleep(10000);
	longest = shared->longest;
	printf("%-18s %5.1f s, the good client's longest round %7.1f ms, "
	       "%u descriptors, %ld kB\n",
	       attack->name, (double)(time_now() - begin) / 1e9,
	       (double)longest / 1e6, process_descriptors(wmapd),
	       process_kib(wmapd, "VmRSS"));
	if (status)
		failed(attack->name);
	if (shared->rounds < rounds + 2)
		failed("the good client is not served any more");
	if ((double)longest / 1e9 > BOUND)
		failed("the good client was not served in time");
	return wmapd_lives();
}

/* Without a wmapd, or a guard that starts one, it waits in a fault for ever. */
static bool ends_well(pid_t pid)
{
	int status, wait = 1000;

	while (waitpid(pid, &status, WNOHANG) == 0) {
		if (!wait--)
			kill(pid, SIGKILL);
		usleep(10000);
	}
	return !status;
}

static void remove_directory(void)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -rf %s", directory);
	if (system(command) != 0)
		failed("removing");
}

int main(int argc, char **argv)
{
	unsigned files, files_after = 0;
	long rss, rss_after;
	const char *sanitizer = getenv("WMAP_SANITIZER");
	int status, wait = 300, fd;
	bool lives = true;
	pid_t good;

	setvbuf(stdout, NULL, _IOLBF, 0);
	need_pager();
	if (!getenv("WMAP_BIN") || !mkdtemp(directory))
		return 1;
	shared = mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	start_wmapd();
	good = fork();
	if (!good) {
		setenv("WMAP_SOCKET", socket_name, 1);
		behave();
	}
	while (shared->rounds < 5 && wait--)
		usleep(10000);
	files = process_descriptors(wmapd);
	rss = process_kib(wmapd, "VmRSS");
	for (size_t i = 0; i < lengthof(attacks) && lives; i++)
		if (argc < 2 || !strcmp(argv[1], attacks[i].name))
			lives = run_attack(&attacks[i]);
	shared->stop = true;
	if (!ends_well(good) || shared->wrong)
		failed("the good client is not as it should be");
	for (wait = 300; wait && lives; wait--) {
		files_after = process_descriptors(wmapd);
		if (files_after <= files)
			break;
		usleep(10000);
	}
	rss_after = process_kib(wmapd, "VmRSS");
	printf("%u rounds; descriptors %u, before %u; memory %ld kB, before "
	       "%ld\n",
	       shared->rounds, files_after, files, rss_after, rss);
	if (!lives)
		failed("wmapd is gone");
	if (files_after > files)
		failed("descriptors are left");
	if ((!sanitizer || !*sanitizer) && rss_after > rss + (64 << 10))
		failed("memory is left");
	fd = lives ? enter() : -1;
	if (fd < 0)
		failed("a new client is not served");
	kill(wmapd, SIGTERM);
	if (lives && (waitpid(wmapd, &status, 0) != wmapd || status))
		failed("wmapd does not end");
	remove_directory();
	printf("%d failed\n", failures);
	return failures > 0;
}
