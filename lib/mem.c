/* SPDX-License-Identifier: MIT */
/*
 * Memory in slabs, by size class
 *
 *   chunk   256 KiB to 16 MiB from mmap, each twice the last: few mappings.
 *           What of it was never used costs addresses only.
 *   slab    256 KiB of a chunk, at a multiple of that, which one class hands out
 *           from its start to its end; what is known of it is at its start
 *   block   of the class's size. Freed ones wait in the slab's list, and the
 *           last freed is the first used again.
 *
 *   new ──► has room ◄──► full       a class has those with room in a list
 *               │
 *               ▼ no block is used, and the class has another such
 *             spare: its pages are the kernel's again; for any class
 *
 * What is larger than the largest class is mmapped alone and unmapped when it
 * is freed.
 *
 * A block knows nothing of itself while it is used. A freed one carries a mark
 * made of its own address: freed twice, or written after it was freed, is an
 * assertion. So is a first byte written behind the size that was asked for, if
 * the class has room behind it. AddressSanitizer is told all of that exactly.
 */
#include <string.h>
#include <sys/mman.h>

#include "internal.h"
#include "lock.h"
#include "mem.h"
#include "sys.h"

#if defined(__SANITIZE_ADDRESS__)
#define WITH_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WITH_ASAN 1
#endif
#endif
#ifdef WITH_ASAN
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(memory, size)	  ((void)(memory), (void)(size))
#define ASAN_UNPOISON_MEMORY_REGION(memory, size) ((void)(memory), (void)(size))
#endif

#define SLAB_SIZE  ((size_t)256 << 10)
#define CHUNK_MIN  SLAB_SIZE
#define CHUNK_MAX  ((size_t)16 << 20)
#define GUARD_SIZE ((size_t)16) /* looked at behind a block, at most */

/* Multiples of 16; of 4096 from there up. */
static const uint32_t class_sizes[] = {
	16,   32,   48,	  64,	80,    96,    112,   128,   160,   192,	  224,
	256,  320,  384,  448,	512,   640,   768,   896,   1024,  1280,  1536,
	2048, 3072, 4096, 8192, 12288, 16384, 24576, 32768, 49152, 65536,
};

#define N_CLASSES lengthof(class_sizes)
#define CLASS_MAX ((size_t)65536)

/* What a freed block holds. */
struct block {
	struct block *next;
	uintptr_t mark;
};

/* Under lock. */
struct slab {
	struct slab *next,
		**link; /* while it is in a list, and who points at it */
	struct block *freed;
	char *fresh; /* the rest: never used since its pages are new */
	unsigned rank, used;
	unsigned life; /* heap.life */
};

_Static_assert(sizeof(struct slab) % 16 == 0, "blocks are aligned behind it");

/* All of it under lock. */
static struct {
	struct {
		struct slab *slabs; /* with room */
		bool has_empty;	    /* one of them is */
	} classes[N_CLASSES];
	struct slab *spare;
	char *chunk, *chunk_end; /* the rest of the chunk */
	size_t chunk_size;
	unsigned life; /* changes when all is given up (mem_child) */
} heap;

static struct lock lock;

/*
 * Counted down (release) before memory is unmapped, and up (acquire) after it
 * was mapped: who gets the address again comes after who had it. The kernel
 * sees to that anyway; ThreadSanitizer sees it here.
 */
static _Atomic size_t used;

static uintptr_t mark_of(const struct block *block)
{
	return (uintptr_t)block ^ (uintptr_t)0x9e3779b97f4a7c15;
}

/* Hidden from a fuzzer, which would learn the mark of a block by watching the
   comparison, and put it into the block's contents. */
#ifdef __clang__
__attribute__((noinline, no_sanitize("coverage")))
#endif
static bool
is_marked(const struct block *block)
{
	return block->mark == mark_of(block);
}

/* The class that holds @size, as an index of class_sizes. */
static unsigned rank_of(size_t size)
{
	unsigned rank = 0;

	while (class_sizes[rank] < size)
		rank++;
	return rank;
}

