#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# xv6cc: which headers win, which names may be used, where a program lies
. "$WMAP_SOURCE/tests/support/process.bash" || exit 1

export CC=$WMAP_CC
cc=$WMAP_BIN/xv6cc
run=$WMAP_BIN/xv6run

# says STATUS TEXT ARGUMENT…: xv6cc ends so, and its message has TEXT in it
says() {
	local status=$1 text=$2 got

	shift 2
	"$cc" "$@" >"$work/out" 2>&1
	got=$?
	expect "xv6cc $*: status $status" test $got = "$status"
	expect "xv6cc $*: says '$text'" grep -qF -e "$text" "$work/out"
}

# prints TEXT PROGRAM: run by xv6run
prints() {
	local found

	found=$("$run" "$2" </dev/null 2>&1)
	expect "$(basename "$2") prints '$1'" test "$found" = "$1"
}

says 0 "usage: xv6cc" --help
says 2 "compile what?"
says 2 "one of f24, s24, f23, s26" --term f25 x.c
says 2 "which one?" x.c --term
says 2 "which file?" x.c -o
says 2 "no such option" --mop x.c
says 1 "there is no such file" none.c
says 1 "there is no such file" "$work"
CC=nocc says 1 "nocc is not found" "$0"

# ---- A program in a directory with a difficult name, from another one ----------

here="$work/it's a place"
mkdir -p "$here/user"
cd "$here" || exit 1

cat >hello.c <<'END'
#include "types.h"
#include "user.h"
int main(void) { printf(1, "hello\n"); exit(); }
END
cd / || exit 1
expect "it compiles" "$cc" "$here/hello.c" -o "$here/hello"
prints hello "$here/hello"
(cd "$here" && "$cc" hello.c) || failed "without -o"
expect "without -o it is a.out" test -x "$here/a.out"
ln -s "$cc" "$work/link"
expect "through a link" "$work/link" "$here/hello.c" -o "$here/linked"
prints hello "$here/linked"
mkdir -p "$here/with, all/bin"
cp "$cc" "$here/with, all/bin"
ln -s "$(dirname "$WMAP_BIN")"/{lib,include} "$here/with, all"
expect "installed there" "$here/with, all/bin/xv6cc" "$here/hello.c" -o "$here/there"
prints hello "$here/there"
printf 'int main(void) { return 0 }\n' >"$here/wrong.c"
says 1 "wrong.c" "$here/wrong.c" -o "$here/wrong"
expect "what does not compile is not made" test ! -e "$here/wrong"

# ---- Headers --------------------------------------------------------------------

cat >"$here/types.h" <<'END'
typedef unsigned int uint;
#define OWN 77
END
cat >"$here/user.h" <<'END'
int printf(int, const char *, ...);
int exit(void) __attribute__((noreturn));
void *malloc(uint);
int helper(int);
END
cat >"$here/own.c" <<'END'
#include "types.h"
#include "user.h"
#include "wmap.h"
#include <stddef.h>
#include <stdarg.h>
int main(void)
{
	printf(1, "%d %d %d\n", OWN, MAP_FIXED, helper(malloc(10) != NULL));
	exit();
}
END
cat >"$here/helper.c" <<'END'
#include "types.h"
#include "user.h"
inline int twice(int x) { return 2 * x; }
int helper(int x) { return twice(x); }
END
"$cc" "$here/own.c" "$here/helper.c" -o "$here/own" || failed "two files"
prints "77 8 2" "$here/own"
"$cc" -c "$here/own.c" -o "$here/own.o" &&
	"$cc" -c "$here/helper.c" -o "$here/helper.o" &&
	"$cc" "$here/own.o" "$here/helper.o" -o "$here/pieces" ||
	failed "piece by piece"
