/* SPDX-License-Identifier: MIT */
/*
 * Bad input: each with its errno, and nothing changed
 *
 * Each row of the tables is one wrong call, made beside three mappings that
 * exist. Afterwards these must be as they were: in the list of mappings, in
 * their bytes, and in being usable; and the number of descriptors, too.
 */
#include "support.h"

#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define PRIVATE_ANON (WMAP_PRIVATE | WMAP_ANONYMOUS)
#define SHARED_ANON  (WMAP_SHARED | WMAP_ANONYMOUS)

/*
 * The scene, in pages: ..AAAA..SSSS..CCCC..
 * A: wmap_map, private anonymous; S: wmap_map, a shared file; C: wmap, shared
 * anonymous, of 4 pages less 100 bytes.
 */
static struct scene {
	char *area, *a, *s, *c;
	int file, read_only, write_only, folder, pipe, socket, closed;
	struct wmap_mapping_info before[4];
	unsigned descriptors;
} scene;

static void put(char *at, int flags, int fd)
{
	ck_assert_ptr_eq(wmap_map(at, PAGES(4), READ_WRITE, flags | WMAP_FIXED,
				  fd, 0, NULL),
			 at);
	memset(at, 'b', PAGES(4));
}

static void open_descriptors(void)
{
	int pair[2];

	scene.file = file_with(3, PAGES(4));
	scene.read_only = file_reopen(scene.file, O_RDONLY);
	scene.write_only = file_reopen(scene.file, O_WRONLY);
	scene.folder = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ck_assert_int_eq(pipe(pair), 0);
	scene.pipe = pair[0];
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	scene.socket = pair[0];
	/* A number that no later descriptor gets. */
	scene.closed = fcntl(pair[0], F_DUPFD, 200);
	close(scene.closed);
}

static void list(struct wmap_mapping_info infos[4])
{
	memset(infos, 0, 4 * sizeof *infos);
	infos[0].size = sizeof *infos;
	ck_assert_int_eq(wmap_mapping_list(infos, 4), 3);
}

static void set_up(void)
{
	scene.area = memory_free_range(PAGES(32));
	scene.a = scene.area + PAGES(2);
	scene.s = scene.area + PAGES(8);
	scene.c = scene.area + PAGES(14);
	open_descriptors();
	put(scene.a, PRIVATE_ANON, -1);
	put(scene.s, WMAP_SHARED, scene.file);
	memory_wmap(scene.c, PAGES(4) - 100, SHARED_ANON, -1);
	memset(scene.c, 'b', PAGES(4) - 100);
	scene.descriptors = process_descriptors(0);
	list(scene.before);
}

static bool bytes_as_before(void)
{
	for (size_t i = 0; i < PAGES(4) - 100; i++)
		if (scene.a[i] != 'b' || scene.s[i] != 'b' || scene.c[i] != 'b')
			return false;
	return true;
}

/* The counters of faults go on counting: a look is a fault. */
static bool mapping_as_before(const struct wmap_mapping_info *was,
			      const struct wmap_mapping_info *is)
{
	return was->addr == is->addr && was->length == is->length &&
	       was->offset == is->offset && was->prot == is->prot &&
	       was->flags == is->flags && was->grain == is->grain &&
	       was->loaded == is->loaded && was->resident == is->resident &&
	       was->dirty == is->dirty && !strcmp(was->name, is->name);
}

static void check_nothing_changed(void)
{
	struct wmap_mapping_info now[4];

	list(now);
	for (int i = 0; i < 3; i++)
		ck_assert_msg(mapping_as_before(&scene.before[i], &now[i]),
			      "mapping %d has changed", i);
	ck_assert_uint_eq(process_descriptors(0), scene.descriptors);
	ck_assert(bytes_as_before());
	memory_store(scene.a, 4, 'b');
	memory_store(scene.s, 4, 'b');
	memory_store(scene.c, 4, 'b');
	ck_assert_int_eq(wmap_unmap(scene.s, PAGES(4)), 0);
	ck_assert(file_has(scene.file, 0, scene.a, PAGES(4)));
}

/* ---- The course's wmap --------------------------------------------------- */

/* An address is an offset in the area, except these. */
#define EXACTLY 1 /* the number itself */

