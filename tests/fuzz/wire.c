/* SPDX-License-Identifier: MIT */
/*
 * wire_parse, whatever bytes a client sends
 *
 * An input is the number of descriptors (its first byte) and the packet. What is
 * accepted keeps within the ranges that the books rely on, and survives the way
 * through a message and back: parsed, heard, asked again, it is the same.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "fuzz.h"
#include "budget.h"
#include "space.h"
#include "wire.h"

#define ADDRESSES ((uint64_t)1 << 47)
#define PAGES_MAX ((uint64_t)1 << 36) /* PAGES_LIMIT */

/* Who handles it takes those that it expects without looking. */
static void hold_fds(const struct wire_request *request, unsigned n)
{
	switch ((unsigned)request->kind) {
	case WIRE_ADOPT_OBJECT:
		hold(n == 2 || n == 3);
		break;
	case WIRE_RESCUE:
		hold(n == 1 || (n == 3 && request->args[0]));
		break;
	case WIRE_HAND:
		hold((n == 1 || n == 2) && request->args[0]);
		break;
	default:
		hold(n <= 1);
	}
}

static void hold_range(uint64_t address, uint64_t length)
{
	hold(!(address % PAGE) && address < ADDRESSES);
	hold(length <= ADDRESSES && address + page_up(length) <= ADDRESSES);
}

static void hold_map(const struct message *message)
{
	int flags = message->map.flags;
	uint64_t grain = message->map.grain;

	hold(message->length > 0);
	hold(!(flags & WMAP_SHARED) != !(flags & WMAP_PRIVATE));
	hold(!(message->map.offset % PAGE));
	hold((message->map.offset + page_up(message->length)) >> PAGE_SHIFT <=
	     PAGES_MAX);
	hold(grain && grain <= GRAIN_MAX / PAGE && !(grain & (grain - 1)));
	hold(message->map.deadline && message->map.deadline <= INT64_MAX);
	hold(message->map.file == -1 && message->map.memfd == -1);
	hold(!message->map.store && !message->map.name);
	hold(!message->map.memory || message->map.memory >= BUDGET_MIN);
}

static void hold_message(const struct message *message)
{
	switch (message->kind) {
	case MESSAGE_MAP:
		hold_range(message->address, message->length);
		hold_map(message);
		break;
	case MESSAGE_MOVE:
		hold_range(message->address, message->length);
		hold_range(message->move.new_address, message->move.new_length);
		hold(message->length && message->move.new_length);
		hold(message->move.memfd == -1);
		break;
	case MESSAGE_UNMAP:
		hold(!message->unmap.force);
		hold_range(message->address, message->length);
		break;
	case MESSAGE_PROTECT:
	case MESSAGE_SYNC:
	case MESSAGE_ADVISE:
	case MESSAGE_PIN:
	case MESSAGE_YIELD:
		hold_range(message->address, message->length);
		break;
	case MESSAGE_RESIDENCY:
		hold_range(message->address, message->length);
		hold(page_up(message->length) >> PAGE_SHIFT <= WIRE_PAYLOAD);
		hold(!message->residency.vector);
		break;
	case MESSAGE_LIST:
		hold(message->list.room * sizeof(*message->list.infos) <=
		     WIRE_PAYLOAD);
		hold(!message->list.infos);
		break;
	case MESSAGE_PREFETCH:
		hold(message->prefetch.n && message->prefetch.n <= WIRE_LIST);
		hold(!message->prefetch.ranges);
		break;
	case MESSAGE_PREFETCH_WAIT:
		break;
	case MESSAGE_FRAME:
	case MESSAGE_REGROW:
		hold_range(message->address, 0);
		break;
	case MESSAGE_GROW:
		hold_range(message->address, 0);
		hold(message->grow.memfd == -1);
		break;
	case MESSAGE_FILE_SYNC:
	case MESSAGE_FILE_WRITING:
	case MESSAGE_FILE_WRITTEN:
	case MESSAGE_FILE_LENGTH:
		hold(message->file.fd == -1 && !message->file.object);
		hold(message->file.offset <= INT64_MAX);
		break;
	case MESSAGE_MEMORY:
		hold(message->address < ADDRESSES);
		hold(message->memory.limit >= BUDGET_MIN);
		break;
	case MESSAGE_STATS:
		hold(!message->stats.stats);
		break;
	default:
		abort();
	}
}

/* What the client's side makes of the same message means the same. */
static void hold_way_back(const struct message *message,
			  const struct wire_request *request)
{
	struct wire_request again, parsed;
	struct message twice;
	unsigned fds = request->kind >= MESSAGE_FILE_SYNC ||
		       request->kind == MESSAGE_PREFETCH ||
		       (request->kind == MESSAGE_MAP &&
			!(message->map.flags & WMAP_ANONYMOUS));

	wire_ask(message, &again);
	again.id = request->id;
	hold(!wire_parse(&again, sizeof(again), fds, &parsed));
	wire_heard(&parsed, &twice);
	hold(!memcmp(&twice, message, sizeof(twice)));
}

/* Neither side looks at what the other's answer may contain. */
static void answer(const struct message *message)
{
	struct message client = *message;
	struct wire_reply reply;

	memset(&reply, 0, sizeof(reply));
	wire_answer(message, &reply);
	wire_take(&reply, &client);
	hold(client.result == message->result);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct wire_request request, before;
	struct message message;
	int error;

	if (!size)
		return 0;
	memset(&request, 0x55, sizeof(request));
	before = request;
	error = wire_parse(bytes + 1, size - 1, bytes[0], &request);
	if (error) {
		hold(error == -EPROTO);
		hold(!memcmp(&request, &before, sizeof(request)));
		return 0;
	}
	hold(size - 1 == sizeof(request));
	hold(!memcmp(&request, bytes + 1, sizeof(request)));
	hold(request.magic == WIRE_MAGIC && request.id);
	hold(request.kind < WIRE_KINDS && request.kind != MESSAGE_STOP);
	hold_fds(&request, bytes[0]);
	if (request.kind >= MESSAGE_KINDS)
		return 0;
	wire_heard(&request, &message);
	hold_message(&message);
	hold_way_back(&message, &request);
	answer(&message);
	return 0;
}