prints "77 8 2" "$here/pieces"
cat >"$here/user/prog.c" <<'END'
#include "kernel/types.h"
#include "kernel/stat.h"
#include "kernel/fcntl.h"
#include "kernel/fs.h"
#include "kernel/param.h"
#include "kernel/riscv.h"
#include "kernel/memlayout.h"
#include "kernel/syscall.h"
#include "kernel/mmap.h"
#include "user/user.h"
int main(void) { printf("%d\n", PGSIZE + WINDOW); exit(0); }
END
mkdir -p "$here/kernel"
printf '#define WINDOW 4\n#define MAP_SHARED 2\n' >"$here/kernel/mmap.h"
"$cc" --term s26 "$here/user/prog.c" -o "$here/prog" || failed "kernel/"
prints 4100 "$here/prog"

# Each header by itself after types.h, and all of them together.
for term in f24 s24 f23 s26; do
	mkdir -p "$work/all/$term"
	all=$work/all/$term/all.c
	types=types.h
	[ $term = s26 ] && types=kernel/types.h
	echo "#include \"$types\"" >"$all"
	[ $term = s26 ] && echo '#include "kernel/riscv.h"' >>"$all"
	for directory in x86 $term; do
		[ $term-$directory = s26-x86 ] && continue
		(cd "$WMAP_SOURCE/include/xv6/$directory" &&
			find . -name '*.h' -printf '#include "%P"\n' |
			grep -v calls.h | sort) >>"$all"
	done
	printf 'char *a = (char *)PGROUNDUP(1);\nint main(void) { return 0; }\n' >>"$all"
	expect "all headers of $term" "$cc" --term $term -Wall -Werror "$all" \
		-o "$work/all/$term/all"
done

# ---- Names ------------------------------------------------------------------------

cat >"$work/names.c" <<'END'
#include "types.h"
#include "stat.h"
#include "user.h"
int index(int x) { return x + 1; }
int rand(void) { return 4; }
int send = 3, signal, environ, stdout;
char *strdup(char *s) { return s; }
int mmap(int x) { return x; }
int puts(char *s) { printf(1, "%s\n", s); return 0; }
int memcmp(int x) { return x; }
void sys_call(void) { puts("own"); }
int time(int x) { return x * 2; }
int main(void)
{
	struct stat st;
	sys_call();
	printf(1, "%d %d %d %d %d %s\n", index(rand()), send, mmap(7),
	       memcmp(8), time(stat("README", &st)), strdup("dup"));
	exit();
}
END
"$cc" "$work/names.c" -o "$work/names" || failed "names of the C library"
prints "own
5 3 7 8 0 dup" "$work/names"

# ---- Where it lies ----------------------------------------------------------------

cat >"$work/large.c" <<'END'
#include "types.h"
#include "user.h"
char array[160 * 1024 * 1024];
int main(void) { array[sizeof(array) - 1] = 1; printf(1, "%d\n", array[0]); exit(); }
END
"$cc" "$work/large.c" -o "$work/large" || failed "a large array"
prints 0 "$work/large"
readelf -lW "$work/large" | awk '$1 == "LOAD" { print $3, $6 }' >"$work/parts"
while read -r start size; do
	expect "code and data are low" test $((start + size < 0x1ff00000)) = 1
done <"$work/parts"
expect "its parts are two" test "$(wc -l <"$work/parts")" = 2
prints 0 "$work/large"
cat >"$work/where.c" <<'END'
#include "types.h"
#include "user.h"
int main(void)
{
	char c;
	if (fork() == 0)
		exit();
	wait();
	printf(1, "%d\n", getpid());
	read(0, &c, 1);
	exit();
}
END
"$cc" "$work/where.c" -o "$work/where" || failed "a program that waits"
mkfifo "$work/in" "$work/pid"
"$run" "$work/where" <"$work/in" >"$work/pid" &
exec 3>"$work/in"
read -r pid <"$work/pid"
expect "the C library's heap does not lie among it" \
	test "$(grep -c '\[heap\]' "/proc/$pid/maps")" = 0
echo >&3
exec 3>&-
wait
"$work/large" >"$work/out"
expect "it runs by itself too" test "$(cat "$work/out")" = 0

finish
