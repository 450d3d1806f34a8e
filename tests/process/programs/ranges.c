/* SPDX-License-Identifier: MIT */
/* Ranges that cut mappings, join them with other memory, or move them */
#include "scenario.h"

static char *reserve(size_t pages)
{
	char *p = mmap(NULL, pages * PAGE, PROT_NONE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	REQUIRE(p != MAP_FAILED);
	return p;
}

static void place(char *at, size_t pages, int flags, int fd, size_t page)
{
	REQUIRE(mmap(at, pages * PAGE, PROT_READ | PROT_WRITE,
		     flags | MAP_FIXED, fd, (off_t)(page * PAGE)) == at);
}

/* Eight pages: plain memory 0-1, file 2-3, a hole 4, file 5, plain 6-7. */
static char *patchwork(const char *path)
{
	int fd = make_file(path, PAGES * PAGE);
	char *p = reserve(8);

	REQUIRE(mprotect(p, 2 * PAGE, PROT_READ | PROT_WRITE) == 0);
	memset(p, 'm', 2 * PAGE);
	place(p + 2 * PAGE, 2, MAP_SHARED, fd, 2);
	REQUIRE(munmap(p + 4 * PAGE, PAGE) == 0);
	place(p + 5 * PAGE, 1, MAP_SHARED, fd, 9);
	place(p + 6 * PAGE, 2, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	memset(p + 6 * PAGE, 'n', 2 * PAGE);
	close(fd);
	return p;
}

static void print_mapped(char *p, size_t pages)
{
	unsigned char vector;
	size_t i;

	for (i = 0; i < pages; i++)
		putchar(mincore(p + i * PAGE, PAGE, &vector) ? '-' : '+');
	putchar('\n');
}

static void unmaps_the_middle(const char *path)
{
	char *p = map_new(path, MAP_SHARED);

	p[4 * PAGE] = 'a';
	print_result("munmap", munmap(p + 4 * PAGE, 3 * PAGE));
	print_mapped(p, PAGES);
	print_sum("below", p, 4 * PAGE);
	print_sum("above", p + 7 * PAGE, (PAGES - 7) * PAGE);
	p[7 * PAGE] = 'b';
	print_result("again", munmap(p, PAGES * PAGE));
	print_file(path);
}

static void unmaps_a_patchwork(const char *path)
{
	char *p = patchwork(path);

	p[5 * PAGE] = 'x';
	print_mapped(p, 8);
	print_result("munmap", munmap(p + PAGE, 6 * PAGE));
	print_mapped(p, 8);
	printf("%c %c\n", p[0], p[7 * PAGE]);
	print_file(path);
}

static void syncs_a_patchwork(const char *path)
{
	char *p = patchwork(path);

	p[2 * PAGE] = 'x';
	p[5 * PAGE] = 'y';
	print_result("msync", msync(p, 4 * PAGE, MS_SYNC));
	print_result("with a hole", msync(p, 8 * PAGE, MS_SYNC));
	print_result("bad flags", msync(p, 4 * PAGE, MS_SYNC | MS_ASYNC));
	print_result("bad flags", msync(p, 4 * PAGE, 0x100));
	print_result("unaligned", msync(p + 2 * PAGE + 1, PAGE, MS_SYNC));
	print_result("empty", msync(p + 2 * PAGE, 0, MS_SYNC));
	print_file(path);
}

static void protects_a_patchwork(const char *path)
{
	char *p = patchwork(path);
	int i;

	leap_from(SIGSEGV);
	print_result("read", mprotect(p, 4 * PAGE, PROT_READ));
	for (i = 0; i < 4; i++)
		touch("store", p + i * PAGE, 1);
	print_result("none", mprotect(p + 3 * PAGE, PAGE, PROT_NONE));
	touch("load", p + 3 * PAGE, 0);
	print_result("write", mprotect(p, 4 * PAGE, PROT_READ | PROT_WRITE));
	for (i = 0; i < 4; i++)
		touch("store", p + i * PAGE, 1);
	print_result("with a hole", mprotect(p, 8 * PAGE, PROT_READ));
	print_result("unaligned", mprotect(p + 2 * PAGE + 8, PAGE, PROT_READ));
}

static void protects_what_is_read_only(const char *path)
{
	char *p;
	int fd;

	close(make_file(path, PAGES * PAGE));
	fd = open(path, O_RDONLY);
	p = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0);
	REQUIRE(p != MAP_FAILED);
	print_result("shared", mprotect(p, PAGE, PROT_READ | PROT_WRITE));
	p = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, fd, 0);
	REQUIRE(p != MAP_FAILED);
	print_result("private", mprotect(p, PAGE, PROT_READ | PROT_WRITE));
	p[0] = 'x';
	print_sum("seen", p, PAGE);
}

