/* SPDX-License-Identifier: MIT */
/*
 * Clients whose files' servers do not answer: they hold up nobody else
 *
 * They have file systems of their own (FUSE), more of them than wmapd has threads
 * for, and send it what is in there. Nothing that it asks of them is answered,
 * while another client maps, loads and unmaps files. Then all is answered, and
 * wmapd has what it had before. Where there is no FUSE nothing is tried.
 */
#include "support.h"

#include <fcntl.h>
#include <linux/fuse.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#undef PAGE /* the library's own */
#include "raw.h"

#define SYSTEMS 40 /* more than a user has threads for (lib/elsewhere.c) */
#define ROUNDS	50
#define AT	((uint64_t)1 << 40)

#define DEAF_TO_ALL \
	(1ull << FUSE_GETATTR | 1ull << FUSE_STATFS | 1ull << FUSE_OPEN | \
	 1ull << FUSE_FLUSH | 1ull << FUSE_READ | 1ull << FUSE_GETLK)

static struct fuse *systems[SYSTEMS];
static int files[SYSTEMS], conns[SYSTEMS];
static unsigned descriptors;

/* ---- wmapd ---------------------------------------------------------------------- */

static bool has_what_it_had(void *unused)
{
	(void)unused;
	return process_descriptors(wmapd) <= descriptors;
}

static bool is_gone(void *unused)
{
	int status;

	(void)unused;
	return waitpid(wmapd, &status, WNOHANG) == wmapd && !status;
}

static atomic_uint *step; /* of a child */

static bool is_at(void *n)
{
	return *step >= *(unsigned *)n;
}

/* ---- Clients -------------------------------------------------------------------- */

