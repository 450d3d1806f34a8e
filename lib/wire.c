/* SPDX-License-Identifier: MIT */
/* Messages as bytes, both ways (wire.h) */
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "budget.h"
#include "space.h"
#include "sys.h"
#include "wire.h"

/* The end of what a process can map on x86-64 with four levels of tables. */
#define ADDRESSES ((uint64_t)1 << 47)

/* ---- Believing nothing ------------------------------------------------------- */

#define PROTS (PROT_READ | PROT_WRITE | PROT_EXEC)
#define FLAGS \
	(WMAP_PRIVATE | WMAP_SHARED | WMAP_ANONYMOUS | WMAP_FIXED | \
	 WMAP_REPLACE | WMAP_DIRECT | WMAP_GROWSUP | MAPPING_COURSE | \
	 MAPPING_BOUND)
#define OBJECT_MAX   (PAGE << 36)
#define DEADLINE_MAX ((uint64_t)1 << 62)

static bool is_bool(uint64_t value)
{
	return value <= 1;
}

static bool is_page(uint64_t address)
{
	return !(address % PAGE) && address < ADDRESSES;
}

/* Some pages of a process. @empty: or none. */
static bool is_range(uint64_t address, uint64_t length, bool empty)
{
	return is_page(address) && length <= ADDRESSES - address &&
	       (length || empty);
}

/* A budget; 0: none. */
static bool is_memory(uint64_t limit)
{
	return !limit || limit >= BUDGET_MIN;
}

static bool map_ok(const struct wire_request *request, unsigned n_fds)
{
	const uint64_t *args = request->args;
	uint64_t flags = args[1], grain = args[3];
	bool shared = flags & WMAP_SHARED, private = flags & WMAP_PRIVATE;

	return is_range(request->address, request->length, false) &&
	       is_memory(args[6]) && !(args[0] & ~(uint64_t)PROTS) &&
	       !(flags & ~(uint64_t)FLAGS) && shared != private &&
	       !(args[2] % PAGE) && args[2] <= OBJECT_MAX &&
	       request->length <= OBJECT_MAX - args[2] && grain &&
	       grain <= GRAIN_MAX / PAGE && !(grain & (grain - 1)) && args[4] &&
	       args[4] <= DEADLINE_MAX && is_bool(args[5]) &&
	       n_fds == !(flags & WMAP_ANONYMOUS);
}

static bool move_ok(const struct wire_request *request)
{
	const uint64_t *args = request->args;

	return is_range(request->address, request->length, false) &&
	       is_range(args[0], args[1], false) && is_bool(args[2]) &&
	       is_bool(args[3]);
}

bool wire_mapping_ok(uint64_t address, uint64_t length, const uint64_t *args)
{
	uint64_t flags = args[2], grain = args[3], end = page_up(length);
	bool shared = flags & WMAP_SHARED, private = flags & WMAP_PRIVATE;

	return is_range(address, length, false) &&
	       args[0] < OBJECT_MAX / PAGE &&
	       end / PAGE <= OBJECT_MAX / PAGE - args[0] &&
	       !(args[1] & ~(uint64_t)PROTS) && !(flags & ~(uint64_t)FLAGS) &&
	       shared != private && grain && grain <= GRAIN_MAX / PAGE &&
	       !(grain & (grain - 1)) && args[4] && args[4] <= DEADLINE_MAX;
}

/* As remote_adopt_mapping writes it. */
static bool adopt_ok(const struct wire_request *request)
{
	return wire_mapping_ok(request->address, request->length,
			       request->args) &&
	       request->args[5] <= WIRE_BITS && is_memory(request->args[7]);
}

static bool file_ok(const struct wire_request *request)
{
	const uint64_t *args = request->args;

	return args[2] <= INT64_MAX && args[4] <= UINT32_MAX;
}

