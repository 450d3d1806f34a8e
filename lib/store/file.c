/* SPDX-License-Identifier: MIT */
/*
 * The file store: a regular file, through the loop's transfers
 *
 *   begin ──► issue ──► transfer ──► transferred ──► wmap_io_done
 *     │         └──── short, or EINTR ────┘ │
 *     └──► read_cached: what the page cache has
 *
 * A transfer that ends short is issued again for the rest, until it is whole,
 * brings nothing (the end of the file, when reading) or fails. How far it has
 * come is where the transfer's buffer stands.
 *
 * O_DIRECT has a descriptor of its own and takes whole 4 KiB blocks; what is
 * left of them (the last bytes of a write, the rest of a short read) goes
 * through the page cache by the other descriptor, as does what the file system
 * refuses: with EINVAL because its blocks are larger, with EIO because a write
 * through the page cache has not been given blocks yet (iomap: "collision").
 * The kernel keeps the two consistent. A thrifty one goes that way, too, but for
 * reads of what the page cache has already.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/un.h>

#include "elsewhere.h"
#include "io.h"
#include "lock.h"
#include "mem.h"
#include "sys.h"

#define LINK_SIZE 32 /* of "/proc/self/fd/N" */
#define PATH_SIZE 4096

struct file {
	int fd;
	int direct;	   /* of the same file with O_DIRECT, or -1 */
	bool thrifty;	   /* direct, but for what the page cache has */
	unsigned uncached; /* reads in a row that it did not have */
	uint64_t server;   /* which may be silent (elsewhere.h); 0: nobody */
	uid_t whom;	   /* who has brought it, or ELSEWHERE_NOBODY */
	int owner; /* a socket whose name says that we write back, or -1 */
	struct list owners; /* [l: kept.lock] those that have one */
};

static const enum transfer_operation operations_of[] = {
	[IO_READ] = TRANSFER_READ,
	[IO_WRITE] = TRANSFER_WRITE,
	[IO_FLUSH] = TRANSFER_FLUSH,
};

/* ---- Transfers ----------------------------------------------------------- */

static size_t transferred_so_far(const struct io *io)
{
	return (size_t)((char *)io->transfer.buffer - (char *)io->pub.buffer);
}

/* Bytes from @offset on that O_DIRECT can take: whole blocks, or 0. */
static size_t direct_length(const struct file *file,
			    const struct transfer *rest)
{
	if (file->direct < 0 || rest->offset % PAGE)
		return 0;
	return page_down(rest->length);
}

/* Begin what is left, by @fd or, if it allows, by the direct one. */
static void issue(struct io *io, bool may_be_direct)
{
	const struct file *file = io->at->self;
	struct transfer *transfer = &io->transfer;
	size_t done = transferred_so_far(io), direct;

	transfer->offset = io->pub.offset + done;
	transfer->length = io->pub.length - done;
	transfer->fd = file->fd;
	direct = may_be_direct ? direct_length(file, transfer) : 0;
	if (direct) {
		transfer->length = direct;
		transfer->fd = file->direct;
	}
	loop_transfer(io->loop, transfer);
}

static bool try_again(int64_t result)
{
	return result == -EINTR || result == -EAGAIN;
}

/* A disk that fails will say so again. */
static bool is_refused(const struct file *file, const struct transfer *transfer)
{
	return transfer->fd == file->direct &&
	       (transfer->result == -EINVAL || transfer->result == -EIO);
}

static void transferred(struct transfer *transfer)
{
	struct io *io = container_of(transfer, struct io, transfer);
	const struct file *file = io->at->self;
	int64_t result = transfer->result;

	if (try_again(result)) {
		issue(io, transfer->fd == file->direct);
		return;
	}
	if (is_refused(file, transfer)) {
		issue(io, false);
		return;
	}
	if (result < 0) {
		wmap_io_done(&io->pub, result);
		return;
	}
	if (result) /* a flush has no buffer */
		transfer->buffer = (char *)transfer->buffer + result;
	if (result > 0 && transferred_so_far(io) < io->pub.length)
		issue(io, true);
	else
		wmap_io_done(&io->pub, (int64_t)transferred_so_far(io));
}

