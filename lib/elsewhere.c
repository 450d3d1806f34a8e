/* SPDX-License-Identifier: MIT */
/*
 * Lanes: one for each server that has something to do for a user, with a thread
 * (elsewhere.h)
 *
 *   none -> lane      join_lane(), its first work
 *   lane -> none      leave_lane(), by its thread: the last work is done
 *   lane -> lane      stuck, if its server does not answer: for as long as that
 *
 * So whoever brings what is stuck holds up himself. What is to be closed and finds
 * no lane waits in a list of its user's until one has ended; it counts as well.
 */
#include <fcntl.h>
#include <pthread.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "box.h"
#include "elsewhere.h"
#include "internal.h"
#include "mem.h"
#include "sys.h"
#include "workers.h"

#define LANES_MAX  256
#define WORK_LANES (LANES_MAX / 2) /* with so many a new one only closes */
#define USER_MAX   32 /* lanes; for closing what is nobody's all there are */
#define WORK_MAX   64 /* of a lane; closing goes beyond */

/* While it has something to do. */
struct user {
	struct list link;
	uid_t whom;
	struct list lanes;
	unsigned n_lanes;
	struct post *waiting; /* to be closed */
	unsigned n;	      /* works that are not done, also in waiting */
};

struct lane {
	struct list link;
	struct workers *workers; /* one */
	struct user *user;
	uint64_t server;
	unsigned n; /* works that are not done */
};

static struct {
	pthread_mutex_t mutex; /* for a few instructions, and starting threads */
	struct list users;     /* [l: mutex] and what is in there */
	unsigned n_lanes;      /* [l] */
	bool open;	       /* [c] */
} all = {
	.mutex = PTHREAD_MUTEX_INITIALIZER,
	.users = { &all.users, &all.users },
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
	case S_IFSOCK:
		return box_is_empty(fd) ? 0 : own_server(&stat);
	default:
		return own_server(&stat);
	}
}

/* ---- Users ------------------------------------------------------------------------ */

static struct user *find_user(uid_t whom)
{
	list_for_each(user, &all.users, struct user, link)
		if (user->whom == whom)
			return user;
	return NULL;
}

/* With one work more, or NULL. */
static struct user *enter_user(uid_t whom)
{
	struct user *user = find_user(whom);

	if (!user)
		user = mem_alloc(sizeof(*user));
	if (!user)
		return NULL;
	if (!user->n++) {
		user->whom = whom;
		list_init(&user->lanes);
		list_add(&all.users, &user->link);
	}
	return user;
}

static void leave_user(struct user *user)
{
	if (--user->n)
		return;
	list_del(&user->link);
	mem_free(user, sizeof(*user));
}

/* ---- Lanes ------------------------------------------------------------------------ */

static struct lane *find_lane(const struct user *user, uint64_t server)
{
	list_for_each(lane, &user->lanes, struct lane, link)
		if (lane->server == server)
			return lane;
	return NULL;
}

/* NULL: there are @most of all users, or @of_user, or no thread. */
static struct lane *create_lane(struct user *user, uint64_t server,
				unsigned most, unsigned of_user)
{
	struct lane *lane;

	if (all.n_lanes >= most || user->n_lanes >= of_user)
		return NULL;
	lane = mem_alloc(sizeof(*lane));
	if (!lane)
		return NULL;
	lane->user = user;
	lane->server = server;
	if (workers_create(1, &lane->workers)) {
		mem_free(lane, sizeof(*lane));
		return NULL;
	}
	list_add(&user->lanes, &lane->link);
	user->n_lanes++;
	all.n_lanes++;
	return lane;
}

static void end_lane(struct lane *lane)
{
	list_del(&lane->link);
	lane->user->n_lanes--;
	all.n_lanes--;
	workers_stop(lane->workers, NULL, NULL);
	mem_free(lane, sizeof(*lane));
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
static bool close_in_lane(struct user *user, struct elsewhere *work)
{
	struct lane *lane = find_lane(user, work->server);
	bool nobody = user->whom == ELSEWHERE_NOBODY;

	if (!lane)
		lane = create_lane(user, work->server, LANES_MAX,
				   nobody ? LANES_MAX : USER_MAX);
	if (lane)
		join_lane(lane, work);
	return lane;
}

static void close_waiting(struct user *user)
{
	struct post *post;

	while ((post = user->waiting)) {
		struct post *next = post->next;

		if (!close_in_lane(user,
				   container_of(post, struct elsewhere, post)))
			return;
		user->waiting = next;
	}
}

static void close_all_waiting(void)
{
	list_for_each(user, &all.users, struct user, link)
		close_waiting(user);
}

static void leave_lane(struct lane *lane)
{
	struct user *user = lane->user;

	if (!--lane->n) {
		end_lane(lane);
		close_all_waiting();
	}
	leave_user(user);
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

/* False: out of memory. */
static bool close_for(struct elsewhere *work, uid_t whom)
{
	struct user *user;

	pthread_mutex_lock(&all.mutex);
	user = enter_user(whom);
	close_all_waiting();
	if (user && !close_in_lane(user, work)) {
		work->post.next = user->waiting;
		user->waiting = &work->post;
	}
	pthread_mutex_unlock(&all.mutex);
	return user;
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
	if (!close_for(work, whom))
		close_it(work);
}

unsigned elsewhere_waiting(uid_t whom)
{
	const struct user *user;
	unsigned n;

	pthread_mutex_lock(&all.mutex);
	user = find_user(whom);
	n = user ? user->n : 0;
	pthread_mutex_unlock(&all.mutex);
	return n;
}

/* ---- Work ------------------------------------------------------------------------- */

static struct lane *lane_for(struct user *user, uint64_t server)
{
	struct lane *lane = find_lane(user, server);

	if (lane)
		return lane->n < WORK_MAX ? lane : NULL;
	return create_lane(user, server, WORK_LANES, USER_MAX);
}

int elsewhere_run(struct elsewhere *work, uint64_t server, uid_t whom)
{
	struct lane *lane = NULL;
	struct user *user;

	pthread_mutex_lock(&all.mutex);
	user = enter_user(whom);
	if (user)
		lane = lane_for(user, server);
	if (lane)
		join_lane(lane, work);
	else if (user)
		leave_user(user);
	pthread_mutex_unlock(&all.mutex);
	return lane ? 0 : -EAGAIN;
}
