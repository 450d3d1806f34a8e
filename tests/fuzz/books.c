/* SPDX-License-Identifier: MIT */
/*
 * What a client that lies can do to the books
 *
 * An input is a sequence of steps of sixteen bytes: a request, or a fault, of a
 * process whose uffd does not exist. Each goes through wire_parse as wmapd's
 * would, several may be under way at a time. After each one the books must be in
 * order; when the process has ended nothing of it may be left: no mapping, no
 * object, no memory.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "account.h"
#include "books.h"
#include "fuzz.h"
#include "mem.h"
#include "sys.h"
#include "wire.h"

#define AT	  ((uint64_t)1 << 40)
#define FILES	  3
#define STEPS	  64
#define FILE_SIZE (8 * PAGE)
#define DEADLINE  1000000 /* ns */

struct step {
	uint8_t kind, file, page, pages;
	uint8_t flags, prot, to, to_pages;
	uint8_t bits, advice, odd, grain;
	uint32_t large;
};

/* step.bits */
#define BIT_WAIT  0x1
#define BIT_ONE	  0x2
#define BIT_TWO	  0x4
#define BIT_AGAIN 0x8
#define BIT_LARGE 0x10 /* step.large pages */
#define BIT_TO	  0x20 /* likewise */
#define BIT_TOP	  0x40 /* at the end of all addresses */
#define BIT_READ  0x80 /* a descriptor for reading alone */

static struct pager *pager;
static struct hints *hints;
static struct space *space;
static struct account *account;
static unsigned pending;
static struct object *promised[STEPS];
static unsigned n_promised;
static uint64_t listed; /* number before that of this input's first list */
static int files[FILES][2];
static struct list wanting = { &wanting, &wanting }; /* mapping.wanting */

/* ---- The books in order ------------------------------------------------------- */

static void check_mapping(const struct mapping *mapping, size_t i)
{
	const struct space_entry *entry = &space->entries[i];

	hold(entry->start == mapping->start && entry->end == mapping->end);
	hold(entry->start < entry->end);
	hold(!(entry->start % PAGE) && !(entry->end % PAGE));
	hold(entry->end <= (uint64_t)1 << 47);
	hold(mapping->space == space && mapping->object);
	hold(page_up(mapping->length) == mapping->end - mapping->start);
	hold(mapping_end_page(mapping) <= mapping->object->n_pages);
	hold(mapping->view->object == mapping->object);
	hold(mapping->n_loaded <= (mapping->end - mapping->start) >>
	     PAGE_SHIFT);
	hold(!mapping->tracked || mapping->may_write);
}

static void check_books(void)
{
	for (size_t i = 0; i < space->n; i++) {
		hold(!i ||
		     space->entries[i - 1].end <= space->entries[i].start);
		check_mapping(space->entries[i].mapping, i);
	}
	hold(account->n_mappings == space->n);
	hold(account->n_objects <= account->objects_max);
	hold(space->n <= space->n_max);
}

/* ---- Messages ------------------------------------------------------------------- */

struct call {
	struct message message;
	char bytes[WIRE_PAYLOAD];
};

static void answered(struct message *message)
{
	struct call *call = container_of(message, struct call, message);

	if (message->kind == MESSAGE_FRAME && !message->result)
		close(message->frame.memfd);
	if (message->kind == MESSAGE_FILE_WRITING && message->file.object)
		promised[n_promised++] = message->file.object;
	if (message->kind == MESSAGE_PREFETCH && !message->result && !listed)
		listed = message->prefetch.id - 1;
	if (message->kind == MESSAGE_LIST)
		hold(message->list.count * sizeof(*message->list.infos) <=
		     sizeof(call->bytes));
	if (message->kind == MESSAGE_PREFETCH && message->result)
		mem_free(message->prefetch.ranges,
			 message->prefetch.n *
				 sizeof(*message->prefetch.ranges));
	pending--;
	free(call);
}

static uint64_t address_of(const struct step *step)
{
	uint64_t address = AT + step->page % 64 * PAGE;

	if (step->bits & BIT_TOP)
		address = ((uint64_t)1 << 47) - (1 + step->page % 64) * PAGE;
	return address + step->odd % 2;
}

static uint64_t length_of(const struct step *step, uint8_t pages, bool large)
{
	uint64_t length =
		(large ? (uint64_t)step->large << (pages % 32) : pages % 32) *
		PAGE;

	return step->odd & 2 ? length - 1 : length;
}