#define ASK_EVERY 16 /* reads, where the page cache seems to have nothing */

/*
 * All of it; asking does not bring it there. Asking costs a random read 4 % of its
 * CPU time, so where the answer was no it is asked now and then: what is missed
 * that way is read from the disk, and right.
 */
static bool is_cached(struct file *file, const struct io *io)
{
	struct sys_cachestat_range range = { io->pub.offset, io->pub.length };
	struct sys_cachestat stat = { 0 };
	long err;

	if (file->uncached++ > ASK_EVERY && file->uncached % ASK_EVERY)
		return false;
	err = sys_call(SYS_cachestat, file->fd, &range, &stat, 0);
	if (err || stat.nr_cache << PAGE_SHIFT < io->pub.length)
		return false;
	file->uncached = 0;
	return true;
}

/*
 * A page that the page cache has takes one call here, and a turn of the loop
 * less than a transfer, which is a quarter of what its fault takes. False: it
 * would have to wait, or the file system cannot say.
 */
static bool read_cached(struct file *file, struct io *io)
{
	struct iovec to = { io->pub.buffer, io->pub.length };
	long n;

	if (io->operation != IO_READ)
		return false;
	if (file->direct >= 0 && !(file->thrifty && is_cached(file, io)))
		return false;
	n = sys_call(SYS_preadv2, file->fd, &to, 1, io->pub.offset, 0,
		     RWF_NOWAIT);
	if (n < 0)
		return false;
	io->transfer.result = n;
	transferred(&io->transfer);
	return true;
}

static void begin(void *self, struct wmap_io *pub)
{
	struct file *file = self;
	struct io *io = io_of(pub);

	io->transfer.operation = operations_of[io->operation];
	io->transfer.buffer = pub->buffer;
	io->transfer.done = transferred;
	io->transfer.patient = file->server;
	if (file->server || !read_cached(file, io))
		issue(io, true);
}

/* As the kernel knows it, which is what mmap(2) goes by: a server or a process that
   has the file may be silent, and the pager must not wait for it here. */
static int64_t file_length(void *self)
{
	const struct file *file = self;
	struct stat stat;
	int err = elsewhere_stat(file->fd, &stat);

	return err ? err : (int64_t)stat.st_size;
}

/* ---- Life ---------------------------------------------------------------- */

#define KEPT 256 /* at most; then the oldest is closed all the same */

static struct {
	struct lock lock;
	int fds[KEPT]; /* [l] open longer than needed */
	unsigned n;    /* [l] */
} kept;

/* To a lock of an open file description those of a process are others', also
   its own process's. */
static bool is_locked(int fd)
{
	struct flock lock = {
		.l_type = F_WRLCK,
		.l_whence = SEEK_SET,
	};

	return !sys_call(SYS_fcntl, fd, F_OFD_GETLK, &lock) &&
	       lock.l_type != F_UNLCK;
}

/* Close what may be closed now, and keep the rest. */
static void close_kept(void)
{
	unsigned n = 0;

	for (unsigned i = 0; i < kept.n; i++)
		if (is_locked(kept.fds[i]))
			kept.fds[n++] = kept.fds[i];
		else
			sys_call(SYS_close, kept.fds[i]);
	kept.n = n;
}

static void keep(int fd)
{
	if (kept.n == KEPT) {
		sys_call(SYS_close, kept.fds[0]);
		memmove(&kept.fds[0], &kept.fds[1],
			(KEPT - 1) * sizeof(*kept.fds));
		kept.n--;
	}
	kept.fds[kept.n++] = fd;
}

void store_file_close_for(int fd, uid_t whom)
{
	if (fd < 0)
		return;
	if (elsewhere_is_open()) {
		elsewhere_close(fd, whom);
		return;
	}
	lock_take(&kept.lock);
	close_kept();
	if (is_locked(fd))
		keep(fd);
	else
		sys_call(SYS_close, fd);
	lock_drop(&kept.lock);
}

