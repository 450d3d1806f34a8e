/* SPDX-License-Identifier: MIT */
/*
 * Strangers who say anything to a real wmapd, in any order
 *
 * What each says is well formed more often than not, and speaks of what it has: so
 * it gets past the parser, into the books. It has sessions, guards and embryos, and
 * rescues; it maps, places, touches, cuts and moves, or says that it did; with the
 * right descriptors or with others; it waits for the answer or does not, and is
 * killed at any moment. All the while a good client's data must be right. After
 * all of it wmapd is the same process, has no more descriptors than before, serves
 * a new client and ends well.
 *
 * The seed is printed, and WMAP_SEED repeats what each stranger says; not how they
 * interleave.
 */
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/wait.h>

#include "raw.h"
#include "support.h"

#define WINDOW	    128 /* pages that it speaks of, from at */
#define FILE_PAGES  64
#define CONNECTIONS 5
#define TOUCHERS    6
#define STRANGERS   3 /* at a time */
#define STEPS	    400

static uint64_t at;
static char directory[64] = "/tmp/wmap-strangers-XXXXXX";

static struct {
	_Atomic bool stop;
	_Atomic unsigned rounds;
} * shared;

/* ---- A stranger ------------------------------------------------------------------ */

struct stranger {
	uint64_t random;
	int connections[CONNECTIONS];
	int uffd, file, memfd, embryo;
	uint64_t token[2];
	uint64_t number; /* the last that an answer had: of a hint, of a prefetch */
	unsigned touchers;
};

static uint64_t below(struct stranger *stranger, uint64_t n)
{
	return random_below(&stranger->random, n);
}

static bool one_in(struct stranger *stranger, uint64_t n)
{
	return !below(stranger, n);
}

static int open_in(const char *name, int flags)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	return open(path, flags | O_CREAT | O_CLOEXEC, 0644);
}

static uint64_t some_address(struct stranger *stranger)
{
	static const uint64_t odd[] = { 0,
					1,
					PAGE,
					((uint64_t)1 << 47) - PAGE,
					(uint64_t)1 << 47,
					UINT64_MAX - PAGE + 1,
					UINT64_MAX };

	if (one_in(stranger, 30))
		return odd[below(stranger, COUNT(odd))];
	return at + below(stranger, WINDOW) * PAGE;
}

static uint64_t some_length(struct stranger *stranger)
{
	static const uint64_t odd[] = { 0,
					1,
					(uint64_t)1 << 30,
					(uint64_t)1 << 46,
					((uint64_t)1 << 47) - 2 * PAGE,
					UINT64_MAX };

	if (one_in(stranger, 30))
		return odd[below(stranger, COUNT(odd))];
	return (1 + below(stranger, one_in(stranger, 4) ? WINDOW : 8)) * PAGE;
}

static uint64_t some_number(struct stranger *stranger)
{
	switch (below(stranger, 8)) {
	case 0:
	case 1:
		return 0;
	case 2:
	case 3:
		return 1;
	case 4:
		return stranger->number;
	case 5:
		return some_length(stranger);
	case 6:
		return some_address(stranger);
	default:
		return (uint64_t)1 << below(stranger, 64);
	}
}

/* A descriptor of a kind that wmapd knows, or does not. Is to be closed. Not the
   good client's file for who moves in: what a file's memory is it may say, if that
   is mapped nowhere just then (daemon/wmapd/adopt.c). */
static int some_fd(struct stranger *stranger, unsigned kind)
{
	unsigned features;
	int pair[2];

	switch (below(stranger, 16)) {
	case 0:
		return sys_uffd_open(&features);
	case 1:
		return dup(stranger->memfd);
	case 2:
		return memfd_create("stranger", MFD_CLOEXEC);
	case 3:
		return open_in("read", O_RDONLY);
	case 4:
		return open_in("own", O_WRONLY);
	case 5:
		return open_in("own", O_PATH);
	case 6:
		return open(directory, O_RDONLY | O_DIRECTORY);
	case 7:
		return eventfd(0, 0);
	case 8:
		return open("/dev/zero", O_RDWR);
	case 9:
		return open("/proc/self/pagemap", O_RDONLY);
	case 10:
		if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) != 0)
			return -1;
		close(pair[1]);
		return pair[0];
	case 11:
		return dup(stranger->connections[below(stranger, CONNECTIONS)]);
	case 12:
		return kind == WIRE_ADOPT_OBJECT ? dup(stranger->file) :
						   open_in("good", O_RDONLY);
	case 13:
		return open_in("own", O_RDWR | O_APPEND);
	case 14:
		return dup(stranger->uffd);
	default:
		return dup(stranger->file);
	}
}

