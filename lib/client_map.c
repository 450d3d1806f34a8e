/* SPDX-License-Identifier: MIT */
/* Mapping, unmapping and resizing: the client's work on addresses (client.h) */
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "client.h"
#include "gate.h"
#include "growth.h"
#include "guard.h"
#include "io.h"
#include "message.h"
#include "ours.h"
#include "sys.h"

#define RESERVED (MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE)

/* Addresses left free above a GROWSUP mapping whose place we choose. */
#define GROWTH (1ull << 30)

/* What was booked is not there after all. */
static void unbook(uint64_t address, uint64_t length)
{
	struct message message = {
		.kind = MESSAGE_UNMAP,
		.address = address,
		.length = length,
		.unmap.unshown = true,
	};

	client_call(&message);
	ours_remove(address, address + page_up(length));
}

/* ---- Growth pages ------------------------------------------------------------- */

/* What a pager in another process cannot do for us (books_change.c has the order
   of it). */
static int growth_is(uint64_t page, bool placed)
{
	struct message message = {
		.kind = MESSAGE_GROW,
		.address = page,
		.grow = { .commit = true, .placed = placed },
	};

	return client_call(&message);
}

static void regrow(uint64_t address)
{
	struct message message = { .kind = MESSAGE_REGROW, .address = address };
	uint64_t page;

	if (client_call(&message) || !message.grow.page)
		return;
	page = message.grow.page;
	if (!growth_place(&message, client_uffd()) && growth_is(page, true))
		sys_unmap(page, PAGE);
	client_memfd_done(message.grow.memfd);
}

/* Those of other mappings are free for us. */
static bool yielded(uint64_t address, uint64_t length)
{
	struct message message = {
		.kind = MESSAGE_YIELD,
		.address = address,
		.length = length,
	};
	bool any = false;

	while (!client_call(&message)) {
		any = true;
		if (!client_is_remote())
			break;
		sys_unmap(message.grow.page, PAGE);
		growth_is(message.grow.page, false);
	}
	return any;
}

/* Has anything of this process ever grown? [a] orders nothing: who unmaps what
   another thread has mapped knows of it. */
static _Atomic bool grows;

/*
 * What ends at @end is about to be unmapped. Its growth page goes first, by requests
 * that may be made again: of an UNMAP that was done by a wmapd that has died the
 * next one does not know that there was one.
 */
static void yield_above(uint64_t end)
{
	if (client_is_remote() &&
	    atomic_load_explicit(&grows, memory_order_relaxed))
		yielded(end, PAGE);
}

/* It stays. */
static void regrow_above(uint64_t end)
{
	if (client_is_remote() &&
	    atomic_load_explicit(&grows, memory_order_relaxed))
		regrow(end);
}

/* ---- Reserving ---------------------------------------------------------------*/

static long reserve_at(uint64_t address, uint64_t length)
{
	int flags = RESERVED | MAP_FIXED_NOREPLACE;
	long got = sys_map(address, length, PROT_NONE, flags, -1, 0);

	if (got == -EEXIST && yielded(address, length))
		got = sys_map(address, length, PROT_NONE, flags, -1, 0);
	/* An address that no mapping can have. */
	return got == -EPERM ? -ENOMEM : got;
}

static long reserve_to_grow(uint64_t hint, uint64_t length)
{
	long got = sys_map(hint, length + GROWTH, PROT_NONE, RESERVED, -1, 0);

	if (sys_failed(got))
		return sys_map(hint, length, PROT_NONE, RESERVED, -1, 0);
	sys_unmap(got + length, GROWTH);
	return got;
}

static int reserve_again(uint64_t address, uint64_t length)
{
	long got = sys_map(address, length, PROT_NONE, RESERVED | MAP_FIXED, -1,
			   0);

	return sys_failed(got) ? (int)got : 0;
}

static long reserve_over(uint64_t address, uint64_t length)
{
	int error = client_vacate(address, address + length);

	if (!error)
		error = reserve_again(address, length);
	return error ? error : (long)address;
}

/* May it come as huge pages (huge.h)? Then it is aligned as such. */
static bool is_huge(const struct client_map *map)
{
	return map->grain == GRAIN_MAX >> PAGE_SHIFT;
}

static long reserve_aligned(uint64_t hint, uint64_t length)
{
	uint64_t size = length + GRAIN_MAX, start, end;
	long got = sys_map(hint, size, PROT_NONE, RESERVED, -1, 0);

	if (sys_failed(got))
		return sys_map(hint, length, PROT_NONE, RESERVED, -1, 0);
	start = ((uint64_t)got + GRAIN_MAX - 1) & ~((uint64_t)GRAIN_MAX - 1);
	end = start + length;
	if (start > (uint64_t)got)
		sys_unmap(got, start - (uint64_t)got);
	sys_unmap(end, (uint64_t)got + size - end);
	return (long)start;
}

