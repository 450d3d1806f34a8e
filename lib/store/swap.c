/* SPDX-License-Identifier: MIT */
/* The swap file, its blocks and records, and the stores of objects (swap.h) */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "mem.h"
#include "pages.h"
#include "slots.h"
#include "swap.h"
#include "sys.h"

#define DIRECTORY "/var/tmp"
#define TMPFS	  0x01021994
#define RAMFS	  0x858458f6
#define PATH_SIZE 4096

/* Where the bytes of a page are, and how many; of a free record its size is 0,
   and where they are the number of the next free one. */
#define SIZE_BITS 13

/* Of a page of zeros, which is nowhere. */
#define ZEROS (UINT64_C(1) << SIZE_BITS)

static uint64_t record_at(uint64_t record)
{
	return record >> SIZE_BITS;
}

static uint16_t record_size(uint64_t record)
{
	return record & ((1u << SIZE_BITS) - 1);
}

struct wmap_store *(*swap_hook)(struct wmap_store *file);

struct swap {
	struct wmap_store *file; /* NULL: not open */
	struct compress compress;
	uint16_t *uses; /* of each block */
	uint64_t n_blocks, room;
	uint64_t n_free; /* of these */
	uint64_t next;	 /* look there first */
	uint64_t *records;
	uint32_t n_records, records_room; /* number 0 is none */
	uint32_t free_record;		  /* the first, or 0 */
	struct slots *slots; /* the records, for a successor; or NULL */
	int opened;	     /* the file, opened once more, for him */
	uint64_t held;	     /* blocks that a predecessor may write to still */
	struct list found;   /* swapped.found: a predecessor's stores */
	uint64_t n_stores;
	uint64_t buffers; /* bytes */
	uint64_t packing; /* bytes of them that are being written */
	bool told;	  /* the log knows that it cannot be opened */
};

/* ---- Growing arrays --------------------------------------------------------- */

/* @bytes of @array, of which there is no more, in one of twice the size. */
static void *doubled(void *array, size_t bytes, size_t least)
{
	void *larger = mem_alloc(bytes ? 2 * bytes : least);

	if (larger && bytes)
		memcpy(larger, array, bytes);
	if (larger)
		mem_free(array, bytes);
	return larger;
}

/* ---- Blocks ------------------------------------------------------------------- */

static void block_put(struct swap *swap, uint64_t block)
{
	assert(swap->uses[block]);
	swap->n_free += !--swap->uses[block];
}

/* The blocks that [at, at + size) has bytes in. */
static void blocks_get(struct swap *swap, uint64_t at, uint64_t size)
{
	for (uint64_t i = at / PAGE; i < page_up(at + size) / PAGE; i++)
		swap->n_free -= !swap->uses[i]++;
}

static void blocks_put(struct swap *swap, uint64_t at, uint64_t size)
{
	for (uint64_t i = at / PAGE; i < page_up(at + size) / PAGE; i++)
		block_put(swap, i);
}

/* A predecessor's writes may be on their way, to what seems to be free. */
static void unhold(struct swap *swap)
{
	if (!swap->held ||
	    store_file_is_haunted(swap->opened, slots_turn(swap->slots)))
		return;
	blocks_put(swap, 0, swap->held * PAGE);
	swap->held = 0;
}

static int extend(struct swap *swap, uint64_t n)
{
	if (swap->slots && swap->n_blocks + n > SLOTS_REACH)
		return -ENOSPC;
	while (swap->n_blocks + n > swap->room) {
		uint16_t *uses =
			doubled(swap->uses, swap->room * sizeof(*uses), PAGE);

		if (!uses)
			return -ENOMEM;
		swap->uses = uses;
		swap->room = swap->room ? 2 * swap->room : PAGE / sizeof(*uses);
	}
	swap->n_blocks += n;
	swap->n_free += n;
	if (swap->slots)
		slots_reached(swap->slots, (uint32_t)swap->n_blocks);
	return 0;
}

/* @n free blocks from @from on, below @end; or UINT64_MAX. */
static uint64_t find_free(const struct swap *swap, uint64_t from, uint64_t end,
			  uint64_t n)
{
	uint64_t run = 0;

	for (uint64_t i = from; i < end; i++) {
		run = swap->uses[i] ? 0 : run + 1;
		if (run == n)
			return i + 1 - n;
	}
	return UINT64_MAX;
}

