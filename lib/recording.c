/* SPDX-License-Identifier: MIT */
/* What is in a recording, and its form in bytes (recording.h) */
#include <string.h>

#include "mem.h"
#include "recording.h"

static const char magic[8] = "wmaprec\n";

struct header {
	char magic[8];
	uint32_t version;
	uint32_t checksum; /* of what follows it */
	uint64_t size;	   /* of all */
	uint64_t n_files, n_runs;
};

#define CHECKED offsetof(struct header, size)

/* A file, without the bytes of its path that follow it. */
struct entry {
	uint64_t dev, ino, length;
	int64_t changed;
	uint64_t path_length;
};

#define RUN_MIN 3 /* bytes of a run */

/* ---- Making one ----------------------------------------------------------------*/

struct recording *recording_create(void)
{
	return mem_alloc(sizeof(struct recording));
}

static void file_free(struct recording_file *file)
{
	mem_free(file->path, strlen(file->path) + 1);
}

void recording_destroy(struct recording *recording)
{
	if (!recording)
		return;
	for (size_t i = 0; i < recording->n_files; i++)
		file_free(&recording->files[i]);
	mem_free(recording->files,
		 recording->files_room * sizeof(*recording->files));
	mem_free(recording->runs,
		 recording->runs_room * sizeof(*recording->runs));
	mem_free(recording, sizeof(*recording));
}

/* Room for one more of @n elements, in an array of *@room. */
static int make_room(void **array, size_t n, size_t *room, size_t element)
{
	size_t more = *room ? 2 * *room : 16;
	void *bigger;

	if (n < *room)
		return 0;
	bigger = mem_resize(*array, *room * element, more * element);
	if (!bigger)
		return -ENOMEM;
	*array = bigger;
	*room = more;
	return 0;
}

int recording_add_file(struct recording *recording,
		       const struct recording_file *file)
{
	void *files = recording->files;
	size_t size = strlen(file->path) + 1;
	char *path;
	int error = make_room(&files, recording->n_files,
			      &recording->files_room, sizeof(*file));

	recording->files = files;
	if (error)
		return error;
	path = mem_alloc(size);
	if (!path)
		return -ENOMEM;
	memcpy(path, file->path, size);
	recording->files[recording->n_files] = *file;
	recording->files[recording->n_files++].path = path;
	return 0;
}

int recording_add_run(struct recording *recording, uint32_t file,
		      uint64_t first, uint64_t count)
{
	struct recording_run *last = NULL;
	void *runs = recording->runs;
	int error;

	if (recording->n_runs)
		last = &recording->runs[recording->n_runs - 1];
	if (last && last->file == file && last->first + last->count == first) {
		last->count += count;
		return 0;
	}
	error = make_room(&runs, recording->n_runs, &recording->runs_room,
			  sizeof(*recording->runs));
	recording->runs = runs;
	if (error)
		return error;
	recording->runs[recording->n_runs++] =
		(struct recording_run){ first, count, file, 0 };
	return 0;
}

/* ---- Sorted runs ---------------------------------------------------------------*/

static bool is_before(const struct recording_run *a,
		      const struct recording_run *b)
{
	return a->file < b->file || (a->file == b->file && a->first < b->first);
}

static void swap(struct recording_run *a, struct recording_run *b)
{
	struct recording_run run = *a;

	*a = *b;
	*b = run;
}

/* Of a heap all is in order but its @top. */
static void sink(struct recording_run *runs, size_t top, size_t n)
{
	for (size_t child; (child = 2 * top + 1) < n; top = child) {
		if (child + 1 < n && is_before(&runs[child], &runs[child + 1]))
			child++;
		if (!is_before(&runs[top], &runs[child]))
			return;
		swap(&runs[top], &runs[child]);
	}
}

/* qsort may call malloc, which the pager must not. */
void recording_sort(struct recording_run *runs, size_t n)
{
	for (size_t i = n / 2; i-- > 0;)
		sink(runs, i, n);
	for (size_t i = n; i-- > 1;) {
		swap(&runs[0], &runs[i]);
		sink(runs, 0, i);
	}
}

