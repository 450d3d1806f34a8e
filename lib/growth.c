/* SPDX-License-Identifier: MIT */
/* The next page, with the gate closed (growth.h) */
#include <sys/mman.h>

#include "client.h"
#include "growth.h"
#include "message.h"
#include "ours.h"
#include "sys.h"

#define PATIENCE 20000000ull /* ns, until the gate is closed */

/* What has been done and is to be said; the gate is closed. The guard's own. */
static struct {
	bool due, placed;
	uint64_t page;
} word;

int growth_place(const struct message *message, int uffd)
{
	return sys_place(uffd, message->grow.page, PAGE, message->grow.prot,
			 message->grow.shared, MAP_FIXED_NOREPLACE,
			 message->grow.memfd, message->grow.offset,
			 message->grow.modes, message->grow.inherit);
}

/* The page below is the mapping's from now on. */
static bool place(const struct message *message, int uffd)
{
	uint64_t page = message->grow.page;
	bool plain = message->grow.memfd < 0;

	if (growth_place(message, uffd))
		return false;
	if (!ours_add(page - PAGE, page,
		      ours_kind_of(plain, message->grow.shared)))
		return true;
	sys_unmap(page, PAGE);
	return false;
}

static void take_away(uint64_t page)
{
	sys_unmap(page, PAGE);
	word.page = page;
	word.placed = false;
}

int growth_settle(int (*ask)(struct message *message))
{
	while (word.due) {
		struct message message = {
			.kind = MESSAGE_GROW,
			.address = word.page,
			.grow = { .commit = true, .placed = word.placed },
		};
		int error = ask(&message);

		if (error == -ENOTCONN)
			return error;
		if (!error || !word.placed) {
			growth_end();
			return 0;
		}
		sys_unmap(word.page, PAGE);
		ours_remove(word.page - PAGE, word.page);
		take_away(word.page - PAGE);
	}
	return 0;
}

int growth_grow(uint64_t page, const int *uffd,
		int (*ask)(struct message *message))
{
	struct message message = {
		.kind = MESSAGE_GROW,
		.address = page + PAGE,
	};
	int error;

	if (!client_hold(PATIENCE))
		return 0;
	error = ask(&message);
	if (error) {
		client_let_go();
		return error == -ENOTCONN ? error : 0;
	}
	word.due = word.placed = true;
	word.page = page + PAGE;
	if (!place(&message, *uffd))
		take_away(page);
	if (message.grow.memfd >= 0)
		sys_call(SYS_close, message.grow.memfd);
	return growth_settle(ask);
}

void growth_end(void)
{
	if (word.due)
		client_let_go();
	word.due = false;
}

void growth_child(void)
{
	word.due = false;
}
