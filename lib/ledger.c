/* SPDX-License-Identifier: MIT */
/* Records in slots of shared memory (ledger.h) */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "box.h"
#include "ledger.h"
#include "mem.h"
#include "space.h"
#include "sys.h"

#define SLOTS ((uint32_t)1 << 20)	   /* slot 0 is nobody's */
#define MAGIC UINT64_C(0x3167646c70616d77) /* "wmapldg1" */
#define SIZE  (SLOTS * sizeof(struct record))

/* Pages without a record are given back, if there are that many free slots. */
#define PER_PAGE  (PAGE / sizeof(struct record))
#define MANY_FREE 256

/* Records of errors, of an object and of all. */
#define ERRORS_OF_ONE 4096
#define ERRORS_OF_ALL (SLOTS / 4)

#define BOXES_MAX 128 /* few enough for other programs (box.h) */

/* Of the mirror: who has it cannot change it, nor take memory away. */
#define SEALS (F_SEAL_FUTURE_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x0010
#endif

/* What slot 0 holds instead. */
struct head {
	uint64_t magic;
	_Atomic uint64_t used; /* slots that were ever used are below */
	_Atomic uint64_t writer;
};

struct ledger {
	struct record *records;
	struct head *head;
	struct record *mirror; /* or NULL */
	int mirror_fd;	       /* or -1 */
	int (*keep)(const char *name, int fd);
	int (*release)(const char *name);
	uint64_t serial, ids;
	uint32_t n_errors; /* records of them */
	uint32_t n_boxes;  /* objects that have one */
	uint32_t *freed;   /* a stack */
	size_t n_freed;
	uint8_t live[SLOTS / PER_PAGE]; /* records of each page */
};

/* ---- Slots --------------------------------------------------------------------- */

static struct record *record_new(struct ledger *ledger)
{
	struct record *record;
	uint32_t slot;

	if (ledger->n_freed) {
		slot = ledger->freed[--ledger->n_freed];
	} else {
		slot = (uint32_t)ledger->head->used;
		if (slot == SLOTS)
			return NULL;
		ledger->head->used = slot + 1;
	}
	record = &ledger->records[slot];
	memset(record, 0, sizeof(*record));
	record->slot = slot;
	record->serial = ++ledger->serial;
	ledger->live[slot / PER_PAGE]++;
	return record;
}

static void give_back(struct ledger *ledger, uint32_t slot)
{
	uint32_t page = slot / PER_PAGE;

	if (!--ledger->live[page] && page && ledger->n_freed > MANY_FREE)
		sys_call(SYS_madvise, &ledger->records[page * PER_PAGE], PAGE,
			 MADV_REMOVE);
}

/* Of this one the guard of a process that is not known yet proves by the token that
   it is its (rescue.c). */
static bool is_fork_of_ours(const struct record *record)
{
	return !(record->bits & RECORD_ATTACHED) &&
	       record->of_space.uid == (uint32_t)sys_call(SYS_geteuid);
}

/* As for the record itself: the kind comes last. */
static void reflect(const struct ledger *ledger, const struct record *record)
{
	struct head *head = (struct head *)ledger->mirror;
	struct record *image;

	if (!head)
		return;
	image = &ledger->mirror[record->slot];
	atomic_store_explicit(&image->kind, RECORD_NONE, memory_order_release);
	memcpy(&image->slot, &record->slot,
	       sizeof(*image) - offsetof(struct record, slot));
	if (record->kind == RECORD_SPACE && !is_fork_of_ours(record))
		memset(image->of_space.token, 0, sizeof(image->of_space.token));
	atomic_store_explicit(&image->kind, record->kind, memory_order_release);
	head->used = ledger->head->used;
}

static void record_write(struct ledger *ledger, struct record *record,
			 enum record_kind kind)
{
	atomic_store_explicit(&record->kind, kind, memory_order_release);
	reflect(ledger, record);
}

void ledger_drop(struct ledger *ledger, uint32_t slot)
{
	if (!ledger || !slot)
		return;
	ledger->n_errors -= ledger->records[slot].kind == RECORD_ERRORS;
	record_write(ledger, &ledger->records[slot], RECORD_NONE);
	ledger->freed[ledger->n_freed++] = slot;
	give_back(ledger, slot);
}

const struct record *ledger_next(struct ledger *ledger, uint32_t *slot)
{
	for (uint32_t i = *slot + 1; i < ledger->head->used; i++)
		if (ledger->records[i].kind != RECORD_NONE) {
			*slot = i;
			return &ledger->records[i];
		}
	return NULL;
}

