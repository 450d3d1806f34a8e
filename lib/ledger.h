/* SPDX-License-Identifier: MIT */
/*
 * The ledger: what a pager must not forget when it dies
 *
 * Memory that outlives the pager (a memfd that its keeper holds a duplicate of)
 * has a record of each object, space and mapping, written before whoever asked
 * hears of it. Descriptors the keeper has, by names:
 *
 *   m7      the memfd of object 7         u3      the uffd of space 3
 *   f7.2    its file, as opened second    c3.5    its fifth connection
 *           (or the box that it is in)
 *   slots   what is in swap (slots.h)     swap    the file that it is in
 *
 * Page states are in nobody's hands (unless its pager is replaced: takeover.c), but for those in ERROR, of which the memfd
 * knows nothing: what is in a memfd that may have been stored to counts as
 * changed.
 *
 * A record is there when its kind is, which is written last. One that takes the
 * place of another says so; as long as both are there the old one counts. Where
 * two mappings of a space overlap, the newer one counts: that is all that a pager
 * killed between two stores can leave.
 *
 * A mirror of it, in a memfd that nobody but the pager can write to, is for the
 * guards of its clients (lib/guard.h): the same records, without the tokens but
 * those of forks under way.
 *
 * A pager thread has no ledger (NULL): it dies with its process, and all calls do
 * nothing.
 */
#ifndef WMAP_LEDGER_H
#define WMAP_LEDGER_H

#include "internal.h"

struct mapping;
struct object;
struct space;

enum record_kind {
	RECORD_NONE,
	RECORD_OBJECT,
	RECORD_SPACE,
	RECORD_MAPPING,
	RECORD_ERRORS, /* of neighbours of an object */
	RECORD_PIN,    /* that a space has on an object */
};

#define ERRORS_PAGES 512 /* that one record tells of */

struct record {
	_Atomic uint32_t kind; /* released when the rest is there */
	uint32_t slot;	       /* its own number */
	uint64_t serial;       /* of all records, in order */
	uint32_t replaces;     /* a slot, if its serial is replaces_serial */
	uint32_t bits;	       /* RECORD_* below */
	uint64_t replaces_serial;
	uint64_t id; /* of the object (of errors, too) or space; of a mapping
			or pin: its space */
	uint64_t object; /* of a mapping or pin; 0: plain memory; of a space: the
			    one that it is a fork of, or 0 */
	union {
		struct {
			uint64_t dev, ino;
		} of_object;
		struct {
			uint64_t token[2];
			uint32_t uid, pid;
			uint64_t memory; /* its own bound, or BUDGET_NONE */
		} of_space;
		struct {
			uint64_t start, end, length, first;
			uint64_t grain, deadline;
			uint64_t memory; /* likewise */
			int32_t prot, flags;
		} of_mapping;
		struct {
			uint64_t first; /* a multiple of ERRORS_PAGES */
			uint64_t bits[ERRORS_PAGES / 64];
		} of_errors;
		struct {
			uint64_t first, end; /* pages */
		} of_pin;
		uint64_t room[10];
	};
};

#define RECORD_MAY_WRITE 0x1
#define RECORD_TRACKED	 0x2
#define RECORD_SHARED	 0x4
#define RECORD_GROWING	 0x8
#define RECORD_ALONE	 0x10
#define RECORD_ATTACHED	 0x20 /* of a space: its process is there */
#define RECORD_AGENT	 0x40 /* likewise: and does what it is asked */
#define RECORD_SWAPPED	 0x80 /* of an object: pages of it may be in swap */
/* RECORD_SWAPPED of a mapping: likewise, of its plain memory, which has a number for
   that. */

/* In the place of an object's number, of what guards have in their hands: what is in
   swap (slots.h), and in the place of its file swap's. */
#define LEDGER_SWAP UINT64_MAX

struct ledger;

/*
 * In a memfd, all zeros or with what a predecessor wrote. The memfd stays the
 * caller's. @keep, @release: give the keeper a descriptor, let go of a name.
 */
int ledger_open(int memfd, int (*keep)(const char *name, int fd),
		int (*release)(const char *name), struct ledger **ledger);

/* The mirror, which is kept from now on; the ledger's own. -1: it cannot be had. */
int ledger_mirror(struct ledger *ledger);

/* Of the mirror @memfd, another pager's perhaps: a copy of its records, which is
   mem_alloc's of *@size bytes; believe nothing of it. -EINVAL: it is no mirror. */
int ledger_read(int memfd, struct record **records, size_t *n, size_t *size,
		uint64_t *writer);

/* The number of the pager that may have begun to write to files; 0: none. */
uint64_t ledger_writer(const struct ledger *ledger);
void ledger_set_writer(struct ledger *ledger, uint64_t writer);

/* Has it no record? Then it can have others: at their slots, all or none. */
bool ledger_is_empty(const struct ledger *ledger);
void ledger_load(struct ledger *ledger, const struct record *records, size_t n);

/* Its records, from *@slot on; NULL: no more. */
const struct record *ledger_next(struct ledger *ledger, uint32_t *slot);

/* A predecessor's that is of no use. */
void ledger_drop(struct ledger *ledger, uint32_t slot);

/* An object is there, its file was opened anew, it goes: what it wrote to is in
   nobody's hands then, but for the store's own. */
int ledger_object(struct ledger *ledger, struct object *object);
int ledger_file(struct object *object, int fd);
void ledger_object_gone(struct object *object);

/* The file is in this box of a predecessor's, which the object takes over. */
void ledger_box(struct object *object, int box);

/* Swap is there; pages of an object may be in it from now on. */
int ledger_swap(struct ledger *ledger, int slots, int file);
void ledger_swapped(const struct object *object);

/* For plain memory, of which pages will be in swap: ledger_mapping tells. */
uint64_t ledger_number(struct ledger *ledger);

/* A page of it is in ERROR, or is not. Of more neighbours than an object may have
   records of nothing is written: after a takeover they stay as they are. */
void ledger_error(struct object *object, uint64_t index, bool error);

/* A predecessor's record is this object's from now on. -ENOMEM. */
int ledger_take_errors(struct object *object, const struct record *record);

/* A space with its uffd (-1: none so far); 0 or -ENOMEM. */
int ledger_space(struct ledger *ledger, const uint64_t token[2], uint32_t uid,
		 uint32_t pid, uint64_t *id, uint32_t *slot);
void ledger_uffd(struct ledger *ledger, uint64_t id, uint32_t slot,
		 uint32_t pid, int uffd);
void ledger_agent(struct ledger *ledger, uint32_t slot, bool is_there);
void ledger_parent(struct ledger *ledger, uint32_t slot, uint64_t id);
void ledger_space_memory(struct ledger *ledger, uint32_t slot, uint64_t limit);
void ledger_space_gone(struct ledger *ledger, uint64_t id, uint32_t slot);
void ledger_conn(struct ledger *ledger, uint64_t id, uint64_t n, int fd);
void ledger_conn_gone(struct ledger *ledger, uint64_t id, uint64_t n);

/* A mapping is as it is now; -ENOMEM: what was written of it before stays. */
int ledger_mapping(struct mapping *mapping);
void ledger_mapping_gone(struct mapping *mapping);

/* A pin is there, whose record is @slot (0: it needs none), or -ENOMEM; it ends
   sooner. When it goes: ledger_drop. */
int ledger_pin(const struct space *space, const struct object *object,
	       uint64_t first, uint64_t end, uint32_t *slot);
void ledger_pin_end(struct ledger *ledger, uint32_t slot, uint64_t end);

#endif
