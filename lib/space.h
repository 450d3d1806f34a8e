/* SPDX-License-Identifier: MIT */
/*
 * A space: one process's mappings by address, and its uffd
 *
 * The entries are sorted and do not overlap. A pager has a space for each
 * process that it serves: a thread that of its own, wmapd one for each client.
 *
 * How a mapping is registered decides what the pager gets to see:
 *
 *   MISSING            a page that is nowhere in memory. The rest is the MMU's,
 *                      with the kernel's fault-around: read-only and private
 *                      mappings of what others show too, plain memory.
 *   MISSING|WP         also the first store to it: shared mappings that are
 *                      alone with their object. All pages come through them,
 *                      protected where that is needed, and stay so when the
 *                      pager takes them out of the page table to see whether
 *                      the MMU brings them back (evict.c). Without the attempt
 *                      at fault-around a fault costs a tenth less. (Of other
 *                      processes those that nobody may store to: one that is
 *                      tracked could not be made to see first touches while its
 *                      process is about to put it in place, or stopped there.)
 *   MISSING|MINOR      also a first touch of a page that others brought, or that
 *                      was read ahead: exact mappings, the course's and those
 *                      that are recorded, where every touch counts; and
 *                      private ones that are alone, for that tenth.
 *   MISSING|MINOR|WP   also the first store to it: tracked mappings, shared,
 *                      writable and with a store to write back to, where others
 *                      show the object too; and private ones whose copies are
 *                      counted (copies.h).
 *
 * Invariant: a page that is CLEAN or WRITING is write-protected in every tracked
 * mapping that shows it, and no other mapping can change it. So every change of
 * an object is known, or found where it is presumed (presume.h).
 */
#ifndef WMAP_SPACE_H
#define WMAP_SPACE_H

#include "loop.h"
#include "object.h"
#include "share.h"
#include "swapaway.h"

struct pager;
struct space;

/*
 * mapping.flags, beside WMAP_PRIVATE to WMAP_DIRECT, told to nobody.
 * COURSE: mapped by the course's calls. Zeros past the end of the file; every
 *         touch is counted.
 * BOUND:  the budget is all there is: without room in it a page of zeros is
 *         refused.
 */
#define MAPPING_COURSE 0x10000
#define MAPPING_BOUND  0x20000

struct mapping {
	struct list of_object; /* object.mappings */
	struct space *space;
	struct object *object;
	struct object *copies; /* of its pages (copies.h), or NULL */
	struct view *view;
	uint64_t start, end; /* addresses of whole pages */
	uint64_t length;     /* bytes, as requested */
	uint64_t first;	     /* page of the object at start */
	int prot, flags;
	int advice;
	uint64_t grain; /* pages that one fault brings */
	uint64_t deadline;
	bool shared;	/* shows the memfd itself; else private copies of it */
	bool may_write; /* its descriptor, or store, was for writing */
	bool alone;	/* with its object, but for pieces cut from it */
	bool tracked;
	bool exact;	  /* each first touch is a message */
	bool replayed;	  /* or nothing is known to be (replay.h) */
	bool refused;	  /* its memory is lost: SIGBUS */
	bool closing;	  /* stores are held until it is unmapped, or not */
	struct list held; /* fault.link */
	bool moving;	  /* its memory is not there yet (books_change.c) */
	bool unforked;	  /* it is kept out of forks: pages are in swap */
	bool growing; /* GROWSUP, and the page at end is ours to grow into */
	struct list wanting; /* the pager's own, while who touched that waits */
	uint64_t n_loaded;   /* pages that its view has and that are present */
	uint64_t faults, fills, errors;
	struct share *part;    /* its own budget's, or NULL */
	uint32_t slot;	       /* in the ledger */
	struct ahead *ahead;   /* its streams, or NULL (ahead.h) */
	struct stores *stores; /* what it stores to, or NULL (presume.h) */
};

/* One message of the kernel: a thread sleeps at address, or will have been
   woken by somebody else; to be woken in any case. */
