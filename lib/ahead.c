/* SPDX-License-Identifier: MIT */
/* Streams of accesses, and what they will need next (ahead.h has the model) */
#include "ahead.h"
#include "copies.h"
#include "fill.h"
#include "mem.h"
#include "presume.h"

#define CANDIDATES 64
#define STREAMS	   128
#define NEAR	   64	/* pages: farther faults are of different streams */
#define WINDOW_MIN 4	/* pages of a stream's first batch */
#define WINDOW_MAX 1024 /* of any; less where memory is short */
#define READ_PAGES 64	/* of one read */
#define NO_PAGE	   UINT64_MAX

#define RUNS_SURE   128
#define RUNS_LIKELY 85 /* of these: two of three, for a while */
#define RUN_MIN	    4  /* pages of the first attempt */
#define PROBE	    8  /* accesses from one probe to the next */
#define SAMPLE	    16
#define MOST	    12 /* of SAMPLE */

struct stream {
	uint64_t first; /* the page that it began with */
	uint64_t last;	/* the page that it was seen at */
	int64_t stride; /* pages, not 0 */
	uint64_t edge;	/* the first page not asked for */
	uint64_t mark;	/* or NO_PAGE */
	uint64_t window;
	uint64_t looked; /* the page up to which it was seen what was stored */
	uint64_t stored; /* pages, since there were too few of them */
	uint64_t used;	 /* ahead.clock; 0: none */
};

/* Of accesses that begin anew. */
struct runs {
	uint64_t length; /* pages that one brings; 0: none was seen, 1 as well */
	unsigned chance; /* that a run follows, of RUNS_SURE; while length is 1 */
	unsigned n;	 /* such accesses */
	unsigned more;	 /* of SAMPLE of them, those whose run went on */
	unsigned failed;    /* probes in a row that no such run followed */
	struct stream *ran; /* began last, after the last probe; or NULL */
};

/* Random accesses look through it each time: what is last is apart. */
struct ahead {
	uint64_t clock;
	struct runs runs;
	struct candidate {
		int64_t stride;	     /* pages; once seen, or 0 */
		uint64_t first, end; /* the pages that its fault brought */
		bool used;
	} candidates[CANDIDATES];
	uint64_t last[CANDIDATES]; /* the page that each was seen at */
	unsigned next;		   /* candidate to be given up */
	unsigned n_streams;	   /* the others were never used */
	struct stream streams[STREAMS];
};

/* The one that is given up for a new one. */
static struct stream *oldest_stream(struct ahead *ahead)
{
	struct stream *oldest = ahead->streams;

	if (ahead->n_streams < STREAMS)
		return &ahead->streams[ahead->n_streams++];
	for (unsigned i = 1; i < STREAMS; i++)
		if (ahead->streams[i].used < oldest->used)
			oldest = &ahead->streams[i];
	return oldest;
}

/* ---- Bringing ---------------------------------------------------------------*/

/* The end of what @mapping shows and the store has. */
static uint64_t end_of(const struct mapping *mapping)
{
	int64_t length = store_length(object_source(mapping->object));

	if (length < 0)
		return 0;
	return min_u64(mapping_end_page(mapping),
		       page_up((uint64_t)length) >> PAGE_SHIFT);
}

static bool bring(struct pager *pager, struct mapping *mapping,
		  const struct stream *stream, uint64_t first, uint64_t count,
		  bool held)
{
	struct fill *fill;

	if (!fill_room(pager, mapping_share(mapping), count, true))
		return false;
	fill = fill_create(mapping_source(mapping, first), mapping, first,
			   count);
	if (!fill)
		return false;
	fill->via = mapping;
	fill->behind = mapping->exact;
	fill->deadline = mapping->deadline;
	fill->ahead = true;
	fill->held = held;
	fill->presume = stream->stored >= PRESUME_AFTER;
	return fill_try(fill);
}

static bool is_dense(int64_t stride)
{
	return stride == 1 || stride == -1;
}

/* How many absent pages can be read together from @page on, in the direction of
   the stream, of the @n steps that it has left. */