/* @n blocks side by side, used once each; the file becomes longer if there are
   none. */
static int blocks_take(struct swap *swap, uint64_t n, uint64_t *at)
{
	uint64_t first = UINT64_MAX;
	int error;

	unhold(swap);
	if (swap->n_free >= n)
		first = find_free(swap, swap->next, swap->n_blocks, n);
	if (swap->n_free >= n && first == UINT64_MAX)
		first = find_free(swap, 0, swap->n_blocks, n);
	if (first == UINT64_MAX) {
		first = swap->n_blocks;
		error = extend(swap, n);
		if (error)
			return error;
	}
	swap->next = first + n;
	blocks_get(swap, first * PAGE, n * PAGE);
	*at = first * PAGE;
	return 0;
}

/* What lies free at the end is no part of it any more: it may never have been
   written. */
static void trim(struct swap *swap)
{
	while (swap->n_blocks && !swap->uses[swap->n_blocks - 1]) {
		swap->n_blocks--;
		swap->n_free--;
	}
	swap->next = min_u64(swap->next, swap->n_blocks);
}

/* ---- Records ------------------------------------------------------------------ */

/* 0: no memory, or too many. */
static uint32_t record_take(struct swap *swap)
{
	uint32_t number = swap->free_record;

	if (number) {
		swap->free_record = (uint32_t)record_at(swap->records[number]);
		return number;
	}
	if (swap->n_records == SWAP_PAGES)
		return 0;
	if (swap->n_records + 1 >= swap->records_room) {
		size_t size = sizeof(*swap->records);
		uint64_t *records =
			doubled(swap->records, swap->records_room * size, PAGE);

		if (!records)
			return 0;
		swap->records = records;
		swap->records_room = swap->records_room ?
					     2 * swap->records_room :
					     (uint32_t)(PAGE / size);
	}
	return ++swap->n_records;
}

static void record_put(struct swap *swap, uint32_t number)
{
	uint64_t record = swap->records[number];

	if (swap->slots)
		slots_drop(swap->slots, number);
	if (record_size(record))
		blocks_put(swap, record_at(record), record_size(record));
	swap->records[number] = (uint64_t)swap->free_record << SIZE_BITS;
	swap->free_record = number;
}

/* ---- The file ------------------------------------------------------------------- */

static int check_directory(int fd)
{
	struct statfs stat;
	int error = (int)sys_call(SYS_fstatfs, fd, &stat);

	if (error)
		return error;
	return stat.f_type == TMPFS || stat.f_type == RAMFS ? -EOPNOTSUPP : 0;
}

