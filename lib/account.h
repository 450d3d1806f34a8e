/* SPDX-License-Identifier: MIT */
/*
 * An account: what one user's processes have of wmapd, and may have
 *
 * An object is charged to who made it, until it goes; a mapping to its process's
 * user. In a process of its own (a pager thread) nobody counts.
 */
#ifndef WMAP_ACCOUNT_H
#define WMAP_ACCOUNT_H

#include "internal.h"
#include "list.h"
#include "mem.h"

struct account {
	struct list link; /* the server's */
	unsigned references;
	uint32_t uid;
	unsigned n_sessions, n_conns;
	size_t n_mappings, n_objects;
	size_t n_ranges;    /* of lists to be prefetched */
	unsigned n_sharing; /* sessions with mappings: they share its due */
	size_t sessions_max, conns_max, mappings_max, objects_max;
};

static inline struct account *account_get(struct account *account)
{
	if (account)
		account->references++;
	return account;
}

static inline void account_put(struct account *account)
{
	if (!account || --account->references)
		return;
	list_del(&account->link);
	mem_free(account, sizeof(*account));
}

#endif
