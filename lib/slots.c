/* SPDX-License-Identifier: MIT */
/* What is where in swap, in shared memory (slots.h) */
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "mem.h"
#include "slots.h"
#include "swap.h"
#include "sys.h"

#define MAGIC UINT64_C(0x3170777370616d77) /* "wmapswp1" */
#define SIZE  page_up((SWAP_PAGES + UINT64_C(1)) * sizeof(struct slot))
#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

/* What slot 0 holds instead. */
struct head {
	uint64_t magic;
	uint32_t way, turn;
	_Atomic uint32_t end; /* of those that were ever used */
	_Atomic uint32_t reach;
};

struct slots {
	struct slot *all;
	struct head *head;
	int memfd;
};

/* Takes @memfd over, also on failure. */
static int map(int memfd, struct slots **result)
{
	struct slots *slots = mem_alloc(sizeof(*slots));
	long at = slots ? sys_map(0, SIZE, PROT_READ | PROT_WRITE,
				  MAP_SHARED | MAP_NORESERVE, memfd, 0) :
			  -ENOMEM;

	_Static_assert(sizeof(struct head) == sizeof(struct slot), "a slot");
	if (sys_failed(at)) {
		mem_free(slots, sizeof(*slots));
		sys_call(SYS_close, memfd);
		return (int)at;
	}
	slots->all = (struct slot *)at;
	slots->head = (struct head *)at;
	slots->memfd = memfd;
	*result = slots;
	return 0;
}

int slots_create(uint32_t way, struct slots **result)
{
	int error, memfd = (int)sys_call(SYS_memfd_create, "wmap-slots",
					 MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (memfd < 0)
		return memfd;
	error = (int)sys_call(SYS_fchmod, memfd, 0600);
	if (!error)
		error = (int)sys_call(SYS_ftruncate, memfd, SIZE);
	if (!error)
		error = (int)sys_call(SYS_fcntl, memfd, F_ADD_SEALS, SEALS);
	if (error) {
		sys_call(SYS_close, memfd);
		return error;
	}
	error = map(memfd, result);
	if (error)
		return error;
	(*result)->head->way = way;
	(*result)->head->end = 1;
	(*result)->head->magic = MAGIC;
	return 0;
}

bool slots_are(int memfd)
{
	long seals = sys_call(SYS_fcntl, memfd, F_GET_SEALS);
	struct stat stat;

	return seals >= 0 && (seals & SEALS) == SEALS &&
	       !sys_call(SYS_fstat, memfd, &stat) &&
	       (uint64_t)stat.st_size == SIZE;
}

/* Who handed it over had it to be read only. */
int slots_open(int memfd, struct slots **result)
{
	struct slots *slots;
	char path[32];
	int error, own;

	if (!slots_are(memfd))
		return -EINVAL;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", memfd);
	own = (int)sys_call(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC);
	if (own < 0)
		return own;
	error = map(own, &slots);
	if (error)
		return error;
	if (slots->head->magic != MAGIC || !slots->head->end ||
	    slots->head->end > SWAP_PAGES + 1 ||
	    slots->head->reach > SLOTS_REACH) {
		slots_close(slots);
		return -EINVAL;
	}
	slots->head->turn++;
	*result = slots;
	return 0;
}

void slots_close(struct slots *slots)
{
	if (!slots)
		return;
	sys_unmap((uint64_t)slots->all, SIZE);
	sys_call(SYS_close, slots->memfd);
	mem_free(slots, sizeof(*slots));
}

int slots_descriptor(const struct slots *slots)
{
	return slots->memfd;
}

uint32_t slots_way(const struct slots *slots)
{
	return slots->head->way;
}

uint32_t slots_turn(const struct slots *slots)
{
	return slots->head->turn;
}

uint32_t slots_reach(const struct slots *slots)
{
	return slots->head->reach;
}

void slots_reached(struct slots *slots, uint32_t blocks)
{
	if (blocks > slots->head->reach)
		slots->head->reach = blocks;
}

uint32_t slots_end(const struct slots *slots)
{
	return slots->head->end;
}

const struct slot *slots_get(const struct slots *slots, uint32_t number)
{
	return &slots->all[number];
}

void slots_put(struct slots *slots, uint32_t number, uint64_t object,
	       uint64_t page, uint64_t where)
{
	struct slot *slot = &slots->all[number];

	slot->object = object;
	slot->page = page;
	if (number >= slots->head->end)
		slots->head->end = number + 1;
	atomic_store_explicit(&slot->where, where, memory_order_release);
}

void slots_drop(struct slots *slots, uint32_t number)
{
	atomic_store_explicit(&slots->all[number].where, 0,
			      memory_order_seq_cst);
}
