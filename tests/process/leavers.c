/* SPDX-License-Identifier: MIT */
/*
 * Clients that lie about private memory which leaves for swap (lib/swapaway.h)
 *
 * Each has private memory larger than wmapd's budget, stores to it, and an agent
 * that does what wmapd asks of it wrong, late, or not at all. What it has stored
 * must be right, and who behaves, beside it, be served.
 */
#include "support.h"

#include <linux/userfaultfd.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#undef PAGE /* the library's own */
#include "raw.h"

/* ---- Lies ------------------------------------------------------------------- */

#define N_PAGES 400

/* Who stores to its own private memory while its agent lies; from another thread,
   as it may have to wait for it. */
struct leaver {
	int fd, guard, uffd;
	unsigned lie;
	unsigned asked[2];
	unsigned held; /* that TAKE is not done when it should be */
	uint64_t token[2];
	uint64_t *memory;
	_Atomic bool over, wrong;
};

static void *store_privately(void *context)
{
	struct leaver *leaver = context;
	volatile uint64_t *memory = leaver->memory;
	static uint64_t counts[N_PAGES];
	unsigned page = 0;

	memset(counts, 0, sizeof(counts));
	for (unsigned i = 0; i < 600; i++) {
		page = (page + 397) % N_PAGES;
		if (memory[page * PAGE / 8] != counts[page])
			leaver->wrong = true;
		memory[page * PAGE / 8] = ++counts[page];
	}
	leaver->over = true;
	return NULL;
}

/* What is in memory, up to the first page that is not: who reads that waits for
   wmapd. How many pages; as it should be, but for which bytes. */
static unsigned copy_as_asked(const struct answer *answer, bool rightly)
{
	const struct wire_range *ranges = (const void *)answer->bytes;
	unsigned char there;
	unsigned pages = 0;

	for (unsigned i = 0; i < 64 && ranges[i].length; i += 2)
		for (uint64_t at = 0; at < ranges[i].length; at += PAGE) {
			char *page = (char *)ranges[i].start + at;

			if (mincore(page, PAGE, &there) || !(there & 1))
				return pages;
			/* Past ThreadSanitizer, which does not know that who
			   stores there waits meanwhile. */
			sys_call(SYS_pwrite64, answer->fds[0],
				 rightly ? page : answer->bytes, PAGE,
				 pages++ * PAGE);
		}
	return pages;
}

static void drop_as_asked(const struct answer *answer)
{
	const struct wire_range *ranges = (const void *)answer->bytes;

	for (unsigned i = 0; i < 64 && ranges[i].length; i++)
		madvise((void *)ranges[i].start, ranges[i].length,
			MADV_DONTNEED);
}

static void answer_next(struct leaver *leaver, struct answer *answer);

/* No lie: while it is about to drop what is asked, calls that concern it wait. The
   call may have more to wait for than that. */
static void drop_while_asking(struct leaver *leaver, struct wire_request *taken,
			      const struct answer *answer)
{
	static struct answer late;
	struct pollfd one = { .fd = leaver->fd, .events = POLLIN };
	uint64_t at = (uint64_t)leaver->memory, length = N_PAGES * PAGE;

	say_to(leaver->fd,
	       &REQUEST(MESSAGE_MOVE, .address = at, .length = length,
			.args = { at, length }),
	       NULL, 0);
	expect(!poll(&one, 1, 200), "a call waits");
	drop_as_asked(answer);
	say_to(leaver->guard, taken, NULL, 0);
	while (!poll(&one, 1, 0))
		answer_next(leaver, &late);
	expect(!hear(leaver->fd, &late), "and is answered then");
}

#define LIES 8