static bool args_ok(const struct wire_request *request, unsigned n_fds)
{
	const uint64_t *args = request->args;
	uint64_t address = request->address, length = request->length;

	switch ((unsigned)request->kind) {
	case MESSAGE_MAP:
		return map_ok(request, n_fds);
	case MESSAGE_UNMAP:
		return is_range(address, length, args[0] == 1) &&
		       is_bool(args[0]);
	case MESSAGE_MOVE:
		return move_ok(request);
	case MESSAGE_PROTECT:
		return is_range(address, length, false) &&
		       !(args[0] & ~(uint64_t)PROTS) && is_bool(args[1]);
	case MESSAGE_SYNC:
		return is_range(address, length, true) && is_bool(args[0]) &&
		       is_bool(args[1]) && is_bool(args[2]);
	case MESSAGE_ADVISE:
		return is_range(address, length, true) && args[0] <= 64;
	case MESSAGE_RESIDENCY:
		return is_range(address, length, true) &&
		       page_up(length) >> PAGE_SHIFT <= WIRE_PAYLOAD;
	case MESSAGE_LIST:
		return address < ADDRESSES && is_bool(args[1]);
	case MESSAGE_FRAME:
	case MESSAGE_REGROW:
		return is_page(address);
	case MESSAGE_GROW:
		return is_page(address) && is_bool(args[0]) && is_bool(args[1]);
	case MESSAGE_YIELD:
		return is_range(address, length, false);
	case MESSAGE_MEMORY:
		return address < ADDRESSES && is_memory(args[0]) &&
		       is_bool(args[1]);
	case MESSAGE_PIN:
		return is_range(address, length, true) && is_bool(args[0]);
	case MESSAGE_PREFETCH:
		return args[0] && args[0] <= WIRE_LIST;
	case MESSAGE_PREFETCH_WAIT:
		return is_bool(args[1]);
	case MESSAGE_FILE_SYNC:
	case MESSAGE_FILE_WRITING:
	case MESSAGE_FILE_WRITTEN:
	case MESSAGE_FILE_LENGTH:
		return file_ok(request);
	case MESSAGE_STATS:
	case WIRE_HELLO:
	case WIRE_JOIN:
	case WIRE_FORK:
	case WIRE_INHERITED:
	case WIRE_HINTS:
	case WIRE_REPLACE:
	case WIRE_MOVE_IN:
	case WIRE_GUARD:
	case WIRE_UNGUARD:
	case WIRE_HANDED:
	case WIRE_HIDDEN:
	case WIRE_LEFT:
	case WIRE_TAKEN:
		return true;
	case WIRE_RESCUE:
		return args[0] || n_fds == 1;
	case WIRE_HAND:
		return args[0] && is_bool(args[1]);
	case WIRE_ATTACH:
		return is_bool(args[0]);
	case WIRE_SPACES:
		return args[0] <= INT32_MAX;
	case WIRE_MAPPINGS:
		return address < ADDRESSES;
	case WIRE_ADOPT_OBJECT:
		return args[0];
	case WIRE_ADOPT_MAPPING:
		return adopt_ok(request);
	default:
		return false;
	}
}

static unsigned fds_of(unsigned kind, unsigned n_fds)
{
	switch (kind) {
	case MESSAGE_MAP: /* map_ok looks closer */
	case WIRE_HIDDEN:
		return n_fds <= 1 ? n_fds : 0;
	case WIRE_ADOPT_OBJECT:
		return n_fds == 3 ? 3 : 2;
	case WIRE_HAND:
		return n_fds == 2 ? 2 : 1;
	case WIRE_RESCUE:
		return n_fds == 3 ? 3 : 1;
	case WIRE_HELLO:
	case WIRE_FORK:
	case WIRE_ATTACH:
	case WIRE_ADOPT_MAPPING:
	case MESSAGE_PREFETCH:
	case MESSAGE_FILE_SYNC:
	case MESSAGE_FILE_WRITING:
	case MESSAGE_FILE_WRITTEN:
	case MESSAGE_FILE_LENGTH:
		return 1;
	default:
		return 0;
	}
}

int wire_parse(const void *bytes, size_t size, unsigned n_fds,
	       struct wire_request *result)
{
	struct wire_request request;