static int reserve(const struct client_map *map, uint64_t length,
		   uint64_t *address)
{
	long got;

	if (map->flags & WMAP_REPLACE)
		got = reserve_over(map->address, length);
	else if (map->flags & WMAP_FIXED)
		got = reserve_at(map->address, length);
	else if (map->flags & WMAP_GROWSUP)
		got = reserve_to_grow(map->address, length);
	else if (is_huge(map))
		got = reserve_aligned(map->address, length);
	else
		got = sys_map(map->address, length, PROT_NONE, RESERVED, -1, 0);
	if (sys_failed(got))
		return (int)got;
	*address = (uint64_t)got;
	return 0;
}

/* ---- Mapping -----------------------------------------------------------------*/

static void name_of(int fd, char *name)
{
	char link[32];
	long n;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = sys_call(SYS_readlinkat, AT_FDCWD, link, name, PATH_MAX - 1);
	name[n > 0 ? n : 0] = 0;
}

/* Fill in what the pager has to know of the caller's file. */
static int open_file(const struct client_map *map, struct message *message,
		     char *name)
{
	struct stat stat;
	int error = store_file_reopen(map->fd, &message->map.file,
				      &message->map.writable);

	if (error)
		return error;
	error = (int)sys_call(SYS_fstat, message->map.file, &stat);
	if (!error && map->flags & WMAP_SHARED && map->prot & PROT_WRITE &&
	    !message->map.writable)
		error = -EACCES;
	if (error) {
		store_file_close(message->map.file);
		return error;
	}
	name_of(map->fd, name);
	message->map.dev = stat.st_dev;
	message->map.ino = stat.st_ino;
	message->map.name = name;
	return 0;
}

static int place(const struct client_map *map, const struct message *message,
		 uint64_t length)
{
	bool plain = message->map.memfd < 0;
	int error = sys_place(client_uffd(), message->address, length,
			      map->prot, message->map.shared, MAP_FIXED,
			      message->map.memfd, map->offset,
			      message->map.modes, plain);

	if (!error && plain && is_huge(map))
		sys_call(SYS_madvise, message->address, length, MADV_HUGEPAGE);
	return error;
}

/* Book it over reserved addresses and put the memory there. */
static int map_reserved(const struct client_map *map, struct message *message,
			uint64_t length)
{
	int error = client_call(message);

	/* No pager has seen it, and taken its descriptor over. */
	if ((error == -ESRCH || error == -EDEADLK) && message->map.file >= 0)
		store_file_close(message->map.file);
	if (error)
		return error;
	/* Without an agent there is no page to grow. */
	if (map->flags & WMAP_GROWSUP && !message->map.growing) {
		length -= PAGE;
		sys_unmap(message->address + length, PAGE);
	}
	error = ours_add(
		message->address, message->address + page_up(message->length),
		ours_kind_of(message->map.memfd < 0, message->map.shared));
	if (!error)
		error = place(map, message, length);
	client_memfd_done(message->map.memfd);
	if (error)
		unbook(message->address, message->length);
	return error;
}

static int map_inside(const struct client_map *map, uint64_t *address)
{
	char name[PATH_MAX];
	bool growing = map->flags & WMAP_GROWSUP;
	uint64_t length = page_up(map->length) + (growing ? PAGE : 0);
	struct message message = {
		.kind = MESSAGE_MAP,
		.length = map->length,
		.map = {
			.prot = map->prot,
			.flags = map->flags,
			.offset = map->offset,
			.grain = map->grain,
			.deadline = map->deadline,
			.memory = map->memory,
			.store = map->store,
			.file = -1,
			.growing = growing,
		},
	};
	int error;

	/* Its functions are in no other process. */
	if (map->store && client_is_remote())
		return -EOPNOTSUPP;
	if (growing)
		atomic_store_explicit(&grows, true, memory_order_relaxed);
	if (growing && client_is_remote())
		guard_await();
	error = map->fd >= 0 ? open_file(map, &message, name) : 0;
	if (error)
		return error;
	error = reserve(map, length, &message.address);
	if (error) {
		if (message.map.file >= 0)
			store_file_close(message.map.file);
		return error;
	}
	error = map_reserved(map, &message, length);
	if (error)
		sys_unmap(message.address, length);
	else
		*address = message.address;
	return error;
}

