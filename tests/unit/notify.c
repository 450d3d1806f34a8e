/* SPDX-License-Identifier: MIT */
/* wmapd's half of the keeper's protocol: what is sent, what is believed */
#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "notify.h"

/* ---- Received ----------------------------------------------------------- */

static char taken[256]; /* "name=fd " of each */

static void take(void *context, const char *name, int fd)
{
	size_t used = strlen(taken);

	ck_assert_ptr_eq(context, taken);
	ck_assert_int_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
	snprintf(taken + used, sizeof taken - used, "%s=%d ", name, fd);
}

/* As if started with 3, 4 and 5 open, told of so; @pid NULL: our own. */
static int receive(const char *pid, const char *fds, const char *names)
{
	char own[24];

	for (int fd = 3; fd < 6; fd++)
		dup2(0, fd);
	close_range(6, ~0u, 0);
	snprintf(own, sizeof own, "%d", getpid());
	setenv("LISTEN_PID", pid ? pid : own, 1);
	setenv("LISTEN_FDS", fds, 1);
	if (names)
		setenv("LISTEN_FDNAMES", names, 1);
	return notify_received(take, taken);
}

START_TEST(descriptors_come_in_order_by_name)
{
	ck_assert_int_eq(receive(NULL, "3", "listen:a.1:a.1"), 3);
	ck_assert_str_eq(taken, "listen=3 a.1=4 a.1=5 ");
	ck_assert_ptr_null(getenv("LISTEN_PID"));
	ck_assert_ptr_null(getenv("LISTEN_FDS"));
	ck_assert_ptr_null(getenv("LISTEN_FDNAMES"));
}
END_TEST

START_TEST(without_names_they_are_unknown)
{
	ck_assert_int_eq(receive(NULL, "2", NULL), 2);
	ck_assert_str_eq(taken, "unknown=3 unknown=4 ");
}
END_TEST

START_TEST(those_of_another_process_are_not_ours)
{
	ck_assert_int_eq(receive("1", "1", "listen"), 0);
	ck_assert_str_eq(taken, "");
	ck_assert_ptr_null(getenv("LISTEN_FDS"));
}
END_TEST

static const struct {
	const char *pid, *fds, *names;
} senseless[] = {
	{ NULL, "0", "" },
	{ NULL, "-1", "a" },
	{ NULL, "+1", "a" },
	{ NULL, " 1", "a" },
	{ NULL, "1 ", "a" },
	{ NULL, "1x", "a" },
	{ NULL, "01", "a" },
	{ NULL, "", "a" },
	{ NULL, "2147483647", "" },
	{ NULL, "4294967297", "a" },
	{ NULL, "4", "a:b:c:d" }, /* 6 is closed */
	{ NULL, "2", "a" },
	{ NULL, "2", "a:b:c" },
	{ NULL, "2", "a:" },
	{ NULL, "2", ":a" },
	{ NULL, "1", "" },
	{ NULL, "1", "a b" },
	{ NULL, "1", "a\n" },
	{ NULL, "1", "\xc3\xa4" },
	{ "", "1", "a" },
	{ "x", "1", "a" },
	{ "99999999999", "1", "a" },
};

START_TEST(what_makes_no_sense_is_not_taken)
{
	int error = receive(senseless[_i].pid, senseless[_i].fds,
			    senseless[_i].names);

	ck_assert_int_lt(error, 0);
	ck_assert_str_eq(taken, "");
	ck_assert_ptr_null(getenv("LISTEN_FDS"));
}
END_TEST

/* ---- Sent --------------------------------------------------------------- */

static int listener;

static void listen_for(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	socklen_t length = sizeof address;
	char name[sizeof address];
	size_t used;

	listener = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(bind(listener, (struct sockaddr *)&address,
			      sizeof(sa_family_t)),
			 0);
	getsockname(listener, (struct sockaddr *)&address, &length);
	used = length - offsetof(struct sockaddr_un, sun_path);
	memcpy(name, address.sun_path, used);
	name[0] = '@';
	name[used] = '\0';
	setenv("NOTIFY_SOCKET", name, 1);
	ck_assert_int_eq(notify_open(), 0);
}

/* Did a datagram come that says this, with or without a descriptor? */
static void ck_assert_said(const char *said, bool with_fd)
{
	char text[1024] = "", control[64];
	struct iovec part = { .iov_base = text, .iov_len = sizeof text - 1 };
	struct msghdr message = { .msg_iov = &part,
				  .msg_iovlen = 1,
				  .msg_control = control,
				  .msg_controllen = sizeof control };

	ck_assert_int_gt(recvmsg(listener, &message, MSG_DONTWAIT), 0);
	ck_assert_str_eq(text, said);
	ck_assert_int_eq(CMSG_FIRSTHDR(&message) != NULL, with_fd);
}

START_TEST(each_call_is_one_datagram)
{
	listen_for();
	ck_assert_ptr_null(getenv("NOTIFY_SOCKET"));
	ck_assert_int_eq(notify_ready(), 0);
	ck_assert_said("READY=1", false);
	ck_assert_int_eq(notify_status("%d\nlines", 2), 0);
	ck_assert_said("STATUS=2 lines", false);
	ck_assert_int_eq(notify_store("a.1", 0), 0);
	ck_assert_said("FDSTORE=1\nFDNAME=a.1\nFDPOLL=0", true);
	ck_assert_int_eq(notify_remove("a.1"), 0);
	ck_assert_said("FDSTOREREMOVE=1\nFDNAME=a.1", false);
}
END_TEST

START_TEST(without_a_keeper_nothing_happens)
{
	unsetenv("NOTIFY_SOCKET");
	ck_assert_int_eq(notify_open(), 0);
	ck_assert_int_eq(notify_ready(), 0);
	ck_assert_int_eq(notify_store("a", 0), 0);
}
END_TEST

START_TEST(a_name_that_is_none_is_refused)
{
	char longest[257];

	memset(longest, 'x', 256);
	longest[256] = '\0';
	ck_assert_int_eq(notify_store("", 0), -EINVAL);
	ck_assert_int_eq(notify_store("a:b", 0), -EINVAL);
	ck_assert_int_eq(notify_store("a\nREADY=1", 0), -EINVAL);
	ck_assert_int_eq(notify_remove(longest), -EINVAL);
	longest[255] = '\0';
	ck_assert_int_eq(notify_remove(longest), 0);
}
END_TEST

START_TEST(a_keeper_that_does_not_read_costs_a_second)
{
	time_t start;
	int error = 0;

	listen_for();
	start = time(NULL);
	for (int i = 0; i < 100000 && !error; i++)
		error = notify_ready();
	ck_assert_int_eq(error, -EAGAIN);
	ck_assert_int_le(time(NULL) - start, 5);
}
END_TEST

int main(void)
{
	TCase *facts = facts_case("notify", 30);

	tcase_add_test(facts, descriptors_come_in_order_by_name);
	tcase_add_test(facts, without_names_they_are_unknown);
	tcase_add_test(facts, those_of_another_process_are_not_ours);
	tcase_add_loop_test(facts, what_makes_no_sense_is_not_taken, 0,
			    COUNT(senseless));
	tcase_add_test(facts, each_call_is_one_datagram);
	tcase_add_test(facts, without_a_keeper_nothing_happens);
	tcase_add_test(facts, a_name_that_is_none_is_refused);
	tcase_add_test(facts, a_keeper_that_does_not_read_costs_a_second);
	return facts_run_anywhere(facts);
}