	if (size != sizeof(request))
		return -EPROTO;
	memcpy(&request, bytes, sizeof(request));
	if (request.magic != WIRE_MAGIC || request.flags & ~WIRE_AGAIN ||
	    !request.id || n_fds != fds_of(request.kind, n_fds) ||
	    !args_ok(&request, n_fds))
		return -EPROTO;
	*result = request;
	return 0;
}

/* ---- Requests ---------------------------------------------------------------- */

void wire_ask(const struct message *message, struct wire_request *request)
{
	uint64_t *args = request->args;

	memset(request, 0, sizeof(*request));
	request->magic = WIRE_MAGIC;
	request->kind = (uint16_t)message->kind;
	request->address = message->address;
	request->length = message->length;
	switch (message->kind) {
	case MESSAGE_MAP:
		args[0] = (uint64_t)message->map.prot;
		args[1] = (uint64_t)message->map.flags;
		args[2] = message->map.offset;
		args[3] = message->map.grain;
		args[4] = message->map.deadline;
		args[5] = message->map.growing;
		args[6] = message->map.memory;
		break;
	case MESSAGE_UNMAP:
		args[0] = message->unmap.exact;
		break;
	case MESSAGE_MOVE:
		args[0] = message->move.new_address;
		args[1] = message->move.new_length;
		/* A look finds nothing out about one that cannot be. */
		if (!message->move.commit)
			args[1] = min_u64(args[1], ADDRESSES - args[0]);
		args[2] = message->move.exact;
		args[3] = message->move.commit;
		break;
	case MESSAGE_GROW:
		args[0] = message->grow.commit;
		args[1] = message->grow.placed;
		break;
	case MESSAGE_PROTECT:
		args[0] = (uint64_t)message->protect.prot;
		args[1] = message->protect.moved;
		break;
	case MESSAGE_SYNC:
		args[0] = message->sync.wait;
		args[1] = message->sync.flush;
		args[2] = message->sync.all;
		break;
	case MESSAGE_ADVISE:
		args[0] = (uint64_t)message->advise.advice;
		break;
	case MESSAGE_MEMORY:
		args[0] = wire_memory(message->memory.limit);
		args[1] = message->memory.mapping;
		break;
	case MESSAGE_PIN:
		args[0] = message->pin.pin;
		break;
	case MESSAGE_PREFETCH:
		args[0] = message->prefetch.n;
		break;
	case MESSAGE_PREFETCH_WAIT:
		args[0] = message->prefetch.id;
		args[1] = message->prefetch.cancel;
		break;
	case MESSAGE_LIST:
		args[0] = message->list.room;
		args[1] = message->list.nearest;
		break;
	case MESSAGE_FILE_SYNC:
	case MESSAGE_FILE_WRITING:
	case MESSAGE_FILE_WRITTEN:
	case MESSAGE_FILE_LENGTH:
		args[2] = min_u64(message->file.offset, INT64_MAX);
		args[3] = message->file.length;
		args[4] = (uint64_t)message->file.object;
		break;
	default:
		break;
	}
}