void store_file_close(int fd)
{
	store_file_close_for(fd, ELSEWHERE_NOBODY);
}

/* ---- Who writes back -------------------------------------------------------- */

static struct list all_owners = { &all_owners, &all_owners };

/* One name for a file in all processes; it goes with the last descriptor. No
   lock on the file itself: a program may lock all of it. */
static socklen_t name_owner(const struct stat *stat, struct sockaddr_un *name)
{
	int n;

	memset(name, 0, sizeof(*name));
	name->sun_family = AF_UNIX;
	n = snprintf(name->sun_path + 1, sizeof(name->sun_path) - 1,
		     "wmap/%lx/%lx", stat->st_dev, stat->st_ino);
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + n);
}

/* A descriptor, or 0 where there are no such sockets, and nobody to keep away. */
static int own(const struct stat *stat)
{
	struct sockaddr_un name;
	socklen_t length = name_owner(stat, &name);
	long err, fd = sys_call(SYS_socket, AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC,
				0);

	if (fd < 0)
		return fd == -EMFILE || fd == -ENFILE ? (int)fd : 0;
	err = sys_call(SYS_bind, fd, &name, length);
	if (!err)
		return (int)fd;
	sys_call(SYS_close, fd);
	return err == -EADDRINUSE ? -EBUSY : 0;
}

/* Under the lock, so that no fork sees a descriptor that is in no list. */
int store_file_lock(struct wmap_store *store)
{
	struct file *file = store->self;
	struct stat stat;
	int fd, err = elsewhere_stat(file->fd, &stat);

	if (err)
		return err;
	lock_take(&kept.lock);
	fd = own(&stat);
	if (fd > 0) {
		file->owner = fd;
		list_add(&all_owners, &file->owners);
	}
	lock_drop(&kept.lock);
	return fd < 0 ? fd : 0;
}

static void disown(struct file *file)
{
	if (file->owner < 0)
		return;
	lock_take(&kept.lock);
	list_del(&file->owners);
	lock_drop(&kept.lock);
	sys_call(SYS_close, file->owner);
	file->owner = -1;
}

void store_file_unlock(struct wmap_store *store)
{
	disown(store->self);
}

/*
 * The child writes nothing back, and lets go of the names. The parent waits for
 * that, at the end of a pipe; else a child that has not run yet would keep it
 * from taking a name again:
 *
 *   parent                  child
 *   fork
 *   unmaps, closes
 *   maps again: in use
 *                           closes its copy
 */
static int gone[2]; /* [l: kept.lock] */

void store_file_before_fork(void)
{
	lock_take(&kept.lock);
	gone[0] = gone[1] = -1;
	if (!list_empty(&all_owners))
		sys_call(SYS_pipe2, gone, O_CLOEXEC);
}

static void wait_for_child(void)
{
	char none;

	while (sys_call(SYS_read, gone[0], &none, sizeof(none)) == -EINTR)
		;
}

void store_file_after_fork(bool child)
{
	if (child) {
		list_for_each(file, &all_owners, struct file, owners)
			sys_call(SYS_close, file->owner);
		list_init(&all_owners);
	}
	if (gone[1] >= 0) {
		sys_call(SYS_close, gone[1]);
		if (!child)
			wait_for_child();
		sys_call(SYS_close, gone[0]);
	}
	lock_drop(&kept.lock);
}

static void file_close(void *self)
{
	struct file *file = self;

	disown(file);
	store_file_close_for(file->direct, file->whom);
	store_file_close_for(file->fd, file->whom);
	mem_free(file, sizeof(*file));
}

static const struct wmap_store_ops operations = {
	.size = sizeof(operations),
	.read = begin,
	.write = begin,
	.flush = begin,
	.length = file_length,
	.close = file_close,
};

static void link_of(int fd, char link[LINK_SIZE])
{
	snprintf(link, LINK_SIZE, "/proc/self/fd/%d", fd);
}

