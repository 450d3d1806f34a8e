/* SPDX-License-Identifier: MIT */
/*
 * Lanes: one for each server that has something to do, with a thread (elsewhere.h)
 *
 *   none -> lane      join_lane(), its first work
 *   lane -> none      leave_lane(), by its thread: the last work is done
 *   lane -> lane      stuck, if its server does not answer: for as long as that
 *
 * What is to be closed and finds no lane waits in a list until one has ended.
 */
#include <fcntl.h>
#include <pthread.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "elsewhere.h"
#include "internal.h"
#include "mem.h"
#include "sys.h"
#include "workers.h"

#define LANES_MAX 256
#define USER_MAX  32 /* lanes, of LANES_MAX / 2 for all users' work … */
#define WORK_MAX  64 /* … each with so much of it; closing goes beyond both */

struct lane {
	struct list link;
	struct workers *workers; /* one */
	uint64_t server;
	uid_t whom;
	unsigned n; /* works that are not done */
};

static struct {
	pthread_mutex_t mutex; /* for a few instructions, and starting threads */
	struct list lanes;     /* [l: mutex] */
	unsigned n;	       /* [l] lanes */
	struct post *waiting;  /* [l] to be closed */
	bool open;	       /* [c] */
} all = {
	.mutex = PTHREAD_MUTEX_INITIALIZER,
	.lanes = { &all.lanes, &all.lanes },
};

void elsewhere_open(void)
{
	all.open = true;
}

bool elsewhere_is_open(void)
{
	return all.open;
}

/* ---- Whose it is ---------------------------------------------------------------- */

int elsewhere_stat(int fd, struct stat *stat)
{
	struct statx now;
	int error = (int)sys_call(SYS_statx, fd, "",
				  AT_EMPTY_PATH | AT_STATX_DONT_SYNC,
				  STATX_BASIC_STATS, &now);

	if (error)
		return error;
	*stat = (struct stat){
		.st_mode = now.stx_mode,
		.st_dev = makedev(now.stx_dev_major, now.stx_dev_minor),
		.st_ino = now.stx_ino,
		.st_size = (off_t)now.stx_size,
		.st_mtim = { .tv_sec = now.stx_mtime.tv_sec,
			     .tv_nsec = now.stx_mtime.tv_nsec },
	};
	return 0;
}

static bool is_memory(int fd)
{
	return sys_call(SYS_fcntl, fd, F_GET_SEALS) >= 0;
}

/* What is no file of a file system is a server of its own: a socket may linger, a
   terminal wait for what is to be sent. */
static uint64_t own_server(const struct stat *stat)
{
	return (uint64_t)1 << 63 | stat->st_dev << 40 | stat->st_ino;
}

/* A device with a number is a disk's. */
uint64_t elsewhere_server(int fd)
{
	struct stat stat;

	if (is_memory(fd))
		return 0;
	if (elsewhere_stat(fd, &stat))
		return UINT64_MAX;
	switch (stat.st_mode & S_IFMT) {
	case S_IFREG:
		return major(stat.st_dev) ? 0 : (uint64_t)stat.st_dev;
	case 0: /* a uffd and the like */
	case S_IFDIR:
	case S_IFIFO:
	case S_IFLNK:
		return 0;
	default:
		return own_server(&stat);
	}
}

/* ---- Lanes ------------------------------------------------------------------------ */

static struct lane *find_lane(uint64_t server)
{
	list_for_each(lane, &all.lanes, struct lane, link)
		if (lane->server == server)
			return lane;
	return NULL;
}

static unsigned count_lanes(uid_t whom)
{
	unsigned n = 0;

	list_for_each(lane, &all.lanes, struct lane, link)
		n += lane->whom == whom;
	return n;
}

static struct lane *create_lane(uint64_t server, uid_t whom)
{
	struct lane *lane = mem_alloc(sizeof(*lane));

	if (!lane)
		return NULL;
	lane->server = server;
	lane->whom = whom;
	if (workers_create(1, &lane->workers)) {
		mem_free(lane, sizeof(*lane));
		return NULL;
	}
	list_add(&all.lanes, &lane->link);
	all.n++;
	return lane;
}

static void run(struct post *post);

static void join_lane(struct lane *lane, struct elsewhere *work)
{
	work->lane = lane;
	work->post.run = run;
	lane->n++;
	workers_post(lane->workers, &work->post);
}

/* ---- Closing ---------------------------------------------------------------------- */

static void close_it(struct elsewhere *work)
{
	close(work->fd); /* ThreadSanitizer sees that the number is free again */
	mem_free(work, sizeof(*work));
}

/* False: there is no thread for it now. */
static bool close_in_lane(struct elsewhere *work, uid_t whom)
{
	struct lane *lane = find_lane(work->server);

	if (!lane && all.n < LANES_MAX)
		lane = create_lane(work->server, whom);
	if (lane)
		join_lane(lane, work);
	return lane;
}

static void close_waiting(void)
{
	struct post *post;

	while ((post = all.waiting)) {
		struct post *next = post->next;

		if (!close_in_lane(container_of(post, struct elsewhere, post),
				   ELSEWHERE_NOBODY))
			return;
		all.waiting = next;
	}
}

static void leave_lane(struct lane *lane)
{
	if (--lane->n)
		return;
	list_del(&lane->link);
	all.n--;
	workers_stop(lane->workers, NULL, NULL);
	mem_free(lane, sizeof(*lane));
	close_waiting();
}

/* On the lane's thread. */
static void run(struct post *post)
{
	struct elsewhere *work = container_of(post, struct elsewhere, post);
	struct lane *lane = work->lane;

	work->run(work);
	pthread_mutex_lock(&all.mutex);
	leave_lane(lane);
	pthread_mutex_unlock(&all.mutex);
}

void elsewhere_close(int fd, uid_t whom)
{
	uint64_t server = all.open ? elsewhere_server(fd) : 0;
	struct elsewhere *work = server ? mem_alloc(sizeof(*work)) : NULL;

	if (!work) {
		sys_call(SYS_close, fd);
		return;
	}
	work->fd = fd;
	work->server = server;
	work->run = close_it;
	pthread_mutex_lock(&all.mutex);
	close_waiting();
	if (all.waiting || !close_in_lane(work, whom)) {
		work->post.next = all.waiting;
		all.waiting = &work->post;
	}
	pthread_mutex_unlock(&all.mutex);
}

unsigned elsewhere_waiting(uid_t whom)
{
	unsigned n = 0;

	pthread_mutex_lock(&all.mutex);
	list_for_each(lane, &all.lanes, struct lane, link)
		n += lane->whom == whom ? lane->n : 0;
	pthread_mutex_unlock(&all.mutex);
	return n;
}

/* ---- Work ------------------------------------------------------------------------- */

static struct lane *lane_for(uint64_t server, uid_t whom)
{
	struct lane *lane = find_lane(server);

	if (lane)
		return lane->n < WORK_MAX ? lane : NULL;
	if (all.n >= LANES_MAX / 2 || count_lanes(whom) >= USER_MAX)
		return NULL;
	return create_lane(server, whom);
}

int elsewhere_run(struct elsewhere *work, uint64_t server, uid_t whom)
{
	struct lane *lane;

	pthread_mutex_lock(&all.mutex);
	lane = lane_for(server, whom);
	if (lane)
		join_lane(lane, work);
	pthread_mutex_unlock(&all.mutex);
	return lane ? 0 : -EAGAIN;
}
