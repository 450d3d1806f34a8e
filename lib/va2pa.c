/* SPDX-License-Identifier: MIT */
/*
 * The physical address behind an address
 *
 * The kernel tells it in /proc/self/pagemap, without touching the page. A page
 * of ours that is loaded, but that this process has not touched, is not in its
 * page table: the pager knows it then.
 */
#include "client.h"
#include "frame.h"
#include "internal.h"
#include "message.h"

#define NO_ADDRESS UINT64_MAX

static int ask_pager(uint64_t address, uint64_t *frame)
{
	struct message message = {
		.kind = MESSAGE_FRAME,
		.address = page_down(address),
		.length = PAGE,
	};
	int error = client_call(&message);

	if (error)
		return error == -ESRCH ? -EFAULT : error;
	*frame = message.frame.frame;
	return 0;
}

uint64_t va2pa(const void *va)
{
	uint64_t address = (uint64_t)va, frame;
	int error = frame_read(address, &frame);

	if (error == -EFAULT)
		error = ask_pager(address, &frame);
	if (error == -EPERM)
		log_line("va2pa: frame numbers are hidden from this process; "
			 "reading them takes CAP_SYS_ADMIN");
	if (error) {
		errno = -error;
		return NO_ADDRESS;
	}
	return frame << PAGE_SHIFT | (address & (PAGE - 1));
}
