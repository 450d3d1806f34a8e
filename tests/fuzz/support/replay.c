/* SPDX-License-Identifier: MIT */
/* A fuzz target over every file of a directory: replay DIRECTORY */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

#include "../fuzz.h"

static int replay(const char *directory, const char *name)
{
	static uint8_t bytes[1 << 20];
	char path[4096];
	uint8_t *exact;
	size_t size;
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	file = fopen(path, "rb");
	if (!file) {
		perror(path);
		return 1;
	}
	size = fread(bytes, 1, sizeof(bytes), file);
	fclose(file);
	/* As long as it is, so that AddressSanitizer sees the end. */
	exact = malloc(size + !size);
	for (size_t i = 0; i < size; i++)
		exact[i] = bytes[i];
	puts(name);
	fflush(stdout);
	LLVMFuzzerTestOneInput(exact, size);
	free(exact);
	return 0;
}

int main(int argc, char **argv)
{
	DIR *directory = argc == 2 ? opendir(argv[1]) : NULL;
	struct dirent *entry;
	int failed = 0, n = 0;

	if (!directory) {
		fputs("usage: replay DIRECTORY\n", stderr);
		return 2;
	}
	while ((entry = readdir(directory)))
		if (entry->d_name[0] != '.') {
			failed |= replay(argv[1], entry->d_name);
			n++;
		}
	closedir(directory);
	printf("%d files\n", n);
	return failed || !n;
}
