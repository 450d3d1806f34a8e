/* SPDX-License-Identifier: MIT */
/*
 * Pages made smaller: lz4 or zstd, in memory that is not malloc's
 */
#ifndef WMAP_COMPRESS_H
#define WMAP_COMPRESS_H

#include "internal.h"

enum compress_kind { COMPRESS_NONE, COMPRESS_LZ4, COMPRESS_ZSTD };

/* What one of them works with; one thread at a time. */
struct compress {
	enum compress_kind kind;
	void *state;	 /* of LZ4 */
	void *to, *from; /* of ZSTD: its contexts */
};

/* The kind that is called @name; -EINVAL: there is none. */
int compress_find(const char *name, enum compress_kind *kind);

/* -ENOMEM. */
int compress_open(enum compress_kind kind, struct compress *compress);
void compress_close(struct compress *compress);

/* One page into at most PAGE - 1 bytes of @to; 0: it does not become smaller. */
size_t compress_page(struct compress *compress, const void *page, void *to);

/* Back again; -EIO: @size bytes at @from are no page. */
int compress_undo(struct compress *compress, const void *from, size_t size,
		  void *page);

#endif
