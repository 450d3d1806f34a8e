/* SPDX-License-Identifier: MIT */
/*
 * The pager: what its thread owns, and the steps of its work
 *
 *   loop ──► faults_read ──► fault_resolve ──┬─► mapping_show   it is in memory
 *     │                          ▲           ├─► fill_start     it is not
 *     │                          └── waiters │      │
 *     │   store's answer ────────────────────┴─ settle
 *     └────► message_handle ──► books, writeback_start, …
 *
 * Whoever settles a page owes an answer to every fault that was set aside for
 * it meanwhile: they are resolved again from the start, so that none is lost
 * whatever has become of the page.
 */
#ifndef WMAP_PAGER_H
#define WMAP_PAGER_H

#include "budget.h"
#include "follow.h"
#include "loop.h"
#include "message.h"
#include "object.h"
#include "space.h"
#include "staging.h"
#include "swapout.h"

#define OBJECT_HASHES 256

/* Pages in one read ahead of a sequential reader, or of WILLNEED. */
#define AHEAD 32

/* What clients may look at by themselves, to pass by what is not mapped; in
   memory that they share. Orders nothing. */
struct hints {
	_Atomic unsigned n_files;	       /* that have an object */
	_Atomic unsigned files[OBJECT_HASHES]; /* by hash */
};

#define HEAL_EVERY 1000000000ull /* ns */

struct pager {
	struct loop *loop;
	struct list spaces; /* space.link: of the processes that it serves */
	struct space *home; /* that of its own process, or NULL */
	struct list objects[OBJECT_HASHES]; /* with a key, by it */
	struct hints *hints;
	struct ledger *ledger; /* or NULL */
	struct list all;       /* object.of_pager: every object */
	struct budget budget;
	struct staging staging;
	struct swapout swapout;
	struct follow follow;
	struct list hungry;   /* fill.waiting: for a buffer, or for memory */
	struct list thirsty;  /* fault.link: zeros, that wait for memory */
	struct list dry;      /* writeback.dry: no room for their writes now */
	struct post wet;      /* there is again */
	bool wetting;	      /* it is posted */
	uint64_t n_parked;    /* fills that hold a page back */
	uint64_t ahead_wants; /* bytes that reading ahead would use */
	struct list prefetches;	   /* prefetch.link */
	unsigned prefetching;	   /* reads under way for them */
	struct post pump;	   /* prefetch_pump, */
	bool pumping;		   /* if it is posted */
	struct recorder *recorder; /* or NULL: nothing is recorded */
	struct replay *replay;	   /* or NULL */
	struct list sick;	   /* object.sick: with pages in ERROR */
	struct timer heal;
	struct timer leaving;	/* is it at rest? */
	struct message *leaver; /* MESSAGE_LEAVE, until it is */
	struct post *deferred;	/* messages that books_put_off put off */
	struct timer take_up;	/* of these, if nothing else does */
	size_t n_objects;
	struct wmap_stats stats; /* what belongs to no process any more */
	bool haunted;		 /* a predecessor may write to files still */
	struct hash_key key;	 /* of hashes of PRESUMED pages */
	bool has_key;		 /* it was drawn */
	bool refusing; /* what is not in memory is SIGBUS from now on */
	bool stopping;
};

/* Several things that end, and one that waits for all of them. */
struct join {
	unsigned pending;
	int error;  /* the first one, or 0 */
	bool alone; /* nobody waits */
	void (*done)(struct join *join);
};

static inline void join_end(struct join *join, int error)
{
	if (!join->error)
		join->error = error;
	if (!--join->pending)
		join->done(join);
}

static inline unsigned pager_hash(uint64_t dev, uint64_t ino)
{
	return (unsigned)((dev * 31 + ino) % OBJECT_HASHES);
}

/* ---- fill.c, fault.c, prefetch.c */

/* Give a fault's thread what it waits for: now, or when it is there. */
void fault_resolve(struct pager *pager, struct fault fault);

/* Wake all that were held while a mapping was closing, or grew; they look again.
   Or: it has grown by a page. */
void faults_release(struct mapping *mapping);
void faults_resolve(struct mapping *mapping);

/* Bring what is absent of the ranges, in the background. They are taken over on
   success. -ENOMEM. */
int prefetch_start(struct space *space, struct wmap_range *ranges, size_t n,
		   bool hint, uint64_t *id);

/*
 * The same for what was recorded of a mapping, a file with that number in the
 * recording: as long as it proves right. @ranges is taken over on success.
 */
int prefetch_replay(struct mapping *mapping, uint32_t file,
		    struct wmap_range *ranges, size_t n);
