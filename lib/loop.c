/* SPDX-License-Identifier: MIT */
/*
 * The loop: posts, timers, and the turn
 *
 * Posts are a stack that any thread pushes on and the owner takes whole and
 * turns over. What the stack ends in says whether the owner sleeps:
 *
 *   NULL            awake, no post
 *   p … NULL        awake, posts
 *   ASLEEP          asleep, or about to be; no post
 *   p … ASLEEP      asleep, posts: who pushed the last p before ASLEEP writes
 *                   to the eventfd
 *
 *   NULL -> ASLEEP            fall_asleep(), owner
 *   ASLEEP -> NULL            get_up(), owner: nobody posted
 *   NULL, p … -> p' p …       loop_post(), any thread
 *   p … -> NULL               take_posts(), owner
 *
 * No post is lost: all of it happens to one word, so a push comes either before
 * fall_asleep, which then fails, or after it, and its thread sees ASLEEP and
 * writes. The eventfd keeps that write until the owner waits, so it does not
 * matter whether the owner had reached the kernel:
 *
 *   owner                     poster
 *   NULL -> ASLEEP
 *                             ASLEEP -> p ASLEEP
 *                             write(eventfd)
 *   enter: returns at once
 *
 * Nor is the loop used after its end: when the owner takes p … ASLEEP it knows
 * that exactly one write was made or is about to be, and counts it (wakes_due).
 * Reading the eventfd says how many were made. loop_destroy waits until the two
 * agree; a poster's write is the last thing it does with a loop, and one that
 * saw no ASLEEP does nothing after its push.
 */
#include <linux/futex.h>
#include <sys/eventfd.h>
#include <time.h>

#include "loop_backend.h"
#include "mem.h"
#include "sys.h"

uint64_t time_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* ---- Posts --------------------------------------------------------------- */

/* EAGAIN: so many are due that the owner wakes anyway. Else no way is known for
   it to fail; but the post depends on it. */
static void write_wake(int fd)
{
	uint64_t one = 1;
	long n;

	do
		n = sys_call(SYS_write, fd, &one, sizeof(one));
	while (n < 0 && n != -EAGAIN && n != -EBADF);
}

void loop_post(struct loop *loop, struct post *post)
{
	struct post *asleep = &loop->asleep;
	struct post *head;
	int fd = loop->wake_fd;

	head = atomic_load_explicit(&loop->posts, memory_order_relaxed);
	do {
		post->next = head;
		/* release: take_posts acquires */
	} while (!atomic_compare_exchange_weak_explicit(
		&loop->posts, &head, post, memory_order_release,
		memory_order_relaxed));
	/* From here on *loop may be gone, unless a wake is due. */
	if (head == asleep)
		write_wake(fd);
}

/* False: posts are there. */
static bool fall_asleep(struct loop *loop)
{
	struct post *none = NULL;

	return atomic_compare_exchange_strong_explicit(&loop->posts, &none,
						       &loop->asleep,
						       memory_order_relaxed,
						       memory_order_relaxed);
}

/* Fails if somebody has posted, which leaves it to take_posts. */
static void get_up(struct loop *loop)
{
	struct post *asleep = &loop->asleep;

	atomic_compare_exchange_strong_explicit(&loop->posts, &asleep, NULL,
						memory_order_relaxed,
						memory_order_relaxed);
}

/* All posts, oldest first. */
static struct post *take_posts(struct loop *loop)
{
	struct post *post, *next, *first = NULL;

	/* no exchange where there is nothing: a plain load is cheaper */
	if (!atomic_load_explicit(&loop->posts, memory_order_relaxed))
		return NULL;
	/* acquire: loop_post releases */
	post = atomic_exchange_explicit(&loop->posts, NULL,
					memory_order_acquire);
	for (; post && post != &loop->asleep; post = next) {
		next = post->next;
		post->next = first;
		first = post;
	}
	if (first && post)
		loop->wakes_due++;
	return first;
}

static unsigned count_posts(const struct post *post)
{
	unsigned n = 0;

	for (; post; post = post->next)
		n++;
	return n;
}

/*
 * Most posts are answers, and what an answer brings about is the next request. If
 * all of them ran before the first of those is begun, store and pager would wait
 * for each other in turns: so they are begun in between, when the store has less
 * to do than the pager.
 */
static bool run_posts(struct loop *loop)
{
	struct post *post = take_posts(loop);
	unsigned left = count_posts(post);
	bool any = post != NULL;

	while (post) {
		struct post *next = post->next;

		post->run(post);
		post = next;
		if (loop->in_flight < --left) {
			loop->backend->enter(loop, 0);
			loop->backend->run(loop);
		}
	}
	return any;
}

/* The eventfd's count: how many writes have been made since the last read. */
static void read_wakes(struct loop *loop)
{
	uint64_t made;

	if (sys_call(SYS_read, loop->wake_fd, &made, sizeof(made)) > 0)
		loop->wakes_due -= made;
}

