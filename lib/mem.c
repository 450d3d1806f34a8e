/* SPDX-License-Identifier: MIT */
/*
 * Memory in slabs, by size class
 *
 *   chunk   256 KiB to 16 MiB from mmap, each twice the last: few mappings.
 *           Never given back; what of it was never used costs addresses only.
 *   slab    a piece of the chunk that one class hands out from its start to
 *           its end
 *   block   of the class's size. Freed ones wait in the class's list, and the
 *           last freed is the first used again.
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

#define SLAB_SIZE  ((size_t)64 << 10)
#define CHUNK_MIN  ((size_t)256 << 10)
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

/* All of it under lock. */
static struct {
	struct {
		struct block *freed;
		char *fresh, *end; /* the rest of the slab */
	} classes[N_CLASSES];
	char *chunk, *chunk_end; /* the rest of the chunk */
	size_t chunk_size;
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

/* Under lock. A new chunk; the rest of the old one is forgotten. */
static bool chunk_grow(void)
{
	size_t size =
		min_u64(max_u64(heap.chunk_size * 2, CHUNK_MIN), CHUNK_MAX);
	char *chunk = map(size);

	if (!chunk)
		return false;
	ASAN_POISON_MEMORY_REGION(chunk, size);
	heap.chunk = chunk;
	heap.chunk_end = chunk + size;
	heap.chunk_size = size;
	return true;
}

/* Under lock. A new slab; the old one is used up but for less than a block. */
static bool slab_grow(unsigned rank)
{
	size_t size = max_u64(SLAB_SIZE, 4 * class_sizes[rank]);

	if ((size_t)(heap.chunk_end - heap.chunk) < size && !chunk_grow())
		return false;
	heap.classes[rank].fresh = heap.chunk;
	heap.chunk += size;
	heap.classes[rank].end = heap.chunk;
	return true;
}

/* Under lock. A block that was never used, so still zero; or NULL. */
static void *take_fresh(unsigned rank)
{
	size_t size = class_sizes[rank];
	char *block;
	size_t left = heap.classes[rank].end - heap.classes[rank].fresh;

	if (left < size && !slab_grow(rank))
		return NULL;
	block = heap.classes[rank].fresh;
	heap.classes[rank].fresh += size;
	return block;
}

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
	void *fresh = NULL;

	lock_take(&lock);
	block = heap.classes[rank].freed;
	if (block)
		heap.classes[rank].freed = block->next;
	else
		fresh = take_fresh(rank);
	lock_drop(&lock);

	if (fresh) {
		ASAN_UNPOISON_MEMORY_REGION(fresh, size);
		return fresh;
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
	block->next = heap.classes[rank].freed;
	heap.classes[rank].freed = block;
	lock_drop(&lock);
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

size_t mem_used(void)
{
	return atomic_load_explicit(&used, memory_order_relaxed);
}

/*
 * A lock that was held has left the lists half changed, perhaps: all that is
 * free is given up then.
 */
void mem_child(void)
{
	bool held = atomic_load_explicit(&lock.word, memory_order_relaxed);

	memset(&lock, 0, sizeof(lock));
	if (held)
		memset(&heap, 0, sizeof(heap));
}
