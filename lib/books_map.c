/* SPDX-License-Identifier: MIT */
/* Booking a mapping: its object, by file or store, and its entry */
#include <sys/mman.h>

#include "account.h"
#include "books.h"
#include "copies.h"
#include "elsewhere.h"
#include "ledger.h"
#include "mem.h"
#include "sys.h"

/* ---- Objects by key ------------------------------------------------------------*/

static struct list *hash_of(struct pager *pager, uint64_t dev, uint64_t ino)
{
	return &pager->objects[pager_hash(dev, ino)];
}

struct object *books_find_file(struct pager *pager, uint64_t dev, uint64_t ino)
{
	list_for_each(object, hash_of(pager, dev, ino), struct object, link)
		if (object->ino == ino && object->dev == dev)
			return object;
	return NULL;
}

static struct list *hash_of_store(struct pager *pager,
				  const struct wmap_store *store)
{
	return hash_of(pager, 0, (uintptr_t)store >> 6);
}

static struct object *find_store(struct pager *pager,
				 const struct wmap_store *store)
{
	list_for_each(object, hash_of_store(pager, store), struct object, link)
		if (object->store == store && !object->ino)
			return object;
	return NULL;
}

static uid_t who_has_brought(const struct message *message)
{
	const struct account *account = message->space->account;

	return account ? account->uid : ELSEWHERE_NOBODY;
}

/* @direct: 0 if it was not tried. */
static void close_both(const struct message *message, int direct)
{
	uid_t whom = who_has_brought(message);

	store_file_close_for(message->map.file, whom);
	if (direct)
		store_file_close_for(direct, whom);
}

static void close_file(const struct message *message)
{
	close_both(message, message->map.direct);
}

/* The store of a message's file; takes the descriptors over, also on failure. */
static int open_file(const struct message *message, struct wmap_store **store)
{
	bool wanted = message->map.flags & WMAP_DIRECT;
	int direct = message->map.direct, error = 0;

	if (wanted && !direct)
		direct = store_file_open_direct(message->map.file,
						message->map.writable);
	if (wanted && direct < 0)
		error = direct;
	if (!error)
		error = store_file_create(message->map.file,
					  wanted ? direct : -1,
					  message->map.writable,
					  message->map.name, store);
	if (error) {
		close_both(message, direct);
		return error;
	}
	store_file_set_whom(*store, who_has_brought(message));
	if (!wanted && direct > 0)
		store_file_set_thrifty(*store, direct);
	return 0;
}

void books_file_known(struct pager *pager, struct object *object, uint64_t dev,
		      uint64_t ino)
{
	object->dev = dev;
	object->ino = ino;
	list_add(hash_of(pager, dev, ino), &object->link);
	object->counts[0] = &pager->hints->n_files;
	object->counts[1] = &pager->hints->files[pager_hash(dev, ino)];
	for (int i = 0; i < 2; i++)
		atomic_fetch_add_explicit(object->counts[i], 1,
					  memory_order_relaxed);
}

static int object_of_new_file(struct pager *pager,
			      const struct message *message,
			      struct object **result)
{
	struct wmap_store *store;
	struct object *object;
	int error = open_file(message, &store);

	if (error)
		return error;
	error = object_create(store, false, &object);
	wmap_store_put(store);
	if (error)
		return error;
	books_file_known(pager, object, message->map.dev, message->map.ino);
	error = ledger_object(pager->ledger, object);
	if (!error)
		error = ledger_file(object, message->map.file);
	if (error)
		object_put(object);
	else
		*result = object;
	return error;
}

/*
 * An object that only a read under way has kept: nobody was shown its pages
 * since, so they may be old.
 */
static struct object *revive(struct object *object)
{
	if (list_empty(&object->mappings)) {
		fills_repeat(object, 0, UINT64_MAX);
		object_drop(object, 0, UINT64_MAX);
	}
	return object_get(object);
}

/* A file that was open for reading is now open for writing too. */
static int make_writable(struct object *object, const struct message *message)
{
	struct wmap_store *store;
	int error = open_file(message, &store);

	if (error)
		return error;
	wmap_store_put(object->store);
	object->store = store;
	return ledger_file(object, message->map.file);
}

/* What is to be mapped, if it is mapped already. */
static struct object *find_object(struct pager *pager,
				  const struct message *message)
{
	if (message->map.file >= 0)
		return books_find_file(pager, message->map.dev,
				       message->map.ino);
	return message->map.store ? find_store(pager, message->map.store) :
				    NULL;
}

static int object_of_file(struct pager *pager, const struct message *message,
			  struct object **result)
{
	struct object *object =
		books_find_file(pager, message->map.dev, message->map.ino);
	int error = 0;

	if (!object)
		return object_of_new_file(pager, message, result);
	if (message->map.writable && !object->store->writable)
		error = make_writable(object, message);
	else
		close_file(message);
	if (!error)
		*result = revive(object);
	return error;
}

static int object_of_store(struct pager *pager, struct wmap_store *store,
			   struct object **result)
{
	struct object *object = find_store(pager, store);
	int error;

	if (object) {
		*result = revive(object);
		return 0;
	}
	error = object_create(store, false, result);
	if (!error)
		list_add(hash_of_store(pager, store), &(*result)->link);
	return error;
}

static int object_of(struct pager *pager, const struct message *message,
		     struct object **result)
{
	bool plain = message->map.flags & WMAP_PRIVATE;
	int error;

