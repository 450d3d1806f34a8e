/* SPDX-License-Identifier: MIT */
/*
 * What a process tells `wmap run` when it ends
 *
 * A report is one record for each mapping, then one for the process, appended
 * to the file $WMAP_REPORT that all the processes share. Each record says whose
 * it is, so that those of several processes may be mixed, and is written by a
 * single write(2). A process may report more than once (an exec that failed):
 * its last complete report counts. A record ends with its birth again, so that
 * one cut short is not taken for one that others were written into. The reader
 * believes nothing: see daemon/report_read.c.
 */
#ifndef WMAP_REPORT_H
#define WMAP_REPORT_H

#include <stdint.h>
#include <string.h>

#include "wmap/wmap.h"

#define RECORD_MAGIC 0x31706d77u /* "wmp1" */

/* Told by wmapd, of every process that it served: counts if that has told
   nothing, as who was killed, or has only what it inherited by fork. */
#define RECORD_OBITUARY 0u

enum record_kind { RECORD_MAPPING = 1, RECORD_PROCESS = 2 };

struct record {
	uint32_t magic;
	uint32_t size; /* of all of it, in bytes; a multiple of 8. The last 8
			  are born again */
	uint32_t kind;
	uint32_t report;    /* counts the reports of a process, from 1; or
			       RECORD_OBITUARY */
	uint64_t pid, born; /* together they name the process; of an obituary
			       the moment of its end */
};

struct record_mapping {
	struct record head;
	uint64_t length; /* bytes */
	uint64_t loaded; /* pages */
	uint64_t faults;
	uint64_t count; /* mappings that were added up, from 1 */
	char file[];	/* ends in NUL, then NULs up to the last 8 bytes */
};

struct record_process {
	struct record head;
	uint64_t mappings; /* records of this report before this one */
	struct wmap_stats stats;
	uint64_t end;
};

#define RECORD_FILE_MAX 4096 /* PATH_MAX; its NUL included */

/* The size of the record of a mapping whose name has @length bytes. */
static inline uint32_t record_mapping_size(size_t length)
{
	size_t size = sizeof(struct record_mapping) + length + 1;

	return (uint32_t)((size + 7) & ~(size_t)7) + sizeof(uint64_t);
}

/* Make one at @at, 8 bytes aligned, of head.size bytes: zeroed but for its head
   and its end. */
static inline void *record_init(void *at, struct record head)
{
	head.magic = RECORD_MAGIC;
	memset(at, 0, head.size);
	memcpy(at, &head, sizeof(head));
	memcpy((char *)at + head.size - sizeof(head.born), &head.born,
	       sizeof(head.born));
	return at;
}

#endif