static uint64_t run_of(const struct stream *stream,
		       const struct mapping *mapping, uint64_t page, uint64_t n,
		       uint64_t end)
{
	const struct object *source = mapping_source(mapping, page);
	uint64_t count = 1;

	if (!is_dense(stream->stride))
		return 1;
	while (count < n && count < READ_PAGES) {
		uint64_t next = page + (uint64_t)stream->stride * count;

		if (next < mapping->first || next >= end ||
		    mapping_reads(mapping, next) != source)
			break;
		count++;
	}
	return count;
}

/* Ask for the next @n pages of the stream; those that are there are passed by. */
static void bring_batch(struct pager *pager, struct mapping *mapping,
			struct stream *stream, uint64_t n)
{
	uint64_t end = end_of(mapping), page = stream->edge, count;

	stream->mark = NO_PAGE;
	for (; n; n -= count, page += (uint64_t)stream->stride * count) {
		bool held = stream->mark == NO_PAGE && fill_may_hold(mapping);
		uint64_t low = page;

		count = 1;
		if (page < mapping->first || page >= end)
			break;
		if (!mapping_reads(mapping, page))
			continue;
		if (!held)
			count = run_of(stream, mapping, page, n, end);
		if (stream->stride < 0)
			low = page - (count - 1);
		if (!bring(pager, mapping, stream, low, count, held))
			break;
		if (held)
			stream->mark = page;
	}
	stream->edge = page;
}

/* Streams whose readers have come by lately. */
static unsigned count_active(const struct ahead *ahead)
{
	unsigned n = 0;

	for (unsigned i = 0; i < ahead->n_streams; i++)
		n += ahead->streams[i].used &&
		     ahead->clock - ahead->streams[i].used < STREAMS;
	return n ? n : 1;
}

/* All of them together have a sixteenth of the memory ahead, and on its way. */
static uint64_t window_max(const struct pager *pager,
			   const struct mapping *mapping)
{
	uint64_t pages = share_most(pager, mapping_share(mapping)) >>
			 PAGE_SHIFT;

	return max_u64(min_u64(WINDOW_MAX,
			       pages / 32 / count_active(mapping->ahead)),
		       1);
}

/* Evicting shall make room for what is read ahead before it is needed. */
static void want_memory(struct pager *pager, const struct mapping *mapping,
			const struct stream *stream)
{
	uint64_t most = share_most(pager, mapping_share(mapping)) / 16;
	uint64_t bytes = stream->window << PAGE_SHIFT;

	if (is_dense(stream->stride))
		pager->ahead_wants =
			min_u64(most, max_u64(pager->ahead_wants, 4 * bytes));
	evict_kick(pager);
}

/* Steps that its reader has made, with the one that brought it here. */
static uint64_t length_of(const struct stream *stream)
{
	return (uint64_t)((int64_t)(stream->last - stream->first) /
			  stream->stride) +
	       1;
}

/* What has its reader stored to since we looked? */
static void look_back(struct mapping *mapping, struct stream *stream)
{
	uint64_t n = (uint64_t)((int64_t)(stream->last - stream->looked) /
				stream->stride);

	if (n < PRESUME_AFTER)
		return;
	stream->stored = presume_passed(mapping, stream->looked, stream->stride,
					n, stream->stored);
	stream->looked = stream->last;
}

/* No more than its reader has come by already: most runs are short. */
static void go_on(struct pager *pager, struct mapping *mapping,
		  struct stream *stream)
{
	stream->window =
		min_u64(2 * stream->window, window_max(pager, mapping));
	stream->window = min_u64(stream->window, length_of(stream));
	want_memory(pager, mapping, stream);
	bring_batch(pager, mapping, stream, stream->window);
	look_back(mapping, stream);
}

/* ---- Streams ----------------------------------------------------------------*/

static struct ahead *ahead_of(struct mapping *mapping)
{
	if (!mapping->ahead)
		mapping->ahead = mem_alloc(sizeof(*mapping->ahead));
	return mapping->ahead;
}