/* The same file, opened anew; a descriptor or a negative errno. */
static int open_again(int fd, int flags)
{
	char link[LINK_SIZE];

	link_of(fd, link);
	return (int)sys_call(SYS_openat, AT_FDCWD, link,
			     flags | O_CLOEXEC | O_NOCTTY);
}

static void path_of(int fd, char path[PATH_SIZE])
{
	char link[LINK_SIZE];
	long n;

	link_of(fd, link);
	n = sys_call(SYS_readlinkat, AT_FDCWD, link, path, PATH_SIZE - 1);
	if (n < 0)
		n = 0;
	path[n] = '\0';
}

int store_file_open_direct(int fd, bool writable)
{
	return open_again(fd, (writable ? O_RDWR : O_RDONLY) | O_DIRECT);
}

int store_file_create(int fd, int direct, bool writable, const char *name,
		      struct wmap_store **store)
{
	struct file *file = mem_alloc(sizeof(*file));
	char path[PATH_SIZE];
	int err;

	if (!file)
		return -ENOMEM;
	file->fd = fd;
	file->direct = direct;
	file->server = elsewhere_is_open() ? elsewhere_server(fd) : 0;
	file->whom = ELSEWHERE_NOBODY;
	file->owner = -1;
	list_init(&file->owners);
	if (!name) {
		path_of(fd, path);
		name = path;
	}
	err = store_create(&operations, file, name, writable, store);
	if (err) {
		mem_free(file, sizeof(*file));
		return err;
	}
	(*store)->ends_reads = true;
	(*store)->is_file = true;
	return 0;
}

void store_file_set_whom(struct wmap_store *store, uid_t whom)
{
	struct file *file = store->self;

	file->whom = whom;
}

/* ---- A descriptor of our own --------------------------------------------- */

/* 0 if @fd is open for reading, and how; *@flags are those of open(2). */
static int check_open(int fd, int *flags)
{
	long result = sys_call(SYS_fcntl, fd, F_GETFL);

	if (result < 0)
		return (int)result;
	if (result & O_PATH)
		return -EBADF;
	if ((result & O_ACCMODE) == O_WRONLY)
		return -EACCES;
	*flags = (int)result;
	return 0;
}

static int check_regular(int fd, struct stat *stat)
{
	long err = sys_call(SYS_fstat, fd, stat);

	if (err < 0)
		return (int)err;
	return S_ISREG(stat->st_mode) ? 0 : -ENODEV;
}

/* Writes through a duplicate would obey O_APPEND, and O_DIRECT refuse tails. */
static int duplicate(int fd, int flags)
{
	if (((flags & O_APPEND) && (flags & O_ACCMODE) == O_RDWR) ||
	    (flags & O_DIRECT))
		return -EACCES;
	return (int)sys_call(SYS_fcntl, fd, F_DUPFD_CLOEXEC, 0);
}

/* Another thread may have put another file behind the number meanwhile. */
static int check_same(int own, const struct stat *stat)
{
	struct stat now;
	int err = check_regular(own, &now);

	if (err)
		return err;
	return now.st_dev == stat->st_dev && now.st_ino == stat->st_ino ?
		       0 :
		       -EBADF;
}

int store_file_reopen(int fd, int *result, bool *writable)
{
	struct stat stat;
	int flags = 0, own;
	int err = check_open(fd, &flags);

	if (!err)
		err = check_regular(fd, &stat);
	if (err)
		return err;
	own = open_again(fd, flags & O_ACCMODE);
	if (own < 0)
		own = duplicate(fd, flags);
	if (own < 0)
		return own;
	err = check_same(own, &stat);
	if (err) {
		store_file_close(own);
		return err;
	}
	*result = own;
	*writable = (flags & O_ACCMODE) == O_RDWR;
	return 0;
}

struct wmap_store *wmap_store_file(int fd, int flags)
{
	struct wmap_store *store;
	bool writable;
	int own, direct = -1, err = -EINVAL;

