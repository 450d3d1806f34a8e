/* SPDX-License-Identifier: MIT */
/*
 * A tree of sixteen processes under `wmap run`, and somebody who shoots them
 *
 * process/programs/tree.c is the tree; support/oracle.h says what every word of
 * its memory may be. Here are the killer and the judge, outside of wmap:
 *
 *   this ── wmap run ── tree's root ── …   Every few milliseconds one of
 *                 └──── wmapd                leaf   a process without children
 *                                            inner  one with children
 *                                            young  one just forked, which has
 *                                                   done nothing yet
 *                                            pager  wmapd
 *                                          gets SIGKILL, at times two at once; or
 *                                          wmapd is replaced (wmapd --replace).
 *
 * Then the fire ceases: all sixteen must be there and go on; who does not is
 * said, and where it sleeps. All end; each word of the files, read by read(2),
 * must be one that the oracle allows; and nothing may be left: no process (this
 * one inherits all of them), no temporary file, no socket's name; nor may wmap
 * and wmapd have more descriptors behind the kills than as many processes need.
 *
 * Environment, all optional:
 *   WMAP_TORTURE_SEED      printed; what is done when is still the scheduler's
 *   WMAP_TORTURE_SECONDS   how long to shoot, default 3
 *   WMAP_TORTURE_KILLS     so many instead, a fifth of them at least of each of
 *                          leaf, inner and pager, and a tenth replaced; fails
 *                          if SECONDS (then 600 by default) do not suffice
 *   WMAP_TORTURE_PAUSE_MS  the longest pause between two shots, default 10
 *   WMAP_TORTURE_PATIENCE  seconds, default 30: who does nothing for so long
 *                          sleeps for ever
 *   WMAP_TORTURE_PLAIN     1: the kernel's mmap, and no wmapd to shoot
 *   WMAP_TORTURE_NO_PAGER  1: wmap, but its wmapd is spared
 *   WMAP_TORTURE_MAP       another --map than that of the tree's files
 *   WMAP_TORTURE_RUN       more options for `wmap run`, such as "--grain 64K"
 *   WMAP_TORTURE_WITHOUT   what the tree leaves out: names of ORACLE_OPERATIONS
 *   WMAP_TORTURE_BREAK     one of ORACLE_BREAKS: the test must fail
 */
#include "support.h"
#include "oracle.h"

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <time.h>

enum kind { LEAF, INNER, YOUNG, PAGER, REPLACED, KINDS };

static const char *const kinds[] = { "leaf", "inner", "young", "pager",
				     "replaced" };
static const char *const operations[] = { ORACLE_OPERATIONS };
static const char *const breaks[] = { ORACLE_BREAKS };

static struct torture {
	uint64_t random;
	bool plain, spare;
	unsigned patience;
	struct oracle *oracle;
	int oracle_fd, life[2];
	char directory[64], files[ORACLE_FILES][80], tmp[80], run[80];
	pid_t child; /* wmap, or the tree's root if plain */
	bool ended;  /* child was waited for: */
	int status;
	unsigned kills[KINDS];
	pid_t shot[64]; /* the last ones */
	unsigned shots;
} torture;

/* ---- /proc -------------------------------------------------------------- */

/* The first line of a file in /proc; "" if there is none. */
static void proc_line(char *line, size_t size, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static void proc_line(char *line, size_t size, const char *format, ...)
{
	char path[300];
	va_list args;
	ssize_t n;
	int fd;

	va_start(args, format);
	vsnprintf(path, sizeof path, format, args);
	va_end(args);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, line, size - 1);
	line[n > 0 ? n : 0] = '\0';
	line[strcspn(line, "\n")] = '\0';
	if (fd >= 0)
		close(fd);
}

/* Numbers that name the entries of a directory. */
static unsigned proc_numbers(const char *path, pid_t *numbers, unsigned size)
{
	DIR *directory = opendir(path);
	struct dirent *entry;
	unsigned n = 0;

	while (directory && n < size && (entry = readdir(directory)))
		if (entry->d_name[0] != '.')
			numbers[n++] = atoi(entry->d_name);
	if (directory)
		closedir(directory);
	return n;
}