size_t recording_lower(const struct recording_run *runs, size_t n,
		       uint32_t file, uint64_t page)
{
	size_t low = 0, high = n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		const struct recording_run *run = &runs[middle];

		if (run->file < file ||
		    (run->file == file && run->first + run->count <= page))
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* NULL: no memory. For the caller to free. */
static struct recording_run *sorted_copy(const struct recording *recording)
{
	size_t n = recording->n_runs;
	struct recording_run *runs = mem_alloc((n + 1) * sizeof(*runs));

	if (runs && n) {
		memcpy(runs, recording->runs, n * sizeof(*runs));
		recording_sort(runs, n);
	}
	return runs;
}

static void free_copy(struct recording_run *runs, size_t n)
{
	mem_free(runs, (n + 1) * sizeof(*runs));
}

/* ---- Merging -------------------------------------------------------------------*/

bool recording_is(const struct recording_file *file,
		  const struct recording_file *other)
{
	bool same = file->dev == other->dev && file->ino == other->ino;

	if (file->length != other->length || file->changed != other->changed)
		return false;
	return same || !strcmp(file->path, other->path);
}

/* Is it the same file, whatever is in it by now? */
static bool is_place_of(const struct recording_file *file,
			const struct recording_file *other)
{
	return (file->dev == other->dev && file->ino == other->ino) ||
	       !strcmp(file->path, other->path);
}

#define NOWHERE UINT32_MAX

/* The number that a file of an older recording has in this one; NOWHERE if it has
   changed since, is not wanted, or there is no room. It is added if it is not here at all. */
static int place_file(struct recording *recording,
		      const struct recording_file *older,
		      bool (*wanted)(const struct recording_file *),
		      uint32_t *number)
{
	int error;

	for (size_t i = 0; i < recording->n_files; i++)
		if (is_place_of(&recording->files[i], older)) {
			*number = recording_is(&recording->files[i], older) ?
					  (uint32_t)i :
					  NOWHERE;
			return 0;
		}
	*number = NOWHERE;
	if (recording->n_files == RECORDING_FILES || (wanted && !wanted(older)))
		return 0;
	error = recording_add_file(recording, older);
	*number = (uint32_t)(recording->n_files - 1);
	return error;
}

/* What of @run no one of the @n sorted runs has. */
static int add_rest(struct recording *recording, struct recording_run run,
		    const struct recording_run *runs, size_t n)
{
	uint64_t end = run.first + run.count;
	size_t i = recording_lower(runs, n, run.file, run.first);
	int error = 0;

	while (!error && run.first < end) {
		bool more = i < n && runs[i].file == run.file &&
			    runs[i].first < end;
		uint64_t to = more ? runs[i].first : end;

		if (run.first < to)
			error = recording_add_run(recording, run.file,
						  run.first, to - run.first);
		if (more)
			to = max_u64(to, runs[i].first + runs[i].count);
		run.first = to;
		i++;
	}
	return error;
}

static int merge_runs(struct recording *recording,
		      const struct recording *older, const uint32_t *numbers)
{
	size_t n = recording->n_runs;
	struct recording_run *runs = sorted_copy(recording);
	int error = runs ? 0 : -ENOMEM;

	for (size_t i = 0; !error && i < older->n_runs; i++) {
		struct recording_run run = older->runs[i];

		run.file = numbers[run.file];
		if (run.file != NOWHERE)
			error = add_rest(recording, run, runs, n);
	}
	free_copy(runs, n);
	return error;
}

int recording_merge(struct recording *recording, const struct recording *older,
		    bool (*wanted)(const struct recording_file *))
{
	size_t size = (older->n_files + 1) * sizeof(uint32_t);
	uint32_t *numbers = mem_alloc(size);
	int error = numbers ? 0 : -ENOMEM;

	for (size_t i = 0; !error && i < older->n_files; i++) {
		error = place_file(recording, &older->files[i], wanted,
				   &numbers[i]);
		/* Two of its files are one here: the first is it. */
		for (size_t k = 0; !error && k < i; k++)
			if (numbers[i] == numbers[k])
				numbers[i] = NOWHERE;
	}
	if (!error)
		error = merge_runs(recording, older, numbers);
	mem_free(numbers, size);
	return error;
}

/* ---- Bytes ---------------------------------------------------------------------*/

/* CRC-32 by halves of bytes. Our own, so that a library that is preloaded brings
   no other with it. */
uint32_t recording_checksum(const void *bytes, size_t size)
{
	static const uint32_t table[16] = {
		0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac,
		0x76dc4190, 0x6b6b51f4, 0x4db26158, 0x5005713c,
		0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c,
		0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c,
	};
	const uint8_t *at = bytes;
	uint32_t sum = ~0u;

	for (size_t i = 0; i < size; i++) {
		sum ^= at[i];
		sum = sum >> 4 ^ table[sum & 15];
		sum = sum >> 4 ^ table[sum & 15];
	}
	return ~sum;
}

struct writer {
	uint8_t *bytes; /* NULL: only count */
	size_t size;
};

static void write_bytes(struct writer *writer, const void *bytes, size_t size)
{
	if (writer->bytes)
		memcpy(writer->bytes + writer->size, bytes, size);
	writer->size += size;
}

static void write_number(struct writer *writer, uint64_t number)
{
	for (;; number >>= 7) {
		uint8_t byte = number & 0x7f;

		if (number > 0x7f)
			byte |= 0x80;
		write_bytes(writer, &byte, 1);
		if (number <= 0x7f)
			return;
	}
}

/* Small numbers of either sign are small ones without. */
static uint64_t fold(uint64_t distance)
{
	return distance << 1 ^ (uint64_t)((int64_t)distance >> 63);
}

static uint64_t unfold(uint64_t folded)
{
	return folded >> 1 ^ -(folded & 1);
}

static void write_file(struct writer *writer, const struct recording_file *file)
{
	struct entry entry = {
		.dev = file->dev,
		.ino = file->ino,
		.length = file->length,
		.changed = file->changed,
		.path_length = strlen(file->path),
	};

	write_bytes(writer, &entry, sizeof(entry));
	write_bytes(writer, file->path, entry.path_length);
}

/* @ends: by file, the page behind its last run; zeros. */
static void write_all(struct writer *writer, const struct recording *recording,
		      uint64_t *ends)
{
	struct header header = { 0 };

	write_bytes(writer, &header, sizeof(header));
	for (size_t i = 0; i < recording->n_files; i++)
		write_file(writer, &recording->files[i]);
	for (size_t i = 0; i < recording->n_runs; i++) {
		const struct recording_run *run = &recording->runs[i];

		write_number(writer, run->file);
		write_number(writer, fold(run->first - ends[run->file]));
		write_number(writer, run->count - 1);
		ends[run->file] = run->first + run->count;
	}
}

static void write_header(const struct recording *recording, uint8_t *bytes,
			 size_t size)
{
	struct header header = {
		.version = RECORDING_VERSION,
		.size = size,
		.n_files = recording->n_files,
		.n_runs = recording->n_runs,
	};

	memcpy(header.magic, magic, sizeof(magic));
	memcpy(bytes, &header, sizeof(header));
	header.checksum = recording_checksum(bytes + CHECKED, size - CHECKED);
	memcpy(bytes, &header, sizeof(header));
}

int recording_format(const struct recording *recording, void **bytes,
		     size_t *size)
{
	size_t room = (recording->n_files + 1) * sizeof(uint64_t);
	uint64_t *ends = mem_alloc(room);
	struct writer writer = { 0 };
	int error = ends ? 0 : -ENOMEM;

	if (!error) {
		write_all(&writer, recording, ends);
		memset(ends, 0, room);
		*size = writer.size;
		writer = (struct writer){ .bytes = mem_alloc(*size) };
		error = writer.bytes ? 0 : -ENOMEM;
	}
	if (!error) {
		write_all(&writer, recording, ends);
		write_header(recording, writer.bytes, *size);
		*bytes = writer.bytes;
	}
	mem_free(ends, room);
	return error;
}

/* ---- Parsing -------------------------------------------------------------------*/

struct reader {
	const uint8_t *at;
	size_t left;
};

static bool read_bytes(struct reader *reader, void *to, size_t size)
{
	if (reader->left < size)
		return false;
	if (size)
		memcpy(to, reader->at, size);
	reader->at += size;
	reader->left -= size;
	return true;
}

/* In the form that write_number gives it, and no other. */
static bool read_number(struct reader *reader, uint64_t *number)
{
	uint64_t value = 0;
	uint8_t byte;

	for (unsigned shift = 0; shift < 64; shift += 7) {
		if (!read_bytes(reader, &byte, 1))
			return false;
		value |= (uint64_t)(byte & 0x7f) << shift;
		if (byte & 0x80)
			continue;
		*number = value;
		return (byte || !shift) && !(shift == 63 && byte > 1);
	}
	return false;
}

static int read_file(struct reader *reader, struct recording *recording)
{
	char path[RECORDING_PATH] = "";
	struct recording_file file = { .path = path };
	struct entry entry;

	if (!read_bytes(reader, &entry, sizeof(entry)) ||
	    entry.length > INT64_MAX || entry.path_length >= sizeof(path) ||
	    !read_bytes(reader, path, entry.path_length) ||
	    strlen(path) != entry.path_length)
		return -EINVAL;
	file.dev = entry.dev;
	file.ino = entry.ino;
	file.length = entry.length;
	file.changed = entry.changed;
	return recording_add_file(recording, &file);
}

static int read_run(struct reader *reader, struct recording *recording,
		    uint64_t *ends)
{
	uint64_t file, distance, first, less, pages;
	size_t n = recording->n_runs;
	int error;

	if (!read_number(reader, &file) || file >= recording->n_files ||
	    !read_number(reader, &distance) || !read_number(reader, &less))
		return -EINVAL;
	first = ends[file] + unfold(distance);
	pages = recording_pages(&recording->files[file]);
	if (first >= pages || less >= pages - first)
		return -EINVAL;
	error = recording_add_run(recording, (uint32_t)file, first, less + 1);
	ends[file] = first + less + 1;
	/* Two runs that are one are not what was written. */
	return error || recording->n_runs > n ? error : -EINVAL;
}

static int check_overlaps(const struct recording *recording)
{
	size_t n = recording->n_runs;
	struct recording_run *runs = sorted_copy(recording);
	int error = runs ? 0 : -ENOMEM;

	for (size_t i = 1; !error && i < n; i++)
		if (runs[i].file == runs[i - 1].file &&
		    runs[i].first < runs[i - 1].first + runs[i - 1].count)
			error = -EINVAL;
	free_copy(runs, n);
	return error;
}

/* What the header's counts stand for must fit into what is left. */
static int read_body(struct reader *reader, const struct header *header,
		     struct recording *recording)
{
	size_t room = 0;
	uint64_t *ends;
	int error = 0;

	if (header->n_files > RECORDING_FILES ||
	    header->n_files > reader->left / sizeof(struct entry) ||
	    header->n_runs > reader->left / RUN_MIN)
		return -EINVAL;
	for (uint64_t i = 0; !error && i < header->n_files; i++)
		error = read_file(reader, recording);
	if (error)
		return error;
	room = (recording->n_files + 1) * sizeof(*ends);
	ends = mem_alloc(room);
	if (!ends)
		return -ENOMEM;
	for (uint64_t i = 0; !error && i < header->n_runs; i++)
		error = read_run(reader, recording, ends);
	mem_free(ends, room);
	if (!error && reader->left)
		error = -EINVAL;
	return error ? error : check_overlaps(recording);
}

static int check_header(const uint8_t *bytes, size_t size,
			struct header *header, const char **why)
{
	*why = "it is no recording";
	if (size < sizeof(header->magic) ||
	    memcmp(bytes, magic, sizeof(magic)) != 0)
		return -EINVAL;
	*why = "it is cut off";
	if (size < sizeof(*header))
		return -EBADMSG;
	memcpy(header, bytes, sizeof(*header));
	*why = "it is a recording of another version";
	if (header->version != RECORDING_VERSION)
		return -EPROTONOSUPPORT;
	*why = size < header->size ? "it is cut off" : "something follows it";
	if (header->size != size)
		return -EBADMSG;
	*why = "it is damaged: its checksum is wrong";
	if (header->checksum !=
	    recording_checksum(bytes + CHECKED, size - CHECKED))
		return -EBADMSG;
	return 0;
}

int recording_parse(const void *bytes, size_t size, struct recording **result,
		    const char **why)
{
	struct reader reader = { bytes, size };
	struct recording *recording;
	struct header header;
	int error = check_header(bytes, size, &header, why);

	if (error)
		return error;
	recording = recording_create();
	if (recording) {
		read_bytes(&reader, &header, sizeof(header));
		error = read_body(&reader, &header, recording);
	} else {
		error = -ENOMEM;
	}
	*why = NULL;
	if (error == -EINVAL)
		*why = "what it says cannot be: files or pages that are not "
		       "there";
	if (error)
		recording_destroy(recording);
	else
		*result = recording;
	return error;
}