void wire_heard(const struct wire_request *request, struct message *message)
{
	const uint64_t *args = request->args;

	memset(message, 0, sizeof(*message));
	message->kind = (enum message_kind)request->kind;
	message->address = request->address;
	message->length = request->length;
	switch (message->kind) {
	case MESSAGE_MAP:
		message->map.prot = (int)args[0];
		message->map.flags = (int)args[1];
		message->map.offset = args[2];
		message->map.grain = args[3];
		message->map.deadline = args[4];
		message->map.growing = args[5];
		message->map.memory = args[6];
		message->map.file = -1;
		message->map.memfd = -1;
		break;
	case MESSAGE_UNMAP:
		message->unmap.exact = args[0];
		break;
	case MESSAGE_MOVE:
		message->move.new_address = args[0];
		message->move.new_length = args[1];
		message->move.exact = args[2];
		message->move.commit = args[3];
		message->move.memfd = -1;
		break;
	case MESSAGE_GROW:
		message->grow.commit = args[0];
		message->grow.placed = args[1];
		message->grow.memfd = -1;
		break;
	case MESSAGE_REGROW:
		message->grow.memfd = -1;
		break;
	case MESSAGE_PROTECT:
		message->protect.prot = (int)args[0];
		message->protect.moved = args[1];
		break;
	case MESSAGE_SYNC:
		message->sync.wait = args[0];
		message->sync.flush = args[1];
		message->sync.all = args[2];
		break;
	case MESSAGE_ADVISE:
		message->advise.advice = (int)args[0];
		break;
	case MESSAGE_MEMORY:
		message->memory.limit = wire_limit(args[0]);
		message->memory.mapping = args[1];
		break;
	case MESSAGE_PIN:
		message->pin.pin = args[0];
		break;
	case MESSAGE_PREFETCH:
		message->prefetch.n = args[0];
		break;
	case MESSAGE_PREFETCH_WAIT:
		message->prefetch.id = args[0];
		message->prefetch.cancel = args[1];
		break;
	case MESSAGE_LIST:
		message->list.room = min_u64(
			args[0],
			WIRE_PAYLOAD / sizeof(struct wmap_mapping_info));
		message->list.nearest = args[1];
		break;
	case MESSAGE_FILE_SYNC:
	case MESSAGE_FILE_WRITING:
	case MESSAGE_FILE_WRITTEN:
	case MESSAGE_FILE_LENGTH:
		message->file.fd = -1;
		message->file.offset = args[2];
		message->file.length = args[3];
		break;
	default:
		break;
	}
}

/* ---- Answers ----------------------------------------------------------------- */

void wire_answer(const struct message *message, struct wire_reply *reply)
{
	uint64_t *args = reply->args;

	reply->result = message->result;
	switch (message->kind) {
	case MESSAGE_MAP:
		args[0] = message->map.modes;
		args[1] = message->map.shared;
		args[2] = message->map.growing;
		break;
	case MESSAGE_UNMAP:
		args[0] = message->unmap.mapped;
		args[1] = message->unmap.regrow;
		break;
	case MESSAGE_MOVE:
		args[0] = (uint64_t)message->move.prot;
		args[1] = (uint64_t)message->move.flags;
		args[2] = message->move.memfd_offset;
		args[3] = message->move.modes;
		args[4] = message->move.inherit;
		args[5] = message->move.shared;
		break;
	case MESSAGE_YIELD:
	case MESSAGE_REGROW:
	case MESSAGE_GROW:
		args[0] = message->grow.page;
		args[1] = (uint64_t)message->grow.prot;
		args[2] = message->grow.offset;
		args[3] = message->grow.modes;
		args[4] = message->grow.inherit;
		args[5] = message->grow.shared;
		break;
	case MESSAGE_ADVISE:
		args[0] = message->advise.drop;
		break;
	case MESSAGE_PREFETCH:
		args[0] = message->prefetch.id;
		break;
	case MESSAGE_LIST:
		args[0] = message->list.total;
		break;
	case MESSAGE_FRAME:
		args[0] = message->frame.offset;
		break;
	case MESSAGE_FILE_WRITING:
		args[0] = (uint64_t)message->file.object;
		break;
	default:
		break;
	}
}