int client_map(const struct client_map *map, uint64_t *address)
{
	uint64_t signals;
	int error;

	gate_enter(&signals);
	error = map_inside(map, address);
	gate_leave(signals);
	return error;
}

/* ---- Unmapping -----------------------------------------------------------------*/

/* The books are done; now the addresses. */
static int unmap_booked(struct message *message, uint64_t address,
			uint64_t length)
{
	int error;

	ours_remove(address, address + length);
	error = sys_unmap(address, length);
	if (message->unmap.regrow)
		regrow(message->address);
	return error;
}

/* As two requests, of which each may be made again if wmapd dies meanwhile. */
static int unmap_found(uint64_t address)
{
	struct wmap_mapping_info info;
	struct message message = {
		.kind = MESSAGE_LIST,
		.address = address,
		.list = { .infos = &info, .room = 1, .nearest = true },
	};
	int error = client_call(&message);

	if (error)
		return error;
	if (!message.list.count || (uint64_t)info.addr != address)
		return -EINVAL;
	message = (struct message){
		.kind = MESSAGE_UNMAP,
		.address = address,
		.length = page_up(info.length),
	};
	yield_above(address + message.length);
	error = client_call(&message);
	if (!error)
		error = unmap_booked(&message, address, message.unmap.mapped);
	else
		regrow_above(address + message.length);
	return error;
}

static int unmap_exact(uint64_t address)
{
	struct message message = {
		.kind = MESSAGE_UNMAP,
		.address = address,
		.unmap.exact = true,
	};
	int error;

	if (client_is_remote())
		return unmap_found(address);
	error = client_call(&message);
	if (error)
		return error == -ESRCH ? -EINVAL : error;
	return unmap_booked(&message, address, message.unmap.mapped);
}

int client_unmap_exact(uint64_t address)
{
	uint64_t signals;
	int error;

	gate_enter(&signals);
	error = unmap_exact(address);
	gate_leave(signals);
	return error;
}

/*
 * Changing the middle of a mapping makes the kernel split it, which may fail.
 * So it is split first, by an advice that changes nothing else, while failing
 * still leaves everything as it was.
 */
static int split(uint64_t start, uint64_t length)
{
	int error = (int)sys_call(SYS_madvise, start, length, MADV_DONTDUMP);

	return error == -EAGAIN ? -ENOMEM : error;
}

static void unsplit(uint64_t start, uint64_t length)
{
	sys_call(SYS_madvise, start, length, MADV_DODUMP);
}

/*
 * @keep: reserve the addresses instead of unmapping them, in one step: another
 * thread's mmap must not land where the caller will map with MAP_FIXED.
 */
static int unmap_piece(uint64_t start, uint64_t end, bool keep)
{
	struct message message = {
		.kind = MESSAGE_UNMAP,
		.address = start,
		.length = end - start,
	};
	int error = split(start, end - start);

	if (error)
		return error;
	yield_above(end);
	error = client_call(&message);
	if (error) {
		unsplit(start, end - start);
		regrow_above(end);
		return error;
	}
	if (!keep || reserve_again(start, end - start))
		return unmap_booked(&message, start, message.unmap.mapped);
	ours_remove(start, end);
	if (message.unmap.mapped > end - start) /* a growth page */
		sys_unmap(end, message.unmap.mapped - (end - start));
	return 0;
}

static int unmap_pieces(uint64_t start, uint64_t end, bool keep)
{
	void *piece;
	size_t length;
	uint64_t signals;
	int error = 0;

	gate_enter(&signals);
	while (!error && start < end &&
	       wmap_range_next((void *)start, end - start, &piece, &length)) {
		start = (uint64_t)piece + length;
		error = unmap_piece((uint64_t)piece, start, keep);
	}
	gate_leave(signals);
	return error;
}

int client_unmap(uint64_t start, uint64_t end)
{
	return unmap_pieces(start, end, false);
}

int client_vacate(uint64_t start, uint64_t end)
{
	return unmap_pieces(start, end, true);
}

int wmap_range_vacate(void *addr, size_t length)
{
	uint64_t start = (uint64_t)addr;
	int error = client_vacate(start, start + page_up(length));

	if (error)
		errno = -error;
	return error ? -1 : 0;
}

/* ---- Protecting ------------------------------------------------------------ */

static int protect_inside(uint64_t address, uint64_t length, int prot)
{
	struct message message = {
		.kind = MESSAGE_PROTECT,
		.address = address,
		.length = length,
		.protect.prot = prot,
	};
	int error;

	if (!wmap_range_ours((void *)address, length))
		return -ENOMEM;
	error = split(address, length);
	if (!error)
		error = client_call(&message);
	if (!error)
		error = sys_protect(address, length, prot);
	unsplit(address, length);
	return error;
}

