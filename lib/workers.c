/* SPDX-License-Identifier: MIT */
/*
 * Workers: a queue under a mutex, and threads that empty it
 *
 *   RUNNING -> STOPPING   workers_stop()
 *   STOPPING -> gone      leave(), by the last thread, the queue being empty
 *
 * The mutex is held for a few instructions. Who takes it: workers, pagers, and
 * whoever stops the pool; no thread that holds it touches memory that we page.
 */
#include <pthread.h>
#include <signal.h>

#include "internal.h"
#include "mem.h"
#include "workers.h"

struct workers {
	pthread_mutex_t mutex;
	pthread_cond_t more;  /* the queue grew, or stopping was set */
	struct post *first;   /* [l: mutex] the queue */
	struct post **end;    /* [l] where its next link goes */
	unsigned running;     /* [l] threads that have not left */
	bool stopping;	      /* [l] */
	void (*gone)(void *); /* [l] */
	void *arg;	      /* [l] */
};

static void push(struct workers *workers, struct post *post)
{
	post->next = NULL;
	*workers->end = post;
	workers->end = &post->next;
}

static struct post *pop(struct workers *workers)
{
	struct post *post = workers->first;

	if (!post)
		return NULL;
	workers->first = post->next;
	if (!workers->first)
		workers->end = &workers->first;
	return post;
}

/* The next to run, or NULL: the pool is stopping and the queue is empty. */
static struct post *next(struct workers *workers)
{
	struct post *post;

	pthread_mutex_lock(&workers->mutex);
	while (!(post = pop(workers)) && !workers->stopping)
		pthread_cond_wait(&workers->more, &workers->mutex);
	pthread_mutex_unlock(&workers->mutex);
	return post;
}

static void destroy(struct workers *workers)
{
	void (*gone)(void *) = workers->gone;
	void *arg = workers->arg;

	pthread_cond_destroy(&workers->more);
	pthread_mutex_destroy(&workers->mutex);
	mem_free(workers, sizeof(*workers));
	if (gone)
		gone(arg);
}

static void leave(struct workers *workers)
{
	bool last;

	pthread_mutex_lock(&workers->mutex);
	last = --workers->running == 0;
	pthread_mutex_unlock(&workers->mutex);
	if (last)
		destroy(workers);
}

static void *work(void *arg)
{
	struct workers *workers = arg;
	struct post *post;

	while ((post = next(workers)))
		post->run(post);
	leave(workers);
	return NULL;
}

/* One more thread, which nobody will join. */
static int start(struct workers *workers)
{
	pthread_t thread;
	int err;

	pthread_mutex_lock(&workers->mutex);
	err = pthread_create(&thread, NULL, work, workers);
	if (!err) {
		pthread_detach(thread);
		workers->running++;
	}
	pthread_mutex_unlock(&workers->mutex);
	return -err;
}

static int start_all(struct workers *workers, unsigned n)
{
	sigset_t all, before;
	int err = 0;

	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &before);
	while (n-- && !err)
		err = start(workers);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return err;
}

int workers_create(unsigned n, struct workers **result)
{
	struct workers *workers = mem_alloc(sizeof(*workers));
	int err;

	if (!workers)
		return -ENOMEM;
	pthread_mutex_init(&workers->mutex, NULL);
	pthread_cond_init(&workers->more, NULL);
	workers->end = &workers->first;
	err = start_all(workers, n);
	if (err) {
		workers_stop(workers, NULL, NULL);
		return err;
	}
	*result = workers;
	return 0;
}

void workers_post(struct workers *workers, struct post *post)
{
	pthread_mutex_lock(&workers->mutex);
	push(workers, post);
	pthread_cond_signal(&workers->more);
	pthread_mutex_unlock(&workers->mutex);
}

void workers_stop(struct workers *workers, void (*gone)(void *arg), void *arg)
{
	bool none;

	pthread_mutex_lock(&workers->mutex);
	workers->stopping = true;
	workers->gone = gone;
	workers->arg = arg;
	none = workers->running == 0;
	pthread_cond_broadcast(&workers->more);
	pthread_mutex_unlock(&workers->mutex);
	if (none)
		destroy(workers);
}