/* Has its reader come to @index: just beyond what was asked for, or into it? */
static bool is_at(const struct stream *stream, uint64_t index)
{
	int64_t ahead = (int64_t)(index - stream->last);
	int64_t reach = (int64_t)(stream->edge - stream->last);

	if (!stream->used)
		return false;
	if (stream->stride < 0) {
		ahead = -ahead;
		reach = -reach;
	}
	return ahead > 0 && ahead <= reach &&
	       ahead % (stream->stride < 0 ? -stream->stride :
					     stream->stride) ==
		       0;
}

static struct stream *find(struct ahead *ahead, uint64_t index)
{
	for (unsigned i = 0; i < ahead->n_streams; i++)
		if (is_at(&ahead->streams[i], index))
			return &ahead->streams[i];
	return NULL;
}

/* The next page that a fault at @index, which brought @run, has not brought. */
static uint64_t beyond(int64_t stride, uint64_t index, const struct run *run)
{
	if (stride == 1)
		return run->first + run->count;
	return stride == -1 ? run->first - 1 : index + (uint64_t)stride;
}

static struct stream *establish(struct pager *pager, struct mapping *mapping,
				int64_t stride, uint64_t index,
				const struct run *run)
{
	struct stream *stream = oldest_stream(mapping->ahead);
	uint64_t count = is_dense(stride) ? run->count : 1;

	if (stream->used && stream->mark != NO_PAGE)
		fill_release(mapping_source(mapping, stream->mark),
			     stream->mark);
	*stream = (struct stream){
		.first = index - 2 * (uint64_t)stride * count,
		.last = index,
		.looked = index,
		.stride = stride,
		.edge = beyond(stride, index, run),
		.mark = NO_PAGE,
		.window = max_u64(WINDOW_MIN / 2, count),
		.used = ++mapping->ahead->clock,
	};
	go_on(pager, mapping, stream);
	return stream;
}

/* Seen first, or next: with the distance from where it was seen before. */
static void note(struct ahead *ahead, unsigned i, int64_t stride,
		 uint64_t index, const struct run *run)
{
	ahead->candidates[i] = (struct candidate){
		.stride = stride,
		.first = run->first,
		.end = run->first + run->count,
		.used = true,
	};
	ahead->last[i] = index;
}

/* From one fault to the next, which may be just beyond what that brought. */
static int64_t step_of(const struct candidate *candidate, uint64_t last,
		       uint64_t index)
{
	if (index == candidate->end)
		return 1;
	return index + 1 == candidate->first ? -1 : (int64_t)(index - last);
}

/* ---- Runs -------------------------------------------------------------------*/

static void runs_resize(struct runs *runs, uint64_t length)
{
	runs->length = length >= RUN_MIN ? min_u64(length, READ_PAGES) : 1;
	runs->n = runs->more = runs->failed = runs->chance = 0;
	runs->ran = NULL;
}

/* Once in a while a run is let come page by page: is it as long as is thought? */
static void judge_probe(struct runs *runs)
{
	bool failed = !runs->ran || 2 * length_of(runs->ran) < runs->length;

	runs->failed = failed ? runs->failed + 1 : 0;
	runs->ran = NULL;
	if (runs->failed == 2)
		runs_resize(runs, runs->length / 2);
}

/* An access that belongs to nothing that is known. */
static void runs_begin(struct runs *runs)
{
	runs->n++;
	if (runs->length <= 1) {
		runs->chance -= (runs->chance + 7) / 8;
		return;
	}
	if (runs->n % SAMPLE == 0) {
		if (runs->more >= MOST)
			runs_resize(runs, 2 * runs->length);
		runs->more = 0;
	}
	if (runs->n % PROBE == 0 && runs->n > PROBE)
		judge_probe(runs);
}

/* The page just beyond what one of them brought was wanted too; it was the second
   such page, or more. */
static void runs_go_on(struct runs *runs, const struct candidate *candidate)
{
	if (candidate->end - candidate->first > 1 && !candidate->stride)
		runs->more++;
}

static void runs_establish(struct runs *runs, struct stream *stream)
{
	runs->ran = stream;
	if (runs->length > 1)
		return;
	runs->chance += (RUNS_SURE - runs->chance) / 4;
	if (runs->chance > RUNS_LIKELY)
		runs_resize(runs, RUN_MIN);
}