static void request_of(const struct step *step, struct wire_request *request)
{
	uint64_t *args = request->args;

	memset(request, 0, sizeof(*request));
	request->magic = WIRE_MAGIC;
	request->id = 1;
	request->kind = step->kind % MESSAGE_STOP;
	request->flags = step->bits & BIT_AGAIN ? WIRE_AGAIN : 0;
	request->address = address_of(step);
	request->length = length_of(step, step->pages, step->bits & BIT_LARGE);
	args[0] = step->bits & BIT_ONE ? 1 : 0;
	args[1] = step->bits & BIT_TWO ? 1 : 0;
	switch (request->kind) {
	case MESSAGE_MAP:
		args[0] = step->prot % 8;
		args[1] = step->flags |
			  (step->bits & BIT_ONE ? MAPPING_COURSE : 0);
		args[2] = length_of(step, step->to_pages, step->bits & BIT_TO);
		args[3] = (uint64_t)1 << step->grain % 10;
		args[4] = DEADLINE;
		args[5] = step->bits & BIT_TWO ? 1 : 0;
		break;
	case MESSAGE_MOVE:
		args[0] = AT + step->to % 64 * PAGE;
		args[1] = length_of(step, step->to_pages, step->bits & BIT_TO);
		args[2] = step->bits & BIT_TWO ? 1 : 0;
		args[3] = step->bits & BIT_ONE ? 1 : 0;
		break;
	case MESSAGE_PROTECT:
		args[0] = step->prot % 8;
		break;
	case MESSAGE_SYNC:
		args[2] = step->flags % 2;
		break;
	case MESSAGE_ADVISE:
		args[0] = step->advice % 66;
		break;
	case MESSAGE_LIST:
		args[0] = step->large;
		break;
	case MESSAGE_PREFETCH:
		args[0] = 1 + step->to % 8;
		break;
	case MESSAGE_PREFETCH_WAIT:
		args[0] = listed + step->to;
		break;
	case MESSAGE_FILE_SYNC:
	case MESSAGE_FILE_WRITING:
	case MESSAGE_FILE_WRITTEN:
	case MESSAGE_FILE_LENGTH:
		args[2] = step->to * (PAGE / 4);
		args[3] = request->length;
		break;
	default:
		break;
	}
}

static bool needs_file(const struct wire_request *request)
{
	return request->kind >= MESSAGE_FILE_SYNC ||
	       request->kind == MESSAGE_PREFETCH ||
	       (request->kind == MESSAGE_MAP &&
		!(request->args[1] & WMAP_ANONYMOUS));
}

/* As wmapd reads it from a client's memory. */
static void set_list(struct message *message, const struct step *step)
{
	size_t n = message->prefetch.n;
	struct wmap_range *ranges = mem_alloc(n * sizeof(*ranges));

	hold(ranges != NULL);
	for (size_t i = 0; i < n; i++)
		ranges[i] = (struct wmap_range){
			(void *)(address_of(step) + i * PAGE),
			length_of(step, step->pages, step->bits & BIT_LARGE),
		};
	hold(!message_check_ranges(ranges, n));
	message->prefetch.ranges = ranges;
}

static void set_file(struct message *message, const struct step *step)
{
	bool reads = step->bits & BIT_READ;
	int file = files[step->file % FILES][reads];

	if (message->kind == MESSAGE_PREFETCH) {
		set_list(message, step);
		return;
	}
	if (message->kind == MESSAGE_MAP) {
		message->map.file = fcntl(file, F_DUPFD_CLOEXEC, 0);
		message->map.dev = 1;
		message->map.ino = 1 + step->file % FILES;
		message->map.writable = !reads;
		return;
	}
	message->file.dev = 1;
	message->file.ino = 1 + step->file % FILES;
	if (message->kind == MESSAGE_FILE_LENGTH) {
		message->file.length = step->to * (PAGE / 4);
		hold(!ftruncate(files[step->file % FILES][0],
				(off_t)message->file.length));
	}
	if (message->kind == MESSAGE_FILE_WRITTEN && n_promised)
		message->file.object = promised[--n_promised];
	if (message->file.object) {
		message->file.dev = message->file.object->dev;
		message->file.ino = message->file.object->ino;
	}
}

static void set_room(struct call *call)
{
	struct message *message = &call->message;

	if (message->kind == MESSAGE_LIST)
		message->list.infos = (void *)call->bytes;
	else if (message->kind == MESSAGE_RESIDENCY)
		message->residency.vector = (void *)call->bytes;
	else if (message->kind == MESSAGE_STATS)
		message->stats.stats = (void *)call->bytes;
}

static void turn(void)
{
	if (pending || loop_busy(pager->loop))
		loop_turn(pager->loop);
}