struct fault {
	struct list link;
	struct space *space;
	uint64_t address; /* of the page */
	bool write, protected;
	bool alone;	/* bring this page and no other */
	bool again;	/* it has been counted */
	uint64_t since; /* when its message was read */
};

struct space_entry {
	uint64_t start, end;
	struct mapping *mapping;
};

struct space {
	struct list link; /* pager.spaces */
	struct pager *pager;
	int uffd;
	struct watch faults;	 /* of uffd */
	struct account *account; /* its user's, or NULL */
	size_t n_max;		 /* mappings that it may have; 0: any number */
	struct list made;	 /* object.of_maker: charged for it */
	size_t n_made;
	unsigned n_pins;
	struct post more; /* to read on */
	bool more_due;
	void (*over)(struct space *space); /* of who waits for more to come */
	bool home;			   /* the pager's own process's */
	uint32_t process;		   /* its number; 0: home, or unknown */
	bool foreign; /* of another user than the pager's */
	unsigned features;
	int pagemap; /* of this process: what of its memory is in use; or -1 */
	/* Have its process take shared memory out of its page tables; NULL: it is
	   the pager's own. */
	void (*hide)(struct space *space, uint64_t address, uint64_t length);
	uint64_t hidden; /* what was to be, up to this time of budget.clock, is */
	/* Have its process place the page above a mapping's growth page: who
	   touched that is held. NULL: it is the pager's own. */
	void (*grow)(struct mapping *mapping);
	bool has_agent;	  /* that could */
	struct away away; /* what leaves its process's private memory */
	int sigbus;	  /* an empty memfd, where there is no POISON; or -1 */
	struct space_entry *entries;
	size_t n, room;
	struct share share; /* of the budget */
	/* Unless NULL: one mapping more, or less (-1), of this object. */
	void (*shows)(struct space *space, const struct mapping *mapping,
		      int by);
	void *owner;		 /* whose that function is */
	struct ledger *ledger;	 /* its pager's, or NULL */
	uint64_t id;		 /* in the ledger */
	uint32_t slot;		 /* there */
	struct wmap_stats stats; /* what is counted for this process */
};

/* Takes the descriptor over; without mappings. */
void space_create(struct space *space, int uffd, unsigned features);
void space_destroy(struct space *space);

/* ---- Mappings by address ---------------------------------------------------*/

/* The mapping at @address, or the growth page of; or NULL. */
struct mapping *space_find(const struct space *space, uint64_t address);

/* The first entry that ends above @address: its number, or space->n. */
size_t space_lower(const struct space *space, uint64_t address);

/* Does [start, end) lie in mappings without a gap? */
bool space_covers(const struct space *space, uint64_t start, uint64_t end);

/*
 * Book @mapping, whose object, addresses and flags are set; takes over its
 * reference to the object. -ENOMEM.
 */
int space_add(struct space *space, struct mapping *mapping);

/* Forget and free a mapping; its object may go with it. */
void space_remove(struct mapping *mapping);

/* Cut a mapping in two at @address; the lower part keeps the struct. */
int space_split(struct mapping *mapping, uint64_t address);

/* The inverse: two pieces of what was one mapping, side by side and alike, become
   one, if they are of a memfd; @upper is freed. False: they are not, or cannot. */
bool space_join(struct mapping *lower, struct mapping *upper);

/* Change where a mapping lies and how long it is. */
int space_move(struct mapping *mapping, uint64_t start, uint64_t length);

/* Book all that @from has in @to, which is empty: for a fork's child. -ENOMEM,
   with some of it booked. */
int space_copy(const struct space *from, struct space *to);

/* ---- Pages of mappings -----------------------------------------------------*/

static inline uint64_t mapping_page(const struct mapping *mapping,
				    uint64_t address)
{
	return mapping->first + ((address - mapping->start) >> PAGE_SHIFT);
}