/* Where there are no files without a name: one that loses it at once. */
static int open_named(const char *directory)
{
	char path[PATH_SIZE + 32];
	int fd = -EEXIST;

	for (unsigned i = 0; i < 100 && fd == -EEXIST; i++) {
		snprintf(path, sizeof(path), "%s/wmap-swap-%d-%u", directory,
			 (int)sys_call(SYS_getpid), i);
		fd = (int)sys_call(SYS_openat, AT_FDCWD, path,
				   O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	}
	if (fd >= 0)
		sys_call(SYS_unlinkat, AT_FDCWD, path, 0);
	return fd;
}

/* Takes @fd over, also on failure. */
static int file_of(int fd, struct wmap_store **file)
{
	int error = store_file_create(fd, -1, true, "swap", file);

	if (error)
		sys_call(SYS_close, fd);
	else
		store_file_thrifty(*file, NULL);
	return error;
}

static int open_file(const char *directory, struct wmap_store **file)
{
	int error, fd = (int)sys_call(SYS_openat, AT_FDCWD, directory,
				      O_RDWR | O_TMPFILE | O_CLOEXEC, 0600);

	if (fd == -EOPNOTSUPP || fd == -EISDIR)
		fd = open_named(directory);
	if (fd < 0)
		return fd;
	error = check_directory(fd);
	if (!error)
		return file_of(fd, file);
	sys_call(SYS_close, fd);
	return error;
}

/* "DIRECTORY" or "DIRECTORY:COMPRESSION". */
static int parse(const char *where, char directory[PATH_SIZE],
		 enum compress_kind *kind)
{
	const char *colon = strrchr(where, ':');
	size_t length = colon ? (size_t)(colon - where) : strlen(where);

	if (!length)
		return -EINVAL;
	if (length >= PATH_SIZE)
		return -ENAMETOOLONG;
	memcpy(directory, where, length);
	directory[length] = 0;
	*kind = COMPRESS_NONE;
	return colon ? compress_find(colon + 1, kind) : 0;
}

static void close_file(struct swap *swap)
{
	wmap_store_put(swap->file);
	compress_close(&swap->compress);
	swap->file = NULL;
}

static void close_slots(struct swap *swap)
{
	if (!swap->slots)
		return;
	if (swap->opened >= 0)
		sys_call(SYS_close, swap->opened);
	slots_close(swap->slots);
	swap->slots = NULL;
}

int swap_set(struct swap *swap, const char *where)
{
	char directory[PATH_SIZE];
	struct compress compress;
	struct wmap_store *file;
	enum compress_kind kind;
	int error = parse(where, directory, &kind);

	if (!error && swap->n_stores)
		error = -EBUSY;
	if (!error)
		error = compress_open(kind, &compress);
	if (error)
		return error;
	error = open_file(directory, &file);
	if (error) {
		compress_close(&compress);
		return error;
	}
	close_file(swap);
	swap->file = swap_hook ? swap_hook(file) : file;
	swap->compress = compress;
	return 0;
}

int swap_ready(struct swap *swap)
{
	const char *where = getenv("WMAP_SWAP");
	int error;

	if (swap->file)
		return 0;
	if (!where)
		where = DIRECTORY;
	if (!*where)
		return -EINVAL;
	error = swap_set(swap, where);
	if (error && !swap->told)
		log_line("swap: no file in %s (errno %d): anonymous memory "
			 "stays",
			 where, -error);
	swap->told = error;
	return error;
}

struct swap *swap_create(void)
{
	struct swap *swap = mem_alloc(sizeof(*swap));

	if (swap)
		list_init(&swap->found);
	return swap;
}

void swap_destroy(struct swap *swap)
{
	if (!swap)
		return;
	assert(!swap->n_stores);
	close_file(swap);
	close_slots(swap);
	mem_free(swap->uses, swap->room * sizeof(*swap->uses));
	mem_free(swap->records, swap->records_room * sizeof(*swap->records));
	mem_free(swap, sizeof(*swap));
}

bool swap_packs(const struct swap *swap)
{
	return swap->compress.kind != COMPRESS_NONE;
}

uint64_t swap_packing(const struct swap *swap)
{
	return swap ? swap->packing : 0;
}

uint64_t swap_buffers(const struct swap *swap)
{
	return swap ? swap->buffers : 0;
}

bool swap_is_zeros(const char *page)
{
	const uint64_t *words = (const void *)page;
	uint64_t any = 0;

	for (size_t i = 0; i < PAGE / sizeof(*words); i++)
		any |= words[i];
	return !any;
}

/* ---- Transfers --------------------------------------------------------------- */

struct swapped {
	struct swap *swap;
	bool zeros;		  /* such pages have a record, ZEROS */
	uint64_t object;	  /* a successor knows it by that; or 0 */
	struct list found;	  /* swap.found */
	struct wmap_store *store; /* of one that is in there; a reference */
	struct pages pages;	  /* views: the number of a page's record */
	struct list writing;	  /* part.link */
};

/* A transfer of a swap store, while its parts are under way. */
struct whole {
	struct wmap_io *pub;
	struct swapped *swapped;
	unsigned pending;
	int error;
};

/* Pages that lie one behind the other in the file. */
struct part {
	struct io io;
	struct list link; /* of a write: swapped.writing */
	struct whole *whole;
	uint64_t first, count; /* pages */
	uint64_t at, size;     /* bytes in the file */
	size_t bounce;	       /* bytes of its own buffer, or 0 */
	uint16_t sizes[];      /* of each page; of zeros: 0; or-ed DROPPED */
};

/* It was dropped while it was written: the file does not have it. */
#define DROPPED 0x8000u

static void *buffer_take(struct swap *swap, size_t size)
{
	void *buffer = mem_alloc(size);

	if (buffer)
		swap->buffers += size;
	return buffer;
}

static void buffer_give(struct swap *swap, void *buffer, size_t size)
{
	if (!buffer)
		return;
	swap->buffers -= size;
	mem_free(buffer, size);
}

static void end(struct whole *whole, int error)
{
	struct wmap_io *pub = whole->pub;
	int result;

	if (!whole->error)
		whole->error = error;
	if (--whole->pending)
		return;
	result = whole->error;
	mem_free(whole, sizeof(*whole));
	wmap_io_done(pub, result ? result : (int64_t)pub->length);
}

static size_t part_size(uint64_t count)
{
	return sizeof(struct part) + count * sizeof(uint16_t);
}

static void part_destroy(struct part *part)
{
	struct swap *swap = part->whole->swapped->swap;
	uint64_t start = page_down(part->at);

	if (part->bounce && part->io.operation == IO_WRITE)
		swap->packing -= part->bounce;
	if (part->bounce)
		buffer_give(swap, part->io.pub.buffer, part->bounce);
	blocks_put(swap, start, page_up(part->at + part->size) - start);
	mem_free(part, part_size(part->count));
}

/* A transfer without a deadline is not late: release tells all. */
static void done(struct io *io)
{
	(void)io;
}

/* Its blocks are used until it is destroyed. */
static void part_start(struct part *part, enum io_operation operation)
{
	struct swap *swap = part->whole->swapped->swap;
	struct io *io = &part->io;
	uint64_t start = page_down(part->at);

	io->operation = operation;
	io->pub.offset = start;
	io->pub.length = page_up(part->at + part->size) - start;
	io->done = done;
	part->whole->pending++;
	io_start(io, io_of(part->whole->pub)->loop, swap->file, 0);
}

static char *page_in(const struct whole *whole, uint64_t index)
{
	return (char *)whole->pub->buffer +
	       ((index << PAGE_SHIFT) - whole->pub->offset);
}

/* ---- Writing ------------------------------------------------------------------ */

/* @index has its bytes there from now on. */
static int note(struct swapped *swapped, uint64_t index, uint64_t at,
		uint64_t size)
{
	struct swap *swap = swapped->swap;
	struct page page = pages_get(&swapped->pages, index);
	uint32_t number = record_take(swap);

	if (!number)
		return -ENOMEM;
	if (size)
		blocks_get(swap, at, size);
	swap->records[number] = size ? at << SIZE_BITS | size : ZEROS;
	if (swap->slots)
		slots_put(swap->slots, number, swapped->object, index,
			  swap->records[number]);
	if (page.state != PAGE_ABSENT)
		record_put(swap, page.views);
	page.state = PAGE_CLEAN;
	page.views = number;
	if (!pages_put(&swapped->pages, page))
		return 0;
	record_put(swap, number);
	return -ENOMEM;
}

static void forget(struct swapped *swapped, uint64_t index)
{
	struct page page = pages_get(&swapped->pages, index);

	if (page.state == PAGE_ABSENT)
		return;
	record_put(swapped->swap, page.views);
	page.state = PAGE_ABSENT;
	pages_put(&swapped->pages, page);
}

static void written(struct io *io)
{
	struct part *part = container_of(io, struct part, io);
	struct whole *whole = part->whole;
	uint64_t at = part->at;
	int error = io->result < 0 ? (int)io->result : 0;

	for (uint64_t i = 0; i < part->count && !error; i++) {
		uint16_t size = part->sizes[i] & (DROPPED - 1);

		if (part->sizes[i] == 0 && !whole->swapped->zeros)
			forget(whole->swapped, part->first + i);
		else if (part->sizes[i] == size)
			error = note(whole->swapped, part->first + i, at, size);
		at += part->bounce ? size : PAGE;
	}
	list_del(&part->link);
	part_destroy(part);
	if (error)
		trim(whole->swapped->swap);
	end(whole, error);
}

/* All pages one behind the other, as small as they become. */
static int pack(struct part *part, size_t room)
{
	struct swap *swap = part->whole->swapped->swap;
	char *buffer = buffer_take(swap, room);

	if (!buffer)
		return -ENOMEM;
	for (uint64_t i = 0; i < part->count; i++) {
		const char *page = page_in(part->whole, part->first + i);
		size_t size = 0;

		if (swap_is_zeros(page))
			continue;
		size = compress_page(&swap->compress, page,
				     buffer + part->size);
		if (!size) {
			memcpy(buffer + part->size, page, PAGE);
			size = PAGE;
		}
		part->sizes[i] = (uint16_t)size;
		part->size += size;
	}
	part->size += !part->size; /* something is written in any case */
	part->io.pub.buffer = buffer;
	part->bounce = room;
	swap->packing += room;
	return 0;
}

static int write_part(struct part *part)
{
	struct swap *swap = part->whole->swapped->swap;
	uint64_t room = part->count << PAGE_SHIFT;
	int error = 0;

	if (swap->compress.kind == COMPRESS_NONE) {
		for (uint64_t i = 0; i < part->count; i++)
			if (!swap_is_zeros(
				    page_in(part->whole, part->first + i)))
				part->sizes[i] = PAGE;
		part->io.pub.buffer = part->whole->pub->buffer;
		part->size = room;
	} else {
		error = pack(part, room);
	}
	if (!error)
		error = blocks_take(swap, page_up(part->size) / PAGE,
				    &part->at);
	if (error && part->bounce) {
		swap->packing -= room;
		buffer_give(swap, part->io.pub.buffer, room);
	}
	return error;
}

static void write_whole(struct whole *whole)
{
	uint64_t count = whole->pub->length >> PAGE_SHIFT;
	struct part *part = mem_alloc(part_size(count));

	if (!part) {
		whole->error = -ENOMEM;
		return;
	}
	part->whole = whole;
	part->first = whole->pub->offset >> PAGE_SHIFT;
	part->count = count;
	part->io.release = written;
	whole->error = write_part(part);
	if (whole->error) {
		mem_free(part, part_size(count));
		return;
	}
	list_add(&whole->swapped->writing, &part->link);
	part_start(part, IO_WRITE);
}

/* ---- Reading ------------------------------------------------------------------ */

/* 0: it has none. */
static uint64_t record_of(const struct swapped *swapped, uint64_t index)
{
	struct page page = pages_get(&swapped->pages, index);

	if (page.state == PAGE_ABSENT)
		return 0;
	return swapped->swap->records[page.views];
}

/* From where they were read to where they are wanted. */
static int unpack(const struct part *part)
{
	struct swap *swap = part->whole->swapped->swap;
	const char *from =
		(char *)part->io.pub.buffer + (part->at - page_down(part->at));
	int error = 0;

	for (uint64_t i = 0; i < part->count && !error; i++) {
		char *page = page_in(part->whole, part->first + i);

		if (part->sizes[i] == PAGE)
			memcpy(page, from, PAGE);
		else
			error = compress_undo(&swap->compress, from,
					      part->sizes[i], page);
		from += part->sizes[i];
	}
	return error;
}

static void read(struct io *io)
{
	struct part *part = container_of(io, struct part, io);
	struct whole *whole = part->whole;
	int error = 0;

	if (io->result < 0)
		error = (int)io->result;
	else if ((uint64_t)io->result < io->pub.length)
		error = -EIO; /* somebody has cut the file */
	else if (part->bounce)
		error = unpack(part);
	for (uint64_t i = 0; i < part->count && !error; i++)
		if (swap_is_zeros(page_in(whole, part->first + i)))
			error = -EIO; /* a hole is where they were */
	part_destroy(part);
	end(whole, error);
}

/* How many pages from @first on lie one behind the other, @size bytes in all. */
static uint64_t part_length(const struct swapped *swapped, uint64_t first,
			    uint64_t end, uint64_t *size)
{
	uint64_t record = record_of(swapped, first);
	uint64_t at = record_at(record), n = 0;

	*size = 0;
	while (record_size(record) && record_at(record) == at + *size) {
		*size += record_size(record);
		n++;
		record = first + n < end ? record_of(swapped, first + n) : 0;
	}
	return n;
}

static int read_part(struct part *part)
{
	struct swapped *swapped = part->whole->swapped;
	struct swap *swap = swapped->swap;
	uint64_t start;

	part->at = record_at(record_of(swapped, part->first));
	start = page_down(part->at);
	for (uint64_t i = 0; i < part->count; i++)
		part->sizes[i] =
			record_size(record_of(swapped, part->first + i));
	if (part->at == start && part->size == part->count << PAGE_SHIFT) {
		part->io.pub.buffer = page_in(part->whole, part->first);
	} else {
		part->bounce = page_up(part->at + part->size) - start;
		part->io.pub.buffer = buffer_take(swap, part->bounce);
		if (!part->io.pub.buffer)
			return -ENOMEM;
	}
	blocks_get(swap, start, page_up(part->at + part->size) - start);
	part_start(part, IO_READ);
	return 0;
}

/* The part that begins with @first; *@count: its pages. */
static int read_from(struct whole *whole, uint64_t first, uint64_t end,
		     uint64_t *count)
{
	uint64_t size, n = part_length(whole->swapped, first, end, &size);
	struct part *part = mem_alloc(part_size(n));
	int error;

	*count = n;
	if (!part)
		return -ENOMEM;
	part->whole = whole;
	part->first = first;
	part->count = n;
	part->size = size;
	part->io.release = read;
	error = read_part(part);
	if (error)
		mem_free(part, part_size(n));
	return error;
}

static void read_whole(struct whole *whole)
{
	uint64_t first = whole->pub->offset >> PAGE_SHIFT, count;
	uint64_t end = first + (whole->pub->length >> PAGE_SHIFT);

	for (; first < end && !whole->error; first += count) {
		count = 1;
		if (record_size(record_of(whole->swapped, first)))
			whole->error = read_from(whole, first, end, &count);
		else
			memset(page_in(whole, first), 0, PAGE);
	}
}

/* ---- The store ------------------------------------------------------------------ */

static void begin(void *self, struct wmap_io *pub)
{
	struct whole *whole = mem_alloc(sizeof(*whole));

	if (!whole) {
		wmap_io_done(pub, -ENOMEM);
		return;
	}
	whole->pub = pub;
	whole->swapped = self;
	whole->pending = 1;
	if (io_of(pub)->operation == IO_READ)
		read_whole(whole);
	else
		write_whole(whole);
	end(whole, 0);
}

static void close_store(void *self)
{
	struct swapped *swapped = self;
	struct swap *swap = swapped->swap;
	struct page page;
	uint64_t cursor = 0;

	while (pages_next(&swapped->pages, 0, UINT64_MAX, &cursor, &page))
		record_put(swap, page.views);
	pages_destroy(&swapped->pages);
	swap->n_stores--;
	mem_free(swapped, sizeof(*swapped));
}

static const struct wmap_store_ops operations = {
	.size = sizeof(operations),
	.read = begin,
	.write = begin,
	.close = close_store,
};

int swap_store_create(struct swap *swap, uint64_t object, bool zeros,
		      struct wmap_store **store)
{
	struct swapped *swapped = mem_alloc(sizeof(*swapped));
	int error;

	if (!swapped)
		return -ENOMEM;
	swapped->swap = swap;
	swapped->zeros = zeros;
	swapped->object = object;
	pages_init(&swapped->pages);
	list_init(&swapped->found);
	list_init(&swapped->writing);
	error = store_create(&operations, swapped, "swap", true, store);
	if (error)
		mem_free(swapped, sizeof(*swapped));
	else
		swap->n_stores++;
	return error;
}

/* ---- A successor ------------------------------------------------------------------ */

/* The file behind @fd; a descriptor of our own, or a negative errno. */
static int open_again(int fd, int mode)
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return (int)sys_call(SYS_openat, AT_FDCWD, path, mode | O_CLOEXEC);
}