static int sealed(const char *name, const void *bytes, size_t size)
{
	int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd >= 0 && (write(fd, bytes, size) != (ssize_t)size ||
			fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK) != 0))
		fd = (close(fd), -1);
	return fd;
}

static int some_ranges(struct stranger *stranger, uint64_t *n)
{
	struct wire_range ranges[16];

	*n = 1 + below(stranger, COUNT(ranges));
	for (unsigned i = 0; i < *n; i++)
		ranges[i] = (struct wire_range){ some_address(stranger),
						 some_length(stranger) };
	return sealed("ranges", ranges, (size_t)*n * sizeof(ranges[0]));
}

static int some_states(struct stranger *stranger)
{
	char states[FILE_PAGES];

	for (unsigned i = 0; i < sizeof(states); i++)
		states[i] = (char)below(stranger, one_in(stranger, 40) ? 9 : 4);
	return sealed("states", states, 1 + below(stranger, sizeof(states)));
}

static int some_memory(void)
{
	static const char bytes[FILE_PAGES * PAGE];

	return sealed("memory", bytes, sizeof(bytes));
}

struct saying {
	struct wire_request request;
	int fds[4];
	unsigned n_fds;
};

static void with(struct saying *saying, int fd)
{
	if (fd >= 0 && saying->n_fds < COUNT(saying->fds))
		saying->fds[saying->n_fds++] = fd;
}

static void with_embryo(struct stranger *stranger, struct saying *saying)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
		return;
	with(saying, pair[0]);
	if (stranger->embryo >= 0)
		close(stranger->embryo);
	stranger->embryo = pair[1];
}

static void mapping_args(struct stranger *stranger, uint64_t *args)
{
	static const uint64_t kinds[] = { WMAP_SHARED, WMAP_PRIVATE,
					  WMAP_SHARED | WMAP_ANONYMOUS,
					  WMAP_PRIVATE | WMAP_ANONYMOUS,
					  WMAP_SHARED | WMAP_GROWSUP };

	args[0] = one_in(stranger, 3) ? below(stranger, 8) :
					PROT_READ | PROT_WRITE;
	args[1] = kinds[below(stranger, COUNT(kinds))];
	if (one_in(stranger, 4))
		args[1] |= WMAP_REPLACE | WMAP_FIXED;
	args[2] = below(stranger, 8) * PAGE;
	args[3] = one_in(stranger, 4) ? (uint64_t)1 << below(stranger, 11) : 1;
	args[4] = one_in(stranger, 4) ? 1 + below(stranger, 1000000) :
					10000000000u;
	args[5] = args[1] & WMAP_GROWSUP && one_in(stranger, 2);
	args[6] = one_in(stranger, 6) ? (uint64_t)1 << 20 : 0;
}

