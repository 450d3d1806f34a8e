/* SPDX-License-Identifier: MIT */
/*
 * Two users and one wmapd, by the raw protocol
 *
 * Root's process has a file mapped for writing that everybody may read. Nobody's
 * asks for all that there is, with numbers of its own choice, and tries to change
 * whatever it is given. It must not change a byte of root's, map what it cannot
 * open, come into root's process, or use up what root needs. Nor must who was root
 * and has become nobody: it is served on, as root's, and has no more of root's.
 */
#include <fcntl.h>
#include <grp.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "pager.h"
#include "raw.h"
#include "support.h"

#define NOBODY	65534
#define N_PAGES 4
#define AT	((uint64_t)1 << 40)

static char directory[64] = "/tmp/wmap-users-XXXXXX";
static char *memory; /* root's mapping */

static int open_in(const char *name, int flags, mode_t mode)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	return open(path, flags | O_CLOEXEC, mode);
}

/* ---- What is given ----------------------------------------------------------- */

static bool is_ours(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
	       st.st_uid == NOBODY;
}

static bool can_store(int fd)
{
	char *at = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (at == MAP_FAILED)
		at = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0);
	if (at == MAP_FAILED)
		return false;
	return mprotect(at, PAGE, PROT_READ | PROT_WRITE) == 0;
}

/* Whatever changes a file, or what may be done with it. */
static bool can_change(int fd)
{
	char byte = 'x';

	return pwrite(fd, &byte, 1, 0) == 1 || ftruncate(fd, 0) == 0 ||
	       ftruncate(fd, (off_t)1 << 30) == 0 || fchmod(fd, 0666) == 0 ||
	       fchown(fd, NOBODY, NOBODY) == 0 ||
	       fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE) == 0 ||
	       fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
			 PAGE) == 0 ||
	       can_store(fd);
}

static void attack(int fd, const char *what)
{
	char path[32];
	int again;

	if (is_ours(fd))
		return;
	expect(!can_change(fd), what);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	again = open(path, O_RDWR);
	expect(again < 0 || !can_change(again), what);
	if (again >= 0)
		close(again);
}

/* Ask, and attack what comes with the answer; the result. */
static int ask_for(int fd, struct wire_request request, int with,
		   const char *what)
{
	static struct answer answer;
	int result = ask_keep(fd, request, with, &answer);

	if (result == -EAGAIN || result == -ENOTCONN)
		return result;
	for (unsigned i = 0; i < answer.n_fds; i++) {
		attack(answer.fds[i], what);
		close(answer.fds[i]);
	}
	return result;
}

/* ---- What is asked for ------------------------------------------------------- */

/* All that there is to be said of a mapping; how often it was granted. */
static unsigned say_all_of(int fd, uint64_t at)
{
	const uint64_t range = N_PAGES * PAGE;
	unsigned granted = 0;

	for (unsigned i = 0; i < 4; i++) {
		granted += !ask_for(fd, REQUEST(MESSAGE_FRAME, .address = at),
				    -1, "memory for a frame");
		granted += !ask_for(fd,
				    REQUEST(MESSAGE_PROTECT, .address = at,
					    .length = PAGE, .args = { i }),
				    -1, "memory of a protection");
		granted += !ask_for(
			fd,
			REQUEST(MESSAGE_MOVE, .address = at, .length = range,
				.args = { at, range, i & 1, i >> 1 }),
			-1, "memory of a moving");
	}
	for (unsigned advice = 0; advice < 8; advice++)
		granted += !ask_for(fd,
				    REQUEST(MESSAGE_ADVISE, .address = at,
					    .length = PAGE, .args = { advice }),
				    -1, "advice");
	return granted;
}

static void look_at_a_child(int fd)
{
	static struct answer answer;
	int ends[2], n;

	expect(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends) == 0, "a child");
	expect(!ask_for(fd, REQUEST(WIRE_FORK, .args = { 1, 2 }), ends[1],
			"a fork"),
	       "a fork");
	n = hear(ends[0], &answer);
	expect(n == 0 && answer.n_fds, "a child's pieces");
	for (unsigned i = 0; i < answer.n_fds; i++)
		attack(answer.fds[i], "memory of a child's");
	close(ends[0]);
	close(ends[1]);
}