/* ---- Faults ------------------------------------------------------------------*/

static void begin_stream(struct pager *pager, struct mapping *mapping,
			 int64_t stride, uint64_t index, const struct run *run)
{
	struct stream *stream = establish(pager, mapping, stride, index, run);

	if (stride == 1)
		runs_establish(&mapping->ahead->runs, stream);
}

/* A fault that belongs to no stream: the third of its kind begins one. */
static void consider(struct pager *pager, struct mapping *mapping,
		     uint64_t index, const struct run *run)
{
	struct ahead *ahead = mapping->ahead;
	unsigned near = CANDIDATES;
	int64_t step;

	for (unsigned i = 0; i < CANDIDATES; i++) {
		struct candidate *candidate = &ahead->candidates[i];

		if (index - ahead->last[i] + NEAR > 2 * NEAR ||
		    !candidate->used || index == ahead->last[i])
			continue;
		step = step_of(candidate, ahead->last[i], index);
		if (step == 1)
			runs_go_on(&ahead->runs, candidate);
		if (candidate->stride == step) {
			candidate->used = false;
			begin_stream(pager, mapping, step, index, run);
			return;
		}
		if (near == CANDIDATES || !ahead->candidates[near].stride)
			near = i;
	}
	if (near < CANDIDATES) {
		step = step_of(&ahead->candidates[near], ahead->last[near],
			       index);
		note(ahead, near, step, index, run);
	} else {
		runs_begin(&ahead->runs);
		note(ahead, ahead->next++ % CANDIDATES, 0, index, run);
	}
	pager->ahead_wants -= (pager->ahead_wants + 63) / 64;
}

static bool is_wanted(const struct mapping *mapping)
{
	return !(mapping->flags & MAPPING_COURSE) &&
	       object_source(mapping->object) &&
	       mapping->advice != WMAP_ADVICE_RANDOM && !mapping->closing;
}

static void advance(struct pager *pager, struct mapping *mapping,
		    struct stream *stream, uint64_t index,
		    const struct run *run)
{
	uint64_t mark = stream->mark;

	stream->used = ++mapping->ahead->clock;
	stream->last = index;
	/* beyond the mark, but for threads that were overtaken by others */
	if (mark == index || mark == NO_PAGE || stream->edge == index) {
		if (mark != NO_PAGE && mark != index)
			fill_release(mapping_source(mapping, mark), mark);
		if (stream->edge == index)
			stream->edge = beyond(stream->stride, index, run);
		go_on(pager, mapping, stream);
	}
}

uint64_t ahead_run(const struct mapping *mapping, uint64_t index)
{
	const struct ahead *ahead = mapping->ahead;

	if (!ahead || ahead->runs.length <= 1 || !is_wanted(mapping) ||
	    ahead->runs.n % PROBE == PROBE - 1)
		return 1;
	/* the second page of a probe */
	for (unsigned i = 0; i < CANDIDATES; i++)
		if (ahead->candidates[i].used &&
		    ahead->candidates[i].end == index &&
		    ahead->candidates[i].first == index - 1)
			return 1;
	return ahead->runs.length;
}

void ahead_missed(struct pager *pager, struct mapping *mapping, uint64_t index,
		  const struct run *run)
{
	struct stream *stream;

	if (!is_wanted(mapping) || !ahead_of(mapping))
		return;
	stream = find(mapping->ahead, index);
	if (stream)
		advance(pager, mapping, stream, index, run);
	else
		consider(pager, mapping, index, run);
}

void ahead_reached(struct pager *pager, struct mapping *mapping, uint64_t index)
{
	struct ahead *ahead = mapping->ahead;
	struct run alone = { index, 1 };

	if (!is_wanted(mapping) || !ahead)
		return;
	for (unsigned i = 0; i < ahead->n_streams; i++)
		if (ahead->streams[i].used && ahead->streams[i].mark == index)
			advance(pager, mapping, &ahead->streams[i], index,
				&alone);
}

void ahead_forget(struct mapping *mapping)
{
	mem_free(mapping->ahead, sizeof(*mapping->ahead));
	mapping->ahead = NULL;
}