void prefetch_end_replays(struct pager *pager);

/* A fault on a page of the mapping that was not on its way. */
void prefetch_missed(struct pager *pager, const struct mapping *mapping,
		     uint64_t index);

/* The mapping goes: nothing that was recorded of it is brought any more. */
void prefetch_leave(const struct mapping *mapping);

/* Answer when it has ended, or cancel it and answer then. */
void prefetch_wait(struct message *message);

/* The space goes: nothing is brought for it any more. */
void prefetch_forget(struct space *space);

/* Try pages of an object that failed again: at most @most, in turns. @join, if
   there is one, is told when they have been tried. */
void object_retry(struct pager *pager, struct object *object, size_t most,
		  struct join *join);

/* It has pages in ERROR: they are tried again, every now and then. */
void object_sicken(struct pager *pager, struct object *object);

/* A buffer came back: begin what waits for one. */
void fills_feed(struct pager *pager);

/* What is being read of @object, through @via (NULL: through any), that @from
   was to pay for, @to pays for. */
void fills_charge(struct object *object, const struct mapping *via,
		  const struct share *from, struct share *to);

/* prefetch.c: a read has ended, or memory came back: another may begin. */
void prefetch_pump(struct pager *pager);

/* The same, when what is being done now is done. */
void prefetch_pump_soon(struct pager *pager);

/* What is being read of [first, end) was changed meanwhile: read it again. */
void fills_repeat(struct object *object, uint64_t first, uint64_t end);

/* Let go of what is held back of [first, end). */
void fills_unhold(struct object *object, uint64_t first, uint64_t end);

/* What is being read of an object is not wanted any more; who waits for it faults
   again. */
void fills_abandon(struct object *object);

/* No fill under way needs @mapping any more, which goes. */
void fills_forget(struct mapping *mapping);

/* ---- writeback.c -----------------------------------------------------------*/

struct writeback {
	struct list link;
	struct pager *pager;
	struct object *object;
	uint64_t first, end; /* pages */
	bool flush;
	int error;
	void (*done)(struct writeback *writeback);
	void *owner;
	/* only these pages, or NULL; taken over, an array of room */
	uint64_t *chosen, n_chosen, room;
	/* its own */
	uint64_t *indexes, n, next;
	uint64_t limit, deadline;
	unsigned in_flight;
	bool begun;
	bool judging; /* judged is posted: some of its pages just were */
	struct post judged;
	bool parked, waited; /* for others' writes; and no longer */
	struct timer patience;
	struct list dry; /* pager.dry */
};

/*
 * Write the dirty pages of [first, end) back, after all write-backs of this
 * object that were begun before. The caller has set object, first, end, flush,
 * deadline, done and owner; done is called with error set, perhaps before this
 * returns; the struct is the caller's again then.
 */
void writeback_start(struct pager *pager, struct writeback *writeback);

/* Nobody is in write(2) to the object's file any more. */
void writeback_resume(struct object *object);

/* Ask its store for its length, which is returned, or a negative errno; of one that
   became shorter, what lies beyond is there no longer. */
int64_t object_measure(struct object *object);

/* Drop the clean pages of [first, end) from memory. */
void object_drop(struct object *object, uint64_t first, uint64_t end);

/* Take the pages of anonymous memory in [first, end) out of it. */
void object_forget(struct object *object, uint64_t first, uint64_t end);

/* ---- pager.c ---------------------------------------------------------------*/

/* Without spaces yet. @hints: all zeros, constant while it runs. *@features:
   WMAP_FEATURE_* of its loop. */
int pager_create(struct hints *hints, struct pager **pager, unsigned *features);

/* With none but its home left. */
void pager_destroy(struct pager *pager);

/* On the thread that owns its loop, until MESSAGE_STOP. */
void pager_run(struct pager *pager);

/* A fault was answered: count how long it took. */
void pager_answered(struct pager *pager, const struct fault *fault);

/* Whose counters what is done for @object goes to. */
struct wmap_stats *pager_stats(struct pager *pager,
			       const struct object *object);

/* Serve a process by its uffd, taken over: its faults are read from now on. */
int pager_space_create(struct pager *pager, int uffd, unsigned features,
		       struct space **space);

/* One that was created without a uffd (-1) gets it. */
int pager_space_attach(struct space *space, int uffd);

/* ---- books.c: messages -----------------------------------------------------*/

void message_handle(struct message *message);

/* The same, where a message is a post: what is put off comes back by it. */
void message_run(struct post *post);
void message_answer(struct message *message, int result);

#endif
