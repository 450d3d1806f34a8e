/* SPDX-License-Identifier: MIT */
/* What the examples of term S26 have in common: as ../fact.h, on RISC-V. */
#ifndef FACT_H
#define FACT_H

#define PAGE 4096

static inline void fact(char *what, int holds)
{
	printf("%s %s\n", holds ? "ok    " : "FAILED", what);
}

/* A child does it, and must not live to tell. */
static inline void dies(char *what, void (*deed)(void))
{
	int status = 0;

	printf("%s:\n", what);
	if (fork() == 0) {
		deed();
		printf("FAILED lived\n");
		exit(0);
	}
	wait(&status);
	if (status != -1)
		printf("FAILED status %d\n", status);
}

static inline void tell(int *pipe)
{
	if (write(pipe[1], "!", 1) != 1)
		printf("FAILED tell\n");
}

static inline void hear(int *pipe)
{
	char c;

	if (read(pipe[0], &c, 1) != 1)
		printf("FAILED hear\n");
}

static inline int total(void)
{
	struct mmapinfo info;

	return getmmapinfo(&info) < 0 ? -1 : info.total_mmaps;
}

/* Of the mapping that starts there; -1: none does. */
static inline int loaded(void *address)
{
	struct mmapinfo info;
	uint64 i;

	getmmapinfo(&info);
	for (i = 0; i < info.total_mmaps; i++)
		if (info.addr[i] == address)
			return info.n_loaded_pages[i];
	return -1;
}

#endif
