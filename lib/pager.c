/* SPDX-License-Identifier: MIT */
/*
 * The pager's thread: faults in, answers out
 *
 * It has all signals blocked, allocates only from mem, and never touches memory
 * that it pages: whoever waits for it may hold any lock of the program.
 */
#include <signal.h>

#include "histogram.h"
#include "mem.h"
#include "pager.h"
#include "sys.h"

#define MESSAGES 64 /* read at a time */

void pager_answered(struct pager *pager, const struct fault *fault)
{
	uint64_t took = time_now() - fault->since;

	pager->stats.latency[histogram_bucket(took)]++;
	pager->stats.latency_max_ns =
		max_u64(pager->stats.latency_max_ns, took);
}

static void take_fault(struct pager *pager, const struct uffd_msg *message,
		       uint64_t since)
{
	uint64_t flags = message->arg.pagefault.flags;
	struct fault fault = {
		.space = &pager->space,
		.address = page_down(message->arg.pagefault.address),
		.write = flags & UFFD_PAGEFAULT_FLAG_WRITE,
		.protected = flags & UFFD_PAGEFAULT_FLAG_WP,
		.since = since,
	};

	if (message->event != UFFD_EVENT_PAGEFAULT)
		return;
	pager->stats.faults++;
	fault_resolve(pager, fault);
}

/* Read until fewer came than there was room for: then none was left. No way is
   known for it to fail, but sleepers depend on it. */
static void faults_read(struct watch *watch)
{
	struct pager *pager = container_of(watch, struct pager, faults);
	struct uffd_msg messages[MESSAGES];
	uint64_t since;
	long n;

	do {
		n = sys_call(SYS_read, pager->space.uffd, messages,
			     sizeof(messages));
		since = time_now();
		for (long i = 0; i * (long)sizeof(*messages) < n; i++)
			take_fault(pager, &messages[i], since);
	} while (n == sizeof(messages) ||
		 (n < 0 && n != -EAGAIN && n != -EBADF));
}

static void retry_sick(struct timer *timer)
{
	struct pager *pager = container_of(timer, struct pager, heal);

	list_for_each(object, &pager->sick, struct object, sick) {
		if (object->n_errors)
			object_retry(pager, object, 64, NULL);
		else
			list_del(&object->sick);
	}
	if (!list_empty(&pager->sick))
		loop_timer_start(pager->loop, timer, time_now() + HEAL_EVERY);
}

static void init(struct pager *pager)
{
	for (size_t i = 0; i < OBJECT_HASHES; i++)
		list_init(&pager->objects[i]);
	list_init(&pager->hungry);
	list_init(&pager->prefetches);
	list_init(&pager->sick);
	timer_init(&pager->heal, retry_sick);
	pager->stats.size = sizeof(pager->stats);
}

int pager_create(struct pager **result, unsigned *features)
{
	struct pager *pager = mem_alloc(sizeof(*pager));
	bool uring = true;
	int error = -ENOMEM, uffd;

	if (!pager)
		return -ENOMEM;
	uffd = sys_uffd_open(features);
	if (uffd < 0) {
		error = uffd;
		goto err_pager;
	}
	error = loop_create(&pager->loop, &uring);
	if (error)
		goto err_uffd;
	pager->faults.fd = uffd;
	pager->faults.run = faults_read;
	error = loop_watch(pager->loop, &pager->faults);
	if (error)
		goto err_loop;
	if (uring)
		*features |= WMAP_FEATURE_IO_URING;
	init(pager);
	space_create(&pager->space, uffd, *features);
	*result = pager;
	return 0;

err_loop:
	loop_destroy(pager->loop);
err_uffd:
	sys_call(SYS_close, uffd);
err_pager:
	mem_free(pager, sizeof(*pager));
	return error;
}

void pager_destroy(struct pager *pager)
{
	space_destroy(&pager->space);
	staging_destroy(&pager->staging);
	loop_destroy(pager->loop);
	mem_free(pager, sizeof(*pager));
}

void pager_run(struct pager *pager)
{
	while (!pager->stopping)
		loop_turn(pager->loop);
}
