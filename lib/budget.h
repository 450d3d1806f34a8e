/* SPDX-License-Identifier: MIT */
/*
 * The budget: how much memory a pager may hold, and which pages go first
 *
 *   used = pages in memory + pages on their way + staging buffers
 *
 * Whoever is about to need memory asks first (budget_take), so that what is used
 * never exceeds the limit; what is on its way is counted from the moment its
 * read begins. Without a limit nothing is kept but two sums.
 *
 * Invariant: what is used, without the buffers of what is being written, does not
 * grow above budget_limit(), and they fit beside that; so what was above a limit
 * when it was lowered only falls. But for what somebody sleeps for where no memory
 * will come back, or none has by his deadline; and before a fork.
 *
 * With one, the pages of objects that have a store are kept in windows of 512
 * neighbours (2 MiB), each of one payer (share.h), and the windows in two queues
 * of his (window.h).
 *
 * watch() takes a window out of the page tables, not out of memory; what is used
 * again the MMU brings back by itself, without the pager, and judge() sees it in
 * the page map. (In other processes their agents do it, when they come to it;
 * where it cannot be done, and in mappings whose touches are counted, the oldest
 * window goes first.) So a page that is
 * used stays as long as it is used between the two, and one that is not goes in
 * a run with its neighbours.
 */
#ifndef WMAP_BUDGET_H
#define WMAP_BUDGET_H

#include "internal.h"
#include "list.h"
#include "loop.h"
#include "share.h"

#define BUDGET_MIN    ((uint64_t)256 << 10)
#define BUDGET_HASHES 1024
#define BUDGET_GONE   1024

struct budget {
	uint64_t limit;	   /* bytes, or BUDGET_NONE */
	uint64_t resident; /* pages in memory */
	uint64_t coming;   /* pages that reads under way will bring */
	uint64_t writing;  /* bytes of buffers that are being written */
	uint64_t peak;	   /* bytes, the most that was used */
	/* share.c */
	struct list shares; /* share.link: of processes with mappings */
	struct list scarce; /* share.scarce: near to limits of their own */
	struct share rest;  /* pays for what nobody else does */
	unsigned n_users;   /* of the processes */
	/* window.c */
	struct list hashes[BUDGET_HASHES];
	struct window *last; /* asked for, or NULL */
	uint64_t clock;	     /* of what comes to its place */
	/* evict.c: what streams brought, and was evicted */
	struct gone {
		const struct object *object; /* may be gone too; or NULL */
		uint64_t number, evicted;
	} gone[BUDGET_GONE]; /* by hash */
	unsigned returns;    /* of RETURNS, those that came back soon */
	uint64_t n_writing;  /* pages being written back to be evicted */
	uint64_t asked;	     /* times that shares were asked for pages */
	struct post idle;    /* evicts when there is nothing better to do */
	bool scheduled;	     /* idle is in the loop's queue */
	bool stuck;	     /* nothing could go; wait until that changes */
	struct timer again;  /* when nothing could be evicted */
	uint64_t evicted;    /* pages */
};

static inline bool budget_is_set(const struct budget *budget)
{
	return budget->limit != BUDGET_NONE;
}

void budget_init(struct pager *pager, uint64_t limit);

/* Bytes used now. */
uint64_t budget_used(const struct pager *pager);

/*
 * May @share use @bytes more, and a buffer of @buffer bytes (0: none)? Evicts what
 * can go at once, if that is needed. What is only a guess (@ahead) evicts nothing,
 * and leaves the last of the memory to those who sleep.
 */
bool budget_take(struct pager *pager, struct share *share, uint64_t bytes,
		 size_t buffer, bool ahead);

enum room {
	ROOM,
	ROOM_LATER, /* memory comes back by itself: wait for it */
	NO_ROOM,    /* none will */
};

/*
 * The same for somebody who sleeps: may @share have @pages more, which take @bytes
 * that are not counted yet? Who is full, and has no hope of his own, may have the
 * memory of others: a page that somebody sleeps for is worth more than his bound.
 */
enum room budget_room(struct pager *pager, struct share *share, uint64_t pages,
		      uint64_t bytes, size_t buffer);

/* Where a fill waits, if it finds no room as its share or the whole of that is full
   (NULL: neither); NULL: none will come. */
struct list *budget_hungry(struct pager *pager, struct share *full);

/* The buffer for which budget_take had room, as it had for the pages that it will
   bring; NULL: no memory, now, or the object's store has its part of them. */
void *budget_read_begin(struct object *object, size_t size);
void budget_read_end(struct object *object, void *buffer, size_t size);

/* Bytes that are due to all processes together. */
uint64_t budget_shared(const struct budget *budget);

/*
 * Writing takes its buffers from a part that reading leaves alone: else what is
 * full of changed pages could not be written. NULL: no room, or no memory, now.
 */
bool budget_write_fits(const struct pager *pager, uint64_t bytes);
void *budget_write_begin(struct object *object, size_t size);
void budget_write_end(struct object *object, void *buffer, size_t size);

/* Of what is written back to be evicted: may more be? */
bool budget_may_write(const struct pager *pager);

/* Pages that one write may have. */
uint64_t budget_write_most(const struct pager *pager);

/* Bytes that all but writing may use, and how many of them are used. */
uint64_t budget_limit(const struct pager *pager);
uint64_t budget_load(const struct pager *pager);

/* Will memory come back by itself to all: reads that end, pages that are
   written? */
bool budget_hopes(const struct pager *pager);

/* Change the limit. -EINVAL: too small. Evicts in the background. */
int budget_set(struct pager *pager, uint64_t limit);

/* The limit that $WMAP_MEMORY says, BUDGET_NONE if it says nothing. -EINVAL, and
   a line in the log: it makes no sense. */
int budget_from_environment(uint64_t *limit);

/* For the environment of a pager that takes over from this process's: room for
   "WMAP_MEMORY=" and a number; NULL: without a limit. */
const char *budget_to_environment(char text[40]);

/* The largest limit that makes sense: the memory of the machine. */
uint64_t budget_most(void);

/* "256M" in bytes: K, M, G, T; 0 if it is no size, or too large a one. */
uint64_t budget_parse(const char *text);

/* A new object counts in @pager's budget from now on; @share pays for what it
   has. */
void budget_adopt(struct pager *pager, struct object *object,
		  struct share *share);

/* object.c: @n neighbours of an object came, a page of it went. */
void budget_came(struct object *object, uint64_t first, size_t n);
void budget_went(struct object *object, uint64_t index);

/* The object goes, with all its pages. */
void budget_forget(struct object *object);

/* ---- evict.c ---------------------------------------------------------------*/

/* Evict about @pages pages, now; returns how many went. They are those of who is
   farthest above its due, or of who asks (NULL: nobody). */
uint64_t evict_now(struct pager *pager, struct share *asking, uint64_t pages);

/* The same, of pages that @share pays for. */
uint64_t evict_of(struct pager *pager, struct share *share, uint64_t pages);

/* Memory is short, or may be soon: evict in the background. */
void evict_kick(struct pager *pager);

/* The pages of [first, end) go first, unless they are used again. */
void evict_soon(struct object *object, uint64_t first, uint64_t end);

/* A stream has brought what is the first page of a window. */
void evict_returned(const struct object *object, uint64_t number);

void evict_init(struct pager *pager);

/* Has anybody more than is due to him, of what may go? */
bool evict_gives(const struct pager *pager);

/* Are there pages that writing back would set free? */
bool evict_hopes(const struct pager *pager);

#endif
