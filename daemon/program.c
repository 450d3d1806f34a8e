/* SPDX-License-Identifier: MIT */
/*
 * Is it a program that can be run, and into which a library can be preloaded?
 *
 * The dynamic linker preloads, so a program that has none (its ELF header names
 * no interpreter) would run without us, and so would one that gains privileges
 * when it starts: the linker then ignores LD_PRELOAD. A script is as good as
 * its interpreter. What is neither ELF nor a script the kernel will judge.
 */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "daemon.h"

#define HEAD 4096 /* of a file: its ELF headers, or its first line */

/* ---- Finding it --------------------------------------------------------- */

static int check_file(const char *path)
{
	struct stat st;

	if (stat(path, &st) != 0)
		return errno;
	if (S_ISDIR(st.st_mode))
		return EISDIR;
	return access(path, X_OK) == 0 ? 0 : errno;
}

static char *join(const char *directory, size_t length, const char *name)
{
	char *path;

	if (!length)
		return strdup(name);
	if (asprintf(&path, "%.*s/%s", (int)length, directory, name) < 0)
		return NULL;
	return path;
}

static bool is_absent(int error)
{
	return error == ENOENT || error == ENOTDIR;
}

/* The first in $PATH that can be run; else 0 or why the best of them cannot. */
static int search(const char *name, char **path)
{
	const char *directory = getenv("PATH");
	int best = ENOENT;

	if (!directory)
		directory = "/bin:/usr/bin";
	for (;;) {
		size_t length = strcspn(directory, ":");
		char *candidate = join(directory, length, name);
		int error = candidate ? check_file(candidate) : ENOMEM;

		if (!error) {
			*path = candidate;
			return 0;
		}
		free(candidate);
		if (!is_absent(error) && error != EISDIR)
			best = error;
		if (!directory[length])
			return best;
		directory += length + 1;
	}
}

static int find(const char *name, char **path)
{
	int error;

	if (!*name)
		return ENOENT;
	if (!strchr(name, '/'))
		return search(name, path);
	error = check_file(name);
	if (error)
		return error;
	*path = strdup(name);
	return *path ? 0 : ENOMEM;
}

/* ---- What it is --------------------------------------------------------- */

enum kind { DYNAMIC, STATIC, FOREIGN, SCRIPT, UNKNOWN };

struct head {
	char bytes[HEAD];
	size_t size;
};

static bool read_head(const char *path, struct head *head)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return false;
	n = pread(fd, head->bytes, sizeof(head->bytes) - 1, 0);
	close(fd);
	head->size = n > 0 ? (size_t)n : 0;
	head->bytes[head->size] = '\0';
	return n >= 0;
}

/* Machine and class of this very program: those of the library, too. */
static Elf64_Half our_machine(void)
{
	struct head head;
	Elf64_Ehdr elf;

	if (!read_head("/proc/self/exe", &head) || head.size < sizeof(elf))
		return EM_NONE;
	memcpy(&elf, head.bytes, sizeof(elf));
	return elf.e_machine;
}

static bool has_interpreter(const struct head *head, const Elf64_Ehdr *elf)
{
	Elf64_Phdr segment;
	uint64_t at = elf->e_phoff;
	unsigned i;

	for (i = 0; i < elf->e_phnum; i++, at += sizeof(segment)) {
		if (at > head->size || head->size - at < sizeof(segment))
			return true; /* not seen: no reason to refuse it */
		memcpy(&segment, head->bytes + at, sizeof(segment));
		if (segment.p_type == PT_INTERP)
			return true;
	}
	return false;
}

static enum kind elf_kind(const struct head *head)
{
	Elf64_Half ours = our_machine();
	Elf64_Ehdr elf;

	if (head->size < sizeof(elf))
		return UNKNOWN;
	memcpy(&elf, head->bytes, sizeof(elf));
	if (elf.e_ident[EI_CLASS] != ELFCLASS64 ||
	    (ours != EM_NONE && elf.e_machine != ours))
		return FOREIGN;
	return has_interpreter(head, &elf) ? DYNAMIC : STATIC;
}

static enum kind kind_of(const struct head *head)
{
	if (head->size >= SELFMAG && !memcmp(head->bytes, ELFMAG, SELFMAG))
		return elf_kind(head);
	return !strncmp(head->bytes, "#!", 2) ? SCRIPT : UNKNOWN;
}

/* "#! /bin/sh -e" becomes "/bin/sh". */
static char *interpreter(struct head *head)
{
	char *start = head->bytes + 2;

	start += strspn(start, " \t");
	start[strcspn(start, " \t\n")] = '\0';
	return start;
}

/* Does it start with more rights than we have? */
static bool gains_rights(const char *path)
{
	struct stat st;

	if (geteuid() == 0 || stat(path, &st) != 0)
		return false;
	if (st.st_mode & S_ISUID && st.st_uid != geteuid())
		return true;
	if (st.st_mode & S_ISGID && st.st_mode & S_IXGRP &&
	    st.st_gid != getegid())
		return true;
	return getxattr(path, "security.capability", NULL, 0) > 0;
}

static int refuse(const char *path, const char *why)
{
	say("%s %s: the preload library has no effect on it", path, why);
	return EXIT_OURS;
}

static int check_kind(const char *path, int depth)
{
	struct head head;

	if (gains_rights(path))
		return refuse(path, "gains privileges when it starts");
	if (!read_head(path, &head))
		return 0; /* executable and not readable */
	switch (kind_of(&head)) {
	case STATIC:
		return refuse(path, "is statically linked");
	case FOREIGN:
		return refuse(path, "is of another architecture");
	case SCRIPT:
		return depth ? check_kind(interpreter(&head), depth - 1) : 0;
	default:
		return 0;
	}
}

int program_find(const char *name, char **path)
{
	int error = find(name, path);

	if (is_absent(error)) {
		say("%s: no such program", name);
		return EXIT_NOT_FOUND;
	}
	if (error) {
		say("%s cannot be run: %s", name, strerror(error));
		return EXIT_NOT_EXECUTABLE;
	}
	return check_kind(*path, 4);
}