static const struct course_row {
	intptr_t at;
	int exactly;
	size_t length;
	int flags;
	const int *fd; /* NULL: none */
	int error;
} course_rows[] = {
	{ 0, 0, 0, PRIVATE_ANON, NULL, EINVAL },
	{ 0, 0, (size_t)-1, PRIVATE_ANON, NULL, EINVAL },
	{ 0, 0, (size_t)-4096, PRIVATE_ANON, NULL, EINVAL },
	{ 0, 0, (size_t)PTRDIFF_MAX + 1, PRIVATE_ANON, NULL, EINVAL },
	{ 0, 0, (size_t)1 << 62, PRIVATE_ANON, NULL, ENOMEM },
	{ 0, 0, (size_t)1 << 48, SHARED_ANON, NULL, ENOMEM },
	{ 0, 0, PAGE, WMAP_ANONYMOUS, NULL, EINVAL },
	{ 0, 0, PAGE, SHARED_ANON | WMAP_PRIVATE, NULL, EINVAL },
	{ 0, 0, PAGE, PRIVATE_ANON | 0x20, NULL, EINVAL },
	{ 0, 0, PAGE, PRIVATE_ANON | 0x1000000, NULL, EINVAL },
	{ 0, 0, PAGE, PRIVATE_ANON | INT32_MIN, NULL, EINVAL },
	{ 0, 0, PAGE, PRIVATE_ANON | WMAP_REPLACE, NULL, EINVAL },
	{ 0, 0, PAGE, WMAP_SHARED | WMAP_DIRECT, &scene.file, EINVAL },
	{ PAGE + 1, 0, PAGE, PRIVATE_ANON | WMAP_FIXED, NULL, EINVAL },
	{ PAGE + 512, 0, PAGE, PRIVATE_ANON | WMAP_FIXED, NULL, EINVAL },
	{ 0, EXACTLY, PAGE, PRIVATE_ANON | WMAP_FIXED, NULL, EINVAL },
	{ -4096, EXACTLY, PAGE, PRIVATE_ANON | WMAP_FIXED, NULL, ENOMEM },
	{ -4096, EXACTLY, PAGES(2), PRIVATE_ANON | WMAP_FIXED, NULL, ENOMEM },
	{ INTPTR_MIN, EXACTLY, PAGE, PRIVATE_ANON | WMAP_FIXED, NULL, ENOMEM },
	{ PAGES(2), 0, PAGES(4), PRIVATE_ANON | WMAP_FIXED, NULL, EEXIST },
	{ PAGES(0), 0, PAGES(3), PRIVATE_ANON | WMAP_FIXED, NULL, EEXIST },
	{ PAGES(0), 0, PAGES(20), WMAP_SHARED | WMAP_FIXED, &scene.file,
	  EEXIST },
	{ PAGES(9), 0, PAGE, PRIVATE_ANON | WMAP_FIXED, NULL, EEXIST },
	{ PAGES(17), 0, PAGES(3), SHARED_ANON | WMAP_FIXED, NULL, EEXIST },
	{ PAGES(1), 0, PAGE, PRIVATE_ANON | WMAP_FIXED | WMAP_GROWSUP, NULL,
	  EEXIST },
	{ 0, 0, PAGE, WMAP_SHARED, NULL, EBADF },
	{ 0, 0, PAGE, WMAP_SHARED, &scene.closed, EBADF },
	{ 0, 0, PAGE, WMAP_SHARED, &scene.write_only, EACCES },
	{ 0, 0, PAGE, WMAP_PRIVATE, &scene.write_only, EACCES },
	{ 0, 0, PAGE, WMAP_SHARED, &scene.read_only, EACCES },
	{ 0, 0, PAGE, WMAP_PRIVATE, &scene.folder, ENODEV },
	{ 0, 0, PAGE, WMAP_PRIVATE, &scene.pipe, ENODEV },
	{ 0, 0, PAGE, WMAP_PRIVATE, &scene.socket, ENODEV },
};

static void *address(intptr_t at, int exactly)
{
	return exactly ? (void *)at : scene.area + at;
}

START_TEST(wmap_refuses)
{
	const struct course_row *row = &course_rows[_i];

	set_up();
	ck_assert_ptr_eq(wmap(address(row->at, row->exactly), row->length,
			      row->flags, row->fd ? *row->fd : -1),
			 WMAP_FAILED);
	ck_assert_int_eq(errno, row->error);
	check_nothing_changed();
}
END_TEST