int client_protect(uint64_t address, uint64_t length, int prot)
{
	uint64_t signals;
	int error;

	gate_enter(&signals);
	error = protect_inside(address, length, prot);
	gate_leave(signals);
	return error;
}

/* ---- Resizing ------------------------------------------------------------------*/

struct resize {
	struct message message; /* MESSAGE_MOVE */
	uint64_t old, new;	/* bytes of whole pages */
	bool carried;		/* mremap has been done */
};

static int look(struct resize *resize)
{
	resize->message.move.commit = false;
	return client_call(&resize->message);
}

static enum ours_kind resize_kind(const struct resize *resize)
{
	return ours_kind_of(resize->message.move.inherit,
			    resize->message.move.shared);
}

static int commit(struct resize *resize, uint64_t to)
{
	uint64_t from = resize->message.address;
	int error = ours_add(to, to + resize->new, resize_kind(resize));

	if (error)
		return error;
	resize->message.move.commit = true;
	resize->message.move.new_address = to;
	error = client_call(&resize->message);
	if (!error && to != from)
		ours_remove(from, from + resize->old);
	else if (error && to != from)
		ours_remove(to, to + resize->new);
	else if (error && resize->new > resize->old)
		ours_remove(from + resize->old, from + resize->new);
	return error;
}

/* The memory for what was added above [address, address + old). */
static int place_above(const struct resize *resize, uint64_t address)
{
	const struct message *message = &resize->message;

	return sys_place(client_uffd(), address + resize->old,
			 resize->new - resize->old, message->move.prot,
			 message->move.shared, MAP_FIXED, message->move.memfd,
			 message->move.memfd_offset, message->move.modes,
			 message->move.inherit);
}

static int shrink(struct resize *resize)
{
	uint64_t address = resize->message.address;
	int error = 0;

	if (resize->new < resize->old)
		error = unmap_piece(address + resize->new,
				    address + resize->old, false);
	if (error)
		return error;
	/* What is left is as long as its pages; book its length in bytes. */
	resize->message.length = resize->new;
	resize->message.move.exact = false;
	return commit(resize, address);
}

/* Book it at its old place, as long in bytes as it was. */
static void book_back(const struct resize *resize, uint64_t at, uint64_t length)
{
	struct message back = {
		.kind = MESSAGE_MOVE,
		.address = at,
		.length = length,
		.move = {
			.commit = true,
			.new_address = resize->message.address,
			.new_length = resize->message.length,
		},
	};

	client_call(&back);
	ours_remove(at, at + page_up(length));
	ours_add(resize->message.address, resize->message.address + resize->old,
		 resize_kind(resize));
}

static int grow_in_place(struct resize *resize)
{
	uint64_t address = resize->message.address;
	uint64_t end = address + resize->old, more = resize->new - resize->old;
	long got = more ? reserve_at(end, more) : (long)end;
	int error;

	if (sys_failed(got))
		return (int)got;
	error = commit(resize, address);
	if (!error && more) {
		error = place_above(resize, address);
		if (error) {
			unbook(end, more);
			book_back(resize, address, resize->old);
		}
	}
	if (error && more)
		sys_unmap(end, more);
	return error;
}

static int carry_whole(uint64_t from, uint64_t to, uint64_t length)
{
	long got = sys_call(SYS_mremap, from, length, length,
			    MREMAP_MAYMOVE | MREMAP_FIXED, to);

	return sys_failed(got) ? (int)got : 0;
}

/* The kernel moves one piece of memory at a time, and says EFAULT to more than
   one; where they meet it does not say. */
static int carry_pieces(uint64_t from, uint64_t to, uint64_t length)
{
	uint64_t half = page_down(length / 2);
	int error = carry_whole(from, to, length);

	if (error != -EFAULT || !half)
		return error;
	error = carry_pieces(from, to, half);
	if (error)
		return error;
	error = carry_pieces(from + half, to + half, length - half);
	if (error)
		carry_pieces(to, from, half);
	return error;
}

/*
 * Unregistered first: mremap takes it along so, and where the kernel joins it with
 * what lies beside its new place, of the same file and protection, that is so from
 * then on, too: zeros, where its pages are missing.
 */
static int carry_bare(uint64_t from, uint64_t to, uint64_t length)
{
	uffd_unregister(client_uffd(), from, length);
	return carry_pieces(from, to, length);
}

/* No thread may load or store at either address until the memory is there and
   registered. */
