/* SPDX-License-Identifier: MIT */
/*
 * Random calls on mappings of three files, and what each of them does
 *
 * WMAP_SEED chooses them. Left out is what mmap(2) leaves open: copying between a
 * file and a mapping of the same, growing what the kernel may have joined or not,
 * storing past the end in the last page; and truncating what another process has
 * mapped privately, where wmap differs.
 */
#include "scenario.h"

#define FILES	 3u
#define SLOTS	 8u
#define LONGEST	 20u /* pages of a new mapping */
#define FILE_END 64u /* pages */
#define STEPS	 400u
#define DEEPEST	 3u /* processes below the first */

struct slot {
	char *at; /* NULL: free */
	unsigned pages;
	int file; /* -1: anonymous */
	unsigned first;
	int pieces; /* the kernel may have several mappings of it */
};

static struct slot slots[SLOTS];
static int files[FILES];
static uint64_t state;
static unsigned step, depth;

/* xorshift: the same numbers wherever it runs. */
static unsigned below(unsigned n)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (unsigned)(state >> 24) % n;
}

#define SAY(...) \
	(printf("%*s%u ", (int)depth, "", step), printf(__VA_ARGS__), puts(""))

static const char *outcome(long result)
{
	return result == -1 ? strerrorname_np(errno) : "done";
}

/* ---- Touching ------------------------------------------------------------ */

/* The sum of what is there; or the signal. */
static unsigned long look(const char *at, size_t length)
{
	if (sigsetjmp(escape, 1))
		return (unsigned long)caught;
	return sum(at, length);
}

static int change(char *at, size_t length, int value)
{
	if (sigsetjmp(escape, 1))
		return caught;
	memset(at, value, length);
	return 0;
}

static void look_at_all(void)
{
	for (unsigned i = 0; i < SLOTS; i++)
		if (slots[i].at)
			SAY("sees %u: %lx", i,
			    look(slots[i].at, slots[i].pages * PAGE));
}

/* ---- Choosing ------------------------------------------------------------ */

struct part {
	struct slot *slot;
	unsigned number, page, pages;
	char *at;
	size_t length;
};

/* A part of some mapping; false: there is none. */
static int choose(struct part *part)
{
	unsigned from = below(SLOTS);

	for (unsigned i = 0; i < SLOTS; i++) {
		part->number = (from + i) % SLOTS;
		part->slot = &slots[part->number];
		if (!part->slot->at)
			continue;
		part->page = below(part->slot->pages);
		part->pages = 1 + below(part->slot->pages - part->page);
		part->at = part->slot->at + part->page * PAGE;
		part->length = part->pages * PAGE;
		return 1;
	}
	return 0;
}

/* Is the end of the file in one of its pages? */
static int has_end(const struct part *part)
{
	const struct slot *slot = part->slot;
	unsigned page = slot->first + part->page;
	struct stat stat;
	uint64_t end;

	if (slot->file < 0)
		return 0;
	REQUIRE(fstat(files[slot->file], &stat) == 0);
	end = (uint64_t)stat.st_size;
	return end % PAGE && end / PAGE >= page &&
	       end / PAGE < page + part->pages;
}

#define SAY_PART(what, part, ...) \
	(printf("%*s%u " what " %u, %u at %u", (int)depth, "", step, \
		(part)->number, (part)->pages, (part)->page), \
	 printf(__VA_ARGS__), puts(""))

/* ---- Calls --------------------------------------------------------------- */

static void map_at(struct slot *slot, char *at, unsigned pages)
{
	static const int prots[] = { PROT_READ, PROT_READ | PROT_WRITE,
				     PROT_READ | PROT_WRITE, PROT_NONE };
	int prot = prots[below(4)], shared = (int)below(2);
	int flags = (shared ? MAP_SHARED : MAP_PRIVATE) | (at ? MAP_FIXED : 0);
	void *got;

	slot->file = (int)below(FILES + 1) - 1;
	slot->first = below(FILE_END - LONGEST);
	slot->pages = pages;
	slot->pieces = at != NULL;
	if (slot->file < 0)
		got = mmap(at, pages * PAGE, prot, flags | MAP_ANONYMOUS, -1,
			   0);
	else
		got = mmap(at, pages * PAGE, prot, flags, files[slot->file],
			   slot->first * PAGE);
	SAY("maps %u: file %d from %u, %u pages, %s, %d: %s",
	    (unsigned)(slot - slots), slot->file, slot->first, pages,
	    shared ? "shared" : "private", prot,
	    outcome(got == MAP_FAILED ? -1 : 0));
	slot->at = got == MAP_FAILED ? NULL : got;
}