/* ---- wmap_map ------------------------------------------------------------ */

static const struct map_row {
	intptr_t at;
	int exactly;
	size_t length;
	int prot, flags;
	const int *fd;
	off_t offset;
	size_t size, grain; /* of the options; size 0: no options */
	int error;
} map_rows[] = {
	{ 0, 0, 0, 3, PRIVATE_ANON, NULL, 0, 0, 0, EINVAL },
	{ 0, 0, (size_t)-1, 3, PRIVATE_ANON, NULL, 0, 0, 0, EINVAL },
	{ 0, 0, (size_t)1 << 62, 3, PRIVATE_ANON, NULL, 0, 0, 0, ENOMEM },
	{ 0, 0, PAGE, 8, PRIVATE_ANON, NULL, 0, 0, 0, EINVAL },
	{ 0, 0, PAGE, -1, PRIVATE_ANON, NULL, 0, 0, 0, EINVAL },
	{ 0, 0, PAGE, 3, WMAP_ANONYMOUS, NULL, 0, 0, 0, EINVAL },
	{ 0, 0, PAGE, 3, SHARED_ANON | 1, NULL, 0, 0, 0, EINVAL },
	{ 0, 0, PAGE, 3, PRIVATE_ANON | 0x20, NULL, 0, 0, 0, EINVAL },
	{ 0, 0, PAGE, 3, PRIVATE_ANON | 0x400, NULL, 0, 0, 0, EINVAL },
	{ 0, 0, PAGE, 3, PRIVATE_ANON | WMAP_GROWSUP, NULL, 0, 0, 0, EINVAL },
	{ PAGES(2), 0, PAGE, 3, PRIVATE_ANON | WMAP_REPLACE, NULL, 0, 0, 0,
	  EINVAL },
	{ 7, 0, PAGE, 3, PRIVATE_ANON | WMAP_FIXED, NULL, 0, 0, 0, EINVAL },
	{ -4096, EXACTLY, PAGES(2), 3, PRIVATE_ANON | WMAP_FIXED, NULL, 0, 0, 0,
	  ENOMEM },
	{ PAGES(1), 0, PAGES(2), 3, PRIVATE_ANON | WMAP_FIXED, NULL, 0, 0, 0,
	  EEXIST },
	{ 0, 0, PAGE, 3, WMAP_SHARED, NULL, 0, 0, 0, EBADF },
	{ 0, 0, PAGE, 3, WMAP_SHARED, &scene.closed, 0, 0, 0, EBADF },
	{ 0, 0, PAGE, 1, WMAP_SHARED, &scene.write_only, 0, 0, 0, EACCES },
	{ 0, 0, PAGE, 3, WMAP_SHARED, &scene.read_only, 0, 0, 0, EACCES },
	{ 0, 0, PAGE, 2, WMAP_SHARED, &scene.read_only, 0, 0, 0, EACCES },
	{ 0, 0, PAGE, 1, WMAP_PRIVATE, &scene.folder, 0, 0, 0, ENODEV },
	{ 0, 0, PAGE, 1, WMAP_PRIVATE, &scene.pipe, 0, 0, 0, ENODEV },
	{ 0, 0, PAGE, 1, WMAP_PRIVATE, &scene.socket, 0, 0, 0, ENODEV },
	{ 0, 0, PAGE, 3, WMAP_SHARED, &scene.file, 100, 0, 0, EINVAL },
	{ 0, 0, PAGE, 3, WMAP_SHARED, &scene.file, 4095, 0, 0, EINVAL },
	{ 0, 0, PAGES(2), 3, WMAP_SHARED, &scene.file, INT64_MAX - 4095, 0, 0,
	  EOVERFLOW },
	{ 0, 0, PAGE, 3, PRIVATE_ANON, NULL, 0, 7, 0, EINVAL },
	{ 0, 0, PAGE, 3, PRIVATE_ANON, NULL, 0, 99999, 0, EINVAL },
	{ 0, 0, PAGE, 3, PRIVATE_ANON, NULL, 0, sizeof(struct wmap_map_options),
	  1, EINVAL },
	{ 0, 0, PAGE, 3, PRIVATE_ANON, NULL, 0, sizeof(struct wmap_map_options),
	  12288, EINVAL },
	{ 0, 0, PAGE, 3, PRIVATE_ANON, NULL, 0, sizeof(struct wmap_map_options),
	  4 * MIB, EINVAL },
};

