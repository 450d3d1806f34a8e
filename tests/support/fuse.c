/* SPDX-License-Identifier: MIT */
/*
 * File systems of our own (FUSE), with one file each (support.h)
 *
 * Each is served by a process of its own, which ends with the one that tests.
 */
#include "support.h"

#include <fcntl.h>
#include <linux/fuse.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

/* What is not heard so far, as it came. */
struct unheard {
	char request[256];
};

static struct fuse *fs; /* of the process that serves it */
static _Alignas(struct fuse_in_header) struct unheard unheard[FUSE_UNHEARD];

/* ---- Answers ------------------------------------------------------------------ */

static void reply(uint64_t unique, int error, const void *data, size_t size)
{
	struct fuse_out_header head = {
		.len = (uint32_t)(sizeof(head) + size),
		.error = error,
		.unique = unique,
	};
	static char whole[sizeof(head) + FUSE_LENGTH];

	memcpy(whole, &head, sizeof(head));
	if (size)
		memcpy(whole + sizeof(head), data, size);
	/* who is not there any more needs none */
	if (write(fs->fd, whole, head.len) < 0 && errno != ENOENT)
		perror("reply");
}

static void describe(struct fuse_attr *attr, bool file)
{
	attr->ino = file ? 2 : FUSE_ROOT_ID;
	attr->mode = file ? S_IFREG | 0600 : S_IFDIR | 0700;
	attr->nlink = 1;
	attr->size = file ? FUSE_LENGTH : 0;
	attr->blksize = (uint32_t)PAGE;
}

static void say_what_can_be(uint64_t unique, const struct fuse_init_in *in)
{
	struct fuse_init_out out = {
		.major = FUSE_KERNEL_VERSION,
		.minor = 31,
		.max_readahead = in->max_readahead,
		.flags = FUSE_ASYNC_DIO | FUSE_BIG_WRITES,
		.max_background = 64,
		.congestion_threshold = 64,
		.max_write = FUSE_LENGTH,
	};

	reply(unique, 0, &out, sizeof(out));
}

static void look_up(uint64_t unique)
{
	struct fuse_entry_out out = { .nodeid = 2, .entry_valid = 1000 };

	describe(&out.attr, true);
	reply(unique, 0, &out, sizeof(out));
}

static void tell_attributes(uint64_t unique, uint64_t node)
{
	struct fuse_attr_out out = { 0 };

	describe(&out.attr, node != FUSE_ROOT_ID);
	reply(unique, 0, &out, sizeof(out));
}

static void land(const struct fuse_write *held, const char *bytes)
{
	struct fuse_write_out out = { .size = held->size };

	memcpy(fs->bytes + held->offset, bytes, held->size);
	reply(held->unique, 0, &out, sizeof(out));
}

static void write_some(uint64_t unique, const struct fuse_write_in *in)
{
	const char *bytes = (const char *)(in + 1);
	struct fuse_write held = { unique, in->offset, in->size };

	if (*bytes == FUSE_HELD && !fs->let_go)
		fs->held[fs->n_held++] = held;
	else
		land(&held, bytes);
}

static void serve_one(const struct fuse_in_header *head)
{
	const struct fuse_open_out opened = { 0 };
	const struct fuse_statfs_out sizes = { .st = { .bsize = 4096 } };
	const struct fuse_read_in *read = (const void *)(head + 1);

	switch (head->opcode) {
	case FUSE_INIT:
		say_what_can_be(head->unique, (const void *)(head + 1));
		break;
	case FUSE_LOOKUP:
		look_up(head->unique);
		break;
	case FUSE_GETATTR:
		tell_attributes(head->unique, head->nodeid);
		break;
	case FUSE_OPEN:
		reply(head->unique, 0, &opened, sizeof(opened));
		break;
	case FUSE_STATFS:
		reply(head->unique, 0, &sizes, sizeof(sizes));
		break;
	case FUSE_READ:
		reply(head->unique, 0, fs->bytes + read->offset, read->size);
		break;
	case FUSE_WRITE:
		write_some(head->unique, (const void *)(head + 1));
		break;
	case FUSE_FLUSH:
	case FUSE_RELEASE:
	case FUSE_FSYNC:
		reply(head->unique, 0, NULL, 0);
		break;
	case FUSE_FORGET:
	case FUSE_BATCH_FORGET:
	case FUSE_INTERRUPT:
		break;
	default:
		reply(head->unique, -ENOSYS, NULL, 0);
	}
}

