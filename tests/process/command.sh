#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# The wmap command: arguments, statuses, signals; what it leaves behind
. "$WMAP_SOURCE/tests/support/process.bash" || exit 1

# says STATUS TEXT ARGUMENT…: wmap ends so, and its message has TEXT in it
says() {
	local status=$1 text=$2

	shift 2
	"$wmap" "$@" >"$work/out" 2>"$work/err" </dev/null
	local got=$?
	if [ $got != "$status" ]; then
		failed "wmap $*: status $got instead of $status"
	elif ! grep -qF -e "$text" "$work/out" "$work/err"; then
		failed "wmap $*: does not say '$text':"
		cat "$work/err"
	else
		echo "ok: wmap $*"
	fi
}

says 0 "usage: wmap run" --help
says 0 "usage: wmap run" run --help
says 0 "wmap 0." --version
says 125 "run what?"
says 125 "walk: no such command" walk
says 125 "which program?" run
says 125 "which program?" run --
says 125 "--mop: no such option" run --mop '*' -- true
says 125 "-x: no such option" run -x -- true
says 125 "value is missing" run --map
says 125 "pattern is empty" run --map '' -- true
says 125 "name is empty" run --json '' -- true
for grain in 0 1 4095 4097 12288 4M 2097153 64k0 64KB -4096 ' 4096' 0x1000 \
	99999999999999999999 K ''; do
	says 125 "not a power of two" run --grain "$grain" -- true
done
for grain in 4096 4K 8k 64K 2M 2097152; do
	says 0 "" run --grain "$grain" -- true
done
for memory in 0 -1 12Q 12KK 100K 99999999T ' 1M' 0x100000 ''; do
	says 125 "--memory $memory: not a size" run --memory "$memory" -- true
	WMAP_MEMORY=$memory says 125 "WMAP_MEMORY $memory: not a size" \
		run -- true
done
WMAP_PAGER=nobody says 125 "nobody is no pager: it is thread" run -- true

# Programs that cannot be run.
says 127 "nonexistent: no such program" run -- nonexistent
says 127 "no such program" run -- ./nonexistent
says 127 "no such program" run -- ''
says 127 "no such program" run -- "$work/err/x"
says 126 "Is a directory" run -- /tmp
echo 'int main(void) { return 0; }' >"$work/static.c"
if "${WMAP_CC:-cc}" -static -o "$work/static" "$work/static.c" 2>/dev/null; then
	says 125 "is statically linked" run -- "$work/static"
	printf '#! %s -x\n' "$work/static" >"$work/script"
	chmod +x "$work/script"
	says 125 "is statically linked" run -- "$work/script"
fi
printf 'exit 5\n' >"$work/headless"
says 126 "Permission denied" run -- "$work/headless"
chmod +x "$work/headless"
says 5 "" run -- "$work/headless"
printf '#!/nonexistent/interpreter\n' >"$work/orphan"
chmod +x "$work/orphan"
says 127 "cannot be run" run -- "$work/orphan"

# --json is looked at before the program starts.
says 125 "cannot be written" run --json /nonexistent/json -- touch "$work/ran"
says 125 "cannot be written" run --json / -- touch "$work/ran"
expect "the program was not started" test ! -e "$work/ran"
echo precious >"$work/json"
says 127 "no such program" run --json "$work/json" -- nonexistent
expect "--json is left alone" grep -q precious "$work/json"
TMPDIR=/nonexistent says 125 "no temporary file" run -- true

# Status, output and input are the program's.
says 0 "" run -- true
says 1 "" run -- false
says 42 "" run -- sh -c 'exit 42'
says 0 "a b" run -- echo "a b"
says 0 "--grain" run echo --grain
expect "standard input passes" \
	test "$(echo hello | "$wmap" run cat 2>/dev/null)" = hello
expect "standard error passes" \
	grep -qx direct <("$wmap" run -- sh -c 'echo direct >&2' 2>&1)
expect "LD_PRELOAD keeps what was there" test "$(LD_PRELOAD=libm.so.6 \
	"$wmap" run -- sh -c 'echo "$LD_PRELOAD"' 2>/dev/null |
	sed 's|.*/||')" = "libwmap-preload.so:libm.so.6"

# Killed by a signal: wmap ends by the same.
for signal in KILL TERM INT SEGV ABRT PIPE; do
	(ulimit -c 0; exec "$wmap" run -- sh -c "kill -$signal \$\$") \
		2>"$work/err"
	expect "SIG$signal" test $? = $((128 + $(kill -l $signal)))
done

# A signal to wmap reaches the program.
for signal in TERM INT HUP USR1; do
	# A shell ignores SIGINT for what it runs in the background.
	env --default-signal=INT "$wmap" run -- bash -c \
		"trap 'echo got; exit 9' $signal
		echo ready; while :; do sleep 0.05; done" \
		>"$work/$signal" 2>"$work/err" &
	pid=$!
	for _ in $(seq 500); do
		grep -qs ready "$work/$signal" && break
		sleep 0.02
	done
	kill -$signal $pid
	wait $pid
	expect "SIG$signal is passed on" test $? = 9
done

# Where the pager cannot be had in full, or at all.
WMAP_KERNEL_WITHOUT=device,kernel_faults \
	says 0 "only user-mode faults" run -- true
head -c 65536 /dev/zero | tr '\0' 'x' >"$work/file"
"$wmap" run -- sh -c "exec 3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&-
	ulimit -n 4; exec '$programs/touch' '$work/file' 1" \
	>"$work/out" 2>"$work/err"
expect "without a pager the kernel pages" test "$(cat "$work/out")" = 120
expect "... which is said" grep -q 'come from the kernel' "$work/err"

# Nothing but a summary is written, and that on standard error.
"$wmap" run -- cat /dev/null >"$work/out" 2>"$work/err"
expect "no output of its own" test ! -s "$work/out"
expect "a summary" grep -q '^wmap: ' "$work/err"
expect "every line is marked" test -z "$(grep -v '^wmap: ' "$work/err")"

# The environment.
unset WMAP_MAP WMAP_GRAIN
expect "no rules unless asked for" test -z \
	"$("$wmap" run -- sh -c 'echo $WMAP_MAP$WMAP_GRAIN' 2>/dev/null)"
expect "the grain in bytes" test 65536 = \
	"$("$wmap" run --grain 64K -- sh -c 'echo $WMAP_GRAIN' 2>/dev/null)"
cd "$work" || exit 1
expect "patterns are joined and escaped" test 'a\:b:*.c:\\*:/[x:-z]*' = \
	"$("$wmap" run --map a:b --map '*.c' --map '\*' --map '/[x:-z]*' -- \
		sh -c 'printf "%s" "$WMAP_MAP"' 2>/dev/null |
		sed 's/x\\:/x:/')"
finish