static unsigned proc_descriptors(pid_t pid)
{
	static pid_t numbers[8192];
	char path[64];

	snprintf(path, sizeof path, "/proc/%d/fd", pid);
	return proc_numbers(path, numbers, COUNT(numbers));
}

static unsigned proc_tasks(pid_t pid, pid_t *tasks, unsigned size)
{
	char path[64];

	snprintf(path, sizeof path, "/proc/%d/task", pid);
	return proc_numbers(path, tasks, size);
}

static unsigned proc_children(pid_t pid, pid_t *children, unsigned size)
{
	char list[4096], *at, *next;
	pid_t tasks[64];
	unsigned n = 0, n_tasks = proc_tasks(pid, tasks, COUNT(tasks));

	for (unsigned i = 0; i < n_tasks; i++) {
		proc_line(list, sizeof list, "/proc/%d/task/%d/children", pid,
			  tasks[i]);
		for (at = list; n < size; at = next) {
			pid_t child = (pid_t)strtol(at, &next, 10);

			if (next == at)
				break;
			children[n++] = child;
		}
	}
	return n;
}

static bool proc_is_child(pid_t pid, pid_t parent)
{
	pid_t children[256];
	unsigned n = proc_children(parent, children, COUNT(children));

	while (n--)
		if (children[n] == pid)
			return true;
	return false;
}

static bool proc_is_dead(pid_t pid)
{
	char line[512];
	const char *state;

	proc_line(line, sizeof line, "/proc/%d/stat", pid);
	state = strrchr(line, ')');
	return !state || state[2] == 'Z' || state[2] == 'X';
}

static bool proc_is_pager(pid_t pid)
{
	char name[64];

	proc_line(name, sizeof name, "/proc/%d/comm", pid);
	return strcmp(name, "wmapd") == 0;
}

/* ---- Who is there ------------------------------------------------------- */

static uint64_t owner_of(unsigned slot)
{
	return atomic_load(&torture.oracle->slots[slot].owner);
}

static pid_t alive_in(unsigned slot)
{
	uint64_t owner = owner_of(slot);

	return oracle_state(owner) == ORACLE_ALIVE ? oracle_pid(owner) : 0;
}

static unsigned find_pagers_of(pid_t parent, pid_t *pagers, unsigned size)
{
	pid_t children[256];
	unsigned n = 0, n_children;

	n_children = proc_children(parent, children, COUNT(children));
	for (unsigned i = 0; i < n_children && n < size; i++)
		if (proc_is_pager(children[i]) && !proc_is_dead(children[i]))
			pagers[n++] = children[i];
	return n;
}

/* Every wmapd that lives: wmap's child, or ours, if it was left to us. */
static unsigned find_pagers(pid_t *pagers, unsigned size)
{
	unsigned n = find_pagers_of(torture.child, pagers, size);

	return n + find_pagers_of(getpid(), pagers + n, size - n);
}

static char *printed(const char *format, ...)
	__attribute__((format(printf, 1, 2)));

static char *printed(const char *format, ...)
{
	char *text;
	va_list args;

	va_start(args, format);
	if (vasprintf(&text, format, args) < 0)
		abort();
	va_end(args);
	return text;
}

/* ---- The killer --------------------------------------------------------- */

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static size_t below(size_t n)
{
	return random_below(&torture.random, n);
}

/* The descriptor @fd of @pid was opened before it was seen not to be reaped:
   it is that process and no later one of the same number. */
static bool shoot(pid_t pid, int fd, bool is_right)
{
	bool shot = fd >= 0 && is_right &&
		    !syscall(SYS_pidfd_send_signal, fd, SIGKILL, NULL, 0);

	if (fd >= 0)
		close(fd);
	if (shot)
		torture.shot[torture.shots++ % COUNT(torture.shot)] = pid;
	return shot;
}