START_TEST(wmap_map_refuses)
{
	const struct map_row *row = &map_rows[_i];
	struct wmap_map_options options = { .size = row->size,
					    .grain = row->grain };

	set_up();
	ck_assert_ptr_eq(wmap_map(address(row->at, row->exactly), row->length,
				  row->prot, row->flags,
				  row->fd ? *row->fd : -1, row->offset,
				  row->size ? &options : NULL),
			 WMAP_FAILED);
	ck_assert_int_eq(errno, row->error);
	check_nothing_changed();
}
END_TEST

/* ---- Calls on a range ---------------------------------------------------- */

/* What is asked of [area + at, + length), the last argument being @what. */
enum call { UNMAP, PROTECT, SYNC, ADVISE, RESIDENCY, WUNMAP };

static const struct range_row {
	enum call call;
	size_t at, length;
	int what;
	int error;
} range_rows[] = {
	{ UNMAP, PAGES(2) + 1, PAGE, 0, EINVAL },
	{ UNMAP, PAGES(2), 0, 0, EINVAL },
	{ UNMAP, PAGES(2), (size_t)-1, 0, EINVAL },
	{ UNMAP, PAGES(2), SIZE_MAX - PAGE, 0, EINVAL },
	{ PROTECT, PAGES(2) + 1, PAGE, PROT_READ, EINVAL },
	{ PROTECT, PAGES(2), PAGE, 8, EINVAL },
	{ PROTECT, PAGES(2), PAGE, -1, EINVAL },
	{ PROTECT, PAGES(2), SIZE_MAX - PAGE, PROT_READ, EINVAL },
	{ PROTECT, PAGES(0), PAGES(4), PROT_READ, ENOMEM },
	{ PROTECT, PAGES(4), PAGES(4), PROT_READ, ENOMEM },
	{ PROTECT, PAGES(4), PAGES(8), PROT_READ, ENOMEM },
	{ SYNC, PAGES(8) + 1, PAGE, WMAP_SYNC_WAIT, EINVAL },
	{ SYNC, PAGES(8), PAGE, 0, EINVAL },
	{ SYNC, PAGES(8), PAGE, WMAP_SYNC_WAIT | WMAP_SYNC_START, EINVAL },
	{ SYNC, PAGES(8), PAGE, WMAP_SYNC_WAIT | 8, EINVAL },
	{ SYNC, PAGES(0), PAGE, WMAP_SYNC_WAIT, ENOMEM },
	{ SYNC, PAGES(20), PAGES(3), WMAP_SYNC_START, ENOMEM },
	{ ADVISE, PAGES(2) + 1, PAGE, WMAP_ADVICE_NORMAL, EINVAL },
	{ ADVISE, PAGES(2), PAGE, 7, EINVAL },
	{ ADVISE, PAGES(2), PAGE, -1, EINVAL },
	{ ADVISE, PAGES(0), PAGE, WMAP_ADVICE_WILLNEED, ENOMEM },
	{ RESIDENCY, PAGES(2) + 1, PAGE, 1, EINVAL },
	{ RESIDENCY, PAGES(0), PAGE, 1, ENOMEM },
	{ RESIDENCY, PAGES(2), PAGES(7), 1, ENOMEM },
	{ RESIDENCY, PAGES(2), PAGES(4), 0, EFAULT },
	{ WUNMAP, PAGES(0), 0, 0, EINVAL },
	{ WUNMAP, PAGES(3), 0, 0, EINVAL },
	{ WUNMAP, PAGES(2) + 1, 0, 0, EINVAL },
	{ WUNMAP, PAGES(18), 0, 0, EINVAL },
};

static int call_range(const struct range_row *row)
{
	char *at = scene.area + row->at;
	unsigned char vec[64];

	switch (row->call) {
	case UNMAP:
		return wmap_unmap(at, row->length);
	case PROTECT:
		return wmap_protect(at, row->length, row->what);
	case SYNC:
		return wmap_sync(at, row->length, row->what);
	case ADVISE:
		return wmap_advise(at, row->length, row->what);
	case RESIDENCY:
		return wmap_residency(at, row->length, row->what ? vec : NULL);
	case WUNMAP:
		return wunmap(at);
	}
	return 0;
}