void wire_take(const struct wire_reply *reply, struct message *message)
{
	const uint64_t *args = reply->args;

	message->result = (int)reply->result;
	switch (message->kind) {
	case MESSAGE_MAP:
		message->map.modes = args[0];
		message->map.shared = args[1];
		message->map.growing = args[2];
		break;
	case MESSAGE_UNMAP:
		message->unmap.mapped = args[0];
		message->unmap.regrow = args[1];
		break;
	case MESSAGE_MOVE:
		if (message->move.commit) /* what was told by the look */
			break;
		message->move.prot = (int)args[0];
		message->move.flags = (int)args[1];
		message->move.memfd_offset = args[2];
		message->move.modes = args[3];
		message->move.inherit = args[4];
		message->move.shared = args[5];
		break;
	case MESSAGE_YIELD:
	case MESSAGE_REGROW:
	case MESSAGE_GROW:
		message->grow.page = args[0];
		message->grow.prot = (int)args[1];
		message->grow.offset = args[2];
		message->grow.modes = args[3];
		message->grow.inherit = args[4];
		message->grow.shared = args[5];
		break;
	case MESSAGE_ADVISE:
		message->advise.drop = args[0];
		break;
	case MESSAGE_PREFETCH:
		message->prefetch.id = args[0];
		break;
	case MESSAGE_LIST:
		message->list.total = args[0];
		break;
	case MESSAGE_FRAME:
		message->frame.offset = args[0];
		break;
	case MESSAGE_FILE_WRITING:
		message->file.object = (struct object *)args[0];
		break;
	default:
		break;
	}
}

/* ---- Packets ----------------------------------------------------------------- */

int wire_send(int socket, const void *head, size_t head_size, const void *bytes,
	      size_t size, const int *fds, unsigned n_fds, int flags)
{
	char control[CMSG_SPACE(WIRE_FDS * sizeof(int))] = { 0 };
	struct iovec parts[2] = {
		{ (void *)(uintptr_t)head, head_size },
		{ (void *)(uintptr_t)bytes, size },
	};
	struct msghdr packet = { .msg_iov = parts, .msg_iovlen = size ? 2 : 1 };
	long n;

	if (n_fds) {
		struct cmsghdr *rights = (struct cmsghdr *)(void *)control;

		packet.msg_control = control;
		packet.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
		rights->cmsg_level = SOL_SOCKET;
		rights->cmsg_type = SCM_RIGHTS;
		rights->cmsg_len = CMSG_LEN(n_fds * sizeof(int));
		memcpy(CMSG_DATA(rights), fds, n_fds * sizeof(int));
	}
	do
		n = sys_call(SYS_sendmsg, socket, &packet,
			     MSG_NOSIGNAL | flags);
	while (n == -EINTR);
	return n < 0 ? (int)n : 0;
}

/* The descriptors of a packet; those that there is no room for are closed. */
static unsigned take_fds(struct msghdr *packet, int *fds, unsigned room,
			 int *pid)
{
	unsigned n = 0;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(packet); c;
	     c = CMSG_NXTHDR(packet, c)) {
		int got[WIRE_FDS];
		unsigned m = 0;

		if (c->cmsg_level == SOL_SOCKET &&
		    c->cmsg_type == SCM_CREDENTIALS && pid)
			memcpy(pid, CMSG_DATA(c), sizeof(*pid));
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		m = (unsigned)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
		memcpy(got, CMSG_DATA(c), m * sizeof(int));
		for (unsigned i = 0; i < m; i++)
			if (n < room)
				fds[n++] = got[i];
			else
				sys_call(SYS_close, got[i]);
	}
	return n;
}

int wire_receive(int socket, void *head, size_t head_size, void *bytes,
		 size_t size, int *fds, unsigned *n_fds, int *pid, int flags)
{
	char control[CMSG_SPACE(WIRE_FDS * sizeof(int)) +
		     CMSG_SPACE(sizeof(struct ucred))];
	struct iovec parts[2] = { { head, head_size }, { bytes, size } };
	struct msghdr packet = {
		.msg_iov = parts,
		.msg_iovlen = size ? 2 : 1,
		.msg_control = control,
		.msg_controllen = sizeof(control),
	};
	unsigned room = *n_fds;
	long n;

	do
		n = sys_call(SYS_recvmsg, socket, &packet,
			     MSG_CMSG_CLOEXEC | flags);
	while (n == -EINTR);
	*n_fds = 0;
	if (n < 0)
		return (int)n;
	*n_fds = take_fds(&packet, fds, room, pid);
	return packet.msg_flags & (MSG_TRUNC | MSG_CTRUNC) ? -EMSGSIZE : (int)n;
}