/* Every kind of mapping of a file that may only be read. */
static void map_all_ways(void)
{
	int fd = enter_surely(), file = open_in("file", O_RDONLY, 0);
	unsigned granted = 0;

	expect(file >= 0, "the file may be read");
	for (unsigned i = 0; i < 16; i++) {
		struct wire_request map =
			map_at(AT + i * 64 * PAGE, N_PAGES,
			       i & 1 ? WMAP_SHARED : WMAP_PRIVATE);

		map.args[0] = i >> 1 & 3; /* prot */
		map.args[2] = i & 8 ? PAGE : 0;
		granted += !ask_for(fd, map, file, "memory of a mapping");
		granted += say_all_of(fd, map.address);
	}
	expect(granted > 100, "much is granted");
	look_at_a_child(fd);
	close(fd);
}

static void change_the_file(void)
{
	int fd = enter_surely(), file = open_in("file", O_RDONLY, 0);
	struct wire_request map = map_at(AT, N_PAGES, WMAP_SHARED);
	static const uint16_t kinds[] = { MESSAGE_FILE_SYNC,
					  MESSAGE_FILE_WRITING,
					  MESSAGE_FILE_WRITTEN,
					  MESSAGE_FILE_LENGTH };

	expect(ask(fd, map, file) == -EACCES, "no mapping for stores");
	map.args[0] = PROT_READ;
	expect(!ask_for(fd, map, file, "the mapping's memory"), "one to read");
	for (size_t i = 0; i < lengthof(kinds); i++)
		for (unsigned k = 0; k < 4; k++)
			ask_for(fd,
				REQUEST(kinds[i],
					.args = { 0, 0, 0, k * PAGE, k }),
				file, "the file's memory");
	for (unsigned wait = 0; wait < 2; wait++)
		ask_for(fd,
			REQUEST(MESSAGE_SYNC, .address = AT, .length = PAGE,
				.args = { wait, 1, 1 }),
			-1, "a sync");
	close(fd);
}

/* What was never opened, or not for reading. */
static void map_what_is_closed(void)
{
	struct wire_request map = map_at(AT, N_PAGES, WMAP_PRIVATE);
	int fd = enter_surely();
	int path = open_in("secret", O_PATH, 0);
	int own = open_in("drop/own", O_WRONLY | O_CREAT, 0222);

	map.args[0] = PROT_READ;
	expect(open_in("secret", O_RDONLY, 0) < 0, "the secret is one");
	expect(path >= 0 && ask(fd, map, path) < 0, "no mapping by a path");
	expect(own >= 0 && ask(fd, map, own) < 0, "nor of write-only");
	close(fd);
}

/* By all tokens that come to mind, and the numbers of others. */
static void come_in(void)
{
	uint64_t number = 0;

	for (uint64_t i = 0; i < 64; i++) {
		int fd = dial();

		expect(ask(fd,
			   REQUEST((uint16_t)(i % 2 ? WIRE_JOIN : WIRE_GUARD),
				   .args = { i, i * i }),
			   -1) < 0,
		       "no joining by a token that is guessed");
		close(fd);
	}
	for (int i = 0; i < 8; i++) {
		static struct answer answer;
		const struct wire_space *told = (const void *)answer.bytes;
		int fd = dial();

		memset(answer.bytes, 0xff, sizeof(answer.bytes));
		expect(!ask_keep(fd, REQUEST(WIRE_SPACES, .address = number),
				 -1, &answer),
		       "who is served is told");
		expect(!answer.reply.args[0] && told->uid == UINT32_MAX,
		       "but not of others");
		close(fd);
		fd = dial();
		expect(ask(fd, REQUEST(WIRE_MAPPINGS, .args = { (uint64_t)i }),
			   -1) < 0,
		       "nor what they have mapped");
		close(fd);
	}
	expect(ask(dial(), REQUEST(WIRE_REPLACE), -1) == -EPERM,
	       "nobody replaces it");
}

static uint64_t roots_token[TOKEN];

/* By the right token, as a child has it that has given up its privilege. */
static void come_in_by_token(void)
{
	static const uint16_t kinds[] = { WIRE_JOIN, WIRE_GUARD };
	static struct answer answer;

	for (size_t i = 0; i < lengthof(kinds); i++) {
		struct wire_request request = ask_to_guard(roots_token);

		request.kind = kinds[i];
		expect(ask_keep(dial(), request, -1, &answer) == -EPROTO &&
			       !answer.n_fds,
		       "no joining by a token of root's");
	}
}

