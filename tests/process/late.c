/* SPDX-License-Identifier: MIT */
/*
 * What a killed wmapd was just writing may get to the file late: nothing older
 * than what its successor writes may be there in the end
 *
 * The file is in a file system of our own (FUSE), which holds writes of 'a' back
 * until they are let go. Where there is none, or not for us, nothing is tried.
 */
#include "support.h"

#include <fcntl.h>
#include <linux/fuse.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#define WHERE  "/mnt"
#define LENGTH PAGES(16)
#define OLDER  'a' /* is held back */

/* ---- The file system: one file ------------------------------------------------ */

/* In memory that is shared with the process that serves it: who ends waits for his
   files. All but the last two is that one's, until it has nothing to do. */
static struct {
	int fd;
	char bytes[LENGTH];
	struct held {
		uint64_t unique, offset;
		uint32_t size;
	} held[64]; /* writes that have not landed */
	atomic_uint n_held;
	atomic_bool let_go; /* none is held any more */
	atomic_bool silent; /* nothing is answered */
} * fs;

static void reply(uint64_t unique, int error, const void *data, size_t size)
{
	struct fuse_out_header head = {
		.len = (uint32_t)(sizeof(head) + size),
		.error = error,
		.unique = unique,
	};
	static char whole[sizeof(head) + LENGTH];

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
	attr->size = file ? LENGTH : 0;
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
		.max_write = LENGTH,
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

static void land(const struct held *held, const char *bytes)
{
	struct fuse_write_out out = { .size = held->size };

	memcpy(fs->bytes + held->offset, bytes, held->size);
	reply(held->unique, 0, &out, sizeof(out));
}

static void write_some(uint64_t unique, const struct fuse_write_in *in)
{
	const char *bytes = (const char *)(in + 1);
	struct held held = { unique, in->offset, in->size };

	if (*bytes == OLDER && !fs->let_go)
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
	char older[LENGTH];

	memset(older, OLDER, sizeof(older));
	for (unsigned i = 0; i < fs->n_held; i++)
		land(&fs->held[i], older);
	fs->n_held = 0;
}

static void serve(void)
{
	static _Alignas(struct fuse_in_header) char request[LENGTH + 4096];
	struct pollfd one = { .fd = fs->fd, .events = POLLIN };

	for (;;) {
		ssize_t n = 0;

		if (poll(&one, 1, 10) > 0)
			n = read(fs->fd, request, sizeof(request));
		if (n < 0 && errno != EINTR && errno != ENOENT)
			return;
		if (n > 0 && !fs->silent)
			serve_one((const void *)request);
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

/* In a place of mounts of our own. */
static bool mount_it(void)
{
	char options[80];

	fs = mmap(NULL, sizeof(*fs), READ_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		  0);
	ck_assert_ptr_ne(fs, MAP_FAILED);
	fs->fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	if (fs->fd < 0 || unshare(CLONE_NEWNS) ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL))
		return false;
	snprintf(options, sizeof(options),
		 "fd=%d,rootmode=40000,user_id=0,group_id=0", fs->fd);
	return !mount("late", WHERE, "fuse", 0, options);
}

/* ---- The facts ------------------------------------------------------------------ */

static char *at;

/* 'a' is on its way to the file. */
static void begin(void)
{
	int fd;

	if (!mount_it()) {
		puts("no file system of our own: nothing is tried");
		exit(0);
	}
	serve_aside();
	fd = open(WHERE "/file", O_RDWR | O_CLOEXEC);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(setenv("WMAP_MEMORY", "8M", 1), 0);
	wmapd_start();
	at = memory_map(LENGTH, READ_WRITE, WMAP_SHARED, fd, 0);
	for (size_t i = 0; i < LENGTH; i++)
		at[i] = OLDER;
	ck_assert_int_eq(wmap_sync(at, LENGTH, WMAP_SYNC_START), 0);
}

static bool some_are_held(void *unused)
{
	(void)unused;
	return atomic_load(&fs->n_held);
}

static void *write_younger(void *unused)
{
	for (size_t i = 0; i < LENGTH; i++)
		at[i] = 'b';
	return wmap_sync(at, LENGTH, WMAP_SYNC_WAIT) ? unused : at;
}

static bool is_written(void *unused)
{
	(void)unused;
	return !wmap_sync(at, LENGTH, WMAP_SYNC_WAIT) && fs->bytes[0] == 'b';
}

static void kill_wmapd(void)
{
	kill(served_by.pid, SIGKILL);
}

static void kill_both(void)
{
	kill(served_by.keeper, SIGKILL);
	kill(served_by.pid, SIGKILL);
}

/* Its successor has not written anything so far. */
static void kill_two(void)
{
	kill(served_by.pid, SIGKILL);
	at[0] = 'b';
	wmapd_find();
	kill(served_by.pid, SIGKILL);
}

/* Under ThreadSanitizer there are no guards, who hand over when both are dead. */
#define N_KILLS ((int)COUNT(kills) - THREAD_SANITIZED)

static void (*const kills[])(void) = { kill_wmapd, kill_two, kill_both };

START_TEST(what_lands_late_is_not_what_stays)
{
	pthread_t thread;
	void *written;

	begin();
	ck_assert(process_wait(some_are_held, NULL, 10));
	kills[_i]();
	ck_assert(!pthread_create(&thread, NULL, write_younger, NULL));
	process_sleep_ms(500); /* who would write, writes */
	fs->let_go = true;
	ck_assert(!pthread_join(thread, &written));
	ck_assert_ptr_eq(written, at);
	for (size_t i = 0; i < LENGTH; i++)
		ck_assert_int_eq(fs->bytes[i], 'b');
}
END_TEST

/* As where a write of our own is not answered. */
START_TEST(who_syncs_meanwhile_is_told)
{
	setenv("WMAP_DEADLINE_MS", "300", 1);
	begin();
	ck_assert(process_wait(some_are_held, NULL, 10));
	kill_wmapd();
	errno = 0;
	ck_assert_ptr_null(write_younger(NULL));
	ck_assert_int_eq(errno, ETIMEDOUT);
	fs->let_go = true;
	ck_assert(process_wait(is_written, NULL, 10));
}
END_TEST

static void *write_back(void *unused)
{
	return wmap_sync(at, LENGTH, WMAP_SYNC_WAIT) ? unused : at;
}

/* Not even how long the file is. */
START_TEST(what_answers_nothing_stops_nobody_else)
{
	const char *others;
	pthread_t thread;
	void *written;

	setenv("WMAP_DEADLINE_MS", "1000", 1);
	begin();
	ck_assert(process_wait(some_are_held, NULL, 10));
	fs->let_go = true;
	ck_assert_int_eq(wmap_sync(at, LENGTH, WMAP_SYNC_WAIT), 0);
	others = memory_map(PAGES(64), PROT_READ, WMAP_SHARED,
			    file_with(3, PAGES(64)), 0);
	at[0] = 'c';
	fs->silent = true;
	ck_assert(!pthread_create(&thread, NULL, write_back, NULL));
	process_sleep_ms(100); /* for it to ask */
	ck_assert(pattern_holds(others, PAGES(64), 3, 0));
	ck_assert(!pthread_join(thread, &written));
	ck_assert_ptr_null(written);
	fs->silent = false; /* who ends waits for it */
}
END_TEST

int main(void)
{
	TCase *facts = facts_case("late writes", 60);

	tcase_add_loop_test(facts, what_lands_late_is_not_what_stays, 0,
			    N_KILLS);
	tcase_add_test(facts, who_syncs_meanwhile_is_told);
	tcase_add_test(facts, what_answers_nothing_stops_nobody_else);
	return facts_run(facts);
}