/* Not shot yet: one may take its time to die. */
static bool is_prey(pid_t pid)
{
	for (unsigned i = 0; i < COUNT(torture.shot); i++)
		if (torture.shot[i] == pid)
			return false;
	return pid && !proc_is_dead(pid);
}

static int pidfd(pid_t pid)
{
	return (int)syscall(SYS_pidfd_open, pid, 0);
}

static bool shoot_slot(unsigned first, unsigned n)
{
	unsigned start = (unsigned)below(n);

	for (unsigned i = 0; i < n; i++) {
		unsigned slot = first + (start + i) % n;
		pid_t pid = alive_in(slot);
		int fd;

		if (!is_prey(pid))
			continue;
		fd = pidfd(pid);
		return shoot(pid, fd, alive_in(slot) == pid);
	}
	return false;
}

static bool shoot_leaf(void)
{
	return shoot_slot(ORACLE_INNER, ORACLE_SLOTS - ORACLE_INNER);
}

static bool has_slot(pid_t pid)
{
	for (unsigned i = 0; i < ORACLE_SLOTS; i++)
		if (alive_in(i) == pid)
			return true;
	return false;
}

static pid_t find_birth(void)
{
	for (unsigned slot = 1; slot < ORACLE_SLOTS; slot++)
		if (oracle_state(owner_of(slot)) == ORACLE_BORN)
			return oracle_pid(owner_of(slot));
	return 0;
}

/* The parent of somebody who has no slot yet, which will be soon: a leaf has
   to go first. 0 if nobody is born. */
static pid_t wait_for_birth(void)
{
	uint64_t end = now_ms() + 20;
	pid_t parent = 0;

	torture.kills[LEAF] += shoot_leaf();
	while (!parent && now_ms() < end)
		parent = find_birth();
	return parent;
}

static bool shoot_young(void)
{
	pid_t parent = wait_for_birth(), children[64];
	unsigned n = parent ? proc_children(parent, children, COUNT(children)) :
			      0;

	while (n--)
		if (!has_slot(children[n]) && is_prey(children[n])) {
			int fd = pidfd(children[n]);

			return shoot(children[n], fd,
				     proc_is_child(children[n], parent) &&
					     has_slot(parent));
		}
	return false;
}

static bool shoot_pager(void)
{
	pid_t pagers[8], pid;
	unsigned n = find_pagers(pagers, COUNT(pagers));
	int fd;

	if (!n)
		return false;
	pid = pagers[below(n)];
	if (!is_prey(pid))
		return false;
	fd = pidfd(pid);
	return shoot(pid, fd,
		     (proc_is_child(pid, torture.child) ||
		      proc_is_child(pid, getpid())) &&
			     proc_is_pager(pid));
}

/* Where a process of the tree has its wmapd; "": it is gone. */
static void find_address(pid_t pid, char *address, size_t size)
{
	static const char name[] = "WMAP_SOCKET=";
	static char all[1 << 16];
	char path[64];
	size_t n;
	FILE *file;

	*address = '\0';
	snprintf(path, sizeof path, "/proc/%d/environ", pid);
	file = fopen(path, "re");
	n = file ? fread(all, 1, sizeof all - 1, file) : 0;
	if (file)
		fclose(file);
	all[n] = '\0';
	for (char *at = all; at < all + n; at += strlen(at) + 1)
		if (!strncmp(at, name, sizeof name - 1))
			snprintf(address, size, "%s", at + sizeof name - 1);
}

/* In the child; a wmapd that is shot meanwhile is not replaced. */
static void become_replacer(const char *address)
{
	char *wmapd = printed("%s/wmapd", getenv("WMAP_BIN"));
	int null = open("/dev/null", O_WRONLY);

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	dup2(null, 2);
	execl(wmapd, wmapd, "--replace", "--socket", address, NULL);
	_exit(127);
}

