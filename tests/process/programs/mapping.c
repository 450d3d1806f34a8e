/* SPDX-License-Identifier: MIT */
/* Mapping files: what is read, what is stored, and where it goes */
#include <pthread.h>

#include "scenario.h"

static void reads_private(const char *path)
{
	print_sum("seen", map_new(path, MAP_PRIVATE), PAGES * PAGE);
}

static void reads_shared(const char *path)
{
	print_sum("seen", map_new(path, MAP_SHARED), PAGES * PAGE);
}

static void reads_backwards(const char *path)
{
	char *p = map_new(path, MAP_SHARED);
	size_t i;

	for (i = PAGES; i-- > 0;)
		print_sum("page", p + i * PAGE, PAGE);
}

static void reads_only(const char *path)
{
	int fd;
	char *p;

	close(make_file(path, PAGES * PAGE));
	fd = open(path, O_RDONLY);
	p = mmap(NULL, PAGES * PAGE, PROT_READ, MAP_SHARED, fd, 0);
	REQUIRE(p != MAP_FAILED);
	print_sum("seen", p, PAGES * PAGE);
	leap_from(SIGSEGV);
	touch("store", p, 1);
}

static void reads_from_an_offset(const char *path)
{
	int fd = make_file(path, PAGES * PAGE);
	char *p = mmap64(NULL, 4 * PAGE, PROT_READ, MAP_PRIVATE, fd, 8 * PAGE);

	REQUIRE(p != MAP_FAILED);
	REQUIRE(lseek(fd, 0, SEEK_CUR) == PAGES * PAGE);
	print_sum("seen", p, 4 * PAGE);
}

static void reads_a_last_part_of_a_page(const char *path)
{
	int fd = make_file(path, 3 * PAGE + 100);
	char *p = map(fd, 4, MAP_SHARED);

	print_sum("file's", p, 3 * PAGE + 100);
	print_sum("zeros", p + 3 * PAGE + 100, PAGE - 100);
	p[3 * PAGE + 50] = 'a';
	p[3 * PAGE + 150] = 'b'; /* lost */
	munmap(p, 4 * PAGE);
	print_file(path);
}

static void reads_an_unlinked_file(const char *path)
{
	char *p = map_new(path, MAP_SHARED);

	unlink(path);
	print_sum("seen", p, PAGES * PAGE);
}

static void populates(const char *path)
{
	char *p = map_new(path, MAP_SHARED | MAP_POPULATE);

	print_sum("seen", p, PAGES * PAGE);
}

static void stores_and_syncs(const char *path)
{
	char *p = map_new(path, MAP_SHARED);

	p[PAGE + 1] = 'a';
	memset(p + 5 * PAGE, 'b', 2 * PAGE);
	print_result("msync", msync(p, PAGES * PAGE, MS_SYNC));
	print_file(path);
	p[PAGE + 2] = 'c';
	print_result("msync", msync(p + PAGE, 10, MS_SYNC | MS_INVALIDATE));
	print_file(path);
}

static void stores_and_unmaps(const char *path)
{
	char *p = map_new(path, MAP_SHARED);

	memset(p + 2 * PAGE, 'a', PAGE + 1);
	print_result("msync", msync(p, PAGES * PAGE, MS_ASYNC));
	p[0] = 'z';
	print_result("munmap", munmap(p, PAGES * PAGE));
	print_file(path);
}

static void stores_privately(const char *path)
{
	char *p = map_new(path, MAP_PRIVATE);

	memset(p + PAGE, 'a', PAGE);
	p[5 * PAGE] = 'b';
	print_sum("seen", p, PAGES * PAGE);
	print_result("msync", msync(p, PAGES * PAGE, MS_SYNC));
	print_file(path);
	print_result("dontneed", madvise(p, PAGES * PAGE, MADV_DONTNEED));
	print_sum("dropped", p, PAGES * PAGE);
}

static void shows_one_memory_twice(const char *path)
{
	int fd = make_file(path, PAGES * PAGE);
	char *a = map(fd, PAGES, MAP_SHARED), *b = map(fd, PAGES, MAP_SHARED);
	char *c = map(fd, PAGES, MAP_PRIVATE);

	a[0] = 'a';
	b[PAGE] = 'b';
	printf("%c%c%c%c\n", b[0], a[PAGE], c[0], c[PAGE]);
	c[0] = 'c';
	a[1] = 'd';
	printf("%c%c%c\n", a[0], b[0], c[0]);
	munmap(a, PAGES * PAGE);
	b[2 * PAGE] = 'e';
	munmap(b, PAGES * PAGE);
	print_file(path);
}

