/* SPDX-License-Identifier: MIT */
/*
 * Showing what happens: xv6run --trace and --map
 *
 * Both go to the descriptor that xv6run leaves for it. A trace has one line for
 * each mapping, fault, load and unmapping, with the time since the family's
 * first process began; faults and loads come from the pager itself (trace.h). A
 * map draws the window:
 *
 *   the window   [-#......]   64 cells of 8 MiB
 *   a mapping    [##.+]       a cell a page, or 64 cells
 *
 *   #  loaded   +  partly   -  mapped, nothing loaded   .  free
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "internal.h"
#include "layer.h"
#include "maps.h"
#include "mem.h"
#include "trace.h"

#define CELLS 64

bool show_tracing;
static bool mapping;

static void put(const char *text, int length, int size)
{
	ssize_t n = write(FD_TRACE, text,
			  (size_t)(length < size ? length : size - 1));

	(void)n;
}

void show_trace(const char *format, ...)
{
	char who[16];
	va_list args;

	snprintf(who, sizeof(who), "%d", (int)getpid());
	va_start(args, format);
	trace_line(who, format, args);
	va_end(args);
}

/* A pager in another process hears of it by $WMAP_TRACE (pager.c). */
void show_start(void)
{
	show_tracing = getenv("XV6_TRACE") != NULL;
	mapping = getenv("XV6_MAP") != NULL;
	if (show_tracing)
		trace_to(FD_TRACE, family_began());
}

/* ---- The window ------------------------------------------------------------------*/

static char cell_of(uint64_t loaded, uint64_t pages)
{
	if (!loaded)
		return '-';
	return loaded < pages ? '+' : '#';
}

static uint64_t count(const unsigned char *resident, uint64_t from, uint64_t to)
{
	uint64_t n = 0;

	for (; from < to; from++)
		n += resident[from] & 1;
	return n;
}

static void draw_pages(const unsigned char *resident, uint64_t pages,
		       char *cells)
{
	uint64_t n = min_u64(pages, CELLS);

	for (uint64_t i = 0; i < n; i++) {
		uint64_t from = i * pages / n, to = (i + 1) * pages / n;

		cells[i] = cell_of(count(resident, from, to), to - from);
	}
	cells[n] = 0;
}

static void draw_mapping(const struct wmap_mapping_info *info)
{
	uint64_t pages = page_up(info->length) / PAGE;
	unsigned char *resident = mem_alloc(pages);
	char cells[CELLS + 1], line[256];
	int n;

	if (!resident || wmap_residency(info->addr, pages * PAGE, resident)) {
		mem_free(resident, pages);
		return;
	}
	draw_pages(resident, pages, cells);
	n = snprintf(line, sizeof(line),
		     "  0x%08lx %10lu bytes, %lu of %lu page%s loaded [%s]\n",
		     (unsigned long)info->addr, (unsigned long)info->length,
		     (unsigned long)info->loaded, (unsigned long)pages,
		     pages == 1 ? "" : "s", cells);
	put(line, n, sizeof(line));
	mem_free(resident, pages);
}

static void fill_cells(const struct wmap_mapping_info *infos, size_t n,
		       char *cells)
{
	uint64_t size = (WINDOW_HIGH - WINDOW_LOW) / CELLS;

	memset(cells, '.', CELLS);
	cells[CELLS] = 0;
	for (size_t i = 0; i < n; i++) {
		uint64_t at = max_u64((uint64_t)infos[i].addr, WINDOW_LOW);
		uint64_t end = min_u64(maps_end(&infos[i]), WINDOW_HIGH);

		for (; at < end; at = at / size * size + size) {
			char *cell = &cells[(at - WINDOW_LOW) / size];

			if (*cell != '+')
				*cell = infos[i].loaded ? '+' : '-';
		}
	}
}

static void draw_window(const struct wmap_mapping_info *infos, size_t n)
{
	char cells[CELLS + 1], line[128];

	fill_cells(infos, n, cells);
	put(line,
	    snprintf(line, sizeof(line), "  0x60000000 [%s] 0x80000000\n",
		     cells),
	    sizeof(line));
}

void show_map(const char *when)
{
	struct wmap_mapping_info *infos;
	char line[128];
	size_t n;

	if (!mapping)
		return;
	n = maps_list(&infos);
	put(line,
	    snprintf(line, sizeof(line),
		     "map at %s, process %d: %lu mapping%s\n", when,
		     (int)getpid(), (unsigned long)n, n == 1 ? "" : "s"),
	    sizeof(line));
	if (rules->high == WINDOW_HIGH)
		draw_window(infos, n);
	for (size_t i = 0; i < n; i++)
		draw_mapping(&infos[i]);
	maps_free(infos, n);
}