static bool replace_pager(void)
{
	char address[128];
	int status = -1;
	pid_t child;

	find_address(alive_in(0), address, sizeof address);
	if (!*address)
		return false;
	child = fork();
	if (!child)
		become_replacer(address);
	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	return !status;
}

static void shoot_one(void)
{
	enum kind kind = (enum kind)below(
		torture.plain || torture.spare ? PAGER : KINDS);
	bool shot = false;

	switch (kind) {
	case LEAF:
		shot = shoot_leaf();
		break;
	case INNER:
		shot = shoot_slot(1, ORACLE_INNER - 1);
		break;
	case YOUNG:
		shot = shoot_young();
		break;
	case REPLACED:
		shot = replace_pager();
		break;
	default:
		shot = shoot_pager();
		break;
	}
	torture.kills[kind] += shot;
}

static unsigned all_kills(void)
{
	unsigned all = 0;

	for (int i = 0; i < KINDS; i++)
		all += torture.kills[i];
	return all;
}

static bool enough_kills(unsigned wanted)
{
	bool pager = torture.plain || torture.spare ||
		     (torture.kills[PAGER] >= wanted / 5 &&
		      torture.kills[REPLACED] >= wanted / 10);

	return wanted && pager && all_kills() >= wanted &&
	       torture.kills[LEAF] >= wanted / 5 &&
	       torture.kills[INNER] >= wanted / 5;
}

/* ---- Who sleeps --------------------------------------------------------- */

static void describe_task(pid_t pid, pid_t task)
{
	char wchan[128], call[256], stat[512], name[64];
	const char *state;

	proc_line(wchan, sizeof wchan, "/proc/%d/task/%d/wchan", pid, task);
	proc_line(call, sizeof call, "/proc/%d/task/%d/syscall", pid, task);
	proc_line(stat, sizeof stat, "/proc/%d/task/%d/stat", pid, task);
	proc_line(name, sizeof name, "/proc/%d/task/%d/comm", pid, task);
	state = strrchr(stat, ')');
	fprintf(stderr, "\t%d %s: state %c, in %s; system call %s\n", task,
		name, state ? state[2] : '?', *wchan ? wchan : "?",
		*call ? call : "?");
}

static void describe(const char *who, pid_t pid)
{
	pid_t tasks[64];
	unsigned n = proc_tasks(pid, tasks, COUNT(tasks));

	fprintf(stderr, "%s: pid %d, %u descriptors\n", who, pid,
		proc_descriptors(pid));
	for (unsigned i = 0; i < n; i++)
		describe_task(pid, tasks[i]);
}

static void describe_slot(unsigned slot)
{
	struct oracle_slot *s = &torture.oracle->slots[slot];
	uint64_t owner = owner_of(slot);
	char who[32];

	snprintf(who, sizeof who, "slot %u (%s)", slot,
		 oracle_state(owner) == ORACLE_ALIVE ? "alive" :
		 oracle_state(owner) == ORACLE_BORN  ? "born of" :
						       "free");
	describe(who, oracle_pid(owner));
	for (unsigned i = 0; i < ORACLE_THREADS; i++)
		fprintf(stderr, "\tthread %d: %" PRIu64 " beats, %s at %#llx\n",
			atomic_load(&s->threads[i].tid),
			(uint64_t)atomic_load(&s->threads[i].beats),
			operations[atomic_load(&s->threads[i].doing)],
			(unsigned long long)atomic_load(
				&s->threads[i].address));
}

static void describe_pagers(void)
{
	pid_t pagers[8];
	unsigned n = find_pagers(pagers, COUNT(pagers));

	describe(torture.plain ? "root" : "wmap", torture.child);
	for (unsigned i = 0; i < n; i++)
		describe("wmapd", pagers[i]);
	if (!n && !torture.plain)
		fprintf(stderr, "no wmapd\n");
}

