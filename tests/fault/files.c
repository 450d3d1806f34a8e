/* SPDX-License-Identifier: MIT */
/*
 * The file store and the zero store; and a disk that is full
 */
#include "support.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

/* ---- The file store ------------------------------------------------------ */

static int bad_descriptor(int which)
{
	int pair[2], fd = file_with(3, PAGE);

	switch (which) {
	case 0:
		return -1;
	case 1:
		close(fd);
		return fd;
	case 2:
		return file_reopen(fd, O_WRONLY);
	case 3:
		return open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	default:
		ck_assert_int_eq(pipe(pair), 0);
		return pair[0];
	}
}

static const int errors[] = { EBADF, EBADF, EACCES, ENODEV, ENODEV };

START_TEST(what_is_no_readable_file_is_no_file_store)
{
	ck_assert_ptr_null(wmap_store_file(bad_descriptor(_i), 0));
	ck_assert_int_eq(errno, errors[_i]);
}
END_TEST

START_TEST(an_unknown_flag_is_refused)
{
	ck_assert_ptr_null(wmap_store_file(file_with(3, PAGE), 0x100));
	ck_assert_int_eq(errno, EINVAL);
}
END_TEST

START_TEST(its_descriptor_may_be_closed)
{
	int fd = file_with(3, PAGES(4));
	struct wmap_store *store = wmap_store_file(fd, 0);
	char *at;

	close(fd);
	at = memory_map_store(PAGES(4), PROT_READ, WMAP_SHARED, store, 0);
	ck_assert(pattern_holds(at, PAGES(4), 3, 0));
	wmap_store_put(store);
}
END_TEST

/* Lengths that O_DIRECT cannot write as they are. */
static const size_t tails[] = { 0, 1, 100, 511, 512, 1000, 4095 };

START_TEST(a_direct_file_has_its_tail_right)
{
	size_t length = PAGES(3) + tails[_i];
	int fd = file_with(3, length);
	struct wmap_store *store = wmap_store_file(fd, WMAP_FILE_DIRECT);
	char *at;

	if (!store && errno == EINVAL)
		return; /* no O_DIRECT here */
	at = memory_map_store(length, READ_WRITE, WMAP_SHARED, store, 0);
	ck_assert(pattern_holds(at, length, 3, 0));
	pattern_fill(at, length, 5, 0);
	ck_assert_int_eq(wmap_unmap(at, length), 0);
	ck_assert_uint_eq(file_length(fd), length);
	ck_assert(file_holds(fd, 5, 0, length));
	wmap_store_put(store);
}
END_TEST

/* ---- The zero store ------------------------------------------------------ */

START_TEST(the_zero_store_is_zeros_and_forgets)
{
	struct wmap_store *zero = wmap_store_zero();
	char *at = memory_map_store(PAGES(4), READ_WRITE, WMAP_SHARED, zero, 0);

	wmap_store_put(zero);
	ck_assert(pattern_zeros(at, PAGES(4)));
	memory_store(at, 4, 'z');
	ck_assert_int_eq(wmap_sync(at, PAGES(4), WMAP_SYNC_WAIT), 0);
	ck_assert_int_eq(at[PAGE], 'z');
	ck_assert_str_eq(memory_info(at).name, "zero");
}
END_TEST

/* ---- A full disk --------------------------------------------------------- */

#define WANTED	PAGES(64)
#define BALLAST PAGES(48)

/* A disk with room for one of the two; it has no name and goes with them. */
struct disk {
	int file, ballast;
};

static int mount_disk(size_t bytes)
{
	int fs = (int)syscall(SYS_fsopen, "tmpfs", FSOPEN_CLOEXEC);
	char size[32];
	int mount;

	snprintf(size, sizeof size, "%zu", bytes);
	syscall(SYS_fsconfig, fs, FSCONFIG_SET_STRING, "size", size, 0);
	syscall(SYS_fsconfig, fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0);
	mount = (int)syscall(SYS_fsmount, fs, FSMOUNT_CLOEXEC, 0);
	ck_assert_int_ge(mount, 0);
	close(fs);
	return mount;
}

