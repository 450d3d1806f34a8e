/* SPDX-License-Identifier: MIT */
/*
 * A ring of links that its elements carry themselves
 *
 * The head is a link too. An element in no list points to itself, so that
 * list_del may be called again.
 */
#ifndef WMAP_LIST_H
#define WMAP_LIST_H

#include <stdbool.h>

struct list {
	struct list *next, *prev;
};

static inline void list_init(struct list *head)
{
	head->next = head->prev = head;
}

static inline bool list_empty(const struct list *head)
{
	return head->next == head;
}

/* Put @link before @position: at the end, if that is the head. */
static inline void list_add(struct list *position, struct list *link)
{
	link->next = position;
	link->prev = position->prev;
	position->prev->next = link;
	position->prev = link;
}

static inline void list_del(struct list *link)
{
	link->prev->next = link->next;
	link->next->prev = link->prev;
	list_init(link);
}

/* Move all of @from to the end of @head. */
static inline void list_move(struct list *head, struct list *from)
{
	if (list_empty(from))
		return;
	from->next->prev = head->prev;
	head->prev->next = from->next;
	from->prev->next = head;
	head->prev = from->prev;
	list_init(from);
}

#define list_entry(link, type, member) container_of(link, type, member)

#define list_first(head, type, member) list_entry((head)->next, type, member)

/* The body may delete the element it is given. */
#define list_for_each(item, head, type, member) \
	for (struct list *item##_link = (head)->next, *item##_next; \
	     item##_next = item##_link->next, item##_link != (head); \
	     item##_link = item##_next) \
		for (type *item = list_entry(item##_link, type, member); item; \
		     item = 0)

#endif