	if (flags & ~WMAP_FILE_DIRECT)
		goto err;
	err = store_file_reopen(fd, &own, &writable);
	if (err)
		goto err;
	if (flags & WMAP_FILE_DIRECT)
		err = direct = store_file_open_direct(own, writable);
	if (err >= 0)
		err = store_file_create(own, direct, writable, NULL, &store);
	if (err)
		goto err_own;
	return store;

err_own:
	store_file_close(direct);
	store_file_close(own);
err:
	errno = -err;
	return NULL;
}

/* ---- Who wrote before us ------------------------------------------------------- */

/* Of this opening of the file: it goes with its last reference. */
static int lock_byte(int fd, uint32_t byte)
{
	struct flock lock = {
		.l_type = F_RDLCK,
		.l_whence = SEEK_SET,
		.l_start = byte,
		.l_len = 1,
	};

	return fd < 0 ? 0 : (int)sys_call(SYS_fcntl, fd, F_OFD_SETLK, &lock);
}

int store_file_begin(struct wmap_store *store, uint32_t turn)
{
	const struct file *file = store->self;
	int error = lock_byte(file->fd, turn);

	return error ? error : lock_byte(file->direct, turn);
}

bool store_file_is_haunted(int fd, uint32_t turn)
{
	struct flock lock = {
		.l_type = F_WRLCK,
		.l_whence = SEEK_SET,
		.l_len = turn, /* 0: to the end */
	};

	return turn && (sys_call(SYS_fcntl, fd, F_OFD_GETLK, &lock) ||
			lock.l_type != F_UNLCK);
}

bool store_file_is_patient(const struct wmap_store *store)
{
	const struct file *file = store->self;

	return file->server;
}

int store_file_descriptor(const struct wmap_store *store)
{
	const struct file *file = store->self;

	return store->ops.close == file_close ? file->fd : -1;
}

/* A store on its way to being thrifty. */
struct thrift {
	struct elsewhere work;
	struct loop *loop;
	struct wmap_store *store;
	int direct;
};

void store_file_set_thrifty(struct wmap_store *store, int direct)
{
	struct file *file = store->self;

	if (direct < 0)
		return;
	if (file->direct >= 0) {
		store_file_close_for(direct, file->whom);
		return;
	}
	file->thrifty = true;
	file->direct = direct;
}

static void opened(struct post *post)
{
	struct thrift *thrift = container_of(post, struct thrift, work.post);

	store_file_set_thrifty(thrift->store, thrift->direct);
	wmap_store_put(thrift->store);
	mem_free(thrift, sizeof(*thrift));
}

static void open_it(struct elsewhere *work)
{
	struct thrift *thrift = container_of(work, struct thrift, work);
	const struct file *file = thrift->store->self;

	thrift->direct =
		store_file_open_direct(file->fd, thrift->store->writable);
	work->post.run = opened;
	loop_post(thrift->loop, &work->post);
}

static void open_elsewhere(struct wmap_store *store, struct loop *loop)
{
	const struct file *file = store->self;
	struct thrift *thrift = mem_alloc(sizeof(*thrift));

	if (!thrift)
		return;
	thrift->store = wmap_store_get(store);
	thrift->loop = loop;
	thrift->work.run = open_it;
	if (elsewhere_run(&thrift->work, file->server, file->whom)) {
		wmap_store_put(store);
		mem_free(thrift, sizeof(*thrift));
	}
}

void store_file_thrifty(struct wmap_store *store, struct loop *loop)
{
	const struct file *file;

	if (!store->is_file)
		return;
	file = store->self;
	if (file->direct >= 0)
		return;
	if (file->server && loop)
		open_elsewhere(store, loop);
	else
		store_file_set_thrifty(store,
				       store_file_open_direct(file->fd,
							      store->writable));
}

int64_t store_file_peek(struct wmap_store *store, void *buffer, size_t length,
			uint64_t offset)
{
	const struct file *file = store->self;

	return sys_call(SYS_pread64, file->fd, buffer, length, offset);
}