static void advises(const char *path)
{
	static const int advice[] = {
		MADV_NORMAL,   MADV_RANDOM,	MADV_SEQUENTIAL,
		MADV_WILLNEED, MADV_DONTNEED,	MADV_FREE,
		MADV_DONTFORK, MADV_WIPEONFORK, MADV_KEEPONFORK,
		MADV_DONTDUMP, MADV_DODUMP,	MADV_COLD,
		12345,
	};
	char *p = map_new(path, MAP_SHARED);
	size_t i;

	for (i = 0; i < sizeof(advice) / sizeof(*advice); i++) {
		printf("%d: ", advice[i]);
		p[i * PAGE] = 'x';
		print_result("madvise", madvise(p, PAGES * PAGE, advice[i]));
		print_sum("seen", p, PAGES * PAGE);
	}
	print_result("posix", posix_madvise(p, PAGE, POSIX_MADV_WILLNEED));
	print_result("posix", posix_madvise(p, PAGE, POSIX_MADV_DONTNEED));
	print_result("posix", posix_madvise(p + 1, PAGE, POSIX_MADV_NORMAL));
	print_result("unaligned", madvise(p + 1, PAGE, MADV_NORMAL));
	print_result("msync", msync(p, PAGES * PAGE, MS_SYNC));
	print_file(path);
}

static void advises_a_patchwork(const char *path)
{
	char *p = patchwork(path);

	p[2 * PAGE] = 'x';
	print_result("dontneed", madvise(p, 4 * PAGE, MADV_DONTNEED));
	print_result("with a hole", madvise(p, 8 * PAGE, MADV_DONTNEED));
	printf("%d %c %d\n", p[0], p[2 * PAGE], p[7 * PAGE]);
	print_file(path);
}

static void asks_what_is_in_memory(const char *path)
{
	char *p = patchwork(path);
	unsigned char vector[8];

	p[2 * PAGE] = p[3 * PAGE] = 'x';
	print_result("mincore", mincore(p, 4 * PAGE, vector));
	printf("%d%d%d%d\n", vector[0] & 1, vector[1] & 1, vector[2] & 1,
	       vector[3] & 1);
	print_result("with a hole", mincore(p, 8 * PAGE, vector));
	print_result("unaligned", mincore(p + 2 * PAGE + 1, PAGE, vector));
}

