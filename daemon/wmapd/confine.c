/* SPDX-License-Identifier: MIT */
/*
 * The system calls that wmapd may make once it serves, and no others
 *
 * Who has found a way to run code of theirs in wmapd finds no execve, no ptrace,
 * no socket but Unix ones, no memory that can be executed, no thread but as part
 * of this process. Any other call ends the process, with a line in the log.
 *
 * What the filter cannot see: paths (openat stays, for /proc/self/fd/N, so that
 * what the user's own rights open can be opened), and what io_uring does, whose
 * opcodes never come by here.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "wmapd.h"

#ifdef WMAP_SECCOMP
#include <seccomp.h>

/* Newer than Debian's libseccomp. */
#define CACHESTAT 451

static const int allowed[] = {
	/* the loop: io_uring, or polling and threads */
	SCMP_SYS(io_uring_enter),
	SCMP_SYS(io_uring_register),
	SCMP_SYS(ppoll),
	SCMP_SYS(poll),
	SCMP_SYS(futex),
	SCMP_SYS(read),
	SCMP_SYS(write),
	SCMP_SYS(writev),
	SCMP_SYS(clock_gettime),
	SCMP_SYS(set_robust_list),
	SCMP_SYS(rseq),
	SCMP_SYS(sched_yield),
	SCMP_SYS(sched_getaffinity),
	SCMP_SYS(sched_setaffinity),
	SCMP_SYS(nanosleep),
	/* the metrics' library */
	SCMP_SYS(epoll_create1),
	SCMP_SYS(epoll_ctl),
	SCMP_SYS(epoll_wait),
	SCMP_SYS(epoll_pwait),
	SCMP_SYS(select),
	SCMP_SYS(sendfile),
	SCMP_SYS(eventfd2),
	SCMP_SYS(pipe2),
	/* clients, and who supervises */
	SCMP_SYS(accept4),
	SCMP_SYS(recvmsg),
	SCMP_SYS(sendmsg),
	SCMP_SYS(sendto),
	SCMP_SYS(recvfrom),
	SCMP_SYS(getsockopt),
	SCMP_SYS(setsockopt),
	SCMP_SYS(getsockname),
	SCMP_SYS(getpeername),
	SCMP_SYS(shutdown),
	SCMP_SYS(bind),
	SCMP_SYS(connect),
	SCMP_SYS(getrandom),
	/* files and objects */
	SCMP_SYS(openat),
	SCMP_SYS(readlink),
	SCMP_SYS(readlinkat),
	SCMP_SYS(close),
	SCMP_SYS(fcntl),
	SCMP_SYS(fstat),
	SCMP_SYS(statx),
	SCMP_SYS(newfstatat),
	SCMP_SYS(fstatfs),
	SCMP_SYS(lseek),
	CACHESTAT,
	SCMP_SYS(pread64),
	SCMP_SYS(preadv2),
	SCMP_SYS(pwrite64),
	SCMP_SYS(pwritev2),
	SCMP_SYS(fdatasync),
	SCMP_SYS(fsync),
	SCMP_SYS(memfd_create),
	SCMP_SYS(ftruncate),
	SCMP_SYS(fallocate),
	SCMP_SYS(fchmod),
	SCMP_SYS(unlink),
	SCMP_SYS(unlinkat),
	/* memory of its own */
	SCMP_SYS(munmap),
	SCMP_SYS(madvise),
	SCMP_SYS(brk),
	SCMP_SYS(mincore),
	SCMP_SYS(sysinfo),
	/* who it is; its end */
	SCMP_SYS(getpid),
	SCMP_SYS(gettid),
	SCMP_SYS(pidfd_open),
	SCMP_SYS(geteuid),
	SCMP_SYS(rt_sigaction),
	SCMP_SYS(rt_sigprocmask),
	SCMP_SYS(rt_sigreturn),
	SCMP_SYS(tgkill),
	SCMP_SYS(restart_syscall),
	SCMP_SYS(exit),
	SCMP_SYS(exit_group),
};

static int allow(scmp_filter_ctx filter, int call, struct scmp_arg_cmp only)
{
	return seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, call, 1, &only);
}

/* With conditions on an argument. */
static int allow_some(scmp_filter_ctx filter)
{
	int error = allow(filter, SCMP_SYS(mmap),
			  SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));

	if (!error)
		error = allow(filter, SCMP_SYS(mprotect),
			      SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
	if (!error)
		error = allow(filter, SCMP_SYS(socket),
			      SCMP_A0(SCMP_CMP_EQ, AF_UNIX, 0));
	if (!error)
		error = allow(filter, SCMP_SYS(socketpair),
			      SCMP_A0(SCMP_CMP_EQ, AF_UNIX, 0));
	if (!error)
		error = allow(filter, SCMP_SYS(prctl),
			      SCMP_A0(SCMP_CMP_EQ, PR_SET_NAME, 0));
	/* What stdio asks of a terminal; UFFDIO_*, whose type is 0xAA */
	if (!error)
		error = allow(filter, SCMP_SYS(ioctl),
			      SCMP_A1(SCMP_CMP_EQ, TCGETS, 0));
	if (!error)
		error = allow(filter, SCMP_SYS(ioctl),
			      SCMP_A1(SCMP_CMP_MASKED_EQ, 0xff00, 0xaa00));
	if (!error)
		error = allow(filter, SCMP_SYS(clone),
			      SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD,
				      CLONE_THREAD));
	/* Its arguments cannot be seen; who is told so takes clone. */
	if (!error)
		error = seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS),
					 SCMP_SYS(clone3), 0);
	return error;
}

static void refused(int signal, siginfo_t *info, void *context)
{
	char line[80];
	int n = snprintf(line, sizeof(line),
			 "wmapd: system call %d is none that it should make: "
			 "this is the end\n",
			 info->si_syscall);

	(void)signal;
	(void)context;
	if (write(STDERR_FILENO, line, (size_t)n) < 0)
		_exit(1);
	_exit(128 + SIGSYS);
}

/* Threads of the loop have it blocked: they end without a word. */
static void hear_of_it(void)
{
	struct sigaction action = { .sa_sigaction = refused,
				    .sa_flags = SA_SIGINFO };
	sigset_t set;

	sigaction(SIGSYS, &action, NULL);
	sigemptyset(&set);
	sigaddset(&set, SIGSYS);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
}

int confine(void)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_TRAP);
	int error = filter ? 0 : -ENOMEM;

	/* Threads that are there already, too. */
	if (!error)
		error = seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);
	for (size_t i = 0; i < lengthof(allowed) && !error; i++)
		error = seccomp_rule_add(filter, SCMP_ACT_ALLOW, allowed[i], 0);
	if (!error)
		error = allow_some(filter);
	if (!error) {
		hear_of_it();
		error = seccomp_load(filter);
	}
	seccomp_release(filter);
	return error;
}
#else
int confine(void)
{
	return 0;
}
#endif