/* What a @kind wants, as far as it can be told without its answers. */
static void fit(struct stranger *stranger, struct saying *saying)
{
	struct wire_request *request = &saying->request;
	uint64_t *args = request->args;

	switch (request->kind) {
	case MESSAGE_MAP:
		mapping_args(stranger, args);
		if (!(args[1] & WMAP_ANONYMOUS))
			with(saying, dup(stranger->file));
		break;
	case MESSAGE_MOVE:
		args[0] = some_address(stranger);
		args[1] = some_length(stranger);
		args[2] = one_in(stranger, 2);
		args[3] = one_in(stranger, 2);
		break;
	case MESSAGE_PROTECT:
		args[0] = below(stranger, 8);
		args[1] = one_in(stranger, 4);
		break;
	case MESSAGE_ADVISE:
		args[0] = below(stranger, 30);
		break;
	case MESSAGE_SYNC:
	case MESSAGE_GROW:
	case MESSAGE_PIN:
	case MESSAGE_UNMAP:
		for (unsigned i = 0; i < 3; i++)
			args[i] = one_in(stranger, 2);
		break;
	case MESSAGE_MEMORY:
		args[0] = one_in(stranger, 2) ? 0 : (uint64_t)1 << 20;
		args[1] = one_in(stranger, 2);
		break;
	case MESSAGE_PREFETCH:
		with(saying, some_ranges(stranger, &args[0]));
		break;
	case MESSAGE_PREFETCH_WAIT:
		args[0] = stranger->number;
		args[1] = one_in(stranger, 2);
		break;
	case MESSAGE_FILE_SYNC:
	case MESSAGE_FILE_WRITING:
	case MESSAGE_FILE_WRITTEN:
	case MESSAGE_FILE_LENGTH:
		args[2] = below(stranger, FILE_PAGES) * PAGE;
		args[3] = some_length(stranger);
		args[4] = one_in(stranger, 2);
		with(saying, dup(stranger->file));
		break;
	case WIRE_JOIN:
	case WIRE_GUARD:
		memcpy(args, stranger->token, sizeof(stranger->token));
		break;
	case WIRE_HELLO:
	case WIRE_ATTACH:
		args[0] = one_in(stranger, 2);
		with(saying, dup(stranger->uffd));
		break;
	case WIRE_FORK:
		with_embryo(stranger, saying);
		break;
	case WIRE_ADOPT_OBJECT:
		args[0] = 1 + below(stranger, 2);
		with(saying, some_memory());
		with(saying, some_states(stranger));
		if (one_in(stranger, 2))
			with(saying, dup(stranger->file));
		break;
	case WIRE_ADOPT_MAPPING:
		args[0] = below(stranger, 8);
		args[1] = PROT_READ | PROT_WRITE;
		args[2] = one_in(stranger, 2) ? WMAP_SHARED :
						WMAP_PRIVATE | WMAP_ANONYMOUS;
		args[3] = 1;
		args[4] = 10000000000u;
		args[5] = below(stranger, WIRE_BITS + 1);
		args[6] = below(stranger, 3);
		with(saying, some_states(stranger));
		break;
	case WIRE_RESCUE:
		args[0] = below(stranger, 3);
		memcpy(&args[1], stranger->token, sizeof(stranger->token));
		with(saying, dup(stranger->uffd));
		if (one_in(stranger, 2)) {
			with(saying, some_memory());
			with(saying, some_memory());
		}
		break;
	case WIRE_HAND:
		args[0] = 1 + below(stranger, 4);
		args[1] = one_in(stranger, 2);
		with(saying, some_memory());
		break;
	case WIRE_HIDDEN:
		args[0] = stranger->number;
		if (one_in(stranger, 2))
			with(saying, open("/proc/self/pagemap", O_RDONLY));
		break;
	default:
		for (unsigned i = 0; i < 3; i++)
			args[i] = below(stranger, 3);
	}
}

static void think_of(struct stranger *stranger, struct saying *saying)
{
	static const uint16_t usual[] = {
		MESSAGE_MAP,	  MESSAGE_MAP,	MESSAGE_MAP,   MESSAGE_UNMAP,
		MESSAGE_MOVE,	  MESSAGE_GROW, MESSAGE_SYNC,  MESSAGE_PROTECT,
		MESSAGE_PREFETCH, WIRE_HELLO,	WIRE_INHERITED
	};
	bool all = one_in(stranger, 2);

	memset(saying, 0, sizeof(*saying));
	saying->request.kind = all ? (uint16_t)below(stranger, WIRE_KINDS + 1) :
				     usual[below(stranger, COUNT(usual))];
	/* That ends wmapd, if root says it: it is for another test. */
	if (saying->request.kind == WIRE_REPLACE)
		saying->request.kind = WIRE_HINTS;
	saying->request.flags = one_in(stranger, 10) ? WIRE_AGAIN : 0;
	saying->request.address = some_address(stranger);
	saying->request.length = some_length(stranger);
	fit(stranger, saying);
	if (one_in(stranger, 12))
		saying->request.args[below(stranger, WIRE_ARGS)] =
			some_number(stranger);
	if (saying->n_fds && one_in(stranger, 8)) {
		unsigned which = (unsigned)below(stranger, saying->n_fds);
		int other = some_fd(stranger, saying->request.kind);

		if (other >= 0) {
			close(saying->fds[which]);
			saying->fds[which] = other;
		}
	}
	if (one_in(stranger, 60))
		with(saying, some_fd(stranger, saying->request.kind));
}