static void place(void)
{
	if (!fuse_place()) {
		puts("no file system of our own: nothing is tried");
		exit(0);
	}
	step = mmap(NULL, PAGE, READ_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ck_assert_ptr_ne(step, MAP_FAILED);
}

/* Each file system answers so far. */
static void begin_alone(void)
{
	place();
	for (unsigned i = 0; i < SYSTEMS; i++) {
		systems[i] = fuse_serve(i);
		files[i] = fuse_open(i, O_RDWR);
		conns[i] = -1;
	}
	start_wmapd();
	setenv("WMAP_SOCKET", socket_name, 1);
	ck_assert_int_eq(wmap_start(NULL), 0);
	descriptors = process_descriptors(wmapd);
}

static void begin(void)
{
	begin_alone();
	for (unsigned i = 0; i < SYSTEMS; i++)
		conns[i] = enter_surely();
	descriptors = process_descriptors(wmapd);
}

static void all_hear(uint64_t but)
{
	for (unsigned i = 0; i < SYSTEMS; i++)
		systems[i]->deaf = but;
}

/* Somebody waits for so many. */
static bool so_many_are_asked(void *n)
{
	unsigned asked = 0;

	for (unsigned i = 0; i < SYSTEMS && systems[i]; i++)
		asked += systems[i]->n_unheard > 0;
	return asked >= *(unsigned *)n;
}

static void one_more_round(unsigned seed)
{
	int fd = file_with(seed, PAGES(8));
	char *at = memory_map(PAGES(8), READ_WRITE, WMAP_SHARED, fd, 0);

	ck_assert(pattern_holds(at, PAGES(8), seed, 0));
	at[0]++;
	ck_assert_int_eq(wmap_sync(at, PAGES(8), WMAP_SYNC_WAIT), 0);
	ck_assert_int_eq(wmap_unmap(at, PAGES(8)), 0);
	close(fd);
}

/* While nobody is answered. */
static void others_go_on(void)
{
	unsigned n = 1;

	for (unsigned i = 0; i < ROUNDS; i++)
		one_more_round(i);
	ck_assert(so_many_are_asked(&n));
}

static void hang_up(void)
{
	for (unsigned i = 0; i < SYSTEMS; i++)
		close(conns[i]);
}

/* All that was asked is answered: nothing is left. */
static void end(void)
{
	all_hear(0);
	hang_up();
	ck_assert(process_wait(has_what_it_had, NULL, 20));
	one_more_round(1);
	wmap_stop();
	kill(wmapd, SIGTERM);
	ck_assert(process_wait(is_gone, NULL, 20));
}

static void ask_without_waiting(unsigned i, struct wire_request request)
{
	ck_assert_int_eq(say_to(conns[i], &request, &files[i], 1), 0);
}

static void map_first(unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		ask_without_waiting(i, map_at(AT, 4, WMAP_SHARED));
}

/* By hanging up they would not: their process has the memory still. */
static void all_unmap(void)
{
	for (unsigned i = 0; i < SYSTEMS; i++)
		ask(conns[i],
		    REQUEST(MESSAGE_UNMAP, .address = AT, .length = 4 * PAGE),
		    -1);
}

/* ---- The facts ------------------------------------------------------------------ */

/* So many have a thread; the others are told when they have waited for one. */
#define THREADS	 32
#define PATIENCE 500000000 /* ns, at least */

static void count_answers(unsigned n, unsigned answers[2])
{
	static struct answer answer;

	for (unsigned i = 0; i < n; i++) {
		int result = hear(conns[i], &answer);

		ck_assert(!result || result == -EAGAIN);
		answers[!result]++;
		let_go(&answer);
	}
}

static bool so_many_are_answered(void *n)
{
	unsigned answered = 0;

	for (unsigned i = 0; i < SYSTEMS; i++)
		answered += poll(&(struct pollfd){ .fd = conns[i],
						   .events = POLLIN },
				 1, 0);
	return answered >= *(unsigned *)n;
}

START_TEST(who_maps_what_does_not_answer_waits_alone)
{
	unsigned n = THREADS, others = SYSTEMS - THREADS, answers[2] = { 0 };
	uint64_t asked;

	begin();
	all_hear(DEAF_TO_ALL);
	asked = time_now();
	map_first(SYSTEMS);
	ck_assert(process_wait(so_many_are_asked, &n, 20));
	ck_assert(process_wait(so_many_are_answered, &others, 20));
	ck_assert_uint_gt(time_now() - asked, PATIENCE);
	others_go_on();
	all_hear(0);
	count_answers(SYSTEMS, answers);
	ck_assert_uint_eq(answers[1], THREADS);
	all_unmap();
	end();
}
END_TEST

static int map_and_stay(int unused)
{
	for (unsigned i = 0; i < SYSTEMS; i++) {
		conns[i] = enter_surely();
		ask_without_waiting(i, map_at(AT, 4, WMAP_SHARED));
		close(files[i]); /* who ends waits for his files */
	}
	*step = 1;
	for (;;)
		pause();
	return unused;
}

/* What it sent is closed when its files' servers answer. */
START_TEST(who_is_killed_meanwhile_leaves_nothing)
{
	unsigned n = THREADS, sent = 1;
	pid_t child;

	begin();
	all_hear(DEAF_TO_ALL & ~(1ull << FUSE_FLUSH));
	child = process_start(map_and_stay, 0);
	ck_assert(process_wait(is_at, &sent, 20));
	ck_assert(process_wait(so_many_are_asked, &n, 20));
	all_hear(DEAF_TO_ALL);
	kill(child, SIGKILL);
	ck_assert_int_eq(waitpid(child, NULL, 0), child);
	others_go_on();
	end();
}
END_TEST

START_TEST(who_cannot_be_closed_holds_up_nobody)
{
	unsigned n = THREADS, answers[2] = { 0 };

	begin();
	map_first(THREADS);
	count_answers(THREADS, answers);
	ck_assert_uint_eq(answers[1], THREADS);
	all_hear(1ull << FUSE_FLUSH);
	all_unmap();
	ck_assert(process_wait(so_many_are_asked, &n, 20));
	others_go_on();
	end();
}
END_TEST

#define ADOPT_MAPPING \
	{ \
		.kind = WIRE_ADOPT_MAPPING, .address = AT, .length = PAGE, \
		.args = { 0, PROT_READ | PROT_WRITE, WMAP_SHARED, 1, \
			  10000000000u }, \
	}

/* A descriptor where none of a file belongs, or of which only who it is is asked. */
static const struct wire_request elsewhere[] = {
	{ .kind = WIRE_HELLO },
	{ .kind = WIRE_FORK, .args = { 1, 2 } },
	{ .kind = WIRE_ATTACH },
	{ .kind = WIRE_HIDDEN, .args = { 1, 1 } },
	ADOPT_MAPPING,
	{ .kind = WIRE_HAND, .args = { 1 } },
	{ .kind = WIRE_RESCUE },
	{ .kind = MESSAGE_PREFETCH, .args = { 1 } },
	{ .kind = MESSAGE_FILE_SYNC },
	{ .kind = MESSAGE_FILE_WRITING },
	{ .kind = MESSAGE_FILE_WRITTEN, .args = { 0, 0, 0, PAGE } },
	{ .kind = MESSAGE_FILE_LENGTH },
	{ .kind = MESSAGE_STATS }, /* takes none */
};

START_TEST(a_file_where_none_belongs_holds_up_nobody)
{
	unsigned n = 1;

	begin();
	all_hear(DEAF_TO_ALL);
	for (unsigned i = 0; i < SYSTEMS; i++)
		ask_without_waiting(i, elsewhere[_i]);
	ck_assert(process_wait(so_many_are_asked, &n, 20));
	others_go_on();
	end();
}
END_TEST

/* ---- Who is heard no further ----------------------------------------------------- */

#define DESCRIPTORS 256		      /* that wmapd may have */
#define HEARD	    (DESCRIPTORS / 8) /* with so much that is not closed */
#define DIRECT	    20 /* files of two descriptors each are more than that */
#define SOMEBODY    65534
#define ANOTHER	    65533

static void limit_descriptors(void)
{
	struct rlimit limit = { DESCRIPTORS, DESCRIPTORS };

	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

static int dial_as(uid_t user)
{
	int fd;

	ck_assert_int_eq(seteuid(user), 0);
	fd = dial();
	ck_assert_int_eq(seteuid(0), 0);
	ck_assert_int_ge(fd, 0);
	return fd;
}

/* Nothing of what it brings is wanted. */
struct refused {
	struct wire_request request;
	unsigned n_fds;
	int error;
};

static const struct refused refused[] = {
	{ { .kind = WIRE_HELLO }, 1, -EINVAL },
	{ ADOPT_MAPPING, 1, -EPERM },
	{ { .kind = WIRE_ADOPT_OBJECT, .args = { 1 } }, 2, -EPERM },
	{ { .kind = WIRE_ADOPT_OBJECT, .args = { 1 } }, 3, -EPERM },
	{ { .kind = WIRE_HAND, .args = { 1 } }, 2, -EPROTO },
	{ { .kind = WIRE_RESCUE, .args = { 1 } }, 3, -EINVAL },
};

static void say_refused(int conn, const struct refused *it, unsigned system)
{
	struct wire_request request = it->request;
	int fds[3] = { files[system], files[system], files[system] };

	ck_assert_int_eq(say_to(conn, &request, fds, it->n_fds), 0);
}

static void hears_refusal(int conn, const struct refused *it)
{
	static struct answer answer;

	ck_assert_int_eq(hear(conn, &answer), it->error);
}

static void be_refused(int conn, const struct refused *it, unsigned system)
{
	say_refused(conn, it, system);
	hears_refusal(conn, it);
}

static bool has_no_answer(int conn)
{
	char byte;

	return recv(conn, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 &&
	       errno == EAGAIN;
}

START_TEST(who_sends_what_cannot_be_closed_is_heard_no_further)
{
	const struct refused *it = &refused[_i];
	int one, other;
	bool silent;
	unsigned n;

	limit_descriptors();
	begin_alone();
	one = dial_as(SOMEBODY);
	other = dial_as(ANOTHER);
	all_hear(1ull << FUSE_FLUSH);
	for (unsigned i = 0; i <= HEARD / it->n_fds; i++)
		be_refused(one, it, 0);
	say_refused(one, it, 0);
	others_go_on();
	be_refused(other, it, 0);
	silent = has_no_answer(one);
	n = process_descriptors(wmapd);
	all_hear(0);
	ck_assert(silent);
	ck_assert_uint_le(n, descriptors + 2 + HEARD + 2 * it->n_fds);
	hears_refusal(one, it);
	close(one);
	close(other);
	end();
}
END_TEST

START_TEST(what_is_closed_where_another_closes_counts_for_who_brought_it)
{
	const struct refused *it = &refused[0];
	bool silent, heard;
	int one, other;

	limit_descriptors();
	begin_alone();
	one = dial_as(SOMEBODY);
	other = dial_as(ANOTHER);
	all_hear(1ull << FUSE_FLUSH);
	be_refused(one, it, 0);
	for (unsigned i = 0; i <= HEARD; i++)
		be_refused(other, it, 0);
	say_refused(other, it, 0);
	say_refused(one, it, 0);
	others_go_on();
	silent = has_no_answer(other);
	heard = !has_no_answer(one);
	all_hear(0);
	ck_assert(silent);
	ck_assert(heard);
	hears_refusal(one, it);
	hears_refusal(other, it);
	close(one);
	close(other);
	end();
}
END_TEST

/* Into a process that was another user's when it entered, and is still. */
static int join_as(uid_t user, uid_t entered, int *conn)
{
	struct wire_request join = REQUEST(WIRE_JOIN);
	int uffd = uffd_new(), fd;

	ck_assert_int_eq(seteuid(entered), 0);
	*conn = enter_with(uffd, join.args);
	ck_assert_int_eq(seteuid(0), 0);
	ck_assert_int_ge(*conn, 0);
	close(uffd);
	fd = dial_as(user);
	ck_assert_int_eq(ask(fd, join, -1), 0);
	return fd;
}

START_TEST(what_is_closed_counts_for_whose_process_it_is)
{
	static const struct refused again = { { .kind = WIRE_HELLO },
					      1,
					      -EPROTO };
	const struct refused *it = &refused[0];
	int conn, joined, one, other;
	bool silent;

	limit_descriptors();
	begin_alone();
	joined = join_as(ANOTHER, SOMEBODY, &conn);
	one = dial_as(SOMEBODY);
	other = dial_as(ANOTHER);
	all_hear(1ull << FUSE_FLUSH);
	for (unsigned i = 0; i <= HEARD; i++)
		be_refused(joined, &again, 0);
	say_refused(one, it, 0);
	others_go_on();
	be_refused(other, it, 0);
	silent = has_no_answer(one);
	all_hear(0);
	ck_assert(silent);
	hears_refusal(one, it);
	close(conn);
	close(joined);
	close(one);
	close(other);
	end();
}
END_TEST

/* More of them than he has threads for: what waits for one counts, too. */
START_TEST(who_closes_in_many_places_leaves_others_threads)
{
	const struct refused *it = &refused[0];
	unsigned n = THREADS, more = THREADS + 1;
	bool silent, few;
	int one;

	limit_descriptors();
	begin_alone();
	one = dial_as(SOMEBODY);
	all_hear(1ull << FUSE_FLUSH);
	for (unsigned i = 0; i <= HEARD; i++)
		be_refused(one, it, i);
	say_refused(one, it, 0);
	ck_assert(process_wait(so_many_are_asked, &n, 20));
	others_go_on();
	silent = has_no_answer(one);
	few = !so_many_are_asked(&more);
	all_hear(0);
	ck_assert(silent);
	ck_assert(few);
	hears_refusal(one, it);
	close(one);
	end();
}
END_TEST

static void map_direct(int conn, unsigned i)
{
	ck_assert_int_eq(
		ask(conn,
		    map_at(AT + PAGES(4) * i, 4, WMAP_SHARED | WMAP_DIRECT),
		    files[i]),
		0);
}

static void say_unmap(int conn, unsigned i)
{
	struct wire_request request = REQUEST(MESSAGE_UNMAP,
					      .address = AT + PAGES(4) * i,
					      .length = PAGES(4));

	ck_assert_int_eq(say_to(conn, &request, NULL, 0), 0);
}

static unsigned count_heard(int conn)
{
	static struct answer answer;
	unsigned n = 0;

	for (; !has_no_answer(conn); n++)
		ck_assert_int_eq(hear(conn, &answer), 0);
	return n;
}

/* They were his, and are until they are closed. */
START_TEST(who_unmaps_what_cannot_be_closed_is_heard_no_further)
{
	static struct answer answer;
	uint64_t token[TOKEN];
	unsigned heard;
	int one, uffd;

	limit_descriptors();
	begin_alone();
	uffd = uffd_new();
	ck_assert_int_eq(seteuid(SOMEBODY), 0);
	one = enter_with(uffd, token);
	ck_assert_int_eq(seteuid(0), 0);
	ck_assert_int_ge(one, 0);
	for (unsigned i = 0; i < DIRECT; i++)
		map_direct(one, i);
	all_hear(1ull << FUSE_FLUSH);
	for (unsigned i = 0; i < DIRECT; i++)
		say_unmap(one, i);
	others_go_on();
	heard = count_heard(one);
	all_hear(0);
	ck_assert_uint_gt(heard, 0);
	ck_assert_uint_lt(heard, DIRECT);
	for (; heard < DIRECT; heard++)
		ck_assert_int_eq(hear(one, &answer), 0);
	close(one);
	close(uffd);
	end();
}
END_TEST

/* What a process that was killed has open is let go of a little later. */
static bool nobody_listens(void *unused)
{
	int fd = dial();

	(void)unused;
	if (fd >= 0)
		close(fd);
	return fd < 0;
}

/* A session's guard, whose wmapd is gone, with the next one. */
static int come(void)
{
	static struct answer answer;
	struct wire_request request = REQUEST(WIRE_RESCUE, .args = { 0, 1, 2 });
	uint64_t token[TOKEN];
	int uffd = uffd_new(), next;

	ck_assert_int_ge(enter_with(uffd, token), 0);
	guard_of(token, &answer);
	ck_assert_uint_eq(answer.n_fds, 3);
	kill(wmapd, SIGKILL);
	ck_assert_int_eq(waitpid(wmapd, NULL, 0), wmapd);
	ck_assert(process_wait(nobody_listens, NULL, 20));
	start_wmapd();
	next = dial();
	request.args[0] = answer.reply.args[0];
	ck_assert_int_eq(say_to(next, &request,
				(int[]){ uffd, answer.fds[0], answer.fds[1] },
				3),
			 0);
	ck_assert_int_eq(hear(next, &answer), 0);
	return next;
}

START_TEST(who_hands_over_what_cannot_be_closed_is_heard_no_further)
{
	static const struct refused it = {
		{ .kind = WIRE_HAND, .args = { 1000 } }, 2, -EINVAL
	};
	int one, other;
	bool silent;

	limit_descriptors();
	place();
	systems[0] = fuse_serve(0);
	files[0] = fuse_open(0, O_RDWR);
	start_wmapd();
	one = come();
	other = dial_as(ANOTHER);
	systems[0]->deaf = 1ull << FUSE_FLUSH;
	for (unsigned i = 0; i <= HEARD / it.n_fds; i++)
		be_refused(one, &it, 0);
	say_refused(one, &it, 0);
	for (unsigned i = 0; i < ROUNDS; i++)
		ck_assert_int_eq(ask(other, REQUEST(WIRE_HANDED), -1), -EPROTO);
	silent = has_no_answer(one);
	systems[0]->deaf = 0;
	ck_assert(silent);
	hears_refusal(one, &it);
}
END_TEST

/* ---- Who reads ------------------------------------------------------------------- */

#define SHOWN 4 /* pages */

static char *shown[SYSTEMS];

static void *load(void *at)
{
	return (void *)(uintptr_t) * (volatile char *)at;
}

/* All at once. */
static int map_and_load(int unused)
{
	unsigned go_on = 2;
	pthread_t thread;

	for (unsigned i = 0; i < SYSTEMS; i++)
		shown[i] = memory_map(PAGES(SHOWN), PROT_READ, WMAP_SHARED,
				      files[i], 0);
	*step = 1;
	if (!process_wait(is_at, &go_on, 50))
		return 1;
	for (unsigned i = 0; i < SYSTEMS; i++)
		if (pthread_create(&thread, NULL, load, shown[i]))
			return 2;
	for (;;)
		pause();
	return unused;
}

/* Without io_uring two of four threads are for such files. */
START_TEST(who_loads_what_cannot_be_read_waits_alone)
{
	unsigned n = _i ? 2 : SYSTEMS, mapped = 1;
	pid_t child;

	if (_i)
		setenv("WMAP_KERNEL_WITHOUT", "io_uring", 1);
	begin();
	child = process_start(map_and_load, 0);
	ck_assert(process_wait(is_at, &mapped, 20));
	all_hear(1ull << FUSE_READ);
	*step = 2;
	ck_assert(process_wait(so_many_are_asked, &n, 20));
	others_go_on();
	all_hear(0);
	kill(child, SIGKILL);
	ck_assert_int_eq(waitpid(child, NULL, 0), child);
	end();
}
END_TEST

static int map_and_look(int i)
{
	unsigned written = 2;
	char *at =
		memory_map(PAGES(SHOWN), PROT_READ, WMAP_SHARED, files[i], 0);

	memory_load(at, SHOWN);
	*step = 1;
	if (!process_wait(is_at, &written, 50))
		return 1;
	for (size_t j = 0; j < PAGES(SHOWN); j++)
		if (at[j] != (j < PAGES(SHOWN) - 100 ? 'w' : 0))
			return 2;
	return 0;
}

/* What is written to a file that is mapped is read, for those who have it in memory:
   all but its last 100 bytes. */
START_TEST(who_writes_what_cannot_be_read_waits_alone)
{
	struct wire_request written = REQUEST(
		MESSAGE_FILE_WRITTEN, .args = { 0, 0, 0, PAGES(SHOWN) - 100 });
	unsigned n = 1, mapped = 1;
	struct answer answer;
	pid_t child;

	begin();
	child = process_start(map_and_look, 0);
	ck_assert(process_wait(is_at, &mapped, 20));
	for (size_t i = 0; i < FUSE_LENGTH; i++)
		systems[0]->bytes[i] = 'w';
	close(fuse_open(0, O_RDONLY)); /* what the kernel had read is old */
	systems[0]->deaf = 1ull << FUSE_READ;
	ask_without_waiting(0, written);
	ck_assert(process_wait(so_many_are_asked, &n, 20));
	others_go_on();
	systems[0]->deaf = 0;
	ck_assert_int_eq(hear(conns[0], &answer), 0);
	*step = 2;
	process_ends_well(child);
	end();
}
END_TEST

/* ---- With a keeper -------------------------------------------------------------- */

static int map_and_unmap(int i)
{
	unsigned next = 2;
	char *at = memory_map(PAGES(4), READ_WRITE, WMAP_SHARED, files[i], 0);

	at[0]++;
	*step = 1;
	if (!process_wait(is_at, &next, 20))
		return 1;
	return wmap_unmap(at, PAGES(4)) != 0;
}

/* What it keeps of wmapd's is closed by it, too. */
START_TEST(a_keeper_keeps_on_keeping)
{
	unsigned mapped = 1, n = 1;
	pid_t child;

	place();
	systems[0] = fuse_serve(0);
	files[0] = fuse_open(0, O_RDWR);
	wmapd_start();
	child = process_start(map_and_unmap, 0);
	ck_assert(process_wait(is_at, &mapped, 20));
	systems[0]->deaf = 1ull << FUSE_FLUSH;
	*step = 2;
	ck_assert(process_wait(so_many_are_asked, &n, 20));
	for (unsigned i = 0; i < ROUNDS; i++)
		one_more_round(i);
	ck_assert_uint_gt(systems[0]->n_unheard, 1);
	systems[0]->deaf = 0;
	process_ends_well(child);
}
END_TEST

int main(void)
{
	TCase *facts = facts_case("stuck", 60);

	tcase_add_test(facts, who_maps_what_does_not_answer_waits_alone);
	tcase_add_test(facts, who_is_killed_meanwhile_leaves_nothing);
	tcase_add_test(facts, who_cannot_be_closed_holds_up_nobody);
	tcase_add_loop_test(facts, a_file_where_none_belongs_holds_up_nobody, 0,
			    COUNT(elsewhere));
	tcase_add_loop_test(facts,
			    who_sends_what_cannot_be_closed_is_heard_no_further,
			    0, COUNT(refused));
	tcase_add_test(
		facts,
		what_is_closed_where_another_closes_counts_for_who_brought_it);
	tcase_add_test(facts, what_is_closed_counts_for_whose_process_it_is);
	tcase_add_test(facts, who_closes_in_many_places_leaves_others_threads);
	tcase_add_test(facts,
		       who_unmaps_what_cannot_be_closed_is_heard_no_further);
	tcase_add_test(
		facts,
		who_hands_over_what_cannot_be_closed_is_heard_no_further);
	tcase_add_loop_test(facts, who_loads_what_cannot_be_read_waits_alone, 0,
			    2);
	tcase_add_test(facts, who_writes_what_cannot_be_read_waits_alone);
	tcase_add_test(facts, a_keeper_keeps_on_keeping);
	return facts_run(facts);
}