static void wake_readable(struct watch *watch)
{
	read_wakes(container_of(watch, struct loop, wake));
}

/* Until every poster that has to write has done so. */
static void wait_for_posters(struct loop *loop)
{
	struct pollfd poll = { .fd = loop->wake_fd, .events = POLLIN };

	while (loop->wakes_due) {
		sys_call(SYS_ppoll, &poll, 1, NULL, NULL, 0);
		read_wakes(loop);
	}
}

/* ---- Lending -------------------------------------------------------------- */

bool loop_borrow(struct loop *loop)
{
	uint32_t lent = 0;

	return atomic_compare_exchange_strong_explicit(&loop->turn, &lent, 1,
						       memory_order_acquire,
						       memory_order_relaxed);
}

static void drop_turn(struct loop *loop)
{
	if (atomic_exchange_explicit(&loop->turn, 0, memory_order_release) == 2)
		sys_call(SYS_futex, &loop->turn, FUTEX_WAKE_PRIVATE, 1);
}

/* Transfers and timers of a borrower wait for the owner to come and look. */
void loop_return(struct loop *loop)
{
	int fd = loop->wake_fd;

	if (loop->touched) {
		loop->wakes_due++;
		write_wake(fd);
	}
	drop_turn(loop);
}

void loop_lend(struct loop *loop)
{
	loop->touched = false;
	drop_turn(loop);
}

void loop_retake(struct loop *loop)
{
	if (loop_borrow(loop))
		return;
	while (atomic_exchange_explicit(&loop->turn, 2, memory_order_acquire))
		sys_call(SYS_futex, &loop->turn, FUTEX_WAIT_PRIVATE, 2, NULL);
}

/* ---- Timers -------------------------------------------------------------- */

void timer_init(struct timer *timer, void (*run)(struct timer *timer))
{
	list_init(&timer->link);
	timer->run = run;
}

/* Most deadlines are alike, so that a new one belongs at the end. */
void loop_timer_start(struct loop *loop, struct timer *timer, uint64_t at)
{
	struct list *before;

	list_del(&timer->link);
	timer->at = at;
	before = loop->timers.prev;
	while (before != &loop->timers &&
	       list_entry(before, struct timer, link)->at > at)
		before = before->prev;
	list_add(before->next, &timer->link);
	loop->touched = true;
}

void loop_timer_stop(struct timer *timer)
{
	list_del(&timer->link);
}

void loop_idle(struct loop *loop, struct post *post)
{
	post->next = loop->idle;
	loop->idle = post;
	loop->touched = true;
}

/* What runs may ask to run again: in the next turn. */
static void run_idle(struct loop *loop)
{
	struct post *post = loop->idle, *next;

	loop->idle = NULL;
	for (; post; post = next) {
		next = post->next;
		post->run(post);
	}
}

static bool timer_due(const struct loop *loop, uint64_t now)
{
	return !list_empty(&loop->timers) &&
	       list_first(&loop->timers, struct timer, link)->at <= now;
}

/* One that starts itself again waits for the next turn, whatever its time. */
static bool run_timers(struct loop *loop)
{
	struct list due;
	uint64_t now;
	bool any;

	if (list_empty(&loop->timers))
		return false;
	list_init(&due);
	now = time_now();
	while (timer_due(loop, now)) {
		struct list *link = loop->timers.next;

		list_del(link);
		list_add(&due, link);
	}
	any = !list_empty(&due);
	while (!list_empty(&due)) {
		struct timer *timer = list_first(&due, struct timer, link);

		list_del(&timer->link);
		timer->run(timer);
	}
	return any;
}

static uint64_t until_timer(const struct loop *loop)
{
	uint64_t at, now;

	if (list_empty(&loop->timers))
		return LOOP_FOREVER;
	at = list_first(&loop->timers, struct timer, link)->at;
	now = time_now();
	return at > now ? at - now : 0;
}

/* ---- Watches and transfers ----------------------------------------------- */

int loop_watch(struct loop *loop, struct watch *watch)
{
	watch->gone = NULL;
	watch->armed = watch->cancelling = false;
	loop->touched = true;
	return loop->backend->watch(loop, watch);
}

void loop_unwatch(struct loop *loop, struct watch *watch,
		  void (*gone)(struct watch *watch))
{
	assert(gone && !watch->gone);
	watch->gone = gone;
	loop->touched = true;
	loop->backend->unwatch(loop, watch);
}

void loop_watch_gone(struct loop *loop, struct watch *watch)
{
	list_del(&watch->link);
	list_add(&loop->gone, &watch->link);
}

/* What these take away in turn waits for the next turn. */
static void run_gone(struct loop *loop)
{
	struct list gone;

	if (list_empty(&loop->gone))
		return;
	list_init(&gone);
	list_move(&gone, &loop->gone);
	while (!list_empty(&gone)) {
		struct watch *watch = list_first(&gone, struct watch, link);

		list_del(&watch->link);
		watch->gone(watch);
	}
}