/* ---- What it does beside ---------------------------------------------------------- */

/* It races with what is done to the mapping, as it is to. */
__attribute__((no_sanitize("thread"))) static void *touch(void *page)
{
	volatile char *byte = page;

	if ((uintptr_t)page & 1)
		*byte = 1;
	else
		(void)*byte;
	return NULL;
}

static void stand_still(int signal)
{
	(void)signal;
	for (;;)
		pause();
}

/* Whoever waits for a page that nobody brings waits until the process ends. */
static void touch_somewhere(struct stranger *stranger)
{
	pthread_t thread;
	uint64_t byte =
		at + below(stranger, WINDOW) * PAGE + below(stranger, 2);

	if (stranger->touchers < TOUCHERS &&
	    !pthread_create(&thread, NULL, touch, (void *)(uintptr_t)byte)) {
		pthread_detach(thread);
		stranger->touchers++;
	}
}

/* Not to be stored to if it did not ask for that: one's own user's processes get
   memory that they could store to, and the good client's file is among it. */
static void place(const struct saying *saying, const struct answer *answer,
		  int uffd)
{
	uint64_t to = saying->request.address, length = saying->request.length;
	bool private = saying->request.args[1] & WMAP_PRIVATE;
	int prot = (int)saying->request.args[0] & PROT_WRITE;

	if (to < at || to >= at + WINDOW * PAGE ||
	    length > at + WINDOW * PAGE - to)
		return;
	if (mmap((void *)(uintptr_t)to, length, PROT_READ | prot,
		 MAP_FIXED | (private ? MAP_PRIVATE : MAP_SHARED) |
			 (answer->n_fds ? 0 : MAP_ANONYMOUS),
		 answer->n_fds ? answer->fds[0] : -1, 0) != MAP_FAILED)
		uffd_register(uffd, to, length, answer->reply.args[0]);
}

