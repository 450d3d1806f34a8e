/* SPDX-License-Identifier: MIT */
/* System calls on a file that is mapped at the same time: they agree */
#include <pthread.h>
#include <sys/sendfile.h>
#include <sys/uio.h>

#include "scenario.h"

#define LENGTH (PAGES * PAGE)

static int file;
static char *at;

/* The file at @path, mapped whole, every page of it loaded. */
static void set_up(const char *path, int flags)
{
	file = make_file(path, LENGTH);
	at = map(file, PAGES, flags);
	print_sum("loaded", at, LENGTH);
}

static void print_whole_file(void)
{
	static char bytes[LENGTH];
	ssize_t n = pread(file, bytes, sizeof(bytes), 0);

	printf("file has %zd\n", n);
	print_sum("file", bytes, n > 0 ? (size_t)n : 0);
}

static void sees_pwrite(const char *path)
{
	set_up(path, MAP_SHARED);
	REQUIRE(pwrite(file, "written", 7, 3 * PAGE - 3) == 7);
	printf("%.7s\n", at + 3 * PAGE - 3);
	print_sum("memory", at, LENGTH);
}

static void sees_write_where_the_offset_is(const char *path)
{
	set_up(path, MAP_SHARED);
	REQUIRE(lseek(file, 5 * PAGE + 9, SEEK_SET) == 5 * PAGE + 9);
	REQUIRE(write(file, "one", 3) == 3 && write(file, "two", 3) == 3);
	printf("%.6s\n", at + 5 * PAGE + 9);
}

static void sees_vectors(const char *path)
{
	char first[] = "first", second[] = "second";
	struct iovec two[2] = { { first, 5 }, { second, 6 } };

	set_up(path, MAP_SHARED);
	REQUIRE(pwritev(file, two, 2, PAGE - 4) == 11);
	REQUIRE(lseek(file, 0, SEEK_SET) == 0 && writev(file, two, 2) == 11);
	printf("%.11s %.11s\n", at, at + PAGE - 4);
}

static void sees_what_is_appended(const char *path)
{
	int appending;

	file = make_file(path, 2 * PAGE + 100);
	at = map(file, 4, MAP_SHARED);
	print_sum("loaded", at, 3 * PAGE);
	appending = open(path, O_WRONLY | O_APPEND);
	REQUIRE(write(appending, "more", 4) == 4);
	REQUIRE(pwrite(appending, "still", 5, 0) == 5);
	printf("%.9s\n", at + 2 * PAGE + 100);
	print_sum("memory", at, 3 * PAGE);
}

static void sees_writes_privately_until_it_stores(const char *path)
{
	set_up(path, MAP_PRIVATE);
	at[PAGE] = 'p';
	REQUIRE(pwrite(file, "ABC", 3, PAGE) == 3);
	REQUIRE(pwrite(file, "DEF", 3, 2 * PAGE) == 3);
	printf("%c %.3s\n", at[PAGE], at + 2 * PAGE);
	print_whole_file();
}

static void reads_what_was_stored(const char *path)
{
	char bytes[16] = "", more[16] = "";
	struct iovec two[2] = { { bytes, 4 }, { more, 4 } };

	set_up(path, MAP_SHARED);
	memcpy(at + 100, "stored!!", 8);
	REQUIRE(pread(file, bytes, 8, 100) == 8);
	printf("%s\n", bytes);
	memcpy(at + 100, "again.!!", 8);
	REQUIRE(lseek(file, 100, SEEK_SET) == 100 && read(file, bytes, 8) == 8);
	printf("%s\n", bytes);
	memcpy(at + 100, "vectors!", 8);
	memset(bytes, 0, sizeof(bytes));
	REQUIRE(preadv(file, two, 2, 100) == 8);
	printf("%s%s\n", bytes, more);
	print_whole_file();
}

/* Neither side loses what the other put beside it into one page. */
static void stores_and_writes_in_one_page(const char *path)
{
	set_up(path, MAP_SHARED);
	for (unsigned i = 0; i < 500; i++) {
		at[4 * i] = 's';
		REQUIRE(pwrite(file, "w", 1, 4 * i + 2) == 1);
		if (i % 50 == 0)
			REQUIRE(!msync(at, LENGTH, MS_SYNC));
	}
	print_sum("memory", at, LENGTH);
	print_whole_file();
}