static void lie_about_leaving(struct leaver *leaver,
			      const struct answer *answer)
{
	uint64_t number = answer->reply.args[0];
	bool copies = answer->reply.flags & WIRE_LEAVE;
	struct wire_request said =
		REQUEST(copies ? WIRE_LEFT : WIRE_TAKEN, .args = { number });

	leaver->asked[!copies]++;
	if (!copies && leaver->asked[1] == leaver->held)
		return;
	switch (leaver->lie) {
	case 0: /* as it should */
		if (copies)
			said.args[1] = copy_as_asked(answer, true);
		else
			drop_as_asked(answer);
		break;
	case 1: /* never answers */
		return;
	case 2: /* what is not due, or another thing */
		for (uint64_t i = 0; i < 20; i++) {
			said.args[0] = number + 7 * i - 71;
			say_to(leaver->guard, &said, NULL, 0);
		}
		said = REQUEST(copies ? WIRE_TAKEN : WIRE_LEFT,
			       .args = { number });
		break;
	case 3: /* has copied more than it could, and dropped nothing */
		said.args[1] = copies ? WIRE_PAYLOAD : 0;
		break;
	case 4: /* others' bytes, and dropped nothing */
		if (copies)
			said.args[1] = copy_as_asked(answer, false);
		break;
	case 5: /* cannot copy */
		break;
	case 6: /* answers late */
		if (copies) {
			said.args[1] = copy_as_asked(answer, true);
		} else if (leaver->asked[1] == 1) {
			drop_while_asking(leaver, &said, answer);
			return;
		} else {
			drop_as_asked(answer);
		}
		break;
	default: /* cannot drop, and has */
		if (!copies)
			drop_as_asked(answer);
		said.args[1] = copies ? copy_as_asked(answer, true) :
					~UINT64_C(0);
	}
	say_to(leaver->guard, &said, NULL, 0);
}

/* What comes next to the guard, if it comes soon. */
static void answer_next(struct leaver *leaver, struct answer *answer)
{
	struct pollfd one = { .fd = leaver->guard, .events = POLLIN };

	if (poll(&one, 1, 10) != 1)
		return;
	memset(answer, 0, sizeof(*answer));
	expect(hear(leaver->guard, answer) != -ENOTCONN,
	       "a liar is not cut off");
	if (answer->reply.flags & (WIRE_LEAVE | WIRE_TAKE))
		lie_about_leaving(leaver, answer);
	let_go(answer);
}

static void answer_for(struct leaver *leaver)
{
	static struct answer answer;

	while (!leaver->over)
		answer_next(leaver, &answer);
}

static void enter_as_leaver(struct leaver *leaver)
{
	leaver->uffd = uffd_new();
	leaver->fd = enter_with(leaver->uffd, leaver->token);
	expect(leaver->fd >= 0, "a session");
}

static void bring_guard(struct leaver *leaver)
{
	static struct answer answer;

	leaver->guard = guard_of(leaver->token, &answer);
	let_go(&answer);
}

