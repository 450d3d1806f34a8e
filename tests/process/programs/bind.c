/* SPDX-License-Identifier: MIT */
/*
 * bind NAME MS
 *
 * Has the socket of that name, "@name" or a path, for so long, as who is about to
 * listen at it or has just been killed: nobody can connect to it.
 */
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_SEQPACKET, 0);
	size_t length = argc == 3 ? strlen(argv[1]) : 0;

	if (!length || length >= sizeof(address.sun_path))
		return 2;
	memcpy(address.sun_path, argv[1], length);
	if (*argv[1] == '@')
		address.sun_path[0] = '\0';
	if (bind(fd, (struct sockaddr *)&address,
		 (socklen_t)(offsetof(struct sockaddr_un, sun_path) +
			     length)) != 0) {
		perror(argv[1]);
		return 1;
	}
	puts("bound");
	fflush(stdout);
	usleep((useconds_t)atoi(argv[2]) * 1000);
	return 0;
}