static int carry(struct resize *resize, uint64_t to)
{
	struct message *message = &resize->message;
	struct message protect = {
		.kind = MESSAGE_PROTECT,
		.address = to,
		.length = resize->new,
		.protect.moved = true,
	};
	uint64_t least = min_u64(resize->old, resize->new);
	int error = carry_bare(message->address, to, least);

	if (error) {
		uffd_register(client_uffd(), message->address, least,
			      message->move.modes);
		return error;
	}
	resize->carried = true;
	error = uffd_register(client_uffd(), to, least, message->move.modes);
	if (!error && resize->new > resize->old)
		error = place_above(resize, to);
	if (!error)
		error = client_call(&protect);
	if (!error)
		error = sys_protect(to, least, message->move.prot);
	return error;
}

/* Unless another thread has mapped something there meanwhile. */
static int carry_back(const struct resize *resize, uint64_t to)
{
	const struct message *message = &resize->message;
	long got = sys_map(message->address, resize->old, PROT_NONE,
			   RESERVED | MAP_FIXED_NOREPLACE, -1, 0);
	int error = sys_failed(got) ? (int)got : 0;

	if (!error)
		error = sys_protect(to, resize->old, PROT_NONE);
	if (!error)
		error = carry_bare(to, message->address, resize->old);
	if (!error)
		error = uffd_register(client_uffd(), message->address,
				      resize->old, message->move.modes);
	return error;
}

/* What cannot be had back gives SIGSEGV, and no zeros. */
static void undo(const struct resize *resize, uint64_t to)
{
	const struct message *message = &resize->message;
	struct message protect = {
		.kind = MESSAGE_PROTECT,
		.address = message->address,
		.length = resize->old,
		.protect.moved = true,
	};
	int error = resize->carried ? carry_back(resize, to) : 0;

	book_back(resize, to, resize->new);
	if (!error && resize->carried)
		error = client_call(&protect);
	if (!error)
		sys_protect(message->address, resize->old, message->move.prot);
}

static int move_to(struct resize *resize, uint64_t to)
{
	struct message *message = &resize->message;
	int error = sys_protect(message->address, resize->old, PROT_NONE);

	if (error)
		return error;
	error = commit(resize, to);
	if (error) {
		sys_protect(message->address, resize->old, message->move.prot);
		return error;
	}
	error = carry(resize, to);
	if (error)
		undo(resize, to);
	return error;
}

static int move(struct resize *resize, uint64_t *to, bool fixed)
{
	long got = fixed ? reserve_over(*to, resize->new) :
			   sys_map(0, resize->new, PROT_NONE, RESERVED, -1, 0);
	int error;

	if (sys_failed(got))
		return (int)got;
	error = move_to(resize, (uint64_t)got);
	if (error)
		sys_unmap(got, resize->new);
	else
		*to = (uint64_t)got;
	return error;
}

static int resize_any(struct resize *resize, int flags, uint64_t *to)
{
	uint64_t address = resize->message.address;
	int error;

	if (flags & WMAP_FIXED) {
		/* What the new place has no room for goes first. */
		if (resize->new < resize->old) {
			error = shrink(resize);
			if (error)
				return error;
			resize->old = resize->new;
		}
		return move(resize, to, true);
	}
	if (resize->new < resize->old) {
		*to = address;
		return shrink(resize);
	}
	error = grow_in_place(resize);
	if (!error)
		*to = address;
	else if (flags & WMAP_MAYMOVE)
		error = move(resize, to, false);
	return error == -EEXIST ? -ENOMEM : error;
}

static int remap_inside(uint64_t address, uint64_t length, uint64_t new_length,
			int flags, bool exact, uint64_t *new_address)
{
	struct resize resize = {
		.message = {
			.kind = MESSAGE_MOVE,
			.address = address,
			.length = length,
			.move = { .new_length = new_length, .exact = exact },
		},
		.old = page_up(length),
		.new = page_up(new_length),
	};
	int error = look(&resize), memfd;

	if (error)
		return error == -ESRCH ? (exact ? -EINVAL : -EFAULT) : error;
	if (resize.message.move.flags & WMAP_GROWSUP && client_is_remote())
		yielded(address + resize.old, PAGE);
	memfd = resize.message.move.memfd;
	error = resize_any(&resize, flags, new_address);
	client_memfd_done(memfd);
	if (resize.message.move.flags & WMAP_GROWSUP)
		regrow(error ? address + resize.old :
			       *new_address + resize.new);
	return error;
}

int client_remap(uint64_t address, uint64_t length, uint64_t new_length,
		 int flags, bool exact, uint64_t *new_address)
{
	uint64_t signals;
	int error;

	gate_enter(&signals);
	error = remap_inside(address, length, new_length, flags, exact,
			     new_address);
	gate_leave(signals);
	return error;
}