	if (message->map.file >= 0)
		return object_of_file(pager, message, result);
	if (message->map.store)
		return object_of_store(pager, message->map.store, result);
	error = object_create(NULL, plain, result);
	if (error)
		return error;
	error = ledger_object(message->pager->ledger, *result);
	if (error)
		object_put(*result);
	return error;
}

/* From the first mapping that may store on, no other pager writes back. */
int books_lock(struct object *object)
{
	int error;

	if (object->locked || !object->ino)
		return 0;
	error = store_file_lock(object->store);
	if (!error)
		object->locked = true;
	return error;
}

void books_unlock(struct object *object)
{
	if (!object->locked || !list_empty(&object->writebacks) ||
	    !list_empty(&object->writes))
		return;
	store_file_unlock(object->store);
	object->locked = false;
}

/* ---- Mapping ---------------------------------------------------------------------*/

static bool may_write(const struct object *object,
		      const struct message *message)
{
	if (message->map.file >= 0)
		return message->map.writable;
	return !object->store || object->store->writable;
}

/*
 * Whoever opened the file for reading alone gets a descriptor of its memory that
 * is for reading alone, of which only a private mapping can be registered. Within
 * one user that protects nothing (it can be opened again), and costs COPY.
 */
static bool maps_shared(const struct message *message)
{
	if (!(message->map.flags & WMAP_SHARED))
		return false;
	return !message->space->foreign || message->map.file < 0 ||
	       message->map.writable;
}

/* Books an object's mapping; takes over the reference to the object. */
static int book(struct message *message, struct object *object)
{
	struct mapping *mapping = mem_alloc(sizeof(*mapping));
	uint64_t pages = page_up(message->length) >> PAGE_SHIFT;
	int error = -ENOMEM;

	if (!mapping)
		goto err_object;
	mapping->object = object;
	mapping->start = message->address;
	mapping->end = message_end(message);
	mapping->length = message->length;
	mapping->first = message->map.offset >> PAGE_SHIFT;
	mapping->prot = message->map.prot;
	mapping->flags = message->map.flags;
	mapping->grain = message->map.grain;
	mapping->deadline = message->map.deadline;
	mapping->growing = message->map.growing &= message->space->home ||
						   message->space->has_agent;
	mapping->shared = maps_shared(message);
	mapping->alone = list_empty(&object->mappings);
	mapping->may_write = may_write(object, message);
	mapping->tracked = books_tracks(object, mapping->prot, mapping->flags);
	error = object_reach(object, mapping->first + pages + mapping->growing);
	if (!error)
		error = space_add(message->space, mapping);
	if (error)
		goto err_mapping;
	if (message->map.memory)
		error = share_bound_mapping(mapping, message->map.memory);
	if (!error)
		error = copies_create(mapping);
	if (error) {
		space_remove(mapping);
		return error;
	}
	message->map.memfd = object->memfd;
	message->map.modes = mapping_modes(mapping);
	message->map.shared = mapping->shared;
	return 0;

err_mapping:
	mem_free(mapping, sizeof(*mapping));
err_object:
	object_put(object);
	return error;
}

/*
 * Nobody maps where something is mapped. Who asks again, as the pager that it
 * asked first has died, finds its own mapping there, which shows nothing yet.
 */
static int make_way(const struct message *message)
{
	struct space *space = message->space;
	uint64_t start = message->address, end = message_end(message);
	size_t i = space_lower(space, start);
	struct mapping *there;

	if (i == space->n || space->entries[i].start >= end)
		return 0;
	there = space->entries[i].mapping;
	if (!message->again || there->start != start || there->end != end)
		return -EEXIST;
	fills_forget(there);
	faults_release(there);
	space_remove(there);
	return 0;
}

/*
 * Somebody has booked a mapping of this file or store, and is about to put it in
 * place: until then it cannot be told to see first touches. At most a moment,
 * unless its client has died.
 */
#define WAITS 100000

static bool must_wait(struct pager *pager, struct message *message)
{
	struct object *object = find_object(pager, message);

	if (!object || !object_company(object) || message->map.waits++ == WAITS)
		return false;
	loop_post(pager->loop, &message->post);
	return true;
}

/* Who made an object pays for it. */
static void charge(struct object *object, struct space *space)
{
	if (object->memfd < 0 || object->account ||
	    !list_empty(&object->mappings))
		return;
	object->account = account_get(space->account);
	if (!object->account)
		return;
	object->account->n_objects++;
	list_add(&space->made, &object->of_maker);
	object->made = &space->n_made;
	space->n_made++;
}

/* May this process have one more? The file, if it has one, is let go. One process
   alone leaves a quarter of what its user may have to the others. */
static int check_quota(const struct message *message)
{
	const struct account *account = message->space->account;
	bool plain = message->map.file < 0 && message->map.flags & WMAP_PRIVATE;

	if (plain || !account ||
	    (account->n_objects < account->objects_max &&
	     message->space->n_made < account->objects_max / 4 * 3))
		return 0;
	close_file(message);
	return -EMFILE;
}

void books_map(struct message *message)
{
	struct pager *pager = message->pager;
	struct object *object = NULL;
	bool stores;
	int error;

	if (must_wait(pager, message))
		return;
	error = check_quota(message);
	if (!error)
		error = object_of(pager, message, &object);
	if (!error) {
		charge(object, message->space);
		error = make_way(message);
		if (error)
			object_put(object);
	}
	if (error) {
		message_answer(message, error);
		return;
	}
	stores = books_tracks(object, message->map.prot, message->map.flags);
	if (stores && !may_write(object, message))
		error = -EACCES;
	else if (stores)
		error = books_lock(object);
	if (error)
		object_put(object);
	else
		error = book(message, object);
	message_answer(message, error);
}