static inline uint64_t mapping_address(const struct mapping *mapping,
				       uint64_t page)
{
	return mapping->start + ((page - mapping->first) << PAGE_SHIFT);
}

static inline uint64_t mapping_end_page(const struct mapping *mapping)
{
	return mapping->first + ((mapping->end - mapping->start) >> PAGE_SHIFT);
}

/* May the pager take its pages out of the page table, and the MMU bring them
   back without a message? */
bool mapping_unseen(const struct mapping *mapping);

/* Shall each first touch be a message: does it count, or is it recorded? */
bool mapping_is_exact(const struct mapping *mapping);

/* UFFDIO_REGISTER_MODE_* that it needs. */
uint64_t mapping_modes(const struct mapping *mapping);

/*
 * Another mapping will show the object's pages: those that were alone with it
 * must see first touches from now on. An error if one of them is not in place
 * yet: its client is just about to do that.
 */
int object_company(struct object *object);

/* From now on its stores are seen; already loaded clean pages too. */
int mapping_track(struct mapping *mapping);

/* Write-protect its pages that must be, after it was registered anew. */
int mapping_protect_clean(struct mapping *mapping);

/* Write-protect a run of pages in every mapping that could store there. On
   failure some may not be. */
int object_protect(struct object *object, uint64_t first, uint64_t count);

/* A store to a CLEAN or WRITING page is allowed from now on: it is dirty. */
void object_dirtied(struct object *object, struct page page);

/* The mapping has this present page now: count it. @page as pages_get gave it,
   or just set. */
void mapping_loaded(struct mapping *mapping, struct page page);

/* Likewise of all that are present of @n neighbours, as another pager tells. */
void mapping_loaded_all(struct mapping *mapping, uint64_t first, size_t n);

/* The page leaves memory: take it out of every mapping's count, and of the
   table. Its memory is the caller's to punch. */
void object_unload(struct object *object, struct page page);

/* A page of plain memory leaves its mapping: LEAVING. */
void object_leave(struct object *object, struct page page);

/* Show a present page to the sleeper of @fault, and wake it. False: the memfd
   does not have it after all. */
bool mapping_show(struct mapping *mapping, struct page page,
		  const struct fault *fault);

/* Show pages of the memfd, which a store may change only if that is seen. Like
   uffd_continue. */
int mapping_continue(struct mapping *mapping, uint64_t first, uint64_t count,
		     bool protect, uint64_t *done);

/* SIGBUS at a page of its object, or of its copies, and its sleeper woken to get
   it. */
void mapping_poison(struct mapping *mapping, struct object *object,
		    struct page page);

/*
 * The mapping is about to be moved, which the kernel does for one piece of
 * memory only: put the object's memory back where something else gives SIGBUS.
 */
void mapping_mend(struct mapping *mapping);

/* A page was in ERROR when its pager died: it is, wherever it may be shown; or
   it heals, as it is there by now. */
int object_ail(struct object *object, uint64_t index);

/* Likewise a page in ERROR, wherever it was shown. */
void object_expose(struct object *object, uint64_t index);

/* The page is in the memfd now: take SIGBUS away wherever it was shown. */
void object_heal(struct object *object, struct page page);

/* Move the page above a GROWSUP mapping into it, if one more is free above
   that; else it becomes a stray access. The pager's own process's. */
void mapping_grow(struct mapping *mapping);

/* Another's process has placed that one: who waits for it goes on. Or there is
   none: whoever touches what was to be grown into is on its own. */
int mapping_grown(struct mapping *mapping);
void mapping_not_grown(struct mapping *mapping);

/* It grows no more: a touch of the page above it is a stray access; in another
   process, which has not taken it away itself, SIGBUS. */
void mapping_give_up_growth(struct mapping *mapping);

/* Something above a GROWSUP mapping went: it may grow again. Likewise the pager's
   own process's. */
void mapping_regrow(struct mapping *mapping);

void fault_wake(const struct fault *fault);

#endif