START_TEST(a_call_on_a_range_refuses)
{
	set_up();
	ck_assert_int_eq(call_range(&range_rows[_i]), -1);
	ck_assert_int_eq(errno, range_rows[_i].error);
	check_nothing_changed();
}
END_TEST

/* ---- Resizing ------------------------------------------------------------ */

#define BOTH (WMAP_MAYMOVE | WMAP_FIXED)

static const struct remap_row {
	size_t at, oldlength, newlength;
	int flags;
	size_t to;
	int error;
} remap_rows[] = {
	{ PAGES(2) + 1, PAGE, PAGES(2), WMAP_MAYMOVE, 0, EINVAL },
	{ PAGES(2), 0, PAGES(2), WMAP_MAYMOVE, 0, EINVAL },
	{ PAGES(2), PAGE, 0, WMAP_MAYMOVE, 0, EINVAL },
	{ PAGES(2), PAGE, PAGES(2), 4, 0, EINVAL },
	{ PAGES(2), PAGE, PAGE, WMAP_FIXED, PAGES(22), EINVAL },
	{ PAGES(2), PAGES(4), PAGES(4), BOTH, PAGES(22) + 1, EINVAL },
	{ PAGES(2), PAGES(4), PAGES(4), BOTH, PAGES(3), EINVAL },
	{ PAGES(0), PAGES(4), PAGES(2), 0, 0, EFAULT },
	{ PAGES(4), PAGES(6), PAGES(8), WMAP_MAYMOVE, 0, EFAULT },
	{ PAGES(20), PAGES(2), PAGES(4), WMAP_MAYMOVE, 0, EFAULT },
	{ PAGES(2), PAGES(4), PAGES(7), 0, 0, ENOMEM },
	{ PAGES(2), PAGES(4), (size_t)1 << 62, WMAP_MAYMOVE, 0, ENOMEM },
};

START_TEST(wmap_remap_refuses)
{
	const struct remap_row *row = &remap_rows[_i];

	set_up();
	ck_assert_ptr_eq(wmap_remap(scene.area + row->at, row->oldlength,
				    row->newlength, row->flags,
				    scene.area + row->to),
			 WMAP_FAILED);
	ck_assert_int_eq(errno, row->error);
	check_nothing_changed();
}
END_TEST

START_TEST(writing_is_not_given_for_a_file_that_was_opened_read_only)
{
	char *at;

	set_up();
	at = scene.area + PAGES(20);
	ck_assert_ptr_eq(wmap_map(at, PAGE, PROT_READ, WMAP_SHARED | WMAP_FIXED,
				  scene.read_only, 0, NULL),
			 at);
	ck_assert_int_eq(wmap_protect(at, PAGE, READ_WRITE), -1);
	ck_assert_int_eq(errno, EACCES);
	ck_assert_int_eq(process_store(at, 1), SIGSEGV);
	ck_assert_int_eq(wmap_unmap(at, PAGE), 0);
}
END_TEST

/* ---- Information --------------------------------------------------------- */

START_TEST(a_size_that_is_not_known_is_refused)
{
	struct wmap_mapping_info info = { .size = 3 };
	struct wmap_stats stats = { .size = 3 };

	set_up();
	ck_assert_int_eq(wmap_mapping_list(&info, 1), -1);
	ck_assert_int_eq(errno, EINVAL);
	ck_assert_int_eq(wmap_mapping_find(scene.a, &info), -1);
	ck_assert_int_eq(errno, EINVAL);
	ck_assert_int_eq(wmap_stats_get(&stats), -1);
	ck_assert_int_eq(errno, EINVAL);
	check_nothing_changed();
}
END_TEST

