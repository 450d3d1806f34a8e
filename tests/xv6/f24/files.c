/* SPDX-License-Identifier: MIT */
/* Files: open does not truncate, descriptors are the lowest free. */
#include "types.h"
#include "stat.h"
#include "user.h"
#include "fcntl.h"
#include "wmap.h"
#include "../fact.h"

int main(void)
{
	struct stat st;
	char buf[32];
	int fd, other;

	fact("no such file", open("none", O_RDONLY) == -1);
	fd = open("f", O_CREATE | O_RDWR);
	fact("the first descriptor is 3", fd == 3);
	fact("write", write(fd, "0123456789", 10) == 10);
	fact("read at the end", read(fd, buf, 10) == 0);
	other = open("f", O_CREATE | O_RDWR);
	fact("the next is 4", other == 4);
	fact("opened again it is not truncated",
	     fstat(other, &st) == 0 && st.size == 10);
	fact("a file", st.type == T_FILE && st.nlink == 1);
	fact("from its beginning",
	     read(other, buf, 4) == 4 && buf[0] == '0' && buf[3] == '3');
	fact("dup goes on there",
	     dup(other) == 5 && read(5, buf, 1) == 1 && buf[0] == '4');
	fact("the lowest is used again",
	     close(3) == 0 && open("f", O_RDONLY) == 3);
	fact("read only", write(3, "x", 1) == -1);
	fact("closed twice fails", close(5) == 0 && close(5) == -1);
	fact("a bad one fails", close(-1) == -1 && read(99, buf, 1) == -1);
	fact("link",
	     link("f", "g") == 0 && stat("g", &st) == 0 && st.nlink == 2);
	fact("unlink", unlink("f") == 0 && open("f", O_RDONLY) == -1 &&
			       stat("g", &st) == 0);
	fact("mkdir",
	     mkdir("d") == 0 && stat("d", &st) == 0 && st.type == T_DIR);
	fact("chdir", chdir("d") == 0 && open("g", O_RDONLY) == -1 &&
			      stat("../g", &st) == 0);
	fact("/ is the root", stat("/g", &st) == 0 && chdir("/") == 0 &&
				      stat("README", &st) == 0);
	fact("README is long enough to be read", st.size > 1024);
	fact("the console", fstat(1, &st) == 0 && st.type == T_DEV);
	fact("a bad name fails", open((char *)0x50000000, 0) == -1);
	while (open("g", O_RDONLY) >= 0)
		;
	fact("there are 16", dup(0) == -1 && close(15) == 0 && dup(0) == 15);
	exit();
}