/* One file of @length, sparse, and one that takes its room away. */
static struct disk full_disk(size_t length)
{
	int mount = mount_disk(WANTED + BALLAST / 2);
	const int flags = O_RDWR | O_CREAT | O_CLOEXEC;
	struct disk disk;

	disk.file = openat(mount, "file", flags, 0600);
	disk.ballast = openat(mount, "ballast", flags, 0600);
	close(mount);
	ck_assert_int_eq(ftruncate(disk.file, (off_t)length), 0);
	ck_assert_int_eq(fallocate(disk.ballast, 0, 0, (off_t)BALLAST), 0);
	return disk;
}

static int may_not_mount(unsigned unused)
{
	int fs = (int)syscall(SYS_fsopen, "tmpfs", unused);

	return fs < 0;
}

START_TEST(a_full_disk_is_reported_by_sync)
{
	int fd = full_disk(WANTED).file;
	char *at = memory_map(WANTED, READ_WRITE, WMAP_SHARED, fd, 0);

	memset(at, 'd', WANTED);
	ck_assert_int_eq(wmap_sync(at, WANTED, WMAP_SYNC_WAIT), -1);
	ck_assert_int_eq(errno, ENOSPC);
	ck_assert_uint_gt(memory_info(at).dirty, 0);
}
END_TEST

START_TEST(all_is_written_once_there_is_room)
{
	struct disk disk = full_disk(WANTED);
	char *at = memory_map(WANTED, READ_WRITE, WMAP_SHARED, disk.file, 0);

	pattern_fill(at, WANTED, 7, 0);
	ck_assert_int_eq(wmap_sync(at, WANTED, WMAP_SYNC_WAIT), -1);
	ck_assert_int_eq(ftruncate(disk.ballast, 0), 0);
	ck_assert_int_eq(wmap_sync(at, WANTED, WMAP_SYNC_WAIT), 0);
	ck_assert_uint_eq(memory_info(at).dirty, 0);
	ck_assert(file_holds(disk.file, 7, 0, WANTED));
}
END_TEST

/* The file is empty: the course's mapping makes it longer. */
START_TEST(wunmap_keeps_the_mapping_while_the_disk_is_full)
{
	struct disk disk = full_disk(0);
	char *at = memory_wmap(NULL, WANTED, WMAP_SHARED, disk.file);

	pattern_fill(at, WANTED, 7, 0);
	ck_assert_int_eq(wunmap(at), -1);
	ck_assert_int_eq(errno, ENOSPC);
	ck_assert(pattern_holds(at, WANTED, 7, 0));
	ck_assert_int_eq(ftruncate(disk.ballast, 0), 0);
	ck_assert_int_eq(wunmap(at), 0);
	ck_assert(file_holds(disk.file, 7, 0, WANTED));
}
END_TEST

int main(void)
{
	TCase *facts = facts_case("files", 40);

	tcase_add_loop_test(facts, what_is_no_readable_file_is_no_file_store, 0,
			    COUNT(errors));
	tcase_add_test(facts, an_unknown_flag_is_refused);
	tcase_add_test(facts, its_descriptor_may_be_closed);
	tcase_add_loop_test(facts, a_direct_file_has_its_tail_right, 0,
			    COUNT(tails));
	tcase_add_test(facts, the_zero_store_is_zeros_and_forgets);
	if (facts_ask(may_not_mount, 0) == 0) {
		tcase_add_test(facts, a_full_disk_is_reported_by_sync);
		tcase_add_test(facts, all_is_written_once_there_is_room);
		tcase_add_test(facts,
			       wunmap_keeps_the_mapping_while_the_disk_is_full);
	}
	return facts_run(facts);
}
