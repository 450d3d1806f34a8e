/* SPDX-License-Identifier: MIT */
/*
 * Counts: what has been counted, of each process and of all, for a successor
 *
 * Who is replaced writes it at its end, in a memfd that the keeper has as
 * "counts", and who comes goes on from there; after a kill there is none, and
 * counting begins anew. Pages in memory are not in it: those are found.
 *
 *   head · counted · counted · …      of the spaces that the ledger has
 *
 * Another version may count other things: what is not of this very size is of no
 * use, and then nothing is known.
 */
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../notify.h"
#include "mem.h"
#include "wmapd.h"

#define NAME  "counts"
#define MAGIC UINT64_C(0x31746e6370616d77) /* "wmapcnt1" */

struct head {
	uint64_t magic, size, n; /* of what follows */
	uint64_t sessions_ever;
	uint64_t evicted, swapped_out, swapped_in, swap_errors;
	struct wmap_stats past;
};

struct counted {
	uint64_t id; /* of the space */
	struct wmap_stats stats;
};

/* ---- Writing --------------------------------------------------------------------- */

static void describe(const struct server *server, struct head *head)
{
	const struct pager *pager = server->pager;

	*head = (struct head){
		.magic = MAGIC,
		.size = sizeof(struct counted),
		.sessions_ever = server->sessions_ever,
		.evicted = pager->budget.evicted,
		.swapped_out = pager->swapout.out,
		.swapped_in = pager->swapout.in,
		.swap_errors = pager->swapout.errors,
		.past = server->past,
	};
	telling_add(&head->past, &pager->stats);
	list_for_each(session, &server->sessions, struct session, link)
		head->n++;
}

static bool write_all(const struct server *server, int fd)
{
	struct head head;
	struct counted counted;

	describe(server, &head);
	if (write(fd, &head, sizeof(head)) != sizeof(head))
		return false;
	list_for_each(session, &server->sessions, struct session, link) {
		counted.id = session->space->id;
		counted.stats = session->space->stats;
		if (write(fd, &counted, sizeof(counted)) != sizeof(counted))
			return false;
	}
	return true;
}

void counts_tell(const struct server *server)
{
	int fd = memfd_create("wmap-counts", MFD_CLOEXEC);

	if (fd >= 0 && write_all(server, fd))
		notify_store(NAME, fd);
	if (fd >= 0)
		close(fd);
}

/* ---- Reading --------------------------------------------------------------------- */

/* What nobody has any more belongs to the past. */
static void take_one(struct server *server, const struct counted *counted)
{
	struct session *session = session_of_space(server, counted->id);

	telling_add(session ? &session->space->stats : &server->past,
		    &counted->stats);
}

static void take_head(struct server *server, const struct head *head)
{
	struct pager *pager = server->pager;

	server->sessions_ever =
		max_u64(server->sessions_ever, head->sessions_ever);
	pager->budget.evicted += head->evicted;
	pager->swapout.out += head->swapped_out;
	pager->swapout.in += head->swapped_in;
	pager->swapout.errors += head->swap_errors;
	telling_add(&server->past, &head->past);
}

static bool is_good(const struct head *head, uint64_t size)
{
	size -= sizeof(*head);
	return head->magic == MAGIC && head->size == sizeof(struct counted) &&
	       head->n == size / head->size && size % head->size == 0;
}

static bool read_all(struct server *server, int fd)
{
	struct stat stat;
	struct head head;
	struct counted counted;

	if (fstat(fd, &stat) != 0 ||
	    pread(fd, &head, sizeof(head), 0) != sizeof(head) ||
	    !is_good(&head, (uint64_t)stat.st_size))
		return false;
	take_head(server, &head);
	for (uint64_t i = 0; i < head.n; i++) {
		uint64_t at = sizeof(head) + i * sizeof(counted);

		if (pread(fd, &counted, sizeof(counted), (off_t)at) !=
		    sizeof(counted))
			return false;
		take_one(server, &counted);
	}
	return true;
}

void counts_take(struct server *server, struct list *taken)
{
	int fd = taken_find(taken, NAME);

	if (fd < 0)
		return;
	if (!read_all(server, fd))
		say("what was counted before cannot be read");
	close(fd);
	notify_remove(NAME);
}