void loop_transfer(struct loop *loop, struct transfer *transfer)
{
	struct transfers *to = transfer->patient ? &loop->patient :
						   &loop->waiting;

	transfer->loop = loop;
	transfer->next = NULL;
	*to->end = transfer;
	to->end = &transfer->next;
	loop->busy++;
	loop->touched = true;
}

bool loop_has_transfer(const struct loop *loop)
{
	return loop->waiting.first ||
	       (loop->patient.first && loop->n_patient < loop->patient_most);
}

struct transfer *loop_next_transfer(struct loop *loop)
{
	struct transfers *from = loop->waiting.first ? &loop->waiting :
						       &loop->patient;
	struct transfer *transfer = from->first;

	if (!loop_has_transfer(loop))
		return NULL;
	from->first = transfer->next;
	if (!from->first)
		from->end = &from->first;
	loop->in_flight++;
	loop->n_patient += transfer->patient;
	return transfer;
}

void loop_transfer_ended(struct loop *loop, struct transfer *transfer)
{
	loop->busy--;
	loop->in_flight--;
	loop->n_patient -= transfer->patient;
	transfer->done(transfer);
}

unsigned loop_busy(const struct loop *loop)
{
	return loop->busy;
}

/* ---- The turn ------------------------------------------------------------ */

static void enter(struct loop *loop, bool sleep)
{
	bool idle = sleep && list_empty(&loop->gone);
	uint64_t timeout = idle ? until_timer(loop) : 0;
	bool asleep = timeout && fall_asleep(loop);

	loop->backend->enter(loop, asleep ? timeout : 0);
	if (asleep)
		get_up(loop);
	loop->backend->run(loop);
	run_gone(loop);
}

/*
 * A turn that ran posts ends there, and leaves it to the next one to enter the
 * kernel, which then begins transfers and sleeps in the same call; but not
 * twice in a row, so that posts without end starve nobody.
 */
void loop_turn(struct loop *loop)
{
	bool ran = run_posts(loop);

	loop->put_off = ran && !loop->put_off;
	if (loop->put_off)
		return;
	ran |= run_timers(loop);
	enter(loop, !ran && !loop->idle);
	run_idle(loop);
}

/* ---- Beginning and end --------------------------------------------------- */

int loop_own(struct loop *loop)
{
	atomic_store_explicit(&loop->owner, pthread_self(),
			      memory_order_relaxed);
	return loop->backend->own(loop);
}

int loop_hold(struct loop *loop, int fd)
{
	return loop->backend->hold(loop, fd);
}

bool loop_is_owner(const struct loop *loop)
{
	return atomic_load_explicit(&loop->owner, memory_order_relaxed) ==
	       pthread_self();
}

/* With io_uring if it is wanted and can be had, else without. */
static int open_backend(struct loop *loop, bool uring)
{
	int err = -ENOSYS;

	if (uring && !sys_without("io_uring")) {
		loop->backend = &loop_uring;
		err = loop_uring.open(loop);
	}
	if (!err)
		return 0;
	if (uring)
		log_line("no io_uring (errno %d): threads read and write",
			 -err);
	loop->backend = &loop_plain;
	return loop_plain.open(loop);
}

int loop_create(struct loop **result, bool *uring)
{
	struct loop *loop = mem_alloc(sizeof(*loop));
	int err;

	if (!loop)
		return -ENOMEM;
	list_init(&loop->timers);
	list_init(&loop->gone);
	loop->turn = 1;
	loop->held = -1;
	loop->waiting.end = &loop->waiting.first;
	loop->patient.end = &loop->patient.first;
	err = (int)sys_call(SYS_eventfd2, 0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (err < 0)
		goto err_alloc;
	loop->wake_fd = err;
	err = open_backend(loop, *uring);
	if (err)
		goto err_eventfd;
	loop->wake.fd = loop->wake_fd;
	loop->wake.run = wake_readable;
	err = loop_watch(loop, &loop->wake);
	if (err)
		goto err_backend;
	*uring = loop->backend == &loop_uring;
	*result = loop;
	return 0;

err_backend:
	loop->backend->close(loop);
err_eventfd:
	sys_call(SYS_close, loop->wake_fd);
err_alloc:
	mem_free(loop, sizeof(*loop));
	return err;
}

void loop_child(struct loop *loop)
{
	loop->backend->child(loop);
	sys_call(SYS_close, loop->wake_fd);
}

void loop_destroy(struct loop *loop)
{
	assert(!loop->busy);
	take_posts(loop); /* it may be the last of them that has to write */
	wait_for_posters(loop);
	loop->backend->close(loop);
	sys_call(SYS_close, loop->wake_fd);
	mem_free(loop, sizeof(*loop));
}
