/* SPDX-License-Identifier: MIT */
/*
 * What the examples of the x86 terms have in common. Each prints facts; what
 * does not hold says so, and the output is not the expected one any more.
 */
#ifndef FACT_H
#define FACT_H

#define PAGE  4096
#define FIRST 0x60000000
#define END   0x80000000u

static inline void fact(char *what, int holds)
{
	printf(1, "%s %s\n", holds ? "ok    " : "FAILED", what);
}

static inline char *at(uint address)
{
	return (char *)address;
}

/* The byte that file() has at @i. */
static inline char byte(int i)
{
	return 'a' + (i / PAGE * 7 + i) % 26;
}

/* A new file of @size bytes, open for both. */
static inline int file(char *name, int size)
{
	static char page[PAGE];
	int fd, done, n, i;

	unlink(name);
	fd = open(name, O_CREATE | O_RDWR);
	for (done = 0; done < size; done += n) {
		n = size - done < PAGE ? size - done : PAGE;
		for (i = 0; i < n; i++)
			page[i] = byte(done + i);
		if (write(fd, page, n) != n)
			printf(1, "FAILED write\n");
	}
	return fd;
}

/* The byte that a file has at @i; -1 behind its end. */
static inline int look(char *name, int i)
{
	static char page[PAGE];
	int fd = open(name, O_RDONLY), n = 0;

	while (i >= 0 && (n = read(fd, page, i < PAGE ? i + 1 : PAGE)) > 0)
		i -= n;
	close(fd);
	return i < 0 ? page[n - 1] : -1;
}

static inline int size_of(char *name)
{
	struct stat st;

	return stat(name, &st) < 0 ? -1 : (int)st.size;
}

/* A child does it, and must not live to tell. */
static inline void dies(char *what, void (*deed)(void))
{
	printf(1, "%s:\n", what);
	if (fork() == 0) {
		deed();
		printf(1, "FAILED lived\n");
		exit();
	}
	wait();
}

/* Processes take turns: one waits for a word from the other. */
static inline void tell(int *pipe)
{
	if (write(pipe[1], "!", 1) != 1)
		printf(1, "FAILED tell\n");
}

static inline void hear(int *pipe)
{
	char c;

	if (read(pipe[0], &c, 1) != 1)
		printf(1, "FAILED hear\n");
}

#ifdef MAX_WMMAP_INFO

static inline int total(void)
{
	struct wmapinfo info;

	return getwmapinfo(&info) < 0 ? -1 : info.total_mmaps;
}

/* Of the mapping that starts there; -1: none does. */
static inline int loaded(uint address)
{
	struct wmapinfo info;
	int i;

	if (getwmapinfo(&info) < 0)
		return -2;
	for (i = 0; i < info.total_mmaps; i++)
		if ((uint)info.addr[i] == address)
			return info.n_loaded_pages[i];
	return -1;
}

static inline int length(uint address)
{
	struct wmapinfo info;
	int i;

	getwmapinfo(&info);
	for (i = 0; i < info.total_mmaps; i++)
		if ((uint)info.addr[i] == address)
			return info.length[i];
	return -1;
}

#endif
#endif