/* With memory of its own making, which others would be shown. */
static void move_in(void)
{
	struct wire_request object = REQUEST(WIRE_ADOPT_OBJECT, .args = { 1 });
	static struct answer answer;
	int fd = dial(), fds[3] = {
		memfd_create("forged", MFD_CLOEXEC | MFD_ALLOW_SEALING),
		memfd_create("states", MFD_CLOEXEC),
		open_in("file", O_RDONLY, 0),
	};

	expect(!ftruncate(fds[0], N_PAGES * PAGE) &&
		       !fcntl(fds[0], F_ADD_SEALS, F_SEAL_SHRINK),
	       "memory");
	ask(fd, REQUEST(WIRE_MOVE_IN), -1);
	expect(!say_to(fd, &object, fds, 3) && hear(fd, &answer) == -EPERM,
	       "no memory of another user's is taken");
	close(fd);
}

/* All that one user may have: files, then processes and connections. */
static void use_up(void)
{
	int fd = enter_surely(), n = 0;
	char name[32];

	for (; n < 100000; n++) {
		struct wire_request map =
			map_at(AT + (uint64_t)n * 16 * PAGE, 1, WMAP_SHARED);
		int file, error;

		snprintf(name, sizeof(name), "drop/%d", n);
		file = open_in(name, O_RDWR | O_CREAT, 0600);
		expect(file >= 0 && ftruncate(file, PAGE) == 0, "a file");
		error = ask(fd, map, file);
		close(file);
		if (error)
			break;
	}
	expect(n > 10 && n < 100000, "there is an end to its files");
	for (int i = 0; i < 3000; i++)
		if (enter() < 0)
			break;
	raise(SIGSTOP);
}

/* ---- Both ---------------------------------------------------------------------- */

static void become_nobody(void)
{
	expect(!setgroups(0, NULL) && !setresgid(NOBODY, NOBODY, NOBODY) &&
		       !setresuid(NOBODY, NOBODY, NOBODY),
	       "another user");
}

static pid_t start_as_root(void (*run)(void))
{
	pid_t pid = fork();

	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	run();
	exit(0);
}

static void (*as_nobody)(void);

static void run_as_nobody(void)
{
	become_nobody();
	as_nobody();
}

static pid_t start(void (*run)(void))
{
	as_nobody = run;
	return start_as_root(run_as_nobody);
}

static void root_is_well(const char *behind)
{
	for (size_t i = 0; i < N_PAGES; i++)
		expect(memory[i * PAGE] == (char)('a' + i) &&
			       memory[i * PAGE + 1] == 's',
		       behind);
}

static void let_try(void (*run)(void), const char *name)
{
	int status;

	waitpid(start(run), &status, 0);
	printf("%s: %s\n", name, status ? "FAILED" : "ok");
	fflush(stdout);
	root_is_well(name);
	if (status)
		exit(1);
}

static char *map_file(const char *name, int prot, mode_t mode)
{
	struct wmap_map_options wishes = { .size = sizeof(wishes) };
	int fd = open_in(name, O_RDWR | O_CREAT, mode);
	char *at;

	expect(fd >= 0 && !ftruncate(fd, N_PAGES * PAGE), "a file of root's");
	at = wmap_map(NULL, N_PAGES * PAGE, prot, WMAP_SHARED, fd, 0, &wishes);
	expect(at != MAP_FAILED, "root maps it");
	close(fd);
	return at;
}

static void root_enters(void)
{
	expect(enter_with(uffd_new(), roots_token) >= 0, "root enters");
}

static void root_maps(void)
{
	setenv("WMAP_SOCKET", socket_name, 1);
	memory = map_file("file", PROT_READ | PROT_WRITE, 0644);
	map_file("secret", PROT_READ | PROT_WRITE, 0600)[0] = 's';
	for (size_t i = 0; i < N_PAGES; i++) {
		memory[i * PAGE] = (char)('a' + i);
		memory[i * PAGE + 1] = 's';
	}
}

/* By a connection that is nobody's, of a session that is root's. */
static void is_given_nothing(int fd, int guard, const uint64_t *token)
{
	static struct answer answer;
	uint64_t parent = (uint64_t)getppid();

	expect(ask_keep(guard, ask_to_guard(token), -1, &answer) == -EPERM &&
		       answer.reply.args[1] && !answer.n_fds,
	       "it is its agent, and has nothing for a rescue");
	expect(ask(fd, REQUEST(WIRE_SPACES, .args = { parent }), -1) == -EPERM,
	       "it is not told of root's");
	expect(ask(fd, REQUEST(WIRE_REPLACE), -1) == -EPERM,
	       "nor does it replace wmapd");
}

static void hear_of_successor(int fd)
{
	static struct answer answer;

	do
		expect(!hear(fd, &answer), "a successor");
	while (!(answer.reply.flags & WIRE_RESTARTED));
}

static const uint64_t childs_token[TOKEN] = { 1, 2 };