START_TEST(a_bad_pointer_is_efault)
{
	set_up();
	ck_assert_int_eq(wmap_mapping_list(NULL, 1), -1);
	ck_assert_int_eq(errno, EFAULT);
	ck_assert_int_eq(wmap_mapping_find(scene.a, NULL), -1);
	ck_assert_int_eq(errno, EFAULT);
	ck_assert_int_eq(wmap_stats_get(NULL), -1);
	ck_assert_int_eq(errno, EFAULT);
	ck_assert_int_eq(getwmapinfo(NULL), -1);
	ck_assert_int_eq(errno, EFAULT);
	check_nothing_changed();
}
END_TEST

START_TEST(where_nothing_is_mapped_nothing_is_found)
{
	struct wmap_mapping_info info = { .size = sizeof info };

	set_up();
	ck_assert_int_eq(wmap_mapping_find(scene.area, &info), -1);
	ck_assert_int_eq(errno, ENOENT);
	ck_assert_int_eq(wmap_mapping_find(scene.a + PAGES(4), &info), -1);
	ck_assert_int_eq(errno, ENOENT);
}
END_TEST

/* Above all that a process can have: a wmapd would cut us off for less. */
#define ABOVE ((char *)((uintptr_t)1 << 47))

static void check_above(char *at)
{
	struct wmap_mapping_info info = { .size = sizeof info };
	unsigned char vec;

	ck_assert_int_eq(wmap_mapping_find(at, &info), -1);
	ck_assert_int_eq(errno, ENOENT);
	ck_assert_int_eq(wmap_mapping_bound(at, 1 << 20), -1);
	ck_assert_int_eq(errno, ENOENT);
	ck_assert_int_eq(wmap_protect(at, PAGE, PROT_READ), -1);
	ck_assert_int_eq(errno, ENOMEM);
	ck_assert_int_eq(wmap_advise(at, PAGE, WMAP_ADVICE_WILLNEED), -1);
	ck_assert_int_eq(errno, ENOMEM);
	ck_assert_int_eq(wmap_sync(at, PAGE, WMAP_SYNC_WAIT), -1);
	ck_assert_int_eq(errno, ENOMEM);
	ck_assert_int_eq(wmap_residency(at, PAGE, &vec), -1);
	ck_assert_int_eq(errno, ENOMEM);
	ck_assert_int_eq(wmap_pin(at, PAGE), -1);
	ck_assert_int_eq(errno, ENOMEM);
	ck_assert_ptr_eq(wmap_remap(at, PAGE, PAGES(2), WMAP_MAYMOVE, NULL),
			 WMAP_FAILED);
	ck_assert_int_eq(errno, EFAULT);
	ck_assert_int_eq(wmap_unmap(at, PAGE), 0);
}

static void check_above_by(const char *pager)
{
	char *memory;

	ck_assert_int_eq(wmap_pager_set(pager), 0);
	memory = wmap_map(NULL, PAGE, PROT_READ | PROT_WRITE, SHARED_ANON, -1,
			  0, NULL);
	ck_assert_ptr_ne(memory, WMAP_FAILED);
	*memory = 7;
	check_above(ABOVE);
	check_above(ABOVE + PAGES(100));
	ck_assert_int_eq(*memory, 7);
	ck_assert_int_eq(wmap_unmap(memory, PAGE), 0);
}

START_TEST(an_address_above_all_is_as_one_where_nothing_is)
{
	check_above_by("thread");
}
END_TEST

START_TEST(so_it_is_with_a_pager_apart)
{
	check_above_by("private");
}
END_TEST

int main(void)
{
	TCase *facts = facts_case("bad input", 30);

	tcase_add_loop_test(facts, wmap_refuses, 0, COUNT(course_rows));
	tcase_add_loop_test(facts, wmap_map_refuses, 0, COUNT(map_rows));
	tcase_add_loop_test(facts, a_call_on_a_range_refuses, 0,
			    COUNT(range_rows));
	tcase_add_loop_test(facts, wmap_remap_refuses, 0, COUNT(remap_rows));
	tcase_add_test(
		facts,
		writing_is_not_given_for_a_file_that_was_opened_read_only);
	tcase_add_test(facts, a_size_that_is_not_known_is_refused);
	tcase_add_test(facts, a_bad_pointer_is_efault);
	tcase_add_test(facts, where_nothing_is_mapped_nothing_is_found);
	tcase_add_test(facts, an_address_above_all_is_as_one_where_nothing_is);
	tcase_add_test(facts, so_it_is_with_a_pager_apart);
	return facts_run(facts);
}