static void maps_plain_memory_over_a_file(const char *path)
{
	char *p = map_new(path, MAP_SHARED);

	memset(p + 2 * PAGE, 'a', 6 * PAGE);
	place(p + 3 * PAGE, 2, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	print_sum("zeros", p + 3 * PAGE, 2 * PAGE);
	memset(p + 3 * PAGE, 'p', 2 * PAGE);
	print_result("msync", msync(p, PAGES * PAGE, MS_SYNC));
	print_file(path);
	print_sum("seen", p, PAGES * PAGE);
	print_result("munmap", munmap(p, PAGES * PAGE));
	print_mapped(p, PAGES);
}

static void maps_a_file_over_plain_memory(const char *path)
{
	char *p = patchwork(path);

	p[2 * PAGE] = 'x';
	place(p, 8, MAP_SHARED, open(path, O_RDWR), 0);
	p[4 * PAGE] = 'y';
	print_sum("seen", p, 8 * PAGE);
	print_result("munmap", munmap(p, 8 * PAGE));
	print_file(path);
}

static void maps_a_file_over_a_file(const char *path)
{
	char *p = map_new(path, MAP_SHARED);

	p[3 * PAGE] = 'x';
	place(p + 3 * PAGE, 2, MAP_SHARED, open(path, O_RDWR), 10);
	p[4 * PAGE] = 'y';
	print_sum("seen", p, PAGES * PAGE);
	print_result("munmap", munmap(p, PAGES * PAGE));
	print_file(path);
}

static void does_not_map_over_a_mapping(const char *path)
{
	char *p = map_new(path, MAP_SHARED);
	int fd = open(path, O_RDWR);

	print_result("file",
		     (long)mmap(p + PAGE, PAGE, PROT_READ,
				MAP_SHARED | MAP_FIXED_NOREPLACE, fd, 0));
	print_result("plain", (long)mmap(p + PAGE, PAGE, PROT_READ,
					 MAP_PRIVATE | MAP_ANONYMOUS |
						 MAP_FIXED_NOREPLACE,
					 -1, 0));
	print_result("fails", (long)mmap(p + PAGE, PAGE, PROT_READ,
					 MAP_PRIVATE | MAP_FIXED, 1000, 0));
	print_sum("seen", p, PAGES * PAGE);
}

/* Freed addresses belong to whoever comes next. */
static void uses_freed_addresses(const char *path)
{
	char *p = map_new(path, MAP_SHARED), *q[64];
	int i, fd = open(path, O_RDWR);

	munmap(p + 4 * PAGE, 4 * PAGE);
	munmap(p + 4 * PAGE, 4 * PAGE);
	place(p + 4 * PAGE, 2, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	memset(p + 4 * PAGE, 'p', 2 * PAGE);
	for (i = 0; i < 64; i++) {
		q[i] = mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		q[i][0] = (char)i;
	}
	for (i = 0; i < 64; i++)
		print_sum("file", map(fd, 4, MAP_SHARED), 4 * PAGE);
	for (i = 0; i < 64; i++)
		REQUIRE(q[i][0] == i);
	print_sum("plain", p + 4 * PAGE, 2 * PAGE);
	print_sum("above", p + 8 * PAGE, (PAGES - 8) * PAGE);
}

static void grows(const char *path)
{
	int fd = make_file(path, PAGES * PAGE);
	char *p = map(fd, 2, MAP_SHARED), *q;

	p[PAGE] = 'x';
	q = mremap(p, 2 * PAGE, PAGES * PAGE, MREMAP_MAYMOVE);
	REQUIRE(q != MAP_FAILED);
	q[8 * PAGE] = 'y';
	print_sum("seen", q, PAGES * PAGE);
	print_result("munmap", munmap(q, PAGES * PAGE));
	print_file(path);
}

static void shrinks(const char *path)
{
	char *p = map_new(path, MAP_SHARED), *q;

	p[PAGE] = 'x';
	p[8 * PAGE] = 'y';
	q = mremap(p, PAGES * PAGE, 3 * PAGE + 5, 0);
	printf("%s\n", q == p ? "in place" : "moved");
	print_mapped(p, PAGES);
	print_sum("seen", p, 4 * PAGE);
	print_result("msync", msync(p, 4 * PAGE, MS_SYNC));
	print_file(path);
}

static void grows_where_protections_differed(const char *path)
{
	int fd = make_file(path, PAGES * PAGE);
	char *p = map(fd, 8, MAP_SHARED), *q;

	p[PAGE] = 'x';
	for (size_t i = 1; i < 8; i += 2)
		REQUIRE(mprotect(p + i * PAGE, PAGE, PROT_READ) == 0);
	REQUIRE(mprotect(p, 8 * PAGE, PROT_READ | PROT_WRITE) == 0);
	q = mremap(p, 8 * PAGE, PAGES * PAGE, MREMAP_MAYMOVE);
	REQUIRE(q != MAP_FAILED);
	q[9 * PAGE] = 'y';
	print_sum("seen", q, PAGES * PAGE);
	print_result("munmap", munmap(q, PAGES * PAGE));
	print_file(path);
}

/* After mprotect it is several mappings, in the kernel, too. */
static void shrinks_where_protections_differ(const char *path)
{
	char *p = map_new(path, MAP_SHARED);

	p[PAGE] = 'x';
	REQUIRE(mprotect(p + 2 * PAGE, 2 * PAGE, PROT_READ) == 0);
	print_result("as it is", mremap(p, PAGES * PAGE, PAGES * PAGE,
					MREMAP_MAYMOVE) != p);
	print_result("grow", mremap(p, PAGES * PAGE, (PAGES + 1) * PAGE,
				    MREMAP_MAYMOVE) != MAP_FAILED);
	print_result("shrink", mremap(p, PAGES * PAGE, 3 * PAGE, 0) != p);
	print_mapped(p, PAGES);
	print_sum("seen", p, 3 * PAGE);
	print_result("msync", msync(p, 3 * PAGE, MS_SYNC));
	print_file(path);
}

static void moves(const char *path)
{
	char *p = map_new(path, MAP_SHARED), *to = reserve(PAGES), *q;

	p[PAGE] = 'x';
	q = mremap(p, PAGES * PAGE, PAGES * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED,
		   to);
	printf("%s\n", q == to ? "there" : "elsewhere");
	print_mapped(p, PAGES);
	q[2 * PAGE] = 'y';
	print_sum("seen", q, PAGES * PAGE);
	print_result("munmap", munmap(q, PAGES * PAGE));
	print_file(path);
}

static void moves_a_part(const char *path)
{
	char *p = map_new(path, MAP_SHARED), *to = reserve(8), *q;

	p[5 * PAGE] = 'x';
	q = mremap(p + 4 * PAGE, 4 * PAGE, 4 * PAGE,
		   MREMAP_MAYMOVE | MREMAP_FIXED, to + PAGE);
	REQUIRE(q == to + PAGE);
	print_mapped(p, PAGES);
	print_sum("moved", q, 4 * PAGE);
	print_sum("below", p, 4 * PAGE);
	q[0] = 'z';
	print_result("msync", msync(q, 4 * PAGE, MS_SYNC));
	print_file(path);
}

static void moves_plain_memory_over_a_file(const char *path)
{
	char *p = map_new(path, MAP_SHARED), *from = reserve(2), *q;

	REQUIRE(mprotect(from, 2 * PAGE, PROT_READ | PROT_WRITE) == 0);
	memset(from, 'p', 2 * PAGE);
	p[3 * PAGE] = 'x';
	q = mremap(from, 2 * PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED,
		   p + 3 * PAGE);
	REQUIRE(q == p + 3 * PAGE);
	print_sum("seen", p, PAGES * PAGE);
	print_result("msync", msync(p, PAGES * PAGE, MS_SYNC));
	print_file(path);
}

static void does_not_remap(const char *path)
{
	char *p = map_new(path, MAP_SHARED);

#define TRY(...) print_result(#__VA_ARGS__, (long)mremap(__VA_ARGS__))
	TRY(p, PAGES * PAGE, 0, 0);
	TRY(p + 1, PAGE, 2 * PAGE, MREMAP_MAYMOVE);
	TRY(p, PAGE, PAGE, 0x100);
	TRY(p, PAGE, PAGE, MREMAP_FIXED, p + 4 * PAGE);
	TRY(p, 2 * PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, p + PAGE);
	TRY(p, 2 * PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, p - 1);
	TRY(p, PAGE, 2 * PAGE, 0);
#undef TRY
	print_sum("seen", p, PAGES * PAGE);
}

const struct scenario scenarios[] = {
	{ "unmaps_the_middle", unmaps_the_middle },
	{ "unmaps_a_patchwork", unmaps_a_patchwork },
	{ "syncs_a_patchwork", syncs_a_patchwork },
	{ "protects_a_patchwork", protects_a_patchwork },
	{ "protects_what_is_read_only", protects_what_is_read_only },
	{ "advises", advises },
	{ "advises_a_patchwork", advises_a_patchwork },
	{ "asks_what_is_in_memory", asks_what_is_in_memory },
	{ "maps_plain_memory_over_a_file", maps_plain_memory_over_a_file },
	{ "maps_a_file_over_plain_memory", maps_a_file_over_plain_memory },
	{ "maps_a_file_over_a_file", maps_a_file_over_a_file },
	{ "does_not_map_over_a_mapping", does_not_map_over_a_mapping },
	{ "uses_freed_addresses", uses_freed_addresses },
	{ "grows", grows },
	{ "shrinks", shrinks },
	{ "grows_where_protections_differed",
	  grows_where_protections_differed },
	{ "shrinks_where_protections_differ",
	  shrinks_where_protections_differ },
	{ "moves", moves },
	{ "moves_a_part", moves_a_part },
	{ "moves_plain_memory_over_a_file", moves_plain_memory_over_a_file },
	{ "does_not_remap", does_not_remap },
	{ NULL, NULL },
};