/* From now on it is our turn. */
static int begin_turn(struct swap *swap)
{
	swap->opened = open_again(store_file_descriptor(swap->file), O_RDONLY);
	if (swap->opened < 0)
		return swap->opened;
	return store_file_begin(swap->file, slots_turn(swap->slots));
}

int swap_keep(struct swap *swap)
{
	int error;

	assert(swap->file && !swap->n_records);
	if (swap->slots)
		return 0;
	error = slots_create(swap->compress.kind, &swap->slots);
	if (error)
		return error;
	error = begin_turn(swap);
	if (error)
		close_slots(swap);
	return error;
}

bool swap_descriptors(const struct swap *swap, int *slots, int *file)
{
	if (!swap->slots)
		return false;
	*slots = slots_descriptor(swap->slots);
	*file = swap->opened;
	return true;
}

/* The one of @object, which is created if there is none yet. */
static int find_store(struct swap *swap, uint64_t object,
		      struct swapped **swapped)
{
	struct wmap_store *store;
	int error;

	list_for_each(one, &swap->found, struct swapped, found)
		if (one->object == object) {
			*swapped = one;
			return 0;
		}
	error = swap_store_create(swap, object, false, &store);
	if (error)
		return error;
	*swapped = store->self;
	(*swapped)->store = store;
	list_add(swap->found.next, &(*swapped)->found);
	return 0;
}

