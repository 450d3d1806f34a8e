/* SPDX-License-Identifier: MIT */
/*
 * Looking at what a client has sent: is it a file that may be mapped?
 *
 * Who asks that waits for the server of the file, which may be the client itself:
 * so it is asked elsewhere (lib/elsewhere.h), and the client's request is under
 * way until then. The pager goes on.
 *
 *   looking_at ──► check, by a thread ──► done ──► the request goes on
 *        └────── nobody can be waited for: at once ─────┘
 *   A user's threads that are about to end and those that are stuck look the same:
 *   where he has no more it is tried again for a second, then EAGAIN.
 *
 *   looking_forget: the client has hung up; what comes of it is closed
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "io.h"
#include "mem.h"
#include "wmapd.h"

/* ---- What may be mapped ------------------------------------------------------------ */

/* What to map: a regular file that may be read, and can be written in the middle. */
static int check_mappable(int flags)
{
	if (flags & (O_PATH | O_APPEND | O_DIRECT) ||
	    (flags & O_ACCMODE) == O_WRONLY)
		return -EACCES;
	return 0;
}

/* What is made up as it is read is no file to map, nor for mmap(2): reading it
   may wait for a client, or do something. */
static int check_kind(int fd)
{
	static const uint32_t made_up[] = {
		PROC_SUPER_MAGIC,    SYSFS_MAGIC,      DEBUGFS_MAGIC,
		TRACEFS_MAGIC,	     SECURITYFS_MAGIC, CGROUP_SUPER_MAGIC,
		CGROUP2_SUPER_MAGIC, BPF_FS_MAGIC,     HUGETLBFS_MAGIC,
		PSTOREFS_MAGIC,	     EFIVARFS_MAGIC,
	};
	struct statfs statfs;

	if (fstatfs(fd, &statfs) != 0)
		return -errno;
	for (size_t i = 0; i < lengthof(made_up); i++)
		if ((uint32_t)statfs.f_type == made_up[i])
			return -ENODEV;
	return 0;
}

/*
 * The client's descriptor is its own, too: by it the flags could be changed (to
 * O_APPEND or O_DIRECT) while others rely on them. The same file is opened anew,
 * with no more rights; where that cannot be, not even as root (a network), or
 * not any more, the client's has to do.
 */
static int open_own(struct look *look, int flags)
{
	char path[32];
	int own;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", look->fd);
	/* O_NONBLOCK: a lease would have us wait for the client. */
	own = open(path, (flags & (O_ACCMODE | O_DSYNC | O_SYNC)) | O_NONBLOCK |
				 O_NOCTTY | O_CLOEXEC);
	if (own < 0)
		return errno == EACCES || errno == EPERM || errno == EROFS ?
			       0 :
			       -errno;
	fcntl(own, F_SETFL, flags & (O_DSYNC | O_SYNC));
	elsewhere_close(look->fd, look->whom);
	look->fd = own;
	return 0;
}

int looking_for_file(struct look *look)
{
	int error, flags = fcntl(look->fd, F_GETFL);

	if (flags < 0 || fstat(look->fd, &look->stat) != 0)
		return -errno;
	if (!S_ISREG(look->stat.st_mode))
		return -ENODEV;
	error = check_mappable(flags);
	if (!error)
		error = check_kind(look->fd);
	if (!error)
		error = open_own(look, flags);
	look->writable = (flags & O_ACCMODE) == O_RDWR;
	if (!error && look->wants_direct)
		look->direct = store_file_open_direct(look->fd, look->writable);
	return error;
}

/* ---- Looking ----------------------------------------------------------------------- */

/* Nobody has asked for it, or it was no good. */
static void drop(struct look *look)
{
	elsewhere_close(look->fd, look->whom);
	if (look->direct >= 0)
		elsewhere_close(look->direct, look->whom);
	look->fd = look->direct = -1;
}

static void end(struct look *look)
{
	struct conn *conn = look->conn;

	if (look->error || !conn)
		drop(look);
	if (conn) {
		conn->look = NULL;
		look->done(conn, look);
	}
	mem_free(look, sizeof(*look));
}

static void checked(struct post *post)
{
	end(container_of(post, struct look, work.post));
}

/* On a thread. */
static void work(struct elsewhere *work)
{
	struct look *look = container_of(work, struct look, work);

	look->error = look->check(look);
	work->post.run = checked;
	loop_post(look->loop, &work->post);
}

#define TIMES 10 /* after 1 ms, 2 ms, … */

/* From here on it is the thread's, or the timer's. */
static void try(struct look *look)
{
	int error = elsewhere_run(&look->work, look->server, look->whom);

	if (error == -EAGAIN && look->times < TIMES) {
		loop_timer_start(look->loop, &look->again,
				 time_now() + (1000000ull << look->times++));
	} else if (error) {
		look->error = error;
		end(look);
	}
}

static void again(struct timer *timer)
{
	struct look *look = container_of(timer, struct look, again);

	if (look->conn)
		try(look);
	else
		end(look);
}

void looking_at(struct conn *conn, int fd, int (*check)(struct look *look),
		bool wants_direct,
		void (*done)(struct conn *conn, const struct look *look))
{
	struct look *look = mem_alloc(sizeof(*look));
	struct look none = { .fd = -1, .direct = -1, .error = -ENOMEM };

	if (!look) {
		elsewhere_close(fd, conn->uid);
		done(conn, &none);
		return;
	}
	look->conn = conn;
	look->loop = conn->server->pager->loop;
	look->check = check;
	look->done = done;
	look->fd = fd;
	look->direct = -1;
	look->whom = conn->uid;
	look->server = elsewhere_server(fd);
	look->wants_direct = wants_direct;
	look->work.run = work;
	timer_init(&look->again, again);
	conn->look = look;
	if (look->server) {
		try(look);
		return;
	}
	look->error = check(look);
	end(look);
}

bool looking_forget(struct conn *conn)
{
	struct look *look = conn->look;

	if (look)
		look->conn = NULL;
	conn->look = NULL;
	return look;
}