static void ask(const struct step *step)
{
	struct wire_request request, parsed;
	struct call *call;

	request_of(step, &request);
	if (wire_parse(&request, sizeof(request), needs_file(&request),
		       &parsed))
		return;
	call = calloc(1, sizeof(*call));
	wire_heard(&parsed, &call->message);
	call->message.pager = pager;
	call->message.space = space;
	call->message.answered = answered;
	call->message.post.run = message_run;
	call->message.again = parsed.flags & WIRE_AGAIN;
	if (needs_file(&parsed))
		set_file(&call->message, step);
	set_room(call);
	pending++;
	message_handle(&call->message);
}

static void touch(const struct step *step)
{
	struct fault fault = {
		.space = space,
		.address = page_down(address_of(step)),
		.write = step->bits & BIT_ONE,
		.protected = step->bits & BIT_TWO,
		.since = time_now(),
	};

	fault_resolve(pager, fault);
}

/* ---- Beginning and end --------------------------------------------------------- */

static void begin_all(void)
{
	unsigned features;
	char path[32];

	hints = mmap(NULL, page_up(sizeof(*hints)), PROT_READ | PROT_WRITE,
		     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	hold(!pager_create(hints, &pager, &features));
	hold(!loop_own(pager->loop));
	for (int i = 0; i < FILES; i++) {
		files[i][0] = memfd_create("fuzz", MFD_CLOEXEC);
		snprintf(path, sizeof(path), "/proc/self/fd/%d", files[i][0]);
		files[i][1] = open(path, O_RDONLY | O_CLOEXEC);
		hold(files[i][0] >= 0 && files[i][1] >= 0);
	}
}

/* The agent that would is the input's own. */
static void grow(struct mapping *mapping)
{
	if (list_empty(&mapping->wanting))
		list_add(&wanting, &mapping->wanting);
}

static void begin(bool foreign)
{
	for (int i = 0; i < FILES; i++)
		hold(!ftruncate(files[i][0], FILE_SIZE));
	account = mem_alloc(sizeof(*account));
	list_init(&account->link);
	account->references = 1;
	account->mappings_max = 48;
	account->objects_max = 6;
	hold(!pager_space_create(pager, -1, WMAP_FEATURE_POISON, &space));
	space->account = account;
	space->n_max = 32;
	listed = 0;
	space->grow = grow;
	space->has_agent = true;
	space->foreign = foreign;
}

static void nothing(struct post *post)
{
	(void)post;
}

/* What has been answered may have posts to come. */
static void turn_once(void)
{
	static struct post awake = { .run = nothing };

	loop_post(pager->loop, &awake);
	loop_turn(pager->loop);
}

static void end(void)
{
	struct call *call = calloc(1, sizeof(*call));

	while (n_promised)
		books_file_writing_over(promised[--n_promised]);
	while (pending)
		loop_turn(pager->loop);
	while (n_promised)
		books_file_writing_over(promised[--n_promised]);
	call->message.kind = MESSAGE_UNMAP;
	call->message.length = (uint64_t)1 << 47;
	call->message.unmap.force = true;
	call->message.pager = pager;
	call->message.space = space;
	call->message.answered = answered;
	call->message.post.run = message_run;
	pending++;
	message_handle(&call->message);
	while (pending || loop_busy(pager->loop))
		loop_turn(pager->loop);
	/* What is read again has its transfer later. */
	for (int i = 0; i < 100 && account->n_objects; i++)
		do
			turn_once();
		while (loop_busy(pager->loop));
	hold(!space->n && !account->n_mappings && !account->n_objects);
	hold(account->references == 1);
	prefetch_forget(space);
	list_del(&space->link);
	space_destroy(space);
	mem_free(space, sizeof(*space));
	for (size_t i = 0; i < OBJECT_HASHES; i++)
		hold(list_empty(&pager->objects[i]));
	hold(!hints->n_files);
}

static size_t memory(void)
{
	return mem_used() - pager->staging.out - pager->staging.idle;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct step step;
	size_t before;

	if (!pager)
		begin_all();
	if (!size)
		return 0;
	before = memory();
	begin(bytes[0] & 1);
	bytes++;
	size--;
	for (int i = 0; i < STEPS && size >= sizeof(step); i++) {
		memcpy(&step, bytes, sizeof(step));
		bytes += sizeof(step);
		size -= sizeof(step);
		if (step.kind % 20 == 19)
			touch(&step);
		else
			ask(&step);
		if (step.bits & BIT_WAIT)
			turn();
		check_books();
	}
	end();
	hold(memory() == before);
	return 0;
}
