#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# xv6run: the program's surroundings, --trace, --map, --check, and that nothing
# is left, however it ends
. "$WMAP_SOURCE/tests/support/process.bash" || exit 1

export CC=$WMAP_CC
cc=$WMAP_BIN/xv6cc
run=$WMAP_BIN/xv6run

# program NAME < SOURCE : without its includes
program() {
	{
		printf '#include "%s"\n' types.h stat.h user.h fcntl.h wmap.h
		cat
	} >"$work/$1.c"
	"$cc" "$work/$1.c" -o "$work/$1" || failed "$1 does not compile"
}

# left : processes of ours, by the mark in their environment
left() {
	grep -slz "^XV6_ROOT=$TMPDIR/" /proc/[0-9]*/environ | wc -l
}

# clean WHAT : no process and no file is left
clean() {
	expect "$1: no process is left" test "$(left)" = 0
	expect "$1: no file is left" test -z "$(ls -A "$TMPDIR")"
}

# says STATUS TEXT ARGUMENT…
says() {
	local status=$1 text=$2 got

	shift 2
	timeout 60 "$run" "$@" >"$work/out" 2>"$work/err" </dev/null
	got=$?
	expect "xv6run $*: status $status" test $got = "$status"
	expect "xv6run $*: says '$text'" \
		grep -qF -e "$text" "$work/out" "$work/err"
}

says 0 "usage: xv6run" --help
says 125 "run what?"
says 125 "no such program" none
says 125 "no such option" --mop x
says 125 "value is missing" --timeout
says 125 "not a number" --timeout 0 x
says 125 "not a number" --jobs x --check .
says 125 "no tests" --check "$TMPDIR"
says 125 "No such file" --check "$TMPDIR/none"
says 125 "one of f24, s24, f23, s26" --check --term f25 "$TMPDIR"
says 125 "has xv6cc made it?" "$0"
clean "nothing run"

# ---- Surroundings -----------------------------------------------------------------

program surroundings <<'END'
int main(int argc, char **argv)
{
	char line[100];
	struct stat st;

	printf(1, "%s %s %d %d\n", argv[1], argv[2], argc, stat("README", &st));
	printf(1, "own %d\n", stat(argv[0], &st));
	while (gets(line, 100)[0])
		printf(2, "line %s", line);
	open("left", O_CREATE | O_RDWR);
	mkdir("directory");
	exit();
}
END
(cd "$work" && printf 'one\ntwo\n' | "$run" surroundings a 'b c' 2>"$work/err") \
	>"$work/out"
expect "status 0" test $? = 0
printf 'a b c 3 0\nown 0\nline one\nline two\n' >"$work/expected"
expect "arguments, files and the console" cmp "$work/expected" "$work/out"
expect "nothing on standard error" test ! -s "$work/err"
"$run" "$work/surroundings" a b <&- >"$work/out" 2>"$work/err"
printf 'a b 3 0\nown 0\n' >"$work/expected"
expect "nothing to read" cmp "$work/expected" "$work/out"
"$run" "$work/surroundings" a b </dev/null >&- 2>"$work/err"
expect "nowhere to print to" test $? = 0
clean surroundings

program stray <<'END'
int main(void) { *(char *)0x66660000 = 1; exit(); }
END
says 0 "Segmentation Fault" "$work/stray"
clean stray

# ---- What it leaves behind, and interrupts ------------------------------------------

program orphans <<'END'
int main(void)
{
	int i;

	wmap(0x60000000, 4096, MAP_FIXED | MAP_SHARED | MAP_ANONYMOUS, -1);
	for (i = 0; i < 5; i++)
		if (fork() == 0) {
			sleep(30);
			printf(1, "o");
			exit();
		}
	printf(1, "done ");
	exit();
}
END
says 0 "done ooooo" "$work/orphans"
clean "orphans that end"

program endless <<'END'
int main(void)
{
	wmap(0x60000000, 4096, MAP_FIXED | MAP_SHARED | MAP_ANONYMOUS, -1);
	*(char *)0x60000000 = 1;
	fork();
	if (fork() == 0)
		for (;;)
			;
	for (;;)
		sleep(100);
}
END
says 0 "killed after 1 seconds" --timeout 1 "$work/endless"
clean "a timeout"
for signal in TERM INT HUP; do
	# Not in the background of a shell, which would ignore INT.
	timeout -s $signal -k 20 1 "$run" "$work/endless"
	clean "SIG$signal"