/* Who handed them over may have written anything into them. (The length of the file
   is no measure: it may be told too small while its end is written.) */
static bool slot_ok(const struct slots *slots, uint32_t number, uint64_t where)
{
	const struct slot *slot = slots_get(slots, number);
	uint64_t size = record_size(where), reach = slots_reach(slots) * PAGE;

	return slot->object && slot->page < PAGES_LIMIT && size &&
	       size <= PAGE && record_at(where) + size <= reach;
}

/* What record @number was is so again. A page that has another one is in memory:
   either will do. */
static int take_slot(struct swap *swap, uint32_t number, struct swapped **last)
{
	const struct slot *slot = slots_get(swap->slots, number);
	uint64_t where = swap->records[number];
	uint64_t end = page_up(record_at(where) + record_size(where)) / PAGE;
	struct page page = { slot->page, PAGE_CLEAN, number };
	int error = 0;

	if (end > swap->n_blocks)
		error = extend(swap, end - swap->n_blocks);
	if (!error && !(*last && (*last)->object == slot->object))
		error = find_store(swap, slot->object, last);
	if (error)
		return error;
	blocks_get(swap, record_at(where), record_size(where));
	if (pages_get(&(*last)->pages, slot->page).state != PAGE_ABSENT) {
		record_put(swap, number);
		return 0;
	}
	return pages_put(&(*last)->pages, page);
}

