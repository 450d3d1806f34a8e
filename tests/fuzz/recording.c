/* SPDX-License-Identifier: MIT */
/*
 * recording_parse, whatever a file contains
 *
 * An input is one byte and the file. If that byte is odd the header's length and
 * checksum are made to fit, which nobody guesses. What is accepted keeps what
 * recording.h promises, is formatted to the same bytes again, and merges with
 * itself into the same.
 */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "mem.h"
#include "recording.h"

#define CHECKSUM 12 /* where it is in the header, and the length behind it */

static uint8_t *copy_of(const uint8_t *bytes, size_t size)
{
	uint8_t *copy = malloc(size + !size);

	hold(copy);
	for (size_t i = 0; i < size; i++)
		copy[i] = bytes[i];
	return copy;
}

static void make_fit(uint8_t *bytes, size_t size)
{
	uint64_t length = size;
	uint32_t sum;

	if (size < CHECKSUM + 12)
		return;
	memcpy(bytes + CHECKSUM + 4, &length, sizeof(length));
	sum = recording_checksum(bytes + CHECKSUM + 4, size - CHECKSUM - 4);
	memcpy(bytes + CHECKSUM, &sum, sizeof(sum));
}

static void hold_runs(const struct recording *recording)
{
	size_t n = recording->n_runs;
	struct recording_run *runs = malloc((n + 1) * sizeof(*runs));

	hold(runs);
	for (size_t i = 0; i < n; i++) {
		const struct recording_run *run = &recording->runs[i];
		uint64_t pages;

		hold(run->file < recording->n_files && run->count);
		pages = recording_pages(&recording->files[run->file]);
		hold(run->first < pages && run->count <= pages - run->first);
		runs[i] = *run;
	}
	recording_sort(runs, n);
	for (size_t i = 1; i < n; i++)
		hold(runs[i - 1].file < runs[i].file ||
		     (runs[i - 1].file == runs[i].file &&
		      runs[i - 1].first + runs[i - 1].count <= runs[i].first));
	free(runs);
}

static void hold_bytes(const struct recording *recording, const uint8_t *bytes,
		       size_t size)
{
	void *again;
	size_t size_again;

	hold(!recording_format(recording, &again, &size_again));
	hold(size_again == size && !memcmp(again, bytes, size));
	mem_free(again, size_again);
}

/* Nothing is new in what it has itself. */
static void hold_merge(struct recording *recording, const uint8_t *bytes,
		       size_t size)
{
	struct recording *twin;
	const char *why;
	size_t files = recording->n_files, runs = recording->n_runs;

	hold(!recording_parse(bytes, size, &twin, &why));
	hold(!recording_merge(recording, twin, NULL));
	hold(recording->n_files == files);
	/* Of files that are the same only the first is asked. */
	hold(recording->n_runs >= runs);
	hold_runs(recording);
	recording_destroy(twin);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct recording *recording = NULL;
	const char *why = NULL;
	uint8_t *copy;
	int error;

	if (!size--)
		return 0;
	copy = copy_of(bytes + 1, size);
	if (bytes[0] & 1)
		make_fit(copy, size);
	error = recording_parse(copy, size, &recording, &why);
	hold(!why == !error);
	if (error) {
		hold(error == -EINVAL || error == -EBADMSG ||
		     error == -EPROTONOSUPPORT);
		hold(!recording);
	} else {
		hold_runs(recording);
		hold_bytes(recording, copy, size);
		hold_merge(recording, copy, size);
		recording_destroy(recording);
	}
	free(copy);
	return 0;
}