static char *map(size_t size)
{
	long address = sys_map(0, page_up(size), PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return sys_failed(address) ? NULL : (char *)address;
}

/* ---- Slabs, all under lock ------------------------------------------------------- */

static void push(struct slab **list, struct slab *slab)
{
	slab->next = *list;
	slab->link = list;
	if (slab->next)
		slab->next->link = &slab->next;
	*list = slab;
}

static void take_out(struct slab *slab)
{
	*slab->link = slab->next;
	if (slab->next)
		slab->next->link = slab->link;
}

static struct slab *slab_of(void *block)
{
	return (struct slab *)((uintptr_t)block & ~(SLAB_SIZE - 1));
}

/* A new chunk; the rest of the old one is forgotten. */
static bool chunk_grow(void)
{
	size_t size =
		min_u64(max_u64(heap.chunk_size * 2, CHUNK_MIN), CHUNK_MAX);
	char *chunk = map(size + SLAB_SIZE);

	if (!chunk)
		return false;
	ASAN_POISON_MEMORY_REGION(chunk, size + SLAB_SIZE);
	heap.chunk = (char *)slab_of(chunk + SLAB_SIZE - 1);
	heap.chunk_end = heap.chunk + size;
	heap.chunk_size = size;
	return true;
}

/* For the class, whose others are full. All of it is zero. */
static struct slab *slab_take(unsigned rank)
{
	struct slab *slab = heap.spare;

	if (slab) {
		take_out(slab);
	} else {
		if (heap.chunk == heap.chunk_end && !chunk_grow())
			return NULL;
		slab = (struct slab *)(void *)heap.chunk;
		heap.chunk += SLAB_SIZE;
		ASAN_UNPOISON_MEMORY_REGION(slab, sizeof(*slab));
	}
	slab->rank = rank;
	slab->life = heap.life;
	slab->fresh = (char *)slab +
		      (class_sizes[rank] < PAGE ? sizeof(*slab) : PAGE);
	push(&heap.classes[rank].slabs, slab);
	return slab;
}

static bool has_room(const struct slab *slab)
{
	size_t gone = slab->fresh - (const char *)slab;

	return slab->freed || SLAB_SIZE - gone >= class_sizes[slab->rank];
}

/* A block; *@fresh: it was never used, so is still zero. Or NULL. */
static struct block *block_take(unsigned rank, bool *fresh)
{
	struct slab *slab = heap.classes[rank].slabs;
	struct block *block;

	if (!slab)
		slab = slab_take(rank);
	if (!slab)
		return NULL;
	block = slab->freed;
	*fresh = !block;
	if (block) {
		slab->freed = block->next;
	} else {
		block = (struct block *)(void *)slab->fresh;
		slab->fresh += class_sizes[rank];
	}
	if (!slab->used++)
		heap.classes[rank].has_empty = false;
	if (!has_room(slab))
		take_out(slab);
	return block;
}

/* The slab, in no list now, if it had better go. */
static struct slab *block_put(struct block *block)
{
	struct slab *slab = slab_of(block);
	bool had_room = has_room(slab), *has_empty;

	if (slab->life != heap.life)
		return NULL;
	block->next = slab->freed;
	slab->freed = block;
	has_empty = &heap.classes[slab->rank].has_empty;
	if (!had_room)
		push(&heap.classes[slab->rank].slabs, slab);
	if (--slab->used)
		return NULL;
	if (*has_empty) {
		take_out(slab);
		return slab;
	}
	*has_empty = true;
	return NULL;
}

/* Not under lock: nobody else has it. */
static void slab_give_back(struct slab *slab)
{
	ASAN_UNPOISON_MEMORY_REGION(slab, SLAB_SIZE);
	if (sys_call(SYS_madvise, slab, SLAB_SIZE, MADV_DONTNEED))
		memset(slab, 0, SLAB_SIZE); /* it is locked */
	ASAN_POISON_MEMORY_REGION(slab + 1, SLAB_SIZE - sizeof(*slab));
	lock_take(&lock);
	push(&heap.spare, slab);
	lock_drop(&lock);
}

/* ---- Blocks ---------------------------------------------------------------------- */

static void *reuse(struct block *block, unsigned rank, size_t size)
{
	size_t whole = class_sizes[rank];

	assert(is_marked(block) && "written after it was freed");
	ASAN_UNPOISON_MEMORY_REGION(block, whole);
	memset(block, 0, whole);
	ASAN_POISON_MEMORY_REGION((char *)block + size, whole - size);
	return block;
}

static void *block_alloc(unsigned rank, size_t size)
{
	struct block *block;
	bool fresh = false;

	lock_take(&lock);
	block = block_take(rank, &fresh);
	lock_drop(&lock);

	if (block && fresh) {
		ASAN_UNPOISON_MEMORY_REGION(block, size);
		return block;
	}
	return block ? reuse(block, rank, size) : NULL;
}

/* The bytes behind @size, as many as are cheap, are what they were: zero. */
static bool guard_holds(const char *memory, unsigned rank, size_t size)
{
	static const char zeros[GUARD_SIZE];

	return !memcmp(memory + size, zeros,
		       min_u64(class_sizes[rank] - size, GUARD_SIZE));
}

static void block_free(struct block *block, unsigned rank, size_t size)
{
	struct slab *empty;
	bool intact;

	ASAN_UNPOISON_MEMORY_REGION(block, class_sizes[rank]);
	assert(!is_marked(block) && "freed twice");
	intact = guard_holds((char *)block, rank, size);
	assert(intact && "written behind its end");
	(void)intact;
	ASAN_POISON_MEMORY_REGION(block + 1,
				  class_sizes[rank] - sizeof(*block));
	block->mark = mark_of(block);
	lock_take(&lock);
	assert(slab_of(block)->used && "freed twice");
	assert(slab_of(block)->rank == rank && "freed with another size");
	empty = block_put(block);
	lock_drop(&lock);
	if (empty)
		slab_give_back(empty);
}

void *mem_alloc(size_t size)
{
	void *memory = NULL;

	if (size <= CLASS_MAX)
		memory = block_alloc(rank_of(size), size);
	else if (size <= PTRDIFF_MAX)
		memory = map(size);
	if (memory)
		atomic_fetch_add_explicit(&used, size, memory_order_acquire);
	return memory;
}

void mem_free(void *memory, size_t size)
{
	size_t before;

	if (!memory)
		return;
	before = atomic_fetch_sub_explicit(&used, size, memory_order_release);
	assert(before >= size && "more freed than was handed out");
	(void)before;
	if (size <= CLASS_MAX)
		block_free(memory, rank_of(size), size);
	else
		sys_unmap((uint64_t)memory, page_up(size));
}

void *mem_resize(void *memory, size_t size, size_t larger)
{
	void *other = mem_alloc(larger);

	if (!other)
		return NULL;
	if (memory)
		memcpy(other, memory, size);
	mem_free(memory, size);
	return other;
}

size_t mem_used(void)
{
	return atomic_load_explicit(&used, memory_order_relaxed);
}

/*
 * A lock that was held has left the lists half changed, perhaps: all that is
 * free, and what will be of what is used, is given up then.
 */
void mem_child(void)
{
	bool held = atomic_load_explicit(&lock.word, memory_order_relaxed);
	unsigned life = heap.life;

	memset(&lock, 0, sizeof(lock));
	if (!held)
		return;
	memset(&heap, 0, sizeof(heap));
	heap.life = life + 1;
}
