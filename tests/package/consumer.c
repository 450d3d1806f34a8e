/* SPDX-License-Identifier: MIT */
/*
 * A program of a stranger: it maps anonymous memory by the course's call, and
 * zeros by a store, and touches both.
 */
#include <stdio.h>
#include <string.h>
#include <wmap/store.h>
#include <wmap/wmap.h>

#define LENGTH (4 * WMAP_PAGE_SIZE)

/* Internal names of the library are no names of its users' programs. */
int log_line(void);

int log_line(void)
{
	return 7;
}

static int course(void)
{
	struct wmapinfo info;
	char *memory;

	memory = wmap(NULL, LENGTH, WMAP_PRIVATE | WMAP_ANONYMOUS, -1);
	if (memory == WMAP_FAILED) {
		perror("wmap");
		return 1;
	}
	memset(memory, 'x', 1);
	memset(memory + 2 * WMAP_PAGE_SIZE, 'y', 1);
	if (getwmapinfo(&info) || info.total_mmaps != 1 ||
	    info.n_loaded_pages[0] != 2)
		return 2;
	return wunmap(memory) ? 3 : 0;
}

static int store(void)
{
	struct wmap_map_options options = { .size = sizeof(options) };
	const char *memory;

	options.store = wmap_store_zero();
	memory = wmap_map(NULL, LENGTH, 1, WMAP_PRIVATE, -1, 0, &options);
	wmap_store_put(options.store);
	if (memory == WMAP_FAILED) {
		perror("wmap_map");
		return 4;
	}
	if (memory[0] || memory[LENGTH - 1])
		return 5;
	return wmap_unmap((void *)memory, LENGTH) ? 6 : 0;
}

int main(void)
{
	int error = course();

	if (!error)
		error = store();
	printf(error ? "not ok %d\n" : "ok\n", error);
	return error || log_line() != 7;
}