static int take_slots(struct swap *swap)
{
	uint32_t end = slots_end(swap->slots);
	struct swapped *last = NULL;
	int error = 0;

	swap->records_room = end + 1;
	swap->records = mem_alloc(swap->records_room * sizeof(uint64_t));
	if (!swap->records)
		return -ENOMEM;
	swap->n_records = end - 1;
	for (uint32_t i = 1; i < end && !error; i++) {
		uint64_t where = slots_get(swap->slots, i)->where;

		if (slot_ok(swap->slots, i, where)) {
			swap->records[i] = where;
			error = take_slot(swap, i, &last);
		} else {
			record_put(swap, i);
		}
	}
	return error;
}

static int open_theirs(struct swap *swap, int fd)
{
	struct stat stat;
	int own, error = (int)sys_call(SYS_fstat, fd, &stat);

	if (!error && !S_ISREG(stat.st_mode))
		error = -EINVAL;
	if (error)
		return error;
	own = open_again(fd, O_RDWR);
	return own < 0 ? own : file_of(own, &swap->file);
}

/* What a predecessor had free it may have begun to write. */
static int hold(struct swap *swap)
{
	uint64_t reach = slots_reach(swap->slots);
	int error = 0;

	if (reach > swap->n_blocks)
		error = extend(swap, reach - swap->n_blocks);
	if (error)
		return error;
	swap->held = swap->n_blocks;
	blocks_get(swap, 0, swap->held * PAGE);
	return 0;
}