/* All beats of a slot's process since the numbers in @before? */
static bool beats(unsigned slot, uint64_t before[ORACLE_THREADS])
{
	struct oracle_slot *s = &torture.oracle->slots[slot];
	unsigned threads =
		torture.oracle->without >> OP_THREAD & 1 ? 1 : ORACLE_THREADS;

	if (!alive_in(slot))
		return false;
	for (unsigned i = 0; i < threads; i++)
		if (atomic_load(&s->threads[i].beats) < before[i] + 3)
			return false;
	return true;
}

static void take_beats(uint64_t before[ORACLE_SLOTS][ORACLE_THREADS])
{
	for (unsigned slot = 0; slot < ORACLE_SLOTS; slot++)
		for (unsigned i = 0; i < ORACLE_THREADS; i++)
			before[slot][i] = atomic_load(
				&torture.oracle->slots[slot].threads[i].beats);
}

/* ---- Its end ------------------------------------------------------------ */

static bool has_ended(void *arg)
{
	(void)arg;
	if (!torture.ended &&
	    waitpid(torture.child, &torture.status, WNOHANG) == torture.child)
		torture.ended = true;
	return torture.ended;
}

static bool is_well(void)
{
	return !atomic_load(&torture.oracle->failures) && !has_ended(NULL);
}

/* Reap who has been left to us; true if nobody is left. */
static bool nobody_is_left(void *arg)
{
	pid_t pid;

	(void)arg;
	do
		pid = waitpid(-1, NULL, WNOHANG);
	while (pid > 0);
	return pid < 0;
}

static void kill_children(pid_t parent)
{
	pid_t children[256];
	unsigned n = proc_children(parent, children, COUNT(children));

	for (unsigned i = 0; i < n; i++)
		kill(children[i], SIGKILL);
}

/* After a failure. First the tree, so that wmap does not begin it anew. */
static void kill_all(void)
{
	atomic_store(&torture.oracle->over, true);
	process_wait(has_ended, NULL, 3);
	for (int i = 0; i < 100 && !nobody_is_left(NULL); i++) {
		kill_children(getpid());
		process_sleep_ms(20);
	}
}

static int remove_one(const char *path, const struct stat *st, int type,
		      struct FTW *ftw)
{
	(void)st, (void)type, (void)ftw;
	return remove(path);
}

