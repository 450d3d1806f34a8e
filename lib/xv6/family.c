/* SPDX-License-Identifier: MIT */
/*
 * What a family of processes shares: a memfd that the first one makes
 *
 * It is mapped in every process that descends from it, and found again after
 * exec by its descriptor. Nothing in it is locked, as a process may be killed at
 * any moment; each word is claimed by a compare-and-swap, and orders nothing.
 *
 * Numbers of frames: slots, hashed by frame. A frame that is asked for first
 * gets the next number; two that ask at once agree on the slot, and the loser's
 * number stays unused. xv6 hands out its highest pages first, and so do we.
 */
#include <fcntl.h>
#include <stdatomic.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "internal.h"
#include "layer.h"

#define FRAMES	  ((PHYSICAL_HIGH - PHYSICAL_LOW) / PAGE_BYTES)
#define SLOTS	  (1u << 17) /* more than twice that many */
#define PROCESSES 64	     /* as xv6 has */

/* A slot's word: frame << 16 | number + 1, so that 0 is empty. */
_Static_assert(FRAMES < 1 << 16, "a number has 16 bits");

#define COMING (-1) /* a place that is taken, by nobody known yet */

struct family {
	uint64_t began;			 /* [c] CLOCK_MONOTONIC, ns */
	_Atomic int32_t pids[PROCESSES]; /* [a] 0: free */
	_Atomic uint32_t n_numbers;	 /* [a] handed out */
	_Atomic uint64_t slots[SLOTS];	 /* [a] */
};

static struct family *family;

static uint64_t now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

uint64_t family_began(void)
{
	return family->began;
}

uint64_t family_time(void)
{
	return now() - family->began;
}

/* ---- Starting ---------------------------------------------------------------- */

static int make(void)
{
	int fd = memfd_create("xv6-family", 0);

	if (fd < 0 || ftruncate(fd, sizeof(struct family)) ||
	    dup2(fd, FD_FAMILY) < 0)
		return -1;
	return close(fd);
}

int family_start(bool inherited)
{
	if (!inherited && make())
		return -1;
	family = mmap(NULL, sizeof(*family), PROT_READ | PROT_WRITE, MAP_SHARED,
		      FD_FAMILY, 0);
	if (family == MAP_FAILED)
		return -1;
	if (!inherited) {
		family->began = now();
		family_set(family_enter(), getpid());
	}
	return 0;
}

/* ---- Who lives ----------------------------------------------------------------*/

static bool take(_Atomic int32_t *place)
{
	int32_t nobody = 0, pid = atomic_load(place);

	/* Who was killed has not left. */
	if (pid > 0 && kill(pid, 0))
		atomic_compare_exchange_strong(place, &pid, 0);
	return atomic_compare_exchange_strong(place, &nobody, COMING);
}

int family_enter(void)
{
	for (int i = 0; i < PROCESSES; i++)
		if (take(&family->pids[i]))
			return i;
	return -1;
}

void family_set(int place, pid_t pid)
{
	atomic_store(&family->pids[place], pid);
}

void family_leave(pid_t pid)
{
	for (int i = 0; i < PROCESSES; i++) {
		int32_t it = pid;

		atomic_compare_exchange_strong(&family->pids[i], &it, 0);
	}
}

bool family_has(pid_t pid)
{
	for (int i = 0; i < PROCESSES; i++)
		if (pid > 0 && atomic_load(&family->pids[i]) == pid)
			return true;
	return false;
}

/* ---- Numbers ------------------------------------------------------------------ */

static uint32_t hash(uint64_t frame)
{
	return (uint32_t)(frame * UINT64_C(0x9e3779b97f4a7c15) >> 47) % SLOTS;
}

/* The word for @frame: found, or put in the first empty slot. */
static uint64_t word_of(uint64_t frame)
{
	uint64_t word = 0, new = 0;

	for (uint32_t i = hash(frame);; i = (i + 1) % SLOTS) {
		word = atomic_load(&family->slots[i]);
		if (!word) {
			if (!new)
				new = frame << 16 |
				      (atomic_fetch_add(&family->n_numbers, 1) +
				       1);
			if ((new & 0xffff) > FRAMES || new >> 16 != frame)
				return 0;
			if (atomic_compare_exchange_strong(&family->slots[i],
							   &word, new))
				return new;
		}
		if (word >> 16 == frame)
			return word;
	}
}

uint family_number(uint64_t frame)
{
	uint64_t word;

	if (atomic_load(&family->n_numbers) >= FRAMES) {
		/* All are used up; those that are known are still right. */
		for (uint32_t i = hash(frame);; i = (i + 1) % SLOTS) {
			word = atomic_load(&family->slots[i]);
			if (!word || word >> 16 == frame)
				break;
		}
	} else {
		word = word_of(frame);
	}
	if (!word)
		return 0;
	return PHYSICAL_HIGH - (uint)(word & 0xffff) * PAGE_BYTES;
}
