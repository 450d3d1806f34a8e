/* SPDX-License-Identifier: MIT */
/*
 * A fuzz target: a function that takes anything, and aborts at what must not be
 *
 * tests/fuzz/NAME.c is one. With clang and -DWMAP_FUZZ=ON libFuzzer drives it
 * (build/fuzz/tests/fuzz_NAME.libfuzzer DIRECTORY); everywhere replay.c runs it
 * over the files of tests/fuzz/corpus/NAME, made by corpus.py.
 */
#ifndef WMAP_FUZZ_H
#define WMAP_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/* Unlike assert, also where assertions are off. */
#define hold(fact) \
	do { \
		if (fact) \
			break; \
		fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #fact); \
		abort(); \
	} while (0)

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

#endif