void swap_forget_found(struct swap *swap)
{
	list_for_each(one, &swap->found, struct swapped, found) {
		list_del(&one->found);
		wmap_store_put(one->store);
	}
}

int swap_adopt(struct swap *swap, int slots, int file)
{
	int error = slots_open(slots, &swap->slots);

	assert(!swap->file);
	if (error)
		return error;
	swap->opened = -1;
	if (slots_way(swap->slots) > COMPRESS_ZSTD)
		error = -EINVAL;
	if (!error)
		error = compress_open(
			(enum compress_kind)slots_way(swap->slots),
			&swap->compress);
	if (!error)
		error = open_theirs(swap, file);
	if (!error)
		error = begin_turn(swap);
	if (!error)
		error = take_slots(swap);
	if (!error)
		error = hold(swap);
	if (!error)
		return 0;
	swap_forget_found(swap);
	close_file(swap);
	close_slots(swap);
	return error;
}

int swap_store_adopt(struct swap *swap, uint64_t object,
		     struct wmap_store **store)
{
	list_for_each(one, &swap->found, struct swapped, found)
		if (one->object == object) {
			list_del(&one->found);
			*store = one->store;
			return 0;
		}
	return swap_store_create(swap, object, false, store);
}

/* ---- What there is ------------------------------------------------------------------ */

