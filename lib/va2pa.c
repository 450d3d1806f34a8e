/* SPDX-License-Identifier: MIT */
/*
 * The physical address behind an address
 *
 * The kernel tells it in /proc/self/pagemap, without touching the page. A page
 * of ours that is loaded, but that this process has not touched, is not in its
 * page table: the pager knows where it lies then, and for a moment it is.
 */
#include <sys/mman.h>

#include "client.h"
#include "internal.h"
#include "message.h"
#include "pagemap.h"
#include "sys.h"

#define NO_ADDRESS UINT64_MAX

static int ask_pager(uint64_t address, uint64_t *frame)
{
	struct message message = {
		.kind = MESSAGE_FRAME,
		.address = page_down(address),
		.length = PAGE,
	};
	int error = client_call(&message);
	long at;

	if (error)
		return error == -ESRCH ? -EFAULT : error;
	at = sys_map(0, PAGE, PROT_READ, MAP_SHARED, message.frame.memfd,
		     message.frame.offset);
	sys_call(SYS_close, message.frame.memfd);
	if (sys_failed(at))
		return (int)at;
	*(volatile char *)at;
	error = pagemap_frame((uint64_t)at, frame);
	sys_unmap((uint64_t)at, PAGE);
	return error;
}

uint64_t va2pa(const void *va)
{
	uint64_t address = (uint64_t)va, frame;
	int error = pagemap_frame(address, &frame);

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