static void map_its_memory(struct leaver *leaver)
{
	static struct answer answer;
	const size_t length = N_PAGES * PAGE;
	void *memory = mmap(NULL, length, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	expect(memory != MAP_FAILED, "addresses");
	leaver->memory = memory;
	expect(!ask_keep(leaver->fd,
			 map_at((uint64_t)memory, N_PAGES,
				WMAP_PRIVATE | WMAP_ANONYMOUS),
			 -1, &answer) &&
		       !uffd_register(leaver->uffd, (uint64_t)memory, length,
				      answer.reply.args[0]),
	       "a mapping");
}

static void map_privately(struct leaver *leaver)
{
	enter_as_leaver(leaver);
	bring_guard(leaver);
	map_its_memory(leaver);
}

/* A client as it should be, beside. */
static int be_modest(int unused)
{
	const size_t length = N_PAGES * PAGE;
	uint64_t *memory;

	(void)unused;
	setenv("WMAP_SOCKET", socket_name, 1);
	memory = (void *)memory_map(length, READ_WRITE,
				    WMAP_PRIVATE | WMAP_ANONYMOUS, -1, 0);
	for (unsigned round = 0; round < 2; round++)
		for (uint64_t i = 0; i < N_PAGES; i++) {
			if (memory[i * PAGE / 8] != (round ? i + round : 0))
				return 2;
			memory[i * PAGE / 8] = i + round + 1;
		}
	return 0;
}

static void unmap_privately(const struct leaver *leaver)
{
	munmap(leaver->memory, N_PAGES * PAGE);
	close(leaver->guard);
	close(leaver->fd);
	close(leaver->uffd);
}

static void begin(bool keeper)
{
	setenv("WMAP_MEMORY", "1M", 1);
	start_wmapd_with(keeper);
}

static void end(void)
{
	int status = -1;

	kill(wmapd, SIGTERM);
	ck_assert_int_eq(waitpid(wmapd, &status, 0), wmapd);
	ck_assert_int_eq(status, 0);
}

START_TEST(who_lies_harms_nobody)
{
	unsigned lie = (unsigned)_i;
	struct leaver leaver = { .lie = lie };
	pthread_t thread;
	pid_t modest;

	begin(false);
	map_privately(&leaver);
	/* Before there is a thread, which may hold AddressSanitizer's locks. */
	modest = process_start(be_modest, 0);
	expect(!pthread_create(&thread, NULL, store_privately, &leaver),
	       "a thread");
	answer_for(&leaver);
	pthread_join(thread, NULL);
	expect(leaver.asked[0], "it is asked");
	expect(!leaver.asked[1] == (lie == 1 || lie == 2 || lie == 5),
	       "and asked on, if it answers");
	expect(!leaver.wrong, "what it has is right");
	process_ends_well(modest);
	unmap_privately(&leaver);
	end();
}
END_TEST

/* ---- Without lies ----------------------------------------------------------- */

/* While its agent does what it is asked. */
static void ask_to_unmap(struct leaver *leaver)
{
	static struct answer answer;
	struct pollfd one = { .fd = leaver->fd, .events = POLLIN };

	say_to(leaver->fd,
	       &REQUEST(MESSAGE_UNMAP, .address = (uint64_t)leaver->memory,
			.length = N_PAGES * PAGE),
	       NULL, 0);
	while (!poll(&one, 1, 0))
		answer_next(leaver, &answer);
	expect(!hear(leaver->fd, &answer), "it goes");
}

/* Nor is it counted otherwise than what came later: wmapd would end. */
START_TEST(what_was_there_before_an_agent_leaves)
{
	struct leaver leaver = { .lie = 0 };
	pthread_t thread;

	begin(false);
	enter_as_leaver(&leaver);
	map_its_memory(&leaver);
	memset(leaver.memory, 0, N_PAGES * PAGE / 4);
	bring_guard(&leaver);
	expect(!pthread_create(&thread, NULL, store_privately, &leaver),
	       "a thread");
	answer_for(&leaver);
	pthread_join(thread, NULL);
	expect(leaver.asked[1] && !leaver.wrong, "and comes back");
	ask_to_unmap(&leaver);
	unmap_privately(&leaver);
	end();
}
END_TEST

/* ---- Over a takeover -------------------------------------------------------- */

static void kill_kept(void)
{
	pid_t pid = process_only_child(wmapd); /* a keeper's */

	expect(pid && !kill(pid, SIGKILL), "wmapd is killed");
}

static void replace_kept(void)
{
	char command[512];

	snprintf(command, sizeof(command), "%s/wmapd --replace --socket %s",
		 getenv("WMAP_BIN"), socket_name);
	expect(!system(command), "wmapd is replaced");
}

static void hear_of_successor(int fd)
{
	static struct answer answer;

	do
		expect(!hear(fd, &answer), "a successor");
	while (!(answer.reply.flags & WIRE_RESTARTED));
}

static void (*const ways[])(void) = { kill_kept, replace_kept };

/* A page of which wmapd wants to be rid is dropped when another one is there: it
   may be stored to from when that is known on. */
START_TEST(a_late_drop_is_waited_for)
{
	static struct answer answer;
	struct leaver leaver = { .held = 5 };
	struct wire_request guard;
	pthread_t thread;

	begin(true);
	map_privately(&leaver);
	guard = ask_to_guard(leaver.token);
	expect(!pthread_create(&thread, NULL, store_privately, &leaver),
	       "a thread");
	while (leaver.asked[1] < leaver.held)
		answer_next(&leaver, &answer);
	ways[_i]();
	hear_of_successor(leaver.fd);
	drop_while_asking(&leaver, &guard, &answer);
	expect(!leaver.over, "who stores has waited, too");
	answer_for(&leaver);
	pthread_join(thread, NULL);
	expect(!leaver.wrong, "and finds what it has stored");
	unmap_privately(&leaver);
	end();
}
END_TEST

int main(void)
{
	TCase *facts = facts_case("leavers", 60);

	if (!facts_possible(WMAP_FEATURE_POISON))
		return facts_run(facts);
	tcase_add_loop_test(facts, who_lies_harms_nobody, 0, LIES);
	tcase_add_test(facts, what_was_there_before_an_agent_leaves);
	tcase_add_loop_test(facts, a_late_drop_is_waited_for, 0, COUNT(ways));
	return facts_run(facts);
}