static void maps_many(const char *path)
{
	int fd = make_file(path, PAGES * PAGE);
	unsigned long total = 0;
	char *p[1000];
	unsigned i;

	for (i = 0; i < 1000; i++) {
		p[i] = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd,
			    i % PAGES * PAGE);
		REQUIRE(p[i] != MAP_FAILED);
		total += sum(p[i], PAGE);
	}
	for (i = 0; i < 1000; i++)
		REQUIRE(munmap(p[i], PAGE) == 0);
	printf("%lx\n", total);
}

static void gives_memory_to_system_calls(const char *path)
{
	int fd = make_file(path, PAGES * PAGE), other;
	char *p = map(fd, PAGES, MAP_SHARED), name[4096];

	snprintf(name, sizeof(name), "%s.other", path);
	other = open(name, O_RDWR | O_CREAT | O_TRUNC, 0600);
	print_result("write", write(other, p + PAGE, 3 * PAGE));
	print_result("read", pread(other, p + 8 * PAGE + 5, 2 * PAGE, 7));
	print_sum("seen", p, PAGES * PAGE);
	unlink(name);
}

static void *worker(void *argument)
{
	const char *path = argument;
	unsigned long total = 0;
	int i;

	for (i = 0; i < 50; i++) {
		int fd = open(path, O_RDONLY);
		char *p =
			mmap(NULL, PAGES * PAGE, PROT_READ, MAP_SHARED, fd, 0);

		REQUIRE(p != MAP_FAILED);
		close(fd);
		total += sum(p, PAGES * PAGE);
		REQUIRE(munmap(p, PAGES * PAGE) == 0);
	}
	return (void *)total;
}

static void maps_in_threads(const char *path)
{
	pthread_t threads[4];
	void *result;
	int i;

	close(make_file(path, PAGES * PAGE));
	for (i = 0; i < 4; i++)
		REQUIRE(!pthread_create(&threads[i], NULL, worker,
					(void *)(uintptr_t)path));
	for (i = 0; i < 4; i++) {
		pthread_join(threads[i], &result);
		printf("%p\n", result);
	}
}

static void fails(const char *path)
{
	int fd = make_file(path, PAGES * PAGE), ro = open(path, O_RDONLY);
	int wo = open(path, O_WRONLY), directory = open("/", O_RDONLY), p[2];
	const int rw = PROT_READ | PROT_WRITE;

	REQUIRE(pipe(p) == 0);
#define TRY(...) print_result(#__VA_ARGS__, (long)mmap(__VA_ARGS__))
	TRY(NULL, 0, rw, MAP_SHARED, fd, 0);
	TRY(NULL, PAGE, rw, MAP_SHARED, -1, 0);
	TRY(NULL, PAGE, rw, MAP_SHARED, 1000, 0);
	TRY(NULL, PAGE, rw, MAP_SHARED, ro, 0);
	TRY(NULL, PAGE, PROT_READ, MAP_SHARED, wo, 0);
	TRY(NULL, PAGE, PROT_READ, MAP_PRIVATE, wo, 0);
	TRY(NULL, PAGE, PROT_READ, MAP_SHARED, directory, 0);
	TRY(NULL, PAGE, PROT_READ, MAP_SHARED, p[0], 0);
	TRY(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 100);
	TRY(NULL, PAGE, PROT_READ, MAP_SHARED, fd, -(off_t)PAGE);
	TRY(NULL, PAGE, PROT_READ, 0, fd, 0);
	TRY(NULL, SIZE_MAX, PROT_READ, MAP_SHARED, fd, 0);
	TRY((void *)1, PAGE, PROT_READ, MAP_SHARED | MAP_FIXED, fd, 0);
#undef TRY
}

static void leaves_errno_alone(const char *path)
{
	int fd = make_file(path, PAGES * PAGE);
	char *p;

	errno = 4242;
	p = map(fd, PAGES, MAP_SHARED);
	msync(p, PAGE, MS_SYNC);
	mprotect(p, PAGE, PROT_READ);
	madvise(p, PAGE, MADV_RANDOM);
	munmap(p, PAGES * PAGE);
	printf("%d\n", errno);
}

const struct scenario scenarios[] = {
	{ "reads_private", reads_private },
	{ "reads_shared", reads_shared },
	{ "reads_backwards", reads_backwards },
	{ "reads_only", reads_only },
	{ "reads_from_an_offset", reads_from_an_offset },
	{ "reads_a_last_part_of_a_page", reads_a_last_part_of_a_page },
	{ "reads_an_unlinked_file", reads_an_unlinked_file },
	{ "populates", populates },
	{ "stores_and_syncs", stores_and_syncs },
	{ "stores_and_unmaps", stores_and_unmaps },
	{ "stores_privately", stores_privately },
	{ "shows_one_memory_twice", shows_one_memory_twice },
	{ "maps_many", maps_many },
	{ "gives_memory_to_system_calls", gives_memory_to_system_calls },
	{ "maps_in_threads", maps_in_threads },
	{ "fails", fails },
	{ "leaves_errno_alone", leaves_errno_alone },
	{ NULL, NULL },
};
