/* SPDX-License-Identifier: MIT */
/*
 * Swapping out: private anonymous pages, and private copies of file pages, from
 * their mapping to swap
 *
 *            take out             write                 the file has it
 *   CLEAN ───────────► LEAVING ───────────► LEAVING ───────────────────► ABSENT
 *     ▲                   │ cooling            │ being written           (swap.h)
 *     └───────────────────┴────── a fault ─────┘                            │
 *     └──────────────────────── a fill ─────────────────────────────────────┘
 *
 * A run of pages is taken out of its mapping into memory of the pager's own: by
 * UFFDIO_MOVE, which takes the pages themselves; where that cannot be (before
 * 6.8, pages that a fork has left shared, mappings that may not be written, or
 * of a memfd) it is protected, copied and dropped. Either way a store is in the
 * bytes that leave, or faults and waits; then its page comes back from there or,
 * written, from the file.
 *
 * A run cools first, as long as a sixteenth of the budget has room for such: a
 * page that is touched meanwhile comes back without any I/O. That is how it is
 * learnt which pages are used; no page table is looked at. Pages of zeros are
 * not written: what is ABSENT, and not in swap, is zeros (but of copies).
 *
 * A page that came back has no copy in the file any more; it is written again
 * when it leaves again.
 *
 * What cannot be written stays where it is, LEAVING, and is tried again: a fault
 * gets it back. The budget is exceeded then rather than a page lost. The error
 * is told by the log, by the next wmap_sync of the mapping, and in wmap_stats.
 * While a write is not answered for long no page is taken out any more, and who
 * needs memory gets that of others, as far as there are any.
 *
 * A mapping from which a page has left is kept out of forks (MADV_DONTFORK):
 * what is missing there is not zeros. Before a fork all comes back (books_leave.c)
 * and is let in again; if it cannot, the child has nothing there: SIGSEGV.
 *
 * This is how it is done in the pager's own process: from another one nothing can
 * be taken out of memory (kernel.md says which calls can be made there). wmapd's
 * clients do it themselves, when asked (swapaway.h); private copies of file pages
 * stay there. What is shared is in a memfd, and goes from there (swapshared.c).
 */
#ifndef WMAP_SWAPOUT_H
#define WMAP_SWAPOUT_H

#include "internal.h"
#include "list.h"
#include "loop.h"

struct fault;
struct mapping;
struct message;
struct object;
struct pager;
struct swap;

#define SWAPOUT_RETRY 1000000000ull /* ns */

struct swapout {
	struct swap *swap;	  /* the pager's file */
	struct list cooling;	  /* leaving.link, oldest first */
	struct list retiring;	  /* being written */
	uint64_t n_cooling;	  /* pages */
	uint64_t n_writing;	  /* likewise */
	uint64_t held;		  /* bytes of runs' memory */
	uint64_t retry;		  /* until then nothing is written again */
	uint64_t out, in, errors; /* pages, pages, failed writes */
	bool forbidden;		  /* nothing is taken out: a fork comes */
	bool told;		  /* the log knows that writing fails */
	bool kept;		  /* a successor finds what is in swap */
	void (*opened)(struct pager *pager); /* it is so now; or NULL */
	struct timer again;		     /* swapaway.c: look for a buffer */
	/* of swapout_undo */
	struct timer look;
	struct message *undoer;
	uint64_t left; /* pages that were in swap at the last look */
};

int swapout_init(struct pager *pager);
void swapout_destroy(struct pager *pager);

/* There is a file, or room in it: pages may leave at once. */
void swapout_retry(struct pager *pager);

/* Nothing is written for a while; the log hears of the first time. */
void swapout_failed(struct swapout *swapout, const char *what, int error);

/* May anything be written? Opens the file. */
bool swapout_ready(struct pager *pager);

/* May the changed pages of an object be written, to its store or to swap? Where
   there is no hope of that nobody waits for it. */
bool swapout_writable(const struct object *object);

/* May the object's pages leave? */
bool swapout_can(const struct object *object);

/* Take up to @count CLEAN pages from @first on out of the object's mapping;
   returns how many, from the first on; 0: it cannot be done. */
uint64_t swapout_take(struct object *object, uint64_t first, uint64_t count);

/* An object that is shared has swap for its store from now on (swapshared.c); or
   not yet. */
void swapout_begin(struct object *object);

/* What a predecessor had swapped out, by its descriptors, which stay the caller's;
   then an object that it had begun; then what is nobody's is forgotten. */
int swapout_adopt(struct pager *pager, int slots, int file);
int swapout_adopt_object(struct pager *pager, uint64_t id,
			 struct wmap_store **store);
void swapout_adopted(struct pager *pager);

/* Write runs, the oldest first, so that @want pages will be free. */
void swapout_write(struct pager *pager, uint64_t want);

/* Memory has come back, or will not: who waits for it looks again. */
void swapout_tell(struct pager *pager);

/* Has a write been on its way for long? Then nobody waits for it who can have other
   pages' memory. */
bool swapout_is_silent(const struct pager *pager);

/* Pages that have left and are on their way to be free. */
uint64_t swapout_due(const struct pager *pager);

/* A fault at a page that is LEAVING. */
void swapout_rescue(struct pager *pager, struct object *object, uint64_t index,
		    const struct fault *fault);

/* What is being written would come back as a copy beside that. Is there no room
   for it, but will be when a write has ended, at the latest by its deadline? Makes
   room, if it can. */
bool swapout_must_stay(struct object *object);

/* All that is LEAVING comes back; -ENOMEM: some is not. */
int swapout_return(struct object *object);

/* What is LEAVING of [first, end), and in swap, is needed no more. */
void swapout_forget(struct object *object, uint64_t first, uint64_t end);

/* What is in swap of [first, end) of a client's private memory @to has, too; nothing
   is LEAVING but what is being taken. -ENOMEM. */
int swapout_copy(const struct object *from, struct object *to, uint64_t first,
		 uint64_t end);

/* Whoever goes on for us has swap in its hands from now on. False: not now. */
bool swapout_keep(struct pager *pager);

/* What is in swap of [first, end) goes to @upper. -ENOMEM, and nothing has
   changed. Nothing is LEAVING. */
int swapout_split(struct object *object, struct object *upper, uint64_t first,
		  uint64_t end);

/* Before a fork: all comes back, and nothing leaves until it is over. */
void swapout_undo(struct message *message);
void swapout_redo(struct message *message);

#endif