done

# ---- Tracing and maps -----------------------------------------------------------------

program small <<'END'
int main(void)
{
	struct wmapinfo info;

	wmap(0x60000000, 0x4008, MAP_FIXED | MAP_SHARED | MAP_ANONYMOUS, -1);
	((char *)0x60000000)[0x2000] = 1;
	getwmapinfo(&info);
	wunmap(0x60000000);
	printf(1, "output\n");
	exit();
}
END
"$run" --trace "$work/small" >"$work/out" 2>"$work/err"
expect "tracing leaves the output" test "$(cat "$work/out")" = output
order=$(sed -E 's/^\[ *[0-9]+\.[0-9]{6} ([0-9]+|pager)\] //' "$work/err" |
	grep -oE '^(map\(0x60000000, 16392, 0xe|fault: write to 0x60002000|loaded: 0x60002000|unmap\(0x60000000\) = 0: 1 pages unloaded|exit)')
expect "a trace tells what happened, in order" test "$order" = \
	"map(0x60000000, 16392, 0xe
fault: write to 0x60002000
loaded: 0x60002000
unmap(0x60000000) = 0: 1 pages unloaded
exit"
expect "each line has its time" test -z "$(
	grep -vE '^\[ *[0-9]+\.[0-9]{6} ([0-9]+|pager)\] ' "$work/err")"
program family <<'END'
int main(void)
{
	wmap(0x60000000, 4096, MAP_FIXED | MAP_SHARED | MAP_ANONYMOUS, -1);
	if (fork() == 0) {
		*(char *)0x60000000 = 1;
		exit();
	}
	wait();
	exit();
}
END
"$run" --trace "$work/family" >"$work/out" 2>"$work/err"
expect "a child's faults are told too" \
	grep -q "pager\] loaded: 0x60000000" "$work/err"
expect "and its end" test "$(grep -c "exit(0)" "$work/err")" = 2
clean "tracing a family"
"$run" --map "$work/small" >"$work/out" 2>"$work/err"
expect "a map leaves the output" test "$(cat "$work/out")" = output
expect "a map is drawn at getwmapinfo" \
	grep -q "^map at getwmapinfo, process [0-9]*: 1 mapping$" "$work/err"
expect "the window" grep -qE '^  0x60000000 \[\+\.{63}\] 0x80000000$' "$work/err"
expect "and its mappings" grep -qF \
	'0x60000000      16392 bytes, 1 of 5 pages loaded [--#--]' "$work/err"
expect "and at the end" grep -q "^map at exit, .*: 0 mappings$" "$work/err"
cat >"$work/high.c" <<'END'
#include "kernel/types.h"
#include "kernel/mmap.h"
#include "user/user.h"
int main(void)
{
	((char *)mmap(0, 8192, MAP_SHARED | MAP_ANONYMOUS))[1] = 1;
	exit(0);
}
END
"$cc" --term s26 "$work/high.c" -o "$work/high" || failed "high"
"$run" --map "$work/high" >"$work/out" 2>"$work/err"
expect "where there is no window only mappings" test "$(tail -n +2 "$work/err")" = \
	"  0x3fffffc000       8192 bytes, 1 of 2 pages loaded [#-]"
"$run" "$work/small" >"$work/out" 2>"$work/err"
expect "nothing is told unasked" test ! -s "$work/err"
clean "tracing"

# ---- Frame numbers ----------------------------------------------------------------------

program frames <<'END'
int main(void) { printf(1, "%d %d\n", va2pa(0) == -1, va2pa((uint)main) == -1); exit(); }
END
if command -v setpriv >"$work/out" && [ "$(id -u)" = 0 ]; then
	setpriv --bounding-set=-sys_admin --inh-caps=-sys_admin \
		"$run" "$work/frames" >"$work/out" 2>"$work/err"
	expect "without the privilege va2pa fails" \
		test "$(cat "$work/out")" = "1 1"
	expect "with one line" test "$(wc -l <"$work/err")" = 1
	expect "that says why" grep -q "CAP_SYS_ADMIN" "$work/err"
fi

# ---- An ordinary user's faults ------------------------------------------------------------

