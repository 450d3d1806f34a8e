/* SPDX-License-Identifier: MIT */
/*
 * A datagram in the queue of a socket (box.h)
 *
 * It is one of a pair, the other end is closed: nobody else sends, and the end of
 * a datagram socket is no hang-up.
 */
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "box.h"
#include "internal.h"
#include "sys.h"

struct packet {
	char byte;
	struct iovec part;
	struct msghdr head;
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(int))];
	} control;
};

static void packet_init(struct packet *packet)
{
	memset(packet, 0, sizeof(*packet));
	packet->part.iov_base = &packet->byte;
	packet->part.iov_len = 1;
	packet->head.msg_iov = &packet->part;
	packet->head.msg_iovlen = 1;
	packet->head.msg_control = &packet->control;
	packet->head.msg_controllen = sizeof(packet->control);
}

static long put(int end, int file)
{
	struct packet packet;

	packet_init(&packet);
	packet.control.header.cmsg_level = SOL_SOCKET;
	packet.control.header.cmsg_type = SCM_RIGHTS;
	packet.control.header.cmsg_len = CMSG_LEN(sizeof(file));
	memcpy(CMSG_DATA(&packet.control.header), &file, sizeof(file));
	return sys_call(SYS_sendmsg, end, &packet.head,
			MSG_NOSIGNAL | MSG_DONTWAIT);
}

int box_create(int file)
{
	int ends[2];
	long n = sys_call(SYS_socketpair, AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0,
			  ends);

	if (n < 0)
		return (int)n;
	n = put(ends[1], file);
	sys_call(SYS_close, ends[1]);
	if (n > 0)
		return ends[0];
	sys_call(SYS_close, ends[0]);
	return (int)n;
}

int box_file(int fd)
{
	struct packet packet;
	long n;
	int file;

	packet_init(&packet);
	n = sys_call(SYS_recvmsg, fd, &packet.head,
		     MSG_PEEK | MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	if (n < 0)
		return (int)n;
	if (packet.head.msg_controllen < CMSG_LEN(sizeof(file)))
		return -EMFILE;
	memcpy(&file, CMSG_DATA(&packet.control.header), sizeof(file));
	return file;
}

/* With no room for it, it is closed. */
void box_empty(int fd)
{
	char byte;

	sys_call(SYS_recvfrom, fd, &byte, 1, MSG_DONTWAIT, NULL, NULL);
}

bool box_is_empty(int fd)
{
	socklen_t size = sizeof(int);
	int type = 0;
	char byte;

	return !sys_call(SYS_getsockopt, fd, SOL_SOCKET, SO_TYPE, &type,
			 &size) &&
	       type == SOCK_DGRAM &&
	       sys_call(SYS_recvfrom, fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT,
			NULL, NULL) == -EAGAIN;
}
