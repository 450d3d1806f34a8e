/* SPDX-License-Identifier: MIT */
/* read shows what is in a directory, in xv6's entries. */
#include "types.h"
#include "stat.h"
#include "user.h"
#include "fcntl.h"
#include "fs.h"
#include "../fact.h"

static int same(char *entry, char *name)
{
	int i;

	for (i = 0; i < DIRSIZ && entry[i] == name[i] && name[i]; i++)
		;
	return i == DIRSIZ || entry[i] == name[i];
}

static int has(char *directory, char *name)
{
	struct dirent entry;
	int fd = open(directory, O_RDONLY), found = 0;

	while (read(fd, &entry, sizeof(entry)) == sizeof(entry))
		found |= entry.inum && same(entry.name, name);
	close(fd);
	return found;
}

int main(int argc, char **argv)
{
	struct dirent entries[4];
	struct stat st;
	int fd, n, all = 0;

	mkdir("d");
	close(open("d/one", O_CREATE | O_WRONLY));
	close(open("d/a-name-of-more-than-14", O_CREATE | O_WRONLY));
	fd = open("d", O_RDONLY);
	fact("it is a directory", fstat(fd, &st) == 0 && st.type == T_DIR);
	fact("less than an entry is nothing", read(fd, entries, 15) == 0);
	while ((n = read(fd, entries, 3 * sizeof(*entries))) > 0)
		all += n;
	fact("two, and . and ..", n == 0 && all == 4 * sizeof(*entries));
	fact("read to its end", read(fd, entries, sizeof(*entries)) == 0);
	close(fd);
	fact("a bad pointer",
	     read(open("d", O_RDONLY), (void *)0x70000000, 64) == -1);
	fact("no writing",
	     open("d", O_RDWR) == -1 && open("d", O_WRONLY) == -1);
	fact("README is in /", has("/", "README"));
	fact("and the program", has(".", argv[0]));
	fact("not what is not", !has(".", "READ"));
	fact("14 bytes of a name", has("d", "a-name-of-more"));
	fd = open("d/one", O_RDWR | O_WRONLY);
	fact("open for both ways of writing is for writing",
	     write(fd, "x", 1) == 1 && read(fd, entries, 1) == -1);
	exit();
}