cat >"$work/above.c" <<'END'
#include "types.h"
#include "user.h"
#include "mmap.h"
int main(void)
{
	char *m = mmap((void *)0x60000000, 4096, PROT_READ | PROT_WRITE,
		       MAP_ANON | MAP_SHARED | MAP_GROWSUP | MAP_FIXED, -1, 0);
	int fd = open("README", 0);

	printf(1, "%d ", read(fd, m + 4000, 100));
	printf(1, "%d ", read(fd, m + 8192, 100));
	printf(1, "%d\n", read(fd, m + 10 * 4096, 100));
#ifdef FORK
	fork();
#endif
	exit();
}
END
for fork in -UFORK -DFORK; do
	"$cc" --term f23 $fork "$work/above.c" -o "$work/above" || failed above
	for without in "" device,kernel_faults; do
		WMAP_KERNEL_WITHOUT=$without "$run" "$work/above" >"$work/out"
		expect "a mapping grows into what read is given ($fork, without '$without')" \
			grep -qx "100 100 -1" "$work/out"
	done
done

# ---- Memory -------------------------------------------------------------------------------

program memory <<'END'
int main(void)
{
	int round, i;
	char *m = (char *)0x60000000, c;

	for (round = 0; round < 40; round++) {
		wmap(0x60000000, 4096 * 4096, MAP_FIXED | MAP_SHARED |
		     MAP_ANONYMOUS, -1);
		for (i = 0; i < 4096; i++)
			m[i * 4096] = round;
		wunmap(0x60000000);
	}
	printf(1, "mapped\n");
	read(0, &c, 1);
	exit();
}
END
shared() {
	awk '$1 == "Shmem:" { print $2 }' /proc/meminfo
}
mkfifo "$work/in"
before=$(shared)
"$run" "$work/memory" <"$work/in" >"$work/out" &
exec 3>"$work/in"
for _ in $(seq 100); do
	grep -q mapped "$work/out" && break
	sleep 0.1
done
used=$(($(shared) - before))
echo >&3
exec 3>&-
wait
expect "640 MiB mapped and unmapped are given back (of which $used kB are not)" \
	test $used -lt 160000
clean memory

# ---- --check --------------------------------------------------------------------------------

tests=$work/tests
mkdir "$tests"
say() {
	printf '#include "types.h"\n#include "user.h"\nint main(void)\n{\n%s\n}\n' "$1"
}
say 'printf(1, "good\n"); exit();' >"$tests/good.c"
echo good >"$tests/good.out"
say 'printf(1, "1\nbad\n"); exit();' >"$tests/test_2.c"
printf '1\nright\n' >"$tests/2.out"
say 'printf(1, "good\n"); exit();' >"$tests/test_10.c"
echo good >"$tests/10.out"
say 'for (;;) sleep(10);' >"$tests/long.c"
touch "$tests/long.out"
say 'wrong' >"$tests/wrong.c"
touch "$tests/wrong.out"
say 'exit();' >"$tests/nothing.c"
"$run" --check --timeout 2 "$tests" >"$work/out" 2>"$work/err"
expect "a failed test is status 1" test $? = 1
while read -r line; do
	expect "$line" grep -qE "^$line" "$work/out"
done <<'END'
pass  good +[0-9.]+ s$
FAIL  long +still running after 2 s$
FAIL  nothing +there is no nothing.out$
FAIL  test_2 +line 2: expected "right", got "bad"$
pass  test_10 +[0-9.]+ s$
FAIL  wrong +does not compile: .*wrong.c:5:1: error: 
2 of 6 passed$
END
expect "in order" test "$(sed -n '4p;5p' "$work/out" | cut -c7-13 | tr -d ' ')" = \
	"test_2
test_10"
clean --check
expect "one test" "$run" --check "$tests/good.c"
CC=nocc "$run" --check "$tests/good.c" >"$work/out" 2>"$work/err"
expect "why there is no program" \
	grep -q "does not compile: xv6cc: nocc is not found" "$work/out"
rm "$tests"/{long,nothing,wrong,test_2}.c
expect "all pass: status 0" "$run" --check "$tests"
mkdir "$work/s26"
printf '#include "kernel/types.h"\n#include "user/user.h"\nint main(void) { printf("s26\\n"); exit(0); }\n' \
	>"$work/s26/a.c"
echo s26 >"$work/s26/a.out"
expect "a term by the directory's name" "$run" --check "$work/s26"
expect "and by --term" "$run" --check --term s26 "$work/s26/a.c"
say 'for (;;) sleep(10);' >"$tests/long.c"
timeout -s INT -k 20 2 "$run" --check "$tests" >"$work/out"
clean "--check, interrupted"

finish