bool swap_has(const struct wmap_store *store, uint64_t index)
{
	return store && record_of(store->self, index);
}

uint64_t swap_count(const struct wmap_store *store)
{
	const struct swapped *swapped = store ? store->self : NULL;

	return swapped ? swapped->pages.n_used : 0;
}

int swap_collect(const struct wmap_store *store, uint64_t first, uint64_t end,
		 uint64_t **indexes, size_t *n)
{
	const struct swapped *swapped = store->self;

	return pages_collect(&swapped->pages, first, end, ~0u, indexes, n);
}

static void drop_written(struct swapped *swapped, uint64_t first, uint64_t end)
{
	list_for_each(part, &swapped->writing, struct part, link) {
		uint64_t from = max_u64(first, part->first);
		uint64_t to = min_u64(end, part->first + part->count);

		for (uint64_t i = from; i < to; i++)
			part->sizes[i - part->first] |= DROPPED;
	}
}

void swap_drop(struct wmap_store *store, uint64_t first, uint64_t end)
{
	struct swapped *swapped = store ? store->self : NULL;
	uint64_t *indexes;
	size_t n;

	if (!store)
		return;
	drop_written(swapped, first, end);
	if (!swap_count(store))
		return;
	if (end - first == 1) {
		forget(swapped, first);
		return;
	}
	/* Without memory they stay, until their object goes. */
	if (swap_collect(store, first, end, &indexes, &n))
		return;
	for (size_t i = 0; i < n; i++)
		forget(swapped, indexes[i]);
	mem_free(indexes, n * sizeof(*indexes));
}

int swap_split(struct wmap_store *store, struct wmap_store *other,
	       uint64_t first, uint64_t end)
{
	struct swapped *from = store->self, *to = other->self;
	uint64_t *indexes;
	size_t n, i;
	int error = swap_collect(store, first, end, &indexes, &n);

	if (error)
		return error;
	for (i = 0; i < n && !error; i++)
		error = pages_put(&to->pages,
				  pages_get(&from->pages, indexes[i]));
	for (size_t k = 0; k < i; k++) {
		struct page page = { .index = indexes[k] };

		pages_put(error ? &to->pages : &from->pages, page);
	}
	mem_free(indexes, n * sizeof(*indexes));
	return error;
}

/* Each block counts its pages in 16 bits; some are for transfers. */
#define USES_MOST 60000

static bool can_be_copied(const struct swap *swap, uint64_t record)
{
	uint64_t end = page_up(record_at(record) + record_size(record)) / PAGE;

	for (uint64_t i = record_at(record) / PAGE; i < end; i++)
		if (swap->uses[i] >= USES_MOST)
			return false;
	return true;
}

static int copy_record(struct swapped *to, uint64_t index, uint64_t record)
{
	if (!record_size(record))
		return note(to, index, 0, 0);
	if (!can_be_copied(to->swap, record))
		return -ENOMEM;
	return note(to, index, record_at(record), record_size(record));
}

int swap_copy(const struct wmap_store *store, struct wmap_store *other,
	      uint64_t first, uint64_t end)
{
	const struct swapped *from = store->self;
	uint64_t *indexes;
	size_t n;
	int error = swap_collect(store, first, end, &indexes, &n);

	if (error)
		return error;
	for (size_t i = 0; i < n && !error; i++)
		error = copy_record(other->self, indexes[i],
				    record_of(from, indexes[i]));
	for (size_t i = 0; i < n && error; i++)
		forget(other->self, indexes[i]);
	mem_free(indexes, n * sizeof(*indexes));
	return error;
}