/* @fd is of its FORK; it joins before it is known whose process it is, too. */
static void be_child(int fd)
{
	struct wire_request guard = ask_to_guard(childs_token), join = guard;
	static struct answer answer;

	join.kind = WIRE_JOIN;
	expect(!ask(dial(), join, -1), "a child joins");
	expect(ask(dial(), guard, -1) == -EAGAIN, "and has its guard wait");
	expect(!hear(fd, &answer), "it inherits");
	expect(!ask(fd, REQUEST(WIRE_ATTACH), uffd_new()), "and is there");
	expect(ask(fd, guard, -1) == -EPERM, "nobody's, as its parent");
}

static void have_child(int fd)
{
	struct wire_request request = ask_to_guard(childs_token);
	int ends[2], status;
	pid_t pid;

	request.kind = WIRE_FORK;
	expect(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends) == 0, "its ends");
	expect(!ask(fd, request, ends[1]), "a fork");
	close(ends[1]);
	pid = fork();
	if (!pid) {
		be_child(ends[0]);
		_exit(0);
	}
	close(ends[0]);
	expect(waitpid(pid, &status, 0) == pid && !status, "the child is well");
}

static void change_user(void)
{
	struct wire_request join = REQUEST(WIRE_JOIN);
	static struct answer answer;
	const struct wire_space *told = (const void *)answer.bytes;
	uint64_t pid = (uint64_t)getpid();
	int uffd = uffd_new(), own = enter_with(uffd, join.args), fd, guard;

	become_nobody();
	fd = dial();
	guard = dial();
	expect(!ask(fd, join, -1), "who has become nobody joins");
	expect(!ask(fd, map_at(AT, N_PAGES, WMAP_SHARED | WMAP_ANONYMOUS), -1),
	       "and maps");
	expect(!ask_keep(own, REQUEST(WIRE_SPACES, .args = { pid }), -1,
			 &answer) &&
		       told->pid == pid && told->uid == 0,
	       "as root's");
	is_given_nothing(fd, guard, join.args);
	have_child(fd);
	raise(SIGSTOP);
	hear_of_successor(fd);
	hear_of_successor(guard);
	is_given_nothing(fd, guard, join.args);
}

static void kill_wmapd(void)
{
	pid_t pid = process_only_child(wmapd); /* a keeper's */

	expect(pid && !kill(pid, SIGKILL), "wmapd is killed");
}

static void another_user(void)
{
	pid_t pid = start_as_root(change_user);
	int status;

	expect(waitpid(pid, &status, WUNTRACED) == pid && WIFSTOPPED(status),
	       "it becomes nobody");
	kill_wmapd();
	root_is_well("another user");
	kill(pid, SIGCONT);
	expect(waitpid(pid, &status, 0) == pid && !status,
	       "it is nobody afterwards, too");
	puts("another user: ok");
}

/* While nobody has all that it may have. */
static void exhaustion(void)
{
	pid_t pid = start(use_up);
	int status;
	char *at;

	expect(waitpid(pid, &status, WUNTRACED) == pid && WIFSTOPPED(status),
	       "it is used up");
	root_is_well("exhaustion");
	at = map_file("more", PROT_READ | PROT_WRITE, 0600);
	at[0] = 'm';
	expect(!wmap_sync(at, N_PAGES * PAGE, WMAP_SYNC_WAIT) &&
		       !wmap_unmap(at, N_PAGES * PAGE),
	       "root goes on");
	puts("exhaustion: ok");
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static void remove_directory(void)
{
	char command[96];

	if (geteuid() != 0)
		return;
	snprintf(command, sizeof(command), "rm -rf %s", directory);
	if (system(command))
		puts("the directory stays");
}

int main(void)
{
	struct rlimit files = { 4096, 4096 };
	char drop[80];

	if (geteuid() != 0) {
		puts("skipped: two users take root");
		return 77;
	}
	setrlimit(RLIMIT_NOFILE, &files);
	setlinebuf(stdout);
	umask(0);
	expect(mkdtemp(directory) && !chmod(directory, 0755), "a directory");
	snprintf(drop, sizeof(drop), "%s/drop", directory);
	expect(!mkdir(drop, 0777), "one for everybody");
	atexit(remove_directory);
	start_wmapd_with(true);
	root_maps();
	let_try(map_all_ways, "all kinds of mappings");
	let_try(change_the_file, "changes of the file");
	let_try(map_what_is_closed, "what is closed");
	let_try(come_in, "others' processes");
	root_enters();
	let_try(come_in_by_token, "root's process, by its token");
	let_try(move_in, "memory of its own");
	another_user();
	exhaustion();
	kill(wmapd, SIGTERM);
	return 0;
}