static void land_all(void)
{
	char older[FUSE_LENGTH];

	memset(older, FUSE_HELD, sizeof(older));
	for (unsigned i = 0; i < fs->n_held; i++)
		land(&fs->held[i], older);
	fs->n_held = 0;
}

/* ---- Serving ------------------------------------------------------------------- */

static bool is_unheard(const struct fuse_in_header *head)
{
	return head->opcode < 64 && fs->deaf >> head->opcode & 1;
}

static void put_aside(const struct fuse_in_header *head)
{
	unsigned n = fs->n_unheard;

	if (n == FUSE_UNHEARD || head->len > sizeof(*unheard)) {
		fprintf(stderr, "more than can be put aside\n");
		_exit(1);
	}
	memcpy(&unheard[n], head, head->len);
	fs->n_unheard = n + 1;
}

static void hear(const struct fuse_in_header *head)
{
	if (is_unheard(head))
		put_aside(head);
	else
		serve_one(head);
}

static void hear_all(void)
{
	unsigned n = fs->n_unheard;

	fs->n_unheard = 0;
	for (unsigned i = 0; i < n; i++)
		serve_one((const void *)&unheard[i]);
}

static void serve(void)
{
	static _Alignas(struct fuse_in_header) char request[FUSE_LENGTH + 4096];
	struct pollfd one = { .fd = fs->fd, .events = POLLIN };

	for (;;) {
		ssize_t n = 0;

		if (poll(&one, 1, 10) > 0)
			n = read(fs->fd, request, sizeof(request));
		if (n < 0 && errno != EINTR && errno != ENOENT)
			return;
		if (n > 0 && !fs->silent)
			hear((const void *)request);
		if (!fs->deaf)
			hear_all();
		if (fs->let_go)
			land_all();
	}
}

/* Nobody else has it open: it ends with the process. */
static void serve_aside(void)
{
	pid_t child = fork();

	ck_assert_int_ge(child, 0);
	if (child) {
		close(fs->fd);
		return;
	}
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	serve();
	_exit(0);
}

bool fuse_place(void)
{
	int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);

	if (fd < 0)
		return false;
	close(fd);
	return !unshare(CLONE_NEWNS) &&
	       !mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) &&
	       !mount("places", FUSE_PLACE, "tmpfs", 0, NULL);
}

struct fuse *fuse_serve(unsigned number)
{
	char options[80], where[32];

	fs = mmap(NULL, sizeof(*fs), READ_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		  0);
	ck_assert_ptr_ne(fs, MAP_FAILED);
	fs->fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	ck_assert_int_ge(fs->fd, 0);
	snprintf(where, sizeof(where), FUSE_PLACE "/%u", number);
	snprintf(options, sizeof(options),
		 "fd=%d,rootmode=40000,user_id=0,group_id=0", fs->fd);
	ck_assert_int_eq(mkdir(where, 0700), 0);
	ck_assert_int_eq(mount("ours", where, "fuse", 0, options), 0);
	serve_aside();
	return fs;
}

int fuse_open(unsigned number, int flags)
{
	char path[40];
	int fd;

	snprintf(path, sizeof(path), FUSE_PLACE "/%u/file", number);
	fd = open(path, flags | O_CLOEXEC);
	ck_assert_int_ge(fd, 0);
	return fd;
}