#define APART 16 /* each write is a message, and its answer */

static void *write_odd(void *arg)
{
	(void)arg;
	for (unsigned i = 1; i < LENGTH; i += APART)
		REQUIRE(pwrite(file, "o", 1, i) == 1);
	return NULL;
}

static void stores_and_writes_in_threads(const char *path)
{
	pthread_t thread;

	set_up(path, MAP_SHARED);
	REQUIRE(!pthread_create(&thread, NULL, write_odd, NULL));
	for (unsigned i = 0; i < LENGTH; i += APART) {
		at[i] = 'e';
		if (i % 8192 == 0)
			REQUIRE(!msync(at, LENGTH, MS_ASYNC));
	}
	pthread_join(thread, NULL);
	REQUIRE(!msync(at, LENGTH, MS_SYNC));
	print_sum("memory", at, LENGTH);
	print_whole_file();
}

static void truncates(const char *path)
{
	set_up(path, MAP_SHARED);
	at[PAGE] = 's';
	REQUIRE(!ftruncate(file, PAGE + 10));
	printf("%c %d %d\n", at[PAGE], at[PAGE + 9] != 0, at[PAGE + 10]);
	leap_from(SIGBUS);
	touch("past the end", at + 2 * PAGE, 0);
	print_whole_file();
}

/* The last page in the file keeps what was stored there, also past the end. */
static void truncates_what_was_changed_privately(const char *path)
{
	set_up(path, MAP_PRIVATE);
	memset(at, 'p', LENGTH);
	REQUIRE(!ftruncate(file, PAGE + 10));
	print_sum("memory", at, 2 * PAGE);
	leap_from(SIGBUS);
	touch("past the end", at + 2 * PAGE, 0);
	REQUIRE(!ftruncate(file, LENGTH));
	print_sum("memory", at, LENGTH);
	at[3 * PAGE] = 'q';
	print_sum("memory", at, LENGTH);
	print_whole_file();
}

static void truncates_by_name_and_grows_again(const char *path)
{
	set_up(path, MAP_SHARED);
	REQUIRE(!truncate(path, 10));
	REQUIRE(!ftruncate(file, LENGTH));
	printf("%d %d\n", at[9] != 0, at[10]);
	print_sum("memory", at, LENGTH);
	at[LENGTH - 1] = 'z';
	print_whole_file();
}

/* What is stored past the end never gets into the file: not when it grows. */
static void store_past_the_end(const char *path)
{
	set_up(path, MAP_SHARED);
	REQUIRE(!ftruncate(file, PAGE + 10));
	memset(at + PAGE, 's', PAGE);
}

static void grows_over_what_was_stored(const char *path)
{
	store_past_the_end(path);
	REQUIRE(!ftruncate(file, 3 * PAGE));
	print_sum("memory", at, 3 * PAGE);
	REQUIRE(!msync(at, LENGTH, MS_SYNC));
	print_whole_file();
}

static void writes_over_what_was_stored(const char *path)
{
	store_past_the_end(path);
	REQUIRE(pwrite(file, "written", 7, PAGE + 100) == 7);
	print_sum("memory", at, PAGE + 107);
	REQUIRE(pwrite(file, "more", 4, 2 * PAGE + 100) == 4);
	print_sum("memory", at, 3 * PAGE);
	REQUIRE(!msync(at, LENGTH, MS_SYNC));
	print_whole_file();
}

static void grows_under_a_longer_mapping(const char *path)
{
	file = make_file(path, 100);
	at = map(file, PAGES, MAP_SHARED);
	leap_from(SIGBUS);
	touch("past the end", at + 5 * PAGE, 0);
	REQUIRE(!posix_fallocate(file, 0, LENGTH));
	at[5 * PAGE] = 'g';
	print_sum("memory", at, LENGTH);
	print_whole_file();
}

