/* SPDX-License-Identifier: MIT */
/* Pages made smaller (compress.h) */
#define ZSTD_STATIC_LINKING_ONLY /* its own memory */
#include <lz4.h>
#include <string.h>
#include <zstd.h>

#include "compress.h"
#include "mem.h"

#define LEVEL 1 /* of zstd: the pager waits for it */

int compress_find(const char *name, enum compress_kind *kind)
{
	if (!strcmp(name, "lz4"))
		*kind = COMPRESS_LZ4;
	else if (!strcmp(name, "zstd"))
		*kind = COMPRESS_ZSTD;
	else
		return -EINVAL;
	return 0;
}

/* zstd does not say how large what it frees was: that stands before it. */
#define BEFORE 16

static void *take(void *unused, size_t size)
{
	size_t *memory = mem_alloc(size + BEFORE);

	(void)unused;
	if (!memory)
		return NULL;
	*memory = size;
	return (char *)memory + BEFORE;
}

static void give(void *unused, void *memory)
{
	size_t *whole = memory ? (void *)((char *)memory - BEFORE) : NULL;

	(void)unused;
	if (whole)
		mem_free(whole, *whole + BEFORE);
}

static int open_zstd(struct compress *compress)
{
	const ZSTD_customMem memory = { take, give, NULL };

	compress->to = ZSTD_createCCtx_advanced(memory);
	compress->from = ZSTD_createDCtx_advanced(memory);
	if (compress->to && compress->from)
		return 0;
	compress_close(compress);
	return -ENOMEM;
}

int compress_open(enum compress_kind kind, struct compress *compress)
{
	*compress = (struct compress){ .kind = kind };
	if (kind == COMPRESS_ZSTD)
		return open_zstd(compress);
	if (kind == COMPRESS_LZ4)
		compress->state = mem_alloc((size_t)LZ4_sizeofState());
	return kind == COMPRESS_LZ4 && !compress->state ? -ENOMEM : 0;
}

void compress_close(struct compress *compress)
{
	ZSTD_freeCCtx(compress->to);
	ZSTD_freeDCtx(compress->from);
	mem_free(compress->state, (size_t)LZ4_sizeofState());
	*compress = (struct compress){ 0 };
}

size_t compress_page(struct compress *compress, const void *page, void *to)
{
	size_t size = 0;
	int n;

	if (compress->kind == COMPRESS_LZ4) {
		n = LZ4_compress_fast_extState(compress->state, page, to, PAGE,
					       PAGE - 1, 1);
		return n > 0 ? (size_t)n : 0;
	}
	if (compress->kind == COMPRESS_ZSTD)
		size = ZSTD_compressCCtx(compress->to, to, PAGE - 1, page, PAGE,
					 LEVEL);
	return ZSTD_isError(size) ? 0 : size;
}

int compress_undo(struct compress *compress, const void *from, size_t size,
		  void *page)
{
	size_t n;

	if (compress->kind == COMPRESS_LZ4)
		n = (size_t)LZ4_decompress_safe(from, page, (int)size, PAGE);
	else
		n = ZSTD_decompressDCtx(compress->from, page, PAGE, from, size);
	return n == PAGE ? 0 : -EIO;
}