static void read_again(struct ledger *ledger)
{
	for (uint32_t i = 1; i < ledger->head->used; i++) {
		const struct record *record = &ledger->records[i];

		if (record->kind == RECORD_NONE)
			ledger->freed[ledger->n_freed++] = i;
		else
			ledger->live[i / PER_PAGE]++;
		ledger->n_errors += record->kind == RECORD_ERRORS;
		ledger->serial = max_u64(ledger->serial, record->serial);
		if (record->kind != RECORD_MAPPING)
			ledger->ids = max_u64(ledger->ids, record->id);
		else if (record->bits & RECORD_SWAPPED)
			ledger->ids = max_u64(ledger->ids, record->object);
	}
}

static int check(struct ledger *ledger)
{
	if (!ledger->head->magic) {
		ledger->head->used = 1;
		ledger->head->magic = MAGIC;
	}
	if (ledger->head->magic != MAGIC || ledger->head->used > SLOTS)
		return -EPROTO;
	read_again(ledger);
	return 0;
}

static long map(uint64_t size, int memfd)
{
	int flags = memfd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED;

	return sys_map(0, size, PROT_READ | PROT_WRITE, flags | MAP_NORESERVE,
		       memfd, 0);
}

/* ---- The mirror -------------------------------------------------------------- */

