/* SPDX-License-Identifier: MIT */
/*
 * The ways out of a program
 *
 * exit(3), and a return from main, run this library's destructor, quick_exit
 * the function that its constructor registered first and so runs last. _exit
 * and exec run nothing: there, pages are written back and the report is made
 * before the kernel is asked. An exec may fail after that; a later report
 * replaces the one made.
 *
 * In the child of a vfork all this is left to the parent, whose memory it is.
 */
#include <errno.h>
#include <dlfcn.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "../client.h"
#include "preload.h"

void exits_prepare(void)
{
	int saved = errno;

	if (!process_paged() || !process_is_mine())
		return;
	if (wmap_sync_all() != 0)
		process_say("changes of mapped files could not be written: %s",
			    strerrordesc_np(errno));
	report_file();
	errno = saved;
}

__attribute__((constructor)) static void begin(void)
{
	process_born();
	at_quick_exit(exits_prepare);
}

__attribute__((destructor)) static void end(void)
{
	exits_prepare();
}

/* ---- _exit -------------------------------------------------------------- */

HOOK __attribute__((noreturn)) void _exit(int status)
{
	exits_prepare();
	for (;;)
		syscall(SYS_exit_group, status);
}

HOOK __attribute__((noreturn)) void _Exit(int status)
{
	_exit(status);
}

/* ---- exec --------------------------------------------------------------- */

HOOK int execve(const char *path, char *const argv[], char *const envp[])
{
	exits_prepare();
	return (int)syscall(SYS_execve, path, argv, envp);
}

HOOK int execveat(int dirfd, const char *path, char *const argv[],
		  char *const envp[], int flags)
{
	exits_prepare();
	return (int)syscall(SYS_execveat, dirfd, path, argv, envp, flags);
}

HOOK int execv(const char *path, char *const argv[])
{
	return execve(path, argv, environ);
}

/* These search the path, or know an older kernel's way: the C library's. */

typedef int exec_function(const char *path, char *const argv[],
			  char *const envp[]);

HOOK int fexecve(int fd, char *const argv[], char *const envp[])
{
	int (*next)(int, char *const[], char *const[]);

	*(void **)&next = dlsym(RTLD_NEXT, "fexecve");
	exits_prepare();
	return next(fd, argv, envp);
}

HOOK int execvpe(const char *file, char *const argv[], char *const envp[])
{
	exec_function *next;

	*(void **)&next = dlsym(RTLD_NEXT, "execvpe");
	exits_prepare();
	return next(file, argv, envp);
}

HOOK int execvp(const char *file, char *const argv[])
{
	return execvpe(file, argv, environ);
}

/* ---- execl -------------------------------------------------------------- */

#define FEW 256

/*
 * The arguments of execl and its like as an array, which stands in @few if they
 * fit, else in memory of its own that an exec takes with it.
 */
struct arguments {
	char *few[FEW], **all;
	size_t n; /* the NULL included */
	char **environment;
};

static size_t count(const char *first, va_list list)
{
	size_t n = 1;

	if (first)
		for (n = 2; va_arg(list, char *); n++)
			;
	return n;
}

static bool make_room(struct arguments *arguments)
{
	size_t size = arguments->n * sizeof(char *);
	void *memory = arguments->few;

	if (arguments->n > FEW)
		memory = mmap(NULL, size, PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	arguments->all = memory;
	return memory != MAP_FAILED;
}

/* @list: what follows @first; behind the NULL, if @with, the environment. */
static bool collect(struct arguments *arguments, const char *first,
		    va_list list, bool with)
{
	va_list again;
	size_t i;

	va_copy(again, list);
	arguments->n = count(first, again);
	va_end(again);
	if (!make_room(arguments))
		return false;
	arguments->all[0] = (char *)(uintptr_t)first;
	for (i = 1; i < arguments->n; i++)
		arguments->all[i] = va_arg(list, char *);
	arguments->environment = with ? va_arg(list, char **) : environ;
	return true;
}

static int run(exec_function *exec, const char *path,
	       struct arguments *arguments)
{
	exec(path, arguments->all, arguments->environment);
	if (arguments->all != arguments->few)
		syscall(SYS_munmap, arguments->all,
			arguments->n * sizeof(char *));
	return -1;
}

HOOK int execl(const char *path, const char *first, ...)
{
	struct arguments arguments;
	va_list list;
	bool made;

	va_start(list, first);
	made = collect(&arguments, first, list, false);
	va_end(list);
	return made ? run(execve, path, &arguments) : -1;
}

HOOK int execle(const char *path, const char *first, ...)
{
	struct arguments arguments;
	va_list list;
	bool made;

	va_start(list, first);
	made = collect(&arguments, first, list, true);
	va_end(list);
	return made ? run(execve, path, &arguments) : -1;
}

HOOK int execlp(const char *file, const char *first, ...)
{
	struct arguments arguments;
	va_list list;
	bool made;

	va_start(list, first);
	made = collect(&arguments, first, list, false);
	va_end(list);
	return made ? run(execvpe, file, &arguments) : -1;
}