static void remove_files(void)
{
	nftw(torture.directory, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

/* Say what is known, end all, fail. */
__attribute__((noreturn, format(printf, 1, 2))) static void
fails(const char *format, ...)
{
	char why[600];
	va_list args;

	va_start(args, format);
	vsnprintf(why, sizeof why, format, args);
	va_end(args);
	kill_all();
	if (atomic_load(&torture.oracle->failures))
		snprintf(why, sizeof why, "%s",
			 *torture.oracle->failure ?
				 torture.oracle->failure :
				 "who saw what is wrong was shot, too");
	remove_files();
	ck_abort_msg("WMAP_TORTURE_SEED=%" PRIu64 ": %s", torture.oracle->seed,
		     why);
}

static void check_well(void)
{
	if (!is_well())
		fails("%s ended early, status %#x",
		      torture.plain ? "the tree" : "wmap run", torture.status);
}

/* All sixteen are alive and go on, counted from now; or some sleep for ever. */
static void all_go_on(const char *when)
{
	uint64_t before[ORACLE_SLOTS][ORACLE_THREADS];
	unsigned slot = 0, late = 0;

	take_beats(before);
	for (unsigned ms = 0; ms < torture.patience * 1000; ms += 5) {
		while (slot < ORACLE_SLOTS && beats(slot, before[slot]))
			slot++;
		if (slot == ORACLE_SLOTS)
			return;
		check_well();
		process_sleep_ms(5);
	}
	for (slot = 0; slot < ORACLE_SLOTS; slot++)
		if (!beats(slot, before[slot])) {
			describe_slot(slot);
			late++;
		}
	describe_pagers();
	fails("%s: %u of %u processes do not go on", when, late, ORACLE_SLOTS);
}

/* ---- The beginning ------------------------------------------------------- */

static bool is_set(const char *name)
{
	const char *value = getenv(name);

	return value && *value && strcmp(value, "0") != 0;
}

static unsigned number_of(const char *name, const char *const *names,
			  unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		if (strcmp(name, names[i]) == 0)
			return i;
	ck_abort_msg("%s: there is no such thing", name);
	return 0;
}

static unsigned without(void)
{
	const char *list = getenv("WMAP_TORTURE_WITHOUT");
	char copy[200], *rest = copy, *name;
	unsigned bits = 0;

	snprintf(copy, sizeof copy, "%s", list ? list : "");
	while ((name = strsep(&rest, ", ")))
		if (*name)
			bits |= 1u << number_of(name, operations,
						COUNT(operations));
	return bits;
}

static void make_oracle(void)
{
	const char *broken = getenv("WMAP_TORTURE_BREAK");
	struct oracle *oracle;

	torture.oracle_fd = memfd_create("oracle", 0);
	ck_assert_int_ge(torture.oracle_fd, 0);
	ck_assert_int_eq(ftruncate(torture.oracle_fd, sizeof *oracle), 0);
	oracle = oracle_map(torture.oracle_fd);
	ck_assert_ptr_nonnull(oracle);
	oracle->seed = facts_number("WMAP_TORTURE_SEED", 0);
	if (!oracle->seed)
		oracle->seed = random_seed() & 0xffffffff;
	oracle->without = without();
	if (broken && *broken)
		oracle->broken = (int)number_of(broken, breaks, COUNT(breaks));
	torture.oracle = oracle;
	torture.random = oracle->seed;
	printf("WMAP_TORTURE_SEED=%" PRIu64 "\n", oracle->seed);
}

static void make_file(unsigned file)
{
	static uint64_t words[ORACLE_PAGES][ORACLE_WORDS];
	int fd = open(torture.files[file],
		      O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	for (unsigned page = 0; page < ORACLE_PAGES; page++)
		for (unsigned i = 0; i < ORACLE_WORDS; i++)
			words[page][i] = oracle_value(file, page, i, 0);
	ck_assert_int_eq(write(fd, words, sizeof words), sizeof words);
	close(fd);
}

static void make_files(void)
{
	const char *tmp = getenv("TMPDIR");

	snprintf(torture.directory, sizeof torture.directory,
		 "%s/wmap-processes-XXXXXX",
		 tmp && *tmp && strlen(tmp) < 40 ? tmp : "/tmp");
	ck_assert_ptr_nonnull(mkdtemp(torture.directory));
	snprintf(torture.tmp, sizeof torture.tmp, "%s/tmp", torture.directory);
	snprintf(torture.run, sizeof torture.run, "%s/run", torture.directory);
	ck_assert_int_eq(mkdir(torture.tmp, 0700), 0);
	ck_assert_int_eq(mkdir(torture.run, 0700), 0);
	for (unsigned i = 0; i < ORACLE_FILES; i++) {
		snprintf(torture.files[i], sizeof torture.files[i],
			 "%s/words%u", torture.directory, i);
		make_file(i);
	}
}

static void add(char **argv, char *value)
{
	while (*argv)
		argv++;
	*argv = value;
}

static void add_run(char **argv)
{
	const char *more = getenv("WMAP_TORTURE_RUN");
	const char *map = getenv("WMAP_TORTURE_MAP");
	char *rest = printed("%s", more ? more : ""), *option;

	add(argv, printed("%s/wmap", getenv("WMAP_BIN")));
	add(argv, printed("run"));
	add(argv, printed("--map"));
	add(argv,
	    map ? printed("%s", map) : printed("%s/words*", torture.directory));
	while ((option = strsep(&rest, " ")))
		if (*option)
			add(argv, option);
	add(argv, printed("--"));
}

/* In the child. */
static void become_tree(void)
{
	char *argv[64] = { NULL };

	setenv("TMPDIR", torture.tmp, 1);
	setenv("XDG_RUNTIME_DIR", torture.run, 1);
	if (!torture.plain)
		add_run(argv);
	add(argv, printed("%s/tests/programs/tree", getenv("WMAP_BUILD")));
	add(argv, printed("%d", torture.oracle_fd));
	add(argv, printed("%d", torture.life[0]));
	for (unsigned i = 0; i < ORACLE_FILES; i++)
		add(argv, torture.files[i]);
	execv(argv[0], argv);
	perror(argv[0]);
	_exit(127);
}

/* The tree ends when our end of the pipe is gone, however we end. */
static void start_tree(void)
{
	ck_assert_int_eq(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
	ck_assert_int_eq(pipe(torture.life), 0);
	fcntl(torture.life[1], F_SETFD, FD_CLOEXEC);
	fflush(NULL);
	torture.child = fork();
	if (!torture.child)
		become_tree();
	ck_assert_int_gt(torture.child, 0);
}

/* ---- The middle ---------------------------------------------------------- */

/* Somebody goes on all the time, even under fire. */
static bool time_stands_still(void)
{
	static uint64_t beats, since;
	uint64_t now = 0;

	for (unsigned slot = 0; slot < ORACLE_SLOTS; slot++)
		now += atomic_load(
			&torture.oracle->slots[slot].threads[0].beats);
	if (now != beats || !since)
		since = now_ms();
	beats = now;
	return now_ms() - since > torture.patience * 1000;
}

static unsigned wanted_kills(void)
{
	return (unsigned)facts_number("WMAP_TORTURE_KILLS", 0);
}

static unsigned seconds(void)
{
	return wanted_kills() ?
		       600 :
		       (unsigned)facts_number("WMAP_TORTURE_SECONDS", 3);
}

static void fire(void)
{
	uint64_t end = now_ms() + seconds() * 1000;
	size_t pause = facts_number("WMAP_TORTURE_PAUSE_MS", 10);

	while (now_ms() < end && !enough_kills(wanted_kills())) {
		shoot_one();
		if (below(4))
			process_sleep_ms(1 + (unsigned)below(pause));
		check_well();
		if (time_stands_still())
			all_go_on("under fire");
	}
	printf("%u kills:", all_kills());
	for (int i = 0; i < KINDS; i++)
		printf(" %s %u", kinds[i], torture.kills[i]);
	printf("; %" PRIu64 " processes\n",
	       (uint64_t)atomic_load(&torture.oracle->born));
	fflush(stdout);
	if (wanted_kills() && !enough_kills(wanted_kills()))
		fails("%u s did not suffice for the kills", seconds());
}

/* Those of wmap and wmapd. */
static unsigned descriptors(void)
{
	pid_t pagers[8];
	unsigned n = find_pagers(pagers, COUNT(pagers));
	unsigned all = proc_descriptors(torture.child);

	while (n--)
		all += proc_descriptors(pagers[n]);
	return all;
}

/* The fewest within two seconds: mappings and children come and go. A guard comes a
   moment after its process. */
static unsigned least_descriptors(void)
{
	unsigned least = UINT_MAX;

	process_sleep_ms(500);
	for (int i = 0; i < 40; i++) {
		process_sleep_ms(50);
		least = (unsigned)(descriptors() < least ? descriptors() :
							   least);
	}
	return least;
}

/* ---- The end ------------------------------------------------------------- */

static void end_tree(void)
{
	atomic_store(&torture.oracle->over, true);
	if (!process_wait(has_ended, NULL, torture.patience)) {
		for (unsigned slot = 0; slot < ORACLE_SLOTS; slot++)
			if (oracle_state(owner_of(slot)) != ORACLE_FREE)
				describe_slot(slot);
		describe_pagers();
		fails("the end: not all processes end");
	}
	if (torture.status || atomic_load(&torture.oracle->failures))
		fails("%s ended with status %#x",
		      torture.plain ? "the tree" : "wmap run", torture.status);
}

static void check_nobody_is_left(void)
{
	pid_t children[64];
	char name[64];
	unsigned n;

	if (process_wait(nobody_is_left, NULL, 2))
		return;
	n = proc_children(getpid(), children, COUNT(children));
	for (unsigned i = 0; i < n; i++) {
		proc_line(name, sizeof name, "/proc/%d/comm", children[i]);
		describe(name, children[i]);
	}
	fails("left behind: %u processes", n);
}

static void check_empty(const char *path)
{
	DIR *directory = opendir(path);
	struct dirent *entry;

	while (directory && (entry = readdir(directory)))
		if (entry->d_name[0] != '.')
			fails("left behind: %s/%s", path, entry->d_name);
	if (directory)
		closedir(directory);
}

/* The names under which files are written back. */
static void check_no_socket(unsigned file)
{
	FILE *sockets = fopen("/proc/net/unix", "r");
	char line[300], name[100];
	struct stat st;

	ck_assert_int_eq(stat(torture.files[file], &st), 0);
	snprintf(name, sizeof name, "@wmap/%lx/%lx", (unsigned long)st.st_dev,
		 (unsigned long)st.st_ino);
	while (sockets && fgets(line, sizeof line, sockets))
		if (strstr(line, name) || strstr(line, torture.directory))
			fails("left behind: the socket %s", line);
	if (sockets)
		fclose(sockets);
}

static void cut_file(int fd)
{
	uint64_t none = 0;

	if (torture.oracle->broken == BREAK_CUT)
		ck_assert_int_eq(pwrite(fd, &none, 8, 3 * ORACLE_PAGE), 8);
}

static void check_word(unsigned file, unsigned page, unsigned i, uint64_t value)
{
	struct oracle *oracle = torture.oracle;
	uint64_t least = oracle_least(oracle_word(oracle, file, page, i));

	if (oracle_allows(oracle, file, page, i, least, value))
		return;
	oracle_blame(oracle, "the file", file, page, i, least, value);
	fails("the file");
}

static void check_file(unsigned file)
{
	uint64_t words[ORACLE_WORDS];
	int fd = open(torture.files[file], O_RDWR | O_CLOEXEC);

	cut_file(fd);
	for (unsigned page = 0; page < ORACLE_PAGES; page++) {
		if (read(fd, words, sizeof words) != sizeof words)
			fails("file %u is too short", file);
		for (unsigned i = 0; i < ORACLE_WORDS; i++)
			check_word(file, page, i, words[i]);
	}
	if (read(fd, words, 1))
		fails("file %u has grown", file);
	close(fd);
}

/* Each process may have opened a connection for its second thread meanwhile,
   which both have an end of. */
#define ALLOWED (8 + 2 * 16)

START_TEST(no_store_is_lost_whoever_is_shot)
{
	unsigned before;

	torture.plain = is_set("WMAP_TORTURE_PLAIN");
	torture.spare = is_set("WMAP_TORTURE_NO_PAGER");
	torture.patience = (unsigned)facts_number("WMAP_TORTURE_PATIENCE", 30);
	make_oracle();
	make_files();
	start_tree();
	all_go_on("the beginning");
	before = torture.plain ? 0 : least_descriptors();
	fire();
	all_go_on("after the last kill");
	if (!torture.plain && least_descriptors() > before + ALLOWED)
		fails("wmap and wmapd had %u descriptors and now have %u",
		      before, least_descriptors());
	end_tree();
	check_nobody_is_left();
	for (unsigned i = 0; i < ORACLE_FILES; i++)
		check_no_socket(i);
	check_empty(torture.tmp);
	check_empty(torture.run);
	for (unsigned i = 0; i < ORACLE_FILES; i++)
		check_file(i);
	remove_files();
}
END_TEST

int main(void)
{
	TCase *facts = facts_case("processes", seconds() + 300);

	tcase_add_test(facts, no_store_is_lost_whoever_is_shot);
	return is_set("WMAP_TORTURE_PLAIN") ? facts_run_anywhere(facts) :
					      facts_run(facts);
}