static void open_mirror(struct ledger *ledger)
{
	const struct record *record;
	uint32_t slot = 0;
	long at = -ENOMEM;

	ledger->mirror_fd = (int)sys_call(SYS_memfd_create, "wmap-mirror",
					  MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (ledger->mirror_fd < 0)
		return;
	if (!sys_call(SYS_ftruncate, ledger->mirror_fd, SIZE))
		at = map(SIZE, ledger->mirror_fd);
	if (sys_failed(at) ||
	    sys_call(SYS_fcntl, ledger->mirror_fd, F_ADD_SEALS, SEALS)) {
		sys_call(SYS_close, ledger->mirror_fd);
		ledger->mirror_fd = -1;
		return;
	}
	ledger->mirror = (struct record *)at;
	((struct head *)at)->magic = MAGIC;
	((struct head *)at)->used = 1;
	((struct head *)at)->writer = ledger->head->writer;
	while ((record = ledger_next(ledger, &slot)))
		reflect(ledger, record);
}

int ledger_mirror(struct ledger *ledger)
{
	if (!ledger->mirror)
		open_mirror(ledger);
	return ledger->mirror_fd;
}

static bool is_mirror(int memfd)
{
	long seals = sys_call(SYS_fcntl, memfd, F_GET_SEALS);
	struct stat stat;

	return seals >= 0 && (seals & SEALS) == SEALS &&
	       !sys_call(SYS_fstat, memfd, &stat) && stat.st_size == SIZE;
}

int ledger_read(int memfd, struct record **records, size_t *n, size_t *size,
		uint64_t *writer)
{
	const struct record *from;
	const struct head *head;
	size_t used, count = 0;
	long at;

	if (!is_mirror(memfd))
		return -EINVAL;
	at = sys_map(0, SIZE, PROT_READ, MAP_SHARED, memfd, 0);
	if (sys_failed(at))
		return (int)at;
	from = (const struct record *)at;
	head = (const struct head *)at;
	used = min_u64(head->used, SLOTS);
	*size = (used + 1) * sizeof(**records);
	*records = head->magic == MAGIC ? mem_alloc(*size) : NULL;
	for (size_t i = 1; i < used && *records; i++) {
		struct record *to = &(*records)[count];

		memcpy(to, &from[i], sizeof(*to));
		count += to->kind != RECORD_NONE && to->slot == i;
	}
	*n = count;
	*writer = head->writer;
	sys_unmap((uint64_t)at, SIZE);
	return *records ? 0 : -EINVAL;
}

bool ledger_is_empty(const struct ledger *ledger)
{
	return ledger->n_freed + 1 == ledger->head->used;
}

/* What is above the used ones is not there until it is said to be used. */
void ledger_load(struct ledger *ledger, const struct record *records, size_t n)
{
	uint64_t most = 1;

	assert(ledger_is_empty(ledger));
	ledger->head->used = 1;
	for (size_t i = 0; i < n; i++)
		most = max_u64(most, records[i].slot + 1);
	memset(&ledger->records[1], 0, (most - 1) * sizeof(*records));
	for (size_t i = 0; i < n; i++)
		memcpy(&ledger->records[records[i].slot], &records[i],
		       sizeof(*records));
	ledger->head->used = most;
	ledger->n_freed = 0;
	ledger->n_errors = 0;
	memset(ledger->live, 0, sizeof(ledger->live));
	read_again(ledger);
	for (size_t i = 0; i < n; i++)
		reflect(ledger, &ledger->records[records[i].slot]);
}

uint64_t ledger_writer(const struct ledger *ledger)
{
	return ledger->head->writer;
}

void ledger_set_writer(struct ledger *ledger, uint64_t writer)
{
	ledger->head->writer = writer;
	if (ledger->mirror)
		((struct head *)ledger->mirror)->writer = writer;
}

/* ---- Beginning --------------------------------------------------------------- */

int ledger_open(int memfd, int (*keep)(const char *name, int fd),
		int (*release)(const char *name), struct ledger **result)
{
	struct ledger *ledger = mem_alloc(sizeof(*ledger));
	long records = 0, freed = 0;
	int error = -ENOMEM;

	_Static_assert(sizeof(struct record) == 128, "a slot");
	if (!ledger)
		return error;
	error = (int)sys_call(SYS_ftruncate, memfd, SIZE);
	if (!error)
		records = map(SIZE, memfd);
	freed = map(SLOTS * sizeof(*ledger->freed), -1);
	if (error || sys_failed(records) || sys_failed(freed)) {
		error = error ? error : -ENOMEM;
		goto err;
	}
	ledger->mirror_fd = -1;
	ledger->records = (struct record *)records;
	ledger->head = (struct head *)records;
	ledger->freed = (uint32_t *)freed;
	ledger->keep = keep;
	ledger->release = release;
	error = check(ledger);
	if (error)
		goto err;
	*result = ledger;
	return 0;

err: /* of a process that cannot start */
	mem_free(ledger, sizeof(*ledger));
	return error;
}

/* ---- Names --------------------------------------------------------------------- */

#define NAME_SIZE 48

static void keep(struct ledger *ledger, char kind, uint64_t id, int fd)
{
	char name[NAME_SIZE];

	snprintf(name, sizeof(name), "%c%lu", kind, id);
	ledger->keep(name, fd);
}

static void release(struct ledger *ledger, char kind, uint64_t id)
{
	char name[NAME_SIZE];

	snprintf(name, sizeof(name), "%c%lu", kind, id);
	ledger->release(name);
}

static void keep_part(struct ledger *ledger, char kind, uint64_t id, uint64_t n,
		      int fd)
{
	char name[NAME_SIZE];

	snprintf(name, sizeof(name), "%c%lu.%lu", kind, id, n);
	ledger->keep(name, fd);
}

static void release_part(struct ledger *ledger, char kind, uint64_t id,
			 uint64_t n)
{
	char name[NAME_SIZE];

	snprintf(name, sizeof(name), "%c%lu.%lu", kind, id, n);
	ledger->release(name);
}

/* ---- Objects ------------------------------------------------------------------- */

int ledger_object(struct ledger *ledger, struct object *object)
{
	struct record *record;

	if (!ledger || object->memfd < 0)
		return 0;
	record = record_new(ledger);
	if (!record)
		return -ENOMEM;
	object->ledger = ledger;
	object->slot = record->slot;
	object->id = record->id = ++ledger->ids;
	record->of_object.dev = object->dev;
	record->of_object.ino = object->ino;
	keep(ledger, 'm', object->id, object->memfd);
	record_write(ledger, record, RECORD_OBJECT);
	return 0;
}

void ledger_box(struct object *object, int box)
{
	object->box = box;
	object->ledger->n_boxes++;
}

static void give_box(struct object *object, int fd)
{
	int box = object->ledger->n_boxes < BOXES_MAX ? box_create(fd) : -1;

	if (box >= 0)
		ledger_box(object, box);
}

static void take_box(struct object *object)
{
	if (object->box < 0)
		return;
	box_empty(object->box);
	sys_call(SYS_close, object->box);
	object->box = -1;
	object->ledger->n_boxes--;
}

int ledger_file(struct object *object, int fd)
{
	struct ledger *ledger = object->ledger;
	uint64_t before = object->opened;

	if (!ledger)
		return 0;
	assert(object->box < 0);
	if (object->store->writable)
		give_box(object, fd);
	keep_part(ledger, 'f', object->id, ++object->opened,
		  object->box < 0 ? fd : object->box);
	if (before)
		release_part(ledger, 'f', object->id, before);
	return 0;
}

int ledger_swap(struct ledger *ledger, int slots, int file)
{
	int error = ledger->keep("slots", slots);

	return error ? error : ledger->keep("swap", file);
}

void ledger_swapped(const struct object *object)
{
	struct ledger *ledger = object->ledger;

	if (!ledger)
		return;
	ledger->records[object->slot].bits |= RECORD_SWAPPED;
	if (ledger->mirror)
		ledger->mirror[object->slot].bits |= RECORD_SWAPPED;
}

uint64_t ledger_number(struct ledger *ledger)
{
	return ++ledger->ids;
}

/* ---- Pages in error -------------------------------------------------------------- */

/* The record of a page's neighbours, which is written if there is none; or NULL. */
static struct record *errors_create(struct object *object, uint64_t group)
{
	struct ledger *ledger = object->ledger;
	struct page place = { group, PAGE_ERROR, 0 };
	struct record *record = NULL;

	if (ledger->n_errors < ERRORS_OF_ALL &&
	    object->errors.n_used < ERRORS_OF_ONE)
		record = record_new(ledger);
	if (!record)
		return NULL;
	record->id = object->id;
	record->of_errors.first = group * ERRORS_PAGES;
	ledger->n_errors++;
	record_write(ledger, record, RECORD_ERRORS);
	place.views = record->slot;
	if (!pages_put(&object->errors, place))
		return record;
	ledger_drop(ledger, record->slot);
	return NULL;
}

static bool is_blank(const struct record *record)
{
	for (size_t i = 0; i < lengthof(record->of_errors.bits); i++)
		if (record->of_errors.bits[i])
			return false;
	return true;
}

/* One bit: the mirror is whole whenever we are killed. */
static void errors_set(const struct ledger *ledger, struct record *record,
		       uint64_t index, bool error)
{
	uint64_t *bits = &record->of_errors.bits[index % ERRORS_PAGES / 64];
	uint64_t bit = UINT64_C(1) << index % 64;

	*bits = error ? *bits | bit : *bits & ~bit;
	if (ledger->mirror)
		ledger->mirror[record->slot].of_errors = record->of_errors;
}

void ledger_error(struct object *object, uint64_t index, bool error)
{
	struct ledger *ledger = object->ledger;
	struct page place = pages_get(&object->errors, index / ERRORS_PAGES);
	struct record *record = NULL;

	if (!ledger)
		return;
	if (place.views)
		record = &ledger->records[place.views];
	else if (error)
		record = errors_create(object, place.index);
	if (!record)
		return;
	errors_set(ledger, record, index, error);
	if (!is_blank(record))
		return;
	place.state = PAGE_ABSENT;
	pages_put(&object->errors, place);
	ledger_drop(ledger, record->slot);
}

int ledger_take_errors(struct object *object, const struct record *record)
{
	struct page place = {
		.index = record->of_errors.first / ERRORS_PAGES,
		.state = PAGE_ERROR,
		.views = record->slot,
	};

	if (pages_get(&object->errors, place.index).views)
		return -EEXIST;
	return pages_put(&object->errors, place);
}

static void errors_gone(struct object *object)
{
	struct page place;
	uint64_t cursor = 0;

	while (pages_next(&object->errors, 0, UINT64_MAX, &cursor, &place))
		ledger_drop(object->ledger, place.views);
}

void ledger_object_gone(struct object *object)
{
	struct ledger *ledger = object->ledger;

	if (!ledger)
		return;
	errors_gone(object);
	ledger_drop(ledger, object->slot);
	take_box(object);
	release(ledger, 'm', object->id);
	if (object->opened)
		release_part(ledger, 'f', object->id, object->opened);
}

/* ---- Spaces -------------------------------------------------------------------- */

int ledger_space(struct ledger *ledger, const uint64_t token[2], uint32_t uid,
		 uint32_t pid, uint64_t *id, uint32_t *slot)
{
	struct record *record;

	if (!ledger)
		return 0;
	record = record_new(ledger);
	if (!record)
		return -ENOMEM;
	*id = record->id = ++ledger->ids;
	*slot = record->slot;
	record->of_space.token[0] = token[0];
	record->of_space.token[1] = token[1];
	record->of_space.uid = uid;
	record->of_space.pid = pid;
	record->of_space.memory = BUDGET_NONE;
	record_write(ledger, record, RECORD_SPACE);
	return 0;
}

void ledger_uffd(struct ledger *ledger, uint64_t id, uint32_t slot,
		 uint32_t pid, int uffd)
{
	if (!ledger)
		return;
	if (slot) { /* first: who finds the uffd watches that process */
		ledger->records[slot].of_space.pid = pid;
		ledger->records[slot].bits |= RECORD_ATTACHED;
		reflect(ledger, &ledger->records[slot]);
	}
	keep(ledger, 'u', id, uffd);
}

void ledger_agent(struct ledger *ledger, uint32_t slot, bool is_there)
{
	struct record *record;

	if (!ledger || !slot)
		return;
	record = &ledger->records[slot];
	record->bits &= ~(uint32_t)RECORD_AGENT;
	record->bits |= is_there ? RECORD_AGENT : 0;
	reflect(ledger, record);
}

void ledger_parent(struct ledger *ledger, uint32_t slot, uint64_t id)
{
	if (!ledger || !slot)
		return;
	ledger->records[slot].object = id;
	reflect(ledger, &ledger->records[slot]);
}

void ledger_space_memory(struct ledger *ledger, uint32_t slot, uint64_t limit)
{
	if (!ledger || !slot)
		return;
	ledger->records[slot].of_space.memory = limit;
	reflect(ledger, &ledger->records[slot]);
}

void ledger_space_gone(struct ledger *ledger, uint64_t id, uint32_t slot)
{
	if (!ledger)
		return;
	ledger_drop(ledger, slot);
	release(ledger, 'u', id);
}

void ledger_conn(struct ledger *ledger, uint64_t id, uint64_t n, int fd)
{
	if (!ledger)
		return;
	keep_part(ledger, 'c', id, n, fd);
}

void ledger_conn_gone(struct ledger *ledger, uint64_t id, uint64_t n)
{
	if (!ledger)
		return;
	release_part(ledger, 'c', id, n);
}

/* ---- Mappings ------------------------------------------------------------------ */

static bool is_in_swap(const struct object *object)
{
	return object->memfd < 0 && object->swap;
}

static uint32_t bits_of(const struct mapping *mapping)
{
	return (is_in_swap(mapping->object) ? RECORD_SWAPPED : 0) |
	       (mapping->may_write ? RECORD_MAY_WRITE : 0) |
	       (mapping->tracked ? RECORD_TRACKED : 0) |
	       (mapping->shared ? RECORD_SHARED : 0) |
	       (mapping->growing ? RECORD_GROWING : 0) |
	       (mapping->alone ? RECORD_ALONE : 0);
}

static void describe(const struct mapping *mapping, struct record *record)
{
	record->id = mapping->space->id;
	record->object = mapping->object->id;
	record->bits = bits_of(mapping);
	record->of_mapping.start = mapping->start;
	record->of_mapping.end = mapping->end;
	record->of_mapping.length = mapping->length;
	record->of_mapping.first = mapping->first;
	record->of_mapping.grain = mapping->grain;
	record->of_mapping.deadline = mapping->deadline;
	record->of_mapping.memory = mapping->part ? mapping->part->limit :
						    BUDGET_NONE;
	record->of_mapping.prot = mapping->prot;
	record->of_mapping.flags = mapping->flags;
}

int ledger_mapping(struct mapping *mapping)
{
	struct ledger *ledger = mapping->space->ledger;
	uint32_t before = mapping->slot;
	struct record *record;

	if (!ledger)
		return 0;
	record = record_new(ledger);
	if (!record)
		return -ENOMEM;
	if (before) {
		record->replaces = before;
		record->replaces_serial = ledger->records[before].serial;
	}
	describe(mapping, record);
	record_write(ledger, record, RECORD_MAPPING);
	ledger_drop(ledger, before);
	mapping->slot = record->slot;
	return 0;
}

void ledger_mapping_gone(struct mapping *mapping)
{
	ledger_drop(mapping->space->ledger, mapping->slot);
	mapping->slot = 0;
}

/* ---- Pins ---------------------------------------------------------------------- */

int ledger_pin(const struct space *space, const struct object *object,
	       uint64_t first, uint64_t end, uint32_t *slot)
{
	struct record *record;

	*slot = 0;
	if (!object->ledger)
		return 0;
	record = record_new(object->ledger);
	if (!record)
		return -ENOMEM;
	record->id = space->id;
	record->object = object->id;
	record->of_pin.first = first;
	record->of_pin.end = end;
	record_write(object->ledger, record, RECORD_PIN);
	*slot = record->slot;
	return 0;
}

/* One word: the mirror is whole whenever we are killed. */
void ledger_pin_end(struct ledger *ledger, uint32_t slot, uint64_t end)
{
	if (!slot)
		return;
	ledger->records[slot].of_pin.end = end;
	if (ledger->mirror)
		ledger->mirror[slot].of_pin.end = end;
}