static void copies_between_files(const char *path)
{
	int other;
	off_t from = 0, to = PAGE;
	char name[4096];

	set_up(path, MAP_SHARED);
	snprintf(name, sizeof(name), "%s.other", path);
	other = make_file(name, LENGTH);
	memset(at, 'c', PAGE);
	REQUIRE(sendfile(other, file, &from, PAGE) == PAGE);
	from = 0;
	REQUIRE(copy_file_range(other, &from, file, &to, PAGE, 0) == PAGE);
	print_sum("memory", at, LENGTH);
	print_whole_file();
	close(other);
	unlink(name);
}

static void writes_much(const char *path)
{
	static char bytes[LENGTH];
	unsigned random = 12345;

	set_up(path, MAP_SHARED);
	for (unsigned i = 0; i < 400; i++) {
		size_t from, length;

		random = random * 1103515245 + 12345;
		from = random % LENGTH;
		length = (random >> 8) % (LENGTH - from);
		memset(bytes, 'a' + (int)(i % 26), length);
		if (i % 3)
			REQUIRE(pwrite(file, bytes, length, (off_t)from) ==
				(ssize_t)length);
		else
			memset(at + from, 'A' + (int)(i % 26), length);
	}
	print_sum("memory", at, LENGTH);
	print_whole_file();
}

#define MANY ((size_t)1 << 20)

static int open_directly(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECT);

	/* There are file systems without. */
	return fd < 0 && errno == EINVAL ? open(path, O_RDONLY) : fd;
}

/* Into pages that have to go while more of them come, if memory is short. */
static void reads_past_the_page_cache(const char *path)
{
	struct iovec two[2];
	char name[4096], *to;
	int from;

	snprintf(name, sizeof(name), "%s.other", path);
	close(make_file(name, 6 * MANY - 2 * PAGE));
	from = open_directly(name);
	file = make_file(path, 0);
	REQUIRE(from >= 0 && ftruncate(file, 6 * MANY) == 0);
	to = map(file, 6 * MANY / PAGE, MAP_SHARED);
	REQUIRE(read(from, to, MANY) == MANY);
	two[0] = (struct iovec){ to + MANY, 3 * PAGE };
	two[1] = (struct iovec){ to + MANY + 3 * PAGE, MANY - 3 * PAGE };
	REQUIRE(readv(from, two, 2) == MANY);
	REQUIRE(pread(from, to + 4 * MANY, 2 * MANY, 4 * MANY) ==
		2 * MANY - 2 * PAGE);
	two[0] = (struct iovec){ to + 2 * MANY, MANY };
	REQUIRE(preadv(from, two, 1, 2 * MANY) == MANY);
	two[0].iov_base = to + 3 * MANY;
	REQUIRE(preadv2(from, two, 1, 3 * MANY, 0) == MANY);
	printf("%zd\n", pread(from, to, PAGE, 6 * MANY));
	print_sum("memory", to, 6 * MANY);
	REQUIRE(mprotect(to, PAGE, PROT_READ) == 0);
	printf("%zd", pread(from, to, PAGE, PAGE));
	printf(": %s\n", strerror(errno));
	print_sum("memory", to, 6 * MANY);
	close(from);
	unlink(name);
}

const struct scenario scenarios[] = {
	{ "sees_pwrite", sees_pwrite },
	{ "sees_write_where_the_offset_is", sees_write_where_the_offset_is },
	{ "sees_vectors", sees_vectors },
	{ "sees_what_is_appended", sees_what_is_appended },
	{ "sees_writes_privately_until_it_stores",
	  sees_writes_privately_until_it_stores },
	{ "reads_what_was_stored", reads_what_was_stored },
	{ "stores_and_writes_in_one_page", stores_and_writes_in_one_page },
	{ "stores_and_writes_in_threads", stores_and_writes_in_threads },
	{ "truncates", truncates },
	{ "truncates_what_was_changed_privately",
	  truncates_what_was_changed_privately },
	{ "truncates_by_name_and_grows_again",
	  truncates_by_name_and_grows_again },
	{ "grows_over_what_was_stored", grows_over_what_was_stored },
	{ "writes_over_what_was_stored", writes_over_what_was_stored },
	{ "grows_under_a_longer_mapping", grows_under_a_longer_mapping },
	{ "copies_between_files", copies_between_files },
	{ "writes_much", writes_much },
	{ "reads_past_the_page_cache", reads_past_the_page_cache },
	{ NULL, NULL },
};