static void map_more(void)
{
	for (unsigned i = 0; i < SLOTS; i++)
		if (!slots[i].at) {
			map_at(&slots[i], NULL, 1 + below(LONGEST));
			return;
		}
}

static void map_over(void)
{
	struct part part;

	if (choose(&part) && part.slot->pages <= LONGEST)
		map_at(part.slot, part.slot->at, part.slot->pages);
}

static void load(void)
{
	struct part part;

	if (choose(&part))
		SAY_PART("loads", &part, ": %lx", look(part.at, part.length));
}

static void store(void)
{
	unsigned from = below(PAGE), value = below(256), length;
	struct part part;

	if (!choose(&part) || has_end(&part))
		return;
	length = 1 + below((unsigned)part.length - from);
	SAY_PART("stores", &part, ", %u of %u from %u: %d", value, length, from,
		 change(part.at + from, length, (int)value));
}

static void protect(void)
{
	static const int prots[] = { PROT_READ, PROT_READ | PROT_WRITE,
				     PROT_NONE };
	int prot = prots[below(3)];
	struct part part;

	if (!choose(&part))
		return;
	part.slot->pieces = 1;
	SAY_PART("protects", &part, ", %d: %s", prot,
		 outcome(mprotect(part.at, part.length, prot)));
}

static void sync_part(void)
{
	int flags = below(2) ? MS_SYNC : MS_ASYNC;
	struct part part;

	if (choose(&part))
		SAY_PART("syncs", &part, ": %s",
			 outcome(msync(part.at, part.length, flags)));
}

static void advise(void)
{
	static const int all[] = { MADV_DONTNEED,   MADV_WILLNEED, MADV_RANDOM,
				   MADV_SEQUENTIAL, MADV_NORMAL,   MADV_COLD,
				   MADV_PAGEOUT };
	int advice = all[below(sizeof(all) / sizeof(*all))];
	struct part part;

	if (!choose(&part))
		return;
	part.slot->pieces = 1;
	SAY_PART("advises", &part, ", %d: %s", advice,
		 outcome(madvise(part.at, part.length, advice)));
}

/* All of it, or its end, or its beginning. */
static void unmap(void)
{
	unsigned kind = below(3), n;
	struct part part;
	struct slot *slot;

	if (!choose(&part))
		return;
	slot = part.slot;
	n = kind ? part.page : slot->pages;
	if (!n)
		return;
	SAY_PART("unmaps", &part, ", %u of kind %u: %s", n, kind,
		 outcome(munmap(kind == 1 ?
					slot->at + (slot->pages - n) * PAGE :
					slot->at,
				n * PAGE)));
	slot->pages -= n;
	slot->first += kind == 2 ? n : 0;
	slot->at = !kind ? NULL : kind == 2 ? slot->at + n * PAGE : slot->at;
}

static void resize(void)
{
	unsigned pages = 1 + below(LONGEST + 4);
	struct part part;
	void *got;

	if (!choose(&part) || (part.slot->pieces && pages > part.slot->pages) ||
	    (part.slot->file >= 0 && part.slot->first + pages > FILE_END))
		return;
	got = mremap(part.slot->at, part.slot->pages * PAGE, pages * PAGE,
		     MREMAP_MAYMOVE);
	SAY_PART("resizes", &part, " to %u: %s", pages,
		 outcome(got == MAP_FAILED ? -1 : 0));
	if (got == MAP_FAILED)
		return;
	part.slot->at = got;
	part.slot->pages = pages;
}

/* ---- Calls on files ------------------------------------------------------ */

static void write_file(void)
{
	static char bytes[3 * PAGE];
	unsigned file = below(FILES), length = 1 + below(sizeof(bytes));
	unsigned at = below((FILE_END - 3) * PAGE), value = below(256);

	memset(bytes, (int)value, length);
	SAY("writes %u of %u to file %u at %u: %s", length, value, file, at,
	    outcome(pwrite(files[file], bytes, length, at)));
}

static void read_file(void)
{
	static char bytes[3 * PAGE];
	unsigned file = below(FILES), length = 1 + below(sizeof(bytes));
	unsigned at = below((FILE_END - 3) * PAGE);
	ssize_t n = pread(files[file], bytes, length, at);

	SAY("reads %u of file %u at %u: %zd, %lx", length, file, at, n,
	    sum(bytes, n > 0 ? (size_t)n : 0));
}

