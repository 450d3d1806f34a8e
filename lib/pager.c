/* SPDX-License-Identifier: MIT */
/*
 * The pager's thread: faults in, answers out
 *
 * It has all signals blocked, allocates only from mem, and never touches memory
 * that it pages: whoever waits for it may hold any lock of the program.
 */
#include <fcntl.h>
#include <signal.h>
#include <sys/uio.h>

#include "books.h"
#include "histogram.h"
#include "mem.h"
#include "pager.h"
#include "record.h"
#include "replay.h"
#include "sys.h"

#define MESSAGES 64 /* read at a time */
#define TURNS	 16 /* of reading at a time */

void pager_answered(struct pager *pager, const struct fault *fault)
{
	struct wmap_stats *stats = &fault->space->stats;
	uint64_t took = time_now() - fault->since;

	(void)pager;
	stats->latency[histogram_bucket(took)]++;
	stats->latency_max_ns = max_u64(stats->latency_max_ns, took);
}

struct wmap_stats *pager_stats(struct pager *pager, const struct object *object)
{
	if (list_empty(&object->mappings))
		return &pager->stats;
	return &list_first(&object->mappings, struct mapping, of_object)
			->space->stats;
}

static void take_fault(struct space *space, const struct uffd_msg *message,
		       uint64_t since)
{
	uint64_t flags = message->arg.pagefault.flags;
	struct fault fault = {
		.space = space,
		.address = page_down(message->arg.pagefault.address),
		.write = flags & UFFD_PAGEFAULT_FLAG_WRITE,
		.protected = flags & UFFD_PAGEFAULT_FLAG_WP,
		.since = since,
	};

	/* Only who lies asks for these; this one comes with a descriptor. */
	if (message->event == UFFD_EVENT_FORK)
		sys_call(SYS_close, message->arg.fork.ufd);
	if (message->event != UFFD_EVENT_PAGEFAULT)
		return;
	space->stats.faults++;
	follow_fault(&space->pager->follow, space->process,
		     message->arg.pagefault.feat.ptid);
	fault_resolve(space->pager, fault);
}

/*
 * Another process may make its uffd wait at any moment (the flag belongs to the
 * descriptor that it shares with us) and read from it what we were told of: that
 * must not make us wait. Before 6.10 a uffd cannot say; then the flag is set
 * again before each read, and the time between the two stays.
 */
static long read_messages(const struct space *space, struct uffd_msg *messages)
{
	struct iovec to = { messages, MESSAGES * sizeof(*messages) };
	long n;

	if (space->home)
		return sys_call(SYS_read, space->uffd, messages, to.iov_len);
	n = sys_call(SYS_preadv2, space->uffd, &to, 1, -1L, -1L, RWF_NOWAIT);
	if (n != -EOPNOTSUPP && n != -EINVAL)
		return n;
	sys_call(SYS_fcntl, space->uffd, F_SETFL, O_RDONLY | O_NONBLOCK);
	return sys_call(SYS_read, space->uffd, messages, to.iov_len);
}

static void more_faults(struct post *post)
{
	struct space *space = container_of(post, struct space, more);

	space->more_due = false;
	if (space->over)
		space->over(space);
	else
		space->faults.run(&space->faults);
}

/*
 * Read until fewer came than there was room for: then none was left. In our own
 * process no way is known for it to fail, but sleepers depend on it; of another
 * process it is no concern. Who faults faster than we answer waits for others to
 * have had their turn.
 */
static void faults_read(struct watch *watch)
{
	struct space *space = container_of(watch, struct space, faults);
	struct uffd_msg messages[MESSAGES];
	uint64_t since;
	bool more;
	long n;

	for (int turn = 0; turn < TURNS; turn++) {
		n = read_messages(space, messages);
		since = time_now();
		for (long i = 0; i * (long)sizeof(*messages) < n; i++)
			take_fault(space, &messages[i], since);
		more = n == sizeof(messages) || n == -EINTR ||
		       (n < 0 && n != -EAGAIN && n != -EBADF && space->home);
		if (!more)
			return;
	}
	if (!space->more_due) {
		space->more_due = true;
		loop_post(space->pager->loop, &space->more);
	}
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

static void take_up(struct timer *timer)
{
	books_take_up(container_of(timer, struct pager, take_up));
}

static void init(struct pager *pager, uint64_t memory)
{
	for (size_t i = 0; i < OBJECT_HASHES; i++)
		list_init(&pager->objects[i]);
	list_init(&pager->spaces);
	list_init(&pager->all);
	list_init(&pager->hungry);
	list_init(&pager->thirsty);
	list_init(&pager->dry);
	budget_init(pager, memory);
	list_init(&pager->prefetches);
	list_init(&pager->sick);
	timer_init(&pager->heal, retry_sick);
	timer_init(&pager->take_up, take_up);
	pager->stats.size = sizeof(pager->stats);
}

int pager_create(struct hints *hints, struct pager **result, unsigned *features)
{
	struct pager *pager = mem_alloc(sizeof(*pager));
	bool uring = true;
	uint64_t memory;
	int error = budget_from_environment(&memory);

	if (!pager || error) {
		mem_free(pager, sizeof(*pager));
		return error ? error : -ENOMEM;
	}
	error = swapout_init(pager);
	if (error)
		goto err_pager;
	error = loop_create(&pager->loop, &uring);
	if (error)
		goto err_swapout;
	*features = uring ? WMAP_FEATURE_IO_URING : 0;
	init(pager, memory);
	pager->hints = hints;
	*result = pager;
	return 0;

err_swapout:
	swapout_destroy(pager);
err_pager:
	mem_free(pager, sizeof(*pager));
	return error;
}

int pager_space_create(struct pager *pager, int uffd, unsigned features,
		       struct space **result)
{
	struct space *space = mem_alloc(sizeof(*space));

	if (!space)
		return -ENOMEM;
	space_create(space, uffd, features);
	space->pager = pager;
	space->faults.fd = uffd;
	space->faults.run = faults_read;
	space->more.run = more_faults;
	if (uffd >= 0 && loop_watch(pager->loop, &space->faults)) {
		mem_free(space, sizeof(*space));
		return -ENOMEM;
	}
	list_add(&pager->spaces, &space->link);
	*result = space;
	return 0;
}

int pager_space_attach(struct space *space, int uffd)
{
	space->faults.fd = uffd;
	if (loop_watch(space->pager->loop, &space->faults))
		return -ENOMEM;
	space->uffd = uffd;
	return 0;
}

void pager_destroy(struct pager *pager)
{
	record_stop(pager);
	replay_set(pager, NULL);
	staging_destroy(&pager->staging);
	swapout_destroy(pager);
	follow_stop(&pager->follow);
	loop_destroy(pager->loop);
	if (pager->home) {
		space_destroy(pager->home);
		mem_free(pager->home, sizeof(*pager->home));
	}
	mem_free(pager, sizeof(*pager));
}

void pager_run(struct pager *pager)
{
	follow_start(&pager->follow);
	while (!pager->stopping)
		loop_turn(pager->loop);
}
