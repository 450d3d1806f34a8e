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

static struct {
	int fd;
	pthread_mutex_t lock;
	char bytes[LENGTH]; /* [l] */
	struct held {
		uint64_t unique, offset;
		uint32_t size;
	} held[64];	    /* [l] writes that have not landed */
	atomic_uint n_held; /* [l] for writing */
	bool let_go;	    /* [l] none is held any more */
	atomic_bool silent; /* nothing is answered */
} * fs;

static void reply(uint64_t unique, int error, const void *data, size_t size)
{
	struct fuse_out_header head = {
		.len = (uint32_t)(sizeof(head) + size),
		.error = error,
		.unique = unique,
	};
	static char whole[sizeof(head) + LENGTH]; /* [l] */

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

static void serve(void)
{
	static _Alignas(struct fuse_in_header) char request[LENGTH + 4096];

	for (;;) {
		ssize_t n = read(fs->fd, request, sizeof(request));

		if (n < 0 && errno != EINTR && errno != ENOENT)
			return;
		pthread_mutex_lock(&fs->lock);
		if (n > 0 && !fs->silent)
			serve_one((const void *)request);
		pthread_mutex_unlock(&fs->lock);
	}
}

static void let_go(void)
{
	char older[LENGTH];

	memset(older, OLDER, sizeof(older));
	pthread_mutex_lock(&fs->lock);
	fs->let_go = true;
	for (unsigned i = 0; i < fs->n_held; i++)
		land(&fs->held[i], older);
	pthread_mutex_unlock(&fs->lock);
}

static void serve_aside(void)
{
	pid_t child = fork();

	ck_assert_int_ge(child, 0);
	if (child)
		return;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	serve();
	_exit(0);
}

static bool share_it(void)
{
	pthread_mutexattr_t shared;

	fs = mmap(NULL, sizeof(*fs), READ_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		  0);
	return fs != MAP_FAILED && !pthread_mutexattr_init(&shared) &&
	       !pthread_mutexattr_setpshared(&shared, PTHREAD_PROCESS_SHARED) &&
	       !pthread_mutex_init(&fs->lock, &shared);
}

/* In a place of mounts of our own. */
static bool mount_it(void)
{
	char options[80];

	ck_assert(share_it());
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

static void (*const kills[])(void) = { kill_wmapd, kill_both, kill_two };

START_TEST(what_lands_late_is_not_what_stays)
{
	pthread_t thread;
	void *written;

	begin();
	ck_assert(process_wait(some_are_held, NULL, 10));
	kills[_i]();
	ck_assert(!pthread_create(&thread, NULL, write_younger, NULL));
	process_sleep_ms(500); /* who would write, writes */
	let_go();
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
	let_go();
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
	let_go();
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
			    (int)COUNT(kills));
	tcase_add_test(facts, who_syncs_meanwhile_is_told);
	tcase_add_test(facts, what_answers_nothing_stops_nobody_else);
	return facts_run(facts);
}