static void change_something(struct stranger *stranger)
{
	uint64_t start = at + below(stranger, WINDOW) * PAGE;
	size_t length = (1 + below(stranger, 8)) * PAGE;
	void *memory = (void *)(uintptr_t)start;

	length = min_u64(length, at + WINDOW * PAGE - start);
	switch (below(stranger, 8)) {
	case 0:
		if (ftruncate(stranger->file,
			      (off_t)(below(stranger, FILE_PAGES) * PAGE)))
			break;
		break;
	case 1:
		madvise(memory, length, MADV_DONTNEED);
		break;
	case 2:
		mmap(memory, length, PROT_READ | PROT_WRITE,
		     MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		break;
	case 3:
		ioctl(stranger->uffd, UFFDIO_UNREGISTER,
		      &(struct uffdio_range){ start, length });
		break;
	case 4:
		fcntl(stranger->file, F_SETFL,
		      one_in(stranger, 2) ? O_APPEND : 0);
		break;
	case 5:
		fcntl(stranger->uffd, F_SETFL,
		      one_in(stranger, 2) ? 0 : O_NONBLOCK);
		break;
	default:
		touch_somewhere(stranger);
	}
}

/* ---- Its life --------------------------------------------------------------------- */

static void listen_to(struct stranger *stranger, unsigned which,
		      const struct saying *saying)
{
	static struct answer answer;
	struct pollfd one = { .fd = stranger->connections[which],
			      .events = POLLIN };
	int result;

	if (poll(&one, 1, one_in(stranger, 10) ? 300 : 50) != 1)
		return;
	result = hear(one.fd, &answer);
	if (result == -ENOTCONN) {
		close(one.fd);
		stranger->connections[which] = -1;
		return;
	}
	if (answer.reply.flags)
		stranger->number = answer.reply.args[0];
	else if (!result && saying && saying->request.kind == WIRE_HELLO)
		memcpy(stranger->token, answer.reply.args,
		       sizeof(stranger->token));
	else if (!result && saying && saying->request.kind == MESSAGE_PREFETCH)
		stranger->number = answer.reply.args[0];
	else if (!result && saying && saying->request.kind == MESSAGE_MAP &&
		 !one_in(stranger, 4))
		place(saying, &answer, stranger->uffd);
	let_go(&answer);
}

static void step(struct stranger *stranger)
{
	unsigned which = (unsigned)below(stranger, CONNECTIONS);
	struct saying saying;
	int *fd = &stranger->connections[which];

	if (one_in(stranger, 4))
		change_something(stranger);
	if (*fd >= 0 && one_in(stranger, 40)) {
		close(*fd);
		*fd = -1;
	}
	if (*fd < 0 && stranger->embryo >= 0 && one_in(stranger, 2)) {
		*fd = stranger->embryo;
		stranger->embryo = -1;
	}
	if (*fd < 0 && (*fd = dial()) < 0)
		return;
	think_of(stranger, &saying);
	if (saying.request.kind == WIRE_HELLO) {
		unsigned features;
		int uffd = sys_uffd_open(&features);

		if (uffd >= 0) {
			dup2(uffd, stranger->uffd);
			close(uffd);
		}
	}
	say_to(*fd, &saying.request, saying.fds, saying.n_fds);
	for (unsigned i = 0; i < saying.n_fds; i++)
		close(saying.fds[i]);
	if (!one_in(stranger, 12))
		listen_to(stranger, which, &saying);
}

__attribute__((noreturn)) static void live(uint64_t seed)
{
	struct stranger stranger = { .random = seed, .embryo = -1 };
	struct saying hello = { .request = { .kind = WIRE_HELLO } };
	unsigned steps, features;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	alarm(20);
	signal(SIGBUS, stand_still);
	signal(SIGSEGV, stand_still);
	for (unsigned i = 0; i < CONNECTIONS; i++)
		stranger.connections[i] = -1;
	stranger.uffd = sys_uffd_open(&features);
	stranger.file = open_in("own", O_RDWR);
	stranger.memfd = memfd_create("stranger", MFD_CLOEXEC);
	if (stranger.uffd < 0 || stranger.file < 0 ||
	    ftruncate(stranger.file, FILE_PAGES * (off_t)PAGE) != 0)
		_exit(1);
	stranger.connections[0] = dial();
	if (!say_to(stranger.connections[0], &hello.request, &stranger.uffd, 1))
		listen_to(&stranger, 0, &hello);
	steps = (unsigned)below(&stranger, STEPS);
	for (unsigned i = 0; i < steps; i++)
		step(&stranger);
	_exit(0);
}

/* ---- Beside them: who behaves ------------------------------------------------------ */

static void check_file(const char *memory, const uint32_t *stored)
{
	for (unsigned i = 0; i < FILE_PAGES; i++) {
		uint32_t word;

		memcpy(&word, memory + i * PAGE, sizeof(word));
		if (word != stored[i])
			printf("page %u: %u, not %u; round %u\n", i, word,
			       stored[i], shared->rounds);
		expect(word == stored[i], "the good client's bytes");
	}
}

__attribute__((noreturn)) static void behave(void)
{
	static uint32_t stored[FILE_PAGES];
	int file = open_in("good", O_RDWR);

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	expect(file >= 0 && !ftruncate(file, 0) &&
		       !ftruncate(file, FILE_PAGES * (off_t)PAGE),
	       "a file");
	while (!shared->stop) {
		char *memory = wmap_map(NULL, FILE_PAGES * PAGE,
					PROT_READ | PROT_WRITE, WMAP_SHARED,
					file, 0, NULL);

		expect(memory != MAP_FAILED, "the good client's mapping");
		check_file(memory, stored);
		for (unsigned i = 0; i < FILE_PAGES; i += 1 + i % 3)
			*(uint32_t *)(void *)(memory + i * PAGE) = ++stored[i];
		check_file(memory, stored);
		expect(!wmap_sync(memory, FILE_PAGES * PAGE, WMAP_SYNC_WAIT) &&
			       !wmap_unmap(memory, FILE_PAGES * PAGE),
		       "the good client's calls");
		for (unsigned i = 0; i < FILE_PAGES; i++) {
			uint32_t word;

			expect(pread(file, &word, sizeof(word),
				     (off_t)(i * PAGE)) == sizeof(word) &&
				       word == stored[i],
			       "what it stored is in its file");
		}
		shared->rounds++;
	}
	_exit(0);
}

/* ---- All of it --------------------------------------------------------------------- */

static pid_t begin_stranger(uint64_t seed)
{
	pid_t pid = fork();

	if (!pid)
		live(seed);
	expect(pid > 0, "fork");
	return pid;
}

/* The numbers of those who came; how many were killed. */
static unsigned let_them_talk(uint64_t seed, unsigned *killed)
{
	uint64_t end = time_now() +
		       facts_number("WMAP_TORTURE_SECONDS", 3) * 1000000000;
	pid_t pids[STRANGERS] = { 0 };
	uint64_t random = seed;
	unsigned n = 0;

	while (time_now() < end) {
		unsigned which = n % STRANGERS;

		if (pids[which]) {
			if (!random_below(&random, 2)) {
				usleep((useconds_t)random_below(&random,
								30000));
				kill(pids[which], SIGKILL);
				++*killed;
			}
			waitpid(pids[which], NULL, 0);
		}
		pids[which] = begin_stranger(seed + ++n);
	}
	for (unsigned i = 0; i < STRANGERS; i++)
		if (pids[i]) {
			kill(pids[i], SIGKILL);
			waitpid(pids[i], NULL, 0);
		}
	return n;
}

static pid_t tester; /* whose children may end by exit, too */

static void remove_directory(void)
{
	static const char *const names[] = { "own", "read", "good" };
	char path[128];

	if (getpid() != tester)
		return;
	for (unsigned i = 0; i < COUNT(names); i++) {
		snprintf(path, sizeof(path), "%s/%s", directory, names[i]);
		unlink(path);
	}
	rmdir(directory);
}

static pid_t begin_good(void)
{
	pid_t pid = fork();

	if (!pid) {
		setenv("WMAP_SOCKET", socket_name, 1);
		behave();
	}
	expect(pid > 0, "fork");
	shared->stop = false;
	shared->rounds = 0;
	while (shared->rounds < 3 && waitpid(pid, NULL, WNOHANG) != pid)
		usleep(1000);
	return pid;
}

static bool end_good(pid_t pid)
{
	int status;

	shared->stop = true;
	return waitpid(pid, &status, 0) == pid && !status;
}

/* What wmapd opens when it is first asked for it, and keeps. */
static void ask_for_a_guard(void)
{
	static struct answer answer;
	uint64_t token[TOKEN];
	int uffd = uffd_new(), fd = enter_with(uffd, token), guard;

	expect(fd >= 0, "a session");
	guard = guard_of(token, &answer);
	let_go(&answer);
	close(guard);
	close(fd);
	close(uffd);
}

static bool has_what_it_had(void *before)
{
	return process_descriptors(wmapd) <= *(unsigned *)before;
}

int main(void)
{
	uint64_t seed = random_seed();
	unsigned n, before, killed = 0;
	bool well;
	int status, fd;
	pid_t good;

	need_pager();
	if (!getenv("WMAP_BIN") || !mkdtemp(directory))
		return 1;
	tester = getpid();
	atexit(remove_directory);
	shared = mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	at = (uint64_t)(uintptr_t)mmap(NULL, WINDOW * PAGE,
				       PROT_READ | PROT_WRITE,
				       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	start_wmapd();
	well = end_good(begin_good());
	ask_for_a_guard();
	usleep(200000);
	before = process_descriptors(wmapd);
	good = begin_good();
	n = let_them_talk(seed, &killed);
	well &= end_good(good);
	printf("%u strangers, %u killed; %u rounds\n", n, killed,
	       shared->rounds);
	expect(!waitpid(wmapd, &status, WNOHANG), "wmapd lives");
	expect(well, "the good client is as it should be");
	expect(process_wait(has_what_it_had, &before, 3),
	       "no descriptor is left");
	fd = enter();
	expect(fd >= 0, "a new client is served");
	close(fd);
	kill(wmapd, SIGTERM);
	expect(waitpid(wmapd, &status, 0) == wmapd && !status,
	       "wmapd ends well");
	return 0;
}