static void truncate_file(void)
{
	unsigned file = below(FILES);
	unsigned length = below(4) ? FILE_END * PAGE : below(FILE_END * PAGE);

	if (!depth)
		SAY("truncates file %u to %u: %s", file, length,
		    outcome(ftruncate(files[file], length)));
}

static void punch(void)
{
	unsigned file = below(FILES), at = below((FILE_END - 3) * PAGE);
	unsigned length = 1 + below(3 * PAGE);

	SAY("punches file %u at %u, %u: %s", file, at, length,
	    outcome(fallocate(files[file],
			      FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, at,
			      length)));
}

static void copy_file(void)
{
	unsigned from = below(FILES), to = (from + 1) % FILES;
	off_t in = below((FILE_END - 3) * PAGE);
	off_t out = below((FILE_END - 3) * PAGE);
	unsigned length = 1 + below(3 * PAGE);

	SAY("copies %u of file %u at %ld to file %u at %ld: %zd", length, from,
	    (long)in, to, (long)out,
	    copy_file_range(files[from], &in, files[to], &out, length, 0));
}

static void read_into(void)
{
	unsigned file = below(FILES), at = below((FILE_END - LONGEST) * PAGE);
	struct part part;
	ssize_t n;

	if (!choose(&part) || part.slot->file == (int)file || has_end(&part))
		return;
	n = pread(files[file], part.at, part.length, at);
	SAY_PART("reads into", &part, " from file %u at %u: %zd %s", file, at,
		 n, outcome(n));
}

static void write_from(void)
{
	unsigned file = below(FILES), at = below((FILE_END - LONGEST) * PAGE);
	struct part part;
	ssize_t n;

	if (!choose(&part) || part.slot->file == (int)file)
		return;
	n = pwrite(files[file], part.at, part.length, at);
	SAY_PART("writes from", &part, " to file %u at %u: %zd %s", file, at, n,
		 outcome(n));
}

/* ---- Many of them -------------------------------------------------------- */

static void run(unsigned n);

/* The child's calls are others than those that follow here. */
static void fork_and_wait(void)
{
	unsigned n = below(15), seed = below(UINT32_MAX);
	pid_t pid;
	int status;

	if (depth == DEEPEST)
		return;
	pid = fork();
	REQUIRE(pid >= 0);
	if (!pid) {
		depth++;
		state ^= seed + 1u;
		run(n);
		look_at_all();
		exit(0);
	}
	REQUIRE(waitpid(pid, &status, 0) == pid);
	SAY("its child ended with %x", status);
}

static const struct call {
	void (*run)(void);
	unsigned weight;
} calls[] = {
	{ map_more, 10 },  { map_over, 2 },	 { load, 20 },
	{ store, 20 },	   { protect, 6 },	 { sync_part, 4 },
	{ advise, 5 },	   { unmap, 6 },	 { resize, 4 },
	{ write_file, 5 }, { read_file, 5 },	 { truncate_file, 3 },
	{ punch, 2 },	   { copy_file, 2 },	 { read_into, 3 },
	{ write_from, 3 }, { fork_and_wait, 3 },
};

static void run(unsigned n)
{
	unsigned all = 0, chosen;
	const struct call *call;

	for (call = calls; call < calls + sizeof(calls) / sizeof(*calls);
	     call++)
		all += call->weight;
	while (n--) {
		step++;
		chosen = below(all);
		for (call = calls; chosen >= call->weight; call++)
			chosen -= call->weight;
		call->run();
	}
}

static void random_calls(const char *path)
{
	const char *seed = getenv("WMAP_SEED");
	static char bytes[FILE_END * PAGE], other[64];

	REQUIRE(seed);
	state = (strtoull(seed, NULL, 0) + 1) * 0x9E3779B97F4A7C15u;
	leap_from(SIGSEGV);
	leap_from(SIGBUS);
	for (unsigned i = 0; i < FILES; i++) {
		snprintf(other, sizeof(other), "%.60s%u", path, i);
		files[i] = make_file(i ? other : path, FILE_END * PAGE);
		if (i)
			REQUIRE(!unlink(other));
	}
	run(STEPS);
	look_at_all();
	for (unsigned i = 0; i < FILES; i++) {
		ssize_t n = pread(files[i], bytes, sizeof(bytes), 0);

		SAY("file %u has %zd: %lx", i, n,
		    sum(bytes, n > 0 ? (size_t)n : 0));
	}
}

const struct scenario scenarios[] = {
	{ "random_calls", random_calls },
	{ NULL, NULL },
};
