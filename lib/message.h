/* SPDX-License-Identifier: MIT */
/*
 * What clients ask of the pager
 *
 * A message lives on its sender's stack from client_call to the answer. Each
 * kind has its own part of the union: "in" fields are set by the sender, "out"
 * fields by the pager. Addresses are in the sender's space.
 */
#ifndef WMAP_MESSAGE_H
#define WMAP_MESSAGE_H

#include "internal.h"
#include "loop.h"

struct pager;
struct space;

enum message_kind {
	MESSAGE_MAP,	 /* books a mapping over reserved addresses */
	MESSAGE_UNMAP,	 /* writes back, forgets; then the sender unmaps */
	MESSAGE_MOVE,	 /* the mapping at address is elsewhere, or longer */
	MESSAGE_PROTECT, /* before stores become possible */
	MESSAGE_SYNC,
	MESSAGE_ADVISE,
	MESSAGE_RESIDENCY,
	MESSAGE_LIST, /* mappings that end above an address, or around it */
	MESSAGE_STATS,
	MESSAGE_MEMORY,	       /* the budget: all, or a mapping's */
	MESSAGE_SWAP,	       /* where anonymous pages go */
	MESSAGE_PREFETCH,      /* bring a list of ranges */
	MESSAGE_PIN,	       /* or unpin */
	MESSAGE_PREFETCH_WAIT, /* for that, or cancel it */
	MESSAGE_FRAME,	       /* where a loaded page lies */
	MESSAGE_YIELD,	/* gives up growth pages that lie in the range; of
				  another process, tells of the first */
	MESSAGE_REGROW, /* something above this address went; of another
				  process, tells what to place */
	MESSAGE_GROW,	/* another process's growth page at this address: looks
			 how to place it; it has been; it has gone */
	MESSAGE_FILE_SYNC,    /* before read(2), truncate(2) of a file */
	MESSAGE_FILE_WRITING, /* before write(2) to it */
	MESSAGE_FILE_WRITTEN, /* after it, also if it failed */
	MESSAGE_FILE_LENGTH,  /* after truncate(2) */
	MESSAGE_UNDO, /* before a fork: nothing stays in swap, nor goes there */
	MESSAGE_REDO, /* after it: it may */
	MESSAGE_LEAVE, /* the pager moves out: it does nothing any more, but if
			    this fails */
	MESSAGE_STAY,  /* after LEAVE: it does after all */
	MESSAGE_ABANDON, /* after LEAVE: all is another pager's */
	MESSAGE_STOP,
	MESSAGE_RECORD, /* first touches into a journal, or no more */
	MESSAGE_REPLAY, /* bring what was recorded */
	MESSAGE_KINDS
};

enum message_state { MESSAGE_SENT, MESSAGE_SLEPT_ON, MESSAGE_ANSWERED };

struct message {
	struct post post;
	struct pager *pager;
	struct space *space; /* the sender's */
	/* Of one that nobody sleeps on: runs with the answer, on the pager's
	   thread. NULL: the sender is woken. */
	void (*answered)(struct message *message);
	bool again; /* it may have been handled by a pager that died */
	enum message_kind kind;
	_Atomic uint32_t state;	  /* [a] the pager releases the answer with
				      it, the sender acquires it */
	int result;		  /* 0 or a negative errno */
	uint64_t address, length; /* in: the range, in bytes */
	union {
		struct {
			int prot, flags;	  /* in */
			uint64_t offset;	  /* in */
			uint64_t grain;		  /* in, pages */
			uint64_t deadline;	  /* in, ns */
			uint64_t memory;	  /* in, bytes; 0: none */
			struct wmap_store *store; /* in, or NULL */
			int file;	   /* in: a descriptor that the pager
					      takes over, or -1 */
			int direct;	   /* in: with O_DIRECT, likewise; an
					      error of opening it; 0: not
					      tried; without WMAP_DIRECT for
					      who must be thrifty */
			bool writable;	   /* in: open for writing */
			uint64_t dev, ino; /* in: of the file */
			const char *name;  /* in: of the file */
			bool growing;	/* in: the page above is reserved too */
			unsigned waits; /* the pager's own */
			int memfd; /* out: to be placed, or -1; the pager's */
			uint64_t modes; /* out: to register for */
			bool shared;	/* out: how to map the memfd */
		} map;
		struct {
			bool exact; /* in: the whole mapping that starts there */
			bool force; /* in: also if it cannot be written back */
			bool unshown; /* in: it was booked and never placed */
			uint64_t mapped; /* out: bytes to unmap from address */
			bool regrow;	 /* out: send MESSAGE_REGROW then */
		} unmap;
		struct {
			uint64_t new_address, new_length; /* in */
			bool exact;	 /* in: length is the requested one */
			bool commit;	 /* in: else only look */
			int prot, flags; /* out */
			int memfd;	 /* out */
			uint64_t memfd_offset; /* out: of the page above */
			uint64_t modes;	       /* out */
			bool inherit;	       /* out: a child has it too */
			bool shared;	       /* out: see map */
		} move;
		struct {
			bool commit;	 /* in: else only look */
			bool placed;	 /* in: else it has gone */
			uint64_t page;	 /* out, YIELD and REGROW too; or 0 */
			int prot;	 /* out, REGROW too: how to place it */
			int memfd;	 /* likewise */
			uint64_t offset; /* likewise */
			uint64_t modes;	 /* likewise */
			bool inherit;	 /* likewise */
			bool shared;	 /* likewise */
		} grow;
		struct {
			int prot;
			bool moved; /* in: registered anew */
		} protect;
		struct {
			bool wait, flush, all; /* in */
		} sync;
		struct {
			int advice; /* in */
			bool drop;  /* out: the sender does MADV_DONTNEED */
		} advise;
		struct {
			unsigned char *vector; /* in: one byte a page, not in
						  memory that we page */
		} residency;
		struct {
			struct wmap_mapping_info *infos; /* in: likewise */
			size_t room;			 /* in */
			bool nearest; /* in: the one at or nearest to address */
			size_t total; /* out: mappings in all */
			size_t count; /* out: infos written */
		} list;
		struct {
			struct wmap_stats *stats; /* in: likewise */
		} stats;
		struct {
			struct wmap_range *ranges; /* in: of mem_alloc; the
						      pager's on success */
			size_t n;		   /* in */
			bool cancel;		   /* in: WAIT */
			uint64_t id;		   /* out; WAIT: in */
		} prefetch;
		struct {
			bool pin; /* in: else unpin */
		} pin;
		struct {
			bool mapping;	/* in: of the one at address */
			uint64_t limit; /* in, bytes, or BUDGET_NONE */
		} memory;
		struct {
			const char *where; /* in, not in memory that we page */
		} swap;
		struct {
			int fd; /* in: the journal's, or -1: no more */
		} record;
		struct {
			struct replay *replay; /* in: the pager's on success */
		} replay;
		struct {
			int memfd;	 /* out: a duplicate for the sender */
			uint64_t offset; /* out: of the page */
		} frame;
		struct {
			int fd;			 /* in: proves access */
			uint64_t dev, ino;	 /* in */
			uint64_t offset, length; /* in, bytes; LENGTH: only
						    length, the new one */
			struct object *object;	 /* WRITING: out, WRITTEN: in;
						    or NULL */
		} file;
	};
};

/* Of a list: does a range wrap? 0 or -EINVAL. */
int message_check_ranges(const struct wmap_range *ranges, size_t n);

#endif
